//! Two nodes in virtual time whose silence is not their death: keys, fencing, the witness, the
//! watchdog. The test plays the devices and the witness.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{
    FenceDevice, FenceFailure, FenceKind, Fencing, Native, Watchdog, Witness, WitnessKind,
};
use hb_node::STEPPED_DOWN;
use hb_node::api::{Request, Response};
use hb_node::effect::{Effect, FenceAction};
use hb_node::input::{Input, WitnessAnswer};
use hb_resource::operation::Outcome;
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEEPALIVE_MS: u64 = 100;
const LONG: Duration = Duration::from_secs(20);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn world(change: impl Fn(&mut Native)) -> World {
    let mut settings = setup::pair(timing(KEEPALIVE_MS), &[group("node1", &["www"])]);
    settings.iter_mut().for_each(|one| change(&mut one.native));
    World::new(settings, 7)
}

/// Both started, the group on node1.
fn pair(change: impl Fn(&mut Native)) -> World {
    let mut world = world(change);
    world.start(0);
    world.start(1);
    assert!(world.run_until(LONG, |world| world.machines[0].serves("www")).is_some());
    world.run(ms(3_000));
    world
}

fn fencing(native: &mut Native) {
    let device = |name: &str, level| FenceDevice {
        name: name.to_owned(),
        target: None,
        level,
        kind: FenceKind::Null,
        parameters: BTreeMap::new(),
        timeout_ms: 5_000,
        retries_max: 0,
    };
    native.fencing = Some(Fencing {
        devices: vec![device("switch", 1), device("board", 2)],
        delay_ms: 1_000,
        per_hour_max: 3,
        on_failure: FenceFailure::Wait,
    });
}

fn witness(native: &mut Native) {
    let kind = WitnessKind::File { path: String::new() };
    native.witness = Some(Witness { kind, lease_ms: 400, timeout_ms: 100 });
}

fn watchdog(native: &mut Native) {
    native.watchdog = Some(Watchdog {
        device: String::new(),
        timeout_ms: 5_000,
        reboot_when_stuck: true,
        suicide_when_isolated: false,
    });
    native.failure.stop_retries_max = 1;
}

fn fences(world: &World, machine: usize) -> Vec<(u64, usize)> {
    let fence = |effect: &Effect| {
        if let Effect::Fence { attempt, device, action: FenceAction::Fence, .. } = effect {
            Some((*attempt, *device))
        } else {
            None
        }
    };
    world.machines[machine].asked.iter().filter_map(fence).collect()
}

fn questions(world: &World, machine: usize) -> Vec<(u64, bool)> {
    let question = |effect: &Effect| {
        if let Effect::Witness { question, acquire } = effect {
            Some((*question, *acquire))
        } else {
            None
        }
    };
    world.machines[machine].asked.iter().filter_map(question).collect()
}

fn answer(world: &mut World, machine: usize, answer: &WitnessAnswer) {
    let (question, _) = questions(world, machine).last().copied().expect("asked");
    world.feed(machine, Input::Witness { question, answer: answer.clone() });
}

fn has_problem(world: &World, machine: usize, id: &str) -> bool {
    let status = world.status(machine).expect("runs");
    status.problems.iter().any(|problem| problem.id == id)
}

fn reply(world: &mut World, machine: usize, request: Request) -> Response {
    let client = world.request(machine, request);
    world.reply(client).cloned().expect("answered at once")
}

#[test]
fn nodes_with_different_keys_hold_until_an_operator_or_a_key_ends_it() {
    for by_key in [true, false] {
        let mut settings = setup::pair(timing(KEEPALIVE_MS), &[group("node1", &["www"])]);
        let right = settings[0].keys.clone();
        settings[1].keys = setup::keys("other");
        let mut world = World::new(settings, 3);
        world.start(0);
        world.start(1);
        world.run(LONG);
        for machine in 0..2 {
            assert!(!world.machines[machine].serves("www"));
            assert!(has_problem(&world, machine, "peer_lost"));
            let line = world.machines[machine].logged("peer_lost")[0].text.clone();
            assert!(line.contains(setup::NODES[1 - machine]) && line.contains("key mismatch"));
        }
        if by_key {
            let now = hb_messaging::time::Instant::ZERO + LONG;
            let daemon = world.machines[1].daemon.as_mut().expect("runs");
            daemon.node.rekey(now, right, &mut Vec::new());
        } else {
            world.kill(1);
            let node = "node2".to_owned();
            assert!(matches!(
                reply(&mut world, 0, Request::FenceConfirm { node }),
                Response::Done { .. }
            ));
        }
        assert!(world.run_until(LONG, |world| world.machines[0].serves("www")).is_some());
        assert!(!world.machines[1].serves("www"));
    }
}

