//! A group and its resources: who serves it, what would happen to it, each member's last check.

use hb_cli::status::{age, claim_word, if_it_dies};
use hb_node::api::{GroupStatus, ResourceStatus, StatusSnapshot};
use hb_resource::input::GroupClaim;
use maud::{Markup, html};

/// One group.
pub(super) fn group(snapshot: &StatusSnapshot, group: &GroupStatus) -> Markup {
    let this = &snapshot.this_node.name;
    let peer = snapshot.peer.as_ref().map_or("the other node", |peer| peer.name.as_str());
    let notes = [
        ("goes home", group.failback.clone()),
        ("would do", group.would_do.clone()),
        ("could not run here", group.unready_here.clone()),
        ("could not run there", group.unready_peer.as_ref().map(|why| format!("{peer}: {why}"))),
    ];
    let dies = if snapshot.failover_ready { String::new() } else { if_it_dies(snapshot, group) };
    html! {
        section.group {
            h2 { "group " code { (group.key) } }
            p {
                @match &group.active_on {
                    Some(node) => { span class=(tone(GroupClaim::Held)) { "● active on " strong { (node) } } }
                    None => { span.bad { "✖ active on no node" } }
                }
                " · prefers " (group.prefers) " · here " (claim_word(group.here)) ", on " (peer) " "
                (group.peer.map_or("unknown", claim_word)) " · for " (age(group.since_ms))
            }
            @if !group.reason.is_empty() { p.reason { (this) ": " (group.reason) } }
            @if !dies.trim().is_empty() { p.alarm { (dies.trim()) } }
            @for (label, text) in notes {
                @if let Some(text) = text { p.note { (label) ": " (text) } }
            }
            ul.resources {
                @for member in &group.resources { (resource(member, group)) }
            }
        }
    }
}

fn resource(resource: &ResourceStatus, group: &GroupStatus) -> Markup {
    let last = match (resource.checked_ms_ago, &resource.last) {
        (Some(ms), Some(last)) => format!("checked {} ago: {last}", age(ms)),
        (None, Some(last)) => format!("last: {last}"),
        (Some(_) | None, None) => String::new(),
    };
    let failures = match resource.failures {
        0 => String::new(),
        1 => "1 failure".to_owned(),
        count => format!("{count} failures"),
    };
    html! {
        li {
            span class=(tone(group.here)) aria-hidden="true" { (dot(group.here)) } " "
            code { (resource.text) } " "
            span.for { (resource.state) " for " (age(resource.since_ms)) } " "
            span.last { (last) } " "
            @if !failures.is_empty() { span.alarm { (failures) } }
            @if let Some(busy) = &resource.under_way { p.note { "under way: " (busy) } }
        }
    }
}

fn dot(claim: GroupClaim) -> &'static str {
    match claim {
        GroupClaim::Held => "●",
        GroupClaim::Released => "○",
        GroupClaim::Acquiring | GroupClaim::Releasing => "◌",
        GroupClaim::Failed | GroupClaim::Blocked => "✖",
    }
}

fn tone(claim: GroupClaim) -> &'static str {
    match claim {
        GroupClaim::Held => "good",
        GroupClaim::Released => "calm",
        GroupClaim::Acquiring | GroupClaim::Releasing => "moving",
        GroupClaim::Failed | GroupClaim::Blocked => "bad",
    }
}
