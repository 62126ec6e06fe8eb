//! Two real `Node`s in a modelled world: virtual time, a network, agents, clients. It performs
//! effects and feeds inputs exactly as the daemon does. It judges nothing; `checker` does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_config::settings::Settings;
use hb_messaging::engine::LinkId;
use hb_messaging::time::Instant;
use hb_node::api::{HistoryEntry, Request, Response, StatusSnapshot};
use hb_node::effect::{Effect, Level, LogEvent};
use hb_node::input::{ClientId, Input};
use hb_node::{Identity, Node};
use hb_resource::operation::{Action, OpId, Operation, Outcome};

use crate::agents::{Agents, Resource, resource_of};
use crate::counts::Counts;
use crate::edge::{Edge, Ending};
use crate::network::Network;
use crate::rng::Rng;
use crate::trace::Trace;

/// The daemon tells its node wall clock and load this often.
const ENVIRONMENT_EVERY: Duration = Duration::from_secs(1);
/// Inputs that wait for a halted daemon.
const WAITING_MAX: usize = 500;
/// Timeouts that a node may have due at one moment; more means that time stands still.
const TIMEOUTS_MAX: usize = 10_000;

/// The edge ends the process group of a cancelled check at once.
const CANCEL_TAKES: Duration = Duration::from_millis(1);
/// How long a daemon needs to take the place of the one before it.
const RELOAD_TAKES: Duration = Duration::from_millis(30);
/// The service manager waits this long (`RestartSec`).
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// One machine: its daemon, when it runs, and what runs beside it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What its daemon reads when it starts.
    pub settings: Settings,
    /// Its agents and resources: they survive the daemon.
    pub agents: Agents,
    /// What a daemon has started and not stopped, as written in the run directory.
    pub left: BTreeSet<Resource>,
    /// The daemon, while it runs.
    pub daemon: Option<Daemon>,
    /// Generation of the last start (`hb_generation`).
    pub generation: u64,
    /// Answers to clients, in order.
    pub replies: Vec<(ClientId, Response)>,
    /// Log lines of all starts.
    pub logs: Vec<LogEvent>,
    /// Completed moves of all starts.
    pub history: Vec<HistoryEntry>,
    /// What the service manager shows.
    pub notified: Vec<String>,
    /// What its daemon wanted of fence devices, of the witness and of the watchdog, in order.
    pub asked: Vec<Effect>,
    /// Exit code of the last daemon that left by itself.
    pub exit: Option<u8>,
    /// Agents that run, whichever daemon started them.
    pub under_way: Vec<UnderWay>,
    /// What waits for a daemon that stands still (`SIGSTOP`, a frozen virtual machine); `None`
    /// while it moves.
    waiting: Option<Vec<Input>>,
}

/// A running daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The real thing.
    pub node: Node,
    /// When it started: the zero of its own time.
    pub started: Instant,
}

/// An agent that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// What it does.
    pub operation: Operation,
    /// Generation of the daemon that waits for it.
    pub generation: u64,
}

/// Something that will happen at a known moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    Datagram { to: usize, link: LinkId, bytes: Vec<u8> },
    Echo { to: usize, generation: u64, input: Input },
    Ended { machine: usize, run: UnderWay, cancelled: bool },
    Fenced { by: usize, generation: u64, attempt: u64, ending: Ending },
    Witness { machine: usize, generation: u64, question: u64, acquire: bool },
    Boot { machine: usize },
    Environment { machine: usize, generation: u64 },
}

/// What an agent did, for whoever looks on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It began.
    Begun {
        /// Which machine.
        machine: usize,
        /// What it does, and for which daemon.
        run: UnderWay,
    },
    /// A daemon wanted something ended that is not a check.
    BadCancel {
        /// Which machine.
        machine: usize,
        /// What should have been ended.
        run: UnderWay,
    },
    /// A fence was asked for.
    Fence {
        /// Which machine asked.
        machine: usize,
    },
    /// It ended.
    Ended {
        /// Which machine.
        machine: usize,
        /// What it did.
        run: UnderWay,
        /// How it ended.
        outcome: Outcome,
    },
}

