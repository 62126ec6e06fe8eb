//! The manager beside a 3.0.6 node: the messages are those of the captured sequences.

use super::world::{WEB, World};
use crate::input::{Holdings, Input, PeerMessage, PeerStatus, RequestId, StandbyStep, Which};
use crate::operation::{Action, Outcome};
use crate::output::{Answer, Timer};
use hb_config::settings::AutoFailback::{Off, On};

/// A world whose side 1 is the test itself; side 0 starts beside an active 3.0.6 node.
fn started(failback: hb_config::settings::AutoFailback) -> World {
    let mut world = World::with_legacy_peer(failback);
    world.sides[0].alive = true;
    world.sides[1].alive = true;
    world.feed(0, Input::PeerIsNative(false));
    world.feed(0, Input::Peer(PeerStatus::Active));
    world.feed(0, Input::Started);
    finish(&mut world);
    world
}

fn finish(world: &mut World) {
    while !world.sides[0].pending.is_empty() {
        world.complete(0, 0);
    }
}

fn resources(holdings: Holdings, stable: bool) -> PeerMessage {
    let stable = Some(stable);
    PeerMessage::Resources { holdings, full: true, stable, info: None, groups: None }
}

/// In transition, and why.
fn in_flux(holdings: Holdings, why: &str) -> PeerMessage {
    let info = Some(why.to_owned());
    PeerMessage::Resources { holdings, full: true, stable: Some(false), info, groups: None }
}

fn ask(sets: Holdings, step: StandbyStep) -> PeerMessage {
    PeerMessage::AskResources { which: Which::Sets(sets), step }
}

fn hear(world: &mut World, message: PeerMessage) {
    world.feed(0, Input::Message(message));
    finish(world);
}

/// What side 0 sent since the last call.
fn sent(world: &mut World) -> Vec<PeerMessage> {
    world.wire[1].drain(..).collect()
}

#[test]
fn the_joiner_greets_once_says_none_and_then_what_it_has() {
    let mut world = started(On);
    assert_eq!(sent(&mut world), [PeerMessage::Starting, resources(Holdings::NONE, false)]);
    assert!(world.sides[0].timers.contains(&Timer::StartupWait));
    // The survivor holds everything and has settled.
    hear(&mut world, resources(Holdings::ALL, true));
    assert_eq!(sent(&mut world), [resources(Holdings::NONE, true)]);
    // It fails our groups back.
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Me));
    assert_eq!(sent(&mut world).first(), Some(&ask(Holdings::FOREIGN, StandbyStep::Other)));
    hear(&mut world, resources(Holdings::LOCAL, false));
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Done));
    let said = sent(&mut world);
    assert!(said.contains(&ask(Holdings::FOREIGN, StandbyStep::Done)), "{said:?}");
    assert_eq!(said.last(), Some(&resources(Holdings::LOCAL, true)));
    assert_eq!(world.owners(), "1/-");
}

#[test]
fn in_a_joint_start_the_peer_need_not_wait_for_us_nor_we_for_it() {
    let mut world = started(On);
    sent(&mut world);
    hear(&mut world, PeerMessage::Starting);
    assert_eq!(sent(&mut world), [resources(Holdings::NONE, false)]);
    assert_eq!(world.owners(), "-/-");
    hear(&mut world, resources(Holdings::NONE, false));
    assert_eq!(world.owners(), "1/-");
    assert_eq!(sent(&mut world).last(), Some(&resources(Holdings::LOCAL, true)));
    // Node2's own groups are its own business.
    hear(&mut world, resources(Holdings::LOCAL, true));
    assert_eq!(world.owners(), "1/-");
}

/// It was there before, and may still be releasing what it does not hold any more.
#[test]
fn a_3_0_6_peer_in_transition_is_waited_for() {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, false));
    assert_eq!(world.owners(), "-/-");
    world.fire(0, &Timer::StartupWait);
    finish(&mut world);
    assert_eq!(world.owners(), "1/-");
    // It may have said `starting` before, but what it holds is not nothing.
    let mut world = started(On);
    hear(&mut world, PeerMessage::Starting);
    hear(&mut world, resources(Holdings::ALL, false));
    assert_eq!(world.owners(), "-/-");
}

/// It had everything and was told to stop while this node was still looking at what runs here. That
/// it holds nothing means that it releases, although its `starting` was heard as well.
#[test]
fn a_3_0_6_peer_that_begins_and_stops_at_once_is_waited_for() {
    let mut world = started(On);
    hear(&mut world, PeerMessage::Starting);
    let leaving = in_flux(Holdings::NONE, "shutdown");
    hear(&mut world, leaving);
    hear(&mut world, resources(Holdings::NONE, false));
    assert_eq!(world.owners(), "-/-");
    hear(&mut world, PeerMessage::Shutdone);
    assert_eq!(world.owners(), "1/1");
}

