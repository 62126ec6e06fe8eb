//! The screens that the manual shows, drawn by the real renderer from states that two real nodes
//! come to in the modelled world. Ages and times are masked.

use std::time::Duration;

use hb_node::api::{Request, StatusSnapshot, Verdict};
use hb_node::input::{ClientId, Input};
use hb_resource::input::{Holdings, Which};
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

use super::screen::{Style, screen};

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

fn moved(world: &mut World) {
    let client = ClientId(900);
    world.feed(0, Input::ClientName { client, name: "root".into() });
    let which = Which::Sets(Holdings::ALL);
    world.feed(0, Input::Request { client, request: Request::Standby { which } });
    until(world, "it has moved", |world| world.machines[1].serves("10.0.0.50"));
    world.run(ms(5_000));
}

/// Numbers before a unit of time, and what came of them, are not the same in every version.
fn masked(snapshot: &StatusSnapshot) -> String {
    let style = Style { symbols: true, colour: false };
    let text = screen(snapshot, style, &|_| "DATE".to_owned());
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

#[test]
fn healthy() {
    let mut world = pair();
    moved(&mut world);
    world.run(ms(20_000));
    insta::assert_snapshot!("golden_healthy", masked(&world.status(1).expect("it runs")));
}

#[test]
fn degraded() {
    let mut world = pair();
    // One direction of the second link is cut, and the standby could not start nginx.
    let link = world.network.links() - 1;
    world.network.path_mut(0, link).up = false;
    world.machines[1].agents.change("nginx", |habits| habits.invalid = true);
    until(&mut world, "both problems are known", |world| {
        let status = world.status(0).expect("it runs");
        let has = |id: &str| status.problems.iter().any(|problem| problem.id == id);
        has("not_ready") && has("link_one_way")
    });
    world.run(ms(5_000));
    insta::assert_snapshot!("golden_degraded", masked(&world.status(0).expect("it runs")));
}

#[test]
fn split() {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    let key = "10.0.0.50";
    until(&mut world, "both serve it", |world| {
        world.machines.iter().all(|machine| machine.serves(key))
    });
    // node2 cannot stop it for a while.
    world.machines[1].agents.change("nginx", |habits| habits.stop = ms(5_000));
    world.network.each(|path| path.up = true);
    until(&mut world, "the split is known", |world| {
        world.status(0).is_some_and(|status| status.verdict == Verdict::Split)
    });
    world.run(ms(1_000));
    insta::assert_snapshot!("golden_split", masked(&world.status(0).expect("it runs")));
}

#[test]
fn split_that_is_only_feared() {
    let mut world = pair();
    world.machines[1].agents.change("10.0.0.50", |habits| habits.is_peers = true);
    world.network.each(|path| path.up = false);
    until(&mut world, "the machine of node1 answers", |world| {
        world.status(1).is_some_and(|status| status.verdict == Verdict::Split)
    });
    world.run(ms(2_000));
    insta::assert_snapshot!("golden_split_feared", masked(&world.status(1).expect("it runs")));
}
