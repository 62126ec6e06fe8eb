//! The process that does a drill's fault and undoes it: a child of the command that leaves its session
//! and survives it. It is told what to do line by line; when the command ends without a word, or the
//! time is over, it undoes the fault by itself (I/O: processes, nftables, the daemon's socket).
//!
//! The file `drill.json` stands for what it has done: `hb drill --undo` undoes it when this process is
//! gone, too. A cut link is undone by the kernel itself in that case.
#![expect(clippy::disallowed_methods, reason = "waits, and keeps a file")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hb_node::api::{self, Request, Response};
use hb_resource::input::{Holdings, Which};
use nix::sys::signal::Signal;

use super::daemon;
use super::fault::{Fault, LEDGER_FILE, Ledger, TABLE};
use crate::client::Client;
use crate::exit;
use crate::probe::watch::{self, Seen};

/// How long a move may take that a drill asks for: agents have a minute each.
const MOVE_LIMIT: Duration = Duration::from_secs(300);
/// How long groups may take to be back where they were, failed attempts included.
const BACK_LIMIT: Duration = Duration::from_secs(300);
/// How long a killed daemon may take to come back by itself before it is started.
const RETURN_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at the daemon.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Without a deadline it only waits for orders.
const IDLE: Duration = Duration::from_secs(3_600);
/// Why a drill is not undone, beside its ledger.
const FAILED_FILE: &str = "drill.failed";
/// Longest file of a drill.
const LEDGER_MAX: u64 = 1 << 20;

/// Does the fault.
pub(super) const GO: &str = "go";
/// Undoes it.
pub(super) const LIFT: &str = "lift";
/// Brings the groups back.
pub(super) const BACK: &str = "back";
/// All is as it was.
pub(super) const DONE: &str = "done";

/// Plays the helper's part; the first line of its input is the ledger.
pub(super) fn run(run_dir: &Path) -> ExitCode {
    daemon::leave_session();
    let (tell, orders) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let ledger = orders.recv().ok().and_then(|line| serde_json::from_str::<Ledger>(&line).ok());
    let Some(ledger) = ledger else { return exit::code(exit::USAGE) };
    if let Err(text) = keep(run_dir, &ledger) {
        answer("ledger", Err(text));
        return exit::code(exit::NEGATIVE);
    }
    answer("ledger", Ok(()));
    match serve(&ledger, &orders) {
        Ok(()) => {
            let _ = fs::remove_file(run_dir.join(LEDGER_FILE));
            exit::code(exit::OK)
        }
        Err(text) => {
            // The ledger is kept for `hb drill --undo`, with the reason.
            let _ = fs::write(run_dir.join(FAILED_FILE), text);
            exit::code(exit::NEGATIVE)
        }
    }
}

/// Does as it is told.
///
/// # Errors
/// What is not undone in the end.
fn serve(ledger: &Ledger, orders: &mpsc::Receiver<String>) -> Result<(), String> {
    let mut deadline: Option<Instant> = None;
    let mut lifted = true;
    loop {
        let wait = deadline.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
        let order = orders.recv_timeout(wait);
        match order.as_deref() {
            Ok(GO) => {
                // As soon as it is tried it has to be undone.
                lifted = false;
                deadline = Some(Instant::now() + Duration::from_millis(ledger.limit_ms));
                answer(GO, act(ledger));
            }
            Ok(LIFT) => {
                deadline = None;
                let done = lift(ledger);
                lifted = done.is_ok();
                answer(LIFT, done);
            }
            Ok(BACK) => answer(BACK, bring_back(ledger)),
            Ok(DONE) => return Ok(()),
            Ok(_) => answer("order", Err("not understood".to_owned())),
            Err(RecvTimeoutError::Timeout) if deadline.is_some() && !lifted => {
                deadline = None;
                let done = lift(ledger);
                lifted = done.is_ok();
                answer(LIFT, done);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // The command was killed: what it has begun is undone, and nobody is told.
                return left_alone(ledger, lifted);
            }
        }
    }
}

fn left_alone(ledger: &Ledger, lifted: bool) -> Result<(), String> {
    let done = if lifted { Ok(()) } else { lift(ledger) };
    let back = if ledger.back { bring_back(ledger) } else { Ok(()) };
    done.and(back)
}

/// Tells the command, which may be gone.
fn answer(order: &str, done: Result<(), String>) {
    let text = match done {
        Ok(()) => format!("ok {order}\n"),
        Err(text) => format!("failed {order} {}\n", text.replace('\n', " ")),
    };
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes the file that stands for the drill; there is none yet.
fn keep(run_dir: &Path, ledger: &Ledger) -> Result<(), String> {
    let path = run_dir.join(LEDGER_FILE);
    let fail = |error: io::Error| format!("{}: {error}", path.display());
    let text = serde_json::to_string_pretty(ledger).map_err(|error| error.to_string())?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).open(&path).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)
}

/// The drill under way, if there is one.
///
/// # Errors
/// When its file cannot be read.
pub(super) fn under_way(run_dir: &Path) -> Result<Option<Ledger>, String> {
    let path = run_dir.join(LEDGER_FILE);
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(&error)),
        Ok(found) if found.len() > LEDGER_MAX => return Err(fail(&"too large")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|error| fail(&error))?;
    serde_json::from_str(&text).map(Some).map_err(|error| fail(&error))
}

/// Undoes a drill whose helper is gone, or ends one that goes on: a helper finds it done.
///
/// # Errors
/// What could not be undone.
pub(super) fn undo(run_dir: &Path, ledger: &Ledger) -> Result<(), String> {
    lift(ledger)?;
    let removed = fs::remove_file(run_dir.join(LEDGER_FILE));
    let _ = fs::remove_file(run_dir.join(FAILED_FILE));
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(format!("{LEDGER_FILE}: {error}")),
    })?;
    if ledger.back { bring_back(ledger) } else { Ok(()) }
}

