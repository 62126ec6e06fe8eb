//! hb.toml → [`Parsed`]: what Heartbeat's files cannot say. The table of keys in [`keys`] drives the
//! parser, the hints and `hb explain`; values are read in `values` and put in their place in `draft`.

mod draft;
pub mod keys;
mod notify;
mod values;

use std::ops::Range;

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::ha_cf::shorten;
use crate::hint;
use crate::lexer;
use crate::secret::cover_resource;
use crate::source::SourceFile;
use crate::span::{FileId, Span, Spanned};
use draft::{Draft, Scope};
use values::read;

pub use draft::{Parsed, Places};
pub use keys::{KEYS, KeyId, Kind, NativeKey, find, section_of};

/// Reads hb.toml. Never fails: what cannot be understood is left out, keeps its default and is
/// reported.
pub fn parse(source: &SourceFile) -> (Parsed, Vec<Diagnostic>) {
    let mut sink = Sink::new(FileId::Native);
    lexer::check_characters(source, FileId::Native, &mut sink);
    let text = source.text();
    let (root, errors) = DeTable::parse_recoverable(text.trim_start_matches('\u{feff}'));
    let shift = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut reader = Reader { shift, draft: Draft::default(), sink: &mut sink };
    for error in &errors {
        reader.syntax(error.message(), error.span(), text.len());
    }
    // What a parser makes of the rest after a fault is not what was written.
    if errors.is_empty() {
        for (name, value) in root.get_ref().iter() {
            reader.section(name, value);
        }
    }
    let Reader { draft, .. } = reader;
    let parsed = draft.finish(&mut sink);
    check_mode(source, &parsed.places, &mut sink);
    (parsed, sink.finish())
}

struct Reader<'a> {
    /// Bytes of a byte order mark before the text that was parsed.
    shift: usize,
    draft: Draft,
    sink: &'a mut Sink,
}

/// Sections with a name or that stand several times are entered in their own way.
const NAMED: [&str; 2] = ["resource", "group"];
const DEVICES: &str = "fencing.device";

impl Reader<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span::new(FileId::Native, range.start + self.shift, range.end + self.shift)
    }

    fn syntax(&mut self, message: &str, range: Option<Range<usize>>, len: usize) {
        let start = range.as_ref().map_or(0, |range| range.start + self.shift).min(len);
        let end = range.map_or(start, |range| range.end + self.shift).clamp(start, len);
        let message = message.lines().next().unwrap_or_default();
        self.sink.push(
            Diagnostic::new(Code::TomlSyntax, format!("hb.toml is not TOML: {message}"))
                .at(Span::new(FileId::Native, start, end), "not understood from here")
                .help("write `key = value`, text in quotes, below a [section]"),
        );
    }

    fn section(&mut self, name: &Name<'_>, value: &Value<'_>) {
        let place = self.span(name.span());
        let word = name.get_ref().as_ref();
        let known = KEYS.iter().any(|key| key.section == word);
        match (known, value.get_ref()) {
            (true, DeValue::Table(table)) if NAMED.contains(&word) => {
                for (name, value) in table {
                    self.named(word, name, value);
                }
            }
            (true, DeValue::Table(table)) => {
                self.draft.begin(word, place);
                for (key, value) in table {
                    match (word, key.get_ref().as_ref()) {
                        ("fencing", "device") => self.tables(DEVICES, key, value),
                        ("notify", "mail") => self.tables(keys::MAIL, key, value),
                        ("notify", "webhook") => self.tables(keys::WEBHOOK, key, value),
                        ("notify", "exec") => self.tables(keys::EXEC, key, value),
                        _ => self.key(word, &Scope::Plain, key, value),
                    }
                }
            }
            (true, _) => self.not_a_value(word, place),
            (false, _) => self.sink.push_with(Code::UnknownKey, || unknown_section(word, place)),
        }
    }

    fn not_a_value(&mut self, word: &str, place: Span) {
        let text = format!("`{word}` is a section, not a value");
        let found = Diagnostic::new(bad_value(word), text).at(place, "not a value");
        self.sink.push(found.help(format!("write [{word}], and its keys below it")));
    }

    /// `[resource."TEXT"]` and `[group."KEY"]`.
    fn named(&mut self, section: &str, name: &Name<'_>, value: &Value<'_>) {
        let place = self.span(name.span());
        let text = name.get_ref().to_string();
        let DeValue::Table(table) = value.get_ref() else {
            let example = format!("[{section}.\"{}\"]", shorten(&text));
            let found = Diagnostic::new(
                Code::InvalidNativeValue,
                format!("[{section}] needs the name of a {section}"),
            );
            self.sink.push(
                found.at(place, "not a section").help(format!("write {example}, keys below it")),
            );
            return;
        };
        // As haresources has it.
        let text = cover_resource(&text);
        let spanned = Spanned::new(text.clone(), place);
        let scope = if section == "resource" {
            self.draft.places.resources.push(spanned);
            Scope::Resource(text)
        } else {
            self.draft.places.groups.push(spanned);
            Scope::Group(text)
        };
        for (key, value) in table {
            self.key(section, &scope, key, value);
        }
    }

    /// `[[fencing.device]]` and the channels of `[notify]`.
    fn tables(&mut self, section: &'static str, name: &Name<'_>, value: &Value<'_>) {
        let place = self.span(name.span());
        let one = std::slice::from_ref(value);
        let items: Vec<&Value<'_>> = match value.get_ref().as_array() {
            Some(items) => items.iter().collect(),
            None => one.iter().filter(|value| value.get_ref().is_table()).collect(),
        };
        if items.is_empty() {
            let word = section.rsplit('.').next().unwrap_or(section);
            let text = format!("`{word}` is a table");
            let found = Diagnostic::new(bad_value(section), text);
            self.sink.push(found.at(place, "not a table").help(format!("write [[{section}]]")));
        }
        for item in items {
            let DeValue::Table(table) = item.get_ref() else {
                self.not_a_value(section, place);
                continue;
            };
            let header = self.span(item.span());
            let scope = match section {
                DEVICES => Scope::Device(self.draft.begin_device(header)),
                section => match self.draft.notify.begin_channel(section, header) {
                    Some(index) => Scope::Channel(index),
                    None => continue,
                },
            };
            for (key, value) in table {
                self.key(section, &scope, key, value);
            }
        }
    }

    fn key(&mut self, section: &str, scope: &Scope, name: &Name<'_>, value: &Value<'_>) {
        let place = self.span(name.span());
        let word = name.get_ref().as_ref();
        let row = KEYS.iter().find(|key| key.section == section && key.name == word);
        if let Some(row) = row {
            let at = self.span(value.span());
            match read(row.kind, value.get_ref()) {
                Ok(item) => self.draft.put(scope, row.id, item, at),
                Err(label) => self.sink.push(
                    Diagnostic::new(
                        bad_value(section),
                        format!("this is no value for `{section}.{word}`"),
                    )
                    .at(at, label)
                    .help(format!("write {}", row.kind.syntax())),
                ),
            }
            return;
        }
        let code = unknown(section);
        self.sink.push_with(code, || unknown_key(section, word, place));
    }
}

