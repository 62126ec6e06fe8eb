//! `hb push-config`: gives this node's files to the other one over ssh. It checks them first, shows what
//! differs, asks, and replaces all or none (I/O: files, ssh).
#![expect(clippy::disallowed_methods, reason = "an edge: reads the files of this node")]

mod files;
mod script;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hb_config::render::{self, Style};
use hb_config::settings::NodeName;
use hb_config::source::MAX_FILE_BYTES;
use hb_config::span::FileId;
use hb_config::{Severity, dir, load};

use crate::ssh::Ssh;
use crate::{ask, exit, print};
use files::{Change, Copy, Side};

/// Copy ha.cf, haresources, authkeys and hb.toml to the other node over ssh, after asking
///
/// This node's files are checked first, for both nodes. What differs is shown, keys only as
/// fingerprints. Either all files are replaced or none; the former ones stay as FILE.before-push.
///
/// Exit status: 0 the other node has the same files, 1 it has not (declined, or --dry-run), 3 refused
/// or failed.
#[derive(Clone, Debug, Args)]
pub(crate) struct PushArgs {
    /// Only these files: ha.cf, haresources, authkeys, hb.toml
    #[arg(value_name = "FILE", value_parser = file)]
    files: Vec<FileId>,
    /// The other node for ssh; else its name in ha.cf
    #[arg(long, value_name = "USER@HOST")]
    to: Option<String>,
    /// Directory of the files, on both nodes
    #[arg(long, value_name = "DIR", default_value = dir::DEFAULT_DIR)]
    dir: PathBuf,
    /// Only show what differs
    #[arg(long)]
    dry_run: bool,
    /// Also have the other node's heartbeat read them: `hb reload` there
    #[arg(long)]
    reload: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

fn file(name: &str) -> Result<FileId, String> {
    let found = FileId::ALL.into_iter().find(|file| file.file_name() == name);
    found.ok_or_else(|| "write ha.cf, haresources, authkeys or hb.toml".to_owned())
}

/// Runs `hb push-config`.
pub(crate) fn run(args: &PushArgs) -> ExitCode {
    match push(args) {
        Ok(true) => exit::code(exit::OK),
        Ok(false) => exit::code(exit::NEGATIVE),
        Err(text) => {
            print::err(&format!("hb push-config: {}\n", text.trim_end()));
            exit::code(exit::UNKNOWN)
        }
    }
}

/// Whether the other node has the same files in the end.
fn push(args: &PushArgs) -> Result<bool, String> {
    let shown = args.dir.to_string_lossy().into_owned();
    let here = own(&args.dir)?;
    let node = dir::own_node_name(&args.dir).map_err(|error| error.to_string())?;
    let peer = check(&here, &shown, &node)?;
    let ssh = Ssh::to(args.to.as_deref().unwrap_or(peer.as_str()), false)?;
    let (name, there) = files::parse(&ssh.run(&script::read(&shown), Vec::new())?)?;
    if NodeName::new(&name) != peer {
        return Err(format!("{} is {name}, and the other node of ha.cf is {peer}", ssh.host()));
    }
    let wanted = if args.files.is_empty() { FileId::ALL.to_vec() } else { args.files.clone() };
    let changes = files::changes(&here, &there, &wanted);
    if changes.is_empty() {
        print::out(&format!("{peer} has the same files\n"));
    }
    for change in &changes {
        print::out(&files::difference(change, node.as_str(), peer.as_str()));
    }
    if !changes.is_empty() {
        judge(&there, &changes, &shown, &peer)?;
        if args.dry_run || !(args.yes || ask::yes(&question(&changes, &peer))?) {
            return Ok(false);
        }
        let (script, input) = script::replace(&shown, &changes);
        ssh.run(&script, input)?;
        let names: Vec<&str> = changes.iter().map(|change| change.file.file_name()).collect();
        print::out(&format!("{peer} has {} of this node\n", names.join(", ")));
    }
    if args.reload && !args.dry_run {
        let said = ssh.run("hb reload", Vec::new()).map_err(|why| format!("hb reload: {why}"))?;
        print::out(&format!("{peer}: {}\n", String::from_utf8_lossy(&said).trim()));
    } else if !changes.is_empty() {
        print::out(&format!("put it into force there with: ssh {} hb reload\n", ssh.host()));
    }
    Ok(true)
}

fn question(changes: &[Change], peer: &NodeName) -> String {
    let gone = changes.iter().filter(|change| change.new.is_none()).count();
    let gone = if gone > 0 { format!(", {gone} of them removed") } else { String::new() };
    let count = changes.len();
    let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    format!("Replace {files} of {peer}{gone}?")
}

/// The files of this node.
fn own(dir: &Path) -> Result<Side, String> {
    let mut side = Side::new();
    for file in FileId::ALL {
        let path = dir.join(file.file_name());
        let fail = |error: io::Error| format!("{}: {error}", path.display());
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(fail(error)),
        };
        let size = usize::try_from(meta.len()).unwrap_or(usize::MAX);
        if !meta.is_file() || size > MAX_FILE_BYTES {
            return Err(format!("{}: not a file of at most a megabyte", path.display()));
        }
        let bytes = fs::read(&path).map_err(fail)?;
        let mode = meta.mode() & 0o7777;
        side.insert(file, Copy { bytes, mode, owner: meta.uid(), group: meta.gid() });
    }
    Ok(side)
}

