//! The file in which moves are kept over restarts: one JSON object per line, bounded (I/O). What a
//! move is, and the ring that `hb status` shows, belong to the core.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// File name in the state directory.
pub(crate) const FILE_NAME: &str = "history.jsonl";
/// Size at which the file becomes `history.jsonl.1`: some thousand moves, years of a quiet pair.
const SIZE_MAX: u64 = 1024 * 1024;

/// The file and its predecessor.
#[derive(Clone, Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    size_max: u64,
}

impl HistoryFile {
    /// At `path`; made when the first move is kept.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, size_max: SIZE_MAX }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line. Opened each time: moves are rare, and a rotation needs no signal.
    ///
    /// # Errors
    /// The system's answer (disk full, read-only).
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let size = fs::metadata(&self.path).map_or(0, |data| data.len());
        if size >= self.size_max {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(&self.path)?;
        file.write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_at_most_and_never_a_lost_line_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile { path: dir.path().join(FILE_NAME), size_max: 8 };
        for number in 0..5 {
            file.append(&format!("line {number}")).expect("writable");
        }
        #[expect(clippy::disallowed_methods, reason = "looks at what was written")]
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("made");
        assert_eq!(read("history.jsonl.1"), "line 2\nline 3\n");
        assert_eq!(read(FILE_NAME), "line 4\n");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2);
    }
}
