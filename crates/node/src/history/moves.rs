//! Moves of groups: from the decision to the end, with the length of each part and the outage as
//! far as this node can know it. It measures by this node's clock alone: what the peer does is
//! timed by when it says so, and it says so at once.

use std::time::Duration;

use hb_config::settings::BuiltIn;
use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;
use hb_resource::operation::{Action, GroupKey, Operation, Outcome};
use hb_resource::output::Transition;
use serde::{Deserialize, Serialize};

use super::{History, Moment};

use crate::api::{EntryKind, HistoryEntry, HistoryStep, OutageSince};
use crate::report::millis;

/// Steps that an entry keeps. A group of 20 members that fails and is tried again stays below.
const STEPS_MAX: usize = 48;

/// A stretch of time: the first beginning and the last end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    fn add(span: &mut Option<Self>, from: Instant, to: Instant) {
        let known = span.unwrap_or(Self { from, to });
        *span = Some(Self { from: known.from.min(from), to: known.to.max(to) });
    }

    fn ms(self) -> u64 {
        millis(self.to - self.from)
    }
}

/// When and why a group left its last lasting state, and what was done since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    at: Instant,
    cause: String,
    reason: String,
    by: Option<String>,
    /// It was held here when this began.
    was_held: bool,
    steps: Vec<HistoryStep>,
    stop: Option<Span>,
    start: Option<Span>,
    announced: u32,
}

/// What is known of a group on both nodes, for the ends of moves that this node does not make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Who served it last.
    owner: Option<String>,
    /// Since when nobody serves it.
    down: Option<(Instant, OutageSince)>,
    there: Option<GroupClaim>,
    /// The peer's stop and start of it, as it said them.
    stop: Option<Span>,
    start: Option<Span>,
    /// The entry of a release that the other node's word completes.
    pending: Option<u64>,
}

impl History {
    /// Takes note of a transition of the manager; returns the entry when it completes a move.
    ///
    /// A move begins when a group starts to be acquired or released and ends when it is held,
    /// released, failed or blocked. Its cause is that of the beginning, except where the end has
    /// one of its own because it went wrong.
    pub(crate) fn note(&mut self, transition: &Transition, now: Moment) -> Option<HistoryEntry> {
        let group = transition.group.as_ref()?;
        let to = GroupClaim::from_word(&transition.to)?;
        self.leave(group, transition, now.at);
        let mut what = match to {
            GroupClaim::Acquiring | GroupClaim::Releasing => {
                self.begin(group, transition, now.at);
                return None;
            }
            GroupClaim::Held => "acquired",
            GroupClaim::Released => "released",
            GroupClaim::Failed => "failed",
            GroupClaim::Blocked => "blocked",
        };
        let begun = self.under_way.remove(group);
        let begun = begun.unwrap_or_else(|| self.decide(transition, now.at));
        let seen = self.seen.entry(group.clone()).or_default();
        let from = seen.owner.clone();
        let outage = seen.down.filter(|_| to == GroupClaim::Held);
        let served_there = seen.there == Some(GroupClaim::Held);
        let mut entry = begun.entry(group, transition, now.at);
        if to == GroupClaim::Held {
            if begun.was_held && begun.stop_or_start() {
                what = "restarted";
            }
            entry.to = Some(self.here.clone());
            entry.stop_ms = entry.stop_ms.or(seen.stop.map(Span::ms));
            entry.outage_ms = outage.map(|(since, _)| millis(now.at - since));
            entry.outage_since = outage.map(|(_, since)| since);
            *seen = Seen { owner: Some(self.here.clone()), there: seen.there, ..Seen::default() };
        }
        if to == GroupClaim::Released && served_there {
            // The other had it as well, and keeps it.
            entry.to.clone_from(&self.peer);
            seen.owner.clone_from(&self.peer);
        }
        entry.what = what.to_owned();
        entry.from = from;
        let entry = self.add(entry, now);
        if to == GroupClaim::Released
            && !served_there
            && let Some(seen) = self.seen.get_mut(group)
        {
            seen.pending = Some(entry.number);
        }
        Some(entry)
    }

    /// What was held here is served no more from the moment at which that changes.
    fn leave(&mut self, group: &GroupKey, transition: &Transition, now: Instant) {
        if transition.from != GroupClaim::Held.word() {
            return;
        }
        let here = self.here.clone();
        let seen = self.seen.entry(group.clone()).or_default();
        seen.owner = Some(here);
        if seen.there == Some(GroupClaim::Held) {
            return;
        }
        let noticed = transition.cause == "failed";
        let since = if noticed { OutageSince::Noticed } else { OutageSince::Stopped };
        seen.down.get_or_insert((now, since));
    }

    /// A change of direction in the middle is a decision of its own and starts the measurement
    /// again; a repeat of the same direction (a stop that is retried) does not.
    fn begin(&mut self, group: &GroupKey, transition: &Transition, now: Instant) {
        if transition.from == transition.to && self.under_way.contains_key(group) {
            return;
        }
        let decision = self.decide(transition, now);
        self.under_way.insert(group.clone(), decision);
    }

    fn decide(&self, transition: &Transition, now: Instant) -> Decision {
        let taken = transition.cause == "standby" && transition.to == GroupClaim::Acquiring.word();
        // What the peer gives is taken for the reason for which it is given.
        let order = match &self.given {
            Some(order) if taken => Some(order),
            Some(_) | None if taken => None,
            Some(_) | None => self.orders.get(transition.cause.as_str()),
        };
        let cause = order.map_or(&transition.cause, |order| &order.cause);
        Decision {
            at: now,
            cause: cause.clone(),
            reason: transition.reason.clone(),
            by: order.and_then(|order| order.by.clone()),
            was_held: transition.from == GroupClaim::Held.word(),
            steps: Vec::new(),
            stop: None,
            start: None,
            announced: 0,
        }
    }

