//! `hb-interop`: plays scenarios with each pair and prints the outage that a client saw.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use hb_cli::lab::{self, Entered};
use hb_interop::play::{Report, play};
use hb_interop::scenario::SCENARIOS;
use hb_interop::{PAIRS, Programs, genuine, pair_name};

const USAGE: &str = "\
usage: hb-interop [--all] [--filter TEXT] [--pair A+B] [--runs N] [--capture DIR] [--verbose]
  --all          every scenario (otherwise the short ones, or those of --filter)
  --filter TEXT  scenarios whose name contains TEXT
  --pair A+B     one pair: 3.0.6+3.0.6, 3.0.6+ours, ours+3.0.6 or ours+ours
  --runs N       each N times
  --capture DIR  keep the packets of each run
  --verbose      the story of each run, not only of those that went wrong
  --complaints   at the end, what genuine nodes complained of, as the list of usual complaints has it";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    all: bool,
    filter: Option<String>,
    pair: Option<String>,
    runs: usize,
    capture: Option<PathBuf>,
    verbose: bool,
    complaints: bool,
}

fn main() -> ExitCode {
    match lab::enter() {
        Ok(Entered::Outside(code)) => return code.into(),
        Ok(Entered::Inside) => {}
        Err(reason) => {
            eprintln!("hb-interop: {reason}");
            return ExitCode::FAILURE;
        }
    }
    let Some(options) = read(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(missing) = genuine::missing() {
        eprintln!("hb-interop: {missing}");
        return ExitCode::FAILURE;
    }
    match Programs::find() {
        Ok(programs) => run(&options, &programs),
        Err(reason) => {
            eprintln!("hb-interop: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { runs: 1, ..Options::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => options.all = true,
            "--verbose" => options.verbose = true,
            "--complaints" => options.complaints = true,
            "--filter" => options.filter = Some(words.next()?),
            "--pair" => options.pair = Some(words.next()?),
            "--runs" => options.runs = words.next()?.parse().ok()?,
            "--capture" => options.capture = Some(words.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}

fn run(options: &Options, programs: &Programs) -> ExitCode {
    let mut reports = Vec::new();
    for scenario in SCENARIOS {
        let chosen = match &options.filter {
            Some(text) => scenario.name.contains(text.as_str()),
            None => options.all || scenario.short,
        };
        for sides in PAIRS {
            let this_pair = options.pair.as_ref().is_none_or(|pair| *pair == pair_name(sides));
            for _ in 0..if chosen && this_pair { options.runs } else { 0 } {
                let report = play(scenario, sides, programs, options.capture.as_deref());
                print(&report, options.verbose);
                reports.push(report);
            }
        }
    }
    let wrong = reports.iter().filter(|report| !report.wrong.is_empty()).count();
    print_table(&reports);
    if options.complaints {
        let lines: BTreeSet<String> = reports
            .iter()
            .flat_map(|r| r.complaints.iter().map(|line| format!("{} {line}", r.scenario)))
            .collect();
        lines.iter().for_each(|line| println!("{line}"));
    }
    println!("{} runs, {wrong} of them wrong", reports.len());
    ExitCode::from(u8::from(wrong > 0))
}

fn print(report: &Report, verbose: bool) {
    let verdict = match (&report.skipped, report.wrong.is_empty()) {
        (Some(reason), _) => format!("SKIP: {reason}"),
        (None, true) => "ok".to_owned(),
        (None, false) => {
            let stalled = if report.stalled { " (while this machine stood still)" } else { "" };
            format!("WRONG{stalled}: {}", report.wrong.join("\n  and: "))
        }
    };
    println!("{} {}: {verdict}", report.scenario, pair_name(report.sides));
    if verbose || !report.wrong.is_empty() {
        println!("{}\n", report.story);
    }
}

/// One line per measured outage, one column per pair; of several runs the shortest and the longest.
fn print_table(reports: &[Report]) {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for report in reports {
        for (label, _) in &report.outages {
            if !rows.contains(&(report.scenario, label.as_str())) {
                rows.push((report.scenario, label.as_str()));
            }
        }
    }
    println!("\n| outage in s | {} |", PAIRS.map(pair_name).join(" | "));
    println!("|---|{}", "---|".repeat(PAIRS.len()));
    for (scenario, label) in rows {
        let cells = PAIRS.map(|sides| {
            let mut lengths: Vec<f64> = Vec::new();
            for report in reports.iter().filter(|r| r.scenario == scenario && r.sides == sides) {
                let here = report.outages.iter().filter(|(l, _)| l == label);
                lengths.extend(here.map(|(_, o)| o.unwrap_or_default().as_secs_f64()));
            }
            let min = lengths.iter().copied().fold(f64::INFINITY, f64::min);
            let max = lengths.iter().copied().fold(0.0, f64::max);
            match lengths.len() {
                0 => "-".to_owned(),
                1 => format!("{max:.3}"),
                _ => format!("{min:.3}..{max:.3}"),
            }
        });
        println!("| {scenario}: {label} | {} |", cells.join(" | "));
    }
    println!();
}
