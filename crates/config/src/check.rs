//! What the files mean together: rules between directives and between files. Each rule looks at
//! parsed values only; where a rule is Heartbeat's own, it says so.

mod groups;
mod links;
mod nodes;
mod timing;

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::ha_cf::HaCf;
use crate::haresources::Group;
use crate::settings::{AutoFailback, NodeName, Timing};
use crate::span::FileId;

/// Judges ha.cf, and haresources where it could be read. Gives the times with their defaults.
pub fn check(
    cf: &HaCf,
    groups: Option<&[Group]>,
    node: Option<&NodeName>,
    found: &mut Vec<Diagnostic>,
) -> Timing {
    nodes::check(cf, node, found);
    links::check(cf, node, found);
    links::check_pings(cf, groups.unwrap_or_default(), found);
    if let Some(groups) = groups {
        groups::check(cf, groups, found);
    }
    check_failback(cf, found);
    check_fencing(cf, found);
    timing::check(cf, found)
}

fn check_failback(cf: &HaCf, found: &mut Vec<Diagnostic>) {
    let warning = match (&cf.auto_failback, &cf.nice_failback) {
        (Some(value), _) if value.value != AutoFailback::Legacy => return,
        (Some(value), _) => Diagnostic::new(
            Code::AutoFailbackLegacy,
            "auto_failback is legacy, which acts as `off` between Twinbeat nodes",
        )
        .at(value.span, "resources stay where they are when their node returns"),
        // nice_failback has a finding of its own.
        (None, Some(_)) => return,
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

fn check_fencing(cf: &HaCf, found: &mut Vec<Diagnostic>) {
    // A stonith line has a finding of its own, and a single node has nobody to fence.
    if cf.stonith.is_some() || cf.nodes.len() < 2 {
        return;
    }
    found.push(
        Diagnostic::new(
            Code::FencingAbsent,
            "nothing fences a dead node: if all links fail at once, both nodes run the resources",
        )
        .in_file(FileId::HaCf)
        .help("use two independent heartbeat links; see `hb explain HB0173`"),
    );
}

#[cfg(test)]
mod tests;