    /// An operation on a member of a group has ended.
    pub(crate) fn note_step(
        &mut self,
        operation: &Operation,
        outcome: &Outcome,
        lasted: Duration,
        now: Instant,
    ) {
        let Some(decision) = self.under_way.get_mut(&operation.group) else { return };
        let from = Instant::from_micros(
            now.as_micros().saturating_sub(u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX)),
        );
        match operation.action {
            _ if operation.monitor => return,
            Action::Stop => Span::add(&mut decision.stop, from, now),
            Action::Start => Span::add(&mut decision.start, from, now),
            // Asked before a start, and a part of it.
            Action::Status => {}
            Action::Announce | Action::Validate => return,
        }
        let is_address = matches!(operation.resource.built_in, Some(BuiltIn::Address(_)));
        if is_address && operation.action == Action::Start && *outcome == Outcome::Ok {
            decision.announced += 1;
        }
        if decision.steps.len() < STEPS_MAX {
            decision.steps.push(HistoryStep {
                resource: operation.resource.text.clone(),
                action: operation.action.word().to_owned(),
                ms: millis(lasted),
                outcome: outcome.describe(),
            });
        }
    }

    /// Whether what the peer says of a group is something else than before.
    pub(crate) fn is_news(&self, group: &str, claim: Option<GroupClaim>) -> bool {
        self.seen.get(group).is_none_or(|seen| seen.there != claim)
    }

    /// Takes note of what the peer says of a group, at the moment at which it is known here. Returns
    /// the entry of this node's last release when that completes it.
    pub(crate) fn note_peer(
        &mut self,
        group: &GroupKey,
        here: GroupClaim,
        claim: Option<GroupClaim>,
        now: Instant,
    ) -> Option<HistoryEntry> {
        let peer = self.peer.clone()?;
        let seen = self.seen.entry(group.clone()).or_default();
        let before = std::mem::replace(&mut seen.there, claim);
        let claim = claim.filter(|claim| before != Some(*claim))?;
        match claim {
            // Both have it: whoever lets go tells of it.
            GroupClaim::Held if here == GroupClaim::Held => return None,
            GroupClaim::Held => return self.arrived(group, &peer, now),
            GroupClaim::Acquiring => Span::add(&mut seen.start, now, now),
            GroupClaim::Releasing => Span::add(&mut seen.stop, now, now),
            GroupClaim::Released | GroupClaim::Failed | GroupClaim::Blocked => {
                if matches!(before, Some(GroupClaim::Held | GroupClaim::Releasing)) {
                    Span::add(&mut seen.stop, now, now);
                }
            }
        }
        if seen.owner.as_ref() == Some(&peer) && before == Some(GroupClaim::Held) {
            seen.down.get_or_insert((now, OutageSince::Stopped));
        }
        None
    }

    /// The peer serves the group.
    fn arrived(&mut self, group: &GroupKey, peer: &str, now: Instant) -> Option<HistoryEntry> {
        let seen = self.seen.entry(group.clone()).or_default();
        if self.under_way.contains_key(group) {
            // Both have it, or will: whoever lets go tells of it.
            return None;
        }
        Span::add(&mut seen.start, now, now);
        let done = Seen { owner: Some(peer.to_owned()), there: seen.there, ..Seen::default() };
        let seen = std::mem::replace(seen, done);
        let (since, why) = seen.down?;
        self.amend(seen.pending?, |entry| {
            entry.to = Some(peer.to_owned());
            entry.start_ms = seen.start.map(Span::ms);
            entry.outage_ms = Some(millis(now - since));
            entry.outage_since = Some(why);
        })
    }

    /// Who serves a group, as far as status knows: for a peer that does not speak of single groups.
    pub(crate) fn note_owner(&mut self, group: &GroupKey, is_peer: bool) {
        let Some(peer) = self.peer.clone().filter(|_| is_peer) else { return };
        let seen = self.seen.entry(group.clone()).or_default();
        if seen.down.is_none() && !self.under_way.contains_key(group) {
            seen.owner = Some(peer);
        }
    }

    /// The peer is silent since `heard`: what it had may be served by nobody since then.
    pub(crate) fn peer_silent(&mut self, heard: Option<Instant>) {
        let Some(heard) = heard else { return };
        for seen in self.seen.values_mut() {
            let owns = self.peer.is_some() && seen.owner == self.peer;
            seen.there = None;
            if owns {
                seen.down.get_or_insert((heard, OutageSince::LastHeard));
            }
        }
    }

    /// Whether a move of the group is under way here.
    pub(crate) fn is_moving(&self, group: &str) -> bool {
        self.under_way.contains_key(group)
    }
}

impl Decision {
    fn stop_or_start(&self) -> bool {
        self.stop.is_some() || self.start.is_some()
    }

    /// The entry of the move that ends with this transition; what only its history knows is left out.
    fn entry(&self, group: &str, transition: &Transition, now: Instant) -> HistoryEntry {
        let went_wrong = matches!(transition.to.as_str(), "failed" | "blocked");
        let (cause, reason) = match went_wrong {
            true => (&transition.cause, &transition.reason),
            false => (&self.cause, &self.reason),
        };
        HistoryEntry {
            kind: EntryKind::Move,
            group: group.to_owned(),
            cause: cause.clone(),
            reason: reason.clone(),
            by: self.by.clone().filter(|_| !went_wrong),
            elapsed_ms: millis(now - self.at),
            stop_ms: self.stop.map(Span::ms),
            start_ms: self.start.map(Span::ms),
            announced: self.announced,
            steps: self.steps.clone(),
            ..HistoryEntry::default()
        }
    }
}
