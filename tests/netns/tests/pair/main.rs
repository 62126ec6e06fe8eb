//! Two real nodes in namespaces, with a client: what the product promises, asked of the binaries
//! that cargo built. Which cases there are is in the modules, how they are run in `hb_netns::runner`.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

mod addresses;
mod agents;
mod disks;
mod failover;
mod failures;
mod firewall;
mod forge;
mod hostile;
mod links;
mod measure;
mod moves;
mod reach;
mod reload;
mod start;
mod surroundings;
mod weather;

use std::process::ExitCode;

use hb_netns::runner::{self, Case};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(hostile::HOLD_FLAG) {
        return hostile::hold(&args.next().unwrap_or_default());
    }
    let all = [
        start::CASES,
        failover::CASES,
        measure::CASES,
        moves::CASES,
        reload::CASES,
        agents::CASES,
        failures::CASES,
        links::CASES,
        firewall::CASES,
        reach::CASES,
        addresses::CASES,
        hostile::CASES,
        surroundings::CASES,
        disks::CASES,
        weather::CASES,
    ];
    let cases: Vec<Case> = all.into_iter().flatten().copied().collect();
    runner::main(&cases)
}
