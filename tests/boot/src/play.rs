//! Plays the steps: outside, which plays there are, within which time, and what is removed after them;
//! inside the namespaces, one step after the other. I/O: processes, a file that tells how far it came.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Entered};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::base::Prepared;
use crate::pair::Pair;
use crate::steps;
use crate::{Failure, child, machine, rights};

/// First argument of the process that goes into the namespaces.
const INSIDE: &str = "--inside";
/// Everything inside together, plays of steps that failed at first included.
const LIMIT: Duration = Duration::from_secs(360);
/// Longest way of fresh machines to where a step begins.
const WAY_LIMIT: Duration = Duration::from_secs(180);
/// So many steps may pass only when they are played again; more are a fault of the product.
const UNSTEADY_MAX: usize = 2;
/// Exit code of a play that cannot be, as automake has it.
const SKIPPED: u8 = 77;
/// Between two looks at the clock of a step.
const LOOK: Duration = Duration::from_millis(200);

/// What one play is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    system: PathBuf,
    package: PathBuf,
    upgrade: PathBuf,
    /// Name of its control group.
    group: String,
    /// The file to which it adds the name of each step that has passed.
    passed: PathBuf,
    first: usize,
    last: usize,
}

impl Order {
    fn words(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        vec![
            INSIDE.to_owned(),
            path(&self.system),
            path(&self.package),
            path(&self.upgrade),
            self.group.clone(),
            path(&self.passed),
            self.first.to_string(),
            self.last.to_string(),
        ]
    }

    /// From the words of a command line; `None` when they are of another kind.
    pub(crate) fn from_words(words: &[String]) -> Option<Self> {
        let [flag, system, package, upgrade, group, passed, first, last] = words else {
            return None;
        };
        (flag == INSIDE).then_some(())?;
        Some(Self {
            system: system.into(),
            package: package.into(),
            upgrade: upgrade.into(),
            group: group.clone(),
            passed: passed.into(),
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }
}

/// How a play ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Played {
    Well,
    /// At this step.
    Failed(usize),
    Impossible,
    Overdue,
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Fresh machines, from this step on.
    Again(usize),
    Done(Result<(), Failure>),
}

/// Plays all steps from `first` to `last`, those that fail once more.
///
/// # Errors
/// What went wrong.
pub(crate) fn all(prepared: &Prepared, first: usize, last: usize) -> Result<(), Failure> {
    let names: Vec<&str> = steps::all().iter().map(|step| step.name).collect();
    let group = format!("hb-boot-{}", std::process::id());
    let folder = tempfile::tempdir().map_err(|e| Failure::Failed(format!("a folder: {e}")))?;
    let mut order = Order {
        system: prepared.system.clone(),
        package: prepared.package.clone(),
        upgrade: prepared.upgrade.clone(),
        group,
        passed: folder.path().join("passed"),
        first,
        last,
    };
    let begin = Instant::now();
    let mut unsteady = Vec::new();
    let outcome = loop {
        let played = play(&order, LIMIT.saturating_sub(begin.elapsed()));
        if let Err(said) = rights::remove_group(&order.group) {
            eprintln!("control group {} is left: {said}", order.group);
        }
        match next(&played?, &mut unsteady, &names) {
            Next::Done(outcome) => break outcome,
            Next::Again(step) => {
                let name = names.get(step).copied().unwrap_or_default();
                println!("{name} FAILED; it is played once more, on fresh machines");
                order.first = step;
            }
        }
    };
    for step in unsteady {
        let name = names.get(step).copied().unwrap_or_default();
        println!("UNSTEADY: {name} has failed at first, see above");
    }
    outcome
}

fn next(played: &Played, unsteady: &mut Vec<usize>, names: &[&str]) -> Next {
    let failed = |text: String| Next::Done(Err(Failure::Failed(text)));
    match *played {
        Played::Well => Next::Done(Ok(())),
        Played::Impossible => {
            Next::Done(Err(Failure::Skip("no namespaces, for the reason above".into())))
        }
        Played::Overdue => failed(format!("not done within {} s", LIMIT.as_secs())),
        Played::Failed(step) => {
            let name = names.get(step).copied().unwrap_or("the end");
            let again = unsteady.contains(&step);
            match (again, name) {
                (true, steps::FIRST) => Next::Done(Err(Failure::Skip(
                    "not even Debian alone boots in a container here, see above".into(),
                ))),
                (true, _) => failed(format!("{name}, twice")),
                (false, _) if unsteady.len() >= UNSTEADY_MAX => {
                    failed(format!("{name}, after {UNSTEADY_MAX} others"))
                }
                (false, _) => {
                    unsteady.push(step);
                    Next::Again(step)
                }
            }
        }
    }
}

/// One play, as a process of its own.
fn play(order: &Order, limit: Duration) -> Result<Played, Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("a play: {error}"));
    fs::write(&order.passed, "").map_err(failed)?;
    let this = std::env::current_exe().map_err(failed)?;
    let status = child::run(Command::new(this).args(order.words()), limit)?;
    let passed = fs::read_to_string(&order.passed).map_err(failed)?.lines().count();
    Ok(match status {
        None => Played::Overdue,
        Some(status) if status.success() => Played::Well,
        Some(status) if status.code() == Some(SKIPPED.into()) => Played::Impossible,
        Some(_) => Played::Failed(order.first + passed),
    })
}

