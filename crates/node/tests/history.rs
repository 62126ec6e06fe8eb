//! Each thing that happens to a pair stands in the history of both nodes exactly once, with its one
//! cause, who asked, and the outage as far as that node can know it.

use std::time::Duration;

use hb_config::settings::{AutoFailback, Settings};
use hb_node::api::{EntryKind, HistoryEntry, OutageSince, Request};
use hb_node::input::{ClientId, Input};
use hb_resource::input::{Evidence, Holdings, Which};
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEEPALIVE_MS: u64 = 100;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Both started and settled; node1 serves.
fn pair(change: impl Fn(&mut Settings)) -> World {
    let mut settings = setup::pair(timing(KEEPALIVE_MS), &[group("node1", &["www", "nginx"])]);
    settings.iter_mut().for_each(change);
    let mut world = World::new(settings, 7);
    world.start(0);
    world.start(1);
    wait_on(&mut world, 0);
    world.run(ms(3_000));
    world
}

fn wait_on(world: &mut World, machine: usize) {
    let served = |world: &World| {
        let name = format!("node{}", machine + 1);
        let knows = |status: hb_node::api::StatusSnapshot| {
            status.groups[0].active_on.as_deref() == Some(name.as_str())
        };
        (0..2).all(|m| world.status(m).is_none_or(knows)) && world.machines[machine].serves("www")
    };
    assert!(world.run_until(ms(60_000), served).is_some(), "not served by machine {machine}");
}

/// What a reader sees of the history of a machine since it had `from` entries: entries that complete
/// another take its place.
fn since(world: &World, machine: usize, from: usize) -> Vec<HistoryEntry> {
    let mut seen: Vec<HistoryEntry> = Vec::new();
    for entry in world.machines[machine].history.iter().skip(from) {
        match seen.iter_mut().find(|known| entry.amends && known.number == entry.number) {
            Some(known) => known.clone_from(entry),
            None => seen.push(entry.clone()),
        }
    }
    seen
}

fn marks(world: &World) -> [usize; 2] {
    [0, 1].map(|machine| world.machines[machine].history.len())
}

fn moves(world: &World, machine: usize, from: usize) -> Vec<HistoryEntry> {
    since(world, machine, from).into_iter().filter(HistoryEntry::is_move).collect()
}

/// The only move since `from`: `FROM→TO cause by`.
#[track_caller]
fn only(world: &World, machine: usize, from: usize, expect: &str) -> HistoryEntry {
    let found = moves(world, machine, from);
    assert_eq!(found.len(), 1, "{found:#?}");
    let entry = found[0].clone();
    let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "-".into());
    let line = format!(
        "{}→{} {} {}",
        name(&entry.from),
        name(&entry.to),
        entry.cause,
        entry.by.as_deref().unwrap_or("-")
    );
    assert_eq!(line, expect);
    entry
}

/// Entries about nodes: `WHAT SUBJECT`.
fn nodes(world: &World, machine: usize, from: usize) -> Vec<String> {
    let entries = since(world, machine, from).into_iter();
    let about = entries.filter(|entry| entry.kind == EntryKind::Node);
    about.map(|entry| format!("{} {}", entry.what, entry.subject.unwrap_or_default())).collect()
}

fn order(world: &mut World, machine: usize, user: &str, request: Request) {
    let client = ClientId(900);
    world.feed(machine, Input::ClientName { client, name: user.into() });
    world.feed(machine, Input::Request { client, request });
}

fn all() -> Which {
    Which::Sets(Holdings::ALL)
}

#[test]
fn a_standby_is_one_line_on_both_nodes() {
    let mut world = pair(|_| {});
    let [here, there] = marks(&world);
    order(&mut world, 0, "ann", Request::Standby { which: all() });
    wait_on(&mut world, 1);
    world.run(ms(2_000));
    let gave = only(&world, 0, here, "node1→node2 standby ann@node1");
    let took = only(&world, 1, there, "node1→node2 standby ann@node1");
    for entry in [&gave, &took] {
        assert!(entry.stop_ms > Some(0) && entry.start_ms > Some(0), "{entry:?}");
        assert!(entry.outage_ms >= entry.stop_ms && entry.outage_ms < Some(1_000), "{entry:?}");
        assert_eq!(entry.outage_since, Some(OutageSince::Stopped));
    }
    let steps = |entry: &HistoryEntry| {
        let words = entry.steps.iter().map(|step| format!("{} {}", step.resource, step.action));
        words.filter(|step| !step.ends_with("status")).collect::<Vec<_>>()
    };
    assert_eq!(steps(&gave), ["nginx stop", "www stop"]);
    assert_eq!(steps(&took), ["www start", "nginx start"]);
    let last = world.status(0).and_then(|status| status.last_move).expect("a move");
    assert_eq!((last.number, last.outage_ms), (gave.number, gave.outage_ms));
}

