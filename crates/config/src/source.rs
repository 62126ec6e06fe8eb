//! The text of one configuration file with its name and mode. It never opens a file; bytes come
//! in, and whatever they are, a text with a line table comes out.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::span::FileId;

/// Largest file that is read. A configuration is a few kilobytes; what is larger than this is
/// not a configuration, and reading all of it would only make the node slow to say so.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// One configuration file.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: String,
    mode: Option<u32>,
    /// Bytes that are not UTF-8, by their place in `text`, where a U+FFFD stands for each.
    invalid: BTreeMap<usize, u8>,
    line_starts: Vec<usize>,
    truncated: bool,
}

impl SourceFile {
    /// Takes any bytes. A byte that is not UTF-8 becomes one U+FFFD in the text and stays
    /// available through [`Self::raw_bytes`], so that a key of arbitrary bytes loses nothing.
    /// What lies beyond [`MAX_FILE_BYTES`] is left out and [`Self::is_truncated`] says so.
    /// `mode` is the Unix mode where the caller knows it.
    pub fn from_bytes(name: &str, bytes: &[u8], mode: Option<u32>) -> Self {
        let kept = bytes.get(..MAX_FILE_BYTES).unwrap_or(bytes);
        let mut text = String::with_capacity(kept.len());
        let mut invalid = BTreeMap::new();
        for chunk in kept.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                invalid.insert(text.len(), *byte);
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let truncated = kept.len() < bytes.len();
        Self { name: name.to_owned(), text, mode, invalid, line_starts, truncated }
    }

    /// A file whose mode is unknown, from text.
    pub fn from_text(name: &str, text: &str) -> Self {
        Self::from_bytes(name, text.as_bytes(), None)
    }

    /// The path as the operator knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text; spans are byte offsets into it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Unix mode bits, where known.
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }

    /// Whether the file was longer than [`MAX_FILE_BYTES`].
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether the character at `offset` stands for a byte that is not UTF-8.
    pub fn is_invalid_at(&self, offset: usize) -> bool {
        self.invalid.contains_key(&offset)
    }

    /// The bytes of `range` as they stood in the file.
    pub fn raw_bytes(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len());
        let text = self.text.get(range.clone()).unwrap_or_default();
        for (at, character) in text.char_indices() {
            match self.invalid.get(&(range.start + at)) {
                Some(byte) => bytes.push(*byte),
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes
    }

    /// Line and column of `offset`, both from 1; the column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        (line, column + 1)
    }

    /// Each line's range without its line feed (a carriage return before it is part of the line).
    pub fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        self.lines_from(0)
    }

    /// The lines that `range` touches, its end included; found without reading those before it.
    #[cfg(any(test, feature = "render"))]
    pub(crate) fn lines_of(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.line_starts.partition_point(|start| *start <= range.start);
        let (start, end) = (range.start, range.end);
        self.lines_from(first.saturating_sub(1))
            .skip_while(move |line| line.end < start)
            .take_while(move |line| line.start <= end)
    }

    fn lines_from(&self, first: usize) -> impl Iterator<Item = Range<usize>> {
        self.line_starts.iter().enumerate().skip(first).filter_map(|(index, start)| {
            let end = match self.line_starts.get(index + 1) {
                Some(next) => next - 1,
                // A final line feed ends the last line; it does not begin another one.
                None if *start == self.text.len() => return None,
                None => self.text.len(),
            };
            Some(*start..end)
        })
    }
}

impl std::fmt::Debug for SourceFile {
    // The text may be that of authkeys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceFile")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What the caller found for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It was read.
    Present(SourceFile),
    /// There is none.
    Missing {
        /// The path that was looked for.
        name: String,
    },
    /// It is there but cannot be read.
    Unreadable {
        /// The path.
        name: String,
        /// The system's reason.
        reason: String,
    },
}

impl FileState {
    /// The path as the operator knows it.
    pub fn name(&self) -> &str {
        match self {
            Self::Present(file) => file.name(),
            Self::Missing { name } | Self::Unreadable { name, .. } => name,
        }
    }

