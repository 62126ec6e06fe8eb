//! `hb status` of a pair that is well, degraded, split, in maintenance, and without its daemon.

use hb_cli::lab::{self, HEARTBEAT};
use hb_netns::files::{ADDRESS, NGINX_CONF, NODES, SCRIPT_AGENT, Setup, nginx_conf, ucast};
use hb_netns::pair::{Pair, active_on, has_problem, need_ip};
use hb_netns::runner::{Case, skip};
use hb_node::api::{LinkStatus, SavedStatus, StatusSnapshot, Verdict};
use hb_resource::input::GroupClaim;

use crate::golden::{check, check_screen};
use crate::terminal::terminals;

pub(crate) const CASES: &[Case] = &[
    Case { name: "healthy", run: healthy },
    Case { name: "degraded", run: degraded },
    Case { name: "split", run: split },
    Case { name: "split_feared", run: split_feared },
    Case { name: "not_served", run: not_served },
    Case { name: "config_differs", run: config_differs },
    Case { name: "secrets_are_covered", run: secrets_are_covered },
    Case { name: "maintenance", run: maintenance },
    Case { name: "daemon_down", run: daemon_down },
];

/// The cluster `web`: an address and nginx, two links, the clients' side as ping node. Slow enough to
/// find anything wrong that a loaded machine stays healthy.
pub(crate) fn setup() -> Setup {
    let mut setup = Setup {
        deadtime_ms: 5_000,
        initdead_ms: 5_000,
        failback: "off",
        ..Setup::new(&format!("node1 {ADDRESS} nginx\n"))
    };
    setup.further = "ping 192.0.2.254\ncluster web\n".to_owned();
    setup.native.push_str("[monitor]\ninterval = \"1s\"\nready_interval = \"1s\"\n");
    setup
}

/// Both nodes on, each with nginx configured and terminals, without daemons.
pub(crate) fn switched_on(setup: Setup) -> Pair {
    need_ip();
    if lab::find_program("nginx").is_none() {
        skip("nginx is not installed");
    }
    let pair = Pair::new(setup);
    for node in NODES {
        pair.write(node, NGINX_CONF, &nginx_conf(node, "80"), 0o644);
        terminals(&pair, node);
    }
    pair
}

/// A pair that is well, and node1 serves.
pub(crate) fn served() -> Pair {
    let mut pair = switched_on(setup());
    NODES.into_iter().for_each(|node| pair.start(node));
    settled(&pair);
    pair
}

/// Both are well and know everything that the screen tells.
pub(crate) fn settled(pair: &Pair) {
    pair.wait_well();
    let told = |status: &StatusSnapshot| {
        let pings = status.pings.iter().all(|ping| ping.status == "ping");
        pings && measured(status) && checked(status)
    };
    NODES.into_iter().for_each(|node| drop(pair.wait(node, "both know everything", told)));
}

/// Everything that a link can tell is told.
fn measured(status: &StatusSnapshot) -> bool {
    let known = |link: &LinkStatus| {
        link.peer_hears.is_some() && link.loss_permille.is_some() && link.rtt_us.is_some()
    };
    status.peer.iter().flat_map(|peer| &peer.links).all(known)
}

/// What runs here was checked since it was started.
fn checked(status: &StatusSnapshot) -> bool {
    let members = status.groups.iter().flat_map(|group| &group.resources);
    let mut running = members.filter(|member| member.state == "running");
    running.all(|member| member.last.as_deref() == Some("status ok"))
}

/// Moved there and back by a person, so that there is a last move to tell of.
fn healthy() {
    let pair = served();
    pair.expect("node1", &["hb", "standby"], 0);
    settled(&pair);
    pair.expect("node1", &["hb", "takeover"], 0);
    settled(&pair);
    check_screen(&pair, "node1", "hb status", 0, "healthy");
    check_screen(&pair, "node2", "hb status", 0, "healthy_standby");
    check(&pair, "node1", "hb status", 0, "healthy_ascii");
    check(&pair, "node1", "hb status --oneline", 0, "healthy_oneline");
    check(&pair, "node1", "hb status --nagios", 0, "healthy_nagios");
    check(&pair, "node1", "hb status --plain", 0, "healthy_plain");
    check_screen(&pair, "node1", "hb why nginx", 0, "healthy_why");
}

