//! The node: feeds messaging and the resource manager, carries what each says to the other, and
//! turns both into effects, strictly in order. It decides nothing about liveness or resources.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hb_config::settings::{AuthKeys, AutoFailback, GroupSpec, NodeName, Settings, Timing};
use hb_messaging::engine::{self as messaging, Event, Messaging};
use hb_messaging::fields;
use hb_messaging::message::{AskStep, Body};
use hb_messaging::time::Instant;
use hb_resource::group::ResourceState;
use hb_resource::input::{self as resource, PeerMessage};
use hb_resource::manager::{Manager, ManagerConfig};
use hb_resource::operation::{GroupKey, OpId, Operation, Outcome};
use hb_resource::output::{Answer, Output, Transition};
use hb_resource::policy::Policy;

use crate::api::{KeyStatus, Request, Response};
use crate::doubt::Doubt;
use crate::effect::{Effect, Level, LogEvent};
use crate::history::History;
use crate::input::{ClientId, Input};
use crate::ipfail::Ipfail;
use crate::keys;
use crate::problems::Watch;
use crate::report;
use crate::requests::Requests;
use crate::since::Since;
use crate::timers::TimerTable;
use crate::translate::Translator;
use crate::wake::Pause;

mod milestones;
mod peer;
mod reach;

/// Events that one input may lead to. A datagram yields a handful, the filled gap of a lossy link
/// at most 500 messages; more means that two parts answer each other without end.
const EVENTS_MAX: usize = 4_096;
/// How long a node that woke waits for the peer's word: it hears our next heartbeat at once and
/// answers at once; one keepalive more for a lost datagram.
const WAKE_KEEPALIVES: u64 = 2;

/// What the node is told by its surroundings besides the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This node's UUID (`hb_uuid`).
    pub uuid: [u8; 16],
    /// Generation of this start (`hb_generation`), above every earlier one.
    pub generation: u64,
    /// Seed of every random delay.
    pub seed: u64,
}

/// What stays as it is for the life of a node; shown in status.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) node: NodeName,
    pub(crate) peer: Option<NodeName>,
    pub(crate) cluster: String,
    pub(crate) members: Vec<String>,
    pub(crate) timing: Timing,
    pub(crate) auto_failback: AutoFailback,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) groups: Vec<GroupSpec>,
    /// Interfaces of the links, by id.
    pub(crate) links: Vec<String>,
    pub(crate) generation: u64,
}

/// The whole node. Made once for each start of the daemon; fed by whoever owns it, with times that
/// never go back. All that grows with input has a bound.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) profile: Profile,
    pub(crate) messaging: Messaging,
    pub(crate) manager: Manager,
    pub(crate) history: History,
    pub(crate) watch: Watch,
    /// Since when each group has its claim.
    pub(crate) claims: Since<GroupKey, resource::GroupClaim>,
    /// Since when each member has its state, by group and position.
    pub(crate) members: Since<(GroupKey, usize), ResourceState>,
    /// Whether the peer is a Twinbeat node; `None` before its first status.
    pub(crate) peer_native: Option<bool>,
    /// The keys that the peer says it accepts.
    pub(crate) peer_keys: Option<Vec<KeyStatus>>,
    pub(crate) stopping: bool,
    /// This node has just woken from a sleep that the peer may have taken for its death.
    pub(crate) pause: Option<Pause>,
    /// The comparison of ping nodes with the peer, when ha.cf wants it; gone once this node stops.
    pub(crate) ipfail: Option<Ipfail>,
    /// What speaks against taking the peer's silence for its death.
    pub(crate) doubt: Option<Doubt>,
    /// The watchdog, when it is configured.
    watchdog: Option<peer::Dog>,
    /// Code of `Effect::Exit` at the end of an orderly stop.
    exit_code: u8,
    /// What was due when this process was last found to have stood still.
    stalled_since: Option<Instant>,
    translator: Translator,
    timers: TimerTable,
    requests: Requests,
    /// Operations under way, as many as the manager has.
    operations: BTreeMap<OpId, (Operation, Instant)>,
    now: Instant,
    unix_s: u64,
    /// The service manager's last line; `None` before this node was active.
    notified: Option<String>,
    active: bool,
    /// Whether the first negotiation of this start has ended.
    settled_once: bool,
    /// A takeover under way: from whom, since when, and how many groups were held before.
    takeover: Option<(NodeName, Instant, usize)>,
}

