//! What status says while the silent peer's machine still answers for an address, and what is counted
//! meanwhile.

use std::time::Duration;

use hb_node::api::{Request, Response, StatusSnapshot, Verdict};
use hb_node::input::Input;
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

/// Nobody asked who has the address, and both took it. Each hears that the other's machine claims it.
#[test]
fn two_owners_are_seen_before_they_hear_each_other() {
    let mut world = pair();
    let mac = |machine: usize| format!("02:77:00:00:00:0{machine}");
    let claim =
        |by: Option<String>| Input::Rival { group: KEY.into(), resource: KEY.into(), ethernet: by };
    for machine in 0..2 {
        world.machines[machine].agents.change(KEY, |habits| habits.is_peers = false);
        world.feed(machine, Input::Ethernet(vec![mac(machine)]));
    }
    world.run(ms(500));
    world.network.each(|path| path.up = false);
    let both = |world: &World| {
        let dead = (0..2).all(|machine| text(&status(world, machine), "peer_dead").is_some());
        dead && status(world, 1).groups[0].here == GroupClaim::Held
    };
    assert!(world.run_until(ms(5_000), both).is_some());
    assert_eq!(status(&world, 0).verdict, Verdict::Degraded, "nothing is known");
    // A stranger is no split.
    world.feed(0, claim(Some("02:77:00:00:00:ff".into())));
    let seen = status(&world, 0);
    assert_eq!((seen.verdict, &seen.groups[0].maybe_on), (Verdict::Degraded, &None));
    assert!(text(&seen, "address_conflict").is_some_and(|text| text.contains("00:00:ff claims")));
    for machine in 0..2 {
        world.feed(machine, claim(Some(mac(1 - machine))));
        let seen = status(&world, machine);
        let peer = if machine == 0 { "node2" } else { "node1" };
        let split = text(&seen, "split").expect("it is told");
        assert!(split.contains(&format!("{peer} is silent, but its machine")), "{split}");
        assert!(split.contains(&mac(1 - machine)), "{split}");
        assert_eq!(text(&seen, "address_conflict"), None);
        assert_eq!(
            (seen.verdict, seen.groups[0].maybe_on.as_deref()),
            (Verdict::Split, Some(peer))
        );
        assert_eq!(seen.unready, [format!("{peer} is silent, and its machine answers")]);
        assert_eq!(seen.activity.splits, 1);
    }
    // The claim is over for a moment: the other answers what it hears only now and then.
    world.feed(0, claim(None));
    world.run(ms(1_000));
    assert_eq!(status(&world, 0).verdict, Verdict::Split);
    world.feed(0, claim(Some(mac(1))));
    world.run(ms(6_000));
    world.network.each(|path| path.up = true);
    let well = |world: &World| (0..2).all(|m| status(world, m).verdict == Verdict::Healthy);
    assert!(world.run_until(ms(30_000), well).is_some(), "{:?}", status(&world, 1).problems);
    for machine in 0..2 {
        assert_eq!(status(&world, machine).activity.splits, 1, "one split, counted once");
        let told = world.machines[machine].logged("split_healed");
        assert_eq!(told.len(), 1);
        assert!(told[0].text.contains("node1 keeps it, node2 released it"), "{}", told[0].text);
        assert!(told[0].text.contains("seen here for"), "{}", told[0].text);
        assert!(world.machines[machine].logged("split_ended").is_empty());
    }
}

/// It died for good while both had the address: no machine claims it any more.
#[test]
fn a_split_that_the_other_machine_does_not_survive_is_over() {
    let mut world = pair();
    world.feed(1, Input::Ethernet(vec!["02:77:00:00:00:02".into()]));
    world.run(ms(500));
    world.power_off(1);
    assert!(world.run_until(ms(5_000), |w| text(&status(w, 0), "peer_dead").is_some()).is_some());
    let claim = |by: Option<&str>| Input::Rival {
        group: KEY.into(),
        resource: KEY.into(),
        ethernet: by.map(str::to_owned),
    };
    world.feed(0, claim(Some("02:77:00:00:00:02")));
    assert_eq!(status(&world, 0).verdict, Verdict::Split);
    world.feed(0, claim(None));
    let over = |world: &World| status(world, 0).verdict == Verdict::Degraded;
    assert!(world.run_until(ms(7_000), over).is_some());
    world.run(ms(2_000));
    assert_eq!(world.machines[0].logged("split_ended").len(), 1);
}

#[test]
fn a_standby_is_counted_once_by_the_node_that_has_the_group_then() {
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
        let moves = activity.moves.get(KEY).and_then(|causes| causes.get("standby"));
        assert_eq!(moves.copied(), (machine == 1).then_some(1), "{:?}", activity.moves);
        let action = if machine == 0 { Action::Stop } else { Action::Start };
        let times = &activity.actions[KEY]["nginx"][action.word()];
        assert_eq!((times.count, times.at_most(50_000)), (1, 1), "20 ms each");
    }
    assert_eq!(status(&world, 1).activity.announcements, 1);
}
