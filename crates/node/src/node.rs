//! The node: feeds messaging and the resource manager, carries what each says to the other, and
//! turns both into effects, strictly in order. It decides nothing about liveness or resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hb_config::settings::{AuthKeys, AutoFailback, GroupSpec, Medium, NodeName, Settings, Timing};
use hb_messaging::engine::{self as messaging, Messaging, PingId};
use hb_messaging::message::{AskStep, Body};
use hb_messaging::time::Instant;
use hb_resource::group::ResourceState;
use hb_resource::input::{self as resource, PeerMessage};
use hb_resource::manager::{Manager, ManagerConfig};
use hb_resource::operation::{GroupKey, OpId, Outcome};
use hb_resource::output::{Output, Transition};
use hb_resource::policy::Policy;
use serde::{Deserialize, Serialize};

use self::turn::{Turn, goes_on_checking, is_check};
use crate::activity::Activity;
use crate::api::{KeyStatus, Verdict};
use crate::daytime::Daytime;
use crate::doubt::Doubt;
use crate::effect::{Effect, Level, LogEvent};
use crate::equal;
use crate::extensions::Saying;
use crate::history::{Events, History};
use crate::input::{ClientId, Input};
use crate::ipfail::Ipfail;
use crate::report;
use crate::requests::Requests;
use crate::rivals::Rivals;
use crate::since::Since;
use crate::split::Splits;
use crate::timers::TimerTable;
use crate::totals::Totals;
use crate::translate::Translator;
use crate::unheard::Unheard;
use crate::wake::Pause;
use crate::watch::Watch;

mod clients;
mod commands;
mod events;
mod lasting;
mod past;
mod pause;
mod peer;
mod reach;
mod refusal;
mod restart;
mod saying;
mod splits;
mod turn;

/// Events that one input may lead to. A datagram yields a handful, the filled gap of a lossy link
/// at most 500 messages; more means that two parts answer each other without end.
const EVENTS_MAX: usize = 4_096;

/// What the node is told by its surroundings besides the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// This node's UUID (`hb_uuid`).
    pub uuid: [u8; 16],
    /// Generation of this start (`hb_generation`), above every earlier one.
    pub generation: u64,
    /// Seed of every random delay.
    pub seed: u64,
}

/// What stays as it is for the life of a node; shown in status.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The UDP port of each link.
    pub(crate) ports: BTreeMap<String, u16>,
}

