//! The scan's result as text, Markdown and JSON. It decides nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Finding, Readiness, Weight};
use super::plan::Step;

/// Columns of the text.
const WIDTH: usize = 96;
/// Version of the JSON object; grows with incompatible changes only.
const VERSION: u32 = 1;

/// Everything that the scan says.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) dir: String,
    pub(super) node: Option<String>,
    pub(super) peer: Option<String>,
    /// The most urgent first.
    pub(super) findings: Vec<Finding>,
    pub(super) plan: Vec<Step>,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    ready: Readiness,
    dir: &'a str,
    node: Option<&'a str>,
    peer: Option<&'a str>,
    findings: &'a [Finding],
    plan: &'a [Step],
}

impl Report {
    pub(super) fn readiness(&self) -> Readiness {
        Readiness::of(&self.findings)
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n", self.verdict());
        for finding in &self.findings {
            out.push('\n');
            let Finding { weight, id, text, .. } = finding;
            wrap(&mut out, &format!("{}[{id}]: ", weight.word()), 2, text);
            if let Some(place) = &finding.place {
                let _ = writeln!(out, "  at {place}");
            }
            for cure in &finding.cure {
                wrap(&mut out, "  = ", 4, cure);
            }
        }
        out.push_str(match self.readiness() {
            Readiness::Ready | Readiness::Remarks => "\nPlan:\n",
            Readiness::NotYet => "\nPlan, after the changes above:\n",
        });
        for (number, step) in (1..).zip(&self.plan) {
            let _ = writeln!(out, "{number:>2}. {} ({})", step.title, step.place());
            for command in &step.commands {
                let _ = writeln!(out, "        {command}");
            }
            wrap(&mut out, "    see ", 8, &step.see);
        }
        out.push('\n');
        wrap(&mut out, "To go back on a node: ", 4, GO_BACK);
        out
    }

    /// For a file: a list to be ticked off.
    pub(super) fn markdown(&self) -> String {
        let mut out = format!("# From Heartbeat 3 to Twinbeat\n\n{}\n", self.verdict());
        for weight in [Weight::Change, Weight::Remark, Weight::Note] {
            let list: Vec<_> = self.findings.iter().filter(|it| it.weight == weight).collect();
            if list.is_empty() {
                continue;
            }
            let title = match weight {
                Weight::Change => "Change before",
                Weight::Remark => "Remarks",
                Weight::Note => "Notes",
            };
            let _ = writeln!(out, "\n## {title}\n");
            for finding in list {
                let place = finding.place.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
                let _ = writeln!(out, "- [ ] **{}**{place}", escape(&finding.text));
                for cure in &finding.cure {
                    let _ = writeln!(out, "  - {}", escape(cure));
                }
            }
        }
        out.push_str("\n## Steps\n");
        for (number, step) in (1..).zip(&self.plan) {
            let _ = writeln!(out, "\n### {number}. {}\n\nOn {}:\n", step.title, step.place());
            let _ = writeln!(out, "```sh\n{}\n```\n\nSee: {}", step.commands.join("\n"), step.see);
        }
        let _ = writeln!(out, "\n## To go back on a node\n\n{GO_BACK}");
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let json = Json {
            version: VERSION,
            ready: self.readiness(),
            dir: &self.dir,
            node: self.node.as_deref(),
            peer: self.peer.as_deref(),
            findings: &self.findings,
            plan: &self.plan,
        };
        // Strings and numbers only: there is nothing that could fail.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }

    fn verdict(&self) -> String {
        let count = |weight| self.findings.iter().filter(|it| it.weight == weight).count();
        let many = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let answer = match self.readiness() {
            Readiness::Ready => "yes".to_owned(),
            Readiness::Remarks => format!("yes, with {}", many(count(Weight::Remark), "remark")),
            Readiness::NotYet => format!("not before {}", many(count(Weight::Change), "change")),
        };
        let pair = match (&self.node, &self.peer) {
            (Some(node), Some(peer)) => format!(" ({node}, peer {peer})"),
            (Some(node), None) => format!(" ({node})"),
            (None, _) => String::new(),
        };
        format!("{}{pair}: can be migrated one node at a time: {answer}", self.dir)
    }
}

impl Step {
    fn place(&self) -> String {
        self.nodes.join(", then on ")
    }
}

/// The opposite of starting Twinbeat.
const GO_BACK: &str = "`systemctl stop heartbeat` (its groups move to the other node), \
    `rm /etc/systemd/system/heartbeat.service`, `systemctl daemon-reload`, \
    `systemctl start heartbeat`. This holds as long as neither haresources nor authkeys has \
    anything that Heartbeat 3 does not know.";

/// Characters that Markdown would take for its own.
fn escape(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "\\<")
}

/// `words` behind `head`, in lines of at most [`WIDTH`] columns, all but the first indented.
fn wrap(out: &mut String, head: &str, indent: usize, words: &str) {
    let mut column = head.chars().count();
    out.push_str(head);
    let mut first = true;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if !first && column + 1 + width > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        first = false;
    }
    out.push('\n');
}
