//! What an operator has to do with: agents that hang, fences, maintenance, a standby that could not
//! take over.

use hb_cli::lab;
use hb_netns::files::{ADDRESS, AGENT_DIR, JOURNAL, NGINX_CONF, NODES, Setup};
use hb_netns::pair::{Pair, active_on, has_problem, is_well, problem};
use hb_netns::runner::{Case, skip};
use hb_netns::traffic::Meter;
use hb_node::STEPPED_DOWN;
use hb_node::api::StatusSnapshot;
use hb_resource::input::GroupClaim;

use crate::support::{IP, configure_nginx, kill_nginx, nginx_pair, nginx_pids, quick, with_agent};

pub(crate) const CASES: &[Case] = &[
    Case { name: "agents_that_hang", run: agents_that_hang },
    Case { name: "fenced_before_takeover", run: fenced_before_takeover },
    Case { name: "fence_that_fails", run: fence_that_fails },
    Case { name: "fence_that_hangs", run: fence_that_hangs },
    Case { name: "fence_that_lies", run: fence_that_lies },
    Case { name: "real_fence_programs", run: real_fence_programs },
    Case { name: "maintenance", run: maintenance },
    Case { name: "daemon_restarted_in_maintenance", run: daemon_restarted_in_maintenance },
    Case { name: "standby_is_not_ready", run: standby_is_not_ready },
    Case { name: "haresources_differs", run: haresources_differs },
];

/// An action that has to be killed.
const HANG: &str = "trap '' TERM; sleep 1000";
/// The test's own power switch.
const FENCE: &str = "/etc/ha.d/fence_test";

/// What is under way for resource number `index` of the first group.
fn under_way(status: &StatusSnapshot, index: usize) -> &str {
    status.groups[0].resources[index].under_way.as_deref().unwrap_or_default()
}

