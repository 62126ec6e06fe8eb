//! A served pair, and agents that nobody asked for: what the tests of the checkers begin with.

use std::sync::Arc;
use std::time::Duration;

use hb_resource::operation::{Action, OpId, Operation};

use crate::setup::{group, pair, timing};
use crate::world::{News, UnderWay, World};

/// A pair in which node1 serves group `www` (members `www` and `nginx`), without news.
pub(crate) fn served() -> World {
    let mut world = World::new(pair(timing(100), &[group("node1", &["www", "nginx"])]), 1);
    world.start(0);
    world.start(1);
    let serves = |world: &World| world.machines[0].serves("www");
    world.run_until(Duration::from_secs(20), serves).expect("node1 serves www");
    world.run(Duration::from_secs(3));
    world.news.clear();
    world
}

/// An agent of `machine` that its daemon did not ask for.
pub(crate) fn unasked(world: &World, machine: usize, member: usize, action: Action) -> UnderWay {
    let this = &world.machines[machine];
    let operation = Operation {
        id: OpId(999),
        group: "www".to_owned(),
        resource: this.settings.groups[0].resources[member].clone(),
        action,
        timeout: Duration::from_secs(3),
        kill: false,
        monitor: false,
        probe: false,
    };
    UnderWay { operation: operation.into(), generation: this.generation }
}

/// It begins.
pub(crate) fn begin(world: &mut World, machine: usize, member: usize, action: Action) {
    let run = Arc::new(unasked(world, machine, member, action));
    world.machines[machine].agents.begin(&run.operation);
    world.machines[machine].under_way.push(run.clone());
    world.news.push(News::Begun { machine, run });
}
