//! Deaths and returns: of a machine, of a daemon, of the daemon's time to run.

use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab;
use hb_netns::files::{ADDRESS, ADDRESS2, NGINX_CONF, NODES, Setup, nginx_conf};
use hb_netns::pair::{Pair, active_on, groups, has_problem};
use hb_netns::runner::{Case, skip};

pub(crate) const CASES: &[Case] = &[
    Case { name: "power_loss_with_nginx", run: power_loss_with_nginx },
    Case { name: "return_without_failback", run: return_without_failback },
    Case { name: "active_on_both", run: active_on_both },
    Case { name: "killed_daemon_adopts_what_runs", run: killed_daemon_adopts_what_runs },
    Case { name: "killed_daemon_comes_back_late", run: killed_daemon_comes_back_late },
    Case { name: "short_pause_changes_nothing", run: short_pause_changes_nothing },
    Case { name: "long_pause_ends_with_one_owner", run: long_pause_ends_with_one_owner },
];

fn power_loss_with_nginx() {
    if lab::find_program("nginx").is_none() {
        skip("nginx is not installed");
    }
    let pair = Pair::new(Setup::new(&format!("node1 {ADDRESS} nginx\n")));
    let mut pair = pair;
    for node in NODES {
        pair.write(node, NGINX_CONF, &nginx_conf(node, "80"), 0o644);
        pair.start(node);
    }
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.crash("node1");
    traffic.wait_served("node2");
    let status = pair.wait("node2", "node1 is dead", |s| has_problem(s, "peer_dead"));
    assert_eq!(active_on(&status), Some("node2"));
    pair.wait_log("node2", "mach_down takeover complete for node node1.");
    pair.boot("node1");
    pair.start("node1");
    traffic.wait_served("node1");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    let runs = |node: &str| pair.run(node, &["/bin/sh", "-c", "cat /proc/[0-9]*/comm"]).out;
    assert!(runs("node1").contains("nginx") && !runs("node2").contains("nginx"));
}

/// The peer comes back, and not one request fails.
fn return_without_failback() {
    let mut pair = Pair::running(Setup { failback: "off", ..Setup::web() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.crash("node1");
    traffic.wait_served("node2");
    let begin = Instant::now();
    pair.boot("node1");
    pair.start("node1");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node2"));
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
}

fn active_on_both() {
    let mut setup = Setup::web();
    setup.haresources = format!("node1 {ADDRESS} agent::a\nnode2 {ADDRESS2} agent::b\n");
    let mut pair = Pair::running(setup);
    let first = pair.traffic();
    let second = hb_netns::traffic::Traffic::to(([192, 0, 2, 101], 80).into());
    for (dead, alive) in [("node2", "node1"), ("node1", "node2")] {
        first.wait_served("node1");
        second.wait_served("node2");
        pair.wait_well();
        let served = groups(&pair.status("node1"));
        assert_eq!(served[ADDRESS].as_deref(), Some("node1"));
        assert_eq!(served[ADDRESS2].as_deref(), Some("node2"));
        pair.crash(dead);
        first.wait_served(alive);
        second.wait_served(alive);
        pair.wait(alive, "it has both", |s| s.this_node.rscstatus == "all");
        pair.boot(dead);
        pair.start(dead);
    }
    first.wait_served("node1");
    second.wait_served("node2");
    pair.wait_well();
}

/// Killed and started again at once, the daemon takes what runs for what it is.
fn killed_daemon_adopts_what_runs() {
    let mut setup = Setup::web();
    setup.haresources = format!("node1 {ADDRESS} agent::a\n");
    let mut pair = Pair::running(setup);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.kill("node1");
    pair.start("node1");
    pair.wait("node1", "it holds the group", |s| active_on(s) == Some("node1"));
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    assert_eq!(pair.journal("node1"), ["a start"]);
    assert!(pair.journal("node2").is_empty(), "a second owner");
}

/// Nobody looks after what it left behind, and the peer takes over: both have it. The daemon that is
/// started at last adopts it, and the two find out who keeps it.
fn killed_daemon_comes_back_late() {
    let mut setup = Setup::web();
    setup.haresources = format!("node1 agent::a {ADDRESS}\n");
    let mut pair = Pair::running(setup.unasked());
    let traffic = pair.traffic();
    pair.kill("node1");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    assert_eq!(pair.owners("192.0.2.100"), NODES);
    pair.start("node1");
    pair.wait_well();
    let owners = pair.owners("192.0.2.100");
    assert_eq!(owners.len(), 1, "{owners:?}");
    traffic.wait_served(owners[0]);
    let runs = |node: &str| pair.journal(node).last().map(|line| line == "a start");
    for node in NODES {
        assert_eq!(runs(node), Some(node == owners[0]), "{node}: {:?}", pair.journal(node));
    }
}

fn short_pause_changes_nothing() {
    let pair = Pair::running(Setup::web().calm());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.signal("node1", "STOP");
    thread::sleep(Duration::from_millis(600));
    pair.signal("node1", "CONT");
    pair.wait("node1", "it goes on", |s| s.failover_ready);
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    assert!(!pair.log("node2").contains("is dead"), "node2 declared it dead");
}

/// Frozen for longer than the dead time, a node wakes to find itself replaced. Both claim the group
/// then; the rule that both know leaves it to one, which keeps serving.
fn long_pause_ends_with_one_owner() {
    let pair = Pair::running(Setup::web().unasked());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.signal("node1", "STOP");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    pair.signal("node1", "CONT");
    pair.wait_log("node2", "returning after partition");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100").len(), 1);
    traffic.wait_served(pair.owners("192.0.2.100")[0]);
}
