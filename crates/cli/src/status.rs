//! `hb status`: is it fine, who is active, can it fail over, what to do. It asks the daemon, or
//! reads what the daemon kept when it cannot be asked, and shows it in the form that is wanted; it
//! decides nothing.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hb_node::api::{StatusSnapshot, Verdict};
use jiff::{Timestamp, Zoned};

use crate::client::ClientError;
use crate::{client, exit, history, print};

mod aged;
mod forms;
mod plain;
mod screen;
mod split;
mod watch;

pub(crate) use aged::aged;
pub use forms::{json, oneline, word_of};
pub(crate) use screen::Style;
use screen::screen;
pub use screen::{claim_word, heard, hears, if_it_dies, is_heard, peer_holdings};
pub use split::split_word;

/// Options of `hb status`.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(crate) struct StatusArgs {
    /// Print the whole snapshot as JSON (schema version in the field `v`)
    #[arg(long, group = "form")]
    json: bool,
    /// One `key value` line for each fact, for grep and scripts
    #[arg(long, group = "form")]
    plain: bool,
    /// One line and performance data for Nagios, Icinga and Checkmk
    #[arg(long, group = "form")]
    nagios: bool,
    /// One line for a prompt or /etc/motd: `www@ha1 ok ready`
    #[arg(long, group = "form")]
    oneline: bool,
    /// No symbols beyond ASCII and no colour; also when stdout is not a terminal
    #[arg(long)]
    ascii: bool,
    /// Show it again every so many seconds, until ^C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
}

/// What is known, and whether the daemon itself said so.
#[derive(Debug)]
pub struct Known {
    /// `None`: nothing is known at all.
    pub snapshot: Option<StatusSnapshot>,
    /// Why the daemon was not asked, and how old what it kept is.
    pub down: Option<Down>,
}

/// The daemon cannot be asked.
#[derive(Debug)]
pub struct Down {
    /// Why.
    pub error: ClientError,
    /// Age of the snapshot in ms.
    pub age_ms: u64,
    /// When it was kept, in Unix milliseconds; 0 when there is none.
    pub saved_unix_ms: u64,
    /// The daemon had stopped in order.
    pub is_last: bool,
}

impl Known {
    /// The exit code of monitoring plugins: 0 healthy, 1 degraded or in transition, 2 not served or
    /// split, 3 unknown.
    fn exit_code(&self) -> u8 {
        match (&self.snapshot, &self.down) {
            (Some(snapshot), None) => verdict_code(snapshot.verdict),
            (Some(_) | None, _) => exit::UNKNOWN,
        }
    }
}

/// Asks the daemon, or reads what it kept. Every age is counted to this moment.
pub fn known(run_dir: &Path, state_dir: &Path) -> Known {
    let error = match client::snapshot(run_dir) {
        Ok(snapshot) => return Known { snapshot: Some(snapshot), down: None },
        Err(error) => error,
    };
    let Some(saved) = history::file::last_status(state_dir) else {
        let down = Down { error, age_ms: 0, saved_unix_ms: 0, is_last: false };
        return Known { snapshot: None, down: Some(down) };
    };
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let saved_unix_ms = saved.saved_unix_ms;
    let age_ms = now.saturating_sub(saved_unix_ms);
    let down = Down { error, age_ms, saved_unix_ms, is_last: saved.is_last };
    Known { snapshot: Some(aged(saved.status, age_ms)), down: Some(down) }
}

/// Runs `hb status`. Exit: 0 healthy, 1 degraded or in transition, 2 not served or split, 3 unknown.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &StatusArgs) -> ExitCode {
    if let Some(seconds) = args.watch {
        let every = Duration::from_secs(seconds);
        watch::run(every, || shown(&known(run_dir, state_dir), args).0);
    }
    let known = known(run_dir, state_dir);
    let (out, err) = shown(&known, args);
    print::err(&err);
    print::out(&out);
    exit::code(known.exit_code())
}

/// What goes to stdout and what to stderr.
fn shown(known: &Known, args: &StatusArgs) -> (String, String) {
    if args.json {
        return (forms::json(known), String::new());
    }
    if args.plain {
        return (plain::plain(known), String::new());
    }
    if args.nagios {
        return (forms::nagios(known), String::new());
    }
    if args.oneline {
        return (forms::oneline(known), String::new());
    }
    let terminal = print::is_terminal() && !args.ascii;
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let style = Style { symbols: terminal, colour };
    let now = Zoned::now();
    let clock = |ms: u64| history::moment(ms, &now);
    match page(known, style, &clock) {
        Ok(page) => (page, String::new()),
        Err(nothing) => (String::new(), nothing),
    }
}

/// The whole screen, below a line that says so when it is not of now.
///
/// # Errors
/// Why nothing is known at all.
pub(crate) fn page(
    known: &Known,
    style: Style,
    clock: &dyn Fn(u64) -> String,
) -> Result<String, String> {
    let snapshot = known.snapshot.as_ref().ok_or_else(|| nothing(known))?;
    Ok(banner(known, clock) + &screen(snapshot, style, clock))
}

fn nothing(known: &Known) -> String {
    let error = known.down.as_ref().map(|down| down.error.to_string()).unwrap_or_default();
    format!(
        "hb: {error}\nhint: start it with `systemctl start heartbeat` or `heartbeat`; \
         `hb check` tells whether its configuration is right\n"
    )
}

/// What stands above a screen that the daemon did not say just now.
fn banner(known: &Known, clock: &dyn Fn(u64) -> String) -> String {
    let Some(down) = &known.down else { return String::new() };
    let how = if down.is_last { "It was stopped in order. " } else { "" };
    format!(
        "UNKNOWN: {}\n{how}Below is the last state that was kept, {} old ({}).\n\n",
        down.error,
        age(down.age_ms),
        clock(down.saved_unix_ms)
    )
}

pub(crate) fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => exit::OK,
        Verdict::Transition | Verdict::Degraded => exit::NEGATIVE,
        Verdict::Down | Verdict::Split => exit::USAGE,
    }
}

/// A duration as people say it: `0.3 s`, `42 s`, `04:11`, `3 h 04 min`, `12 d 4 h`.
pub fn age(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..10 => format!("{}.{} s", s, ms % 1_000 / 100),
        10..60 => format!("{s} s"),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_naturally() {
        for (ms, text) in [
            (0, "0.0 s"),
            (340, "0.3 s"),
            (42_000, "42 s"),
            (251_000, "4 min 11 s"),
            (11_040_000, "3 h 04 min"),
            (1_051_200_000, "12 d 4 h"),
        ] {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn exit_codes_follow_the_verdict() {
        let codes = [
            (Verdict::Healthy, 0),
            (Verdict::Transition, 1),
            (Verdict::Degraded, 1),
            (Verdict::Down, 2),
            (Verdict::Split, 2),
        ];
        for (verdict, code) in codes {
            assert_eq!(verdict_code(verdict), code, "{verdict:?}");
        }
    }
}
