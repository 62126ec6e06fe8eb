//! What happens to the machine around a running daemon: interfaces that go, come back and change,
//! descriptors that run out, a wall clock that jumps, and another cluster on the same network. Disks have
//! a file of their own.

use std::time::Instant;

use hb_cli::lab::{self, HEARTBEAT, PROGRAMS};
use hb_netns::files::{ADDRESS2, KEY, KEYS, NODES, Setup};
use hb_netns::pair::{Pair, STRANGERS, active_on, has_problem, need_ip, problem};
use hb_netns::runner::{self, Case};
use hb_node::api::StatusSnapshot;

pub(crate) const CASES: &[Case] = &[
    Case { name: "heartbeat_interface_is_renamed", run: interface_is_renamed },
    Case { name: "heartbeat_interface_is_made_anew", run: interface_is_made_anew },
    Case { name: "mtu_of_a_heartbeat_link_drops", run: mtu_drops },
    Case { name: "descriptors_run_out", run: descriptors_run_out },
    Case { name: "wall_clock_jumps", run: wall_clock_jumps },
    Case { name: "second_cluster_on_the_network", run: second_cluster },
];

/// Where Debian puts the library that shows a program another wall clock.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// What it reads.
const CLOCK: &str = "/run/clock";

/// Both see the heartbeat link of node1 dead and mended again, and the page is served throughout.
fn link_dies_and_lives(pair: &Pair, dies: &str, lives: &str) {
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.shell("node1", dies);
    for node in NODES {
        let status = pair.wait(node, "the link is dead", |s| has_problem(s, "link_down"));
        assert!(problem(&status, "link_down").text.contains(HEARTBEAT), "{status:?}");
        assert!(is_alive(&status), "the other link works: {status:?}");
    }
    pair.shell("node1", lives);
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
}

fn interface_is_renamed() {
    need_ip();
    let pair = Pair::running(Setup::web());
    let address = format!("{}/24", lab::heartbeat_address(1));
    let renamed = |from: &str, to: &str| {
        format!("ip link set {from} down && ip link set {from} name {to} && ip link set {to} up")
    };
    let lives = renamed("other", HEARTBEAT);
    link_dies_and_lives(
        &pair,
        &renamed(HEARTBEAT, "other"),
        &format!("{lives} && (ip address add {address} dev {HEARTBEAT} || true)"),
    );
}

/// A bridge, as a machine of virtual machines has it: the cable stays where it is.
fn interface_is_made_anew() {
    need_ip();
    let mut pair = Pair::new(Setup::web());
    let address = format!("{}/24", lab::heartbeat_address(1));
    let made = format!(
        "ip link add {HEARTBEAT} type bridge && ip link set cable master {HEARTBEAT} up && \
         ip link set {HEARTBEAT} up && ip address add {address} dev {HEARTBEAT}"
    );
    pair.shell(
        "node1",
        &format!(
            "ip address flush dev {HEARTBEAT} && ip link set {HEARTBEAT} down && \
             ip link set {HEARTBEAT} name cable && {made}"
        ),
    );
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    link_dies_and_lives(&pair, &format!("ip link del {HEARTBEAT}"), &made);
}

/// To the least that IPv4 allows: messages are small, and what is larger comes in fragments.
fn mtu_drops() {
    need_ip();
    let pair = Pair::running(Setup::web());
    for node in NODES {
        pair.shell(node, &format!("ip link set {HEARTBEAT} mtu 576"));
    }
    move_there_and_back(&pair);
    for node in NODES {
        let log = pair.log(node);
        assert!(!log.contains(&format!("{HEARTBEAT} dead")), "{log}");
    }
}

fn move_there_and_back(pair: &Pair) {
    let traffic = pair.traffic();
    pair.expect("node1", &["hb", "standby"], 0);
    traffic.wait_served("node2");
    pair.wait_well();
    pair.expect("node1", &["hb", "takeover"], 0);
    traffic.wait_served("node1");
    pair.wait_well();
}

