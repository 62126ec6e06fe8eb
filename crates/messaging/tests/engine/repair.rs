//! Lost, repeated and overtaken packets: every body once, in order, on any links.

use hb_messaging::engine::{Config, Event, Input, LinkId};
use hb_messaging::message::{Body, Extensions, NodeStatus};

use crate::harness::{KEEPALIVE_MS, Net, config, forge, ms, numbered};

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn with_loss_every_body_arrives_once_and_in_order() {
    for (loss, links, seed) in
        [(200, 1, 1), (200, 1, 2), (200, 1, 3), (200, 2, 4), (400, 2, 5), (300, 1, 6)]
    {
        let with_links = |index| {
            let mut config = config(index);
            config.links.truncate(links);
            config.timing.deadtime_ms = 30_000;
            config
        };
        let mut net = Net::active_with(with_links(0), with_links(1));
        net.loss = loss;
        net.seed_dice(seed);
        for number in 0..300 {
            net.send(1, numbered(number));
            net.run(ms(37));
        }
        net.loss = 0;
        net.run(ms(5_000));
        assert_eq!(net.received(0), numbers(0..300), "loss {loss}, {links} links, seed {seed}");
        let lost = net.members[0].engine.counters().lost;
        assert!(lost > 10, "the links did lose: {lost}");
    }
}

#[test]
fn packets_that_overtake_each_other_are_put_in_order() {
    let mut net = Net::active();
    net.cut_link(1, true);
    for number in 0..50 {
        // Every other packet takes longer than the next one.
        net.latency[0] = if number % 2 == 0 { ms(5) } else { ms(1) };
        net.send(1, numbered(number));
        net.run(ms(1));
    }
    net.run(ms(100));
    assert_eq!(net.received(0), numbers(0..50));
    assert_eq!(net.members[0].engine.counters().rexmit_requested, 0, "no request was needed");
}

#[test]
fn two_links_repeat_everything_and_nothing_is_delivered_twice() {
    let mut net = Net::active();
    let before = net.members[0].engine.counters();
    (0..20).for_each(|number| net.send(1, numbered(number)));
    net.run(ms(10));
    let after = net.members[0].engine.counters();
    assert_eq!(net.received(0), numbers(0..20));
    assert_eq!(after.accepted - before.accepted, after.duplicate - before.duplicate);
    assert_eq!((after.replay, after.lost), (0, 0));
}

/// Twinbeat names the previous body in each, so that only bodies wait for bodies.
#[test]
fn a_lost_heartbeat_delays_no_message_of_a_twinbeat_peer() {
    let mut net = Net::active();
    net.partition(true);
    net.run(ms(250));
    net.partition(false);
    net.send(1, numbered(1));
    net.run(ms(1));
    assert_eq!(net.received(0), ["1"]);
}

#[test]
fn a_lost_packet_of_a_3_0_6_peer_holds_what_follows_until_it_is_repaired() {
    let mut silent = config(1);
    silent.announce = Extensions::new();
    let mut net = Net::active_with(config(0), silent);
    net.partition(true);
    net.send(1, numbered(1));
    net.run(ms(1));
    net.partition(false);
    net.send(1, numbered(2));
    net.run(ms(1));
    assert!(net.received(0).is_empty());
    net.run(ms(300));
    assert_eq!(net.received(0), ["1", "2"]);
}

/// A 3.0.6 node delivers a late copy after what was said later, and believes it.
#[test]
fn after_a_late_copy_a_3_0_6_peer_is_told_the_truth_again() {
    let check = |announce: Extensions, last: Option<Body>, expect: &[&str]| {
        let mut peer = config(0);
        peer.announce = announce;
        let mut net = Net::active_with(peer, config(1));
        net.partition(true);
        net.send(1, numbered(1));
        net.partition(false);
        net.send(1, numbered(2));
        last.into_iter().for_each(|body| net.send(1, body));
        net.members[1].sent.clear();
        net.run(ms(800));
        let bodies = net.sent_fields(1).into_iter().filter(|list| list.text("t") != Some("status"));
        let said: Vec<_> = bodies.filter_map(|list| list.text("info").map(str::to_owned)).collect();
        assert_eq!(said, expect);
    };
    check(Extensions::new(), None, &["1", "2"]);
    check(Extensions::new(), Some(Body::Shutdone), &["1"]);
    check(config(0).announce, None, &["1"]);
}

