//! Starts and orderly stops.

use std::time::Duration;

use super::{both_up, long_up};
use crate::Step;
use crate::pair::Pair;

/// A pair's ordinary life: joint start, power loss of the home node, its return, orderly stops.
pub(super) fn life(pair: &mut Pair) -> Step {
    pair.start(0)?;
    pair.start(1)?;
    pair.settle("1")?;
    pair.measure("power loss", "2", |pair| pair.power_off(0))?;
    pair.boot(0)?;
    pair.measure("return", "1", |pair| pair.start(0))?;
    pair.measure("stop", "2", |pair| pair.stop(0))?;
    pair.measure("start", "1", |pair| pair.start(0))?;
    pair.measure("stop of the other", "1", |pair| pair.stop(1))?;
    pair.stop(0)?;
    pair.settle("-")
}

/// The same where nothing goes home by itself.
pub(super) fn life_off(pair: &mut Pair) -> Step {
    pair.start(0)?;
    pair.settle("1")?;
    pair.start(1)?;
    pair.settle("1")?;
    pair.pass(super::SETTLED_AGE);
    pair.measure("power loss", "2", |pair| pair.power_off(0))?;
    pair.boot(0)?;
    pair.measure("return", "2", |pair| pair.start(0))?;
    pair.measure("stop of the other", "1", |pair| pair.stop(1))?;
    pair.measure("start of the other", "1", |pair| pair.start(1))?;
    pair.measure("takeover", "2", |pair| pair.command(1, "takeover", "all"))
}

/// With `msgfmt netstring` 3.0.6 does not understand what its own takeover script tells it and stays
/// in transition, beside its like too; so nothing here makes it take over.
pub(super) fn without_scripts(pair: &mut Pair) -> Step {
    pair.start(0)?;
    pair.start(1)?;
    pair.settle("1")?;
    pair.pass(Duration::from_millis(3 * pair.options.deadtime_ms));
    pair.settle("1")
}

pub(super) fn together(pair: &mut Pair) -> Step {
    pair.measure_first("until served", "12", |pair| {
        pair.start(0)?;
        pair.start(1)
    })?;
    // The last one has nobody to tell.
    pair.stop(0)?;
    pair.settle("22")?;
    pair.stop(1)?;
    pair.settle("--")?;
    pair.measure_first("in the other order", "12", |pair| {
        pair.start(1)?;
        pair.start(0)
    })
}

pub(super) fn home_first(pair: &mut Pair) -> Step {
    pair.start(0)?;
    pair.settle("11")?;
    pair.measure("the other joins", "12", |pair| pair.start(1))
}

/// The node that the group does not prefer is first; the group goes home.
pub(super) fn guest_first(pair: &mut Pair) -> Step {
    pair.start(1)?;
    pair.settle("2")?;
    pair.measure("home node joins", "1", |pair| pair.start(0))
}

pub(super) fn guest_first_off(pair: &mut Pair) -> Step {
    pair.start(1)?;
    pair.settle("2")?;
    pair.measure("home node joins", "2", |pair| pair.start(0))?;
    pair.measure("takeover", "1", |pair| pair.command(0, "takeover", "all"))
}

pub(super) fn stop_first(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("stop", "22", |pair| pair.stop(0))?;
    pair.measure("start", "12", |pair| pair.start(0))?;
    // Stopped right after its start.
    pair.measure("stop again", "22", |pair| pair.stop(0))
}

pub(super) fn stop_second(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.measure("stop", "11", |pair| pair.stop(1))?;
    pair.measure("start", "12", |pair| pair.start(1))?;
    pair.measure("stop again", "11", |pair| pair.stop(1))
}

pub(super) fn stop_first_off(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.measure("stop", "22", |pair| pair.stop(0))?;
    pair.measure("start", "22", |pair| pair.start(0))?;
    pair.measure("stop of the other", "11", |pair| pair.stop(1))
}

pub(super) fn stop_second_off(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.measure("stop", "11", |pair| pair.stop(1))?;
    pair.measure("start", "11", |pair| pair.start(1))?;
    pair.measure("stop of the other", "22", |pair| pair.stop(0))
}
