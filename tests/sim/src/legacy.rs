//! A reference model of a Heartbeat 3.0.6 node with `auto_failback on` or `off`, after the protocol
//! description alone (`heartbeat-3.0.6` §§3 to 7, marked by their numbers here). Like a real node it
//! is pure: an input at a moment, effects in order. What it does wrong is what 3.0.6 does wrong: a
//! late copy of a message counts when it comes, no member is ever checked, `isstable=1` is said before
//! anything was started, and a healed partition makes it give everything up and start anew.
//!
//! Left out: serial lines and compression, ping nodes and ipfail, fencing devices, several keys, the
//! API and its clients, agents that fail (a 3.0.6 node whose agent failed may leave a group unserved
//! for ever, which no peer can mend), scripts that run beside each other, and `auto_failback legacy`.

use std::collections::VecDeque;
use std::time::Duration;

use hb_config::settings::{AutoFailback, Settings};
use hb_messaging::engine::LinkId;
use hb_messaging::fields::{self, FieldList};
use hb_messaging::message::{Body, NodeStatus};
use hb_messaging::time::Instant;
use hb_node::Identity;
use hb_node::api::Request;
use hb_node::effect::{Effect, Level, LogEvent};
use hb_node::input::Input;
use hb_resource::input::{Holdings, Which};

mod plan;
mod promised;
mod resources;
mod scripts;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use plan::{Pair, is_mixed};
pub(crate) use promised::Promised;
use resources::{Resources, Standby, State};
use scripts::{Job, Running};
use transport::{Packet, Sender, Transport};

/// Between two looks at everything that has a time (§6.2).
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// While it starts it asks for so much more patience, for so long (§4.1).
const EARLY_PATIENCE: Duration = Duration::from_secs(2);
const EARLY: Duration = Duration::from_secs(5);
/// Between two `reqnodes` (§7.2, 3).
const ASK_EVERY: Duration = Duration::from_secs(1);
/// From a healed partition until it restarts (§5.3, 3).
const RESTART_AFTER: Duration = Duration::from_secs(2);
/// From its own `shutdone` until its clients are ended, and from there until it leaves (§7.9).
const LINGER: Duration = Duration::from_secs(1);
/// A restarting node wants to be waited for so much longer (§7.9).
const RESTART_PATIENCE: Duration = Duration::from_secs(30);
/// It sleeps so much longer than deadtime before it begins anew (§7.9).
const SLEEPS_LONGER: Duration = Duration::from_secs(1);

/// Where its process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Not begun.
    Idle,
    /// The other node has neither been heard nor declared dead.
    Waiting,
    /// `reqnodes` is repeated then.
    Asking(Instant),
    /// Fully started.
    Active,
    /// Everything is released, until then.
    Lingering(Instant),
    /// The last status was sent; the process ends then.
    Closing(Instant),
    /// It begins anew then.
    Sleeping(Instant),
    /// It has left.
    Gone,
}

/// Why it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Stop,
    Restart,
}

/// What is known of the other node.
#[derive(Clone, Debug)]
struct Peer {
    status: NodeStatus,
    /// Last accepted status.
    heartbeat: Option<Instant>,
    /// Silence of this length is death.
    patience: Duration,
    /// Something was heard since it came up last.
    heard: bool,
}

/// A 3.0.6 node.
#[derive(Clone, Debug)]
pub struct Legacy {
    settings: Settings,
    peer_name: String,
    transport: Transport,
    now: Instant,
    load: String,
    life: Life,
    started: Instant,
    next_heartbeat: Instant,
    own_heartbeat: Instant,
    next_check: Instant,
    /// Whether the shorter dead time was announced.
    grown_up: bool,
    peer: Peer,
    /// A partition has healed; it restarts then.
    restart_at: Option<Instant>,
    leave: Option<Leave>,
    resources: Resources,
    jobs: VecDeque<Job>,
    running: Option<Running>,
    /// Children that ask for the own groups; each says when it has ended.
    requests: Vec<Instant>,
    next_op: u64,
    effects: Vec<Effect>,
}

