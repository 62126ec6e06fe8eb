//! What is not as it should be: found from what is known here, each with why and what to do.
//! It reports; it never acts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_config::settings::NodeName;
use hb_messaging::engine::Event;
use hb_messaging::message::{Body, NodeStatus};
use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;

use crate::api::{KeyStatus, Problem, Verdict};
use crate::doubt::Doubt;
use crate::ipfail::Ipfail;
use crate::keys;
use crate::since::Since;
use crate::snapshot::{Service, View};

/// How long something that happened once stays a problem: long enough to be seen by a monitoring
/// system that asks every minute.
const RECENT: Duration = Duration::from_secs(120);

/// Something wrong. `id` and `subject` identify it over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) hint: String,
    /// What it alone makes of the verdict.
    pub(crate) verdict: Verdict,
}

/// A run of events of one kind, the worst of them in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default)]
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
    since: Since<(&'static str, String), ()>,
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
        let keys: BTreeSet<_> =
            findings.iter().map(|finding| (finding.id, finding.subject.clone())).collect();
        self.since.keep_only(&keys);
        for key in keys {
            self.since.note(key, (), now);
        }
    }

    /// Findings with their ages, the worst first.
    pub(crate) fn dated(&self, mut findings: Vec<Finding>, now: Instant) -> Vec<Problem> {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        findings
            .into_iter()
            .map(|Finding { id, subject, text, hint, .. }| Problem {
                since_ms: self.since.lasted_ms(&(id, subject), now),
                id: id.to_owned(),
                text,
                hint,
            })
            .collect()
    }

    pub(crate) fn has_recent_bad_auth(&self, now: Instant) -> bool {
        self.bad_auth.is_some_and(|seen| recent(seen.last, now))
    }

    pub(crate) fn differs(&self) -> bool {
        self.difference.is_some()
    }
}

fn recent(at: Instant, now: Instant) -> bool {
    now - at < RECENT
}

