//! The runner over real processes: limits, groups, output, environment, classes, escalation.
#![cfg(feature = "exec")]
#![expect(clippy::disallowed_methods, reason = "these tests write agents and look at /proc")]

mod bench;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use hb_config::settings::{AddressSpec, AgentSpec, BuiltIn};
use hb_resource::operation::{Action, Operation, Outcome};

use bench::{
    Bench, LONG, PATH, is_alive, ocf, operation, reason, resource, script, short, skip, unit, until,
};

#[tokio::test]
async fn a_hanging_agent_is_killed_with_its_whole_group() {
    let bench = Bench::new();
    bench.script(
        "resource.d/hang",
        r#"trap '' TERM
        (trap '' TERM; while :; do sleep 1000; done) &
        echo $! >$D/child
        echo $$ >$D/pid
        while :; do sleep 1000; done"#,
    );
    let mut hang = operation(script("hang", &[]), Action::Start);
    hang.timeout = Duration::from_secs(1);
    assert_eq!(bench.runner().run(&hang).await, Outcome::TimedOut);
    for file in ["pid", "child"] {
        let pid = bench.read(file);
        assert!(!pid.is_empty() && !is_alive(&pid), "{file} {pid}");
    }
}

#[tokio::test]
async fn an_agent_that_obeys_term_may_clean_up_and_ends_the_wait() {
    let mut bench = Bench::new();
    bench.config.kill_grace = Duration::from_secs(3600);
    bench.script("resource.d/slow", "trap 'echo bye >$D/bye; exit 1' TERM\nsleep 1000 & wait");
    let mut slow = operation(script("slow", &[]), Action::Stop);
    slow.timeout = Duration::from_millis(500);
    let outcome = tokio::time::timeout(LONG, bench.runner().run(&slow)).await;
    assert_eq!(outcome, Ok(Outcome::TimedOut));
    assert_eq!(bench.read("bye"), "bye\n");
}

#[tokio::test]
async fn a_service_that_inherits_the_output_neither_delays_the_answer_nor_dies_of_writing() {
    let bench = Bench::new();
    bench.script(
        "resource.d/forks",
        r#"(while [ ! -e $D/go ]; do sleep 0.01; done; echo a line; echo $? >$D/wrote) &
        echo started; exit 1"#,
    );
    let outcome = bench.run(script("forks", &[]), Action::Start).await;
    assert_eq!(outcome, Outcome::Failed { code: Some(1), reason: "started".into() });
    bench.file("go", "", 0o644);
    until("the service has written", || bench.read("wrote") == "0\n").await;
}

#[tokio::test]
async fn a_flood_of_output_is_read_and_mostly_dropped() {
    let bench = Bench::new();
    bench.script("resource.d/flood", "head -c 100000000 /dev/zero; echo the end >&2; exit 1");
    let peak = || -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = peak();
    let outcome = bench.run(script("flood", &[]), Action::Start).await;
    assert!(reason(&outcome).ends_with("the end"), "{}", reason(&outcome).len());
    let grown = peak() - before;
    assert!(grown < 50_000, "grew by {grown} kB");
}

