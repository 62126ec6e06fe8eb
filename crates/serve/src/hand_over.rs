//! Gives the unprivileged service what only root may read: `[serve]` of hb.toml and the files that it
//! names, copied to a directory of the service's user. hb.toml itself may hold passwords of power
//! switches, so nothing else of it is passed on. I/O: writes files.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use hb_config::settings::Serve;
use nix::unistd::{Gid, Uid, fchown};

use crate::settings::FILE;
use crate::{Refused, tls};

/// Names of the copies.
const TOKEN: &str = "token";
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Writes hb.toml and the files into `dir` for its owner. Each is replaced as a whole.
///
/// # Errors
/// When a file that is named cannot be read, is readable by everybody, or cannot be written.
pub(crate) fn write(serve: &Serve, dir: &Path) -> Result<(), Refused> {
    let failed = |error: io::Error| Refused(format!("{}: {error}", dir.display()));
    let about = std::fs::metadata(dir).map_err(failed)?;
    let owner = (Uid::from_raw(about.uid()), Gid::from_raw(about.gid()));
    let put = |name: &str, bytes: &[u8]| replace(dir, name, bytes, owner).map_err(failed);
    let mut text = String::from("[serve]\n");
    let listen: Vec<String> = serve.listen.iter().map(|it| format!("\"{it}\"")).collect();
    // Writing into a string cannot fail.
    let _ = writeln!(text, "listen = [{}]\ninsecure = {}", listen.join(", "), serve.insecure);
    let named = [
        ("token_file", TOKEN, &serve.token_file),
        ("cert_file", CERT, &serve.cert_file),
        ("key_file", KEY, &serve.key_file),
    ];
    for (key, name, source) in named {
        let Some(source) = source else { continue };
        let bytes = if name == CERT { tls::public(source)? } else { tls::secret(source)? };
        put(name, &bytes)?;
        // JSON's strings are TOML's.
        let path = serde_json::to_string(&dir.join(name).to_string_lossy());
        let path = path.map_err(|error| Refused(error.to_string()))?;
        let _ = writeln!(text, "{key} = {path}");
    }
    put(FILE, text.as_bytes())
}

fn replace(dir: &Path, name: &str, bytes: &[u8], (user, group): (Uid, Gid)) -> io::Result<()> {
    let fresh = dir.join(format!(".{name}.new"));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Made anew: what the directory's owner has put there is not followed.
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&fresh)?;
    file.write_all(bytes)?;
    fchown(&file, Some(user), Some(group))?;
    std::fs::rename(&fresh, dir.join(name))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes the files that are copied")]

    use std::os::unix::fs::PermissionsExt;

    use hb_cli::companion::ServeArgs;

    use super::*;
    use crate::settings;

    #[test]
    fn the_copies_say_the_same_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| from.path().join(name).to_string_lossy().into_owned();
        for (name, text) in [("t", "the token of the tests\n"), ("c", "cert"), ("k", "key")] {
            std::fs::write(path(name), text).unwrap();
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let serve = Serve {
            listen: vec!["0.0.0.0:443".parse().unwrap(), "[::1]:80".parse().unwrap()],
            token_file: Some(path("t")),
            cert_file: Some(path("c")),
            key_file: Some(path("k")),
            insecure: false,
        };
        // Twice: a reload finds the copies of the start.
        write(&serve, to.path()).unwrap();
        write(&serve, to.path()).unwrap();
        let args = ServeArgs { listen: Vec::new(), dir: to.path().to_owned(), hand_over: None };
        let read = settings::load(&args).unwrap();
        assert_eq!((read.listen, read.insecure), (serve.listen, false));
        let copies = [read.token_file, read.cert_file, read.key_file].map(Option::unwrap);
        for (copy, text) in copies.iter().zip(["the token of the tests\n", "cert", "key"]) {
            assert_eq!(std::fs::read_to_string(copy).unwrap(), text);
            assert_eq!(std::fs::metadata(copy).unwrap().mode() & 0o777, 0o400);
        }
        assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 4);
    }
}
