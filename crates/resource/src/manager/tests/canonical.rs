//! What the model checker leaves out of a manager decides nothing.

use hb_config::settings::AutoFailback;

use super::world::World;
use crate::input::{Holdings, Which};

/// Node1 gives its group and gets it back.
fn there_and_back(world: &mut World, request: u64) {
    world.standby(0, request, Which::Sets(Holdings::LOCAL));
    world.rest();
    world.standby(1, request, Which::Sets(Holdings::FOREIGN));
    world.rest();
}

/// Two ways to the same state: nothing but numbers and words tells them apart.
#[test]
fn what_decides_alike_is_equal() {
    let mut straight = World::settled(AutoFailback::Off);
    let mut detour = World::settled(AutoFailback::Off);
    there_and_back(&mut straight, 1);
    there_and_back(&mut detour, 1);
    there_and_back(&mut detour, 2);
    for number in [0, 1] {
        let (one, other) = (&mut straight.sides[number], &mut detour.sides[number]);
        assert_ne!(one.manager, other.manager);
        one.manager.canonicalise();
        other.manager.canonicalise();
        assert_eq!(one.manager, other.manager);
    }
}

/// What is under way keeps its answer.
#[test]
fn operations_under_way_are_renamed() {
    let mut world = World::settled(AutoFailback::Off);
    world.standby(0, 1, Which::Sets(Holdings::ALL));
    world.deliver(1);
    world.deliver(0);
    let pending = world.sides[0].pending.clone();
    assert!(!pending.is_empty());
    let renamed = world.sides[0].manager.canonicalise();
    assert_eq!(renamed.len(), pending.len());
    for operation in &mut world.sides[0].pending {
        operation.id = renamed[&operation.id];
    }
    world.rest();
    assert_eq!(world.owners(), "2/2");
    assert_eq!(world.sides[0].manager.late_results(), 0);
}
