//! Groups of haresources against the members, and against each other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::directives::DirectiveId;
use crate::ha_cf::{HaCf, shorten};
use crate::haresources::{Group, owned_address};
use crate::settings::{AgentSpec, Medium, NodeName, ResourceSpec};
use crate::span::{FileId, Span};

use super::nodes;

/// Resources that keep no state, so that several groups may have the same one.
const STATELESS: [&str; 4] = ["MailTo", "Delay", "WinPopup", "AudibleAlarm"];

/// More members than this are not compared with groups. Two are allowed.
const MAX_MEMBERS: usize = 16;

pub(super) fn check(
    cf: &HaCf,
    groups: &[Group],
    bad_groups: bool,
    node: Option<&NodeName>,
    found: &mut Sink,
) {
    if groups.iter().all(|group| group.resources.is_empty()) && !bad_groups {
        found.push(
            Diagnostic::new(Code::NoGroups, "haresources has no usable group: nothing is managed")
                .in_file(FileId::HaResources)
                .help("write a line for each group: `NODE ADDRESS/PREFIX/INTERFACE SERVICE…`"),
        );
    }
    // Where members are missing, each group would be reported; that they are is told already. So
    // are far too many, with which the comparison would take its time.
    let comparable = (1..=MAX_MEMBERS).contains(&cf.nodes.len());
    if comparable && !cf.faulty.contains(&DirectiveId::Node) {
        check_nodes(cf, groups, node, found);
    }
    check_keys(groups, found);
    check_resources(groups, found);
    check_addresses(cf, groups, found);
}

fn check_nodes(cf: &HaCf, groups: &[Group], node: Option<&NodeName>, found: &mut Sink) {
    let members: Vec<&str> = cf.nodes.iter().map(|node| node.value.as_str()).collect();
    let quoted: Vec<_> = members.iter().take(2).map(|name| format!("`{name}`")).collect();
    for group in groups {
        let name = &group.node.value;
        if members.contains(&name.as_str()) {
            continue;
        }
        let near = nodes::nearest(name, &members);
        let (label, help) = match (node == Some(name), near) {
            (true, _) => (
                "this machine's name, but not a member".to_owned(),
                format!("correct the `node` lines of ha.cf: one of them must be `{name}`"),
            ),
            (false, Some(near)) => {
                (format!("did you mean `{near}`?"), format!("begin the line with `{near}`"))
            }
            (false, None) => (
                "not a member".to_owned(),
                format!(
                    "begin the line with {}; or, if `{name}` is a machine's name (`uname -n`), \
                     correct the `node` lines of ha.cf",
                    quoted.join(" or ")
                ),
            ),
        };
        let mut diagnostic = Diagnostic::new(
            Code::UnknownNode,
            format!("this group prefers `{name}`, which is not a node of ha.cf"),
        )
        .at(group.node.span, label);
        for node in cf.nodes.iter().take(2) {
            diagnostic = diagnostic.see(node.span, "a member");
        }
        found.push(diagnostic.help(help));
    }
}

/// A group is known by its first resource.
fn check_keys(groups: &[Group], found: &mut Sink) {
    let mut keys: BTreeMap<&str, Span> = BTreeMap::new();
    for group in groups {
        let Some(first) = group.resources.first() else { continue };
        let key = first.value.text.as_str();
        match keys.get(key) {
            Some(before) => found.push(
                Diagnostic::new(
                    Code::DuplicateGroup,
                    format!("two groups begin with `{}`", shorten(key)),
                )
                .at(first.span, "a group is known by its first resource")
                .see(*before, "the other group")
                .help("begin each group with a resource of its own, usually its address"),
            ),
            None => {
                keys.insert(key, first.span);
            }
        }
    }
}

fn check_resources(groups: &[Group], found: &mut Sink) {
    // The place, the group and whether it is the group's key, by text.
    let mut seen: BTreeMap<&str, (Span, usize, bool)> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        for (position, resource) in group.resources.iter().enumerate() {
            let spec = &resource.value;
            let Some((before, other, key)) = seen.get(spec.text.as_str()).copied() else {
                seen.insert(&spec.text, (resource.span, number, position == 0));
                continue;
            };
            // Addresses and keys have findings of their own.
            let keys = key && position == 0 && other != number;
            if owned_address(spec).is_some() || keys || (is_stateless(spec) && other != number) {
                continue;
            }
            let where_ = if other == number { "in one group" } else { "in two groups" };
            found.push(
                Diagnostic::new(
                    Code::DuplicateResource,
                    format!("`{}` is there twice, {where_}", shorten(&spec.text)),
                )
                .at(resource.span, "stopping this one also stops the other")
                .see(before, "the other")
                .help("keep it in one group; a group may have several addresses"),
            );
        }
    }
}

fn is_stateless(spec: &ResourceSpec) -> bool {
    match &spec.agent {
        AgentSpec::Script { name, .. } => STATELESS.contains(&name.as_str()),
        AgentSpec::Ocf { .. } | AgentSpec::Systemd { .. } => false,
    }
}

fn check_addresses(cf: &HaCf, groups: &[Group], found: &mut Sink) {
    let mut targets: BTreeMap<IpAddr, Span> = BTreeMap::new();
    for medium in &cf.media {
        let address = match &medium.value {
            Medium::Unicast { host, .. } => host.parse().ok(),
            Medium::Unicast6 { address, .. } => Some(IpAddr::V6(*address)),
            Medium::Broadcast { .. } | Medium::Multicast { .. } | Medium::Multicast6 { .. } => None,
        };
        targets.extend(address.map(|address| (address, medium.span)));
    }
    let mut seen: BTreeMap<IpAddr, (Span, Option<&str>)> = BTreeMap::new();
    for group in groups {
        for (position, resource) in group.resources.iter().enumerate() {
            let Some(ip) = owned_address(&resource.value) else { continue };
            if let Some(target) = targets.get(&ip) {
                found.push(
                    Diagnostic::new(
                        Code::AddressOfMember,
                        format!("the floating address {ip} is a node's own address"),
                    )
                    .at(resource.span, "would move between the nodes")
                    .see(*target, "heartbeats are sent to it")
                    .help("use a floating address of its own"),
                );
            }
            // Two groups with the same key have a finding already.
            let key = (position == 0).then_some(resource.value.text.as_str());
            match seen.get(&ip) {
                Some((_, before)) if key.is_some() && *before == key => {}
                Some((before, _)) => found.push(
                    Diagnostic::new(
                        Code::DuplicateAddress,
                        format!("the floating address {ip} is there twice"),
                    )
                    .at(resource.span, "again here")
                    .see(*before, "first here")
                    .help("an address can live in one group only: remove one of them"),
                ),
                None => {
                    seen.insert(ip, (resource.span, key));
                }
            }
        }
    }
}
