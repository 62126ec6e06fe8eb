//! Runs cases, some at the same time, each as a process of its own in namespaces of its own: a case
//! that panics, hangs or leaves things behind costs itself and no other. I/O: processes, standard
//! output. What a case does is not its business.
//!
//! The command line is that of Rust's own test harness as far as it makes sense here: names to
//! filter by, `--exact`, `--skip NAME`, `--list`, `--nocapture`. `HB_FORBID_SKIPS=1` makes a skipped
//! case a failed one.
//!
//! Real daemons on a machine that others use are not deterministic: a case that failed is played once
//! more, with both outcomes shown. Few may need that, see `UNSTEADY_MAX`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "says what it does, as a harness")]

use std::io::{self, Read, Write};
use std::panic::PanicHookInfo;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Entered};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// First argument of the process that runs one case.
const CASE_FLAG: &str = "--case";
/// Exit code of a case that could not be run here, as automake has it.
const SKIPPED: i32 = 77;
/// Longest run of a case. Every wait inside it has a shorter limit and a better message.
const CASE_LIMIT: Duration = Duration::from_secs(240);
/// So many cases of a program may pass only when played again; more are a fault of the product. What
/// is decided is proved by the simulator, in which nothing is ever played again.
const UNSTEADY_MAX: usize = 2;
/// Cases at the same time: they mostly wait.
const JOBS: usize = 2;
/// What a line of a case's output begins with that says why it was skipped or failed.
const SKIP: &str = "SKIP: ";
const FAILED: &str = "FAILED: ";
/// What a line begins with that is shown when the case has passed, too.
const MEASURED: &str = "measured: ";

/// One thing that is tested.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, in words.
    pub name: &'static str,
    /// Runs inside the namespaces; panics when what is asked of the product does not hold.
    pub run: fn(),
}

/// Ends the running case: it cannot be run here, for `reason`.
pub fn skip(reason: &str) -> ! {
    println!("{SKIP}{reason}");
    std::process::exit(SKIPPED)
}

/// Tells how long something took. It is shown and never judged: a machine may have other work.
pub fn measured(what: &str, took: Duration) {
    println!("{MEASURED}{what}: {} ms", took.as_millis());
}

/// The whole `main` of a test program.
pub fn main(cases: &[Case]) -> ExitCode {
    lab::help_if_asked();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(CASE_FLAG) {
        let name = args.next().unwrap_or_default();
        return match cases.iter().find(|case| case.name == name) {
            Some(case) => run_here(case),
            None => ExitCode::FAILURE,
        };
    }
    let options = Options::parse(std::env::args().skip(1));
    let chosen: Vec<Case> = cases.iter().copied().filter(|case| options.wants(case.name)).collect();
    if options.list {
        for case in &chosen {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    run_all(&chosen, options.nocapture)
}

/// Runs one case in this process, once that is inside.
fn run_here(case: &Case) -> ExitCode {
    match lab::enter() {
        Ok(Entered::Outside(code)) => code.into(),
        Ok(Entered::Inside) => {
            std::panic::set_hook(Box::new(say_failed));
            (case.run)();
            ExitCode::SUCCESS
        }
        Err(reason) => skip(&reason),
    }
}

fn say_failed(panic: &PanicHookInfo<'_>) {
    let what = panic.payload();
    let text = what
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| what.downcast_ref::<&str>().copied())
        .unwrap_or("panic");
    let place = panic.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
    println!("{FAILED}{text}{}", place.unwrap_or_default());
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    nocapture: bool,
    /// Only ignored cases are wanted, and there are none.
    ignored: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--nocapture" | "--no-capture" => options.nocapture = true,
                "--ignored" => options.ignored = true,
                "--skip" => options.skips.extend(args.next()),
                // Of Rust's harness, with a value and without a meaning here.
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => {
                    args.next();
                }
                flag if flag.starts_with('-') => {}
                _ => options.filters.push(arg),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        let fits =
            |word: &String| if self.exact { name == word } else { name.contains(word.as_str()) };
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skips.iter().any(fits)
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    Passed,
    Skipped(String),
    Failed(String),
}

fn run_all(cases: &[Case], nocapture: bool) -> ExitCode {
    let forbidden = std::env::var_os("HB_FORBID_SKIPS").is_some_and(|value| value != "0");
    let (mut failed, mut skipped, mut unsteady) = (Vec::new(), Vec::new(), Vec::new());
    println!("\nrunning {} cases", cases.len());
    for (name, first, last) in play_all(cases, nocapture) {
        match (first, last) {
            (Ended::Failed(reason), Ended::Passed) => unsteady.push((name, reason)),
            (_, Ended::Passed) => {}
            (_, Ended::Skipped(reason)) => {
                let list = if forbidden { &mut failed } else { &mut skipped };
                list.push((name, reason));
            }
            (_, Ended::Failed(reason)) => failed.push((name, reason)),
        }
    }
    println!();
    skipped.iter().for_each(|(name, reason)| println!("skipped: {name}: {reason}"));
    unsteady.iter().for_each(|(name, reason)| println!("UNSTEADY: {name}: at first {reason}"));
    failed.iter().for_each(|(name, reason)| println!("failed: {name}: {reason}"));
    let passed = cases.len() - failed.len() - skipped.len();
    println!("{passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How each case ended, by name: at first, and in the end.
fn play_all(cases: &[Case], nocapture: bool) -> Vec<(&'static str, Ended, Ended)> {
    let (next, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ended = Mutex::new(Vec::new());
    // What a case prints while it runs would be mixed with what another one prints.
    let jobs = if nocapture { 1 } else { JOBS };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let first = play(case, nocapture);
                    let fails = matches!(first, Ended::Failed(_));
                    let last = if fails && again.fetch_add(1, Ordering::Relaxed) < UNSTEADY_MAX {
                        play(case, nocapture)
                    } else {
                        first.clone()
                    };
                    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                    ended.push((case.name, first, last));
                }
            });
        }
    });
    ended.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a case and tells how it ended.
