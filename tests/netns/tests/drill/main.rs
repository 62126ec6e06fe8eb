//! `hb drill` and `hb push-config` on two real nodes: each kind of fault is done, measured from both
//! sides and undone, also when its command is killed; files go from one node to the other.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

mod push;
mod ssh;

use std::process::ExitCode;
use std::time::Duration;

use hb_cli::lab::{PROGRAMS, PUBLIC, Proc, find_program};
use hb_netns::files::{ADDRESS, Setup};
use hb_netns::pair::{Pair, Ran, active_on, is_well};
use hb_netns::runner::{self, Case, skip};
use serde_json::Value;

const CASES: &[Case] = &[
    Case { name: "drill_standby", run: standby },
    Case { name: "drill_on_the_standby_without_ssh", run: on_the_standby_without_ssh },
    Case { name: "drill_stop", run: stop },
    Case { name: "drill_kill", run: kill },
    Case { name: "drill_freeze", run: freeze },
    Case { name: "drill_cut", run: cut },
    Case { name: "drill_is_ended_by_its_guard", run: guard },
    Case { name: "drill_is_undone_when_its_command_is_killed", run: killed_command },
    Case { name: "drill_is_undone_by_hand", run: undone_by_hand },
    Case { name: "drill_is_refused", run: refused },
    Case { name: "drill_over_openssh", run: over_openssh },
];

/// What a node keeps of a drill under way.
const LEDGER: &str = "/run/heartbeat/drill.json";
/// Longest drill: the pair has to come to rest several times.
const DRILL_LIMIT: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    if let Some(code) = ssh::if_asked() {
        return code;
    }
    let all: Vec<Case> = [CASES, push::CASES].into_iter().flatten().copied().collect();
    runner::main(&all)
}

/// One address, and nothing that a loaded machine takes for a death.
fn setup() -> Setup {
    Setup::new(&format!("node1 {ADDRESS}\n")).unasked().calm()
}

fn drill(pair: &Pair, node: &str, words: &[&str], code: i32) -> (Value, Ran) {
    let ran = long(pair, node, &[&["drill", "--yes", "--json"], words].concat());
    assert_eq!(ran.code, code, "{words:?} on {node}: {ran}");
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran}"));
    (report, ran)
}

/// Runs `hb`, which may take longer than other commands.
fn long(pair: &Pair, node: &str, words: &[&str]) -> Ran {
    let hb = format!("{PROGRAMS}/hb");
    let argv = [&[hb.as_str()], words].concat();
    let output = pair.lab.exec_for(node, &argv, DRILL_LIMIT).expect("a drill that ends");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: output.status.code().expect("an exit code"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// The report of a drill that passed, with what every such report says.
fn passed(pair: &Pair, node: &str, words: &[&str], takeover: &Value) -> Value {
    let (report, ran) = drill(pair, node, words, 0);
    assert_eq!(report["v"], 1, "{ran}");
    assert_eq!(report["verdict"], "passed", "{ran}");
    assert_eq!(&report["takeover"], takeover, "{ran}");
    assert_eq!(report["restored"], true, "{ran}");
    assert_eq!(report["node"], node, "{ran}");
    assert!(report["outage_ms"].as_u64().expect("measured") <= 20_000, "{ran}");
    assert_eq!(report["config"].as_array().expect("parts").len(), 3, "{ran}");
    assert!(pair.run(node, &["/bin/ls", LEDGER]).code != 0, "the ledger is left");
    pair.wait(node, "all is well again", is_well);
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    report
}

/// Names of the nodes whose measurements count.
fn observers(report: &Value) -> Vec<&str> {
    let all = report["observers"].as_array().expect("observers");
    let counted = all.iter().filter(|one| one["not_counted"].is_null());
    counted.map(|one| one["node"].as_str().expect("a name")).collect()
}

fn timeline(report: &Value) -> Vec<String> {
    let moments = report["timeline"].as_array().expect("moments");
    let line =
        |it: &Value| format!("{}: {}", it["who"].as_str().unwrap(), it["text"].as_str().unwrap());
    moments.iter().map(line).collect()
}

#[track_caller]
fn says(report: &Value, parts: &[&str]) {
    let lines = timeline(report);
    for part in parts {
        assert!(lines.iter().any(|line| line.contains(part)), "{part:?} in {lines:#?}");
    }
}

/// Given, taken, brought back; seen from both nodes, told by both histories, on paper too.
fn standby() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let (text, json) = ("/var/log/drill.txt", "/var/log/drill.json");
    let words = ["--kind", "standby", "--max-outage", "20s", "--report", text, "--report", json];
    let report = passed(&pair, "node1", &words, &Value::Bool(true));
    assert_eq!(observers(&report), ["node1", "node2"]);
    says(&report, &["drill: standby begins", "node2: history #", "node1: history #"]);
    says(&report, &["is served by node2", "is served by node1"]);
    let written = pair.lab.read_file("node1", json).expect("a report");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), report);
    let written = pair.lab.read_file("node1", text).expect("a report");
    assert!(written.starts_with("Drill standby on node1 of cluster"), "{written}");
    assert!(written.contains("PASSED") && written.contains("Seen from node2"), "{written}");
}

