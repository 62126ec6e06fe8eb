//! What must be remembered to find problems: late heartbeats, wrong signatures, standstills, how the
//! peer left, and since when each problem exists. It judges nothing; `problems` does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_config::settings::NodeName;
use hb_messaging::engine::Event;
use hb_messaging::message::{Body, NodeStatus};
use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

use crate::api::Problem;
use crate::problems::Finding;
use crate::since::Since;

/// How long something that happened once stays a problem: long enough to be seen by a monitoring
/// system that asks every minute.
const RECENT: Duration = Duration::from_secs(120);

/// A run of events of one kind, the worst of them in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Late {
    last: Instant,
    count: u64,
    worst_ms: u64,
}

impl Late {
    fn after(before: Option<Self>, now: Instant, late_ms: u64) -> Self {
        let before = before.filter(|late| recent(late.last, now));
        Self {
            last: now,
            count: before.map_or(0, |late| late.count) + 1,
            worst_ms: before.map_or(0, |late| late.worst_ms).max(late_ms),
        }
    }
}

/// What must be remembered to find problems.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// One for each configured node at most.
    late: BTreeMap<NodeName, Late>,
    /// This process stood still.
    stall: Option<Late>,
    bad_auth_seen: u64,
    bad_auth: Option<Late>,
    /// The peer said that it leaves.
    peer_left: bool,
    /// How the peer's groups differ from ours.
    difference: Option<String>,
    since: Since<(String, String), ()>,
}

impl Watch {
    /// Takes note of what messaging noticed; `bad_auth` is the counter of refused signatures.
    pub(crate) fn note(&mut self, event: &Event, now: Instant, bad_auth: u64) {
        match event {
            // Who slept hears everybody late.
            Event::LateHeartbeat { .. } if self.stall.is_some_and(|own| own.last == now) => {}
            Event::LateHeartbeat { node, interval_ms } => {
                let late = Late::after(self.late.get(node).copied(), now, *interval_ms);
                self.late.insert(node.clone(), late);
            }
            Event::Refused { .. } if bad_auth > self.bad_auth_seen => {
                let before = self.bad_auth.filter(|late| recent(late.last, now));
                let count = before.map_or(0, |late| late.count) + bad_auth - self.bad_auth_seen;
                self.bad_auth_seen = bad_auth;
                self.bad_auth = Some(Late { last: now, count, worst_ms: 0 });
            }
            Event::Received { body: Body::Shutdone, .. } => self.peer_left = true,
            Event::NodeStatus {
                node,
                from,
                to: NodeStatus::Init | NodeStatus::Up | NodeStatus::Active,
                ..
            } => {
                self.peer_left = false;
                if *from == NodeStatus::Dead {
                    // The silence led to its death and was told as that.
                    self.late.remove(node);
                }
            }
            Event::PeerRestarted { .. } => self.peer_left = false,
            Event::Active
            | Event::NodeStatus { .. }
            | Event::ReturnedAfterPartition { .. }
            | Event::LinkStatus { .. }
            | Event::PeerExtensions { .. }
            | Event::Received { .. }
            | Event::Refused { .. } => {}
        }
    }

    /// This process stood still for so long and was found to at `now`.
    pub(crate) fn note_stall(&mut self, now: Instant, late_ms: u64) {
        self.stall = Some(Late::after(self.stall, now, late_ms));
    }

    /// How the peer's list of groups differs from ours, if it does.
    pub(crate) fn note_difference(&mut self, difference: Option<String>) {
        self.difference = difference;
    }

    /// Remembers since when each problem exists and forgets those that are over.
    pub(crate) fn remember(&mut self, findings: &[Finding], now: Instant) {
        let keys: BTreeSet<_> = findings
            .iter()
            .map(|finding| (finding.id.to_owned(), finding.subject.clone()))
            .collect();
        self.since.keep_only(&keys);
        for key in keys {
            self.since.note(&key, (), now);
        }
    }

