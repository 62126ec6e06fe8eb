//! The package on two Debian machines with a real systemd: installed with apt as a user would,
//! booted, killed, switched off, upgraded, rehearsed, put in the place of Debian's heartbeat, purged.
//! Containers (`systemd-nspawn --boot`) on networks that the test makes, in namespaces of its own;
//! nothing of the machine that runs it is touched, and nothing is left when it ends, whatever ends it.
//!
//! `cargo run -p hb-boot`, as root, with debootstrap and systemd-container of Debian. Words on the
//! command line choose steps by name: the first that fits, the last, and those between. A step that
//! fails is played once more on fresh machines, loudly.
//!
//! `HB_BOOT_CACHE` names a folder that keeps the Debian system for the next run, `HB_BOOT_MIRROR`
//! another mirror than debootstrap's own, `HB_BOOT_PACKAGES` a folder whose folders `1` and `2` hold
//! the packages to be tested, as `cargo xtask dist --revision` makes them. What this machine cannot do
//! makes it say SKIP, which `HB_FORBID_SKIPS=1` makes a failure.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "says what it does, as a harness")]
#![allow(clippy::disallowed_methods, reason = "real time, files and processes")]

mod base;
mod child;
mod doctor;
mod drill;
mod life;
mod machine;
mod network;
mod notify;
mod pair;
mod plain;
mod play;
mod replace;
mod rights;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use hb_cli::lab;

/// Exit code of a run that somebody has ended, as shells have it for SIGTERM.
const ENDED: u8 = 143;

fn main() -> ExitCode {
    lab::help_if_asked();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(order) = play::Order::from_words(&words) {
        return play::inside(&order);
    }
    let begin = Instant::now();
    let outcome = prepare_and_play(&words);
    println!("all in {:.1} s", begin.elapsed().as_secs_f32());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Skip(reason)) => {
            eprintln!("SKIP: the boot test was not run: {reason}");
            let forbidden = std::env::var_os("HB_FORBID_SKIPS").is_some_and(|value| value != "0");
            ExitCode::from(u8::from(forbidden))
        }
        Err(Failure::Failed(reason)) => {
            eprintln!("FAILED: {reason}");
            ExitCode::FAILURE
        }
        Err(Failure::Ended) => {
            eprintln!("the boot test was ended");
            ENDED.into()
        }
    }
}

/// Why nothing more was tested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// This machine lacks something.
    Skip(String),
    /// Something went wrong that should not.
    Failed(String),
    /// A signal has asked for the end.
    Ended,
}

/// Outside, where the network is: makes Debian and the packages, then plays inside.
fn prepare_and_play(words: &[String]) -> Result<(), Failure> {
    let (first, last) = steps::chosen(words).map_err(Failure::Failed)?;
    child::catch_signals()?;
    let begin = Instant::now();
    let prepared = base::prepare()?;
    println!("prepared in {:.1} s", begin.elapsed().as_secs_f32());
    play::all(&prepared, first, last)
}
