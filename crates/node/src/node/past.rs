//! Carries what happens to the history, and each new entry to the shell. It decides nothing.

use hb_messaging::message::{AskStep, Body, NodeStatus};
use hb_resource::group::Group;
use hb_resource::input::{GroupClaim, PeerStatus};
use hb_resource::manager::Maintenance;
use hb_resource::operation::{Operation, Outcome};

use super::{Node, Turn};
use crate::activity::short;
use crate::api::{EntryKind, HistoryEntry};
use crate::effect::{Effect, FenceAction};
use crate::history::{self, Moment, Order, Presence};
use crate::input::ClientId;
use crate::report::millis;
use crate::snapshot::Service;

/// Clients whose names are remembered: more than the sockets let in.
const NAMES_MAX: usize = 128;
/// Longest name of a client.
const NAME_MAX: usize = 32;

impl Node {
    /// Begins with the entries that were kept before this start, oldest first. Called before the
    /// first input.
    pub fn remember(&mut self, kept: Vec<HistoryEntry>) {
        self.history.resume(kept);
    }

    /// This moment by both clocks.
    pub(super) fn moment_now(&self) -> Moment {
        let unix_ms = match self.wall {
            Some((at, unix_ms)) => unix_ms.saturating_add(millis(self.now - at.min(self.now))),
            None => self.unix_s.saturating_mul(1_000),
        };
        Moment { at: self.now, unix_ms }
    }

    pub(super) fn keep(entry: HistoryEntry, turn: &mut Turn<'_>) {
        turn.effects.push(Effect::History(Box::new(entry)));
    }

    fn tell_of(
        &mut self,
        subject: &str,
        what: &str,
        cause: &str,
        reason: String,
        lasted_ms: u64,
        turn: &mut Turn<'_>,
    ) {
        let now = self.moment_now();
        let by = self.history.orderer(cause).filter(|_| subject == self.profile.node.as_str());
        let entry = HistoryEntry { by, elapsed_ms: lasted_ms, ..HistoryEntry::default() };
        let entry = self.history.about_node(subject, what, cause, reason, entry, now);
        Self::keep(entry, turn);
    }

    pub(super) fn tell_start(&mut self, turn: &mut Turn<'_>) {
        let (node, generation) = (self.profile.node.to_string(), self.profile.generation);
        let version = env!("CARGO_PKG_VERSION");
        let reason = format!("heartbeat {version} started with generation {generation}");
        self.tell_of(&node, "started", "startup", reason, 0, turn);
    }

    pub(super) fn tell_stop(&mut self, turn: &mut Turn<'_>) {
        let node = self.profile.node.to_string();
        let (cause, reason) = if matches!(self.last, Effect::Restart { .. }) {
            ("reload", "heartbeat starts anew in its place, and resources go on")
        } else if self.last == (Effect::Exit { code: 0 }) {
            ("shutdown", "heartbeat stopped in order")
        } else {
            ("stepped_down", "the other node has the right to go on alone")
        };
        self.tell_of(&node, "stopped", cause, reason.to_owned(), 0, turn);
    }

    /// This daemon ends, and the next one has another configuration.
    pub(super) fn tell_renewal(&mut self, turn: &mut Turn<'_>) {
        let node = self.profile.node.to_string();
        let reason = "the configuration has changed: heartbeat starts anew and keeps what runs";
        self.tell_of(&node, "stopped", "reload", reason.to_owned(), 0, turn);
    }

    pub(super) fn tell_pause(&mut self, ms: u64, turn: &mut Turn<'_>) {
        let node = self.profile.node.to_string();
        let reason = format!("this process stood still for {ms} ms");
        self.tell_of(&node, "paused", "core_stalled", reason, ms, turn);
    }

    /// The peer's status has changed: whether it came, or came back.
    pub(super) fn note_presence(&mut self, to: NodeStatus, turn: &mut Turn<'_>) {
        let alive = matches!(to, NodeStatus::Up | NodeStatus::Active);
        if !alive || self.events.presence == Presence::Here {
            return;
        }
        let before = std::mem::replace(&mut self.events.presence, Presence::Here);
        let peer = self.peer_name();
        let (what, since) = match before {
            Presence::Unseen => ("joined", None),
            Presence::Here => return,
            Presence::Left(since) | Presence::Gone(since) => ("back", Some(since)),
        };
        let away = since.map(|since| self.now - since);
        let reason = match away {
            Some(away) => format!("{peer} speaks again after {}", short(away)),
            None => format!("{peer} is heard for the first time since this node started"),
        };
        self.tell_of(&peer, what, "heard", reason, away.map_or(0, millis), turn);
    }

