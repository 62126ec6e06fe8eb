//! Two nodes with a ping node in virtual time: who loses it, who gets the groups.

use std::time::Duration;

use hb_config::settings::{AutoFailback, NodeName, PingKind, PingTarget, Settings};
use hb_node::api::Request;
use hb_resource::input::{Holdings, Which};
use hb_resource::operation::Action;
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEEPALIVE_MS: u64 = 100;
const DEADPING_MS: u64 = KEEPALIVE_MS * 5;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn world(change: impl Fn(&mut Settings)) -> World {
    let mut settings = setup::pair(timing(KEEPALIVE_MS), &[group("node1", &["www", "nginx"])]);
    for one in &mut settings {
        assert_eq!(one.timing.deadping_ms, DEADPING_MS);
        one.ipfail = true;
        one.pings = vec![PingTarget {
            name: NodeName::new("gateway"),
            hosts: vec!["10.0.0.1".to_owned()],
            kind: PingKind::Ping,
        }];
        change(one);
    }
    World::new(settings, 7)
}

/// Both started and settled, the group on node1.
fn pair(auto_failback: AutoFailback) -> World {
    let mut world = world(|one| one.auto_failback = auto_failback);
    world.start(0);
    world.start(1);
    wait_served(&mut world, 0, 10_000);
    world.run(ms(3_000));
    assert_eq!([ids(&world, 0), ids(&world, 1)], [[""; 0]; 2]);
    world
}

fn ids(world: &World, machine: usize) -> Vec<String> {
    let status = world.status(machine).expect("the daemon runs");
    status.problems.into_iter().map(|problem| problem.id).collect()
}

fn served_by(world: &World, machine: usize) -> bool {
    world.machines[machine].serves("www") && !world.machines[1 - machine].agents.runs_any_of("www")
}

#[track_caller]
fn wait_served(world: &mut World, machine: usize, limit_ms: u64) -> Duration {
    let took = world.run_until(ms(limit_ms), |world| served_by(world, machine));
    took.unwrap_or_else(|| panic!("not on node{}: {:?}", machine + 1, world.status(machine)))
}

/// How often the group left a machine.
fn moves(world: &World) -> usize {
    let stops = |machine: usize| {
        let log = &world.machines[machine].agents.log;
        log.iter().filter(|(action, (_, text))| *action == Action::Stop && text == "www").count()
    };
    stops(0) + stops(1)
}

#[test]
fn who_loses_the_ping_node_gives_its_group_away_once() {
    let mut world = pair(AutoFailback::Off);
    world.network.gateway[0] = false;
    assert!(world.run_until(ms(2_000), |w| ids(w, 0).contains(&"ping_worse".into())).is_some());
    let took = wait_served(&mut world, 1, 5_000);
    assert!(took <= ms(250 + 200), "{took:?}");
    let last = world.machines[0].history.last().expect("a move");
    assert_eq!((last.what.as_str(), last.cause.as_str()), ("released", "ping_nodes"));
    assert_eq!(last.reason, "node1 reaches 0 of 1 ping nodes, node2 reaches 1");
    world.run(ms(20_000));
    assert_eq!(ids(&world, 0), ["ping_dead"]);
    world.network.gateway[0] = true;
    world.run(ms(20_000));
    assert!(served_by(&world, 1));
    assert_eq!(moves(&world), 1);
}

#[test]
fn with_auto_failback_it_comes_home_when_the_network_does() {
    let mut world = pair(AutoFailback::On);
    world.network.gateway[0] = false;
    wait_served(&mut world, 1, 5_000);
    world.run(ms(20_000));
    assert!(served_by(&world, 1), "failback to a node without a network");
    world.network.gateway[0] = true;
    let took = wait_served(&mut world, 0, 10_000);
    assert!(took >= ms(DEADPING_MS * 2), "{took:?}");
    world.run(ms(20_000));
    assert!(served_by(&world, 0));
    assert_eq!(moves(&world), 2);
}

#[test]
fn both_lose_it_and_nothing_moves() {
    for lead_ms in [0, 50, 100] {
        let mut world = pair(AutoFailback::On);
        world.network.gateway[0] = false;
        world.run(ms(lead_ms));
        world.network.gateway[1] = false;
        world.run(ms(20_000));
        assert_eq!((ids(&world, 0), moves(&world)), (vec!["ping_dead".to_owned()], 0));
        world.network.gateway[1] = true;
        world.run(ms(lead_ms));
        world.network.gateway[0] = true;
        world.run(ms(20_000));
        assert!(served_by(&world, 0));
        assert_eq!(moves(&world), 0, "{lead_ms}");
    }
}

