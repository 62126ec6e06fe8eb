use std::path::PathBuf;

use hb_node::api::{EntryKind, HistoryStep, OutageSince};

use super::*;

fn entry(number: u64) -> HistoryEntry {
    HistoryEntry {
        number,
        unix_ms: 1_794_154_803_412,
        group: "www".into(),
        what: "acquired".into(),
        from: Some("ha2".into()),
        to: Some("ha1".into()),
        cause: "standby".into(),
        reason: "given by ha2".into(),
        by: Some("root@ha2".into()),
        stop_ms: Some(300),
        start_ms: Some(512),
        announced: 3,
        outage_ms: Some(812),
        outage_since: Some(OutageSince::Stopped),
        ..HistoryEntry::default()
    }
}

fn shown(entry: &HistoryEntry) -> String {
    line::line(entry, "08 Nov 17:20:03.412", true)
}

#[test]
fn a_line_is_as_the_manual_draws_it() {
    assert_eq!(
        shown(&entry(41)),
        "#41 08 Nov 17:20:03.412 www ha2→ha1 cause=standby by=root@ha2 stop 0.3 s start 0.5 s \
         announce 3 outage 0.8 s"
    );
    let plain = line::line(&entry(41), "08 Nov 17:20:03.412", false);
    assert!(plain.is_ascii(), "{plain}");
}

#[test]
fn each_kind_has_its_words() {
    let node = |what: &str, reason: &str| HistoryEntry {
        number: 7,
        kind: EntryKind::Node,
        subject: Some("ha1".into()),
        what: what.into(),
        cause: "silent".into(),
        reason: reason.into(),
        ..HistoryEntry::default()
    };
    let tail = |entry: &HistoryEntry| shown(entry)["#7 08 Nov 17:20:03.412 ".len()..].to_owned();
    assert_eq!(tail(&node("dead", "nothing heard")), "node ha1 dead cause=silent: nothing heard");
    let dead = HistoryEntry {
        cause: "peer_dead".into(),
        by: None,
        stop_ms: None,
        start_ms: Some(40),
        announced: 1,
        outage_ms: Some(5_140),
        outage_since: Some(OutageSince::LastHeard),
        ..entry(7)
    };
    assert_eq!(tail(&dead), "www ha2→ha1 cause=peer_dead start 40 ms announce 1 outage ≤5.1 s");
    let failed = HistoryEntry {
        what: "failed".into(),
        to: None,
        cause: "start_failed".into(),
        reason: "nginx failed to start: no\ndisk".into(),
        ..HistoryEntry { number: 7, group: "www".into(), ..node("failed", "") }
    };
    let failed = HistoryEntry { kind: EntryKind::Move, from: Some("ha1".into()), ..failed };
    assert_eq!(
        tail(&failed),
        "www ha1→- failed cause=start_failed: nginx failed to start: no | disk"
    );
    let old_split = HistoryEntry { overlap_ms: Some(3), reason: "both".into(), ..entry(7) };
    assert!(tail(&old_split).starts_with("www SPLIT kept by ha1 cause=standby"), "{old_split:?}");
}

#[test]
fn steps_stand_below() {
    let step = |action: &str, ms| HistoryStep {
        resource: "nginx".into(),
        action: action.into(),
        ms,
        outcome: "ok".into(),
    };
    let entry = HistoryEntry { steps: vec![step("stop", 210), step("start", 8)], ..entry(1) };
    assert_eq!(
        line::details(&entry),
        "      given by ha2\n      stop   nginx   0.2 s   ok\n      start  nginx   8 ms   ok\n      \
         outage 0.8 s, counted from the first stop\n"
    );
}

#[test]
fn the_year_is_shown_when_it_is_another() {
    let now: Zoned = "2026-11-09T09:00:00+00:00[+00:00]".parse().expect("a moment");
    assert_eq!(moment(1_794_154_803_412, &now), "08 Nov 16:20:03.412");
    assert_eq!(moment(1_694_154_803_412, &now), "08 Sep 2023 06:33:23.412");
}

#[test]
fn the_file_goes_further_back_and_the_daemon_knows_more() {
    let numbers = |entries: Vec<HistoryEntry>| -> Vec<u64> {
        entries.iter().map(|entry| entry.number).collect()
    };
    let kept: Vec<HistoryEntry> = [1, 2, 3].map(entry).into();
    assert_eq!(numbers(join(kept.clone(), [3, 4].map(entry).into())), [1, 2, 3, 4]);
    assert_eq!(numbers(join(kept.clone(), Vec::new())), [1, 2, 3]);
    assert_eq!(numbers(join(Vec::new(), kept)), [1, 2, 3]);
}

#[test]
fn without_a_daemon_the_file_is_read_and_damage_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let nowhere = PathBuf::from("/nonexistent");
    assert!(past(&nowhere, dir.path()).is_err(), "nothing is known");
    let text = |number| serde_json::to_string(&entry(number)).expect("serialises");
    let whole = HistoryEntry { outage_ms: Some(900), amends: true, ..entry(2) };
    let whole = serde_json::to_string(&whole).expect("serialises");
    let lines = format!("{}\n{}\n{}\n{{\"number\":4,\"uni", text(1), text(2), whole);
    #[expect(clippy::disallowed_methods, reason = "writes what is to be read")]
    std::fs::write(dir.path().join(api::HISTORY_FILE), lines).expect("writable");
    let past = past(&nowhere, dir.path()).expect("the file is there");
    let found: Vec<_> = past.entries.iter().map(|it| (it.number, it.outage_ms)).collect();
    assert_eq!(found, [(1, Some(812)), (2, Some(900))]);
    assert_eq!((past.daemon, past.unreadable), (false, 1));
}
