//! `hb drill` under systemd, on a pair whose service nobody else watches: what it measures, what it
//! puts back, and its guard.

use serde_json::Value;

use crate::pair::Pair;
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[
    Step { name: "drill_standby", begin: Begin::Serves("node1"), limit_s: 90, run: standby },
    Step { name: "drill_kill", begin: Begin::Serves("node1"), limit_s: 90, run: kill },
    Step { name: "drill_guard", begin: Begin::Serves("node1"), limit_s: 120, run: guard },
];

/// Why nobody measures on the other node, and what is asked here.
const WORDS: &str = "--yes --json --peer none --probe http://192.0.2.100/";
/// Makes every start of nginx slow.
const SLOW: &str = "/etc/systemd/system/nginx.service.d/slow.conf";

/// The report of a drill on `node` that ends with `code`.
#[track_caller]
fn drill(pair: &Pair, node: &str, words: &str, code: i32) -> Value {
    let (found, text) = pair.run(node, &format!("hb drill {WORDS} {words} 2>/tmp/drill.err"));
    let complaints = || pair.run(node, "cat /tmp/drill.err").1;
    assert_eq!(found, code, "hb drill {words} on {node}: {text}{}", complaints());
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    pair.sh(node, "! [ -e /run/heartbeat/drill.json ]");
    assert_eq!(report["restored"], true, "{report:#}");
    report
}

/// How long the service was away, as far as it was seen.
#[track_caller]
fn outage_ms(report: &Value) -> u64 {
    let seen = &report["observers"][0]["measured"][0];
    assert!(seen["probes"].as_u64().is_some_and(|probes| probes > 0), "{report:#}");
    report["outage_ms"].as_u64().unwrap_or_else(|| panic!("nothing was measured: {report:#}"))
}

/// Taken and given back by the node that has nothing, which sees what clients see.
fn standby(pair: &mut Pair) {
    let report = drill(pair, "node2", "--kind standby --max-outage 20s", 0);
    assert_eq!(report["verdict"], "passed", "{report:#}");
    assert_eq!(report["takeover"], true, "{report:#}");
    assert!((1..=20_000).contains(&outage_ms(&report)), "{report:#}");
    println!("measured: drill standby: outage {} ms", outage_ms(&report));
    pair.wait_served("node1");
    pair.wait_well();
}

/// systemd starts the daemon again, and nothing moves.
fn kill(pair: &mut Pair) {
    let before = pair.unit("node1", "MainPID");
    let report = drill(pair, "node1", "--kind kill --max-outage 10s", 0);
    assert_eq!(report["verdict"], "passed", "{report:#}");
    let checks = report["checks"].to_string();
    assert!(checks.contains("systemd starts heartbeat.service again"), "{checks}");
    println!("measured: drill kill: outage {} ms", outage_ms(&report));
    assert_ne!(pair.unit("node1", "MainPID"), before);
    pair.wait_served("node1");
    pair.wait_well();
}

/// A service that suddenly starts slowly: the drill is ended, and everything goes back.
fn guard(pair: &mut Pair) {
    pair.machine("node2").write(SLOW, "[Service]\nExecStartPre=/bin/sleep 8\n");
    pair.sh("node2", "systemctl daemon-reload");
    let report = drill(pair, "node2", "--kind standby --max-outage 4s", 1);
    assert_eq!(report["verdict"], "outage_too_long", "{report:#}");
    let aborted = report["aborted"].as_str().unwrap_or_default();
    assert!(aborted.contains("more than 4.0 s"), "{report:#}");
    assert!(outage_ms(&report) > 4_000, "{report:#}");
    pair.wait_served("node1");
    pair.sh("node2", &format!("rm {SLOW} && systemctl daemon-reload"));
    pair.wait_well();
    pair.give_to("node2");
}