impl View<'_> {
    /// Everything that is not as it should be.
    pub(crate) fn problems(&self, now: Instant) -> Vec<Finding> {
        let mut found = Vec::new();
        self.find_in_groups(&mut found);
        self.find_in_peer(&mut found);
        self.find_in_links(&mut found);
        self.find_in_pings(&mut found);
        self.find_in_reach(&mut found);
        self.find_in_traffic(now, &mut found);
        found
    }

    fn find_in_groups(&self, found: &mut Vec<Finding>) {
        for group in self.node.manager.groups() {
            let key = group.key();
            let mut add = |id, verdict, text: String, hint: &str| {
                let hint = hint.to_owned();
                found.push(Finding { id, subject: key.to_owned(), text, hint, verdict });
            };
            let here = group.claim();
            let peer = self.peer_claim(key);
            let peer_name = self.peer_name();
            let service = self.service(key);
            if service == Service::Both {
                let text = format!("both this node and {peer_name} claim group {key}");
                let hint = "if this lasts, stop heartbeat on the node that must not serve it";
                add("split", Verdict::Split, text, hint);
            }
            let unserved = service == Service::Nobody && self.is_settled();
            let lost = if unserved { Verdict::Down } else { Verdict::Degraded };
            let sides = [(Some(here), format!("here: {}", group.reason())), (peer, peer_name)];
            for (claim, place) in sides {
                match claim {
                    Some(GroupClaim::Failed) => {
                        let text = format!("group {key} failed to start: {place}");
                        let hint = "read the agent's message, mend the cause, then: hb cleanup";
                        add("group_failed", lost, text, hint);
                    }
                    Some(GroupClaim::Blocked) => {
                        let text = format!("group {key} could not be stopped: {place}");
                        let hint = "parts may still run: stop them by hand, then: hb cleanup";
                        add("group_blocked", lost, text, hint);
                    }
                    Some(
                        GroupClaim::Released
                        | GroupClaim::Acquiring
                        | GroupClaim::Held
                        | GroupClaim::Releasing,
                    )
                    | None => {}
                }
            }
            if unserved {
                let text = format!("group {key} is served by no node");
                add(
                    "group_not_served",
                    Verdict::Down,
                    text,
                    "hb takeover, or see the reason below",
                );
            }
        }
    }

    fn find_in_peer(&self, found: &mut Vec<Finding>) {
        let mut add = |id, subject: &str, text: String, hint: &str| {
            let (subject, hint) = (subject.to_owned(), hint.to_owned());
            found.push(Finding { id, subject, text, hint, verdict: Verdict::Degraded });
        };
        let Some(peer) = self.peer() else {
            if self.node.profile.peer.is_none() {
                let text = "ha.cf names only this node: nobody could take over".to_owned();
                add("no_peer", "", text, "add a node line for a second machine");
            }
            return;
        };
        let name = &peer.name;
        if let Some(difference) = &self.node.watch.difference {
            let text = format!("haresources differs: {difference}");
            add("config_differs", name.as_str(), text, "make haresources the same on both nodes");
        }
        if let Some(key) = self.unconfirmed_key() {
            let KeyStatus { index, method, fingerprint, .. } = key;
            let text = format!(
                "{name} does not have key {index} ({method}, {fingerprint}), which signs here"
            );
            let hint = format!("grep '^{index} ' /etc/ha.d/authkeys | ssh root@{name} hb key add");
            add("key_unconfirmed", name.as_str(), text, &hint);
        }
        if peer.status != NodeStatus::Dead {
            return;
        }
        if let Some(hold) = self.node.doubt.as_ref().and_then(Doubt::hold) {
            let text = format!("{name} is silent, not taken for dead: {}", hold.text);
            add("peer_lost", name.as_str(), text, &hold.hint);
        } else if self.node.watch.peer_left {
            let text = format!("{name} was stopped in order");
            add("peer_dead", name.as_str(), text, "start heartbeat there to have a standby again");
        } else if peer.generation == 0 && peer.heard_ms_ago.is_none() {
            let text = format!("{name} was never heard since this node started");
            let hint = "is heartbeat running there, and are udpport, keys and links the same?";
            add("peer_never_seen", name.as_str(), text, hint);
        } else {
            let text = format!("{name} is dead: no heartbeat within deadtime");
            add("peer_dead", name.as_str(), text, "look at its power, its network and heartbeat");
        }
    }

    /// The key that signs here, when the peer says that it does not have it.
    fn unconfirmed_key(&self) -> Option<KeyStatus> {
        let theirs = self.node.peer_keys.as_ref()?;
        let own = keys::read(self.node.messaging.key_list());
        let signs = own.into_iter().find(|key| key.active)?;
        let confirmed = theirs.iter().any(|key| key.is_same_key(&signs));
        (!confirmed).then_some(signs)
    }

    /// A link is only called down while the peer is heard otherwise, or when our own socket fails:
    /// a silent peer is one problem, not one for each link.
    fn find_in_links(&self, found: &mut Vec<Finding>) {
        let Some(peer) = self.peer() else { return };
        let heard = matches!(peer.status, NodeStatus::Up | NodeStatus::Active);
        for link in &peer.links {
            let name = &link.name;
            let (text, hint) = match &link.failure {
                Some(failure) => (
                    format!("link {name} does not work here: {failure}"),
                    format!("ip link show {name}"),
                ),
                None if heard && !link.up => (
                    format!("nothing of {} arrives on link {name}", peer.name),
                    format!("check cable, switch and firewall of {name} on both nodes"),
                ),
                None => continue,
            };
            let (subject, verdict) = (name.clone(), Verdict::Degraded);
            found.push(Finding { id: "link_down", subject, text, hint, verdict });
        }
    }

    fn find_in_pings(&self, found: &mut Vec<Finding>) {
        for ping in self.nodes.iter().filter(|node| node.ping && node.status == NodeStatus::Dead) {
            found.push(Finding {
                id: "ping_dead",
                subject: ping.name.to_string(),
                text: format!("ping node {} does not answer", ping.name),
                hint: "check the network between this node and that address".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
    }

    fn find_in_reach(&self, found: &mut Vec<Finding>) {
        let holds = self.node.manager.groups().any(|group| group.claim() == GroupClaim::Held);
        let Some(text) = self.node.ipfail.as_ref().and_then(Ipfail::problem).filter(|_| holds)
        else {
            return;
        };
        found.push(Finding {
            id: "ping_worse",
            subject: String::new(),
            text,
            hint: "check the network between this node and its ping nodes".to_owned(),
            verdict: Verdict::Degraded,
        });
    }

    fn find_in_traffic(&self, now: Instant, found: &mut Vec<Finding>) {
        for (name, late) in &self.node.watch.late {
            if !recent(late.last, now) {
                continue;
            }
            let Late { count, worst_ms, .. } = late;
            found.push(Finding {
                id: "late_heartbeats",
                subject: name.to_string(),
                text: format!("{count} late heartbeats of {name}, the worst after {worst_ms} ms"),
                hint: "load or network: mend it, or raise warntime and deadtime".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
        if let Some(stall) = self.node.watch.stall.filter(|stall| recent(stall.last, now)) {
            let Late { count, worst_ms, .. } = stall;
            found.push(Finding {
                id: "core_stalled",
                subject: String::new(),
                text: format!("this node stood still {count} times, at worst for {worst_ms} ms"),
                hint: "a frozen virtual machine, SIGSTOP, or no processor time left".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
        if let Some(seen) = self.node.watch.bad_auth.filter(|seen| recent(seen.last, now)) {
            found.push(Finding {
                id: "bad_auth",
                subject: String::new(),
                text: format!("{} datagrams with a wrong signature: key mismatch?", seen.count),
                hint: "compare authkeys on both nodes; another cluster on this port?".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
    }

    /// The worst of the findings; a transition under way is no fault but not healthy either.
    pub(crate) fn verdict(&self, findings: &[Finding]) -> Verdict {
        let worst = findings.iter().map(|finding| finding.verdict).max();
        let base = if self.is_settled() { Verdict::Healthy } else { Verdict::Transition };
        worst.map_or(base, |worst| worst.max(base))
    }
}

#[cfg(test)]
mod tests {
    use hb_messaging::engine::LinkId;

    use super::*;

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