/// What was said to its earlier start may not be true any more: the peer may have taken over since.
#[test]
fn what_was_said_to_an_earlier_start_is_not_delivered() {
    let mut net = Net::active();
    net.latency.fill(ms(2 * KEEPALIVE_MS));
    net.run(ms(1_000));
    net.restart(0, Config { generation: 101, ..config(0) });
    net.run(ms(KEEPALIVE_MS));
    net.send(1, numbered(1));
    net.run(ms(3 * KEEPALIVE_MS / 2));
    net.send(1, numbered(2));
    net.run_until(ms(5_000), |net| net.is_active(0));
    net.run(ms(1_000));
    assert_eq!(net.received(0), ["2"]);
}

#[test]
fn patience_with_a_gap_ends() {
    let mut silent = config(1);
    silent.announce = Extensions::new();
    silent.timing.deadtime_ms = 30_000;
    let mut net = Net::active_with(config(0), silent);
    net.cut.extend([(0, 1, 0), (0, 1, 1)]);
    net.partition(true);
    net.send(1, numbered(1));
    net.cut.remove(&(1, 0, 0));
    net.run(ms(1));
    net.send(1, numbered(2));
    let sent = net.now;
    let at = net.run_until(ms(5_000), |net| !net.received(0).is_empty());
    assert_eq!(at.since(sent), ms(2_000) + net.latency[0], "eight rounds of 250 ms");
    assert_eq!(net.received(0), ["2"]);
    // The late one is repaired at last and would undo what was delivered after it.
    net.partition(false);
    net.run(ms(2_000));
    assert_eq!(net.received(0), ["2"]);
}

#[test]
fn what_waits_is_delivered_before_the_death_is_told() {
    let mut silent = config(1);
    silent.announce = Extensions::new();
    let mut net = Net::active_with(config(0), silent);
    net.partition(true);
    net.send(1, numbered(1));
    net.partition(false);
    net.send(1, Body::Shutdone);
    net.run(ms(1));
    net.kill(1);
    net.run(ms(1_500));
    let told: Vec<&str> = net.members[0]
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Received { .. } => Some("shutdone"),
            Event::NodeStatus { to: NodeStatus::Dead, .. } => Some("dead"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["shutdone", "dead"]);
}

#[test]
fn requests_are_decimal_addressed_and_spread() {
    let mut net = Net::active();
    net.run(ms(2_000));
    net.partition(true);
    net.send(1, numbered(1));
    net.partition(false);
    net.send(1, numbered(2));
    let missing = net.sent_fields(1)[net.members[1].sent.len() - 2].clone();
    let number = u64::from_str_radix(missing.text("seq").expect("seq"), 16).expect("hex");
    net.members[0].sent.clear();
    let begin = net.now;
    net.run(ms(300));
    let (at, list) = net.members[0]
        .sent
        .iter()
        .map(|(at, _)| *at)
        .zip(net.sent_fields(0))
        .find(|(_, list)| list.text("t") == Some("NS_rexmit"))
        .expect("a request");
    assert!((50..=251).contains(&at.since(begin).as_millis()), "{at:?}");
    assert_eq!(list.text("firstseq"), Some(number.to_string().as_str()));
    assert_eq!(list.text("lastseq"), list.text("firstseq"));
    let names: Vec<&str> = list.iter().map(|field| field.name.as_str()).collect();
    let expect = "t dest firstseq lastseq destuuid src srcuuid hg ts ttl auth";
    assert_eq!(names.join(" "), expect);
    assert_eq!(net.received(0), ["1", "2"]);
}

#[test]
fn a_retransmission_is_the_original_message() {
    let mut net = Net::active();
    net.partition(true);
    net.send(1, numbered(1));
    let original = net.members[1].sent.last().expect("sent").1.clone();
    net.partition(false);
    net.send(1, numbered(2));
    net.feed(1, Input::Environment { unix_s: 77, load: "9".to_owned() });
    net.run(ms(300));
    let copies = net.members[1].sent.iter().filter(|(_, bytes)| *bytes == original).count();
    assert_eq!(copies, 2);
    assert_eq!(net.members[1].engine.counters().rexmit_sent, 1);
}

