//! Input that is wrong, by accident or on purpose: packets, keys, files, ports, a second start.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, HEARTBEAT, PUBLIC};
use hb_config::settings::AuthMethod;
use hb_netns::files::{KEY, KEYS, NODES, Setup, ucast};
use hb_netns::pair::{Pair, active_on, groups, has_problem, problem};
use hb_netns::runner::Case;

use crate::forge::{self, Neighbour};

pub(crate) const CASES: &[Case] = &[
    Case { name: "packets_that_are_wrong", run: packets_that_are_wrong },
    Case { name: "replay_does_not_wake_the_dead", run: replay_does_not_wake_the_dead },
    Case { name: "keys_differ", run: keys_differ },
    Case { name: "key_changed_while_running", run: key_changed_while_running },
    Case { name: "key_changed_by_mistake", run: key_changed_by_mistake },
    Case { name: "forged_life_delays_little", run: forged_life_delays_little },
    Case { name: "unknown_interface", run: unknown_interface },
    Case { name: "port_in_use", run: port_in_use },
    Case { name: "authkeys_that_others_can_read", run: authkeys_that_others_can_read },
    Case { name: "started_twice", run: started_twice },
];

/// First argument of this program when it only holds a port.
pub(crate) const HOLD_FLAG: &str = "--hold-udp";
/// Packets of each kind that are thrown.
const ROUNDS: usize = 300;
/// How long two nodes have different keys.
const MISTAKE: Duration = Duration::from_secs(4);
/// The largest datagram that IPv4 carries.
const DATAGRAM_MAX: usize = 65_507;

/// Broadcast on the public network, so that the neighbour hears it; a link of their own besides.
fn setup() -> Setup {
    Setup { media: format!("bcast {PUBLIC}\n{}", ucast(HEARTBEAT)), ..Setup::web() }
}

fn packets_that_are_wrong() {
    let pair = Pair::running(setup());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let target = lab::public_address(1);
    let mut neighbour = Neighbour::new();
    let real = neighbour.capture(lab::public_address(2), 8);
    let rogue = forge::packets_of("node2", AuthMethod::Sha256, "another key");
    let foreign = forge::packets_of("node9", AuthMethod::Sha256, KEY);
    let weak = forge::packets_of("node2", AuthMethod::Crc, "");
    for round in 0..ROUNDS {
        let length = neighbour.below(2_000);
        let noise = neighbour.noise(length);
        neighbour.throw(target, &noise);
        let packet = &real[round % real.len()];
        let cut = neighbour.below(packet.len());
        neighbour.throw(target, &packet[..cut]);
        let mut flipped = packet.clone();
        flipped[cut] ^= 1;
        neighbour.throw(target, &flipped);
        for whole in
            [packet, &rogue[round % rogue.len()], &foreign[round % foreign.len()], &weak[0]]
        {
            neighbour.throw(target, whole);
        }
        // What a receive queue holds is answered for; the rest the kernel drops.
        thread::sleep(Duration::from_millis(2));
    }
    neighbour.throw(target, &[]);
    neighbour.throw(target, &[b'#'; DATAGRAM_MAX]);
    let status = pair.wait("node1", "it has counted them", |s| {
        let c = s.counters;
        c.malformed > 100 && c.bad_auth > 100 && c.foreign > 50 && c.duplicate + c.replay > 100
    });
    assert_eq!(active_on(&status), Some("node1"));
    assert_eq!(status.peer.as_ref().map(|peer| peer.status.as_str()), Some("active"));
    let text = &problem(&status, "bad_auth").text;
    assert!(text.contains("wrong signature"), "{text}");
    // At most one line in a second for each link and kind of fault.
    let lines = pair.log("node1").matches("datagram refused").count();
    let limit = (usize::try_from(begin.elapsed().as_secs()).unwrap_or_default() + 2) * 2 * 8;
    assert!((1..=limit).contains(&lines), "{lines} lines, at most {limit}");
    traffic.assert_unbroken(begin, Some("node1"));
    assert!(!pair.log("node1").contains("is dead"));
    assert!(!pair.log("node2").contains("is dead"));
}

