//! `hb-sim`: runs seeds on all processors and prints what a failing one needs to be run again. At the
//! edge: it has threads, a terminal and a clock, for its progress line only.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]
#![expect(clippy::disallowed_methods, reason = "a clock, for the rate that it prints")]

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use hb_messaging::time::Instant;
use hb_sim::counts::Counts;
use hb_sim::plan::Seed;
use hb_sim::run::{Report, run};

/// What the command line asks for.
struct Options {
    from: u64,
    seeds: u64,
    /// Threads; 0: as many as there are processors.
    jobs: usize,
    /// One seed, with its trace.
    seed: Option<Seed>,
    until: Option<Instant>,
}

/// What many runs add up to.
#[derive(Default)]
struct Total {
    done: u64,
    failed: u64,
    events: u64,
    simulated: Duration,
    overlap: Duration,
    converged: Duration,
    counts: Counts,
}

/// Between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// A failure is printed for so many seeds; the rest is counted.
const PRINTED_MAX: u64 = 100;

const USAGE: &str = "\
usage: hb-sim [--seeds N] [--from N] [--jobs N]   run N seeds (default 1000) from N (default 1)
                                                  in N threads (default: one for each processor)
       hb-sim --seed N [--until SECONDS]          run one seed and print its trace; bN: only the
                                                  first half of its plan
       hb-sim replay FILE [--quiet | --renew]     live through the recording of a daemon; with --renew
                                                  keep what this program decides in it
       hb-sim scenes FOLDER                       write the diagrams of docs/failures";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("replay") => return replay(std::env::args().skip(2)),
        Some("scenes") => return scenes(std::env::args().nth(2).as_deref()),
        _ => {}
    }
    let Some(options) = read(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    match options.seed {
        Some(seed) => show(seed, options.until),
        None => many(&options),
    }
}

/// `scenes FOLDER`: puts the diagrams of all scenes into their pages.
fn scenes(folder: Option<&str>) -> ExitCode {
    let folder = std::path::Path::new(folder.unwrap_or("docs/failures"));
    for scene in hb_sim::scenes::SCENES {
        let path = folder.join(format!("{}.md", scene.name));
        let page = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let page = page.and_then(|page| hb_sim::scenes::put(&page, &scene.diagram()));
        let written = page.and_then(|page| std::fs::write(&path, page).map_err(|e| e.to_string()));
        if let Err(error) = written {
            println!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// `replay FILE` and its options.
fn replay(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    let (file, quiet, renew) = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file] => (file, false, false),
        [file, "--quiet"] => (file, true, false),
        [file, "--renew"] => (file, true, true),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let text = match std::fs::read(file) {
        Ok(bytes) if renew => hb_node::record::renew(&bytes)
            .map_err(|damage| damage.to_string())
            .and_then(|bytes| std::fs::write(file, bytes).map_err(|error| error.to_string())),
        Ok(bytes) => hb_sim::replay::replay(&bytes, |line| {
            if !quiet {
                println!("{line}");
            }
        })
        .map(|seen| println!("{seen:?}: the same decisions")),
        Err(error) => Err(error.to_string()),
    };
    match text {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            println!("{file}: {text}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { from: 1, seeds: 1_000, jobs: 0, seed: None, until: None };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--from" => options.from = number(&value)?,
            "--seeds" => options.seeds = number(&value)?,
            "--jobs" => options.jobs = usize::try_from(number(&value)?).ok()?,
            "--seed" => options.seed = Some(Seed::read(&value)?),
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

fn show(seed: Seed, until: Option<Instant>) -> ExitCode {
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

fn many(options: &Options) -> ExitCode {
    let begun = Clock::now();
    let jobs = match options.jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let end = options.from.saturating_add(options.seeds);
    let next = AtomicU64::new(options.from);
    let total = Mutex::new((Total::default(), begun));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let (report, again) = twice(Seed::new(seed));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    note(&mut total.0, Seed::new(seed), &report, &again);
                    if total.1.elapsed() >= PROGRESS_EVERY {
                        total.1 = Clock::now();
                        progress(&total.0, options.seeds, begun.elapsed());
                    }
                }
            });
        }
    });
    let (total, _) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary(&total, options, begun.elapsed());
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn twice(seed: Seed) -> (Report, Report) {
    (run(seed, None, false), run(seed, None, false))
}

fn note(total: &mut Total, seed: Seed, report: &Report, again: &Report) {
    total.done += 1;
    total.events += report.events;
    total.simulated += (report.ended - Instant::ZERO) + (again.ended - Instant::ZERO);
    total.overlap = total.overlap.max(report.overlap);
    total.converged = total.converged.max(report.converged.unwrap_or_default());
    total.counts.merge(&report.counts);
    if let Some(text) = verdict(report, again) {
        total.failed += 1;
        if total.failed <= PRINTED_MAX {
            println!("seed {seed}: {text}");
            println!("  replay: cargo run -p hb-sim --release -- --seed {seed}");
        }
    }
}

/// On a terminal only; the line is overwritten by the next.
fn progress(total: &Total, seeds: u64, elapsed: Duration) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let (rate, hours) = rates(total, elapsed);
    eprint!(
        "\r{}/{seeds} seeds, {} failed, {rate} seeds/min, {hours} simulated hours/min   ",
        total.done, total.failed
    );
    let _ = std::io::stderr().flush();
}

/// Seeds and simulated hours for each minute of ours.
fn rates(total: &Total, elapsed: Duration) -> (u64, u64) {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    (total.done * 60_000 / millis, total.simulated.as_secs() / 60 * 1_000 / millis)
}

fn summary(total: &Total, options: &Options, elapsed: Duration) {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    print!("{}", total.counts);
    let (rate, hours) = rates(total, elapsed);
    println!(
        "{} seeds from {}, each run twice: {} failed, {} events; longest overlap of owners that \
         could talk {:?}, longest way back to rest {:?}; {rate} seeds/min, {hours} simulated \
         hours/min",
        total.done, options.from, total.failed, total.events, total.overlap, total.converged
    );
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
