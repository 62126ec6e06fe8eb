//! Moments that people meet, of two real nodes in the modelled world: for pictures of screens and pages.
//! It checks nothing of the nodes; that a moment never comes is a panic.

use std::time::Duration;

use hb_node::api::{Request, StatusSnapshot, Verdict};
use hb_node::input::{ClientId, Input};
use hb_resource::input::{Holdings, Which};

use crate::setup::{self, group, timing};
use crate::world::World;

/// The group of these worlds: an address and nginx.
const GROUP: &str = "10.0.0.50";
/// For what must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two nodes with two links and a gateway; node1 serves.
fn pair() -> World {
    let groups = [group("node1", &[GROUP, "nginx"])];
    let mut world = World::new(setup::pair(timing(200), &groups), 7);
    world.start(0);
    world.start(1);
    until(&mut world, "both are well", |world| {
        (0..2).all(|m| world.status(m).is_some_and(|s| s.verdict == Verdict::Healthy))
    });
    world.run(Duration::from_secs(20));
    world
}

fn until(world: &mut World, what: &str, done: impl FnMut(&World) -> bool) {
    assert!(world.run_until(PATIENCE, done).is_some(), "{what}");
}

fn status(world: &World, machine: usize) -> StatusSnapshot {
    world.status(machine).expect("it runs")
}

/// After a move to node2, as node2 sees it.
pub fn healthy() -> StatusSnapshot {
    let mut world = pair();
    let client = ClientId(900);
    world.feed(0, Input::ClientName { client, name: "root".into() });
    let which = Which::Sets(Holdings::ALL);
    world.feed(0, Input::Request { client, request: Request::Standby { which } });
    until(&mut world, "it has moved", |world| world.machines[1].serves(GROUP));
    world.run(Duration::from_secs(25));
    status(&world, 1)
}

/// One direction of the second link is cut, and the standby could not start nginx.
pub fn degraded() -> StatusSnapshot {
    let mut world = pair();
    let link = world.network.links() - 1;
    world.network.path_mut(0, link).up = false;
    world.machines[1].agents.change("nginx", |habits| habits.invalid = true);
    until(&mut world, "both problems are known", |world| {
        let status = status(world, 0);
        let has = |id: &str| status.problems.iter().any(|problem| problem.id == id);
        has("not_ready") && has("link_one_way")
    });
    world.run(Duration::from_secs(5));
    status(&world, 0)
}

/// Both serve; node2 cannot stop nginx for a while.
pub fn split() -> StatusSnapshot {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    until(&mut world, "both serve it", |world| {
        world.machines.iter().all(|machine| machine.serves(GROUP))
    });
    world.machines[1].agents.change("nginx", |habits| habits.stop = Duration::from_secs(5));
    world.network.each(|path| path.up = true);
    until(&mut world, "the split is known", |world| status(world, 0).verdict == Verdict::Split);
    world.run(Duration::from_secs(1));
    status(&world, 0)
}

/// They cannot hear each other, and node1's machine still answers for the address.
pub fn split_feared() -> StatusSnapshot {
    let mut world = pair();
    world.machines[1].agents.change(GROUP, |habits| habits.is_peers = true);
    world.network.each(|path| path.up = false);
    until(&mut world, "the machine of node1 answers", |world| {
        status(world, 1).verdict == Verdict::Split
    });
    world.run(Duration::from_secs(2));
    status(&world, 1)
}

/// `text` without what is not the same in every version of the nodes: numbers before a unit of time are
/// `N`, and `version` is `VERSION`.
pub fn masked(text: &str, version: &str) -> String {
    let mut out = String::new();
    let mut number = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_ascii_digit() || (c == '.' && !number.is_empty()) {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            let unit: String = std::iter::once(c).chain(rest.clone()).take(4).collect();
            let unit = unit.trim_start_matches(' ').split(|c: char| !c.is_alphanumeric()).next();
            let is_time = c == ' ' && matches!(unit, Some("ms" | "s" | "min" | "h"));
            out += if is_time { "N" } else { &number };
            number.clear();
        }
        out.push(c);
    }
    out.replace(version, "VERSION") + &number
}
