//! `hb-fuzz TARGET --seconds 60`: the plain mutator for as long as one likes (I/O, clock).
#![expect(clippy::disallowed_methods, reason = "a program that runs for a time")]
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use hb_fuzz::corpus::Corpus;
use hb_fuzz::mutate::Mutator;
use hb_fuzz::report;

/// Inputs between two looks at the clock.
const BATCH: u64 = 64;
/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Changes inputs of a target's corpus at random until one breaks an invariant.
#[derive(Debug, Parser)]
struct Args {
    /// The target, or `all`, one after the other
    target: String,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Same seed, same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let named = |target: &&hb_fuzz::Target| args.target == "all" || target.name == args.target;
    let chosen: Vec<_> = hb_fuzz::TARGETS.iter().filter(named).collect();
    if chosen.is_empty() {
        let names: Vec<_> = hb_fuzz::TARGETS.iter().map(|target| target.name).collect();
        println!("no target {}; there are: all, {}", args.target, names.join(", "));
        return ExitCode::FAILURE;
    }
    report::print_failing_input();
    for target in chosen {
        match Corpus::read(target.name) {
            Ok(corpus) => run(target, &corpus, &args),
            Err(error) => {
                println!("{}: no corpus: {error}", target.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn run(target: &'static hb_fuzz::Target, corpus: &Corpus, args: &Args) {
    let mut mutator = Mutator::new(target, corpus, args.seed);
    let (begun, mut line) = (Instant::now(), Instant::now());
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        for _ in 0..BATCH {
            let input = mutator.make();
            let started = Instant::now();
            report::run(target, &input);
            slowest = slowest.max(started.elapsed());
        }
        count += BATCH;
        if line.elapsed() >= LINE_EVERY {
            line = Instant::now();
            say(target.name, count, begun.elapsed(), slowest);
        }
    }
    say(target.name, count, begun.elapsed(), slowest);
}

fn say(name: &str, count: u64, elapsed: Duration, slowest: Duration) {
    let rate = u128::from(count) * 1_000 / elapsed.as_millis().max(1);
    println!(
        "{name:<16} {count:>10} inputs  {rate:>7}/s  {:>4} s  slowest {} ms",
        elapsed.as_secs(),
        slowest.as_millis()
    );
}
