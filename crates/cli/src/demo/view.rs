//! How the demo looks: drawn in a terminal, plain text in a pipe, one JSON document for machines.
//! Colour and drawing only repeat what the words say.

use std::io::{self, IsTerminal, Write};

use super::pair::{NODES, Pair};
use super::report::{self, Cell, Report, Step};
use crate::lab;

/// Columns of a step's title.
const TITLE: usize = 30;
/// Erases the line of a terminal and goes to its begin (ECMA-48).
const ERASE: &str = "\r\x1b[2K";

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// One document at the end.
    Json,
    /// Words only.
    Plain,
    /// Symbols and bars, with or without colour.
    Drawn { colour: bool },
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    style: Style,
    verbose: bool,
}

impl View {
    /// What the user asked for and the terminal can show.
    pub(super) fn new(json: bool, plain: bool, verbose: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let style = if json {
            Style::Json
        } else if plain || dumb || !io::stdout().is_terminal() {
            Style::Plain
        } else {
            Style::Drawn { colour: std::env::var_os("NO_COLOR").is_none() }
        };
        Self { style, verbose }
    }

    /// Before anything is done.
    pub(super) fn begin(self, pair: &Pair) {
        if self.style == Style::Json {
            return;
        }
        let [preferred, _] = NODES;
        line(&format!(
            "A pair on this machine: {}, keepalive {} ms, deadtime {} ms, {}.",
            NODES.join(" and "),
            pair.keepalive_ms,
            pair.deadtime_ms,
            pair.service(),
        ));
        line(&format!(
            "A client asks http://{}/ every 2 ms; the service prefers {preferred}.",
            lab::FLOATING
        ));
        if let Style::Drawn { .. } = self.style {
            let nodes = NODES.iter().enumerate();
            let legend: Vec<String> =
                nodes.map(|(n, name)| format!("{} {name}", self.cell(Cell::Served(n)))).collect();
            line(&format!("{}  {} no answer", legend.join("  "), self.cell(Cell::Nothing)));
        }
        line("");
    }

    /// A step begins.
    pub(super) fn scene_begins(self, title: &str) {
        if let Style::Drawn { .. } = self.style {
            write(&format!("  {title} …"));
        }
    }

    /// A step has ended.
    pub(super) fn scene_ends(self, step: &Step) {
        match self.style {
            Style::Json => {}
            Style::Plain => self.plain_step(step),
            Style::Drawn { .. } => self.drawn_step(step),
        }
    }

    fn plain_step(self, step: &Step) {
        line(&format!("{:TITLE$} {}", step.title, self.result(step)));
        self.events(step);
    }

    fn drawn_step(self, step: &Step) {
        write(ERASE);
        let symbol = match (step.failure.is_some(), step.within_target) {
            (true, _) => self.paint("1;31", "✖"),
            (false, Some(false)) => self.paint("1;33", "▲"),
            (false, Some(true) | None) => self.paint("1;32", "✔"),
        };
        line(&format!("{symbol} {:TITLE$} {}", step.title, self.result(step)));
        if let Some(seen) = &step.seen {
            let bar: String = seen.bar.iter().map(|cell| self.cell(*cell)).collect();
            line(&format!("  {bar} {:.0} ms", seen.bar_ms));
        }
        self.events(step);
    }

    /// The figures of a step in words.
    fn result(self, step: &Step) -> String {
        let mut text = match (&step.failure, &step.seen) {
            (Some(failure), _) => return format!("FAILED: {failure}"),
            (None, None) => "done".to_owned(),
            (None, Some(seen)) if seen.from.is_none() => {
                format!("served by {} after {:.1} ms", seen.to, seen.outage_ms)
            }
            (None, Some(seen)) => format!("outage {:6.1} ms", seen.outage_ms),
        };
        if let Some(target) = step.target_ms {
            text += &match step.within_target {
                Some(true) => format!("   target {target} ms: within"),
                Some(false) => format!("   target {target} ms: MISSED"),
                None => format!("   target {target} ms"),
            };
        }
        if let Some(seen) = step.seen.as_ref().filter(|s| s.stalled_ms > 0.0) {
            text += &format!("   (this machine stalled the client for {:.1} ms)", seen.stalled_ms);
        }
        text
    }

