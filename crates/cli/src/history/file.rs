//! Reads what the daemon has kept: the history and the last status (I/O). It judges nothing.
#![expect(clippy::disallowed_methods, reason = "reads files of the state directory")]

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hb_node::api::{HistoryEntry, LAST_STATUS_FILE, SavedStatus};
use hb_node::history::merged;

/// Bytes that are read of one file: the daemon keeps each below half of that.
const BYTES_MAX: u64 = 2 << 20;

/// The entries of the file at `path` and of its predecessor, oldest first, and how many lines could
/// not be read; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Option<(Vec<HistoryEntry>, usize)> {
    let older = bytes(&path.with_extension("jsonl.1"));
    let newer = bytes(path);
    if older.is_none() && newer.is_none() {
        return None;
    }
    let mut unreadable = 0;
    let mut entries = Vec::new();
    for text in [older, newer].into_iter().flatten() {
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(_) => unreadable += 1,
            }
        }
    }
    Some((merged(entries), unreadable))
}

/// The last status that the daemon kept in `state_dir`.
pub(crate) fn last_status(state_dir: &Path) -> Option<SavedStatus> {
    serde_json::from_slice(&bytes(&state_dir.join(LAST_STATUS_FILE))?).ok()
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
