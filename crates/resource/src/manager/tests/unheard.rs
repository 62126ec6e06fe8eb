//! The one-way cut: the peer is heard, does not hear this node and has taken what it takes for free.

use std::collections::BTreeSet;

use hb_config::settings::AutoFailback::{Off, On};

use super::world::{MAIL, WEB, World};
use crate::input::{GroupClaim, Input};

fn keys(keys: &[&str]) -> Option<BTreeSet<String>> {
    Some(keys.iter().map(|key| (*key).to_owned()).collect())
}

/// Completes what node1 does, without a word from node2.
fn finish(world: &mut World) {
    while !world.sides[0].pending.is_empty() {
        world.complete(0, 0);
    }
}

/// It prefers this node, and is let go all the same: only this node can know.
#[test]
fn what_a_deaf_peer_has_taken_is_released_in_order_and_stays_released() {
    let mut world = World::settled(On);
    world.silence();
    world.took(0, &[]);
    world.feed(0, Input::Unheard(keys(&[WEB])));
    finish(&mut world);
    assert_eq!(world.took(0, &["start", "stop"]), ["stop ip50", "stop nginx"]);
    assert_eq!(world.claim(0, WEB), GroupClaim::Released);
}

/// What it does not name goes on, and nothing of its own is begun here.
#[test]
fn a_deaf_peer_that_has_nothing_costs_nothing() {
    let mut world = World::settled(Off);
    world.silence();
    world.took(0, &[]);
    for taken in [&[][..], &[MAIL], &[]] {
        world.feed(0, Input::Unheard(keys(taken)));
        finish(&mut world);
    }
    assert!(world.took(0, &["start", "stop"]).is_empty());
    assert_eq!(world.claim(0, WEB), GroupClaim::Held);
}

/// It hears again: both say what they have, and nothing is served twice.
#[test]
fn after_a_one_way_cut_there_is_one_owner() {
    let mut world = World::settled(Off);
    world.silence();
    world.declare_dead(0);
    while !world.sides[1].pending.is_empty() {
        world.complete(1, 0);
    }
    world.feed(0, Input::Unheard(keys(&[WEB, MAIL])));
    finish(&mut world);
    assert_eq!(world.owners(), "2/2");
    world.heal();
    world.feed(0, Input::Unheard(None));
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert!(world.took(0, &["start"]).iter().all(|line| !line.contains("ip60")));
}
