//! Reads the four files of a configuration directory, and this node's name. The only module of
//! the crate that does I/O; it understands nothing of what it reads.
#![expect(clippy::disallowed_methods, reason = "the edge of the crate: it reads files")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::ha_cf::is_node_name;
use crate::native;
use crate::settings::NodeName;
use crate::source::{FileState, Files, MAX_FILE_BYTES, SourceFile};
use crate::span::FileId;

/// Where the files are unless something else is said.
pub const DEFAULT_DIR: &str = "/etc/ha.d";

/// Reads `ha.cf`, `haresources`, `authkeys` and `hb.toml` of `dir` with their modes. A file that
/// is missing or unreadable is a state of [`Files`], which [`crate::load`] reports. Of files with secrets
/// that hb.toml names only the mode is read.
///
/// # Errors
///
/// When `dir` itself cannot be opened or is not a directory.
pub fn read_dir(dir: &Path) -> io::Result<Files> {
    fs::read_dir(dir)?;
    let mut files = Files::missing_in(&dir.to_string_lossy());
    for id in FileId::ALL {
        let name = files.get(id).name().to_owned();
        *files.get_mut(id) = match read(&dir.join(id.file_name()), &name) {
            Ok(file) => FileState::Present(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing { name },
            Err(error) => FileState::Unreadable { name, reason: error.to_string() },
        };
    }
    if let Some(native) = files.native.source() {
        let (parsed, _) = native::parse(native);
        let mode = |path: &str| {
            let mode = fs::metadata(path).ok()?.permissions().mode();
            Some((path.to_owned(), mode & 0o7777))
        };
        // What is missing is told by the program that needs it.
        files.secret_modes =
            parsed.companions.secret_files().into_iter().filter_map(mode).collect();
    }
    Ok(files)
}

/// This node's name: the first line of `nodeinfo` in `dir`, else the host name (`uname -n`).
///
/// # Errors
///
/// When the host name cannot be read or is not a node name.
pub fn own_node_name(dir: &Path) -> io::Result<NodeName> {
    // Heartbeat 3.0.6 looks into nodeinfo first.
    let text = match fs::read_to_string(dir.join("nodeinfo")) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) | Err(_) => fs::read_to_string("/proc/sys/kernel/hostname")?,
    };
    let name = text.lines().next().unwrap_or_default().trim();
    if is_node_name(name) {
        return Ok(NodeName::new(name));
    }
    let text = format!("the host name `{}` is not a node name", name.escape_default());
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

fn read(path: &Path, name: &str) -> io::Result<SourceFile> {
    // Opening a pipe of this name would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    // One byte more, so that a file that is too large is seen to be so.
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(SourceFile::from_bytes(name, &bytes, Some(mode & 0o7777)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_modes_of_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ha.cf"), "node a\n").unwrap();
        fs::write(dir.path().join("authkeys"), "auth 1\n").unwrap();
        fs::set_permissions(dir.path().join("authkeys"), fs::Permissions::from_mode(0o640))
            .unwrap();
        fs::create_dir_all(dir.path().join("hb.toml")).unwrap();
        let files = read_dir(dir.path()).unwrap();
        assert_eq!(files.ha_cf.source().unwrap().text(), "node a\n");
        assert_eq!(files.authkeys.source().unwrap().mode(), Some(0o640));
        assert!(matches!(files.haresources, FileState::Missing { .. }));
        assert!(matches!(files.native, FileState::Unreadable { .. }));
        assert!(read_dir(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn nodeinfo_goes_before_the_host_name() {
        let dir = tempfile::tempdir().unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(own_node_name(dir.path()).unwrap(), NodeName::new(host.trim()));
        fs::write(dir.path().join("nodeinfo"), "Node7\nmore\n").unwrap();
        assert_eq!(own_node_name(dir.path()).unwrap().as_str(), "node7");
        fs::write(dir.path().join("nodeinfo"), "no name\n").unwrap();
        assert!(own_node_name(dir.path()).is_err());
    }
}