/// What was valid once is not, after its sender has died or started again.
fn replay_does_not_wake_the_dead() {
    let mut pair = Pair::running(setup());
    let traffic = pair.traffic();
    let neighbour = Neighbour::new();
    let old = neighbour.capture(lab::public_address(2), 10);
    pair.crash("node2");
    pair.wait("node1", "node2 is dead", |s| has_problem(s, "peer_dead"));
    let before = pair.status("node1").counters;
    for _ in 0..20 {
        old.iter().for_each(|packet| neighbour.throw(lab::public_address(1), packet));
        thread::sleep(Duration::from_millis(20));
    }
    let status = pair.wait("node1", "replays are counted", |s| s.counters.replay > before.replay);
    assert_eq!(status.peer.expect("a peer").status, "dead");
    pair.boot("node2");
    pair.start("node2");
    pair.wait_well();
    let begin = Instant::now();
    old.iter().for_each(|packet| neighbour.throw(lab::public_address(1), packet));
    traffic.assert_unbroken(begin, Some("node1"));
    pair.wait_well();
}

/// Packets arrive and none can be believed: that is not death. Heartbeat finds the other dead after
/// initdead, and both serve. Here neither does, and both name the sender and say what to do.
fn keys_differ() {
    let mut setup = setup();
    setup.keys[1] = "auth 1\n1 sha256 another-key-of-the-tests-32-bytes\n".to_owned();
    let mut pair = Pair::new(setup);
    NODES.into_iter().for_each(|node| pair.start(node));
    for node in NODES {
        let status = pair.wait(node, "it doubts", |s| has_problem(s, "peer_lost"));
        assert!(!status.failover_ready && active_on(&status).is_none());
        let other = NODES.into_iter().find(|other| *other != node).expect("two nodes");
        let text = &problem(&status, "peer_lost").text;
        assert!(text.contains(&format!("packets of {other} arrive")), "{text}");
        assert!(problem(&status, "bad_auth").text.contains("key mismatch"), "{status:#?}");
        pair.wait_log(node, "datagram refused");
        pair.wait_log(node, "key mismatch");
    }
    assert!(pair.owners("192.0.2.100").is_empty());
    // The same key on both, and no restart: they find each other and one of them gives way.
    pair.write("node2", "/etc/ha.d/authkeys", KEYS, 0o600);
    pair.expect("node2", &["heartbeat", "-r"], 0);
    pair.wait("node2", "it sees node1", |s| {
        groups(s).values().all(|at| at.as_deref() == Some("node1"))
    });
    pair.until("one owner", || pair.owners("192.0.2.100") == ["node1"]);
}

