//! `hb-sim`: runs seeds on all processors and prints what a failing one needs to be run again. At the
//! edge: it has threads, a terminal and a clock, for its progress line only.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]
#![expect(clippy::disallowed_methods, reason = "a clock, for the rate that it prints")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use hb_messaging::time::Instant;
use hb_sim::counts::Counts;
use hb_sim::plan::{Plan, Scope, Seed};
use hb_sim::run::{Cut, Report, Watching, carry};
use hb_sim::shrink::{command, shrink};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line asks for.
struct Options {
    from: u64,
    seeds: u64,
    /// Threads; 0: as many as there are processors.
    jobs: usize,
    /// One seed, with its trace.
    seed: Option<Seed>,
    /// Every seed plays a pair with Heartbeat 3.0.6.
    mixed: bool,
    /// What of it, or of each, is carried out.
    cut: Cut,
}

impl Options {
    /// The plan that a number stands for.
    fn meant(&self, number: u64) -> Seed {
        match self.mixed {
            true => Seed { number, scope: Scope::Mixed },
            false => Seed::new(number),
        }
    }
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
    /// Quick pairs and slow ones: seeds, simulated time and events of both runs.
    paces: [(u64, Duration, u64); 2],
}

/// Between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// A failure is printed for so many seeds; the rest is counted.
const PRINTED_MAX: u64 = 100;
/// So many are shrunk: each takes some hundred runs.
const SHRUNK_MAX: u64 = 3;
/// The last lines of a trace that are shown unasked.
const LINES_SHOWN: usize = 25;
/// Characters of the progress bar.
const BAR: u64 = 30;

thread_local! {
    /// The seed that this thread runs, for whoever reads why it panicked.
    static RUNNING: Cell<Option<Seed>> = const { Cell::new(None) };
}

const USAGE: &str = "\
usage: hb-sim [--seeds N] [--from N] [--jobs N] [--mode safety|liveness] [--pair legacy]
           run N seeds (default 1000) from N (default 1) in N threads (default: one for each
           processor). safety: each run ends when its faults cease; liveness (default): it goes on
           until everything must be well again. In one seed of eight one node is Heartbeat 3.0.6;
           --pair legacy: in every seed
       hb-sim --seed N [--only 1,4,7] [--calm SECONDS] [--until SECONDS] [--mode ...]
           run one seed and print its trace, one line for each event: time, node, kind, what.
           --only: only the faults with these numbers (- for none); --calm: faults cease then;
           bN, cN: only the first part, or the first two, of its plan; mN: beside Heartbeat 3.0.6
       hb-sim replay FILE [--quiet | --renew]
           live through the recording of a daemon; with --renew keep in it what this program decides
       hb-sim scenes FOLDER
           write the diagrams of docs/failures";

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
        Some(seed) => show(seed, &options.cut),
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
    let cut = Cut::default();
    let mut options = Options { from: 1, seeds: 1_000, jobs: 0, seed: None, mixed: false, cut };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--from" => options.from = number(&value)?,
            "--seeds" => options.seeds = number(&value)?,
            "--jobs" => options.jobs = usize::try_from(number(&value)?).ok()?,
            "--seed" => options.seed = Some(Seed::read(&value)?),
            "--until" => options.cut.until = Some(moment(&value)?),
            "--calm" => options.cut.calm = Some(moment(&value)?),
            "--only" => options.cut.only = Some(numbers(&value)?),
            "--pair" => options.mixed = (value == "legacy").then_some(true)?,
            "--mode" => options.cut.safety_only = is_safety(&value)?,
            _ => return None,
        }
    }
    Some(options)
}

fn is_safety(word: &str) -> Option<bool> {
    match word {
        "safety" => Some(true),
        "liveness" => Some(false),
        _ => None,
    }
}

/// `1,4,7`, or `-` for none.
fn numbers(text: &str) -> Option<BTreeSet<usize>> {
    if text == "-" {
        return Some(BTreeSet::new());
    }
    text.split(',').map(|word| word.parse().ok()).collect()
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

fn show(seed: Seed, cut: &Cut) -> ExitCode {
    let report = carry(seed, cut, Watching::Lines);
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
    std::panic::set_hook(Box::new(|panic| {
        let seed = RUNNING.get().map_or_else(String::new, |seed| seed.to_string());
        eprintln!(
            "\nseed {seed}: {panic}\n  replay: cargo run --release -p hb-sim -- --seed {seed}"
        );
    }));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let seed = options.meant(seed);
                    RUNNING.set(Some(seed));
                    let (report, again) = twice(seed, &options.cut);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    note(&mut total.0, seed, &report, &again, &options.cut);
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

/// The second time only to see whether the same happens: nobody looks, unless somebody saw
/// something.
fn twice(seed: Seed, cut: &Cut) -> (Report, Report) {
    let report = carry(seed, cut, Watching::Checks);
    let watching = match report.violation {
        None => Watching::Nothing,
        Some(_) => Watching::Checks,
    };
    (report, carry(seed, cut, watching))
}

fn note(total: &mut Total, seed: Seed, report: &Report, again: &Report, cut: &Cut) {
    total.done += 1;
    total.events += report.events;
    let lasted = (report.ended - Instant::ZERO) + (again.ended - Instant::ZERO);
    total.simulated += lasted;
    total.paces[usize::from(report.slow)].0 += 1;
    total.paces[usize::from(report.slow)].1 += lasted;
    total.paces[usize::from(report.slow)].2 += report.events + again.events;
    total.overlap = total.overlap.max(report.overlap);
    total.converged = total.converged.max(report.converged.unwrap_or_default());
    total.counts.merge(&report.counts);
    if let Some(text) = verdict(report, again) {
        total.failed += 1;
        if total.failed <= PRINTED_MAX {
            println!("\nseed {seed}: {text}");
            println!("  replay: {}", command(seed, cut));
        }
        if total.failed <= SHRUNK_MAX && report.hash == again.hash && *cut == Cut::default() {
            print_shrunk(seed, report);
        }
    }
}

/// The smallest run that still fails, and how it ends.
fn print_shrunk(seed: Seed, report: &Report) {
    let Some(violation) = &report.violation else { return };
    let all = Plan::new(seed).faults.len();
    let (cut, small) = shrink(seed, violation);
    let left = cut.only.as_ref().map_or(all, BTreeSet::len);
    println!("  shrunk: {left} of {all} faults: {}", command(seed, &cut));
    let skipped = small.lines.len().saturating_sub(LINES_SHOWN);
    for line in small.lines.iter().skip(skipped) {
        println!("    {line}");
    }
}

/// On a terminal only; the line is overwritten by the next.
fn progress(total: &Total, seeds: u64, elapsed: Duration) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let (rate, hours) = rates(total, elapsed);
    let full = total.done * BAR / seeds.max(1);
    let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '-' }).collect();
    eprint!(
        "\r[{bar}] {}/{seeds} seeds, {} failed, {rate} seeds/min, {hours} simulated hours/min   ",
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
    for (pace, (seeds, lasted, events)) in ["quick pairs", "slow pairs"].iter().zip(total.paces) {
        let hours = lasted.as_secs_f64() / 3_600.0;
        println!("{pace}: {seeds} seeds, {hours:.1} simulated hours in {events} events");
    }
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