/// One heartbeat link is heard one way only, and nginx could not start on the other node.
fn degraded() {
    let pair = served();
    let drop = format!("iptables -A INPUT -i {HEARTBEAT} -p udp --dport 694 -j DROP");
    pair.shell("node2", &drop);
    let broken = nginx_conf("node2", "80").replace("access_log off;", "access_lock off;");
    pair.write("node2", NGINX_CONF, &broken, 0o644);
    for node in NODES {
        for id in ["link_one_way", "not_ready"] {
            pair.wait(node, id, |status| has_problem(status, id));
        }
    }
    check_screen(&pair, "node1", "hb status", 1, "degraded");
    check_screen(&pair, "node2", "hb status", 1, "degraded_standby");
    check(&pair, "node1", "hb status --oneline", 1, "degraded_oneline");
    check(&pair, "node1", "hb status --nagios", 1, "degraded_nagios");
    check(&pair, "node1", "hb status --plain", 1, "degraded_plain");
    check_screen(&pair, "node1", "hb why", 0, "degraded_why");
}

/// Neither heard the other, and both took the address, as nobody asked who has it: each sees that the
/// other's machine claims it. When they hear each other again one lets go, as soon as its agent has
/// stopped, and the history says who.
fn split() {
    let mut setup = Setup { media: ucast(HEARTBEAT), deadtime_ms: 2_000, ..setup() }.unasked();
    setup.haresources = format!("node1 {ADDRESS} nginx agent::a\n");
    let mut pair = switched_on(setup);
    NODES.into_iter().for_each(|node| pair.start(node));
    settled(&pair);
    let slow = "while [ ! -e /var/log/agents/go ]; do sleep 0.02; done\n";
    pair.write("node2", "/var/log/agents/a.stop", slow, 0o644);
    pair.lab.cut("node2", HEARTBEAT).expect("a cable");
    pair.wait("node2", "it takes over", |status| active_on(status) == Some("node2"));
    pair.wait("node2", "what it has taken was checked", checked);
    for node in NODES {
        pair.wait(node, "the other is dead, and claims it", |status| {
            has_problem(status, "peer_dead") && has_problem(status, "split")
        });
    }
    check_screen(&pair, "node1", "hb status", 2, "apart");
    check_screen(&pair, "node2", "hb status", 2, "apart_taker");
    check(&pair, "node1", "hb status --oneline", 2, "apart_oneline");
    pair.lab.mend("node2", HEARTBEAT).expect("a cable");
    for node in NODES {
        pair.wait(node, "the split is shown", |status| {
            status.verdict == Verdict::Split && measured(status)
        });
    }
    check_screen(&pair, "node1", "hb status", 2, "split");
    check_screen(&pair, "node2", "hb status", 2, "split_loser");
    check(&pair, "node1", "hb status --oneline", 2, "split_oneline");
    check(&pair, "node1", "hb status --nagios", 2, "split_nagios");
    pair.write("node2", "/var/log/agents/go", "", 0o644);
    pair.wait_well();
    let splits = "hb history | grep SPLIT";
    check(&pair, "node1", splits, 0, "split_history");
    check(&pair, "node2", splits, 0, "split_history_loser");
}

/// The owner's daemon stands still, and its machine answers for the address: it is left to it.
fn split_feared() {
    let mut setup = Setup { deadtime_ms: 2_000, ..setup() };
    setup.native.push_str("[address]\nhold = \"60s\"\n");
    let mut pair = switched_on(setup);
    NODES.into_iter().for_each(|node| pair.start(node));
    settled(&pair);
    pair.signal("node1", "STOP");
    pair.wait("node2", "it holds back", |status| has_problem(status, "split_possible"));
    check_screen(&pair, "node2", "hb status", 2, "split_feared");
    check(&pair, "node2", "hb status --oneline", 2, "split_feared_oneline");
    pair.signal("node1", "CONT");
    pair.wait("node2", "node1 is back", |status| active_on(status) == Some("node1"));
}

/// A service starts on neither node: the group was tried on both, and is tried again after a while.
fn not_served() {
    let mut setup = setup();
    setup.haresources = format!("node1 {ADDRESS} nginx agent::web\n");
    let mut pair = switched_on(setup);
    for node in NODES {
        pair.agent(node, "web", "start", Some("echo 'no licence'; exit 1"));
        pair.start(node);
    }
    for node in NODES {
        // Before, the other one might not have been asked yet.
        pair.wait(node, "nobody serves it", |status| {
            let group = &status.groups[0];
            (group.here, group.peer) == (GroupClaim::Failed, Some(GroupClaim::Failed))
                && status.verdict == Verdict::Down
                && measured(status)
        });
    }
    check_screen(&pair, "node1", "hb status", 2, "not_served");
    check_screen(&pair, "node2", "hb status", 2, "not_served_peer");
    check(&pair, "node1", "hb status --oneline", 2, "not_served_oneline");
    check(&pair, "node1", "hb status --nagios", 2, "not_served_nagios");
    for node in NODES {
        pair.agent(node, "web", "start", None);
        pair.expect(node, &["hb", "cleanup"], 0);
    }
    pair.wait_well();
}

