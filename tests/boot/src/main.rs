//! The package on two Debian machines with a real systemd: installed with apt as a user would,
//! booted, killed, switched off, upgraded, put in the place of Debian's heartbeat, purged. Containers
//! (`systemd-nspawn --boot`) on networks that the test makes, in namespaces of its own; nothing of the
//! machine that runs it is touched.
//!
//! `cargo run -p hb-boot`, as root, with debootstrap and systemd-container of Debian. Words on the
//! command line choose steps by name; those before are still run, as each begins where the one before
//! it has ended. `HB_BOOT_CACHE` names a folder that keeps the Debian system for the next run,
//! `HB_BOOT_MIRROR` another mirror than debootstrap's own; with `HB_BOOT_RELEASE=1` the packages hold
//! programs as users get them. Where it cannot run it says SKIP, which
//! `HB_FORBID_SKIPS=1` makes a failure.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "says what it does, as a harness")]
#![allow(clippy::disallowed_methods, reason = "real time, files and processes")]

mod base;
mod doctor;
mod life;
mod machine;
mod network;
mod pair;
mod plain;
mod replace;
mod rights;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use hb_cli::lab::{self, Entered};

use crate::base::Prepared;
use crate::pair::Pair;

/// First argument of the process that goes into the namespaces.
const INSIDE: &str = "--inside";

/// A step: its name, and what is done and asserted.
type Step = (&'static str, fn(&mut Pair));

fn main() -> ExitCode {
    lab::help_if_asked();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == INSIDE) {
        return inside(words.get(1..).unwrap_or_default());
    }
    match prepare_and_run(&words) {
        Ok(code) => code,
        Err(Failure::Skip(reason)) => {
            eprintln!("SKIP: the boot test was not run: {reason}");
            let forbidden = std::env::var_os("HB_FORBID_SKIPS").is_some_and(|value| value != "0");
            ExitCode::from(u8::from(forbidden))
        }
        Err(Failure::Failed(reason)) => {
            eprintln!("FAILED: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Why nothing was tested.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This machine lacks something.
    Skip(String),
    /// Something went wrong that should not.
    Failed(String),
}

/// Outside, where the network is: makes Debian and the packages, then goes inside.
fn prepare_and_run(words: &[String]) -> Result<ExitCode, Failure> {
    let begin = Instant::now();
    let prepared = base::prepare()?;
    println!("prepared in {:.1} s", begin.elapsed().as_secs_f32());
    let this = std::env::current_exe().map_err(|e| Failure::Failed(e.to_string()))?;
    let status = Command::new(this)
        .arg(INSIDE)
        .args(prepared.words())
        .args(words)
        .status()
        .map_err(|e| Failure::Failed(format!("cannot run myself: {e}")))?;
    println!("all in {:.1} s", begin.elapsed().as_secs_f32());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into))
}

/// In the order in which each begins where the one before it has ended. The first needs no pair; the
/// doctor looks before anything is removed.
fn steps() -> Vec<Step> {
    let removal = life::STEPS.iter().position(|(name, _)| *name == "purged");
    let (before, after) = life::STEPS.split_at(removal.expect("a removal"));
    let all = [plain::STEPS, before, doctor::STEPS, after, replace::STEPS];
    all.concat()
}

fn inside(words: &[String]) -> ExitCode {
    match lab::enter() {
        Ok(Entered::Outside(code)) => return code.into(),
        Ok(Entered::Inside) => {}
        Err(reason) => {
            eprintln!("FAILED: no namespaces: {reason}");
            return ExitCode::FAILURE;
        }
    }
    let (paths, filters) = words.split_at(Prepared::WORDS);
    let prepared = Prepared::from_words(paths.iter().map(PathBuf::from));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        machine::show();
        hook(panic);
    }));
    let mut pair = Pair::new(prepared);
    let steps = steps();
    let wanted = |name: &str| filters.iter().any(|filter| name.contains(filter.as_str()));
    let last = steps.iter().rposition(|(name, _)| wanted(name)).unwrap_or(steps.len() - 1);
    for (name, step) in steps.iter().take(last + 1) {
        println!("{name}");
        let begin = Instant::now();
        step(&mut pair);
        println!("  ok ({:.1} s)", begin.elapsed().as_secs_f32());
    }
    pair.end();
    ExitCode::SUCCESS
}
