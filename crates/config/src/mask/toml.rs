//! What of hb.toml must not be shown. It reads files that are not TOML too, for those are drawn with
//! their faults: it follows lines, quotes and brackets, covers rather too much than too little, and
//! decides nothing else.

use std::ops::Range;

use crate::secret::SECRET_NAMES;

/// The table of a fence device whose values are passwords or next to one.
const PARAMETERS: &str = "parameters";

/// The ranges of `text` to cover, in order, none across lines: each value of a name like a
/// password's, everything in `parameters`, to the end of the line and for as long as its quotes or
/// brackets are open; also where the `=` is missing and where it is commented out.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut state = State::default();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let blanks = body.len() - body.trim_start().len();
        if let Some(from) = state.line(body.get(blanks..).unwrap_or_default()) {
            found.push(start + blanks + from..start + body.len());
        }
        start += line.len();
    }
    found.retain(|range| !range.is_empty());
    found
}

/// Where a line begins.
#[derive(Default)]
struct State {
    /// Inside of a value to cover.
    value: Open,
    /// Below a header like `[fencing.device.parameters]`.
    section: bool,
    /// The name of a password ended the line before; its value may stand here.
    expected: bool,
}

impl State {
    /// Where the part of a line to cover begins. `line` has no blanks around it.
    fn line(&mut self, line: &str) -> Option<usize> {
        if self.value.is_open() {
            self.value.follow(line);
            return Some(0);
        }
        if line.is_empty() {
            return None;
        }
        let expected = std::mem::take(&mut self.expected);
        if line.starts_with('[') {
            self.section = name_end(line).is_some();
            if is_plain_header(line) {
                return None;
            }
        }
        let from = match name_end(line) {
            Some(end) => {
                let from = value_start(line, end);
                self.expected = from == line.len() && !line.starts_with('#');
                from
            }
            None if self.section || expected => match line.split_once('=') {
                Some((name, _)) if is_plain_name(name) => value_start(line, name.len()),
                Some(_) | None => 0,
            },
            None => return None,
        };
        // A comment opens nothing.
        if !line.starts_with('#') {
            self.value.follow(line.get(from..).unwrap_or_default());
        }
        Some(from)
    }
}

/// What of a value is open at the end of a line.
#[derive(Default)]
struct Open {
    /// Quotes of a text of several lines.
    quotes: Option<&'static str>,
    /// Brackets and braces.
    depth: usize,
}

impl Open {
    fn is_open(&self) -> bool {
        self.quotes.is_some() || self.depth > 0
    }

    /// Reads a line, or the rest of one from where the value begins.
    fn follow(&mut self, mut rest: &str) {
        loop {
            if let Some(quotes) = self.quotes {
                let Some(end) = text_end(rest, quotes) else { return };
                self.quotes = None;
                rest = rest.get(end..).unwrap_or_default();
            }
            let Some(at) = rest.find(['"', '\'', '[', ']', '{', '}', '#']) else { return };
            let (_, mark) = rest.split_at(at);
            let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|it| mark.starts_with(it));
            match (quotes, mark.as_bytes().first()) {
                (Some(quotes), _) => {
                    rest = mark.get(quotes.len()..).unwrap_or_default();
                    if quotes.len() == 3 {
                        self.quotes = Some(quotes);
                        continue;
                    }
                    // A text of one line ends there, quotes or not.
                    let Some(end) = text_end(rest, quotes) else { return };
                    rest = rest.get(end..).unwrap_or_default();
                    continue;
                }
                (None, Some(b'#')) => return,
                (None, Some(b'[' | b'{')) => self.depth += 1,
                (None, _) => self.depth = self.depth.saturating_sub(1),
            }
            rest = mark.get(1..).unwrap_or_default();
        }
    }
}

/// Behind the quotes that end a text; a backslash escapes in `"` only.
fn text_end(text: &str, quotes: &str) -> Option<usize> {
    let escapes = quotes.starts_with('"');
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if escapes && byte == b'\\' {
            escaped = true;
        } else if text.as_bytes().get(at..).is_some_and(|it| it.starts_with(quotes.as_bytes())) {
            return Some(at + quotes.len());
        }
    }
    None
}

