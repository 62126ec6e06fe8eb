//! The model against the protocol description: two of it, beside each other, do what two 3.0.6 nodes
//! were seen to do (§17.1 and the measurements).

use std::time::Duration;

use hb_config::settings::AutoFailback;
use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_node::input::Input;
use hb_resource::input::{Holdings, Which};

use crate::faults::Fault;
use crate::setup::{group, pair, timing};
use crate::world::World;

/// node1 is at home for `www`, node2 for `mail`; one heartbeat in a second, dead after five.
fn world(auto_failback: AutoFailback) -> World {
    let groups = [group("node1", &["www"]), group("node2", &["mail"])];
    let mut settings = pair(timing(1_000), &groups);
    for one in &mut settings {
        one.auto_failback = auto_failback;
        one.media.truncate(1);
    }
    let mut world = World::new(settings, 7);
    for machine in &mut world.machines {
        machine.is_legacy = true;
    }
    world.trace.keep_lines();
    world
}

/// Both are up for long.
fn served(auto_failback: AutoFailback) -> World {
    let mut world = world(auto_failback);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(30));
    assert_eq!(owners(&world), "1/2");
    world
}

fn owners(world: &World) -> String {
    let owner = |group: &str| {
        let served = world.machines.each_ref().map(|machine| machine.serves(group));
        match served {
            [true, true] => "*",
            [true, false] => "1",
            [false, true] => "2",
            [false, false] => "-",
        }
    };
    format!("{}/{}", owner("www"), owner("mail"))
}

/// What was said about resources since `from`, by whom: the lines of the trace without their time.
fn said(world: &World, from: Instant) -> Vec<String> {
    let micros = from.as_micros();
    let since = format!("{:6}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let lines = world.trace.lines().iter().filter(|line| line[..13] >= *since);
    let sent = lines.filter_map(|line| {
        let (node, rest) = line[14..].split_once(' ')?;
        let words = rest.trim_start().strip_prefix("sends link 0 t=")?;
        let words = words.split(" seq=").next()?.replace(" rtype=full", "");
        let words = words.replace("rsc_hold=", "").replace("isstable=", "").replace("info=", "");
        let shown = ["starting", "resource", "ask_resources", "hb_takeover", "shutdone"];
        let shown = shown.contains(&words.split(' ').next()?);
        shown.then(|| format!("{} {words}", &node[4..]))
    });
    sent.collect()
}

#[test]
fn two_that_start_together_wait_for_ten_seconds() {
    let mut world = world(AutoFailback::On);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(10));
    assert_eq!(owners(&world), "-/-");
    world.run(Duration::from_secs(2));
    assert_eq!(owners(&world), "1/2");
    let said = said(&world, Instant::ZERO);
    assert_eq!(said[..2], ["1 starting", "2 starting"]);
    for node in 1..=2 {
        let first = format!("{node} resource none 0");
        assert!(said[2..6].contains(&first), "{said:?}");
    }
    assert!(said.contains(&"1 resource local 1 req_our_resources()".to_owned()), "{said:?}");
}

#[test]
fn one_alone_serves_everything_after_initdead() {
    let mut world = world(AutoFailback::On);
    world.start(0);
    world.run(Duration::from_secs(10));
    assert_eq!(owners(&world), "-/-");
    world.run(Duration::from_secs(2));
    assert_eq!(owners(&world), "1/1");
}

#[test]
fn a_node_that_returns_has_its_groups_given_back() {
    let mut world = served(AutoFailback::On);
    world.power_off(1);
    world.run(Duration::from_secs(20));
    assert_eq!(owners(&world), "1/1");
    let from = world.now();
    world.start(1);
    world.run(Duration::from_secs(5));
    assert_eq!(owners(&world), "1/2");
    let all = said(&world, from);
    let said: Vec<&str> = all.iter().map(String::as_str).collect();
    let dialogue = [
        "2 starting",
        "1 resource all 1",
        "2 resource none 1",
        "1 ask_resources foreign me",
        "2 ask_resources foreign other",
        "1 resource local 0 standby",
        "1 ask_resources foreign done",
        "2 ask_resources foreign done",
        "2 resource local 1",
    ];
    // In this order, whatever else is said between.
    let mut rest = said.iter();
    assert!(dialogue.iter().all(|step| rest.any(|line| line == step)), "{said:#?}");
}

