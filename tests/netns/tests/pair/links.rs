//! Links between the nodes, of every medium: one that is cut, all that are cut, and what happens
//! when they are mended. And ping nodes.

use std::time::{Duration, Instant};

use hb_cli::lab::{self, HEARTBEAT, PUBLIC};
use hb_netns::files::{ADDRESS, FORGIVING, NODES, Setup, ucast};
use hb_netns::pair::{Pair, active_on, has_problem, ip_here, need_ip, problem};
use hb_netns::runner::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "one_of_two_links_is_cut", run: one_of_two_links_is_cut },
    Case { name: "broadcast_without_a_broadcast_address", run: broadcast_without_address },
    Case { name: "multicast", run: multicast },
    Case { name: "links_over_ipv6", run: links_over_ipv6 },
    Case { name: "partition_is_healed", run: partition_is_healed },
    Case { name: "winner_of_a_partition_serves_throughout", run: winner_serves_throughout },
    Case { name: "node_cut_from_everything", run: node_cut_from_everything },
    Case { name: "ping_node", run: ping_node },
];

fn one_of_two_links_is_cut() {
    let pair = Pair::running(Setup {
        media: format!("bcast {HEARTBEAT}\n{}", ucast(PUBLIC)),
        ..Setup::web()
    });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    for node in NODES {
        let status = pair.wait(node, "the link is dead", |s| has_problem(s, "link_down"));
        assert!(problem(&status, "link_down").text.contains(HEARTBEAT), "{status:?}");
        let peer = status.peer.expect("a peer");
        assert_eq!(peer.status, "active");
        let up: Vec<(&str, bool)> = peer.links.iter().map(|l| (l.name.as_str(), l.up)).collect();
        assert_eq!(up, [(HEARTBEAT, false), (PUBLIC, true)], "{node}");
        let shown = pair.expect(node, &["hb", "status"], 1).out;
        assert!(shown.contains("DEAD") && shown.contains("link eth1"), "{shown}");
    }
    assert_eq!(
        pair.expect("node1", &["cl_status", "hblinkstatus", "node2", "eth1"], 1).out,
        "dead\n"
    );
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    pair.wait_well();
    assert_eq!(
        pair.expect("node1", &["cl_status", "hblinkstatus", "node2", "eth1"], 0).out,
        "up\n"
    );
    traffic.assert_unbroken(begin, Some("node1"));
}

/// `ip address add` sets none unless it is told to, and Heartbeat 3.0.6 then sends nowhere.
fn broadcast_without_address() {
    need_ip();
    let mut pair = Pair::new(Setup { media: format!("bcast {HEARTBEAT}\n"), ..Setup::web() });
    for (number, node) in (1..).zip(NODES) {
        let address = lab::heartbeat_address(number);
        let line = format!(
            "ip address flush dev {HEARTBEAT} && ip address add {address}/24 dev {HEARTBEAT} && \
             ! ip address show dev {HEARTBEAT} | grep -q brd.198"
        );
        pair.shell(node, &line);
        pair.start(node);
    }
    pair.wait_well();
    pair.traffic().wait_served("node1");
}

fn multicast() {
    let media =
        format!("mcast {HEARTBEAT} 239.0.0.42 694 1 0\nmcast {PUBLIC} 225.0.0.1 1694 1 1\n");
    let mut pair = Pair::running(Setup { media, ..Setup::web() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    for node in NODES {
        let peer = pair.wait(node, "both links", |s| {
            s.peer.as_ref().is_some_and(|peer| peer.links.iter().all(|link| link.up))
        });
        assert_eq!(peer.peer.expect("a peer").links.len(), 2);
    }
    pair.crash("node1");
    traffic.wait_served("node2");
}

fn links_over_ipv6() {
    need_ip();
    let media = format!(
        "ucast6 {HEARTBEAT} fd00:1::1\nucast6 {HEARTBEAT} fd00:1::2\n\
         mcast6 {PUBLIC} ff12::694 694 1 0\n"
    );
    let mut pair = Pair::new(Setup { media, ..Setup::web() });
    for (number, node) in (1..).zip(NODES) {
        for (network, interface) in [(1, HEARTBEAT), (2, PUBLIC)] {
            let address = format!("fd00:{network}::{number}/64");
            pair.shell(node, &format!("ip -6 address add {address} dev {interface} nodad"));
        }
        pair.start(node);
    }
    pair.wait_well();
    for node in NODES {
        pair.wait(node, "both links", |s| {
            s.peer.as_ref().is_some_and(|peer| peer.links.iter().all(|link| link.up))
        });
    }
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.crash("node1");
    traffic.wait_served("node2");
}

/// A pair whose only link is the heartbeat network, with an agent that tells who ran what.
fn one_link() -> Setup {
    Setup {
        media: ucast(HEARTBEAT),
        haresources: format!("node1 agent::a {ADDRESS}\n"),
        ..Setup::web().unasked()
    }
}

/// Without heartbeats both take the group, as Heartbeat does without fencing. From the heal on the
/// preferred node keeps it and never lets go, and the other gives it up.
fn partition_is_healed() {
    let pair = Pair::running(one_link());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    pair.wait("node1", "node2 is dead", |s| has_problem(s, "peer_dead"));
    assert_eq!(pair.owners("192.0.2.100"), NODES);
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    // Whomever the client asked last: the winner has told the network again where it is.
    traffic.wait_served("node1");
    traffic.assert_unbroken(Instant::now() - Duration::from_millis(200), Some("node1"));
    assert_eq!(pair.journal("node1"), ["a start"]);
    assert_eq!(pair.journal("node2"), ["a start", "a stop"]);
}

/// A client whose neighbour table points to the winner notices nothing at all.
fn winner_serves_throughout() {
    need_ip();
    let pair = Pair::running(one_link());
    // Locally administered, network 0, node 1: see the lab's switch.
    let table = ["neighbour", "replace", "192.0.2.100", "lladdr", "02:77:00:00:00:01"];
    ip_here(&[&table[..], &["nud", "permanent", "dev", "br0"]].concat());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

/// The serving node loses all its cables and gets them back. The client is served by the other.
fn node_cut_from_everything() {
    let pair = Pair::running(Setup { native: FORGIVING.to_owned(), ..Setup::web() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.isolate("node1", true);
    traffic.wait_served("node2");
    pair.isolate("node1", false);
    pair.wait_well();
    let owners = pair.owners("192.0.2.100");
    assert_eq!(owners.len(), 1, "{owners:?}");
    traffic.wait_served(owners[0]);
}

fn ping_node() {
    let mut setup = Setup::web().calm();
    setup.further = "ping 192.0.2.254\ndeadping 1\n".to_owned();
    let pair = Pair::running(setup);
    let check = |word: &str, shown: &str, code: i32| {
        for node in NODES {
            let fits = |s: &hb_node::api::StatusSnapshot| s.pings[0].status == word;
            let status = pair.wait(node, &format!("the ping node is {word}"), fits);
            assert_eq!(has_problem(&status, "ping_dead"), word == "dead");
            let out = pair.expect(node, &["hb", "status"], code).out;
            assert!(out.contains(&format!("192.0.2.254 {shown}")), "{out}");
            let said = pair.run(node, &["cl_status", "nodestatus", "192.0.2.254"]);
            assert_eq!(said.out, format!("{word}\n"));
        }
    };
    check("ping", "answers", 0);
    pair.lab.set_client_address(false).expect("an address");
    check("dead", "SILENT", 1);
    // It is no member: nothing moves.
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    pair.lab.set_client_address(true).expect("an address");
    check("ping", "answers", 0);
}
