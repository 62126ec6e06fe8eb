//! The words of messages, made from the status and the history. It decides nothing.

use hb_node::api::{HistoryEntry, PeerNode, StatusSnapshot};
use hb_resource::input::GroupClaim;
use jiff::Timestamp;

use crate::incident::{Kind, Move, Open};

/// Groups that a subject names.
const NAMED_MAX: usize = 3;

/// A length of time: `6.3 s`, `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(ms: u64) -> String {
    let s = ms / 1_000;
    let two = |big: u64, unit: &str, small: u64, sub: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {sub}"),
    };
    match s {
        0..10 => format!("{}.{} s", s, ms % 1_000 / 100),
        10..60 => format!("{s} s"),
        60..3_600 => two(s / 60, "min", s % 60, "s"),
        3_600..86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// A moment, the same for readers in every place: `2026-11-21 17:20:03.412 UTC`.
pub fn utc(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match at {
        Some(at) => at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
        None => format!("{unix_ms} ms"),
    }
}

/// One line of the history.
pub fn entry(entry: &HistoryEntry) -> String {
    let about = if entry.group.is_empty() { entry.subject.as_deref() } else { Some(&*entry.group) };
    let mut text = format!("{}  {}", utc(entry.at_ms()), about.unwrap_or("heartbeat"));
    text += &format!(" {}: {}", entry.what, entry.reason);
    if let Some(by) = &entry.by {
        text += &format!(", by {by}");
    }
    if let Some(outage) = entry.outage_ms {
        text += &format!(", served by nobody for {}", span(outage));
    }
    text
}

/// What was done for it, a line each.
pub fn steps(entry: &HistoryEntry) -> impl Iterator<Item = String> {
    entry.steps.iter().map(|step| {
        format!("    {} {}: {} in {}", step.action, step.resource, step.outcome, span(step.ms))
    })
}

fn names(groups: &[&str]) -> String {
    let shown = groups.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match groups.len().checked_sub(NAMED_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// `www moved ha1→ha2`, or `www started on ha1`.
fn moved(moves: &[Move]) -> String {
    let groups: Vec<&str> = moves.iter().map(|it| it.group.as_str()).collect();
    let to = moves.first().map_or("", |it| it.to.as_str());
    match moves.first().and_then(|it| it.from.as_deref()) {
        Some(from) if from == to => format!("{} started again on {to}", names(&groups)),
        Some(from) => format!("{} moved {from}→{to}", names(&groups)),
        None => format!("{} started on {to}", names(&groups)),
    }
}

/// `service back after 6.3 s`, when it was away.
fn back(moves: &[Move]) -> Option<String> {
    let outage = moves.iter().filter_map(|it| it.outage_ms).max()?;
    Some(format!("service back after {}", span(outage)))
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" — ")
}

/// The one line of moves that belong to no lasting incident.
pub fn of_moves(moves: &[Move], repeats: u32) -> String {
    let why = moves.last().map(|it| match &it.by {
        Some(by) => format!("{} by {by}", it.cause.replace('_', " ")),
        None if it.cause == "failed" => it.reason.clone(),
        None => it.cause.replace('_', " "),
    });
    let often = (repeats > 0).then(|| format!("{} times of late", repeats + 1));
    joined([Some(moved(moves)), why, back(moves), often])
}

/// The one line of an incident that begins.
pub fn begins(open: &Open, status: Option<&StatusSnapshot>) -> String {
    match open.kind {
        Kind::Peer => joined([
            (!open.moves.is_empty()).then(|| moved(&open.moves)),
            Some(absence(open)),
            match open.moves.is_empty() {
                true => status.and_then(served),
                false => back(&open.moves),
            },
        ]),
        Kind::Daemon | Kind::Problem => {
            let often = (open.returns > 0)
                .then(|| format!("it comes and goes ({} times)", open.returns + 1));
            joined([Some(open.text.clone()), often])
        }
    }
}

/// `ha1 silent 5.0 s`
fn absence(open: &Open) -> String {
    let name = &open.subject;
    match (open.cause.as_str(), open.silent_ms) {
        ("left", _) => format!("{name} was stopped in order"),
        ("peer_never_seen" | "never_heard", _) => format!("{name} was never heard"),
        ("lost" | "peer_lost", Some(ms)) => {
            format!("{name} silent {}, not taken for dead", span(ms))
        }
        ("lost" | "peer_lost", None) => format!("{name} silent, not taken for dead"),
        (_, Some(ms)) => format!("{name} silent {}", span(ms)),
        (_, None) => format!("{name} is dead"),
    }
}

/// `www runs on ha2`, and what nobody serves.
fn served(status: &StatusSnapshot) -> Option<String> {
    let here = status.this_node.name.as_str();
    let on = |node: &str| -> Vec<&str> {
        let groups = status.groups.iter();
        groups
            .filter(|it| it.active_on.as_deref() == Some(node))
            .map(|it| it.key.as_str())
            .collect()
    };
    let nobody: Vec<&str> = status
        .groups
        .iter()
        .filter(|it| it.active_on.is_none())
        .map(|it| it.key.as_str())
        .collect();
    let said = |groups: &[&str], words: &str| {
        (!groups.is_empty()).then(|| {
            let verb = if groups.len() == 1 { "is" } else { "are" };
            format!("{} {verb} {words}", names(groups))
        })
    };
    let there =
        status.peer.as_ref().and_then(|peer| said(&on(&peer.name), &format!("on {}", peer.name)));
    let text =
        joined([said(&nobody, "served by nobody"), said(&on(here), &format!("on {here}")), there]);
    (!text.is_empty()).then_some(text)
}

/// The one line of an incident that is over.
pub fn resolved(open: &Open, lasted_ms: u64, status: Option<&StatusSnapshot>) -> String {
    let lasted = span(lasted_ms);
    let often = (open.returns > 0).then(|| format!("it came back {} times", open.returns));
    match open.kind {
        Kind::Peer => joined([
            Some(format!("resolved: {} is back after {lasted}", open.subject)),
            status.and_then(served),
            often,
        ]),
        Kind::Daemon => joined([
            Some(format!("resolved: heartbeat runs again on {} after {lasted}", open.subject)),
            often,
        ]),
        Kind::Problem => joined([Some(format!("resolved after {lasted}: {}", open.text)), often]),
    }
}

/// What both nodes say, with the age of what is not known first hand.
pub fn views(status: &StatusSnapshot) -> Vec<String> {
    let this = &status.this_node;
    let verdict = format!("{:?}", status.verdict).to_uppercase();
    let mut lines = vec![format!("{verdict}, as {} sees it", this.name)];
    lines.push(format!(
        "{}: {}, holds {}",
        this.name,
        this.status,
        held(status, |it| Some(it.here))
    ));
    if let Some(peer) = &status.peer {
        lines.push(format!(
            "{}: {}, holds {}, {}",
            peer.name,
            peer.status,
            held(status, |it| it.peer),
            heard(peer)
        ));
    }
    for group in &status.groups {
        let on = group.active_on.as_deref().unwrap_or("nobody");
        lines.push(format!("group {} is on {on}: {}", group.key, group.reason));
        if let Some(why) = &group.would_do {
            lines.push(format!("  {why}"));
        }
    }
    lines
}

fn held(
    status: &StatusSnapshot,
    claim: impl Fn(&hb_node::api::GroupStatus) -> Option<GroupClaim>,
) -> String {
    let claims: Vec<Option<GroupClaim>> = status.groups.iter().map(&claim).collect();
    if !claims.is_empty() && claims.iter().all(Option::is_none) {
        return "what it has not said".to_owned();
    }
    let held = status.groups.iter().filter(|it| claim(it) == Some(GroupClaim::Held));
    match names(&held.map(|it| it.key.as_str()).collect::<Vec<_>>()) {
        none if none.is_empty() => "nothing".to_owned(),
        names => names,
    }
}

fn heard(peer: &PeerNode) -> String {
    match peer.heard_ms_ago {
        Some(ms) => format!("heard {} ago", span(ms)),
        None => "never heard".to_owned(),
    }
}

/// What a further fault would not be survived by.
pub fn not_redundant(status: &StatusSnapshot) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !status.failover_ready {
        match status.unready.as_slice() {
            [] => lines.push("the other node could not take over".to_owned()),
            reasons => lines.extend(reasons.iter().map(|why| format!("no failover: {why}"))),
        }
    }
    let links = status.peer.iter().flat_map(|peer| &peer.links);
    let (up, down): (Vec<_>, Vec<_>) =
        links.partition(|it| it.up && it.failure.is_none() && it.peer_hears != Some(false));
    if !down.is_empty() {
        let down: Vec<&str> = down.iter().map(|it| it.name.as_str()).collect();
        lines.push(format!(
            "heartbeat links: {} of {} work, not {}",
            up.len(),
            up.len() + down.len(),
            down.join(", ")
        ));
    }
    let dead: Vec<&str> =
        status.pings.iter().filter(|it| it.status == "dead").map(|it| it.name.as_str()).collect();
    if !dead.is_empty() {
        lines.push(format!("ping nodes: no answer of {}", dead.join(", ")));
    }
    lines
}

/// What to do: the advice of the incident, then where to look.
pub fn next(hint: &str, status: Option<&StatusSnapshot>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !hint.is_empty() {
        lines.push(hint.to_owned());
    }
    for problem in status.into_iter().flat_map(|it| &it.problems) {
        let text = format!("{}: {}", problem.text, problem.hint);
        if problem.hint != hint {
            lines.push(text);
        }
    }
    lines.push("look: hb status, hb history".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_and_exact_enough() {
        let check = |ms, expect: &str| assert_eq!(span(ms), expect);
        check(0, "0.0 s");
        check(5_049, "5.0 s");
        check(9_999, "9.9 s");
        check(10_000, "10 s");
        check(200_000, "3 min 20 s");
        check(60_000, "1 min");
        check(7_500_000, "2 h 5 min");
        check(273_600_000, "3 d 4 h");
        assert_eq!(utc(1_795_000_000_412), "2026-11-18 11:06:40.412 UTC");
    }

    #[test]
    fn few_names_are_all_said() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