#[tokio::test]
async fn the_last_words_of_an_agent_are_its_reason() {
    let check = async |body: &str, expect: &str| {
        let bench = Bench::new();
        bench.script("resource.d/x", body);
        let outcome = bench.run(script("x", &[]), Action::Start).await;
        assert_eq!(outcome, Outcome::Failed { code: Some(1), reason: expect.into() }, "{body}");
    };
    check("exit 1", "").await;
    check("echo no device >&2; exit 1", "no device").await;
    check(r"printf '\377\376\033[31m\r\n'; exit 1", "\u{fffd}\u{fffd}?[31m").await;
    check("printf 'no end of line'; exit 1", "no end of line").await;
    // Ends without closing anything properly, with both outputs already closed.
    check("exec >&- 2>&-; exit 1", "").await;
    check("sleep 0.1 & echo said at the very end; exit 1", "said at the very end").await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_named_with_its_cure() {
    let bench = Bench::new();
    bench.file("resource.d/plain", "#!/bin/sh\n", 0o644);
    bench.file("resource.d/naked", "echo running\n", 0o755);
    bench.file("resource.d/lost", "#!/no/such/interpreter -x\n", 0o755);
    fs::create_dir(bench.path("resource.d/folder")).unwrap();
    symlink("/no/such/target", bench.path("resource.d/link")).unwrap();
    let check = async |agent: AgentSpec, words: &[&str]| {
        for action in [Action::Status, Action::Start, Action::Stop] {
            let outcome = bench.run(agent.clone(), action).await;
            assert_eq!(short(&outcome), "could not run");
            for word in words {
                assert!(reason(&outcome).contains(word), "{word:?} in {}", reason(&outcome));
            }
        }
    };
    check(script("nothing", &[]), &["resource.d/nothing does not exist", "init.d/nothing"]).await;
    check(script("plain", &[]), &["resource.d/plain", "mode 0644", "chmod"]).await;
    check(script("naked", &[]), &["resource.d/naked", "#!/bin/sh"]).await;
    check(script("lost", &[]), &["resource.d/lost", "/no/such/interpreter -x"]).await;
    check(script("folder", &[]), &["resource.d/folder is not a regular file"]).await;
    check(script("link", &[]), &["is a link to /no/such/target"]).await;
    check(script(".hidden", &[]), &["is not the name of an agent"]).await;
    let long = "x".repeat(4 << 20);
    bench.script("resource.d/good", "exit 0");
    check(script("good", &[&long]), &["resource.d/good", "too long"]).await;
    let other =
        AgentSpec::Ocf { provider: "nobody".into(), kind: "Dummy".into(), parameters: Vec::new() };
    check(other, &["ocf/resource.d/nobody does not exist"]).await;
}

#[tokio::test]
async fn resource_d_comes_first_and_is_judged_by_text() {
    let bench = Bench::new();
    bench.script("init.d/web", "exit 3");
    let status = || bench.run(script("web", &["a", "b"]), Action::Status);
    assert_eq!(status().await, Outcome::NotRunning);
    bench.script("resource.d/web", r#"echo "$*" >$D/args; echo "web is running"; exit 3"#);
    assert_eq!(status().await, Outcome::Ok);
    assert_eq!(bench.read("args"), "a b status\n");
    // What cannot be executed is passed over, as Heartbeat does.
    bench.file("resource.d/web", "#!/bin/sh\n", 0o644);
    assert_eq!(status().await, Outcome::NotRunning);
}

#[tokio::test]
async fn init_scripts_and_ocf_agents_are_judged_by_their_codes() {
    let bench = Bench::new();
    let body = r#"echo running; . "$D/code"; exit $code"#;
    bench.script("init.d/lsb", body).script("ocf/resource.d/heartbeat/Thing", body);
    let check = async |agent, code: i32, action, expect: &str| {
        bench.file("code", &format!("code={code}\n"), 0o644);
        let outcome = bench.run(agent, action).await;
        assert_eq!(short(&outcome), expect, "{code} {action:?}");
    };
    let lsb = || script("lsb", &[]);
    let thing = || ocf("Thing", &[]);
    check(lsb(), 0, Action::Status, "ok").await;
    check(lsb(), 3, Action::Status, "not running").await;
    check(lsb(), 4, Action::Status, "failed 4").await;
    check(lsb(), 7, Action::Stop, "ok").await;
    check(lsb(), 1, Action::Start, "failed 1").await;
    check(thing(), 0, Action::Status, "ok").await;
    check(thing(), 7, Action::Status, "not running").await;
    check(thing(), 1, Action::Status, "failed 1").await;
    check(thing(), 5, Action::Start, "could not run").await;
    check(thing(), 0, Action::Start, "ok").await;
    check(thing(), 1, Action::Stop, "failed 1").await;
}

#[tokio::test]
async fn only_scripts_that_say_so_are_told_to_validate() {
    let bench = Bench::new();
    let marked = "# heartbeat-actions: validate\necho $1 >>$D/calls; echo line 3 is wrong; exit 1";
    let silent = "echo $1 >>$D/calls; exit 1";
    bench.script("resource.d/ours", marked).script("resource.d/foreign", silent);
    bench.script("init.d/init", silent).script("init.d/marked", marked);
    let late = format!("{}\n{marked}", "#\n".repeat(2048));
    bench.script("resource.d/late", &late).file("resource.d/plain", "#!/bin/sh\n", 0o644);
    bench.script("ocf/resource.d/heartbeat/Agent", r"echo $1 >>$D/calls; exit 3");
    let check = async |agent: AgentSpec, expect: &str, call: &str| {
        bench.file("calls", "", 0o644);
        let outcome = bench.run(agent.clone(), Action::Validate).await;
        assert_eq!((short(&outcome).as_str(), bench.read("calls").trim()), (expect, call));
        outcome
    };
    let outcome = check(script("ours", &[]), "failed 1", "validate").await;
    assert_eq!(reason(&outcome), "line 3 is wrong");
    check(script("marked", &[]), "failed 1", "validate").await;
    for name in ["foreign", "init", "late"] {
        check(script(name, &[]), "ok", "").await;
    }
    for name in ["plain", "missing"] {
        check(script(name, &[]), "could not run", "").await;
    }
    check(ocf("Agent", &[]), "ok", "validate-all").await;
    check(ocf("Missing", &[]), "could not run", "").await;
}

#[tokio::test]
async fn an_agent_that_is_killed_has_failed() {
    let bench = Bench::new();
    bench.script("resource.d/shot", "echo running; kill -9 $$");
    let outcome = bench.run(script("shot", &[]), Action::Status).await;
    let reason = "ended by signal 9: running".to_owned();
    assert_eq!(outcome, Outcome::Failed { code: None, reason });
}

#[tokio::test]
async fn agents_get_the_fixed_variables_and_no_others() {
    let bench = Bench::new();
    let body = r"tr '\0' '\n' </proc/$$/environ >$D/environ";
    bench.script("resource.d/x", body).script("ocf/resource.d/heartbeat/X", body);
    let dir = bench.dir.display();
    let common = [
        format!("HA_CURHOST={}", bench.node()),
        "HA_GROUP=the group".to_owned(),
        "HA_RESOURCE=the resource".to_owned(),
        format!("HA_RSCTMP={dir}/rsctmp"),
        format!("OCF_ROOT={dir}/ocf"),
        format!("PATH={PATH}"),
    ];
    let lines = || {
        let mut lines: Vec<_> = bench.read("environ").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(bench.run(script("x", &[]), Action::Start).await, Outcome::Ok);
    assert_eq!(lines(), common);

    assert_eq!(bench.run(ocf("X", &[("a", "b c")]), Action::Start).await, Outcome::Ok);
    let more = [
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_RA_VERSION_MINOR=0",
        "OCF_RESKEY_CRM_meta_timeout=60000",
        "OCF_RESKEY_a=b c",
        "OCF_RESOURCE_INSTANCE=X_0919341d",
        "OCF_RESOURCE_PROVIDER=heartbeat",
        "OCF_RESOURCE_TYPE=X",
    ];
    let mut expect: Vec<String> = common.into_iter().chain(more.map(str::to_owned)).collect();
    expect.sort();
    assert_eq!(lines(), expect);
}

#[test]
fn agents_start_with_a_clean_process() {
    use nix::sys::signal::{SigSet, Signal};

    let bench = Bench::new();
    bench.script(
        "resource.d/x",
        r#"pwd >$D/facts
        readlink /proc/$$/fd/0 >>$D/facts
        while read -r line; do case $line in SigBlk*) echo "$line" ;; esac; done </proc/$$/status >>$D/facts
        read -r line </proc/$$/stat; set -- $line
        [ $1 = $5 ] && echo leads its group >>$D/facts
        ls -l /proc/$$/fd >$D/fds"#,
    );
    // The threads of the runtime inherit this mask; the agent must not.
    let blocked = SigSet::from_iter([Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGCHLD]);
    blocked.thread_block().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(bench.run(script("x", &[]), Action::Start));
    blocked.thread_unblock().unwrap();
    assert_eq!(outcome, Outcome::Ok);
    let expect = "/\n/dev/null\nSigBlk:\t0000000000000000\nleads its group\n";
    assert_eq!(bench.read("facts"), expect);
    // The runtime has sockets and an epoll instance open. The shell has pipes and files of its own.
    for leaked in ["socket:", "anon_inode:"] {
        assert!(!bench.read("fds").contains(leaked), "{}", bench.read("fds"));
    }
}

#[tokio::test]
async fn agents_are_not_protected_from_the_oom_killer_as_the_daemon_is() {
    let own = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(own).unwrap();
    if fs::write(own, "-100").is_err() {
        return skip("not permitted to lower oom_score_adj");
    }
    let bench = Bench::new();
    bench.script(
        "resource.d/x",
        "until read -r score </proc/$$/oom_score_adj && [ $score = 0 ]; do sleep 0.01; done",
    );
    let outcome = bench.run(script("x", &[]), Action::Start).await;
    fs::write(own, before.trim()).unwrap();
    assert_eq!(outcome, Outcome::Ok);
}

#[tokio::test]
async fn a_script_that_is_being_written_is_not_run() {
    use std::io::Write;

    let bench = Bench::new();
    bench.script("resource.d/x", "exit 0");
    let mut writer = fs::OpenOptions::new().append(true).open(bench.path("resource.d/x")).unwrap();
    writer.write_all(b"# more").unwrap();
    let outcome = bench.run(script("x", &[]), Action::Start).await;
    drop(writer);
    assert!(reason(&outcome).contains("busy"), "{outcome:?}");
    assert_eq!(short(&outcome), "could not run");
    assert_eq!(bench.run(script("x", &[]), Action::Start).await, Outcome::Ok);
}

#[tokio::test]
async fn many_agents_run_at_once() {
    let bench = Bench::new();
    // Each waits until all are there.
    bench.script(
        "resource.d/meet",
        r#": >$D/rsctmp/$1; while set -- $D/rsctmp/*; [ $# -lt 40 ]; do sleep 0.02; done"#,
    );
    let runner = bench.runner();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let runner = runner.clone();
            let agent = script("meet", &[&number.to_string()]);
            tokio::spawn(async move { runner.run(&operation(agent, Action::Start)).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(tokio::time::timeout(LONG, task).await.unwrap().unwrap(), Outcome::Ok);
    }
}

/// A service whose `stop` fails for as long as its process lives.
const STUBBORN: &str = r#"case $1 in
    start) $START sh -c 'trap "" TERM; while :; do sleep 1000; done' >/dev/null 2>&1 &
        echo $! >$D/pid ;;
    stop) read -r pid <$D/pid; read -r line </proc/$pid/stat || exit 0
        case $line in *") Z"*) exit 0 ;; esac
        exit 1 ;;
