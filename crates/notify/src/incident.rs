//! From what is seen of the daemon to messages: a pure state machine. What lasts is an incident: a
//! message when it begins, one when it is over. What happens is told once; what keeps happening is
//! told together. It reads no clock, and its whole state can be kept over restarts.

mod past;
mod points;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::notify::{Event, Gravity};
use hb_node::api::{HistoryEntry, Problem, StatusSnapshot, Verdict};
use hb_resource::input::GroupClaim;
use serde::{Deserialize, Serialize};

use crate::catalog::{self, Entry, Meaning, Teller};
use crate::message::{Message, Phase, VERSION};
use crate::words;
use points::{Point, Recent};

/// Incidents that are open at a time; a pair has a few dozen things that can go wrong.
const OPEN_MAX: usize = 256;
/// Lines of its past that an incident keeps.
const CHAIN_MAX: usize = 40;
/// Moves that an incident keeps; more groups than anybody has.
const MOVES_MAX: usize = 256;
/// How long the moves after a death are waited for, in ms; then it is told without them.
const MOVES_WAIT_MS: u64 = 60_000;
/// How long the other node has for a message that is its to send before it dies, in ms. Within this
/// time the survivor tells it in its place.
const LEFT_TO_PEER_MS: u64 = 60_000;
/// Characters of a name that become part of an id.
const NAME_MAX: usize = 64;
/// Doublings of the time that something must be gone, at most.
const DOUBLINGS_MAX: u32 = 4;
/// Keys of the incidents that there is one of.
const PEER: &str = "peer";
const DAEMON: &str = "daemon";

/// Times, in ms; see `[notify]` of hb.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is not critical must last as long before it is told.
    pub settle_ms: u64,
    /// It must be gone as long before it is over.
    pub clear_ms: u64,
    /// The daemon may be away as long.
    pub daemon_grace_ms: u64,
}

/// What is seen at one moment.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// The daemon answers.
    Status {
        /// Its status.
        status: &'a StatusSnapshot,
        /// Its history, whole and merged, when it was asked for.
        history: Option<&'a [HistoryEntry]>,
    },
    /// It does not.
    Away {
        /// Why, in words.
        reason: &'a str,
        /// It has said that it stops.
        in_order: bool,
    },
}

/// What an open incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The other node is away.
    Peer,
    /// The daemon of this node is away.
    Daemon,
    /// A problem of the status.
    Problem,
}

/// A group that this node took or started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Group.
    pub group: String,
    /// Who had it.
    pub from: Option<String>,
    /// Who has it.
    pub to: String,
    /// For how long nobody served it, in ms.
    pub outage_ms: Option<u64>,
    /// Cause, one word.
    pub cause: String,
    /// Who asked.
    pub by: Option<String>,
    /// A sentence.
    pub reason: String,
}

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// What it is.
    pub kind: Kind,
    /// One word: the id of the problem, or what the history calls it.
    pub cause: String,
    /// What it is about.
    pub subject: String,
    /// What it is about, for filters.
    pub events: Vec<Event>,
    /// How grave.
    pub severity: Gravity,
    /// When it began, Unix time in ms.
    pub began_ms: u64,
    /// Since when it is not seen any more.
    pub gone_ms: Option<u64>,
    /// How often it came back.
    pub returns: u32,
    /// What and why.
    pub text: String,
    /// What to do.
    pub hint: String,
    /// What happened, a line each.
    pub chain: Vec<String>,
    /// What this node took because of it.
    pub moves: Vec<Move>,
    /// How long the other node had been silent when it was missed, in ms.
    pub silent_ms: Option<u64>,
    /// Id of the message that told it.
    pub told: Option<String>,
    /// When it was due and the other node's to tell.
    pub left_ms: Option<u64>,
}

impl Open {
    fn remember(&mut self, line: String) {
        if self.chain.len() < CHAIN_MAX {
            self.chain.push(line);
        }
    }
}

/// What is still known when the daemon is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Cluster.
    pub cluster: String,
    /// This node.
    pub node: String,
    /// The other node, if it was heard of late and runs Twinbeat.
    pub peer: Option<String>,
    /// What this node held.
    pub held: Vec<String>,
}

/// Everything that must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// When it was made, Unix time in ms: ids stay unique when a node loses it.
    pub epoch_ms: u64,
    /// Messages told so far.
    pub seq: u64,
    /// Number of the last entry of the history that was looked at.
    pub cursor: Option<u64>,
    /// When the daemon was last seen, Unix time in ms.
    pub seen_ms: u64,
    /// Since when it is away.
    pub away_ms: Option<u64>,
    /// What was known then.
    pub brief: Brief,
    /// Incidents by key.
    pub open: BTreeMap<String, Open>,
    /// Moves that are told once nothing is on its way.
    pub coming: Vec<Point>,
    /// What happened of late and may happen again.
    pub recent: BTreeMap<String, Recent>,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Incidents {
    rules: Rules,
    state: State,
}

