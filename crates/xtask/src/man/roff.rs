//! Plain words of the tables as text of a man page. Macros are written where they are needed.

/// `words` as running text: code in backticks becomes bold, nothing is taken for a macro.
pub(super) fn text(words: &str) -> String {
    let mut out = String::new();
    for (index, part) in words.split('`').enumerate() {
        if index % 2 == 1 {
            out += &format!("\\fB{}\\fR", literal(part));
        } else {
            out += &escape(part);
        }
    }
    guard(&out)
}

/// `words` as they are typed: a hyphen stays one.
pub(super) fn literal(words: &str) -> String {
    escape(words).replace('-', "\\-")
}

fn escape(words: &str) -> String {
    words.replace('\\', "\\e").replace('…', "...").replace('–', "\\(en")
}

/// A line that begins with a control character would be a macro.
fn guard(words: &str) -> String {
    let lines = words.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        Some(_) | None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What clap_mangen made, without what `mandoc -T lint` warns of: its preamble for apostrophes,
/// empty lines, two breaks in a row; and with code in bold.
pub(super) fn mend(made: &str) -> String {
    let mut out = String::new();
    let mut last = "";
    for line in made.lines() {
        let line = if line.trim().is_empty() { ".sp" } else { line.trim_end() };
        let preamble = line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds Aq");
        if preamble || (matches!(line, ".br" | ".sp") && matches!(last, ".br" | ".sp")) {
            continue;
        }
        out += &bold_code(
            &line.replace("\\*(Aq", "\\(aq").replace('…', "...").replace(" \\fR]", "\\fR]"),
        );
        out.push('\n');
        last = line;
    }
    out
}

/// Backticks become bold; one without its counterpart stays.
fn bold_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return line.to_owned();
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        1 => format!("\\fB{part}\\fR"),
        _ => (*part).to_owned(),
    };
    parts.iter().enumerate().map(part).collect()
}
