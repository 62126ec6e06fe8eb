//! Agents that fail, hang or misbehave: who serves then, what status says, and how it is mended.

use hb_netns::files::{ADDRESS, NODES, SCRIPT_DIR, Setup};
use hb_netns::pair::{Pair, active_on, has_problem, problem};
use hb_netns::runner::Case;
use hb_node::api::Verdict;
use hb_resource::input::GroupClaim;

pub(crate) const CASES: &[Case] = &[
    Case { name: "start_fails_on_one_node", run: start_fails_on_one_node },
    Case { name: "start_fails_on_both_nodes", run: start_fails_on_both_nodes },
    Case { name: "stop_fails", run: stop_fails },
    Case { name: "stop_fails_and_the_node_leaves", run: stop_fails_and_the_node_leaves },
    Case { name: "stop_during_a_start", run: stop_during_a_start },
    Case { name: "hung_start", run: hung_start },
    Case { name: "agents_that_misbehave", run: agents_that_misbehave },
    Case { name: "missing_script", run: missing_script },
];

const GROUP: &str = "agent::first";

fn setup() -> Setup {
    Setup { web: true, ..Setup::new(&format!("node1 {GROUP} {ADDRESS} agent::web\n")) }
}

/// Released again in order, offered, served by the other node; status says why.
fn start_fails_on_one_node() {
    let mut pair = Pair::new(setup());
    let traffic = pair.traffic();
    pair.agent("node1", "web", "start", Some("echo 'port 80 is taken'; exit 1"));
    NODES.into_iter().for_each(|node| pair.start(node));
    traffic.wait_served("node2");
    assert_eq!(pair.journal("node1"), ["first start", "web start", "web stop", "first stop"]);
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
    let status = pair.wait("node1", "it failed", |s| active_on(s) == Some("node2"));
    assert_eq!(status.groups[0].here, GroupClaim::Failed);
    for node in NODES {
        let status = pair.wait(node, "settled", |s| s.verdict == Verdict::Degraded);
        assert!(!status.failover_ready);
        problem(&status, "group_failed");
    }
    let shown = pair.expect("node1", &["hb", "status"], 1).out;
    assert!(shown.contains("port 80 is taken") && shown.contains("hb cleanup"), "{shown}");
    // Mended, node1 is ready again and takes nothing away by itself.
    pair.agent("node1", "web", "start", None);
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100").len(), 1);
}

