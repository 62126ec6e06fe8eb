//! What was seen of a member whose own status can tell nothing.

use hb_config::settings::AutoFailback::On;

use super::recovery::{NGINX, failed, fault, monitor, settled, web};
use super::world::{WEB, World};
use crate::input::{Evidence, Input, RequestId};
use crate::operation::{Action, Outcome};
use crate::output::Timer;

/// Both nodes from the first boot on with an nginx whose status never says that it runs.
fn with_unproven() -> World {
    let mut world = World::new(On);
    for side in [0, 1] {
        fault(&mut world, side, NGINX, Action::Status, Outcome::NotRunning);
        world.boot(side);
    }
    world.rest();
    world.took(0, &[]);
    world.sides[0].alerts.clear();
    world
}

fn tell(world: &mut World, evidence: Evidence) {
    let (group, resource) = (WEB.to_owned(), NGINX.to_owned());
    let reason = "its last process ended".to_owned();
    world.feed(0, Input::Look { group, resource, evidence, reason });
    world.rest();
}

#[test]
fn what_is_seen_counts_where_the_status_has_never_told_anything() {
    let restarts = ["stop nginx", "start nginx"];
    let check = |outcome: Outcome, evidence: Evidence, useless: bool, expect: &[&str]| {
        let mut world = with_unproven();
        if useless {
            monitor(&mut world, 0, 1);
            world.rest();
            assert!(web(&world, 0).members()[1].has_useless_status(), "{outcome:?}");
        }
        fault(&mut world, 0, NGINX, Action::Status, outcome.clone());
        tell(&mut world, evidence);
        assert_eq!(world.took(0, &["start", "stop"]), expect, "{outcome:?} {evidence:?} {useless}");
        assert_eq!(world.owners(), "1/2");
        let failures = web(&world, 0).members()[1].failures();
        assert_eq!(failures, u32::from(!expect.is_empty()));
    };
    for useless in [false, true] {
        for outcome in [Outcome::NotRunning, failed()] {
            check(outcome.clone(), Evidence::NothingLeft, useless, &restarts);
            check(outcome.clone(), Evidence::ProcessEnded, useless, &[]);
            check(outcome, Evidence::Network, useless, &[]);
        }
        check(Outcome::TimedOut, Evidence::NothingLeft, useless, &restarts);
    }
    let could_not = Outcome::CouldNotRun { reason: "no memory".into() };
    [false, true].map(|useless| check(could_not.clone(), Evidence::NothingLeft, useless, &[]));
}

#[test]
fn what_was_seen_is_no_more_than_a_hint_where_the_status_can_tell() {
    let mut world = settled();
    tell(&mut world, Evidence::NothingLeft);
    assert_eq!(world.took(0, &["start", "stop"]), Vec::<String>::new());
    // A status that has been of no use until here speaks: somebody has started it again.
    let mut world = with_unproven();
    world.sides[0].faults.clear();
    tell(&mut world, Evidence::NothingLeft);
    assert_eq!(world.took(0, &["start", "stop"]), Vec::<String>::new());
    world.sides[0].running.remove(NGINX);
    tell(&mut world, Evidence::ProcessEnded);
    assert_eq!(world.took(0, &["start", "stop"]), ["stop nginx", "start nginx"]);
}

#[test]
fn what_is_seen_in_maintenance_leads_to_action_at_its_end() {
    let mut world = with_unproven();
    monitor(&mut world, 0, 1);
    world.rest();
    let maintenance = |on| Input::Maintenance { request: RequestId(7), on, limit: None };
    world.feed(0, maintenance(true));
    tell(&mut world, Evidence::NothingLeft);
    assert_eq!(world.took(0, &["start", "stop"]), Vec::<String>::new());
    let would = web(&world, 0).would_do().expect("something");
    assert!(would.starts_with("nginx stopped running (its last process ended)"), "{would}");
    world.feed(0, maintenance(false));
    world.rest();
    assert_eq!(world.took(0, &["start", "stop"]), ["stop nginx", "start nginx"]);
}

/// A service without a status that ends a moment after each start is given up as any other.
#[test]
fn an_unproven_service_that_dies_again_and_again_moves() {
    let mut world = with_unproven();
    for _ in 0..4 {
        assert_eq!(world.owners(), "1/2");
        tell(&mut world, Evidence::NothingLeft);
    }
    let reason = web(&world, 0).reason().to_owned();
    let expect =
        "nginx stopped running (its last process ended), 4 times within 10 min: given up here";
    assert_eq!(reason, expect);
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
}