/// What a message is made of beside the moment.
struct Draft {
    phase: Phase,
    incident: Option<String>,
    events: Vec<Event>,
    severity: Gravity,
    groups: Vec<String>,
    cause: String,
    began_ms: u64,
    duration_ms: Option<u64>,
    outage_ms: Option<u64>,
    repeats: u32,
    subject: String,
    happened: Vec<String>,
    hint: String,
}

impl Incidents {
    /// Goes on from `state`; a default one begins at `now_ms`.
    pub fn new(rules: Rules, mut state: State, now_ms: u64) -> Self {
        if state.epoch_ms == 0 {
            state.epoch_ms = now_ms;
        }
        Self { rules, state }
    }

    /// Goes by other rules from here on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What is to be kept before any of the last messages is sent.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes note of what is seen at `now_ms` (Unix time that never goes back); returns what is to be
    /// told, in order.
    pub fn step(&mut self, now_ms: u64, seen: Seen<'_>) -> Vec<Message> {
        let mut out = Vec::new();
        match seen {
            Seen::Status { status, history } => {
                self.state.brief = brief(status);
                self.state.away_ms = None;
                if let Some(open) = self.state.open.get_mut(DAEMON) {
                    open.gone_ms.get_or_insert(now_ms);
                }
                if let Some(entries) = history {
                    self.look_back(entries, status, now_ms, &mut out);
                }
                self.tell_moves(status, now_ms, &mut out);
                self.state.seen_ms = now_ms;
                self.look_at_problems(status, now_ms);
                self.tell(Some(status), now_ms, &mut out);
            }
            Seen::Away { reason, in_order } => {
                self.miss_daemon(reason, in_order, now_ms);
                self.tell(None, now_ms, &mut out);
            }
        }
        self.tell_held(seen, now_ms, &mut out);
        out
    }

    fn miss_daemon(&mut self, reason: &str, in_order: bool, now_ms: u64) {
        let began_ms = *self.state.away_ms.get_or_insert(now_ms);
        let brief = &self.state.brief;
        // Who stops it in order is told by the other node, which takes over.
        if in_order && brief.peer.is_some() {
            return;
        }
        let node = if brief.node.is_empty() { "this node" } else { &brief.node };
        let severity = if brief.peer.is_some() { Gravity::Warning } else { Gravity::Critical };
        let how = if in_order { "was stopped" } else { "does not answer" };
        let mut text = format!("heartbeat {how} on {node}");
        if !brief.held.is_empty() {
            text += &format!(", which held {}", brief.held.join(", "));
        }
        let subject = node.to_owned();
        let open = self.state.open.entry(DAEMON.to_owned()).or_insert_with(|| Open {
            kind: Kind::Daemon,
            cause: "daemon_down".to_owned(),
            subject,
            events: vec![Event::Daemon],
            severity,
            began_ms,
            gone_ms: None,
            returns: 0,
            text,
            hint: "systemctl status heartbeat; journalctl -u heartbeat".to_owned(),
            chain: vec![format!("{}  {reason}", words::utc(began_ms))],
            moves: Vec::new(),
            silent_ms: None,
            told: None,
            left_ms: None,
        });
        if open.gone_ms.take().is_some() {
            open.returns = open.returns.saturating_add(1);
            if open.told.is_none() {
                open.began_ms = began_ms;
            }
        }
    }

    fn look_at_problems(&mut self, status: &StatusSnapshot, now_ms: u64) {
        let peer_away = status.problems.iter().any(|it| catalog::meaning(&it.id) == Meaning::Peer);
        let mut present: BTreeSet<String> = BTreeSet::new();
        for problem in &status.problems {
            let (key, open) = match catalog::meaning(&problem.id) {
                Meaning::Nothing => continue,
                Meaning::Peer => (PEER.to_owned(), peer_open(problem, status, now_ms)),
                Meaning::Incident(_) if peer_away && catalog::follows_from_absence(&problem.id) => {
                    continue;
                }
                Meaning::Incident(entry) => (
                    format!("{} {}", problem.id, problem.subject),
                    problem_open(problem, entry, now_ms),
                ),
            };
            if self.state.open.len() >= OPEN_MAX && !self.state.open.contains_key(&key) {
                continue;
            }
            let known = self.state.open.entry(key.clone()).or_insert_with(|| open.clone());
            if known.gone_ms.take().is_some() {
                known.returns = known.returns.saturating_add(1);
            }
            known.text = open.text;
            known.hint = open.hint;
            present.insert(key);
        }
        for (key, open) in &mut self.state.open {
            let masked = peer_away && catalog::follows_from_absence(&open.cause);
            if open.kind != Kind::Daemon && !masked && !present.contains(key) {
                open.gone_ms.get_or_insert(now_ms);
            }
        }
    }

