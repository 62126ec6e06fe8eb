//! The values of ha.cf, by the grammar that the table of directives gives. Media and ping nodes
//! are in [`super::media`].

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::directives::Grammar;
use crate::duration::{self, DurationError, Units};
use crate::hint;
use crate::lexer::{self, Word};
use crate::settings::{AutoFailback, Medium, NodeName, PingTarget};
use crate::span::{Span, Spanned};

use super::{Parser, Statement, shorten};

/// Longest node name; Linux allows no longer host name.
const MAX_NODE_BYTES: usize = 64;

/// A checked value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// ms
    Time(u64),
    Number(u32),
    /// A switch is `on` or `off`; anything else as written.
    Word(String),
    Failback(AutoFailback),
    Facility(Option<u8>),
    Nodes(Vec<Spanned<NodeName>>),
    Media(Vec<Spanned<Medium>>),
    Pings(Vec<Spanned<PingTarget>>),
    Assignments(Vec<(String, String)>),
    /// Not looked at.
    Opaque,
}

macro_rules! into_list {
    ($name:ident, $variant:ident, $item:ty) => {
        pub(super) fn $name(self) -> Vec<$item> {
            if let Self::$variant(list) = self { list } else { Vec::new() }
        }
    };
}

impl Value {
    into_list!(into_nodes, Nodes, Spanned<NodeName>);
    into_list!(into_media, Media, Spanned<Medium>);
    into_list!(into_pings, Pings, Spanned<PingTarget>);
    into_list!(into_assignments, Assignments, (String, String));

    pub(super) fn time(&self, span: Span) -> Option<Spanned<u64>> {
        if let Self::Time(ms) = self { Some(Spanned::new(*ms, span)) } else { None }
    }

    pub(super) fn number(&self) -> Option<u32> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.number().and_then(|number| u8::try_from(number).ok())
    }

    pub(super) fn word(&self) -> &str {
        if let Self::Word(word) = self { word } else { "" }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.word() == word
    }

    pub(super) fn failback(&self) -> Option<AutoFailback> {
        if let Self::Failback(value) = self { Some(*value) } else { None }
    }

    pub(super) fn facility(&self) -> Option<u8> {
        if let Self::Facility(number) = self { *number } else { None }
    }
}

impl Parser<'_> {
    /// The value of a statement; `None` when there is nothing to use, which is reported.
    pub(super) fn value(&mut self, statement: &Statement<'_>) -> Option<Value> {
        match statement.row.grammar {
            Grammar::Nodes => Some(Value::Nodes(self.nodes(&statement.values))),
            Grammar::Assignment => Some(Value::Assignments(self.assignments(&statement.values))),
            Grammar::Interfaces => Some(Value::Media(self.bcast(&statement.values))),
            Grammar::Hosts { ipv6 } => Some(Value::Pings(self.pings(&statement.values, ipv6))),
            Grammar::PingGroup => self.ping_group(statement).map(|it| Value::Pings(vec![it])),
            Grammar::Ucast | Grammar::Ucast6 | Grammar::Mcast | Grammar::Mcast6 => {
                self.medium(statement).map(|it| Value::Media(vec![it]))
            }
            Grammar::Devices | Grammar::WholeLine(_) => Some(Value::Opaque),
            Grammar::Time
            | Grammar::Integer { .. }
            | Grammar::Boolean
            | Grammar::AutoFailback
            | Grammar::Choice(_)
            | Grammar::Facility
            | Grammar::Path
            | Grammar::Text => self.scalar(statement),
        }
    }

    /// The last word, as in Heartbeat; more than one is reported.
    fn scalar(&mut self, statement: &Statement<'_>) -> Option<Value> {
        let last = statement.values.last()?;
        let name = &statement.name.text;
        if let (Grammar::Time, [number, unit]) = (statement.row.grammar, &statement.values[..])
            && duration::parse(&number.text, Units::Heartbeat).is_ok()
            && duration::parse(&unit.text, Units::Heartbeat).is_err()
        {
            let joined = format!("{}{}", number.text, unit.text);
            let span = number.span.to(unit.span);
            let word = Word { text: joined, span };
            let error = DurationError::Unit;
            self.sink.push(invalid_time(name, &word, error, "number and unit must be one word"));
            return None;
        }
        if statement.values.len() > 1 {
            self.sink.push(
                Diagnostic::new(
                    Code::TooManyValues,
                    format!("`{name}` takes one value, here are {}", statement.values.len()),
                )
                .at(last.span, "only this one is used, as in Heartbeat 3.0.6")
                .maybe_help(lexer::comment_hint(&last.text))
                .help("leave only the value that is meant"),
            );
        }
        let value = scalar(statement.row.grammar, name, last);
        if let (Grammar::Path, Ok(_)) = (statement.row.grammar, &value)
            && !last.text.starts_with('/')
        {
            let text = format!("`{name}` is not an absolute path");
            self.sink.push(
                Diagnostic::new(Code::RelativePath, text)
                    .at(last.span, "relative to no useful place")
                    .help("write the whole path, beginning with /"),
            );
        }
        value.map_err(|found| self.sink.push(*found)).ok()
    }

    fn nodes(&mut self, words: &[Word]) -> Vec<Spanned<NodeName>> {
        let mut nodes = Vec::new();
        for word in words {
            if is_node_name(&word.text) {
                nodes.push(Spanned::new(NodeName::new(&word.text), word.span));
            } else {
                let shown = shorten(&word.text);
                self.sink.push(
                    Diagnostic::new(
                        Code::InvalidNodeName,
                        format!("`{shown}` cannot be a node name"),
                    )
                    .at(word.span, "letters, digits, `.`, `-` and `_` only, at most 64")
                    .maybe_help(lexer::comment_hint(&word.text))
                    .help("write the output of `uname -n` on that node"),
                );
            }
        }
        nodes
    }

    fn assignments(&mut self, words: &[Word]) -> Vec<(String, String)> {
        let mut list = Vec::new();
        for word in words {
            match word.text.split_once('=').filter(|(name, _)| is_variable(name)) {
                Some((name, value)) => list.push((name.to_owned(), value.to_owned())),
                None => self.sink.push(
                    Diagnostic::new(
                        Code::InvalidEnvironment,
                        format!("`{}` is not NAME=VALUE", shorten(&word.text)),
                    )
                    .at(word.span, "expected NAME=VALUE")
                    .help("blanks and commas end a value; NAME has letters, digits and `_`"),
                ),
            }
        }
        list
    }
}

