//! `hb_standby` and `hb_takeover`, from either node, with each word.

use std::time::Duration;

use super::both_up;
use crate::pair::Pair;
use crate::{Side, Step};

/// Verb, word, node and where the two groups are after it.
type Move = (&'static str, &'static str, usize, &'static str);

fn play(pair: &mut Pair, moves: &[Move]) -> Step {
    for (verb, word, node, owners) in moves {
        let label = format!("{verb} {word} on {}", node + 1);
        pair.measure(&label, owners, |pair| pair.command(*node, verb, word))?;
    }
    Ok(())
}

/// The word is from the giver's point of view.
pub(super) fn standby(pair: &mut Pair) -> Step {
    both_up(pair)?;
    play(
        pair,
        &[
            ("standby", "local", 0, "22"),
            ("standby", "foreign", 1, "12"),
            ("standby", "local", 1, "11"),
            ("standby", "failback", 0, "12"),
            ("standby", "all", 0, "22"),
            ("standby", "all", 1, "11"),
            ("standby", "foreign", 0, "12"),
            ("standby", "", 1, "11"),
            ("standby", "local", 0, "21"),
            ("standby", "foreign", 0, "22"),
            ("standby", "local", 1, "21"),
            ("standby", "all", 0, "22"),
            ("standby", "failback", 1, "12"),
        ],
    )
}

/// The word is from the taker's point of view. 3.0.6's `failback` is missing: it takes everything,
/// which is a fault of its own.
pub(super) fn takeover(pair: &mut Pair) -> Step {
    both_up(pair)?;
    play(
        pair,
        &[
            ("takeover", "all", 1, "22"),
            ("takeover", "local", 0, "12"),
            ("takeover", "foreign", 0, "11"),
            ("takeover", "local", 1, "12"),
            ("takeover", "all", 0, "11"),
            ("takeover", "foreign", 1, "21"),
            ("takeover", "all", 1, "22"),
            ("takeover", "", 0, "11"),
        ],
    )
}

/// `hb_takeover failback`: the taker's foreign groups, as the word says. Only between two 3.0.6 nodes
/// everything moves.
pub(super) fn takeover_failback(pair: &mut Pair) -> Step {
    both_up(pair)?;
    let genuine = pair.sides == [Side::Genuine; 2];
    for (taker, giver, all) in [(1, 0, "22"), (0, 1, "11")] {
        let owners = if taker == 1 { "11" } else { "22" };
        pair.command(giver, "takeover", "all")?;
        pair.settle(owners)?;
        let label = format!("takeover failback on {}", taker + 1);
        pair.measure(&label, if genuine { all } else { "21" }, |pair| {
            pair.command(taker, "takeover", "failback")
        })?;
    }
    Ok(())
}

/// The usual pair: one group. Each word that means it, and nothing else happens to it.
pub(super) fn one_group(pair: &mut Pair) -> Step {
    both_up(pair)?;
    play(
        pair,
        &[
            ("takeover", "all", 1, "2"),
            ("standby", "failback", 1, "1"),
            ("standby", "local", 0, "2"),
            ("takeover", "local", 0, "1"),
            ("takeover", "foreign", 1, "2"),
            ("standby", "all", 1, "1"),
            ("standby", "all", 0, "2"),
            ("takeover", "all", 0, "1"),
        ],
    )
}

/// A set without a group in it: nothing moves, and everything works afterwards.
pub(super) fn empty(pair: &mut Pair) -> Step {
    both_up(pair)?;
    play(
        pair,
        &[
            ("standby", "local", 1, "1"),
            ("standby", "all", 0, "2"),
            ("standby", "local", 1, "2"),
            ("standby", "foreign", 0, "2"),
            ("standby", "all", 1, "1"),
        ],
    )
}

/// Both operators give everything away at the same moment. Whatever comes of it, each group has one
/// owner, and the pair works.
pub(super) fn crossing(pair: &mut Pair) -> Step {
    both_up(pair)?;
    for _ in 0..3 {
        pair.begin(0, "standby", "all")?;
        pair.begin(1, "standby", "all")?;
        // 3.0.6 takes back an unanswered question after ten seconds.
        pair.pass(Duration::from_secs(12));
        pair.settle_anyhow()?;
    }
    pair.measure("takeover afterwards", "22", |pair| pair.command(1, "takeover", "all"))
}
