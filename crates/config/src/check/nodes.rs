//! The members: who is there, how many, and whether this machine is one of them.

use std::collections::BTreeMap;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::directives::DirectiveId;
use crate::ha_cf::HaCf;
use crate::haresources::Group;
use crate::hint;
use crate::settings::NodeName;
use crate::span::{FileId, Span, Spanned};

/// Heartbeat's own resource scripts know "us" and "the other" only.
const MAX_NODES: usize = 2;

pub(super) fn check(cf: &HaCf, groups: &[Group], node: Option<&NodeName>, found: &mut Sink) {
    let mut members: BTreeMap<&NodeName, Span> = BTreeMap::new();
    let mut surplus: Vec<&Spanned<NodeName>> = Vec::new();
    for name in &cf.nodes {
        if let Some(before) = members.get(&name.value) {
            found.push(
                Diagnostic::new(
                    Code::DuplicateNode,
                    format!("the node `{}` is named twice", name.value),
                )
                .at(name.span, "again here; Heartbeat 3.0.6 would count it twice")
                .see(*before, "first here")
                .help("remove one of them; upper and lower case do not differ"),
            );
            continue;
        }
        members.insert(&name.value, name.span);
        if members.len() > MAX_NODES {
            surplus.push(name);
        }
    }
    let complete = !cf.faulty.contains(&DirectiveId::Node);
    if complete || members.len() > MAX_NODES {
        check_count(&members, &surplus, found);
    }
    let node = node.filter(|_| complete);
    if let Some(node) = node.filter(|node| !members.contains_key(node) && !members.is_empty()) {
        found.push(own_node_missing(cf, groups, node));
    }
}

fn check_count(
    members: &BTreeMap<&NodeName, Span>,
    surplus: &[&Spanned<NodeName>],
    found: &mut Sink,
) {
    match members.len() {
        0 => found.push(
            Diagnostic::new(Code::NoNodes, "ha.cf names no node")
                .in_file(FileId::HaCf)
                .help("add `node NAME1 NAME2`, with the names that `uname -n` gives"),
        ),
        1 => {
            let span = members.values().next().copied();
            let text = "ha.cf names one node only: nothing can be taken over";
            let mut diagnostic = Diagnostic::new(Code::OnlyOneNode, text);
            if let Some(span) = span {
                diagnostic = diagnostic.at(span, "the only member");
            }
            found.push(diagnostic.help("add the other node's name with `node`"));
        }
        count => {
            let Some(first) = surplus.first() else { return };
            let text = format!("ha.cf names {count} nodes; Twinbeat is for two");
            let base = Diagnostic::new(Code::TooManyNodes, text)
                .at(first.span, "the third node")
                .help("leave two `node` names; what should only be watched is a `ping` node");
            found.push(base);
        }
    }
}

fn own_node_missing(cf: &HaCf, groups: &[Group], node: &NodeName) -> Diagnostic {
    let text = format!("this node, `{node}`, is not in ha.cf");
    let mut found = Diagnostic::new(Code::OwnNodeMissing, text);
    for (index, name) in cf.nodes.iter().take(MAX_NODES).enumerate() {
        found = match index {
            0 => found.at(name.span, "a member"),
            _ => found.see(name.span, "a member"),
        };
    }
    let names: Vec<&str> = cf.nodes.iter().map(|name| name.value.as_str()).collect();
    let near = nearest(node, &names).map(|near| match is_other_form(node.as_str(), near) {
        true => format!(
            "`{near}` is another form of the name; ha.cf must have exactly the output of `uname -n`"
        ),
        false => format!("did you mean `{near}`? The names must be the output of `uname -n`"),
    });
    let help = match groups.iter().find(|group| group.node.value == *node) {
        Some(group) => {
            found = found.see(group.node.span, "haresources has this node");
            format!(
                "haresources names `{node}` too, so the `node` lines of ha.cf are probably wrong: \
                 write the output of `uname -n` of both machines there"
            )
        }
        None => format!(
            "if this machine is a member, write `{node}` (the output of `uname -n`) in ha.cf and \
             haresources on both nodes, or rename the machine"
        ),
    };
    let example = cf.nodes.first().map_or("NAME", |name| name.value.as_str());
    found
        .maybe_help(near)
        .help(help)
        .help(format!("to check the files of another machine: hb check --node {example}"))
}

/// The member that `name` probably means: the same host with or without its domain, or a name
/// with a slip of the keyboard.
pub(super) fn nearest<'a>(name: &NodeName, members: &[&'a str]) -> Option<&'a str> {
    let name = name.as_str();
    let form = members.iter().copied().find(|member| is_other_form(name, member));
    form.or_else(|| hint::nearest(name, members.iter().copied()))
}

/// Whether one is the other without its domain.
fn is_other_form(a: &str, b: &str) -> bool {
    let host = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    a != b && (host(a) == b || host(b) == a)
}