/// What a daemon needs to live is open beforehand; a check that cannot be made says nothing of what runs.
fn descriptors_run_out() {
    let native = format!("{}[monitor]\ninterval = \"500ms\"\n", Setup::web().native);
    let haresources = "node1 IPaddr::192.0.2.100/24/eth0 agent::web\n".to_owned();
    let pair = Pair::running(Setup { native, haresources, ..Setup::web() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let limits = pair.shell(
        "node1",
        "prlimit --noheadings --output=SOFT,HARD --nofile --pid $(cat /run/heartbeat.pid)",
    );
    let limits: Vec<&str> = limits.split_whitespace().collect();
    // Not one more: the lowest numbers are taken.
    pair.shell("node1", "prlimit --pid $(cat /run/heartbeat.pid) --nofile=3:");
    pair.wait_log("node1", "nobody knows whether it runs");
    let status = pair.hear_on("node2");
    assert!(is_alive(&status), "{status:?}");
    let line = format!("prlimit --pid $(cat /run/heartbeat.pid) --nofile={}:", limits[0]);
    pair.shell("node1", &line);
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    move_there_and_back(&pair);
}

/// A month forward, and then two back: only the dates of the log follow.
fn wall_clock_jumps() {
    if !std::path::Path::new(FAKETIME).exists() {
        runner::skip("libfaketime is not installed");
    }
    let mut pair = Pair::new(Setup::web());
    pair.write("node1", CLOCK, "+0d", 0o644);
    let line = format!(
        "LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 exec {PROGRAMS}/heartbeat -f"
    );
    let _daemon = pair.spawn("node1", &["/bin/sh", "-c", &line]);
    pair.start("node2");
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    // `node1 heartbeat: [7]: 2026/11/21_16:45:40 info: …`
    let month = |log: &str| {
        let date = log.lines().last().and_then(|line| line.split(' ').nth(3));
        date.and_then(|date| date.get(..7)).expect("a date").to_owned()
    };
    for jump in ["+30d", "-30d"] {
        let begin = Instant::now();
        let before = pair.log("node1");
        pair.write("node1", CLOCK, jump, 0o644);
        pair.hear_on("node2");
        traffic.assert_unbroken(begin, Some("node1"));
        for node in NODES {
            assert!(!pair.log(node).contains("stood still"), "{}", pair.log(node));
        }
        move_there_and_back(&pair);
        let log = pair.log("node1");
        assert_ne!(month(&before), month(&log), "the clock did not jump: {log}");
    }
    pair.crash("node1");
    traffic.wait_served("node2");
}

/// Two pairs, one network, one port: each goes its way.
fn second_cluster() {
    let media = || format!("bcast {HEARTBEAT}\n");
    let mut pair = Pair::running(Setup { media: media(), ..Setup::web() });
    let others = STRANGERS;
    let second = Setup {
        media: media(),
        keys: [(); 2].map(|()| KEYS.replace(KEY, "another-key-of-another-cluster-32b")),
        haresources: format!("node1 {ADDRESS2}\n"),
        ..Setup::new("")
    };
    for (index, node) in others.into_iter().enumerate() {
        for (path, text, mode) in second.files(index) {
            let text = text.replace("node1", others[0]).replace("node2", others[1]);
            pair.write(node, &path, &text, mode);
        }
        pair.boot(node);
        pair.start(node);
    }
    let served = |s: &StatusSnapshot, on| active_on(s) == Some(on) && is_alive(s);
    for node in others {
        pair.wait(node, "the second pair serves", |s| served(s, others[0]));
    }
    for node in NODES {
        let status = pair.wait(node, "strangers are told", |s| has_problem(s, "bad_auth"));
        assert!(served(&status, "node1"), "{status:?}");
        let hint = &problem(&status, "bad_auth").hint;
        assert!(hint.contains("another cluster on this port?"), "{hint}");
    }
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.crash("node1");
    traffic.wait_served("node2");
    pair.crash("other1");
    pair.until("the second pair serves", || pair.owners_of(&["other2"], "192.0.2.101").len() == 1);
    assert_eq!(pair.owners_of(&["node2"], "192.0.2.100"), ["node2"]);
    assert!(pair.owners_of(&["node2"], "192.0.2.101").is_empty());
}

fn is_alive(status: &StatusSnapshot) -> bool {
    status.peer.as_ref().is_some_and(|peer| peer.status == "active")
}
