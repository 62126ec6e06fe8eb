//! Who performs an operation: the daemon itself for floating addresses, the runner for everything
//! that is a program. Each runs in a task of its own; the answers come back in the order in which
//! they end (I/O). When something is started or stopped is decided by the core.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use hb_config::secret::secrets_of;
use hb_config::settings::{AgentSpec, BuiltIn, ResourceSpec, Settings};
use hb_node::effect::{Level, LogEvent};
use hb_resource::exec::environment::{self, Paths as AgentPaths};
use hb_resource::exec::watch::Ticks;
use hb_resource::exec::{Runner, RunnerConfig};
use hb_resource::operation::{Action, OpId, Operation, Outcome};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::address_thread::{AddressThread, Plan};
use crate::args::Paths;
use crate::binding;
use crate::hint::HintSender;
use crate::left_record::{self, Left};
use crate::logging::Logger;
use crate::mask;
use crate::probes::Probes;
use crate::watch::{self, Owner, Watches};
use crate::watch_record;

/// Directory below the run directory where running agents are written down.
const LEDGER: &str = "agents";
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
    watches: Watches,
    left: Left,
    probes: Probes,
    under_way: BTreeMap<OpId, UnderWay>,
    answer: mpsc::Sender<(OpId, Outcome)>,
    answers: mpsc::Receiver<(OpId, Outcome)>,
}

