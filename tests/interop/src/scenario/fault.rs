//! Power losses, cut and lossy links, quick reboots, killed daemons, long silence.

use std::time::Duration;

use hb_cli::lab::{HEARTBEAT, PUBLIC};

use super::{both_up, long_up};
use crate::files::{GROUPS, NODES, SLOW};
use crate::pair::{LOOK_INTERVAL, PATIENCE, Pair, is_possible};
use crate::play::SKIP;
use crate::{Side, Step, Trouble, genuine};

pub(super) fn crash_first(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("power loss", "22", |pair| pair.power_off(0))?;
    pair.boot(0)?;
    pair.measure("return", "12", |pair| pair.start(0))
}

pub(super) fn crash_second(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("power loss of the other", "11", |pair| pair.power_off(1))?;
    pair.boot(1)?;
    pair.measure("return of the other", "12", |pair| pair.start(1))
}

pub(super) fn crash_first_off(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("power loss", "22", |pair| pair.power_off(0))?;
    pair.boot(0)?;
    pair.measure("return", "22", |pair| pair.start(0))?;
    // The survivor of the first dies in turn.
    pair.pass(super::SETTLED_AGE);
    pair.measure("power loss of the survivor", "11", |pair| pair.power_off(1))
}

pub(super) fn crash_second_off(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("power loss of the other", "11", |pair| pair.power_off(1))?;
    pair.boot(1)?;
    pair.measure("return of the other", "11", |pair| pair.start(1))?;
    pair.pass(super::SETTLED_AGE);
    pair.measure("power loss of the survivor", "22", |pair| pair.power_off(0))
}

/// The only heartbeat link breaks for longer than deadtime, then is whole again.
fn cut_and_heal(pair: &mut Pair, owners: &str) -> Step {
    long_up(pair)?;
    pair.cable(0, HEARTBEAT, false)?;
    // Both serve everything, as far as they know.
    pair.pass(Duration::from_millis(2 * pair.options.deadtime_ms + 1_000));
    let before = [pair.begins(0), pair.begins(1)];
    pair.measure("healed", owners, |pair| {
        pair.cable(0, HEARTBEAT, true)?;
        // 3.0.6 gives everything up two seconds later, and before that all looks settled.
        for (index, side) in pair.sides.into_iter().enumerate() {
            if side == Side::Genuine {
                pair.await_begins(index, before[index] + 1)?;
            }
        }
        pair.pass(Duration::from_secs(1));
        Ok(())
    })?;
    for (index, side) in pair.sides.into_iter().enumerate() {
        if side == Side::Ours && pair.begins(index) != before[index] {
            return Err(Trouble::Wrong(format!("node{} restarted itself", index + 1)));
        }
    }
    // And all works afterwards.
    let owner = if owners.starts_with('1') { 0 } else { 1 };
    let (all, back) = if owners.len() == 1 { ("2", "1") } else { ("22", "11") };
    let (all, back) = if owner == 0 { (all, back) } else { (back, all) };
    pair.measure("standby afterwards", all, |pair| pair.command(owner, "standby", "all"))?;
    pair.measure("and back", back, |pair| pair.command(1 - owner, "standby", "all"))
}

pub(super) fn partition(pair: &mut Pair) -> Step {
    cut_and_heal(pair, "12")
}

pub(super) fn partition_one_group(pair: &mut Pair) -> Step {
    cut_and_heal(pair, "1")
}

/// Without failback it stays where it was kept: with a 3.0.6 node that restarts, on ours.
pub(super) fn partition_off(pair: &mut Pair) -> Step {
    let owners = match pair.sides {
        [Side::Genuine, Side::Genuine] | [Side::Ours, Side::Ours] => "12",
        [Side::Ours, Side::Genuine] => "11",
        [Side::Genuine, Side::Ours] => "22",
    };
    cut_and_heal(pair, owners)
}