/// The node without the group gets it, measures what others see, and gives it back.
fn on_the_standby_without_ssh() {
    let pair = Pair::running(setup());
    let words = ["--kind", "standby", "--max-outage", "20s", "--peer", "none"];
    let report = passed(&pair, "node2", &words, &Value::Bool(true));
    assert_eq!(observers(&report), ["node2"]);
    let missing = report["not_measured"].to_string();
    assert!(missing.contains("from node1: --peer none"), "{missing}");
}

fn stop() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let before = pair.status("node1").this_node.generation;
    let words = ["--kind", "stop", "--max-outage", "20s"];
    let report = passed(&pair, "node1", &words, &Value::Bool(true));
    assert_eq!(observers(&report), ["node1", "node2"]);
    says(&report, &["node1: heartbeat does not answer", "drill: both nodes are well"]);
    assert!(pair.status("node1").this_node.generation > before, "it was not started anew");
}

/// Its guardian starts it again, and nothing moves. Nobody starts one in the foreground.
fn kill() {
    let mut pair = Pair::new(setup());
    pair.start("node2");
    pair.expect("node1", &["heartbeat"], 0);
    pair.wait_well();
    let _ssh = ssh::on_both(&pair);
    let before = pair.status("node1").pid;
    let words = ["--kind", "kill", "--max-outage", "20s"];
    let report = passed(&pair, "node1", &words, &Value::Bool(false));
    says(&report, &["drill: heartbeat is back"]);
    assert_ne!(pair.status("node1").pid, before, "it was not killed");
    let (report, ran) = drill(&pair, "node2", &words, 2);
    assert!(report["reasons"].to_string().contains("nobody starts it again"), "{ran}");
}

/// The other node takes over; what the frozen one sees of its own address does not count.
fn freeze() {
    let pair = Pair::running(setup());
    let words = ["--kind", "freeze", "--for", "8s", "--max-outage", "20s"];
    let (report, ran) = drill(&pair, "node1", &words, 2);
    assert!(report["reasons"].to_string().contains("nobody could measure it"), "{ran}");
    let _ssh = ssh::on_both(&pair);
    let before = pair.status("node1").pid;
    let report = passed(&pair, "node1", &words, &Value::Bool(true));
    assert_eq!(observers(&report), ["node2"]);
    assert_eq!(pair.status("node1").pid, before, "it did not wake but was started anew");
    says(&report, &["the other node is dead", "drill: the fault is undone"]);
}

/// The other link goes on, and nothing moves.
fn cut() {
    if find_program("nft").is_none() {
        skip("nft (nftables) is not installed");
    }
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let words = ["--kind", "cut", "eth1", "--max-outage", "20s"];
    let report = passed(&pair, "node1", &words, &Value::Bool(false));
    assert_eq!(report["link"], "eth1");
    let log = pair.log("node2");
    assert!(log.contains("node1:eth1 dead"), "the link was not cut: {log}");
    let left = pair.shell("node1", "nft list tables");
    assert!(!left.contains("hb_drill"), "{left}");
    // The only link that is left is not cut.
    pair.lab.mute("node1", PUBLIC).expect("a cable");
    pair.wait("node1", "a link is down", |status| {
        status.peer.iter().flat_map(|peer| &peer.links).any(|link| !link.up)
    });
    drill(&pair, "node1", &words, 2);
}