/// The whole node. Made once for each start of the daemon; fed by whoever owns it, with times that
/// never go back. All that grows with input has a bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    pub(crate) profile: Profile,
    pub(crate) messaging: Messaging,
    pub(crate) manager: Manager,
    pub(crate) history: History,
    events: Events,
    /// Clients whose users are known.
    names: BTreeMap<ClientId, String>,
    pub(crate) watch: Watch,
    /// Since when the verdict is as it is.
    pub(crate) verdict: Since<(), Verdict>,
    /// Since when each group has its claim.
    pub(crate) claims: Since<GroupKey, resource::GroupClaim>,
    /// Since when each member has its state, by group and position.
    pub(crate) members: Since<(usize, usize), ResourceState>,
    /// Whether the peer is a Twinbeat node; `None` before its first status.
    pub(crate) peer_native: Option<bool>,
    /// The keys that the peer says it accepts.
    pub(crate) peer_keys: Option<Vec<KeyStatus>>,
    /// The product version that the peer says it has.
    pub(crate) peer_version: Option<String>,
    /// What else the peer said of itself last.
    pub(crate) peer_says: Saying,
    /// Since when the peer says so of each link, by its position.
    pub(crate) hears: Since<usize, Option<bool>>,
    /// Digests of this node's configuration.
    pub(crate) config: Arc<BTreeMap<String, String>>,
    /// What is done to each resource, and what was.
    pub(crate) activity: Activity,
    /// What is counted for status.
    #[serde(default)]
    pub(crate) totals: Totals,
    /// Groups that both nodes have.
    pub(crate) splits: Splits,
    /// Other hosts that claim addresses which are held here.
    #[serde(default)]
    pub(crate) rivals: Rivals,
    /// What this node said of itself last.
    said: Saying,
    /// Programs that are signed on at the peer's client socket.
    pub(crate) peer_clients: BTreeSet<String>,
    /// The last step of a dialogue that was said from here was an operator's takeover.
    wanting: bool,
    /// What the peer says instead of an answer, while the manager is told that there is none.
    refusal: Option<String>,
    pub(crate) stopping: bool,
    /// This node has just woken from a sleep that the peer may have taken for its death.
    pub(crate) pause: Option<Pause>,
    /// The comparison of ping nodes with the peer, when ha.cf wants it; gone once this node stops.
    pub(crate) ipfail: Option<Ipfail>,
    /// What speaks against taking the peer's silence for its death.
    pub(crate) doubt: Option<Doubt>,
    /// Whether the peer hears nothing of this node, which hears it.
    unheard: Unheard,
    /// Ethernet addresses of this machine that the peer is told.
    ethernet: Vec<String>,
    /// Which groups may go home at this time of day.
    daytime: Daytime,
    /// The watchdog, when it is configured.
    watchdog: Option<peer::Dog>,
    /// The last effect of this node.
    last: Effect,
    /// What was due when this process was last found to have stood still.
    stalled_since: Option<Instant>,
    translator: Translator,
    pub(crate) timers: TimerTable,
    requests: Requests,
    pub(crate) now: Instant,
    unix_s: u64,
    /// When the wall clock was told to the millisecond, and what it showed.
    wall: Option<(Instant, u64)>,
    /// The service manager's last line; `None` before this node was active.
    notified: Option<String>,
    active: bool,
    /// Whether the first negotiation of this start has ended.
    settled_once: bool,
    /// A takeover under way: from whom, since when, and how many groups were held before.
    takeover: Option<(NodeName, Instant, usize)>,
    /// The daemon leaves: nothing that comes later counts.
    leaves: bool,
    /// Nobody reads the lines of the lowest level.
    #[serde(default)]
    terse: bool,
    /// The writer of the log hangs.
    #[serde(default)]
    pub(crate) log_hangs: bool,
}

