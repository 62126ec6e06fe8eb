//! Log lines: one for each fact, with a stable id, fields, and a text that keeps the key phrases
//! which scripts know from Heartbeat 3.0.6 (§14 of the protocol description). It only words what
//! others decided.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_config::settings::NodeName;
use hb_messaging::engine::Event;
use hb_messaging::message::{AskStep, Body, HoldWord, NodeStatus};
use hb_resource::operation::{Action, GroupKey, OpId, Operation, Outcome};
use hb_resource::output::Transition;

use crate::effect::{Level, LogEvent};

/// Whole milliseconds, for the field `elapsed_ms`.
pub(crate) fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The peer speaks and does not hear this node: what it has taken is released here.
pub(crate) fn unheard(peer: &str, taken: &BTreeSet<GroupKey>) -> LogEvent {
    let what = match taken.is_empty() {
        true => "nothing is started here".to_owned(),
        false => {
            let keys: Vec<&str> = taken.iter().map(String::as_str).collect();
            format!("it has taken {}, which is released here", keys.join(" "))
        }
    };
    let text = format!(
        "{peer} is heard but hears nothing of this node, and takes it for dead: {what}. Check the \
         network from here to there"
    );
    LogEvent::new(Level::Warn, "unheard", text).with("peer", peer)
}

/// The line for something that messaging noticed.
pub(crate) fn event(event: &Event) -> LogEvent {
    match event {
        Event::Active => {
            LogEvent::new(Level::Info, "node_active", "Local status now set to: 'active'")
        }
        Event::NodeStatus { node, from, to, cause } => node_status(node, *from, *to, cause),
        Event::PeerRestarted { node, generation } => LogEvent::new(
            Level::Info,
            "peer_restarted",
            format!("Heartbeat restart on node {node}: generation {generation}"),
        )
        .with("peer", node)
        .with("gen", generation),
        Event::ReturnedAfterPartition { node } => LogEvent::new(
            Level::Warn,
            "peer_returned",
            format!("Cluster node {node} returning after partition."),
        )
        .with("peer", node),
        Event::LinkStatus { node, link, up, cause } => {
            let (level, word) = if *up { (Level::Info, "up") } else { (Level::Warn, "dead") };
            LogEvent::new(level, "link_status", format!("Link {node}:{link} {word}."))
                .with("peer", node)
                .with("link", link)
                .with("to", word)
                .with("cause", cause)
        }
        Event::LateHeartbeat { node, interval_ms } => LogEvent::new(
            Level::Warn,
            "late_heartbeat",
            format!("Late heartbeat: Node {node}: interval {interval_ms} ms"),
        )
        .with("peer", node)
        .with("elapsed_ms", interval_ms),
        Event::PeerExtensions { node, extensions } => {
            let list: Vec<String> =
                extensions.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
            LogEvent::new(
                Level::Debug,
                "peer_extensions",
                format!("node {node} announces [{}]", list.join(" ")),
            )
            .with("peer", node)
        }
        Event::Received { from, body } => received(from, body),
        Event::Refused { link, reason } => {
            LogEvent::new(Level::Warn, "datagram_refused", format!("datagram refused: {reason}"))
                .with("link", link.0)
                .with("cause", reason)
        }
    }
}

fn node_status(node: &NodeName, from: NodeStatus, to: NodeStatus, cause: &str) -> LogEvent {
    let line = if to == NodeStatus::Dead {
        LogEvent::new(Level::Warn, "node_dead", format!("node {node}: is dead ({cause})"))
    } else {
        LogEvent::new(
            Level::Info,
            "node_status",
            format!("Status update for node {node}: now has status {}", to.word()),
        )
    };
    line.with("peer", node).with("from", from.word()).with("to", to.word()).with("cause", cause)
}

fn received(from: &NodeName, body: &Body) -> LogEvent {
    let (level, event, text) = match body {
        Body::Shutdone => {
            (Level::Info, "peer_shutdown", format!("Received shutdown notice from '{from}'."))
        }
        Body::AskResources { hold, step: AskStep::Me, .. } => {
            return wants_standby(from.as_str(), *hold).with("peer", from);
        }
        Body::Starting
        | Body::Resource { .. }
        | Body::AskResources { .. }
        | Body::HbTakeover { .. }
        | Body::Stonith { .. }
        | Body::Other { .. } => {
            (Level::Debug, "message_received", format!("{} from {from}", kind(body)))
        }
    };
    LogEvent::new(level, event, text).with("peer", from).with("type", kind(body))
}

