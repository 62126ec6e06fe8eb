//! `hb-notify` as a service of systemd: what it tells of a node that dies, once, and how it takes other
//! settings. Its channel is a program that keeps what it is given.

use serde_json::Value;

use crate::pair::{NODES, Pair};
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "notifier_takes_other_settings",
        begin: Begin::Serves("node2"),
        limit_s: 90,
        run: takes_other_settings,
    },
    Step {
        name: "power_loss_is_told_once",
        begin: Begin::Serves("node2"),
        limit_s: 120,
        run: power_loss_is_told_once,
    },
];

/// Where the service may write.
const TOLD: &str = "/var/lib/hb-notify/told";

/// Of hb.toml: a message on each line of `file`, soon, about nodes and moves that nobody wanted.
fn settings(file: &str) -> String {
    format!(
        "[notify]\nsettle = \"1s\"\nclear = \"2s\"\n[[notify.exec]]\nname = \"file\"\n\
         command = [\"/bin/sh\", \"-c\", \"cat >>{file}; echo >>{file}\"]\n\
         min_severity = \"warning\"\nevents = [\"move\", \"node\", \"split\"]\n"
    )
}

/// Writes `[notify]` in the place of the one that hb.toml has, which is always its last section.
fn set(pair: &Pair, node: &str, text: &str) {
    pair.machine(node).write("/tmp/notify.toml", text);
    let line = "sed -i '/^\\[\\[*notify/,$d' hb.toml && cat /tmp/notify.toml >>hb.toml";
    pair.sh(node, &format!("cd /etc/ha.d && {line}"));
}

/// On both nodes, with nothing told and nothing to tell.
pub(crate) fn begin_anew(pair: &Pair) {
    for node in NODES {
        set(pair, node, &settings(TOLD));
        pair.sh(node, "systemctl stop hb-notify && rm -rf /var/lib/hb-notify/*");
    }
    for node in NODES {
        pair.sh(node, "systemctl enable --now hb-notify");
        pair.wait(node, "hb notify status && [ -e /var/lib/hb-notify/state.json ]");
    }
}

/// What `node` has told.
fn told(pair: &Pair, node: &str) -> Vec<Value> {
    let text = pair.sh(node, &format!("cat {TOLD} 2>/dev/null || true"));
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn phases(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["phase"].as_str()).collect()
}

/// All of them or none, without a new process.
fn takes_other_settings(pair: &mut Pair) {
    begin_anew(pair);
    let node = "node1";
    let pid = || pair.sh(node, "systemctl show -P MainPID hb-notify");
    let before = pid();
    let about = pair.sh(node, &format!("cat /proc/{}/status", before.trim()));
    assert!(about.contains("CapBnd:\t0000000000000000"), "{about}");
    assert!(!about.contains("Uid:\t0\t"), "{about}");
    set(pair, node, "[[notify.exec]]\ncommand = 3\n");
    pair.sh(node, "! systemctl reload hb-notify && systemctl is-active hb-notify");
    pair.sh(node, "journalctl --unit hb-notify --boot | grep -q 'the service goes on as before'");
    pair.sh(node, "! journalctl --unit hb-notify --boot | grep -q 'settings read again'");
    set(pair, node, &settings(TOLD).replace("name = \"file\"", "name = \"other\""));
    pair.sh(node, "systemctl reload hb-notify");
    pair.wait(
        node,
        "journalctl --unit hb-notify --boot | grep -q 'settings read again: tells incidents by other'",
    );
    pair.wait(node, "hb notify status --json | grep -q '\"other\"'");
    assert_eq!(pid(), before);
    // The daemon has not read any of it, and says so.
    assert!(pair.sh(node, "hb reload --dry-run").contains("nothing to do"));
    // Whom the service cannot write to can be asked by hand.
    let said = pair.sh(node, &format!("hb notify test other; rm {TOLD}"));
    assert!(said.contains("other: accepted: exit code 0"), "{said}");
}

/// By the survivor, with cause, lengths and the next command; a restart tells nothing again.
fn power_loss_is_told_once(pair: &mut Pair) {
    begin_anew(pair);
    pair.machine_mut("node2").power_off();
    pair.wait_served("node1");
    pair.wait("node1", &format!("grep -q begin {TOLD}"));
    pair.sh("node1", "systemctl restart hb-notify");
    let messages = told(pair, "node1");
    let [begin] = messages.as_slice() else { panic!("not one message: {messages:#?}") };
    let subject = begin["subject"].as_str().unwrap_or_default();
    assert!(subject.contains(" moved node2→node1 — node2 silent "), "{begin:#?}");
    assert!(subject.contains(" — service back after "), "{begin:#?}");
    assert!(begin["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{begin:#?}");
    assert!(begin["outage_ms"].as_u64().is_some_and(|ms| ms >= 1), "{begin:#?}");
    assert!(!begin["not_redundant"].as_array().expect("lines").is_empty(), "{begin:#?}");
    let next = begin["next"].to_string();
    assert!(next.contains("hb "), "no command: {next}");

    pair.machine_mut("node2").boot();
    pair.wait("node1", &format!("grep -q resolved {TOLD}"));
    pair.sh("node1", "systemctl restart hb-notify");
    pair.wait_well();
    let messages = told(pair, "node1");
    assert_eq!(phases(&messages), ["begin", "resolved"], "{messages:#?}");
    assert_eq!(messages[0]["incident"], messages[1]["incident"]);
    assert!(messages[1]["duration_ms"].as_u64().is_some_and(|ms| ms >= 1), "{messages:#?}");
    let other = told(pair, "node2");
    assert!(!phases(&other).contains(&"begin"), "what the survivor tells is told once: {other:#?}");
    for node in NODES {
        pair.sh(node, "systemctl disable --now hb-notify");
        set(pair, node, "");
    }
}
