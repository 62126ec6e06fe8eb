//! The files in which the history and the last status are kept over restarts: one JSON object per
//! line, bounded, and one object that is replaced (I/O). What an entry is, and the ring that
//! `hb history` shows of a running daemon, belong to the core.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hb_node::api::{HISTORY_FILE, HistoryEntry, LAST_STATUS_FILE};

/// File name in the state directory.
pub(crate) const FILE_NAME: &str = HISTORY_FILE;
/// Size at which the file becomes `history.jsonl.1`: a thousand entries, a year of a quiet pair.
const SIZE_MAX: u64 = 1024 * 1024;

/// The file and its predecessor.
#[derive(Clone, Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    size_max: u64,
}

impl HistoryFile {
    /// At `path`; made when the first entry is kept.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, size_max: SIZE_MAX }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line, and has it on the disk when it returns: a power cut soon after it is what
    /// people will want to read about. Opened each time: entries are rare, and a rotation needs no
    /// signal. A line that was torn by a power cut is ended first.
    ///
    /// # Errors
    /// The system's answer (disk full, read-only).
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let size = fs::metadata(&self.path).map_or(0, |data| data.len());
        if size >= self.size_max {
            fs::rename(&self.path, self.older())?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o644).open(&self.path)?;
        let torn = if is_torn(&mut file)? { "\n" } else { "" };
        file.write_all(format!("{torn}{line}\n").as_bytes())?;
        file.sync_data()
    }

    /// What both files hold, oldest first, and how many lines could not be read.
    pub(crate) fn read(&self) -> (Vec<HistoryEntry>, usize) {
        let mut entries = Vec::new();
        let mut unreadable = 0;
        for path in [self.older(), self.path.clone()] {
            let Ok(bytes) = read_bounded(&path, 2 * self.size_max) else { continue };
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match serde_json::from_slice(line) {
                    Ok(entry) => entries.push(entry),
                    Err(_) => unreadable += 1,
                }
            }
        }
        (hb_node::history::merged(entries), unreadable)
    }

    /// Keeps the last status beside the history, in the place of the one before: a reader sees one
    /// of both, whole.
    ///
    /// # Errors
    /// The system's answer.
    pub(crate) fn replace_status(&self, text: &str) -> io::Result<()> {
        let path = self.path.with_file_name(LAST_STATUS_FILE);
        let fresh = self.path.with_file_name(format!("{LAST_STATUS_FILE}.new"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        fs::rename(fresh, path)
    }

    fn older(&self) -> PathBuf {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        older.into()
    }
}

/// Whether the last line has no end.
fn is_torn(file: &mut fs::File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// A file that somebody else has made longer is read up to `limit`.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    OpenOptions::new().read(true).open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "looks at what was written")]

    use super::*;

    fn line(number: u64) -> String {
        let entry = HistoryEntry { number, what: "acquired".into(), ..HistoryEntry::default() };
        serde_json::to_string(&entry).expect("serialises")
    }

    fn numbers(file: &HistoryFile) -> (Vec<u64>, usize) {
        let (entries, unreadable) = file.read();
        (entries.iter().map(|entry| entry.number).collect(), unreadable)
    }

    #[test]
    fn two_files_at_most_and_never_a_lost_line_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile { path: dir.path().join(FILE_NAME), size_max: 8 };
        for number in 0..5 {
            file.append(&format!("line {number}")).expect("writable");
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("made");
        assert_eq!(read("history.jsonl.1"), "line 2\nline 3\n");
        assert_eq!(read(FILE_NAME), "line 4\n");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2);
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile::new(dir.path().join(FILE_NAME));
        assert_eq!(numbers(&file), (Vec::new(), 0), "there is none yet");
        file.append(&line(1)).expect("writable");
        file.append(&line(2)).expect("writable");
        let whole = fs::read(file.path()).expect("made");
        for cut in 1..line(2).len() {
            fs::write(file.path(), &whole[..whole.len() - cut]).expect("writable");
            file.append(&line(3)).expect("writable");
            // Without its end only, the line is whole.
            let expect = if cut == 1 { (vec![1, 2, 3], 0) } else { (vec![1, 3], 1) };
            assert_eq!(numbers(&file), expect, "{cut} bytes lost");
        }
        fs::write(file.path(), [0, 255, b'\n', b'{', b'\n']).expect("writable");
        assert_eq!(numbers(&file), (Vec::new(), 2));
    }

    #[test]
    fn an_entry_that_was_completed_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile::new(dir.path().join(FILE_NAME));
        file.append(&line(1)).expect("writable");
        let whole = HistoryEntry {
            number: 1,
            outage_ms: Some(40),
            amends: true,
            ..HistoryEntry::default()
        };
        file.append(&serde_json::to_string(&whole).expect("serialises")).expect("writable");
        let (entries, _) = file.read();
        assert_eq!(entries.iter().map(|entry| entry.outage_ms).collect::<Vec<_>>(), [Some(40)]);
    }

    #[test]
    fn the_status_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile::new(dir.path().join(FILE_NAME));
        for text in ["a longer one", "short"] {
            file.replace_status(text).expect("writable");
            let read = fs::read_to_string(dir.path().join(LAST_STATUS_FILE)).expect("made");
            assert_eq!(read, format!("{text}\n"));
        }
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1);
    }
}
