//! Two engines (or more) and the links between them, in virtual time and reproducible.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_config::settings::{
    AuthKey, AuthKeys, AuthMethod, Framing, NodeName, PingKind, PingTarget, Secret, Timing,
};
use hb_messaging::engine::{Config, Event, Input, LinkId, Messaging, Output};
use hb_messaging::fields::FieldList;
use hb_messaging::message::{Body, Extensions, HoldWord, NodeStatus};
use hb_messaging::time::Instant;
use hb_messaging::wire;

pub(crate) const KEEPALIVE_MS: u64 = 100;
pub(crate) const DEADTIME_MS: u64 = 1_000;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn name(index: usize) -> NodeName {
    NodeName::new(&format!("node{}", index + 1))
}

pub(crate) fn keys(active: u8, list: &[(u8, AuthMethod, &str)]) -> AuthKeys {
    let key = |(index, method, secret): &(u8, AuthMethod, &str)| {
        (*index, AuthKey { method: *method, secret: Secret::new(secret.as_bytes().to_vec()) })
    };
    AuthKeys { active, keys: list.iter().map(key).collect() }
}

/// A member of a two-node cluster with `eth0` and `eth1`, keepalive 100 ms and dead time 1 s.
pub(crate) fn config(index: usize) -> Config {
    Config {
        node: name(index),
        uuid: [index as u8 + 1; 16],
        generation: 100,
        nodes: vec![name(0), name(1)],
        links: vec!["eth0".to_owned(), "eth1".to_owned()],
        pings: Vec::new(),
        timing: Timing {
            keepalive_ms: KEEPALIVE_MS,
            deadtime_ms: DEADTIME_MS,
            warntime_ms: 500,
            initdead_ms: 10_000,
            deadping_ms: 1_000,
        },
        keys: keys(1, &[(1, AuthMethod::Sha1, "key")]),
        framing: Framing::Netstring,
        inner_auth: true,
        hopfudge: 1,
        max_rexmit_delay_ms: 250,
        seed: 7 + index as u64,
        announce: Extensions::from([("x_product".to_owned(), "twinbeat".to_owned())]),
    }
}

pub(crate) fn ping(name: &str) -> PingTarget {
    PingTarget { name: NodeName::new(name), hosts: vec![name.to_owned()], kind: PingKind::Ping }
}

/// A message that tells itself apart from others.
pub(crate) fn numbered(number: usize) -> Body {
    Body::Resource {
        hold: HoldWord::All,
        full: true,
        stable: Some(true),
        info: Some(number.to_string()),
        extensions: Extensions::new(),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) engine: Messaging,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) sent: Vec<(Instant, Vec<u8>)>,
    /// A stopped machine neither receives nor runs timers.
    pub(crate) running: bool,
    /// A paused one finds its datagrams when it goes on.
    pub(crate) paused: bool,
}

/// A cluster in virtual time.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) members: Vec<Member>,
    pub(crate) latency: Vec<Duration>,
    /// Datagrams lost of 1000.
    pub(crate) loss: u64,
    /// Directions that are cut: from, to, link.
    pub(crate) cut: BTreeSet<(usize, usize, u16)>,
    /// Ping targets that answer.
    pub(crate) answering: BTreeSet<u16>,
    in_flight: BTreeMap<(Instant, u64), (usize, Input)>,
    counter: u64,
    dice: u64,
}

impl Net {
    pub(crate) fn new(configs: Vec<Config>) -> Self {
        let links = configs[0].links.len();
        Self {
            now: Instant::ZERO,
            members: configs
                .into_iter()
                .map(|config| Member::new(Messaging::new(config)))
                .collect(),
            latency: vec![Duration::from_micros(200); links],
            loss: 0,
            cut: BTreeSet::new(),
            answering: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            counter: 0,
            dice: 1,
        }
    }

    /// Two members, both active.
    pub(crate) fn active() -> Self {
        Self::active_with(config(0), config(1))
    }

    pub(crate) fn active_with(first: Config, second: Config) -> Self {
        let mut net = Self::new(vec![first, second]);
        net.feed(0, Input::Start);
        net.feed(1, Input::Start);
        net.run(ms(300));
        for index in 0..2 {
            assert_eq!(net.members[index].engine.local_status(), NodeStatus::Active);
            net.members[index].events.clear();
        }
        net
    }

    pub(crate) fn feed(&mut self, index: usize, input: Input) {
        let member = &mut self.members[index];
        let timeout = input == Input::Timeout;
        let mut outputs = Vec::new();
        member.engine.handle(self.now, input, &mut outputs);
        if timeout {
            let next = member.engine.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer stays due: busy loop");
        }
        for output in outputs {
            match output {
                Output::Transmit { link, bytes } => self.transmit(index, link, &bytes),
                Output::Echo { ping, sequence } => {
                    if self.answering.contains(&ping.0) {
                        self.queue(ms(1), index, Input::EchoReply { ping, sequence });
                    }
                }
                Output::Event(event) => self.members[index].events.push((self.now, event)),
            }
        }
    }

    fn transmit(&mut self, from: usize, link: LinkId, bytes: &[u8]) {
        if link.0 == 0 {
            self.members[from].sent.push((self.now, bytes.to_vec()));
        }
        for to in (0..self.members.len()).filter(|to| *to != from) {
            if self.cut.contains(&(from, to, link.0)) || self.roll(1_000) < self.loss {
                continue;
            }
            let latency = self.latency[usize::from(link.0)];
            self.queue(latency, to, Input::Datagram { link, bytes: bytes.to_vec() });
        }
    }

