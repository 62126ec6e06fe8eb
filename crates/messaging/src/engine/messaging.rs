//! The engine's state and its front door. What happens behind it is in `receive`, `status`,
//! `startup`, `timers` and `send`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hb_config::settings::{AuthKeys, AuthMethod, Framing, NodeName, PingTarget};
use serde::{Deserialize, Serialize};

use super::receive::{Known, Refusal};
use super::{
    Config, Counters, Event, Input, LinkId, LinkMeasures, NodeView, Output, PingId, Unverified,
};
use crate::auth::Authenticator;
use crate::echo::SentTimes;
use crate::history::History;
use crate::liveness::{LocalLink, Peer, PeerLink, Silence};
use crate::measure::Intervals;
use crate::message::{Body, Extensions, NodeStatus};
use crate::ping::PingNode;
use crate::random::Random;
use crate::time::Instant;

/// Heartbeat 3.0.6's messaging as a state machine without clock, socket or randomness.
///
/// The caller feeds inputs with a time that never goes back, performs the outputs in their order,
/// and feeds [`Input::Timeout`] when [`Messaging::next_timeout`] is reached; one `Timeout` handles
/// everything that is due. When several inputs are ready, datagrams come first: fresh evidence
/// must not lose against a timer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Messaging {
    pub(super) node: NodeName,
    pub(super) uuid: [u8; 16],
    pub(super) generation: u64,
    pub(super) members: Vec<NodeName>,
    pub(super) times: Times,
    pub(super) framing: Framing,
    pub(super) inner_auth: bool,
    pub(super) ttl: u64,
    pub(super) rexmit_delay: Duration,
    pub(super) announce: Extensions,
    pub(super) keys: Authenticator,
    pub(super) random: Random,
    pub(super) media: usize,
    pub(super) links: Vec<LocalLink>,
    pub(super) peers: Vec<Peer>,
    pub(super) pings: Vec<PingNode>,
    pub(super) history: History,
    /// Nothing is measured before: this node stood still.
    #[serde(default)]
    pub(super) blind_until: Instant,
    /// When the last heartbeats left.
    #[serde(default)]
    pub(super) sent_times: SentTimes,
    /// Number of the last message with a body; 0 for none.
    pub(super) last_body: u64,
    /// The last `resource` message and its number, until this node leaves.
    pub(super) last_resource: Option<(u64, Body)>,
    pub(super) unix_s: u64,
    pub(super) load: String,
    pub(super) now: Instant,
    pub(super) phase: Phase,
    pub(super) stopping: bool,
    pub(super) started: Instant,
    pub(super) next_keepalive: Instant,
    /// Bodies that came before this node was active, with the index of their sender.
    pub(super) early: VecDeque<(usize, Body)>,
    /// When a refusal was last told.
    pub(super) refusals: BTreeMap<(LinkId, Refusal), Instant>,
    /// A copy of it needs no second look, until the keys change.
    #[serde(skip)]
    pub(super) known: Option<Known>,
    /// Last datagram that named this peer as its sender and could not be verified, by index.
    pub(super) unverified: BTreeMap<usize, Unverified>,
    /// Beginning of the current second of refused retransmissions, and how many there were.
    pub(super) naks: (Instant, u32),
    pub(super) counters: Counters,
}

/// Heartbeat times of this node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) keepalive: Duration,
    pub(super) deadtime: Duration,
    pub(super) warntime: Duration,
    pub(super) initdead: Duration,
}

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// `Start` has not come.
    Idle,
    /// Some node has neither been heard nor declared dead.
    Waiting,
    /// `reqnodes` was sent to this peer so often; the next one is due then.
    Asking { peer: usize, tries: u32, next: Instant },
    /// Fully started.
    Active,
}