/// Heartbeats go on, and status names what hangs; the limit ends it.
fn agents_that_hang() {
    let mut setup = with_agent();
    setup.native = setup.native.replace(
        "[operations]\n",
        "[operations]\nstart_timeout = \"2s\"\nstop_timeout = \"2s\"\nstatus_timeout = \"1s\"\n",
    );
    setup.native.push_str("[resource.\"agent::a\"]\ninterval = \"100ms\"\n");
    let pair = Pair::running(setup);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    // A check: twice in a row it is a failure, and the restart mends it.
    pair.agent("node1", "a", "status", Some(HANG));
    let status = pair.wait("node1", "the check hangs", |s| under_way(s, 1).starts_with("check"));
    assert_eq!(status.groups[0].here, GroupClaim::Held);
    pair.wait("node1", "it counts", |s| s.groups[0].resources[1].failures > 0);
    pair.agent("node1", "a", "status", None);
    pair.wait("node1", "it runs again", |s| s.groups[0].here == GroupClaim::Held);
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
    // A stop: ended with its limit, and tried again.
    let once = format!("if mkdir {AGENT_DIR}/hung-$action; then {HANG}; fi");
    pair.agent("node1", "a", "stop", Some(&once));
    pair.agent("node2", "a", "start", Some(&once));
    let mover = pair.spawn("node1", &["/twinbeat/hb", "standby"]);
    pair.wait("node1", "the stop hangs", |s| under_way(s, 1).starts_with("stop"));
    // A start, on the other node: it counts as failed there.
    pair.wait("node2", "the start hangs", |s| under_way(s, 1).starts_with("start"));
    pair.wait("node2", "it has failed", |s| s.groups[0].here == GroupClaim::Failed);
    traffic.wait_served("node1");
    drop(mover);
    for node in NODES {
        assert!(!pair.log(node).contains("is dead"), "heartbeats stopped with the agent");
    }
    pair.expect("node2", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// A pair with the test's own fence agent. It notes what it is asked, and fails when told so.
pub(crate) fn fencing() -> Pair {
    let mut setup: Setup = with_agent();
    setup.native.push_str(&format!(
        "[fencing]\ndelay = \"0ms\"\n[[fencing.device]]\nname = \"switch\"\nagent = \"{FENCE}\"\n\
         timeout = \"5s\"\nretries = 0\n"
    ));
    let pair = Pair::new(setup);
    let script = format!(
        "#!/bin/sh\naction=none\nwhile read -r line; do\n  case $line in action=*) \
         action=${{line#action=}} ;; esac\ndone\necho \"fence $action\" >> {JOURNAL}\n\
         [ ! -e {AGENT_DIR}/fence.hangs ] || [ $action = status ] || . {AGENT_DIR}/fence.hangs\n\
         [ ! -e {AGENT_DIR}/fence-fails ] || {{ echo 'no power switch there'; exit 1; }}\n"
    );
    let mut pair = pair;
    for node in NODES {
        pair.write(node, FENCE, &script, 0o755);
        pair.start(node);
    }
    pair.wait_well();
    pair
}

/// What the fence agent was asked to do to a node, and what was started after it.
pub(crate) fn acts(pair: &Pair, node: &str) -> Vec<String> {
    let is_question = |line: &String| line == "fence status" || line == "fence monitor";
    pair.journal(node).into_iter().filter(|line| !is_question(line)).collect()
}

fn fenced_before_takeover() {
    let mut pair = fencing();
    let tested = pair.expect("node2", &["hb", "fence", "test"], 0).out;
    assert!(tested.contains("switch"), "{tested}");
    let mut meter = Meter::start("node1");
    meter.begin();
    pair.crash("node1");
    meter.tell_outage("power loss and a fence, at a dead time of 500 ms", "node2");
    pair.wait("node2", "it is held", |s| s.groups[0].here == GroupClaim::Held);
    let acts = acts(&pair, "node2");
    assert_eq!(acts.last().map(String::as_str), Some("a start"), "{acts:?}");
    assert!(acts.len() > 1 && acts[0].starts_with("fence "), "{acts:?}");
    let fencing = pair.status("node2").fencing.expect("fencing");
    assert_eq!(fencing.state, "fenced", "{fencing:?}");
}

/// Nothing is taken over until a person has looked.
fn fence_that_fails() {
    let mut pair = fencing();
    pair.write("node2", &format!("{AGENT_DIR}/fence-fails"), "", 0o644);
    pair.expect("node2", &["hb", "fence", "test"], 1);
    pair.crash("node1");
    let status = pair.wait("node2", "it failed", |s| has_problem(s, "fencing_failed"));
    assert!(problem(&status, "fencing_failed").text.contains("no power switch there"));
    assert!(has_problem(&status, "peer_lost"), "{:?}", status.problems);
    assert_eq!(status.groups[0].here, GroupClaim::Released);
    let ran = pair.run("node2", &["hb", "status"]);
    assert!(ran.code != 0 && ran.out.contains("fencing failed"), "{ran}");
    pair.expect("node2", &["hb", "fence", "status"], 1);
    assert!(acts(&pair, "node2").iter().all(|line| line.starts_with("fence ")));
    assert_ne!(pair.run("node2", &["hb", "fence", "confirm", "node2"]).code, 0);
    pair.expect("node2", &["hb", "fence", "confirm", "node1"], 0);
    pair.traffic().wait_served("node2");
    pair.wait("node2", "it is held", |s| s.groups[0].here == GroupClaim::Held);
}

/// node1 only stands still, and node2's device claims to have switched it off: both have the address. As
/// soon as it goes on, it lets go and ends, so that the service manager starts it anew.
fn fence_that_lies() {
    let mut pair = fencing();
    pair.signal("node1", "STOP");
    pair.wait("node2", "it is held", |s| s.groups[0].here == GroupClaim::Held);
    assert_eq!(pair.owners(IP), ["node1", "node2"]);
    pair.signal("node1", "CONT");
    pair.wait_log("node2", "was fenced and speaks all the same");
    pair.wait_log("node1", "node2 has had this node fenced");
    assert_eq!(pair.wait_end("node1"), Some(i32::from(STEPPED_DOWN)));
    assert_eq!(pair.owners(IP), ["node2"]);
    pair.start("node1");
    // Each says it of the other, so they believe each other again.
    for node in NODES {
        let released = |s: &StatusSnapshot| s.groups[0].peer == Some(GroupClaim::Released);
        let agree = |s: &StatusSnapshot| node == "node1" || released(s);
        pair.wait(node, "it stays on node2", |s| active_on(s) == Some("node2") && agree(s));
    }
    let fenced = acts(&pair, "node2").iter().filter(|line| line.starts_with("fence ")).count();
    assert_eq!(fenced, 1, "not once more for its silence while it let go");
}

/// The daemon goes on, status says what hangs and since when, and at the limit it has failed.
fn fence_that_hangs() {
    let mut pair = fencing();
    pair.agent("node2", "fence", "hangs", Some(HANG));
    pair.crash("node1");
    let hangs = |s: &StatusSnapshot| {
        s.fencing.as_ref().is_some_and(|fencing| {
            let told = fencing.last.as_deref().unwrap_or_default();
            fencing.state == "fencing" && told.starts_with("switch for ")
        })
    };
    let status = pair.wait("node2", "the fence hangs", hangs);
    assert!(has_problem(&status, "peer_lost"), "{:?}", status.problems);
    let shown = pair.run("node2", &["hb", "status"]).out;
    assert!(shown.contains("switch for ") && shown.contains("given up after"), "{shown}");
    let status = pair.wait("node2", "it has failed", |s| has_problem(s, "fencing_failed"));
    assert_eq!(status.groups[0].here, GroupClaim::Released, "nothing is taken over: {status:?}");
    assert!(pair.owners_of(&["node2"], IP).is_empty());
    assert!(!pair.log("node2").contains("stood still"), "the core waited for the device");
    pair.agent("node2", "fence", "hangs", None);
    pair.wait("node2", "the next round works", |s| s.groups[0].here == GroupClaim::Held);
}

/// cluster-glue's `stonith`, a plugin after its interface, and `fence_dummy` of fence-agents where it
/// is installed: all of one level, and all are asked before the takeover.
fn real_fence_programs() {
    const PLUGIN: &str = "/etc/ha.d/plugin";
    if lab::find_program("stonith").is_none() {
        skip("stonith is not installed (package cluster-glue)");
    }
    let mut setup = with_agent();
    setup.native.push_str(&format!(
        "[fencing]\ndelay = \"0ms\"\n\
         [[fencing.device]]\nname = \"glue\"\nstonith = \"null\"\n\
         parameters = {{ hostlist = \"node1 node2\" }}\n\
         [[fencing.device]]\nname = \"plugin\"\nexternal = \"{PLUGIN}\"\n\
         parameters = {{ hostlist = \"node1 node2\", outlet = \"7\" }}\n"
    ));
    let dummy = lab::find_program("fence_dummy").is_some();
    if dummy {
        setup.native.push_str(
            "[[fencing.device]]\nname = \"dummy\"\nagent = \"fence_dummy\"\n\
             parameters = { status_file = \"/var/log/dummy\", type = \"file\" }\n",
        );
    }
    let script =
        format!("#!/bin/sh\necho \"plugin $* outlet=$outlet hostlist=$hostlist\" >> {JOURNAL}\n");
    let native = setup.native.clone();
    let mut pair = Pair::new(setup);
    for node in NODES {
        // It may hold passwords.
        pair.write(node, "/etc/ha.d/hb.toml", &native, 0o600);
        pair.write(node, PLUGIN, &script, 0o755);
        pair.start(node);
    }
    pair.wait_well();
    let tested = pair.expect("node2", &["hb", "fence", "test"], 0).out;
    let names = ["glue", "plugin", "dummy"];
    let asked = &names[..if dummy { 3 } else { 2 }];
    assert!(asked.iter().all(|name| tested.contains(name)), "{tested}");
    pair.crash("node1");
    pair.wait("node2", "it is held", |s| s.groups[0].here == GroupClaim::Held);
    assert_eq!(pair.status("node2").fencing.expect("fencing").state, "fenced");
    let did = pair.journal("node2");
    let fenced = "plugin reset node1 outlet=7 hostlist=node1 node2";
    let place = |what: &str| did.iter().position(|line| line == what);
    assert!(place(fenced).is_some() && place(fenced) < place("a start"), "{did:?}");
    if dummy {
        let state = pair.lab.read_file("node2", "/var/log/dummy").expect("fence_dummy's state");
        assert_eq!(state.trim(), "on", "off and on again");
    }
}

/// Checks go on and nothing is touched; at its end what is due is done.
fn maintenance() {
    let pair = nginx_pair("");
    pair.traffic().wait_served("node1");
    pair.expect("node1", &["hb", "maintenance", "on", "--for", "30m"], 0);
    let states = NODES.map(|node| {
        let status = pair.wait(node, "both know", |s| s.maintenance.is_some());
        status.maintenance.expect("maintenance")
    });
    assert!(states[0].here && !states[0].peer && states[0].ends_in_ms.is_some());
    assert!(!states[1].here && states[1].peer);
    kill_nginx(&pair, "node1");
    let status = pair.wait("node1", "it says so", |s| s.groups[0].would_do.is_some());
    let text = status.groups[0].would_do.clone().unwrap_or_default();
    assert!(text.contains("nginx"), "{text}");
    let shown = pair.expect("node1", &["hb", "status"], 1).out;
    assert!(shown.contains("maintenance") && shown.contains(&text), "{shown}");
    assert!(NODES.iter().all(|node| nginx_pids(&pair, node).is_empty()));
    assert_eq!(pair.owners(IP), ["node1"]);
    pair.expect("node1", &["hb", "maintenance", "off"], 0);
    pair.traffic().wait_served("node1");
    pair.wait("node1", "it was restarted", |s| s.groups[0].resources[1].failures == 1);
    pair.expect("node1", &["hb", "cleanup"], 0);
    pair.wait_well();
}

/// Its resources run on, and nobody takes them.
fn daemon_restarted_in_maintenance() {
    let mut pair = nginx_pair("");
    let traffic = pair.traffic();
    let mut meter = Meter::start("node1");
    traffic.wait_served("node1");
    let before = nginx_pids(&pair, "node1");
    pair.expect("node1", &["hb", "maintenance", "on"], 0);
    pair.wait("node2", "it knows", |s| s.maintenance.is_some());
    let begin = meter.begin();
    pair.stop("node1");
    pair.wait("node2", "node1 is silent", |s| s.peer.as_ref().is_some_and(|p| p.status == "dead"));
    assert_eq!(pair.owners(IP), ["node1"]);
    pair.start("node1");
    pair.wait("node1", "it holds it", |s| s.groups[0].here == GroupClaim::Held);
    let _ = pair.run("node1", &["hb", "maintenance", "off"]);
    pair.expect("node2", &["hb", "maintenance", "off"], 0);
    pair.wait_well();
    meter.tell_gap("daemon restarted in maintenance, longest time without an answer");
    traffic.assert_unbroken(begin, Some("node1"));
    assert_eq!(nginx_pids(&pair, "node1"), before);
    assert!(nginx_pids(&pair, "node2").is_empty());
}

/// The service's own configuration there is looked at before it is needed.
fn standby_is_not_ready() {
    let pair = nginx_pair("");
    pair.write("node2", NGINX_CONF, "this is { no configuration\n", 0o644);
    for node in NODES {
        let status = pair.wait(node, "not ready", |s| !s.failover_ready);
        assert_eq!(active_on(&status), Some("node1"));
    }
    let status = pair.wait("node1", "it is told why", |s| s.groups[0].unready_peer.is_some());
    let reason = status.groups[0].unready_peer.clone().unwrap_or_default();
    assert!(reason.contains("nginx"), "{reason}");
    let shown = pair.expect("node1", &["hb", "status"], 1).out;
    assert!(shown.contains("failover ready: NO") && shown.contains("nginx.conf"), "{shown}");
    configure_nginx(&pair, "node2");
    pair.wait_well();
}

fn haresources_differs() {
    let mut pair = Pair::new(quick(&format!("node1 {ADDRESS} agent::a\n")));
    pair.write("node2", "/etc/ha.d/haresources", &format!("node1 {ADDRESS} agent::b\n"), 0o644);
    NODES.into_iter().for_each(|node| pair.start(node));
    for node in NODES {
        let status = pair.wait(node, "it is said", |s| has_problem(s, "config_differs"));
        let text = &problem(&status, "config_differs").text;
        assert!(text.contains("haresources"), "{text}");
        assert!(!is_well(&status));
        let shown = pair.expect(node, &["hb", "status"], 1).out;
        assert!(shown.contains("haresources"), "{shown}");
    }
}