    /// The peer was started again before it was missed.
    pub(super) fn tell_restart(&mut self, generation: u64, turn: &mut Turn<'_>) {
        if self.events.presence != Presence::Here {
            return;
        }
        let peer = self.peer_name();
        let reason = format!("heartbeat was started again on {peer} (generation {generation})");
        self.tell_of(&peer, "restarted", "heard", reason, 0, turn);
    }

    /// The peer says that it has released everything and leaves.
    pub(super) fn tell_left(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.events.presence, Presence::Left(_)) {
            return;
        }
        self.events.presence = Presence::Left(self.now);
        let peer = self.peer_name();
        let reason = format!("{peer} has stopped in order");
        self.tell_of(&peer, "left", "shutdown", reason, 0, turn);
    }

    /// What becomes of the peer's silence, before the manager is told.
    pub(super) fn note_silence(&mut self, status: PeerStatus, turn: &mut Turn<'_>) {
        let what = match status {
            PeerStatus::Dead => "dead",
            PeerStatus::Lost => "lost",
            PeerStatus::Unknown | PeerStatus::Starting | PeerStatus::Active => return,
        };
        let view = self.view(self.now);
        let heard_ms = view.peer().and_then(|peer| peer.heard_ms_ago);
        let peer = view.peer_name().to_owned();
        let heard = self.moment(heard_ms);
        self.history.peer_silent(heard);
        if matches!(self.events.presence, Presence::Left(_)) {
            return;
        }
        self.events.presence = Presence::Gone(heard.unwrap_or(self.now));
        let hold = self.doubt.as_ref().and_then(crate::doubt::Doubt::hold);
        let (cause, reason) = match (hold, heard_ms) {
            (Some(hold), _) => (
                hold.id.to_string(),
                format!("{peer} is silent, not taken for dead: {}", hold.text),
            ),
            (None, Some(_)) => {
                ("silent".to_owned(), format!("nothing heard of {peer} within its dead time"))
            }
            (None, None) => {
                ("never_heard".to_owned(), format!("{peer} was never heard since this start"))
            }
        };
        self.tell_of(&peer, what, &cause, reason, heard_ms.unwrap_or(0), turn);
    }

    /// Takes note of what both nodes say of each group, and of maintenance.
    pub(super) fn note_past(&mut self, turn: &mut Turn<'_>) {
        let view = self.view(self.now);
        let legacy = self.peer_native == Some(false);
        let of = |group: &Group| {
            let (key, there) = (group.key(), view.peer_claim(group.key()));
            let is_peer = legacy && view.service(key) == Service::Peer;
            let is_news = is_peer || self.history.is_news(key, there);
            is_news.then(|| (key.to_owned(), group.claim(), there, is_peer))
        };
        let news: Vec<(String, GroupClaim, Option<GroupClaim>, bool)> =
            self.manager.groups().filter_map(of).collect();
        for (key, here, there, is_peer) in news {
            let entry = self.history.note_peer(&key, here, there, self.now);
            self.history.note_owner(&key, is_peer);
            if let Some(entry) = entry {
                Self::keep(entry, turn);
            }
        }
        self.note_maintenance(turn);
    }

    fn note_maintenance(&mut self, turn: &mut Turn<'_>) {
        let Maintenance { here, peer } = self.manager.maintenance();
        let before = std::mem::replace(&mut self.events.maintenance, Maintenance { here, peer });
        if (before.here, before.peer) == (here, peer) {
            return;
        }
        let (own, other) = (self.profile.node.to_string(), self.peer_name());
        for (node, was, is) in [(own, before.here, here), (other, before.peer, peer)] {
            if was == is {
                continue;
            }
            let is_own = node == self.profile.node.as_str();
            let by = self.history.orderer("maintenance").filter(|_| is_own);
            let what = if is { "on" } else { "off" };
            let reason = match is {
                true => format!("{node} was told to start, stop and move nothing"),
                false => format!("maintenance of {node} has ended"),
            };
            let entry = HistoryEntry {
                kind: EntryKind::Maintenance,
                subject: Some(node),
                what: what.to_owned(),
                cause: if by.is_some() { "operator" } else { "maintenance" }.to_owned(),
                reason,
                by,
                ..HistoryEntry::default()
            };
            let entry = self.history.add(entry, self.moment_now());
            Self::keep(entry, turn);
        }
    }

    /// A member works no more and the group stays as it is.
    pub(super) fn note_failure(
        &mut self,
        operation: &Operation,
        outcome: &Outcome,
        turn: &mut Turn<'_>,
    ) {
        // What leads to a restart, a move or the end of the group is told with that.
        let key = &operation.group;
        let is_news = self.events.fails(operation, outcome);
        let claim = self.manager.groups().find(|group| group.key() == key).map(Group::claim);
        let rests = matches!(claim, Some(GroupClaim::Held | GroupClaim::Released));
        if !is_news || !rests || self.history.is_moving(key) {
            return;
        }
        let name = &operation.resource.text;
        let entry = HistoryEntry {
            kind: EntryKind::Failure,
            group: key.clone(),
            subject: Some(name.clone()),
            what: "failed".to_owned(),
            cause: "check".to_owned(),
            reason: format!("{name}: {} {}", operation.action.word(), outcome.describe()),
            ..HistoryEntry::default()
        };
        let entry = self.history.add(entry, self.moment_now());
        Self::keep(entry, turn);
    }

    /// A power switch is asked to act.
    pub(super) fn note_fencing(&mut self, effect: &Effect) {
        if let Effect::Fence { attempt, device, action: FenceAction::Fence, .. } = effect {
            self.events.fencing(*attempt, *device, self.now);
        }
    }

    /// It answered.
    pub(super) fn note_fenced(&mut self, attempt: u64, outcome: &Outcome, turn: &mut Turn<'_>) {
        let Some((device, since)) = self.events.fenced(attempt) else { return };
        let status = self.doubt.as_ref().and_then(|doubt| doubt.fencing_status(self.now));
        let name = status.and_then(|status| status.devices.get(device).cloned());
        let name = name.unwrap_or_else(|| format!("device {device}"));
        let what = if *outcome == Outcome::Ok { "fenced" } else { "failed" };
        let reason = format!("{name}: {}", outcome.describe());
        self.tell_fence(what, "peer_lost", reason, None, millis(self.now - since), turn);
    }

    pub(super) fn tell_fence(
        &mut self,
        what: &str,
        cause: &str,
        reason: String,
        by: Option<String>,
        elapsed_ms: u64,
        turn: &mut Turn<'_>,
    ) {
        self.totals.note_fence(what);
        let entry = HistoryEntry {
            kind: EntryKind::Fence,
            subject: Some(self.peer_name()),
            what: what.to_owned(),
            cause: cause.to_owned(),
            reason,
            by,
            elapsed_ms,
            ..HistoryEntry::default()
        };
        let entry = self.history.add(entry, self.moment_now());
        Self::keep(entry, turn);
    }

    /// Who a client is, as the socket knows it.
    pub(super) fn name_client(&mut self, client: ClientId, name: &str) {
        let fits = history::is_name(name) && name.len() <= NAME_MAX;
        if fits && self.names.len() < NAMES_MAX {
            self.names.insert(client, format!("{name}@{}", self.profile.node));
        }
    }

    /// A client gives an order.
    pub(super) fn note_order(&mut self, client: ClientId, kind: &'static str) {
        let by = self.names.get(&client).cloned();
        self.history.ordered(kind, by);
    }

    /// What a message that begins a move says beside it, to a peer that understands it.
    pub(super) fn say_why(&self, body: &mut Body) {
        if self.peer_native != Some(true) {
            return;
        }
        let cause = match body {
            Body::AskResources { step: AskStep::Me, .. } => self.manager.giving_for(),
            Body::HbTakeover { .. } => Some("takeover"),
            Body::AskResources { .. }
            | Body::Starting
            | Body::Resource { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Other { .. } => None,
        };
        if let Some(cause) = cause {
            let by = self.history.orderer(cause);
            history::say(body, &Order { cause: cause.to_owned(), by });
        }
    }

    /// What the peer says beside a message that begins a move.
    pub(super) fn hear_why(&mut self, body: &Body) {
        match body {
            Body::AskResources { step: AskStep::Me, extensions, .. } => {
                self.history.is_given(history::hear(extensions));
            }
            Body::HbTakeover { extensions, .. } => {
                let by = history::hear(extensions).and_then(|order| order.by);
                self.history.ordered("takeover", by);
            }
            Body::AskResources { .. }
            | Body::Starting
            | Body::Resource { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Other { .. } => {}
        }
    }
}