    pub(crate) fn queue(&mut self, delay: Duration, to: usize, input: Input) {
        self.counter += 1;
        self.in_flight.insert((self.now + delay, self.counter), (to, input));
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.dice >> 33) % sides
    }

    pub(crate) fn seed_dice(&mut self, seed: u64) {
        self.dice = seed;
    }

    /// Runs for `span`.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done` holds and says when; fails at the end of `span`.
    pub(crate) fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> Instant {
        let end = self.now + span;
        while !done(self) {
            assert!(self.step(end), "not done within {span:?}: {:#?}", self.members[0].events);
        }
        self.now
    }

    /// The next thing that happens up to `end`; datagrams before timers at the same moment.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let due = |member: &Member| {
            let runs = member.running && !member.paused;
            member.engine.next_timeout().filter(|_| runs).map(|at| at.max(self.now))
        };
        let timers: Vec<Option<Instant>> = self.members.iter().map(due).collect();
        let timer = timers.iter().flatten().min().copied();
        let Some(next) = arrival.into_iter().chain(timer).min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = next;
        if arrival == Some(next) {
            let (_, (to, input)) = self.in_flight.pop_first().expect("an arrival");
            if self.members[to].paused {
                self.queue(ms(1), to, input);
            } else if self.members[to].running {
                self.feed(to, input);
            }
        } else {
            let index = timers.iter().position(|at| *at == Some(next)).expect("a timer");
            self.feed(index, Input::Timeout);
        }
        true
    }

    /// Cuts or heals all links between the members.
    pub(crate) fn partition(&mut self, cut: bool) {
        for link in 0..self.latency.len() as u16 {
            self.cut_link(link, cut);
        }
    }

    pub(crate) fn cut_link(&mut self, link: u16, cut: bool) {
        for direction in [(0, 1, link), (1, 0, link)] {
            if cut {
                self.cut.insert(direction);
            } else {
                self.cut.remove(&direction);
            }
        }
    }

    /// A machine that loses its power.
    pub(crate) fn kill(&mut self, index: usize) {
        self.members[index].running = false;
    }

    /// It starts again.
    pub(crate) fn restart(&mut self, index: usize, config: Config) {
        self.members[index] = Member::new(Messaging::new(config));
        self.feed(index, Input::Start);
    }

    pub(crate) fn send(&mut self, index: usize, body: Body) {
        self.feed(index, Input::Send(body));
    }

    /// Statuses of node `other` as member `index` was told them, with the moment.
    pub(crate) fn statuses(&self, index: usize) -> Vec<(u64, NodeStatus)> {
        let told = |(at, event): &(Instant, Event)| match event {
            Event::NodeStatus { to, .. } => Some((at.as_micros(), *to)),
            _ => None,
        };
        self.members[index].events.iter().filter_map(told).collect()
    }

    /// Link changes as member `index` was told them.
    pub(crate) fn link_changes(&self, index: usize) -> Vec<(String, bool)> {
        let told = |(_, event): &(Instant, Event)| match event {
            Event::LinkStatus { link, up, .. } => Some((link.clone(), *up)),
            _ => None,
        };
        self.members[index].events.iter().filter_map(told).collect()
    }

    /// `info` of the bodies that member `index` received.
    pub(crate) fn received(&self, index: usize) -> Vec<String> {
        let told = |(_, event): &(Instant, Event)| match event {
            Event::Received { body: Body::Resource { info, .. }, .. } => info.clone(),
            Event::Received { body, .. } => Some(body.kind().to_owned()),
            _ => None,
        };
        self.members[index].events.iter().filter_map(told).collect()
    }

    pub(crate) fn has(&self, index: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.members[index].events.iter().any(|(_, event)| wanted(event))
    }

    pub(crate) fn is_active(&self, index: usize) -> bool {
        self.members[index].engine.local_status() == NodeStatus::Active
    }

    pub(crate) fn view(&self, index: usize) -> hb_messaging::engine::NodeView {
        self.members[index].engine.nodes(self.now).remove(0)
    }

    /// Fields of what member `index` sent, newest last.
    pub(crate) fn sent_fields(&self, index: usize) -> Vec<FieldList> {
        let decode = |(_, bytes): &(Instant, Vec<u8>)| wire::decode(bytes).expect("decodes").fields;
        self.members[index].sent.iter().map(decode).collect()
    }

    pub(crate) fn sent_kinds(&self, index: usize) -> Vec<String> {
        let kind = |list: &FieldList| list.text("t").unwrap_or_default().to_owned();
        self.sent_fields(index).iter().map(kind).collect()
    }
}

impl Member {
    fn new(engine: Messaging) -> Self {
        Self { engine, events: Vec::new(), sent: Vec::new(), running: true, paused: false }
    }
}

/// Signs and frames `pairs` as node `from` would; for packets that an engine would never send.
pub(crate) fn forge(from: &Config, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut list = FieldList::new();
    for (field, value) in pairs {
        list.push_text(field, *value);
    }
    if list.find("src").is_none() {
        list.push_text("src", from.node.as_str());
        list.push_binary("srcuuid", from.uuid);
    }
    let keys = hb_messaging::auth::Authenticator::new(&from.keys).expect("active key");
    wire::encode(&list, from.framing, from.inner_auth, &keys).expect("encodes")
}
