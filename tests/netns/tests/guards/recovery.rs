//! What fails on a node that lives: its service, its address, its daemon, its network.

use std::time::Instant;

use hb_cli::lab::PUBLIC;
use hb_netns::files::{ADDRESS, NGINX_CONF, NODES, SCRIPT_DIR};
use hb_netns::pair::{Pair, active_on, has_problem, is_well, need_ip};
use hb_netns::runner::{Case, measured};
use hb_netns::traffic::Meter;
use hb_node::api::StatusSnapshot;
use hb_resource::input::GroupClaim;

use crate::support::{
    IP, configure_nginx, kill_nginx, nginx_files, nginx_pair, nginx_pids, quick, web,
};

pub(crate) const CASES: &[Case] = &[
    Case { name: "nginx_killed", run: nginx_killed },
    Case { name: "nginx_killed_and_broken", run: nginx_killed_and_broken },
    Case { name: "mute_service_killed", run: mute_service_killed },
    Case { name: "address_deleted", run: address_deleted },
    Case { name: "daemon_killed_with_a_guardian", run: daemon_killed_with_a_guardian },
    Case { name: "daemon_that_cannot_come_back", run: daemon_that_cannot_come_back },
    Case { name: "interface_of_the_address_down", run: interface_of_the_address_down },
    Case { name: "warm_nginx", run: warm_nginx },
];

fn held(status: &StatusSnapshot) -> bool {
    status.groups[0].here == GroupClaim::Held
}

/// Every process of it: it is started again where it is.
fn nginx_killed() {
    let pair = nginx_pair("");
    let mut meter = Meter::start("node1");
    let before = nginx_pids(&pair, "node1");
    meter.begin();
    kill_nginx(&pair, "node1");
    meter.tell_outage("nginx killed, back in place", "node1");
    let status = pair.wait("node1", "it is held", held);
    assert!(has_problem(&status, "resource_failed"), "{:?}", status.problems);
    assert_eq!(status.groups[0].resources[1].failures, 1);
    // By the word of the kernel, not by the check that comes every 10 s.
    assert!(pair.log("node1").contains("(nginx) ended"), "its death was not told");
    let after = nginx_pids(&pair, "node1");
    assert!(!after.is_empty() && after.iter().all(|pid| !before.contains(pid)));
    assert_eq!(pair.owners(IP), ["node1"]);
    assert!(nginx_pids(&pair, "node2").is_empty());
}

/// It cannot be started again: the other node serves, and status says what to mend.
fn nginx_killed_and_broken() {
    let pair = nginx_pair("");
    let mut meter = Meter::start("node1");
    pair.write("node1", NGINX_CONF, "this is { no configuration\n", 0o644);
    meter.begin();
    kill_nginx(&pair, "node1");
    meter.tell_outage("nginx killed and broken, on the other node", "node2");
    let status = pair.wait("node1", "the other serves", |s| active_on(s) == Some("node2"));
    assert_eq!(status.groups[0].here, GroupClaim::Failed);
    assert!(!status.failover_ready);
    let shown = pair.expect("node1", &["hb", "status"], 1).out;
    assert!(shown.contains("nginx") && shown.contains("hb cleanup"), "{shown}");
    assert_eq!(pair.owners(IP), ["node2"]);
    configure_nginx(&pair, "node1");
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
    meter.begin();
    pair.expect("node2", &["hb", "standby"], 0);
    meter.tell_outage("given back with nginx on demand", "node1");
}

/// A daemon whose script knows no `status`, as many old ones do. With `/run/mute.dies` it ends a moment
/// after its start.
const MUTE: &str = r#"#!/bin/sh
case $1 in
    start) [ -e /run/mute.dies ] && life=0.5 || life=1000
        setsid sh -c 'echo $$ >/run/mute.new; mv /run/mute.new /run/mute.pid; exec sleep '$life \
            </dev/null >/dev/null 2>&1 &
        while [ ! -e /run/mute.pid ]; do sleep 0.01; done ;;
    stop) read -r pid </run/mute.pid && kill "$pid" 2>/dev/null
        rm -f /run/mute.pid ;;
    *) echo "Usage: $0 start|stop"; exit 1 ;;
esac
"#;

/// Nobody but the kernel can say that it has ended: it is started again, and given up at last.
fn mute_service_killed() {
    let mut pair = Pair::new(quick(&format!("node1 {ADDRESS} mute\n")));
    for node in NODES {
        pair.write(node, &format!("{SCRIPT_DIR}/mute"), MUTE, 0o755);
        pair.start(node);
    }
    pair.wait("node1", "it is held", held);
    let pid = pair.shell("node1", "cat /run/mute.pid").trim().to_owned();
    let word = format!("\"pid\":{pid},");
    pair.until("it is watched", || {
        let record = pair.lab.read_file("node1", "/run/heartbeat/watched.json");
        record.is_ok_and(|text| text.contains(&word))
    });
    let begin = Instant::now();
    pair.shell("node1", &format!("kill -s KILL {pid}"));
    let again = |s: &StatusSnapshot| held(s) && s.groups[0].resources[1].failures == 1;
    pair.wait("node1", "it was started again", again);
    measured("a service without a status killed, running again within", begin.elapsed());
    assert_ne!(pair.shell("node1", "cat /run/mute.pid").trim(), pid);
    assert!(pair.log("node1").contains("nothing of it is left"), "why is not said");
    // Four times within the window, and it is the other node's.
    pair.write("node1", "/run/mute.dies", "", 0o644);
    pair.shell("node1", "kill -s KILL $(cat /run/mute.pid)");
    let status = pair.wait("node1", "the other has it", |s| active_on(s) == Some("node2"));
    assert_eq!(status.groups[0].here, GroupClaim::Failed);
    assert!(status.groups[0].reason.contains("mute stopped running"), "{status:?}");
    assert_eq!(pair.owners(IP), ["node2"]);
}