/// The whole world.
#[derive(Clone, Debug)]
pub struct World {
    /// Both machines.
    pub machines: [Machine; 2],
    /// What is between them.
    pub network: Network,
    /// What happened, for people and for comparing runs.
    pub trace: Trace,
    /// What agents did since somebody took it from here.
    pub news: Vec<News>,
    /// Fence devices, a witness and a supervisor. Without them a test plays them, by
    /// [`Machine::asked`].
    pub edge: Option<Edge>,
    /// How often what has happened.
    pub counts: Counts,
    now: Instant,
    pub(crate) rng: Rng,
    /// Ordered by moment, then by the order in which it was planned.
    coming: BTreeMap<(Instant, u64), Coming>,
    planned: u64,
    clients: u64,
}

impl World {
    /// Two machines with these settings, switched off, and a good network.
    pub fn new(settings: [Settings; 2], seed: u64) -> Self {
        let links = settings[0].media.len();
        Self {
            machines: settings.map(Machine::new),
            network: Network::new(links),
            trace: Trace::default(),
            news: Vec::new(),
            edge: None,
            counts: Counts::default(),
            now: Instant::ZERO,
            rng: Rng::new(seed),
            coming: BTreeMap::new(),
            planned: 0,
            clients: 0,
        }
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Starts the daemon of `machine`; nothing when it runs.
    pub fn start(&mut self, machine: usize) {
        if self.machines[machine].daemon.is_some() {
            return;
        }
        self.end_leftovers(machine);
        let seed = self.rng.next_u64();
        let this = &mut self.machines[machine];
        this.generation += 1;
        let uuid = [u8::try_from(machine + 1).unwrap_or(0); 16];
        let identity = Identity { uuid, generation: this.generation, seed };
        let node = Node::new(&this.settings, identity);
        this.daemon = Some(Daemon { node, started: self.now });
        this.waiting = None;
        this.exit = None;
        let generation = this.generation;
        self.trace.line(self.now, machine, format_args!("daemon starts, generation {generation}"));
        self.environment(machine, generation);
        let resources = self.machines[machine].left.clone();
        self.feed(machine, Input::Left { resources });
        self.feed(machine, Input::Start);
    }

    /// Agents that a killed daemon left running are ended before the next one looks at what runs,
    /// as the shell does: a resource that is being stopped looks as if it ran. What such an agent
    /// has achieved is anybody's guess.
    fn end_leftovers(&mut self, machine: usize) {
        let this = &mut self.machines[machine];
        for run in std::mem::take(&mut this.under_way) {
            if self.rng.chance(500) {
                this.agents.end(&run.operation);
            }
        }
        self.forget_agents(machine);
    }

    fn forget_agents(&mut self, machine: usize) {
        let gone =
            |coming: &Coming| matches!(coming, Coming::Ended { machine: of, .. } if *of == machine);
        self.coming.retain(|_, coming| !gone(coming));
    }

    /// The daemon of `machine` is killed; its agents and resources go on.
    pub fn kill(&mut self, machine: usize) {
        self.machines[machine].daemon = None;
        self.trace.line(self.now, machine, format_args!("daemon killed"));
    }

    /// `machine` loses power: nothing of it goes on.
    pub fn power_off(&mut self, machine: usize) {
        let this = &mut self.machines[machine];
        this.daemon = None;
        this.waiting = None;
        this.agents.power_off();
        this.left.clear();
        this.under_way.clear();
        self.forget_agents(machine);
        self.trace.line(self.now, machine, format_args!("power off"));
    }

    /// The daemon of `machine` stands still: time passes and what comes in waits.
    pub fn halt(&mut self, machine: usize) {
        let this = &mut self.machines[machine];
        if this.daemon.is_some() && this.waiting.is_none() {
            this.waiting = Some(Vec::new());
            self.trace.line(self.now, machine, format_args!("daemon halted"));
        }
    }

    /// The daemon of `machine` goes on: first with what waits, then with its timers.
    pub fn resume(&mut self, machine: usize) {
        let Some(waiting) = self.machines[machine].waiting.take() else { return };
        self.trace.line(self.now, machine, format_args!("daemon goes on"));
        for input in waiting {
            self.feed(machine, input);
        }
    }

    /// A client of the daemon of `machine` asks; returns who it is. Nothing when it is down.
    pub fn request(&mut self, machine: usize, request: Request) -> ClientId {
        self.clients += 1;
        let client = ClientId(self.clients);
        self.feed(machine, Input::Request { client, request });
        client
    }

    /// The answer to `client`, when it came.
    pub fn reply(&self, client: ClientId) -> Option<&Response> {
        let replies = self.machines.iter().flat_map(|machine| &machine.replies);
        replies.filter(|(to, _)| *to == client).map(|(_, response)| response).next()
    }

    /// What the daemon of `machine` says of everything; `None` when it is down.
    pub fn status(&self, machine: usize) -> Option<StatusSnapshot> {
        let daemon = self.machines[machine].daemon.as_ref()?;
        Some(daemon.node.status(self.local(daemon)))
    }

    /// When the next thing happens; `None` when nothing ever will.
    pub fn next(&self) -> Option<Instant> {
        let planned = self.coming.keys().next().map(|(at, _)| *at);
        let timeouts = self.machines.iter().filter_map(Machine::next_timeout);
        timeouts.chain(planned).min().map(|at| at.max(self.now))
    }

    /// Lets the next thing happen that is due at or before `until`; `false` when there is none and
    /// the clock stands at `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        let Some(next) = self.next().filter(|next| *next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = next;
        let planned = self.coming.first_key_value().is_some_and(|((at, _), _)| *at <= next);
        if planned && let Some((_, coming)) = self.coming.pop_first() {
            self.happen(coming);
            return true;
        }
        let due = |machine: &Machine| machine.next_timeout().is_some_and(|at| at <= next);
        if let Some(machine) = self.machines.iter().position(due) {
            self.feed(machine, Input::Timeout);
        }
        true
    }

