//! Which parts of a file must not be shown, and the text without them. Keys of authkeys, the
//! parameters of stonith_host (passwords of power switches) and values of resource parameters and
//! `env` lines named like passwords are covered before any drawing sees the text.

mod toml;

use std::cell::OnceCell;
use std::ops::Range;

use crate::authkeys;
use crate::lexer;
use crate::secret::{COVER, secret_values};
use crate::source::SourceFile;
use crate::span::FileId;

/// What of a file is covered beyond what one line tells; found once, however many findings are drawn.
#[derive(Default)]
pub(crate) struct Covers {
    native: OnceCell<Vec<Range<usize>>>,
}

impl Covers {
    /// The ranges of `line` to cover, in order.
    fn secrets(&self, file: FileId, source: &SourceFile, line: &Range<usize>) -> Vec<Range<usize>> {
        match file {
            FileId::AuthKeys => authkeys_line(source, line),
            FileId::HaCf => ha_cf_line(source, line),
            FileId::HaResources => parameters(source, line),
            FileId::Native => {
                let all = self.native.get_or_init(|| toml::secrets(source.text()));
                let from = all.partition_point(|secret| secret.start < line.start);
                let ours = all.iter().skip(from).take_while(|secret| secret.end <= line.end);
                ours.cloned().collect()
            }
        }
    }
}

/// Lines of a file with secrets covered, and where offsets of the file are in them.
pub(crate) struct Masked {
    text: String,
    start: usize,
    first_line: usize,
    /// Covered ranges of the file, in order.
    covered: Vec<Range<usize>>,
}

