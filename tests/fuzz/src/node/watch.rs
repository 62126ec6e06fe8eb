//! What must hold of a node after every input, seen from outside: effects in, panics out. It keeps
//! its own books of operations, requests and members, and never looks into the node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{GroupSpec, Settings};
use hb_messaging::auth::Authenticator;
use hb_messaging::engine::PingId;
use hb_messaging::fields;
use hb_messaging::time::Instant;
use hb_messaging::wire;
use hb_node::api::{EntryKind, Request, Response, StatusSnapshot, VERSION};
use hb_node::effect::Effect;
use hb_node::history::ENTRIES_MAX;
use hb_node::input::{ClientId, Input};
use hb_resource::operation::{Action, OpId, Operation, Outcome};

use crate::world;

/// Commands that may wait for their answer.
const WAITING_MAX: usize = 64;
/// Effects of one input: a full retransmission on each link, and what is said of it.
const EFFECTS_MAX: usize = 8_192;
/// How long the node waits for the answer of the witness: the time limit of `world` and the five
/// seconds that it grants the edge.
const ANSWER_WAIT: Duration = Duration::from_millis(200 + 5_000);
/// Problems that status shows at once: a few for each link, node and group.
const PROBLEMS_MAX: usize = 64;

/// What is known of a member from the results of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Running,
    Stopped,
}

/// The books.
#[derive(Debug)]
pub(super) struct Watch {
    settings: &'static Settings,
    keys: &'static Authenticator,
    ids: BTreeSet<OpId>,
    running: BTreeMap<OpId, Operation>,
    members: BTreeMap<(String, usize), Known>,
    /// The fence attempts and the questions to the witness that wait for their answer, and how many
    /// there may ever have been.
    fences: BTreeSet<u64>,
    questions: BTreeSet<u64>,
    /// The question for the lease whose answer the node waits for, and since when.
    asking: Option<(u64, Instant)>,
    /// The lease was asked for since it was last given back.
    asked: bool,
    used: BTreeSet<(&'static str, u64)>,
    waiting: BTreeMap<ClientId, Request>,
    clients: u64,
    echoes: BTreeMap<PingId, u16>,
    moves: u64,
    /// Number of the last move of a group among them.
    last_move: u64,
    left: bool,
    /// What was sent last: each datagram goes out on every link.
    sent: Arc<[u8]>,
}

impl Watch {
    pub(super) fn new(settings: &'static Settings) -> Self {
        Self {
            settings,
            keys: world::authenticator(1),
            ids: BTreeSet::new(),
            running: BTreeMap::new(),
            members: BTreeMap::new(),
            fences: BTreeSet::new(),
            questions: BTreeSet::new(),
            asking: None,
            asked: false,
            used: BTreeSet::new(),
            waiting: BTreeMap::new(),
            clients: 0,
            echoes: BTreeMap::new(),
            moves: 0,
            last_move: 0,
            left: false,
            sent: Arc::from([]),
        }
    }

    /// Whether the daemon has left.
    pub(super) fn has_left(&self) -> bool {
        self.left
    }

    /// One of the operations under way.
    pub(super) fn under_way(&self, choice: u8) -> Option<OpId> {
        let count = self.running.len();
        self.running.keys().nth(usize::from(choice) % count.max(1)).copied()
    }

    pub(super) fn is_under_way(&self, op: OpId) -> bool {
        self.running.contains_key(&op)
    }

    /// Every operation under way ends as it should.
    pub(super) fn successes(&self) -> Vec<Input> {
        let done = |operation: &Operation| {
            let known = self.known(operation);
            let outcome = match operation.action {
                Action::Status if known != Known::Running => Outcome::NotRunning,
                Action::Status
                | Action::Start
                | Action::Stop
                | Action::Announce
                | Action::Validate => Outcome::Ok,
            };
            Input::Done { op: operation.id, outcome }
        };
        self.running.values().map(done).collect()
    }

