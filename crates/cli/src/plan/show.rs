//! A plan as text: what is assumed, the timeline, the result. Values in, text out.

use std::fmt::Write as _;

use super::story::{Group, Story};
use crate::history::line::span;

/// The whole plan.
pub(super) fn text(story: &Story, symbols: bool) -> String {
    let mut out = format!("plan: {}\n\n", story.what);
    for assumed in &story.assumed {
        let _ = writeln!(out, "  assumed   {assumed}");
    }
    out.push('\n');
    let width = story.nodes.iter().map(|node| node.chars().count()).max().unwrap_or(0);
    for (at_us, node, text) in lines(story) {
        let _ = writeln!(out, "{:>12}  {node:<width$}  {text}", clock(at_us));
    }
    out.push('\n');
    for group in &story.groups {
        let _ = writeln!(out, "  result    {}", result(group, symbols));
    }
    out
}

/// Events and actions in the order in which they begin.
fn lines(story: &Story) -> Vec<(u64, &str, String)> {
    let said = story
        .events
        .iter()
        .map(|event| (event.at_us, event.node.as_deref().unwrap_or(""), event.text.clone()));
    let done = story.actions.iter().map(|bar| {
        let took = match bar.to_us {
            Some(to) => format!("takes {}", span((to - bar.from_us) / 1_000)),
            None => "does not end".to_owned(),
        };
        (bar.from_us, bar.node.as_str(), format!("{} {}: {took}", bar.resource, bar.action))
    });
    let mut lines: Vec<_> = said.chain(done).collect();
    lines.sort_by_key(|(at_us, _, _)| *at_us);
    lines
}

/// `5.012 s`
pub(super) fn clock(at_us: u64) -> String {
    format!("{}.{:03} s", at_us / 1_000_000, at_us % 1_000_000 / 1_000)
}

/// `www: ha1 → ha2, served by nobody for 0.8 s`
pub(super) fn result(group: &Group, symbols: bool) -> String {
    let arrow = if symbols { "→" } else { "->" };
    let Group { key, began_on, ends_on, outage_ms, .. } = group;
    let path = match (began_on, ends_on) {
        (Some(from), Some(to)) if from == to => format!("stays on {from}"),
        (Some(from), Some(to)) => format!("{from} {arrow} {to}"),
        (None, Some(to)) => format!("comes to {to}"),
        (Some(from), None) => format!("leaves {from} and is served by NOBODY in the end"),
        (None, None) => "is served by NOBODY".to_owned(),
    };
    match (ends_on, outage_ms) {
        (None, _) => format!("{key}: {path}"),
        (Some(_), 0) => format!("{key}: {path}, served all the time"),
        (Some(_), ms) => format!("{key}: {path}, served by nobody for {}", span(*ms)),
    }
}
