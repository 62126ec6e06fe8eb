//! Lines and words of the three legacy files, with their places. It knows no directive, node or
//! resource; what is wrong with the characters themselves is found here too.

use std::ops::Range;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::SourceFile;
use crate::span::{FileId, Span};

/// A word and its place. The text differs from the file's only where a continued line joins two
/// pieces to one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Its place; for a joined word, from the first piece to the last.
    pub span: Span,
}

/// What separates words. Blanks of other scripts are reported by [`check_characters`] and then
/// taken for what they look like, so that one slip makes one finding.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c' | '\u{feff}') || is_unusual_blank(c)
}

fn is_unusual_blank(c: char) -> bool {
    !c.is_ascii() && (c.is_whitespace() || c == '\u{200b}')
}

/// The words of `range`, separated by blanks and by what `also` names.
pub fn words(
    source: &SourceFile,
    file: FileId,
    range: Range<usize>,
    also: impl Fn(char) -> bool,
) -> Vec<Word> {
    let text = source.text().get(range.clone()).unwrap_or_default();
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_blank(c) || also(c)) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                let span = Span::new(file, range.start + from, range.start + at);
                found.push(Word { text: text[from..at].to_owned(), span });
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    found
}

/// Where the comment of a line begins: at its first `#`.
pub fn comment_start(source: &SourceFile, line: &Range<usize>) -> Option<usize> {
    source.text().get(line.clone())?.find('#').map(|at| line.start + at)
}

/// One line of haresources after joining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalLine {
    /// Its words.
    pub words: Vec<Word>,
    /// Comments on lines after the first.
    pub late_comments: Vec<Span>,
    /// Words that a continuation made of two.
    pub glued: Vec<Word>,
    /// A backslash at the end of the file.
    pub dangling: Option<Span>,
    /// A backslash at the end of a comment, which continues nothing.
    pub hidden: Option<Span>,
}

/// Joins continued lines.
///
/// Heartbeat 3.0.6: `#` to the end of the line is removed on the first physical line only, also
/// when the comment ends in a backslash, which then continues nothing. Backslash and line feed
/// vanish without a blank in their place. Comments on later lines are comments here too and are
/// given in [`LogicalLine::late_comments`].
pub fn logical_lines(source: &SourceFile, file: FileId) -> Vec<LogicalLine> {
    let mut lines = source.lines();
    let mut found = Vec::new();
    while let Some(first) = lines.next() {
        let mut joined = Joined::default();
        let mut next = Some(first);
        let mut line = LogicalLine {
            words: Vec::new(),
            late_comments: Vec::new(),
            glued: Vec::new(),
            dangling: None,
            hidden: None,
        };
        while let Some(range) = next.take() {
            let comment = comment_start(source, &range);
            if let Some(at) = comment.filter(|_| joined.pieces > 0) {
                line.late_comments.push(Span::new(file, at, trimmed_end(source, at..range.end)));
            }
            let end = comment.unwrap_or_else(|| trimmed_cr(source, &range));
            line.hidden = comment.and_then(|at| {
                let last = trimmed_cr(source, &range).checked_sub(1)?;
                let text = source.text().get(last..=last)?;
                (text == "\\" && last > at).then(|| Span::new(file, last, last + 1))
            });
            let body = source.text().get(range.start..end).unwrap_or_default();
            match body.strip_suffix('\\').filter(|_| comment.is_none()) {
                Some(kept) => {
                    joined.push(range.start, kept);
                    next = lines.next();
                    if next.is_none() {
                        line.dangling = Some(Span::new(file, end - 1, end));
                    }
                }
                None => joined.push(range.start, body),
            }
        }
        joined.split(file, &mut line);
        found.push(line);
    }
    found
}

/// Physical lines put together, each character with its offset in the file.
#[derive(Default)]
struct Joined {
    pieces: usize,
    characters: Vec<(usize, char)>,
    /// Indices into `characters` where a piece other than the first begins.
    seams: Vec<usize>,
}

impl Joined {
    fn push(&mut self, offset: usize, text: &str) {
        if self.pieces > 0 {
            self.seams.push(self.characters.len());
        }
        self.pieces += 1;
        self.characters.extend(text.char_indices().map(|(at, c)| (offset + at, c)));
    }