/// Shorter than deadtime: nobody notices more than a late heartbeat.
pub(super) fn short_partition(pair: &mut Pair) -> Step {
    long_up(pair)?;
    pair.measure("short cut", "1", |pair| {
        pair.cable(0, HEARTBEAT, false)?;
        pair.pass(Duration::from_millis(pair.options.deadtime_ms * 6 / 10));
        pair.cable(0, HEARTBEAT, true)?;
        pair.pass(Duration::from_secs(3));
        Ok(())
    })
}

pub(super) fn one_of_two_links(pair: &mut Pair) -> Step {
    long_up(pair)?;
    for (interface, label) in [(HEARTBEAT, "heartbeat network cut"), (PUBLIC, "and the other")] {
        // The second group's node: its page is served over the public network, the first's is not.
        pair.cable(1, interface, false)?;
        pair.pass(Duration::from_millis(2 * pair.options.deadtime_ms));
        pair.measure(label, "12", |pair| {
            pair.cable(1, interface, true)?;
            pair.pass(Duration::from_secs(1));
            Ok(())
        })?;
    }
    pair.measure("standby", "22", |pair| pair.command(0, "standby", "all"))
}

/// One packet in five is lost, in each direction, through a standby and back.
pub(super) fn loss(pair: &mut Pair) -> Step {
    with_loss(pair, 1)
}

/// The same many times, for faults that need bad luck.
pub(super) fn long_loss(pair: &mut Pair) -> Step {
    with_loss(pair, 8)
}

/// What an operator is told who has to ask again.
const REFUSED: [&str; 2] = ["in flux", "No reply to standby request"];

fn with_loss(pair: &mut Pair, rounds: usize) -> Step {
    both_up(pair)?;
    let rule = "INPUT -p udp --dport 694 -m statistic --mode random --probability 0.2 -j DROP";
    for index in 0..2 {
        if !is_possible(pair.run(index, &format!("iptables -A {rule}")))? {
            let text = format!("{SKIP}iptables cannot drop packets at random here");
            return Err(Trouble::Wrong(text));
        }
    }
    pair.tell("one packet in five is lost");
    let moves = [(0, "local", "22"), (1, "all", "11"), (0, "foreign", "12"), (1, "local", "11")];
    for (round, (node, word, owners)) in (0..rounds).flat_map(|round| moves.map(|m| (round, m))) {
        if round > 0 && node == 0 && word == "local" {
            command_with_loss(pair, 0, "foreign")?;
            pair.settle("12")?;
        }
        let label = format!("standby {word} on {}", node + 1);
        pair.measure(&label, owners, |pair| command_with_loss(pair, node, word))?;
    }
    pair.pass(Duration::from_secs(5));
    pair.settle("11")?;
    for index in 0..2 {
        pair.run(index, &format!("iptables -D {rule}"))?;
        if pair.counter(index, "rexmit_requested")? == Some(0) {
            return Err(Trouble::Wrong(format!("node{} asked for nothing again", index + 1)));
        }
    }
    pair.tell("nothing is lost");
    pair.pass(Duration::from_secs(2));
    pair.measure("standby afterwards", "12", |pair| pair.command(0, "standby", "foreign"))
}

/// Either refuses for as long as it has not heard that the last move has ended, which may be on its way
/// for some rounds, and after a late copy of a message 3.0.6 does until it hears better.
fn command_with_loss(pair: &mut Pair, node: usize, word: &str) -> Step {
    for _ in 0..5 {
        let said = genuine::standby_said(NODES[node], &pair.log(node)).len();
        match pair.command(node, "standby", word) {
            Err(Trouble::Wrong(text)) if REFUSED.iter().any(|words| text.contains(words)) => {}
            Ok(()) if pair.sides[node] == Side::Genuine && is_ignored(pair, node, said)? => {}
            result => return result,
        }
        pair.tell("refused: what is under way has not ended");
        pair.pass(Duration::from_secs(2));
    }
    pair.command(node, "standby", word)
}

