//! When groups go home, when they do not, and what status says meanwhile.

use std::collections::BTreeMap;

use super::world::{MAIL, WEB, World};
use crate::input::{Holdings, Input, PeerStatus, RequestId, Which};
use crate::operation::{Action, Outcome};
use crate::output::{Answer, Timer};
use hb_config::settings::AutoFailback::{Off, On};
use hb_config::settings::{AutoFailback, GroupOptions};

const ALL: Which = Which::Sets(Holdings::ALL);

fn window(key: &str) -> Timer {
    Timer::FailbackStable(key.into())
}

/// Both nodes up; hb.toml says nothing, and the dead time is half a second.
fn settled(failback: AutoFailback) -> World {
    let mut world = World::new(failback);
    world.policy.failback.stable_for_ms = None;
    world.policy.deadtime_ms = 500;
    world.boot(0);
    world.boot(1);
    world.rest();
    world
}

/// Node1 dies and returns; node2 holds everything.
fn reboot(world: &mut World) {
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.boot(0);
    world.rest();
}

fn state(world: &World, key: &str) -> Option<String> {
    world.sides[1].manager.failback(key).map(|state| state.words())
}

fn unready(world: &mut World, number: usize, why: Option<&str>) {
    let groups: BTreeMap<_, _> =
        why.map(|why| (WEB.to_owned(), why.to_owned())).into_iter().collect();
    world.feed(number, Input::PeerUnready(groups));
}

fn reason(world: &World, number: usize) -> String {
    let group = world.sides[number].manager.groups().next();
    group.map(|group| group.reason().to_owned()).unwrap_or_default()
}

#[test]
fn a_group_goes_home_after_its_window_and_says_why() {
    let mut world = settled(On);
    world.took(1, &[]);
    reboot(&mut world);
    assert_eq!(world.owners(), "2/2");
    assert_eq!(state(&world, WEB).as_deref(), Some("in a stability window"));
    assert_eq!(state(&world, MAIL), None, "it is at home");
    let set = world.took(1, &["set FailbackStable", "set ForgetReturns"]);
    assert_eq!(
        set,
        ["set ForgetReturns 3600s".to_owned(), format!("set FailbackStable({WEB:?}) 1s")]
    );
    world.fire(1, &window(WEB));
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert_eq!(reason(&world, 1), "node1 has been back and ready for 1 s and it prefers that node");
    assert_eq!(state(&world, WEB), None);
}

#[test]
fn each_return_within_the_hour_doubles_the_window() {
    let mut world = settled(On);
    for expect in ["1s", "2s", "4s", "8s"] {
        world.took(1, &[]);
        reboot(&mut world);
        let set = world.took(1, &["set FailbackStable"]);
        assert_eq!(set, [format!("set FailbackStable({WEB:?}) {expect}")]);
        assert_eq!(world.owners(), "2/2");
    }
    for _ in 0..40 {
        world.took(1, &[]);
        reboot(&mut world);
    }
    assert!(world.took(1, &["set FailbackStable"])[0].ends_with(" 3600s"));
    world.fire(1, &Timer::ForgetReturns);
    reboot(&mut world);
    assert!(world.took(1, &["set FailbackStable"])[0].ends_with(" 1s"));
}

#[test]
fn whatever_breaks_begins_the_window_again() {
    let breaks: [(&str, Input, Input); 3] = [
        ("fewer ping nodes", Input::PeerIsWorse(true), Input::PeerIsWorse(false)),
        (
            "node1 is not ready for IPaddr::10.0.0.50: no nginx",
            Input::PeerUnready([(WEB.to_owned(), "no nginx".to_owned())].into()),
            Input::PeerUnready(BTreeMap::new()),
        ),
        ("node1 is in maintenance", Input::PeerMaintenance(true), Input::PeerMaintenance(false)),
    ];
    for (words, begin, end) in breaks {
        let mut world = settled(On);
        reboot(&mut world);
        world.feed(1, begin);
        world.rest();
        assert!(!world.sides[1].timers.contains(&window(WEB)), "{words}");
        let said = state(&world, WEB).unwrap_or_default();
        assert!(said.starts_with("waits: ") && said.contains(words), "{said}");
        world.feed(1, end);
        world.rest();
        assert_eq!(state(&world, WEB).as_deref(), Some("in a stability window"));
        world.go_home();
        assert_eq!(world.owners(), "1/2");
    }
}

