//! keepalive, deadtime, warntime, initdead, deadping: defaults and rules (Heartbeat 3.0.6, §6.1 of
//! the protocol description; the rules for warntime are ours).

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::directives::DirectiveId;
use crate::duration::{display, format_seconds};
use crate::ha_cf::HaCf;
use crate::settings::Timing;
use crate::span::{FileId, Spanned};

const DEFAULT_KEEPALIVE_MS: u64 = 1_000;
const DEFAULT_DEADTIME_MS: u64 = 30_000;
/// Below this, 3.0.6 warns that networks need longer after a boot.
const SHORT_INITDEAD_MS: u64 = 10_000;

/// A time as given or by default.
struct Time<'a> {
    ms: u64,
    given: Option<&'a Spanned<u64>>,
}

impl<'a> Time<'a> {
    fn new(given: &'a Option<Spanned<u64>>, default: u64) -> Self {
        Self { ms: given.as_ref().map_or(default, |it| it.value), given: given.as_ref() }
    }

    fn text(&self, name: &str) -> String {
        let default = if self.given.is_some() { "" } else { ", by default" };
        format!("{name} is {}{default}", display(self.ms))
    }
}

pub(super) fn check(cf: &HaCf, found: &mut Sink) -> Timing {
    let keepalive = Time::new(&cf.keepalive, DEFAULT_KEEPALIVE_MS);
    let deadtime = Time::new(&cf.deadtime, DEFAULT_DEADTIME_MS);
    let warntime = Time::new(&cf.warntime, deadtime.ms / 2);
    let initdead = Time::new(&cf.initdead, default_initdead(deadtime.ms));
    let deadping = Time::new(&cf.deadping, deadtime.ms);
    // A default in the place of a time that could not be read would make rules fail for nothing.
    let base = [DirectiveId::Keepalive, DirectiveId::Deadtime];
    if !base.iter().any(|id| cf.faulty.contains(id)) {
        check_deadtime(&keepalive, &deadtime, found);
        check_warntime(&keepalive, &deadtime, &warntime, found);
        check_initdead(&deadtime, &initdead, found);
        check_deadping(cf, &keepalive, &deadping, found);
    }
    Timing {
        keepalive_ms: keepalive.ms,
        deadtime_ms: deadtime.ms,
        warntime_ms: warntime.ms,
        initdead_ms: initdead.ms,
        deadping_ms: deadping.ms,
    }
}

fn default_initdead(deadtime_ms: u64) -> u64 {
    match deadtime_ms {
        0..6_000 => 12_000,
        6_000..=10_000 => 2 * deadtime_ms,
        _ => deadtime_ms,
    }
}

fn check_deadtime(keepalive: &Time<'_>, deadtime: &Time<'_>, found: &mut Sink) {
    if deadtime.ms > 2 * keepalive.ms {
        return;
    }
    let text = format!(
        "deadtime ({}) must be longer than twice keepalive ({})",
        display(deadtime.ms),
        display(keepalive.ms)
    );
    let base = Diagnostic::new(Code::DeadtimeTooShort, text);
    let why = "one lost heartbeat would make the peer look dead";
    let at_keepalive = keepalive.text("keepalive");
    let diagnostic = match (deadtime.given, keepalive.given) {
        (Some(dead), Some(alive)) => base.at(dead.span, why).see(alive.span, at_keepalive),
        (Some(dead), None) => base.at(dead.span, format!("{why}; {at_keepalive}")),
        (None, Some(alive)) => base.at(alive.span, deadtime.text("deadtime")),
        // The defaults obey the rule.
        (None, None) => base.in_file(FileId::HaCf),
    };
    found.push(diagnostic.help(format!(
        "raise deadtime to {} or more, or lower keepalive",
        format_seconds(keepalive.ms.saturating_mul(4))
    )));
}

fn check_warntime(
    keepalive: &Time<'_>,
    deadtime: &Time<'_>,
    warntime: &Time<'_>,
    found: &mut Sink,
) {
    let Some(given) = warntime.given else { return };
    let help =
        format!("leave warntime out: it is half of deadtime then, {}", display(deadtime.ms / 2));
    if warntime.ms >= deadtime.ms {
        let text = format!(
            "warntime ({}) is not shorter than deadtime ({})",
            display(warntime.ms),
            display(deadtime.ms)
        );
        let base = Diagnostic::new(Code::WarntimeTooLong, text)
            .at(given.span, "the node is declared dead before this warning");
        let diagnostic = match deadtime.given {
            Some(dead) => base.see(dead.span, deadtime.text("deadtime")),
            None => base,
        };
        found.push(diagnostic.help(help));
    } else if warntime.ms <= keepalive.ms {
        let text = format!(
            "warntime ({}) is not longer than keepalive ({})",
            display(warntime.ms),
            display(keepalive.ms)
        );
        let base = Diagnostic::new(Code::WarntimeTooShort, text)
            .at(given.span, "each heartbeat would be reported as late");
        let diagnostic = match keepalive.given {
            Some(alive) => base.see(alive.span, keepalive.text("keepalive")),
            None => base,
        };
        found.push(diagnostic.help(help));
    }
}

fn check_initdead(deadtime: &Time<'_>, initdead: &Time<'_>, found: &mut Sink) {
    let Some(given) = initdead.given else { return };
    if initdead.ms < deadtime.ms {
        let text = format!(
            "initdead ({}) is shorter than deadtime ({})",
            display(initdead.ms),
            display(deadtime.ms)
        );
        let base = Diagnostic::new(Code::InitdeadTooShort, text)
            .at(given.span, "it takes the place of deadtime while starting");
        let diagnostic = match deadtime.given {
            Some(dead) => base.see(dead.span, deadtime.text("deadtime")),
            None => base.help(deadtime.text("deadtime")),
        };
        let help = format!("raise initdead to {} or more", format_seconds(deadtime.ms));
        found.push(diagnostic.help(help));
    } else if initdead.ms < SHORT_INITDEAD_MS {
        let text = format!("initdead ({}) is below ten seconds", display(initdead.ms));
        found.push(
            Diagnostic::new(Code::InitdeadShort, text)
                .at(given.span, "switches and interfaces may need longer after a boot")
                .help("use 30 or more, unless nodes and network start within this time"),
        );
    }
}

fn check_deadping(cf: &HaCf, keepalive: &Time<'_>, deadping: &Time<'_>, found: &mut Sink) {
    let Some(given) = deadping.given else { return };
    if deadping.ms <= 2 * keepalive.ms {
        let text = format!(
            "deadping ({}) must be longer than twice keepalive ({})",
            display(deadping.ms),
            display(keepalive.ms)
        );
        let base = Diagnostic::new(Code::DeadpingTooShort, text)
            .at(given.span, "ping nodes are asked once per keepalive");
        let diagnostic = match keepalive.given {
            Some(alive) => base.see(alive.span, keepalive.text("keepalive")),
            None => base,
        };
        found.push(diagnostic.help("raise deadping, or leave it out: it is deadtime then"));
    } else if cf.pings.is_empty() {
        found.push(
            Diagnostic::new(Code::DeadpingUnused, "deadping is set, but there is no ping node")
                .at(given.span, "has no effect")
                .help("add a line such as `ping GATEWAY`, or remove deadping"),
        );
    }
}
