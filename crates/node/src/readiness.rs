//! Could the other node take over? Each reason that speaks against it, in words; an empty list is a
//! claim that was tested: both nodes said so within the last heartbeats. It judges nothing else.

use hb_messaging::message::NodeStatus;
use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;

use crate::api::Verdict;
use crate::problems::Finding;
use crate::snapshot::{Service, View};

impl View<'_> {
    /// Why the other node could not take over at this moment, the gravest first; empty when it
    /// could.
    pub(crate) fn unready(&self, now: Instant) -> Vec<String> {
        let Some(peer) = self.peer() else {
            return vec!["ha.cf names only this node".to_owned()];
        };
        if peer.status != NodeStatus::Active {
            let heard = peer.generation != 0 || peer.heard_ms_ago.is_some();
            let state =
                if heard { peer.status.word() } else { "not heard since this node started" };
            let answers = self.peer_machine_answers(now);
            let state = if answers { "silent, and its machine answers" } else { state };
            return vec![format!("{} is {state}", peer.name)];
        }
        let mut reasons = Vec::new();
        if !self.is_settled() {
            reasons.push("a transition is under way".to_owned());
        }
        reasons.extend(self.unproven_links());
        reasons
            .extend(self.node.manager.groups().filter_map(|group| self.unready_group(group.key())));
        reasons.extend(self.differences().into_iter().map(|(_, text)| text));
        reasons.extend(self.maintenance_words(now));
        reasons
            .extend(self.fencing_trouble().map(|(state, last)| format!("fencing {state}: {last}")));
        if self.node.watch.has_recent_bad_auth(now) {
            reasons.push("datagrams with a wrong signature arrive".to_owned());
        }
        reasons
    }

    /// Unless one link carries in both directions, the first takeover may be a mistake of one side.
    fn unproven_links(&self) -> Option<String> {
        let peer = self.peer()?;
        let links = || peer.links.iter().enumerate().filter(|(_, l)| l.up && l.failure.is_none());
        let said = self.node.peer_native != Some(true);
        let proven = links().any(|(index, _)| self.peer_hears(index).unwrap_or(said));
        if proven {
            return None;
        }
        let name = &peer.name;
        Some(if links().next().is_none() {
            format!("no link from {name} works")
        } else if links().any(|(index, _)| self.peer_hears(index) == Some(false)) {
            format!("{name} does not hear this node on any link that works")
        } else {
            format!("{name} has not said yet on which links it hears this node")
        })
    }

    /// Why one group could not move to the node that does not serve it.
    fn unready_group(&self, key: &str) -> Option<String> {
        let (here, peer) = (self.node.profile.node.as_str(), self.peer_name());
        let groups = &mut self.node.manager.groups();
        let claim = groups.find(|group| group.key() == key).map(|group| group.claim());
        for (claim, name) in [(claim, here), (self.peer_claim(key), peer)] {
            match claim {
                Some(GroupClaim::Failed) => return Some(format!("{key} has failed on {name}")),
                Some(GroupClaim::Blocked) => {
                    return Some(format!("{key} cannot be stopped on {name}"));
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
        match self.service(key) {
            Service::Both => Some(format!("both nodes claim {key}")),
            Service::Here => {
                self.unready_peer(key).map(|why| format!("{peer} could not run {key}: {why}"))
            }
            Service::Peer => {
                self.unready_here(key).map(|why| format!("{here} could not run {key}: {why}"))
            }
            Service::Nobody | Service::Unknown => None,
        }
    }

    /// Why the peer says that it could not run a group; its word counts while it lives.
    pub(crate) fn unready_peer(&self, key: &str) -> Option<&str> {
        let why = self.node.peer_says.unready.get(key).filter(|_| self.peer_lives());
        why.map(String::as_str)
    }

    /// Why this node could not run a group.
    pub(crate) fn unready_here(&self, key: &str) -> Option<&str> {
        self.node.manager.groups().find(|group| group.key() == key)?.unready()
    }

    /// A group that cannot go to the standby is a problem of its own; what else speaks against a
    /// takeover is told as what it is.
    pub(crate) fn find_in_readiness(&self, found: &mut Vec<Finding>) {
        let peer = self.peer_name();
        for group in self.node.manager.groups() {
            let key = group.key();
            let sides = [
                (self.node.profile.node.as_str(), group.unready()),
                (peer, self.unready_peer(key)),
            ];
            for (name, why) in sides {
                let Some(why) = why else { continue };
                found.push(Finding {
                    id: "not_ready",
                    subject: format!("{name} {key}"),
                    text: format!("{name} could not run group {key}: {why}"),
                    hint: format!("mend it on {name}; it is looked at again by itself"),
                    verdict: Verdict::Degraded,
                });
            }
        }
    }
}
