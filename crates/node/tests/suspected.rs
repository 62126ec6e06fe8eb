//! What status says while the silent peer's machine still answers for an address, and what is counted
//! meanwhile.

use std::time::Duration;

use hb_node::api::{Request, Response, StatusSnapshot, Verdict};
use hb_resource::input::GroupClaim;
use hb_resource::operation::Action;
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEY: &str = "10.0.0.50";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn status(world: &World, machine: usize) -> StatusSnapshot {
    world.status(machine).expect("the daemon runs")
}

/// node1 serves; when it falls silent, its machine goes on answering for the address.
fn pair() -> World {
    let mut world = World::new(setup::pair(timing(100), &[group("node1", &[KEY, "nginx"])]), 5);
    world.start(0);
    world.start(1);
    let ready = |world: &World| (0..2).all(|machine| status(world, machine).failover_ready);
    assert!(world.run_until(ms(20_000), ready).is_some());
    world.machines[1].agents.change(KEY, |habits| habits.is_peers = true);
    world
}

fn text<'a>(status: &'a StatusSnapshot, id: &str) -> Option<&'a str> {
    let found = status.problems.iter().find(|problem| problem.id == id);
    found.map(|problem| problem.text.as_str())
}

#[test]
fn nobody_is_called_dead_whose_machine_answers() {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    let waits = |world: &World| status(world, 1).verdict == Verdict::Split;
    assert!(world.run_until(ms(5_000), waits).is_some(), "{:?}", status(&world, 1).problems);
    let seen = status(&world, 1);
    let possible = text(&seen, "split_possible").expect("it is told");
    assert!(possible.starts_with("node1 may still own group 10.0.0.50"), "{possible}");
    assert!(possible.contains("held back here"), "{possible}");
    assert!(text(&seen, "peer_dead").is_some_and(|text| text.contains("its machine answers")));
    assert_eq!(seen.unready, ["node1 is silent, and its machine answers"]);
    let shown = &seen.groups[0];
    assert_eq!((&shown.active_on, shown.maybe_on.as_deref()), (&None, Some("node1")));
    assert_eq!(seen.activity.failures.get(KEY), None, "the address has not failed");
    // After `[address] hold` it is taken all the same, and the doubt stays.
    let taken = |world: &World| status(world, 1).groups[0].here == GroupClaim::Held;
    assert!(world.run_until(ms(30_000), taken).is_some());
    let seen = status(&world, 1);
    let both = text(&seen, "split_possible").expect("it is told");
    assert!(both.starts_with("both may own group 10.0.0.50"), "{both}");
    assert_eq!((seen.verdict, seen.groups[0].maybe_on.as_deref()), (Verdict::Split, Some("node1")));
    // Both hear each other again: what is known takes the place of what was feared.
    world.network.each(|path| path.up = true);
    let well = |world: &World| (0..2).all(|m| status(world, m).verdict == Verdict::Healthy);
    assert!(world.run_until(ms(30_000), well).is_some(), "{:?}", status(&world, 1).problems);
    assert_eq!(status(&world, 1).groups[0].maybe_on, None);
    let splits: u64 = (0..2).map(|machine| status(&world, machine).activity.splits).sum();
    assert!(splits > 0, "both had it for a moment");
}

#[test]
fn an_answer_that_ends_is_forgotten() {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    let waits = |world: &World| status(world, 1).groups[0].maybe_on.is_some();
    assert!(world.run_until(ms(5_000), waits).is_some());
    world.machines[1].agents.change(KEY, |habits| habits.is_peers = false);
    let taken = |world: &World| status(world, 1).groups[0].here == GroupClaim::Held;
    assert!(world.run_until(ms(5_000), taken).is_some(), "the next question has no answer");
    let seen = status(&world, 1);
    assert_eq!((seen.verdict, &seen.groups[0].maybe_on), (Verdict::Degraded, &None));
    assert!(text(&seen, "peer_dead").is_some_and(|text| text.contains("node1 is dead")));
}

#[test]
fn a_standby_is_counted_on_both_nodes_with_its_cause() {
    let mut world = pair();
    world.machines[1].agents.change(KEY, |habits| habits.is_peers = false);
    let before = status(&world, 0).activity;
    assert_eq!(before.announcements, 1, "at its start");
    let which = hb_resource::input::Which::Group(KEY.into());
    let client = world.request(0, Request::Standby { which });
    assert!(world.run_until(ms(20_000), |world| world.reply(client).is_some()).is_some());
    assert!(matches!(world.reply(client), Some(Response::Done { .. })));
    for machine in 0..2 {
        let activity = status(&world, machine).activity;
        assert_eq!(activity.moves[KEY].get("standby"), Some(&1), "{:?}", activity.moves);
        let action = if machine == 0 { Action::Stop } else { Action::Start };
        let times = &activity.actions[KEY]["nginx"][action.word()];
        assert_eq!((times.count, times.at_most(50_000)), (1, 1), "20 ms each");
    }
    assert_eq!(status(&world, 1).activity.announcements, 1);
}