/// Whether the 3.0.6 node, which has said `before` things of earlier commands, ignores this one: the
/// command says nothing of that.
fn is_ignored(pair: &mut Pair, node: usize, before: usize) -> Step<bool> {
    for _ in 0..PATIENCE.as_millis() / LOOK_INTERVAL.as_millis() {
        let log = pair.log(node);
        if let Some(line) = genuine::standby_said(NODES[node], &log).get(before) {
            return Ok(line.contains("ignored"));
        }
        pair.pass(LOOK_INTERVAL);
    }
    Err(Trouble::Wrong(format!("{} says nothing of hb_standby", NODES[node])))
}

/// The machine is back before it was missed: no takeover, its services return with it.
pub(super) fn quick_reboot_first(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.measure("quick reboot", "12", |pair| {
        pair.power_off(0)?;
        pair.boot(0)?;
        pair.start(0)
    })
}

pub(super) fn quick_reboot_second(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.measure("quick reboot of the other", "12", |pair| {
        pair.power_off(1)?;
        pair.boot(1)?;
        pair.start(1)
    })
}

/// The daemon alone is killed. Twinbeat's is started again and keeps what runs. With 3.0.6 the
/// services go on unwatched beside those that the peer takes over: nothing to compare.
pub(super) fn daemon_killed(pair: &mut Pair) -> Step {
    both_up(pair)?;
    let ours = (0..2).filter(|index| pair.sides[*index] == Side::Ours);
    let mut played = false;
    for index in ours.collect::<Vec<_>>() {
        played = true;
        pair.measure(&format!("daemon of {} killed", index + 1), "12", |pair| {
            pair.run(index, "kill -9 $(cat /run/heartbeat.pid)")?;
            pair.pass(Duration::from_secs(3));
            Ok(())
        })?;
    }
    if played { Ok(()) } else { Err(Trouble::Wrong(format!("{SKIP}only Twinbeat's is watched"))) }
}

/// Long enough for sequence numbers to pass what both remember, then a move.
pub(super) fn idle(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.pass(Duration::from_millis(1_200 * pair.options.keepalive_ms));
    pair.settle("12")?;
    pair.measure("standby", "22", |pair| pair.command(0, "standby", "all"))?;
    pair.measure("and back", "12", |pair| pair.command(1, "standby", "foreign"))
}

/// `dead` loses its power while node `giver` gives everything to the other, slowly: while it is still
/// stopping its own group, or when the taker has begun to start what it was given. A taker that dies
/// before that makes a 3.0.6 giver forget its own group.
fn dies_in_standby(pair: &mut Pair, giver: usize, dead: usize) -> Step {
    long_up(pair)?;
    for index in 0..2 {
        pair.run(index, &format!("touch {SLOW}"))?;
    }
    let (survivor, owners) = if dead == 0 { (1, "22") } else { (0, "11") };
    let (taker, group) = (1 - giver, GROUPS[giver]);
    let starts = pair.starts(taker, group);
    pair.begin(giver, "standby", "all")?;
    if dead == giver {
        pair.pass(GIVING);
    } else {
        pair.await_starts(taker, group, starts + 1)?;
    }
    pair.measure("power loss within a standby", owners, |pair| pair.power_off(dead))?;
    pair.run(survivor, &format!("rm {SLOW}"))?;
    pair.boot(dead)?;
    pair.run(dead, &format!("rm {SLOW}"))?;
    pair.measure("return", owners, |pair| pair.start(dead))?;
    pair.measure("standby afterwards", if dead == 0 { "11" } else { "22" }, |pair| {
        pair.command(survivor, "standby", "all")
    })
}

/// The giver is still stopping its own group, or has hardly heard of it.
const GIVING: Duration = Duration::from_millis(500);

pub(super) fn first_dies_giving(pair: &mut Pair) -> Step {
    dies_in_standby(pair, 0, 0)
}

pub(super) fn second_dies_giving(pair: &mut Pair) -> Step {
    dies_in_standby(pair, 1, 1)
}

pub(super) fn first_dies_taking(pair: &mut Pair) -> Step {
    dies_in_standby(pair, 1, 0)
}

pub(super) fn second_dies_taking(pair: &mut Pair) -> Step {
    dies_in_standby(pair, 0, 1)
}