/// Checks this node's files and finds the other node.
fn check(here: &Side, dir: &str, node: &NodeName) -> Result<NodeName, String> {
    let files = files::as_files(here, dir);
    let loaded = load(&files, Some(node));
    let Some(settings) = loaded.settings else {
        let errors: Vec<_> =
            loaded.diagnostics.into_iter().filter(|it| it.severity == Severity::Error).collect();
        let drawn = render::human(&files, &errors, Style::default());
        return Err(format!("the files of this node are not valid:\n{drawn}"));
    };
    settings.peer().cloned().ok_or_else(|| "ha.cf names no other node".to_owned())
}

/// The other node must be able to start with what it will have.
fn judge(there: &Side, changes: &[Change], dir: &str, peer: &NodeName) -> Result<(), String> {
    let mut after = there.clone();
    for change in changes {
        match &change.new {
            Some(new) => after.insert(change.file, new.clone()),
            None => after.remove(&change.file),
        };
    }
    let files = files::as_files(&after, dir);
    let loaded = load(&files, Some(peer));
    if loaded.settings.is_some() {
        return Ok(());
    }
    let errors: Vec<_> =
        loaded.diagnostics.into_iter().filter(|it| it.severity == Severity::Error).collect();
    let drawn = render::human(&files, &errors, Style::default());
    Err(format!("heartbeat on {peer} would not start with these files:\n{drawn}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(file("hb.toml"), Ok(FileId::Native));
        assert!(file("passwd").is_err());
    }

    #[test]
    fn what_the_other_node_could_not_start_with_is_refused() {
        let copy =
            |text: &str, mode| Copy { bytes: text.as_bytes().to_vec(), mode, owner: 0, group: 0 };
        let here = Side::from([
            (FileId::HaCf, copy("bcast eth0\nnode a b\nauto_failback on\n", 0o644)),
            (FileId::HaResources, copy("a IPaddr::10.0.0.1/24/eth0\n", 0o644)),
            (FileId::AuthKeys, copy("auth 1\n1 sha1 a-key-that-is-long\n", 0o600)),
        ]);
        let node = NodeName::new("a");
        assert_eq!(check(&here, "/x", &node), Ok(NodeName::new("b")));
        let mut bad = here.clone();
        bad.insert(FileId::HaResources, copy("a IPaddr::999.0.0.1\n", 0o644));
        assert!(check(&bad, "/x", &node).is_err());
        let peer = NodeName::new("b");
        let all = files::changes(&here, &Side::new(), &FileId::ALL);
        assert_eq!(judge(&Side::new(), &all, "/x", &peer), Ok(()));
        let some = files::changes(&here, &Side::new(), &[FileId::HaCf]);
        assert!(judge(&Side::new(), &some, "/x", &peer).is_err());
    }

    #[test]
    fn questions() {
        let change = |new| Change { file: FileId::HaCf, old: None, new };
        let copy = Copy { bytes: Vec::new(), mode: 0, owner: 0, group: 0 };
        let peer = NodeName::new("b");
        assert_eq!(question(&[change(Some(copy.clone()))], &peer), "Replace 1 file of b?");
        let two = [change(Some(copy)), change(None)];
        assert_eq!(question(&two, &peer), "Replace 2 files of b, 1 of them removed?");
    }
}
