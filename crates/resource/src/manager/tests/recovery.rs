//! What is noticed of members that run, and what follows: restart in place, the move, the pause.

use hb_config::settings::AutoFailback::{Off, On};

use super::world::{WEB, World, hint};
use crate::input::{GroupClaim, Holdings, Input, PeerStatus, RequestId, Which};
use crate::operation::{Action, IN_USE, IN_USE_BY_PEER, Outcome};
use crate::output::Timer;

pub(super) const NGINX: &str = "nginx";

pub(super) fn failed() -> Outcome {
    Outcome::Failed { code: Some(1), reason: "no".into() }
}

pub(super) fn fault(world: &mut World, side: usize, name: &str, action: Action, outcome: Outcome) {
    world.sides[side].faults.insert((name.into(), action), outcome);
}

pub(super) fn monitor(world: &mut World, side: usize, member: usize) {
    world.fire(side, &Timer::Monitor(WEB.into(), member));
}

pub(super) fn look(world: &mut World, side: usize, resource: &str) {
    world.feed(side, hint(WEB, resource));
}

/// A member ends by itself, the kernel says so, and everything that follows at once happens.
pub(super) fn dies(world: &mut World, side: usize, name: &str) {
    world.sides[side].running.remove(name);
    look(world, side, name);
    world.rest();
}

pub(super) fn web(world: &World, side: usize) -> &crate::group::Group {
    world.sides[side].manager.groups().find(|group| group.key() == WEB).expect("WEB")
}

/// Each node holds its own, and nothing of how it came to that is left in the logs.
pub(super) fn settled() -> World {
    let mut world = World::settled(On);
    for side in &mut world.sides {
        side.log.clear();
        side.alerts.clear();
    }
    world
}

#[test]
fn what_is_held_is_checked_on_a_timer_and_what_is_not_is_not() {
    let mut world = settled();
    let monitors = |world: &World, side: usize| {
        let timers = world.sides[side].timers.iter();
        timers.filter(|timer| matches!(timer, Timer::Monitor(..))).count()
    };
    assert_eq!((monitors(&world, 0), monitors(&world, 1)), (2, 3));
    monitor(&mut world, 0, 1);
    assert!(world.sides[0].pending[0].monitor);
    assert_eq!(monitors(&world, 0), 1, "the next one is set when this one has ended");
    world.rest();
    assert_eq!(monitors(&world, 0), 2);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.rest();
    assert_eq!((monitors(&world, 0), monitors(&world, 1)), (0, 5));
}

#[test]
fn a_dead_service_is_started_again_and_its_address_stays() {
    let mut world = settled();
    dies(&mut world, 0, NGINX);
    assert_eq!(world.took(0, &["start", "stop"]), ["stop nginx", "start nginx"]);
    assert_eq!(world.owners(), "1/2");
    let reason = web(&world, 0).reason();
    assert_eq!(reason, "nginx stopped running (killed): restarting here, 1 of 3 within 10 min");
    assert_eq!(web(&world, 0).members()[1].failures(), 1);
}

#[test]
fn members_to_the_right_are_started_again_as_well() {
    let mut world = settled();
    world.sides[1].running.remove("smtp");
    world.fire(1, &Timer::Monitor(super::world::MAIL.into(), 1));
    world.rest();
    let did = world.took(1, &["start", "stop", "held", "acquiring"]);
    assert_eq!(
        did,
        [
            "held->acquiring",
            "stop imap",
            "stop smtp",
            "start smtp",
            "start imap",
            "acquiring->held"
        ]
    );
}

