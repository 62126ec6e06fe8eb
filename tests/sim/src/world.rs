//! Two real `Node`s in a modelled world: virtual time, a network, agents, clients. It performs
//! effects and feeds inputs exactly as the daemon does. It judges nothing; `checker` does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::Settings;
use hb_messaging::engine::{LinkId, PingId};
use hb_messaging::time::Instant;
use hb_node::api::{HistoryEntry, Request, Response, StatusSnapshot};
use hb_node::effect::{Effect, Level, LogEvent};
use hb_node::input::{ClientId, Input};
use hb_node::{Identity, Node};
use hb_resource::manager::Manager;
use hb_resource::operation::{Action, Operation, Outcome};

use crate::agents::{Agents, Resource, resource_of};
use crate::clock::Clock;
use crate::counts::Counts;
use crate::edge::{Edge, Ending};
use crate::faults::die;
use crate::legacy::Legacy;
use crate::network::Network;
use crate::perform::outcome_word;
use crate::player::Player;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::troubles::Stray;

/// The daemon tells its node wall clock and load this often, unless the world says otherwise.
const ENVIRONMENT_EVERY: Duration = Duration::from_secs(1);
/// Inputs that wait for a halted daemon.
const WAITING_MAX: usize = 500;
/// Timeouts that a node may have due at one moment; more means that time stands still.
const TIMEOUTS_MAX: usize = 10_000;

/// One machine: its daemon, when it runs, and what runs beside it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What its daemon reads when it starts.
    pub settings: Settings,
    /// Its daemon is Heartbeat 3.0.6.
    pub is_legacy: bool,
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
    /// What happened in all starts, as it was handed out.
    pub history: Vec<HistoryEntry>,
    /// What the service manager shows.
    pub notified: Vec<String>,
    /// What its daemon wanted of fence devices, of the witness and of the watchdog, in order.
    pub asked: Vec<Effect>,
    /// Exit code of the last daemon that left by itself.
    pub exit: Option<u8>,
    /// Agents that run, whichever daemon started them.
    pub under_way: Vec<Arc<UnderWay>>,
    /// What waits for a daemon that stands still (`SIGSTOP`, a frozen virtual machine); `None`
    /// while it moves.
    pub(crate) waiting: Option<Vec<Input>>,
    /// Since when it stands still.
    pub(crate) halted: Option<Instant>,
    /// When what reached its daemon last was sent, and when it came by the machine's own clock.
    pub heard: Option<(Instant, Instant)>,
    /// What this start of its daemon took, the newest last, for whoever replays it.
    pub(crate) reached: VecDeque<(LinkId, Vec<u8>)>,
    /// Its clocks.
    pub clock: Clock,
    /// When its daemon wants to be woken, in the world's time.
    wake: Option<Instant>,
}

/// A running daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The daemon itself.
    pub node: Player,
    /// When it started, by its machine's clock: the zero of its own time.
    pub started: Instant,
}

/// An agent that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// What it does.
    pub operation: Arc<Operation>,
    /// Generation of the daemon that waits for it.
    pub generation: u64,
}

