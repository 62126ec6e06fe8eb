//! `hb history`: what happened, each thing with its one cause, from the daemon and from what it
//! kept. It shows; the entries are made by the node.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use hb_node::api::{self, HistoryEntry, Request, Response};
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::client::{Client, ClientError, LIMIT};
use crate::{exit, print};

pub(crate) mod file;
pub mod line;
pub(crate) mod since;

/// Options of `hb history`.
#[derive(Clone, Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Print all that is known of each entry as JSON (docs/reference/history-json.md)
    #[arg(long)]
    json: bool,
    /// Only what happened since then: 30m, 2h, 7d, 17:20, 2026-11-08, "2026-11-08 17:20"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The last so many entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Only moves of groups
    #[arg(long)]
    moves: bool,
    /// Below each entry why, and what was done step by step
    #[arg(long, short)]
    long: bool,
    /// Nothing beyond ASCII; also when stdout is not a terminal
    #[arg(long)]
    plain: bool,
}

/// What is known of the past, and from whom.
#[derive(Clone, Debug, Serialize)]
pub struct Past {
    /// Schema version.
    v: u32,
    /// Whether the daemon answered; without it the entries are what it kept.
    pub daemon: bool,
    /// Oldest first.
    pub entries: Vec<HistoryEntry>,
    /// Lines of the file that could not be read.
    unreadable: usize,
}

/// Asks the daemon below `run_dir` and reads what it has kept in `state_dir`.
///
/// # Errors
/// When neither is there: why the daemon does not answer.
pub fn past(run_dir: &Path, state_dir: &Path) -> Result<Past, ClientError> {
    let kept = file::read(&state_dir.join(api::HISTORY_FILE));
    let told = ask(run_dir);
    let daemon = told.is_ok();
    let (kept, unreadable) = match (kept, &told) {
        (Some(kept), _) => kept,
        (None, Ok(_)) => (Vec::new(), 0),
        (None, Err(_)) => {
            return told.map(|entries| Past { v: api::VERSION, daemon, entries, unreadable: 0 });
        }
    };
    let entries = join(kept, told.unwrap_or_default());
    Ok(Past { v: api::VERSION, daemon, entries, unreadable })
}

fn ask(run_dir: &Path) -> Result<Vec<HistoryEntry>, ClientError> {
    match Client::connect(run_dir, api::STATUS_SOCKET, Some(LIMIT))?.ask(Request::History)? {
        Response::History(entries) => Ok(entries),
        Response::Error { text } => Err(ClientError::Protocol(text)),
        other @ (Response::Status(_) | Response::Changes { .. } | Response::Done { .. }) => {
            Err(ClientError::Protocol(format!("{other:?}")))
        }
    }
}

/// The file reaches further back, the daemon knows what is not written yet.
fn join(mut kept: Vec<HistoryEntry>, told: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
    if let Some(first) = told.first() {
        kept.retain(|entry| entry.number < first.number);
    }
    kept.extend(told);
    kept
}

/// Runs `hb history`. Exit: 0, 2 for a time that cannot be read, 3 when nothing is known.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &HistoryArgs) -> ExitCode {
    let now = Zoned::now();
    let from_ms = match args.since.as_deref().map(|text| since::parse(text, &now)) {
        None => 0,
        Some(Ok(ms)) => ms,
        Some(Err(error)) => {
            print::err(&format!("hb: --since {error}\n"));
            return exit::code(exit::USAGE);
        }
    };
    let mut past = match past(run_dir, state_dir) {
        Ok(past) => past,
        Err(error) => {
            print::err(&format!("hb: {error}\n"));
            return exit::code(exit::UNKNOWN);
        }
    };
    past.entries.retain(|entry| entry.at_ms() >= from_ms && (!args.moves || entry.is_move()));
    let earlier = past.entries.len().saturating_sub(args.limit);
    past.entries.drain(..earlier);
    if args.json {
        match serde_json::to_string_pretty(&past) {
            Ok(text) => print::out(&format!("{text}\n")),
            Err(error) => print::err(&format!("hb: {error}\n")),
        }
        return exit::code(exit::OK);
    }
    notes(&past, state_dir);
    print::out(&lines(&past.entries, earlier, args, &now));
    exit::code(exit::OK)
}

/// What stands beside the entries goes to stderr, so that a pipe sees lines only.
fn notes(past: &Past, state_dir: &Path) {
    let path = state_dir.join(api::HISTORY_FILE);
    if !past.daemon {
        let path = path.display();
        print::err(&format!("heartbeat does not run here: this is what it kept in {path}\n"));
    }
    if past.unreadable > 0 {
        let (count, path) = (past.unreadable, path.display());
        print::err(&format!("{count} lines of {path} cannot be read and are left out\n"));
    }
    if past.entries.is_empty() {
        print::err("nothing has happened in that time\n");
    }
}

fn lines(entries: &[HistoryEntry], earlier: usize, args: &HistoryArgs, now: &Zoned) -> String {
    let symbols = print::is_terminal() && !args.plain;
    let clock = |ms: u64| moment(ms, now);
    let mut out = String::new();
    if earlier > 0 {
        out += &format!("({earlier} earlier: hb history --limit {})\n", earlier + entries.len());
    }
    for entry in entries {
        out += &line::line(entry, &clock(entry.at_ms()), symbols);
        out.push('\n');
        if args.long {
            out += &line::details(entry);
        }
    }
    out
}

/// `08 Nov 17:20:03.412`, with the year when it is another one.
pub fn moment(unix_ms: u64, now: &Zoned) -> String {
    let Some(at) = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
    else {
        return "at an unknown time".to_owned();
    };
    let at = at.to_zoned(now.time_zone().clone());
    let year = if at.year() == now.year() { "" } else { " %Y" };
    at.strftime(&format!("%d %b{year} %H:%M:%S%.3f")).to_string()
}

#[cfg(test)]
mod tests;