/// What listens on it does not notice.
fn address_deleted() {
    need_ip();
    let pair = nginx_pair("");
    let mut meter = Meter::start("node1");
    let before = nginx_pids(&pair, "node1");
    meter.begin();
    pair.shell("node1", "ip address del 192.0.2.100/24 dev eth0");
    pair.wait("node1", "it is put back", |s| held(s) && s.groups[0].resources[0].failures > 0);
    meter.tell_gap("address deleted");
    assert_eq!(pair.owners(IP), ["node1"]);
    assert_eq!(nginx_pids(&pair, "node1"), before);
    pair.traffic().wait_served("node1");
}

/// Without a service manager its guardian starts it again, and it adopts what runs.
fn daemon_killed_with_a_guardian() {
    let mut pair = nginx_files("");
    pair.expect("node1", &["heartbeat"], 0);
    pair.start("node2");
    pair.wait_well();
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    traffic.wait_served("node1");
    let (nginx, daemon) = (nginx_pids(&pair, "node1"), pair.status("node1").pid);
    let begin = meter.begin();
    pair.signal("node1", "KILL");
    let is_back = |s: &StatusSnapshot| s.pid != daemon && held(s) && is_well(s);
    pair.wait("node1", "another daemon holds it", is_back);
    meter.tell_gap("daemon killed, longest time without an answer");
    pair.wait_well();
    traffic.assert_unbroken(begin, Some("node1"));
    assert_eq!(nginx_pids(&pair, "node1"), nginx);
    assert_eq!(pair.owners(IP), ["node1"]);
    assert!(nginx_pids(&pair, "node2").is_empty(), "a second owner");
    pair.expect("node1", &["heartbeat", "-k"], 0);
}

/// Killed again and again, it is given up: its address is removed, after the peer could take over.
fn daemon_that_cannot_come_back() {
    let mut pair = Pair::new(web());
    pair.expect("node1", &["heartbeat"], 0);
    pair.start("node2");
    pair.wait_well();
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let stays_dead = "for n in $(seq 400); do kill -KILL $(cat /run/heartbeat.pid) 2>/dev/null; \
                      sleep 0.02; done; true";
    pair.shell("node1", stays_dead);
    pair.until("its address is gone", || !pair.owners(IP).contains(&"node1"));
    traffic.wait_served("node2");
    assert_eq!(pair.owners(IP), ["node2"]);
}

/// The heartbeats go on over the other link.
fn interface_of_the_address_down() {
    let pair = Pair::running(web());
    let mut meter = Meter::start("node1");
    meter.begin();
    pair.lab.cut("node1", PUBLIC).expect("a cable");
    meter.tell_outage("cable of the address pulled", "node2");
    let status = pair.wait("node1", "it failed", |s| active_on(s) == Some("node2"));
    assert_eq!(status.groups[0].here, GroupClaim::Failed);
    assert!(status.groups[0].reason.contains(PUBLIC), "{}", status.groups[0].reason);
    assert_eq!(pair.owners(IP), ["node2"]);
    pair.lab.mend("node1", PUBLIC).expect("a cable");
    pair.until("the link is up", || {
        pair.try_status("node1").is_some_and(|s| !has_problem(&s, "link_down"))
    });
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// It runs on both nodes; only the address moves.
fn warm_nginx() {
    let mut pair = nginx_pair("[resource.\"nginx\"]\nwarm = true\n");
    pair.wait_log("node1", "net.ipv4.ip_nonlocal_bind is 0");
    let mut meter = Meter::start("node1");
    pair.until("it runs on both", || NODES.iter().all(|node| !nginx_pids(&pair, node).is_empty()));
    let before = NODES.map(|node| nginx_pids(&pair, node));
    meter.begin();
    pair.expect("node1", &["hb", "standby"], 0);
    meter.tell_outage("warm nginx, standby", "node2");
    assert_eq!(NODES.map(|node| nginx_pids(&pair, node)), before);
    meter.begin();
    let begin = Instant::now();
    pair.crash("node2");
    meter.tell_outage("warm nginx, power loss at a dead time of 500 ms", "node1");
    assert_eq!(nginx_pids(&pair, "node1"), before[0], "after {:?}", begin.elapsed());
}
