//! From `Start` to `Active`: no fixed waits, no waiting for ever, nothing lost on the way.

use hb_config::settings::NodeName;
use hb_messaging::engine::{Event, Input, LinkId};
use hb_messaging::fields::FieldList;
use hb_messaging::message::{Body, Extensions, NodeStatus};

use crate::harness::{Net, config, forge, ms, numbered, ping};

fn order_of(net: &Net, index: usize) -> Vec<String> {
    let word = |event: &Event| match event {
        Event::Active => Some("active".to_owned()),
        Event::NodeStatus { node, to, .. } => Some(format!("{node} {}", to.word())),
        Event::Received { body, .. } => Some(format!("got {}", body.kind())),
        _ => None,
    };
    net.members[index].events.iter().filter_map(|(_, event)| word(event)).collect()
}

#[test]
fn a_pair_is_active_within_a_few_round_trips() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.feed(0, Input::Start);
    net.run(ms(37));
    net.feed(1, Input::Start);
    let since = net.now;
    let at = net.run_until(ms(100), |net| net.is_active(0) && net.is_active(1));
    assert!(at.since(since) <= ms(2), "{:?}", at.since(since));
    assert_eq!(order_of(&net, 0)[..2], ["node2 up", "active"]);
    net.run(ms(2));
    assert_eq!(order_of(&net, 0), ["node2 up", "active", "node2 active"]);
}

#[test]
fn the_wire_shows_the_statuses_of_a_start() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(50));
    let statuses: Vec<(String, String, String)> = net
        .sent_fields(0)
        .iter()
        .filter(|list| list.text("t") == Some("status"))
        .map(|list| {
            let field = |name| list.text(name).unwrap_or_default().to_owned();
            (field("st"), field("dt"), field("protocol"))
        })
        .collect();
    let words: Vec<&str> = statuses.iter().map(|(st, _, _)| st.as_str()).collect();
    assert_eq!((words[0], words[1], *words.last().expect("sent")), ("init", "up", "active"));
    assert!(statuses.iter().all(|(_, dt, protocol)| dt == "3e8" && protocol == "1"));
}

#[test]
fn field_order_is_that_of_3_0_6() {
    let mut first = config(0);
    first.announce = Extensions::new();
    let mut net = Net::active_with(first, config(1));
    net.send(0, numbered(1));
    let names = |kind: &str| {
        let all = net.sent_fields(0);
        let list = all.iter().rev().find(|list| list.text("t") == Some(kind)).expect("sent");
        list.iter().map(|field| field.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("status"), "t st dt protocol src srcuuid seq hg ts ld ttl auth");
    assert_eq!(names("reqnodes"), "t dest destuuid src srcuuid seq hg ts ld ttl auth");
    assert_eq!(
        names("repnodes"),
        "dest t nodelist delnodelist destuuid src srcuuid seq hg ts ld ttl auth"
    );
    assert_eq!(
        names("resource"),
        "t rsc_hold rtype isstable info src srcuuid seq hg ts ld ttl auth"
    );
}

#[test]
fn own_fields_go_between_the_specific_and_the_common_ones() {
    let mut net = Net::active();
    net.send(0, numbered(1));
    let names = |kind: &str| {
        let all = net.sent_fields(0);
        let list = all.iter().rev().find(|list| list.text("t") == Some(kind)).expect("sent");
        list.iter().map(|field| field.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names("status"),
        "t st dt protocol x_product x_keys x_echo src srcuuid seq hg ts ld ttl auth"
    );
    assert_eq!(
        names("resource"),
        "t rsc_hold rtype isstable info x_after x_for src srcuuid seq hg ts ld ttl auth"
    );
    net.run(ms(10));
    assert_eq!(net.received(1), ["1"], "x_after and x_for stay inside the engine");
    let clean = |event: &Event| match event {
        Event::Received { body: Body::Resource { extensions, .. }, .. } => extensions.is_empty(),
        _ => false,
    };
    assert!(net.has(1, clean));
}

#[test]
fn alone_a_node_is_active_at_initdead() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.feed(0, Input::Start);
    let at = net.run_until(ms(20_000), |net| net.is_active(0));
    assert_eq!(at.as_millis(), 10_000);
    assert_eq!(order_of(&net, 0), ["node2 dead", "active"]);
}

#[test]
fn a_cluster_of_one_is_active_at_once() {
    let mut alone = config(0);
    alone.nodes.truncate(1);
    let mut net = Net::new(vec![alone]);
    net.feed(0, Input::Start);
    assert!(net.is_active(0));
}

#[test]
fn a_ping_node_that_is_silent_delays_by_deadping_only() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1"), ping("10.0.0.2")];
    let mut net = Net::new(vec![first, config(1)]);
    net.answering.insert(0);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    let at = net.run_until(ms(5_000), |net| net.is_active(0));
    assert_eq!(at.as_millis(), 1_000);
    let order = order_of(&net, 0);
    assert_eq!(order.last().map(String::as_str), Some("active"));
    assert!(order.contains(&"10.0.0.1 ping".to_owned()));
    assert!(order.contains(&"10.0.0.2 dead".to_owned()));
}

