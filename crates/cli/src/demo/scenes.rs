//! The play: what is done to the pair, what must come of it, and what the client saw. Real time and
//! real daemons; the verdict on figures is in `report`.

#![expect(clippy::disallowed_methods, reason = "notes when a step began")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pair::NODES;
use super::report::{Cell, Event, Seen, Step, is_within};
use super::stage::Stage;
use crate::lab::Probe;

/// Longest wait for the page or for a healthy pair, beyond deadtime.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the client goes on after a move, to see whether the service stays.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Pieces of a bar.
const BAR_CELLS: u32 = 44;
/// Shortest time that a bar shows: two probes for each piece, so that a late one leaves no hole.
const BAR_MIN: Duration = Duration::from_millis(220);

/// One step of the play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Stable name.
    id: &'static str,
    /// For people.
    pub(super) title: &'static str,
    act: fn(&mut Stage) -> Result<Act, String>,
}

/// The steps in their order.
pub(super) const ALL: [Scene; 5] = [
    Scene { id: "cold_start", title: "cold start", act: cold_start },
    Scene { id: "power_loss", title: "power loss of the owner", act: power_loss },
    Scene { id: "return", title: "its return", act: power_return },
    Scene { id: "standby", title: "hb standby", act: standby },
    Scene { id: "stop", title: "orderly stop", act: stop },
];

/// Whether there was service before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No: what counts is the time to the first page.
    Start,
    /// Yes: what counts is the outage.
    Move,
}

/// What was done.
#[derive(Debug)]
struct Act {
    kind: Kind,
    /// What, for people.
    title: String,
    /// The moment before it.
    at: Instant,
    /// Which node must serve afterwards; `None`: any.
    heir: Option<&'static str>,
    /// Longest outage that is promised, in ms.
    target_ms: Option<u64>,
    /// Moves of each node before it.
    moves: BTreeMap<&'static str, u64>,
}

/// Plays one step to its end.
pub(super) fn play(scene: Scene, stage: &mut Stage) -> Step {
    let mut step = Step {
        id: scene.id,
        title: scene.title.to_owned(),
        failure: None,
        seen: None,
        target_ms: None,
        within_target: None,
        events: Vec::new(),
    };
    let act = match (scene.act)(stage) {
        Ok(act) => act,
        Err(failure) => {
            step.failure = Some(failure);
            return step;
        }
    };
    step.title.clone_from(&act.title);
    step.target_ms = act.target_ms;
    step.failure = finish(stage, &act).err();
    step.seen = look(stage, &act);
    step.within_target = is_within(step.seen.as_ref(), act.target_ms);
    step.events = events(stage, &act);
    step
}

/// Waits for what must come of `act`.
fn finish(stage: &mut Stage, act: &Act) -> Result<(), String> {
    let limit = PATIENCE + Duration::from_millis(stage.pair.deadtime_ms);
    stage.wait_served(act.heir, limit)?;
    stage.watch(AFTERMATH);
    // The service must have stayed where it went.
    stage.wait_served(act.heir, AFTERMATH).map(drop)
}

fn cold_start(stage: &mut Stage) -> Result<Act, String> {
    for node in NODES {
        stage.boot(node).map_err(|e| e.to_string())?;
    }
    let at = Instant::now();
    for node in NODES {
        stage.start(node).map_err(|e| e.to_string())?;
    }
    let [preferred, _] = NODES;
    let title = format!("cold start of {}", NODES.join(" and "));
    Ok(Act {
        kind: Kind::Start,
        title,
        at,
        heir: Some(preferred),
        target_ms: None,
        moves: BTreeMap::new(),
    })
}

fn power_loss(stage: &mut Stage) -> Result<Act, String> {
    let (owner, heir) = roles(stage)?;
    let moves = moves(stage);
    let at = stage.power_off(owner).map_err(|e| e.to_string())?;
    Ok(Act {
        kind: Kind::Move,
        title: format!("power loss of {owner}"),
        at,
        heir: Some(heir),
        target_ms: Some(stage.pair.crash_target_ms()),
        moves,
    })
}

fn power_return(stage: &mut Stage) -> Result<Act, String> {
    let server = stage.prober.server().ok_or("nobody serves the page")?;
    let back = other(&server)?;
    let mut moves = moves(stage);
    moves.insert(back, 0);
    stage.boot(back).map_err(|e| e.to_string())?;
    let at = Instant::now();
    stage.start(back).map_err(|e| e.to_string())?;
    let [preferred, _] = NODES;
    let goes_home = stage.pair.auto_failback && back == preferred;
    let (heir, what) = if goes_home { (back, "failback") } else { (other(back)?, "no failback") };
    let act = Act {
        kind: Kind::Move,
        title: format!("return of {back}, {what}"),
        at,
        heir: Some(heir),
        target_ms: Some(stage.pair.move_target_ms()),
        moves,
    };
    if !goes_home {
        stage.wait_healthy(PATIENCE)?;
    }
    Ok(act)
}

fn standby(stage: &mut Stage) -> Result<Act, String> {
    let (owner, heir) = roles(stage)?;
    let moves = moves(stage);
    let at = Instant::now();
    stage.command(owner, &["hb", "standby"])?;
    Ok(Act {
        kind: Kind::Move,
        title: format!("hb standby on {owner}"),
        at,
        heir: Some(heir),
        target_ms: Some(stage.pair.move_target_ms()),
        moves,
    })
}

fn stop(stage: &mut Stage) -> Result<Act, String> {
    let (owner, heir) = roles(stage)?;
    let moves = moves(stage);
    let at = Instant::now();
    stage.stop(owner)?;
    Ok(Act {
        kind: Kind::Move,
        title: format!("orderly stop of {owner}"),
        at,
        heir: Some(heir),
        target_ms: Some(stage.pair.move_target_ms()),
        moves,
    })
}