impl Legacy {
    /// A node that is not started; `None` when ha.cf names no other or there is no key.
    pub fn new(settings: &Settings, identity: Identity) -> Option<Self> {
        let peer = settings.nodes.iter().find(|node| **node != settings.node)?;
        let Identity { uuid, generation, seed } = identity;
        Some(Self {
            peer_name: peer.as_str().to_owned(),
            transport: Transport::new(settings, uuid, generation, seed)?,
            now: Instant::ZERO,
            load: String::new(),
            life: Life::Idle,
            started: Instant::ZERO,
            next_heartbeat: Instant::ZERO,
            own_heartbeat: Instant::ZERO,
            next_check: Instant::ZERO,
            grown_up: false,
            peer: Peer {
                status: NodeStatus::Init,
                heartbeat: None,
                patience: Duration::from_millis(settings.timing.deadtime_ms),
                heard: false,
            },
            restart_at: None,
            leave: None,
            resources: Resources::default(),
            jobs: VecDeque::new(),
            running: None,
            requests: Vec::new(),
            next_op: 0,
            effects: Vec::new(),
            settings: settings.clone(),
        })
    }

    /// Takes one input at `now` and appends what follows from it.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        match input {
            Input::Environment { unix_s, load } => {
                self.transport.unix_s = unix_s;
                self.load = load;
            }
            Input::Start => self.start(),
            Input::Datagram { bytes, .. } => self.datagram(&bytes),
            Input::Timeout => self.due(),
            Input::Done { op, outcome } => self.operation_done(op, &outcome),
            Input::Request { request, .. } => self.request(request),
            Input::Shutdown => self.leave = self.leave.or(Some(Leave::Stop)),
            // It has no monitoring, no witness, no fencing and no clients here.
            Input::Left { .. }
            | Input::LocalTime { .. }
            | Input::Ethernet(_)
            | Input::Link { .. }
            | Input::EchoReply { .. }
            | Input::ClientName { .. }
            | Input::ClientGone { .. }
            | Input::Clock { .. }
            | Input::Look { .. }
            | Input::Guarded { .. }
            | Input::Rival { .. }
            | Input::LogHangs(_)
            | Input::Slept { .. }
            | Input::Fenced { .. }
            | Input::Witness { .. }
            | Input::Reload { .. } => {}
        }
        effects.append(&mut self.effects);
    }

    /// When it wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.life {
            Life::Idle | Life::Gone => None,
            Life::Sleeping(until) => Some(until),
            Life::Waiting
            | Life::Asking(_)
            | Life::Active
            | Life::Lingering(_)
            | Life::Closing(_) => {
                let times = [Some(self.next_heartbeat), Some(self.next_check)];
                let begins = self.running.as_ref().and_then(|running| running.begins);
                let requests = self.requests.iter().min().copied();
                times
                    .into_iter()
                    .chain([self.transport.next_request(), begins, requests])
                    .flatten()
                    .min()
            }
        }
    }

    /// Whether it takes part in the negotiation.
    pub fn is_active(&self) -> bool {
        self.life == Life::Active
    }

    /// Whether it takes the other node for one in transition: it refuses every standby then, and its
    /// own stop waits (§15, 15).
    pub fn takes_other_for_unstable(&self) -> bool {
        !self.resources.other_stable
    }

    /// Whether nothing is under way in it, as far as it knows.
    pub fn is_settled(&self) -> bool {
        let resources = &self.resources;
        self.life == Life::Active
            && self.restart_at.is_none()
            && self.leave.is_none()
            && resources.state == State::Stable
            && self.is_idle()
    }

    /// Whether it waits for the next step of a standby, for up to an hour.
    pub fn is_in_dialogue(&self) -> bool {
        self.resources.standby != Standby::Not
    }

    /// Whether it gives everything up, or is about to, to begin anew.
    pub fn is_restarting(&self) -> bool {
        self.restart_at.is_some() || self.leave == Some(Leave::Restart)
    }

    /// The sets that it stands for.
    pub fn holds(&self) -> Holdings {
        self.resources.hold
    }

    fn deadtime(&self) -> Duration {
        Duration::from_millis(self.settings.timing.deadtime_ms)
    }

    fn log(&mut self, level: Level, text: impl Into<String>) {
        self.effects.push(Effect::Log(LogEvent::new(level, "legacy", text)));
    }

    /// §7.2, 1
    fn start(&mut self) {
        if self.life != Life::Idle {
            return;
        }
        self.life = Life::Waiting;
        (self.started, self.own_heartbeat) = (self.now, self.now);
        self.next_heartbeat = self.now + Duration::from_millis(self.settings.timing.keepalive_ms);
        self.next_check = self.now + CHECK_EVERY;
        for status in [NodeStatus::Init, NodeStatus::Up, NodeStatus::Up] {
            self.send_status(status, Duration::ZERO);
        }
    }

    /// What operators type: `hb_standby`, `hb_takeover`, `heartbeat -k`.
    fn request(&mut self, request: Request) {
        match request {
            Request::Standby { which: Which::Sets(sets) } => self.hb_standby(sets),
            Request::Takeover { which: Which::Sets(sets) } => self.hb_takeover(sets),
            Request::Stop => self.leave = self.leave.or(Some(Leave::Stop)),
            // It knows no single group, and nothing of the rest.
            Request::Standby { .. }
            | Request::Takeover { .. }
            | Request::Status
            | Request::History
            | Request::Cleanup { .. }
            | Request::Reload { .. }
            | Request::Maintenance { .. }
            | Request::FenceTest
            | Request::FenceConfirm { .. } => {}
        }
    }

    fn transmit(&mut self, bytes: Vec<u8>) {
        let bytes: std::sync::Arc<[u8]> = bytes.into();
        for link in 0..self.settings.media.len() {
            let link = LinkId(u16::try_from(link).unwrap_or(u16::MAX));
            self.effects.push(Effect::Transmit { link, bytes: bytes.clone() });
        }
    }

    fn send(&mut self, own: FieldList) {
        if let Some(bytes) = self.transport.send(own) {
            self.transmit(bytes);
        }
    }

    fn send_status(&mut self, status: NodeStatus, more: Duration) {
        let early = if self.grown_up { Duration::ZERO } else { EARLY_PATIENCE };
        let patience = (self.deadtime() + early + more).as_millis();
        let mut list = FieldList::new();
        list.push_text(fields::KIND, "status");
        list.push_text(fields::STATUS, status.word());
        list.push_text(fields::DEADTIME, format!("{patience:x}"));
        list.push_text(fields::PROTOCOL, "1");
        list.push_text(fields::LOAD, self.load.as_str());
        self.own_heartbeat = self.now;
        self.send(list);
    }

    fn status_word(&self) -> NodeStatus {
        match self.life {
            Life::Idle => NodeStatus::Init,
            Life::Waiting | Life::Asking(_) => NodeStatus::Up,
            // While it gives everything up it still says so (§7.9).
            Life::Active
            | Life::Lingering(_)
            | Life::Closing(_)
            | Life::Sleeping(_)
            | Life::Gone => NodeStatus::Active,
        }
    }

    fn datagram(&mut self, bytes: &[u8]) {
        if matches!(self.life, Life::Idle | Life::Sleeping(_) | Life::Gone) {
            return;
        }
        let dead = self.peer.status == NodeStatus::Dead;
        let (packet, answers) = self.transport.take(self.now, bytes, dead);
        answers.into_iter().for_each(|bytes| self.transmit(bytes));
        if let Some(packet) = packet {
            self.packet(&packet);
        }
    }

    fn packet(&mut self, packet: &Packet) {
        match packet.sender {
            Sender::Same => {}
            Sender::Restarted => self.peer.heard = false,
            Sender::Returned => self.partition_healed(),
        }
        match packet.kind.as_str() {
            "status" => self.status(&packet.fields),
            "reqnodes" if packet.for_us => self.answer_nodes(),
            "repnodes" if packet.for_us => {
                if let Life::Asking(_) = self.life {
                    self.activate();
                }
            }
            kind if packet.for_us => {
                if let Ok(body) = Body::from_fields(kind, &packet.fields) {
                    self.heard(&body);
                }
            }
            _ => {}
        }
    }

    /// §5.3, 3 and §7.9
    fn partition_healed(&mut self) {
        self.log(Level::Warn, format!("{} returns after a partition", self.peer_name));
        self.send_status(self.status_word(), Duration::ZERO);
        if self.restart_at.is_none() && self.leave.is_none() {
            self.restart_at = Some(self.now + RESTART_AFTER);
        }
    }

    /// §6.2: who is heard late is declared dead first.
    fn status(&mut self, list: &FieldList) {
        let word = list.text(fields::STATUS).unwrap_or_default();
        let late = self.peer.heartbeat.is_some_and(|last| self.now - last > self.deadtime());
        if late {
            self.log(Level::Warn, format!("late heartbeat of {}", self.peer_name));
            self.bury();
        }
        let patience = list.text(fields::DEADTIME).and_then(fields::parse_hex);
        if let Some(patience) = patience.filter(|patience| *patience > 0) {
            self.peer.patience = Duration::from_millis(patience);
        }
        self.peer.heartbeat = Some(self.now);
        self.peer.heard = true;
        self.peer.status = match word {
            "active" => NodeStatus::Active,
            "init" => NodeStatus::Init,
            "dead" => NodeStatus::Dead,
            _ => NodeStatus::Up,
        };
        if self.life == Life::Waiting {
            self.ask_nodes();
        }
    }

    fn ask_nodes(&mut self) {
        self.life = Life::Asking(self.now + ASK_EVERY);
        let mut list = FieldList::new();
        list.push_text(fields::KIND, "reqnodes");
        list.push_text(fields::DEST, self.peer_name.as_str());
        self.send(list);
    }

    fn answer_nodes(&mut self) {
        let names = self.settings.nodes.iter().map(|node| format!("{node} "));
        let mut list = FieldList::new();
        list.push_text(fields::KIND, "repnodes");
        list.push_text(fields::DEST, self.peer_name.as_str());
        list.push_text(fields::NODE_LIST, names.collect::<String>());
        list.push_text(fields::DELETED_LIST, " ");
        self.send(list);
    }

    /// §7.2, 4
    fn activate(&mut self) {
        self.life = Life::Active;
        self.send_status(NodeStatus::Active, Duration::ZERO);
        self.resources.state = State::Starting;
        self.say(&Body::Starting);
    }

    /// Everything that has a time.
    fn due(&mut self) {
        if let Life::Sleeping(until) = self.life {
            if self.now >= until {
                self.life = Life::Gone;
                self.effects.push(Effect::Restart { maintenance: None });
            }
            return;
        }
        // Which of the two is seen first after a standstill is not described: either may be.
        if self.now >= self.next_check && self.transport.coin() {
            self.check();
        }
        for bytes in self.transport.requests(self.now) {
            if matches!(self.peer.status, NodeStatus::Up | NodeStatus::Active) {
                self.transmit(bytes);
            }
        }
        if self.now >= self.next_heartbeat {
            let keepalive = Duration::from_millis(self.settings.timing.keepalive_ms);
            self.next_heartbeat = self.now + keepalive;
            self.send_status(self.status_word(), Duration::ZERO);
        }
        if self.now >= self.next_check {
            self.check();
        }
        self.scripts_due();
    }

    /// Four times a second.
    fn check(&mut self) {
        self.next_check = self.now + CHECK_EVERY;
        if !self.grown_up && self.now - self.started >= EARLY {
            self.grown_up = true;
            self.send_status(self.status_word(), Duration::ZERO);
        }
        self.check_lives();
        match self.life {
            Life::Asking(next) if self.now >= next => self.ask_nodes(),
            Life::Lingering(until) if self.now >= until => {
                let restarts = self.leave == Some(Leave::Restart);
                let more = if restarts { RESTART_PATIENCE } else { Duration::ZERO };
                self.send_status(NodeStatus::Active, more);
                self.life = Life::Closing(self.now + LINGER);
            }
            Life::Closing(until) if self.now >= until => self.end(),
            Life::Idle
            | Life::Waiting
            | Life::Asking(_)
            | Life::Active
            | Life::Lingering(_)
            | Life::Closing(_)
            | Life::Sleeping(_)
            | Life::Gone => {}
        }
        if self.restart_at.is_some_and(|at| self.now >= at) {
            self.restart_at = None;
            self.leave = self.leave.or(Some(Leave::Restart));
        }
        self.check_resources();
    }

    /// §6.2: both nodes' heartbeats, its own included.
    fn check_lives(&mut self) {
        if self.now - self.own_heartbeat > self.deadtime() && self.leave.is_none() {
            self.log(Level::Warn, "no local heartbeat");
            self.leave = Some(Leave::Restart);
        }
        let patience = match self.life {
            Life::Waiting => Duration::from_millis(self.settings.timing.initdead_ms),
            Life::Idle
            | Life::Asking(_)
            | Life::Active
            | Life::Lingering(_)
            | Life::Closing(_)
            | Life::Sleeping(_)
            | Life::Gone => self.peer.patience,
        };
        let silent = self.now - self.peer.heartbeat.unwrap_or(self.started) > patience;
        if silent && self.peer.status != NodeStatus::Dead {
            self.bury();
        }
    }

    /// §6.2, §7.5
    fn bury(&mut self) {
        self.log(Level::Warn, format!("{} is dead", self.peer_name));
        self.peer.status = NodeStatus::Dead;
        self.transport.forget_peer();
        if matches!(self.life, Life::Waiting | Life::Asking(_)) {
            self.activate();
        }
        self.recover();
        self.peer.heard = false;
    }

    fn end(&mut self) {
        match self.leave {
            Some(Leave::Restart) => {
                self.life = Life::Sleeping(self.now + self.deadtime() + SLEEPS_LONGER);
            }
            Some(Leave::Stop) | None => {
                self.life = Life::Gone;
                self.effects.push(Effect::Exit { code: 0 });
            }
        }
    }

    fn fails_back(&self) -> bool {
        self.settings.auto_failback == AutoFailback::On
    }
}