#[test]
fn standby_to_a_3_0_6_node_is_the_four_steps() {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::LOCAL, true));
    assert_eq!(world.owners(), "1/-");
    sent(&mut world);
    world.feed(0, Input::Standby { request: RequestId(1), which: Which::Sets(Holdings::ALL) });
    // Nothing that could overtake it and make the peer refuse.
    assert_eq!(sent(&mut world), [ask(Holdings::ALL, StandbyStep::Me)]);
    hear(&mut world, ask(Holdings::ALL, StandbyStep::Other));
    let said = sent(&mut world);
    let done = said.iter().position(|message| *message == ask(Holdings::ALL, StandbyStep::Done));
    assert_eq!(done, Some(said.len() - 1), "released before announced: {said:?}");
    assert_eq!(world.owners(), "-/-");
    hear(&mut world, ask(Holdings::ALL, StandbyStep::Done));
    assert!(matches!(world.answer(0, 1), Answer::Done { .. }));
    assert_eq!(sent(&mut world).last(), Some(&resources(Holdings::NONE, true)));
}

/// Node2 has everything and asks to give its foreign groups; this node has agreed.
fn asked_by_a_giver() -> World {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::ALL, true));
    sent(&mut world);
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Me));
    assert_eq!(sent(&mut world).first(), Some(&ask(Holdings::FOREIGN, StandbyStep::Other)));
    assert_eq!(world.sides[0].manager.rscstatus(), "transition");
    world
}

/// It thinks this node in transition and has ignored its own question: without an end both would
/// wait for an hour. That this node has settled, said once more, puts it right.
#[test]
fn a_3_0_6_giver_that_does_not_begin_is_let_go() {
    let mut world = asked_by_a_giver();
    world.fire(0, &Timer::StandbyAnswer);
    assert_eq!(sent(&mut world), [resources(Holdings::NONE, true)]);
    assert_eq!(world.sides[0].manager.rscstatus(), "none");
    assert!(!world.sides[0].timers.contains(&Timer::StandbyEnd));
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Me));
    assert_eq!(sent(&mut world).first(), Some(&ask(Holdings::FOREIGN, StandbyStep::Other)));
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Done));
    assert_eq!(world.owners(), "1/-");
}

#[test]
fn a_3_0_6_giver_that_begins_may_take_as_long_as_its_scripts() {
    let mut world = asked_by_a_giver();
    let giving = in_flux(Holdings::LOCAL, "standby");
    hear(&mut world, giving);
    assert!(!world.sides[0].timers.contains(&Timer::StandbyAnswer));
    assert!(world.sides[0].timers.contains(&Timer::StandbyEnd));
}

#[test]
fn what_a_3_0_6_giver_gives_after_all_is_taken() {
    let mut world = asked_by_a_giver();
    world.fire(0, &Timer::StandbyAnswer);
    sent(&mut world);
    // Other groups, or after its next life has begun, are not what it offered.
    hear(&mut world, ask(Holdings::LOCAL, StandbyStep::Done));
    assert_eq!(world.owners(), "-/-");
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Done));
    assert_eq!(world.owners(), "1/-");
    let said = sent(&mut world);
    assert!(said.contains(&ask(Holdings::FOREIGN, StandbyStep::Done)), "{said:?}");
    assert_eq!(said.last(), Some(&resources(Holdings::LOCAL, true)));

    let mut world = asked_by_a_giver();
    world.fire(0, &Timer::StandbyAnswer);
    world.feed(0, Input::PeerRestarted);
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Done));
    assert_eq!(world.owners(), "-/-");
}

#[test]
fn done_is_withheld_when_something_could_not_be_stopped() {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::LOCAL, true));
    let failure = Outcome::Failed { code: Some(1), reason: String::new() };
    world.sides[0].faults.insert(("nginx".into(), Action::Stop), failure);
    world.feed(0, Input::Standby { request: RequestId(1), which: Which::Sets(Holdings::ALL) });
    hear(&mut world, ask(Holdings::ALL, StandbyStep::Other));
    while world.sides[0].timers.contains(&Timer::StopRetry(WEB.into())) {
        world.fire(0, &Timer::StopRetry(WEB.into()));
        finish(&mut world);
    }
    let said = sent(&mut world);
    assert!(!said.contains(&ask(Holdings::ALL, StandbyStep::Done)), "{said:?}");
    assert!(matches!(world.answer(0, 1), Answer::Failed { .. }));
    assert!(world.sides[0].manager.holdings().local, "still said to be held");
}

