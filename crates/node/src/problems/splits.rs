//! Problems of ownership: groups that both nodes have or may have, and other hosts with an address of
//! this node.

use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;

use super::Finding;
use crate::activity::short;
use crate::api::Verdict;
use crate::rivals::Rival;
use crate::snapshot::{Service, View};

/// What is known of a group when the machine of the silent peer answers for an address of it.
fn may_be_split(key: &str, address: &str, peer: &str, held_here: bool) -> String {
    match held_here {
        true => format!(
            "both may own group {key}: it was taken over although the machine of {peer}, which is \
             silent, answered for {address}"
        ),
        false => format!(
            "{peer} may still own group {key}: it is silent, but its machine answers for {address}. \
             The group is held back here"
        ),
    }
}

/// What is known of a group that is served here, an address of which the silent peer's machine claims.
fn seen_from_one_side(key: &str, rival: Rival<'_>, peer: &str) -> String {
    let Rival { resource, ethernet, .. } = rival;
    format!(
        "both have group {key}: {peer} is silent, but its machine ({ethernet}) claims {resource}, which \
         this node serves"
    )
}

impl View<'_> {
    /// Groups that both nodes serve, or may serve.
    pub(super) fn find_splits(&self, now: Instant, found: &mut Vec<Finding>) {
        let peer = self.peer_name();
        for group in self.node.manager.groups() {
            let key = group.key();
            let mut add = |id, text: String, hint: &str| {
                let (subject, hint) = (key.to_owned(), hint.to_owned());
                found.push(Finding { id, subject, text, hint, verdict: Verdict::Split });
            };
            if let Some(rival) = self.peer_rival(key, now) {
                let hint = "mend the links between the nodes: then one lets go by itself. Or stop \
                            heartbeat on the node that must not serve it";
                add("split", seen_from_one_side(key, rival, peer), hint);
                continue;
            }
            // Who loses it is releasing as soon as it hears of the other, and both serve until it has.
            let claim = group.claim();
            if self.service_as(key, Some(claim)) == Service::Both || self.node.splits.is_open(key) {
                let apart = self.node.splits.apart_before(key);
                let after =
                    apart.map(|apart| format!(", after {} apart", short(apart.lasted(now))));
                let after = after.unwrap_or_default();
                let text = format!("both this node and {peer} claim group {key}{after}");
                add(
                    "split",
                    text,
                    "if this lasts, stop heartbeat on the node that must not serve it",
                );
            }
            if let Some(address) = self.claimed_by_silent_peer(key) {
                let held = claim == GroupClaim::Held;
                let hint = "see to that machine: stop heartbeat there, or switch it off";
                add("split_possible", may_be_split(key, address, peer, held), hint);
            }
        }
    }

    /// Other hosts that claim an address of this node. What the living peer has it says itself; and one
    /// that does not say which machine it is, a 3.0.6 peer, goes on announcing for a while what it has
    /// just given away.
    pub(super) fn find_rivals(&self, now: Instant, found: &mut Vec<Finding>) {
        if self.peer_lives() && self.node.peer_native != Some(true) {
            return;
        }
        for group in self.node.manager.groups() {
            let strangers = self.node.rivals.of(group.key(), now).filter(|rival| !rival.is_peer);
            for Rival { resource, ethernet, .. } in strangers {
                found.push(Finding {
                    id: "address_conflict",
                    subject: format!("{} {resource}", group.key()),
                    text: format!("{ethernet} claims {resource}, which this node serves, too"),
                    hint: "find that machine and take the address from it (ip neigh, the switch's \
                           table)"
                        .to_owned(),
                    verdict: Verdict::Degraded,
                });
            }
        }
    }
}
