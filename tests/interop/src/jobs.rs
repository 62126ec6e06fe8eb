//! Plays many runs, some of them at the same time: each in a process and in namespaces of its own,
//! so that they share nothing but the machine. A run that went wrong while the machine stood still
//! is played once more, or any that went wrong where that is wanted, and that is said. I/O: processes.

#![expect(clippy::disallowed_methods, reason = "starts processes and waits for them")]
#![expect(clippy::print_stdout, reason = "a worker's report goes to its standard output")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Entered};

use crate::play::{Report, play};
use crate::scenario::{self, Scenario};
use crate::{PAIRS, Programs, Side, pair_name};

/// First argument of a process that plays one run: `--worker SCENARIO PAIR [CAPTURE]`.
const FLAG: &str = "--worker";
/// Longer than the longest scenario with all its patience spent: a worker that takes more hangs.
const WORKER_MAX: Duration = Duration::from_secs(1_200);
/// How often a worker's end is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A run to be played.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// What is played.
    pub scenario: &'static Scenario,
    /// With whom.
    pub sides: [Side; 2],
}

/// Plays a run and prints its report when this process was started for that. Call it before
/// everything else in `main`.
pub fn work_if_asked() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, name, pair, rest @ ..] = args.as_slice() else { return None };
    if flag != FLAG {
        return None;
    }
    let report = match (lab::enter(), scenario::find(name), find_pair(pair), Programs::find()) {
        (Ok(Entered::Outside(code)), ..) => return Some(code.into()),
        (Ok(Entered::Inside), Some(scenario), Some(sides), Ok(programs)) => {
            play(scenario, sides, &programs, rest.first().map(Path::new))
        }
        (Err(reason), ..) | (_, _, _, Err(reason)) => Report::impossible(name, reason),
        (_, None, ..) | (_, _, None, _) => Report::impossible(name, "no such run".to_owned()),
    };
    let text = serde_json::to_string(&report).unwrap_or_default();
    println!("{text}");
    Some(ExitCode::SUCCESS)
}

/// Which runs that went wrong are played a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Those in which the machine did not do its part.
    Stalled,
    /// All: the genuine daemon is not deterministic, and a look at a part of the matrix must tell a
    /// fault from an accident.
    Any,
}

fn find_pair(name: &str) -> Option<[Side; 2]> {
    PAIRS.into_iter().find(|sides| pair_name(*sides) == name)
}

/// Plays all `tasks`, at most `jobs` at a time, and hands each report to `told` in the order of the
/// tasks. The calling program must have entered the lab, which ends the workers with it.
pub fn play_all(
    tasks: &[Task],
    jobs: usize,
    again: Again,
    capture: Option<&PathBuf>,
    mut told: impl FnMut(Report),
) {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, tasks.len().max(1)) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(index) else { return };
                    let _ = send.send((index, play_fairly(*task, again, capture)));
                }
            });
        }
        drop(send);
        let mut waiting = std::collections::BTreeMap::new();
        let mut turn = 0;
        for (index, report) in receive {
            waiting.insert(index, report);
            while let Some(report) = waiting.remove(&turn) {
                told(report);
                turn += 1;
            }
        }
    });
}

fn play_fairly(task: Task, again: Again, capture: Option<&PathBuf>) -> Report {
    let first = start_and_wait(task, capture);
    let fair = first.stalls.is_empty() && again == Again::Stalled;
    if first.wrong.is_empty() || fair {
        return first;
    }
    let mut second = start_and_wait(task, capture);
    second.first_try = Some(Box::new(first));
    second
}

fn start_and_wait(task: Task, capture: Option<&PathBuf>) -> Report {
    let begin = Instant::now();
    let mut report =
        work(task, capture).unwrap_or_else(|reason| Report::impossible(task.scenario.name, reason));
    report.sides = task.sides;
    report.took = begin.elapsed();
    report
}

fn work(task: Task, capture: Option<&PathBuf>) -> Result<Report, String> {
    let mut child = Command::new("/proc/self/exe")
        .args([FLAG, task.scenario.name, &pair_name(task.sides)])
        .args(capture)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("starting a worker: {e}"))?;
    let mut pipe = child.stdout.take().ok_or("no pipe to a worker")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let ended = wait(&mut child);
    let text = reader.join().map_err(|_| "reading a report failed".to_owned())?;
    ended?;
    let text = text.map_err(|e| format!("reading a report: {e}"))?;
    serde_json::from_str(&text).map_err(|e| format!("a worker's report is none: {e}: {text}"))
}

fn wait(child: &mut Child) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if begin.elapsed() < WORKER_MAX => thread::sleep(LOOK_INTERVAL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end in {} s", WORKER_MAX.as_secs()));
            }
            Err(error) => return Err(format!("waiting for a worker: {error}")),
        }
    }
}
