//! Hands off: nothing is started, stopped or moved, on neither node, until it ends.

use std::time::Duration;

use super::world::{MAIL, WEB, World, hint};
use crate::input::{GroupClaim, Holdings, Input, PeerMessage, PeerStatus, RequestId, Which};
use crate::operation::{Action, Outcome};
use crate::output::{Answer, Timer};
use hb_config::settings::AutoFailback::{Off, On};

const ALL: Which = Which::Sets(Holdings::ALL);

fn maintain(world: &mut World, number: usize, on: bool, limit: Option<Duration>) -> Answer {
    let id = 1_000 + world.sides[number].answers.len() as u64;
    world.feed(number, Input::Maintenance { request: RequestId(id), on, limit });
    let on = world.sides[number].manager.in_maintenance();
    world.feed(1 - number, Input::PeerMaintenance(on));
    world.answer(number, id).clone()
}

fn on(world: &mut World, number: usize) {
    let answer = maintain(world, number, true, None);
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
}

/// The text of the answer to `hb maintenance off`.
fn off(world: &mut World, number: usize) -> String {
    match maintain(world, number, false, None) {
        Answer::Done { text } => text,
        other @ (Answer::Refused { .. } | Answer::Failed { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn commands_are_refused_on_both_nodes_with_the_way_out() {
    let mut world = World::settled(On);
    on(&mut world, 0);
    let refused = |world: &mut World, number: usize, words: &str| {
        world.standby(number, 1, ALL);
        world.feed(number, Input::Takeover { request: RequestId(2), which: ALL });
        world.feed(number, Input::Cleanup { request: RequestId(3), group: None });
        for id in 1..=3 {
            let answer = world.sides[number].answers.remove(&RequestId(id));
            let Some(Answer::Refused { reason }) = answer else { panic!("{id}: {answer:?}") };
            assert!(reason.contains(words), "{reason}");
        }
    };
    refused(&mut world, 0, "this node is in maintenance: `hb maintenance off` first");
    refused(&mut world, 1, "node1 is in maintenance: `hb maintenance off` there first");
    world.rest();
    assert_eq!(world.owners(), "1/2");
    let answer = maintain(&mut world, 1, false, None);
    assert!(matches!(answer, Answer::Refused { reason } if reason.contains("there")));
    off(&mut world, 0);
    world.standby(0, 9, ALL);
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn nothing_is_taken_over_while_either_node_is_in_maintenance() {
    for owner in [0, 1] {
        let mut world = World::settled(On);
        on(&mut world, owner);
        world.power_off(0);
        world.declare_dead(0);
        world.rest();
        assert_eq!(world.owners(), "-/2");
        assert!(world.sides[1].alerts.iter().any(|text| text.contains("not taking over")));
        let would = world.sides[1].manager.would_do(WEB);
        assert_eq!(would.as_deref(), Some("start it here: node1 is dead"));
        assert_eq!(world.sides[1].manager.would_do(MAIL), None);
        let said = off(&mut world, 1);
        assert!(said.contains(WEB) && said.contains("node1 is dead"), "{said}");
        assert_eq!(world.sides[1].alerts.last(), Some(&said));
        world.rest();
        assert_eq!(world.owners(), "2/2");
    }
}

#[test]
fn it_ends_by_itself() {
    let mut world = World::settled(On);
    maintain(&mut world, 0, true, Some(Duration::from_secs(60)));
    assert!(world.sides[0].timers.contains(&Timer::MaintenanceEnd));
    // Said again without a limit, it has none.
    on(&mut world, 0);
    assert!(!world.sides[0].timers.contains(&Timer::MaintenanceEnd));
    maintain(&mut world, 0, true, Some(Duration::from_secs(60)));
    world.silence();
    world.declare_dead(1);
    world.fire(0, &Timer::MaintenanceEnd);
    assert!(!world.sides[0].manager.in_maintenance());
    assert!(world.sides[0].alerts.iter().any(|text| text.contains("its time is over")));
    world.rest();
    assert!(world.owners().starts_with("1/*"), "{}", world.owners());
}

#[test]
fn it_does_not_begin_in_the_middle_of_a_move() {
    let mut world = World::settled(On);
    world.standby(0, 1, ALL);
    for number in [0, 1] {
        if number == 1 {
            world.deliver(1);
        }
        let answer = maintain(&mut world, number, true, None);
        assert!(matches!(answer, Answer::Refused { reason } if reason.contains("in flux")));
    }
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

/// The peer goes into maintenance while it does not yet know what was asked of it.
#[test]
fn a_question_to_a_peer_in_maintenance_is_taken_back() {
    let mut world = World::settled(On);
    world.standby(0, 1, ALL);
    on(&mut world, 1);
    assert!(
        matches!(world.answer(0, 1), Answer::Failed { reason } if reason.contains("maintenance"))
    );
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(world.sides.iter().all(|side| side.manager.is_stable()));
}

/// What one node had begun when the other went into maintenance comes to its end.
#[test]
fn a_start_under_way_ends_first() {
    let mut world = World::settled(Off);
    let failed = Outcome::Failed { code: Some(1), reason: String::new() };
    world.sides[0].faults.insert(("nginx".into(), Action::Stop), failed);
    world.standby(0, 1, ALL);
    world.rest();
    assert_eq!(world.claim(0, WEB), GroupClaim::Releasing);
    world.feed(0, Input::PeerMaintenance(true));
    world.sides[0].faults.clear();
    world.fire(0, &Timer::StopRetry(WEB.into()));
    world.rest();
    assert_eq!(world.claim(0, WEB), GroupClaim::Released);
}

#[test]
fn a_double_claim_is_left_and_shown() {
    let mut world = World::settled(On);
    world.partition();
    world.rest();
    on(&mut world, 0);
    world.heal();
    world.rest();
    assert_eq!(world.owners(), "*/*");
    let would = world.sides[1].manager.would_do(WEB);
    assert!(would.is_some_and(|text| text.starts_with("stop it here: node1 has it too")));
    off(&mut world, 0);
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn no_group_goes_home() {
    let mut world = World::settled(On);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    on(&mut world, 1);
    world.boot(0);
    world.feed(0, Input::PeerMaintenance(true));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    off(&mut world, 1);
    world.rest();
    world.go_home();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn a_daemon_that_stops_leaves_everything_running_and_adopts_it_again() {
    let mut world = World::settled(On);
    on(&mut world, 0);
    world.feed(0, Input::Stop);
    world.fire(0, &Timer::Linger);
    assert!(world.sides[0].has_left);
    assert!(world.sides[0].running.contains(WEB));
    world.rest();
    assert!(world.took(0, &["stop", "send Shutdone"]).is_empty());
    world.sides[0].alive = false;
    world.declare_dead(0);
    world.rest();
    assert!(!world.sides[1].running.contains(WEB), "not taken over");
    world.boot(0);
    world.feed(1, Input::PeerMaintenance(false));
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(world.took(0, &["start", "stop"]).is_empty());
}

/// The node that stops is not the one whose operator asked.
#[test]
fn the_peers_maintenance_keeps_things_running_too() {
    let mut world = World::settled(On);
    on(&mut world, 0);
    world.feed(1, Input::Stop);
    world.rest();
    assert!(world.sides[1].running.contains(MAIL));
    assert!(!world.sides[0].running.contains(MAIL));
}

/// A 3.0.6 node would start everything as soon as this one is silent.
#[test]
fn beside_a_3_0_6_node_a_stop_releases_in_order() {
    let mut world = World::with_legacy_peer(Off);
    world.sides[0].alive = true;
    world.sides[1].alive = true;
    world.feed(0, Input::PeerIsNative(false));
    world.feed(0, Input::Peer(PeerStatus::Active));
    world.feed(0, Input::Started);
    let finish = |world: &mut World| {
        while !world.sides[0].pending.is_empty() {
            world.complete(0, 0);
        }
    };
    finish(&mut world);
    world.feed(
        0,
        Input::Message(PeerMessage::Resources {
            holdings: Holdings::LOCAL,
            full: true,
            stable: Some(true),
            info: None,
            groups: None,
        }),
    );
    finish(&mut world);
    assert!(world.sides[0].running.contains("nginx"));
    on(&mut world, 0);
    world.feed(0, Input::Stop);
    finish(&mut world);
    assert!(world.sides[0].running.is_empty());
    assert!(world.sides[0].alerts.iter().any(|text| text.contains("does not know maintenance")));
}

/// A service dies in maintenance: nothing is done, what would be is shown, and it is done at the end.
#[test]
fn what_fails_meanwhile_is_shown_and_mended_at_the_end() {
    let mut world = World::settled(On);
    on(&mut world, 0);
    world.took(0, &[]);
    world.sides[0].running.remove("nginx");
    world.feed(0, hint(WEB, "nginx"));
    world.rest();
    assert!(world.took(0, &["start", "stop"]).is_empty());
    let would = world.sides[0].manager.would_do(WEB);
    assert!(would.as_deref().is_some_and(|text| text.contains("nginx")), "{would:?}");
    let said = off(&mut world, 0);
    assert!(would.is_some_and(|would| said.contains(&would)), "{said}");
    world.rest();
    assert_eq!(world.took(0, &["start"]), ["start nginx"]);
    assert_eq!(world.owners(), "1/2");
}

/// Whoever takes silence for doubt while hands are off still says what would be done.
#[test]
fn a_lost_peers_groups_are_shown_too() {
    let mut world = World::settled(On);
    on(&mut world, 1);
    world.silence();
    world.feed(1, Input::Peer(PeerStatus::Lost));
    assert!(world.sides[1].alerts.iter().any(|text| text.contains("not taking over")));
    let would = world.sides[1].manager.would_do(WEB);
    assert_eq!(would.as_deref(), Some("start it here once node1 is known to be dead"));
}

/// The pause of a group that failed does not end in a start.
#[test]
fn a_pause_does_not_end_in_maintenance() {
    let mut world = World::new(Off);
    let failed = Outcome::Failed { code: Some(1), reason: String::new() };
    world.sides[0].faults.insert(("nginx".into(), Action::Start), failed);
    world.boot(0);
    world.rest();
    let retry = Timer::Retry(WEB.into());
    assert!(world.sides[0].timers.contains(&retry));
    let answer = maintain(&mut world, 0, true, None);
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    assert!(!world.sides[0].timers.contains(&retry));
    world.sides[0].faults.clear();
    off(&mut world, 0);
    world.fire(0, &retry);
    world.rest();
    assert_eq!(world.owners(), "1/1");
}

/// A daemon that starts in maintenance adopts what runs, and touches nothing else.
#[test]
fn a_daemon_that_is_told_at_its_start_adopts_and_starts_nothing() {
    let mut world = World::new(On);
    world.sides[0].running.extend([WEB.to_owned(), "nginx".to_owned()]);
    world.sides[0].alive = true;
    on(&mut world, 0);
    world.feed(0, Input::Peer(PeerStatus::Dead));
    world.feed(0, Input::Started);
    world.rest();
    assert_eq!(world.owners(), "1/-");
    assert!(world.took(0, &["start", "stop"]).is_empty());
    assert!(world.sides[0].manager.would_do(MAIL).is_some());
    off(&mut world, 0);
    world.rest();
    assert_eq!(world.owners(), "1/1");
}