/// The UDP port of each link, as its first medium has it.
fn ports(settings: &Settings) -> BTreeMap<String, u16> {
    let port = |medium: &Medium| match medium {
        Medium::Multicast { port, .. } | Medium::Multicast6 { port, .. } => *port,
        Medium::Broadcast { .. } | Medium::Unicast { .. } | Medium::Unicast6 { .. } => {
            settings.udp_port
        }
    };
    let media = settings.media.iter().rev();
    media.map(|medium| (medium.interface().to_owned(), port(medium))).collect()
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
            ports: ports(settings),
        };
        let mut node = Self {
            profile,
            messaging: Messaging::new(messaging),
            manager: Manager::new(manager),
            history: History::new(
                settings.node.to_string(),
                settings.peer().map(NodeName::to_string),
            ),
            events: Events::default(),
            names: BTreeMap::new(),
            watch: Watch::default(),
            verdict: Since::default(),
            claims: Since::default(),
            members: Since::default(),
            peer_native: None,
            peer_keys: None,
            peer_version: None,
            peer_says: Saying::default(),
            hears: Since::default(),
            config: Arc::new(equal::digests(settings)),
            activity: Activity::default(),
            totals: Totals::new(settings),
            splits: Splits::default(),
            rivals: Rivals::default(),
            said: Saying::default(),
            peer_clients: BTreeSet::new(),
            wanting: false,
            refusal: None,
            stopping: false,
            pause: None,
            ipfail: Ipfail::new(settings),
            doubt: Doubt::new(settings),
            unheard: Unheard::default(),
            ethernet: Vec::new(),
            daytime: Daytime::new(settings),
            watchdog: settings.native.watchdog.as_ref().map(peer::Dog::new),
            last: Effect::Exit { code: 0 },
            stalled_since: None,
            translator: Translator::new(settings),
            timers: TimerTable::default(),
            requests: Requests::default(),
            now: Instant::ZERO,
            unix_s: 0,
            wall: None,
            notified: None,
            active: false,
            settled_once: false,
            takeover: None,
            leaves: false,
            terse: false,
            log_hangs: false,
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
        if self.leaves {
            return;
        }
        let mut turn = Turn::new(effects, self.terse);
        self.note_lateness(&mut turn);
        self.end_pause(&mut turn);
        let is_tick = matches!(input, Input::Environment { .. });
        if !self.leaves {
            self.take(input, &mut turn);
        }
        self.settle(&mut turn);
        if !self.leaves {
            self.weigh(&mut turn);
            self.weigh_unheard(&mut turn);
            self.heed_fencing(&mut turn);
            self.settle(&mut turn);
        }
        // The input may have been the word that was waited for.
        self.end_pause(&mut turn);
        self.settle(&mut turn);
        if !self.leaves {
            self.feed_watchdog(is_tick, &mut turn);
        }
        if turn.changed {
            self.refresh(&mut turn);
        }
        if self.leaves {
            turn.effects.push(self.last.clone());
        }
    }

    /// From here on lines of the lowest level are not made. Not for a daemon, whose hooks and recordings
    /// see them: for whoever runs very many nodes and reads none of it.
    pub fn leave_out_details(&mut self) {
        self.terse = true;
    }

    /// The moment of the last input.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Other keys from here on (SIGHUP after a change of authkeys). Not an `Input`, because a
    /// recording of inputs never holds keys.
    pub fn rekey(&mut self, now: Instant, keys: AuthKeys, effects: &mut Vec<Effect>) {
        self.now = now.max(self.now);
        let mut turn = Turn::new(effects, self.terse);
        self.feed_messaging(messaging::Input::Rekey(keys), &mut turn);
        self.settle(&mut turn);
        self.refresh(&mut turn);
    }

    /// When `Input::Timeout` is to be fed next.
    pub fn next_timeout(&self) -> Option<Instant> {
        let pause = self.pause.as_ref().map(Pause::until);
        let ipfail = self.ipfail.as_ref().and_then(Ipfail::due);
        let doubt = self.doubt.as_ref().and_then(|doubt| doubt.due(self.now));
        let unheard = self.unheard.due(self.deaf_patience());
        let due =
            [self.messaging.next_timeout(), self.timers.next(), pause, ipfail, doubt, unheard];
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
            Input::Left { resources } => {
                self.feed_manager(resource::Input::Left(resources), turn);
            }
            Input::LocalTime { minute } => {
                if let Some(shut) = self.daytime.is(minute) {
                    self.feed_manager(resource::Input::FailbackShut(shut), turn);
                }
            }
            Input::Ethernet(own) => {
                self.ethernet = own;
                turn.changed = true;
            }
            Input::Start => {
                self.tell_start(turn);
                self.feed_messaging(messaging::Input::Start, turn);
            }
            Input::Datagram { link, bytes } => {
                self.feed_messaging(messaging::Input::Datagram { link, bytes }, turn);
            }
            Input::EchoReply { ping: PingId::PEER, sequence } => {
                if let Some(doubt) = &mut self.doubt {
                    doubt.machine_answered(self.now, sequence);
                }
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
            Input::ClientName { client, name } => self.name_client(client, &name),
            Input::Clock { unix_ms } => self.wall = Some((self.now, unix_ms)),
            Input::ClientGone { client } => {
                self.names.remove(&client);
                self.requests.forget(client);
            }
            Input::Look { group, resource, evidence, reason } => {
                let look = resource::Input::Look { group, resource, evidence, reason };
                self.feed_manager(look, turn);
            }
            Input::Fenced { attempt, outcome } => self.take_fence(attempt, &outcome, turn),
            Input::Witness { question, answer } => self.take_witness(question, answer, turn),
            Input::Guarded { announced, conflicts } => {
                self.totals.note_guard(announced, conflicts);
            }
            Input::Rival { group, resource, ethernet } => {
                turn.changed = true;
                self.rivals.note(&group, &resource, ethernet, self.now);
            }
            Input::LogHangs(hangs) => {
                turn.changed = true;
                self.log_hangs = hangs;
            }
            Input::Slept { ms } => self.note_sleep(ms, turn),
            Input::Reload { release } => self.reload(release, turn),
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

    fn take_result(&mut self, op: OpId, outcome: Outcome, turn: &mut Turn<'_>) {
        let counts = !self.activity.is_cancelled(op);
        let ended = self.activity.end(op, &outcome, self.now);
        match &ended {
            Some((operation, elapsed)) => {
                if counts {
                    self.totals.note_end(operation, &outcome, *elapsed);
                }
                self.history.note_step(operation, &outcome, *elapsed, self.now);
                turn.log_at(report::level_of_end(operation, &outcome), || {
                    report::operation_ended(operation, &outcome, *elapsed)
                });
            }
            None => turn.log(report::operation_unknown(op)),
        }
        self.feed_manager(resource::Input::Done { op, outcome: outcome.clone() }, turn);
        if let Some((operation, _)) = ended {
            self.note_failure(&operation, &outcome, turn);
        }
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
        while !self.leaves
            && let Some(event) = turn.events.pop_front()
        {
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
        if let Some(pause) = &mut self.pause {
            turn.changed = true;
            return pause.hold(input);
        }
        let mut routine = is_check(&input);
        let mut outputs = Vec::new();
        self.manager.handle(input, &mut outputs);
        for output in outputs {
            routine &= goes_on_checking(&output);
            self.perform(output, turn);
        }
        routine &= !self.note_states();
        turn.changed |= !routine;
        self.note_past(turn);
        self.note_milestones(turn);
    }

    fn perform(&mut self, output: Output, turn: &mut Turn<'_>) {
        match output {
            Output::Send(message) => self.send(message, turn),
            Output::Run(operation) => {
                turn.log_at(Level::Debug, || report::operation_started(&operation));
                self.activity.begin(&operation, self.now);
                turn.effects.push(Effect::Run(operation));
            }
            Output::Cancel(op) => {
                if self.activity.cancel(op) {
                    turn.effects.push(Effect::Cancel(op));
                }
            }
            Output::SetTimer(timer, delay) => self.timers.start(timer, self.now, delay),
            Output::CancelTimer(timer) => self.timers.cancel(&timer),
            Output::Changed(transition) => self.note_transition(&transition, turn),
            Output::Answer(request, answer) => self.answer(request, answer, turn),
            Output::Alert { error, text } => {
                let level = if error { Level::Error } else { Level::Warn };
                turn.log(LogEvent::new(level, "alert", self.refusal.clone().unwrap_or(text)));
            }
            Output::Stopped => self.leave(turn),
            Output::Retired(result) => self.retired(result, turn),
        }
    }

    fn send(&mut self, message: PeerMessage, turn: &mut Turn<'_>) {
        let Some(mut body) = self.translator.outgoing(message) else {
            let text = "a message about one group cannot be sent to a peer that knows only sets";
            return turn.log(LogEvent::new(Level::Warn, "message_unsendable", text));
        };
        if let Body::AskResources { hold, step: AskStep::Me, .. } = body {
            self.wanting = false;
            turn.log(report::wants_standby(self.profile.node.as_str(), hold));
        }
        self.wanting |= matches!(body, Body::HbTakeover { .. });
        turn.log(report::sent(&body));
        self.say_why(&mut body);
        self.feed_messaging(messaging::Input::Send(body), turn);
    }

    fn note_transition(&mut self, transition: &Transition, turn: &mut Turn<'_>) {
        let entry = self.history.note(transition, self.moment_now());
        if let Some(entry) = &entry {
            self.totals.note_move(entry);
        }
        turn.log(report::transition(transition, entry.as_ref().map(|entry| entry.elapsed_ms)));
        turn.effects.extend(entry.map(|entry| Effect::History(Box::new(entry))));
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        self.end_requests("the daemon stopped before this was done", turn);
        turn.log(LogEvent::new(Level::Info, "stopped", "Heartbeat shutdown complete."));
        self.tell_stop(turn);
        self.leaves = true;
    }
}
