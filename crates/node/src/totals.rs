//! Counts what happens here since the daemon's start, for `StatusSnapshot::activity`. It counts and
//! nothing else: no decision and no other part of status rests on it.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_config::settings::{BuiltIn, Settings};
use hb_resource::operation::{Action, GroupKey, IN_USE_BY_PEER, Operation, Outcome};
use serde::{Deserialize, Serialize};

use crate::api::HistoryEntry;
use crate::api::activity::{Activity, DURATION_LIMITS_US};

/// Causes that are told apart for each group. There are about twenty words; but a peer may send
/// another one, and a counter must not grow with what it sends.
const CAUSES_MAX: usize = 32;
/// The cause of moves beyond [`CAUSES_MAX`].
const OTHER: &str = "other";

/// Totals since the start, and what is remembered to find them. Bounded by haresources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    activity: Activity,
    /// Addresses that a check found taken away and that were not put back yet.
    removed: BTreeSet<(GroupKey, String)>,
    /// hb.toml wants no announcements.
    is_mute: bool,
}

impl Totals {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { is_mute: settings.native.announce.count == 0, ..Self::default() }
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// An operation that was not cancelled has ended.
    pub(crate) fn note_end(&mut self, operation: &Operation, outcome: &Outcome, lasted: Duration) {
        let (group, resource) = (&operation.group, &operation.resource.text);
        let actions = self.activity.actions.entry(group.clone()).or_default();
        let actions = actions.entry(resource.clone()).or_default();
        let word = operation.action.word().to_owned();
        actions.entry(word).or_default().observe(micros(lasted), DURATION_LIMITS_US);
        if has_failed(operation, outcome) {
            let failures = self.activity.failures.entry(group.clone()).or_default();
            *failures.entry(resource.clone()).or_default() += 1;
        }
        self.note_address(operation, outcome);
    }

    fn note_address(&mut self, operation: &Operation, outcome: &Outcome) {
        let is_address = match operation.resource.built_in {
            Some(BuiltIn::Address(_)) => true,
            Some(BuiltIn::SendArp { .. }) => false,
            None => return,
        };
        let key = (operation.group.clone(), operation.resource.text.clone());
        match (operation.action, outcome) {
            (Action::Start | Action::Announce, Outcome::Ok) => {
                self.activity.announcements += u64::from(!self.is_mute);
                let is_back = operation.action == Action::Start && self.removed.remove(&key);
                self.activity.vip_restored += u64::from(is_back);
            }
            (Action::Status, Outcome::NotRunning) if operation.monitor && is_address => {
                self.removed.insert(key);
            }
            (
                Action::Start | Action::Announce | Action::Status | Action::Stop | Action::Validate,
                _,
            ) => {}
        }
    }

    /// A move has ended here: counted by the node that has the group then.
    pub(crate) fn note_move(&mut self, entry: &HistoryEntry) {
        // The other node, which releases, does not count: a move is one.
        if entry.what == "acquired" {
            let causes = self.activity.moves.entry(entry.group.clone()).or_default();
            let is_known = causes.len() < CAUSES_MAX || causes.contains_key(&entry.cause);
            let cause = if is_known { &entry.cause } else { OTHER };
            *causes.entry(cause.to_owned()).or_default() += 1;
        }
        if entry.what != "acquired" && entry.what != "restarted" {
            self.removed.retain(|(group, _)| *group != entry.group);
        }
    }

    /// Both nodes were found to serve a group.
    pub(crate) fn note_split(&mut self) {
        self.activity.splits += 1;
    }

    /// This process stood still.
    pub(crate) fn note_pause(&mut self, ms: u64) {
        self.activity.pauses.observe(ms.saturating_mul(1_000), DURATION_LIMITS_US);
    }

    /// Fencing ended: `fenced`, `failed` or `confirmed`.
    pub(crate) fn note_fence(&mut self, what: &str) {
        *self.activity.fences.entry(what.to_owned()).or_default() += 1;
    }

    /// The guard of the held addresses has announced some again, and met other hosts that claim one.
    pub(crate) fn note_guard(&mut self, announced: u64, conflicts: u64) {
        let add = |total: &mut u64, more: u64| *total = total.saturating_add(more);
        add(&mut self.activity.announcements, announced);
        add(&mut self.activity.vip_conflicts, conflicts);
    }
}

/// Whether a start, a stop or a check of something that should run went wrong. That the other node's
/// machine still answers for an address is no failure of the address, and a check that cannot be
/// run says nothing of what it checks.
fn has_failed(operation: &Operation, outcome: &Outcome) -> bool {
    match (operation.action, outcome) {
        (_, Outcome::Ok)
        | (_, Outcome::Failed { code: Some(IN_USE_BY_PEER), .. })
        | (Action::Announce | Action::Validate, _)
        | (Action::Status, Outcome::CouldNotRun { .. }) => false,
        (Action::Start | Action::Stop, _) => true,
        (Action::Status, Outcome::NotRunning | Outcome::Failed { .. } | Outcome::TimedOut) => {
            operation.monitor
        }
    }
}

