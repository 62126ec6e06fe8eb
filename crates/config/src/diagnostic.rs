//! A finding about the configuration: what, where, and what to do. Drawing it is `render`'s work;
//! the texts that `hb explain` shows are in [`crate::codes`].

use crate::codes::Code;
use crate::source::Files;
use crate::span::{FileId, Span};

/// How bad a finding is. The order is the order of gravity, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The node does not start with it.
    Error,
    /// The node starts, but probably does not do what was meant.
    Warning,
    /// Worth knowing; changes no exit code.
    Note,
}

impl Severity {
    /// The word in front of a finding.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A marked place with a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say about it; may be empty.
    pub text: String,
    /// Whether this is the place of the fault; others only help to understand it.
    pub primary: bool,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding; `hb explain CODE` tells more.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence with the values that matter, without a final stop.
    pub message: String,
    /// Marked places, the primary one first. Empty when the finding has no place in a text.
    pub labels: Vec<Label>,
    /// The file it is about, where no label says so.
    pub file: Option<FileId>,
    /// What to do, most useful first.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A finding with the usual severity of `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.info().severity,
            message: message.into(),
            labels: Vec::new(),
            file: None,
            help: Vec::new(),
        }
    }

    /// Marks the place of the fault.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Marks a place that helps to understand it.
    #[must_use]
    pub fn see(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Names the file of a finding without a place.
    #[must_use]
    pub fn in_file(mut self, file: FileId) -> Self {
        self.file = Some(file);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Says what to do, where there is something to say.
    #[must_use]
    pub fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help.extend(text);
        self
    }

    /// Lowers the severity to a note.
    #[must_use]
    pub fn as_note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }

    /// File and offset of the fault: the primary label, else the file alone.
    pub fn place(&self) -> (Option<FileId>, usize) {
        match self.labels.iter().find(|label| label.primary).or(self.labels.first()) {
            Some(label) => (Some(label.span.file), label.span.start),
            None => (self.file, 0),
        }
    }

    /// The finding in one line, for logs: `ha.cf:3:1: error[HB0101]: message; help`.
    pub fn to_line(&self, files: &Files) -> String {
        let place = match self.place() {
            (Some(file), offset) => {
                let state = files.get(file);
                match state.source() {
                    Some(source) if !self.labels.is_empty() => {
                        let (line, column) = source.position(offset);
                        format!("{}:{line}:{column}: ", state.name())
                    }
                    Some(_) | None => format!("{}: ", state.name()),
                }
            }
            (None, _) => String::new(),
        };
        let help = self.help.first().map(|text| format!("; {text}")).unwrap_or_default();
        format!("{place}{}[{}]: {}{help}", self.severity.word(), self.code, self.message)
    }
}

/// Most findings of one severity that are kept for one file. A file with more is not a
/// configuration file, and a list of thousands helps nobody.
pub const MAX_PER_FILE: usize = 100;

/// Collects the findings of one file within bounds.
#[derive(Debug)]
pub struct Sink {
    /// `None` when the findings are about several files.
    file: Option<FileId>,
    kept: Vec<Diagnostic>,
    left_out: [usize; 3],
    counts: [usize; 3],
}

impl Sink {
    /// An empty list for `file`.
    pub fn new(file: FileId) -> Self {
        Self { file: Some(file), kept: Vec::new(), left_out: [0; 3], counts: [0; 3] }
    }

    /// An empty list for what is between the files.
    pub fn between_files() -> Self {
        Self { file: None, kept: Vec::new(), left_out: [0; 3], counts: [0; 3] }
    }

    /// How many errors there were, kept or not.
    pub fn errors(&self) -> usize {
        let index = Severity::Error as usize;
        self.counts[index] + self.left_out[index]
    }

    /// Keeps a finding unless [`MAX_PER_FILE`] of its severity are there already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let index = diagnostic.severity as usize;
        if self.counts[index] >= MAX_PER_FILE {
            self.left_out[index] += 1;
        } else {
            self.counts[index] += 1;
            self.kept.push(diagnostic);
        }
    }

    /// Keeps the finding that `make` makes of `code`, and only counts it where [`MAX_PER_FILE`] of
    /// its usual severity are there already: hints for a flood cost time and are not shown.
    pub fn push_with(&mut self, code: Code, make: impl FnOnce() -> Diagnostic) {
        let index = Diagnostic::new(code, String::new()).severity as usize;
        if self.counts[index] >= MAX_PER_FILE {
            self.left_out[index] += 1;
        } else {
            self.push(make());
        }
    }

    /// The findings, with a last one that counts what was left out.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        let left_out: usize = self.left_out.iter().sum();
        if left_out > 0 {
            let [errors, warnings, notes] = self.left_out;
            let text = format!(
                "{left_out} more findings {} are not shown \
                 ({errors} errors, {warnings} warnings, {notes} notes)",
                self.file.map_or("between the files".to_owned(), |file| format!("in {file}"))
            );
            let help = "mend the first ones and check again; is this the right file?";
            let mut more = Diagnostic::new(Code::TooManyFindings, text).help(help);
            more.file = self.file;
            self.kept.push(more);
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_for_each_severity() {
        let mut sink = Sink::new(FileId::HaCf);
        for _ in 0..MAX_PER_FILE + 7 {
            sink.push(Diagnostic::new(Code::SingleLink, "a note"));
        }
        sink.push(Diagnostic::new(Code::NoNodes, "an error"));
        let list = sink.finish();
        assert_eq!(list.len(), MAX_PER_FILE + 2);
        assert!(list.iter().any(|found| found.severity == Severity::Error));
        assert!(list[MAX_PER_FILE + 1].message.starts_with("7 more findings in ha.cf"));
    }

    #[test]
    fn one_line_for_logs() {
        let mut files = Files::missing_in("/etc/ha.d/");
        files.set(FileId::HaCf, b"node a\n  bad b\n", None);
        let span = Span::new(FileId::HaCf, 9, 12);
        let found = Diagnostic::new(Code::UnknownDirective, "what").at(span, "").help("this");
        assert_eq!(found.to_line(&files), "/etc/ha.d/ha.cf:2:3: error[HB0101]: what; this");
        let found = Diagnostic::new(Code::FileMissing, "gone").in_file(FileId::AuthKeys);
        assert_eq!(found.to_line(&files), "/etc/ha.d/authkeys: error[HB0001]: gone");
    }
}