#[test]
fn a_ping_node_that_flaps_moves_nothing() {
    let mut world = pair(AutoFailback::On);
    for _ in 0..20 {
        // Dead after 500 ms; alive again before the peer was better for 250 ms.
        world.network.gateway[0] = false;
        world.run(ms(520));
        world.network.gateway[0] = true;
        world.run(ms(300));
    }
    world.run(ms(10_000));
    assert!(!world.machines[0].logged("ipfail_aborted").is_empty(), "never pending");
    assert!(served_by(&world, 0));
    assert_eq!(moves(&world), 0);
}

#[test]
fn a_ping_node_that_flaps_slowly_moves_the_group_once() {
    let mut world = pair(AutoFailback::On);
    for _ in 0..20 {
        world.network.gateway[0] = false;
        world.run(ms(900));
        world.network.gateway[0] = true;
        world.run(ms(400));
    }
    assert!(served_by(&world, 1));
    assert_eq!(moves(&world), 1);
    wait_served(&mut world, 0, 10_000);
}

#[test]
fn the_other_one_loses_it_and_nothing_moves() {
    let mut world = pair(AutoFailback::On);
    world.network.gateway[1] = false;
    world.run(ms(20_000));
    assert_eq!((ids(&world, 1), moves(&world)), (vec!["ping_dead".to_owned()], 0));
}

#[test]
fn a_node_that_returns_without_its_network_does_not_get_its_group_back() {
    let starts = |world: &World| {
        let log = &world.machines[0].agents.log;
        log.iter().filter(|(action, _)| *action == Action::Start).count()
    };
    let mut world = pair(AutoFailback::On);
    let before = starts(&world);
    world.power_off(0);
    wait_served(&mut world, 1, 5_000);
    world.network.gateway[0] = false;
    world.start(0);
    world.run(ms(20_000));
    assert!(served_by(&world, 1));
    assert_eq!(starts(&world), before);
    world.network.gateway[0] = true;
    wait_served(&mut world, 0, 10_000);
}

#[test]
fn a_node_that_starts_without_its_network_gives_its_group_away() {
    let mut world = world(|one| one.auto_failback = AutoFailback::Off);
    world.network.gateway[0] = false;
    world.start(0);
    world.start(1);
    wait_served(&mut world, 1, 10_000);
    world.run(ms(20_000));
    assert!(served_by(&world, 1));
}

#[test]
fn an_operator_may_take_it_back_meanwhile() {
    let mut world = pair(AutoFailback::Off);
    world.network.gateway[0] = false;
    wait_served(&mut world, 1, 5_000);
    world.run(ms(20_000));
    world.request(0, Request::Takeover { which: Which::Sets(Holdings::ALL) });
    wait_served(&mut world, 0, 5_000);
    world.run(ms(20_000));
    assert!(served_by(&world, 0));
}

#[test]
fn a_peer_that_cannot_start_it_is_asked_once() {
    let mut world = pair(AutoFailback::Off);
    world.machines[1].agents.change("nginx", |habits| habits.start_fails = true);
    world.network.gateway[0] = false;
    world.run(ms(5_000));
    wait_served(&mut world, 0, 10_000);
    let before = moves(&world);
    world.run(ms(60_000));
    assert!(served_by(&world, 0));
    assert_eq!(moves(&world), before);
}

#[test]
fn a_move_under_way_postpones_it() {
    let mut world = pair(AutoFailback::Off);
    world.machines[0].agents.change("nginx", |habits| habits.stop = ms(3_000));
    world.request(0, Request::Standby { which: Which::Sets(Holdings::ALL) });
    world.network.gateway[1] = false;
    world.run(ms(1_500));
    assert!(!served_by(&world, 1));
    // node2 gets what it will have to give back.
    wait_served(&mut world, 0, 20_000);
    world.run(ms(20_000));
    assert!(served_by(&world, 0));
    assert_eq!(world.machines[1].logged("ipfail_postponed").len(), 1);
}

#[test]
fn without_ipfail_or_in_legacy_mode_nothing_moves() {
    let check = |change: fn(&mut Settings)| {
        let mut world = world(change);
        world.start(0);
        world.start(1);
        wait_served(&mut world, 0, 10_000);
        world.run(ms(3_000));
        world.network.gateway[0] = false;
        world.run(ms(20_000));
        assert_eq!((ids(&world, 0), moves(&world)), (vec!["ping_dead".to_owned()], 0));
    };
    check(|one| one.ipfail = false);
    check(|one| one.auto_failback = AutoFailback::Legacy);
    check(|one| one.ipfail = one.node.as_str() == "node1");
}
