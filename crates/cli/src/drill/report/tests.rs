//! Verdicts, from what was measured.

use super::*;
use crate::probe::meter::Outage;

/// Readings with these outages in milliseconds; 0: it lasts.
fn readings(outages: &[u64], answered: bool) -> Readings {
    let one = |ms: &u64| Outage { from_us: 1_000, to_us: (*ms > 0).then_some(1_000 + ms * 1_000) };
    Readings {
        probes: 1_000,
        failed: if answered { 10 } else { 1_000 },
        resolution_us: 12_000,
        count: outages.len() as u64,
        total_us: outages.iter().sum::<u64>() * 1_000,
        max_us: outages.iter().max().copied().unwrap_or(0) * 1_000,
        outages: outages.iter().map(one).collect(),
    }
}

fn observer(node: &str, readings: Readings) -> Observer {
    let measured = vec![Measured { target: "ping:192.0.2.1".to_owned(), group: None, readings }];
    Observer { node: node.to_owned(), every_ms: 10, measured, ..Observer::default() }
}

pub(in crate::drill) fn report(observers: Vec<Observer>) -> Report {
    Report {
        v: VERSION,
        verdict: Verdict::Refused,
        reasons: Vec::new(),
        cluster: "web".to_owned(),
        node: "ha1".to_owned(),
        peer: "ha2".to_owned(),
        by: "kim as root".to_owned(),
        kind: Kind::Stop,
        link: None,
        groups: BTreeMap::from([("www".to_owned(), "ha1".to_owned())]),
        begun_unix_ms: 1_795_000_000_000,
        ended_unix_ms: 1_795_000_009_000,
        max_outage_ms: 5_000,
        checks: vec![Check { name: "peer", ok: true, text: "ha2 is active".to_owned() }],
        expected: Expected { outage_ms: 300, takeover: true, assumed: Vec::new() },
        takeover: Some(true),
        outage_ms: None,
        observers,
        not_measured: Vec::new(),
        aborted: None,
        restored: true,
        timeline: Vec::new(),
        config: Vec::new(),
        versions: BTreeMap::new(),
    }
}

fn judged(mut report: Report, trouble: Trouble) -> Report {
    report.judge(trouble);
    report
}

#[test]
fn the_longest_outage_of_all_observers_counts() {
    let check = |outages: &[&[u64]], verdict, outage_ms: Option<u64>| {
        let observers = outages.iter().map(|it| observer("x", readings(it, true))).collect();
        let report = judged(report(observers), Trouble::default());
        assert_eq!((report.verdict, report.outage_ms), (verdict, outage_ms), "{outages:?}");
        assert!(!report.reasons.is_empty());
    };
    check(&[&[]], Verdict::Passed, Some(0));
    check(&[&[], &[20, 300]], Verdict::Passed, Some(300));
    check(&[&[5_000]], Verdict::Passed, Some(5_000));
    check(&[&[], &[5_001]], Verdict::OutageTooLong, Some(5_001));
    // Not back in the end.
    check(&[&[0]], Verdict::OutageTooLong, Some(u64::MAX));
    check(&[], Verdict::Failed, None);
}

#[test]
fn what_was_not_measured_is_not_guessed() {
    let mut blind = observer("ha1", readings(&[9_000], true));
    blind.not_counted = Some("its kernel answers".to_owned());
    let none = judged(report(vec![blind.clone()]), Trouble::default());
    assert_eq!((none.verdict, none.outage_ms), (Verdict::Failed, None));
    let good = observer("ha2", readings(&[200], true));
    let both = judged(report(vec![blind, good]), Trouble::default());
    assert_eq!((both.verdict, both.outage_ms), (Verdict::Passed, Some(200)));
    let silent = judged(report(vec![observer("ha2", readings(&[], false))]), Trouble::default());
    assert_eq!((silent.verdict, silent.outage_ms), (Verdict::Failed, None));
    let mut slow = readings(&[], true);
    slow.resolution_us = 6_000_000;
    let slow = judged(report(vec![observer("ha2", slow)]), Trouble::default());
    assert_eq!(slow.verdict, Verdict::Failed);
    assert!(slow.reasons[0].contains("stood still for 6.0 s"), "{:?}", slow.reasons);
}

#[test]
fn what_else_fails_a_drill() {
    let fine = || report(vec![observer("ha2", readings(&[], true))]);
    let check = |report: Report, trouble: Trouble, verdict, says: &str| {
        let report = judged(report, trouble);
        assert_eq!(report.verdict, verdict, "{says}");
        assert!(report.reasons[0].contains(says), "{:?}", report.reasons);
    };
    let none = Trouble::default;
    check(fine(), none(), Verdict::Passed, "no interruption");
    let stayed = Report { takeover: Some(false), ..fine() };
    check(stayed, none(), Verdict::Failed, "ha2 did not take the groups over");
    let unknown = Report { takeover: None, ..fine() };
    check(unknown, none(), Verdict::Passed, "no interruption");
    let left = Report { restored: false, ..fine() };
    check(left, none(), Verdict::Failed, "not everything is as it was");
    let trouble = Trouble { failures: vec!["split".to_owned()], too_long: None };
    check(fine(), trouble, Verdict::Failed, "split");
    let trouble = Trouble { failures: Vec::new(), too_long: Some("away for 6 s".to_owned()) };
    check(fine(), trouble, Verdict::OutageTooLong, "away for 6 s");
}