fn micros(lasted: Duration) -> u64 {
    u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hb_config::settings::{AddressSpec, AgentSpec, ResourceSpec};
    use hb_resource::operation::OpId;

    use super::*;

    /// By group, and then by what the inner map is about.
    type Nested = BTreeMap<String, BTreeMap<String, u64>>;

    fn operation(resource: &str, action: Action, monitor: bool) -> Operation {
        let agent = AgentSpec::Script { name: resource.into(), args: Vec::new() };
        let address = BuiltIn::Address(AddressSpec {
            ip: [10, 0, 0, 50].into(),
            prefix_len: None,
            interface: None,
            broadcast: None,
            label: None,
        });
        Operation {
            id: OpId(1),
            group: "www".into(),
            resource: ResourceSpec {
                text: resource.into(),
                agent,
                built_in: (resource == "vip").then_some(address),
            },
            action,
            timeout: Duration::from_secs(60),
            kill: false,
            monitor,
            probe: false,
        }
    }

    fn entry(what: &str, cause: &str) -> HistoryEntry {
        HistoryEntry {
            group: "www".into(),
            what: what.into(),
            cause: cause.into(),
            ..HistoryEntry::default()
        }
    }

    fn nested(pairs: &[(&str, u64)]) -> Nested {
        let inner: BTreeMap<String, u64> =
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        if inner.is_empty() { Nested::new() } else { Nested::from([("www".to_owned(), inner)]) }
    }

    #[test]
    fn failures_are_those_of_starts_stops_and_checks() {
        let failed = || Outcome::Failed { code: Some(1), reason: "no disk".into() };
        let check = |action, monitor, outcome: Outcome, fails: bool| {
            let mut totals = Totals::default();
            totals.note_end(&operation("nginx", action, monitor), &outcome, Duration::ZERO);
            let expect = if fails { nested(&[("nginx", 1)]) } else { nested(&[]) };
            assert_eq!(totals.activity.failures, expect, "{action:?} {outcome:?}");
            let actions = &totals.activity.actions["www"]["nginx"];
            assert_eq!(actions[action.word()].count, 1);
        };
        check(Action::Start, false, Outcome::Ok, false);
        check(Action::Start, false, failed(), true);
        check(Action::Start, false, Outcome::TimedOut, true);
        check(Action::Stop, false, failed(), true);
        check(Action::Status, true, Outcome::NotRunning, true);
        check(Action::Status, true, Outcome::TimedOut, true);
        check(Action::Status, true, Outcome::CouldNotRun { reason: "gone".into() }, false);
        check(Action::Status, false, Outcome::NotRunning, false);
        check(Action::Validate, false, failed(), false);
        let held_back = Outcome::Failed { code: Some(IN_USE_BY_PEER), reason: String::new() };
        check(Action::Start, false, held_back, false);
    }

    #[test]
    fn an_address_that_was_taken_away_and_came_back_is_restored_once() {
        let mut totals = Totals::default();
        let start = operation("vip", Action::Start, false);
        let gone = operation("vip", Action::Status, true);
        totals.note_end(&start, &Outcome::Ok, Duration::ZERO);
        assert_eq!((totals.activity.vip_restored, totals.activity.announcements), (0, 1));
        totals.note_end(&gone, &Outcome::NotRunning, Duration::ZERO);
        totals.note_end(&start, &Outcome::Ok, Duration::ZERO);
        totals.note_end(&start, &Outcome::Ok, Duration::ZERO);
        assert_eq!((totals.activity.vip_restored, totals.activity.announcements), (1, 3));
        // Given up instead: the next start is a move.
        totals.note_end(&gone, &Outcome::NotRunning, Duration::ZERO);
        totals.note_move(&entry("failed", "failed"));
        totals.note_end(&start, &Outcome::Ok, Duration::ZERO);
        assert_eq!(totals.activity.vip_restored, 1);
        totals.note_guard(2, 1);
        assert_eq!((totals.activity.announcements, totals.activity.vip_conflicts), (6, 1));
    }

    #[test]
    fn moves_are_counted_by_cause_and_causes_are_bounded() {
        let mut totals = Totals::default();
        for (what, cause) in [
            ("acquired", "peer_dead"),
            ("released", "takeover"),
            ("acquired", "standby"),
            ("acquired", "peer_dead"),
            ("restarted", "failed"),
            ("failed", "start_failed"),
        ] {
            totals.note_move(&entry(what, cause));
        }
        assert_eq!(totals.activity.moves, nested(&[("peer_dead", 2), ("standby", 1)]));
        for number in 0..100 {
            totals.note_move(&entry("acquired", &format!("cause{number}")));
        }
        let causes = &totals.activity.moves["www"];
        assert_eq!((causes.len(), causes[OTHER]), (CAUSES_MAX + 1, 70));
        assert_eq!(causes.values().sum::<u64>(), 103);
    }

    #[test]
    fn times_are_distributed() {
        let mut totals = Totals::default();
        let start = operation("nginx", Action::Start, false);
        for ms in [3, 4, 700] {
            totals.note_end(&start, &Outcome::Ok, Duration::from_millis(ms));
        }
        totals.note_pause(2_000);
        let starts = &totals.activity.actions["www"]["nginx"]["start"];
        assert_eq!((starts.at_most(5_000), starts.at_most(1_000_000)), (2, 3));
        assert_eq!((starts.max_us, starts.sum_us), (700_000, 707_000));
        assert_eq!(totals.activity.pauses.at_most(2_500_000), 1);
    }
}
