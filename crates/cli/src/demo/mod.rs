//! `hb demo`: the main job on one machine. Two nodes with the real daemon, a client that asks the
//! floating address for a page every two milliseconds, and the failures and moves that a pair is
//! for. Here are its options and its order; what is measured is in `scenes`, how it looks in `view`.

mod pair;
mod report;
mod scenes;
pub mod soak;
mod stage;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::exit;
use crate::lab::{self, Entered, LabError};
use pair::{Pair, Web};
use report::Report;
use stage::Stage;
use view::View;

/// Name of the verb, by which `--shell` finds a running demo.
const VERB: &str = "demo";
/// Shortest and longest times that make a demo: below, the machine's scheduling is what is
/// measured; above, nobody waits for it.
const TIME_RANGE_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// Options of `hb demo`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Move the address alone; a web server runs on both nodes all the time
    #[arg(long)]
    address_only: bool,
    /// Interval between heartbeats, as in ha.cf (100ms, 1)
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_time)]
    keepalive: u64,
    /// Silence after which a node is declared dead, as in ha.cf
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_time)]
    deadtime: u64,
    /// Whether the service goes home when its preferred node returns
    #[arg(long, value_enum, default_value = "on")]
    auto_failback: Failback,
    /// Use the built-in web server even where nginx is installed
    #[arg(long)]
    built_in_web: bool,
    /// Fail also when a step takes longer than its target
    #[arg(long)]
    strict: bool,
    /// Leave the pair running afterwards, to play with; Ctrl-C ends it
    #[arg(long)]
    keep: bool,
    /// Print one JSON document and nothing else
    #[arg(long, conflicts_with_all = ["plain", "verbose", "keep"])]
    json: bool,
    /// No colour, no drawing; also when stdout is not a terminal
    #[arg(long)]
    plain: bool,
    /// Show the daemons' logs after each step
    #[arg(long, short)]
    verbose: bool,
    /// The daemon to use [default: heartbeat beside this program]
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
    /// Open a shell on a node (node1, node2, client) of the demo that runs in another terminal
    #[arg(long, value_name = "NODE")]
    shell: Option<String>,
    /// With --shell: run this and no shell
    #[arg(last = true, requires = "shell")]
    command: Vec<String>,
}

/// `auto_failback` of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Failback {
    On,
    Off,
}

/// Runs `hb demo`. Exit: 0 every step did what it should, 1 one did not or the kernel does not allow
/// namespaces, 2 wrong usage.
pub fn run(args: &Args) -> ExitCode {
    if let Some(node) = &args.shell {
        return exit::code(
            u8::try_from(lab::shell(VERB, node, &args.command)).unwrap_or(exit::NEGATIVE),
        );
    }
    let usage = |text: &str| {
        view::complain(text);
        exit::code(exit::USAGE)
    };
    if args.deadtime <= 2 * args.keepalive {
        return usage("--deadtime must be more than twice --keepalive");
    }
    let Some(daemon) = find_daemon(args.daemon.clone()) else {
        return usage("the daemon is not here; give its path with --daemon");
    };
    inside(|| play(args, daemon))
}

/// Moves into namespaces of its own and does `work` there.
fn inside(work: impl FnOnce() -> ExitCode) -> ExitCode {
    match lab::enter() {
        Ok(Entered::Outside(code)) => exit::code(code),
        Ok(Entered::Inside) => work(),
        Err(reason) => {
            view::complain(&reason);
            exit::code(exit::NEGATIVE)
        }
    }
}

/// Inside the namespaces: makes the pair, plays, reports.
fn play(args: &Args, daemon: PathBuf) -> ExitCode {
    let web = if args.address_only {
        Web::Warm
    } else {
        lab::find_program("nginx").filter(|_| !args.built_in_web).map_or(Web::BuiltIn, Web::Nginx)
    };
    let pair = Pair {
        keepalive_ms: args.keepalive,
        deadtime_ms: args.deadtime,
        auto_failback: args.auto_failback == Failback::On,
        web,
    };
    let view = View::new(args.json, args.plain, args.verbose);
    view.begin(&pair);
    match play_on_stage(args, &pair, daemon, &view) {
        Ok(report) => {
            let code = if report.is_ok() { exit::OK } else { exit::NEGATIVE };
            view.end(&report);
            exit::code(code)
        }
        Err(error) => {
            view.broken(&error.to_string());
            exit::code(exit::NEGATIVE)
        }
    }
}

fn play_on_stage(
    args: &Args,
    pair: &Pair,
    daemon: PathBuf,
    view: &View,
) -> Result<Report, LabError> {
    let mut stage = Stage::new(pair.clone(), daemon)?;
    let mut report = Report::new(pair, args.strict);
    for scene in scenes::ALL {
        view.scene_begins(scene.title);
        let step = scenes::play(scene, &mut stage);
        let failed = step.failure.is_some();
        view.scene_ends(&step);
        if args.verbose {
            view.logs(&stage.fresh_logs());
        }
        report.add(step);
        if failed {
            view.logs(&stage.last_logs());
            break;
        }
    }
    let (load, processors) = stage::load();
    report.note_load(load, processors);
    if args.keep {
        view.table(&report);
        stage.make_whole()?;
        view.kept();
        loop {
            // Only a signal to the outer process ends this one.
            std::thread::park();
        }
    }
    Ok(report)
}

/// The daemon that the user named, or the one beside this program.
fn find_daemon(named: Option<PathBuf>) -> Option<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("heartbeat"));
    let path = named.or_else(beside)?;
    let path = std::path::absolute(path).ok()?;
    path.is_file().then_some(path)
}

/// The times of ha.cf in milliseconds: seconds without a unit, `ms`, or `s`.
fn parse_time(text: &str) -> Result<u64, String> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1000),
    };
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms));
    ms.filter(|ms| TIME_RANGE_MS.contains(ms)).ok_or_else(|| {
        format!(
            "not a time from {} ms to {} s, such as 100ms or 1",
            TIME_RANGE_MS.start(),
            TIME_RANGE_MS.end() / 1000
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse_time(text).ok(), expect, "{text:?}");
        };
        check("100ms", Some(100));
        check("1", Some(1000));
        check("2s", Some(2000));
        check("9ms", None);
        check("61", None);
        check("18446744073709551615", None);
        check("", None);
        check("1.5", None);
    }
}
