//! The lines of `hb status` while both nodes have a group, or may have it: what each has, and who will let
//! go. Values in, text out.

use hb_node::api::{GroupStatus, PeerNode, Problem, StatusSnapshot};
use hb_resource::input::GroupClaim;

use super::screen::{heard, row};
use crate::history::line;

/// What each node has and knows while both have a group, and who will let go.
pub(super) fn lines(snapshot: &StatusSnapshot) -> String {
    let (this, timing) = (&snapshot.this_node.name, snapshot.timing);
    let Some(peer) = &snapshot.peer else { return String::new() };
    let mut out = String::new();
    let pings = match snapshot.pings.iter().filter(|ping| ping.status == "ping").count() {
        _ if snapshot.pings.is_empty() => "no ping node to ask",
        0 => "no ping node reachable",
        _ => "ping node reachable",
    };
    let both = snapshot.groups.iter().filter(|group| {
        let may_run =
            |claim| matches!(claim, GroupClaim::Held | GroupClaim::Releasing | GroupClaim::Blocked);
        may_run(group.here) && group.peer.is_some_and(may_run)
    });
    for group in snapshot.groups.iter().filter(|group| group.maybe_on.is_some()) {
        out += &seen_from_one_side(snapshot, peer, group, pings);
    }
    for group in both {
        let key = &group.key;
        let here = split_word(Some(group.here));
        out += &row("this node", &format!("{here} {key}, {pings}"), "");
        let heard = heard(peer.heard_ms_ago);
        let there = split_word(group.peer);
        let dead = timing.deadtime_ms;
        let text = format!("{there} {key}, {heard} (deadtime {})", line::span(dead));
        out += &row(&peer.name, &text, "");
        let keeps = match (group.here, group.peer) {
            (GroupClaim::Held, Some(GroupClaim::Releasing)) => this,
            (GroupClaim::Releasing, Some(GroupClaim::Held)) => &peer.name,
            _ => &group.prefers,
        };
        out += &row("rule", &format!("of two that serve, {keeps} keeps it; the other lets go"), "");
    }
    out
}

/// The peer is silent, and its machine answers for an address of the group or claims it.
fn seen_from_one_side(
    snapshot: &StatusSnapshot,
    peer: &PeerNode,
    group: &GroupStatus,
    pings: &str,
) -> String {
    let key = &group.key;
    let here = match group.here {
        GroupClaim::Acquiring => "holds back",
        GroupClaim::Released
        | GroupClaim::Held
        | GroupClaim::Releasing
        | GroupClaim::Failed
        | GroupClaim::Blocked => split_word(Some(group.here)),
    };
    let is_both = |problem: &Problem| problem.id == "split" && problem.subject == *key;
    let is_both = snapshot.problems.iter().any(is_both);
    let (may, what) =
        if is_both { ("has", "claims the address") } else { ("may serve", "answers") };
    let heard = heard(peer.heard_ms_ago);
    let dead = line::span(snapshot.timing.deadtime_ms);
    let rule = match group.here {
        GroupClaim::Held if is_both => &format!(
            "of two that serve, {} keeps it, and the other lets go when they hear each other",
            group.prefers
        ),
        GroupClaim::Held => {
            "taken after [address] hold; whoever must not serve it lets go when both hear each other"
        }
        GroupClaim::Released
        | GroupClaim::Acquiring
        | GroupClaim::Releasing
        | GroupClaim::Failed
        | GroupClaim::Blocked => "left to that machine for [address] hold, then taken",
    };
    let there = format!("{may} {key}, {heard} (deadtime {dead}), its machine {what}");
    row("this node", &format!("{here} {key}, {pings}"), "")
        + &row(&peer.name, &there, "")
        + &row("rule", rule, "")
}

/// What a node that may still run a group does with it.
pub fn split_word(claim: Option<GroupClaim>) -> &'static str {
    match claim {
        Some(GroupClaim::Held) => "serves",
        Some(GroupClaim::Acquiring) => "is starting",
        Some(GroupClaim::Releasing) => "is stopping",
        Some(GroupClaim::Blocked) => "could not stop",
        Some(GroupClaim::Released | GroupClaim::Failed) => "does not serve",
        None => "may serve",
    }
}