/// What the daemon does not act on must not keep it from starting.
fn is_notify(section: &str) -> bool {
    section == "notify" || section.starts_with("notify.")
}

fn bad_value(section: &str) -> Code {
    if is_notify(section) { Code::NotifyValue } else { Code::InvalidNativeValue }
}

fn unknown(section: &str) -> Code {
    if is_notify(section) { Code::NotifyKey } else { Code::UnknownKey }
}

fn unknown_section(word: &str, place: Span) -> Diagnostic {
    let text = format!("unknown section or key `{}`", shorten(word));
    let found = Diagnostic::new(Code::UnknownKey, text);
    match (section_of(word), hint::nearest(word, sections())) {
        (Some(section), _) => found
            .at(place, "a key outside its section")
            .help(format!("put it below a line [{section}]")),
        (None, Some(near)) => near_key(found, place, near),
        (None, None) => foreign(found, word, place, &sections().collect::<Vec<_>>().join(", ")),
    }
}

fn unknown_key(section: &str, word: &str, place: Span) -> Diagnostic {
    let text = format!("unknown key `{}` in [{section}]", shorten(word));
    let found = Diagnostic::new(unknown(section), text);
    let names = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    match (section_of(word), hint::nearest(word, names.clone())) {
        (Some(other), _) => {
            found.at(place, "a key of another section").help(format!("put it below [{other}]"))
        }
        (None, Some(near)) => near_key(found, place, near),
        (None, None) => foreign(found, word, place, &names.collect::<Vec<_>>().join(", ")),
    }
}

fn near_key(found: Diagnostic, place: Span, near: &str) -> Diagnostic {
    found.at(place, format!("did you mean `{near}`?")).help(format!("write `{near}`"))
}

type Name<'a> = TomlSpanned<std::borrow::Cow<'a, str>>;
type Value<'a> = TomlSpanned<DeValue<'a>>;

/// Sections at the top of the file, each once.
fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    let top = KEYS.iter().map(|key| key.section).filter(|section| !section.contains('.'));
    top.filter(move |section| std::mem::replace(&mut last, section) != *section)
}

/// Who reads a password of a power switch can use it.
fn check_mode(source: &SourceFile, places: &Places, sink: &mut Sink) {
    let (Some(at), Some(mode)) = (places.secrets, source.mode()) else { return };
    if mode & 0o044 != 0 {
        let text =
            format!("hb.toml holds parameters of fence devices and has mode {:04o}", mode & 0o7777);
        sink.push(
            Diagnostic::new(Code::SecretsReadable, text)
                .at(at, "others can read these")
                .help(format!("chmod 600 {}", source.name())),
        );
    }
}

/// A key that hb.toml does not have, perhaps one of ha.cf.
fn foreign(found: Diagnostic, word: &str, place: Span, known: &str) -> Diagnostic {
    match crate::directives::find(word) {
        Some(_) => found
            .at(place, "this is a directive of ha.cf")
            .help(format!("write it in ha.cf: `{word} VALUE`")),
        None => found.at(place, "hb.toml has nothing of this name").help(format!("known: {known}")),
    }
}

#[cfg(test)]
mod tests;
