//! One entry of the history as one line, and what stands below it. Values in, text out.

use std::fmt::Write as _;

use hb_node::api::{EntryKind, HistoryEntry, OutageSince};

/// `#41 08 Nov 17:20:03.412 www ha2→ha1 cause=standby by=root@ha2 stop 0.3 s start 0.5 s outage 0.8 s`
pub fn line(entry: &HistoryEntry, moment: &str, symbols: bool) -> String {
    let what = match entry.kind {
        EntryKind::Move if entry.is_move() => move_words(entry, symbols),
        EntryKind::Move | EntryKind::Split => split_words(entry),
        EntryKind::Node => node_words(entry),
        EntryKind::Fence => format!("fence {} {}", subject(entry), entry.what),
        EntryKind::Maintenance => format!("maintenance {} {}", subject(entry), entry.what),
        EntryKind::Failure => format!("{} {} {}", entry.group, subject(entry), entry.what),
    };
    let by = entry.by.as_ref().map(|by| format!(" by={by}")).unwrap_or_default();
    let tail = match entry.kind {
        EntryKind::Move if entry.is_move() => lengths(entry, symbols),
        EntryKind::Move
        | EntryKind::Split
        | EntryKind::Node
        | EntryKind::Fence
        | EntryKind::Maintenance
        | EntryKind::Failure => format!(": {}", one_line(&entry.reason)),
    };
    format!("#{} {moment} {what} cause={}{by}{tail}", entry.number, entry.cause)
}

fn subject(entry: &HistoryEntry) -> &str {
    entry.subject.as_deref().unwrap_or("-")
}

/// `www ha2→ha1`; what did not end with a node that serves it says so: `www ha2→- failed`.
fn move_words(entry: &HistoryEntry, symbols: bool) -> String {
    let arrow = if symbols { "→" } else { "->" };
    let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "-".to_owned());
    let path = match (&entry.from, &entry.to) {
        (Some(from), Some(to)) if from == to => from.clone(),
        (from, to) => format!("{}{arrow}{}", name(from), name(to)),
    };
    let word = match entry.what.as_str() {
        "acquired" | "released" => String::new(),
        other => format!(" {other}"),
    };
    format!("{} {path}{word}", entry.group)
}

fn split_words(entry: &HistoryEntry) -> String {
    let kept = entry.to.as_ref().map(|to| format!(" kept by {to}")).unwrap_or_default();
    format!("{} SPLIT{kept}", entry.group)
}

fn node_words(entry: &HistoryEntry) -> String {
    format!("node {} {}", subject(entry), entry.what)
}

fn lengths(entry: &HistoryEntry, symbols: bool) -> String {
    let mut out = String::new();
    let parts = [("stop", entry.stop_ms), ("start", entry.start_ms)];
    for (word, ms) in parts {
        if let Some(ms) = ms {
            let _ = write!(out, " {word} {}", span(ms));
        }
    }
    if entry.announced > 0 {
        let _ = write!(out, " announce {}", entry.announced);
    }
    if let (Some(ms), Some(since)) = (entry.outage_ms, entry.outage_since) {
        let _ = write!(out, " outage {}{}", bound(since, symbols), span(ms));
    }
    if matches!(entry.what.as_str(), "failed" | "blocked" | "restarted") {
        let _ = write!(out, ": {}", one_line(&entry.reason));
    }
    out
}

/// Which way the true length of an outage may differ.
fn bound(since: OutageSince, symbols: bool) -> &'static str {
    match (since, symbols) {
        (OutageSince::Stopped, _) => "",
        (OutageSince::LastHeard, true) => "≤",
        (OutageSince::LastHeard, false) => "<=",
        (OutageSince::Noticed, true) => "≥",
        (OutageSince::Noticed, false) => ">=",
    }
}

/// The outage for a screen: `0.8 s`, `at most 5.1 s`; `None` when it is not known.
pub fn outage(entry: &HistoryEntry) -> Option<String> {
    let ms = entry.outage_ms?;
    Some(match entry.outage_since? {
        OutageSince::Stopped => span(ms),
        OutageSince::LastHeard => format!("at most {}", span(ms)),
        OutageSince::Noticed => format!("{} from when it was noticed", span(ms)),
    })
}

/// Why, and what was done, one step in a line.
pub fn details(entry: &HistoryEntry) -> String {
    let mut out = format!("      {}\n", one_line(&entry.reason));
    for step in &entry.steps {
        let (resource, action) = (&step.resource, &step.action);
        let outcome = one_line(&step.outcome);
        let _ = writeln!(out, "      {action:<6} {resource}   {}   {outcome}", span(step.ms));
    }
    if let (Some(ms), Some(since)) = (entry.outage_ms, entry.outage_since) {
        let _ = writeln!(out, "      outage {}, counted from {}", span(ms), since.words());
    }
    out
}

/// An agent's words may have several lines.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// `42 ms`, `0.3 s`, `12 s`, `5 min 07 s`.
pub fn span(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms} ms"),
        100..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => crate::status::age(ms),
    }
}