fn request(net: &mut Net, first: &str, last: &str) {
    let pairs = [
        ("t", "NS_rexmit"),
        ("dest", "node1"),
        ("firstseq", first),
        ("lastseq", last),
        ("hg", "64"),
        ("ts", "1"),
    ];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
}

#[test]
fn requests_are_answered_within_bounds() {
    // 3.0.6 never finds its newest message and loops up to any number.
    fn check(first: u64, last: u64, resent: u64) {
        let mut net = Net::active();
        net.kill(1);
        (0..600).for_each(|number| net.send(0, numbered(number)));
        net.members[0].sent.clear();
        request(&mut net, &first.to_string(), &last.to_string());
        let counters = net.members[0].engine.counters();
        assert_eq!(counters.rexmit_sent, resent, "{first}..{last}");
        assert!(net.members[0].sent.len() <= 50);
        // At once again: nothing, for all of it has just left.
        request(&mut net, &first.to_string(), &last.to_string());
        assert_eq!(net.members[0].engine.counters().rexmit_sent, resent);
    }
    let mut net = Net::active();
    (0..600).for_each(|number| net.send(0, numbered(number)));
    let newest =
        net.sent_fields(0).last().and_then(|list| u64::from_str_radix(list.text("seq")?, 16).ok());
    let newest = newest.expect("seq");
    check(newest, newest, 1);
    check(newest - 9, newest, 10);
    check(newest - 9, newest + 1_000, 10);
    check(newest - 9, u64::MAX, 10);
    check(newest - 200, newest, 50);
    check(newest + 1, newest + 1, 0);
    check(newest, newest - 1, 0);
    check(newest - 550, newest - 530, 0);
}

#[test]
fn what_is_gone_is_refused_in_words_and_in_measure() {
    let mut net = Net::active();
    net.kill(1);
    (0..600).for_each(|number| net.send(0, numbered(number)));
    net.members[0].sent.clear();
    for _ in 0..10 {
        request(&mut net, "30", "70");
    }
    let naks: Vec<_> = net
        .sent_fields(0)
        .into_iter()
        .filter(|list| list.text("t") == Some("NS_nak_rexmit"))
        .collect();
    assert_eq!(naks.len(), 50, "not more in a second");
    assert_eq!((naks[0].text("firstseq"), naks[0].text("dest")), (Some("1e"), Some("node2")));
}

#[test]
fn numbers_that_are_no_numbers_are_refused() {
    let mut net = Net::active();
    for (first, last) in [("", "1"), ("-1", "1"), ("1", "0x2"), ("1", "99999999999999999999")] {
        request(&mut net, first, last);
    }
    assert_eq!(net.members[0].engine.counters().rexmit_sent, 0);
    assert_eq!(net.members[0].engine.counters().malformed, 4);
}

/// Two numbers are missing; the peer has neither and says so for one of them.
#[test]
fn a_refusal_ends_the_wait_only_when_it_is_meant_for_us() {
    for (dest, delivered) in [("node1", true), ("", true), ("node3", false)] {
        let mut silent = config(1);
        silent.announce = Extensions::new();
        let mut net = Net::active_with(config(0), silent);
        net.partition(true);
        net.send(1, numbered(1));
        let gone = net.sent_fields(1).last().and_then(|l| l.text("seq").map(str::to_owned));
        net.partition(false);
        net.send(1, numbered(2));
        net.run(ms(1));
        assert!(net.received(0).is_empty());
        let gone = gone.expect("seq");
        let mut pairs =
            vec![("t", "NS_nak_rexmit"), ("firstseq", gone.as_str()), ("hg", "64"), ("ts", "1")];
        if !dest.is_empty() {
            pairs.push(("dest", dest));
        }
        net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
        assert_eq!(!net.received(0).is_empty(), delivered, "{dest:?}");
    }
}

