//! The runner: one operation in, one outcome out. It does I/O and decides nothing: policy after a
//! failure belongs to the manager.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{AgentSpec, BuiltIn, ResourceSpec};
use tokio::time::Instant;

use super::child::{self, End, Shared, Terms};
use super::environment::{GROUP_VARIABLE, RESOURCE_VARIABLE};
use super::ledger::{self, Ledger};
use super::leftovers::Leftovers;
use super::lookup;
use super::orphans::Children;
use super::systemd::Systemd;
use super::thread;
use super::watch::{self, Found, Search};
use crate::agent::{self, Candidate, Class, Invocation, Places};
use crate::operation::{Action, Operation, Outcome};
use crate::status;

/// What the runner is told once.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// Directories of resource scripts, searched in order.
    pub resource_dirs: Vec<PathBuf>,
    /// Directory of init scripts, searched after them.
    pub init_dir: PathBuf,
    /// `OCF_ROOT`.
    pub ocf_root: PathBuf,
    /// The program `systemctl`.
    pub systemctl: PathBuf,
    /// All variables that agents get besides those of their class; see
    /// [`super::environment::list`]. Nothing is inherited from this process.
    pub environment: Vec<(String, String)>,
    /// Between TERM and KILL of an agent that does not end in time.
    pub kill_grace: Duration,
    /// Where running agents are written down, for [`Runner::end_left_agents`] of the next daemon;
    /// nowhere when absent. It is made when it does not exist.
    pub ledger: Option<PathBuf>,
}

impl Default for RunnerConfig {
    /// Heartbeat's directories, no environment, two seconds of grace.
    fn default() -> Self {
        let Places { resource_dirs, init_dir, ocf_root, systemctl } = Places::default();
        let kill_grace = Duration::from_secs(2);
        let environment = Vec::new();
        let ledger = None;
        Self { resource_dirs, init_dir, ocf_root, systemctl, environment, kill_grace, ledger }
    }
}

/// Runs agents. Cheap to clone; any number of operations may run at once, but not two on the same
/// resource. It needs a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct Runner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Places,
    environment: Vec<(String, String)>,
    kill_grace: Duration,
    shared: Shared,
    leftovers: Leftovers,
}

impl Runner {
    /// Starts nothing and looks at nothing.
    pub fn new(config: RunnerConfig) -> Self {
        let RunnerConfig {
            resource_dirs,
            init_dir,
            ocf_root,
            systemctl,
            environment,
            kill_grace,
            ledger,
        } = config;
        let places = Places { resource_dirs, init_dir, ocf_root, systemctl };
        Self(Arc::new(Inner {
            places,
            leftovers: Leftovers::new(&environment),
            environment,
            kill_grace,
            shared: Shared::new(Ledger::new(ledger)),
        }))
    }

    /// Performs `operation` by its agent, whether or not the daemon could do it itself, and answers
    /// when it has ended: after at most its timeout, the grace, and a few seconds for what the
    /// kernel does not let die. An escalated stop may take twice that.
    ///
    /// Dropping the future of a check (`Status`, `Validate`) kills it at once with its process group.
    /// Any other agent then goes on without a limit.
    pub async fn run(&self, operation: &Operation) -> Outcome {
        let outcome = self.attempt(operation).await;
        if !operation.kill {
            return outcome;
        }
        let has_killed = self.kill_leftovers(operation).await;
        if outcome == Outcome::Ok || !has_killed {
            return outcome;
        }
        // What kept the agent from stopping it may be gone. Only the agent can tell: silence of the
        // processes says nothing of a mount or an address.
        self.attempt(operation).await
    }

    /// Runs a program that is no agent (a hook of the operator) in the same way: own process group,
    /// bounded output, nothing of this process' environment, killed after `limit` and the grace.
    /// `variables` are added to those of all agents and win over them.
    ///
    /// Dropping the future leaves it running without a limit.
    pub async fn run_program(
        &self,
        program: &Path,
        args: &[&str],
        variables: &[(String, String)],
        limit: Duration,
    ) -> Outcome {
        self.program(program, args, variables, limit, false).await
    }

    /// As [`Self::run_program`], with `input` on its standard input. Neither the input nor the output
    /// is logged here: both may hold passwords.
    pub async fn run_with_input(
        &self,
        program: &Path,
        args: &[&str],
        variables: &[(String, String)],
        input: Vec<u8>,
        limit: Duration,
    ) -> Outcome {
        let (invocation, environment) = self.invocation(program, args, variables);
        let grace = self.0.kill_grace;
        let terms = Terms {
            time: limit,
            grace,
            ends_when_dropped: false,
            is_agent: false,
            has_input: true,
        };
        let shared = &self.0.shared;
        match child::run_with_input(shared, &invocation, &environment, terms, input).await {
            End::Exited { exit, output, .. } => {
                status::judge(invocation.class, Action::Start, exit, output.text())
            }
            End::TimedOut => Outcome::TimedOut,
            End::CouldNotRun { reason } => Outcome::CouldNotRun { reason },
        }
    }

