//! Nodes that do not hear each other, by a pause or a cut, and other hosts with the address.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hb_cli::lab::HEARTBEAT;
use hb_netns::files::{NODES, Setup, ucast};
use hb_netns::pair::{Pair, active_on, has_problem, ip_here, local_addresses, need_ip};
use hb_netns::runner::{Case, measured, skip};
use hb_netns::traffic::{Meter, Traffic};
use hb_node::api::{StatusSnapshot, Verdict};
use hb_resource::input::GroupClaim;

use crate::support::{IP, web, with_agent};

pub(crate) const CASES: &[Case] = &[
    Case { name: "owner_frozen", run: owner_frozen },
    Case { name: "owner_frozen_and_replaced", run: owner_frozen_and_replaced },
    Case { name: "partition_and_heal", run: partition_and_heal },
    Case { name: "owner_frozen_for_eight_seconds", run: owner_frozen_for_eight_seconds },
    Case { name: "partition_of_ten_seconds", run: partition_of_ten_seconds },
    Case { name: "frozen_directly_after_the_start", run: frozen_directly_after_the_start },
    Case { name: "partition_with_a_witness", run: partition_with_a_witness },
    Case { name: "another_host_has_the_address", run: another_host_has_the_address },
    Case { name: "watchdog_file", run: watchdog_file },
];

