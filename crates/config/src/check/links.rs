//! Heartbeat links and ping nodes among each other, and against members and addresses.

use std::collections::{BTreeMap, BTreeSet};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::directives::DirectiveId;
use crate::ha_cf::{DEFAULT_PORT, HaCf};
use crate::haresources::{Group, owned_address};
use crate::settings::{Medium, NodeName};
use crate::span::{FileId, Span};

/// The directives that make a heartbeat link.
const MEDIA: [DirectiveId; 5] = [
    DirectiveId::Bcast,
    DirectiveId::Ucast,
    DirectiveId::Ucast6,
    DirectiveId::Mcast,
    DirectiveId::Mcast6,
];

pub(super) fn check(cf: &HaCf, node: Option<&NodeName>, found: &mut Sink) {
    check_presence(cf, found);
    check_duplicates(cf, found);
    check_ports(cf, found);
    if let Some(node) = node {
        check_self(cf, node, found);
    }
}

fn check_presence(cf: &HaCf, found: &mut Sink) {
    let interfaces: BTreeSet<&str> =
        cf.media.iter().map(|medium| medium.value.interface()).collect();
    if let Some(first) = cf.media.first() {
        let complete = !MEDIA.iter().any(|id| cf.faulty.contains(id));
        if interfaces.len() == 1 && cf.nodes.len() > 1 && complete {
            let name = first.value.interface();
            let text = format!("all heartbeats go over one interface, {name}");
            found.push(
                Diagnostic::new(Code::SingleLink, text)
                    .at(first.span, "the only path between the nodes")
                    .help("add a second, independent path, best a direct cable"),
            );
        }
        return;
    }
    if MEDIA.iter().any(|id| cf.faulty.contains(id)) {
        return;
    }
    let base = Diagnostic::new(Code::NoMedia, "there is no heartbeat link");
    let base = match (cf.serial, cf.pings.first()) {
        (Some(span), _) => base.at(span, "serial lines are not used by Twinbeat"),
        (None, Some(ping)) => base.at(ping.span, "a ping node is not a heartbeat link"),
        (None, None) => base.in_file(FileId::HaCf),
    };
    found.push(base.help("add `ucast INTERFACE ADDRESS-OF-THE-PEER` for each path"));
}

fn check_duplicates(cf: &HaCf, found: &mut Sink) {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for medium in &cf.media {
        let key = format!("{:?}", medium.value);
        if let Some(before) = seen.get(&key) {
            found.push(
                Diagnostic::new(Code::DuplicateMedium, "the same link is configured twice")
                    .at(medium.span, "again here")
                    .see(*before, "first here")
                    .help("remove one of them; a second path needs another interface"),
            );
        } else {
            seen.insert(key, medium.span);
        }
    }
}

fn check_ports(cf: &HaCf, found: &mut Sink) {
    let udp_port = cf.udpport.as_ref().map_or(DEFAULT_PORT, |port| port.value);
    let mut unicast: BTreeMap<&str, Span> = BTreeMap::new();
    for medium in &cf.media {
        match &medium.value {
            Medium::Broadcast { interface }
            | Medium::Unicast { interface, .. }
            | Medium::Unicast6 { interface, .. } => {
                unicast.entry(interface).or_insert(medium.span);
            }
            Medium::Multicast { .. } | Medium::Multicast6 { .. } => {}
        }
    }
    for medium in &cf.media {
        let (interface, port) = match &medium.value {
            Medium::Multicast { interface, port, .. }
            | Medium::Multicast6 { interface, port, .. } => (interface, *port),
            Medium::Broadcast { .. } | Medium::Unicast { .. } | Medium::Unicast6 { .. } => continue,
        };
        if let Some(other) = unicast.get(interface.as_str()).filter(|_| port == udp_port) {
            let text = format!("multicast and unicast share port {port} on {interface}");
            found.push(
                Diagnostic::new(Code::PortShared, text)
                    .at(medium.span, "packets may reach the wrong socket")
                    .see(*other, format!("uses port {port} too"))
                    .help(format!(
                        "give multicast another port, {} for instance, on both nodes",
                        port.checked_add(1).unwrap_or(DEFAULT_PORT)
                    )),
            );
        }
    }
}

/// Only by name: which addresses this machine has is not known here.
fn check_self(cf: &HaCf, node: &NodeName, found: &mut Sink) {
    let mut to_self: BTreeMap<&str, Span> = BTreeMap::new();
    let mut to_others: BTreeSet<&str> = BTreeSet::new();
    for medium in &cf.media {
        match &medium.value {
            Medium::Unicast { interface, host } if NodeName::new(host) == *node => {
                to_self.insert(interface, medium.span);
            }
            Medium::Broadcast { interface }
            | Medium::Unicast { interface, .. }
            | Medium::Unicast6 { interface, .. }
            | Medium::Multicast { interface, .. }
            | Medium::Multicast6 { interface, .. } => {
                to_others.insert(interface);
            }
        }
    }
    for (interface, span) in to_self {
        if !to_others.contains(interface) {
            let text = format!("on {interface}, ucast names this node itself and nobody else");
            found.push(
                Diagnostic::new(Code::UnicastToSelf, text)
                    .at(span, "nobody else hears this")
                    .help(format!("add `ucast {interface} ADDRESS-OF-THE-PEER`")),
            );
        }
    }
}

/// Ping nodes that are something else already.
pub(super) fn check_pings(cf: &HaCf, groups: &[Group], found: &mut Sink) {
    let mut taken: BTreeMap<String, (Span, &'static str)> = BTreeMap::new();
    for group in groups {
        for resource in &group.resources {
            if let Some(ip) = owned_address(&resource.value) {
                taken.insert(ip.to_string(), (resource.span, "a floating address"));
            }
        }
    }
    for medium in &cf.media {
        let address = match &medium.value {
            Medium::Unicast { host, .. } => host.to_ascii_lowercase(),
            Medium::Unicast6 { address, .. } => address.to_string(),
            Medium::Broadcast { .. } | Medium::Multicast { .. } | Medium::Multicast6 { .. } => {
                continue;
            }
        };
        taken.insert(address, (medium.span, "the target of a heartbeat link, so a member"));
    }
    let help = "ping something that is neither node, such as the gateway";
    let members: BTreeMap<&NodeName, Span> =
        cf.nodes.iter().map(|node| (&node.value, node.span)).collect();
    let mut names: BTreeMap<&NodeName, Span> = BTreeMap::new();
    for ping in &cf.pings {
        let name = &ping.value.name;
        if let Some(before) = names.get(name) {
            found.push(
                Diagnostic::new(
                    Code::DuplicatePing,
                    format!("the ping node `{name}` is there twice"),
                )
                .at(ping.span, "again here")
                .see(*before, "first here")
                .help("remove one of them"),
            );
            continue;
        }
        names.insert(name, ping.span);
        if let Some(member) = members.get(name) {
            found.push(
                Diagnostic::new(Code::PingIsNode, format!("the ping node `{name}` is a member"))
                    .at(ping.span, "members and ping nodes share one list of names")
                    .see(*member, "the member")
                    .help(help),
            );
            continue;
        }
        for host in &ping.value.hosts {
            if let Some((span, what)) = taken.get(&host.to_ascii_lowercase()) {
                found.push(
                    Diagnostic::new(
                        Code::PingIsMember,
                        format!("the ping node `{host}` says nothing about the network"),
                    )
                    .at(ping.span, "watched to see whether the network works")
                    .see(*span, *what)
                    .help(help),
                );
            }
        }
    }
}