    /// Lets everything happen up to `duration` from now.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
    }

    /// Lets things happen until `done`, at most `limit`; returns how long it took.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Option<Duration> {
        let (begun, until) = (self.now, self.now + limit);
        loop {
            if done(self) {
                return Some(self.now - begun);
            }
            if !self.step(until) {
                return None;
            }
        }
    }

    /// Feeds one input to the daemon of `machine` at the present moment and performs what it
    /// wants; nothing when it is down.
    pub fn feed(&mut self, machine: usize, input: Input) {
        let now = self.now;
        let this = &mut self.machines[machine];
        let Some(daemon) = this.daemon.as_mut() else { return };
        if let Some(waiting) = &mut this.waiting {
            // What does not fit the sockets is lost, as it is in a kernel.
            if waiting.len() < WAITING_MAX || matches!(input, Input::Done { .. }) {
                waiting.push(input);
            }
            return;
        }
        let local = Instant::ZERO + (now - daemon.started);
        self.trace.input(now, machine, &input);
        let mut effects = Vec::new();
        daemon.node.handle(local, input, &mut effects);
        for effect in effects {
            self.trace.effect(now, machine, &effect);
            self.perform(machine, effect);
        }
        self.assert_time_moves(machine);
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Datagram { to, link, bytes } => self.feed(to, Input::Datagram { link, bytes }),
            Coming::Echo { to, generation, input } => {
                if self.runs(to, generation) {
                    self.feed(to, input);
                }
            }
            Coming::Environment { machine, generation } => {
                if self.runs(machine, generation) {
                    self.environment(machine, generation);
                }
            }
            Coming::Ended { machine, run, cancelled } => self.end(machine, run, cancelled),
            Coming::Fenced { by, generation, attempt, ending } => {
                self.fenced(by, generation, attempt, ending);
            }
            Coming::Witness { machine, generation, question, acquire } => {
                self.witness(machine, generation, question, acquire);
            }
            Coming::Boot { machine } => self.start(machine),
        }
    }

    /// An agent ends. Its daemon hears of it if it is still the one that started it.
    fn end(&mut self, machine: usize, run: UnderWay, cancelled: bool) {
        let this = &mut self.machines[machine];
        this.under_way.retain(|other| *other != run);
        let outcome = match cancelled {
            true => Outcome::TimedOut,
            false => this.agents.end(&run.operation),
        };
        if run.operation.monitor {
            self.counts.add("check", outcome_word(&outcome, cancelled));
        }
        let (op, generation) = (run.operation.id, run.generation);
        let stopped = matches!(outcome, Outcome::Ok | Outcome::NotRunning);
        if run.operation.action == Action::Stop && stopped && self.runs(machine, generation) {
            self.machines[machine].left.remove(&resource_of(&run.operation));
        }
        self.news.push(News::Ended { machine, run, outcome: outcome.clone() });
        if self.runs(machine, generation) {
            self.feed(machine, Input::Done { op, outcome });
        }
    }

    pub(crate) fn runs(&self, machine: usize, generation: u64) -> bool {
        let this = &self.machines[machine];
        this.daemon.is_some() && this.generation == generation
    }

    fn environment(&mut self, machine: usize, generation: u64) {
        /// Any day will do: 2026-01-01.
        const EPOCH_S: u64 = 1_767_225_600;
        let unix_s = EPOCH_S + self.now.as_millis() / 1_000;
        self.feed(machine, Input::Environment { unix_s, load: "0.00 0.00 0.00 1/1 1".into() });
        self.plan(ENVIRONMENT_EVERY, Coming::Environment { machine, generation });
    }

    pub(crate) fn plan(&mut self, after: Duration, coming: Coming) {
        self.planned += 1;
        self.coming.insert((self.now + after, self.planned), coming);
    }

    fn perform(&mut self, machine: usize, effect: Effect) {
        let generation = self.machines[machine].generation;
        match effect {
            Effect::Transmit { link, bytes } => {
                let to = 1 - machine;
                for arrival in self.network.send(machine, usize::from(link.0), &mut self.rng) {
                    let mut bytes = bytes.to_vec();
                    flip(&mut bytes, arrival.flip);
                    self.plan(arrival.after, Coming::Datagram { to, link, bytes });
                }
            }
            Effect::Echo { ping, sequence } => {
                if self.network.gateway[machine] {
                    let input = Input::EchoReply { ping, sequence };
                    let coming = Coming::Echo { to: machine, generation, input };
                    self.plan(Duration::from_micros(300), coming);
                }
            }
            Effect::Run(operation) => {
                let run = UnderWay { operation: operation.clone(), generation };
                let this = &mut self.machines[machine];
                if operation.action == Action::Start {
                    this.left.insert(resource_of(&operation));
                }
                let after = this.agents.begin(&operation);
                this.under_way.push(run.clone());
                self.news.push(News::Begun { machine, run: run.clone() });
                self.plan(after, Coming::Ended { machine, run, cancelled: false });
            }
            Effect::Cancel(op) => self.cancel(machine, op),
            effect @ (Effect::Fence { .. }
            | Effect::Witness { .. }
            | Effect::Alive
            | Effect::LetWatchdogBite { .. }) => self.ask(machine, effect),
            Effect::Reply { client, response } => {
                self.machines[machine].replies.push((client, response));
            }
            Effect::Log(line) => {
                self.machines[machine].logs.push(line);
            }
            Effect::History(entry) => {
                self.counts.add("move", &format!("{} {}", entry.what, entry.cause));
                self.machines[machine].history.push(entry);
            }
            Effect::Notify { status } => self.machines[machine].notified.push(status),
            Effect::KeepConfiguration { .. } => {}
            Effect::Restart { .. } => {
                self.machines[machine].daemon = None;
                self.plan(RELOAD_TAKES, Coming::Boot { machine });
            }
            Effect::Exit { code } => {
                self.machines[machine].daemon = None;
                self.machines[machine].exit = Some(code);
                // A service manager starts a daemon again that left with a failure.
                if code != 0 && self.edge.is_some() {
                    self.plan(RESTART_AFTER, Coming::Boot { machine });
                }
            }
        }
    }

    /// Ends a check at once; an agent that changes something is never ended this way.
    fn cancel(&mut self, machine: usize, op: OpId) {
        let generation = self.machines[machine].generation;
        let is_meant = |run: &UnderWay| run.generation == generation && run.operation.id == op;
        let run = self.machines[machine].under_way.iter().find(|run| is_meant(run)).cloned();
        let Some(run) = run else { return };
        match run.operation.action {
            Action::Start | Action::Stop | Action::Announce => {
                self.news.push(News::BadCancel { machine, run });
                return;
            }
            Action::Status | Action::Validate => {}
        }
        let own = |coming: &Coming| matches!(coming, Coming::Ended { machine: of, run, .. } if *of == machine && is_meant(run));
        self.coming.retain(|_, coming| !own(coming));
        self.plan(CANCEL_TAKES, Coming::Ended { machine, run, cancelled: true });
    }

    fn local(&self, daemon: &Daemon) -> Instant {
        Instant::ZERO + (self.now - daemon.started)
    }

    /// A node whose next timeout never moves on would stop the world.
    fn assert_time_moves(&mut self, machine: usize) {
        let this = &self.machines[machine];
        let due = this.next_timeout().is_some_and(|at| at <= self.now);
        self.trace.count_due(machine, due);
        let stuck = self.trace.due_in_a_row(machine) > TIMEOUTS_MAX;
        assert!(!stuck, "machine {machine} has something due at {:?} for ever", self.now);
    }
}