/// An outage that nobody expected: the drill is ended at once and says so.
fn guard() {
    let setup = Setup { haresources: format!("node1 agent::first {ADDRESS}\n"), ..setup() };
    let pair = Pair::running(setup);
    let _ssh = ssh::on_both(&pair);
    // The address goes first, and is missed for as long as this takes.
    pair.agent("node1", "first", "stop", Some("sleep 9"));
    let words = ["--kind", "standby", "--max-outage", "4s"];
    let (report, ran) = drill(&pair, "node1", &words, 1);
    assert_eq!(report["verdict"], "outage_too_long", "{ran}");
    assert!(report["aborted"].as_str().expect("a reason").contains("more than 4.0 s"), "{ran}");
    assert!(report["outage_ms"].as_u64().expect("measured") > 4_000, "{ran}");
    assert_eq!(report["restored"], true, "{ran}");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

/// Begins a long freeze of node1 in the background and waits until it stands still.
fn frozen(pair: &Pair) -> Proc {
    let hb = format!("{PROGRAMS}/hb");
    let words = ["drill", "--kind", "freeze", "--for", "300s", "--max-outage", "60s", "--yes"];
    let drill = pair.spawn("node1", &[&[hb.as_str()], &words[..]].concat());
    pair.until("heartbeat stands still", || {
        pair.shell("node1", "cat /proc/$(tr -d ' ' < /run/heartbeat.pid)/stat").contains(") T ")
    });
    drill
}

/// Kills processes of node1 whose command line matches.
fn kill_all(pair: &Pair, pattern: &str) {
    let line = format!(
        "for p in /proc/[0-9]*; do if tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q -e '{pattern}'; \
         then kill -9 ${{p#/proc/}}; fi; done; true"
    );
    pair.shell("node1", &line);
}

/// Its helper lives on and wakes heartbeat long before its time is over.
fn killed_command() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let mut drill = frozen(&pair);
    kill_all(&pair, "dril[l] --kind");
    let _ = drill.wait();
    pair.wait("node1", "it goes on", |_| true);
    pair.until("the drill is over", || pair.run("node1", &["/bin/ls", LEDGER]).code != 0);
    pair.wait_well();
    pair.wait("node1", "it is back", |status| active_on(status) == Some("node1"));
}

/// Its helper was killed, too.
fn undone_by_hand() {
    let pair = Pair::running(setup());
    let _ssh = ssh::on_both(&pair);
    let mut drill = frozen(&pair);
    // First: it undoes the drill as soon as its command is gone.
    kill_all(&pair, "[-]-helper");
    kill_all(&pair, "dril[l] --kind");
    let _ = drill.wait();
    // Nothing begins on top of it.
    let words = ["hb", "drill", "--kind", "stop", "--max-outage", "20s", "--yes"];
    let ran = pair.expect("node1", &words, 2);
    assert!(ran.err.contains("hb drill --undo"), "{ran}");
    let ran = long(&pair, "node1", &["drill", "--undo"]);
    assert!(ran.code == 0 && ran.out.contains("is undone"), "{ran}");
    pair.wait_well();
    let ran = pair.expect("node1", &["hb", "drill", "--undo"], 0);
    assert!(ran.out.contains("no drill is under way"), "{ran}");
}

/// Not while anything is wrong, not when too much is expected, not unasked.
fn refused() {
    let mut pair = Pair::running(setup());
    let words = ["hb", "drill", "--kind", "standby", "--max-outage", "20s"];
    let ran = pair.expect("node1", &words, 2);
    assert!(ran.err.contains("add --yes"), "{ran}");
    let short = ["--kind", "standby", "--max-outage", "1ms"];
    let (report, ran) = drill(&pair, "node1", &short, 2);
    assert_eq!(report["verdict"], "refused", "{ran}");
    assert!(report["reasons"].to_string().contains("outage: expected"), "{ran}");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
    pair.stop("node2");
    pair.wait("node1", "it is alone", |status| {
        status.peer.as_ref().is_some_and(|peer| peer.status == "dead")
    });
    let (report, ran) = drill(&pair, "node1", &["--kind", "stop", "--max-outage", "20s"], 2);
    assert!(report["reasons"].to_string().contains("peer: node2 is dead"), "{ran}");
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

/// The genuine ssh: a drill that both nodes measure, and files that go over it.
fn over_openssh() {
    let pair = Pair::running(setup());
    let _ssh = ssh::genuine_on_both(&pair);
    let words = ["--kind", "standby", "--max-outage", "20s"];
    let report = passed(&pair, "node1", &words, &Value::Bool(true));
    assert_eq!(observers(&report), ["node1", "node2"]);
    let text = "[monitor]\ninterval = \"7s\"\n";
    pair.write("node1", "/etc/ha.d/hb.toml", text, 0o644);
    pair.expect("node1", &["hb", "push-config", "--yes"], 0);
    assert_eq!(pair.lab.read_file("node2", "/etc/ha.d/hb.toml").expect("a file"), text);
    // Nobody is asked for a password.
    pair.shell("node2", "rm /run/ssh/id.pub");
    let ran = pair.expect("node1", &["hb", "push-config"], 3);
    assert!(ran.err.contains("Permission denied"), "{ran}");
}
