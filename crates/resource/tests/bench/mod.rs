//! A directory with agents and a runner over it, for the tests of this crate that start processes.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hb_config::settings::{AgentSpec, ResourceSpec};
use hb_resource::exec::{Runner, RunnerConfig};
use hb_resource::operation::{Action, OpId, Operation, Outcome};

/// Far more than anything here takes: only a hang gets there.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// `PATH` of agents.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    pub(crate) config: RunnerConfig,
}

impl Bench {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("hb-exec-{}-{number}", std::process::id()));
        for sub in ["resource.d", "init.d", "ocf/resource.d/heartbeat", "rsctmp"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let node = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let config = RunnerConfig {
            resource_dirs: vec![dir.join("resource.d")],
            init_dir: dir.join("init.d"),
            ocf_root: dir.join("ocf"),
            systemctl: dir.join("systemctl"),
            environment: vec![
                ("PATH".into(), PATH.into()),
                ("HA_CURHOST".into(), node),
                ("HA_RSCTMP".into(), dir.join("rsctmp").display().to_string()),
                ("OCF_ROOT".into(), dir.join("ocf").display().to_string()),
            ],
            kill_grace: Duration::from_millis(100),
            ledger: Some(dir.join("agents")),
        };
        Self { dir, config }
    }

    pub(crate) fn runner(&self) -> Runner {
        Runner::new(self.config.clone())
    }

    /// The name of the node: no two benches are one node.
    pub(crate) fn node(&self) -> String {
        self.dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes an executable script. `$D` in it is the directory of the bench.
    pub(crate) fn script(&self, name: &str, body: &str) -> &Self {
        let text = format!("#!/bin/sh\nD='{}'\n{body}\n", self.dir.display());
        self.file(name, &text, 0o755)
    }

    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) -> &Self {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) async fn run(&self, agent: AgentSpec, action: Action) -> Outcome {
        tokio::time::timeout(LONG, self.runner().run(&operation(agent, action))).await.unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn script(name: &str, args: &[&str]) -> AgentSpec {
    AgentSpec::Script {
        name: name.into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    }
}

pub(crate) fn ocf(kind: &str, parameters: &[(&str, &str)]) -> AgentSpec {
    let parameters = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    AgentSpec::Ocf { provider: "heartbeat".into(), kind: kind.into(), parameters }
}

pub(crate) fn unit(name: &str) -> AgentSpec {
    AgentSpec::Systemd { unit: name.into() }
}

pub(crate) fn resource(agent: AgentSpec) -> ResourceSpec {
    ResourceSpec { text: "the resource".into(), agent, built_in: None }
}

pub(crate) fn operation(agent: AgentSpec, action: Action) -> Operation {
    Operation {
        id: OpId(1),
        group: "the group".into(),
        resource: resource(agent),
        action,
        timeout: LONG,
        kill: false,
        monitor: false,
        probe: false,
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "never came true: {what}");
}

/// Whether `pid` runs; a zombie without other threads does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|line| {
        let rest: Vec<_> = line.rsplit_once(") ").unwrap().1.split(' ').collect();
        !["Z", "X"].contains(&rest[0]) || rest[17].parse::<u32>().unwrap() > 1
    })
}

/// One word per outcome, with the code where there is one.
pub(crate) fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".into(),
        Outcome::NotRunning => "not running".into(),
        Outcome::Failed { code: Some(code), .. } => format!("failed {code}"),
        Outcome::Failed { code: None, .. } => "failed".into(),
        Outcome::TimedOut => "timed out".into(),
        Outcome::CouldNotRun { .. } => "could not run".into(),
    }
}

/// The reason of a failure.
pub(crate) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { reason, .. } | Outcome::CouldNotRun { reason } => reason,
        Outcome::Ok | Outcome::NotRunning | Outcome::TimedOut => "",
    }
}

/// Says what is not tested, where nobody can overlook it.
#[expect(clippy::print_stderr, reason = "a test that cannot run has to say so")]
pub(crate) fn skip(what: &str) {
    eprintln!("SKIP: {what}");
}
