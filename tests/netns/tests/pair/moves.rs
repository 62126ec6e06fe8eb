//! What an operator moves: standby, takeover, under both names, with their words and exit codes.

use std::time::Instant;

use hb_cli::lab;
use hb_netns::files::{ADDRESS, ADDRESS2, NODES, Setup};
use hb_netns::pair::{Pair, groups, has_problem};
use hb_netns::runner::Case;

pub(crate) const CASES: &[Case] = &[
    Case { name: "standby_and_takeover", run: standby_and_takeover },
    Case { name: "sets_of_groups", run: sets_of_groups },
    Case { name: "one_group", run: one_group },
    Case { name: "moves_that_are_refused", run: moves_that_are_refused },
    Case { name: "standby_on_both_at_once", run: standby_on_both_at_once },
    Case { name: "a_move_that_is_not_waited_for", run: a_move_that_is_not_waited_for },
];

/// All groups there and back, with the words of Heartbeat's scripts and the truth after them.
fn standby_and_takeover() {
    // A move by an operator lasts, whatever auto_failback says.
    let pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    let check = |node: &str, words: &[&str], out: &str, serves: &str| {
        assert_eq!(pair.expect(node, words, 0).out, out, "{words:?}");
        traffic.wait_served(serves);
        pair.wait_well();
        assert_eq!(pair.owners("192.0.2.100"), [serves], "{words:?}");
    };
    let gone = "Going standby [all].\nnode2 has all groups\n";
    let got = "Taking over [all].\nthis node has all groups\n";
    traffic.wait_served("node1");
    check("node1", &["hb", "standby"], gone, "node2");
    check("node1", &["hb", "takeover"], got, "node1");
    check("node2", &["hb_takeover"], got, "node2");
    check("node2", &["hb_standby", "all"], &gone.replace("node2", "node1"), "node1");
}

/// `local` and `foreign` are seen from the node that is asked; `failback` means `foreign`.
fn sets_of_groups() {
    let mut setup = Setup::new(&format!("node1 {ADDRESS}\nnode2 {ADDRESS2}\n"));
    setup.failback = "off";
    let pair = Pair::running(setup);
    let check = |node: &str, words: &[&str], told: &str, first: &str, second: &str| {
        let out = pair.expect(node, words, 0).out;
        assert!(out.lines().last().is_some_and(|line| line.contains(told)), "{words:?}: {out}");
        for seen_by in NODES {
            pair.wait(seen_by, &format!("{words:?} is done"), |status| {
                let served = groups(status);
                served[ADDRESS].as_deref() == Some(first)
                    && served[ADDRESS2].as_deref() == Some(second)
            });
        }
        pair.wait_well();
        assert_eq!(pair.owners("192.0.2.100"), [first]);
        assert_eq!(pair.owners("192.0.2.101"), [second]);
    };
    check("node1", &["hb", "standby", "local"], "node2 has", "node2", "node2");
    check("node2", &["hb", "standby", "foreign"], "node1 has", "node1", "node2");
    check("node1", &["hb", "takeover", "foreign"], "this node has", "node1", "node1");
    check("node1", &["hb_standby", "failback"], "node2 has", "node1", "node2");
    check("node2", &["hb_takeover", "foreign"], "this node has", "node2", "node2");
    check("node1", &["hb_takeover", "local"], "this node has", "node1", "node2");
    check("node1", &["hb", "standby", "foreign"], "nothing to do", "node1", "node2");
}

/// Between two Twinbeat nodes a single group moves and the other does not notice.
fn one_group() {
    let mut setup = Setup::web();
    setup.haresources = format!("node1 {ADDRESS}\nnode1 {ADDRESS2}\n");
    let pair = Pair::running(setup);
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.expect("node1", &["hb", "standby", "--group", ADDRESS2], 0);
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.101"), ["node2"]);
    pair.expect("node1", &["hb", "takeover", "--group", ADDRESS2], 0);
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.101"), ["node1"]);
    traffic.assert_unbroken(begin, Some("node1"));
    let unknown = pair.expect("node1", &["hb", "standby", "--group", "nonsense"], 1);
    assert!(
        unknown.err.contains("no group nonsense") && unknown.err.contains(ADDRESS2),
        "{unknown}"
    );
}

fn moves_that_are_refused() {
    let mut pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    pair.crash("node2");
    pair.wait("node1", "node2 is dead", |s| has_problem(s, "peer_dead"));
    for words in [&["hb", "standby"][..], &["hb_standby", "local"], &["hb", "takeover"]] {
        let ran = pair.expect("node1", words, 1);
        // The words that scripts of Heartbeat look for.
        assert!(ran.err.contains("No reply to standby request"), "{words:?}: {ran}");
        assert!(ran.err.contains("node2 is not there"), "{words:?}: {ran}");
    }
    traffic.assert_unbroken(begin, Some("node1"));
    assert_eq!(pair.run("node1", &["hb", "standby", "sideways"]).code, 2);
}

/// Two operators at once: whoever is refused is told so, and every group is served by one node.
fn standby_on_both_at_once() {
    let mut setup = Setup::new(&format!("node1 {ADDRESS} agent::a\nnode2 {ADDRESS2} agent::b\n"));
    setup.failback = "off";
    let pair = Pair::running(setup);
    let hb = format!("{}/hb", lab::PROGRAMS);
    let mut other = pair.spawn("node2", &[&hb, "standby", "local"]);
    let here = pair.run("node1", &["hb", "standby", "local"]);
    let there = other.wait().expect("its end").code();
    assert!(here.code == 0 || there == Some(0), "both were refused: {here}");
    assert!(here.code == 0 || !here.err.is_empty(), "refused without a reason: {here}");
    pair.wait_well();
    for (address, ran) in [("192.0.2.100", here.code), ("192.0.2.101", there.unwrap_or(-1))] {
        let first = if address == "192.0.2.100" { "node1" } else { "node2" };
        let second = if first == "node1" { "node2" } else { "node1" };
        let expect = if ran == 0 { second } else { first };
        assert_eq!(pair.owners(address), [expect], "the answer was {ran}");
    }
}

fn a_move_that_is_not_waited_for() {
    let pair = Pair::running(Setup::web());
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let ran = pair.expect("node1", &["hb_standby", "all", "--no-wait"], 0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("Going standby [all].\n", ""));
    traffic.wait_served("node2");
    pair.wait_well();
    assert_eq!(pair.owners("192.0.2.100"), ["node2"]);
}