/// One call of `handle`: where its effects go, and what is still to be carried.
struct Turn<'a> {
    effects: &'a mut Vec<Effect>,
    events: VecDeque<Event>,
    /// Whether anything happened that status may show.
    changed: bool,
}

impl Turn<'_> {
    fn log(&mut self, line: LogEvent) {
        self.effects.push(Effect::Log(line));
    }
}

impl Node {
    /// A node that waits for `Input::Environment` and `Input::Start`.
    pub fn new(settings: &Settings, identity: Identity) -> Self {
        let Identity { uuid, generation, seed } = identity;
        let messaging = messaging::Config {
            node: settings.node.clone(),
            uuid,
            generation,
            nodes: settings.nodes.clone(),
            links: settings.media.iter().map(|medium| medium.interface().to_owned()).collect(),
            pings: settings.pings.clone(),
            timing: settings.timing,
            keys: settings.keys.clone(),
            framing: settings.native.framing,
            inner_auth: settings.inner_auth,
            hopfudge: settings.hopfudge,
            max_rexmit_delay_ms: settings.max_rexmit_delay_ms,
            seed,
            announce: Translator::announcement(),
        };
        let manager = ManagerConfig {
            node: settings.node.clone(),
            peer: settings.peer().cloned(),
            groups: settings.groups.clone(),
            auto_failback: settings.auto_failback,
            operations: settings.native.operations,
            failure: settings.native.failure,
            policy: Policy::of(settings),
        };
        let profile = Profile {
            node: settings.node.clone(),
            peer: settings.peer().cloned(),
            cluster: settings.cluster.clone(),
            members: settings.nodes.iter().map(NodeName::to_string).collect(),
            timing: settings.timing,
            auto_failback: settings.auto_failback,
            parameters: settings.parameters.clone(),
            groups: settings.groups.clone(),
            links: settings.media.iter().map(|medium| medium.interface().to_owned()).collect(),
            generation,
        };
        let mut node = Self {
            profile,
            messaging: Messaging::new(messaging),
            manager: Manager::new(manager),
            history: History::default(),
            watch: Watch::default(),
            claims: Since::default(),
            members: Since::default(),
            peer_native: None,
            peer_keys: None,
            stopping: false,
            pause: None,
            ipfail: Ipfail::new(settings),
            doubt: Doubt::new(settings),
            watchdog: settings.native.watchdog.as_ref().map(peer::Dog::new),
            exit_code: 0,
            stalled_since: None,
            translator: Translator::new(settings),
            timers: TimerTable::default(),
            requests: Requests::default(),
            operations: BTreeMap::new(),
            now: Instant::ZERO,
            unix_s: 0,
            notified: None,
            active: false,
            settled_once: false,
            takeover: None,
        };
        node.note_states();
        node
    }

