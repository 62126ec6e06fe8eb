//! What hb.toml means together with the other files.

use std::collections::BTreeSet;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::duration;
use crate::ha_cf::HaCf;
use crate::haresources::Group;
use crate::hint;
use crate::native::Places;
use crate::settings::{Native, NodeName, Timing};
use crate::span::{FileId, Spanned};

/// Names that a hint looks at, and that a help lists. A pair has a few dozen at most; with more of
/// them one finding would take its time and tell nothing.
const HINTS_MAX: usize = 100;
const NAMES_MAX: usize = 20;

/// Judges hb.toml beside ha.cf and haresources (`None`: not read or with errors, so that nothing can
/// be said to be missing there).
pub fn check(
    cf: &HaCf,
    groups: Option<&[Group]>,
    (native, places): &(Native, Places),
    timing: Option<Timing>,
    node: Option<&NodeName>,
    found: &mut Sink,
) {
    if let Some(groups) = groups {
        check_names(groups, places, found);
    }
    check_fencing(cf, native, places, node, found);
    if let (Some(lease), Some(timing)) = (&places.lease, timing)
        && lease.value >= timing.deadtime_ms
    {
        let text = format!(
            "the lease of {} is not shorter than deadtime {}",
            duration::display(lease.value),
            duration::display(timing.deadtime_ms)
        );
        found.push(
            Diagnostic::new(Code::LeaseTooLong, text)
                .at(lease.span, "too long")
                .help("leave it out: it is half of deadtime then"),
        );
    }
}

fn check_names(groups: &[Group], places: &Places, found: &mut Sink) {
    let resources = || groups.iter().flat_map(|group| &group.resources);
    let texts = resources().map(|resource| resource.value.text.as_str());
    let firsts = groups.iter().filter_map(|group| group.resources.first());
    let keys = firsts.map(|resource| resource.value.text.as_str());
    check_sections(Code::UnknownResourceSection, "resource", &places.resources, texts, found);
    check_sections(Code::UnknownGroupSection, "group", &places.groups, keys, found);
    let built_in = resources().filter(|resource| resource.value.built_in.is_some());
    let addresses: BTreeSet<&str> = built_in.map(|resource| resource.value.text.as_str()).collect();
    for warm in places.warm.iter().filter(|warm| addresses.contains(warm.value.as_str())) {
        let text = format!("{} is an address and cannot be warm", warm.value);
        found.push(
            Diagnostic::new(Code::WarmAddress, text)
                .at(warm.span, "it would be on both nodes")
                .help("remove this line"),
        );
    }
}

/// Sections whose name nothing of haresources has; `known` in its order.
fn check_sections<'a>(
    code: Code,
    what: &str,
    names: &[Spanned<String>],
    known: impl Iterator<Item = &'a str>,
    found: &mut Sink,
) {
    let known: Vec<&str> = known.collect();
    let all: BTreeSet<&str> = known.iter().copied().collect();
    for name in names.iter().filter(|name| !all.contains(name.value.as_str())) {
        found.push_with(code, || unknown(code, what, name, &known));
    }
}

fn unknown(code: Code, what: &str, name: &Spanned<String>, known: &[&str]) -> Diagnostic {
    let text = format!("haresources has no {what} `{}`", name.value);
    let found = Diagnostic::new(code, text);
    match hint::nearest(&name.value, known.iter().copied().take(HINTS_MAX)) {
        Some(near) => found
            .at(name.span, format!("did you mean `{near}`?"))
            .help(format!("write [{what}.\"{near}\"]")),
        None if known.is_empty() => {
            found.at(name.span, "haresources has none").help("remove this section")
        }
        None => found
            .at(name.span, "written otherwise there, or not at all")
            .help(format!("haresources has: {}", listed(known))),
    }
}

/// The first names; a list of hundreds helps nobody.
fn listed(names: &[&str]) -> String {
    let more = if names.len() > NAMES_MAX { ", …" } else { "" };
    names.get(..NAMES_MAX).unwrap_or(names).join(", ") + more
}

fn check_fencing(
    cf: &HaCf,
    native: &Native,
    places: &Places,
    node: Option<&NodeName>,
    found: &mut Sink,
) {
    let members: Vec<&NodeName> = cf.nodes.iter().map(|name| &name.value).collect();
    let names: Vec<&str> = members.iter().map(|name| name.as_str()).collect();
    let all: BTreeSet<&str> = names.iter().copied().collect();
    for target in places.targets.iter().filter(|target| !all.contains(target.value.as_str())) {
        found.push_with(Code::DeviceTarget, || {
            let text = format!("ha.cf has no node `{}`", target.value);
            Diagnostic::new(Code::DeviceTarget, text)
                .at(target.span, "not a member")
                .help(format!("ha.cf has: {}", listed(&names)))
        });
    }
    match (&native.fencing, places.fencing) {
        (Some(fencing), Some(at)) if fencing.devices.is_empty() => found.push(
            Diagnostic::new(Code::FencingWithoutDevice, "[fencing] has no device that is valid")
                .at(at, "nothing to fence with")
                .help("add a [[fencing.device]], or remove this section"),
        ),
        (Some(fencing), _) => {
            let peer = members.iter().find(|name| Some(**name) != node);
            let fences = |peer: &NodeName| {
                fencing.devices.iter().any(|it| it.target.as_ref().is_none_or(|to| to == peer))
            };
            if let Some(peer) = peer.filter(|peer| node.is_some() && !fences(peer)) {
                let text = format!("no fence device can switch {peer} off");
                found.push(
                    Diagnostic::new(Code::PeerNotFenced, text)
                        .in_file(FileId::Native)
                        .help(format!("add a device with `target = \"{peer}\"`")),
                );
            }
        }
        (None, _) => {}
    }
    // A single node has nobody to fence.
    if native.fencing.is_none() && native.witness.is_none() && cf.nodes.len() >= 2 {
        found.push(
            Diagnostic::new(
                Code::FencingAbsent,
                "nothing fences a dead node: if all links fail at once, both nodes run the resources",
            )
            .in_file(FileId::HaCf)
            .help("use two independent heartbeat links; see `hb explain HB0173`"),
        );
    }
}