impl Messaging {
    /// A node that is not started.
    ///
    /// # Panics
    /// When `config.keys` has no key for its active index, which `AuthKeys` rules out.
    pub fn new(config: Config) -> Self {
        let keys = Authenticator::new(&config.keys);
        let keys = keys.expect("AuthKeys always holds the key of its active index");
        let millis = Duration::from_millis;
        let times = Times {
            keepalive: millis(config.timing.keepalive_ms),
            deadtime: millis(config.timing.deadtime_ms),
            warntime: millis(config.timing.warntime_ms),
            initdead: millis(config.timing.initdead_ms),
        };
        let mut random = Random::new(config.seed);
        let links = LocalLink::from_names(&config.links);
        let others = config.nodes.iter().filter(|name| **name != config.node);
        let peers: Vec<Peer> = others
            .map(|name| Peer::new(name.clone(), links.len(), times.deadtime, &mut random))
            .collect();
        let ping = |target: &PingTarget| PingNode::new(target.name.clone(), &config.timing);
        let pings: Vec<PingNode> = config.pings.iter().map(ping).collect();
        let known_nodes = (1 + peers.len() + pings.len()) as u64;
        Self {
            keys,
            times,
            random,
            media: config.links.len(),
            links,
            ttl: u64::from(config.hopfudge) + known_nodes,
            peers,
            pings,
            rexmit_delay: millis(config.max_rexmit_delay_ms.max(1)),
            node: config.node,
            uuid: config.uuid,
            generation: config.generation,
            members: config.nodes,
            framing: config.framing,
            inner_auth: config.inner_auth,
            announce: config.announce,
            history: History::default(),
            blind_until: Instant::ZERO,
            sent_times: SentTimes::default(),
            last_body: 0,
            last_resource: None,
            unix_s: 0,
            load: String::new(),
            now: Instant::ZERO,
            phase: Phase::Idle,
            stopping: false,
            started: Instant::ZERO,
            next_keepalive: Instant::ZERO,
            early: VecDeque::new(),
            refusals: BTreeMap::new(),
            known: None,
            unverified: BTreeMap::new(),
            naks: (Instant::ZERO, 0),
            counters: Counters::default(),
        }
    }

    /// Takes one input at `now` and appends what follows from it, in the order it must happen.
    pub fn handle(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        debug_assert!(now >= self.now, "time goes forward only");
        self.now = self.now.max(now);
        match input {
            Input::Environment { unix_s, load } => self.environment(unix_s, &load),
            Input::Start => self.start(outputs),
            Input::Datagram { link, bytes } => self.receive(link, bytes, outputs),
            Input::LinkFailed { link, reason } => self.link_failed(link, &reason, outputs),
            Input::LinkRestored { link } => self.link_restored(link),
            Input::EchoReply { ping, sequence } => self.echo_reply(ping, sequence, outputs),
            Input::Woke => self.put_deaths_off(self.times.deadtime, Duration::ZERO),
            Input::Timeout => self.timeout(outputs),
            Input::AskPings => self.ask_pings(outputs),
            Input::Send(body) => self.send_body(&body, outputs),
            Input::Announce { extensions, at_once } => {
                self.announce(extensions, at_once, outputs);
            }
            Input::Rekey(keys) => self.rekey(&keys),
            Input::Stopping => self.stop(outputs),
        }
    }

    /// Members except this node in the order of ha.cf, then ping nodes.
    pub fn nodes(&self, now: Instant) -> Vec<NodeView> {
        let members = self.peers.iter().map(|peer| peer.view(now, &self.links));
        members.chain(self.pings.iter().map(|ping| ping.view(now))).collect()
    }

    /// The last datagram that named `node`, a member, as its sender and could not be verified.
    pub fn last_unverified(&self, node: &NodeName) -> Option<Unverified> {
        let index = self.peers.iter().position(|peer| peer.name == *node)?;
        self.unverified.get(&index).copied()
    }

    /// How far apart the heartbeats of `node`, a member, came, on whichever link each came first;
    /// and what was measured of each link to it, in the order of [`NodeView::links`].
    pub fn measured(&self, node: &NodeName) -> Option<(Intervals, Vec<LinkMeasures>)> {
        let peer = self.peers.iter().find(|peer| peer.name == *node)?;
        let of = |(local, link): (&LocalLink, &PeerLink)| LinkMeasures {
            rtt_us: link.way.rtt_us().filter(|_| link.up),
            intervals: link.intervals.clone(),
            counters: local.counters,
        };
        let links = self.links.iter().zip(&peer.links).map(of).collect();
        Some((peer.intervals.clone(), links))
    }

