//! Both nodes have a group: who loses it takes its addresses from the network before anything else.

use hb_config::settings::AutoFailback::{Off, On};

use super::world::{MAIL, WEB, World, hint};
use crate::input::{GroupClaim, PeerStatus};
use crate::operation::{Action, Outcome};
use crate::output::Timer;

/// Both hold both, and hear each other again; nothing of what follows is done yet.
fn healed() -> World {
    let mut world = World::settled(On);
    world.partition();
    world.rest();
    assert_eq!(world.owners(), "*/*");
    world.heal();
    while world.deliver(0) | world.deliver(1) {}
    world.took(0, &[]);
    world
}

/// What side 1 is asked to do.
fn pending(world: &World) -> Vec<String> {
    let pending = world.sides[1].pending.iter();
    let name = |text: &str| text.replace("IPaddr::10.0.0.", "ip");
    pending.map(|op| format!("{} {}", op.action.word(), name(&op.resource.text))).collect()
}

fn complete(world: &mut World, what: &str) {
    let index = pending(world).iter().position(|pending| pending == what);
    world.complete(1, index.unwrap_or_else(|| panic!("{what}: {:?}", pending(world))));
    while world.deliver(0) | world.deliver(1) {}
}

/// node2 serves both, node1 starts what prefers it when the two meet again.
#[test]
fn who_serves_keeps_it_against_who_only_starts() {
    let mut world = World::settled(Off);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.partition();
    world.boot(0);
    while !world.sides[0].pending.iter().any(|op| op.action == Action::Start) {
        world.complete(0, 0);
    }
    assert_eq!(world.claim(0, WEB), GroupClaim::Acquiring);
    world.took(1, &[]);
    world.heal();
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.took(1, &["stop"]), Vec::<String>::new());
}

#[test]
fn the_address_goes_while_the_agents_still_stop() {
    let mut world = healed();
    assert!(pending(&world).contains(&"stop ip50".to_owned()), "{:?}", pending(&world));
    complete(&mut world, "stop ip50");
    assert!(!world.sides[1].running.contains(WEB));
    assert_eq!(world.claim(1, WEB), GroupClaim::Releasing, "nginx still runs");
    complete(&mut world, "stop nginx");
    assert_eq!(world.claim(1, WEB), GroupClaim::Released);
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn who_keeps_it_announces_when_the_other_lets_go_and_when_it_has() {
    let mut world = healed();
    let announced = |world: &mut World| {
        while let Some(index) =
            world.sides[0].pending.iter().position(|op| op.action == Action::Announce)
        {
            world.complete(0, index);
        }
        world.took(0, &["announce ip50"]).len()
    };
    // When it hears of the other, and when that says that it releases.
    assert_eq!(announced(&mut world), 2);
    complete(&mut world, "stop ip50");
    assert_eq!(announced(&mut world), 0);
    complete(&mut world, "stop nginx");
    assert_eq!(announced(&mut world), 1);
}

/// An agent that hangs keeps nobody from it.
#[test]
fn a_check_that_an_announcement_interrupts_is_made_after_it() {
    let mut world = World::settled(On);
    world.partition();
    world.rest();
    world.fire(0, &Timer::Monitor(WEB.into(), 0));
    world.heal();
    while world.deliver(0) | world.deliver(1) {}
    assert_eq!(world.sides[0].cancelled.len(), 1, "what it says now is not waited for");
    world.sides[0].running.remove(WEB);
    world.took(0, &[]);
    world.rest();
    assert_eq!(world.took(0, &["start"]), ["start ip50"], "noticed without another interval");
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn the_address_goes_beside_a_step_under_way() {
    let mut world = World::settled(On);
    world.partition();
    world.rest();
    world.ends(1, "nginx");
    world.feed(1, hint(WEB, "nginx"));
    let check = world.sides[1].pending.iter().position(|op| op.monitor).expect("a check");
    world.complete(1, check);
    assert_eq!(pending(&world), ["stop nginx"], "the restart has begun");
    world.heal();
    while world.deliver(0) | world.deliver(1) {}
    assert!(pending(&world).contains(&"stop nginx".to_owned()), "it has not ended");
    complete(&mut world, "stop ip50");
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

/// One that does not go is stopped again in its turn, with all that belongs to a stop that fails.
#[test]
fn an_address_that_does_not_go_is_stopped_in_its_turn() {
    let mut world = healed();
    let failed = Outcome::Failed { code: None, reason: "busy".into() };
    world.sides[1].faults.insert((WEB.into(), Action::Stop), failed);
    complete(&mut world, "stop ip50");
    complete(&mut world, "stop nginx");
    complete(&mut world, "stop ip50");
    assert_eq!(world.claim(1, WEB), GroupClaim::Releasing);
    world.sides[1].faults.clear();
    world.fire(1, &Timer::StopRetry(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

/// The other dies in that moment: what was silenced is started again, and what runs is kept.
#[test]
fn what_was_silenced_is_started_again_when_the_other_is_lost() {
    let mut world = healed();
    complete(&mut world, "stop ip50");
    world.power_off(0);
    world.declare_dead(0);
    complete(&mut world, "stop nginx");
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(world.sides[1].running.contains(WEB) && world.sides[1].running.contains("nginx"));
    assert_eq!(world.claim(1, MAIL), GroupClaim::Held);
}

/// In every other release the address goes last (S3).
#[test]
fn an_orderly_move_stops_from_right_to_left() {
    let mut world = World::settled(On);
    world.took(0, &[]);
    let all = crate::input::Which::Sets(crate::input::Holdings::ALL);
    world.standby(0, 1, all);
    world.rest();
    assert_eq!(world.took(0, &["stop"]), ["stop nginx", "stop ip50"]);
    assert_eq!(world.sides[0].manager.peer.status, PeerStatus::Active);
}
