//! Reads the files that settings name, with a bound and their mode (I/O). What is in them is for
//! others.
#![expect(clippy::disallowed_methods, reason = "the edge of the crate: it reads files")]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The first `limit` bytes of a regular file and one more, so that one that is too long is seen to be
/// so; and its mode.
///
/// # Errors
/// When there is no such file, or it cannot be read.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<(Vec<u8>, u32)> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}