fn act(ledger: &Ledger) -> Result<(), String> {
    match &ledger.fault {
        Fault::Move { group, give } => ask(ledger, request(group.as_deref(), *give)),
        Fault::Stop(_) => ask(ledger, Request::Stop),
        Fault::Kill(process, _) => daemon::signal(*process, Signal::SIGKILL),
        Fault::Freeze(process) => daemon::signal(*process, Signal::SIGSTOP),
        Fault::Cut { link, ports } => nft(&Fault::rules(link, ports, ledger.limit_ms)),
    }
}

fn request(group: Option<&str>, give: bool) -> Request {
    let which = match group {
        Some(group) => Which::Group(group.to_owned()),
        None => Which::Sets(Holdings::ALL),
    };
    if give { Request::Standby { which } } else { Request::Takeover { which } }
}

fn ask(ledger: &Ledger, request: Request) -> Result<(), String> {
    let client = Client::connect(&ledger.run_dir, api::CONTROL_SOCKET, Some(MOVE_LIMIT));
    match client.and_then(|mut client| client.ask(request)) {
        Ok(Response::Error { text }) => Err(text),
        Ok(
            Response::Done { .. }
            | Response::Status(_)
            | Response::History(_)
            | Response::Changes { .. },
        ) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Undoes the fault; nothing is done when it is undone.
fn lift(ledger: &Ledger) -> Result<(), String> {
    match &ledger.fault {
        Fault::Move { .. } => Ok(()),
        Fault::Stop(start) => {
            // A stop may still be under way: what it releases must be released first.
            wait_gone(ledger);
            if runs(ledger) { Ok(()) } else { daemon::start(start) }
        }
        Fault::Kill(_, start) => {
            let begin = Instant::now();
            while begin.elapsed() < RETURN_LIMIT {
                if runs(ledger) {
                    return Ok(());
                }
                thread::sleep(LOOK_INTERVAL);
            }
            daemon::start(start)
        }
        // One that has ended meanwhile does not stand still.
        Fault::Freeze(process) => daemon::signal(*process, Signal::SIGCONT)
            .or_else(|text| if text.ends_with("has ended") { Ok(()) } else { Err(text) }),
        Fault::Cut { .. } => nft(&format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")),
    }
}

fn runs(ledger: &Ledger) -> bool {
    watch::status(&ledger.run_dir).is_some()
}

fn wait_gone(ledger: &Ledger) {
    let begin = Instant::now();
    while begin.elapsed() < MOVE_LIMIT {
        match watch::status(&ledger.run_dir) {
            Some(status) if status.this_node.status == "stopping" => thread::sleep(LOOK_INTERVAL),
            Some(_) | None => return,
        }
    }
}

fn nft(rules: &str) -> Result<(), String> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("nft: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(rules.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| format!("nft: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Waits until the nodes have settled and has each group go where it was.
fn bring_back(ledger: &Ledger) -> Result<(), String> {
    let begin = Instant::now();
    let mut refused = None;
    while begin.elapsed() < BACK_LIMIT {
        if let Some(seen) = watch::status(&ledger.run_dir).map(|status| Seen::of(&status)) {
            match away(&ledger.home, &seen) {
                None => return Ok(()),
                Some((group, home)) if seen.settled && seen.ready => {
                    let give = *home != ledger.node;
                    refused = ask(ledger, request(Some(group), give)).err();
                }
                Some(_) => {}
            }
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Err(refused.unwrap_or_else(|| "the nodes have not settled".to_owned()))
}

/// A group that is not where it was, and where that is.
fn away<'a>(home: &'a BTreeMap<String, String>, seen: &Seen) -> Option<(&'a String, &'a String)> {
    home.iter().find(|(group, node)| {
        seen.groups.get(*group).and_then(Option::as_ref).is_none_or(|active| active != *node)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::fault::Start;
    use super::*;
    use crate::testing;

    fn ledger(run_dir: &Path) -> Ledger {
        Ledger {
            v: 1,
            by: "root".to_owned(),
            begun_unix_ms: 1,
            limit_ms: 1_000,
            node: "node1".to_owned(),
            run_dir: PathBuf::from(run_dir),
            home: BTreeMap::new(),
            back: false,
            fault: Fault::Stop(Start::Unit("x".to_owned())),
        }
    }

    #[test]
    fn one_drill_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(under_way(dir.path()), Ok(None));
        let ledger = ledger(dir.path());
        assert_eq!(keep(dir.path(), &ledger), Ok(()));
        assert_eq!(under_way(dir.path()), Ok(Some(ledger.clone())));
        assert!(keep(dir.path(), &ledger).is_err());
        fs::write(dir.path().join(LEDGER_FILE), "{").unwrap();
        assert!(under_way(dir.path()).is_err());
    }

    #[test]
    fn what_is_away_is_found() {
        let seen = Seen::of(&testing::healthy());
        let key = "IPaddr::10.0.0.50/24/eth0".to_owned();
        let check = |group: &str, node: &str, expect: bool| {
            let home = BTreeMap::from([(group.to_owned(), node.to_owned())]);
            assert_eq!(away(&home, &seen).is_some(), expect, "{group} {node}");
        };
        check(&key, "node1", false);
        check(&key, "node2", true);
        check("gone", "node1", true);
        assert_eq!(away(&BTreeMap::new(), &seen), None);
    }

    #[test]
    fn which_direction_a_group_goes() {
        assert!(matches!(request(None, true), Request::Standby { which: Which::Sets(_) }));
        assert!(matches!(request(Some("g"), false), Request::Takeover { which: Which::Group(_) }));
    }
}
