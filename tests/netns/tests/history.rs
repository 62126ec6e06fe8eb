//! Two real nodes: each thing that happens stands in the history of the nodes that it concerns
//! exactly once, with its one cause, over restarts and power losses, and can be read without a
//! daemon.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

use std::process::ExitCode;

use hb_netns::files::{ADDRESS, NODES, Setup};
use hb_netns::pair::{Pair, active_on};
use hb_netns::runner::{self, Case};
use hb_node::api::HistoryEntry;
use serde_json::Value;

const CASES: &[Case] = &[
    Case { name: "each_move_has_one_line", run: each_move_has_one_line },
    Case { name: "without_a_daemon", run: without_a_daemon },
];

fn main() -> ExitCode {
    runner::main(CASES)
}

/// What `hb history --json` shows on `node`.
fn history(pair: &Pair, node: &str, further: &[&str]) -> (bool, Vec<HistoryEntry>) {
    let words = [&["hb", "history", "--json", "--limit", "1000"], further].concat();
    let text = pair.expect(node, &words, 0).out;
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    let entries = serde_json::from_value(value["entries"].take()).expect("entries");
    (value["daemon"] == true, entries)
}

fn moves(pair: &Pair, node: &str) -> Vec<HistoryEntry> {
    history(pair, node, &["--moves"]).1
}

/// The numbers of the last entries.
fn marks(pair: &Pair) -> [u64; 2] {
    NODES.map(|node| moves(pair, node).last().map_or(0, |entry| entry.number))
}

/// `FROM>TO CAUSE BY` of each move of `node` after `mark`, once the last is complete.
fn since(pair: &Pair, node: &str, mark: u64) -> Vec<String> {
    let new = || -> Vec<HistoryEntry> {
        moves(pair, node).into_iter().filter(|entry| entry.number > mark).collect()
    };
    pair.until("the move is complete", || new().last().is_some_and(|it| it.to.is_some()));
    let name = |node: Option<String>| node.unwrap_or_else(|| "-".to_owned());
    let line = |entry: HistoryEntry| {
        format!("{}>{} {} {}", name(entry.from), name(entry.to), entry.cause, name(entry.by))
    };
    new().into_iter().map(line).collect()
}

fn each_move_has_one_line() {
    let mut setup = Setup::new(&format!("node1 {ADDRESS} agent::a\n"));
    setup.native.push_str("[monitor]\ninterval = \"300ms\"\n");
    let mut pair = Pair::running(setup);
    let served = |pair: &Pair, owner: &str| {
        for node in NODES {
            pair.wait(node, "it is served", |s| active_on(s) == Some(owner));
        }
        pair.wait_well();
    };
    served(&pair, "node1");

    let [one, two] = marks(&pair);
    pair.expect("node1", &["hb", "standby"], 0);
    served(&pair, "node2");
    assert_eq!(since(&pair, "node1", one), ["node1>node2 standby root@node1"]);
    assert_eq!(since(&pair, "node2", two), ["node1>node2 standby root@node1"]);
    for node in NODES {
        let last = moves(&pair, node).pop().expect("a move");
        assert!(last.outage_ms.is_some() && last.start_ms.is_some(), "{last:?}");
        assert!(last.stop_ms <= last.outage_ms, "{last:?}");
    }

    let [one, two] = marks(&pair);
    pair.expect("node1", &["hb", "takeover"], 0);
    served(&pair, "node1");
    assert_eq!(since(&pair, "node1", one), ["node2>node1 takeover root@node1"]);
    assert_eq!(since(&pair, "node2", two), ["node2>node1 takeover root@node1"]);

    let [one, two] = marks(&pair);
    pair.shell("node1", "rm /run/agent-a");
    pair.until("it is started again", || !moves(&pair, "node1").iter().all(|it| it.number <= one));
    assert_eq!(since(&pair, "node1", one), ["node1>node1 failed -"]);
    assert_eq!(marks(&pair)[1], two, "nothing moved for node2");
    pair.wait("node1", "its failure is forgotten", |s| s.groups[0].resources[1].failures == 1);
    pair.expect("node1", &["hb", "cleanup"], 0);

    let [one, two] = marks(&pair);
    pair.crash("node1");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    assert_eq!(since(&pair, "node2", two), ["node1>node2 peer_dead -"]);
    let [took] =
        moves(&pair, "node2").split_off(moves(&pair, "node2").len() - 1).try_into().expect("one");
    assert!(took.outage_ms >= Some(900), "from the last packet: {took:?}");

    pair.boot("node1");
    pair.start("node1");
    served(&pair, "node1");
    assert_eq!(since(&pair, "node2", two), ["node1>node2 peer_dead -", "node2>node1 failback -"]);
    assert_eq!(since(&pair, "node1", one), ["node2>node1 failback -"]);
    let shown = pair.expect("node1", &["hb", "status"], 0).out;
    assert!(shown.contains("node2 -> node1") && shown.contains("failback"), "{shown}");
}

/// What was kept is shown, and that it is no more than that.
fn without_a_daemon() {
    let mut pair = Pair::running(Setup::new(&format!("node1 {ADDRESS}\n")));
    pair.expect("node1", &["hb", "standby"], 0);
    pair.wait_well();
    let before = moves(&pair, "node2");
    pair.stop("node2");
    let (daemon, after) = history(&pair, "node2", &[]);
    assert!(!daemon);
    assert!(after.iter().any(|entry| before.last().is_some_and(|it| it.number == entry.number)));
    assert_eq!(after.last().map(|entry| entry.what.as_str()), Some("stopped"));
    let shown = pair.expect("node2", &["hb", "history"], 0);
    assert!(shown.err.contains("heartbeat does not run here: this is what it kept"), "{shown}");
    assert!(shown.out.contains("cause=standby by=root@node1"), "{shown}");
    let status = pair.expect("node2", &["hb", "status"], 3).out;
    assert!(status.contains("It was stopped in order."), "{status}");
    assert!(status.contains("UNKNOWN: heartbeat does not run here"), "{status}");
    // A line that a power cut has torn costs itself only, and numbers go on.
    pair.shell("node2", "printf '{\"number\":' >> /var/lib/heartbeat/history.jsonl");
    pair.start("node2");
    pair.wait_well();
    let (daemon, later) = history(&pair, "node2", &[]);
    assert!(daemon);
    let last = after.last().map_or(0, |entry| entry.number);
    let started = later.iter().find(|entry| entry.number == last + 1).expect("the next number");
    assert_eq!(started.what, "started");
    pair.wait_log("node2", "1 lines of the history cannot be read");
}