#[test]
fn several_hundred_messages_are_acknowledged_by_tens() {
    let mut net = Net::active();
    for number in 0..400 {
        net.send(1, numbered(number));
        net.run(ms(1));
    }
    let acks: Vec<u64> = net
        .sent_fields(0)
        .iter()
        .filter_map(|list| u64::from_str_radix(list.text("ackseq")?, 16).ok())
        .collect();
    assert!((40..=42).contains(&acks.len()), "{acks:?}");
    assert!(acks.windows(2).all(|pair| pair[1] == pair[0] + 10));
}

/// A peer that slept acknowledges what an earlier run of ours had said. With 3.0.6's rule the
/// numbers below would never be repeated.
#[test]
fn an_acknowledgement_of_an_earlier_run_stops_no_repetition() {
    let mut net = Net::active();
    net.kill(1);
    (0..20).for_each(|number| net.send(0, numbered(number)));
    let pairs =
        [("t", "NS_ackmsg"), ("dest", "node1"), ("ackseq", "14"), ("hg", "64"), ("ts", "1")];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    request(&mut net, "10", "12");
    assert_eq!(net.members[0].engine.counters().rexmit_sent, 3);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_means_nothing() {
    let mut net = Net::active();
    net.kill(1);
    for ack in ["ffffffffffffffff", "1000"] {
        let pairs =
            [("t", "NS_ackmsg"), ("dest", "node1"), ("ackseq", ack), ("hg", "64"), ("ts", "1")];
        net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    }
    net.send(0, numbered(1));
    let newest =
        net.sent_fields(0).last().and_then(|list| u64::from_str_radix(list.text("seq")?, 16).ok());
    let newest = newest.expect("seq").to_string();
    request(&mut net, &newest, &newest);
    assert_eq!(net.members[0].engine.counters().rexmit_sent, 1);
}

#[test]
fn of_a_huge_jump_only_the_end_is_asked_for() {
    let mut net = Net::active();
    let pairs = [("t", "status"), ("st", "active"), ("seq", "1000"), ("hg", "64"), ("ts", "1")];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    net.run(ms(300));
    let counters = net.members[0].engine.counters();
    // The last twenty, once or twice: what is older is gone from every history.
    assert!((20..=40).contains(&counters.rexmit_requested), "{counters:?}");
    assert!(counters.lost > 4_000);
}

#[test]
fn nothing_is_asked_of_a_dead_node() {
    let mut net = Net::active();
    net.partition(true);
    net.send(1, numbered(1));
    net.partition(false);
    net.send(1, numbered(2));
    net.run(ms(1));
    net.kill(1);
    net.run(ms(1_500));
    net.members[0].sent.clear();
    net.run(ms(2_000));
    assert!(!net.sent_kinds(0).contains(&"NS_rexmit".to_owned()));
}

#[test]
fn messages_for_others_are_counted_and_not_delivered() {
    let mut net = Net::active();
    let other = |dest: &str| Body::Other {
        kind: "num_ping_nodes".to_owned(),
        fields: vec![("dest".to_owned(), dest.to_owned())],
    };
    net.send(1, other("node3"));
    net.send(1, other("NODE1"));
    net.send(1, other("node2"));
    net.send(1, numbered(1));
    net.run(ms(10));
    assert_eq!(net.received(0), ["num_ping_nodes", "1"]);
    assert_eq!(net.members[0].engine.counters().lost, 0);
}

#[test]
fn what_a_node_says_of_itself_can_change_at_once_or_with_the_next_heartbeat() {
    for at_once in [true, false] {
        let mut net = Net::active();
        net.members[1].events.clear();
        let extensions = Extensions::from([("x_product".to_owned(), "other".to_owned())]);
        net.feed(0, Input::Announce { extensions: extensions.clone(), at_once });
        let heard = |net: &Net| {
            net.has(1, |event| {
                matches!(event, Event::PeerExtensions { extensions, .. }
                    if extensions.get("x_product").is_some_and(|word| word == "other"))
            })
        };
        let latency = net.latency[0];
        net.run(latency);
        assert_eq!(heard(&net), at_once);
        net.run(ms(KEEPALIVE_MS) + latency);
        assert!(heard(&net));
        net.members[1].events.clear();
        net.run(ms(KEEPALIVE_MS * 3));
        assert!(!heard(&net), "told again though nothing changed");
    }
}
