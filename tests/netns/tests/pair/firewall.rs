//! A packet filter between the nodes: what cannot be sent, what gets through in one direction only, and
//! what does not get through at all though the machines reach each other.

use std::time::Instant;

use hb_cli::lab::{self, HEARTBEAT, PUBLIC};
use hb_netns::files::{NODES, Setup};
use hb_netns::pair::{Pair, active_on, has_problem, problem};
use hb_netns::runner::{Case, skip};
use hb_netns::traffic::Traffic;
use hb_node::api::StatusSnapshot;

pub(crate) const CASES: &[Case] = &[
    Case { name: "sending_is_refused", run: sending_is_refused },
    Case { name: "one_direction_is_cut", run: one_direction_is_cut },
    Case { name: "firewall_between_the_nodes", run: firewall_between_the_nodes },
];

/// A pair on a machine that has `nft`, which serves from the moment that is given back.
fn filtered() -> (Pair, Traffic, Instant) {
    if lab::find_program("nft").is_none() {
        skip("nft (nftables) is not installed");
    }
    let pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    (pair, traffic, Instant::now())
}

/// Drops what `rules` match: each a hook and what follows `add rule`.
fn block(pair: &Pair, node: &str, rules: &[(&str, &str)]) {
    let mut line = "nft add table inet test".to_owned();
    for (hook, rule) in rules {
        line.push_str(&format!(
            " && nft add chain inet test {hook} '{{ type filter hook {hook} priority 0; }}' \
             && nft add rule inet test {hook} {rule} udp dport 694 drop"
        ));
    }
    pair.shell(node, &line);
}

fn unblock(pair: &Pair, node: &str) {
    pair.shell(node, "nft delete table inet test");
}

/// The failure of the heartbeat link as `status` has it.
fn failure(status: &StatusSnapshot) -> &str {
    let links = status.peer.as_ref().map(|peer| peer.links.as_slice()).unwrap_or_default();
    let link = links.iter().find(|link| link.name == HEARTBEAT);
    link.and_then(|link| link.failure.as_deref()).unwrap_or_default()
}

/// The kernel says no to the sender (`EPERM`): the link has failed, in its words, and is tried again.
fn sending_is_refused() {
    let (pair, traffic, begin) = filtered();
    block(&pair, "node1", &[("output", &format!("oifname {HEARTBEAT}"))]);
    let refused = |s: &StatusSnapshot| failure(s).contains("Operation not permitted");
    let status = pair.wait("node1", "it is told why", refused);
    assert!(problem(&status, "link_down").text.contains("Operation not permitted"));
    assert_eq!(active_on(&status), Some("node1"));
    unblock(&pair, "node1");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
}

/// On one link, and both name the direction; then on both, of the owner's ears: it takes the other for
/// dead and goes on, the other hears it and leaves it what it has.
fn one_direction_is_cut() {
    let (pair, traffic, begin) = filtered();
    block(&pair, "node1", &[("input", &format!("iifname {HEARTBEAT}"))]);
    for (node, words) in NODES.into_iter().zip(["nothing of it arrives", "does not hear us"]) {
        let status = pair.wait(node, "it is one-way", |s| has_problem(s, "link_one_way"));
        let text = &problem(&status, "link_one_way").text;
        assert!(text.contains(words) && text.contains(HEARTBEAT), "{node}: {text}");
    }
    unblock(&pair, "node1");
    pair.wait_well();
    block(&pair, "node1", &[("input", &format!("iifname {{ {HEARTBEAT}, {PUBLIC} }}"))]);
    pair.wait("node1", "node2 is silent", |s| s.peer.as_ref().is_some_and(|p| p.status == "dead"));
    let heard = pair.status("node2").counters.accepted;
    let status = pair.wait("node2", "it hears node1 on", |s| s.counters.accepted > heard + 20);
    assert_eq!(status.peer.as_ref().map(|peer| peer.status.as_str()), Some("active"));
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    unblock(&pair, "node1");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
}

/// Heartbeats are dropped and everything else passes: the silent machine is said to answer, and its
/// address is not taken while it does.
fn firewall_between_the_nodes() {
    let (pair, traffic, begin) = filtered();
    block(&pair, "node1", &[("input", ""), ("output", "")]);
    let answers = |s: &StatusSnapshot| {
        s.problems.iter().any(|problem| problem.text.contains("its machine answers"))
    };
    pair.wait("node2", "the machine answers, the daemon does not", answers);
    pair.wait_log("node2", "SPLIT?");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    unblock(&pair, "node1");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
}
