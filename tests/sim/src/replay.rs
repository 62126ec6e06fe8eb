//! `hb-sim replay`: lives through a recording of a daemon and says where it parts from what the daemon
//! decided. It opens no file; the format and the comparing are `hb_node::record`'s.

use hb_messaging::time::Instant;
use hb_node::effect::{Effect, Level};
use hb_node::input::Input;
use hb_node::record::{self, Replay, Step};

use crate::trace;

/// What a replay has come through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Inputs.
    pub inputs: u64,
    /// Of these, datagrams.
    pub datagrams: u64,
    /// Operations that the node wanted.
    pub operations: u64,
    /// Log lines worth a look, and worse.
    pub loud: u64,
    /// Moves of groups.
    pub moves: u64,
    /// Inputs that are missing, because the recorder lost them.
    pub lost: u64,
    /// From the first input to the last, of each life of the daemon, in us.
    pub lasted_us: u64,
}

/// Lives through `file`; each line of the trace goes to `show`. Columns: number of the entry, seconds
/// of the daemon's own clock, node, `<-` for an input and blanks for what follows from it, text.
///
/// # Errors
/// The first difference, or why it cannot be read (on).
pub fn replay(file: &[u8], mut show: impl FnMut(&str)) -> Result<Seen, String> {
    let (entries, damage) = record::read(file).map_err(|damage| damage.to_string())?;
    let (mut replay, mut seen, mut node) = (Replay::new(), Seen::default(), String::new());
    let mut begun = None;
    for (number, entry) in (1_u64..).zip(entries) {
        let (step, difference) = replay.take(entry);
        if let Some(step) = &step {
            if let Step::Begins { node: name, .. } = step {
                node.clone_from(name);
                begun = None;
            }
            count(step, &mut begun, &mut seen);
            lines(number, &node, step, &mut show);
        }
        if let Some(difference) = difference {
            return Err(format!("entry {number}: {difference}"));
        }
    }
    match damage {
        None => Ok(seen),
        Some(damage) => Err(damage.to_string()),
    }
}

fn count(step: &Step, begun: &mut Option<(Instant, u64)>, seen: &mut Seen) {
    match step {
        Step::Begins { lost, .. } => seen.lost += lost,
        Step::Took { at, input, effects } => {
            let (from, before) = *begun.get_or_insert((*at, seen.lasted_us));
            seen.lasted_us = before + (at.as_micros() - from.as_micros());
            seen.inputs += 1;
            seen.datagrams += u64::from(matches!(input, Input::Datagram { .. }));
            for effect in effects {
                seen.operations += u64::from(matches!(effect, Effect::Run(_)));
                seen.moves += u64::from(matches!(effect, Effect::History(_)));
                let loud = |line: &hb_node::effect::LogEvent| line.level >= Level::Warn;
                seen.loud += u64::from(matches!(effect, Effect::Log(line) if loud(line)));
            }
        }
    }
}

fn lines(number: u64, node: &str, step: &Step, show: &mut impl FnMut(&str)) {
    match step {
        Step::Begins { version, lost, node, start } => {
            let what = if *start { "the daemon starts" } else { "the node as it is" };
            let missing = match lost {
                0 => String::new(),
                lost => format!(", {lost} inputs are missing before"),
            };
            show(&format!(
                "{number:>8} {:>14} {node:<8} == {what}, version {version}{missing}",
                ""
            ));
        }
        Step::Took { at, input, effects } => {
            let at = clock(*at);
            if let Some(text) = describe_input(input) {
                show(&format!("{number:>8} {at:>14} {node:<8} <- {text}"));
            }
            for text in effects.iter().filter_map(describe_effect) {
                show(&format!("{number:>8} {at:>14} {node:<8}    {text}"));
            }
        }
    }
}

fn clock(at: Instant) -> String {
    let micros = at.as_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Ticks say nothing.
fn describe_input(input: &Input) -> Option<String> {
    match input {
        Input::Environment { .. }
        | Input::Clock { .. }
        | Input::LocalTime { .. }
        | Input::Timeout => None,
        Input::Datagram { link, bytes } => {
            Some(format!("link {} {}", link.0, trace::describe_datagram(bytes)))
        }
        Input::Start
        | Input::Left { .. }
        | Input::Ethernet(_)
        | Input::ClientName { .. }
        | Input::EchoReply { .. }
        | Input::Link { .. }
        | Input::Done { .. }
        | Input::Request { .. }
        | Input::ClientGone { .. }
        | Input::Look { .. }
        | Input::Guarded { .. }
        | Input::Rival { .. }
        | Input::LogHangs(_)
        | Input::Slept { .. }
        | Input::Fenced { .. }
        | Input::Witness { .. }
        | Input::Reload { .. }
        | Input::Shutdown => Some(format!("{input:?}")),
    }
}

/// What a reader wants to see of what a node decided.
fn describe_effect(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Transmit { bytes, .. } if trace::is_routine(bytes) => None,
        Effect::Transmit { link, bytes } => {
            Some(format!("link {} -> {}", link.0, trace::describe_datagram(bytes)))
        }
        Effect::Log(line) if line.level == Level::Debug => None,
        Effect::Log(line) => Some(format!("{:<5} {}", format!("{:?}", line.level), line.text)),
        Effect::Run(operation) => Some(format!(
            "run op {} {} {}",
            operation.id.0,
            operation.resource.text,
            operation.action.word()
        )),
        Effect::Notify { status } => Some(format!("shows {status}")),
        Effect::Echo { .. } | Effect::Alive | Effect::History(_) | Effect::Reply { .. } => None,
        Effect::Cancel(_)
        | Effect::PeerAddress { .. }
        | Effect::PeerEthernet(_)
        | Effect::Fence { .. }
        | Effect::Witness { .. }
        | Effect::LetWatchdogBite { .. }
        | Effect::Restart { .. }
        | Effect::KeepConfiguration { .. }
        | Effect::Exit { .. } => Some(format!("{effect:?}")),
    }
}