/// An operation whose answer has not been taken yet.
struct UnderWay {
    operation: Operation,
    began: Ticks,
    /// Ends it at once.
    cancel: oneshot::Sender<()>,
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
                let text = format!("{} cannot be started here: {problem}", resource.text);
                let line = LogEvent::new(Level::Error, "agent_missing", text);
                logger.log(line.with("resource", &resource.text));
            }
        }
        binding::check(settings, logger);
        let (answer, answers) = mpsc::channel(ANSWERS_MAX);
        let record = paths.run.join(watch_record::FILE);
        let owners = watch::owners(settings);
        Self {
            left: Left::open(paths.run.join(left_record::FILE), &owners),
            watches: Watches::open(settings, runner.clone(), record, hints.clone()),
            probes: Probes::open(settings, &AgentPaths::default().path),
            runner,
            addresses,
            overridden,
            under_way: BTreeMap::new(),
            answer,
            answers,
        }
    }

    /// What runs programs, for those that are no agents.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Ends agents that the daemon before this one left running when it was killed. Before anything
    /// is looked at; some seconds at most.
    pub(crate) async fn end_left_agents(&self, logger: &Logger) {
        match self.runner.end_left_agents().await {
            0 => {}
            count => {
                let text = format!(
                    "{count} agents of the heartbeat before this one were still running and were \
                     ended; their resources are looked at now"
                );
                logger.say(Level::Warn, "agents_ended", text);
            }
        }
    }

    /// What daemons since the machine booted have started and not stopped.
    pub(crate) fn left(&self) -> BTreeSet<Owner> {
        self.left.all()
    }

    /// Starts an operation; its answer comes from [`Self::recv`], exactly once.
    pub(crate) fn start(&mut self, operation: Operation) {
        let (cancel, cancelled) = oneshot::channel();
        if self.built_in(&operation.resource).is_none() {
            match operation.action {
                Action::Start | Action::Stop => self.watches.end(&operation),
                Action::Status | Action::Announce | Action::Validate => {}
            }
        }
        if operation.action == Action::Start {
            self.left.insert(&watch::owner(&operation));
        }
        let work = self.perform(operation.clone());
        let (id, answer) = (operation.id, self.answer.clone());
        self.under_way.insert(id, UnderWay { operation, began: Ticks::now(), cancel });
        tokio::spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = work => outcome,
                // Drops the work, which kills what runs for it.
                Ok(()) = cancelled => Outcome::TimedOut,
            };
            // Fails only when the daemon is ending and nobody waits.
            let _ = answer.send((id, outcome)).await;
        });
    }

    /// Ends a check at once; its answer still comes, unless it is already on its way. Anything else
    /// goes on.
    pub(crate) fn cancel(&mut self, id: OpId) {
        let is_check = |one: &UnderWay| match one.operation.action {
            Action::Status | Action::Validate => true,
            Action::Start | Action::Stop | Action::Announce => false,
        };
        if self.under_way.get(&id).is_some_and(is_check)
            && let Some(one) = self.under_way.remove(&id)
        {
            // Fails when it has just ended by itself.
            let _ = one.cancel.send(());
        }
    }

    /// Waits for the next answer. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> (OpId, Outcome) {
        match self.answers.recv().await {
            Some((id, outcome)) => {
                self.ended(id, &outcome);
                (id, outcome)
            }
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// What an answer means for the watch over the resource's processes.
    fn ended(&mut self, id: OpId, outcome: &Outcome) {
        let Some(UnderWay { operation, began, .. }) = self.under_way.remove(&id) else { return };
        match (operation.action, outcome) {
            (Action::Stop, Outcome::Ok | Outcome::NotRunning) => {
                self.left.remove(&watch::owner(&operation));
            }
            // What is watched over is ours, also when Heartbeat 3.0.6 had started it.
            (Action::Status, Outcome::Ok) if operation.monitor => {
                self.left.insert(&watch::owner(&operation));
            }
            (
                Action::Start | Action::Stop | Action::Status | Action::Announce | Action::Validate,
                _,
            ) => {}
        }
        if *outcome != Outcome::Ok || self.built_in(&operation.resource).is_some() {
            return;
        }
        match operation.action {
            Action::Start => self.watches.started(&operation, began),
            Action::Status => self.watches.runs(&operation),
            Action::Stop => self.watches.stopped(&operation),
            Action::Announce | Action::Validate => {}
        }
    }

    /// The work of `operation`, to be awaited elsewhere.
    fn perform(&self, operation: Operation) -> impl Future<Output = Outcome> + use<> {
        let built_in = self.built_in(&operation.resource).cloned();
        let (runner, addresses) = (self.runner.clone(), self.addresses.clone());
        let (probes, left) = (self.probes.clone(), self.left.clone());
        async move {
            // An address says by itself whose it is, and must not wait.
            if operation.action == Action::Start && built_in.is_none() {
                left.written().await;
            }
            let outcome = match (built_in, addresses) {
                (Some(built_in), Ok(addresses)) => {
                    let limit = operation.timeout;
                    timeout(limit, addresses.perform(built_in, operation.clone()))
                        .await
                        .unwrap_or(Outcome::TimedOut)
                }
                (Some(_), Err(reason)) => Outcome::CouldNotRun { reason },
                (None, _) => {
                    let secrets = secrets_of(&operation.resource.agent);
                    let secrets = secrets.into_iter().map(str::to_owned).collect();
                    mask::cut(runner.run(&operation).await, secrets)
                }
            };
            if operation.monitor && operation.action == Action::Status && outcome == Outcome::Ok {
                return probes.ask(&runner, &operation.resource.text).await;
            }
            outcome
        }
    }

    /// Whose answers for a floating address are the peer's.
    pub(crate) fn peer_is(&self, ethernet: Vec<String>) {
        if let Ok(addresses) = &self.addresses {
            addresses.peer_is(ethernet);
        }
    }

    /// As the first process of a container we inherit what agents leave behind. Everywhere else
    /// there is an init for that.
    pub(crate) fn reap_orphans(&self) {
        if std::process::id() == 1 {
            self.runner.reap_orphans();
        }
    }

    /// What the daemon performs itself.
    fn built_in<'a>(&self, resource: &'a ResourceSpec) -> Option<&'a BuiltIn> {
        let is_overridden =
            script_name(resource).is_some_and(|name| self.overridden.contains(name));
        resource.built_in.as_ref().filter(|_| !is_overridden)
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
        ledger: Some(paths.run.join(LEDGER)),
        ..RunnerConfig::default()
    }
}

#[cfg(test)]
mod tests;
