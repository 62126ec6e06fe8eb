//! A whole node under arbitrary inputs at arbitrary times. `decode` reads what happens from the
//! bytes, `datagram` makes what a peer might say, `watch` holds the invariants; here they are
//! carried out, on two nodes side by side, which must do the same.

mod datagram;
mod decode;
mod watch;

use std::time::Duration;

use hb_config::settings::Settings;
use hb_messaging::engine::Counters;
use hb_messaging::time::Instant;
use hb_node::api::{StatusSnapshot, Verdict};
use hb_node::effect::Effect;
use hb_node::input::{ClientId, Input};
use hb_node::{Identity, Node};

use crate::reader::Reader;
use crate::world;
use datagram::Peer;
use watch::Watch;

/// Inputs that are decoded; more only repeat what fewer reach.
const STEPS_MAX: usize = 400;
/// Timeouts in one run: some minutes of heartbeats.
const TIMEOUTS_MAX: usize = 4_000;
/// Timeouts that are due at one moment: one for each missed retransmission at most.
const TIMEOUTS_AT_ONCE_MAX: usize = 2_000;
/// How often what status says is looked at.
const STATUS_EVERY: usize = 8;
/// Bytes of a node in words. Its parts are bounded: 500 messages of its own, 64 bodies of the peer
/// that wait, 256 moves; a leak of anything else shows long before.
const WORDS_MAX: usize = 8 << 20;
/// What speaks against a takeover while forgeries arrive.
const BAD_AUTH: &str = "datagrams with a wrong signature arrive";
/// Beginning of the name of an input that no client ever gave.
const NOBODY: ClientId = ClientId(u64::MAX);

/// What the bytes decide.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes; each timeout is fed when it is due.
    Wait(Duration),
    /// Time passes while the process stands still.
    Stall(Duration),
    /// Something happens.
    Input(Input),
    /// A datagram arrives that fails authentication.
    Forged(Input),
    /// authkeys was read again, and this key signs.
    Rekey(u8),
    /// For a while nothing goes wrong: the peer speaks and operations succeed.
    Calm,
    /// Nothing: a code without a meaning yet.
    Nothing,
}

/// A byte of settings, then steps.
pub fn node(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut run = Run::new(world::settings(reader.u8()));
    for _ in 0..STEPS_MAX {
        if reader.is_empty() || run.is_over() {
            break;
        }
        let step = decode::step(&mut reader, &mut run.peer, &run.watch);
        run.perform(step);
    }
    run.finish();
}

struct Run {
    node: Node,
    /// Fed the same; must do the same.
    twin: Node,
    peer: Peer,
    watch: Watch,
    now: Instant,
    fed: usize,
    timeouts: usize,
}

impl Run {
    fn new(settings: &'static Settings) -> Self {
        let identity = Identity { uuid: [1; 16], generation: 5, seed: 9 };
        let node = Node::new(settings, identity);
        let mut run = Self {
            twin: node.clone(),
            node,
            peer: Peer::new(settings),
            watch: Watch::new(settings),
            now: Instant::ZERO,
            fed: 0,
            timeouts: 0,
        };
        let load = "0.00 0.00 0.00 1/1 1".to_owned();
        run.feed(Input::Environment { unix_s: 1_767_225_600, load });
        run.feed(Input::Start);
        run
    }

