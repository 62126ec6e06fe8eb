//! What a daemon that was killed has left running, and what the next one makes of it.

use hb_config::settings::AutoFailback::{Off, On};

use super::recovery::fault;
use super::world::{MAIL, WEB, World};
use crate::input::{GroupClaim, Input, PeerStatus};
use crate::operation::{Action, Outcome};

/// Starts and stops of `side` since the last call.
fn did(world: &mut World, side: usize) -> String {
    world.took(side, &["start", "stop"]).join(", ")
}

/// Each node holds its own; the daemon of node2 is killed, and these of its members die after it.
fn killed(dead: &[&str]) -> World {
    let mut world = World::settled(On);
    world.took(1, &[]);
    for text in dead {
        world.sides[1].running.remove(*text);
    }
    world
}

/// All of it ran, the other node is there and does not have it: it is completed where it is.
#[test]
fn parts_of_a_group_that_was_ours_are_completed_in_place() {
    let check = |dead: &[&str], expect: &str| {
        let mut world = killed(dead);
        world.boot(1);
        world.rest();
        assert_eq!(did(&mut world, 1), expect, "{dead:?}");
        assert_eq!(world.owners(), "1/2", "{dead:?}");
    };
    check(&[], "");
    check(&["imap"], "stop imap, start imap");
    check(&["smtp"], "stop imap, stop smtp, start smtp, start imap");
    // The member that names the group: what is left of it is nobody else's.
    check(&[MAIL], "stop imap, stop smtp, start ip60, start smtp, start imap");
    check(&[MAIL, "smtp"], "stop imap, stop smtp, start ip60, start smtp, start imap");
}

/// The other node took the group while no daemon ran here.
#[test]
fn parts_of_a_group_that_the_peer_serves_are_stopped_in_order() {
    let mut world = World::settled(Off);
    world.took(1, &[]);
    world.sides[1].running.remove(MAIL);
    world.sides[1].alive = false;
    world.declare_dead(1);
    world.rest();
    assert_eq!(world.owners(), "1/1");
    world.boot(1);
    // Nothing of it has been started before the word of the peer is there.
    while !world.sides[1].pending.is_empty() {
        world.complete(1, 0);
    }
    assert_eq!(did(&mut world, 1), "stop imap, stop smtp");
    world.rest();
    assert_eq!(did(&mut world, 1), "");
    assert_eq!(world.owners(), "1/1");
    assert_eq!(world.claim(1, MAIL), GroupClaim::Released);
}

/// Nobody knows whether the silent peer has it: what runs here in part serves nobody.
#[test]
fn parts_of_a_group_are_let_go_beside_a_lost_peer() {
    let mut world = killed(&["smtp"]);
    world.silence();
    world.boot(1);
    world.feed(1, Input::Peer(PeerStatus::Lost));
    world.rest();
    assert_eq!(did(&mut world, 1), "stop imap, stop ip60, stop smtp");
    assert_eq!(world.claim(1, MAIL), GroupClaim::Released);
}

/// The peer is dead for certain: nobody else can have it.
#[test]
fn parts_of_a_group_are_completed_by_a_node_that_is_alone() {
    let mut world = killed(&["smtp"]);
    world.silence();
    world.boot(1);
    world.feed(1, Input::Peer(PeerStatus::Dead));
    world.rest();
    assert_eq!(world.claim(1, MAIL), GroupClaim::Held);
}

/// A daemon that was killed while it started a group has not had it: it is let go, also where only
/// members run that nobody but the record knows to be ours.
#[test]
fn a_group_that_was_never_whole_is_released() {
    let mut world = killed(&[MAIL]);
    world.sides[1].left.remove(&(MAIL.to_owned(), "imap".to_owned()));
    world.sides[1].running.remove("imap");
    world.boot(1);
    while !world.sides[1].pending.is_empty() {
        world.complete(1, 0);
    }
    assert_eq!(did(&mut world, 1), "stop smtp");
    world.rest();
    assert_eq!(world.owners(), "1/2");
}

/// The same members, without a record: somebody else started them (S7).
#[test]
fn what_no_daemon_has_started_is_reported_and_left_alone() {
    let mut world = World::new(Off);
    world.sides[1].running.extend(["nginx".to_owned()]);
    world.boot(1);
    world.feed(1, Input::Peer(PeerStatus::Dead));
    while !world.sides[1].pending.is_empty() && world.sides[1].alerts.is_empty() {
        world.complete(1, 0);
    }
    let alert = format!("nginx runs here though group {WEB} does not; left alone");
    assert_eq!(world.sides[1].alerts, [alert]);
    assert_eq!(did(&mut world, 1), "");
}

/// A 3.0.6 peer says sets; before it has said them nothing is started beside it.
#[test]
fn parts_of_a_group_wait_for_the_word_of_a_legacy_peer() {
    use crate::input::{Holdings, PeerMessage};
    let check = |holdings: Holdings, expect: &str| {
        let mut world = World::with_legacy_peer(On);
        let web = |text: &str| (WEB.to_owned(), text.to_owned());
        world.sides[0].left.extend([web(WEB), web("nginx")]);
        world.sides[0].running.insert(WEB.to_owned());
        world.boot(0);
        world.feed(0, Input::PeerIsNative(false));
        world.feed(0, Input::Peer(PeerStatus::Active));
        while !world.sides[0].pending.is_empty() {
            world.complete(0, 0);
        }
        assert_eq!(did(&mut world, 0), "stop nginx");
        let said = PeerMessage::Resources {
            holdings,
            full: true,
            stable: Some(true),
            info: None,
            groups: None,
        };
        world.feed(0, Input::Message(said));
        while !world.sides[0].pending.is_empty() {
            world.complete(0, 0);
        }
        assert_eq!(did(&mut world, 0), expect, "{holdings:?}");
    };
    check(Holdings::LOCAL, "start nginx");
    check(Holdings::ALL, "stop ip50");
}

/// node2 serves; whether node1 still has the address, nobody can say.
#[test]
fn an_address_that_could_not_be_looked_at_is_removed_to_be_sure() {
    for outcome in [
        Outcome::CouldNotRun { reason: "no memory".into() },
        Outcome::TimedOut,
        Outcome::Failed { code: Some(1), reason: "no".into() },
    ] {
        let mut world = World::settled(Off);
        world.power_off(0);
        world.declare_dead(0);
        world.rest();
        assert_eq!(world.owners(), "2/2");
        world.sides[0].running.insert(WEB.into());
        fault(&mut world, 0, WEB, Action::Status, outcome);
        world.boot(0);
        world.rest();
        assert_eq!(world.took(0, &["start", "stop"]), ["stop ip50"]);
        assert_eq!(world.owners(), "2/2");
    }
}