    /// Feeds one input at `now` and appends the effects that it causes, in the order in which they
    /// must happen. `now` must not go back; a moment that did is taken for the last one.
    ///
    /// `Input::Timeout` fires exactly one of the things that are due, the earliest (messaging
    /// before the manager's timers, those in the order of `Timer`, ipfail last), so that each call has one
    /// cause and datagrams that wait can be fed between two of them. The caller repeats it until
    /// `next_timeout()` lies after `now`; a `Timeout` when nothing is due does nothing.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        debug_assert!(now >= self.now, "time went back from {:?} to {now:?}", self.now);
        self.now = now.max(self.now);
        let mut turn = Turn { effects, events: VecDeque::new(), changed: false };
        self.note_lateness(&mut turn);
        self.end_pause(&mut turn);
        let is_tick = matches!(input, Input::Environment { .. });
        self.take(input, &mut turn);
        self.settle(&mut turn);
        self.weigh(&mut turn);
        self.settle(&mut turn);
        self.feed_watchdog(is_tick, &mut turn);
        if turn.changed {
            self.refresh(&mut turn);
        }
    }

    /// Other keys from here on (SIGHUP after a change of authkeys). Not an `Input`, because a
    /// recording of inputs never holds keys.
    pub fn rekey(&mut self, now: Instant, keys: AuthKeys, effects: &mut Vec<Effect>) {
        self.now = now.max(self.now);
        let mut turn = Turn { effects, events: VecDeque::new(), changed: true };
        self.feed_messaging(messaging::Input::Rekey(keys), &mut turn);
        self.settle(&mut turn);
        self.refresh(&mut turn);
    }

    /// When `Input::Timeout` is to be fed next.
    pub fn next_timeout(&self) -> Option<Instant> {
        let pause = self.pause.as_ref().map(Pause::until);
        let ipfail = self.ipfail.as_ref().and_then(Ipfail::due);
        let doubt = self.doubt.as_ref().and_then(|doubt| doubt.due(self.now));
        let due = [self.messaging.next_timeout(), self.timers.next(), pause, ipfail, doubt];
        due.into_iter().flatten().min()
    }

    fn take(&mut self, input: Input, turn: &mut Turn<'_>) {
        match input {
            Input::Environment { unix_s, load } => {
                self.unix_s = unix_s;
                // Problems that are "recent" end by themselves.
                turn.changed = true;
                self.feed_messaging(messaging::Input::Environment { unix_s, load }, turn);
            }
            Input::Start => self.feed_messaging(messaging::Input::Start, turn),
            Input::Datagram { link, bytes } => {
                self.feed_messaging(messaging::Input::Datagram { link, bytes }, turn);
            }
            Input::EchoReply { ping, sequence } => {
                self.feed_messaging(messaging::Input::EchoReply { ping, sequence }, turn);
            }
            Input::Link { link, failure } => {
                turn.changed = true;
                let input = match failure {
                    Some(reason) => messaging::Input::LinkFailed { link, reason },
                    None => messaging::Input::LinkRestored { link },
                };
                self.feed_messaging(input, turn);
            }
            Input::Timeout => self.fire(turn),
            Input::Done { op, outcome } => self.take_result(op, outcome, turn),
            Input::Request { client, request } => self.take_request(client, request, turn),
            Input::ClientGone { client } => self.requests.forget(client),
            Input::Look { group, resource, reason } => {
                self.feed_manager(resource::Input::Look { group, resource, reason }, turn);
            }
            Input::Fenced { attempt, outcome } => self.take_fence(attempt, &outcome, turn),
            Input::Witness { question, answer } => self.take_witness(question, answer, turn),
            Input::Shutdown => self.stop(turn),
        }
    }

    fn fire(&mut self, turn: &mut Turn<'_>) {
        let due = |at: &Instant| *at <= self.now;
        let messaging = self.messaging.next_timeout().filter(due);
        let timer = self.timers.next().filter(due);
        match (messaging, timer) {
            (Some(messaging), timer) if timer.is_none_or(|timer| messaging <= timer) => {
                self.feed_messaging(messaging::Input::Timeout, turn);
            }
            (_, Some(_)) => {
                if let Some(timer) = self.timers.pop(self.now) {
                    self.feed_manager(resource::Input::Timer(timer), turn);
                }
            }
            (_, None) => {
                if self.ipfail.as_ref().and_then(Ipfail::due).is_some_and(|at| at <= self.now) {
                    self.tick_ipfail(turn);
                }
            }
        }
    }

    /// A timer that fires long after its time means that this process did not run, and so did not
    /// say that it lives. From its dead time on the peer thinks it dead and goes on without it.
    fn note_lateness(&mut self, turn: &mut Turn<'_>) {
        let Some(due) = self.messaging.next_timeout() else { return };
        let Timing { keepalive_ms, deadtime_ms, warntime_ms, .. } = self.profile.timing;
        let late_ms = report::millis(self.now - due);
        if late_ms <= warntime_ms || self.stalled_since == Some(due) {
            return;
        }
        self.stalled_since = Some(due);
        let text = format!("this process stood still for {late_ms} ms");
        turn.log(LogEvent::new(Level::Warn, "core_stalled", text).with("elapsed_ms", late_ms));
        self.watch.note_stall(self.now, late_ms);
        turn.changed = true;
        if self.active && late_ms + keepalive_ms >= deadtime_ms && self.pause.is_none() {
            let patience = Duration::from_millis(keepalive_ms * WAKE_KEEPALIVES);
            self.pause = Some(Pause::new(self.now + patience));
        }
    }

    /// Tells the manager what was held back.
    fn end_pause(&mut self, turn: &mut Turn<'_>) {
        if let Some(pause) = self.pause.take_if(|pause| pause.is_over(self.now)) {
            for input in pause.end() {
                self.feed_manager(input, turn);
            }
        }
    }

    fn take_result(&mut self, op: OpId, outcome: Outcome, turn: &mut Turn<'_>) {
        match self.operations.remove(&op) {
            Some((operation, begun)) => {
                turn.log(report::operation_ended(&operation, &outcome, self.now - begun));
            }
            None => turn.log(report::operation_unknown(op)),
        }
        self.feed_manager(resource::Input::Done { op, outcome }, turn);
    }

    fn take_request(&mut self, client: ClientId, request: Request, turn: &mut Turn<'_>) {
        let response = match request {
            Request::Status => Response::Status(Box::new(self.status(self.now))),
            Request::History => Response::History(self.history.entries().cloned().collect()),
            Request::Stop => {
                let text = if self.stopping { "already stopping" } else { "stopping" };
                let response = Response::Done { text: text.to_owned() };
                turn.effects.push(Effect::Reply { client, response });
                return self.stop(turn);
            }
            Request::Standby { which } => {
                return self
                    .command(client, turn, |request| resource::Input::Standby { request, which });
            }
            Request::Takeover { which } => {
                return self
                    .command(client, turn, |request| resource::Input::Takeover { request, which });
            }
            Request::Maintenance { on, limit_ms } => {
                let limit = limit_ms.map(Duration::from_millis);
                return self.command(client, turn, |request| resource::Input::Maintenance {
                    request,
                    on,
                    limit,
                });
            }
            Request::FenceTest => return self.test_fencing(client, turn),
            Request::FenceConfirm { node } => self.confirm_fence(client, &node, turn),
            Request::Cleanup { group } => {
                return self
                    .command(client, turn, |request| resource::Input::Cleanup { request, group });
            }
        };
        turn.effects.push(Effect::Reply { client, response });
    }

    /// A command that the manager answers when it is done or refused.
    fn command(
        &mut self,
        client: ClientId,
        turn: &mut Turn<'_>,
        input: impl FnOnce(resource::RequestId) -> resource::Input,
    ) {
        let Some(request) = self.requests.begin(client) else {
            let text = "too many commands wait for an answer: try again later".to_owned();
            let response = Response::Error { text };
            return turn.effects.push(Effect::Reply { client, response });
        };
        let input = input(request);
        turn.log(
            LogEvent::new(Level::Info, "command", format!("command received: {input:?}"))
                .with("client", client.0),
        );
        self.feed_manager(input, turn);
    }

    fn stop(&mut self, turn: &mut Turn<'_>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.ipfail = None;
        let text = "Heartbeat shutdown in progress: all resources are released first";
        turn.log(LogEvent::new(Level::Info, "stopping", text));
        self.feed_messaging(messaging::Input::Stopping, turn);
        self.feed_manager(resource::Input::Stop, turn);
    }

    /// Carries what messaging noticed to the manager until nothing is left.
    fn settle(&mut self, turn: &mut Turn<'_>) {
        let mut carried = 0;
        while let Some(event) = turn.events.pop_front() {
            carried += 1;
            assert!(carried <= EVENTS_MAX, "messaging and the manager answer each other endlessly");
            self.take_event(event, turn);
        }
    }

    /// Datagrams go out at once, in the order in which messaging numbered them; events wait until
    /// the manager has finished with the one before. A message that the manager sends is thus on
    /// its way before the operation that it orders next, and wire order is sequence order.
    fn feed_messaging(&mut self, input: messaging::Input, turn: &mut Turn<'_>) {
        let mut outputs = Vec::new();
        self.messaging.handle(self.now, input, &mut outputs);
        for output in outputs {
            match output {
                messaging::Output::Transmit { link, bytes } => {
                    turn.effects.push(Effect::Transmit { link, bytes });
                }
                messaging::Output::Echo { ping, sequence } => {
                    turn.effects.push(Effect::Echo { ping, sequence });
                }
                messaging::Output::Event(event) => turn.events.push_back(event),
            }
        }
    }

    fn feed_manager(&mut self, input: resource::Input, turn: &mut Turn<'_>) {
        turn.changed = true;
        if let Some(pause) = &mut self.pause {
            return pause.hold(input);
        }
        let mut outputs = Vec::new();
        self.manager.handle(input, &mut outputs);
        for output in outputs {
            self.perform(output, turn);
        }
        self.note_states();
        self.note_milestones(turn);
    }

    fn perform(&mut self, output: Output, turn: &mut Turn<'_>) {
        match output {
            Output::Send(message) => self.send(message, turn),
            Output::Run(operation) => {
                turn.log(report::operation_started(&operation));
                self.operations.insert(operation.id, (operation.clone(), self.now));
                turn.effects.push(Effect::Run(operation));
            }
            Output::Cancel(op) => turn.effects.push(Effect::Cancel(op)),
            Output::SetTimer(timer, delay) => self.timers.start(timer, self.now, delay),
            Output::CancelTimer(timer) => self.timers.cancel(&timer),
            Output::Changed(transition) => self.note_transition(&transition, turn),
            Output::Answer(request, answer) => self.answer(request, answer, turn),
            Output::Alert { error, text } => {
                let level = if error { Level::Error } else { Level::Warn };
                turn.log(LogEvent::new(level, "alert", text));
            }
            Output::Stopped => self.leave(turn),
        }
    }

    fn send(&mut self, message: PeerMessage, turn: &mut Turn<'_>) {
        let Some(body) = self.translator.outgoing(message) else {
            let text = "a message about one group cannot be sent to a peer that knows only sets";
            return turn.log(LogEvent::new(Level::Warn, "message_unsendable", text));
        };
        if let Body::AskResources { hold, step: AskStep::Me, .. } = body {
            turn.log(report::wants_standby(self.profile.node.as_str(), hold));
        }
        turn.log(report::sent(&body));
        self.feed_messaging(messaging::Input::Send(body), turn);
    }

    fn note_transition(&mut self, transition: &Transition, turn: &mut Turn<'_>) {
        let entry = self.history.note(transition, self.now, self.unix_s);
        turn.log(report::transition(transition, entry.as_ref().map(|entry| entry.elapsed_ms)));
        turn.effects.extend(entry.map(Effect::History));
    }

    fn answer(&mut self, request: resource::RequestId, answer: Answer, turn: &mut Turn<'_>) {
        let response = match answer {
            Answer::Done { text } => Response::Done { text },
            Answer::Refused { reason } | Answer::Failed { reason } => {
                Response::Error { text: reason }
            }
        };
        if let Some(client) = self.requests.end(request) {
            turn.effects.push(Effect::Reply { client, response });
        }
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        for client in self.requests.drain() {
            let text = "the daemon stopped before this was done".to_owned();
            turn.effects.push(Effect::Reply { client, response: Response::Error { text } });
        }
        turn.log(LogEvent::new(Level::Info, "stopped", "Heartbeat shutdown complete."));
        turn.effects.push(Effect::Exit { code: self.exit_code });
    }

    fn take_event(&mut self, event: Event, turn: &mut Turn<'_>) {
        turn.changed = true;
        turn.log(report::event(&event));
        self.watch.note(&event, self.now, self.messaging.counters().bad_auth);
        match event {
            Event::Active => {
                self.active = true;
                // Before anything is said of resources, so that failback to a worse node is held.
                self.greet_ipfail(turn);
                self.feed_manager(resource::Input::Started, turn);
            }
            Event::NodeStatus { node, to, .. } => {
                self.note_reach(&node, to, turn);
                if self.is_peer(&node) {
                    self.take_peer_status(to, turn);
                }
            }
            Event::PeerRestarted { node, .. } => {
                if self.is_peer(&node) {
                    self.greet_ipfail(turn);
                    self.trust_again(turn);
                    self.feed_manager(resource::Input::PeerRestarted, turn);
                }
            }
            Event::ReturnedAfterPartition { node } => {
                if self.is_peer(&node) && !self.is_distrusted() {
                    self.feed_manager(resource::Input::PeerReturned, turn);
                }
            }
            Event::PeerExtensions { node, extensions } => {
                if self.is_peer(&node) {
                    let native = self.translator.learn(&extensions);
                    self.peer_native = Some(native);
                    self.peer_keys = extensions.get(fields::KEYS).map(|list| keys::read(list));
                    self.feed_manager(resource::Input::PeerIsNative(native), turn);
                }
            }
            Event::Received { from, body } => {
                if self.is_peer(&from) && !self.is_distrusted() {
                    self.take_message(&from, body, turn);
                }
            }
            Event::LinkStatus { .. } | Event::LateHeartbeat { .. } | Event::Refused { .. } => {}
        }
    }

    /// Takes note of what the manager shows, for the ages in status.
    fn note_states(&mut self) {
        for group in self.manager.groups() {
            let key = group.key().to_owned();
            self.claims.note(key.clone(), group.claim(), self.now);
            for (index, member) in group.members().iter().enumerate() {
                self.members.note((key.clone(), index), member.state, self.now);
            }
        }
    }

    /// Brings up to date what lasts over time, and tells the service manager when its line changed.
    fn refresh(&mut self, turn: &mut Turn<'_>) {
        let view = self.view(self.now);
        let problems = view.problems(self.now);
        let summary = view.summary(&problems);
        self.watch.remember(&problems, self.now);
        if self.active && self.notified.as_ref() != Some(&summary) {
            self.notified = Some(summary.clone());
            turn.effects.push(Effect::Notify { status: summary });
        }
    }
}
