//! `hb-notify prepare`: as root, before the service starts without privileges: `[notify]` of hb.toml
//! and the files that it names go into one file that only the service can read. hb.toml may hold
//! passwords of power switches; the service never sees those.
#![expect(clippy::disallowed_methods, reason = "edge: writes a file for another user")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown};

use crate::settings::Settings;

/// Writes `settings` to `out` for the user who owns the directory of it.
///
/// # Errors
/// When the system refuses.
pub(crate) fn write(settings: &Settings, out: &Path) -> io::Result<()> {
    let dir = out.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
    let owner = fs::symlink_metadata(dir)?;
    let part = out.with_extension("part");
    // The directory belongs to another user, who may have put anything there.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o400)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(&part)?;
    file.write_all(&serde_json::to_vec(settings)?)?;
    if nix::unistd::geteuid().is_root() {
        fchown(&file, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?;
    }
    fs::rename(&part, out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_prepared_is_read_back_and_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join("settings.json");
        let settings = Settings { complaints: vec!["x".into()], ..Settings::default() };
        for _ in 0..2 {
            write(&settings, &out).expect("written");
            assert_eq!(Settings::prepared(&out), Ok(settings.clone()));
        }
        let mode = fs::metadata(&out).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
}
