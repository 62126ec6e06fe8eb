//! Each property fails on a made-up bad history.

use hb_node::effect::{Level, LogEvent};

use super::*;
use crate::plan::{Scope, Seed};
use crate::setup::{group, timing};
use crate::testing::{begin, served};

fn checker() -> Checker {
    let mut plan = Plan::new(Seed { number: 1, scope: Scope::Base });
    for one in &mut plan.settings {
        one.timing = timing(100);
        one.groups = vec![group("node1", &["www", "nginx"])];
    }
    (plan.agents_fail, plan.partitions) = (false, false);
    Checker::new(&plan)
}

/// All properties, with checks after every event for `seconds`.
fn check(world: &mut World, checker: &mut Checker, seconds: u64) -> Option<&'static str> {
    let until = world.now() + Duration::from_secs(seconds);
    loop {
        if let Err(violation) = checker.check(world) {
            return Some(violation.property);
        }
        if !world.step(until) {
            return None;
        }
    }
}

#[test]
fn a_good_history_is_good() {
    let (mut world, mut checker) = (served(), checker());
    assert_eq!(check(&mut world, &mut checker, 10), None);
    assert_eq!(checker.check_end(&world), Ok(()));
}

#[test]
fn two_owners_that_can_talk_are_seen() {
    let (mut world, mut checker) = (served(), checker());
    assert_eq!(check(&mut world, &mut checker, 2), None);
    begin(&mut world, 1, 0, Action::Start);
    // Nobody told the checker of the agent: only what runs counts.
    world.news.clear();
    let limit = checker.overlap_max.as_secs() + 2;
    assert_eq!(check(&mut world, &mut checker, limit), Some("S1 one owner"));
}

#[test]
fn a_start_beside_the_other_node_is_seen() {
    let (mut world, mut checker) = (served(), checker());
    assert_eq!(check(&mut world, &mut checker, 2), None);
    begin(&mut world, 1, 0, Action::Start);
    assert_eq!(check(&mut world, &mut checker, 0), Some("S2 released before started"));
}

#[test]
fn a_stop_from_the_left_is_seen() {
    let (mut world, mut checker) = (served(), checker());
    // Long enough for every member to have been found running.
    assert_eq!(check(&mut world, &mut checker, 25), None);
    begin(&mut world, 0, 0, Action::Stop);
    assert_eq!(check(&mut world, &mut checker, 0), Some("S3 order"));
}

#[test]
fn an_error_without_a_fault_is_seen() {
    let (mut world, mut checker) = (served(), checker());
    world.machines[0].logs.push(LogEvent::new(Level::Error, "alert", "something is wrong"));
    assert_eq!(check(&mut world, &mut checker, 0), Some("no error"));
}

#[test]
fn an_end_that_is_not_well_is_seen() {
    fn check_end(spoil: impl FnOnce(&mut World), expect: &str) {
        let (mut world, mut checker) = (served(), checker());
        assert_eq!(check(&mut world, &mut checker, 0), None);
        spoil(&mut world);
        let violation = checker.check_end(&world).expect_err("it is not well");
        assert_eq!(violation.property, expect);
    }
    check_end(|world| world.machines[0].agents.power_off(), "L1 one owner");
    check_end(|world| world.machines[0].agents.remove("www", "nginx"), "L1 whole");
    check_end(|world| world.kill(1), "L1 up");
    check_end(
        |world| {
            world.machines[0].agents.power_off();
            (0..2).for_each(|member| begin(world, 1, member, Action::Start));
        },
        "H1 honest",
    );
    check_end(
        |world| {
            world.power_off(1);
            world.run(Duration::from_secs(3));
            world.start(1);
        },
        "H1 honest",
    );
}
