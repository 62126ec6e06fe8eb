//! Each rule of possession as a story between two Twinbeat nodes.

use super::world::{MAIL, WEB, World};
use crate::input::{GroupClaim, Holdings, Input, RequestId, Which};
use crate::operation::{Action, Outcome};
use crate::output::{Answer, Timer};
use hb_config::settings::AutoFailback::{Off, On};

const ALL: Which = Which::Sets(Holdings::ALL);

fn failed() -> Outcome {
    Outcome::Failed { code: Some(1), reason: "no".into() }
}

fn fault(world: &mut World, side: usize, name: &str, action: Action, outcome: Outcome) {
    world.sides[side].faults.insert((name.into(), action), outcome);
}

#[test]
fn a_joint_start_needs_no_timer_and_each_takes_its_own() {
    let mut world = World::settled(On);
    assert_eq!(world.owners(), "1/2");
    assert!(world.sides.iter().all(|side| !side.waits() && side.manager.is_stable()));
    assert_eq!(world.sides[0].manager.rscstatus(), "local");
    let starts = world.took(1, &["start"]);
    assert_eq!(starts, ["start ip60", "start smtp", "start imap"]);
}

#[test]
fn one_alone_takes_everything() {
    let mut world = World::new(On);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.sides[1].manager.rscstatus(), "all");
}

#[test]
fn death_is_followed_by_takeover_and_return_by_failback() {
    let mut world = World::settled(On);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    world.took(1, &[]);
    world.boot(0);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert_eq!(world.took(1, &["stop"]), ["stop nginx", "stop ip50"]);
}

#[test]
fn without_failback_a_return_moves_nothing() {
    let mut world = World::settled(Off);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.took(1, &[]);
    world.boot(0);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.took(1, &["stop", "start"]), Vec::<String>::new());
    assert!(world.sides.iter().all(|side| side.manager.is_stable()));
}