#[test]
fn nothing_is_taken_before_the_owner_is_off() {
    let mut world = pair(fencing);
    world.power_off(0);
    world.run(ms(500 + 1_500 + 200));
    assert_eq!(fences(&world, 1), [(1, 0)], "after the owner's head start");
    assert!(!world.machines[1].agents.runs_any_of("www"));
    world.feed(1, Input::Fenced { attempt: 1, outcome: Outcome::TimedOut });
    assert_eq!(fences(&world, 1), [(1, 0), (2, 1)]);
    assert!(!world.machines[1].agents.runs_any_of("www"));
    world.feed(1, Input::Fenced { attempt: 2, outcome: Outcome::Ok });
    assert!(world.run_until(ms(2_000), |world| world.machines[1].serves("www")).is_some());
    let status = world.status(1).and_then(|status| status.fencing).expect("configured");
    assert_eq!(status.state, "fenced");
}

#[test]
fn a_fence_that_failed_is_told_and_confirmed_by_hand() {
    let mut world = pair(fencing);
    world.power_off(0);
    world.run(ms(2_500));
    for attempt in 1..=2 {
        let outcome = Outcome::CouldNotRun { reason: "no route".to_owned() };
        world.feed(1, Input::Fenced { attempt, outcome });
    }
    world.run(ms(5_000));
    assert!(!world.machines[1].agents.runs_any_of("www"));
    let status = world.status(1).expect("runs");
    assert!(status.problems.iter().any(|problem| problem.text.contains("FENCING FAILED")));
    assert_eq!(status.fencing.expect("configured").state, "failed");
    let node = "node1".to_owned();
    reply(&mut world, 1, Request::FenceConfirm { node });
    assert!(world.run_until(ms(2_000), |world| world.machines[1].serves("www")).is_some());
}

#[test]
fn a_node_that_starts_alone_does_not_shoot() {
    let mut world = world(fencing);
    world.start(1);
    world.run(LONG);
    assert_eq!(fences(&world, 1), []);
    assert!(!world.machines[1].agents.runs_any_of("www"));
    // It comes, and all is well.
    world.start(0);
    assert!(world.run_until(LONG, |world| world.machines[0].serves("www")).is_some());
}

#[test]
fn packets_of_a_fenced_incarnation_stop_everything() {
    let mut world = pair(fencing);
    // The fence device lies: node1 was only cut off.
    world.network.each(|path| path.up = false);
    world.run(ms(2_500));
    let (attempt, _) = fences(&world, 1)[0];
    world.feed(1, Input::Fenced { attempt, outcome: Outcome::Ok });
    world.network.each(|path| path.up = true);
    world.run(LONG);
    assert_eq!(world.machines[1].logged("fenced_node_speaks").len(), 1);
    // Who was fenced and lives lets go of everything, without being fenced once more for it.
    assert_eq!(world.machines[0].exit, Some(STEPPED_DOWN));
    assert_eq!(world.machines[0].logged("stepping_down").len(), 1);
    assert!(world.machines[1].serves("www") && !world.machines[0].agents.runs_any_of("www"));
    assert_eq!(fences(&world, 1).len(), 1);
    world.start(0);
    assert!(world.run_until(LONG, |world| world.machines[0].serves("www")).is_some());
    assert!(!world.machines[1].agents.runs_any_of("www"));
}

