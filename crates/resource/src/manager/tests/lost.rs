//! A silent peer that may still run everything: nothing is taken from it, and nothing stops here.

use super::world::{MAIL, WEB, World, hint};
use crate::input::{GroupClaim, Holdings, Input, PeerStatus, RequestId, Which};
use crate::operation::{Action, Outcome};
use crate::output::{Answer, Timer};
use hb_config::settings::AutoFailback::{Off, On};

const LOST: Input = Input::Peer(PeerStatus::Lost);

fn web() -> Input {
    Input::MayTake([WEB.to_owned()].into())
}

#[test]
fn nothing_is_taken_from_a_lost_peer_until_it_is_dead() {
    let mut world = World::settled(On);
    world.silence();
    world.feed(1, LOST);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(world.took(1, &["start ip50", "stop"]).is_empty());
    world.declare_dead(0);
    world.rest();
    assert_eq!(world.owners(), "*/2");
}

#[test]
fn a_daemon_that_starts_beside_a_lost_peer_acquires_nothing() {
    let mut world = World::new(On);
    world.sides[0].alive = true;
    world.feed(0, LOST);
    world.feed(0, Input::Started);
    world.rest();
    assert_eq!(world.owners(), "-/-");
    world.feed(0, web());
    world.rest();
    assert_eq!(world.owners(), "1/-");
    world.feed(0, Input::Peer(PeerStatus::Dead));
    world.rest();
    assert_eq!(world.owners(), "1/1");
}

/// What was taken in spite of the doubt stays when the doubt has grown again, and after the return
/// one of the two keeps it.
#[test]
fn what_may_be_taken_is_taken_with_its_reason_and_kept() {
    let mut world = World::settled(On);
    world.silence();
    world.feed(1, LOST);
    world.feed(0, LOST);
    world.feed(1, web());
    world.rest();
    assert_eq!(world.owners(), "*/2");
    let group = world.sides[1].manager.groups().next().map(|group| group.reason().to_owned());
    assert!(
        group.as_deref().is_some_and(|text| text.contains("could not be made sure")),
        "{group:?}"
    );
    world.feed(1, Input::MayTake([].into()));
    world.rest();
    assert_eq!(world.owners(), "*/2");
    world.heal();
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(world.took(0, &["stop"]).is_empty(), "the winner never lets go");
}

#[test]
fn nothing_is_asked_of_a_lost_peer() {
    let mut world = World::settled(Off);
    world.feed(0, LOST);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    let Answer::Refused { reason } = world.answer(0, 1) else { panic!("not refused") };
    assert!(reason.starts_with("No reply to standby request"), "{reason}");
    assert!(reason.contains("silent"), "{reason}");
}

#[test]
fn a_dialogue_ends_with_the_loss_and_what_was_released_waits() {
    let mut world = World::settled(Off);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.deliver(1);
    world.deliver(0);
    world.silence();
    world.feed(0, LOST);
    world.rest();
    assert!(matches!(world.answer(0, 1), Answer::Failed { reason } if reason.contains("silent")));
    assert_eq!(world.owners(), "-/2");
    world.declare_dead(1);
    world.rest();
    assert_eq!(world.owners(), "1/*");
}

/// A start that was begun when the peer had just released the group goes on.
#[test]
fn a_start_under_way_goes_on() {
    let mut world = World::new(On);
    world.boot(0);
    world.boot(1);
    for _ in 0..100 {
        if world.claim(0, WEB) == GroupClaim::Acquiring && world.sides[0].running.contains(WEB) {
            break;
        }
        world.deliver(0);
        world.deliver(1);
        for number in [1, 0] {
            if !world.sides[number].pending.is_empty() {
                world.complete(number, 0);
            }
        }
    }
    assert!(world.sides[0].running.contains(WEB));
    assert!(!world.sides[0].running.contains("nginx"), "in the middle of its start");
    world.silence();
    world.feed(0, LOST);
    world.rest();
    assert!(world.owners().starts_with('1'), "{}", world.owners());
}

#[test]
fn a_return_after_a_loss_moves_nothing() {
    let mut world = World::settled(Off);
    world.standby(1, 1, Which::Group(MAIL.into()));
    world.rest();
    world.silence();
    world.feed(0, LOST);
    world.feed(1, LOST);
    world.rest();
    world.took(0, &[]);
    world.took(1, &[]);
    world.heal();
    world.rest();
    assert_eq!(world.owners(), "1/1");
    for number in [0, 1] {
        assert!(world.took(number, &["start", "stop"]).is_empty());
    }
    world.standby(0, 2, Which::Group(MAIL.into()));
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(matches!(world.answer(0, 2), Answer::Done { .. }));
}

#[test]
fn a_stop_beside_a_lost_peer_releases_everything() {
    let mut world = World::settled(Off);
    world.silence();
    world.feed(0, LOST);
    world.feed(0, Input::Stop);
    world.rest();
    assert!(world.sides[0].running.is_empty());
    world.fire(0, &Timer::Linger);
    assert!(world.sides[0].has_left);
}

#[test]
fn a_command_is_answered_once_when_the_peer_is_lost() {
    let mut world = World::settled(Off);
    world.feed(1, Input::Takeover { request: RequestId(5), which: Which::Sets(Holdings::ALL) });
    world.feed(1, LOST);
    assert!(matches!(world.answer(1, 5), Answer::Failed { .. }));
}

/// A service of this node that has failed too often while nobody else may be asked.
fn broken(world: &mut World) {
    let failed = Outcome::Failed { code: Some(1), reason: "no".into() };
    world.sides[0].faults.insert(("nginx".into(), Action::Start), failed);
    world.sides[0].running.remove("nginx");
    world.feed(0, hint(WEB, "nginx"));
    world.rest();
    assert_eq!(world.claim(0, WEB), GroupClaim::Failed);
    world.sides[0].faults.clear();
}

#[test]
fn what_ran_here_is_recovered_in_place() {
    let mut world = World::settled(Off);
    world.silence();
    world.feed(0, LOST);
    world.sides[0].running.remove("nginx");
    world.feed(0, hint(WEB, "nginx"));
    world.rest();
    assert!(world.sides[0].running.contains("nginx"));
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn what_failed_here_meanwhile_is_tried_again_here() {
    for cleanup in [false, true] {
        let mut world = World::settled(Off);
        world.silence();
        world.feed(0, LOST);
        broken(&mut world);
        if cleanup {
            world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
        } else {
            world.fire(0, &Timer::Retry(WEB.into()));
        }
        world.rest();
        assert_eq!(world.owners(), "1/2");
    }
}

/// It was being given away: the peer may have it.
#[test]
fn what_had_failed_before_the_loss_is_left_alone() {
    let mut world = World::settled(Off);
    world.wire[1].clear();
    let failed = Outcome::Failed { code: Some(1), reason: "no".into() };
    world.sides[1].faults.insert(("nginx".into(), Action::Start), failed);
    broken(&mut world);
    world.silence();
    world.feed(0, LOST);
    assert!(!world.sides[0].timers.contains(&Timer::Retry(WEB.into())));
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    world.rest();
    assert_eq!(world.claim(0, WEB), GroupClaim::Released);
}