#[test]
fn standby_releases_first_and_answers_when_the_other_has_it() {
    let mut world = World::settled(On);
    world.took(0, &[]);
    world.standby(0, 7, ALL);
    assert!(world.sides[0].answers.is_empty());
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(matches!(world.answer(0, 7), Answer::Done { .. }), "{:?}", world.answer(0, 7));
    assert_eq!(world.took(0, &["stop"]), ["stop nginx", "stop ip50"]);
    // An operator's move is not undone by failback.
    assert!(world.sides.iter().all(|side| side.manager.is_stable() && !side.waits()));
    world.standby(1, 8, Which::Sets(Holdings::FOREIGN));
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn takeover_is_a_standby_of_the_other() {
    let mut world = World::settled(On);
    world.feed(1, Input::Takeover { request: RequestId(3), which: ALL });
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(matches!(world.answer(1, 3), Answer::Done { .. }));
    world.feed(1, Input::Takeover { request: RequestId(4), which: ALL });
    assert!(matches!(world.answer(1, 4), Answer::Done { text } if text.contains("nothing to do")));
}

#[test]
fn one_group_moves_alone() {
    let mut world = World::settled(On);
    world.standby(0, 1, Which::Group(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    world.standby(1, 2, Which::Group(MAIL.into()));
    world.rest();
    assert_eq!(world.owners(), "2/1");
    world.standby(1, 3, Which::Group("nonsense".into()));
    assert!(matches!(world.answer(1, 3), Answer::Refused { reason } if reason.contains(WEB)));
}

#[test]
fn both_going_standby_at_once_is_decided_by_name() {
    let mut world = World::settled(On);
    world.standby(0, 1, ALL);
    world.standby(1, 2, ALL);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(matches!(world.answer(0, 1), Answer::Done { .. }));
    assert!(matches!(world.answer(1, 2), Answer::Refused { .. }));
}

#[test]
fn standby_to_a_dead_peer_is_refused() {
    let mut world = World::settled(On);
    world.power_off(1);
    world.declare_dead(1);
    world.rest();
    world.standby(0, 1, ALL);
    assert!(
        matches!(world.answer(0, 1), Answer::Refused { reason } if reason.starts_with("No reply"))
    );
}

#[test]
fn the_taker_dies_in_the_middle_and_the_giver_takes_back() {
    let mut world = World::settled(On);
    world.standby(0, 1, ALL);
    world.deliver(1);
    world.deliver(0);
    world.power_off(1);
    world.rest();
    world.declare_dead(1);
    world.rest();
    assert_eq!(world.owners(), "1/1");
    assert!(matches!(world.answer(0, 1), Answer::Failed { .. }));
}

#[test]
fn an_orderly_stop_hands_everything_over() {
    let mut world = World::settled(On);
    world.feed(0, Input::Stop);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(!world.sides[0].has_left);
    world.fire(0, &Timer::Linger);
    assert!(world.sides[0].has_left);
    assert!(world.sides[0].running.is_empty());
}

#[test]
fn a_stop_does_not_wait_for_a_silent_peer() {
    let mut world = World::settled(On);
    world.standby(0, 1, ALL);
    world.wire[1].clear();
    world.feed(0, Input::Stop);
    world.wire[1].clear();
    while !world.sides[0].pending.is_empty() {
        world.complete(0, 0);
    }
    world.fire(0, &Timer::Linger);
    assert!(world.sides[0].has_left);
}

#[test]
fn a_failed_start_releases_the_group_and_offers_it() {
    let mut world = World::new(On);
    fault(&mut world, 0, "nginx", Action::Start, failed());
    world.boot(0);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "-/2");
    assert_eq!(world.claim(0, WEB), GroupClaim::Failed);
    assert!(world.sides[0].running.is_empty());
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn an_offer_waits_for_the_end_of_the_release() {
    let mut world = World::new(On);
    fault(&mut world, 0, "nginx", Action::Start, failed());
    world.boot(0);
    world.boot(1);
    while world.claim(0, WEB) != GroupClaim::Releasing {
        world.deliver(0);
        world.deliver(1);
        for number in [0, 1] {
            if !world.sides[number].pending.is_empty() {
                world.complete(number, 0);
            }
        }
    }
    let offer = Timer::OfferGroup(WEB.into());
    assert!(!world.sides[0].timers.contains(&offer), "it could not be given yet");
    world.rest();
    assert!(world.sides[0].timers.contains(&offer));
}

#[test]
fn failed_on_both_stays_down_until_cleanup() {
    let mut world = World::new(On);
    fault(&mut world, 0, "nginx", Action::Start, failed());
    fault(&mut world, 1, "nginx", Action::Start, failed());
    world.boot(0);
    world.boot(1);
    world.rest();
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "-/2");
    world.took(0, &[]);
    world.fire(1, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.took(0, &["start"]), Vec::<String>::new(), "no ping-pong");
    assert!(world.sides[1].alerts.iter().any(|text| text.contains("on both nodes")));
    world.sides[0].faults.clear();
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn what_the_taker_cannot_start_is_taken_back() {
    let mut world = World::settled(On);
    fault(&mut world, 1, "nginx", Action::Start, failed());
    world.standby(0, 1, ALL);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(
        matches!(world.answer(0, 1), Answer::Failed { reason } if reason.contains("taken back"))
    );
}

#[test]
fn a_failing_stop_is_repeated_killed_and_then_blocks_the_group() {
    let mut world = World::settled(On);
    fault(&mut world, 0, "nginx", Action::Stop, failed());
    world.standby(0, 1, ALL);
    world.rest();
    let mut retries = 0;
    while world.sides[0].timers.contains(&Timer::StopRetry(WEB.into())) {
        world.fire(0, &Timer::StopRetry(WEB.into()));
        world.rest();
        retries += 1;
    }
    assert_eq!(retries, 10);
    assert_eq!(world.claim(0, WEB), GroupClaim::Blocked);
    assert_eq!(world.owners(), "-/2");
    assert!(!world.sides[1].running.contains(WEB), "the other node must not start it");
    assert!(matches!(world.answer(0, 1), Answer::Failed { .. }));
    world.sides[0].faults.clear();
    world.feed(0, Input::Cleanup { request: RequestId(2), group: Some(WEB.into()) });
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn a_stop_that_fails_but_worked_is_believed_after_a_look() {
    let mut world = World::settled(On);
    fault(&mut world, 0, "nginx", Action::Stop, failed());
    world.sides[0].running.remove("nginx");
    world.standby(0, 1, ALL);
    world.rest();
    for _ in 0..10 {
        world.fire(0, &Timer::StopRetry(WEB.into()));
        world.rest();
    }
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn after_a_partition_the_preferred_node_keeps_and_announces() {
    let mut world = World::settled(On);
    world.partition();
    world.rest();
    assert_eq!(world.owners(), "*/*");
    for side in &mut world.sides {
        side.log.clear();
    }
    world.heal();
    world.rest();
    assert_eq!(world.owners(), "1/2");
    let winner = world.took(0, &["stop", "start", "announce"]);
    assert_eq!(&winner[..1], ["announce ip50"], "the winner never lets go: {winner:?}");
    assert!(winner.iter().all(|line| !line.contains("ip50") || line.starts_with("announce")));
    assert!(winner.iter().filter(|line| *line == "announce ip50").count() >= 2);
}

#[test]
fn a_node_that_slept_through_its_death_gives_way_by_the_same_rule() {
    let mut world = World::settled(Off);
    // Side 1 thought side 0 dead and holds everything; side 0 noticed nothing.
    world.connected = false;
    world.declare_dead(0);
    world.rest();
    assert_eq!(world.owners(), "*/2");
    world.connected = true;
    world.feed(1, Input::PeerIsNative(true));
    world.feed(1, Input::Peer(crate::input::PeerStatus::Active));
    world.feed(1, Input::PeerReturned);
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn a_restarted_daemon_adopts_what_runs() {
    let mut world = World::settled(On);
    world.boot(0);
    world.took(0, &[]);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    let did = world.took(0, &["start", "stop", "announce"]);
    assert_eq!(did, ["announce ip50"]);
}

/// Which node stands for a set without groups is only a word, but monitoring compares the two.
#[test]
fn the_nodes_agree_on_the_set_without_groups() {
    let said = |world: &mut World| {
        world.rest();
        [0, 1].map(|number| world.sides[number].manager.rscstatus()).join("/")
    };
    for (failback, joined) in [(On, "local/local"), (Off, "all/none")] {
        let mut world = World::with_one_group(failback);
        world.boot(0);
        assert_eq!(said(&mut world), "all/transition");
        world.boot(1);
        assert_eq!(said(&mut world), joined);
        world.standby(0, 1, Which::Sets(Holdings::ALL));
        assert_eq!(said(&mut world), "none/all");
        world.standby(1, 2, Which::Sets(Holdings::ALL));
        assert_eq!(said(&mut world), "all/none");
        world.partition();
        assert_eq!(said(&mut world), "all/all");
        world.heal();
        assert_eq!(said(&mut world), "local/local");
    }
}

#[test]
fn a_quick_reboot_is_no_death() {
    let mut world = World::settled(Off);
    world.sides[0].running.clear();
    world.boot(0);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(!world.sides[1].running.contains(WEB));
}

#[test]
fn a_service_that_somebody_else_started_is_left_alone() {
    let mut world = World::new(On);
    world.sides[1].running.insert("nginx".into());
    world.boot(0);
    world.boot(1);
    // Side 0 must be able to start the group although nginx runs on side 1 outside of it.
    world.sides[1].running.remove("nginx");
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn late_results_are_counted_and_dropped() {
    let mut world = World::settled(On);
    let before = format!("{:?}", world.sides[0].manager.groups);
    world.feed(0, Input::Done { op: crate::operation::OpId(9_999), outcome: Outcome::Ok });
    assert_eq!(world.sides[0].manager.late_results(), 1);
    assert_eq!(format!("{:?}", world.sides[0].manager.groups), before);
}

/// Messaging repeats what was lost, but not for ever.
#[test]
fn a_greeting_that_was_lost_is_said_again() {
    let mut world = World::settled(On);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    world.boot(0);
    while !world.sides[0].pending.is_empty() {
        world.complete(0, 0);
    }
    world.wire = Default::default();
    world.rest();
    assert!(!world.sides[0].manager.is_stable(), "it waits for the answer");
    world.fire(0, &Timer::StartupWait);
    world.rest();
    assert_eq!(world.owners(), "1/2");
}