    /// Counters since start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// This node's own status: `init` before `Start`, `up` until everything is settled, `active`.
    pub fn local_status(&self) -> NodeStatus {
        match self.phase {
            Phase::Idle => NodeStatus::Init,
            Phase::Waiting | Phase::Asking { .. } => NodeStatus::Up,
            Phase::Active => NodeStatus::Active,
        }
    }

    /// Index and method of the key that signs.
    pub fn signing_key(&self) -> (u8, AuthMethod) {
        self.keys.signing_key()
    }

    /// All keys of this node by fingerprint ([`Authenticator::key_list`]).
    pub fn key_list(&self) -> &str {
        self.keys.key_list()
    }

    fn environment(&mut self, unix_s: u64, load: &str) {
        self.unix_s = unix_s;
        // One line without NUL, or it would not fit the wire.
        self.load = load.lines().next().unwrap_or_default().replace('\0', "");
    }

    fn announce(&mut self, extensions: Extensions, at_once: bool, outputs: &mut Vec<Output>) {
        self.announce = extensions;
        if at_once && self.phase != Phase::Idle {
            self.send_status(self.local_status(), outputs);
        }
    }

    /// All keys verify from here on, and what a peer used before does not count against it.
    fn rekey(&mut self, keys: &AuthKeys) {
        let Some(keys) = Authenticator::new(keys) else {
            tracing::error!("authkeys without its active key: the former keys stay in force");
            return;
        };
        self.replace_keys(keys);
        for peer in &mut self.peers {
            peer.strongest = None;
        }
    }

    /// The keys in force.
    pub fn authenticator(&self) -> &Authenticator {
        &self.keys
    }

    /// Other keys, with nothing else changed: for a replay, which has none of the real ones.
    pub fn replace_keys(&mut self, keys: Authenticator) {
        self.keys = keys;
        self.known = None;
    }

    /// Heartbeats go on, marked, so that the peer takes over when this node is silent and not
    /// before; messages of peers are acknowledged but not delivered.
    fn stop(&mut self, outputs: &mut Vec<Output>) {
        self.stopping = true;
        self.early.clear();
        match self.phase {
            Phase::Idle => return,
            // A start that is under way ends here.
            Phase::Asking { .. } => self.phase = Phase::Waiting,
            Phase::Waiting | Phase::Active => {}
        }
        self.send_status(self.local_status(), outputs);
    }

    fn link_failed(&mut self, link: LinkId, reason: &str, outputs: &mut Vec<Output>) {
        let Some(index) = self.link_index(link) else { return };
        let local = &mut self.links[index];
        local.failures.insert(link, reason.to_owned());
        if !local.is_failed() {
            return;
        }
        for peer in &mut self.peers {
            if std::mem::take(&mut peer.links[index].up) {
                outputs.push(Output::Event(Event::LinkStatus {
                    node: peer.name.clone(),
                    link: local.name.clone(),
                    up: false,
                    cause: format!("no socket here: {reason}"),
                }));
            }
        }
    }

    /// The link is up again when a packet shows it.
    fn link_restored(&mut self, link: LinkId) {
        if let Some(index) = self.link_index(link) {
            self.links[index].failures.remove(&link);
        }
    }

    pub(super) fn link_index(&self, link: LinkId) -> Option<usize> {
        self.links.iter().position(|local| local.media.contains(&link))
    }

    fn echo_reply(&mut self, ping: PingId, sequence: u16, outputs: &mut Vec<Output>) {
        let now = self.now;
        let Some(node) = self.pings.get_mut(usize::from(ping.0)) else { return };
        if self.phase == Phase::Idle || !node.hear(now, sequence) || node.status == NodeStatus::Ping
        {
            return;
        }
        let from = std::mem::replace(&mut node.status, NodeStatus::Ping);
        let (name, cause) = (node.name.clone(), "it answers".to_owned());
        outputs.push(Output::Event(Event::NodeStatus {
            node: name.clone(),
            from,
            to: NodeStatus::Ping,
            cause: cause.clone(),
        }));
        outputs.push(Output::Event(Event::LinkStatus {
            link: name.as_str().to_owned(),
            node: name,
            up: true,
            cause,
        }));
        self.advance_start(outputs);
    }

    pub(super) fn begin_silences(&mut self) {
        for peer in &mut self.peers {
            peer.silence = Silence::since(self.now);
        }
        for ping in &mut self.pings {
            ping.start(self.now);
        }
    }
}