#[test]
fn a_window_ends_with_the_peers_life() {
    let mut world = settled(On);
    reboot(&mut world);
    world.power_off(0);
    world.feed(1, Input::Peer(PeerStatus::Lost));
    assert!(!world.sides[1].timers.contains(&window(WEB)));
    assert_eq!(state(&world, WEB).as_deref(), Some("waits: node1 is not there"));
    world.declare_dead(0);
    world.boot(0);
    world.rest();
    assert!(world.sides[1].timers.contains(&window(WEB)));
}

#[test]
fn groups_have_their_own_windows_and_may_stay() {
    for (own, owners, expect) in [
        (
            GroupOptions { stable_for_ms: Some(7_000), ..GroupOptions::default() },
            "1/2",
            Some(" 7s"),
        ),
        (GroupOptions { auto_failback: Some(false), ..GroupOptions::default() }, "2/2", None),
    ] {
        let mut world = World::new(On);
        world.policy.groups.insert(WEB.into(), own);
        world.boot(0);
        world.boot(1);
        world.rest();
        world.took(1, &[]);
        reboot(&mut world);
        let set = world.took(1, &["set FailbackStable"]).pop();
        assert_eq!(
            set.as_deref().and_then(|line| line.find(')').map(|at| &line[at + 1..])),
            expect
        );
        world.go_home();
        assert_eq!(world.owners(), owners);
    }
    let mut world = World::new(Off);
    let own = GroupOptions { auto_failback: Some(true), ..GroupOptions::default() };
    world.policy.groups.insert(WEB.into(), own);
    world.boot(0);
    world.boot(1);
    world.rest();
    reboot(&mut world);
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn windows_that_began_together_end_together() {
    let mut world = World::new(On);
    world.all_prefer_node1 = true;
    world.policy.failback.stable_for_ms = Some(1_000);
    world.boot(0);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "1/1");
    reboot(&mut world);
    world.took(1, &[]);
    world.fire(1, &window(WEB));
    assert!(!world.sides[1].timers.contains(&window(MAIL)));
    world.rest();
    assert_eq!(world.owners(), "1/1");
    let asked = world.took(1, &["send AskResources"]);
    let all_at_once = asked.iter().all(|line| line.contains("Sets"));
    assert!(!asked.is_empty() && all_at_once, "{asked:?}");
}

/// With its own window each of several groups goes alone.
#[test]
fn a_group_with_a_longer_window_follows_later() {
    let mut world = World::new(On);
    world.all_prefer_node1 = true;
    let own = GroupOptions { stable_for_ms: Some(5_000), ..GroupOptions::default() };
    world.policy.groups.insert(MAIL.into(), own);
    world.boot(0);
    world.boot(1);
    world.rest();
    reboot(&mut world);
    assert_eq!(world.owners(), "1/2");
    world.fire(1, &window(MAIL));
    world.rest();
    assert_eq!(world.owners(), "1/1");
}

#[test]
fn an_operators_move_is_not_undone() {
    let mut world = settled(On);
    reboot(&mut world);
    world.go_home();
    world.standby(0, 1, ALL);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(state(&world, WEB), None);
    world.go_home();
    assert_eq!(world.owners(), "2/2");
}