fn play(case: &Case, nocapture: bool) -> Ended {
    let begin = Instant::now();
    let (ended, output) = run_apart(case, nocapture);
    let seconds = begin.elapsed().as_secs_f32();
    let told = |line: &str| format!("    {line}\n");
    let (verdict, lines): (String, String) = match &ended {
        Ended::Passed if nocapture => (format!("ok ({seconds:.1} s)"), String::new()),
        Ended::Passed => {
            let measured = output.lines().filter(|line| line.starts_with(MEASURED));
            (format!("ok ({seconds:.1} s)"), measured.map(told).collect())
        }
        Ended::Skipped(reason) => (format!("SKIP: {reason}"), String::new()),
        Ended::Failed(reason) => {
            let verdict = format!("FAILED: {reason} ({seconds:.1} s)");
            (verdict, output.lines().map(told).collect())
        }
    };
    // In one piece, so that the lines of two cases are not mixed.
    print!("test {} ... {verdict}\n{lines}", case.name);
    let _ = io::stdout().flush();
    ended
}

/// Runs a case as a process of its own. Also returns what it printed.
fn run_apart(case: &Case, nocapture: bool) -> (Ended, String) {
    let result = start(case).and_then(|(mut child, output)| {
        let (text, in_time) = read(output, nocapture, child.id());
        Ok((child.wait()?.code(), text, in_time))
    });
    match result {
        Ok((code, text, in_time)) => (judge(code, &text, in_time), text),
        Err(error) => (Ended::Failed(format!("cannot run it: {error}")), String::new()),
    }
}

fn start(case: &Case) -> io::Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CASE_FLAG, case.name]).stdin(Stdio::null());
    // The command holds our ends of the pipe and ends here: then only the case can write.
    let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok((child, reader))
}

/// Everything that the case prints, until it ends or its time is over; then it is ended.
fn read(mut output: io::PipeReader, nocapture: bool, pid: u32) -> (String, bool) {
    let (send, parts) = mpsc::channel::<Vec<u8>>();
    let reader = thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut part) {
            let _ = send.send(part.get(..length).unwrap_or_default().to_vec());
        }
    });
    let begin = Instant::now();
    let (mut all, mut in_time) = (Vec::new(), true);
    loop {
        let left = CASE_LIMIT.saturating_sub(begin.elapsed());
        match parts.recv_timeout(left) {
            Ok(part) => {
                if nocapture {
                    let _ = io::stdout().write_all(&part);
                }
                all.extend(part);
            }
            Err(mpsc::RecvTimeoutError::Timeout) if in_time => {
                in_time = false;
                // Of a lab the outer process ends everything on SIGTERM; its end is awaited.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => thread::sleep(Duration::from_millis(10)),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = reader.join();
    (String::from_utf8_lossy(&all).into_owned(), in_time)
}

fn judge(code: Option<i32>, output: &str, in_time: bool) -> Ended {
    let said = |word: &str| output.lines().find_map(|line| line.strip_prefix(word));
    match code {
        Some(0) if in_time => Ended::Passed,
        Some(SKIPPED) => Ended::Skipped(said(SKIP).unwrap_or("no reason given").to_owned()),
        _ if !in_time => Ended::Failed(format!("it did not end within {CASE_LIMIT:?}")),
        Some(_) | None => {
            let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
            Ended::Failed(said(FAILED).map_or(format!("it ended with {code}"), str::to_owned))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Options {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn cases_are_chosen_as_by_rusts_harness() {
        let check = |words: &str, name: &str, expect: bool| {
            assert_eq!(options(words).wants(name), expect, "{words:?} {name:?}");
        };
        check("", "power_loss", true);
        check("power", "power_loss", true);
        check("links power", "power_loss", true);
        check("--exact power", "power_loss", false);
        check("--exact power_loss", "power_loss", true);
        check("--skip loss", "power_loss", false);
        check("--test-threads 1 power", "power_loss", true);
        check("--quiet --color=never", "power_loss", true);
        check("--ignored", "power_loss", false);
    }

    #[test]
    fn the_end_of_a_case_is_read_from_its_code_and_words() {
        let check = |code, output: &str, in_time, expect: Ended| {
            assert_eq!(judge(code, output, in_time), expect, "{code:?} {output:?}");
        };
        let failed = |reason: &str| Ended::Failed(reason.to_owned());
        check(Some(0), "x\n", true, Ended::Passed);
        check(Some(77), "x\nSKIP: no nginx\n", true, Ended::Skipped("no nginx".into()));
        check(
            Some(101),
            "FAILED: left != right (a.rs:1)\nlog\n",
            true,
            failed("left != right (a.rs:1)"),
        );
        check(Some(3), "", true, failed("it ended with exit code 3"));
        check(None, "", true, failed("it ended with a signal"));
        check(Some(143), "", false, failed("it did not end within 240s"));
    }
}
