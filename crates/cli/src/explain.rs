//! `hb explain`: what a finding, a directive of ha.cf or a key of hb.toml means. All texts come
//! from the tables of `hb_config`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use hb_config::Code;
use hb_config::codes::CodeInfo;
use hb_config::directives::{self, Directive, Support, TABLE};
use hb_config::native::{self, KEYS, NativeKey};

/// The topic is not known.
const USAGE: u8 = 2;

/// Columns of the text.
const WIDTH: usize = 80;

/// Explain a finding (HB0101), a directive of ha.cf (deadtime) or a key of hb.toml.
///
/// Without a topic, lists everything that can be explained.
///
/// Exit status: 0, or 2 when the topic is not known.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Code, directive or key.
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

/// Runs `hb explain`.
pub(crate) fn run(args: &ExplainArgs) -> ExitCode {
    match args.topic.as_deref().map_or_else(|| Ok(list()), explain) {
        Ok(text) => {
            // A pager that was left wants no more text.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(text) => {
            let _ = io::stderr().lock().write_all(text.as_bytes());
            ExitCode::from(USAGE)
        }
    }
}

/// The text of a topic, or what to say when there is none.
fn explain(topic: &str) -> Result<String, String> {
    if let Some(code) = Code::parse(topic) {
        return Ok(code_text(code));
    }
    match (directives::find(topic), native::find(topic)) {
        (Some(row), _) => Ok(directive_text(row)),
        (None, Some(key)) => Ok(key_text(key)),
        (None, None) => Err(unknown(topic)),
    }
}

fn unknown(topic: &str) -> String {
    let shown: String = topic.chars().take(40).flat_map(char::escape_debug).collect();
    let codes: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    let keys: Vec<String> = KEYS.iter().map(key_name).collect();
    let names = TABLE.iter().map(|row| row.name);
    let upper = topic.to_uppercase();
    let near = match upper.starts_with("HB") {
        true => hb_config::hint::nearest(&upper, codes.iter().map(String::as_str)),
        false => {
            let key_words = KEYS.iter().map(|key| key.name).chain(keys.iter().map(String::as_str));
            hb_config::hint::nearest(topic, names.chain(key_words))
        }
    };
    let hint = match near {
        Some(near) => format!("did you mean `hb explain {near}`?"),
        None => "`hb explain` lists all codes, directives and keys".to_owned(),
    };
    format!("hb explain: nothing is known of `{shown}`\nhint: {hint}\n")
}

fn code_text(code: Code) -> String {
    let CodeInfo { severity, title, explanation, cure, .. } = code.info();
    let mut text = format!("{code}: {title} ({})\n\n", severity.word());
    paragraph(&mut text, "", explanation);
    text.push('\n');
    paragraph(&mut text, "What to do: ", cure);
    text
}

fn directive_text(row: &Directive) -> String {
    let mut text = format!("{} {}\n\n", row.name, row.grammar.syntax());
    paragraph(&mut text, "", &sentence(row.doc_short));
    text.push('\n');
    paragraph(&mut text, "", row.doc_long);
    text.push('\n');
    if let Some(alias) = row.alias {
        paragraph(&mut text, "Also written: ", alias);
    }
    paragraph(&mut text, "Default: ", row.default.unwrap_or("none"));
    match row.support {
        Support::Implemented => {}
        Support::AcceptedWithWarning { why, .. } => {
            paragraph(&mut text, "Accepted with a warning: ", &format!("{why}."));
        }
        Support::Refused { why, instead, .. } => {
            paragraph(&mut text, "Refused: ", &format!("{why}; {instead}."));
        }
    }
    paragraph(&mut text, "File: ", "ha.cf");
    text
}

fn key_text(key: &NativeKey) -> String {
    let mut text = format!("{} = {}\n\n", key_name(key), key.kind.syntax());
    paragraph(&mut text, "", key.doc);
    text.push('\n');
    paragraph(&mut text, "Default: ", key.default());
    paragraph(&mut text, "File: ", &format!("hb.toml, section {}", key.header()));
    text
}

fn key_name(key: &NativeKey) -> String {
    format!("{}.{}", key.section, key.name)
}

fn list() -> String {
    let mut text = String::from("Directives of ha.cf:\n");
    for row in TABLE {
        let _ = writeln!(text, "  {:<24} {}", row.name, row.doc_short);
    }
    text.push_str("\nKeys of hb.toml:\n");
    for key in KEYS {
        let _ = writeln!(text, "  {:<28} {}", key_name(key), key.kind.syntax());
    }
    text.push_str("\nFindings of hb check:\n");
    for code in Code::ALL {
        let info = code.info();
        let _ = writeln!(text, "  {code}  {:<8} {}", info.severity.word(), info.title);
    }
    text
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

/// `words` in lines of at most [`WIDTH`] columns, the first beginning with `head`.
fn paragraph(text: &mut String, head: &str, words: &str) {
    let mut column = head.chars().count();
    text.push_str(head);
    let mut first = true;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if !first && column + 1 + width > WIDTH {
            text.push('\n');
            column = 0;
        } else if !first {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
        first = false;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_in_all_three_tables() {
        let check = |topic, expect: &str| {
            let text = explain(topic).unwrap();
            assert!(text.contains(expect), "{topic}: {text}");
        };
        check("HB0101", "HB0101: an unknown directive (error)");
        check("hb101", "HB0101");
        check("deadtime", "Default: 30\n");
        check("udp", "Also written: udp\n");
        check("serial", "Accepted with a warning: ");
        check("resource.warm", "Default: false");
        check("autojoin", "Refused: nodes that join unasked");
        check("stop_timeout", "File: hb.toml, section [operations]");
        check("announce.count", "Default: 5");
    }

    #[test]
    fn unknown_topics_get_a_suggestion() {
        let check = |topic, expect: &str| {
            let text = explain(topic).unwrap_err();
            assert!(text.contains(expect), "{topic}: {text}");
        };
        check("HB0199", "`hb explain HB01");
        check("deadtiem", "did you mean `hb explain deadtime`?");
        check("stop_timeot", "did you mean `hb explain stop_timeout`?");
        check("announce.cuont", "did you mean `hb explain announce.count`?");
        check("quorum", "lists all codes");
        check("\x1b[2J", "nothing is known of `\\u{1b}[2J`");
    }

    #[test]
    fn lines_fit_a_terminal() {
        let mut text = list();
        for code in Code::ALL {
            text.push_str(&code_text(*code));
        }
        for row in TABLE {
            text.push_str(&directive_text(row));
        }
        for key in KEYS {
            text.push_str(&key_text(key));
        }
        for line in text.lines() {
            // A single long word, a path in a command, may be longer.
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