/// The operator brings it home while its window runs, and then wants it here.
#[test]
fn a_group_that_went_by_hand_is_not_due_any_more() {
    let mut world = settled(On);
    reboot(&mut world);
    world.standby(1, 1, Which::Group(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "1/2");
    world.feed(1, Input::Takeover { request: RequestId(2), which: ALL });
    world.rest();
    world.go_home();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn the_reason_after_a_return_of_ping_nodes_says_so() {
    let mut world = settled(On);
    world.feed(1, Input::PeerIsWorse(true));
    world.feed(0, Input::GiveUp { reason: "node2 reaches more ping nodes".into() });
    world.rest();
    assert_eq!(world.owners(), "2/2");
    world.feed(1, Input::PeerIsWorse(false));
    world.go_home();
    assert_eq!(world.owners(), "1/2");
    let said = reason(&world, 1);
    assert!(said.contains("ping nodes again") && !said.contains("back"), "{said}");
}

/// A question that was not answered is asked again, not at once.
#[test]
fn a_failback_without_an_answer_is_tried_again() {
    let mut world = World::settled(On);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.boot(0);
    for _ in 0..200 {
        if world.sides[1].timers.contains(&Timer::StandbyAnswer) {
            break;
        }
        world.deliver(0);
        world.deliver(1);
        for number in [0, 1] {
            if !world.sides[number].pending.is_empty() {
                world.complete(number, 0);
            }
        }
    }
    world.wire[0].clear();
    world.took(1, &[]);
    world.fire(1, &Timer::StandbyAnswer);
    let set = world.took(1, &["set FailbackStable"]);
    assert_eq!(set, [format!("set FailbackStable({WEB:?}) 10s")]);
    world.rest();
    world.go_home();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn nobody_gives_what_could_not_run_there() {
    let mut world = World::settled(On);
    unready(&mut world, 0, Some("no nginx"));
    for (id, which) in [(1, ALL), (2, Which::Group(WEB.into()))] {
        world.standby(0, id, which);
        let Answer::Refused { reason } = world.answer(0, id) else { panic!("{id} not refused") };
        assert!(reason.contains("no nginx") && reason.contains("there"), "{reason}");
    }
    assert!(world.sides[0].manager.why_not_give().is_some_and(|why| why.contains("no nginx")));
    // It holds nothing of the other set, and that is said first.
    world.standby(0, 3, Which::Sets(Holdings::FOREIGN));
    assert!(matches!(world.answer(0, 3), Answer::Done { .. }));
    unready(&mut world, 0, None);
    world.standby(0, 4, ALL);
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

/// Not offered where it could not run: tried here again after a while.
#[test]
fn a_failed_group_is_not_offered_to_a_peer_that_is_not_ready() {
    let mut world = World::new(On);
    let failed = Outcome::Failed { code: Some(1), reason: "no".into() };
    world.sides[0].faults.insert(("nginx".into(), Action::Start), failed);
    world.boot(0);
    world.boot(1);
    unready(&mut world, 0, Some("no nginx"));
    world.rest();
    assert_eq!(world.owners(), "-/2");
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "-/2");
    assert!(world.sides[0].timers.contains(&Timer::OfferGroup(WEB.into())), "asked again later");
    world.sides[0].faults.clear();
    world.fire(0, &Timer::Retry(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(reason(&world, 0).contains("no nginx"), "{}", reason(&world, 0));
}

/// An address is not asked for when the peer has just said that it released it.
#[test]
fn who_has_just_confirmed_is_not_asked_again() {
    let mut world = World::settled(Off);
    let probes = |world: &mut World, number: usize| -> Vec<bool> {
        let starts = |operation: &&crate::operation::Operation| operation.action == Action::Start;
        world.sides[number].pending.iter().filter(starts).map(|operation| operation.probe).collect()
    };
    world.standby(0, 1, ALL);
    for _ in 0..100 {
        if !probes(&mut world, 1).is_empty() {
            break;
        }
        world.deliver(0);
        world.deliver(1);
        if !world.sides[0].pending.is_empty() {
            world.complete(0, 0);
        }
    }
    assert_eq!(probes(&mut world, 1), [false]);
    world.rest();
    world.power_off(1);
    world.declare_dead(1);
    assert_eq!(probes(&mut world, 0), [true, true]);
}