    fn split(&self, file: FileId, line: &mut LogicalLine) {
        let mut index = 0;
        for run in self.characters.split(|(_, c)| is_blank(*c)) {
            if let (Some((start, _)), Some((last, c))) = (run.first(), run.last()) {
                let text = run.iter().map(|(_, c)| *c).collect();
                let word = Word { text, span: Span::new(file, *start, last + c.len_utf8()) };
                // The seams are in order: the first one inside is enough.
                let next = self.seams.partition_point(|seam| *seam <= index);
                if self.seams.get(next).is_some_and(|seam| *seam < index + run.len()) {
                    line.glued.push(word.clone());
                }
                line.words.push(word);
            }
            index += run.len() + 1;
        }
    }
}

fn trimmed_cr(source: &SourceFile, range: &Range<usize>) -> usize {
    let line = source.text().get(range.clone()).unwrap_or_default();
    range.end - usize::from(line.ends_with('\r'))
}

fn trimmed_end(source: &SourceFile, range: Range<usize>) -> usize {
    let text = source.text().get(range.clone()).unwrap_or_default();
    range.start + text.trim_end().len()
}

/// Reports what is wrong with the characters of a file, whatever they mean: byte order mark, line
/// ends, control characters and bytes of other encodings outside comments, unusual blanks.
pub fn check_characters(source: &SourceFile, file: FileId, sink: &mut Sink) {
    check_whole(source, file, sink);
    // Keys may be any bytes, and marking them would show them.
    if file == FileId::AuthKeys {
        return;
    }
    for line in source.lines() {
        let end = comment_start(source, &line).unwrap_or(line.end);
        check_code(source, file, line.start..end, sink);
    }
}

fn check_whole(source: &SourceFile, file: FileId, sink: &mut Sink) {
    if source.is_truncated() {
        let text = format!("{file} is larger than one megabyte");
        sink.push(
            Diagnostic::new(Code::FileTooLarge, text)
                .in_file(file)
                .help("look what was written there; this is not a configuration file"),
        );
    }
    if source.text().starts_with('\u{feff}') {
        sink.push(
            Diagnostic::new(Code::ByteOrderMark, "the file begins with a byte order mark")
                .at(Span::new(file, 0, '\u{feff}'.len_utf8()), "invisible character U+FEFF")
                .help(format!("remove it: sed -i '1s/^\\xEF\\xBB\\xBF//' {}", source.name())),
        );
    }
    let count = source.text().matches("\r\n").count();
    if count > 0 && file != FileId::Native {
        sink.push(
            Diagnostic::new(
                Code::WindowsLineEnds,
                match count {
                    1 => "a line ends as on Windows, in carriage return and line feed".to_owned(),
                    _ => {
                        format!("{count} lines end as on Windows, in carriage return and line feed")
                    }
                },
            )
            .in_file(file)
            .help(format!("convert the file: sed -i 's/\\r$//' {}", source.name())),
        );
    }
}

fn check_code(source: &SourceFile, file: FileId, range: Range<usize>, sink: &mut Sink) {
    let text = source.text().get(range.clone()).unwrap_or_default();
    let mut invalid_until = 0;
    for (at, c) in text.char_indices() {
        let start = range.start + at;
        let span = Span::new(file, start, start + c.len_utf8());
        if start < invalid_until {
            continue;
        }
        if c == '\u{feff}' && start == 0 {
            continue;
        }
        if is_unusual_blank(c) || c == '\u{feff}' {
            let name = format!("U+{:04X}", u32::from(c));
            sink.push(
                Diagnostic::new(Code::UnusualBlank, "this character only looks like a blank")
                    .at(span, name)
                    .help("replace it by an ordinary blank"),
            );
        } else if source.is_invalid_at(start) {
            let run = text[at..].char_indices().find(|(at, _)| !source.is_invalid_at(start + at));
            invalid_until = run.map_or(range.end, |(at, _)| start + at);
            sink.push(
                Diagnostic::new(Code::InvalidText, "bytes that are not UTF-8, outside a comment")
                    .at(Span::new(file, start, invalid_until), "not UTF-8")
                    .help("delete them, or save the file as UTF-8"),
            );
        } else if c.is_control() && !is_blank(c) {
            let name = format!("control character U+{:04X}", u32::from(c));
            sink.push(
                Diagnostic::new(Code::InvalidText, format!("a {name} stands outside a comment"))
                    .at(span, name)
                    .help("delete it"),
            );
        }
    }
}

