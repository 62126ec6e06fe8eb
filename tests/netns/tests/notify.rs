//! Notifications from a real pair: what happens is told once, by the node that is there to tell it,
//! and told again when it is over.

#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

use std::process::ExitCode;

use hb_cli::lab::{PROGRAMS, Proc};
use hb_netns::files::{ADDRESS, NODES, Setup};
use hb_netns::pair::{Pair, active_on};
use hb_netns::runner::{self, Case};
use serde_json::Value;

const CASES: &[Case] =
    &[Case { name: "a_power_loss_is_told_once", run: a_power_loss_is_told_once }];

/// Where the channel of the test writes, a message on each line.
const TOLD: &str = "/var/log/told";
const CHANNEL: &str = "[notify]\nsettle = \"1s\"\nclear = \"2s\"\n[[notify.exec]]\nname = \"file\"\n\
                       command = [\"/bin/sh\", \"-c\", \"cat >> /var/log/told; echo >> /var/log/told\"]\n\
                       min_severity = \"warning\"\nevents = [\"move\", \"node\", \"split\"]\n";

fn main() -> ExitCode {
    runner::main(CASES)
}

fn notify(pair: &Pair, node: &str) -> Proc {
    pair.spawn(node, &[&format!("{PROGRAMS}/hb-notify"), "run"])
}

/// What `node` told.
fn told(pair: &Pair, node: &str) -> Vec<Value> {
    let text = pair.lab.read_file(node, TOLD).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn phases(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|it| it["phase"].as_str()).collect()
}

/// The survivor tells it, with the length of the silence and of the outage; its end as well.
fn a_power_loss_is_told_once() {
    let mut setup = Setup::new(&format!("node1 {ADDRESS} agent::a\n"));
    setup.native.push_str(CHANNEL);
    setup.failback = "off";
    setup.kept.push("/var/lib/hb-notify".to_owned());
    let mut pair = Pair::running(setup);
    let tellers = NODES.map(|node| notify(&pair, node));
    pair.wait("node2", "node1 serves", |s| active_on(s) == Some("node1"));
    for node in NODES {
        let begun = || pair.run(node, &["hb", "notify", "status"]).code == 0;
        pair.until("the notifier has begun", begun);
    }
    let tried = pair.expect("node1", &["hb", "notify", "test", "file"], 0);
    assert!(tried.out.contains("file: accepted: exit code 0"), "{tried}");
    assert_eq!(phases(&told(&pair, "node1")), ["test"]);

    pair.crash("node1");
    pair.wait("node2", "it takes over", |s| active_on(s) == Some("node2"));
    pair.until("it is told", || !told(&pair, "node2").is_empty());
    let subject = told(&pair, "node2")[0]["subject"].as_str().unwrap_or_default().to_owned();
    let start = format!("[linux-ha] {ADDRESS} moved node1→node2 — node1 silent ");
    assert!(subject.starts_with(&start), "{subject}");
    assert!(subject.contains(" — service back after "), "{subject}");

    pair.boot("node1");
    pair.start("node1");
    let _again = notify(&pair, "node1");
    let is_over = || phases(&told(&pair, "node2")).contains(&"resolved");
    pair.until("its end is told", is_over);
    pair.wait_well();
    let messages = told(&pair, "node2");
    assert_eq!(phases(&messages), ["begin", "resolved"], "{messages:#?}");
    assert_eq!(messages[0]["incident"], messages[1]["incident"]);
    assert!(messages[1]["subject"].as_str().is_some_and(|it| it.contains("node1 is back")));
    let own = told(&pair, "node1");
    assert!(!phases(&own).contains(&"begin"), "what the survivor tells is told once: {own:#?}");
    drop(tellers);
}