    /// The file, when it was read.
    pub fn source(&self) -> Option<&SourceFile> {
        match self {
            Self::Present(file) => Some(file),
            Self::Missing { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// The four files of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `ha.cf`
    pub ha_cf: FileState,
    /// `haresources`
    pub haresources: FileState,
    /// `authkeys`
    pub authkeys: FileState,
    /// `hb.toml`, which may be missing.
    pub native: FileState,
    /// Modes of files with secrets that hb.toml names, where they are known.
    pub secret_modes: BTreeMap<String, u32>,
}

impl Files {
    /// Four missing files of `dir`, to be filled in.
    pub fn missing_in(dir: &str) -> Self {
        let missing = |id: FileId| FileState::Missing {
            name: format!("{}/{}", dir.trim_end_matches('/'), id.file_name()),
        };
        Self {
            ha_cf: missing(FileId::HaCf),
            haresources: missing(FileId::HaResources),
            authkeys: missing(FileId::AuthKeys),
            native: missing(FileId::Native),
            secret_modes: BTreeMap::new(),
        }
    }

    /// One of them.
    pub fn get(&self, id: FileId) -> &FileState {
        match id {
            FileId::HaCf => &self.ha_cf,
            FileId::HaResources => &self.haresources,
            FileId::AuthKeys => &self.authkeys,
            FileId::Native => &self.native,
        }
    }

    /// One of them, to be filled in.
    pub fn get_mut(&mut self, id: FileId) -> &mut FileState {
        match id {
            FileId::HaCf => &mut self.ha_cf,
            FileId::HaResources => &mut self.haresources,
            FileId::AuthKeys => &mut self.authkeys,
            FileId::Native => &mut self.native,
        }
    }

    /// Fills in `id` from bytes under the name that it has already.
    pub fn set(&mut self, id: FileId, bytes: &[u8], mode: Option<u32>) {
        let state = self.get_mut(id);
        *state = FileState::Present(SourceFile::from_bytes(state.name(), bytes, mode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_become_text_and_come_back() {
        for bytes in [
            &b"plain\n"[..],
            b"gbk \xd6\xf7\xbd\xda\xb5\xe3\n\0",
            b"\xff\xfe\xf0\x9f",
            "主节点".as_bytes(),
        ] {
            let file = SourceFile::from_bytes("f", bytes, None);
            assert_eq!(file.raw_bytes(0..file.text().len()), bytes);
        }
    }

    #[test]
    fn positions_count_characters_from_one() {
        let file = SourceFile::from_text("f", "a主b\ncd\n");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position("a主".len()), (1, 3));
        assert_eq!(file.position("a主b\n".len()), (2, 1));
        assert_eq!(file.position(file.text().len()), (3, 1));
    }

    #[test]
    fn lines_end_before_their_line_feed() {
        let lines = |text: &str| {
            let file = SourceFile::from_text("f", text);
            file.lines().map(|range| file.text()[range].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(lines(""), Vec::<String>::new());
        assert_eq!(lines("a\n\nb"), ["a", "", "b"]);
        assert_eq!(lines("a\n"), ["a"]);
    }

    #[test]
    fn lines_of_a_range_are_those_it_touches() {
        let file = SourceFile::from_text("f", "a\n\nbc\n");
        for start in 0..=file.text().len() {
            for end in start..=file.text().len() {
                let touched = |line: &Range<usize>| line.start <= end && start <= line.end;
                let all: Vec<_> = file.lines().filter(touched).collect();
                assert_eq!(file.lines_of(&(start..end)).collect::<Vec<_>>(), all, "{start}..{end}");
            }
        }
    }

    #[test]
    fn debug_shows_no_text() {
        let file = SourceFile::from_text("authkeys", "auth 1\n1 sha1 hunter2secret\n");
        assert!(!format!("{file:?}").contains("hunter2secret"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_said() {
        let file = SourceFile::from_bytes("f", &vec![b'a'; MAX_FILE_BYTES + 1], None);
        assert!(file.is_truncated());
        assert_eq!(file.text().len(), MAX_FILE_BYTES);
    }
}
