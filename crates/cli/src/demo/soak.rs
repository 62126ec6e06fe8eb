//! `hb soak`: a pair left alone on a machine that is made busy. Nothing fails, so nothing may move:
//! each death that a node declares is a false alarm. It measures; how a pair is made is in `stage`.

#![expect(clippy::disallowed_methods, reason = "real time, and threads that do nothing but load")]

use std::hint::spin_loop;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::pair::{NODES, Pair, Web};
use super::stage::{self, Stage};
use super::{find_daemon, inside, parse_time};
use crate::lab::LabError;
use crate::{exit, print};

/// Longest wait for a healthy pair before the soak begins.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a line of progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);
/// Longest soak, in seconds: a day. What the client saw is kept in memory.
const SECONDS_MAX: u64 = 86_400;

/// Options of `hb soak`.
#[derive(Clone, Debug, ClapArgs)]
pub struct SoakArgs {
    /// How long, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value = "600",
          value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Interval between heartbeats, as in ha.cf
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_time)]
    keepalive: u64,
    /// Silence after which a node is declared dead, as in ha.cf
    #[arg(long, value_name = "TIME", default_value = "40ms", value_parser = parse_time)]
    deadtime: u64,
    /// Busy threads beside the pair [default: two for each processor]
    #[arg(long, value_name = "N")]
    load: Option<usize>,
    /// The daemon to use [default: heartbeat beside this program]
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
}

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Lines of the logs that declare a node dead.
    deaths: Vec<String>,
    /// Heartbeats that came later than warntime, and the longest interval in ms.
    late: usize,
    latest_ms: u64,
    /// Groups that moved.
    moves: usize,
}

/// Runs `hb soak`. Exit: 0 no false alarm, 1 at least one or the pair could not be made, 2 usage.
pub fn run(args: &SoakArgs) -> ExitCode {
    if args.deadtime <= 2 * args.keepalive {
        print::err("hb: --deadtime must be more than twice --keepalive\n");
        return exit::code(exit::USAGE);
    }
    let Some(daemon) = find_daemon(args.daemon.clone()) else {
        print::err("hb: the daemon is not here; give its path with --daemon\n");
        return exit::code(exit::USAGE);
    };
    inside(|| match soak(args, daemon) {
        Ok(true) => exit::code(exit::OK),
        Ok(false) => exit::code(exit::NEGATIVE),
        Err(reason) => {
            print::err(&format!("hb: {reason}\n"));
            exit::code(exit::NEGATIVE)
        }
    })
}

fn soak(args: &SoakArgs, daemon: PathBuf) -> Result<bool, String> {
    let pair = Pair {
        keepalive_ms: args.keepalive,
        deadtime_ms: args.deadtime,
        auto_failback: true,
        web: Web::Warm,
    };
    let mut stage = Stage::new(pair, daemon).map_err(|e: LabError| e.to_string())?;
    for node in NODES {
        stage.boot(node).and_then(|()| stage.start(node)).map_err(|e| e.to_string())?;
    }
    stage.wait_healthy(PATIENCE)?;
    let (_, processors) = stage::load();
    let load = Load::start(args.load.unwrap_or(2 * processors));
    print::out(&format!(
        "keepalive {} ms, deadtime {} ms, {} busy threads on {processors} processors, {} s\n",
        args.keepalive,
        args.deadtime,
        load.threads.len(),
        args.seconds
    ));
    stage.fresh_logs();
    let before = moves(&stage);
    let seen = watch(args, &mut stage, before)?;
    drop(load);
    print::out(&summary(&seen, args));
    Ok(seen.deaths.is_empty() && seen.moves == 0)
}

fn moves(stage: &Stage) -> usize {
    let moves = |node: &&str| stage.history(node).iter().filter(|entry| entry.is_move()).count();
    NODES.iter().map(moves).sum()
}

fn watch(args: &SoakArgs, stage: &mut Stage, before: usize) -> Result<Seen, String> {
    let begin = Instant::now();
    let limit = Duration::from_secs(args.seconds);
    let mut seen = Seen::default();
    while begin.elapsed() < limit {
        stage.watch(PROGRESS.min(limit.saturating_sub(begin.elapsed())));
        if let Some(ended) = stage.ended() {
            return Err(ended);
        }
        for line in stage.fresh_logs() {
            note(&line, &mut seen);
        }
        seen.moves = moves(stage).saturating_sub(before);
        print::out(&format!(
            "{:>6} s  false alarms {}  late heartbeats {} (longest interval {} ms)\n",
            begin.elapsed().as_secs(),
            seen.deaths.len(),
            seen.late,
            seen.latest_ms
        ));
    }
    Ok(seen)
}

/// The fields that the daemon's log lines carry.
fn note(line: &str, seen: &mut Seen) {
    let field = |name: &str| {
        let value = line.split_once(name)?.1;
        value.split_whitespace().next()
    };
    match field(" event=") {
        Some("node_dead") => seen.deaths.push(line.to_owned()),
        Some("late_heartbeat") => {
            seen.late += 1;
            let ms = field(" elapsed_ms=").and_then(|word| word.parse().ok()).unwrap_or(0);
            seen.latest_ms = seen.latest_ms.max(ms);
        }
        _ => {}
    }
}

fn summary(seen: &Seen, args: &SoakArgs) -> String {
    let mut out: String = seen.deaths.iter().map(|line| format!("  {line}\n")).collect();
    out += &format!(
        "{}: {} false alarms, {} moves, {} late heartbeats in {} s; longest interval {} ms of \
         {} ms deadtime\n",
        if seen.deaths.is_empty() && seen.moves == 0 { "ok" } else { "FAILED" },
        seen.deaths.len(),
        seen.moves,
        seen.late,
        args.seconds,
        seen.latest_ms,
        args.deadtime,
    );
    out
}

/// Threads that keep the processors busy, until it is dropped.
struct Load {
    threads: Vec<JoinHandle<()>>,
    ends: Arc<AtomicBool>,
}

impl Load {
    fn start(threads: usize) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let busy = |ends: Arc<AtomicBool>| {
            move || {
                while !ends.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }
        };
        let threads = (0..threads)
            .filter_map(|_| Builder::new().name("load".into()).spawn(busy(ends.clone())).ok())
            .collect();
        Self { threads, ends }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that only spins cannot panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_understood() {
        let mut seen = Seen::default();
        let line = "node1| node1 heartbeat: [2]: 2026/11/21_00:04:12 WARN: node node2: is dead (x)";
        note(&format!("{line} event=node_dead peer=node2"), &mut seen);
        note("Late heartbeat: event=late_heartbeat peer=node2 elapsed_ms=31", &mut seen);
        note("Late heartbeat: event=late_heartbeat peer=node2 elapsed_ms=24", &mut seen);
        note("node1| info: something event=group_changed from=held", &mut seen);
        assert_eq!((seen.deaths.len(), seen.late, seen.latest_ms), (1, 2, 31));
    }
}
