//! What is noticed and what follows: services that die, addresses that go, daemons that are killed
//! or frozen, links that are cut, other hosts, agents that hang, fences, maintenance, ordinary days. Real daemons,
//! a client that measures. Figures are shown, not judged.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

mod apart;
mod controller;
mod operator;
mod ordinary;
mod recording;
mod recovery;
mod support;

use std::process::ExitCode;

use hb_netns::runner::{self, Case};

fn main() -> ExitCode {
    let all = [
        recovery::CASES,
        apart::CASES,
        operator::CASES,
        ordinary::CASES,
        controller::CASES,
        recording::CASES,
    ];
    let cases: Vec<Case> = all.into_iter().flatten().copied().collect();
    runner::main(&cases)
}