impl Machine {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            agents: Agents::default(),
            left: BTreeSet::new(),
            daemon: None,
            generation: 0,
            replies: Vec::new(),
            logs: Vec::new(),
            history: Vec::new(),
            notified: Vec::new(),
            asked: Vec::new(),
            exit: None,
            under_way: Vec::new(),
            waiting: None,
        }
    }

    /// Whether its daemon runs and is not halted.
    pub fn is_awake(&self) -> bool {
        self.daemon.is_some() && self.waiting.is_none()
    }

    /// Whether nothing of it goes on: no daemon, no agent, no resource.
    pub fn is_off(&self) -> bool {
        let keys = self.settings.groups.iter().map(|group| &group.key);
        let runs = keys.into_iter().any(|key| self.agents.runs_any_of(key));
        self.daemon.is_none() && self.under_way.is_empty() && !runs
    }

    /// When its daemon wants to be woken, in the world's time.
    fn next_timeout(&self) -> Option<Instant> {
        if self.waiting.is_some() {
            return None;
        }
        let daemon = self.daemon.as_ref()?;
        let next = daemon.node.next_timeout()?;
        Some(daemon.started + (next - Instant::ZERO))
    }

    /// Whether every resource of `group` runs here.
    pub fn serves(&self, group: &str) -> bool {
        let spec = self.settings.groups.iter().find(|spec| spec.key == group);
        spec.is_some_and(|spec| {
            spec.resources.iter().all(|resource| self.agents.runs(group, &resource.text))
        })
    }

    /// Log lines with this stable id.
    pub fn logged(&self, event: &str) -> Vec<&LogEvent> {
        self.logs.iter().filter(|line| line.event == event).collect()
    }

    /// Log lines that would wake somebody.
    pub fn errors(&self) -> Vec<&LogEvent> {
        self.logs.iter().filter(|line| line.level == Level::Error).collect()
    }
}

fn outcome_word(outcome: &Outcome, cancelled: bool) -> &'static str {
    match outcome {
        _ if cancelled => "cancelled",
        Outcome::Ok => "ok",
        Outcome::NotRunning => "not running",
        Outcome::Failed { .. } => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::CouldNotRun { .. } => "could not run",
    }
}

fn flip(bytes: &mut [u8], bit: Option<u64>) {
    let Some(bit) = bit else { return };
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    if length == 0 {
        return;
    }
    let index = usize::try_from(bit / 8 % length).unwrap_or(0);
    bytes[index] ^= 1 << (bit % 8);
}
