//! `hb-interop`: plays scenarios with each pair and prints the outage that a client saw. I/O: output,
//! the table's file.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]
#![expect(clippy::disallowed_methods, reason = "writes the table where it is wanted")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, iter};

use hb_cli::lab::{self, Entered};
use hb_interop::jobs::{self, Again, Task};
use hb_interop::play::Report;
use hb_interop::scenario::{SCENARIOS, Scenario};
use hb_interop::table::{self, Count};
use hb_interop::{PAIRS, Programs, flood, genuine, pair_name};

const USAGE: &str = "\
usage: hb-interop [--all] [--filter TEXT]... [--pair A+B]... [--runs N] [--jobs N] [--table FILE]
                  [--capture DIR] [--complaints] [--verbose] [--list]
  --all          every scenario (otherwise the short ones, or those of --filter)
  --filter TEXT  scenarios whose name contains TEXT; =TEXT: the one of that name
  --pair A+B     only this pair: 3.0.6+3.0.6, 3.0.6+ours, ours+3.0.6 or ours+ours
  --runs N       each N times
  --jobs N       N of them at a time (4 are good on two cores: the daemons mostly wait)
  --table FILE   write the table of outages there, too, as Markdown, after each run
  --capture DIR  keep the packets of each run
  --complaints   at the end, what genuine nodes complained of, as the list of usual complaints has it
  --verbose      the story of each run, not only of those that went wrong
  --list         print the names of the scenarios and play nothing
The whole matrix ten times: hb-interop --all --jobs 4 --runs 10
Exit status: 0 when nothing was wrong with a Twinbeat node, 1 otherwise, 2 for a wrong command line.";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    all: bool,
    filters: Vec<String>,
    pairs: Vec<String>,
    runs: usize,
    jobs: usize,
    table: Option<PathBuf>,
    capture: Option<PathBuf>,
    verbose: bool,
    complaints: bool,
    list: bool,
}

fn main() -> ExitCode {
    if let Some(code) = flood::send_if_asked().or_else(jobs::work_if_asked) {
        return code;
    }
    match lab::enter() {
        Ok(Entered::Outside(code)) => return code.into(),
        Ok(Entered::Inside) => {}
        Err(reason) => return failed(&reason),
    }
    let Some(options) = read(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.list {
        SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name));
        return ExitCode::SUCCESS;
    }
    if let Some(missing) = genuine::missing() {
        return failed(&missing);
    }
    // Each worker looks for them, too; to say it once is enough.
    match Programs::find() {
        Ok(_) => run(&options),
        Err(reason) => failed(&reason),
    }
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("hb-interop: {reason}");
    ExitCode::FAILURE
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { runs: 1, jobs: 1, ..Options::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => options.all = true,
            "--verbose" => options.verbose = true,
            "--complaints" => options.complaints = true,
            "--list" => options.list = true,
            "--filter" => options.filters.push(words.next()?),
            "--pair" => options.pairs.push(words.next()?),
            "--runs" => options.runs = words.next()?.parse().ok()?,
            "--jobs" => options.jobs = words.next()?.parse().ok().filter(|jobs| *jobs > 0)?,
            "--table" => options.table = Some(words.next()?.into()),
            "--capture" => options.capture = Some(words.next()?.into()),
            _ => return None,
        }
    }
    let known = |pair: &String| PAIRS.into_iter().any(|sides| pair_name(sides) == *pair);
    options.pairs.iter().all(known).then_some(options)
}

impl Options {
    fn chooses(&self, scenario: &Scenario) -> bool {
        let fits = |filter: &String| match filter.strip_prefix('=') {
            Some(name) => scenario.name == name,
            None => scenario.name.contains(filter.as_str()),
        };
        match self.filters.as_slice() {
            [] => self.all || scenario.short,
            filters => filters.iter().any(fits),
        }
    }

    /// Run by run, so that the first full round is complete as early as possible.
    fn tasks(&self) -> Vec<Task> {
        let pairs = PAIRS
            .into_iter()
            .filter(|sides| self.pairs.is_empty() || self.pairs.contains(&pair_name(*sides)));
        let chosen = SCENARIOS.iter().filter(|scenario| self.chooses(scenario));
        let round: Vec<Task> = chosen
            .flat_map(|scenario| pairs.clone().map(move |sides| Task { scenario, sides }))
            .collect();
        iter::repeat_n(round, self.runs).flatten().collect()
    }
}

fn run(options: &Options) -> ExitCode {
    let tasks = options.tasks();
    let mut reports = Vec::new();
    let mut written = Ok(());
    jobs::play_all(&tasks, options.jobs, Again::Stalled, options.capture.as_ref(), |report| {
        print(&report, reports.len() + 1, tasks.len(), options.verbose);
        reports.push(report);
        // A run of hours that is interrupted leaves what it has.
        if let Some(path) = &options.table {
            written = fs::write(path, table::markdown(&reports));
        }
    });
    println!("\nOutage that a client saw, in seconds:\n\n{}", table::markdown(&reports));
    if options.complaints {
        let lines: BTreeSet<String> = reports
            .iter()
            .flat_map(|r| r.complaints.iter().map(|line| format!("{} {line}", r.scenario)))
            .collect();
        lines.iter().for_each(|line| println!("{line}"));
    }
    let count = Count::of(&reports);
    let mut code = ExitCode::from(u8::from(count.wrong > 0 || count.runs == 0));
    if let Err(error) = written {
        eprintln!("hb-interop: writing the table: {error}");
        code = ExitCode::FAILURE;
    }
    for report in reports.iter().filter(|report| !report.wrong.is_empty()) {
        println!("WRONG: {} {}", report.scenario, pair_name(report.sides));
    }
    println!("{}", count.line());
    code
}

fn print(report: &Report, number: usize, of: usize, verbose: bool) {
    let pair = pair_name(report.sides);
    println!("[{number}/{of}] {} {pair}: {}", report.scenario, report.verdict());
    if verbose || !report.wrong.is_empty() {
        println!("{}\n", report.story);
    }
}