    /// A client that has not asked anything yet.
    pub(super) fn next_client(&self) -> ClientId {
        ClientId(self.clients + 1)
    }

    /// The sequence number that a ping target last was sent.
    pub(super) fn echo(&self, ping: PingId) -> u16 {
        self.echoes.get(&ping).copied().unwrap_or(0)
    }

    /// A group, by a byte.
    pub(super) fn group(&self, choice: u8) -> String {
        let groups = &self.settings.groups;
        groups[usize::from(choice) % groups.len()].key.clone()
    }

    /// A member of a group, by a byte that may say that there is none.
    pub(super) fn member(&self, group: &str, choice: u8) -> Option<String> {
        let resources = &self.spec(group)?.resources;
        Some(resources.get(usize::from(choice) % (resources.len() + 1))?.text.clone())
    }

    /// The fence attempt that waits longest for its end.
    pub(super) fn fence_under_way(&self) -> Option<u64> {
        self.fences.first().copied()
    }

    /// The question to the witness that waits longest for its answer.
    pub(super) fn question_open(&self) -> Option<u64> {
        self.questions.first().copied()
    }

    pub(super) fn note_input(&mut self, input: &Input) {
        match input {
            Input::Done { op, outcome } => {
                if let Some(operation) = self.running.remove(op) {
                    self.learn(&operation, outcome);
                }
            }
            Input::Request { client, request } => {
                self.clients = self.clients.max(client.0);
                self.waiting.insert(*client, request.clone());
            }
            Input::ClientGone { client } => {
                self.waiting.remove(client);
            }
            Input::Fenced { attempt, .. } => {
                self.fences.remove(attempt);
            }
            Input::Witness { question, .. } => {
                self.questions.remove(question);
                self.asking = self.asking.filter(|(asked, _)| asked != question);
            }
            Input::Environment { .. }
            | Input::LocalTime { .. }
            | Input::Ethernet(_)
            | Input::Start
            | Input::Reload { .. }
            | Input::ClientName { .. }
            | Input::Clock { .. }
            | Input::Look { .. }
            | Input::Datagram { .. }
            | Input::EchoReply { .. }
            | Input::Link { .. }
            | Input::Left { .. }
            | Input::Guarded { .. }
            | Input::Rival { .. }
            | Input::LogHangs(_)
            | Input::Slept { .. }
            | Input::Timeout
            | Input::Shutdown => {}
        }
    }

    pub(super) fn note_effects(&mut self, now: Instant, effects: &[Effect]) {
        assert!(effects.len() <= EFFECTS_MAX, "{} effects of one input", effects.len());
        for effect in effects {
            assert!(!self.left, "after the exit: {effect:?}");
            self.note_effect(now, effect);
        }
        let question = |request: &Request| matches!(request, Request::Status | Request::History);
        assert!(!self.waiting.values().any(question), "questions are answered at once");
        assert!(self.waiting.len() <= WAITING_MAX, "{} clients wait", self.waiting.len());
        if self.left {
            assert!(self.waiting.is_empty(), "who waits is told that nothing comes any more");
        }
    }