fn start_fails_on_both_nodes() {
    let mut pair = Pair::new(setup());
    let traffic = pair.traffic();
    for node in NODES {
        pair.agent(node, "web", "start", Some("echo 'no licence'; exit 1"));
        pair.start(node);
    }
    for node in NODES {
        // Before, node2 might not have been asked yet.
        let status = pair.wait(node, "nobody serves", |s| {
            let group = &s.groups[0];
            (group.here, group.peer) == (GroupClaim::Failed, Some(GroupClaim::Failed))
        });
        assert_eq!(status.verdict, Verdict::Down);
        problem(&status, "group_not_served");
        let shown = pair.expect(node, &["hb", "status"], 2).out;
        assert!(shown.contains("NOT SERVED") && shown.contains("no licence"), "{shown}");
    }
    assert!(pair.owners("192.0.2.100").is_empty());
    // No ping-pong: each has tried it once.
    for node in NODES {
        let starts = pair.journal(node).iter().filter(|line| *line == "web start").count();
        assert_eq!(starts, 1, "{node}");
        pair.agent(node, "web", "start", None);
    }
    pair.expect("node1", &["hb", "cleanup", GROUP], 0);
    traffic.wait_served("node1");
    // node2 could not take over until its failure is forgotten, too.
    assert!(!pair.status("node1").failover_ready);
    pair.expect("node2", &["hb", "cleanup"], 0);
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

/// A pair in which node1 could not stop the group that it was to give.
fn blocked() -> Pair {
    let pair = Pair::running(setup());
    pair.agent("node1", "web", "stop", Some("echo 'still busy'; exit 1"));
    let ran = pair.expect("node1", &["hb", "standby"], 1);
    assert!(ran.err.contains("could not be stopped"), "{ran}");
    pair
}

/// What may still run is not started elsewhere, until somebody has looked.
fn stop_fails() {
    let pair = blocked();
    for node in NODES {
        let status = pair.wait(node, "it is blocked", |s| has_problem(s, "group_blocked"));
        assert!(!status.failover_ready);
        let shown = pair.run(node, &["hb", "status"]);
        assert!(shown.out.contains("BLOCKED") && shown.out.contains("hb cleanup"), "{shown}");
    }
    assert!(pair.journal("node2").is_empty(), "started though it may run on node1");
    // Tried again as often as configured, then with KILL.
    let stops = pair.journal("node1").iter().filter(|line| *line == "web stop").count();
    assert_eq!(stops, 3);
    let traffic = pair.traffic();
    pair.agent("node1", "web", "stop", None);
    pair.expect("node1", &["hb", "cleanup"], 0);
    traffic.wait_served("node1");
    pair.wait_well();
    pair.expect("node1", &["hb", "standby"], 0);
    traffic.wait_served("node2");
}

/// Neither does an orderly end of the node let the other start it, until an operator says so there.
fn stop_fails_and_the_node_leaves() {
    let mut pair = blocked();
    pair.stop("node1");
    pair.wait_log("node2", "not taken over");
    let status = pair.status("node2");
    assert_eq!(status.groups[0].here, GroupClaim::Released);
    assert!(pair.journal("node2").is_empty(), "started though it may run on node1");
    // By hand: what heartbeat could not stop, and what was left to its left.
    pair.expect("node1", &["hb", "address", "stop", "192.0.2.100/24/eth0"], 0);
    pair.expect("node2", &["hb", "cleanup", GROUP], 0);
    pair.traffic().wait_served("node2");
    pair.agent("node1", "web", "stop", None);
    pair.shell("node1", "rm -f /run/agent-*");
    pair.start("node1");
    pair.wait_well();
}

/// Whoever stops the daemon gets everything stopped, even what is only being started.
fn stop_during_a_start() {
    let mut pair = Pair::new(setup());
    for node in NODES {
        pair.agent(node, "web", "start", Some("sleep 1"));
        pair.start(node);
    }
    pair.until("it is being started", || pair.journal("node1").contains(&"web start".to_owned()));
    pair.stop("node1");
    let all = ["first start", "web start", "web stop", "first stop"];
    assert_eq!(pair.journal("node1"), all);
    pair.traffic().wait_served("node2");
}

/// A start that never ends has a limit, and nothing else waits for it.
fn hung_start() {
    let mut setup = setup();
    setup.native = setup.native.replace("[operations]\n", "[operations]\nstart_timeout = \"2s\"\n");
    let mut pair = Pair::new(setup);
    let traffic = pair.traffic();
    pair.agent("node1", "web", "start", Some("trap '' TERM; sleep 1000"));
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.until("the start hangs", || pair.journal("node1").contains(&"web start".to_owned()));
    // While it hangs node1 answers at once, and node2 hears it.
    assert_eq!(pair.status("node1").groups[0].here, GroupClaim::Acquiring);
    assert_eq!(pair.expect("node1", &["cl_status", "rscstatus"], 0).out, "transition\n");
    traffic.wait_served("node2");
    let status = pair.wait("node1", "it failed", |s| active_on(s) == Some("node2"));
    assert_eq!(status.groups[0].here, GroupClaim::Failed);
    let shown = pair.expect("node1", &["hb", "status"], 1).out;
    assert!(shown.contains("web failed to start"), "{shown}");
    for node in NODES {
        assert!(!pair.log(node).contains("is dead"), "heartbeats stopped with the agent");
    }
    let left = pair.run("node1", &["/bin/sh", "-c", "cat /proc/[0-9]*/comm"]).out;
    assert!(!left.lines().any(|name| name == "sleep"), "the agent's child is left: {left}");
}

/// 100 MB of output, bytes that are no text, children that keep the output open for ever.
fn agents_that_misbehave() {
    let mut pair = Pair::new(setup());
    let traffic = pair.traffic();
    for node in NODES {
        let noise = "head -c 100000000 /dev/zero; head -c 100000 /dev/urandom";
        pair.agent(node, "first", "start", Some(noise));
        pair.agent(node, "first", "stop", Some("head -c 1000000 /dev/urandom >&2"));
        pair.agent(node, "web", "start", Some("sleep 1000 &"));
        pair.start(node);
    }
    traffic.wait_served("node1");
    pair.wait_well();
    pair.expect("node1", &["hb", "standby"], 0);
    traffic.wait_served("node2");
    pair.wait_well();
    for node in NODES {
        assert!(!pair.log(node).contains("is dead"), "heartbeats stopped with the agent");
        assert!(pair.log(node).len() < 1_000_000, "the log of {node} took the noise");
        assert!(!pair.log(node).contains('\0'), "the log of {node} is no text");
    }
}

/// Named when the daemon starts, and again when it matters.
fn missing_script() {
    let mut pair =
        Pair::new(Setup { web: true, ..Setup::new(&format!("node1 {ADDRESS} agent::web\n")) });
    let traffic = pair.traffic();
    pair.shell("node1", &format!("rm {SCRIPT_DIR}/agent"));
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_log("node1", "agent::web cannot be started here");
    traffic.wait_served("node2");
    let status = pair.wait("node1", "it failed", |s| has_problem(s, "group_failed"));
    let text = &problem(&status, "group_failed").text;
    assert!(text.contains(&format!("{SCRIPT_DIR}/agent does not exist")), "{text}");
}
