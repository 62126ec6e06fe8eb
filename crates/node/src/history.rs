//! The last moves of the groups and how long each took, from the decision to the end. It keeps
//! them in memory; `Effect::History` hands each one to the shell, which makes it persistent.

use std::collections::{BTreeMap, VecDeque};

use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;
use hb_resource::operation::GroupKey;
use hb_resource::output::Transition;
use serde::{Deserialize, Serialize};

use crate::api::HistoryEntry;
use crate::report::millis;

/// Moves kept: a year of weekly drills in both directions, and a screen that still scrolls.
pub const ENTRIES_MAX: usize = 256;

/// When and why a group left its last lasting state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decision {
    at: Instant,
    cause: String,
    reason: String,
}

/// The ring of completed moves and the moves under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    entries: VecDeque<HistoryEntry>,
    number: u64,
    /// One at most for each group.
    under_way: BTreeMap<GroupKey, Decision>,
}

impl History {
    /// Oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.entries.iter()
    }

    /// The last completed move.
    pub fn last(&self) -> Option<&HistoryEntry> {
        self.entries.iter().rev().find(|entry| entry.overlap_ms.is_none())
    }

    /// Takes note of a transition of the manager; returns the entry when it completes a move.
    ///
    /// A move begins when a group starts to be acquired or released and ends when it is held,
    /// released, failed or blocked. Its cause is that of the beginning, except where the end has
    /// one of its own because it went wrong.
    pub fn note(
        &mut self,
        transition: &Transition,
        now: Instant,
        unix_s: u64,
    ) -> Option<HistoryEntry> {
        let group = transition.group.as_ref()?;
        let what = match GroupClaim::from_word(&transition.to)? {
            GroupClaim::Acquiring | GroupClaim::Releasing => {
                self.begin(group, transition, now);
                return None;
            }
            GroupClaim::Held => "acquired",
            GroupClaim::Released => "released",
            GroupClaim::Failed => "failed",
            GroupClaim::Blocked => "blocked",
        };
        let begun = self.under_way.remove(group);
        let elapsed = begun.as_ref().map_or(std::time::Duration::ZERO, |begun| now - begun.at);
        let went_wrong = matches!(what, "failed" | "blocked");
        let (cause, reason) = match begun {
            Some(begun) if !went_wrong => (begun.cause, begun.reason),
            Some(_) | None => (transition.cause.clone(), transition.reason.clone()),
        };
        Some(self.add(HistoryEntry {
            number: 0,
            unix_s,
            group: group.clone(),
            what: what.to_owned(),
            cause,
            reason,
            elapsed_ms: millis(elapsed),
            overlap_ms: None,
        }))
    }

    /// Keeps an entry under the next number and returns it so.
    pub(crate) fn add(&mut self, mut entry: HistoryEntry) -> HistoryEntry {
        self.number += 1;
        entry.number = self.number;
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry.clone());
        entry
    }

    /// A change of direction in the middle is a decision of its own and starts the measurement
    /// again; a repeat of the same direction (a stop that is retried) does not.
    fn begin(&mut self, group: &GroupKey, transition: &Transition, now: Instant) {
        if transition.from == transition.to && self.under_way.contains_key(group) {
            return;
        }
        let decision = Decision {
            at: now,
            cause: transition.cause.clone(),
            reason: transition.reason.clone(),
        };
        self.under_way.insert(group.clone(), decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(group: &str, from: &str, to: &str, cause: &str) -> Transition {
        Transition {
            group: Some(group.into()),
            from: from.into(),
            to: to.into(),
            cause: cause.into(),
            reason: format!("because {cause}"),
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_move_lasts_from_the_decision_to_the_end_and_keeps_its_cause() {
        let mut history = History::default();
        let begin = change("www", "released", "acquiring", "peer_dead");
        assert_eq!(history.note(&begin, at(100), 7), None);
        let end = change("www", "acquiring", "held", "start_ok");
        let entry = history.note(&end, at(340), 8).expect("completes");
        assert_eq!((entry.number, entry.unix_s, entry.elapsed_ms), (1, 8, 240));
        assert_eq!((entry.what.as_str(), entry.cause.as_str()), ("acquired", "peer_dead"));
        assert_eq!(history.last(), Some(&entry));
    }

    #[test]
    fn what_went_wrong_is_named_by_its_own_cause() {
        let mut history = History::default();
        history.note(&change("www", "held", "releasing", "standby"), at(0), 0);
        history.note(&change("www", "releasing", "releasing", "stop_failed"), at(50), 0);
        let entry = history
            .note(&change("www", "releasing", "blocked", "stop_failed"), at(90), 0)
            .expect("completes");
        assert_eq!((entry.cause.as_str(), entry.elapsed_ms), ("stop_failed", 90));
    }

    #[test]
    fn groups_are_measured_apart_and_the_node_itself_is_not_a_move() {
        let mut history = History::default();
        history.note(&change("a", "released", "acquiring", "startup"), at(0), 0);
        history.note(&change("b", "released", "acquiring", "startup"), at(10), 0);
        let b = history.note(&change("b", "acquiring", "held", "x"), at(20), 0).expect("ends");
        let a = history.note(&change("a", "acquiring", "held", "x"), at(20), 0).expect("ends");
        assert_eq!((a.elapsed_ms, b.elapsed_ms), (20, 10));
        let mut node = change("a", "starting", "stable", "x");
        node.group = None;
        assert_eq!(history.note(&node, at(30), 0), None);
        assert_eq!(history.note(&change("a", "x", "stable", "x"), at(30), 0), None);
    }

    #[test]
    fn the_ring_is_bounded_and_numbers_go_on() {
        let mut history = History::default();
        for _ in 0..ENTRIES_MAX + 10 {
            history.note(&change("a", "acquiring", "held", "x"), at(0), 0);
        }
        assert_eq!(history.entries().count(), ENTRIES_MAX);
        assert_eq!(history.entries().next().map(|entry| entry.number), Some(11));
        assert_eq!(history.last().map(|entry| entry.number), Some(266));
    }
}
