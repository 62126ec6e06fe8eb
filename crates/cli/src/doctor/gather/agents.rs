//! Tries each agent as the daemon would: its runner, its variables, its limits, its view of the files
//! (I/O). Nothing is started or stopped: agents are asked to validate and to describe themselves.
#![expect(clippy::disallowed_methods, reason = "looks at files of agents")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_config::settings::{AgentSpec, BuiltIn, ResourceSpec, Settings};
use hb_resource::agent::{self, Places as AgentPlaces};
use hb_resource::exec::environment::{self, Paths};
use hb_resource::exec::{Runner, RunnerConfig};
use hb_resource::operation::{Action, OpId, Operation, Outcome};
use nix::sched::{CloneFlags, setns};
use nix::unistd::mkdtemp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::facts::{Agent, Component, Daemon, Validated};
use super::{Places, component};

/// Longest description of itself; agents print it from a text.
const METADATA_LIMIT: Duration = Duration::from_secs(10);
/// Limits that agents inherit from the daemon, by the name of `/proc/PID/limits`.
const LIMITS: [(&str, Resource); 5] = [
    ("Max open files", Resource::Nofile),
    ("Max processes", Resource::Nproc),
    ("Max file size", Resource::Fsize),
    ("Max stack size", Resource::Stack),
    ("Max address space", Resource::As),
];

pub(super) fn agents(settings: &Settings, daemon: Option<&Daemon>, places: &Places) -> Vec<Agent> {
    if let Some(daemon) = daemon {
        enter(daemon);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    // The daemon makes it when it starts. Agents write there, also to validate.
    let scratch = places.run_dir.join("rsctmp");
    let temporary = match scratch.is_dir() {
        true => None,
        false => mkdtemp("/tmp/hb-doctor-XXXXXX").ok(),
    };
    let scratch = temporary.clone().unwrap_or(scratch);
    let all = runtime.block_on(async {
        let runner = Runner::new(runner_config(settings, places, scratch));
        let mut all = Vec::new();
        for group in &settings.groups {
            for resource in &group.resources {
                all.push(look(&runner, settings, places, &group.key, resource).await);
            }
        }
        all
    });
    if let Some(temporary) = temporary {
        let _ = std::fs::remove_dir_all(temporary);
    }
    all
}

/// Puts this process where the daemon is. What is refused stays as it is: then the agents are tried
/// as a shell of root would.
fn enter(daemon: &Daemon) {
    if !daemon.same_files
        && let Ok(namespace) = File::open(format!("/proc/{}/ns/mnt", daemon.pid))
    {
        let _ = setns(namespace, CloneFlags::CLONE_NEWNS);
        let _ = std::env::set_current_dir("/");
    }
    for (name, resource) in LIMITS {
        if let Some(soft) = daemon.limits.get(name) {
            let maximum = getrlimit(resource).maximum;
            let _ = setrlimit(resource, Rlimit { current: *soft, maximum });
        }
    }
}

/// As the daemon's own (`heartbeat/operations.rs`), but for the record of what runs.
fn runner_config(settings: &Settings, places: &Places, scratch: PathBuf) -> RunnerConfig {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let scripts = places.dir.join("resource.d");
    let paths = Paths {
        configuration: text(places.dir.clone()),
        resource_scripts: text(scripts.clone()),
        scratch: text(scratch),
        fifo: text(places.state_dir.join("fifo")),
        ..Paths::default()
    };
    RunnerConfig {
        resource_dirs: vec![scripts],
        environment: environment::list(settings, &paths),
        kill_grace: Duration::from_millis(settings.native.operations.kill_grace_ms),
        ..RunnerConfig::default()
    }
}

async fn look(
    runner: &Runner,
    settings: &Settings,
    places: &Places,
    group: &str,
    resource: &ResourceSpec,
) -> Agent {
    let path = program(resource, places);
    let shown = path.as_deref().map(way).unwrap_or_default();
    let built_in = is_built_in(runner, resource);
    let validated = match built_in {
        true => Validated::BuiltIn,
        false => validate(runner, settings, group, resource).await,
    };
    let is_ocf = matches!(resource.agent, AgentSpec::Ocf { .. });
    let metadata = match (path.filter(|_| is_ocf), &validated) {
        (_, Validated::NotRun(_)) | (None, _) => None,
        (Some(path), _) => {
            let outcome = runner.run_check(&path, &["meta-data"], METADATA_LIMIT).await;
            Some(match outcome {
                Outcome::Ok => Ok(()),
                bad @ (Outcome::NotRunning
                | Outcome::Failed { .. }
                | Outcome::TimedOut
                | Outcome::CouldNotRun { .. }) => Err(bad.describe()),
            })
        }
    };
    let path = if built_in { Vec::new() } else { shown };
    let (group, text) = (group.to_owned(), resource.text.clone());
    Agent { group, text, path, validated, metadata }
}

fn is_built_in(runner: &Runner, resource: &ResourceSpec) -> bool {
    let name = match &resource.agent {
        AgentSpec::Script { name, .. } => Some(name),
        AgentSpec::Ocf { .. } | AgentSpec::Systemd { .. } => None,
    };
    match &resource.built_in {
        Some(BuiltIn::Address(_) | BuiltIn::SendArp { .. }) => {
            name.is_none_or(|name| !runner.overridden(name))
        }
        None => false,
    }
}

async fn validate(
    runner: &Runner,
    settings: &Settings,
    group: &str,
    resource: &ResourceSpec,
) -> Validated {
    let operation = Operation {
        id: OpId(0),
        group: group.to_owned(),
        resource: resource.clone(),
        action: Action::Validate,
        timeout: Duration::from_millis(settings.native.operations.status_timeout_ms),
        kill: false,
        monitor: false,
        probe: false,
    };
    match runner.run(&operation).await {
        Outcome::Ok | Outcome::NotRunning => Validated::Fine,
        refused @ Outcome::Failed { .. } => Validated::Refused(refused.describe()),
        Outcome::TimedOut => Validated::TimedOut,
        Outcome::CouldNotRun { reason } => Validated::NotRun(reason),
    }
}

/// The file that would be run: the first that is there, as the daemon searches.
fn program(resource: &ResourceSpec, places: &Places) -> Option<PathBuf> {
    if matches!(resource.agent, AgentSpec::Systemd { .. }) {
        return None;
    }
    let places = AgentPlaces {
        resource_dirs: vec![places.dir.join("resource.d")],
        ..AgentPlaces::default()
    };
    let candidates = agent::candidates(&resource.agent, &places).ok()?;
    candidates.into_iter().map(|it| it.path).find(|path| path.exists())
}

/// Every directory on the way, and the file; links are followed, as who can change what they lead to
/// changes the agent.
fn way(path: &Path) -> Vec<Component> {
    let mut all = Vec::new();
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for path in [path, &real] {
        let parts: Vec<&Path> = path.ancestors().collect();
        for part in parts.into_iter().rev() {
            if let Some(part) = component(part)
                && !all.contains(&part)
            {
                all.push(part);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_program_has_every_directory() {
        let shown: Vec<String> =
            way(Path::new("/proc/self/status")).into_iter().map(|it| it.path).collect();
        assert_eq!(shown.first().map(String::as_str), Some("/"));
        assert!(shown.iter().any(|path| path == "/proc/self/status"), "{shown:?}");
        let real = format!("/proc/{}/status", std::process::id());
        assert!(shown.contains(&real), "{shown:?}");
    }
}
