//! What can happen to a machine besides being switched on and off: a quick restart, a suspend, a
//! clock that drifts, keys that are changed, and datagrams that nobody should act on. It does them;
//! the one comparison in it, what a node does with a stray datagram and without, is left to
//! `evidence` to judge.

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{AuthKeys, Secret, Settings};
use hb_messaging::engine::LinkId;
use hb_messaging::time::Instant;
use hb_node::effect::Effect;
use hb_node::input::{ClientId, Input};
use hb_node::{Identity, Node};

use crate::world::{Coming, News, UnderWay, World};

/// Datagrams kept to be replayed.
const REACHED_MAX: usize = 64;

/// Keys in authkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Both keys, the first one signs.
    First,
    /// Both keys, the second one signs.
    Second,
    /// Keys that the other node does not have.
    Other,
}

/// How the types of messages without a number begin.
const CONTROL: &[u8] = b"t=NS_";

/// A datagram that a node must not act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// It came before.
    Replay,
    /// In the peer's name, signed with a key that nobody has.
    Forged,
    /// Signed with the right key by a node of another cluster.
    Foreign,
}

impl World {
    /// The daemon of `machine` is killed and started again.
    pub(crate) fn bounce(&mut self, machine: usize, down: Duration) {
        if self.machines[machine].daemon.is_some() {
            self.kill(machine);
            self.plan(down, Coming::Boot { machine });
        }
    }

    /// `machine` stands still, and its clock with it.
    pub(crate) fn suspend(&mut self, machine: usize) {
        let now = self.now();
        if self.machines[machine].is_awake() {
            self.machines[machine].clock.freeze(now);
            self.halt(machine);
        }
    }

    /// The daemon of `machine` goes on: it is told first how long its clock stood still.
    pub(crate) fn note_waking(&mut self, machine: usize) {
        let now = self.now();
        // A daemon that slept while it was starting has no part that the peer could have taken.
        let took_part = self.status(machine).is_some_and(|status| {
            let peer = status.peer.is_some_and(|peer| peer.status == "active");
            status.this_node.status == "active" && peer
        });
        if let Some(since) = self.machines[machine].halted.take()
            && took_part
        {
            self.news.push(News::Woke { machine, slept: now - since });
        }
        if let Some(ms) = self.machines[machine].clock.thaw(now) {
            self.feed(machine, Input::Slept { ms });
        }
    }

    /// The clock of `machine` runs at `rate` from now on.
    pub(crate) fn drift(&mut self, machine: usize, rate: u64) {
        let now = self.now();
        if self.machines[machine].halted.is_none() {
            self.machines[machine].clock.set_rate(now, rate);
            self.rewake(machine);
        }
    }

    /// What was started on `machine` will end by itself, if that is its agent's habit.
    pub(crate) fn plan_death(&mut self, machine: usize, run: &Arc<UnderWay>) {
        let text = &run.operation.resource.text;
        if let Some(after) = self.machines[machine].agents.habits_of(text).dies_after {
            let (group, text) = (run.operation.group.clone(), text.clone());
            self.plan(after, Coming::Death { machine, group, text });
        }
    }

    /// What agents start from here on lasts, and what they have started does as well.
    pub(crate) fn forget_deaths(&mut self) {
        self.coming.retain(|_, coming| !matches!(coming, Coming::Death { .. }));
    }

    /// authkeys of `machine` is changed and read again.
    pub(crate) fn rekey(&mut self, machine: usize, keys: Keys) {
        let now = self.now();
        let this = &mut self.machines[machine];
        if this.waiting.is_some() {
            return;
        }
        this.settings.keys = choose(&this.settings.keys, keys);
        let keys = this.settings.keys.clone();
        if let Some(daemon) = &mut this.daemon {
            let local = Instant::ZERO + (this.clock.local(now) - daemon.started);
            let mut effects = Vec::new();
            daemon.node.rekey(local, keys, &mut effects);
            for effect in effects {
                self.trace.effect(now, machine, &effect);
                self.perform(machine, effect);
            }
            self.rewake(machine);
        }
        let [one, other] = &self.machines;
        self.keys_apart = !verifies(&one.settings.keys, &other.settings.keys)
            || !verifies(&other.settings.keys, &one.settings.keys);
    }

    /// A datagram reaches the daemon of `machine`.
    pub(crate) fn arrive(&mut self, machine: usize, link: LinkId, bytes: Vec<u8>, sent: Instant) {
        let now = self.now();
        let this = &mut self.machines[machine];
        if this.is_awake() {
            let newest = this.heard.map_or(sent, |(before, _)| before.max(sent));
            this.heard = Some((newest, this.clock.local(now)));
        }
        if !self.records {
            return self.feed(machine, Input::Datagram { link, bytes });
        }
        let before = self.taken(machine);
        self.feed(machine, Input::Datagram { link, bytes: bytes.clone() });
        // What it did not take the first time, before the sender's first heartbeat, it asks for. What is
        // not numbered is taken at any time.
        let is_control = bytes.windows(CONTROL.len()).any(|part| part == CONTROL);
        if is_control || self.taken(machine) > before {
            let reached = &mut self.machines[machine].reached;
            if reached.len() == REACHED_MAX {
                reached.pop_front();
            }
            reached.push_back((link, bytes));
        }
    }

