//! The plan and the report of a drill for people. Values in, text out.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::fault::{Fault, Kind};
use super::preflight::{Check, Spec};
use super::report::{Measured, Observer, Report, Verdict};
use crate::history::line::span;

/// Outages of one target that are told one by one.
const OUTAGES_SHOWN: usize = 10;

/// What will happen, before it does.
pub(super) fn plan(
    spec: &Spec,
    fault: Option<&Fault>,
    checks: &[Check],
    assumed: &[String],
) -> String {
    let mut out = format!("Drill: {}\n\n", intent(spec));
    for Check { name, ok, text } in checks {
        let mark = if *ok { "ok  " } else { "NO  " };
        let _ = writeln!(out, "  {mark} {name:<15} {text}");
    }
    if !assumed.is_empty() {
        out.push_str("\nExpected as by hb plan, which assumes:\n");
        assumed.iter().for_each(|text| out.push_str(&format!("  {text}\n")));
    }
    if let Some(fault) = fault {
        let max = span(spec.max_outage_ms);
        let _ = write!(
            out,
            "\nUndone by a process of its own, also when this command is killed: {}.\n\
             At once when the service is away for more than {max}; by hand: hb drill --undo\n",
            fault.undone_by(),
        );
    }
    out
}

/// What is done, in a sentence.
fn intent(spec: &Spec) -> String {
    let groups: Vec<&str> = spec.home.keys().map(String::as_str).collect();
    let groups = groups.join(", ");
    let limit = span(spec.limit_ms);
    let after = if spec.moves { ": the other node takes over" } else { ": nothing moves" };
    match spec.kind {
        Kind::Standby if spec.owner_here => {
            format!("standby: this node gives {groups} to the other one")
        }
        Kind::Standby => format!("standby: this node gets {groups} from the other one"),
        Kind::Stop => format!("stop: heartbeat is stopped in order here{after}"),
        Kind::Kill => "kill: heartbeat is killed here, comes back and adopts what runs".to_owned(),
        Kind::Freeze => {
            format!("freeze: heartbeat stands still here for {limit}{after}")
        }
        Kind::Cut => {
            let link = spec.link.as_deref().unwrap_or_default();
            format!("cut: no heartbeat passes {link} for {limit}{after}")
        }
    }
}

/// `2026-11-08T17:20:03.412Z`
pub(super) fn moment(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("{at:.3}"))
}

/// The whole report.
pub(super) fn report(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Passed => "PASSED",
        Verdict::OutageTooLong => "OUTAGE TOO LONG",
        Verdict::Refused => "REFUSED",
        Verdict::Failed => "FAILED",
    };
    let link = report.link.as_ref().map(|link| format!(" {link}")).unwrap_or_default();
    let kind = report.kind.word();
    let mut out =
        format!("Drill {kind}{link} on {} of cluster {}: {verdict}\n", report.node, report.cluster);
    report.reasons.iter().for_each(|text| out.push_str(&format!("  {text}\n")));
    let _ = write!(
        out,
        "\n  by        {}\n  begun     {}\n  ended     {}\n",
        report.by,
        moment(report.begun_unix_ms),
        moment(report.ended_unix_ms)
    );
    for (group, home) in &report.groups {
        let _ = writeln!(out, "  group     {group} on {home}");
    }
    let took = match report.takeover {
        Some(true) => "taken over",
        Some(false) => "not taken over",
        None => "whether it was taken over was not seen",
    };
    let moves = if report.expected.takeover { "taken over" } else { "not taken over" };
    let outage = match report.outage_ms {
        Some(u64::MAX) => "without end".to_owned(),
        Some(ms) => span(ms),
        None => "not measured".to_owned(),
    };
    let _ = write!(
        out,
        "  expected  outage {}, {moves}\n  measured  outage {outage}, {took}\n  allowed   outage {}\n",
        span(report.expected.outage_ms),
        span(report.max_outage_ms)
    );
    let restored = if report.restored { "everything is as it was" } else { "NOT as it was" };
    let _ = writeln!(out, "  after     {restored}");
    for observer in &report.observers {
        observed(observer, &mut out);
    }
    if !report.not_measured.is_empty() {
        out.push_str("\nNot measured\n");
        report.not_measured.iter().for_each(|text| out.push_str(&format!("  {text}\n")));
    }
    background(report, &mut out);
    out
}

