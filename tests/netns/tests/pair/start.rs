//! Starts, stops, and what the commands say of a pair that is well, or of a daemon that is not
//! there: the words and exit codes that scripts and monitoring read.

use hb_netns::files::{ADDRESS, NODES, Setup};
use hb_netns::pair::{Pair, active_on, groups, has_problem, problem};
use hb_netns::runner::Case;
use hb_node::api::{StatusSnapshot, Verdict};

pub(crate) const CASES: &[Case] = &[
    Case { name: "cold_start", run: cold_start },
    Case { name: "cl_status_of_a_pair", run: cl_status_of_a_pair },
    Case { name: "commands_without_a_daemon", run: commands_without_a_daemon },
    Case { name: "start_alone", run: start_alone },
    Case { name: "as_a_daemon", run: as_a_daemon },
    Case { name: "orderly_stops", run: orderly_stops },
    Case { name: "status_as_json", run: status_as_json },
    Case { name: "check_of_the_files", run: check_of_the_files },
    Case { name: "host_name_has_changed", run: host_name_has_changed },
];

fn cold_start() {
    let pair = Pair::running(Setup::web().calm());
    pair.traffic().wait_served("node1");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    for node in NODES {
        assert_eq!(active_on(&pair.status(node)), Some("node1"));
        pair.wait_log(node, "Initial resource acquisition complete");
    }
    let shown = pair.expect("node1", &["hb", "status"], 0).out;
    for part in ["HEALTHY", "failover ready: yes", "active on node1", "link eth0", "link eth1"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
}

/// The contracts that scripts of Heartbeat 3.0.6 rely on: words, then exit code.
fn cl_status_of_a_pair() {
    let mut setup = Setup::new(&format!("node1 {ADDRESS}\nnode2 agent::b\n"));
    setup.further = "ping 192.0.2.254\n".to_owned();
    let mut pair = Pair::running(setup);
    pair.wait("node1", "the ping node answers", |s| s.pings.iter().all(|p| p.status == "ping"));
    let check = |pair: &Pair, words: &[&str], out: &str, code: i32| {
        let all: Vec<&str> = std::iter::once("cl_status").chain(words.iter().copied()).collect();
        assert_eq!(pair.expect("node1", &all, code).out, out, "cl_status {words:?}");
    };
    let nodes_verbose = "\n192.0.2.254\tping\t(nodetype: ping)\n\t192.0.2.254\tup\n\
        \nnode2\tactive\t(nodetype: normal)\n\teth0\tup\n\teth1\tup\n\
        \nnode1\tactive\t(nodetype: normal)\n\teth0\tup\n\teth1\tup\n";
    check(&pair, &["hbstatus"], "Heartbeat is running on this machine.\n", 0);
    check(&pair, &["listnodes"], "192.0.2.254\nnode2\nnode1\n", 0);
    check(&pair, &["listnodes", "-n"], "node2\nnode1\n", 0);
    check(&pair, &["listnodes", "-p"], "192.0.2.254\n", 0);
    check(&pair, &["listnodes", "-v"], nodes_verbose, 0);
    check(&pair, &["nodestatus", "node1"], "active\n", 0);
    check(&pair, &["nodestatus", "node2"], "active\n", 0);
    check(&pair, &["nodestatus", "192.0.2.254"], "ping\n", 0);
    let unknown = pair.expect("node1", &["cl_status", "nodestatus", "node3"], 11);
    assert_eq!(unknown.err, "Error. May be due to incorrect node name\n");
    check(&pair, &["nodetype", "node2"], "normal\n", 0);
    check(&pair, &["nodetype", "192.0.2.254"], "ping\n", 0);
    check(&pair, &["listhblinks", "node2"], "\teth0\n\teth1\n", 0);
    check(&pair, &["listhblinks", "-v", "node2"], "\teth0\tup\n\teth1\tup\n", 0);
    check(&pair, &["hblinkstatus", "node2", "eth1"], "up\n", 0);
    check(&pair, &["rscstatus"], "local\n", 0);
    check(&pair, &["rscstatus", "-m"], "This node is holding local resources.\n", 0);
    check(&pair, &["hbparameter", "-p", "keepalive"], "100ms\n", 0);
    check(&pair, &["hbparameter", "-p", "auto_failback"], "on\n", 0);
    check(&pair, &["hbparameter", "-p", "nonsense"], "", 1);
    check(&pair, &["clientstatus", "node1", "ipfail"], "offline\n", 1);
    check(&pair, &["nodeweight", "node2"], "100\n", 0);
    check(&pair, &["nodesite", "node2"], "\n", 0);
    let wrong = pair.expect("node1", &["cl_status", "nonsense"], 11);
    assert!(wrong.err.contains("ERROR: nonsense: invalid sub-command."), "{wrong}");
    let verbose = pair.expect("node1", &["cl_status", "hbstatus", "-v"], 0).out;
    for part in ["version:\t", "managed by:\t\"haresources\"\n", nodes_verbose] {
        assert!(verbose.contains(part), "{part:?} in {verbose}");
    }
    pair.crash("node2");
    pair.wait("node1", "it has all groups", |s| s.this_node.rscstatus == "all");
    check(&pair, &["rscstatus", "-m"], "This node is holding all resources.\n", 0);
    check(&pair, &["nodestatus", "node2"], "dead\n", 1);
    check(&pair, &["nodestatus", "-m", "node2"], "The cluster node node2 is dead\n", 1);
    check(&pair, &["hblinkstatus", "node2", "eth1"], "dead\n", 1);
    check(&pair, &["listhblinks", "-v", "node2"], "\teth0\tdead\n\teth1\tdead\n", 0);
}

fn commands_without_a_daemon() {
    let pair = Pair::new(Setup::web());
    let check = |words: &[&str], code: i32, out: &str, err: &str| {
        let ran = pair.expect("node1", words, code);
        assert_eq!(ran.out, out, "{words:?}: {ran}");
        assert!(ran.err.contains(err) && ran.err.is_empty() == err.is_empty(), "{words:?}: {ran}");
    };
    let not_here = "heartbeat does not run here";
    check(&["cl_status", "hbstatus"], 1, "Heartbeat is stopped on this machine.\n", "");
    check(&["cl_status", "rscstatus"], 1, "", "ERROR: ");
    check(&["cl_status", "nodestatus", "node1"], 1, "", "ERROR: ");
    check(&["hb", "status"], 3, "", not_here);
    check(&["hb", "standby"], 4, "", not_here);
    check(&["hb", "takeover"], 4, "", not_here);
    check(&["hb", "cleanup"], 4, "", not_here);
    check(&["hb_standby"], 4, "", not_here);
    check(&["hb_takeover", "local"], 4, "", not_here);
    check(&["heartbeat", "-s"], 3, "heartbeat is stopped. No process\n", "");
    check(&["heartbeat", "-k"], 0, "INFO: Heartbeat already stopped.\n", "");
    check(&["heartbeat", "-r"], 1, "", "start it first");
    assert_eq!(pair.run("node1", &["hb", "standby", "everything"]).code, 2);
}

/// The other node is not there: after initdead this one serves all the same. The preferred node
/// gets the group when it comes.
fn start_alone() {
    let mut setup = Setup::web();
    setup.haresources = format!("node2 {ADDRESS}\n");
    let mut pair = Pair::new(setup);
    let traffic = pair.traffic();
    pair.start("node1");
    traffic.wait_served("node1");
    let status = pair.wait("node1", "settled", |s| s.verdict == Verdict::Degraded);
    problem(&status, "peer_never_seen");
    assert!(!status.failover_ready);
    assert_eq!(pair.expect("node1", &["hb", "status"], 1).err, "");
    pair.start("node2");
    traffic.wait_served("node2");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
}

fn as_a_daemon() {
    let pair = Pair::new(Setup::web());
    for node in NODES {
        let ran = pair.expect(node, &["heartbeat"], 0);
        assert_eq!(ran.out, "", "{ran}");
    }
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.wait_well();
    let running = pair.expect("node1", &["heartbeat", "-s"], 0).out;
    let pid = pair.status("node1").pid;
    assert_eq!(running, format!("heartbeat OK [pid {pid} et al] is running on node1 [node1]...\n"));
    let again = pair.expect("node1", &["heartbeat"], 0);
    assert!(again.err.contains(&format!("already running [pid {pid}]")), "{again}");
    // Its guardian starts it again, and what runs is adopted.
    let begin = std::time::Instant::now();
    pair.shell("node1", &format!("kill -s KILL {pid}"));
    let status = pair.wait("node1", "another daemon", |s| s.pid != pid && active_on(s).is_some());
    assert_eq!(active_on(&status), Some("node1"));
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    for node in NODES {
        pair.expect(node, &["heartbeat", "-k"], 0);
        assert_eq!(
            pair.expect(node, &["heartbeat", "-s"], 3).out,
            "heartbeat is stopped. No process\n"
        );
    }
    traffic.wait_unserved();
    assert!(pair.owners("192.0.2.100").is_empty());
}

/// A stop releases everything and tells the other node, which need not wait for the dead time.
fn orderly_stops() {
    let mut pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = std::time::Instant::now();
    pair.stop("node2");
    let status = pair.wait("node1", "node2 is gone", |s| has_problem(s, "peer_dead"));
    assert!(problem(&status, "peer_dead").text.contains("stopped in order"), "{status:?}");
    pair.start("node2");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    pair.stop("node1");
    traffic.wait_served("node2");
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
    let last = pair.status("node2").last_move.expect("a move");
    assert_eq!((last.what.as_str(), last.cause.as_str()), ("acquired", "peer_left"));
    pair.start("node1");
    traffic.wait_served("node1");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    pair.expect("node1", &["heartbeat", "-r"], 0);
    pair.wait_log("node1", "Configuration unchanged.");
}

fn status_as_json() {
    let mut pair = Pair::running(Setup::web().calm());
    let ask = |pair: &Pair, code: i32| {
        let text = pair.expect("node1", &["hb", "status", "--json"], code).out;
        serde_json::from_str::<StatusSnapshot>(&text).expect("the documented schema")
    };
    let well = ask(&pair, 0);
    assert_eq!((well.verdict, well.this_node.name.as_str()), (Verdict::Healthy, "node1"));
    assert_eq!(groups(&well), groups(&pair.status("node2")));
    pair.crash("node2");
    pair.wait("node1", "node2 is dead", |s| has_problem(s, "peer_dead"));
    let degraded = ask(&pair, 1);
    assert_eq!(degraded.peer.expect("a peer").status, "dead");
    pair.stop("node1");
    let text = pair.expect("node1", &["hb", "status", "--json"], 3).out;
    let error: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(error["error"].as_str().is_some_and(|text| text.contains("does not run")), "{text}");
}

fn check_of_the_files() {
    let pair = Pair::new(Setup::web());
    // The only findings are warnings: an initdead that a test can wait for, and no fencing.
    let found = pair.expect("node1", &["hb", "check"], 1).out;
    assert!(found.contains("initdead") && !found.contains("error["), "{found}");
    let report = pair.expect("node1", &["hb", "check", "--json"], 1).out;
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["starts"], true, "{report}");
    pair.write("node1", "/etc/ha.d/haresources", "node9 IPaddr::192.0.2.100\n", 0o644);
    let found = pair.expect("node1", &["hb", "check"], 3).out;
    assert!(found.contains("haresources:1:1") && found.contains("node9"), "{found}");
    let start = pair.expect("node1", &["heartbeat"], 6);
    assert!(start.err.contains("node9") && start.err.contains("not started"), "{start}");
}

/// A machine that is called otherwise than ha.cf says is no member: it does not begin, and says what to do.
fn host_name_has_changed() {
    let mut pair = Pair::new(Setup::web());
    pair.start("node2");
    pair.traffic().wait_served("node2");
    pair.shell("node1", "hostname renamed");
    let ran = pair.run("node1", &["heartbeat", "-f"]);
    assert_ne!(ran.code, 0, "{ran}");
    assert!(ran.err.contains("this node, `renamed`, is not in ha.cf"), "{ran}");
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
    pair.shell("node1", "hostname node1");
    pair.start("node1");
    pair.wait_well();
}
