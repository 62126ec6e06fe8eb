//! A day on which nothing happens, at the end of some lives: nothing moves, nobody is warned, and
//! what a node keeps in memory does not grow. Weeks like that are most of a real cluster's life, and
//! what is counted, drifts or piles up shows in none of the minutes before. It decides about no plan.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::effect::Level;

use crate::checker::{Checker, Violation};
use crate::run::{advance, announced, converge, moves};
use crate::trace;
use crate::world::World;

/// How long nothing happens.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// After this time everything of which a node keeps a bounded number has come to its bound: it keeps
/// the last 500 messages, and a heartbeat in two seconds is the slowest pace.
const FILLED: Duration = Duration::from_secs(2 * 3_600);
/// Load and wall clock are for display, and nobody looks.
const ENVIRONMENT_EVERY: Duration = Duration::from_secs(10);
/// Bytes that a node's state may grow by: the 500 kept messages have numbers that gain a digit. One
/// byte for each heartbeat or check would be more than that.
const GROWTH_MAX: usize = 4_096;

/// What is compared over the day.
struct Seen {
    moves: usize,
    /// Log lines of each machine.
    lines: [usize; 2],
    /// Bytes of each node's state.
    kept: [Option<usize>; 2],
}

/// Lives through a day, from a world at rest.
pub(crate) fn pass(
    world: &mut World,
    checker: &mut Checker,
    end: Instant,
) -> Result<(), Violation> {
    let begun = world.now();
    world.environment_every = ENVIRONMENT_EVERY;
    let announced = announced(world);
    advance(world, checker, (begun + FILLED).min(end))?;
    let look = |world: &World| Seen {
        moves: moves(world, &announced),
        lines: world.machines.each_ref().map(|machine| machine.logs.len()),
        kept: world.machines.each_ref().map(|machine| machine.kept()),
    };
    let before = look(world);
    advance(world, checker, (begun + DAY).min(end))?;
    if world.now() >= end {
        return Ok(());
    }
    compare(world, &before, &look(world))?;
    world.counts.add("edge", "a quiet day");
    converge(world, checker, end)
}

fn compare(world: &World, before: &Seen, after: &Seen) -> Result<(), Violation> {
    let fail = |property, text| Err(Violation { at: world.now(), property, text });
    if after.moves != before.moves {
        let count = after.moves - before.moves;
        return fail("L3 rest", format!("{count} groups moved on a quiet day"));
    }
    for machine in 0..2 {
        let who = trace::name(machine);
        let lines = &world.machines[machine].logs[before.lines[machine]..];
        if let Some(line) = lines.iter().find(|line| line.level >= Level::Warn) {
            return fail("no error", format!("{who} warns on a quiet day: {}", line.text));
        }
        let (Some(kept), Some(now)) = (before.kept[machine], after.kept[machine]) else {
            return fail("no growth", format!("{who} has no state that can be measured"));
        };
        if now > kept + GROWTH_MAX {
            return fail("no growth", format!("{who} keeps {now} bytes after {kept}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hb_node::effect::LogEvent;

    use super::*;
    use crate::plan::Seed;
    use crate::run::{Cut, Watching, carry};
    use crate::testing::served;

    /// What is found when `after` is seen where `before` was.
    fn found(world: &World, change: impl FnOnce(&mut Seen)) -> Option<&'static str> {
        let look = || Seen {
            moves: 3,
            lines: world.machines.each_ref().map(|machine| machine.logs.len()),
            kept: world.machines.each_ref().map(|machine| machine.kept()),
        };
        let mut before = look();
        change(&mut before);
        compare(world, &before, &look()).err().map(|violation| violation.property)
    }

    #[test]
    fn moves_warnings_and_growth_are_found() {
        let mut world = served();
        assert!(world.machines.iter().all(|machine| machine.kept() > Some(GROWTH_MAX)));
        assert_eq!(found(&world, |_| ()), None);
        assert_eq!(found(&world, |before| before.moves = 2), Some("L3 rest"));
        let less = |by: usize| {
            move |before: &mut Seen| before.kept[1] = before.kept[1].map(|bytes| bytes - by)
        };
        assert_eq!(found(&world, less(GROWTH_MAX)), None);
        assert_eq!(found(&world, less(GROWTH_MAX + 1)), Some("no growth"));
        assert_eq!(found(&world, |before| before.kept[0] = None), Some("no growth"));
        world.machines[0].logs.push(LogEvent::new(Level::Warn, "alert", "something is wrong"));
        assert_eq!(found(&world, |_| ()), None, "it was there before");
        assert_eq!(found(&world, |before| before.lines[0] -= 1), Some("no error"));
    }
    #[test]
    fn a_life_ends_with_its_day() {
        let report = carry(Seed::new(46), &Cut::default(), Watching::Nothing);
        assert_eq!(report.violation, None);
        assert_eq!(report.counts.of("edge", "a quiet day"), 1);
        assert!(report.ended > Instant::ZERO + DAY);
    }
}
