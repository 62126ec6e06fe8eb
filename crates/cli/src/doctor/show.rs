//! The doctor's findings as text and JSON. It decides nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Area, Finding, Level, worst};

/// Columns of the text.
const WIDTH: usize = 96;
/// Version of the JSON object; grows with incompatible changes only.
const VERSION: u32 = 1;

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct Report {
    /// This node, when its name is known.
    pub(crate) node: Option<String>,
    /// Which areas were looked at.
    pub(crate) areas: Vec<Area>,
    pub(crate) findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    node: Option<&'a str>,
    areas: &'a [Area],
    verdict: Level,
    findings: &'a [Finding],
}

impl Report {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("{}\n", self.verdict());
        for area in &self.areas {
            let of = |level: Level| {
                self.findings.iter().filter(move |it| it.area == *area && it.level == level)
            };
            let _ = write!(out, "\n{}\n", area.word());
            for level in [Level::Problem, Level::Warning, Level::Note, Level::Ok] {
                of(level).for_each(|finding| describe(&mut out, finding));
            }
        }
        out
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let json = Json {
            version: VERSION,
            node: self.node.as_deref(),
            areas: &self.areas,
            verdict: worst(&self.findings),
            findings: &self.findings,
        };
        // Strings and numbers only: there is nothing that could fail.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }

    fn verdict(&self) -> String {
        let count = |level| self.findings.iter().filter(|it| it.level == level).count();
        let many = |level: Level| match count(level) {
            1 => format!("1 {}", level.word()),
            count => format!("{count} {}s", level.word()),
        };
        let node = self.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let looked = self.findings.len();
        match worst(&self.findings) {
            Level::Problem => {
                format!("{}, {}{node}", many(Level::Problem), many(Level::Warning))
            }
            Level::Warning => format!("{}{node}", many(Level::Warning)),
            Level::Note | Level::Ok => format!("all is well{node}: {looked} things looked at"),
        }
    }
}

fn describe(out: &mut String, finding: &Finding) {
    let Finding { level, id, text, why, cure, .. } = finding;
    match level {
        Level::Ok => wrap(out, "  ok       ", 11, text),
        Level::Problem | Level::Warning | Level::Note => {
            let head = format!("  {:<8} ", level.word());
            wrap(out, &head, 11, &format!("{text} [{id}]"));
        }
    }
    if !why.is_empty() {
        wrap(out, "           why: ", 16, why);
    }
    for one in cure {
        wrap(out, "           do:  ", 16, one);
    }
}

/// `words` behind `head`, in lines of at most [`WIDTH`] columns, all but the first indented. What is
/// between backquotes stays on one line, to be copied.
fn wrap(out: &mut String, head: &str, indent: usize, words: &str) {
    let mut column = head.chars().count();
    out.push_str(head);
    let mut first = true;
    for word in pieces(words) {
        let width = word.chars().count();
        if !first && column + 1 + width > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += width;
        first = false;
    }
    out.push('\n');
}

/// Words; what is between backquotes is one.
fn pieces(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        match all.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => all.push(word.to_owned()),
        }
        if word.matches('`').count() % 2 == 1 {
            open = !open;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report { node: Some("node1".to_owned()), areas: vec![Area::Links, Area::Boot], findings }
    }

    #[test]
    fn the_most_urgent_comes_first_and_says_what_to_do() {
        let findings = vec![
            Finding::ok(Area::Links, "port", "UDP 694 is ours"),
            Finding::warning(Area::Boot, "not_enabled", "heartbeat does not start at boot")
                .why("after a power loss nobody serves")
                .cure("`systemctl enable heartbeat`"),
            Finding::problem(Area::Links, "firewall_drops", "UDP 694 is dropped").cure("one"),
        ];
        let expect = "1 problem, 1 warning on node1\n\nlinks\n  problem  UDP 694 is dropped \
                      [firewall_drops]\n           do:  one\n  ok       UDP 694 is ours\n\nboot\n  \
                      warning  heartbeat does not start at boot [not_enabled]\n           why: after \
                      a power loss nobody serves\n           do:  `systemctl enable heartbeat`\n";
        assert_eq!(report(findings).text(), expect);
    }

    #[test]
    fn nothing_but_notes_is_well() {
        let findings = vec![Finding::note(Area::Boot, "x", "y")];
        assert!(report(findings).text().starts_with("all is well on node1: 1 things looked at\n"));
    }

    #[test]
    fn commands_stay_on_one_line() {
        let mut out = String::new();
        let command = format!("`nft {}`", "x ".repeat(40));
        wrap(&mut out, "do: ", 4, &format!("write this line here and nowhere else: {command}"));
        assert_eq!(out.lines().count(), 2, "{out}");
    }

    #[test]
    fn programs_get_one_object() {
        let findings = vec![Finding::problem(Area::Links, "no_interface", "eth7 is not there")];
        let json: serde_json::Value = serde_json::from_str(&report(findings).json()).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(json["verdict"], "problem");
        assert_eq!(json["areas"][1], "boot");
        assert_eq!(json["findings"][0]["level"], "problem");
    }
}
