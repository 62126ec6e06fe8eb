//! ipfail's decision: the node that loses its ping node gives its groups to one that has it.

use std::time::Instant;

use hb_cli::lab::PUBLIC;
use hb_netns::files::{NODES, Setup};
use hb_netns::pair::{Pair, active_on, has_problem, problem};
use hb_netns::runner::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "public_cable_of_the_owner_is_cut", run: public_cable_is_cut },
    Case { name: "public_cable_comes_back_with_failback", run: failback_after_the_cable },
    Case { name: "ping_node_lost_by_both", run: lost_by_both },
];

/// hb.toml: otherwise the lost carrier moves the group before the ping node is missed.
const UNWATCHED: &str = "[monitor]\nenabled = false\n";
/// The floating address that is served.
const FLOATING: &str = "192.0.2.100";

fn pair(failback: &'static str, native: &str) -> Pair {
    let mut setup = Setup { failback, native: native.to_owned(), ..Setup::web() };
    setup.further =
        "ping 192.0.2.254\ndeadping 1\nrespawn hacluster /usr/lib/heartbeat/ipfail\n".to_owned();
    let pair = Pair::running(setup);
    for node in NODES {
        pair.wait(node, "the ping node answers", |s| s.pings[0].status == "ping");
    }
    pair
}

/// The heartbeat link lives, so that nobody is dead.
fn public_cable_is_cut() {
    let pair = pair("off", UNWATCHED);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.lab.cut("node1", PUBLIC).expect("a cable");
    let status = pair.wait("node1", "it is worse", |s| has_problem(s, "ping_worse"));
    let text = problem(&status, "ping_worse").text.clone();
    assert!(text.starts_with("node1 reaches 0 of 1 ping nodes, node2 reaches 1"), "{text}");
    traffic.wait_served("node2");
    let begin = Instant::now();
    pair.until("node1 lets go", || pair.owners(FLOATING) == ["node2"]);
    let status =
        pair.wait("node1", "it moved", |s| s.last_move.is_some() && active_on(s) == Some("node2"));
    assert_eq!(status.last_move.as_ref().expect("a move").cause, "ping_nodes");
    assert!(!has_problem(&status, "ping_worse"), "{status:?}");
    pair.lab.mend("node1", PUBLIC).expect("a cable");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node2"));
}

fn failback_after_the_cable() {
    let pair = pair("on", UNWATCHED);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.lab.cut("node1", PUBLIC).expect("a cable");
    traffic.wait_served("node2");
    pair.lab.mend("node1", PUBLIC).expect("a cable");
    traffic.wait_served("node1");
    pair.wait_well();
    assert_eq!(pair.owners(FLOATING), ["node1"]);
}

fn lost_by_both() {
    let pair = pair("on", "");
    pair.lab.set_client_address(false).expect("an address");
    for node in NODES {
        pair.wait(node, "the ping node is dead", |s| s.pings[0].status == "dead");
    }
    // Far longer than a give-up takes.
    pair.wait("node1", "it has been dead for a while", |s| {
        s.problems.iter().any(|p| p.id == "ping_dead" && p.since_ms > 2_000)
    });
    assert!(!pair.log("node1").contains("wants to go standby"), "{}", pair.log("node1"));
    assert_eq!(pair.owners(FLOATING), ["node1"]);
    pair.lab.set_client_address(true).expect("an address");
    pair.wait_well();
    pair.traffic().wait_served("node1");
}
