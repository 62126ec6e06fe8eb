//! A real pair: what the page and the metrics of one node say when the other loses its power, and
//! when the daemon beside them ends.

#![allow(clippy::print_stdout, reason = "a failed case shows what it has seen")]
#![allow(clippy::disallowed_methods, reason = "tests with real time and real processes")]

mod support;

use std::cell::RefCell;
use std::process::ExitCode;

use hb_netns::files::{ADDRESS, Setup};
use hb_netns::pair::Pair;
use hb_netns::runner::{self, Case};
use support::{Serve, agent, get};

fn main() -> ExitCode {
    runner::main(&[Case { name: "the_page_and_the_metrics_follow_the_pair", run: follow }])
}

fn follow() {
    let mut pair = Pair::running(Setup::new(&format!("node1 {ADDRESS}\n")));
    let folder = |path: &str| pair.lab.path("node2", path).expect("a folder of node2");
    let (run_dir, state_dir) = (folder("/run/heartbeat"), folder("/var/lib/heartbeat"));
    let serve = Serve::start(&run_dir, &state_dir);
    let agent = agent();
    let ask = |path: &str| get(&agent, &format!("{}{path}", serve.url), &[]);
    let seen = RefCell::new(String::new());
    let says = |path: &str, parts: &[&str]| {
        let text = ask(path).text;
        let missing: Vec<&&str> = parts.iter().filter(|part| !text.contains(**part)).collect();
        let told = format!("{path}: missing {missing:?}");
        if seen.replace(told.clone()) != told {
            // What is shown when a wait ends in vain.
            println!("{told}");
        }
        missing.is_empty()
    };
    let active = |node: &str, value: &str| {
        format!("hb_group_active{{group=\"{ADDRESS}\",node=\"{node}\"}} {value}\n")
    };
    pair.until("the page says that all is well", || {
        says("/", &["HEALTHY", "active on <strong>node1</strong>", "same on both nodes"])
            && ask("/check").status == 200
    });
    let before = [
        "hb_up 1.0\n",
        "hb_cluster_verdict{verdict=\"healthy\"} 1.0\n",
        "hb_failover_ready 1.0\n",
        "hb_node_state{node=\"node1\",state=\"active\"} 1.0\n",
        &active("node1", "1.0"),
        &active("node2", "0.0"),
        "hb_config_match 1.0\n",
        "hb_link_up{peer=\"node1\",link=\"eth1\",direction=\"out\"} 1.0\n",
    ];
    pair.until("the metrics say so", || says("/metrics", &before));
    pair.crash("node1");
    pair.until("the page says who serves, and that there is no standby", || {
        says("/", &["DEGRADED", "active on <strong>node2</strong>", "node1 is dead"])
            && ask("/check").status == 503
    });
    let after = [
        "hb_cluster_verdict{verdict=\"healthy\"} 0.0\n",
        "hb_cluster_verdict{verdict=\"degraded\"} 1.0\n",
        "hb_failover_ready 0.0\n",
        "hb_node_state{node=\"node1\",state=\"dead\"} 1.0\n",
        &active("node1", "0.0"),
        &active("node2", "1.0"),
        "hb_problem{id=\"peer_dead\"} 1.0\n",
        &format!("hb_group_last_outage_seconds{{group=\"{ADDRESS}\"}} "),
        &format!("hb_group_moves_total{{group=\"{ADDRESS}\",cause=\"peer_dead\"}} 1\n"),
    ];
    pair.until("the metrics say so", || says("/metrics", &after));
    assert!(says("/history.json", &["peer_dead"]));
    pair.stop("node2");
    pair.until("the page says that nobody answers", || says("/", &["UNKNOWN", " old</strong>"]));
    let metrics = ask("/metrics").text;
    assert!(metrics.contains("hb_up 0.0\n"), "{metrics}");
    assert!(!metrics.contains("hb_cluster_verdict{"), "{metrics}");
}
