//! Disks that are full, that cannot be written, and that do not answer: heartbeats need none, and a
//! takeover neither.

use std::time::Instant;

use hb_cli::lab::{self, Proc};
use hb_netns::files::{ADDRESS, NODES, SCRIPT_DIR, Setup, script_agent};
use hb_netns::pair::{Pair, active_on, has_problem, need_ip};
use hb_netns::runner::{Case, skip};

pub(crate) const CASES: &[Case] = &[
    Case { name: "disk_is_full", run: disk_is_full },
    Case { name: "state_directory_is_read_only", run: state_is_read_only },
    Case { name: "disk_hangs", run: disk_hangs },
];

/// node2 cannot write its state, which `line` has seen to: it says so and takes over all the same, and
/// node1 comes back as ever.
fn takes_over_unwritten(mut pair: Pair, line: &str, says: &str) {
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    pair.shell("node2", line);
    pair.crash("node1");
    traffic.wait_served("node2");
    pair.wait_log("node2", says);
    pair.boot("node1");
    pair.start("node1");
    traffic.wait_served("node1");
    pair.wait("node2", "node1 serves", |s| active_on(s) == Some("node1"));
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

fn disk_is_full() {
    let mut pair = Pair::new(Setup::web());
    pair.shell("node2", "mount -t tmpfs -o size=128k tmpfs /var/lib/heartbeat");
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    let fill = "cat /dev/zero > /var/lib/heartbeat/fill 2> /dev/null; \
                ! echo > /var/lib/heartbeat/fill2 2> /dev/null";
    takes_over_unwritten(pair, fill, "No space left");
}

fn state_is_read_only() {
    let pair = Pair::running(Setup::web());
    let dir = "/var/lib/heartbeat";
    let line = format!("mount --bind {dir} {dir} && mount -o remount,bind,ro {dir}");
    takes_over_unwritten(pair, &line, "Read-only file system");
}

/// What of a node is on the disk that hangs: its state, its logs, and the shell of an agent.
const ON_DISK: [&str; 3] = ["/var/lib/heartbeat", "/var/log", FAR];
/// Where that shell is. The kernel finds the agent itself, as a cache would, and waits for what runs it.
const FAR: &str = "/run/far";

/// The agent `far` and its shell.
fn put_agent(pair: &Pair, node: &str) {
    pair.shell(node, &format!("mkdir {FAR} && cp /bin/sh {FAR}/sh"));
    let agent = script_agent().replace("/bin/sh", &format!("{FAR}/sh"));
    pair.write(node, &format!("{SCRIPT_DIR}/far"), &agent, 0o755);
}

/// Puts all that on file systems whose servers can be made to stand still.
fn mount(pair: &Pair, node: &str) -> Vec<Proc> {
    if lab::find_program("bindfs").is_none() {
        skip("bindfs is not installed");
    }
    let mount = |dir: &str| {
        let below = format!("/run/disk{}", dir.replace('/', "-"));
        pair.shell(node, &format!("mkdir {below} && mount --bind {dir} {below}"));
        let server = pair.spawn(node, &["/usr/bin/bindfs", "-f", "-o", "nonempty", &below, dir]);
        let has_come = || pair.shell(node, "cat /proc/mounts").contains(&format!(" {dir} fuse"));
        pair.until("the file system is there", has_come);
        server
    };
    ON_DISK.into_iter().map(mount).collect()
}

fn hang(pair: &Pair, node: &str) {
    signal(pair, node, "STOP");
    for dir in ON_DISK {
        let line = format!("timeout --signal=KILL 0.1 sh -c 'echo > {dir}/file'");
        assert_eq!(pair.run(node, &["/bin/sh", "-c", &line]).code, 137, "{dir} does not hang");
    }
}

fn signal(pair: &Pair, node: &str, signal: &str) {
    let servers = "grep -lx bindfs /proc/[0-9]*/comm | cut -d/ -f3";
    pair.shell(node, &format!("kill -s {signal} $({servers})"));
}

/// First that of the owner: its checks begin and never end, and one ends beside them. Then that of the
/// node that takes over.
fn disk_hangs() {
    need_ip();
    let setup = Setup::web();
    let native = format!("{}[monitor]\ninterval = \"500ms\"\n", setup.native);
    let haresources = format!("node1 {ADDRESS}\nnode1 far::a\nnode1 agent::b\n");
    let mut pair = Pair::new(Setup { native, haresources, ..setup });
    NODES.into_iter().for_each(|node| put_agent(&pair, node));
    let _disks = NODES.map(|node| mount(&pair, node));
    NODES.into_iter().for_each(|node| pair.start(node));
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node1");

    let begin = Instant::now();
    let long = ": > /run/asked; sleep 3; rm /run/asked";
    pair.agent("node1", "b", "status", Some(long));
    pair.until("b is asked", || pair.run("node1", &["/bin/test", "-e", "/run/asked"]).code == 0);
    hang(&pair, "node1");
    pair.hear_on("node2");
    assert_eq!(active_on(&pair.status("node1")), Some("node1"));
    signal(&pair, "node1", "CONT");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    for node in NODES {
        assert!(!pair.log(node).contains("stood still"), "{}", pair.log(node));
    }

    hang(&pair, "node2");
    pair.hear_on("node1");
    pair.crash("node1");
    traffic.wait_served("node2");
    pair.wait("node2", "the disk is told of", |s| has_problem(s, "log_hangs"));
    signal(&pair, "node2", "CONT");
    pair.boot("node1");
    pair.start("node1");
    pair.wait_well();
    traffic.wait_served("node1");
}