/// A key that only one node of a running pair has is no death: the owner serves on, the other takes
/// nothing, both say what is wrong, and the right key ends it.
fn key_changed_by_mistake() {
    let native = "[address]\nhold = \"1s\"\n".to_owned();
    let pair = Pair::running(Setup { native, ..setup() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let wrong = "auth 1\n1 sha256 another-key-of-the-tests-32-bytes\n";
    pair.write("node2", "/etc/ha.d/authkeys", wrong, 0o600);
    pair.expect("node2", &["heartbeat", "-r"], 0);
    for node in NODES {
        pair.wait(node, "it knows better than to believe in a death", |s| {
            s.problems.iter().any(|p| p.id == "peer_lost" && p.text.contains("machine answers"))
        });
    }
    // Longer than the dead time and the time for which a machine that answers for an address keeps
    // it together.
    let doubted = Instant::now();
    while doubted.elapsed() < MISTAKE {
        assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
        thread::sleep(Duration::from_millis(50));
    }
    pair.write("node2", "/etc/ha.d/authkeys", KEYS, 0o600);
    pair.expect("node2", &["heartbeat", "-r"], 0);
    for node in NODES {
        pair.wait(node, "it knows the other again", |s| {
            s.peer.as_ref().is_some_and(|peer| peer.status == "active")
                && !has_problem(s, "peer_lost")
                && active_on(s) == Some("node1")
        });
    }
    traffic.assert_unbroken(begin, Some("node1"));
}

/// Somebody without the key sends in the name of a machine that has died.
fn forged_life_delays_little() {
    let mut pair = Pair::running(setup());
    let neighbour = Neighbour::new();
    let rogue = forge::packets_of("node1", AuthMethod::Sha256, "another key");
    pair.crash("node1");
    pair.until("node2 has it", || {
        rogue.iter().for_each(|packet| neighbour.throw(lab::public_address(2), packet));
        pair.owners_of(&["node2"], "192.0.2.100") == ["node2"]
    });
    pair.wait_log("node2", "its machine is asked");
}

/// A key is changed on one node after the other without an outage: every key verifies.
fn key_changed_while_running() {
    let pair = Pair::running(setup());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let both = |active: u8| {
        format!("auth {active}\n1 sha256 {KEY}\n2 sha256 the-next-key-of-the-tests-thirty\n")
    };
    for active in [1, 2] {
        for node in NODES {
            pair.write(node, "/etc/ha.d/authkeys", &both(active), 0o600);
            pair.expect(node, &["heartbeat", "-r"], 0);
            let key = format!("#{active} sha256");
            pair.wait(node, "the key is in use", |s| s.this_node.key == key || active == 1);
            pair.wait_log(node, "Rereading authentication file.");
        }
    }
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    for node in NODES {
        assert_eq!(pair.status(node).counters.bad_auth, 0, "{node}");
    }
}

/// One of two links cannot work; the other does, and status names the first.
fn unknown_interface() {
    let mut pair = Pair::running_with(
        Setup { media: format!("bcast eth7\n{}", ucast(HEARTBEAT)), ..Setup::web() },
        |status| status.failover_ready,
    );
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    for node in NODES {
        let status = pair.status(node);
        let text = &problem(&status, "link_down").text;
        assert!(text.contains("eth7") && text.contains("does not exist"), "{text}");
        let shown = pair.expect(node, &["hb", "status"], 1).out;
        assert!(shown.contains("FAILED") && shown.contains("eth7"), "{shown}");
    }
    pair.crash("node1");
    traffic.wait_served("node2");
}

fn port_in_use() {
    let media = format!("{}mcast {PUBLIC} 225.0.0.1 1694 1 0\n", ucast(HEARTBEAT));
    let mut pair = Pair::new(Setup { media, ..Setup::web() });
    let holder =
        pair.spawn("node1", &[&format!("{}/{}", lab::PROGRAMS, lab::SELF), HOLD_FLAG, "694"]);
    pair.until("the port is held", || {
        pair.run("node1", &["/bin/cat", "/proc/net/udp"]).out.contains(":02B6 ")
    });
    NODES.into_iter().for_each(|node| pair.start(node));
    let status = pair.wait("node1", "the other link works", |s| s.failover_ready);
    let text = &problem(&status, "link_down").text;
    assert!(text.contains(HEARTBEAT) && text.contains("694"), "{text}");
    drop(holder);
    pair.wait_well();
    pair.traffic().wait_served("node1");
}

/// Holds a UDP port of all addresses until it is ended.
pub(crate) fn hold(port: &str) -> std::process::ExitCode {
    let port = port.parse::<u16>().expect("a port");
    let _socket = UdpSocket::bind(("0.0.0.0", port)).expect("a free port");
    loop {
        thread::park();
    }
}

fn authkeys_that_others_can_read() {
    let pair = Pair::new(Setup::web());
    pair.shell("node1", "chmod 644 /etc/ha.d/authkeys");
    for words in [&["heartbeat"][..], &["heartbeat", "-f"]] {
        let ran = pair.expect("node1", words, 6);
        assert!(ran.err.contains("/etc/ha.d/authkeys"), "{ran}");
        assert!(ran.err.contains("chmod 600 /etc/ha.d/authkeys"), "{ran}");
    }
    assert_eq!(pair.run("node1", &["heartbeat", "-s"]).code, 3);
    pair.shell("node1", "rm /etc/ha.d/authkeys");
    let ran = pair.expect("node1", &["heartbeat"], 6);
    assert!(ran.err.contains("authkeys"), "{ran}");
}

fn started_twice() {
    let pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    for node in NODES {
        let pid = pair.status(node).pid;
        for words in [&["heartbeat"][..], &["heartbeat", "-f"]] {
            let ran = pair.expect(node, words, 0);
            assert!(ran.err.contains(&format!("already running [pid {pid}]")), "{ran}");
        }
        assert_eq!(pair.status(node).pid, pid);
    }
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
}
