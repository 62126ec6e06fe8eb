//! Processes of resources: found, awaited, killed with a cancelled check, ended after a daemon that
//! was killed. Over real processes.
#![cfg(feature = "exec")]
#![expect(clippy::disallowed_methods, reason = "these tests write agents and start processes")]

mod bench;

use std::fs;
use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};

use hb_config::settings::AgentSpec;
use hb_resource::exec::Runner;
use hb_resource::exec::watch::{Search, Ticks, Watched};
use hb_resource::operation::{Action, Outcome};

use bench::{Bench, LONG, is_alive, operation, resource, script, unit, until};

/// Starts a daemon: in a session of its own, with the environment of `$CLEAN`, its number in `pid`.
const DAEMON: &str = r#"case $1 in
    start) setsid $CLEAN sh -c 'echo $$ >'"$D"'/pid.new; mv '"$D"'/pid.new '"$D"'/pid
            while :; do sleep 1000; done' >/dev/null 2>&1 &
        while [ ! -e $D/pid ]; do sleep 0.01; done ;;
esac"#;

/// Kills a daemon at the end of a test.
struct Killed(String);

impl Drop for Killed {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.trim());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    }
}

fn search(agent: AgentSpec, since: Option<Ticks>) -> Search {
    Search {
        group: "the group".into(),
        resource: resource(agent),
        known: Vec::new(),
        since,
        names: Vec::new(),
        sessions: Vec::new(),
    }
}

fn pids(found: &[Watched]) -> Vec<String> {
    found.iter().map(|one| format!("{}\n", one.pid)).collect()
}

async fn find(runner: &Runner, search: &Search) -> Vec<Watched> {
    runner.find(search.clone(), LONG).await.top
}

