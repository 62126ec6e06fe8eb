//! hb.toml → [`Native`]: what Heartbeat's files cannot say. A table of keys drives the parser,
//! the hints and `hb explain`.

use std::ops::Range;

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::duration::{self, DurationError, Units};
use crate::ha_cf::shorten;
use crate::hint;
use crate::lexer;
use crate::settings::{Framing, Native};
use crate::source::SourceFile;
use crate::span::{FileId, Span};

/// One key of hb.toml.
#[derive(Clone, Copy, Debug)]
pub struct NativeKey {
    /// What the parser does with it.
    pub id: KeyId,
    /// Section.
    pub section: &'static str,
    /// Name inside the section.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Default, for people.
    pub default: &'static str,
    /// A paragraph for `hb explain`.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A time in quotes, in ms from `min` to `max`.
    Time {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// A whole number.
    Integer {
        /// Least.
        min: u32,
        /// Greatest.
        max: u32,
    },
    /// One of these words, in quotes.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// What to write, for people.
    pub fn syntax(self) -> String {
        match self {
            Self::Time { min, max } => {
                format!("a time in quotes, from {} to {}", native_time(min), native_time(max))
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
        }
    }
}

fn native_time(ms: u64) -> String {
    format!("\"{}\"", duration::display(ms))
}

/// The keys, for an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented in KEYS")]
pub enum KeyId {
    Msgfmt,
    StartTimeout,
    StopTimeout,
    StatusTimeout,
    KillGrace,
    OfferDelay,
    StopRetries,
    StopRetryDelay,
    AnnounceCount,
    AnnounceInterval,
}

const DAY_MS: u64 = 24 * 3600 * 1000;
const TIMEOUT: Kind = Kind::Time { min: 100, max: DAY_MS };

/// All keys of hb.toml.
pub const KEYS: &[NativeKey] = &[
    NativeKey {
        id: KeyId::Msgfmt,
        section: "compatibility",
        name: "msgfmt",
        kind: Kind::Choice(&["netstring", "classic"]),
        default: "netstring",
        doc: "Framing of sent packets; both are always received. `netstring` is what 3.0.6 sends. \
              `classic` lets keys be changed one node after the other with a 3.0.6 peer.",
    },
    NativeKey {
        id: KeyId::StartTimeout,
        section: "operations",
        name: "start_timeout",
        kind: TIMEOUT,
        default: "60s",
        doc: "How long a resource may take to start. After it the script is ended and the start \
              counts as failed. Heartbeat 3.0.6 waits for ever.",
    },
    NativeKey {
        id: KeyId::StopTimeout,
        section: "operations",
        name: "stop_timeout",
        kind: TIMEOUT,
        default: "60s",
        doc: "How long a resource may take to stop before the stop counts as failed.",
    },
    NativeKey {
        id: KeyId::StatusTimeout,
        section: "operations",
        name: "status_timeout",
        kind: TIMEOUT,
        default: "20s",
        doc: "How long a question for the status of a resource may take.",
    },
    NativeKey {
        id: KeyId::KillGrace,
        section: "operations",
        name: "kill_grace",
        kind: Kind::Time { min: 10, max: 3_600_000 },
        default: "2s",
        doc: "Time between TERM and KILL for a script that exceeded its limit.",
    },
    NativeKey {
        id: KeyId::OfferDelay,
        section: "failure",
        name: "offer_delay",
        kind: Kind::Time { min: 0, max: DAY_MS },
        default: "30s",
        doc: "How long a group that could not be started stays down before it is offered to the \
              peer.",
    },
    NativeKey {
        id: KeyId::StopRetries,
        section: "failure",
        name: "stop_retries",
        kind: Kind::Integer { min: 0, max: 1000 },
        default: "10",
        doc: "How often a failed stop is repeated before it is escalated.",
    },
    NativeKey {
        id: KeyId::StopRetryDelay,
        section: "failure",
        name: "stop_retry_delay",
        kind: Kind::Time { min: 10, max: 3_600_000 },
        default: "1s",
        doc: "Delay between repeated stops.",
    },
    NativeKey {
        id: KeyId::AnnounceCount,
        section: "announce",
        name: "count",
        kind: Kind::Integer { min: 1, max: 100 },
        default: "5",
        doc: "How often a moved address is announced (gratuitous ARP, unsolicited neighbour \
              advertisement); the first time at once.",
    },
    NativeKey {
        id: KeyId::AnnounceInterval,
        section: "announce",
        name: "interval",
        kind: Kind::Time { min: 10, max: 60_000 },
        default: "200ms",
        doc: "Delay between announcements.",
    },
];

/// The key of `name`, which is `key` or `section.key`.
pub fn find(name: &str) -> Option<&'static NativeKey> {
    KEYS.iter().find(|key| match name.split_once('.') {
        Some((section, rest)) => key.section == section && key.name == rest,
        None => key.name == name,
    })
}

/// The section that a key belongs to.
pub fn section_of(name: &str) -> Option<&'static str> {
    find(name).map(|key| key.section)
}