    fn note_effect(&mut self, now: Instant, effect: &Effect) {
        match effect {
            Effect::Transmit { link, bytes } => {
                assert!(usize::from(link.0) < self.settings.media.len(), "{link:?}");
                if *bytes != self.sent {
                    self.check_datagram(bytes);
                    self.sent = Arc::clone(bytes);
                }
            }
            Effect::PeerAddress { link } => {
                assert!(usize::from(link.0) < self.settings.media.len(), "{link:?}");
            }
            Effect::Echo { ping, sequence } => {
                let is_peer = *ping == PingId::PEER;
                assert!(is_peer || usize::from(ping.0) < self.settings.pings.len(), "{ping:?}");
                self.echoes.insert(*ping, *sequence);
            }
            Effect::Run(operation) => self.note_run(operation),
            Effect::Cancel(op) => {
                let operation = self.running.get(op).expect("it is under way");
                assert!(operation.monitor, "only checks are cancelled: {operation:?}");
            }
            Effect::Fence { attempt, target, device, .. } => {
                assert!(self.used.insert(("fence", *attempt)), "attempt {attempt} is used twice");
                assert_eq!(Some(target), self.settings.peer(), "only the peer is fenced");
                let fencing = self.settings.native.fencing.as_ref().expect("it is configured");
                assert!(*device < fencing.devices.len(), "device {device}");
                self.fences.insert(*attempt);
                assert!(self.fences.len() <= fencing.devices.len(), "{:?}", self.fences);
            }
            Effect::Witness { question, acquire } => self.note_question(now, *question, *acquire),
            Effect::PeerEthernet(peer) => assert!((1..=4).contains(&peer.len()), "{peer:?}"),
            Effect::Alive => {}
            Effect::Restart { .. } | Effect::KeepConfiguration { .. } => {
                unreachable!("nothing was reloaded")
            }
            Effect::LetWatchdogBite { reason } => {
                assert!(self.settings.native.watchdog.is_some(), "there is no watchdog");
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
            }
            Effect::Reply { client, response } => {
                let request = self.waiting.remove(client).expect("nobody asked");
                check_reply(&request, response);
            }
            Effect::Log(line) => {
                assert!(!line.event.is_empty(), "{line:?}");
                assert!(!line.text.contains('\n'), "{line:?}");
            }
            Effect::History(entry) => {
                self.moves += u64::from(!entry.amends);
                if entry.is_move() && !entry.amends {
                    self.last_move = entry.number;
                }
                match entry.amends {
                    true => assert!((1..=self.moves).contains(&entry.number), "{entry:?}"),
                    false => assert_eq!(entry.number, self.moves),
                }
                let of_group = match entry.kind {
                    EntryKind::Move | EntryKind::Split | EntryKind::Failure => true,
                    EntryKind::Node | EntryKind::Fence | EntryKind::Maintenance => false,
                };
                assert_eq!(self.spec(&entry.group).is_some(), of_group, "{entry:?}");
            }
            Effect::Notify { status } => assert!(!status.contains('\n'), "{status:?}"),
            Effect::Exit { .. } => self.left = true,
        }
    }

    /// Fresh number; one question for the lease at a time, and one return for each that was asked
    /// for. Who never answers is not asked more often than that.
    fn note_question(&mut self, now: Instant, question: u64, acquire: bool) {
        assert!(self.used.insert(("witness", question)), "{question} is used twice");
        assert!(self.settings.native.witness.is_some(), "there is no witness");
        self.questions.insert(question);
        let waits = self.asking.filter(|(_, since)| now < *since + ANSWER_WAIT);
        if acquire {
            assert!(waits.is_none(), "{question} while {waits:?} waits");
            self.asking = Some((question, now));
        } else {
            assert!(self.asked, "{question} returns what was not asked for");
            self.asking = None;
        }
        self.asked = acquire;
    }

    /// Nothing malformed ever goes to a peer.
    fn check_datagram(&self, bytes: &[u8]) {
        let frame = wire::decode(bytes).expect("what is sent can be decoded");
        let signature = frame.signature.as_ref().expect("what is sent is signed");
        self.keys.verify(signature, &frame.signed).expect("with a key of ours");
        assert_eq!(frame.fields.text(fields::SRC), Some(self.settings.node.as_str()));
        assert!(bytes.len() <= wire::SEND_MAX);
    }