#[tokio::test]
async fn a_daemon_is_found_by_its_marks_and_its_end_is_seen() {
    let bench = Bench::new();
    bench.script("resource.d/d", &DAEMON.replace("$CLEAN", ""));
    assert_eq!(bench.run(script("d", &[]), Action::Start).await, Outcome::Ok);
    let daemon = Killed(bench.read("pid"));
    // Another runner, as after a restart of the daemon.
    let runner = bench.runner();
    let found = find(&runner, &search(script("d", &[]), None)).await;
    assert_eq!(pids(&found), std::slice::from_ref(&daemon.0));
    assert_eq!(found[0].name, "sh");

    let other = Search { group: "another".into(), ..search(script("d", &[]), None) };
    assert_eq!(find(&runner, &other).await, []);
    assert_eq!(find(&Bench::new().runner(), &search(script("d", &[]), None)).await, []);

    let grip = found[0].grip().unwrap();
    let ended = tokio::spawn(grip.ended());
    tokio::task::yield_now().await;
    assert!(!ended.is_finished());
    drop(daemon);
    tokio::time::timeout(LONG, ended).await.unwrap().unwrap();
    assert_eq!(find(&runner, &search(script("d", &[]), None)).await, []);
    assert_eq!(found[0].grip().unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_daemon_without_marks_is_found_by_when_it_began() {
    let bench = Bench::new();
    bench.script("resource.d/d", &DAEMON.replace("$CLEAN", "env -i PATH=$PATH"));
    let before = Ticks::now();
    assert_eq!(bench.run(script("d", &[]), Action::Start).await, Outcome::Ok);
    let daemon = Killed(bench.read("pid"));
    let runner = bench.runner();
    let check = async |search: Search, expect: bool| {
        let found = find(&runner, &search).await;
        assert_eq!(pids(&found).contains(&daemon.0), expect, "{search:?} {found:?}");
        found
    };
    let since = || search(script("d", &[]), Some(before));
    let found = check(since(), true).await;
    check(Search { names: vec!["sh".into()], ..since() }, true).await;
    check(Search { names: vec!["nginx".into()], ..since() }, false).await;
    check(search(script("d", &[]), None), false).await;
    // Known from before, as from the file of the daemon before this one.
    let mine: Vec<_> =
        found.into_iter().filter(|one| format!("{}\n", one.pid) == daemon.0).collect();
    check(Search { known: mine.clone(), ..search(script("d", &[]), None) }, true).await;
    // The number of another process.
    let mut other = mine;
    other[0].start += 1;
    check(Search { known: other.clone(), ..search(script("d", &[]), None) }, false).await;
    assert_eq!(other[0].grip().unwrap_err().kind(), ErrorKind::NotFound);
    // Everything that runs now has begun before.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    check(search(script("d", &[]), Some(Ticks::now())), false).await;
}

#[tokio::test]
async fn agents_that_run_now_are_not_taken_for_the_service() {
    let bench = Bench::new();
    bench.script(
        "resource.d/slow",
        r#"sh -c 'sleep 1000 & echo $! >'"$D"'/child; wait' & echo $$ >$D/pid; wait"#,
    );
    let before = Ticks::now();
    let runner = bench.runner();
    let agent = runner.clone();
    let task =
        tokio::spawn(
            async move { agent.run(&operation(script("slow", &[]), Action::Status)).await },
        );
    let files = ["pid", "child"];
    until("the agent runs", || files.iter().all(|file| !bench.read(file).is_empty())).await;
    let found = find(&runner, &search(script("slow", &[]), Some(before))).await;
    // By their numbers: tests beside this one start processes of the same names.
    for file in files {
        assert!(!pids(&found).contains(&bench.read(file)), "{file}: {found:?}");
    }
    task.abort();
}

#[tokio::test]
async fn units_tell_their_processes_themselves() {
    let bench = Bench::new();
    let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let check = async |main: &str, expect: &[String]| {
        let body = format!("echo \"$*\" >$D/call; echo MainPID={main}; echo ControlGroup=");
        bench.script("systemctl", &body);
        let found = find(&bench.runner(), &search(unit("x.service"), None)).await;
        assert_eq!(pids(&found), expect);
    };
    check(&child.id().to_string(), &[format!("{}\n", child.id())]).await;
    assert!(bench.read("call").ends_with("-- x.service\n"), "{}", bench.read("call"));
    check("0", &[]).await;
    let end = |child: &mut Child| (child.kill().unwrap(), child.wait().unwrap());
    end(&mut child);
    check(&child.id().to_string(), &[]).await;
}

#[tokio::test]
async fn a_check_that_is_dropped_is_killed_with_its_group_and_a_start_is_not() {
    let bench = Bench::new();
    bench.script(
        "resource.d/hang",
        r#"trap '' TERM
        sh -c 'trap "" TERM; echo $$ >'"$D"'/child.$1; while :; do sleep 1000; done' x $1 &
        echo $$ >$D/pid.$1
        while :; do sleep 1000; done"#,
    );
    for (action, is_killed) in
        [(Action::Status, true), (Action::Validate, false), (Action::Start, false)]
    {
        let runner = bench.runner();
        let run = async { runner.run(&operation(script("hang", &[]), action)).await };
        let files = [format!("pid.{}", action.word()), format!("child.{}", action.word())];
        if action == Action::Validate {
            // It does not say that it can validate, so nothing is run.
            assert_eq!(run.await, Outcome::Ok);
            continue;
        }
        let begun = until("it hangs", || files.iter().all(|file| bench.read(file).len() > 1));
        tokio::select! {
            outcome = run => panic!("{outcome:?}"),
            () = begun => {}
        }
        let [pid, child] = files.map(|file| bench.read(&file));
        if is_killed {
            until("both are dead", || !is_alive(&pid) && !is_alive(&child)).await;
        } else {
            assert!(is_alive(&pid) && is_alive(&child));
            drop(Killed(pid));
        }
    }
}

#[tokio::test]
async fn agents_of_a_killed_daemon_are_ended_and_services_are_not() {
    let bench = Bench::new();
    bench.script(
        "resource.d/stop",
        r#"trap '' TERM
        setsid sh -c "echo \$\$ >$D/service; exec sleep 1000" &
        sleep 1000 & echo $! >$D/child; echo $$ >$D/pid; wait; while :; do sleep 1000; done"#,
    );
    bench.script("resource.d/start", "sleep 1000 >/dev/null 2>&1 & echo $! >$D/left");
    let first = bench.runner();
    assert_eq!(first.run(&operation(script("start", &[]), Action::Start)).await, Outcome::Ok);
    let left = Killed(bench.read("left"));
    // The file of the agent that has ended goes when the next one starts.
    let files = || -> Vec<String> {
        let entries = fs::read_dir(bench.path("agents")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let begun = until("the stop hangs and is written down", || {
        let pid = bench.read("pid");
        let file = format!("{}-", pid.trim());
        let has_left = !bench.read("service").is_empty();
        has_left && pid.len() > 1 && matches!(&files()[..], [one] if one.starts_with(&file))
    });
    tokio::select! {
        outcome = async { first.run(&operation(script("stop", &[]), Action::Stop)).await } => {
            panic!("{outcome:?}")
        }
        () = begun => {}
    }
    let service = Killed(bench.read("service"));
    // A file of another boot, and one of a process that is not that agent.
    let me = std::process::id();
    bench.file(&format!("agents/{me}-1"), "another boot", 0o644);
    bench.file("agents/nonsense", "", 0o644);

    assert_eq!(bench.runner().end_left_agents().await, 1);
    assert!(!is_alive(&bench.read("pid")) && !is_alive(&bench.read("child")));
    assert!(is_alive(&service.0) && is_alive(&left.0));
    assert_eq!(files(), [""; 0]);
    assert_eq!(bench.runner().end_left_agents().await, 0);
}