#[test]
fn a_lost_address_is_put_back_alone() {
    let mut world = settled();
    dies(&mut world, 0, WEB);
    assert_eq!(world.took(0, &["start", "stop"]), ["start ip50"]);
    assert_eq!(world.owners(), "1/2");
    for _ in 1..10 {
        dies(&mut world, 0, WEB);
    }
    assert_eq!(world.owners(), "1/2", "restores_max is 10");
    dies(&mut world, 0, WEB);
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn outcomes_of_a_check() {
    let could_not = Outcome::CouldNotRun { reason: "no memory".into() };
    let check = |outcomes: &[Outcome], restarts: bool, alerts: usize| {
        let mut world = settled();
        for outcome in outcomes {
            fault(&mut world, 0, NGINX, Action::Status, outcome.clone());
            if world.sides[0].timers.contains(&Timer::Monitor(WEB.into(), 1)) {
                monitor(&mut world, 0, 1);
            }
            // One result at a time: a repeated check waits for its own.
            let at = world.sides[0].pending.iter().position(|op| op.resource.text == NGINX);
            world.complete(0, at.expect("a check"));
        }
        world.sides[0].faults.clear();
        world.rest();
        let started = !world.took(0, &["start nginx"]).is_empty();
        assert_eq!(started, restarts, "{outcomes:?}");
        assert_eq!(
            world.sides[0].alerts.len(),
            alerts,
            "{outcomes:?}: {:?}",
            world.sides[0].alerts
        );
        assert_eq!(world.owners(), "1/2");
    };
    check(&[Outcome::Ok], false, 0);
    check(&[Outcome::NotRunning], true, 1);
    check(&[failed()], true, 1);
    check(&[Outcome::TimedOut], false, 1);
    check(&[Outcome::TimedOut, Outcome::Ok, Outcome::TimedOut], false, 2);
    check(&[Outcome::TimedOut, Outcome::TimedOut], true, 2);
    check(&[could_not.clone(), could_not.clone(), could_not.clone()], false, 1);
    check(&[could_not.clone(), Outcome::Ok, could_not], false, 2);
}

#[test]
fn a_look_is_for_what_runs_here_and_once_more_after_a_check_under_way() {
    let mut world = settled();
    look(&mut world, 1, NGINX);
    look(&mut world, 0, "nonsense");
    assert!(world.sides.iter().all(|side| side.pending.is_empty()));
    look(&mut world, 0, NGINX);
    look(&mut world, 0, NGINX);
    look(&mut world, 0, NGINX);
    assert_eq!(world.sides[0].pending.len(), 1);
    world.complete(0, 0);
    assert_eq!(world.sides[0].pending.len(), 1, "the look came after the check had begun");
    world.rest();
    assert!(world.sides[0].timers.contains(&Timer::Monitor(WEB.into(), 1)));
}

#[test]
fn a_transition_cancels_the_check_that_is_in_its_way_and_no_result_of_it_counts() {
    let mut world = settled();
    monitor(&mut world, 0, 1);
    world.sides[0].running.remove(NGINX);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.deliver(1);
    world.deliver(0);
    let pending: Vec<Action> = world.sides[0].pending.iter().map(|op| op.action).collect();
    assert_eq!(pending, [Action::Status], "the stop waits for the end of the check");
    assert_eq!(world.sides[0].cancelled.len(), 1);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(web(&world, 0).members()[1].failures(), 0);
}

#[test]
fn the_start_of_one_member_does_not_wait_for_the_check_of_another() {
    let mut world = settled();
    world.fire(1, &Timer::Monitor(super::world::MAIL.into(), 1));
    world.power_off(0);
    world.declare_dead(0);
    let starts = world.sides[1].pending.iter().any(|op| op.action == Action::Start);
    assert!(starts && world.sides[1].pending.iter().any(|op| op.monitor));
}

#[test]
fn after_too_many_failures_the_group_is_offered_at_once() {
    let mut world = settled();
    for _ in 0..3 {
        dies(&mut world, 0, NGINX);
        assert_eq!(world.owners(), "1/2");
    }
    dies(&mut world, 0, NGINX);
    assert_eq!(world.claim(0, WEB), GroupClaim::Failed);
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    let retry = Timer::Retry(WEB.into());
    assert!(!world.sides[0].timers.contains(&retry), "not tried here while it is served there");
}

#[test]
fn a_restart_that_fails_moves_the_group_and_the_failure_is_forgotten_later() {
    let mut world = settled();
    fault(&mut world, 0, NGINX, Action::Start, failed());
    dies(&mut world, 0, NGINX);
    let reason = web(&world, 0).reason().to_owned();
    assert!(reason.starts_with("nginx stopped running (killed)"), "{reason}");
    assert!(reason.contains("nginx failed to start again"), "{reason}");
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.claim(0, WEB), GroupClaim::Failed);
    world.fire(0, &Timer::ForgetFailures(WEB.into(), 1));
    assert_eq!(world.claim(0, WEB), GroupClaim::Released);
    world.rest();
    assert_eq!(world.owners(), "2/2", "it went home, failed again, and was taken back");
    assert!(world.took(0, &["start"]).contains(&"start nginx".to_owned()));
}