impl Masked {
    /// The lines of `source` that `range` touches; `None` when they have more than `max` bytes.
    pub(crate) fn new(
        covers: &Covers,
        file: FileId,
        source: &SourceFile,
        range: Range<usize>,
        max: usize,
    ) -> Option<Self> {
        let lines: Vec<_> = source.lines_of(&range).collect();
        let start = lines.first().map_or(source.text().len(), |line| line.start);
        let end = lines.last().map_or(source.text().len(), |line| line.end);
        if end - start > max {
            return None;
        }
        let covered: Vec<_> =
            lines.iter().flat_map(|line| covers.secrets(file, source, line)).collect();
        let mut text = String::new();
        let mut at = start;
        for secret in &covered {
            text.push_str(source.text().get(at..secret.start).unwrap_or_default());
            text.push_str(COVER);
            at = secret.end;
        }
        text.push_str(source.text().get(at..end).unwrap_or_default());
        Some(Self { text, start, first_line: source.position(start).0, covered })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The number of its first line.
    pub(crate) fn first_line(&self) -> usize {
        self.first_line
    }

    /// The place in [`Self::text`] of an offset of the file.
    pub(crate) fn offset(&self, offset: usize) -> usize {
        let mut shifted = offset.saturating_sub(self.start);
        for secret in &self.covered {
            if offset >= secret.end {
                shifted = shifted.saturating_add(COVER.len()).saturating_sub(secret.len());
            } else if offset > secret.start {
                shifted = shifted + secret.start - offset;
            }
        }
        shifted.min(self.text.len())
    }
}

/// A whole file, covered.
pub(crate) fn whole(file: FileId, source: &SourceFile) -> String {
    let masked = Masked::new(&Covers::default(), file, source, 0..source.text().len(), usize::MAX);
    // A last line feed belongs to no line.
    let end = if source.text().ends_with('\n') { "\n" } else { "" };
    masked
        .map(|masked| format!("{}{end}", masked.text().trim_end_matches('\n')))
        .unwrap_or_default()
}

/// The parts of a file that [`whole`] covers.
pub(crate) fn parts(file: FileId, source: &SourceFile) -> Vec<String> {
    let covers = Covers::default();
    let lines: Vec<_> = source.lines_of(&(0..source.text().len())).collect();
    let ranges = lines.iter().flat_map(|line| covers.secrets(file, source, line));
    ranges.filter_map(|range| source.text().get(range).map(str::to_owned)).collect()
}

/// Everything that is not surely a number, `auth` or a method, comments included: people comment
/// out old keys.
fn authkeys_line(source: &SourceFile, line: &Range<usize>) -> Vec<Range<usize>> {
    let ranges = authkeys::words(source, line);
    let words: Vec<&str> =
        ranges.iter().filter_map(|range| source.text().get(range.clone())).collect();
    let comment = words.first().is_some_and(|first| first.starts_with('#'));
    let empty = words.iter().all(|word| word.bytes().all(|byte| byte == b'#'));
    match (comment, ranges.first(), ranges.last()) {
        (true, Some(_), Some(_)) if empty => Vec::new(),
        (true, Some(first), Some(last)) => std::iter::once(first.start + 1..last.end).collect(),
        (_, _, _) => ranges
            .into_iter()
            .enumerate()
            .filter(|(position, _)| !authkeys::may_be_shown(*position, &words))
            .map(|(_, range)| range)
            .collect(),
    }
}

/// `stonith_host HOST TYPE PARAMETER…` and `env NAME=VALUE` with a name like a password's, also when
/// they are commented out.
fn ha_cf_line(source: &SourceFile, line: &Range<usize>) -> Vec<Range<usize>> {
    let words = lexer::words(source, FileId::HaCf, line.clone(), |c| c == '#');
    if let Some(at) = words.iter().position(|word| word.text == "env") {
        let values = words.iter().skip(at + 1);
        return values.flat_map(|word| secret_values(&word.text, word.span.start)).collect();
    }
    match words.iter().position(|word| word.text == "stonith_host") {
        Some(at) => match (words.get(at + 3), words.last()) {
            (Some(first), Some(last)) => std::iter::once(first.span.start..last.span.end).collect(),
            (None, _) | (_, None) => Vec::new(),
        },
        None => Vec::new(),
    }
}

fn parameters(source: &SourceFile, line: &Range<usize>) -> Vec<Range<usize>> {
    let words = lexer::words(source, FileId::HaResources, line.clone(), |_| false);
    words.iter().flat_map(|word| secret_values(&word.text, word.span.start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(file: FileId, text: &str) -> String {
        let source = SourceFile::from_text("f", text);
        Masked::new(&Covers::default(), file, &source, 0..text.len(), 1000)
            .unwrap()
            .text()
            .to_owned()
    }

    #[test]
    fn keys_are_covered_wherever_they_stand() {
        let check = |text: &str, expect: &str| {
            assert_eq!(masked(FileId::AuthKeys, text), expect, "{text:?}");
        };
        check("auth 1\n1 sha1 key", "auth 1\n1 sha1 ********");
        check("1 sha1 key more key", "1 sha1 ******** ******** ********");
        check("1 crc", "1 crc");
        check("1 crc #key", "1 crc ********");
        check("#1 sha1 key", "#********");
        check("# 1 sha1 key", "#********");
        check("##\n#", "##\n#");
        check("1 key", "1 ********");
        check("key", "********");
        check("auth key", "auth ********");
        check("sha1 key", "sha1 ********");
        check("sha1 1 key", "sha1 ******** ********");
        check("1 sha512 key", "1 sha512 ********");
        check("1 shal key", "1 shal ********");
        check("1234 sha1 key", "******** ******** ********");
        check("1 sha1 12", "1 sha1 ********");
    }

    #[test]
    fn passwords_of_other_files_are_covered() {
        let check = |file, text: &str, expect: &str| {
            assert_eq!(masked(file, text), expect, "{text:?}");
        };
        check(
            FileId::Native,
            "parameters = { ip = \"a\", password = \"b\" } ",
            "parameters = ******** ",
        );
        check(FileId::Native, "# passwd_script=\"x\"", "# passwd_script=********");
        check(FileId::Native, "password = \"\"\"\nb\"\"\"", "password = ********\n********");
        check(FileId::Native, "device = \"/dev/watchdog\"", "device = \"/dev/watchdog\"");
        check(FileId::HaCf, "stonith_host * ipmi 1.2.3.4 root pw", "stonith_host * ipmi ********");
        check(FileId::HaCf, "#stonith_host a ipmi pw # x", "#stonith_host a ipmi ********");
        check(FileId::HaCf, "ucast eth0 a", "ucast eth0 a");
        check(FileId::HaCf, "env DB_PASSWORD=pw SITE=n", "env DB_PASSWORD=******** SITE=n");
        check(FileId::HaCf, "#env API_TOKEN=t", "#env API_TOKEN=********");
        check(
            FileId::HaResources,
            "a ocf::heartbeat:db::user=u::password=pw::x=1 nginx",
            "a ocf::heartbeat:db::user=u::password=********::x=1 nginx",
        );
    }

    #[test]
    fn what_is_covered_is_known() {
        let text = "auth 1\n1 sha1 key\n#2 sha1 old\n";
        let source = SourceFile::from_text("f", text);
        assert_eq!(parts(FileId::AuthKeys, &source), ["key", "2 sha1 old"]);
        assert_eq!(whole(FileId::AuthKeys, &source), "auth 1\n1 sha1 ********\n#********\n");
    }

    #[test]
    fn offsets_follow_the_covers() {
        let text = "#\n1 sha1 secretsecret  -\n2 crc\n";
        let source = SourceFile::from_text("f", text);
        assert!(Masked::new(&Covers::default(), FileId::AuthKeys, &source, 2..24, 10).is_none());
        let masked =
            Masked::new(&Covers::default(), FileId::AuthKeys, &source, 2..24, 100).unwrap();
        assert_eq!(masked.text(), "1 sha1 ********  -");
        assert_eq!(masked.first_line(), 2);
        let check = |offset, expect| assert_eq!(masked.offset(offset), expect, "{offset}");
        check(2, 0);
        check(9, 7);
        check(12, 7);
        check(21, 15);
        check(23, 17);
        check(24, 18);
        check(usize::MAX, 18);
    }
}