/// A line of haresources was changed on one node only.
fn config_differs() {
    let pair = served();
    let longer = format!("node1 {ADDRESS} nginx agent::b\n");
    pair.write("node2", "/etc/ha.d/haresources", &longer, 0o644);
    pair.expect("node2", &["hb", "reload"], 0);
    for node in NODES {
        pair.wait(node, "they differ", |status| has_problem(status, "config_differs"));
    }
    check_screen(&pair, "node1", "hb status", 1, "config_differs");
}

/// Hands off for half an hour.
fn maintenance() {
    let pair = served();
    pair.expect("node1", &["hb", "maintenance", "on", "--for", "30m"], 0);
    let known = |status: &StatusSnapshot| status.maintenance.is_some();
    NODES.into_iter().for_each(|node| drop(pair.wait(node, "both know", known)));
    check_screen(&pair, "node1", "hb status", 1, "maintenance");
    check_screen(&pair, "node2", "hb status", 1, "maintenance_peer");
    check(&pair, "node1", "hb status --oneline", 1, "maintenance_oneline");
    pair.expect("node1", &["hb", "maintenance", "off"], 0);
    pair.wait_well();
}

/// Killed, the daemon has left its last status; stopped in order, too, and says so.
fn daemon_down() {
    let mut pair = served();
    // It is kept when something has changed.
    pair.expect("node1", &["hb", "maintenance", "on"], 0);
    pair.expect("node1", &["hb", "maintenance", "off"], 0);
    pair.until("the status is kept", || {
        let text = pair.lab.read_file("node1", "/var/lib/heartbeat/last-status.json");
        let saved = text.ok().and_then(|text| serde_json::from_str::<SavedStatus>(&text).ok());
        saved.is_some_and(|saved| {
            let status = saved.status;
            status.verdict == Verdict::Healthy && measured(&status) && checked(&status)
        })
    });
    pair.kill("node1");
    check_screen(&pair, "node1", "hb status", 3, "down_killed");
    check(&pair, "node1", "hb status --oneline", 3, "down_oneline");
    check(&pair, "node1", "hb status --nagios", 3, "down_nagios");
    pair.start("node1");
    settled(&pair);
    pair.stop("node1");
    check_screen(&pair, "node1", "hb status", 3, "down_stopped");
    pair.wait("node2", "it knows why", |status| status.verdict == Verdict::Degraded);
    pair.wait("node2", "what it has taken was checked", checked);
    check_screen(&pair, "node2", "hb status", 1, "down_peer");
    pair.crash("node1");
    pair.boot("node1");
    terminals(&pair, "node1");
    pair.shell("node1", "rm -f /var/lib/heartbeat/last-status.json");
    check_screen(&pair, "node1", "hb status", 3, "down_nothing_known");
}

/// A parameter that is a password is shown by nothing that tells of its resource; the agent gets it.
fn secrets_are_covered() {
    let mut setup = setup();
    setup.haresources = "node1 agent::web::password=hunter2 nginx\n".to_owned();
    let mut pair = switched_on(setup);
    let script = "#!/bin/sh\necho \"$1 $2 $3\" >> /var/log/agents/journal\n\
                  name=$1 action=$3 state=/run/agent-web\n\
                  if [ -e /var/log/agents/web.$action ]; then . /var/log/agents/web.$action; fi\n";
    for node in NODES {
        pair.write(node, "/etc/ha.d/resource.d/agent", &format!("{script}{SCRIPT_AGENT}"), 0o755);
        pair.agent(node, "web", "start", Some("echo \"cannot log in with $2\"; exit 1"));
        pair.start(node);
    }
    let failed = |status: &StatusSnapshot| status.groups[0].here == GroupClaim::Failed;
    NODES.into_iter().for_each(|node| drop(pair.wait(node, "it failed", failed)));
    assert!(pair.journal("node1").iter().any(|line| line == "web password=hunter2 start"));
    for line in [
        "hb status",
        "hb status --json",
        "hb status --plain",
        "hb status --nagios",
        "hb history",
        "hb history --json",
        "hb why",
        "hb plan node1 dies",
        "hb reload --dry-run",
        "hb check",
        "cat /var/lib/heartbeat/*.json* /run/heartbeat/*.json /var/log/ha-log",
    ] {
        let ran = pair.run("node1", &["/bin/sh", "-c", line]);
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{line}: {shown}");
    }
    let shown = pair.expect("node1", &["hb", "status"], 2).out;
    assert!(shown.contains("agent::web::password=********"), "{shown}");
    assert!(shown.contains("cannot log in with password=***"), "{shown}");
}