#[test]
fn shutdone_and_death_hand_everything_over() {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, true));
    let leaving = in_flux(Holdings::NONE, "shutdown");
    hear(&mut world, leaving);
    assert_eq!(world.owners(), "1/-", "it still releases");
    hear(&mut world, PeerMessage::Shutdone);
    assert_eq!(world.owners(), "1/1");
    world.feed(0, Input::Peer(PeerStatus::Dead));
    assert_eq!(world.owners(), "1/1");
}

#[test]
fn a_healed_partition_is_kept_through() {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, true));
    world.feed(0, Input::Peer(PeerStatus::Dead));
    finish(&mut world);
    assert_eq!(world.owners(), "1/1");
    world.feed(0, Input::Peer(PeerStatus::Active));
    world.feed(0, Input::PeerReturned);
    hear(&mut world, resources(Holdings::ALL, true));
    // The 3.0.6 node gives everything up two seconds later; here nothing stops.
    hear(&mut world, resources(Holdings::NONE, false));
    hear(&mut world, PeerMessage::Shutdone);
    assert_eq!(world.owners(), "1/1");
    assert!(world.took(0, &["stop"]).is_empty());
}

/// It announces what it holds until it has given it up: the network must hear us last.
#[test]
fn what_a_3_0_6_node_had_too_is_announced_until_it_has_let_go() {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, true));
    world.feed(0, Input::Peer(PeerStatus::Dead));
    finish(&mut world);
    let both = ["announce ip50", "announce ip60"];
    let announced = |world: &mut World| {
        finish(world);
        world.took(0, &["announce"])
    };
    world.feed(0, Input::Peer(PeerStatus::Active));
    world.feed(0, Input::PeerReturned);
    assert_eq!(announced(&mut world), both);
    world.fire(0, &Timer::AnnounceAgain);
    assert_eq!(announced(&mut world), both);
    hear(&mut world, resources(Holdings::NONE, false));
    world.fire(0, &Timer::AnnounceAgain);
    assert_eq!(announced(&mut world), both);
    hear(&mut world, PeerMessage::Shutdone);
    assert_eq!(announced(&mut world), both);
    assert!(!world.sides[0].timers.contains(&Timer::AnnounceAgain));
    world.feed(0, Input::Peer(PeerStatus::Dead));
    assert_eq!(announced(&mut world), [""; 0]);
}

#[test]
fn failback_to_a_returning_3_0_6_node() {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, true));
    world.feed(0, Input::Peer(PeerStatus::Dead));
    finish(&mut world);
    world.feed(0, Input::Peer(PeerStatus::Starting));
    world.feed(0, Input::Peer(PeerStatus::Active));
    sent(&mut world);
    hear(&mut world, PeerMessage::Starting);
    assert_eq!(sent(&mut world), [resources(Holdings::ALL, true)]);
    hear(&mut world, resources(Holdings::NONE, false));
    hear(&mut world, resources(Holdings::NONE, true));
    let said = sent(&mut world);
    assert!(said.contains(&ask(Holdings::FOREIGN, StandbyStep::Me)), "{said:?}");
}

/// This node took the other for dead and everything over; now they hear each other again.
fn healed() -> World {
    let mut world = started(On);
    hear(&mut world, resources(Holdings::LOCAL, true));
    world.feed(0, Input::Peer(PeerStatus::Dead));
    finish(&mut world);
    world.feed(0, Input::Peer(PeerStatus::Active));
    world.feed(0, Input::PeerReturned);
    world
}

/// Only this node took the other for dead; that one has no reason to give anything up.
#[test]
fn what_a_3_0_6_node_keeps_after_a_heal_is_asked_for() {
    let mut world = healed();
    finish(&mut world);
    sent(&mut world);
    world.fire(0, &Timer::TakeContested);
    let which = Which::Sets(Holdings::ALL);
    assert_eq!(sent(&mut world), [PeerMessage::HbTakeover { which }]);
    // It gives, as after any hb_takeover, and this node does not stop for it.
    hear(&mut world, ask(Holdings::ALL, StandbyStep::Me));
    assert_eq!(sent(&mut world).first(), Some(&ask(Holdings::ALL, StandbyStep::Other)));
    hear(&mut world, resources(Holdings::NONE, false));
    hear(&mut world, ask(Holdings::ALL, StandbyStep::Done));
    assert!(sent(&mut world).contains(&ask(Holdings::ALL, StandbyStep::Done)));
    assert!(world.sides[0].timers.contains(&Timer::AnnounceAgain), "it has not said it is done");
    hear(&mut world, resources(Holdings::NONE, true));
    assert!(!world.sides[0].timers.contains(&Timer::AnnounceAgain));
    assert!(!world.sides[0].timers.contains(&Timer::TakeContested));
    assert_eq!(world.owners(), "1/1");
    assert!(world.took(0, &["stop"]).is_empty());
}

