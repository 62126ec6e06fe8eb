//! ipfail: the first node's public cable is cut while the heartbeat cable holds, and mended.

use std::time::Duration;

use hb_cli::lab::PUBLIC;

use super::both_up;
use crate::Step;
use crate::pair::Pair;

/// Longer than a ping node takes to die or return and a give-up to follow.
const WATCH: Duration = Duration::from_secs(8);

/// Both ping nodes seen, then the cable of `index`; the groups go to the other.
fn cut(pair: &mut Pair, index: usize, owners: &str) -> Step {
    pair.pass(WATCH);
    pair.measure(&format!("public cable of {} cut", index + 1), owners, |pair| {
        pair.cable(index, PUBLIC, false)
    })?;
    pair.pass(WATCH);
    pair.settle(owners)
}

/// `auto_failback on`: it comes home with the cable.
pub(super) fn cable(pair: &mut Pair) -> Step {
    both_up(pair)?;
    cut(pair, 0, "22")?;
    pair.measure("mended", "12", |pair| pair.cable(0, PUBLIC, true))?;
    pair.pass(WATCH);
    pair.settle("12")
}

/// `auto_failback off`: it stays.
pub(super) fn cable_off(pair: &mut Pair) -> Step {
    both_up(pair)?;
    cut(pair, 0, "22")?;
    pair.cable(0, PUBLIC, true)?;
    pair.pass(WATCH);
    pair.settle("22")?;
    cut(pair, 1, "11")
}