#[test]
fn in_maintenance_who_was_fenced_and_lives_waits_for_its_end() {
    let mut world = pair(fencing);
    let maintenance = |on| Request::Maintenance { on, limit_ms: None };
    world.network.each(|path| path.up = false);
    world.run(ms(2_500));
    let (attempt, _) = fences(&world, 1)[0];
    reply(&mut world, 0, maintenance(true));
    world.feed(1, Input::Fenced { attempt, outcome: Outcome::Ok });
    world.network.each(|path| path.up = true);
    world.run(LONG);
    assert!(world.machines[0].serves("www") && world.machines[0].exit.is_none());
    let node = "node1".to_owned();
    assert!(matches!(reply(&mut world, 1, Request::FenceConfirm { node }), Response::Error { .. }));
    reply(&mut world, 0, maintenance(false));
    world.run(LONG);
    assert_eq!(world.machines[0].exit, Some(STEPPED_DOWN));
    assert!(world.machines[1].serves("www") && !world.machines[0].agents.runs_any_of("www"));
}

#[test]
fn every_device_answers_a_test() {
    let mut world = pair(fencing);
    let client = world.request(0, Request::FenceTest);
    for attempt in 1..=2 {
        assert_eq!(world.reply(client), None);
        world.feed(0, Input::Fenced { attempt, outcome: Outcome::Ok });
    }
    let text = "switch: ok\nboard: ok".to_owned();
    assert_eq!(world.reply(client), Some(&Response::Done { text }));
    assert!(world.machines[0].serves("www"));
    let refused = reply(&mut pair(|_| {}), 0, Request::FenceTest);
    assert!(matches!(refused, Response::Error { .. }));
}

#[test]
fn in_a_partition_the_one_without_the_right_steps_down() {
    let mut world = pair(witness);
    world.network.each(|path| path.up = false);
    world.run(ms(1_000));
    assert_eq!(questions(&world, 0), [(1, true)]);
    assert_eq!(questions(&world, 1), [(1, true)]);
    assert!(!world.machines[1].agents.runs_any_of("www"), "nothing without the right");
    answer(&mut world, 0, &WitnessAnswer::Refused);
    answer(&mut world, 1, &WitnessAnswer::Granted);
    assert!(world.run_until(ms(2_000), |world| world.machines[1].serves("www")).is_some());
    assert!(world.run_until(LONG, |world| world.machines[0].exit.is_some()).is_some());
    assert_eq!(world.machines[0].exit, Some(STEPPED_DOWN));
    assert!(!world.machines[0].agents.runs_any_of("www"));
}

#[test]
fn the_watchdog_is_fed_until_a_group_is_stuck() {
    let fed = |world: &World, machine: usize| {
        world.machines[machine].asked.iter().filter(|effect| **effect == Effect::Alive).count()
    };
    let bitten = |world: &World, machine: usize| {
        let bite = |effect: &&Effect| matches!(effect, Effect::LetWatchdogBite { .. });
        world.machines[machine].asked.iter().filter(bite).count()
    };
    let mut world = pair(watchdog);
    let before = fed(&world, 0);
    world.run(ms(10_000));
    assert_eq!(fed(&world, 0) - before, 10, "once a second");
    world.machines[0].agents.change("www", |habits| habits.unstoppable = true);
    let which = hb_resource::input::Which::Sets(hb_resource::input::Holdings::ALL);
    world.request(0, Request::Standby { which });
    assert!(world.run_until(LONG * 10, |world| bitten(world, 0) > 0).is_some());
    let before = fed(&world, 0);
    world.run(ms(10_000));
    assert_eq!((fed(&world, 0), bitten(&world, 0), bitten(&world, 1)), (before, 1, 0));
    // Without [watchdog] nobody is ever fed or bitten.
    let mut world = pair(|native| native.failure.stop_retries_max = 1);
    world.machines[0].agents.change("www", |habits| habits.unstoppable = true);
    let which = hb_resource::input::Which::Sets(hb_resource::input::Holdings::ALL);
    world.request(0, Request::Standby { which });
    world.run(LONG * 10);
    assert_eq!((fed(&world, 0), bitten(&world, 0)), (0, 0));
}
