//! A representative part of the interop matrix: Twinbeat beside the genuine Heartbeat 3.0.6 through
//! start, power loss, return, moves, a healed partition, lossy links, keys and stop, some at the
//! same time. `cargo run -p hb-interop -- --all` plays everything. Without namespaces or the packages
//! it says SKIP, which `HB_FORBID_SKIPS=1` makes a failure.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "says what it does, as a test harness"
)]

use std::process::ExitCode;

use hb_cli::lab::{self, Entered};
use hb_interop::jobs::{self, Again, Task};
use hb_interop::table::{self, Count};
use hb_interop::{Programs, Side, flood, genuine, pair_name, scenario};

const GENUINE_FIRST: [Side; 2] = [Side::Genuine, Side::Ours];
const OURS_FIRST: [Side; 2] = [Side::Ours, Side::Genuine];
const OURS: [Side; 2] = [Side::Ours; 2];

/// Scenario and pair, the longest first; together less than four minutes on two cores.
const PART: &[(&str, [Side; 2])] = &[
    ("cl-status", OURS_FIRST),
    ("standby", GENUINE_FIRST),
    ("partition-one-group", OURS_FIRST),
    ("partition-one-group", GENUINE_FIRST),
    ("ipfail", OURS_FIRST),
    ("key-change", GENUINE_FIRST),
    ("loss", OURS_FIRST),
    ("flood", GENUINE_FIRST),
    ("giver-1-dies", GENUINE_FIRST),
    ("taker-1-dies", OURS_FIRST),
    ("quick-reboot-1", OURS_FIRST),
    ("life", GENUINE_FIRST),
    ("life", OURS_FIRST),
    ("takeover-one", OURS_FIRST),
    ("start-together", OURS_FIRST),
    ("life", OURS),
];

/// So many runs may go well only when played again though the machine did its part; more are a fault.
const UNSTEADY_MAX: usize = 2;
/// At a time. The daemons mostly wait, but they must not wait for a processor.
const JOBS: usize = 4;

fn main() -> ExitCode {
    if let Some(code) = flood::send_if_asked().or_else(jobs::work_if_asked) {
        return code;
    }
    match lab::enter() {
        Ok(Entered::Outside(code)) => code.into(),
        Ok(Entered::Inside) => run(),
        Err(reason) => skip(&reason),
    }
}

fn skip(reason: &str) -> ExitCode {
    eprintln!("SKIP: interop with Heartbeat 3.0.6: {reason}");
    ExitCode::from(u8::from(std::env::var_os("HB_FORBID_SKIPS").is_some()))
}

fn run() -> ExitCode {
    if !lab::is_machines_root() {
        return skip("the genuine daemon needs root of the machine");
    }
    if let Some(missing) = genuine::missing() {
        return skip(&missing);
    }
    if let Err(reason) = Programs::find() {
        return skip(&reason);
    }
    let task = |(name, sides): &(&str, [Side; 2])| Task {
        scenario: scenario::find(name).expect("a scenario of that name"),
        sides: *sides,
    };
    let tasks: Vec<Task> = PART.iter().map(task).collect();
    let mut reports = Vec::new();
    jobs::play_all(&tasks, JOBS, Again::Any, None, |report| {
        println!("test {} {}: {}", report.scenario, pair_name(report.sides), report.verdict());
        if !report.wrong.is_empty() {
            println!("{}", report.story);
        }
        reports.push(report);
    });
    let count = Count::of(&reports);
    println!("\n{}{}", table::markdown(&reports), count.line());
    // Again and last: whoever sees only the end of a long output must see the reasons.
    for report in &reports {
        let pair = pair_name(report.sides);
        if let Some(first) = &report.first_try {
            println!("UNSTEADY: {} {pair}: at first {}", report.scenario, first.reasons());
        }
        if !report.wrong.is_empty() {
            println!("WRONG: {} {pair}: {}", report.scenario, report.reasons());
        }
    }
    ExitCode::from(u8::from(count.wrong > 0 || count.unsteady > UNSTEADY_MAX))
}
