//! What `[serve]` of hb.toml and the command line say. The other sections and files are none of its
//! business. I/O: reads hb.toml.

use std::io;

use hb_cli::companion::ServeArgs;
use hb_config::native::{self, Parsed};
use hb_config::render::{self, Style};
use hb_config::settings::Serve;
use hb_config::source::MAX_FILE_BYTES;
use hb_config::span::FileId;
use hb_config::{Files, Severity};

use crate::{Refused, files};

/// File name below `--dir`.
pub(crate) const FILE: &str = "hb.toml";

/// The settings in force, fit to be used.
///
/// # Errors
/// When hb.toml cannot be read or has errors, or when it would show the pair to the network.
pub(crate) fn load(args: &ServeArgs) -> Result<Serve, Refused> {
    let path = args.dir.join(FILE);
    let mut serve = match files::read(&path, MAX_FILE_BYTES) {
        Ok((bytes, mode)) => parse(&args.dir.to_string_lossy(), &bytes, mode)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Serve::default(),
        Err(error) => {
            return Err(Refused(format!(
                "{} cannot be read: {error}\nhint: start it as the service hb-serve, which gets what \
                 it needs of it: systemctl start hb-serve",
                path.display()
            )));
        }
    };
    if !args.listen.is_empty() {
        serve.listen.clone_from(&args.listen);
    }
    match serve.refusal() {
        None => Ok(serve),
        Some(refusal) => Err(Refused(format!(
            "{refusal}\nhint: write them into [serve] of {}, or `insecure = true` in a network that you \
             trust as a whole",
            path.display()
        ))),
    }
}

fn parse(dir: &str, bytes: &[u8], mode: u32) -> Result<Serve, Refused> {
    let mut all = Files::missing_in(dir);
    all.set(FileId::Native, bytes, Some(mode));
    let Some(source) = all.get(FileId::Native).source() else { return Ok(Serve::default()) };
    let (Parsed { companions, .. }, mut found) = native::parse(source);
    found.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if found.is_empty() {
        return Ok(companions.serve);
    }
    Err(Refused(render::human(&all, &found, Style::default()).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes the files that are read")]

    use std::path::Path;

    use super::*;

    fn load_from(dir: &Path, listen: &[&str]) -> Result<Serve, String> {
        let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
        let args = ServeArgs { listen, dir: dir.to_owned(), hand_over: None };
        load(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_from(dir.path(), &[]), Ok(Serve::default()));
        std::fs::write(dir.path().join(FILE), "[serve]\nlisten = \"127.0.0.1:1\"\n").unwrap();
        let first = |serve: Serve| serve.listen.first().map(ToString::to_string);
        assert_eq!(load_from(dir.path(), &[]).map(first), Ok(Some("127.0.0.1:1".into())));
        assert_eq!(load_from(dir.path(), &["[::1]:2"]).map(first), Ok(Some("[::1]:2".into())));
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let check = |text: &str, listen: &[&str], parts: &[&str]| {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let error = load_from(dir.path(), listen).expect_err(text);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        check("", &["0.0.0.0:80"], &["0.0.0.0:80 is open to the network", "token_file", "hint"]);
        check("[serve]\nlisten = 3\n", &[], &["HB0503", "hb.toml:2"]);
        check("[announce]\ncounts = 3\n[serve\n", &[], &["not TOML"]);
    }
}
