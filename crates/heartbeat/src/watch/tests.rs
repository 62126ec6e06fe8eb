//! Watches over real processes: a hint for each death, the new processes of a restarted service,
//! what the daemon after this one knows.
#![expect(clippy::disallowed_methods, reason = "these tests start and kill processes")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hb_config::settings::AgentSpec;
use hb_resource::exec::RunnerConfig;
use hb_resource::operation::{Action, OpId, Outcome};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::*;
use hb_node::input::Input;

use crate::hint::{self, Hints};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Daemons in sessions of their own that have nothing in their environment: one for each `start`, which
/// waits until it has the name that it keeps, and `stop` kills the last.
const AGENT: &str = r#"#!/bin/sh
case $1 in
    start) setsid env -i sh -c 'echo $$ >"$0".new; mv "$0".new "$0"; exec sleep 1000' "$D/pid" \
            >/dev/null 2>&1 &
        until read -r pid <"$D/pid" && read -r name <"/proc/$pid/comm" && [ "$name" = sleep ]; do
            sleep 0.01
        done ;;
    stop) read -r pid <"$D/pid"; kill -9 $pid; rm "$D/pid" ;;
esac
"#;

/// Who looks for daemons that have appeared finds those of a test beside it as well.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct Bench {
    dir: TempDir,
    runner: Runner,
    watches: Watches,
    hints: Hints,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(AGENT).await
    }

    async fn with(agent: &str) -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("d");
        fs::write(&script, agent.replace("$D", dir.path().to_str().unwrap())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let runner = Runner::new(RunnerConfig {
            resource_dirs: vec![dir.path().to_owned()],
            environment: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("HA_CURHOST".into(), dir.path().display().to_string()),
            ],
            ..RunnerConfig::default()
        });
        let (watches, hints) = open(&runner, dir.path());
        Self { dir, runner, watches, hints, _alone: alone }
    }

    async fn run(&self, action: Action) -> Operation {
        let operation = operation(action);
        assert_eq!(self.runner.run(&operation).await, Outcome::Ok);
        operation
    }

    async fn start(&mut self) -> String {
        let began = Ticks::now();
        let operation = self.run(Action::Start).await;
        self.watches.started(&operation, began);
        let pid = self.pid();
        self.await_record(&pid).await;
        pid
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.dir.path().join("pid")).unwrap().trim().to_owned()
    }

    /// Waits until the file names `pid` as watched; everything else of that time is left out.
    async fn await_record(&self, pid: &str) {
        let word = format!("\"pid\":{pid},");
        let file = self.dir.path().join("watched.json");
        let wait = async {
            while !fs::read_to_string(&file).is_ok_and(|text| text.contains(&word)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(LONG, wait).await.is_ok(), "{word} is never written down");
    }

    /// The evidence of all hints up to the next one that speaks of `word`.
    async fn hint(&mut self, word: &str) -> Vec<Evidence> {
        let mut all = Vec::new();
        let wait = async {
            loop {
                let Input::Look { group, resource, evidence, reason } = self.hints.recv().await
                else {
                    panic!("not a hint")
                };
                assert_eq!((group.as_str(), resource.as_str()), ("group", "d"));
                all.push(evidence);
                if reason.contains(word) {
                    return;
                }
            }
        };
        assert!(timeout(LONG, wait).await.is_ok(), "no hint says {word:?}");
        all
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.dir.path().join("pid")) {
            end(pid.trim());
        }
    }
}

fn open(runner: &Runner, dir: &Path) -> (Watches, Hints) {
    let (sender, hints) = hint::channel();
    let record = Record::open(dir.join("watched.json"), &[owner(&operation(Action::Start))].into());
    let (watched, units) = (BTreeMap::new(), Units::default());
    let watches = Watches { runner: runner.clone(), hints: sender, record, watched, units };
    (watches, hints)
}

fn operation(action: Action) -> Operation {
    let agent = AgentSpec::Script { name: "d".into(), args: Vec::new() };
    Operation {
        id: OpId(1),
        group: "group".into(),
        resource: ResourceSpec { text: "d".into(), agent, built_in: None },
        action,
        timeout: LONG,
        kill: false,
        monitor: false,
        probe: false,
    }
}

fn end(pid: &str) {
    Command::new("kill").args(["-9", pid]).status().unwrap();
}

#[tokio::test]
async fn a_death_is_a_hint_and_a_restarted_service_is_watched_again() {
    let mut bench = Bench::new().await;
    let pid = bench.start().await;
    end(&pid);
    bench.hint(&format!("process {pid} (sleep) ended")).await;
    // Somebody restarts it, and a check says that it runs.
    fs::remove_file(bench.dir.path().join("pid")).unwrap();
    bench.run(Action::Start).await;
    let status = operation(Action::Status);
    bench.watches.runs(&status);
    let pid = bench.pid();
    bench.await_record(&pid).await;
    end(&pid);
    bench.hint(&format!("process {pid} (sleep) ended")).await;
    // A check that came too early: nothing of it is there.
    bench.watches.runs(&status);
    bench.hint("no process of it is to be found").await;
}