    /// As [`Self::run_program`], but dropping the future kills the program at once.
    pub async fn run_check(&self, program: &Path, args: &[&str], limit: Duration) -> Outcome {
        self.program(program, args, &[], limit, true).await
    }

    /// Ends agents that a daemon before this one has left running when it was killed, and waits for
    /// their end, some seconds at most. Services that they have started go on. Returns how many.
    pub async fn end_left_agents(&self) -> usize {
        let ledger = self.0.shared.ledger.clone();
        let left = match thread::run(move || ledger.left()).await {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(%error, "cannot look for agents of the daemon before this one");
                return 0;
            }
        };
        ledger::end(&left).await;
        left.len()
    }

    /// The processes on top of a resource that runs: those whose end is the end of the service, as
    /// far as one can tell. Takes as long as `/proc` is long, on a helper thread; none when there
    /// is no thread, or systemd does not answer within `limit`.
    pub async fn find(&self, search: Search, limit: Duration) -> Found {
        let runner = self.clone();
        let look: Box<dyn FnOnce() -> Found + Send> = match watch::unit(&search.resource) {
            Some(unit) => match self.systemd(true).processes(unit, limit).await {
                Some(processes) => {
                    Box::new(move || Found { top: processes.top(), sessions: Vec::new() })
                }
                None => return Found::default(),
            },
            None => Box::new(move || {
                let marks = runner.0.leftovers.marks(&search.group, &search.resource.text);
                watch::find(&search, &marks, &runner.children().waited_for())
            }),
        };
        thread::run(look).await.unwrap_or_default()
    }

    async fn program(
        &self,
        program: &Path,
        args: &[&str],
        variables: &[(String, String)],
        time: Duration,
        ends_when_dropped: bool,
    ) -> Outcome {
        let (invocation, environment) = self.invocation(program, args, variables);
        let class = invocation.class;
        let grace = self.0.kill_grace;
        let terms = Terms { time, grace, ends_when_dropped, is_agent: false, has_input: false };
        match child::run(&self.0.shared, &invocation, &environment, terms).await {
            End::Exited { exit, output, .. } => {
                tracing::debug!(?program, output = status::reason(output.text().all), "ended");
                status::judge(class, Action::Start, exit, output.text())
            }
            End::TimedOut => Outcome::TimedOut,
            End::CouldNotRun { reason } => Outcome::CouldNotRun { reason },
        }
    }

    /// A call of a program that is no agent, and its whole environment.
    fn invocation(
        &self,
        program: &Path,
        args: &[&str],
        variables: &[(String, String)],
    ) -> (Invocation, Vec<(String, String)>) {
        let invocation = Invocation {
            class: Class::Lsb,
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            environment: Vec::new(),
        };
        (invocation, self.0.environment.iter().chain(variables).cloned().collect())
    }

    /// Whether the agent of `resource` is there and executable.
    ///
    /// # Errors
    /// A sentence that names the file, what is wrong and what to do.
    pub fn preflight(&self, resource: &ResourceSpec) -> Result<(), String> {
        let name = match &resource.built_in {
            Some(BuiltIn::Address(_) | BuiltIn::SendArp { .. }) => match &resource.agent {
                AgentSpec::Script { name, .. } => Some(name),
                AgentSpec::Ocf { .. } | AgentSpec::Systemd { .. } => None,
            },
            None => None,
        };
        if name.is_some_and(|name| !self.overridden(name)) {
            return Ok(());
        }
        let places = &self.0.places;
        let found = lookup::find(&resource.agent, places)?;
        // Refuses names and parameters that no run would accept.
        agent::invocation(resource, Action::Status, Duration::ZERO, &found, places)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Whether a script of somebody's own in `resource.d` stands in for the built-in work of that
    /// name (`IPaddr`, `IPaddr2`, `IPv6addr`, `SendArp`): one that is neither the shipped script
    /// nor a stock wrapper of Heartbeat or resource-agents. Reads one small file.
    pub fn overridden(&self, name: &str) -> bool {
        lookup::overridden(name, &self.0.places)
    }

    /// The register of children. Whatever else in the process starts children and waits for them
    /// must start them through it when [`Self::reap_orphans`] is used.
    pub fn children(&self) -> &Children {
        &self.0.shared.children
    }

    /// Reaps adopted orphans that have ended; see [`Children::reap_orphans`].
    pub fn reap_orphans(&self) -> usize {
        self.0.shared.children.reap_orphans()
    }

    async fn attempt(&self, operation: &Operation) -> Outcome {
        match self.prepare(operation).await {
            Ok((found, invocation, true)) => self.perform(operation, &found, &invocation).await,
            // It is there, and more it cannot tell.
            Ok((_, _, false)) => Outcome::Ok,
            Err(reason) => Outcome::CouldNotRun { reason },
        }
    }

    /// Finds the program on a helper thread: a hung file system must not hold up heartbeats. Also
    /// whether it understands the action: a script that does not know a word may do anything with it.
    async fn prepare(
        &self,
        operation: &Operation,
    ) -> Result<(Candidate, Invocation, bool), String> {
        let inner = Arc::clone(&self.0);
        let (spec, action) = (operation.resource.agent.clone(), operation.action);
        let look = move || {
            lookup::find(&spec, &inner.places).map(|found| {
                let is_understood = lookup::understands(&found, action);
                (found, is_understood)
            })
        };
        let deadline = Instant::now() + operation.timeout;
        let found = self.0.shared.hanging.run(deadline, look).await;
        let (found, is_understood) = found.map_err(|error| error.to_string())??;
        let Operation { resource, action, timeout, .. } = operation;
        let invocation = agent::invocation(resource, *action, *timeout, &found, &self.0.places)
            .map_err(|error| error.to_string())?;
        Ok((found, invocation, is_understood))
    }

    async fn perform(
        &self,
        operation: &Operation,
        found: &Candidate,
        invocation: &Invocation,
    ) -> Outcome {
        let Operation { resource, action, timeout, .. } = operation;
        if let AgentSpec::Systemd { unit } = &resource.agent {
            let systemd = self.systemd(is_check(*action));
            return systemd.perform(unit, *action, invocation, *timeout).await;
        }
        let environment = self.environment(operation, invocation);
        let terms = Terms {
            time: *timeout,
            grace: self.0.kill_grace,
            ends_when_dropped: is_check(*action),
            is_agent: true,
            has_input: false,
        };
        let end = child::run(&self.0.shared, invocation, &environment, terms).await;
        match end {
            End::Exited { exit, output, group } => {
                self.0.leftovers.record(operation, group);
                let outcome = status::judge(found.class, *action, exit, output.text());
                log_end(operation, found.class, &outcome, output.text().all);
                outcome
            }
            End::TimedOut => Outcome::TimedOut,
            End::CouldNotRun { reason } => Outcome::CouldNotRun { reason },
        }
    }

    /// The fixed list, then what tells the resource, then what its class adds; later ones win.
    fn environment(&self, operation: &Operation, call: &Invocation) -> Vec<(String, String)> {
        let names = [
            (GROUP_VARIABLE.to_owned(), operation.group.clone()),
            (RESOURCE_VARIABLE.to_owned(), operation.resource.text.clone()),
        ];
        let fixed = self.0.environment.iter().cloned();
        fixed.chain(names).chain(call.environment.iter().cloned()).collect()
    }

    fn systemd(&self, ends_when_dropped: bool) -> Systemd<'_> {
        Systemd {
            shared: &self.0.shared,
            systemctl: &self.0.places.systemctl,
            environment: &self.0.environment,
            grace: self.0.kill_grace,
            ends_when_dropped,
        }
    }

    /// Whether anything was there to kill.
    async fn kill_leftovers(&self, operation: &Operation) -> bool {
        match &operation.resource.agent {
            AgentSpec::Systemd { unit } => {
                self.systemd(false).kill(unit, operation.timeout).await.is_ok()
            }
            AgentSpec::Script { .. } | AgentSpec::Ocf { .. } => {
                self.0.leftovers.kill(operation).await > 0
            }
        }
    }
}

/// Checks change nothing, so they may end at any point.
fn is_check(action: Action) -> bool {
    match action {
        Action::Status | Action::Validate => true,
        Action::Start | Action::Stop | Action::Announce => false,
    }
}

/// The output is for people who look for it; the manager logs the outcome.
fn log_end(operation: &Operation, class: Class, outcome: &Outcome, output: &[u8]) {
    tracing::debug!(
        resource = operation.resource.text,
        action = operation.action.word(),
        op = operation.id.0,
        class = class.word(),
        outcome = outcome.describe(),
        output = status::reason(output),
        "agent ended"
    );
}
