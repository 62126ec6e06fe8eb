//! Files that are changed while the daemons run: what did not change goes on untouched, and nothing
//! changes when a file is not valid.

use std::time::Instant;

use hb_netns::files::{ADDRESS, ADDRESS2, AGENT_DIR, NODES, Setup};
use hb_netns::pair::{Pair, groups};
use hb_netns::runner::Case;
use hb_node::api::StatusSnapshot;
use hb_resource::input::GroupClaim;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_group_is_added_and_removed", run: a_group_is_added_and_removed },
    Case { name: "a_group_with_other_resources", run: a_group_with_other_resources },
    Case { name: "an_invalid_file_changes_nothing", run: an_invalid_file_changes_nothing },
    Case { name: "reloaded_in_maintenance", run: reloaded_in_maintenance },
    Case { name: "reloaded_during_a_failover", run: reloaded_during_a_failover },
];

const HARESOURCES: &str = "/etc/ha.d/haresources";
/// What it says at first.
const WEB: &str = "node1 IPaddr::192.0.2.100/24/eth0 agent::a\n";

fn web() -> Pair {
    let mut setup = Setup::web();
    setup.haresources = WEB.to_owned();
    Pair::running(setup)
}

fn change(pair: &Pair, haresources: &str) {
    for node in NODES {
        pair.write(node, HARESOURCES, haresources, 0o644);
    }
}

fn generation(pair: &Pair, node: &str) -> u64 {
    pair.status(node).this_node.generation
}

/// On both nodes, one after the other. The journal of agents is kept from before.
fn reload(pair: &Pair, told: &str) {
    for node in NODES {
        let before = generation(pair, node);
        let ran = pair.expect(node, &["hb", "reload"], 0);
        assert!(ran.out.contains(told) && ran.out.ends_with("in force\n"), "{ran}");
        assert!(generation(pair, node) > before, "{node} did not start anew");
    }
    pair.wait_well();
}

/// Starts and stops of agents, without questions.
fn acts(pair: &Pair, node: &str) -> Vec<String> {
    let all = pair.journal(node).into_iter();
    all.filter(|line| line.ends_with("start") || line.ends_with("stop")).collect()
}

fn a_group_is_added_and_removed() {
    let pair = web();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let before = acts(&pair, "node1");
    change(&pair, &format!("{WEB}node2 {ADDRESS2} agent::b\n"));

    let at = generation(&pair, "node1");
    let ran = pair.expect("node1", &["hb", "reload", "--dry-run"], 0);
    let added = format!("group {ADDRESS2} is added, prefers node2");
    assert!(ran.out.contains(&added) && ran.out.contains("untouched"), "{ran}");
    assert_eq!(generation(&pair, "node1"), at, "a dry run changed something");

    reload(&pair, &added);
    let served = groups(&pair.status("node1"));
    assert_eq!(served[ADDRESS2].as_deref(), Some("node2"));
    assert_eq!(pair.owners("192.0.2.101"), ["node2"]);

    change(&pair, WEB);
    reload(&pair, &format!("first stopped where this node runs it: {ADDRESS2}"));
    assert_eq!(pair.owners("192.0.2.101"), [""; 0]);
    assert_eq!(acts(&pair, "node2"), ["b start", "b stop"]);
    assert_eq!(acts(&pair, "node1"), before, "the other group was touched");
    traffic.assert_unbroken(begin, Some("node1"));
    let ran = pair.expect("node1", &["hb", "reload"], 0);
    assert!(ran.out.contains("nothing to do"), "{ran}");
}

fn a_group_with_other_resources() {
    let pair = web();
    change(&pair, &format!("node1 {ADDRESS} agent::a agent::c\n"));
    reload(&pair, &format!("group {ADDRESS} changes from"));
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    assert_eq!(acts(&pair, "node1"), ["a start", "a stop", "a start", "c start"]);
    assert_eq!(acts(&pair, "node2"), [""; 0]);
}

fn an_invalid_file_changes_nothing() {
    let pair = web();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let before = generation(&pair, "node1");
    pair.write("node1", HARESOURCES, "node1 192.0.2.300/24/eth0\n", 0o644);
    let ran = pair.expect("node1", &["hb", "reload"], 1);
    assert!(ran.err.contains("haresources:1:"), "no place: {ran}");
    assert!(ran.err.contains("everything stays as it was"), "{ran}");
    pair.wait_log("node1", "everything stays as it was");
    pair.signal("node1", "HUP");
    assert_eq!(generation(&pair, "node1"), before);
    traffic.assert_unbroken(begin, Some("node1"));
}

/// Hands stay off, and what would have to be stopped is a reason to wait.
fn reloaded_in_maintenance() {
    let pair = web();
    pair.expect("node1", &["hb", "maintenance", "on", "--for", "1h"], 0);
    let in_maintenance = |pair: &Pair| {
        let status = pair.status("node1");
        status.maintenance.filter(|m| m.here && m.ends_in_ms.is_some_and(|ms| ms > 3_000_000))
    };
    change(&pair, "node1 agent::z\n");
    let ran = pair.expect("node1", &["hb", "reload"], 1);
    assert!(ran.err.contains("would be stopped") && ran.err.contains("maintenance"), "{ran}");
    change(&pair, &format!("{WEB}node2 {ADDRESS2}\n"));
    let before = generation(&pair, "node1");
    pair.expect("node1", &["hb", "reload"], 0);
    assert!(generation(&pair, "node1") > before);
    assert!(in_maintenance(&pair).is_some(), "{:?}", pair.status("node1").maintenance);
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    pair.expect("node1", &["hb", "maintenance", "off"], 0);
}

/// The takeover is ended first, and what it has started is adopted, not started once more.
fn reloaded_during_a_failover() {
    let mut pair = web();
    let hold = format!("{AGENT_DIR}/hold");
    pair.write("node2", &hold, "", 0o644);
    let held_up = format!("while [ -e {hold} ]; do sleep 0.05; done");
    pair.agent("node2", "a", "start", Some(&held_up));
    pair.write("node2", HARESOURCES, &format!("{WEB}node2 {ADDRESS2}\n"), 0o644);
    let before = generation(&pair, "node2");
    pair.crash("node1");
    pair.until("the start is under way", || acts(&pair, "node2") == ["a start"]);
    let reload = pair.spawn("node2", &["/twinbeat/hb", "reload"]);
    pair.wait_log("node2", "starting anew with it as soon as nothing moves");
    let status = pair.status("node2");
    assert_eq!(
        (status.this_node.generation, status.groups[0].here),
        (before, GroupClaim::Acquiring)
    );
    pair.shell("node2", &format!("rm {hold}"));
    let serves = |s: &StatusSnapshot| {
        s.groups.len() == 2 && s.groups.iter().all(|group| group.here == GroupClaim::Held)
    };
    let status = pair.wait("node2", "it has both", serves);
    assert!(status.this_node.generation > before);
    assert_eq!(acts(&pair, "node2"), ["a start"]);
    drop(reload);
}