/// What was so before, what happened, and with which files.
fn background(report: &Report, out: &mut String) {
    out.push_str("\nChecked beforehand\n");
    for Check { name, ok, text } in &report.checks {
        let _ = writeln!(out, "  {} {name:<15} {text}", if *ok { "ok" } else { "NO" });
    }
    out.push_str("\nTimeline (each node by its own clock)\n");
    for entry in &report.timeline {
        let _ = writeln!(out, "  {} {:<10} {}", moment(entry.unix_ms), entry.who, entry.text);
    }
    out.push_str("\nConfiguration\n");
    for part in &report.config {
        let same = match part.same {
            Some(true) => "the same on both nodes",
            Some(false) => "DIFFERS between the nodes",
            None => "not compared",
        };
        let _ = writeln!(out, "  {:<12} {} {same}", part.part, part.digest);
    }
    for (node, version) in &report.versions {
        let _ = writeln!(out, "  {node:<12} version {version}");
    }
}

fn observed(observer: &Observer, out: &mut String) {
    let _ = writeln!(out, "\nSeen from {}, asked every {} ms", observer.node, observer.every_ms);
    if let Some(why) = &observer.not_counted {
        let _ = writeln!(out, "  does not count: {why}");
    }
    for Measured { target, group, readings } in &observer.measured {
        let group = group.as_ref().map(|group| format!(" ({group})")).unwrap_or_default();
        let outages = match readings.count {
            1 => "1 outage".to_owned(),
            count => format!("{count} outages"),
        };
        let _ = writeln!(
            out,
            "  {target}{group}: {} questions, {} failed; {outages}, longest {}, together {}; \
             at most {} without a question",
            readings.probes,
            readings.failed,
            ms(readings.max_us),
            ms(readings.total_us),
            ms(readings.resolution_us),
        );
        for outage in readings.outages.iter().take(OUTAGES_SHOWN) {
            let begun = observer.begun_unix_ms.unwrap_or(0);
            let at = moment(begun.saturating_add(outage.from_us / 1_000));
            let _ = match outage.to_us {
                Some(to) => writeln!(out, "    {at} for {}", ms(to.saturating_sub(outage.from_us))),
                None => writeln!(out, "    {at} to the end"),
            };
        }
        let more = readings.count.saturating_sub(OUTAGES_SHOWN as u64);
        if more > 0 {
            let _ = writeln!(out, "    and {more} more");
        }
    }
}

/// `8.4 ms`, `1.3 s`
fn ms(us: u64) -> String {
    if us < 100_000 { format!("{}.{} ms", us / 1_000, us % 1_000 / 100) } else { span(us / 1_000) }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report as example;
    use super::super::report::{Moment, Trouble};
    use super::*;
    use crate::probe::meter::{Outage, Readings};

    #[test]
    fn a_report_says_everything_an_auditor_asks_for() {
        let mut passed = example(Vec::new());
        passed.timeline.push(Moment {
            unix_ms: 1_795_000_000_412,
            who: "ha2".to_owned(),
            text: "www is served by ha2".to_owned(),
        });
        passed.not_measured.push("from ha2: no ssh".to_owned());
        let outage = Outage { from_us: 412_000, to_us: Some(495_000) };
        let readings = Readings {
            probes: 900,
            failed: 7,
            resolution_us: 14_100,
            count: 1,
            total_us: 83_000,
            max_us: 83_000,
            outages: vec![outage],
        };
        let measured = Measured {
            target: "ping:192.0.2.100".to_owned(),
            group: Some("www".to_owned()),
            readings,
        };
        passed.observers.push(Observer {
            node: "ha1".to_owned(),
            begun_unix_ms: Some(1_795_000_000_000),
            every_ms: 10,
            measured: vec![measured],
            ..Observer::default()
        });
        passed.judge(Trouble::default());
        insta::assert_snapshot!(report(&passed));
    }

    #[test]
    fn lengths_and_moments() {
        let check = |us: u64, expect: &str| assert_eq!(ms(us), expect);
        check(0, "0.0 ms");
        check(8_460, "8.4 ms");
        check(99_999, "99.9 ms");
        check(1_300_000, "1.3 s");
        assert_eq!(moment(1_795_000_000_412), "2026-11-18T11:06:40.412Z");
        assert_eq!(moment(u64::MAX), "at an unknown time");
    }
}
