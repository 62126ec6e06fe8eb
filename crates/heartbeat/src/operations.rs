//! Who performs an operation: the daemon itself for floating addresses, the runner for everything
//! that is a program. Each runs in a task of its own; the answers come back in the order in which
//! they end (I/O). When something is started or stopped is decided by the core.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use hb_config::settings::{AgentSpec, ResourceSpec, Settings};
use hb_node::effect::{Level, LogEvent};
use hb_resource::exec::environment::{self, Paths as AgentPaths};
use hb_resource::exec::{Runner, RunnerConfig};
use hb_resource::operation::{OpId, Operation, Outcome};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::address_thread::{AddressThread, Plan};
use crate::args::Paths;
use crate::hint::HintSender;
use crate::logging::Logger;

/// Answers that may wait for the core. Each belongs to an operation that the core has asked for,
/// so this bounds nothing but the burst of one moment; a task waits for its place.
const ANSWERS_MAX: usize = 256;

/// Performs operations.
pub(crate) struct Operations {
    runner: Runner,
    /// Missing when there is no netlink socket: then no address can be moved.
    addresses: Result<AddressThread, String>,
    /// Names of scripts in resource.d that stand in for built-in work. Looked up at start and not
    /// at a takeover, where a disk that hangs would cost the address.
    overridden: BTreeSet<String>,
    answer: mpsc::Sender<(OpId, Outcome)>,
    answers: mpsc::Receiver<(OpId, Outcome)>,
}

impl Operations {
    /// Looks at what the groups need. What is missing is logged now, when somebody is looking, and
    /// again when it is used; the node starts all the same.
    /// `priority`: real-time priority of the core, if it has one. `hints`: where watchers tell what
    /// they notice.
    pub(crate) fn open(
        settings: &Settings,
        paths: &Paths,
        priority: Option<u8>,
        hints: &HintSender,
        logger: &Logger,
    ) -> Self {
        let runner = Runner::new(runner_config(settings, paths));
        let addresses =
            AddressThread::start(priority, Plan::of(settings), hints.clone()).map_err(|error| {
                let text = format!("no netlink socket: {error}");
                logger.say(Level::Error, "no_netlink", format!("{text}; no address can be moved"));
                text
            });
        let resources = || settings.groups.iter().flat_map(|group| &group.resources);
        let overridden: BTreeSet<String> = resources()
            .filter(|resource| resource.built_in.is_some())
            .filter_map(script_name)
            .filter(|name| runner.overridden(name))
            .map(String::from)
            .collect();
        for name in &overridden {
            let text = format!("the script {name} in resource.d is used instead of our own code");
            logger.say(Level::Info, "agent_overrides", text);
        }
        for resource in resources() {
            if let Err(problem) = runner.preflight(resource) {
                logger.log(LogEvent {
                    level: Level::Error,
                    event: "agent_missing".into(),
                    text: format!("{} cannot be started here: {problem}", resource.text),
                    fields: vec![("resource".into(), resource.text.clone())],
                });
            }
        }
        let (answer, answers) = mpsc::channel(ANSWERS_MAX);
        Self { runner, addresses, overridden, answer, answers }
    }

    /// What runs programs, for those that are no agents.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Starts an operation; its answer comes from [`Self::recv`], exactly once.
    pub(crate) fn start(&self, operation: Operation) {
        let built_in = operation.resource.built_in.clone();
        let built_in = built_in.filter(|_| !self.is_overridden(&operation.resource));
        let (runner, addresses) = (self.runner.clone(), self.addresses.clone());
        let (id, answer) = (operation.id, self.answer.clone());
        tokio::spawn(async move {
            let outcome = match (built_in, addresses) {
                (Some(built_in), Ok(addresses)) => {
                    let limit = operation.timeout;
                    timeout(limit, addresses.perform(built_in, operation))
                        .await
                        .unwrap_or(Outcome::TimedOut)
                }
                (Some(_), Err(reason)) => Outcome::CouldNotRun { reason },
                (None, _) => runner.run(&operation).await,
            };
            // Fails only when the daemon is ending and nobody waits.
            let _ = answer.send((id, outcome)).await;
        });
    }

    /// Waits for the next answer. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> (OpId, Outcome) {
        match self.answers.recv().await {
            Some(answer) => answer,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// As the first process of a container we inherit what agents leave behind. Everywhere else
    /// there is an init for that.
    pub(crate) fn reap_orphans(&self) {
        if std::process::id() == 1 {
            self.runner.reap_orphans();
        }
    }

    fn is_overridden(&self, resource: &ResourceSpec) -> bool {
        script_name(resource).is_some_and(|name| self.overridden.contains(name))
    }
}

fn script_name(resource: &ResourceSpec) -> Option<&str> {
    match &resource.agent {
        AgentSpec::Script { name, .. } => Some(name),
        AgentSpec::Ocf { .. } | AgentSpec::Systemd { .. } => None,
    }
}

fn runner_config(settings: &Settings, paths: &Paths) -> RunnerConfig {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let scripts = paths.config.join("resource.d");
    let places = AgentPaths {
        configuration: text(paths.config.clone()),
        resource_scripts: text(scripts.clone()),
        scratch: text(paths.run.join(crate::run::SCRATCH)),
        fifo: text(paths.state.join(crate::legacy::FIFO)),
        ..AgentPaths::default()
    };
    RunnerConfig {
        resource_dirs: vec![scripts],
        environment: environment::list(settings, &places),
        kill_grace: Duration::from_millis(settings.native.operations.kill_grace_ms),
        ..RunnerConfig::default()
    }
}
