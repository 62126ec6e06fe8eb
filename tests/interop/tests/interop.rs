//! A representative part of the interop matrix: Twinbeat beside the genuine Heartbeat 3.0.6 through
//! start, power loss, return, moves, a healed partition and stop. `cargo run -p hb-interop -- --all`
//! plays everything. Without namespaces or the packages it says SKIP, which `HB_FORBID_SKIPS=1`
//! makes a failure.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "says what it does, as a test harness"
)]

use std::process::ExitCode;

use hb_cli::lab::{self, Entered};
use hb_interop::play::play;
use hb_interop::scenario::{SCENARIOS, Scenario};
use hb_interop::{Programs, Side, genuine, pair_name};

const GENUINE_FIRST: [Side; 2] = [Side::Genuine, Side::Ours];
const OURS_FIRST: [Side; 2] = [Side::Ours, Side::Genuine];

/// Scenario and pair; together less than three minutes.
const PART: [(&str, [Side; 2]); 6] = [
    ("start-together", OURS_FIRST),
    ("life", GENUINE_FIRST),
    ("life", OURS_FIRST),
    ("standby", GENUINE_FIRST),
    ("takeover-one", OURS_FIRST),
    ("partition-one-group", OURS_FIRST),
];

/// How often a scenario is played when the machine stands still for so long that nodes die of it.
const TRIES: usize = 3;

fn main() -> ExitCode {
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
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(reason) => return skip(&reason),
    };
    let passed = PART.iter().filter(|(name, sides)| passes(name, *sides, &programs)).count();
    println!("{passed} of {} passed", PART.len());
    ExitCode::from(u8::from(passed < PART.len()))
}

fn passes(name: &str, sides: [Side; 2], programs: &Programs) -> bool {
    let known = |scenario: &&Scenario| scenario.name == name;
    let scenario = SCENARIOS.iter().find(known).expect("a scenario of that name");
    for left in (0..TRIES).rev() {
        println!("test {name} {}", pair_name(sides));
        let report = play(scenario, sides, programs, None);
        if report.wrong.is_empty() {
            return true;
        }
        println!("WRONG: {}\n{}", report.wrong.join("\n  and: "), report.story);
        if !report.stalled || left == 0 {
            return false;
        }
        println!("this machine stood still meanwhile: once more");
    }
    false
}
