//! The decision table of ipfail, and its words on the wire.

use super::*;

/// 500 ms of patience, 2 s until failback is free.
fn ipfail() -> Ipfail {
    let mut ipfail = Ipfail {
        node: NodeName::new("node1"),
        peer: NodeName::new("node2"),
        total: 2,
        own: 2,
        theirs: None,
        talking: false,
        pending: None,
        peer_worse: false,
        free: None,
        patience: Duration::from_millis(500),
        trust: Duration::from_millis(2_000),
    };
    ipfail.talk(at(0), true);
    ipfail
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn ready() -> Situation {
    Situation { obstacle: None, held_for: Some(Duration::from_secs(3_600)) }
}

fn busy() -> Situation {
    Situation { obstacle: Some("in flux".into()), ..ready() }
}

fn sent(steps: &[Step]) -> Vec<Word> {
    let word = |step: &Step| match step {
        Step::Send(word) => Some(*word),
        Step::GiveUp(_) | Step::PeerIsWorse(_) | Step::Log(_) => None,
    };
    steps.iter().filter_map(word).collect()
}

fn gives_up(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::GiveUp(_)))
}

#[test]
fn each_word_has_its_answer_and_its_consequence() {
    let check = |own: u32, word: Word, answer: &[Word], pending: bool| {
        let mut ipfail = ipfail();
        ipfail.count(at(0), own);
        let steps = ipfail.hear(at(0), word);
        assert_eq!(sent(&steps), answer, "{own} {word:?}");
        assert_eq!(ipfail.pending.is_some(), pending, "{own} {word:?}");
    };
    check(1, Word::Count(0), &[Word::YouAreDead], false);
    check(1, Word::Count(1), &[Word::AbortGiveup], false);
    check(1, Word::Count(2), &[], true);
    check(0, Word::Count(0), &[Word::AbortGiveup], false);
    check(0, Word::Count(1), &[], true);
    check(0, Word::YouAreDead, &[], true);
    check(0, Word::AbortGiveup, &[], false);
    check(1, Word::Join, &[Word::Count(1)], false);
    check(u32::MAX, Word::YouAreDead, &[], false);
}

#[test]
fn each_change_of_the_own_count_is_told_once() {
    let mut ipfail = ipfail();
    assert_eq!(sent(&ipfail.count(at(1), 1)), [Word::Count(1)]);
    assert_eq!(sent(&ipfail.count(at(2), 1)), []);
    assert_eq!(sent(&ipfail.talk(at(3), true)), [Word::Count(1), Word::Join]);
    ipfail.talk(at(4), false);
    assert_eq!(sent(&ipfail.count(at(5), 2)), []);
    assert_eq!(ipfail.hear(at(6), Word::Count(3)), []);
}

#[test]
fn the_peer_must_be_better_without_a_break() {
    let mut ipfail = ipfail();
    ipfail.hear(at(0), Word::Count(2));
    ipfail.count(at(1_000), 1);
    assert_eq!(ipfail.due(), Some(at(1_500)));
    // The peer says so too; that does not begin the wait anew.
    ipfail.hear(at(1_400), Word::YouAreDead);
    assert_eq!(ipfail.tick(at(1_499), &ready()), []);
    ipfail.hear(at(1_499), Word::Count(1));
    assert_eq!(ipfail.due(), None);
    ipfail.hear(at(1_600), Word::Count(2));
    assert_eq!(ipfail.due(), Some(at(2_100)));
    let steps = ipfail.tick(at(2_100), &ready());
    let reason = "node1 reaches 1 of 2 ping nodes, node2 reaches 2";
    assert_eq!(steps, [Step::GiveUp(reason.into())]);
}

#[test]
fn a_silent_peer_is_never_better() {
    let mut ipfail = ipfail();
    ipfail.count(at(0), 0);
    assert_eq!(ipfail.due(), None);
    ipfail.hear(at(0), Word::Count(2));
    ipfail.talk(at(100), false);
    assert_eq!(ipfail.due(), None);
    ipfail.talk(at(200), true);
    assert_eq!(ipfail.due(), None);
}

#[test]
fn what_cannot_move_is_postponed_and_tried_again() {
    let mut ipfail = ipfail();
    ipfail.hear(at(0), Word::Count(3));
    let first = ipfail.tick(at(500), &busy());
    assert!(matches!(&first[..], [Step::Log(line)] if line.event == "ipfail_postponed"));
    assert!(ipfail.problem().is_some_and(|text| text.ends_with("postponed: in flux")));
    assert_eq!(ipfail.due(), Some(at(1_000)));
    assert_eq!(ipfail.tick(at(1_000), &busy()), []);
    assert!(gives_up(&ipfail.tick(at(1_500), &ready())));
}