/// Once all is well: who serves, and who is to serve next.
fn roles(stage: &mut Stage) -> Result<(&'static str, &'static str), String> {
    stage.wait_healthy(PATIENCE)?;
    let server = stage.wait_served(None, PATIENCE)?;
    let heir = other(&server)?;
    Ok((other(heir)?, heir))
}

fn other(node: &str) -> Result<&'static str, String> {
    let [a, b] = NODES;
    if node == a {
        Ok(b)
    } else if node == b {
        Ok(a)
    } else {
        Err(format!("the page was served by {node}, which is no node of the pair"))
    }
}

/// The number of the last move of each node.
fn moves(stage: &Stage) -> BTreeMap<&'static str, u64> {
    let last = |node: &str| stage.history(node).last().map_or(0, |entry| entry.number);
    NODES.into_iter().map(|node| (node, last(node))).collect()
}

/// What the client saw of `act`.
fn look(stage: &Stage, act: &Act) -> Option<Seen> {
    let (first_at, first) = stage.prober.first_answer(act.at)?;
    let outage = stage.prober.outage_since(act.at);
    let (last, back, from, to, stalled) = match (act.kind, outage) {
        (Kind::Start, _) => (act.at, first_at, None, first, Duration::ZERO),
        (Kind::Move, Some(o)) => (o.last, o.first, Some(o.from), o.to, o.stalled),
        (Kind::Move, None) => (act.at, act.at, Some(first.clone()), first, Duration::ZERO),
    };
    let summary = stage.prober.summary_since(act.at);
    let length = back.saturating_duration_since(last);
    let bar_length = length.mul_f64(1.3).max(BAR_MIN);
    let begin = last.checked_sub(bar_length.saturating_sub(length) / 2).unwrap_or(last);
    Some(Seen {
        outage_ms: ms(length),
        longest_gap_ms: ms(stage.prober.longest_gap_since(act.at)),
        from: from.map(|node| node.to_string()),
        to: to.to_string(),
        stalled_ms: ms(stalled),
        probes: summary.probes,
        missed: summary.missed.iter().map(|(miss, n)| (miss.word().to_owned(), *n)).collect(),
        bar: bar(&stage.prober.probes_since(begin), begin, bar_length),
        bar_ms: ms(bar_length),
    })
}

/// `length` from `begin` in pieces.
fn bar(probes: &[Probe], begin: Instant, length: Duration) -> Vec<Cell> {
    let piece = length / BAR_CELLS;
    let cell = |number: u32| {
        let (from, to) = (begin + piece * number, begin + piece * (number + 1));
        let first = probes.partition_point(|p| p.end < from);
        let after = probes.partition_point(|p| p.end < to);
        let answers = probes.get(first..after).unwrap_or_default().iter();
        let nodes = answers.filter_map(|p| p.result.as_ref().ok()).map(|node| index(node));
        nodes.fold(Cell::Nothing, |cell, node| match cell {
            Cell::Nothing => Cell::Served(node),
            Cell::Served(before) if before == node => cell,
            Cell::Served(_) | Cell::Change => Cell::Change,
        })
    };
    (0..BAR_CELLS).map(cell).collect()
}

fn index(node: &str) -> usize {
    NODES.iter().position(|n| *n == node).unwrap_or(NODES.len())
}

/// What happened when: the client's view, then the daemons' own.
fn events(stage: &Stage, act: &Act) -> Vec<Event> {
    let mut events = Vec::new();
    let outage = stage.prober.outage_since(act.at).filter(|_| act.kind == Kind::Move);
    if let Some(outage) = outage {
        let since = |at: Instant| ms(at.saturating_duration_since(act.at));
        events.push(Event {
            at_ms: Some(since(outage.last)),
            text: format!("last page of {}", outage.from),
        });
        events.push(Event {
            at_ms: Some(since(outage.first)),
            text: format!("first page of {}", outage.to),
        });
    }
    for node in NODES {
        let before = act.moves.get(node).copied().unwrap_or_default();
        for entry in stage.history(node).into_iter().filter(|e| e.is_move() && e.number > before) {
            let text = format!(
                "{node} {} {} in {} ms: {}",
                entry.what, entry.group, entry.elapsed_ms, entry.reason
            );
            events.push(Event { at_ms: None, text });
        }
    }
    events
}

fn ms(time: Duration) -> f64 {
    // A tenth of a millisecond is already below what scheduling leaves certain.
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Miss;

    #[test]
    fn bars() {
        let begin = Instant::now();
        let length = Duration::from_millis(u64::from(BAR_CELLS) * 10);
        let probe = |at: u64, result: Result<&str, Miss>| Probe {
            start: begin,
            end: begin + Duration::from_millis(at),
            result: result.map(Into::into),
        };
        let probes = [
            probe(1, Ok("node1")),
            probe(9, Ok("node1")),
            probe(11, Err(Miss::Refused)),
            probe(21, Ok("node1")),
            probe(29, Ok("node2")),
            probe(31, Ok("node2")),
        ];
        let cells = bar(&probes, begin, length);
        assert_eq!(cells.len(), BAR_CELLS as usize);
        assert_eq!(
            cells.get(..5),
            Some(
                &[Cell::Served(0), Cell::Nothing, Cell::Change, Cell::Served(1), Cell::Nothing][..]
            )
        );
    }

    #[test]
    fn the_other_node() {
        assert_eq!(other("node1"), Ok("node2"));
        assert_eq!(other("node2"), Ok("node1"));
        assert!(other("node3").is_err());
    }
}