/// Reads hb.toml. Never fails: what cannot be understood is left out, keeps its default and is
/// reported.
pub fn parse(source: &SourceFile) -> (Native, Vec<Diagnostic>) {
    let mut sink = Sink::new(FileId::Native);
    lexer::check_characters(source, FileId::Native, &mut sink);
    let mut native = Native::default();
    let text = source.text();
    let (root, errors) = DeTable::parse_recoverable(text.trim_start_matches('\u{feff}'));
    let shift = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut reader = Reader { shift, native: &mut native, sink: &mut sink, grace: None };
    for error in &errors {
        reader.syntax(error.message(), error.span(), text.len());
    }
    // What a parser makes of the rest after a fault is not what was written.
    if errors.is_empty() {
        for (name, value) in root.get_ref().iter() {
            reader.section(name, value);
        }
        reader.check_grace();
    }
    (native, sink.finish())
}

struct Reader<'a> {
    /// Bytes of a byte order mark before the text that was parsed.
    shift: usize,
    native: &'a mut Native,
    sink: &'a mut Sink,
    /// Where `kill_grace` stands.
    grace: Option<Span>,
}

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

    fn section(&mut self, name: &TomlSpanned<std::borrow::Cow<'_, str>>, value: &Value<'_>) {
        let place = self.span(name.span());
        let word = name.get_ref().as_ref();
        let known = KEYS.iter().any(|key| key.section == word);
        match (known, value.get_ref()) {
            (true, DeValue::Table(table)) => {
                for (key, value) in table {
                    self.key(word, key, value);
                }
            }
            (true, _) => {
                let found = Diagnostic::new(
                    Code::InvalidNativeValue,
                    format!("`{word}` is a section, not a value"),
                );
                let place = found.at(place, "not a value");
                self.sink.push(place.help(format!("write [{word}], and its keys below it")));
            }
            (false, _) => {
                let found = Diagnostic::new(
                    Code::UnknownKey,
                    format!("unknown section or key `{}`", shorten(word)),
                );
                let sections = ["compatibility", "operations", "failure", "announce"];
                let finding = match (section_of(word), hint::nearest(word, sections)) {
                    (Some(section), _) => found
                        .at(place, "a key outside its section")
                        .help(format!("put it below a line [{section}]")),
                    (None, Some(near)) => found
                        .at(place, format!("did you mean `{near}`?"))
                        .help(format!("write `{near}`")),
                    (None, None) => foreign(found, word, place, &sections.join(", ")),
                };
                self.sink.push(finding);
            }
        }
    }

    fn key(
        &mut self,
        section: &str,
        name: &TomlSpanned<std::borrow::Cow<'_, str>>,
        value: &Value<'_>,
    ) {
        let place = self.span(name.span());
        let word = name.get_ref().as_ref();
        let row = KEYS.iter().find(|key| key.section == section && key.name == word);
        if let Some(row) = row {
            let at = self.span(value.span());
            match read(row.kind, value.get_ref()) {
                Ok(number) => self.apply(row.id, number, at),
                Err(label) => self.sink.push(
                    Diagnostic::new(
                        Code::InvalidNativeValue,
                        format!("this is no value for `{section}.{word}`"),
                    )
                    .at(at, label)
                    .help(format!("write {}", row.kind.syntax())),
                ),
            }
            return;
        }
        let found = Diagnostic::new(
            Code::UnknownKey,
            format!("unknown key `{}` in [{section}]", shorten(word)),
        );
        let names = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
        let finding = match (section_of(word), hint::nearest(word, names.clone())) {
            (Some(other), _) => {
                found.at(place, "a key of another section").help(format!("put it below [{other}]"))
            }
            (None, Some(near)) => {
                found.at(place, format!("did you mean `{near}`?")).help(format!("write `{near}`"))
            }
            (None, None) => foreign(found, word, place, &names.collect::<Vec<_>>().join(", ")),
        };
        self.sink.push(finding);
    }

    fn apply(&mut self, id: KeyId, number: u64, span: Span) {
        let native = &mut *self.native;
        // Counts are below 1001 by their ranges.
        let count = u32::try_from(number).unwrap_or(u32::MAX);
        match id {
            KeyId::Msgfmt => {
                native.framing = if number == 0 { Framing::Netstring } else { Framing::Classic };
            }
            KeyId::StartTimeout => native.operations.start_timeout_ms = number,
            KeyId::StopTimeout => native.operations.stop_timeout_ms = number,
            KeyId::StatusTimeout => native.operations.status_timeout_ms = number,
            KeyId::KillGrace => {
                native.operations.kill_grace_ms = number;
                self.grace = Some(span);
            }
            KeyId::OfferDelay => native.failure.offer_delay_ms = number,
            KeyId::StopRetries => native.failure.stop_retries_max = count,
            KeyId::StopRetryDelay => native.failure.stop_retry_delay_ms = number,
            KeyId::AnnounceCount => native.announce.count = count,
            KeyId::AnnounceInterval => native.announce.interval_ms = number,
        }
    }

    fn check_grace(&mut self) {
        let operations = self.native.operations;
        let shortest = operations
            .start_timeout_ms
            .min(operations.stop_timeout_ms)
            .min(operations.status_timeout_ms);
        let Some(span) = self.grace.filter(|_| operations.kill_grace_ms >= shortest) else {
            return;
        };
        self.sink.push(
            Diagnostic::new(
                Code::GraceTooLong,
                format!(
                    "kill_grace of {} is not shorter than the shortest timeout, {}",
                    duration::display(operations.kill_grace_ms),
                    duration::display(shortest)
                ),
            )
            .at(span, "time between TERM and KILL")
            .help("a few seconds are enough"),
        );
    }
}