    /// Tells what is due and closes what is over, the oldest first.
    fn tell(&mut self, status: Option<&StatusSnapshot>, now_ms: u64, out: &mut Vec<Message>) {
        let mut keys: Vec<(u64, String)> =
            self.state.open.iter().map(|(key, open)| (open.began_ms, key.clone())).collect();
        keys.sort();
        for (_, key) in keys {
            let Some(mut open) = self.state.open.remove(&key) else { continue };
            // What is seen of the daemon only is unknown while it is away.
            if status.is_none() && open.kind != Kind::Daemon {
                self.state.open.insert(key, open);
                continue;
            }
            let gone_for = open.gone_ms.map(|since| now_ms.saturating_sub(since));
            if open.told.is_none() && self.is_due(&open, status, now_ms) {
                if is_ours(&open, status) {
                    let in_time = |left| now_ms.saturating_sub(left) <= LEFT_TO_PEER_MS;
                    if open.left_ms.is_none_or(in_time) {
                        let message = self.begin(&open, status, now_ms);
                        open.told = Some(message.id.clone());
                        // Who hears of the beginning hears of the end.
                        open.severity = message.severity;
                        out.push(message);
                    }
                } else {
                    open.left_ms.get_or_insert(now_ms);
                }
            } else if let (Some(_), Some(gone)) = (&open.told, gone_for) {
                let doublings = open.returns.min(DOUBLINGS_MAX);
                if gone >= self.rules.clear_ms.saturating_mul(1 << doublings) {
                    out.push(self.end(&open, status, now_ms));
                    continue;
                }
            } else if gone_for.is_some_and(|gone| gone >= self.rules.clear_ms) {
                continue;
            }
            self.state.open.insert(key, open);
        }
    }

    fn is_due(&self, open: &Open, status: Option<&StatusSnapshot>, now_ms: u64) -> bool {
        let lasted = now_ms.saturating_sub(open.began_ms);
        let there = open.gone_ms.is_none();
        match open.kind {
            Kind::Daemon => there && lasted >= self.rules.daemon_grace_ms,
            Kind::Problem => {
                there && (open.severity == Gravity::Critical || lasted >= self.rules.settle_ms)
            }
            Kind::Peer => {
                let settled = status.is_some_and(is_settled) || lasted >= MOVES_WAIT_MS;
                let lasts = there && lasted >= self.rules.settle_ms;
                settled && (!open.moves.is_empty() || lasts)
            }
        }
    }

    fn begin(&mut self, open: &Open, status: Option<&StatusSnapshot>, now_ms: u64) -> Message {
        let unserved = status.is_some_and(|it| it.groups.iter().any(|it| it.active_on.is_none()));
        let severity = match open.kind {
            Kind::Peer if unserved => Gravity::Critical,
            Kind::Peer | Kind::Daemon | Kind::Problem => open.severity,
        };
        let draft = Draft {
            phase: Phase::Begin,
            incident: None,
            severity,
            subject: words::begins(open, status),
            ..draft(open)
        };
        self.message(draft, status, now_ms)
    }

    fn end(&mut self, open: &Open, status: Option<&StatusSnapshot>, now_ms: u64) -> Message {
        let lasted = open.gone_ms.unwrap_or(now_ms).saturating_sub(open.began_ms);
        let draft = Draft {
            phase: Phase::Resolved,
            incident: open.told.clone(),
            duration_ms: Some(lasted),
            subject: words::resolved(open, lasted, status),
            hint: String::new(),
            ..draft(open)
        };
        self.message(draft, status, now_ms)
    }

