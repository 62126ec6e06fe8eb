//! Groups that failed on one node and go to the other, and what brings them home: the failure that
//! is forgotten, and the time of day.

use std::collections::BTreeSet;

use hb_config::settings::AutoFailback::{Off, On};
use hb_config::settings::{AutoFailback, DayWindow, GroupOptions};

use super::world::{MAIL, WEB, World, hint};
use crate::input::{GroupClaim, Input, PeerStatus, RequestId};
use crate::operation::{Action, Outcome};
use crate::output::Timer;

fn offer(key: &str) -> Timer {
    Timer::OfferGroup(key.into())
}

fn window(key: &str) -> Timer {
    Timer::FailbackStable(key.into())
}

fn broken(world: &mut World, side: usize, name: &str, is: bool) {
    let failed = Outcome::Failed { code: Some(1), reason: "no".into() };
    let key = (name.to_owned(), Action::Start);
    if is {
        world.sides[side].faults.insert(key, failed);
    } else {
        world.sides[side].faults.remove(&key);
    }
}

/// Its service ends and cannot be started again.
fn fails(world: &mut World, side: usize, key: &str, name: &str) {
    broken(world, side, name, true);
    world.ends(side, name);
    world.feed(side, hint(key, name));
    world.rest();
    assert_eq!(world.claim(side, key), GroupClaim::Failed);
}

/// All of it on node1, which it prefers, with the default of twice a dead time of half a second.
fn on_node1(failback: AutoFailback) -> World {
    let mut world = World::new(failback);
    world.all_prefer_node1 = true;
    world.policy.failback.stable_for_ms = None;
    world.policy.deadtime_ms = 500;
    world.boot(0);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "1/1");
    world
}

/// WEB has failed on node1 and is on node2.
fn moved(failback: AutoFailback) -> World {
    let mut world = on_node1(failback);
    fails(&mut world, 0, WEB, "nginx");
    world.fire(0, &offer(WEB));
    world.rest();
    assert_eq!(world.owners(), "2/1");
    world.took(1, &[]);
    world
}

fn forgotten(world: &mut World) {
    broken(world, 0, "nginx", false);
    world.fire(0, &Timer::ForgetFailures(WEB.into(), 1));
    world.rest();
}

fn state(world: &World, key: &str) -> Option<String> {
    world.sides[1].manager.failback(key).map(|state| state.words())
}

#[test]
fn two_groups_that_fail_together_go_one_directly_after_the_other() {
    let mut world = on_node1(Off);
    fails(&mut world, 0, WEB, "nginx");
    fails(&mut world, 0, MAIL, "imap");
    world.fire(0, &offer(WEB));
    world.fire(0, &offer(MAIL));
    assert!(world.sides[0].timers.contains(&offer(MAIL)), "in case nothing comes of the first");
    world.rest();
    assert_eq!(world.owners(), "2/2", "no timer was needed");
    assert!(world.sides[0].manager.offers.is_empty());
}

#[test]
fn an_offer_without_an_answer_is_made_again() {
    let mut world = on_node1(Off);
    fails(&mut world, 0, WEB, "nginx");
    world.fire(0, &offer(WEB));
    world.wire[1].clear();
    world.fire(0, &Timer::StandbyAnswer);
    world.fire(0, &offer(WEB));
    world.rest();
    assert_eq!(world.owners(), "2/1");
}

/// Each node asks at the same moment; the one whose name sorts first gives, and the other's turn
/// comes after it.
#[test]
fn offers_that_cross_are_both_carried_out() {
    let mut world = World::settled(Off);
    fails(&mut world, 0, WEB, "nginx");
    fails(&mut world, 1, MAIL, "imap");
    world.fire(0, &offer(WEB));
    world.fire(1, &offer(MAIL));
    world.rest();
    assert_eq!(world.owners(), "2/1");
}

#[test]
fn a_group_whose_failure_is_forgotten_goes_home_after_its_window() {
    let mut world = moved(On);
    assert_eq!(state(&world, WEB), None);
    forgotten(&mut world);
    assert_eq!(world.owners(), "2/1");
    assert_eq!(state(&world, WEB).as_deref(), Some("in a stability window"));
    let set = world.took(1, &["set FailbackStable"]);
    assert_eq!(set, [format!("set FailbackStable({WEB:?}) 1s")]);
    world.fire(1, &window(WEB));
    world.rest();
    assert_eq!(world.owners(), "1/1");
    let reason = world.sides[1].manager.groups().next().map(|group| group.reason().to_owned());
    assert_eq!(
        reason.as_deref(),
        Some(
            "its failure on node1 does not count any more, node1 has been ready for 1 s and it \
             prefers that node"
        )
    );
}

