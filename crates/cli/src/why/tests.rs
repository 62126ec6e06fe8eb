//! Answers of every kind from one status and one history.

use hb_node::api::{EntryKind, OutageSince};

use super::*;
use crate::testing;

fn entries(key: &str) -> Vec<HistoryEntry> {
    let moved = |number: u64, from: &str, to: &str, cause: &str| HistoryEntry {
        number,
        unix_ms: 1_794_154_803_412,
        group: key.to_owned(),
        what: "acquired".into(),
        from: Some(from.into()),
        to: Some(to.into()),
        cause: cause.into(),
        reason: format!("because of {cause}"),
        start_ms: Some(512),
        outage_ms: Some(1_040),
        outage_since: Some(OutageSince::LastHeard),
        ..HistoryEntry::default()
    };
    let dead = HistoryEntry {
        number: 6,
        kind: EntryKind::Node,
        subject: Some("node2".into()),
        what: "dead".into(),
        cause: "silent".into(),
        reason: "nothing heard".into(),
        ..HistoryEntry::default()
    };
    vec![moved(5, "node1", "node2", "standby"), dead, moved(7, "node2", "node1", "peer_dead")]
}

#[track_caller]
fn ask(status: &StatusSnapshot, subject: Option<&str>) -> Result<String, String> {
    let entries = entries(&status.groups[0].key);
    let clock = |_: u64| "DATE".to_owned();
    let view = View { status, entries: &entries, clock: &clock, symbols: false };
    view.answer(subject).map(|answer| drawn(&answer))
}

#[test]
fn each_subject_has_its_chain_of_reasons() {
    let degraded = testing::snapshot();
    let key = degraded.groups[0].key.clone();
    let mut text = String::new();
    for subject in
        [None, Some(key.as_str()), Some("nginx"), Some("failback"), Some("node2"), Some("NODE1")]
    {
        text +=
            &format!("# {}\n{}\n", subject.unwrap_or("-"), ask(&degraded, subject).expect("known"));
    }
    insta::assert_snapshot!("why_degraded", text);
}

#[test]
fn a_part_of_a_name_is_enough_when_it_is_the_only_one() {
    let status = testing::healthy();
    assert!(ask(&status, Some("10.0.0.50")).expect("the group").starts_with(&status.groups[0].key));
    assert!(ask(&status, Some("ngi")).expect("the member").starts_with("nginx is running"));
    let unknown = ask(&status, Some("")).unwrap_err();
    assert!(unknown.contains("nginx") && unknown.contains("failback"), "{unknown}");
    assert!(ask(&status, Some("mail")).is_err());
}

#[test]
fn the_last_move_with_its_outage_is_told() {
    let status = testing::healthy();
    let text = ask(&status, Some(&status.groups[0].key)).expect("known");
    assert!(text.contains("because of peer_dead (peer_dead)"), "{text}");
    assert!(
        text.contains("at most 1.0 s, counted from the last packet of the other node"),
        "{text}"
    );
    assert!(text.contains("node2 would take it after 1.0 s of silence"), "{text}");
}
