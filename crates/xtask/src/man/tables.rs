//! The tables of `hb_config` as text of man pages, put into the prose where a line `@@NAME@@` asks
//! for it.

use std::fmt::Write as _;

use hb_config::Code;
use hb_config::directives::{Directive, Support, TABLE};
use hb_config::native::KEYS;

use super::roff::{literal, text};

/// `body` with its tables.
pub(super) fn fill(body: &str) -> String {
    let mut out = String::new();
    for line in body.lines() {
        match line {
            "@@implemented@@" => out += &directives(is_implemented),
            "@@accepted@@" => out += &directives(is_accepted),
            "@@refused@@" => out += &directives(is_refused),
            "@@keys@@" => out += &keys(),
            "@@codes-authkeys@@" => out += &codes(401..=499),
            "@@codes-haresources@@" => out += &codes(301..=399),
            line => {
                out += line;
                out.push('\n');
            }
        }
    }
    out
}

fn is_implemented(support: &Support) -> bool {
    matches!(support, Support::Implemented)
}

fn is_accepted(support: &Support) -> bool {
    matches!(support, Support::AcceptedWithWarning { .. })
}

fn is_refused(support: &Support) -> bool {
    matches!(support, Support::Refused { .. })
}

fn directives(fits: impl Fn(&Support) -> bool) -> String {
    TABLE.iter().filter(|row| fits(&row.support)).map(directive).collect()
}

fn directive(row: &Directive) -> String {
    let mut out = format!(".TP\n\\fB{}\\fR {}\n", literal(row.name), text(&row.grammar.syntax()));
    let _ = writeln!(out, "{}", text(&sentence(row.doc_short)));
    let _ = writeln!(out, "{}", text(row.doc_long));
    if let Some(alias) = row.alias {
        let _ = writeln!(out, "Also written \\fB{}\\fR.", literal(alias));
    }
    if let Some(default) = row.default {
        let _ = writeln!(out, ".br\nDefault: {}.", text(default));
    }
    match row.support {
        Support::Implemented => {}
        Support::AcceptedWithWarning { why, inert } => {
            let unless = inert.map(|value| format!(" \\fB{}\\fR does not warn.", literal(value)));
            let _ = writeln!(out, ".br\nWarning: {}.{}", text(why), unless.unwrap_or_default());
        }
        Support::Refused { why, instead, inert } => {
            let unless = inert.map(|value| format!(" \\fB{}\\fR is accepted.", literal(value)));
            let unless = unless.unwrap_or_default();
            let _ = writeln!(out, ".br\nRefused: {}; {}.{unless}", text(why), text(instead));
        }
    }
    out
}

fn keys() -> String {
    let mut out = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            let _ = writeln!(out, ".SS {}", literal(&key.header()).replace('"', "\\(dq"));
        }
        let _ = writeln!(out, ".TP\n\\fB{}\\fR = {}", literal(key.name), text(&key.kind.syntax()));
        let _ = writeln!(out, "{}", text(key.doc));
        if !key.default.is_empty() {
            let _ = writeln!(out, ".br\nDefault: {}.", literal(key.default));
        }
    }
    out
}

fn codes(numbers: std::ops::RangeInclusive<u16>) -> String {
    let mut out = String::new();
    for code in Code::ALL.iter().filter(|code| numbers.contains(&code.info().number)) {
        let info = code.info();
        let title = text(&sentence(info.title));
        let _ = writeln!(
            out,
            ".TP\n\\fB{code}\\fR ({})\n{title}\n{}",
            info.severity.word(),
            text(info.cure)
        );
    }
    out
}

/// With a capital and a full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if words.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