#[test]
fn without_groups_nothing_is_given() {
    let mut ipfail = ipfail();
    ipfail.hear(at(0), Word::Count(3));
    let empty = Situation { obstacle: None, held_for: None };
    assert_eq!(ipfail.tick(at(500), &empty), []);
    assert_eq!((ipfail.due(), ipfail.problem()), (None, None));
}

#[test]
fn a_question_without_effect_is_asked_again_and_a_move_that_failed_is_not() {
    let check = |held_ms: u64, again: bool| {
        let mut ipfail = ipfail();
        ipfail.hear(at(0), Word::Count(3));
        assert!(gives_up(&ipfail.tick(at(500), &ready())));
        let later = Situation { obstacle: None, held_for: Some(Duration::from_millis(held_ms)) };
        assert_eq!(gives_up(&ipfail.tick(at(15_500), &later)), again, "{held_ms}");
        assert_eq!(ipfail.due().is_some(), again, "{held_ms}");
    };
    check(20_000, true);
    check(15_000, true);
    check(14_999, false);
}

#[test]
fn failback_is_held_at_once_and_freed_late() {
    let mut ipfail = ipfail();
    assert!(ipfail.hear(at(0), Word::Count(1)).contains(&Step::PeerIsWorse(true)));
    let equal = ipfail.hear(at(1_000), Word::Count(2));
    assert_eq!(equal, [Step::Send(Word::AbortGiveup)]);
    assert_eq!(ipfail.due(), Some(at(3_000)));
    // It flaps: the wait begins anew.
    ipfail.hear(at(2_000), Word::Count(1));
    assert_eq!(ipfail.due(), None);
    ipfail.hear(at(2_500), Word::Count(2));
    ipfail.hear(at(2_600), Word::Count(2));
    assert_eq!(ipfail.tick(at(4_500), &ready()), [Step::PeerIsWorse(false)]);
    assert_eq!(ipfail.due(), None);
    ipfail.hear(at(5_000), Word::Count(1));
    assert_eq!(ipfail.talk(at(5_100), false), [Step::PeerIsWorse(false)]);
}

#[test]
fn patience_follows_keepalive_and_deadping() {
    let check = |keepalive_ms, deadping_ms, expect_ms| {
        let timing = Timing {
            keepalive_ms,
            deadtime_ms: deadping_ms,
            warntime_ms: deadping_ms,
            initdead_ms: deadping_ms,
            deadping_ms,
        };
        let expect = Duration::from_millis(expect_ms);
        assert_eq!(Ipfail::patience(&timing), expect, "{keepalive_ms} {deadping_ms}");
    };
    check(2_000, 30_000, 7_500);
    check(1_000, 10_000, 2_500);
    check(1_000, 3_000, 2_000);
    check(10, 100, 250);
}

#[test]
fn words_are_those_of_3_0_6() {
    let peer = NodeName::new("node2");
    let check = |word: Word, kind: &str, own: &[(&str, &str)]| {
        let expect: Vec<(String, String)> =
            own.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let body = Body::Other { kind: kind.to_owned(), fields: expect };
        assert_eq!(word.body(&peer), body);
        assert_eq!(Word::read(&body), Some(word));
    };
    let ids = [("from_id", "ipfail"), ("to_id", "ipfail")];
    let end = ("client_gen", "0");
    let count = [("num_ping", "1"), ("dest", "node2"), ids[0], ids[1], end];
    check(Word::Count(1), "num_ping_nodes", &count);
    check(Word::YouAreDead, "you_are_dead", &[("dest", "node2"), ids[0], ids[1], end]);
    check(Word::AbortGiveup, "abort_giveup", &[("dest", "node2"), ids[0], ids[1], end]);
    let join = [("st", "join"), ids[0], ids[1], ("info", "signon"), end];
    check(Word::Join, "hbapi-clstat", &join);
}

#[test]
fn what_is_not_ipfails_is_no_word() {
    let check = |kind: &str, own: &[(&str, &str)]| {
        let fields = own.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(Word::read(&Body::Other { kind: kind.to_owned(), fields }), None, "{own:?}");
    };
    let ids = [("from_id", "ipfail"), ("to_id", "ipfail")];
    check("num_ping_nodes", &[("num_ping", "1"), ids[0]]);
    check("num_ping_nodes", &ids);
    for number in ["-1", "", "x", "99999999999"] {
        check("num_ping_nodes", &[("num_ping", number), ids[0], ids[1]]);
    }
    check("hbapi-clstat", &[("st", "leave"), ids[0], ids[1]]);
    check("hbapi-clstat", &[("st", "join"), ("from_id", "ccm"), ("to_id", "ccm")]);
    check("ping", &ids);
    assert_eq!(Word::read(&Body::Starting), None);
}
