//! Draws findings: for people in the manner of rustc, and as JSON for programs. It decides
//! nothing; what is drawn has its secrets covered by `mask`.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::load::Loaded;
use crate::mask::{self, Covers, Masked};
use crate::source::{Files, SourceFile};
use crate::span::FileId;

/// Longest excerpt that is drawn. Lines of configuration files are short; one of a megabyte would
/// cost seconds and show nothing, so only its place is told.
const MAX_DRAWN_BYTES: usize = 16 << 10;

/// Labels nearer than this are drawn in one excerpt, with the lines between them folded.
const NEAR_BYTES: usize = 4 << 10;

/// How to draw for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// Columns of the terminal, 40 and more; longer lines of a file are cut.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 120 }
    }
}

/// All findings, each followed by an empty line.
pub fn human(files: &Files, diagnostics: &[Diagnostic], style: Style) -> String {
    let renderer =
        if style.color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width.max(40));
    let covers = Covers::default();
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&draw(&renderer, &covers, files, diagnostic));
        text.push_str("\n\n");
    }
    text
}

fn draw(renderer: &Renderer, covers: &Covers, files: &Files, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let excerpts = excerpts(covers, files, diagnostic);
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.to_string());
    let mut group = Group::with_title(title);
    for excerpt in &excerpts {
        group = group.element(excerpt.element());
    }
    if let (true, Some(file)) = (excerpts.is_empty(), diagnostic.file) {
        group = group.element(Origin::path(files.get(file).name()));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// Labels of one file that are near each other, with the lines they are on.
struct Excerpt<'a> {
    name: &'a str,
    line: usize,
    column: usize,
    /// `None` when the lines are too long to be drawn.
    masked: Option<Masked>,
    labels: Vec<&'a Label>,
}

impl<'a> Excerpt<'a> {
    fn element(&self) -> Element<'_> {
        let Some(masked) = &self.masked else {
            return Origin::path(self.name).line(self.line).char_column(self.column).into();
        };
        let annotations = self.labels.iter().map(|label| {
            let kind =
                if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let start = masked.offset(label.span.start);
            let end = masked.offset(label.span.end).max(start);
            let span = kind.span(start..end);
            if label.text.is_empty() { span } else { span.label(label.text.as_str()) }
        });
        let first_line = masked.first_line();
        let snippet = Snippet::source(masked.text()).line_start(first_line).path(self.name);
        snippet.annotations(annotations).into()
    }

    fn new(covers: &Covers, file: FileId, source: &'a SourceFile, labels: Vec<&'a Label>) -> Self {
        let start = labels.iter().map(|label| label.span.start).min().unwrap_or(0);
        let end = labels.iter().map(|label| label.span.end).max().unwrap_or(start);
        let shown = labels.iter().find(|label| label.primary).map_or(start, |it| it.span.start);
        let (line, column) = source.position(shown);
        let masked = Masked::new(covers, file, source, start..end, MAX_DRAWN_BYTES);
        Self { name: source.name(), line, column, masked, labels }
    }
}

/// The primary label's file first, and its neighbourhood before others of that file.
fn excerpts<'a>(covers: &Covers, files: &'a Files, diagnostic: &'a Diagnostic) -> Vec<Excerpt<'a>> {
    let mut order: Vec<FileId> = diagnostic.place().0.into_iter().collect();
    for label in &diagnostic.labels {
        if !order.contains(&label.span.file) {
            order.push(label.span.file);
        }
    }
    let mut found = Vec::new();
    for file in order {
        let Some(source) = files.get(file).source() else { continue };
        let mut labels: Vec<&Label> =
            diagnostic.labels.iter().filter(|label| label.span.file == file).collect();
        labels.sort_by_key(|label| label.span.start);
        let mut clusters: Vec<Vec<&Label>> = Vec::new();
        let mut reach = 0;
        for label in labels {
            match clusters.last_mut() {
                Some(cluster) if label.span.start <= reach + NEAR_BYTES => cluster.push(label),
                Some(_) | None => clusters.push(vec![label]),
            }
            reach = reach.max(label.span.end);
        }
        clusters.sort_by_key(|cluster| !cluster.iter().any(|label| label.primary));
        found.extend(clusters.into_iter().map(|labels| Excerpt::new(covers, file, source, labels)));
    }
    found
}

/// A whole file with its secrets covered.
pub fn covered(file: FileId, source: &SourceFile) -> String {
    mask::whole(file, source)
}

/// What [`covered`] covers: each part once, in the order of the file.
pub fn secrets(file: FileId, source: &SourceFile) -> Vec<String> {
    mask::parts(file, source)
}

/// The last lines: how many findings, and what they mean for the start of node `node`.
pub fn summary(loaded: &Loaded, dir: &str, node: Option<&str>) -> String {
    let count = |severity| loaded.diagnostics.iter().filter(|it| it.severity == severity).count();
    let mut parts = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        match count(severity) {
            0 => {}
            1 => parts.push(format!("1 {}", severity.word())),
            many => parts.push(format!("{many} {}s", severity.word())),
        }
    }
    let found = if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") };
    let verdict = match loaded.settings.is_some() {
        true => "heartbeat starts with this",
        false => "heartbeat does not start with this",
    };
    let node = node.map(|name| format!(" for node {name}")).unwrap_or_default();
    let more = match loaded.diagnostics.iter().min_by_key(|found| found.severity) {
        Some(first) => format!("\n`hb explain {}` tells more about a finding.", first.code),
        None => String::new(),
    };
    format!("{dir}{node}: {found}; {verdict}{more}\n")
}

#[derive(Serialize)]
struct JsonReport<'a> {
    /// Grows with incompatible changes only.
    version: u32,
    starts: bool,
    diagnostics: Vec<JsonDiagnostic<'a>>,
}

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: String,
    severity: Severity,
    title: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    labels: Vec<JsonLabel<'a>>,
    help: &'a [String],
}

#[derive(Serialize)]
struct JsonLabel<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    primary: bool,
    text: &'a str,
}

/// All findings as one JSON object with a final line feed. Lines and columns count from 1,
/// columns in characters. The files' text is not part of it.
pub fn json(files: &Files, loaded: &Loaded) -> String {
    let diagnostics =
        loaded.diagnostics.iter().map(|found| json_diagnostic(files, found)).collect();
    let report = JsonReport { version: 1, starts: loaded.settings.is_some(), diagnostics };
    // Strings and numbers only: there is nothing that could fail.
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

fn json_diagnostic<'a>(files: &'a Files, found: &'a Diagnostic) -> JsonDiagnostic<'a> {
    let labels = found.labels.iter().filter_map(|label| {
        let source = files.get(label.span.file).source()?;
        let (line, column) = source.position(label.span.start);
        let (end_line, end_column) = source.position(label.span.end);
        Some(JsonLabel {
            file: source.name(),
            line,
            column,
            end_line,
            end_column,
            primary: label.primary,
            text: &label.text,
        })
    });
    JsonDiagnostic {
        code: found.code.to_string(),
        severity: found.severity,
        title: found.code.info().title,
        message: &found.message,
        file: found.place().0.map(|file| files.get(file).name()),
        labels: labels.collect(),
        help: &found.help,
    }
}

#[cfg(test)]
mod tests;