#[test]
fn failures_of_the_window_before_do_not_count() {
    let mut world = settled();
    for _ in 0..9 {
        dies(&mut world, 0, NGINX);
        world.fire(0, &Timer::ForgetFailures(WEB.into(), 1));
    }
    assert_eq!(world.owners(), "1/2");
    for _ in 0..3 {
        dies(&mut world, 0, NGINX);
    }
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    assert_eq!(web(&world, 0).members()[1].failures(), 0);
    dies(&mut world, 0, NGINX);
    assert_eq!(world.owners(), "1/2");
}

/// L3: it moves once, and then stays where it prefers until an attempt there works.
#[test]
fn failed_on_both_it_is_tried_on_the_preferred_node_after_a_pause() {
    let mut world = settled();
    fault(&mut world, 0, NGINX, Action::Start, failed());
    fault(&mut world, 1, NGINX, Action::Start, failed());
    dies(&mut world, 0, NGINX);
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "-/2");
    let reason = web(&world, 0).reason().to_owned();
    assert_eq!(reason, "nginx: failed on both nodes: staying on node1, next attempt in 60 s");
    let retry = Timer::Retry(WEB.into());
    assert!(!world.sides[1].timers.contains(&retry));
    world.took(1, &[]);
    for _ in 0..3 {
        world.sides[0].alerts.clear();
        world.fire(0, &retry);
        world.rest();
        assert!(!world.sides[0].timers.contains(&Timer::OfferGroup(WEB.into())));
        assert!(world.sides[0].alerts.iter().all(|text| !text.contains("not served")), "said once");
    }
    assert_eq!(world.took(1, &["start"]), Vec::<String>::new(), "no ping-pong");
    world.sides[0].faults.clear();
    world.fire(0, &retry);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(!world.sides[0].waits());
}

