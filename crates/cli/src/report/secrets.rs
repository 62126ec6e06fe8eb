//! What must not be in the archive, found in the configuration and covered in every part of it.
//! Pure. Rather too much is covered than too little.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What stands in the place of a secret; as long as that for each.
const COVER: &str = "********";
/// Shorter ones are covered as whole words only: they are parts of ordinary words.
const ANYWHERE_MIN: usize = 4;
/// Shorter ones would cover single letters.
const LENGTH_MIN: usize = 2;
/// Most values that are looked for: a configuration has a few dozen.
const COUNT_MAX: usize = 4_096;
/// Words that stand among secrets and are none.
const ORDINARY: [&str; 13] = [
    "auth", "crc", "md5", "sha1", "sha256", "true", "false", "yes", "no", "on", "off", "root",
    "reset",
];

/// The values.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// Each also as JSON has it. Longest first, so that no part of one is left.
    values: Vec<String>,
    count: usize,
}

impl Secrets {
    /// From covered parts of the configuration and from whole files that hold secrets. `names` are
    /// words that are known to be none: nodes.
    pub(super) fn new(parts: &[String], files: &[String], names: &[String]) -> Self {
        let mut found = BTreeSet::new();
        for part in parts.iter().chain(files) {
            found.extend(words(part));
            found.extend(part.lines().map(|line| line.trim().to_owned()));
        }
        found.retain(|word| {
            word.chars().count() >= LENGTH_MIN
                && !ORDINARY.contains(&word.as_str())
                && !names.contains(word)
                && word.parse::<IpAddr>().is_err()
                && !word.chars().all(|c| c == '*')
        });
        let kept: Vec<String> = found.into_iter().take(COUNT_MAX).collect();
        let count = kept.len();
        let mut values = Vec::new();
        for value in kept {
            let escaped = serde_json::to_string(&value).unwrap_or_default();
            let escaped = escaped.trim_matches('"').to_owned();
            if escaped != value && !escaped.is_empty() {
                values.push(escaped);
            }
            values.push(value);
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values, count }
    }

    /// How many different ones.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// `text` without them.
    pub(super) fn cover(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = if value.chars().count() >= ANYWHERE_MIN {
                    text.replace(value.as_str(), COVER)
                } else {
                    replace_word(&text, value)
                };
            }
        }
        text
    }

    /// Whether one of them is in `bytes`, which cannot be covered.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        let long = self.values.iter().filter(|value| value.chars().count() >= ANYWHERE_MIN);
        long.map(String::as_bytes).any(|value| contains(bytes, value))
    }
}

fn contains(bytes: &[u8], value: &[u8]) -> bool {
    let Some(first) = value.first() else { return false };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(at, _)| bytes.get(at..).is_some_and(|rest| rest.starts_with(value)))
}

/// Replaces `value` where neither neighbour is a letter or a digit.
fn replace_word(text: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, found) = rest.split_at(at);
        let after = found.get(value.len()..).unwrap_or_default();
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        out.push_str(before);
        let whole = !is_part(last) && !is_part(after.chars().next());
        out.push_str(if whole { COVER } else { value });
        rest = after;
    }
    out + rest
}

/// What is between quotes, and words without the signs around them. Of `name = value` the name is
/// none.
fn words(part: &str) -> Vec<String> {
    let mut all = Vec::new();
    for quote in ['"', '\''] {
        let pieces: Vec<&str> = part.split(quote).collect();
        if pieces.len() > 2 {
            all.extend(pieces.iter().skip(1).step_by(2).map(|piece| (*piece).to_owned()));
        }
    }
    let quoted = !all.is_empty();
    if !quoted {
        let is_sign = |c: char| matches!(c, '{' | '}' | '[' | ']' | ',' | '"' | '\'' | '#' | ';');
        for word in part.split_whitespace() {
            let word = word.trim_matches(is_sign);
            all.push(word.to_owned());
            // `password=x` and `user:password` of a file.
            all.extend(word.split_once(['=', ':']).map(|(_, value)| value.to_owned()));
        }
    }
    all
}

/// Files that hb.toml names because they hold secrets: the values of keys that end in `_file`.
pub(super) fn named_files(native: &str) -> Vec<String> {
    const END: &str = "_file";
    let mut all = Vec::new();
    for line in native.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(END) {
            rest = rest.get(at + END.len()..).unwrap_or_default();
            let value = rest.trim_start_matches(['"', '\'', ' ', '\t']);
            let Some(value) = value.strip_prefix('=').map(str::trim_start) else { continue };
            let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                continue;
            };
            let mut parts = value.get(1..).unwrap_or_default().splitn(2, quote);
            all.extend(parts.next().map(str::to_owned));
            rest = parts.next().unwrap_or_default();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> Secrets {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        Secrets::new(&parts, &[], &["node2".to_owned()])
    }

    #[test]
    fn every_secret_is_covered_wherever_it_stands() {
        let check = |parts: &[&str], text: &str, expect: &str| {
            assert_eq!(of(parts).cover(text), expect, "{parts:?} in {text:?}");
        };
        check(&["hunter2x"], "a=hunter2x, bhunter2xb", "a=********, b********b");
        check(&["ab"], "ab, cab {ab}", "********, cab {********}");
        check(
            &["{ ip = \"10.0.0.9\", pw = \"hunter2\" }"],
            "10.0.0.9 hunter2 pw",
            "10.0.0.9 ******** pw",
        );
        check(&["ipmilan node2 root s3cret"], "node2 root s3cret", "node2 root ********");
        check(&["long-one", "long"], "long-one long", "******** ********");
        check(
            &["with \"quotes\" inside"],
            r#"{"x":"with \"quotes\" inside"}"#,
            r#"{"x":"********"}"#,
        );
        check(&["sha1", "10.0.0.1", "*****", "x"], "sha1 10.0.0.1 x", "sha1 10.0.0.1 x");
    }

    #[test]
    fn bytes_that_hold_one_are_known() {
        assert!(of(&["hunter2"]).are_in(b"\x00\xffhunter2\x00"));
        assert!(!of(&["hunter2"]).are_in(b"hunter1 hunte"));
    }

    #[test]
    fn files_that_hold_secrets() {
        let text = "[serve]\ntoken_file = \"/etc/ha.d/token\"\n[notify]\nmail = { password_file='/x y', a = 1 }\n\
                    # key_file = \"/old\"\nnofile = 1\nlog_file\n";
        assert_eq!(named_files(text), ["/etc/ha.d/token", "/x y", "/old"]);
    }
}