    /// Fresh id; of a group one operation at a time, and beside it one check of each member; no
    /// operation of a member that is being checked; starts from left to right, stops from right to
    /// left.
    fn note_run(&mut self, operation: &Operation) {
        assert!(self.ids.insert(operation.id), "{:?} is used twice", operation.id);
        let slot = |other: &&Operation| {
            let looks = |it: &Operation| it.monitor || it.action == Action::Validate;
            other.group == operation.group
                && (other.resource == operation.resource || (!looks(other) && !looks(operation)))
        };
        let busy = self.running.values().find(slot);
        assert!(busy.is_none(), "{operation:?} while {busy:?}");
        let spec = self.spec(&operation.group).expect("a group of haresources");
        let count = spec.resources.len();
        let at = self.position(operation);
        let known = |index: usize| self.known_at(&operation.group, index);
        match operation.action {
            Action::Start => {
                let left = (0..at).find(|index| known(*index) != Known::Running);
                assert_eq!(left, None, "started before its left neighbour: {operation:?}");
            }
            Action::Stop => {
                let right = (at + 1..count).find(|index| known(*index) == Known::Running);
                assert_eq!(right, None, "stopped before its right neighbour: {operation:?}");
            }
            Action::Status | Action::Announce | Action::Validate => {}
        }
        let checks = matches!(operation.action, Action::Status | Action::Validate);
        assert!(!operation.monitor || checks, "{operation:?}");
        self.running.insert(operation.id, operation.clone());
    }

    fn learn(&mut self, operation: &Operation, outcome: &Outcome) {
        let key = (operation.group.clone(), self.position(operation));
        let known = match (operation.action, outcome) {
            (Action::Announce | Action::Validate, _) => return,
            // What could not be looked at is as it was.
            (_, Outcome::CouldNotRun { .. } | Outcome::TimedOut) if operation.monitor => return,
            (Action::Start | Action::Status, Outcome::Ok) => Known::Running,
            (Action::Stop, Outcome::Ok) | (Action::Status, Outcome::NotRunning) => Known::Stopped,
            (Action::Start | Action::Stop | Action::Status, _) => Known::Nothing,
        };
        self.members.insert(key, known);
    }

    fn known(&self, operation: &Operation) -> Known {
        self.known_at(&operation.group, self.position(operation))
    }

    fn known_at(&self, group: &str, index: usize) -> Known {
        self.members.get(&(group.to_owned(), index)).copied().unwrap_or(Known::Nothing)
    }

    fn spec(&self, key: &str) -> Option<&GroupSpec> {
        self.settings.groups.iter().find(|group| group.key == key)
    }

    fn position(&self, operation: &Operation) -> usize {
        let spec = self.spec(&operation.group).expect("a group of haresources");
        let found = spec.resources.iter().position(|resource| *resource == operation.resource);
        found.expect("a member of its group")
    }

    pub(super) fn note_status(&self, snapshot: &StatusSnapshot) {
        assert_eq!((snapshot.v, snapshot.groups.len()), (VERSION, self.settings.groups.len()));
        assert!(snapshot.problems.len() <= PROBLEMS_MAX, "{:?}", snapshot.problems);
        assert_eq!(snapshot.failover_ready, snapshot.unready.is_empty(), "{:?}", snapshot.unready);
        let last = snapshot.last_move.as_ref().map_or(0, |entry| entry.number);
        // One that many other entries have followed is not kept.
        let kept = self.moves - self.last_move < ENTRIES_MAX as u64;
        assert_eq!(last, if kept { self.last_move } else { 0 }, "the last move is shown");
        for (group, spec) in snapshot.groups.iter().zip(&self.settings.groups) {
            assert_eq!(group.key, spec.key);
            assert_eq!(group.resources.len(), spec.resources.len());
        }
    }
}

fn check_reply(request: &Request, response: &Response) {
    match (request, response) {
        (Request::Status, Response::Status(_)) => {}
        (Request::History, Response::History(entries)) => assert!(entries.len() <= ENTRIES_MAX),
        (Request::Status | Request::History, _)
        | (_, Response::Status(_) | Response::History(_) | Response::Changes { .. }) => {
            panic!("{request:?} answered by {response:?}")
        }
        (_, Response::Done { text } | Response::Error { text }) => {
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        }
    }
}