/// Whether `text` can be the output of `uname -n`.
pub(crate) fn is_node_name(text: &str) -> bool {
    (1..=MAX_NODE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn scalar(grammar: Grammar, name: &str, word: &Word) -> Result<Value, Box<Diagnostic>> {
    let text = word.text.as_str();
    match grammar {
        Grammar::Time => match duration::parse(text, Units::Heartbeat) {
            Ok(0) => Err(Box::new(
                Diagnostic::new(Code::InvalidDuration, format!("`{name}` cannot be zero"))
                    .at(word.span, "must be more than zero")
                    .help("write a number of seconds, or milliseconds with `ms`"),
            )),
            Ok(ms) => Ok(Value::Time(ms)),
            Err(error) => Err(Box::new(invalid_time(name, word, error, &error.to_string()))),
        },
        Grammar::Integer { min, max, unit } => integer(word, min, max)
            .map(Value::Number)
            .ok_or_else(|| Box::new(invalid_number(name, word, min, max, unit))),
        Grammar::Boolean => match switch(text) {
            Some(value) => Ok(Value::Word(if value { "on" } else { "off" }.into())),
            None => Err(Box::new(
                Diagnostic::new(
                    Code::InvalidBoolean,
                    format!("`{}` is neither on nor off", shorten(text)),
                )
                .at(word.span, "expected on or off")
                .help(format!("write `{name} on` or `{name} off`")),
            )),
        },
        Grammar::AutoFailback if text.eq_ignore_ascii_case("legacy") => {
            Ok(Value::Failback(AutoFailback::Legacy))
        }
        Grammar::AutoFailback => match switch(text) {
            Some(true) => Ok(Value::Failback(AutoFailback::On)),
            Some(false) => Ok(Value::Failback(AutoFailback::Off)),
            None => Err(Box::new(invalid_choice(name, word, &["on", "off", "legacy"]))),
        },
        Grammar::Choice(words) => match words.iter().find(|it| **it == text) {
            Some(found) => Ok(Value::Word((*found).to_owned())),
            None => Err(Box::new(invalid_choice(name, word, words))),
        },
        Grammar::Facility => match FACILITIES.iter().find(|(word, _)| *word == text) {
            Some((_, number)) => Ok(Value::Facility(*number)),
            None => {
                let words: Vec<_> = FACILITIES.iter().map(|(word, _)| *word).collect();
                Err(Box::new(invalid_choice(name, word, &words)))
            }
        },
        // A word that means "off" also switches off what takes other words besides.
        Grammar::Text if switch(text) == Some(false) => Ok(Value::Word("off".into())),
        Grammar::Text | Grammar::Path => Ok(Value::Word(text.to_owned())),
        // No scalars: `Parser::value` sends them elsewhere.
        Grammar::Nodes
        | Grammar::Interfaces
        | Grammar::Devices
        | Grammar::Hosts { .. }
        | Grammar::PingGroup
        | Grammar::Ucast
        | Grammar::Ucast6
        | Grammar::Mcast
        | Grammar::Mcast6
        | Grammar::Assignment
        | Grammar::WholeLine(_) => Ok(Value::Opaque),
    }
}

/// Heartbeat's switch words, in any case.
pub(super) fn switch(text: &str) -> Option<bool> {
    const ON: [&str; 5] = ["true", "on", "yes", "y", "1"];
    const OFF: [&str; 5] = ["false", "off", "no", "n", "0"];
    let is = |words: [&str; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(ON) {
        Some(true)
    } else if is(OFF) {
        Some(false)
    } else {
        None
    }
}

/// A decimal number from `min` to `max`.
pub(super) fn integer(word: &Word, min: u32, max: u32) -> Option<u32> {
    let digits = word.text.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.text.parse().ok().filter(|_| digits)?;
    (min..=max).contains(&number).then_some(number)
}

pub(super) fn invalid_number(
    name: &str,
    word: &Word,
    min: u32,
    max: u32,
    unit: &str,
) -> Diagnostic {
    let range = match (max, unit) {
        (u32::MAX, unit) => format!("a whole number from {min} {unit}").trim_end().to_owned(),
        (_, "") => format!("a whole number from {min} to {max}"),
        (_, unit) => format!("a whole number from {min} to {max} ({unit})"),
    };
    Diagnostic::new(
        Code::InvalidNumber,
        format!("`{}` is no value for `{name}`", shorten(&word.text)),
    )
    .at(word.span, format!("expected {range}"))
    .maybe_help(lexer::comment_hint(&word.text))
    .help(match word.text.strip_suffix(unit).filter(|_| !unit.is_empty()) {
        Some(number) => format!("write `{name} {number}`: the unit is {unit} already"),
        None => "write a number inside the range".to_owned(),
    })
}

fn invalid_time(name: &str, word: &Word, error: DurationError, label: &str) -> Diagnostic {
    let shown = shorten(&word.text);
    let bare_unit = error == DurationError::Unit && label == error.to_string();
    let label = if bare_unit { "a plain number is seconds" } else { label };
    let found = Diagnostic::new(Code::InvalidDuration, format!("`{shown}` is no time: it {error}"))
        .at(word.span, label);
    match duration::suggestion(&word.text) {
        Some((seconds, ms)) => found.help(format!("write `{name} {seconds}` or `{name} {ms}`")),
        None => found
            .maybe_help(lexer::comment_hint(&word.text))
            .help("write seconds without a unit (`2`, `0.5`) or milliseconds (`500ms`)"),
    }
}

fn invalid_choice(name: &str, word: &Word, words: &[&str]) -> Diagnostic {
    let near = hint::nearest(&word.text, words.iter().copied());
    let label = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "not one of the words that it takes".into(),
    };
    Diagnostic::new(
        Code::InvalidChoice,
        format!("`{}` is no value for `{name}`", shorten(&word.text)),
    )
    .at(word.span, label)
    .maybe_help(lexer::comment_hint(&word.text))
    .help(format!("write one of: {}", words.join(", ")))
}

/// Syslog facilities with their numbers (RFC 3164); `none` has none.
const FACILITIES: [(&str, Option<u8>); 22] = [
    ("kern", Some(0)),
    ("user", Some(1)),
    ("mail", Some(2)),
    ("daemon", Some(3)),
    ("auth", Some(4)),
    ("security", Some(4)),
    ("syslog", Some(5)),
    ("lpr", Some(6)),
    ("news", Some(7)),
    ("uucp", Some(8)),
    ("cron", Some(9)),
    ("authpriv", Some(10)),
    ("ftp", Some(11)),
    ("local0", Some(16)),
    ("local1", Some(17)),
    ("local2", Some(18)),
    ("local3", Some(19)),
    ("local4", Some(20)),
    ("local5", Some(21)),
    ("local6", Some(22)),
    ("local7", Some(23)),
    ("none", None),
];
