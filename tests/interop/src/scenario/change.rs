//! What operators change in a running pair: files, and which Heartbeat a node runs.

use super::both_up;
use crate::pair::Pair;
use crate::play::SKIP;
use crate::{Side, Step, Trouble};

/// A changed ha.cf and `-r` on each node: nothing moves. 3.0.6 executes itself afresh for it.
pub(super) fn reload(pair: &mut Pair) -> Step {
    both_up(pair)?;
    for index in 0..2 {
        pair.measure(&format!("reload on {}", index + 1), "12", |pair| {
            pair.run(index, "sed -i 's/^warntime .*/warntime 700ms/' /etc/ha.d/ha.cf")?;
            pair.reload(index)?;
            pair.pass(std::time::Duration::from_secs(3));
            Ok(())
        })?;
    }
    pair.measure("standby", "22", |pair| pair.command(0, "standby", "all"))?;
    pair.measure("and back", "12", |pair| pair.command(1, "standby", "foreign"))
}

/// Node by node from 3.0.6 to Twinbeat, with the state directory as it was left, and back: the pair
/// that is played with is the one after the migration.
pub(super) fn migrate(pair: &mut Pair) -> Step {
    let goal = pair.sides;
    let ours: Vec<usize> = (0..2).filter(|index| goal[*index] == Side::Ours).collect();
    if ours.is_empty() {
        return Err(Trouble::Wrong(format!("{SKIP}nothing to migrate")));
    }
    for index in 0..2 {
        pair.replace(index, Side::Genuine)?;
    }
    both_up(pair)?;
    for (to, label) in [(Side::Ours, "migration"), (Side::Genuine, "return to 3.0.6")] {
        for index in &ours {
            let (index, other) = (*index, if *index == 0 { "22" } else { "11" });
            let node = index + 1;
            pair.measure(&format!("{label} of {node}: stop"), other, |pair| pair.stop(index))?;
            pair.replace(index, to)?;
            pair.measure(&format!("{label} of {node}: start"), "12", |pair| pair.start(index))?;
        }
        pair.measure("standby", "22", |pair| pair.command(0, "standby", "all"))?;
        pair.measure("and back", "12", |pair| pair.command(1, "standby", "foreign"))?;
    }
    Ok(())
}
