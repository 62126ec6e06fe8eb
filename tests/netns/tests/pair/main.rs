//! Two real nodes in namespaces, with a client: what the product promises, asked of the binaries
//! that cargo built. Which cases there are is in the modules, how they are run in `hb_netns::runner`.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

mod failover;
mod start;

use std::process::ExitCode;

use hb_netns::runner::{self, Case};

fn main() -> ExitCode {
    let cases: Vec<Case> = [start::CASES, failover::CASES].into_iter().flatten().copied().collect();
    runner::main(&cases)
}