/// Its kernel answers for the address all the while: it stays the only owner.
fn owner_frozen() {
    let pair = Pair::running(web());
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    traffic.wait_served("node1");
    let begin = meter.begin();
    pair.signal("node1", "STOP");
    let refused = |last: &String| last.contains("in use by");
    pair.wait("node2", "it has tried", |s| s.groups[0].resources[0].last.iter().any(refused));
    assert_eq!(pair.owners(IP), ["node1"]);
    pair.signal("node1", "CONT");
    pair.wait("node2", "node1 is back", |s| active_on(s) == Some("node1"));
    meter.tell_gap("owner frozen, the address guarded: longest time without an answer");
    assert_eq!(pair.owners(IP), ["node1"]);
    traffic.assert_unbroken(begin, Some("node1"));
    pair.expect("node2", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// Both have it when it wakes. One lets go, and the other never did.
fn owner_frozen_and_replaced() {
    let pair = Pair::running(web().unasked());
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    pair.signal("node1", "STOP");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    assert_eq!(pair.owners(IP), NODES);
    let woken = meter.begin();
    pair.signal("node1", "CONT");
    pair.until("one owner", || pair.owners(IP).len() == 1);
    measured("owner woken, until there is one owner", woken.elapsed());
    let one = Instant::now();
    let owner = pair.owners(IP)[0];
    pair.wait_well();
    traffic.wait_served(owner);
    meter.tell_gap("owner woken, longest time without an answer");
    traffic.assert_unbroken(one, Some(owner));
    assert_eq!(pair.owners(IP), [owner]);
}

/// Both take it while they cannot hear each other. Healed, both log it and one lets go.
fn partition_and_heal() {
    need_ip();
    let pair = Pair::running(Setup { media: ucast(HEARTBEAT), ..with_agent().unasked() });
    // Both serve until the one that lets go has stopped everything: as long as the test wants.
    let slow = "while [ ! -e /var/log/agents/go ]; do sleep 0.02; done\n";
    pair.write("node2", "/var/log/agents/a.stop", slow, 0o644);
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    pair.wait("node1", "node2 is dead", |s| has_problem(s, "peer_dead"));
    assert_eq!(pair.owners(IP), NODES);
    meter.begin();
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    for node in NODES {
        pair.wait(node, "the split is shown", |s| s.verdict == Verdict::Split);
        let shown = pair.expect(node, &["hb", "status"], 2).out;
        assert!(shown.contains("SPLIT"), "{shown}");
    }
    pair.write("node2", "/var/log/agents/go", "", 0o644);
    pair.until("one owner", || pair.owners(IP).len() == 1);
    // node1 tells the network once it hears that the other has let go; with unicast that may take as long as
    // the kernel asks for the other's Ethernet address.
    traffic.wait_served("node1");
    let one = Instant::now();
    pair.wait_well();
    assert_eq!(pair.owners(IP), ["node1"]);
    meter.tell_gap("partition healed, longest time without an answer");
    traffic.assert_unbroken(one, Some("node1"));
    assert_eq!(pair.journal("node1"), ["a start"]);
    assert_eq!(pair.journal("node2"), ["a start", "a stop"]);
    // What it was is kept for those who look later.
    let record = "/var/lib/heartbeat/history.jsonl";
    let recorded = |node| pair.lab.read_file(node, record).is_ok_and(|t| t.contains("\"split\""));
    NODES.into_iter().for_each(|node| pair.wait_log(node, "split: this node and"));
    pair.until("both have recorded it", || NODES.into_iter().all(recorded));
}

/// Longer than its own dead time and than the other's patience. The other does not ask whether the
/// address is in use, so that there are two owners when it wakes.
fn owner_frozen_for_eight_seconds() {
    let pair = Pair::running(a_second(with_agent().unasked()));
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    pair.signal("node1", "STOP");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(pair.owners(IP), NODES);
    let watch = Watch::new(&pair);
    let woken = meter.begin();
    pair.signal("node1", "CONT");
    let one = watch.one_owner("owner frozen for 8 s, woken, until there is one owner", woken);
    settled_on_node1(&pair, &traffic, &meter, one, "owner frozen for 8 s");
    assert_eq!(pair.journal("node1"), ["a start"], "it went on where it was");
}

/// All heartbeat links, while the clients reach both. By broadcast: after so long, the kernel asks
/// only each second for the Ethernet address of a host that it sends to alone.
fn partition_of_ten_seconds() {
    need_ip();
    let media = format!("bcast {HEARTBEAT}\n");
    let setup = Setup { media, ..a_second(with_agent().unasked()) };
    let pair = Pair::running(setup);
    // The agents of the loser take their time; its address does not.
    pair.write("node2", "/var/log/agents/a.stop", "sleep 6\n", 0o644);
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    pair.lab.mute("node2", HEARTBEAT).expect("a cable");
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(pair.owners(IP), NODES);
    let watch = Watch::new(&pair);
    let healed = meter.begin();
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    let one = watch.one_owner("partition of 10 s, healed, until there is one owner", healed);
    let there = |s: &StatusSnapshot| s.groups[0].here == GroupClaim::Releasing;
    assert!(there(&pair.status("node2")), "its agents still stop when its address has gone");
    settled_on_node1(&pair, &traffic, &meter, one, "partition of 10 s");
    assert_eq!(pair.journal("node1"), ["a start"], "it went on where it was");
    assert_eq!(pair.journal("node2"), ["a start", "a stop"]);
    for node in NODES {
        assert_eq!(pair.log(node).matches("split: this node and").count(), 1, "{node}: one split");
        assert_eq!(pair.log(node).matches("both served it").count(), 1, "{node}: one end");
    }
}

/// The dead time of the figures.
fn a_second(setup: Setup) -> Setup {
    Setup { deadtime_ms: 1_000, initdead_ms: 1_000, ..setup }
}

/// Looks at who has the address without starting a program: on a machine with other work that takes
/// longer than what is to be seen.
struct Watch {
    /// The kernel's table of each node's network, by a process of that node.
    tables: [PathBuf; 2],
}

impl Watch {
    fn new(pair: &Pair) -> Self {
        let table = |node| pair.lab.path(node, "/proc/1/net/fib_trie").expect("a node");
        Self { tables: NODES.map(table) }
    }

    fn owners(&self) -> Vec<&'static str> {
        let has = |table: &PathBuf| {
            let text = std::fs::read_to_string(table).expect("the kernel's table");
            local_addresses(&text).iter().any(|own| own == IP)
        };
        let each = NODES.into_iter().zip(&self.tables);
        each.filter(|(_, table)| has(table)).map(|(node, _)| node).collect()
    }

    /// Waits for the moment from which node1 alone has the address, and tells how long it took. That
    /// the loser waits for its agents or for a timer would take longer than the limit.
    fn one_owner(&self, what: &str, since: Instant) -> Instant {
        while self.owners().len() > 1 {
            assert!(since.elapsed() < Duration::from_secs(5), "{what}: still two");
        }
        measured(what, since.elapsed());
        assert_eq!(self.owners(), ["node1"]);
        Instant::now()
    }
}

/// Node1 keeps it, nobody else has had it since `one`, and no client missed it.
fn settled_on_node1(pair: &Pair, traffic: &Traffic, meter: &Meter, one: Instant, what: &str) {
    traffic.wait_served("node1");
    for _ in 0..20 {
        assert_eq!(pair.owners(IP), ["node1"]);
    }
    pair.wait_well();
    meter.tell_gap(&format!("{what}, longest time without an answer"));
    traffic.assert_unbroken(one, Some("node1"));
    assert_eq!(pair.owners(IP), ["node1"]);
}

/// Heartbeats after which a node has said everything that its first ones did not have yet.
const HEARTBEATS: u64 = 10;

/// The other knows the machine that answers from the first words on, and does not take it for a
/// stranger's.
fn frozen_directly_after_the_start() {
    let mut setup = web();
    // Nobody asks who has it but before a takeover.
    setup.native = setup.native.replace("ready_interval = \"1s\"", "ready_interval = \"60m\"");
    setup.native.push_str("[address]\nhold = \"2s\"\n");
    let mut pair = Pair::new(setup);
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    // Its machine is told with one of the first heartbeats.
    pair.wait("node2", "node1 has said all that it has to say", |s| {
        let links = s.peer.iter().flat_map(|peer| &peer.links);
        links.filter_map(|link| link.counters).any(|counters| counters.ok >= HEARTBEATS)
    });
    assert_eq!(active_on(&pair.status("node2")), Some("node1"));
    pair.signal("node1", "STOP");
    pair.wait_log("node2", "the machine of the silent peer");
    assert_eq!(pair.owners(IP), ["node1"]);
    pair.wait("node2", "it takes it all the same", |s| s.groups[0].here == GroupClaim::Held);
    pair.signal("node1", "CONT");
    pair.wait_well();
}

/// A third party gives one of the two the right to go on: there is never a second owner.
fn partition_with_a_witness() {
    need_ip();
    let etcd = Etcd::start();
    let media = ucast(HEARTBEAT);
    let mut setup = Setup { media, deadtime_ms: 3_000, ..with_agent().unasked() };
    setup.initdead_ms = 3_000;
    setup.native.push_str(&format!("[witness]\netcd = [\"{ETCD}\"]\nlease = \"2s\"\n"));
    let mut pair = Pair::running(setup);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    let has_lost = |s: &StatusSnapshot| has_problem(s, "peer_lost");
    let is_sure = |s: &StatusSnapshot| has_problem(s, "peer_dead");
    let knows = |node| has_lost(&pair.status(node)) || is_sure(&pair.status(node));
    pair.until("both have missed the other", || NODES.into_iter().all(knows));
    pair.until("one may go on", || {
        let owners = pair.owners(IP);
        assert!(owners.len() < 2, "{owners:?}");
        owners.len() == 1 && is_sure(&pair.status(owners[0]))
    });
    let owner = pair.owners(IP)[0];
    let other = if owner == "node1" { "node2" } else { "node1" };
    pair.wait(other, "it has not the right", |s| {
        s.witness.iter().any(|w| w.contains("to the other node"))
    });
    traffic.wait_served(owner);
    // The lease of a dead node ends, and the other gets the right.
    pair.crash(owner);
    pair.traffic().wait_served(other);
    drop(etcd);
}

const ETCD: &str = "http://192.0.2.254:2379";

/// An etcd at the clients' end of the public network.
struct Etcd {
    child: std::process::Child,
    /// Removed with it.
    _data: tempfile::TempDir,
}

impl Etcd {
    fn start() -> Self {
        // A new one each time: a lease of the run before would outlive it.
        let dir = tempfile::tempdir().expect("a directory");
        let peer = "http://127.0.0.1:2380";
        let mut command = std::process::Command::new("etcd");
        command.arg("--data-dir").arg(dir.path()).args(["--listen-client-urls", ETCD]);
        command.args(["--advertise-client-urls", ETCD, "--listen-peer-urls", peer]);
        command.args(["--initial-advertise-peer-urls", peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        match command.spawn() {
            Ok(child) => Self { child, _data: dir },
            Err(_) => skip("no etcd to ask (package etcd-server)"),
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not added while somebody else answers for it, and added when he is gone.
fn another_host_has_the_address() {
    need_ip();
    let mut pair = Pair::running(web());
    pair.traffic().wait_served("node1");
    ip_here(&["address", "add", "192.0.2.100/32", "dev", "br0"]);
    pair.crash("node1");
    let status = pair.wait("node2", "it has asked", |s| s.groups[0].here == GroupClaim::Failed);
    let last = status.groups[0].resources[0].last.clone().unwrap_or_default();
    // The client's bridge: see the lab's switch.
    assert!(last.contains("192.0.2.100 is in use by 02:77:00:00:00:ff"), "{last}");
    assert!(pair.owners_of(&["node2"], IP).is_empty());
    let shown = pair.expect("node2", &["hb", "status"], 2).out;
    assert!(shown.contains("02:77:00:00:00:ff"), "{shown}");
    ip_here(&["address", "del", "192.0.2.100/32", "dev", "br0"]);
    pair.expect("node2", &["hb", "cleanup"], 0);
    pair.traffic().wait_served("node2");
}

/// Fed as long as the daemon decides. A regular file stands in for the device.
fn watchdog_file() {
    const FILE: &str = "/var/log/watchdog";
    let mut setup = web().unasked();
    setup.native.push_str(&format!("[watchdog]\ndevice = \"{FILE}\"\n"));
    let mut pair = Pair::new(setup);
    for node in NODES {
        pair.write(node, FILE, "", 0o600);
        pair.start(node);
    }
    pair.wait_well();
    let feeds = || pair.lab.read_file("node1", FILE).expect("a file").lines().count();
    let before = feeds();
    pair.until("it is fed", || feeds() > before + 2);
    pair.signal("node1", "STOP");
    pair.until("it has stopped", || {
        pair.shell("node1", "grep ^State /proc/$(cat /run/heartbeat.pid)/task/*/status || true")
            .lines()
            .all(|line| line.contains("T (stopped)"))
    });
    let starved = feeds();
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    assert_eq!(feeds(), starved);
    pair.signal("node1", "CONT");
    pair.until("it is fed again", || feeds() > starved);
    pair.wait_well();
    pair.stop("node1");
    let text = pair.lab.read_file("node1", FILE).expect("a file");
    assert!(text.ends_with('V'), "an orderly end disarms it");
}