type Value<'a> = TomlSpanned<DeValue<'a>>;

/// A key that hb.toml does not have, perhaps one of ha.cf.
fn foreign(found: Diagnostic, word: &str, place: Span, known: &str) -> Diagnostic {
    match crate::directives::find(word) {
        Some(_) => found
            .at(place, "this is a directive of ha.cf")
            .help(format!("write it in ha.cf: `{word} VALUE`")),
        None => found.at(place, "hb.toml has nothing of this name").help(format!("known: {known}")),
    }
}

/// The value as a number: ms, count, or index of the word. The error is a label.
fn read(kind: Kind, value: &DeValue<'_>) -> Result<u64, String> {
    match kind {
        Kind::Time { min, max } => {
            let text = value
                .as_str()
                .ok_or_else(|| format!("expected text in quotes, this is {}", article(value)))?;
            let ms = duration::parse(text, Units::Native).map_err(|error| match error {
                DurationError::Unit => "the unit is none of ms, s and m".to_owned(),
                DurationError::NotANumber | DurationError::Negative | DurationError::TooLong => {
                    error.to_string()
                }
            })?;
            match (min..=max).contains(&ms) {
                true => Ok(ms),
                false => Err(format!("outside {} to {}", native_time(min), native_time(max))),
            }
        }
        Kind::Integer { min, max } => {
            let number = value.as_integer().ok_or_else(|| {
                format!("expected a number without quotes, this is {}", article(value))
            })?;
            let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
            match parsed.filter(|number| (min..=max).contains(number)) {
                Some(number) => Ok(u64::from(number)),
                None => Err(format!("outside {min} to {max}")),
            }
        }
        Kind::Choice(words) => {
            let text = value.as_str().unwrap_or_default();
            let index = words.iter().position(|word| *word == text);
            index.and_then(|index| u64::try_from(index).ok()).ok_or_else(|| {
                match hint::nearest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "not one of its words".into(),
                }
            })
        }
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
