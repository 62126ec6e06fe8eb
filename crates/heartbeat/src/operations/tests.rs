//! Operations over real agents: a check that is cancelled answers once and at once; probes are part
//! of the check of a resource that runs.
#![expect(clippy::disallowed_methods, reason = "these tests write agents and look at processes")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hb_config::settings::{Logging, NodeName, Probe, ResourceOptions};
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::logging::Destinations;
use crate::{configuration, hint};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// `d::hang` hangs in every action, `d::run` runs.
const AGENT: &str = r#"case $1 in
    hang) trap '' TERM; echo $$ >"$D/pid.$2"; while :; do sleep 1000; done ;;
    run) echo running ;;
esac"#;

struct Bench {
    dir: TempDir,
    settings: Settings,
    operations: Operations,
}

fn script(dir: &Path, name: &str, body: &str) {
    let file = dir.join(name);
    fs::write(&file, format!("#!/bin/sh\nD='{}'\n{body}\n", dir.display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::create_dir(path.join("resource.d")).unwrap();
        let ha_cf = "ucast lo 127.0.0.1\nauto_failback on\nnode a b\n";
        fs::write(path.join("ha.cf"), ha_cf).unwrap();
        fs::write(path.join("haresources"), "a d::hang d::run\n").unwrap();
        fs::write(path.join("authkeys"), "auth 1\n1 sha1 0123456789abcdef\n").unwrap();
        fs::set_permissions(path.join("authkeys"), fs::Permissions::from_mode(0o600)).unwrap();
        let body = AGENT.replace("$D", path.to_str().unwrap());
        script(&path.join("resource.d"), "d", &body);
        let settings = configuration::load(path, &NodeName::new("a")).unwrap().settings;
        let logger = Logger::start(Destinations {
            node: "a".into(),
            settings: Logging::default(),
            debug: 0,
            foreground: false,
            history: None,
        });
        let paths = Paths {
            config: path.to_owned(),
            state: path.to_owned(),
            run: path.to_owned(),
            pid_file: path.join("pid"),
        };
        let operations = Operations::open(&settings, &paths, None, &hint::channel().0, &logger);
        Self { dir, settings, operations }
    }

    fn operation(&self, id: u64, resource: usize, action: Action) -> Operation {
        let group = &self.settings.groups[0];
        Operation {
            id: OpId(id),
            group: group.key.clone(),
            resource: group.resources[resource].clone(),
            action,
            timeout: LONG,
            kill: false,
            monitor: true,
            probe: false,
        }
    }

    async fn await_pid(&self, action: Action) -> i32 {
        let file = self.dir.path().join(format!("pid.{}", action.word()));
        let wait = async {
            loop {
                match fs::read_to_string(&file).map(|text| text.trim().parse()) {
                    Ok(Ok(pid)) => return pid,
                    Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(LONG, wait).await.unwrap()
    }

    async fn answer(&mut self) -> (OpId, Outcome) {
        timeout(LONG, self.operations.recv()).await.unwrap()
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_cancelled_check_answers_once_and_other_actions_go_on() {
    let mut bench = Bench::new();
    let check = bench.operation(1, 0, Action::Status);
    let start = bench.operation(2, 0, Action::Start);
    bench.operations.start(check);
    bench.operations.start(start);
    let pid = bench.await_pid(Action::Status).await;
    let starter = bench.await_pid(Action::Start).await;
    bench.operations.cancel(OpId(2));
    bench.operations.cancel(OpId(99));
    for _ in 0..2 {
        bench.operations.cancel(OpId(1));
    }
    assert_eq!(bench.answer().await, (OpId(1), Outcome::TimedOut));
    let dead = async {
        while is_alive(pid) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, dead).await.unwrap();
    assert!(is_alive(starter));

    // One that has ended by itself, but whose answer was not taken yet: its own answer, once.
    let quick = bench.operation(3, 1, Action::Status);
    bench.operations.start(quick);
    while bench.operations.answers.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    bench.operations.cancel(OpId(3));
    assert_eq!(bench.answer().await, (OpId(3), Outcome::Ok));
    bench.operations.start(bench.operation(4, 1, Action::Status));
    assert_eq!(bench.answer().await, (OpId(4), Outcome::Ok));

    let group = nix::unistd::Pid::from_raw(starter);
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    let (id, outcome) = bench.answer().await;
    assert!(id == OpId(2) && matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn probes_belong_to_the_check_of_what_runs() {
    let mut bench = Bench::new();
    let path = bench.dir.path().to_owned();
    let tcp = Probe::Tcp { address: "127.0.0.1:80".parse().unwrap(), timeout_ms: 1000 };
    let options = ResourceOptions { probes: vec![tcp.clone(), tcp], ..ResourceOptions::default() };
    bench.settings.native.resources.insert("d::run".into(), options);
    let mut next = 0;
    let mut check = async |body: Option<&str>, monitor: bool, expect: Outcome, calls: usize| {
        let program = body.map(|body| {
            script(&path, "hb", &format!("echo \"$*\" >>$D/calls\n{body}"));
            path.join("hb")
        });
        fs::write(path.join("calls"), "").unwrap();
        let program = program.ok_or_else(|| "no program".to_owned());
        bench.operations.probes = Probes::new(&bench.settings, program);
        next += 1;
        let operation = Operation { monitor, ..bench.operation(next, 1, Action::Status) };
        bench.operations.start(operation);
        assert_eq!(bench.answer().await, (OpId(next), expect), "{body:?}");
        let said = fs::read_to_string(path.join("calls")).unwrap();
        assert_eq!(said, "probe tcp 127.0.0.1:80 --timeout=1000\n".repeat(calls), "{body:?}");
    };
    let failed = |reason: &str| Outcome::Failed { code: None, reason: reason.into() };
    let could_not = |reason: &str| Outcome::CouldNotRun { reason: reason.into() };
    check(Some("exit 0"), true, Outcome::Ok, 2).await;
    check(Some("exit 1"), false, Outcome::Ok, 0).await;
    let refused = "127.0.0.1:80: connection refused";
    check(Some(&format!("echo {refused}; exit 1")), true, failed(refused), 1).await;
    check(
        Some("echo no descriptor left >&2; exit 4"),
        true,
        could_not("hb probe (exit code 4): no descriptor left"),
        1,
    )
    .await;
    check(None, true, could_not("no program"), 0).await;
}