    /// Findings with their ages, the worst first.
    pub(crate) fn dated(&self, mut findings: Vec<Finding>, now: Instant) -> Vec<Problem> {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        findings
            .into_iter()
            .map(|Finding { id, subject, text, hint, .. }| Problem {
                since_ms: self.since.lasted_ms(&(id.to_owned(), subject.clone()), now),
                id: id.to_owned(),
                subject,
                text,
                hint,
            })
            .collect()
    }

    pub(crate) fn has_recent_bad_auth(&self, now: Instant) -> bool {
        self.bad_auth.is_some_and(|seen| recent(seen.last, now))
    }

    /// How the peer's list of groups differs from ours, if it does.
    pub(crate) fn difference(&self) -> Option<&str> {
        self.difference.as_deref()
    }

    /// The peer said that it leaves.
    pub(crate) fn peer_left(&self) -> bool {
        self.peer_left
    }

    /// Runs of late heartbeats that are recent: of whom, how many, and the worst in ms.
    pub(crate) fn late(&self, now: Instant) -> impl Iterator<Item = (&NodeName, u64, u64)> {
        let late = self.late.iter().filter(move |(_, late)| recent(late.last, now));
        late.map(|(node, late)| (node, late.count, late.worst_ms))
    }

    /// Recent standstills of this process: how many, and the worst in ms.
    pub(crate) fn stalls(&self, now: Instant) -> Option<(u64, u64)> {
        let stall = self.stall.filter(|stall| recent(stall.last, now))?;
        Some((stall.count, stall.worst_ms))
    }

    /// Recent datagrams with a wrong signature.
    pub(crate) fn bad_auth(&self, now: Instant) -> Option<u64> {
        self.bad_auth.filter(|seen| recent(seen.last, now)).map(|seen| seen.count)
    }
}

fn recent(at: Instant, now: Instant) -> bool {
    now - at < RECENT
}

#[cfg(test)]
mod tests {
    use hb_messaging::engine::LinkId;

    use super::*;
    use crate::api::Verdict;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn refused() -> Event {
        Event::Refused { link: LinkId(0), reason: "wrong key".into() }
    }

    #[test]
    fn only_wrong_signatures_count_as_such_and_they_are_forgotten() {
        let mut watch = Watch::default();
        watch.note(&refused(), at(0), 0);
        assert!(!watch.has_recent_bad_auth(at(1)));
        watch.note(&refused(), at(1_000), 7);
        assert!(watch.has_recent_bad_auth(at(60_000)));
        assert!(!watch.has_recent_bad_auth(at(121_000)));
    }

    #[test]
    fn late_heartbeats_are_counted_while_they_are_recent() {
        let mut watch = Watch::default();
        let node = NodeName::new("node2");
        let mut late = |millis: u64, interval_ms| {
            let event = Event::LateHeartbeat { node: node.clone(), interval_ms };
            watch.note(&event, at(millis), 0);
            watch.late[&node]
        };
        assert_eq!(late(0, 700).count, 1);
        let second = late(5_000, 500);
        assert_eq!((second.count, second.worst_ms), (2, 700));
        let much_later = late(500_000, 300);
        assert_eq!((much_later.count, much_later.worst_ms), (1, 300));
    }

    #[test]
    fn a_problem_keeps_its_age_while_it_lasts() {
        let mut watch = Watch::default();
        let finding = |id| Finding {
            id,
            subject: "eth1".into(),
            text: String::new(),
            hint: String::new(),
            verdict: Verdict::Degraded,
        };
        watch.remember(&[finding("link_down")], at(10));
        watch.remember(&[finding("link_down"), finding("ping_dead")], at(20));
        let ages = |watch: &Watch, millis| {
            let findings = vec![finding("link_down"), finding("ping_dead")];
            let dated = watch.dated(findings, at(millis));
            dated.iter().map(|problem| problem.since_ms).collect::<Vec<_>>()
        };
        assert_eq!(ages(&watch, 30), [20, 10]);
        watch.remember(&[finding("ping_dead")], at(40));
        watch.remember(&[finding("link_down"), finding("ping_dead")], at(50));
        assert_eq!(ages(&watch, 60), [10, 40]);
    }
}
