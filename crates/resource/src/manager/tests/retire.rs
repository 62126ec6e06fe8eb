//! Before another configuration comes into force: what is to be gone is released, everything comes to
//! rest, and nothing is started.

use hb_config::settings::AutoFailback::{Off, On};

use super::world::{MAIL, WEB, World};
use crate::input::{GroupClaim, Holdings, Input, RequestId, Which};
use crate::operation::{Action, Outcome};
use crate::output::Answer;

fn retire(world: &mut World, number: usize, groups: &[&str]) {
    let groups = groups.iter().map(|key| (*key).to_owned()).collect();
    world.feed(number, Input::Retire { groups });
}

#[test]
fn only_what_is_to_be_gone_is_stopped_and_it_is_not_started_again() {
    let mut world = World::settled(On);
    world.took(0, &[]);
    retire(&mut world, 0, &[WEB]);
    assert_eq!(world.sides[0].retired, [], "it has not been stopped yet");
    world.rest();
    assert!(world.sides[0].retired.contains(&Ok(())));
    assert_eq!(world.took(0, &["start", "stop"]), ["stop nginx", "stop ip50"]);
    assert_eq!(world.claim(0, WEB), GroupClaim::Released);
    assert_eq!(world.owners(), "-/2");
    // Whatever comes before this daemon ends: nothing follows.
    world.standby(1, 1, Which::Sets(Holdings::ALL));
    world.rest();
    assert_eq!(world.took(0, &["start", "stop"]), [""; 0]);
    assert!(matches!(world.answer(1, 1), Answer::Failed { .. } | Answer::Refused { .. }));
    world.boot(0);
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn a_move_under_way_ends_first() {
    let mut world = World::settled(Off);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    retire(&mut world, 0, &[]);
    assert_eq!(world.sides[0].retired, []);
    world.rest();
    assert!(matches!(world.answer(0, 1), Answer::Done { .. }), "{:?}", world.answer(0, 1));
    assert!(world.sides[0].retired.contains(&Ok(())));
    assert_eq!(world.owners(), "2/2");
    world.standby(0, 2, Which::Sets(Holdings::ALL));
    let Answer::Refused { reason } = world.answer(0, 2) else { panic!("begun while it reloads") };
    assert!(reason.contains("reloaded"), "{reason}");
}

#[test]
fn what_cannot_be_stopped_keeps_the_old_configuration() {
    let mut world = World::settled(On);
    let failure = Outcome::Failed { code: Some(1), reason: "busy".into() };
    world.sides[0].faults.insert(("nginx".into(), Action::Stop), failure);
    retire(&mut world, 0, &[WEB]);
    world.rest();
    for _ in 0..10 {
        let retry = world.sides[0]
            .timers
            .iter()
            .find(|timer| matches!(timer, crate::output::Timer::StopRetry(_)));
        let Some(retry) = retry.cloned() else { break };
        world.fire(0, &retry);
        world.rest();
    }
    let [Err(reason)] = world.sides[0].retired.as_slice() else {
        panic!("{:?}", world.sides[0].retired)
    };
    assert!(reason.contains(WEB) && reason.contains("cannot be stopped"), "{reason}");
    world.sides[0].faults.clear();
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    world.rest();
    assert_eq!(world.owners(), "1/2", "everything goes on as before");
}

#[test]
fn in_maintenance_nothing_is_stopped() {
    let mut world = World::settled(On);
    let request = RequestId(1);
    world.feed(0, Input::Maintenance { request, on: true, limit: None });
    retire(&mut world, 0, &[WEB]);
    assert!(matches!(world.sides[0].retired.as_slice(), [Err(why)] if why.contains("maintenance")));
    world.sides[0].retired.clear();
    retire(&mut world, 0, &[MAIL]);
    world.rest();
    assert!(world.sides[0].retired.contains(&Ok(())), "that runs elsewhere");
    assert_eq!(world.owners(), "1/2");
}