esac 2>/dev/null"#;

#[tokio::test]
async fn an_escalated_stop_kills_what_the_agent_left_running() {
    // In the agent's own group, and in a session of its own.
    for start in ["", "setsid"] {
        let bench = Bench::new();
        bench.script("resource.d/stubborn", &STUBBORN.replace("$START", start));
        let runner = bench.runner();
        let agent = || script("stubborn", &[]);
        assert_eq!(runner.run(&operation(agent(), Action::Start)).await, Outcome::Ok);
        let pid = bench.read("pid");
        let stop = operation(agent(), Action::Stop);
        assert_eq!(short(&runner.run(&stop).await), "failed 1", "{start}");
        assert!(is_alive(&pid), "{start}");

        // Of another resource: nothing to kill, so the first answer stands.
        let mut other = Operation { kill: true, ..stop.clone() };
        other.resource.text = "another".into();
        assert_eq!(short(&runner.run(&other).await), "failed 1", "{start}");
        // Of another node on the same machine.
        let elsewhere = Bench::new();
        elsewhere.script("resource.d/stubborn", "exit 1");
        let same = Operation { kill: true, ..stop.clone() };
        assert_eq!(short(&elsewhere.runner().run(&same).await), "failed 1", "{start}");
        assert!(is_alive(&pid), "{start}");

        let escalated = Operation { kill: true, ..stop };
        assert_eq!(runner.run(&escalated).await, Outcome::Ok, "{start}");
        assert!(!is_alive(&pid), "{start}");
    }
}