    fn events(self, step: &Step) {
        for event in &step.events {
            let at = event.at_ms.map_or(" ".repeat(10), |ms| format!("{ms:+7.1} ms"));
            line(&self.paint("2", &format!("    {at}  {}", event.text)));
        }
        let seen = step.seen.as_ref().filter(|_| self.verbose);
        if let Some(seen) = seen {
            let missed: Vec<_> = seen.missed.iter().map(|(why, n)| format!("{n} {why}")).collect();
            line(&format!(
                "    {} probes, unanswered: {}; longest time between answers {:.1} ms",
                seen.probes,
                missed.join(", "),
                seen.longest_gap_ms,
            ));
        }
    }

    /// Lines of logs.
    pub(super) fn logs(self, lines: &[String]) {
        let mut to: Box<dyn Write> = match self.style {
            Style::Json => Box::new(io::stderr()),
            Style::Plain | Style::Drawn { .. } => Box::new(io::stdout()),
        };
        for line in lines {
            let _ = writeln!(to, "    {line}");
        }
    }

    /// All figures once more, side by side.
    pub(super) fn table(self, report: &Report) {
        if self.style == Style::Json {
            return;
        }
        line("");
        line(&format!("{:TITLE$} {:>10}   {:>10}", "step", "outage", "target"));
        for step in &report.steps {
            let outage = step.seen.as_ref().filter(|s| s.from.is_some());
            let outage = outage.map_or("-".to_owned(), |s| format!("{:.1} ms", s.outage_ms));
            let target = step.target_ms.map_or("-".to_owned(), |t| format!("{t} ms"));
            let verdict = match (step.failure.is_some(), step.within_target) {
                (true, _) => self.paint("1;31", "failed"),
                (false, Some(true)) => self.paint("1;32", "within"),
                (false, Some(false)) => self.paint("1;33", "missed"),
                (false, None) => String::new(),
            };
            let row = format!("{:TITLE$} {outage:>10}   {target:>10}   {verdict}", step.title);
            line(row.trim_end());
        }
        if let Some((load, processors)) = report.excuse() {
            line(&format!(
                "This machine is busy (load {load} on {processors} processors), which delays the \
                 nodes and the client alike."
            ));
        }
    }

    /// After the last step.
    pub(super) fn end(self, report: &Report) {
        if self.style == Style::Json {
            let text = serde_json::to_string_pretty(report).unwrap_or_default();
            line(&text);
            return;
        }
        self.table(report);
    }

    /// The pair stays.
    pub(super) fn kept(self) {
        line("");
        line("The pair keeps running. In another terminal, as the same user:");
        for node in NODES {
            line(&format!(
                "  hb demo --shell {node}     then: hb status, hb standby, less /var/log/ha-log"
            ));
        }
        line(&format!("  hb demo --shell client    then: curl http://{}/", lab::FLOATING));
        line("Ctrl-C here ends everything and leaves nothing behind.");
    }

    /// The demo itself could not go on.
    pub(super) fn broken(self, reason: &str) {
        if let Style::Drawn { .. } = self.style {
            write(ERASE);
        }
        if self.style == Style::Json {
            line(
                &serde_json::json!({ "v": report::VERSION, "ok": false, "error": reason })
                    .to_string(),
            );
        }
        complain(reason);
    }

    fn cell(self, cell: Cell) -> String {
        match cell {
            Cell::Nothing => self.paint("31", "▁"),
            Cell::Served(0) => self.paint("36", "█"),
            Cell::Served(_) => self.paint("35", "▒"),
            Cell::Change => self.paint("33", "▞"),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.style {
            Style::Drawn { colour: true } => format!("\x1b[{code}m{text}\x1b[0m"),
            Style::Drawn { colour: false } | Style::Plain | Style::Json => text.to_owned(),
        }
    }
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "hb: {text}");
}

/// A closed pipe is the reader's choice and no error.
fn line(text: &str) {
    write(&format!("{text}\n"));
}

fn write(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
