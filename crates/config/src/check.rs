//! What the files mean together: rules between directives and between files. Each rule looks at
//! parsed values only; where a rule is Heartbeat's own, it says so.

mod groups;
mod links;
pub mod native;
mod nodes;
mod timing;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::directives::DirectiveId;
use crate::ha_cf::HaCf;
use crate::haresources::Group;
use crate::settings::{AutoFailback, NodeName, Timing};
use crate::span::FileId;

/// Judges ha.cf, and haresources where it could be read (`bad_groups`: with errors, so that more
/// may be missing than was written). Gives the times with their defaults.
pub fn check(
    cf: &HaCf,
    groups: Option<&[Group]>,
    bad_groups: bool,
    node: Option<&NodeName>,
    found: &mut Sink,
) -> Timing {
    nodes::check(cf, groups.unwrap_or_default(), node, found);
    links::check(cf, node, found);
    links::check_pings(cf, groups.unwrap_or_default(), found);
    if let Some(groups) = groups {
        groups::check(cf, groups, bad_groups, node, found);
    }
    check_failback(cf, found);
    check_ipfail(cf, found);
    timing::check(cf, found)
}

fn check_failback(cf: &HaCf, found: &mut Sink) {
    let warning = match (&cf.auto_failback, &cf.nice_failback) {
        (Some(value), _) if value.value != AutoFailback::Legacy => return,
        (Some(value), _) => Diagnostic::new(
            Code::AutoFailbackLegacy,
            "auto_failback is legacy, which acts as `off` between Twinbeat nodes",
        )
        .at(value.span, "resources stay where they are when their node returns"),
        // nice_failback and a line with a fault have findings of their own.
        (None, Some(_)) => return,
        (None, None) if cf.faulty.contains(&DirectiveId::AutoFailback) => return,
        (None, None) => Diagnostic::new(
            Code::AutoFailbackLegacy,
            "auto_failback is absent, which means legacy and acts as `off` between Twinbeat nodes",
        )
        .in_file(FileId::HaCf),
    };
    found.push(
        warning
            .help("write `auto_failback on` if resources shall go home when their node returns")
            .help("write `auto_failback off` if they shall stay until you move them"),
    );
}

/// ipfail compares ping nodes by messages that the legacy mode does not have.
fn check_ipfail(cf: &HaCf, found: &mut Sink) {
    let Some(span) = cf.ipfail else { return };
    let legacy = match (&cf.auto_failback, &cf.nice_failback) {
        (Some(value), _) => value.value == AutoFailback::Legacy,
        (None, Some(nice)) => !nice.value,
        (None, None) => !cf.faulty.contains(&DirectiveId::AutoFailback),
    };
    if legacy {
        found.push(
            Diagnostic::new(
                Code::IpfailNotRun,
                "ipfail has no effect: it needs `auto_failback on` or `auto_failback off`",
            )
            .at(span, "Heartbeat's ipfail refuses the legacy mode too")
            .help("write `auto_failback on` or `auto_failback off`, the same on both nodes"),
        );
    }
    let pings = [DirectiveId::Ping, DirectiveId::Ping6, DirectiveId::PingGroup];
    if cf.pings.is_empty() && pings.iter().all(|ping| !cf.faulty.contains(ping)) {
        found.push(
            Diagnostic::new(Code::IpfailNotRun, "ipfail has no effect: there is no ping node")
                .at(span, "it compares how many ping nodes each node reaches")
                .help("add `ping GATEWAY` on both nodes, or remove this line"),
        );
    }
}

#[cfg(test)]
mod tests;
