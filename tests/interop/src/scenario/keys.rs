//! Keys: authkeys read again, a key changed while both serve, and a sender who has none.

use std::time::Duration;

use super::both_up;
use crate::pair::Pair;
use crate::{Side, Step, Trouble};

const AUTHKEYS: &str = "/etc/ha.d/authkeys";
/// Form of what Twinbeat sends beside a 3.0.6 node whose key changes (docs/migrating).
const CLASSIC: &str = "[compatibility]\nmsgfmt = \"classic\"\n";

/// What stands in authkeys at each step of a change.
const OLD: &str = "auth 1\n1 sha1 InteropKey\n";
const BOTH: &str = "auth 1\n1 sha1 InteropKey\n2 md5 AnotherKey\n";
const SWITCHED: &str = "auth 2\n1 sha1 InteropKey\n2 md5 AnotherKey\n";
const NEW: &str = "auth 2\n2 md5 AnotherKey\n";

/// 3.0.6 looks at the file's time, in seconds, to see that it is another.
const OTHER_SECOND: Duration = Duration::from_millis(1_100);

fn give(pair: &mut Pair, index: usize, text: &str) -> Step {
    pair.pass(OTHER_SECOND);
    pair.write(index, AUTHKEYS, text)?;
    pair.reload(index)
}

/// Each key file in turn on both nodes, `first` before the other, and the pair settled after it.
fn roll(pair: &mut Pair, first: usize, texts: &[(&str, &str)]) -> Step {
    for (label, text) in texts {
        pair.measure(label, "12", |pair| {
            give(pair, first, text)?;
            give(pair, 1 - first, text)?;
            // Longer than deadtime: whoever is not understood is missed by now.
            pair.pass(Duration::from_millis(pair.options.deadtime_ms + 1_000));
            Ok(())
        })?;
    }
    Ok(())
}

fn moves(pair: &mut Pair) -> Step {
    pair.measure("standby", "22", |pair| pair.command(0, "standby", "all"))?;
    pair.measure("and back", "12", |pair| pair.command(1, "standby", "foreign"))
}

/// A key more, and a key less, which nobody signs with.
pub(super) fn reload(pair: &mut Pair) -> Step {
    both_up(pair)?;
    roll(pair, 0, &[("a second key", BOTH), ("and without it", OLD)])?;
    moves(pair)
}

/// The documented procedure: in a mixed pair Twinbeat sends the classic form and signs with the new
/// key first. Two 3.0.6 nodes can only do it within deadtime.
pub(super) fn change(pair: &mut Pair) -> Step {
    both_up(pair)?;
    let ours = pair.sides.iter().position(|side| *side == Side::Ours);
    let mixed = ours.filter(|_| pair.sides.contains(&Side::Genuine));
    if let Some(index) = mixed {
        pair.write(index, "/etc/ha.d/hb.toml", CLASSIC)?;
        let alone = if index == 0 { "22" } else { "11" };
        pair.measure("restart for the classic form: stop", alone, |pair| pair.stop(index))?;
        pair.measure("restart for the classic form: start", "12", |pair| pair.start(index))?;
    }
    let first = ours.unwrap_or(0);
    roll(pair, first, &[("both keys known", BOTH)])?;
    if mixed.is_some() {
        // One signs with the new key, the other with the old one, for as long as one likes.
        pair.measure("one has changed", "12", |pair| {
            give(pair, first, SWITCHED)?;
            pair.pass(Duration::from_millis(pair.options.deadtime_ms + 1_000));
            Ok(())
        })?;
        moves(pair)?;
    }
    roll(pair, first, &[("both have changed", SWITCHED), ("the old key dropped", NEW)])?;
    moves(pair)
}

/// How long a flood lasts: a move in each direction is slower on no machine.
const FLOOD: Duration = Duration::from_secs(12);

/// Some of what is sent in this time: the machine may be busy.
const FLOOD_MIN: u64 = 1_000;

/// Somebody without the key sends death notices in the name of a node, as fast as a daemon can bear.
/// Nobody believes them, and the pair works meanwhile.
pub(super) fn flood(pair: &mut Pair) -> Step {
    both_up(pair)?;
    for sender in 0..2 {
        let label = format!("under a flood to {}", 2 - sender);
        pair.measure(&label, "12", |pair| {
            pair.flood(sender, FLOOD)?;
            pair.pass(Duration::from_millis(2 * pair.options.deadtime_ms));
            Ok(())
        })?;
        pair.measure(&format!("{label}: standby"), "22", |pair| pair.command(0, "standby", "all"))?;
        pair.measure(&format!("{label}: back"), "12", |pair| {
            pair.command(1, "standby", "foreign")
        })?;
        pair.pass(FLOOD);
        pair.settle("12")?;
        let refused = pair.counter(1 - sender, "bad_auth")?;
        if refused.is_some_and(|refused| refused < FLOOD_MIN) {
            return Err(Trouble::Wrong(format!("{refused:?} packets refused: that was no flood")));
        }
    }
    moves(pair)
}