#[test]
fn ping_nodes_that_answer_delay_nothing() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1")];
    let mut net = Net::new(vec![first, config(1)]);
    net.answering.insert(0);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    let at = net.run_until(ms(5_000), |net| net.is_active(0));
    assert!(at.as_millis() <= 3, "{at:?}");
}

/// A 3.0.6 peer whose answers are lost makes another 3.0.6 node wait for ever.
#[test]
fn a_peer_that_never_answers_reqnodes_counts_as_agreeing() {
    let mut net = Net::new(vec![config(0)]);
    net.feed(0, Input::Start);
    let speak = |net: &mut Net, sequence: u64| {
        let (sequence, status) = (format!("{sequence:x}"), [("t", "status"), ("st", "active")]);
        let rest = [("protocol", "1"), ("seq", sequence.as_str()), ("hg", "5"), ("ts", "1")];
        let bytes = forge(&config(1), &[&status[..], &rest[..]].concat());
        net.feed(0, Input::Datagram { link: LinkId(0), bytes });
    };
    let mut at = None;
    for step in 1..100 {
        speak(&mut net, step);
        net.run(ms(100));
        if net.is_active(0) && at.is_none() {
            at = Some(net.now.as_millis());
        }
    }
    assert_eq!(at, Some(3_000));
    let asked = net.sent_kinds(0).iter().filter(|kind| *kind == "reqnodes").count();
    assert_eq!(asked, 3);
}

#[test]
fn a_peer_without_flow_control_is_not_asked() {
    let mut net = Net::new(vec![config(0)]);
    net.feed(0, Input::Start);
    let pairs = [("t", "status"), ("st", "active"), ("seq", "9"), ("hg", "5"), ("ts", "1")];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    assert!(net.is_active(0));
    assert!(!net.sent_kinds(0).contains(&"reqnodes".to_owned()));
}

#[test]
fn a_peer_that_dies_while_it_is_asked_does_not_hold_us() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.cut.insert((0, 1, 0));
    net.cut.insert((0, 1, 1));
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(1));
    net.kill(1);
    let at = net.run_until(ms(5_000), |net| net.is_active(0));
    assert_eq!(at.as_micros(), 1_000_200, "the dead time after its last heartbeat");
    assert_eq!(order_of(&net, 0), ["node2 up", "node2 dead", "active"]);
}

/// 3.0.6 loses what comes before it is active.
#[test]
fn messages_before_active_are_kept_in_order() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1")];
    let mut net = Net::new(vec![first, config(1)]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(10));
    assert!(net.is_active(1) && !net.is_active(0));
    net.send(1, Body::Starting);
    net.send(1, numbered(1));
    net.send(1, numbered(2));
    net.run(ms(10));
    assert!(net.received(0).is_empty());
    net.run_until(ms(5_000), |net| net.is_active(0));
    let order = order_of(&net, 0);
    assert_eq!(
        order[order.len() - 4..],
        ["active", "got starting", "got resource", "got resource"]
    );
    assert_eq!(net.received(0), ["starting", "1", "2"]);
}

#[test]
fn what_an_earlier_life_of_the_peer_said_is_not_delivered() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1")];
    let mut net = Net::new(vec![first, config(1)]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(10));
    net.send(1, numbered(1));
    net.run(ms(10));
    let mut again = config(1);
    again.generation += 1;
    net.restart(1, again);
    net.run_until(ms(5_000), |net| net.is_active(0));
    assert!(net.received(0).is_empty());
}

#[test]
fn nothing_is_sent_or_taken_before_start() {
    let mut net = Net::new(vec![config(0)]);
    let pairs = [("t", "status"), ("st", "active"), ("seq", "9"), ("hg", "5"), ("ts", "1")];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    net.send(0, numbered(1));
    net.feed(0, Input::Timeout);
    assert_eq!((net.members[0].events.len(), net.members[0].sent.len()), (0, 0));
    assert_eq!(net.members[0].engine.next_timeout(), None);
    assert_eq!(net.members[0].engine.local_status(), NodeStatus::Init);
}