/// Something that will happen at a known moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    Datagram { to: usize, link: LinkId, bytes: Vec<u8>, sent: Instant },
    Stray { to: usize, generation: u64, link: LinkId, bytes: Vec<u8>, stray: Stray },
    Death { machine: usize, group: String, text: String },
    Echo { to: usize, generation: u64, ping: PingId, sequence: u16 },
    Ended { machine: usize, run: Arc<UnderWay>, cancelled: bool },
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
        run: Arc<UnderWay>,
    },
    /// A daemon wanted something ended that is not a check.
    BadCancel {
        /// Which machine.
        machine: usize,
        /// What should have been ended.
        run: Arc<UnderWay>,
    },
    /// A daemon that stood still, active beside an active peer as far as it knows, goes on.
    Woke {
        /// Which machine.
        machine: usize,
        /// How long it stood still.
        slept: Duration,
    },
    /// A daemon did more on a stray datagram than without it.
    Acted {
        /// Which machine.
        machine: usize,
        /// What it was sent.
        stray: Stray,
        /// What it did.
        did: String,
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
        run: Arc<UnderWay>,
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
    /// How often a daemon tells its node wall clock and load.
    pub environment_every: Duration,
    /// Faults and commands so far.
    pub faults_struck: u64,
    /// What reaches daemons is kept, to be replayed.
    pub records: bool,
    /// The two nodes cannot verify each other's packets.
    pub keys_apart: bool,
    /// Log lines for programmers are not kept.
    pub terse: bool,
    now: Instant,
    pub(crate) rng: Rng,
    /// Ordered by moment, then by the order in which it was planned.
    pub(crate) coming: BTreeMap<(Instant, u64), Coming>,
    planned: u64,
    clients: u64,
    /// An empty list that keeps its room.
    spare: Vec<Effect>,
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
            environment_every: ENVIRONMENT_EVERY,
            faults_struck: 0,
            records: false,
            keys_apart: false,
            terse: false,
            now: Instant::ZERO,
            rng: Rng::new(seed),
            coming: BTreeMap::new(),
            planned: 0,
            clients: 0,
            spare: Vec::new(),
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
        let legacy = this.is_legacy.then(|| Legacy::new(&this.settings, identity));
        let node = match legacy.flatten() {
            Some(legacy) => Player::Legacy(Box::new(legacy)),
            None => {
                let mut node = Node::new(&this.settings, identity);
                if self.terse {
                    node.leave_out_details();
                }
                Player::Ours(Box::new(node))
            }
        };
        this.clock.thaw(self.now);
        (this.heard, this.halted) = (None, None);
        this.reached.clear();
        this.daemon = Some(Daemon { node, started: this.clock.local(self.now) });
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
        self.rewake(machine);
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
        self.rewake(machine);
        self.trace.line(self.now, machine, format_args!("power off"));
    }

    /// The daemon of `machine` stands still: time passes and what comes in waits.
    pub fn halt(&mut self, machine: usize) {
        let this = &mut self.machines[machine];
        if this.daemon.is_some() && this.waiting.is_none() {
            this.waiting = Some(Vec::new());
            this.halted = Some(self.now);
            self.rewake(machine);
            self.trace.line(self.now, machine, format_args!("daemon halted"));
        }
    }

    /// The daemon of `machine` goes on: first with what waits, then with its timers.
    pub fn resume(&mut self, machine: usize) {
        let Some(waiting) = self.machines[machine].waiting.take() else { return };
        self.trace.line(self.now, machine, format_args!("daemon goes on"));
        self.note_waking(machine);
        for input in waiting {
            self.note_late_arrival(machine, &input);
            self.feed(machine, input);
        }
        self.rewake(machine);
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
        daemon.node.status(self.machines[machine].local(daemon, self.now))
    }

    /// What the node of `machine` has: cheaper than [`World::status`], which is made for people. `None`
    /// when it is down, or no node of ours.
    pub fn resources(&self, machine: usize) -> Option<&Manager> {
        self.machines[machine].daemon.as_ref()?.node.resources()
    }

    /// When the next thing happens; `None` when nothing ever will.
    pub fn next(&self) -> Option<Instant> {
        let planned = self.coming.first_key_value().map(|((at, _), _)| *at);
        let wakes = self.machines.iter().filter_map(|machine| machine.wake);
        wakes.chain(planned).min().map(|at| at.max(self.now))
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
        let due = |machine: &Machine| machine.wake.is_some_and(|at| at <= next);
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
        let local = Instant::ZERO + (this.clock.local(now) - daemon.started);
        self.trace.input(now, machine, &input);
        let mut effects = std::mem::take(&mut self.spare);
        daemon.node.handle(local, input, &mut effects);
        for effect in effects.drain(..) {
            self.trace.effect(now, machine, &effect);
            self.perform(machine, effect);
        }
        self.spare = effects;
        self.rewake(machine);
        self.assert_time_moves(machine);
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Datagram { to, link, bytes, sent } => self.arrive(to, link, bytes, sent),
            Coming::Stray { to, generation, link, bytes, stray } => {
                // What one start of the daemon knows, the next one does not.
                if self.runs(to, generation) {
                    self.feed_stray(to, link, bytes, stray);
                }
            }
            Coming::Death { machine, group, text } => die(self, machine, &group, &text),
            Coming::Echo { to, generation, ping, sequence } => {
                if self.runs(to, generation) {
                    self.feed(to, Input::EchoReply { ping, sequence });
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
    fn end(&mut self, machine: usize, run: Arc<UnderWay>, cancelled: bool) {
        let this = &mut self.machines[machine];
        this.under_way.retain(|other| !Arc::ptr_eq(other, &run));
        let outcome = match cancelled {
            true => Outcome::TimedOut,
            false => this.agents.end(&run.operation),
        };
        if run.operation.monitor {
            self.counts.add("check", outcome_word(&outcome, cancelled));
        }
        if outcome == Outcome::Ok && run.operation.action == Action::Start {
            self.plan_death(machine, &run);
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
        let unix_s = self.machines[machine].clock.wall_s(self.now);
        self.feed(machine, Input::Environment { unix_s, load: "0.00 0.00 0.00 1/1 1".into() });
        self.plan(self.environment_every, Coming::Environment { machine, generation });
    }

    pub(crate) fn plan(&mut self, after: Duration, coming: Coming) {
        self.planned += 1;
        self.coming.insert((self.now + after, self.planned), coming);
    }

    /// Sets when the daemon of `machine` is to be woken: after everything that may change it.
    pub(crate) fn rewake(&mut self, machine: usize) {
        let this = &mut self.machines[machine];
        this.wake = this.next_timeout();
    }

    /// A node whose next timeout never moves on would stop the world.
    fn assert_time_moves(&mut self, machine: usize) {
        let this = &self.machines[machine];
        let due = this.wake.is_some_and(|at| at <= self.now);
        self.trace.count_due(machine, due);
        let stuck = self.trace.due_in_a_row(machine) > TIMEOUTS_MAX;
        assert!(!stuck, "machine {machine} has something due at {:?} for ever", self.now);
    }
}

impl Machine {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            is_legacy: false,
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
            halted: None,
            heard: None,
            reached: VecDeque::new(),
            clock: Clock::default(),
            wake: None,
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
        self.clock.world(daemon.started + (next - Instant::ZERO))
    }

    /// The time of its daemon.
    fn local(&self, daemon: &Daemon, now: Instant) -> Instant {
        Instant::ZERO + (self.clock.local(now) - daemon.started)
    }

    /// Whether every resource of `group` runs here.
    pub fn serves(&self, group: &str) -> bool {
        let spec = self.settings.groups.iter().find(|spec| spec.key == group);
        spec.is_some_and(|spec| {
            spec.resources.iter().all(|resource| self.agents.runs(group, &resource.text))
        })
    }

    /// How many bytes its daemon keeps.
    pub(crate) fn kept(&self) -> Option<usize> {
        self.daemon.as_ref()?.node.kept()
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
