//! Warm members: they run on both nodes, and only the rest of their group moves.

use hb_config::settings::AutoFailback::On;
use hb_config::settings::ResourceOptions;

use super::recovery::{NGINX, dies, look, web};
use super::world::{MAIL, WEB, World};
use crate::input::{GroupClaim, Holdings, Input, Which};
use crate::operation::{Action, Outcome};
use crate::output::Timer;

fn warm(name: &str) -> World {
    let mut world = World::new(On);
    let options = ResourceOptions { warm: true, ..ResourceOptions::default() };
    world.policy.resources.insert(name.into(), options);
    world.boot(0);
    world.boot(1);
    world.rest();
    for side in &mut world.sides {
        side.log.clear();
    }
    world
}

#[test]
fn warm_members_run_on_both_nodes_and_only_the_rest_moves() {
    let mut world = warm(NGINX);
    assert_eq!(world.owners(), "1/2");
    assert!(world.sides.iter().all(|side| side.running.contains(NGINX)));
    assert_eq!(world.claim(1, WEB), GroupClaim::Released);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.took(0, &["start", "stop"]), ["stop ip50"]);
    assert_eq!(world.took(1, &["start", "stop"]), ["start ip50"]);
    assert!(world.sides.iter().all(|side| side.manager.is_stable()));
}

#[test]
fn a_warm_member_is_restarted_where_the_group_is_not_held() {
    let mut world = warm(NGINX);
    for _ in 0..3 {
        dies(&mut world, 1, NGINX);
        assert_eq!(world.took(1, &["start", "stop"]), ["stop nginx", "start nginx"]);
    }
    dies(&mut world, 1, NGINX);
    assert_eq!(world.took(1, &["start", "stop"]), Vec::<String>::new(), "enough is enough");
    assert_eq!(web(&world, 1).unready(), Some("nginx stopped running (killed)"));
    world.fire(1, &Timer::ForgetFailures(WEB.into(), 1));
    world.rest();
    assert!(world.sides[1].running.contains(NGINX));
    assert_eq!(web(&world, 1).unready(), None);
    assert_eq!(world.owners(), "1/2");
}

/// It runs, so nothing starts it when its group comes: what a look at its files said before is void.
#[test]
fn what_spoke_against_a_warm_member_is_forgotten_once_its_group_is_here() {
    let mut world = warm(NGINX);
    let failed = Outcome::Failed { code: Some(1), reason: "no".into() };
    world.sides[1].faults.insert((NGINX.into(), Action::Validate), failed);
    world.fire(1, &Timer::Ready(WEB.into()));
    world.rest();
    assert!(web(&world, 1).unready().is_some());
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(web(&world, 1).unready(), None);
}

#[test]
fn an_acquisition_does_not_wait_for_a_warm_member_before_it_comes_to_it() {
    let mut world = warm(NGINX);
    world.sides[1].running.remove(NGINX);
    look(&mut world, 1, NGINX);
    world.complete(1, 0);
    assert_eq!(world.sides[1].pending[0].action, Action::Stop);
    world.power_off(0);
    world.declare_dead(0);
    let starts = |op: &crate::operation::Operation| op.action == Action::Start;
    assert!(world.sides[1].pending.iter().any(starts), "the address is started beside");
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn warm_members_stop_with_the_node() {
    let mut world = warm(NGINX);
    world.feed(1, Input::Stop);
    world.rest();
    world.fire(1, &Timer::Linger);
    assert!(world.sides[1].running.is_empty(), "{:?}", world.sides[1].running);
    assert_eq!(world.owners(), "1/1");
}

#[test]
fn adopted_groups_are_watched_and_warm_members_do_not_make_an_owner() {
    let mut world = World::settled(On);
    world.boot(0);
    world.rest();
    dies(&mut world, 0, NGINX);
    assert_eq!(world.owners(), "1/2");
    assert!(world.sides[0].running.contains(NGINX));

    let mut world = warm(NGINX);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert_eq!(world.took(1, &["start", "stop"]), Vec::<String>::new());
}

/// It is not stopped, so its checks keep their time.
#[test]
fn a_warm_member_is_looked_at_after_what_is_left_of_it_was_restarted() {
    let at = |world: &World, name: &str| {
        let ops = world.sides[1].pending.iter();
        ops.enumerate().find(|(_, it)| it.resource.text == name).map(|(at, _)| at)
    };
    for begun in [false, true] {
        let mut world = warm("imap");
        world.sides[1].running.remove("smtp");
        world.fire(1, &Timer::Monitor(MAIL.into(), 1));
        if begun {
            world.fire(1, &Timer::Monitor(MAIL.into(), 2));
        }
        let check = at(&world, "smtp").expect("its check");
        world.complete(1, check);
        let stop = at(&world, "smtp").expect("its stop");
        assert_eq!(world.sides[1].pending[stop].action, Action::Stop);
        if !begun {
            world.fire(1, &Timer::Monitor(MAIL.into(), 2));
        }
        world.sides[1].running.remove("imap");
        world.rest();
        assert!(world.sides[1].running.contains("imap"), "noticed without another interval");
        assert_eq!(world.owners(), "1/2");
    }
}