#[tokio::test]
async fn an_escalated_stop_after_a_restart_of_the_daemon_finds_services_by_their_variables() {
    let bench = Bench::new();
    bench.script("resource.d/stubborn", &STUBBORN.replace("$START", "setsid"));
    let agent = || script("stubborn", &[]);
    assert_eq!(bench.run(agent(), Action::Start).await, Outcome::Ok);
    let mut stop = operation(agent(), Action::Stop);
    stop.kill = true;
    assert_eq!(bench.runner().run(&stop).await, Outcome::Ok);
    assert!(!is_alive(&bench.read("pid")));
}

/// A systemctl over files: `job` is the exit code of start, stop and kill; `state` what show says.
const SYSTEMCTL: &str = r#"echo "$*" >>$D/calls
for unit; do :; done
case "$*" in
    show*) [ -e $D/state ] || { echo 'Failed to connect to bus' >&2; exit 1; }; cat $D/state ;;
    *) [ ! -e $D/next ] || mv $D/next $D/state; read -r code <$D/job; exit $code ;;
esac"#;

#[tokio::test]
async fn units_are_judged_by_the_state_that_the_job_left() {
    let state = |active: &str, sub: &str| {
        format!("LoadState=loaded\nActiveState={active}\nSubState={sub}\n")
    };
    let check = async |action, job: &str, state: &str, expect: &str, words: &str| {
        let bench = Bench::new();
        bench.script("systemctl", SYSTEMCTL).file("job", &format!("{job}\n"), 0o644);
        if !state.is_empty() {
            bench.file("state", state, 0o644);
        }
        let outcome = bench.run(unit("x.service"), action).await;
        assert_eq!(short(&outcome), expect, "{action:?} {job} {state}");
        assert!(reason(&outcome).contains(words), "{}", reason(&outcome));
        bench.read("calls")
    };
    let up = state("active", "running");
    let down = state("inactive", "dead");
    let calls = check(Action::Start, "0", &up, "ok", "").await;
    assert!(calls.contains("start -- x.service") && !calls.contains("no-block"), "{calls}");
    check(Action::Start, "0", &state("activating", "auto-restart"), "failed", "auto-restart").await;
    check(Action::Start, "1", &state("failed", "failed"), "failed", "unit is failed").await;
    check(Action::Start, "1", "", "could not run", "connect to bus").await;
    let calls = check(Action::Stop, "0", &down, "ok", "").await;
    assert!(calls.contains("stop -- x.service"), "{calls}");
    check(Action::Stop, "1", &up, "failed", "active").await;
    check(Action::Stop, "1", "", "could not run", "state unknown").await;
    check(Action::Status, "0", &up, "ok", "").await;
    check(Action::Status, "0", &down, "not running", "").await;
    check(Action::Status, "0", "", "could not run", "state unknown").await;
}

