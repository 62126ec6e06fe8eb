//! What happens on ordinary days: a standby's daemon that is killed, two stops at once, a switch that is
//! late, agents that lie, checks that flap, a member in the middle that dies, commands in maintenance,
//! a node that boots alone.

use std::time::Instant;

use hb_netns::files::{ADDRESS, AGENT_DIR, FORGIVING, NODES, Setup};
use hb_netns::pair::{Pair, active_on, has_problem, problem};
use hb_netns::runner::Case;
use hb_node::api::StatusSnapshot;
use hb_resource::input::GroupClaim;

use crate::operator::{acts, fencing};
use crate::support::{IP, configure_nginx, kill_nginx, need_nginx, quick, web, with_agent};

pub(crate) const CASES: &[Case] = &[
    Case { name: "standby_daemon_is_killed", run: standby_daemon_is_killed },
    Case { name: "both_stop_at_once", run: both_stop_at_once },
    Case { name: "late_switch_port", run: late_switch_port },
    Case { name: "agent_that_lies", run: agent_that_lies },
    Case { name: "check_that_flaps", run: check_that_flaps },
    Case { name: "member_in_the_middle_dies", run: member_in_the_middle_dies },
    Case { name: "maintenance_that_ends_by_itself", run: maintenance_that_ends_by_itself },
    Case { name: "booted_alone_with_a_fence_device", run: booted_alone_with_a_fence_device },
];

fn peer_is_dead(status: &StatusSnapshot) -> bool {
    status.peer.as_ref().is_some_and(|peer| peer.status == "dead")
}

/// An address and an agent that is looked at ten times in a second.
fn soon_checked() -> Setup {
    let mut setup = with_agent();
    setup.native.push_str("[resource.\"agent::a\"]\ninterval = \"100ms\"\n");
    setup
}

/// It is missed, and nothing else happens.
fn standby_daemon_is_killed() {
    let mut pair = Pair::running(with_agent());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let (begin, before) = (Instant::now(), pair.journal("node1"));
    pair.kill("node2");
    let status = pair.wait("node1", "it is missed", peer_is_dead);
    assert_eq!(active_on(&status), Some("node1"));
    assert!(!status.failover_ready);
    pair.start("node2");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    let changes = |line: &&String| !line.ends_with("status");
    let count = |lines: &[String]| lines.iter().filter(changes).count();
    assert_eq!(count(&pair.journal("node1")), count(&before), "something was started or stopped");
}

/// Both release, and neither takes what the other lets go of.
fn both_stop_at_once() {
    let mut pair = Pair::running(with_agent());
    // Long enough for node2 to be told as well.
    let hold = format!("{AGENT_DIR}/hold");
    pair.write("node1", &hold, "", 0o644);
    pair.agent("node1", "a", "stop", Some(&format!("while [ -e {hold} ]; do sleep 0.05; done")));
    let stops = NODES.map(|node| {
        let stop = pair.spawn(node, &["/twinbeat/heartbeat", "-k"]);
        pair.wait_log(node, "shutdown in progress");
        stop
    });
    pair.shell("node1", &format!("rm {hold}"));
    for node in NODES {
        assert_eq!(pair.wait_end(node), Some(0), "{node}");
    }
    drop(stops);
    assert!(pair.owners(IP).is_empty());
    assert_eq!(pair.journal("node1").last().map(String::as_str), Some("a stop"));
    let started = pair.journal("node2").iter().any(|line| line == "a start");
    assert!(!started, "node2 took what node1 released");
}

/// Neither hears the other for a while after the start, as behind a port that is still learning.
fn late_switch_port() {
    let setup = Setup { initdead_ms: 10_000, ..web() };
    let mut pair = Pair::new(setup);
    pair.isolate("node2", true);
    NODES.into_iter().for_each(|node| pair.start(node));
    for node in NODES {
        // Longer than the dead time, far shorter than initdead.
        let status = pair.wait(node, "it is up for long", |s| s.uptime_ms > 1_500);
        assert_eq!(status.this_node.status, "up");
    }
    assert!(pair.owners(IP).is_empty(), "taken before the other could be heard");
    pair.isolate("node2", false);
    pair.wait_well();
    assert_eq!(pair.owners(IP), ["node1"]);
    assert!(!pair.log("node2").contains("acquiring"), "{}", pair.log("node2"));
}