/// Found while it is still a shell, a daemon is one process and not two, and known by its last name.
#[tokio::test]
async fn a_daemon_that_becomes_what_it_is_after_it_was_found_is_watched_once() {
    let waits = r#"while [ ! -e "$0".go ]; do sleep 0.01; done; exec sleep 1000"#;
    let agent = AGENT.replace("exec sleep 1000", waits).replace("= sleep", "= sh");
    let mut bench = Bench::with(&agent).await;
    let since = Ticks::now();
    let operation = bench.run(Action::Start).await;
    let mut watcher = bench.watches.watcher(&operation, Vec::new(), Some(since));
    let pid = bench.pid();
    let name = format!("/proc/{pid}/comm");
    let is_it = |one: &Watched, name: &str| one.pid.to_string() == pid && one.name == name;
    watcher.look(Some(since), false).await;
    assert!(watcher.watched.iter().any(|one| is_it(one, "sh")), "{:?}", watcher.watched);
    fs::write(bench.dir.path().join("pid.go"), "").unwrap();
    let wait = async {
        while fs::read_to_string(&name).unwrap().trim() != "sleep" {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LONG, wait).await.is_ok());
    watcher.look(Some(since), false).await;
    let of_it: Vec<_> =
        watcher.watched.iter().filter(|one| one.pid.to_string() == pid).cloned().collect();
    assert!(of_it.len() == 1 && is_it(&of_it[0], "sleep"), "{of_it:?}");
    watcher.died(&of_it[0]);
    bench.hint(&format!("process {pid} (sleep) ended")).await;
}

/// What is said of a script that cannot tell by itself must be true.
#[tokio::test]
async fn nothing_is_left_of_a_daemon_that_has_ended_and_only_of_one() {
    use Evidence::{NothingLeft, ProcessEnded};
    // Daemons of tests beside this one may be taken for its own, and their ends are told as well.
    let is_told_last = |all: &[Evidence]| {
        let (last, before) = all.split_last().expect("a hint");
        *last == NothingLeft && before.iter().all(|one| *one == ProcessEnded)
    };
    let marked = AGENT.replace("env -i ", "");
    let mut bench = Bench::with(&marked).await;
    let pid = bench.start().await;
    end(&pid);
    let all = bench.hint("is left").await;
    assert!(all.len() > 1 && is_told_last(&all), "{all:?}");
    drop(bench);

    // In the background of the script it may be a helper.
    let mut bench = Bench::with(&marked.replace("setsid ", "")).await;
    let pid = bench.start().await;
    end(&pid);
    bench.hint(&format!("process {pid} ")).await;
    bench.watches.runs(&operation(Action::Status));
    assert!(!bench.hint("no process of it is to be found").await.contains(&NothingLeft));
    drop(bench);

    // What was on top has left the service behind, under another name.
    let child = r#"tail -f /dev/null & echo $! >"$0".new; mv "$0".new "$0".child; wait"#;
    let mut bench = Bench::with(
        &marked
            .replace("exec sleep 1000", child)
            .replace("\"$name\" = sleep", "-e \"$D/pid.child\""),
    )
    .await;
    let pid = bench.start().await;
    let child = fs::read_to_string(bench.dir.path().join("pid.child")).unwrap().trim().to_owned();
    end(&pid);
    bench.await_record(&child).await;
    end(&child);
    let all = bench.hint("is left").await;
    assert!(all.len() > 2 && is_told_last(&all), "{all:?}");
}

#[tokio::test]
async fn a_stop_ends_the_watch_first() {
    let mut bench = Bench::new().await;
    let pid = bench.start().await;
    bench.watches.end(&operation(Action::Stop));
    let stop = bench.run(Action::Stop).await;
    bench.watches.stopped(&stop);
    // Another resource's death is the next thing that is heard of.
    bench.start().await;
    let again = bench.pid();
    end(&again);
    bench.hint(&format!("process {again} ")).await;
    assert_ne!(pid, again);
    assert!(!fs::read_to_string(bench.dir.path().join("watched.json")).unwrap().contains(&pid));
}

#[tokio::test]
async fn the_daemon_after_this_one_watches_again_at_the_first_check() {
    let mut bench = Bench::new().await;
    let pid = bench.start().await;
    // Its tasks end with it.
    let (watches, hints) = open(&bench.runner, bench.dir.path());
    (bench.watches, bench.hints) = (watches, hints);
    bench.watches.runs(&operation(Action::Status));
    // Whether it has looked already or not.
    end(&pid);
    bench.hint(&format!("process {pid} (sleep) ended")).await;
}