#[test]
fn without_auto_failback_or_while_something_speaks_against_it_it_stays() {
    let mut world = moved(Off);
    forgotten(&mut world);
    assert_eq!((state(&world, WEB), world.owners().as_str()), (None, "2/1"));
    let mut world = moved(On);
    let unready = |why: &[(&str, &str)]| {
        Input::PeerUnready(why.iter().map(|(key, why)| ((*key).into(), (*why).into())).collect())
    };
    world.feed(1, unready(&[(WEB, "no nginx")]));
    forgotten(&mut world);
    let said = state(&world, WEB).unwrap_or_default();
    assert!(said.starts_with("waits: node1 is not ready"), "{said}");
    world.feed(1, unready(&[]));
    world.go_home();
    assert_eq!(world.owners(), "1/1");
}

/// An operator who has mended it need not move it by hand.
#[test]
fn a_cleanup_brings_it_home_as_well() {
    let mut world = moved(On);
    broken(&mut world, 0, "nginx", false);
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    world.rest();
    assert_eq!(state(&world, WEB).as_deref(), Some("in a stability window"));
    world.go_home();
    assert_eq!(world.owners(), "1/1");
}

/// L3: it fails there each time, and each time it waits longer.
#[test]
fn what_fails_at_home_again_and_again_goes_there_ever_more_rarely() {
    let mut world = moved(On);
    for expect in ["1s", "1200s", "2400s", "3600s", "3600s"] {
        forgotten(&mut world);
        let set = world.took(1, &["set FailbackStable"]);
        assert_eq!(set, [format!("set FailbackStable({WEB:?}) {expect}")]);
        world.fire(1, &window(WEB));
        world.rest();
        assert_eq!(world.owners(), "1/1");
        fails(&mut world, 0, WEB, "nginx");
        world.fire(0, &offer(WEB));
        world.rest();
        assert_eq!(world.owners(), "2/1");
    }
    forgotten(&mut world);
    world.took(1, &[]);
    world.fire(1, &Timer::ForgetReturns);
    world.fire(1, &window(WEB));
    world.rest();
    fails(&mut world, 0, WEB, "nginx");
    world.fire(0, &offer(WEB));
    world.rest();
    world.took(1, &[]);
    forgotten(&mut world);
    assert!(world.took(1, &["set FailbackStable"])[0].ends_with(" 1s"), "after a quiet hour");
}

fn shut(keys: &[&str]) -> Input {
    Input::FailbackShut(keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>())
}

/// Node1 was away; WEB may go home from 2 to 5 o'clock, MAIL at any time.
fn with_a_time_of_day() -> World {
    let mut world = World::new(On);
    world.all_prefer_node1 = true;
    world.policy.failback.stable_for_ms = Some(1_000);
    let own = GroupOptions {
        failback_window: Some(DayWindow { from: 120, to: 300 }),
        ..GroupOptions::default()
    };
    world.policy.groups.insert(WEB.into(), own);
    world.boot(0);
    world.boot(1);
    world.rest();
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.boot(0);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    world
}

#[test]
fn a_group_goes_home_at_its_time_of_day() {
    let mut world = with_a_time_of_day();
    // Not before the clock was read either.
    assert_eq!(state(&world, WEB).as_deref(), Some("at 02:00"));
    assert_eq!(state(&world, MAIL).as_deref(), Some("in a stability window"));
    world.go_home();
    assert_eq!(world.owners(), "2/1");
    world.feed(1, shut(&[WEB]));
    world.rest();
    assert_eq!((state(&world, WEB).as_deref(), world.owners().as_str()), (Some("at 02:00"), "2/1"));
    world.feed(1, shut(&[]));
    world.rest();
    assert_eq!((state(&world, WEB), world.owners().as_str()), (None, "1/1"));
}

#[test]
fn the_stability_window_is_kept_at_its_time_of_day_too() {
    let mut world = with_a_time_of_day();
    world.feed(1, shut(&[]));
    assert_eq!(state(&world, WEB).as_deref(), Some("in a stability window"));
    world.feed(1, Input::PeerIsWorse(true));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(state(&world, WEB).unwrap_or_default().starts_with("waits: "));
    // It shuts again before node1 is as good as node2.
    world.feed(1, shut(&[WEB]));
    world.feed(1, Input::PeerIsWorse(false));
    world.go_home();
    assert_eq!((state(&world, WEB).as_deref(), world.owners().as_str()), (Some("at 02:00"), "2/1"));
}

#[test]
fn people_and_deaths_are_not_bound_to_it() {
    let mut world = with_a_time_of_day();
    world.standby(1, 1, crate::input::Which::Group(WEB.into()));
    world.rest();
    assert_eq!(world.claim(0, WEB), GroupClaim::Held);
    world.power_off(1);
    world.declare_dead(1);
    world.rest();
    assert_eq!(world.owners(), "1/1");
    assert_eq!(world.sides[0].manager.peer.status, PeerStatus::Dead);
}
