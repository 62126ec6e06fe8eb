//! Ping nodes and ipfail: a node's public cable is cut while the heartbeat cable holds, and mended;
//! or it alone gets no answer from the ping node.

use std::time::Duration;

use hb_cli::lab::PUBLIC;

use super::both_up;
use crate::pair::{Pair, is_possible};
use crate::play::SKIP;
use crate::{Step, Trouble};

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

/// Node `index` gets no answer from the ping node, or gets them again; its page is still served.
fn answers(pair: &mut Pair, index: usize, come: bool) -> Step {
    let (word, verb) = if come { ("answers", "-D") } else { ("does not answer", "-A") };
    pair.tell(&format!("the ping node {word} node{}", index + 1));
    let rule = format!("iptables {verb} INPUT -p icmp --icmp-type echo-reply -j DROP");
    if is_possible(pair.run(index, &rule))? {
        return Ok(());
    }
    Err(Trouble::Wrong(format!("{SKIP}iptables cannot drop packets here")))
}

/// Lost and found by each node in turn; what it holds goes or stays as `owners` says, and after it
/// each is at home.
fn lost_by_each(pair: &mut Pair, owners: [&str; 2]) -> Step {
    both_up(pair)?;
    pair.pass(WATCH);
    for (index, owners) in owners.into_iter().enumerate() {
        let label = format!("ping node lost by {}", index + 1);
        pair.measure(&label, owners, |pair| {
            answers(pair, index, false)?;
            pair.pass(WATCH);
            Ok(())
        })?;
        pair.measure(&format!("{label}, and found"), "12", |pair| {
            answers(pair, index, true)?;
            pair.pass(WATCH);
            Ok(())
        })?;
    }
    pair.measure("standby afterwards", "22", |pair| pair.command(0, "standby", "all"))
}

/// Without ipfail a ping node decides nothing.
pub(super) fn ping_lost(pair: &mut Pair) -> Step {
    lost_by_each(pair, ["12", "12"])
}

/// ipfail on both: whoever reaches less gives.
pub(super) fn ping_lost_with_ipfail(pair: &mut Pair) -> Step {
    lost_by_each(pair, ["22", "11"])
}

/// ipfail on one side only: its question is answered by nobody, so nothing moves.
pub(super) fn ping_lost_ipfail_on_one(pair: &mut Pair) -> Step {
    lost_by_each(pair, ["12", "12"])
}