/// What to say of a word that holds characters outside ASCII, which usually is a comment.
pub fn comment_hint(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let plain: String = word.chars().map(ordinary).collect();
    if plain.is_ascii() && !plain.contains('#') {
        return Some(format!("these are full-width characters; write `{plain}`"));
    }
    Some(if word.contains('＃') {
        "`＃` is the full-width form; a comment begins with an ordinary `#`".into()
    } else {
        "if this is a comment, put ` #` before it".into()
    })
}

/// The ASCII character that a full-width one stands for.
fn ordinary(c: char) -> char {
    match c {
        '！'..='～' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    fn lines(text: &str) -> Vec<LogicalLine> {
        logical_lines(&SourceFile::from_text("f", text), FileId::HaResources)
    }

    #[test]
    fn words_and_their_places() {
        let source = SourceFile::from_text("f", "\u{feff} ab\tc,d\u{3000}主\r");
        let range = 0..source.text().len();
        let found = words(&source, FileId::HaCf, range, |c| c == ',');
        assert_eq!(texts(&found), ["ab", "c", "d", "主"]);
        for word in &found {
            assert_eq!(&source.text()[word.span.start..word.span.end], word.text);
        }
    }

    #[test]
    fn continuation_joins_without_a_blank() {
        let check = |text: &str, words: &[&str], glued: &[&str]| {
            let line = &lines(text)[0];
            assert_eq!(texts(&line.words), words, "{text:?}");
            assert_eq!(texts(&line.glued), glued, "{text:?}");
        };
        check("n a \\\nb\n", &["n", "a", "b"], &[]);
        check("n a\\\n b\n", &["n", "a", "b"], &[]);
        check("n a\\\nb\n", &["n", "ab"], &["ab"]);
        check("n a\\\r\nb\r\n", &["n", "ab"], &["ab"]);
        check("n a\\\n\\\n\\\nb\n", &["n", "ab"], &["ab"]);
        check("n a # c \\\nb\n", &["n", "a"], &[]);
        check("n a \\ \nb\n", &["n", "a", "\\"], &[]);
    }

    #[test]
    fn comments_on_continued_lines_are_told() {
        let line = &lines("n a \\\n  b # web server \nc\n")[0];
        assert_eq!(texts(&line.words), ["n", "a", "b"]);
        assert_eq!(line.late_comments.len(), 1);
        let span = line.late_comments[0];
        assert_eq!((span.start, span.end), (10, 22));
        assert!(lines("n a # c\n")[0].late_comments.is_empty());
    }

    #[test]
    fn a_backslash_in_a_comment_is_told() {
        let line = &lines("n a # c \\\nb\n")[0];
        assert_eq!(line.hidden, Some(Span::new(FileId::HaResources, 8, 9)));
        assert!(line.late_comments.is_empty());
        assert!(lines("n a \\\nb # c\\\n")[0].hidden.is_some());
        assert!(lines("n a # c\n")[0].hidden.is_none());
        assert!(lines("n a \\\nb\n")[0].hidden.is_none());
    }

    #[test]
    fn words_outside_ascii_are_explained() {
        let check =
            |word, part: &str| assert!(comment_hint(word).unwrap().contains(part), "{word}");
        check("ｎｏｄｅ", "write `node`");
        check("＃主节点", "full-width");
        check("主节点", "put ` #` before it");
        assert_eq!(comment_hint("node"), None);
    }

    #[test]
    fn a_backslash_at_the_end_is_told() {
        assert!(lines("n a \\")[0].dangling.is_some());
        assert!(lines("n a \\\n")[0].dangling.is_some());
        assert!(lines("n a \\\n\n")[0].dangling.is_none());
    }

    proptest::proptest! {
        #[test]
        fn spans_lie_inside_the_text(bytes: Vec<u8>, text in "[a#\\\\ \n\r\u{3000}主]*") {
            for source in [
                SourceFile::from_bytes("f", &bytes, None),
                SourceFile::from_text("f", &text),
            ] {
                for line in logical_lines(&source, FileId::HaResources) {
                    for word in &line.words {
                        proptest::prop_assert!(
                            source.text().get(word.span.start..word.span.end).is_some()
                        );
                    }
                    for span in line.late_comments.iter().chain(&line.dangling) {
                        proptest::prop_assert!(source.text().get(span.start..span.end).is_some());
                    }
                }
            }
        }
    }
}
