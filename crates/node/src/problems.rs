//! What is not as it should be: found from what is known here, each with why and what to do.
//! It reports; it never acts.

mod links;
mod operator;
mod recent;
mod splits;

use hb_messaging::message::NodeStatus;
use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;

use crate::api::{KeyStatus, Verdict};
use crate::doubt::Doubt;
use crate::equal;
use crate::ipfail::Ipfail;
use crate::keys;
use crate::snapshot::{Service, View};

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

impl View<'_> {
    /// Everything that is not as it should be.
    pub(crate) fn problems(&self, now: Instant) -> Vec<Finding> {
        let mut found = Vec::new();
        self.find_splits(now, &mut found);
        self.find_in_groups(&mut found);
        self.find_in_peer(now, &mut found);
        self.find_in_links(now, &mut found);
        self.find_in_readiness(&mut found);
        self.find_hung(now, &mut found);
        self.find_maintenance(now, &mut found);
        self.find_fencing(&mut found);
        self.find_in_members(&mut found);
        self.find_in_pings(&mut found);
        self.find_in_reach(&mut found);
        self.find_rivals(now, &mut found);
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
            let service = self.service_as(key, Some(here));
            let unserved = service == Service::Nobody
                && self.is_settled()
                && self.claimed_by_silent_peer(key).is_none();
            let lost = if unserved { Verdict::Down } else { Verdict::Degraded };
            for (claim, is_here) in [(Some(here), true), (peer, false)] {
                let place = || match is_here {
                    true => format!("here: {}", group.reason()),
                    false => format!("on {}", self.peer_name()),
                };
                match claim {
                    Some(GroupClaim::Failed) => {
                        let text = format!("group {key} failed to start: {}", place());
                        let hint = "read the agent's message, mend the cause, then: hb cleanup";
                        add("group_failed", lost, text, hint);
                    }
                    Some(GroupClaim::Blocked) => {
                        let text = format!("group {key} could not be stopped: {}", place());
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
                    "hb cleanup tries again, once the cause is mended; hb takeover when it was stopped",
                );
            }
        }
    }

    fn find_in_peer(&self, now: Instant, found: &mut Vec<Finding>) {
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
        for (part, text) in self.differences() {
            let hint = format!(
                "hb push-config --dry-run {part} shows the difference; hb push-config --reload {part} \
                 gives this node's to {name}"
            );
            add("config_differs", part, text, &hint);
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
        } else if self.node.watch.peer_left() {
            let text = format!("{name} was stopped in order");
            add("peer_dead", name.as_str(), text, "start heartbeat there to have a standby again");
        } else if peer.generation == 0 && peer.heard_ms_ago.is_none() {
            let text = format!("{name} was never heard since this node started");
            let hint = "is heartbeat running there, and are udpport, keys and links the same?";
            add("peer_never_seen", name.as_str(), text, hint);
        } else {
            let text = match self.peer_machine_answers(now) {
                true => {
                    format!("{name} is silent: no heartbeat within deadtime; its machine answers")
                }
                false => format!("{name} is dead: no heartbeat within deadtime"),
            };
            add("peer_dead", name.as_str(), text, "look at its power, its network and heartbeat");
        }
    }

    /// What differs between the configurations of the two nodes: the file, and in words.
    pub(crate) fn differences(&self) -> Vec<(&str, String)> {
        let node = self.node;
        let theirs = &node.peer_says.config;
        let same_version = node.peer_version.as_deref() == Some(env!("CARGO_PKG_VERSION"));
        let mut found: Vec<(&str, String)> = equal::differing(&node.config, theirs, same_version)
            .into_iter()
            .map(|part| (part, format!("{part} does not mean the same on both nodes")))
            .collect();
        if let Some(difference) = node.watch.difference() {
            found.retain(|(part, _)| *part != equal::HARESOURCES);
            found.push((equal::HARESOURCES, format!("haresources differs: {difference}")));
        }
        found
    }

    /// The key that signs here, when the peer says that it does not have it.
    fn unconfirmed_key(&self) -> Option<KeyStatus> {
        let theirs = self.node.peer_keys.as_ref()?;
        let signs = keys::signing(self.node.messaging.key_list())?;
        let confirmed = theirs.iter().any(|key| signs.is(key));
        (!confirmed).then(|| signs.into())
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

    /// The worst of the findings; a transition under way is no fault but not healthy either.
    pub(crate) fn verdict(&self, findings: &[Finding]) -> Verdict {
        let worst = findings.iter().map(|finding| finding.verdict).max();
        let base = if self.is_settled() { Verdict::Healthy } else { Verdict::Transition };
        worst.map_or(base, |worst| worst.max(base))
    }
}