/// The whole process that plays.
pub(crate) fn inside(order: &Order) -> ExitCode {
    // Whatever ends who has started it ends it, too; the namespaces end with it.
    if let Err(error) = set_pdeathsig(Signal::SIGTERM) {
        eprintln!("FAILED: cannot be told of my parent's end: {error}");
        return ExitCode::FAILURE;
    }
    match lab::enter() {
        Ok(Entered::Outside(code)) => return code.into(),
        Ok(Entered::Inside) => {}
        Err(reason) => {
            eprintln!("no namespaces: {reason}");
            return SKIPPED.into();
        }
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        machine::show();
        hook(panic);
    }));
    thread::spawn(watch_the_clock);
    let prepared = Prepared::at(&order.system, &order.package, &order.upgrade);
    let mut pair = Pair::new(prepared, &order.group);
    let all = steps::all();
    let chosen = all.get(order.first..=order.last).unwrap_or_default();
    for (number, step) in chosen.iter().enumerate() {
        println!("{}", step.name);
        if number == 0 {
            under_way("the way there", WAY_LIMIT);
            steps::reach(&mut pair, step.begin);
        }
        let begin = Instant::now();
        under_way(step.name, step.limit());
        (step.run)(&mut pair);
        println!("  ok ({:.1} s)", begin.elapsed().as_secs_f32());
        let mut file = fs::OpenOptions::new().append(true).open(&order.passed).expect("a file");
        writeln!(file, "{}", step.name).expect("room");
    }
    pair.end();
    ExitCode::SUCCESS
}

/// What is done now, and until when.
static NOW: Mutex<Option<(&str, Instant)>> = Mutex::new(None);

fn under_way(name: &'static str, limit: Duration) {
    *NOW.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, Instant::now() + limit));
}

/// Ends this process, and all machines with it, when a step takes too long.
fn watch_the_clock() {
    loop {
        thread::sleep(LOOK);
        let now = *NOW.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, until)) = now
            && Instant::now() > until
        {
            machine::show();
            println!("FAILED: {name} takes too long");
            std::process::exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = Order {
            system: "/a".into(),
            package: "/b".into(),
            upgrade: "/c".into(),
            group: "g".into(),
            passed: "/d".into(),
            first: 3,
            last: 7,
        };
        assert_eq!(Order::from_words(&order.words()).as_ref(), Some(&order));
        let other = |words: &[&str]| -> Vec<String> { words.iter().map(|&w| w.into()).collect() };
        assert_eq!(Order::from_words(&other(&["daemon_killed"])), None);
        assert_eq!(Order::from_words(&other(&["x", "", "", "", "", "", "1", "2"])), None);
    }

    #[test]
    fn what_fails_is_played_once_more_and_only_few_may() {
        let names = [steps::FIRST, "b", "c", "d", "e"];
        let check = |plays: &[Played], expect: Result<(), &str>, unsteady_expected: &[usize]| {
            let mut unsteady = Vec::new();
            let (last, before) = plays.split_last().expect("a play");
            for played in before {
                let Played::Failed(step) = *played else { panic!("{plays:?}") };
                assert_eq!(next(played, &mut unsteady, &names), Next::Again(step), "{plays:?}");
            }
            let Next::Done(outcome) = next(last, &mut unsteady, &names) else {
                panic!("it goes on after {plays:?}")
            };
            let words = outcome.map_err(|failure| match failure {
                Failure::Skip(text) => format!("skip: {text}"),
                Failure::Failed(text) => text,
                Failure::Ended => "ended".to_owned(),
            });
            match (&words, expect) {
                (Ok(()), Ok(())) => {}
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (found, expect) => panic!("{plays:?}: {found:?}, not {expect:?}"),
            }
            assert_eq!(unsteady, unsteady_expected, "{plays:?}");
        };
        let failed = Played::Failed;
        check(&[Played::Well], Ok(()), &[]);
        check(&[failed(2), Played::Well], Ok(()), &[2]);
        check(&[failed(2), failed(3), Played::Well], Ok(()), &[2, 3]);
        check(&[failed(2), failed(2)], Err("c, twice"), &[2]);
        check(&[failed(1), failed(2), failed(3)], Err("d, after 2 others"), &[1, 2]);
        check(&[failed(0), Played::Well], Ok(()), &[0]);
        check(&[failed(0), failed(0)], Err("skip: not even Debian"), &[0]);
        check(&[Played::Impossible], Err("skip: no namespaces"), &[]);
        check(&[failed(4), Played::Overdue], Err("not done within"), &[4]);
    }
}
