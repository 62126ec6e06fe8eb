//! The screens of `hb status` and `hb ui` as a real pair shows them in each state, compared with the
//! files in `golden/`, which are what the product promises to look like. Times and the like are
//! masked by `mask`. `HB_RENEW_GOLDEN=1` writes the files anew: then read what has changed.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

mod golden;
mod live;
mod mask;
mod states;
mod terminal;

use std::process::ExitCode;

use hb_netns::runner::{self, Case};

fn main() -> ExitCode {
    let all = [mask::CASES, states::CASES, live::CASES];
    let cases: Vec<Case> = all.into_iter().flatten().copied().collect();
    runner::main(&cases)
}