/// L1: the preferred node may be the one that cannot. Once per window the other is asked again.
#[test]
fn the_other_node_is_offered_it_again_when_its_failure_is_forgotten() {
    let mut world = settled();
    fault(&mut world, 0, NGINX, Action::Start, failed());
    fault(&mut world, 1, NGINX, Action::Start, failed());
    dies(&mut world, 0, NGINX);
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "-/2");
    world.sides[1].faults.clear();
    world.fire(1, &Timer::ForgetFailures(WEB.into(), 1));
    world.rest();
    assert!(!world.sides[0].timers.contains(&Timer::Retry(WEB.into())));
    world.fire(0, &Timer::OfferGroup(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

#[test]
fn a_node_that_is_alone_tries_again_after_a_pause() {
    let mut world = World::settled(Off);
    world.power_off(0);
    world.declare_dead(0);
    world.rest();
    fault(&mut world, 1, NGINX, Action::Start, failed());
    dies(&mut world, 1, NGINX);
    assert_eq!(world.owners(), "-/2");
    world.sides[1].faults.clear();
    world.fire(1, &Timer::Retry(WEB.into()));
    world.rest();
    assert_eq!(world.owners(), "2/2");
}

/// A service that fails on every node a moment after its start: moves are bounded.
#[test]
fn a_service_that_dies_everywhere_moves_once_and_then_pauses() {
    let mut world = settled();
    let mut moves = 0;
    for _ in 0..50 {
        let owner = world.owners();
        match &owner[..1] {
            "1" => dies(&mut world, 0, NGINX),
            "2" => dies(&mut world, 1, NGINX),
            _ => {
                for side in [0, 1] {
                    let offer = Timer::OfferGroup(WEB.into());
                    if world.sides[side].timers.contains(&offer) {
                        world.fire(side, &offer);
                        world.rest();
                    }
                }
                let retry = Timer::Retry(WEB.into());
                if world.owners().starts_with('-') && world.sides[0].timers.contains(&retry) {
                    world.fire(0, &retry);
                    world.rest();
                }
            }
        }
        moves += usize::from(owner.starts_with('1') && world.owners().starts_with('2'));
        moves += usize::from(owner.starts_with('-') && world.owners().starts_with('2'));
    }
    assert_eq!(moves, 1);
}

#[test]
fn a_script_without_a_usable_status_is_not_restarted_for_ever() {
    let mut world = World::new(On);
    fault(&mut world, 0, NGINX, Action::Status, Outcome::NotRunning);
    world.boot(0);
    world.boot(1);
    world.rest();
    assert_eq!(world.owners(), "1/2");
    assert!(web(&world, 0).members()[1].is_watched(), "it may only be slow to come up");
    monitor(&mut world, 0, 1);
    world.rest();
    assert!(!web(&world, 0).members()[1].is_watched());
    look(&mut world, 0, NGINX);
    world.rest();
    assert_eq!(world.took(0, &["start nginx"]).len(), 1);
    let alerts = &world.sides[0].alerts;
    assert_eq!(alerts.iter().filter(|text| text.contains("cannot be used")).count(), 1);
    // The next start is a new chance.
    world.sides[0].faults.clear();
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.rest();
    world.standby(1, 2, Which::Group(WEB.into()));
    world.rest();
    assert!(web(&world, 0).members()[1].is_watched());
}

#[test]
fn leftovers_of_a_dead_service_are_killed_with_its_stop() {
    let mut world = settled();
    world.sides[0].running.remove(NGINX);
    monitor(&mut world, 0, 1);
    let check = world.sides[0].pending.iter().position(|op| op.resource.text == NGINX);
    world.complete(0, check.expect("a check"));
    let stop = &world.sides[0].pending[0];
    assert!(stop.action == Action::Stop && stop.kill);
    // A script whose stop fails because nothing runs is believed after a look.
    fault(&mut world, 0, NGINX, Action::Stop, failed());
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn a_sick_service_that_cannot_be_stopped_blocks_its_group() {
    let mut world = settled();
    fault(&mut world, 0, NGINX, Action::Stop, failed());
    fault(&mut world, 0, NGINX, Action::Status, failed());
    monitor(&mut world, 0, 1);
    world.rest();
    while world.sides[0].timers.contains(&Timer::StopRetry(WEB.into())) {
        world.fire(0, &Timer::StopRetry(WEB.into()));
        world.rest();
    }
    assert_eq!(world.claim(0, WEB), GroupClaim::Blocked);
    assert!(!world.sides[1].running.contains(WEB));
    world.sides[0].faults.clear();
    world.feed(0, Input::Cleanup { request: RequestId(1), group: None });
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

#[test]
fn in_maintenance_failures_are_seen_and_acted_on_afterwards() {
    let mut world = settled();
    let set = |world: &mut World, on: bool| {
        let mut out = Vec::new();
        let manager = &mut world.sides[0].manager;
        manager.with_group(0, &mut out, |group, ctx| group.set_maintenance(on, ctx));
        for output in out {
            world.perform(0, output);
        }
        world.rest();
    };
    set(&mut world, true);
    dies(&mut world, 0, NGINX);
    monitor(&mut world, 0, 1);
    world.rest();
    assert_eq!(world.took(0, &["start", "stop"]), Vec::<String>::new());
    assert_eq!(world.owners(), "1/2");
    let would = web(&world, 0).would_do();
    assert_eq!(would.as_deref(), Some("nginx stopped running (killed): start it again"));
    assert_eq!(world.sides[0].alerts.len(), 1, "said once");
    set(&mut world, false);
    assert_eq!(world.took(0, &["start", "stop"]), ["stop nginx", "start nginx"]);
    assert_eq!(web(&world, 0).would_do(), None);
    // What came back by itself is left alone.
    set(&mut world, true);
    dies(&mut world, 0, NGINX);
    world.sides[0].running.insert(NGINX.into());
    monitor(&mut world, 0, 1);
    world.rest();
    world.took(0, &[]);
    set(&mut world, false);
    assert_eq!(world.took(0, &["start", "stop"]), Vec::<String>::new());
}

#[test]
fn a_group_that_is_not_held_is_validated_and_the_result_is_kept() {
    let mut world = settled();
    let ready = Timer::Ready(WEB.into());
    assert!(!world.sides[0].timers.contains(&ready));
    fault(&mut world, 1, NGINX, Action::Validate, failed());
    world.fire(1, &ready);
    assert_eq!(world.sides[1].pending.len(), 1, "one after the other");
    world.rest();
    let why = Some("nginx: failed with exit code 1: no");
    assert_eq!(web(&world, 1).unready(), why);
    fault(&mut world, 1, NGINX, Action::Validate, Outcome::TimedOut);
    world.fire(1, &ready);
    world.rest();
    assert_eq!(web(&world, 1).unready(), why, "a busy machine says nothing");
    world.sides[1].faults.clear();
    world.fire(1, &ready);
    world.rest();
    assert_eq!(web(&world, 1).unready(), None);
    // Never in the way of an acquisition.
    world.fire(1, &ready);
    world.power_off(0);
    world.declare_dead(0);
    assert_eq!(world.sides[1].cancelled.len(), 1);
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(!world.sides[1].timers.contains(&ready));
}

#[test]
fn a_peer_in_doubt_does_not_stop_the_checks() {
    let mut world = settled();
    world.feed(0, Input::Peer(PeerStatus::Lost));
    dies(&mut world, 0, NGINX);
    assert_eq!(world.owners(), "1/2");
    assert!(world.sides[0].running.contains(NGINX));
}

/// The machine of the silent peer still answers for the address: left alone, then taken unasked.
#[test]
fn an_address_that_the_silent_peers_machine_answers_for_is_left_to_it_for_a_while() {
    let in_use = |code| Outcome::Failed { code: Some(code), reason: "in use".into() };
    let asks = |world: &World| {
        let starts = world.sides[1].pending.iter().filter(|it| it.action == Action::Start);
        starts.map(|it| it.probe).collect::<Vec<_>>()
    };
    let answer = |world: &mut World| {
        let at = world.sides[1].pending.iter().position(|it| it.action == Action::Start);
        world.complete(1, at.expect("a start"));
    };
    let mut world = settled();
    world.power_off(0);
    fault(&mut world, 1, WEB, Action::Start, in_use(IN_USE_BY_PEER));
    world.declare_dead(0);
    for question in 0..10 {
        assert_eq!(asks(&world), [true], "question {question}");
        answer(&mut world);
        assert_eq!(web(&world, 1).claim(), GroupClaim::Acquiring);
        world.fire(1, &Timer::AskAgain(WEB.into()));
    }
    assert_eq!(asks(&world), [true]);
    answer(&mut world);
    assert_eq!(asks(&world), [false], "not asked any more");
    world.sides[1].faults.clear();
    world.rest();
    assert_eq!(web(&world, 1).claim(), GroupClaim::Held);
    assert_eq!(world.sides[1].alerts.iter().filter(|it| it.starts_with("SPLIT?")).count(), 2);

    // Any other machine: not taken.
    let mut world = settled();
    world.power_off(0);
    fault(&mut world, 1, WEB, Action::Start, in_use(IN_USE));
    world.declare_dead(0);
    for _ in 0..10 {
        assert_eq!(asks(&world), [true]);
        answer(&mut world);
        world.fire(1, &Timer::AskAgain(WEB.into()));
    }
    answer(&mut world);
    world.rest();
    assert_eq!(web(&world, 1).claim(), GroupClaim::Failed);
    assert!(asks(&world).is_empty());
}
