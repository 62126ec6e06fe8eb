//! Datagrams that are not what they claim: replays, wrong keys, weak keys, strangers, nonsense.

use hb_config::settings::{AuthMethod, Framing, NodeName};
use hb_messaging::engine::{Event, Input, LinkId};
use hb_messaging::message::NodeStatus;

use crate::harness::{Net, config, forge, keys, ms, numbered};

fn refusals(net: &Net, index: usize) -> Vec<String> {
    let reason = |event: &Event| match event {
        Event::Refused { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    net.members[index].events.iter().filter_map(|(_, event)| reason(event)).collect()
}

fn inject(net: &mut Net, bytes: Vec<u8>) {
    net.feed(0, Input::Datagram { link: LinkId(0), bytes });
}

const STATUS: [(&str, &str); 5] =
    [("t", "status"), ("st", "active"), ("protocol", "1"), ("hg", "64"), ("ts", "1")];

#[test]
fn a_replayed_session_changes_nothing() {
    let mut net = Net::active();
    net.send(1, numbered(1));
    net.run(ms(500));
    let recorded = net.members[1].sent.clone();
    net.members[0].events.clear();
    for (_, bytes) in &recorded {
        inject(&mut net, bytes.clone());
    }
    assert!(net.received(0).is_empty() && net.statuses(0).is_empty());
}

#[test]
fn a_replay_does_not_revive_a_dead_node() {
    let mut net = Net::active();
    net.send(1, numbered(1));
    net.run(ms(500));
    let recorded = net.members[1].sent.clone();
    net.kill(1);
    net.run(ms(1_500));
    net.members[0].events.clear();
    for (_, bytes) in &recorded {
        inject(&mut net, bytes.clone());
    }
    assert_eq!(net.view(0).status, NodeStatus::Dead);
    assert!(net.received(0).is_empty() && net.link_changes(0).is_empty());
    assert_eq!(refusals(&net, 0), ["replay of generation 100 of node2"]);
    assert!(net.members[0].engine.counters().replay > 1);
}

#[test]
fn an_older_generation_is_refused() {
    let mut net = Net::active();
    let recorded = net.members[1].sent.clone();
    net.kill(1);
    let mut again = config(1);
    again.generation = 101;
    net.restart(1, again);
    net.run(ms(300));
    net.members[0].events.clear();
    for (_, bytes) in &recorded {
        inject(&mut net, bytes.clone());
    }
    assert_eq!(refusals(&net, 0).len(), 1);
    assert!(net.statuses(0).is_empty());
    assert_eq!(net.view(0).generation, 101);
}

#[test]
fn without_a_generation_nothing_is_taken_once_one_is_known() {
    let mut net = Net::active();
    let pairs = [("t", "status"), ("st", "up"), ("seq", "ff"), ("ts", "1")];
    inject(&mut net, forge(&config(1), &pairs));
    assert_eq!(refusals(&net, 0), ["replay of generation 0 of node2"]);
}

#[test]
fn a_message_without_a_session_is_not_delivered() {
    let mut net = Net::active();
    let pairs = [("t", "starting"), ("seq", "5"), ("hg", "65"), ("ts", "1")];
    inject(&mut net, forge(&config(1), &pairs));
    assert!(net.received(0).is_empty());
    net.run(ms(200));
    assert_eq!(net.view(0).generation, 100);
    assert!(net.statuses(0).is_empty(), "the session goes on");
}

#[test]
fn different_keys_hear_nothing_of_each_other() {
    let mut second = config(1);
    second.keys = keys(1, &[(1, AuthMethod::Sha1, "other")]);
    let mut net = Net::new(vec![config(0), second]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(3_500));
    assert_eq!(net.view(0).status, NodeStatus::Init);
    let told = refusals(&net, 0);
    assert!((6..=8).contains(&told.len()), "one per link and second: {}", told.len());
    assert!(told.iter().all(|reason| reason == "signature of key 1 (sha1) does not match"));
    let counters = net.members[0].engine.counters();
    assert_eq!(counters.bad_auth, counters.received);
    assert_eq!(counters.accepted, 0);
}

#[test]
fn keys_can_be_rotated_while_the_pair_runs() {
    let old = [(1, AuthMethod::Sha1, "old")];
    let both = [(1, AuthMethod::Sha1, "old"), (2, AuthMethod::Sha256, "new")];
    let new = [(2, AuthMethod::Sha256, "new")];
    for framing in [Framing::Netstring, Framing::Classic] {
        let with_old = |index| {
            let mut config = config(index);
            config.keys = keys(1, &old);
            config.framing = framing;
            config
        };
        let mut net = Net::active_with(with_old(0), with_old(1));
        let steps = [keys(1, &both), keys(2, &both), keys(2, &new)]
            .into_iter()
            .flat_map(|k| [k.clone(), k]);
        for (step, keys) in steps.enumerate() {
            net.feed(step % 2, Input::Rekey(keys));
            net.run(ms(300));
        }
        for index in 0..2 {
            let member = &net.members[index];
            assert_eq!(member.engine.signing_key(), (2, AuthMethod::Sha256));
            // Each step of the peer is heard as what it announces, and as nothing else.
            let lists: Vec<&str> =
                member.events.iter().map(|(_, event)| announced_keys(event)).collect();
            let [old_and_new, signs_new, new] = lists.as_slice() else { panic!("{lists:?}") };
            assert!(
                old_and_new.starts_with("1:sha1:") && old_and_new.contains(":active 2:sha256:")
            );
            assert!(signs_new.starts_with("1:sha1:") && signs_new.ends_with(":active"));
            assert!(new.starts_with("2:sha256:") && new.ends_with(":active"));
        }
    }
}

#[test]
fn a_copy_is_verified_again_once_the_keys_have_changed() {
    let mut net = Net::active();
    let bytes = forge(&config(1), &[&STATUS[..], &[("seq", "ff")]].concat());
    let counts = |net: &Net| {
        let counters = net.members[0].engine.counters();
        (counters.accepted, counters.duplicate, counters.bad_auth)
    };
    let (accepted, duplicate, bad_auth) = counts(&net);
    for _ in 0..2 {
        inject(&mut net, bytes.clone());
    }
    assert_eq!(counts(&net), (accepted + 1, duplicate + 1, bad_auth));
    // One bit of what is known does not pass for it.
    let mut other = bytes.clone();
    *other.last_mut().expect("it is not empty") ^= 1;
    inject(&mut net, other);
    assert_eq!(net.members[0].engine.counters().malformed, 1);
    net.feed(0, Input::Rekey(keys(1, &[(1, AuthMethod::Sha1, "other")])));
    inject(&mut net, bytes);
    assert_eq!(counts(&net), (accepted + 1, duplicate + 1, bad_auth + 1));
}

/// The list of keys that a peer announces.
fn announced_keys(event: &Event) -> &str {
    match event {
        Event::PeerExtensions { extensions, .. } => {
            extensions.get("x_keys").map(String::as_str).unwrap_or_default()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leftover_crc_line_lets_nobody_in() {
    let lines = [(1, AuthMethod::Crc, ""), (2, AuthMethod::Sha1, "key")];
    let strong = |index| {
        let mut config = config(index);
        config.keys = keys(2, &lines);
        config
    };
    let mut net = Net::active_with(strong(0), strong(1));
    let mut weak = config(1);
    weak.keys = keys(1, &lines);
    inject(&mut net, forge(&weak, &[&STATUS[..], &[("seq", "ff")]].concat()));
    assert_eq!(refusals(&net, 0), ["crc from node2, which signed with a stronger method before"]);
    assert_eq!(net.members[0].engine.counters().bad_auth, 1);
    // Reading the keys again forgets what was seen; the operator has had a say.
    let accepted = net.members[0].engine.counters().accepted;
    net.feed(0, Input::Rekey(keys(2, &lines)));
    inject(&mut net, forge(&weak, &[&STATUS[..], &[("seq", "ff")]].concat()));
    let counters = net.members[0].engine.counters();
    assert_eq!((counters.bad_auth, counters.accepted), (1, accepted + 1));
}

#[test]
fn what_this_node_signs_with_is_strong_enough() {
    let lines = [(1, AuthMethod::Sha1, "key"), (2, AuthMethod::Md5, "key")];
    let with = |index, active| {
        let mut config = config(index);
        config.keys = keys(active, &lines);
        config
    };
    // This node has switched to the weaker method first; the peer follows.
    let mut net = Net::active_with(with(0, 2), with(1, 1));
    net.feed(1, Input::Rekey(keys(2, &lines)));
    net.run(ms(300));
    assert!(refusals(&net, 0).is_empty());
}

#[test]
fn strangers_and_doubles_are_told() {
    let mut net = Net::active();
    let mut stranger = config(1);
    stranger.node = NodeName::new("node9");
    inject(&mut net, forge(&stranger, &[&STATUS[..], &[("seq", "1")]].concat()));
    let mut double = config(0);
    double.uuid = [9; 16];
    inject(&mut net, forge(&double, &[&STATUS[..], &[("seq", "1")]].concat()));
    inject(&mut net, forge(&config(0), &[&STATUS[..], &[("seq", "1")]].concat()));
    assert_eq!(refusals(&net, 0), ["foreign node \"node9\"", "another machine uses this name"]);
    assert_eq!(net.members[0].engine.counters().foreign, 2);
}

#[test]
fn incomplete_messages_are_refused() {
    for (drop, reason) in [
        ("t", "malformed: field t missing or bad"),
        ("ts", "malformed: field ts missing or bad"),
        ("seq", "malformed: field seq missing or bad"),
    ] {
        let mut net = Net::active();
        let all = [&STATUS[..], &[("seq", "ff")]].concat();
        let rest: Vec<_> = all.into_iter().filter(|(name, _)| *name != drop).collect();
        inject(&mut net, forge(&config(1), &rest));
        assert_eq!(refusals(&net, 0), [reason]);
    }
    for (name, value) in [("seq", "0"), ("seq", "x"), ("ts", "0"), ("hg", "-1"), ("t", "")] {
        let mut net = Net::active();
        let all = [&[(name, value)], &STATUS[..], &[("seq", "ff")]].concat();
        inject(&mut net, forge(&config(1), &all));
        assert_eq!(refusals(&net, 0), [format!("malformed: field {name} missing or bad")]);
    }
}

#[test]
fn a_body_without_sense_is_told_and_leaves_no_gap() {
    let mut net = Net::active();
    net.run(ms(50));
    net.kill(1);
    let newest =
        net.sent_fields(1).last().and_then(|list| u64::from_str_radix(list.text("seq")?, 16).ok());
    let next = format!("{:x}", newest.expect("seq") + 1);
    let pairs =
        [("t", "resource"), ("rsc_hold", "some"), ("seq", &next), ("hg", "64"), ("ts", "1")];
    inject(&mut net, forge(&config(1), &pairs));
    assert_eq!(refusals(&net, 0), ["resource of node2: malformed: field rsc_hold missing or bad"]);
    assert_eq!(net.members[0].engine.counters().lost, 0);
    assert!(net.received(0).is_empty());
}

#[test]
fn unsigned_and_nonsense_datagrams_are_counted() {
    let mut net = Net::active();
    inject(&mut net, b"###\n11:(0)t=status,%%%\n".to_vec());
    inject(&mut net, b">>>\nt=status\n<<<\n".to_vec());
    inject(&mut net, b"###\n5:(2)t=,%%%\n".to_vec());
    inject(&mut net, vec![b'A'; 60_000]);
    inject(&mut net, Vec::new());
    assert_eq!(
        refusals(&net, 0),
        ["unsigned", "unsupported: field type 2", "malformed: no start mark"]
    );
    let counters = net.members[0].engine.counters();
    assert_eq!((counters.bad_auth, counters.malformed), (2, 3));
}

#[test]
fn a_datagram_on_an_unknown_link_is_ignored() {
    let mut net = Net::active();
    net.feed(0, Input::Datagram { link: LinkId(7), bytes: b"x".to_vec() });
    net.feed(0, Input::LinkFailed { link: LinkId(7), reason: "x".to_owned() });
    net.feed(0, Input::LinkRestored { link: LinkId(7) });
    assert_eq!(net.members[0].events, []);
}

#[test]
fn the_engines_own_types_cannot_be_sent_from_outside() {
    let mut net = Net::active();
    net.members[0].sent.clear();
    for kind in ["status", "reqnodes", "repnodes", "NS_ackmsg", "NS_anything", &"k".repeat(32)] {
        let body = hb_messaging::message::Body::Other { kind: kind.to_owned(), fields: Vec::new() };
        net.send(0, body);
    }
    assert_eq!(net.members[0].sent, []);
}

#[test]
fn a_message_that_does_not_fit_takes_no_number() {
    let mut net = Net::active();
    net.members[0].sent.clear();
    let body = hb_messaging::message::Body::Other {
        kind: "big".to_owned(),
        fields: vec![("a".to_owned(), "x".repeat(70_000))],
    };
    net.send(0, body);
    assert_eq!(net.members[0].sent, []);
    net.send(0, numbered(1));
    net.run(ms(10));
    assert_eq!(net.received(1), ["1"]);
    assert_eq!(net.members[1].engine.counters().lost, 0);
}

/// 3.0.6 takes unsequenced messages of any generation.
#[test]
fn control_messages_of_an_older_generation_are_refused() {
    let request = |generation: &str| {
        let pairs = [
            ("t", "NS_rexmit"),
            ("dest", "node1"),
            ("firstseq", "1"),
            ("lastseq", "9"),
            ("hg", generation),
            ("ts", "1"),
        ];
        forge(&config(1), &pairs)
    };
    let mut net = Net::active();
    inject(&mut net, request("63"));
    assert_eq!(refusals(&net, 0), ["replay of NS_rexmit of node2"]);
    assert_eq!(net.members[0].engine.counters().rexmit_sent, 0);
    inject(&mut net, request("64"));
    assert!(net.members[0].engine.counters().rexmit_sent > 0);
}