/// Where the first name ends that is `parameters` or like a password's, with the quotes around it.
fn name_end(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let names = SECRET_NAMES.iter().chain([&PARAMETERS]);
    let at = names.filter_map(|name| lower.find(name)).min()?;
    let (before, rest) = line.split_at_checked(at)?;
    let end = at + rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
    let quote = before.trim_end_matches(is_name).chars().next_back();
    let quoted = quote.filter(|c| matches!(c, '"' | '\''));
    let closed =
        quoted.is_some_and(|quote| line.get(end..).is_some_and(|it| it.starts_with(quote)));
    Some(end + usize::from(closed))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Where the value behind a name begins, with or without `=` or `:`.
fn value_start(line: &str, name_end: usize) -> usize {
    let rest = line.get(name_end..).unwrap_or_default();
    let value = rest.trim_start();
    let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
    line.len() - value.len()
}

/// Whether this is what stands before a `=`: a name, a quoted name, or one that is commented out.
fn is_plain_name(text: &str) -> bool {
    let name = text.trim_start_matches(['#', ' ', '\t']).trim_end();
    let bare = name.strip_prefix(['"', '\'']).and_then(|it| it.strip_suffix(['"', '\'']));
    let name = bare.unwrap_or(name);
    !name.is_empty() && name.chars().all(is_name)
}

/// `[name]` or `[[name]]` without values, perhaps with a comment behind it.
fn is_plain_header(line: &str) -> bool {
    let code = line.split('#').next().unwrap_or_default().trim_end();
    let inner = code.trim_start_matches('[').trim_end_matches(']');
    code.ends_with(']') && inner.chars().all(|c| is_name(c) || c == ' ') && code.len() == line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text` with `*` for what is covered.
    fn covered(text: &str) -> String {
        let mut shown = text.to_owned();
        for range in secrets(text).into_iter().rev() {
            assert!(!text[range.clone()].contains('\n'), "{range:?} of {text:?}");
            shown.replace_range(range, "*");
        }
        shown
    }

    fn check(text: &str, expect: &str) {
        assert_eq!(covered(text), expect, "{text:?}");
    }

    #[test]
    fn one_line_with_and_without_an_equals_sign() {
        check("parameters = { ip = \"a\" } ", "parameters = * ");
        check("parameters.pin = \"a\"", "parameters.pin = *");
        check("password \"x\"", "password *");
        check("password\"x=y\"", "password*");
        check("password \"x=y\"", "password *");
        check("password: x # y", "password: *");
        check("\"password\" = 'x'", "\"password\" = *");
        check("PASSWD_SCRIPT=x", "PASSWD_SCRIPT=*");
        check("# password = \"x\"", "# password = *");
        check("device = { name = \"a\", secret = \"b\" }", "device = { name = \"a\", secret = *");
        check("device = \"/dev/watchdog\"", "device = \"/dev/watchdog\"");
        check("password = ", "password = ");
    }

    #[test]
    fn values_of_several_lines() {
        check(
            "password = \"\"\"\na\n  b\n\"\"\"\ntimeout = \"3s\"",
            "password = *\n*\n  *\n*\ntimeout = \"3s\"",
        );
        check("password '''a\nb''' \nlevel = 1", "password *\n* \nlevel = 1");
        check("password = \"\"\"a \\\"\"\"\nb\"\"\"\nc = 1", "password = *\n*\nc = 1");
        check("password = \"\"\"a\n\n[x]\nb = 1", "password = *\n\n*\n*");
        check("password\"\"\"a\nb\"\"\"\nc = 1", "password*\n*\nc = 1");
        check("\"password\" \"\"\"a\nb\"\"\"\nc = 1", "\"password\" *\n*\nc = 1");
        check("token = [\n \"a]\", # ]\n \"b\" ]\nc = 1", "token = *\n *\n *\nc = 1");
        check("parameters = {\n pin = \"}\"\n}\nlevel = 1", "parameters = *\n *\n*\nlevel = 1");
        check("password = \"a\nlevel = 1", "password = *\nlevel = 1");
        check("password = \"a\"\nlevel = 1", "password = *\nlevel = 1");
        check("password =\n  \"a\"\nlevel = 1", "password =\n  *\nlevel = 1");
        check("password\n\n= \"a\"\nlevel = 1", "password\n\n*\nlevel = 1");
        check("# the password\nlevel = 1", "# the password\nlevel = 1");
        check("# password = \"\"\"\nlevel = 1", "# password = *\nlevel = 1");
    }

    #[test]
    fn a_section_of_parameters() {
        check(
            "[fencing.device.parameters] # x\n[fencing.device.parameters]\npin = \"a\"\nb \"c=d\"\n\
             # e = 1\ntwo = \"\"\"\nf\n\"\"\"\n[fencing]\ndelay = \"1s\"",
            "[fencing.device.parameters*\n[fencing.device.parameters]\npin = *\n*\n\
             # e = *\ntwo = *\n*\n*\n[fencing]\ndelay = \"1s\"",
        );
        check("[resource.\"db::password=pw\"]\nwarm = 1", "[resource.\"db::password=*\nwarm = *");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_covered_line_by_line(text in "(password|parameters|[\\[\\]{}\"'#= \\n\\\\a主])*") {
            let mut last = 0;
            for range in secrets(&text) {
                proptest::prop_assert!(last <= range.start && range.start < range.end);
                proptest::prop_assert!(!text.get(range.clone()).unwrap().contains('\n'));
                last = range.end;
            }
        }
    }
}
