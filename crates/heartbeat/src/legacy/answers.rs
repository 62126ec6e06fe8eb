//! The answers of Heartbeat's client socket as functions of a snapshot (Heartbeat 3.0.6, §13.2).
//! Who may ask is `session`'s business.

use std::collections::BTreeSet;

use hb_messaging::fields::FieldList;
use hb_node::api::StatusSnapshot;
use hb_node::words::link_word;

use crate::legacy::session::REQUEST_KIND;

/// Carried out, or the last answer of several.
pub(super) const OK: &str = "OK";
/// Not understood or not allowed.
const BADREQ: &str = "badreq";
/// One answer of several.
const MORE: &str = "ok/more";
/// What Heartbeat 3.0.6 says of a node, link or request that it does not know; `cl_status` prints it.
const UNKNOWN: &str = "EINVAL";
/// The beginning of every answer.
pub(super) fn response(kind: &str, result: &str) -> FieldList {
    let mut reply = FieldList::new();
    reply.push_text("t", "hbapi-resp");
    reply.push_text(REQUEST_KIND, kind);
    reply.push_text("result", result);
    reply
}

/// A refusal with its reason.
pub(super) fn refused(kind: &str, info: &str) -> FieldList {
    let mut reply = response(kind, BADREQ);
    reply.push_text("info", info);
    reply
}

/// The answer to a sign-on; `refusal` says why it is refused.
pub(super) fn signed_on(refusal: Option<&str>, snapshot: &StatusSnapshot) -> FieldList {
    let mut reply = match refusal {
        None => response("signon", OK),
        Some(info) => refused("signon", info),
    };
    let timing = &snapshot.timing;
    reply.push_text("deadtime", format!("{:x}", timing.deadtime_ms));
    reply.push_text("keepalive", format!("{:x}", timing.keepalive_ms));
    reply.push_text("node", snapshot.this_node.name.as_str());
    reply.push_text("hbversion", snapshot.heartbeat_version());
    reply.push_text("pacemaker", "false");
    // Clients of the library may log with it; none is the safe word.
    reply.push_text("logfacility", "0");
    reply
}

/// The answers to any other request.
pub(super) fn answer(
    request: &FieldList,
    snapshot: &StatusSnapshot,
    online: &BTreeSet<String>,
) -> Vec<FieldList> {
    let kind = request.text(REQUEST_KIND).unwrap_or_default();
    let word = |name: &str| request.text(name).unwrap_or_default();
    let node = word("node");
    let known = snapshot.node_type(node).is_some();
    let one = match kind {
        "nodelist" => return nodes(snapshot),
        "iflist" => return links(node, snapshot),
        "numnodes" => Some(("numnodes", snapshot.members.len().to_string())),
        "nodestatus" => snapshot.node_status(node).map(|status| ("st", status.into())),
        "nodetype" => snapshot.node_type(node).map(|kind| ("nodetype", kind.into())),
        "nodeweight" => known.then(|| ("weight", "100".into())),
        "nodesite" => known.then(|| ("site", String::new())),
        "ifstatus" => {
            let link = |(name, _): &(&str, bool)| *name == word("ifname");
            let found = snapshot.node_links(node).into_iter().find(link);
            found.map(|(_, up)| ("st", link_word(up).into()))
        }
        "clientstatus" => return vec![client(kind, node, word("cn"), snapshot, online)],
        "getrsc" => Some(("rsc_hold", snapshot.this_node.rscstatus.clone())),
        "getparm" => return vec![parameter(word("pname"), snapshot)],
        // UUIDs serve Pacemaker and ccm only, which this daemon does not run.
        _ => None,
    };
    vec![match one {
        Some((name, value)) => {
            let mut reply = response(kind, OK);
            reply.push_text(name, value);
            reply
        }
        None => refused(kind, UNKNOWN),
    }]
}

/// In the order of ha.cf, members first; the client library turns it round.
fn nodes(snapshot: &StatusSnapshot) -> Vec<FieldList> {
    let pings = snapshot.pings.iter().map(|ping| &ping.name);
    let names: Vec<&String> = snapshot.members.iter().chain(pings).collect();
    several(
        "nodelist",
        names.iter().map(|name| {
            vec![
                ("node", name.as_str()),
                ("nodetype", snapshot.node_type(name).unwrap_or("normal")),
                ("st", snapshot.node_status(name).unwrap_or("dead")),
            ]
        }),
    )
}

fn links(node: &str, snapshot: &StatusSnapshot) -> Vec<FieldList> {
    let links = snapshot.node_links(node);
    several(
        "iflist",
        links.iter().map(|(name, up)| vec![("ifname", *name), ("st", link_word(*up))]),
    )
}

/// One answer for each item, the last one marked as such; a failure when there is no item.
fn several<'a>(
    kind: &str,
    items: impl ExactSizeIterator<Item = Vec<(&'a str, &'a str)>>,
) -> Vec<FieldList> {
    let last = items.len();
    if last == 0 {
        return vec![refused(kind, UNKNOWN)];
    }
    let reply = |(index, item): (usize, Vec<(&str, &str)>)| {
        let mut reply = response(kind, if index + 1 == last { OK } else { MORE });
        item.into_iter().for_each(|(name, value)| reply.push_text(name, value));
        reply
    };
    items.enumerate().map(reply).collect()
}

/// A program that is signed on under a name on this node, is part of this daemon, or is known to be
/// signed on at the other node.
fn client(
    kind: &str,
    node: &str,
    name: &str,
    snapshot: &StatusSnapshot,
    online: &BTreeSet<String>,
) -> FieldList {
    if snapshot.node_type(node).is_none() {
        return refused(kind, UNKNOWN);
    }
    let here = snapshot.this_node.name.eq_ignore_ascii_case(node);
    let online = snapshot.has_client(node, name) || (here && online.contains(name));
    let word = if online { "online" } else { "offline" };
    let mut reply = response(kind, OK);
    // Without it the client library waits for an answer of the other node.
    reply.push_text("subt", "respond-cstatus");
    reply.push_text("cs", word);
    reply
}

fn parameter(name: &str, snapshot: &StatusSnapshot) -> FieldList {
    let mut reply = response("getparm", OK);
    if let Some(value) = snapshot.parameter(name) {
        reply.push_text("pvalue", value);
    }
    reply
}