    fn message(&mut self, draft: Draft, status: Option<&StatusSnapshot>, now_ms: u64) -> Message {
        self.state.seq += 1;
        let State { epoch_ms, seq, brief, .. } = &self.state;
        let (cluster, node) = (token(&brief.cluster), token(&brief.node));
        let id = format!("{cluster}-{node}-{epoch_ms:x}-{seq}");
        let views = match status {
            Some(status) => words::views(status),
            None => vec![format!("nothing is known since {}", words::utc(self.state.seen_ms))],
        };
        Message {
            v: VERSION,
            incident: draft.incident.unwrap_or_else(|| id.clone()),
            id,
            seq: *seq,
            phase: draft.phase,
            events: draft.events,
            severity: draft.severity,
            cluster: brief.cluster.clone(),
            node: brief.node.clone(),
            groups: draft.groups,
            cause: draft.cause,
            unix_ms: now_ms,
            began_unix_ms: draft.began_ms,
            duration_ms: draft.duration_ms,
            outage_ms: draft.outage_ms,
            repeats: draft.repeats,
            subject: format!("[{}] {}", brief.cluster, draft.subject),
            happened: draft.happened,
            views,
            not_redundant: status.map(words::not_redundant).unwrap_or_default(),
            next: match draft.phase {
                Phase::Begin | Phase::Event => words::next(&draft.hint, status),
                Phase::Resolved | Phase::Test => Vec::new(),
            },
        }
        .bounded()
    }
}

fn draft(open: &Open) -> Draft {
    let mut happened = open.chain.clone();
    if happened.is_empty() {
        happened.push(format!("{}  {}", words::utc(open.began_ms), open.text));
    }
    Draft {
        phase: Phase::Begin,
        incident: None,
        events: open.events.clone(),
        severity: open.severity,
        groups: open.moves.iter().map(|it| it.group.clone()).collect(),
        cause: open.cause.clone(),
        began_ms: open.began_ms,
        duration_ms: None,
        outage_ms: open.moves.iter().filter_map(|it| it.outage_ms).max(),
        repeats: open.returns,
        subject: String::new(),
        happened,
        hint: open.hint.clone(),
    }
}

fn problem_open(problem: &Problem, entry: Entry, now_ms: u64) -> Open {
    Open {
        kind: Kind::Problem,
        cause: problem.id.clone(),
        subject: problem.subject.clone(),
        events: vec![entry.event],
        severity: entry.severity,
        began_ms: now_ms.saturating_sub(problem.since_ms),
        gone_ms: None,
        returns: 0,
        text: problem.text.clone(),
        hint: problem.hint.clone(),
        chain: Vec::new(),
        moves: Vec::new(),
        silent_ms: None,
        told: None,
        left_ms: None,
    }
}

fn peer_open(problem: &Problem, status: &StatusSnapshot, now_ms: u64) -> Open {
    let name = status.peer.as_ref().map_or(problem.subject.as_str(), |peer| peer.name.as_str());
    let entry = Entry { event: Event::Node, severity: Gravity::Warning, teller: Teller::Own };
    Open { kind: Kind::Peer, subject: name.to_owned(), ..problem_open(problem, entry, now_ms) }
}

fn brief(status: &StatusSnapshot) -> Brief {
    let held = status.groups.iter().filter(|it| it.here == GroupClaim::Held);
    Brief {
        cluster: status.cluster.clone(),
        node: status.this_node.name.clone(),
        peer: living_peer(status).map(str::to_owned),
        held: held.map(|it| it.key.clone()).collect(),
    }
}

/// The other node, when it is heard and can tell as well.
fn living_peer(status: &StatusSnapshot) -> Option<&str> {
    let peer = status.peer.as_ref()?;
    let lives = matches!(peer.status.as_str(), "up" | "active") && peer.native == Some(true);
    lives.then_some(peer.name.as_str())
}

/// Whether this node tells it (docs/decisions/0019).
fn is_ours(open: &Open, status: Option<&StatusSnapshot>) -> bool {
    match (open.kind, catalog::meaning(&open.cause)) {
        (Kind::Problem, Meaning::Incident(Entry { teller: Teller::Shared, .. })) => {
            status.is_none_or(|status| shared_is_ours(&open.subject, status))
        }
        (Kind::Peer | Kind::Daemon | Kind::Problem, _) => true,
    }
}

/// Of what both see, the node that serves the group tells, else the first by name.
fn shared_is_ours(subject: &str, status: &StatusSnapshot) -> bool {
    let Some(peer) = living_peer(status) else { return true };
    let here = status.this_node.name.as_str();
    let group = status.groups.iter().find(|it| it.key == subject);
    match group.and_then(|it| it.active_on.as_deref()) {
        Some(owner) if owner == here => true,
        Some(owner) if owner == peer => false,
        Some(_) | None => here < peer,
    }
}

/// What may stand in headers, file names and variables.
fn token(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().filter(|c| fits(*c)).take(NAME_MAX).collect()
}

/// Nothing is on its way.
fn is_settled(status: &StatusSnapshot) -> bool {
    let moving = |claim| matches!(claim, GroupClaim::Acquiring | GroupClaim::Releasing);
    status.verdict != Verdict::Transition && !status.groups.iter().any(|it| moving(it.here))
}