/// The first step of the standby dialogue, by whichever side.
pub(crate) fn wants_standby(node: &str, hold: HoldWord) -> LogEvent {
    let set = hold_word(hold);
    LogEvent::new(Level::Info, "standby_asked", format!("{node} wants to go standby [{set}]"))
}

/// The word of `rsc_hold`.
pub(crate) fn hold_word(hold: HoldWord) -> &'static str {
    match hold {
        HoldWord::None => "none",
        HoldWord::Local => "local",
        HoldWord::Foreign => "foreign",
        HoldWord::All => "all",
    }
}

/// The type of a message (`t`).
pub(crate) fn kind(body: &Body) -> &str {
    match body {
        Body::Starting => "starting",
        Body::Resource { .. } => "resource",
        Body::AskResources { .. } => "ask_resources",
        Body::HbTakeover { .. } => "hb_takeover",
        Body::Shutdone => "shutdone",
        Body::Stonith { .. } => "stonith",
        Body::Other { kind, .. } => kind,
    }
}

/// A message of ours to the peer.
pub(crate) fn sent(body: &Body) -> LogEvent {
    LogEvent::new(Level::Debug, "message_sent", format!("{} sent", kind(body)))
        .with("type", kind(body))
}

/// The line for a transition of the manager; `elapsed_ms` when it completes a move.
pub(crate) fn transition(transition: &Transition, elapsed_ms: Option<u64>) -> LogEvent {
    let Transition { group, from, to, cause, reason } = transition;
    let level = match to.as_str() {
        "failed" | "blocked" => Level::Error,
        _ => Level::Info,
    };
    let (event, subject) = match group {
        Some(group) => ("group_changed", format!("group {group}")),
        None => ("node_changed", "resources".to_owned()),
    };
    let mut line = LogEvent::new(level, event, format!("{subject}: {from} -> {to}: {reason}"));
    if let Some(group) = group {
        line = line.with("group", group);
    }
    line = line.with("from", from).with("to", to).with("cause", cause);
    if let Some(elapsed_ms) = elapsed_ms {
        line = line.with("elapsed_ms", elapsed_ms);
    }
    line
}

/// An operation begins.
pub(crate) fn operation_started(operation: &Operation) -> LogEvent {
    let Operation { id, group, resource, action, kill, .. } = operation;
    let text = [resource.text.as_str(), " ", action.word(), ": begun"].concat();
    let line = LogEvent::new(Level::Debug, "operation_started", text)
        .with("group", group)
        .with("resource", &resource.text)
        .with("action", action.word())
        .with("op", id.0);
    if *kill { line.with("cause", "escalated") } else { line }
}

/// How much it matters that an operation ended so. `status` that finds nothing is an everyday answer.
pub(crate) fn level_of_end(operation: &Operation, outcome: &Outcome) -> Level {
    match outcome {
        Outcome::Ok | Outcome::NotRunning => match operation.action {
            Action::Start | Action::Stop => Level::Info,
            Action::Status | Action::Announce | Action::Validate => Level::Debug,
        },
        Outcome::Failed { .. } | Outcome::TimedOut | Outcome::CouldNotRun { .. } => Level::Warn,
    }
}

/// An operation ended as expected or not.
pub(crate) fn operation_ended(
    operation: &Operation,
    outcome: &Outcome,
    elapsed: Duration,
) -> LogEvent {
    let level = level_of_end(operation, outcome);
    let elapsed_ms = millis(elapsed);
    let text = format!(
        "{} {}: {} ({elapsed_ms} ms)",
        operation.resource.text,
        operation.action.word(),
        outcome.describe()
    );
    let line = LogEvent::new(level, "operation_ended", text)
        .with("group", &operation.group)
        .with("resource", &operation.resource.text)
        .with("action", operation.action.word())
        .with("op", operation.id.0)
        .with("elapsed_ms", elapsed_ms);
    match outcome {
        Outcome::Failed { code: Some(code), .. } => line.with("rc", code),
        Outcome::Ok
        | Outcome::NotRunning
        | Outcome::Failed { code: None, .. }
        | Outcome::TimedOut
        | Outcome::CouldNotRun { .. } => line,
    }
}

/// An answer to an operation that is not under way: counted by the manager, never applied.
pub(crate) fn operation_unknown(op: OpId) -> LogEvent {
    let text = "late result of an operation that nobody waits for";
    LogEvent::new(Level::Debug, "operation_unknown", text).with("op", op.0)
}