    /// Datagrams that the daemon of `machine` took, or knew already.
    fn taken(&self, machine: usize) -> u64 {
        let daemon = self.machines[machine].daemon.as_ref();
        let counters = daemon.and_then(|daemon| daemon.node.counters());
        counters.map_or(0, |counters| counters.accepted + counters.duplicate)
    }

    /// What waited in its sockets reaches a daemon when it goes on, however old it is.
    pub(crate) fn note_late_arrival(&mut self, machine: usize, input: &Input) {
        let now = self.now();
        let this = &mut self.machines[machine];
        if let (Input::Datagram { .. }, Some((_, at))) = (input, &mut this.heard) {
            *at = this.clock.local(now);
        }
    }

    /// Somebody sends stray datagrams to `machine`.
    pub(crate) fn stray(&mut self, machine: usize, stray: Stray) {
        let datagrams = match stray {
            Stray::Replay => self.machines[machine].reached.iter().cloned().collect(),
            Stray::Forged => {
                let mut settings = self.machines[1 - machine].settings.clone();
                settings.keys = nobodys(&settings.keys);
                first_words(&settings)
            }
            Stray::Foreign => {
                let mut settings = self.machines[1 - machine].settings.clone();
                settings.node = hb_config::settings::NodeName::new("node9");
                settings.nodes = vec![settings.node.clone()];
                first_words(&settings)
            }
        };
        let mut after = Duration::ZERO;
        let generation = self.machines[machine].generation;
        for (link, bytes) in datagrams {
            after += Duration::from_micros(100);
            self.plan(after, Coming::Stray { to: machine, generation, link, bytes, stray });
        }
    }

    /// What the daemon does with a stray datagram is compared with what it does without.
    pub(crate) fn feed_stray(
        &mut self,
        machine: usize,
        link: LinkId,
        bytes: Vec<u8>,
        stray: Stray,
    ) {
        let now = self.now();
        let this = &self.machines[machine];
        if !this.is_awake() {
            return;
        }
        if let Some(daemon) = &this.daemon {
            let local = Instant::ZERO + (this.clock.local(now) - daemon.started);
            let acts = |input: Input| {
                let (mut node, mut effects) = (daemon.node.clone(), Vec::new());
                node.handle(local, input, &mut effects);
                effects.retain(is_act);
                effects
            };
            let did = acts(Input::Datagram { link, bytes: bytes.clone() });
            if did != acts(Input::ClientGone { client: ClientId(0) }) {
                let did = format!("{did:?}");
                self.news.push(News::Acted { machine, stray, did });
            }
        }
        self.counts.add("edge", "stray datagram");
        self.feed(machine, Input::Datagram { link, bytes });
    }
}

/// Whether an effect changes anything beyond words.
fn is_act(effect: &Effect) -> bool {
    match effect {
        Effect::Run(_)
        | Effect::Cancel(_)
        | Effect::Fence { .. }
        | Effect::Witness { .. }
        | Effect::LetWatchdogBite { .. }
        | Effect::Reply { .. }
        | Effect::History(_)
        | Effect::Restart { .. }
        | Effect::KeepConfiguration { .. }
        | Effect::Exit { .. } => true,
        Effect::Transmit { .. }
        | Effect::Echo { .. }
        | Effect::PeerAddress { .. }
        | Effect::PeerEthernet(_)
        | Effect::Alive
        | Effect::Log(_)
        | Effect::Notify { .. } => false,
    }
}

/// The same keys with other secrets, or the two known ones.
fn choose(known: &AuthKeys, keys: Keys) -> AuthKeys {
    let secret = |index: u8| match keys {
        Keys::First | Keys::Second => format!("key {index}"),
        Keys::Other => format!("other key {index}"),
    };
    let mut chosen = known.clone();
    for (index, key) in &mut chosen.keys {
        key.secret = Secret::new(secret(*index).into_bytes());
    }
    chosen.active = match keys {
        Keys::First | Keys::Other => 1,
        Keys::Second => 2,
    };
    chosen
}

/// Keys of these numbers that no fault gives to anybody.
fn nobodys(known: &AuthKeys) -> AuthKeys {
    let mut keys = choose(known, Keys::First);
    for (index, key) in &mut keys.keys {
        key.secret = Secret::new(format!("nobody's key {index}").into_bytes());
    }
    keys
}

/// Whether who has `theirs` can verify what is signed with `ours`.
fn verifies(theirs: &AuthKeys, ours: &AuthKeys) -> bool {
    theirs.keys.get(&ours.active) == ours.keys.get(&ours.active)
}

/// What a node of these settings says first, of a generation above all others.
fn first_words(settings: &Settings) -> Vec<(LinkId, Vec<u8>)> {
    let identity = Identity { uuid: [9; 16], generation: 1_000_000, seed: 9 };
    let mut node = Node::new(settings, identity);
    let mut effects = Vec::new();
    let environment = Input::Environment { unix_s: 1_767_225_600, load: "0".to_owned() };
    node.handle(Instant::ZERO, environment, &mut effects);
    node.handle(Instant::ZERO, Input::Start, &mut effects);
    for _ in 0..4 {
        if let Some(at) = node.next_timeout() {
            node.handle(at, Input::Timeout, &mut effects);
        }
    }
    let said = effects.into_iter().filter_map(|effect| {
        let Effect::Transmit { link, bytes } = effect else { return None };
        Some((link, bytes.to_vec()))
    });
    said.collect()
}
