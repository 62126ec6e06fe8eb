//! `hb-sim`: runs seeds and prints what a failing one needs to be run again.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::process::ExitCode;

use hb_messaging::time::Instant;
use hb_sim::run::{Report, run};

/// What the command line asks for.
struct Options {
    from: u64,
    seeds: u64,
    /// One seed, with its trace.
    seed: Option<u64>,
    until: Option<Instant>,
}

const USAGE: &str = "\
usage: hb-sim [--seeds N] [--from N]         run N seeds (default 1000) from N (default 1)
       hb-sim --seed N [--until SECONDS]     run one seed and print its trace";

fn main() -> ExitCode {
    let Some(options) = read(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    match options.seed {
        Some(seed) => show(seed, options.until),
        None => many(options.from, options.seeds),
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { from: 1, seeds: 1_000, seed: None, until: None };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--from" => options.from = number(&value)?,
            "--seeds" => options.seeds = number(&value)?,
            "--seed" => options.seed = Some(number(&value)?),
            "--until" => options.until = Some(moment(&value)?),
            _ => return None,
        }
    }
    Some(options)
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Seconds with up to six decimals.
fn moment(text: &str) -> Option<Instant> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let micros: String = part.chars().chain("000000".chars()).take(6).collect();
    let whole: u64 = whole.parse().ok()?;
    Some(Instant::from_micros(whole * 1_000_000 + micros.parse::<u64>().ok()?))
}

fn show(seed: u64, until: Option<Instant>) -> ExitCode {
    let report = run(seed, until, true);
    for line in &report.lines {
        println!("{line}");
    }
    println!("hash {:016x}, {} events", report.hash, report.events);
    match report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("VIOLATED {}: {}", violation.property, violation.text);
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, seeds: u64) -> ExitCode {
    let mut failed = 0;
    let mut events = 0;
    let (mut overlap, mut converged) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    for seed in from..from.saturating_add(seeds) {
        let report = run(seed, None, false);
        let again = run(seed, None, false);
        events += report.events;
        overlap = overlap.max(report.overlap);
        converged = converged.max(report.converged.unwrap_or_default());
        if let Some(text) = verdict(&report, &again) {
            failed += 1;
            println!("seed {seed}: {text}");
            println!("  replay: cargo run -p hb-sim --release -- --seed {seed}");
        }
    }
    println!(
        "{seeds} seeds from {from}, each run twice: {failed} failed, {events} events; \
         longest overlap of owners that could talk {overlap:?}, longest way back to rest {converged:?}"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verdict(report: &Report, again: &Report) -> Option<String> {
    if report.hash != again.hash {
        return Some(format!("two runs differ: {:016x} {:016x}", report.hash, again.hash));
    }
    let violation = report.violation.as_ref()?;
    let micros = violation.at.as_micros();
    let at = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    Some(format!("VIOLATED {} at {at}: {}", violation.property, violation.text))
}
