//! States for the tests, of two real nodes in the modelled world. Compiled for tests only.

use std::time::Duration;

use hb_cli::client::ClientError;
use hb_cli::status::{Down, Known};
use hb_node::api::{Request, StatusSnapshot, Verdict};
use hb_node::input::{ClientId, Input};
use hb_resource::input::{Holdings, Which};
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two nodes with two links and a gateway; node1 serves.
fn pair() -> World {
    let groups = [group("node1", &["10.0.0.50", "nginx"])];
    let mut world = World::new(setup::pair(timing(200), &groups), 7);
    world.start(0);
    world.start(1);
    until(&mut world, "both are well", |world| {
        (0..2).all(|m| world.status(m).is_some_and(|s| s.verdict == Verdict::Healthy))
    });
    world.run(ms(20_000));
    world
}

fn until(world: &mut World, what: &str, done: impl FnMut(&World) -> bool) {
    assert!(world.run_until(ms(120_000), done).is_some(), "{what}");
}

fn now(snapshot: Option<StatusSnapshot>) -> Known {
    Known { snapshot: Some(snapshot.expect("it runs")), down: None }
}

/// After a move to node2, as node2 sees it.
pub(crate) fn healthy() -> Known {
    let mut world = pair();
    let client = ClientId(900);
    world.feed(0, Input::ClientName { client, name: "root".into() });
    let which = Which::Sets(Holdings::ALL);
    world.feed(0, Input::Request { client, request: Request::Standby { which } });
    until(&mut world, "it has moved", |world| world.machines[1].serves("10.0.0.50"));
    world.run(ms(25_000));
    now(world.status(1))
}

/// One direction of the second link is cut, and the standby could not start nginx.
pub(crate) fn degraded() -> Known {
    let mut world = pair();
    let link = world.network.links() - 1;
    world.network.path_mut(0, link).up = false;
    world.machines[1].agents.change("nginx", |habits| habits.invalid = true);
    until(&mut world, "both problems are known", |world| {
        let status = world.status(0).expect("it runs");
        let has = |id: &str| status.problems.iter().any(|problem| problem.id == id);
        has("not_ready") && has("link_one_way")
    });
    world.run(ms(5_000));
    now(world.status(0))
}

/// Both serve; node2 cannot stop nginx for a while.
pub(crate) fn split() -> Known {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    until(&mut world, "both serve it", |world| {
        world.machines.iter().all(|machine| machine.serves("10.0.0.50"))
    });
    world.machines[1].agents.change("nginx", |habits| habits.stop = ms(5_000));
    world.network.each(|path| path.up = true);
    until(&mut world, "the split is known", |world| {
        world.status(0).is_some_and(|status| status.verdict == Verdict::Split)
    });
    world.run(ms(1_000));
    now(world.status(0))
}

/// The daemon was stopped three minutes ago.
pub(crate) fn down() -> Known {
    let error = ClientError::Timeout { limit: ms(5_000) };
    let down = Down { error, age_ms: 182_000, saved_unix_ms: 1_795_000_000_000, is_last: true };
    Known { down: Some(down), ..healthy() }
}

/// Nothing is known at all.
pub(crate) fn nothing() -> Known {
    let error = ClientError::Timeout { limit: ms(5_000) };
    let down = Down { error, age_ms: 0, saved_unix_ms: 0, is_last: false };
    Known { snapshot: None, down: Some(down) }
}

/// Numbers before a unit of time are not the same in every version of the node.
pub(crate) fn masked(text: &str) -> String {
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
    out.replace(env!("CARGO_PKG_VERSION"), "VERSION") + &number
}