#[test]
fn the_clock_and_load_of_the_environment_are_sent() {
    let mut net = Net::new(vec![config(0)]);
    let load = "0.1 0.2 0.3 1/2 3\nsecond line".to_owned();
    net.feed(0, Input::Environment { unix_s: 0x65a0_bc00, load });
    net.feed(0, Input::Start);
    let list = net.sent_fields(0).remove(0);
    assert_eq!(list.text("ts"), Some("65a0bc00"));
    assert_eq!(list.text("ld"), Some("0.1 0.2 0.3 1/2 3"));
    assert_eq!(
        (list.text("hg"), list.text("seq"), list.text("ttl")),
        (Some("64"), Some("1"), Some("3"))
    );
}

#[test]
fn a_member_list_is_answered_in_the_words_of_3_0_6() {
    let net = Net::active();
    let all = net.sent_fields(0);
    let answer = all.iter().find(|list| list.text("t") == Some("repnodes")).expect("answered");
    assert_eq!(answer.text("nodelist"), Some("node1 node2 "));
    assert_eq!(answer.text("delnodelist"), Some(" "));
    assert_eq!(answer.text("dest").map(NodeName::new), Some(NodeName::new("node2")));
    assert_eq!(answer.uuid("destuuid"), Some([2; 16]));
}

/// A started engine; its peer is made of forged messages.
fn alone(pings: &[&str], deadping_ms: u64) -> Net {
    let mut first = config(0);
    first.pings = pings.iter().map(|name| ping(name)).collect();
    first.timing.deadping_ms = deadping_ms;
    let mut net = Net::new(vec![first]);
    net.feed(0, Input::Start);
    net
}

fn say(net: &mut Net, sequence: u64, generation: u64, own: &[(&str, &str)]) {
    let (sequence, generation) = (format!("{sequence:x}"), format!("{generation:x}"));
    let common = [("seq", sequence.as_str()), ("hg", generation.as_str()), ("ts", "1")];
    let bytes = forge(&config(1), &[own, &common[..]].concat());
    net.feed(0, Input::Datagram { link: LinkId(0), bytes });
}

const ACTIVE: [(&str, &str); 3] = [("t", "status"), ("st", "active"), ("protocol", "1")];

fn times_asked(net: &Net) -> usize {
    net.sent_kinds(0).iter().filter(|kind| *kind == "reqnodes").count()
}

#[test]
fn a_peer_that_restarts_while_it_is_asked_is_asked_again_at_once() {
    let mut net = alone(&[], 1_000);
    say(&mut net, 1, 5, &ACTIVE);
    assert_eq!(times_asked(&net), 1);
    say(&mut net, 1, 6, &[("t", "status"), ("st", "init"), ("protocol", "1")]);
    assert_eq!(times_asked(&net), 1);
    say(&mut net, 2, 6, &[("t", "status"), ("st", "up"), ("protocol", "1")]);
    assert_eq!(times_asked(&net), 2);
    say(&mut net, 3, 6, &[("t", "repnodes"), ("dest", "node1"), ("nodelist", "node1 node2 ")]);
    assert!(net.is_active(0));
}

#[test]
fn what_a_peer_said_before_it_died_is_not_delivered_after_its_death() {
    let mut net = alone(&[], 1_000);
    say(&mut net, 1, 5, &ACTIVE);
    say(&mut net, 2, 5, &[("t", "resource"), ("rsc_hold", "all")]);
    net.run(ms(1_500));
    assert_eq!(order_of(&net, 0), ["node2 active", "node2 dead", "active"]);
}

#[test]
fn until_everybody_is_known_initdead_protects_a_peer_that_was_heard() {
    let mut net = alone(&["10.0.0.1"], 5_000);
    say(&mut net, 1, 5, &ACTIVE);
    net.run(ms(6_000));
    assert_eq!(order_of(&net, 0), ["node2 active", "10.0.0.1 dead", "node2 dead", "active"]);
    let dead = net.statuses(0).last().copied();
    assert_eq!(dead, Some((5_000_000, NodeStatus::Dead)));
}

#[test]
fn a_peer_that_never_gets_up_does_not_hold_us_beyond_initdead() {
    let mut net = alone(&[], 1_000);
    let mut active = None;
    for sequence in 1..30 {
        say(&mut net, sequence, 5, &[("t", "status"), ("st", "init"), ("protocol", "1")]);
        net.run(ms(500));
        if net.is_active(0) && active.is_none() {
            active = Some(net.now.as_millis());
        }
    }
    assert_eq!(active, Some(10_000));
}

#[test]
fn a_node_that_stops_while_it_starts_never_becomes_active() {
    for heard in [true, false] {
        let mut net = alone(&[], 1_000);
        if heard {
            say(&mut net, 1, 5, &ACTIVE);
        }
        net.feed(0, Input::Stopping);
        net.run(ms(20_000));
        assert_eq!(net.members[0].engine.local_status(), NodeStatus::Up);
        let stopping = |list: &FieldList| list.text("x_stopping") == Some("1");
        assert!(net.sent_fields(0).last().is_some_and(stopping));
    }
}