#[test]
fn an_orderly_stop_is_a_takeover_and_an_idle_word() {
    let mut world = served(AutoFailback::Off);
    let from = world.now();
    world.feed(1, Input::Shutdown);
    world.run(Duration::from_secs(4));
    assert_eq!(owners(&world), "1/1");
    assert!(world.machines[1].daemon.is_none());
    let said = said(&world, from);
    assert_eq!(said[..2], ["2 resource none 0 shutdown", "2 shutdone st=dead"]);
    for line in ["1 ask_resources foreign done", "1 resource foreign mach_down"] {
        assert!(said.iter().any(|said| said == line), "{line}: {said:#?}");
    }
}

#[test]
fn a_healed_partition_makes_both_give_everything_up_and_begin_again() {
    let mut world = served(AutoFailback::On);
    Fault::CutAll.apply(&mut world);
    world.run(Duration::from_secs(10));
    assert_eq!(owners(&world), "*/*");
    Fault::Heal.apply(&mut world);
    world.run(Duration::from_secs(4));
    assert_eq!(owners(&world), "-/-");
    assert_eq!([0, 1].map(|machine| world.machines[machine].generation), [1, 1]);
    // Dead time and a second of sleep, then the ten seconds of a joint start.
    world.run(Duration::from_secs(26));
    assert_eq!(owners(&world), "1/2");
    assert_eq!([0, 1].map(|machine| world.machines[machine].generation), [2, 2]);
}

#[test]
fn a_killed_daemon_leaves_everything_running() {
    let mut world = served(AutoFailback::On);
    world.kill(1);
    world.run(Duration::from_secs(10));
    assert_eq!(owners(&world), "1/*");
}

#[test]
fn nobody_takes_what_a_node_had_that_restarts_within_its_dead_time() {
    let mut world = served(AutoFailback::Off);
    let which = Which::Sets(Holdings::ALL);
    world.request(1, Request::Takeover { which });
    world.run(Duration::from_secs(5));
    assert_eq!(owners(&world), "2/2");
    world.power_off(1);
    world.start(1);
    world.run(Duration::from_secs(60));
    assert_eq!(owners(&world), "-/2");
}

#[test]
fn hb_takeover_and_hb_standby_name_the_sets_from_where_they_are_typed() {
    fn check(machine: usize, request: Request, expected: &str) {
        let mut world = served(AutoFailback::Off);
        world.request(machine, request);
        world.run(Duration::from_secs(5));
        assert_eq!(owners(&world), expected);
    }
    let sets = |sets| Which::Sets(sets);
    check(0, Request::Standby { which: sets(Holdings::LOCAL) }, "2/2");
    check(0, Request::Standby { which: sets(Holdings::FOREIGN) }, "1/2");
    check(0, Request::Takeover { which: sets(Holdings::FOREIGN) }, "1/1");
    check(1, Request::Takeover { which: sets(Holdings::ALL) }, "2/2");
}

#[test]
fn what_is_lost_is_asked_for_and_the_newest_is_not_found() {
    let mut world = served(AutoFailback::On);
    let from = world.now();
    let path = crate::network::Path { loss: 300, ..crate::network::Path::GOOD };
    Fault::Weather(path).apply(&mut world);
    world.run(Duration::from_secs(120));
    let lines = world.trace.lines().iter().filter(|line| line.contains("sends link 0 t=NS_"));
    assert!(lines.count() > 10, "nothing was asked for since {from:?}");
    assert_eq!(owners(&world), "1/2");
}