/// Its start says that it went well and has started nothing: the check finds it, and the other node gets
/// the group.
fn agent_that_lies() {
    let pair = Pair::running(soon_checked());
    pair.traffic().wait_served("node1");
    pair.agent("node1", "a", "start", Some("exit 0"));
    pair.shell("node1", "rm -f /run/agent-a");
    pair.wait("node2", "it is here", |s| s.groups[0].here == GroupClaim::Held);
    pair.traffic().wait_served("node2");
    let status = pair.wait("node1", "it says so", |s| has_problem(s, "group_failed"));
    assert!(status.groups[0].reason.contains("agent::a"), "{status:?}");
    pair.agent("node1", "a", "start", None);
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// Each failure counts and is mended, and with the third the other node gets the group: no restarts
/// without end.
fn check_that_flaps() {
    let pair = Pair::running(soon_checked());
    pair.traffic().wait_served("node1");
    let flaps = format!(
        "if mkdir {AGENT_DIR}/bad 2>/dev/null; then echo stopped; exit 0; else rmdir {AGENT_DIR}/bad; fi"
    );
    pair.agent("node1", "a", "status", Some(&flaps));
    pair.wait("node2", "it is here", |s| s.groups[0].here == GroupClaim::Held);
    pair.agent("node1", "a", "status", None);
    let starts = |line: &&String| *line == "a start";
    let restarts = pair.journal("node1").iter().filter(starts).count() - 1;
    assert!((1..=3).contains(&restarts), "{restarts} restarts");
    let status = pair.status("node1");
    assert!(status.groups[0].resources[1].failures > 1, "{status:?}");
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// It and what is right of it are started again; what is left of it is not touched.
fn member_in_the_middle_dies() {
    need_nginx();
    let setup = quick(&format!("node1 {ADDRESS} agent::a nginx agent::c\n"));
    let mut pair = Pair::new(setup);
    for node in NODES {
        configure_nginx(&pair, node);
        pair.start(node);
    }
    pair.wait_well();
    let checked = |s: &StatusSnapshot| s.groups[0].resources[2].checked_ms_ago.is_some();
    pair.wait("node1", "nginx was checked", checked);
    let before = pair.journal("node1").len();
    kill_nginx(&pair, "node1");
    pair.wait("node1", "it was restarted", |s| {
        s.groups[0].resources[2].failures == 1 && s.groups[0].here == GroupClaim::Held
    });
    pair.traffic().wait_served("node1");
    let after: Vec<String> = pair.journal("node1").split_off(before);
    let changes: Vec<&String> = after.iter().filter(|line| !line.ends_with("status")).collect();
    assert_eq!(changes, ["c stop", "c start"]);
}

/// A move is refused on both nodes with the way out, and the limit ends it.
fn maintenance_that_ends_by_itself() {
    let setup = Setup { native: FORGIVING.to_owned(), ..web() };
    let pair = Pair::running(setup);
    pair.expect("node1", &["hb", "maintenance", "on", "--for", "30m"], 0);
    pair.wait("node2", "it knows", |s| s.maintenance.is_some());
    for (node, command) in [("node2", "takeover"), ("node1", "standby")] {
        let ran = pair.run(node, &["hb", command]);
        assert!(ran.code != 0 && ran.err.contains("hb maintenance off"), "{node}: {ran}");
    }
    assert_eq!(pair.owners(IP), ["node1"]);
    pair.expect("node1", &["hb", "maintenance", "on", "--for", "1s"], 0);
    for node in NODES {
        pair.wait(node, "it has ended", |s| s.maintenance.is_none());
    }
    pair.wait_well();
    pair.expect("node2", &["hb", "takeover"], 0);
    assert_eq!(pair.owners(IP), ["node2"]);
}

/// As the one that was shot does: it does not know whether the other serves, so it neither shoots nor
/// takes.
fn booted_alone_with_a_fence_device() {
    let mut pair = fencing();
    NODES.into_iter().for_each(|node| pair.crash(node));
    pair.boot("node1");
    let before = acts(&pair, "node1").len();
    pair.start("node1");
    let status = pair.wait("node1", "it says so and has looked", |s| {
        has_problem(s, "peer_lost") && s.groups[0].here == GroupClaim::Released
    });
    let text = &problem(&status, "peer_lost").text;
    assert!(text.contains("is not fenced for that"), "{text}");
    assert_eq!(acts(&pair, "node1").len(), before, "it has shot or started");
    pair.boot("node2");
    pair.start("node2");
    pair.wait_well();
    assert_eq!(pair.owners(IP), ["node1"]);
}
