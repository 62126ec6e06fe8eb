//! `hb-model`: runs the models and prints what holds. What is checked is in the library.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
#![expect(clippy::disallowed_methods, reason = "says how long it took")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use hb_model::check::{self, Report};
use hb_model::faults::{Faults, MODELS};
use hb_model::trace;

/// Checks the resource managers of two nodes under every fault model.
#[derive(Parser)]
#[command(name = "hb-model")]
struct Options {
    /// Only this one of: no-partition, partition, partition-fencing, crash-adopt, legacy
    #[arg(long)]
    model: Option<String>,
    /// Steps from the start; 0: as many as there are
    #[arg(long, default_value_t = 16)]
    depth: usize,
    /// Groups: 1, of an address and a service, or 2
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    groups: Option<u8>,
    /// Messages on the way to one node
    #[arg(long)]
    in_flight: Option<usize>,
    /// Machines or daemons that fail
    #[arg(long)]
    crashes: Option<u8>,
    /// Cuts of the links
    #[arg(long)]
    cuts: Option<u8>,
    /// Messages lost or overtaken
    #[arg(long)]
    losses: Option<u8>,
    /// Agents that fail
    #[arg(long)]
    failures: Option<u8>,
    /// Wishes of operators
    #[arg(long)]
    requests: Option<u8>,
    /// Of stateright; with more than one a counterexample need not be the shortest
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Prints the counterexamples, the expected ones too
    #[arg(long)]
    trace: bool,
}

impl Options {
    fn bounded(&self, mut faults: Faults) -> Faults {
        let budget = &mut faults.budget;
        budget.crashes = self.crashes.unwrap_or(budget.crashes);
        budget.cuts = self.cuts.unwrap_or(budget.cuts);
        budget.losses = self.losses.unwrap_or(budget.losses);
        budget.failures = self.failures.unwrap_or(budget.failures);
        budget.requests = self.requests.unwrap_or(budget.requests);
        faults.groups = self.groups.map_or(faults.groups, usize::from);
        faults.in_flight = self.in_flight.unwrap_or(faults.in_flight);
        faults.depth = self.depth;
        faults
    }
}

fn bounds(faults: &Faults) -> String {
    let budget = faults.budget;
    let named = [
        ("groups", faults.groups),
        ("crashes", budget.crashes.into()),
        ("cuts", budget.cuts.into()),
        ("losses", budget.losses.into()),
        ("failures", budget.failures.into()),
        ("requests", budget.requests.into()),
        ("in flight", faults.in_flight),
    ];
    let named = named.iter().filter(|(_, count)| *count > 0);
    named.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn print(faults: &Faults, report: &Report, seconds: f64, traces: bool) {
    println!("\n{}: {}", faults.name, faults.about);
    println!("  bounds: {}", bounds(faults));
    let beyond = match report.beyond {
        0 => "all of them looked into".to_owned(),
        beyond => format!("{beyond} not looked into, beyond a bound"),
    };
    println!(
        "  {} states, {beyond}; depth {}; {} states of single nodes; {seconds:.1} s",
        report.states, report.depth, report.sides
    );
    for verdict in &report.verdicts {
        println!("  {:<40} {}", verdict.property, verdict.words());
        if let Some(way) = &verdict.counterexample
            && (traces || !verdict.is_as_expected())
        {
            println!("{}", trace::tell(*faults, way));
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let chosen: Vec<Faults> = MODELS
        .into_iter()
        .filter(|faults| options.model.as_ref().is_none_or(|name| name == faults.name))
        .map(|faults| options.bounded(faults))
        .collect();
    if chosen.is_empty() {
        let names = MODELS.map(|faults| faults.name).join(", ");
        eprintln!("hb-model: no such model; there are {names}");
        return ExitCode::from(2);
    }
    let mut good = true;
    for faults in chosen {
        let begun = Instant::now();
        let report = check::check(faults, faults.depth, options.threads);
        print(&faults, &report, begun.elapsed().as_secs_f64(), options.trace);
        good &= report.verdicts.iter().all(check::Verdict::is_as_expected);
    }
    println!("\n{}", if good { "everything as expected" } else { "NOT as expected" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