#[tokio::test]
async fn systemd_that_does_not_run_is_unknown_not_stopped() {
    let mut bench = Bench::new();
    bench.config.systemctl = "/usr/bin/systemctl".into();
    if !bench.config.systemctl.exists() || fs::exists("/run/systemd/system").unwrap_or(true) {
        return skip("needs systemctl on a machine that systemd does not run");
    }
    for action in [Action::Status, Action::Start, Action::Stop] {
        let outcome = bench.run(unit("twinbeat-test.service"), action).await;
        assert_eq!(short(&outcome), "could not run", "{outcome:?}");
        assert!(reason(&outcome).contains("systemd"), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_escalated_stop_of_a_unit_kills_its_control_group() {
    let bench = Bench::new();
    bench.script("systemctl", SYSTEMCTL).file("job", "0\n", 0o644);
    bench.file("state", "LoadState=loaded\nActiveState=active\nSubState=running\n", 0o644);
    let mut stop = operation(unit("x.service"), Action::Stop);
    stop.kill = true;
    let outcome = bench.runner().run(&stop).await;
    assert_eq!(short(&outcome), "failed");
    let verbs: Vec<_> = bench
        .read("calls")
        .lines()
        .filter_map(|line| line.split(' ').find(|word| !word.starts_with("--")).map(str::to_owned))
        .collect();
    assert_eq!(verbs, ["stop", "show", "kill", "stop", "show"]);
}

#[tokio::test]
async fn only_somebodys_own_script_overrides_what_is_built_in() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../resource.d/");
    let check = |name: &str, text: Option<&str>, mode: u32, expect: bool| {
        let bench = Bench::new();
        if let Some(text) = text {
            bench.file(&format!("resource.d/{name}"), text, mode);
        }
        assert_eq!(bench.runner().overridden(name), expect, "{name} {text:?}");
    };
    for name in ["IPaddr", "IPaddr2", "IPv6addr", "SendArp"] {
        let ours = fs::read_to_string(format!("{shipped}{name}")).unwrap();
        check(name, None, 0o755, false);
        check(name, Some(&ours), 0o755, false);
        check(name, Some(&format!("{ours}# mine\n")), 0o755, true);
        check(name, Some("#!/bin/sh\n. /etc/ha.d/resource.d/hto-mapfuncs\n"), 0o755, false);
        check(name, Some("#!/bin/sh\nip addr add $1 dev eth0\n"), 0o755, true);
        check(name, Some("#!/bin/sh\nip addr add $1 dev eth0\n"), 0o644, false);
        check(name, Some(&"x".repeat(1 << 20)), 0o755, true);
    }
    check("apache", Some("#!/bin/sh\n"), 0o755, false);
}

#[tokio::test]
async fn preflight_says_what_a_run_would_say() {
    let bench = Bench::new();
    bench.script("resource.d/good", "exit 1").file("resource.d/plain", "", 0o600);
    let runner = bench.runner();
    let check = |agent, expect: Result<(), &str>| match (runner.preflight(&resource(agent)), expect)
    {
        (Ok(()), Ok(())) => {}
        (Err(got), Err(word)) => assert!(got.contains(word), "{word:?} in {got}"),
        (got, expect) => panic!("{got:?} is not {expect:?}"),
    };
    check(script("good", &[]), Ok(()));
    check(script("plain", &[]), Err("mode 0600"));
    check(script("missing", &[]), Err("missing does not exist"));
    check(ocf("Missing", &[]), Err("heartbeat/Missing does not exist"));
    check(unit("x.service"), Err("systemctl does not exist"));
    bench.script("systemctl", "exit 1");
    check(unit("x.service"), Ok(()));
    check(unit("*.service"), Err("not the name of one unit"));
    bench.script("ocf/resource.d/heartbeat/There", "exit 1");
    check(ocf("There", &[("a-b", "c")]), Err("not the name of a parameter"));

    let mut address = resource(script("IPaddr", &["10.0.0.1"]));
    address.built_in = Some(BuiltIn::Address(AddressSpec {
        ip: "10.0.0.1".parse().unwrap(),
        prefix_len: None,
        interface: None,
        label: None,
        broadcast: None,
    }));
    assert_eq!(runner.preflight(&address), Ok(()));
}