    fn is_over(&self) -> bool {
        self.watch.has_left() || self.timeouts >= TIMEOUTS_MAX
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Wait(duration) => self.wait(duration),
            Step::Stall(duration) => {
                self.now = self.now + duration;
                self.fire();
            }
            Step::Input(input) => self.feed(input),
            Step::Forged(input) => self.refuse(input),
            Step::Rekey(active) => self.rekey(active),
            Step::Calm => self.calm(),
            Step::Nothing => {}
        }
    }

    fn feed(&mut self, input: Input) {
        if self.watch.has_left() {
            return;
        }
        let (mut effects, mut same) = (Vec::new(), Vec::new());
        self.node.handle(self.now, input.clone(), &mut effects);
        self.twin.handle(self.now, input.clone(), &mut same);
        assert_eq!(effects, same, "two nodes and one input, {input:?}");
        self.watch.note_input(&input);
        self.watch.note_effects(self.now, &effects);
        self.fed += 1;
        if self.fed.is_multiple_of(STATUS_EVERY) {
            self.watch.note_status(&self.node.status(self.now));
        }
    }

    /// Lets time pass and feeds each timeout when it is due.
    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.node.next_timeout().filter(|due| *due <= until) {
            if self.is_over() {
                return;
            }
            self.now = self.now.max(due);
            self.fire();
        }
        self.now = until;
    }

    /// Feeds what is due at this moment. Afterwards nothing is.
    fn fire(&mut self) {
        for _ in 0..TIMEOUTS_AT_ONCE_MAX {
            let due = self.node.next_timeout();
            assert_eq!(due, self.twin.next_timeout());
            if self.watch.has_left() || due.is_none_or(|due| due > self.now) {
                return;
            }
            self.timeouts += 1;
            self.feed(Input::Timeout);
        }
        panic!("time stands still: {:?} is due at {:?}", self.node.next_timeout(), self.now);
    }

    /// A datagram that fails authentication does what an input without meaning does, but for
    /// counters and what is said of them.
    fn refuse(&mut self, input: Input) {
        let mut idle = self.node.clone();
        let mut expected = Vec::new();
        idle.handle(self.now, Input::ClientGone { client: NOBODY }, &mut expected);
        let mut effects = Vec::new();
        self.node.clone().handle(self.now, input.clone(), &mut effects);
        let acts = |effects: Vec<Effect>| -> Vec<Effect> {
            let says = |it: &Effect| matches!(it, Effect::Log(_) | Effect::Notify { .. });
            effects.into_iter().filter(|effect| !says(effect)).collect()
        };
        assert_eq!(acts(effects), acts(expected), "{input:?}");
        self.feed(input);
        assert_eq!(self.node.next_timeout(), idle.next_timeout());
        assert_eq!(essence(self.node.status(self.now)), essence(idle.status(self.now)));
    }

    fn rekey(&mut self, active: u8) {
        let (mut effects, mut same) = (Vec::new(), Vec::new());
        self.node.rekey(self.now, world::keys(active), &mut effects);
        self.twin.rekey(self.now, world::keys(active), &mut same);
        assert_eq!(effects, same, "two nodes and one key");
        self.watch.note_effects(self.now, &effects);
    }

    /// A second in which the peer says that it is well and whatever is asked for succeeds.
    fn calm(&mut self) {
        for _ in 0..5 {
            let Some(alive) = self.peer.alive() else { return };
            self.feed(alive);
            for answer in self.watch.successes() {
                self.feed(answer);
            }
            self.wait(Duration::from_millis(200));
            if self.is_over() {
                return;
            }
        }
    }

    fn finish(&mut self) {
        let snapshot = self.node.status(self.now);
        assert_eq!(snapshot, self.twin.status(self.now));
        self.watch.note_status(&snapshot);
        let text = serde_json::to_string(&snapshot).expect("a snapshot can be written");
        let again: StatusSnapshot = serde_json::from_str(&text).expect("and read");
        assert_eq!(again, snapshot);
        if self.fed > STEPS_MAX {
            let words = format!("{:?}", self.node).len();
            assert!(words <= WORDS_MAX, "the node has grown to {words} bytes of words");
        }
    }
}

/// A snapshot without counters and what is said of them.
fn essence(mut snapshot: StatusSnapshot) -> StatusSnapshot {
    let links = snapshot.peer.iter_mut().flat_map(|peer| &mut peer.links);
    links.for_each(|link| link.counters = None);
    snapshot.unready.retain(|reason| reason != BAD_AUTH);
    StatusSnapshot {
        counters: Counters::default(),
        problems: Vec::new(),
        verdict: Verdict::Healthy,
        failover_ready: snapshot.unready.is_empty(),
        ..snapshot
    }
}