/// §6.2: a heartbeat of ours came late, and it took everything over. Nobody was away for us.
#[test]
fn what_a_3_0_6_node_took_from_a_living_node_is_asked_for() {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::LOCAL, true));
    assert_eq!(world.owners(), "1/-");
    hear(&mut world, resources(Holdings::ALL, true));
    sent(&mut world);
    world.fire(0, &Timer::TakeContested);
    // Only what both have: its own groups stay where they are.
    let which = Which::Sets(Holdings::LOCAL);
    assert_eq!(sent(&mut world), [PeerMessage::HbTakeover { which }]);
    hear(&mut world, resources(Holdings::LOCAL, true));
    assert!(!world.sides[0].timers.contains(&Timer::TakeContested));
    assert_eq!(world.owners(), "1/-");
}

#[test]
fn a_3_0_6_node_that_gives_everything_up_is_not_asked() {
    let mut world = healed();
    hear(&mut world, resources(Holdings::NONE, false));
    sent(&mut world);
    world.fire(0, &Timer::TakeContested);
    assert_eq!(sent(&mut world), []);
    assert!(world.sides[0].timers.contains(&Timer::TakeContested), "it may be stuck");
}

/// It had our groups, was killed, and begins again within its dead time: nobody else will take them.
#[test]
fn what_a_restarted_3_0_6_node_had_of_ours_is_taken_back() {
    fn check(held: Holdings, owners: &str) {
        let mut world = started(Off);
        hear(&mut world, resources(Holdings::ALL, true));
        assert_eq!(world.owners(), "-/-");
        world.feed(0, Input::PeerRestarted);
        world.feed(0, Input::Peer(PeerStatus::Starting));
        world.feed(0, Input::Peer(PeerStatus::Active));
        hear(&mut world, PeerMessage::Starting);
        hear(&mut world, resources(Holdings::NONE, false));
        assert_eq!(world.owners(), "-/-", "it may still be releasing");
        hear(&mut world, resources(held, true));
        assert_eq!(world.owners(), owners);
    }
    check(Holdings::LOCAL, "1/-");
    // Its quick restart after a change of ha.cf keeps what it has (§7.9).
    check(Holdings::ALL, "-/-");
}

/// This node had them, and restarted within its dead time; no 3.0.6 node takes its own groups back.
#[test]
fn what_neither_node_stands_for_is_asked_for() {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::FOREIGN, true));
    // It says so once more when it hears that this node has settled.
    hear(&mut world, resources(Holdings::FOREIGN, true));
    assert_eq!(world.owners(), "-/-");
    sent(&mut world);
    world.fire(0, &Timer::TakeContested);
    let which = Which::Sets(Holdings::FOREIGN);
    assert_eq!(sent(&mut world), [PeerMessage::HbTakeover { which }]);
    hear(&mut world, ask(Holdings::LOCAL, StandbyStep::Me));
    hear(&mut world, ask(Holdings::LOCAL, StandbyStep::Done));
    hear(&mut world, resources(Holdings::FOREIGN, true));
    assert_eq!(world.owners(), "-/1");
    sent(&mut world);
    world.fire(0, &Timer::TakeContested);
    assert_eq!(sent(&mut world), []);
    assert!(!world.sides[0].timers.contains(&Timer::TakeContested));
}

/// 3.0.6 believes what arrives last: a word that is said twice may overtake the one that ends it.
#[test]
fn a_taker_says_once_that_it_acquires() {
    let mut world = started(Off);
    hear(&mut world, resources(Holdings::ALL, true));
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Me));
    sent(&mut world);
    hear(&mut world, ask(Holdings::FOREIGN, StandbyStep::Done));
    let done = ask(Holdings::FOREIGN, StandbyStep::Done);
    let acquires = resources(Holdings::LOCAL, false);
    assert_eq!(sent(&mut world), [acquires, done, resources(Holdings::LOCAL, true)]);
}