#[test]
fn a_takeover_names_who_asked_on_the_other_node() {
    let mut world = pair(|_| {});
    let [here, there] = marks(&world);
    order(&mut world, 1, "bob", Request::Takeover { which: all() });
    wait_on(&mut world, 1);
    world.run(ms(2_000));
    only(&world, 0, here, "node1→node2 takeover bob@node2");
    only(&world, 1, there, "node1→node2 takeover bob@node2");
}

#[test]
fn power_loss_and_the_return_with_failback() {
    let mut world = pair(|settings| settings.auto_failback = AutoFailback::On);
    let [_, there] = marks(&world);
    world.power_off(0);
    wait_on(&mut world, 1);
    let took = only(&world, 1, there, "node1→node2 peer_dead -");
    assert_eq!(took.outage_since, Some(OutageSince::LastHeard));
    assert!(took.outage_ms >= Some(KEEPALIVE_MS * 4), "{took:?}");
    assert_eq!(nodes(&world, 1, there), ["dead node1"]);
    let [here, there] = marks(&world);
    world.start(0);
    wait_on(&mut world, 0);
    world.run(ms(2_000));
    only(&world, 0, here, "node2→node1 failback -");
    only(&world, 1, there, "node2→node1 failback -");
    assert_eq!(nodes(&world, 0, here), ["started node1", "joined node2"]);
    assert_eq!(nodes(&world, 1, there), ["back node1"]);
}

#[test]
fn a_killed_service_is_one_line_on_the_node_that_has_it() {
    let mut world = pair(|_| {});
    let [here, there] = marks(&world);
    assert!(world.machines[0].agents.crash("www", "nginx"));
    let look = Input::Look {
        group: "www".into(),
        resource: "nginx".into(),
        evidence: Evidence::ProcessEnded,
        reason: "its process ended".into(),
    };
    world.feed(0, look);
    world.run(ms(5_000));
    let entry = only(&world, 0, here, "node1→node1 failed -");
    assert_eq!((entry.what.as_str(), entry.kind), ("restarted", EntryKind::Move));
    assert_eq!(entry.outage_since, Some(OutageSince::Noticed));
    assert!(entry.reason.contains("nginx"), "{entry:?}");
    assert_eq!(since(&world, 0, here).len(), 1, "nothing else is told of it");
    assert!(moves(&world, 1, there).is_empty());
}

#[test]
fn an_orderly_stop_is_told_on_both() {
    let mut world = pair(|_| {});
    let [here, there] = marks(&world);
    order(&mut world, 0, "root", Request::Stop);
    wait_on(&mut world, 1);
    world.run(ms(5_000));
    let gave = moves(&world, 0, here);
    assert_eq!((gave.len(), gave[0].cause.as_str()), (1, "shutdown"));
    assert_eq!(gave[0].by.as_deref(), Some("root@node1"));
    only(&world, 1, there, "node1→node2 peer_left -");
    assert_eq!(nodes(&world, 0, here), ["stopped node1"]);
    assert_eq!(nodes(&world, 1, there), ["left node1"], "its silence after that is no death");
}

#[test]
fn maintenance_and_what_fails_in_it() {
    let mut world = pair(|_| {});
    let [here, there] = marks(&world);
    order(&mut world, 0, "ann", Request::Maintenance { on: true, limit_ms: None });
    world.run(ms(2_000));
    assert!(world.machines[0].agents.crash("www", "nginx"));
    let look = Input::Look {
        group: "www".into(),
        resource: "nginx".into(),
        evidence: Evidence::ProcessEnded,
        reason: "its process ended".into(),
    };
    world.feed(0, look);
    world.run(ms(2_000));
    let lines = |machine, from| -> Vec<String> {
        let entries = since(&world, machine, from).into_iter();
        let line = |entry: HistoryEntry| {
            format!("{} {} {:?}", entry.kind.word(), entry.what, entry.by.unwrap_or_default())
        };
        entries.map(line).collect()
    };
    assert_eq!(lines(0, here), ["maintenance on \"ann@node1\"", "failure failed \"\""]);
    assert_eq!(lines(1, there), ["maintenance on \"\""]);
}

#[test]
fn numbers_go_on_over_a_restart() {
    let mut world = pair(|_| {});
    let kept = world.machines[0].history.clone();
    let last = kept.last().map(|entry| entry.number).expect("some");
    let daemon = world.machines[0].daemon.as_mut().expect("it runs");
    daemon.node.remember(kept);
    let [here, _] = marks(&world);
    order(&mut world, 0, "ann", Request::Standby { which: all() });
    wait_on(&mut world, 1);
    assert!(since(&world, 0, here)[0].number > last);
}
