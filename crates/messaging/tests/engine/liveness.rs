//! Deaths and returns of nodes, links and ping nodes, to the microsecond.

use hb_config::settings::{NodeName, Timing};
use hb_messaging::engine::{Config, Event, Input, LinkId, PingId};
use hb_messaging::message::{Extensions, NodeStatus};

use crate::harness::{DEADTIME_MS, KEEPALIVE_MS, Net, config, forge, ms, name, numbered, ping};

fn returned(event: &Event) -> bool {
    matches!(event, Event::ReturnedAfterPartition { node } if *node == name(1))
}

fn restarted(event: &Event) -> bool {
    matches!(event, Event::PeerRestarted { .. })
}

fn fast(index: usize) -> Config {
    let mut config = config(index);
    config.timing = Timing {
        keepalive_ms: 10,
        deadtime_ms: 40,
        warntime_ms: 20,
        initdead_ms: 1_000,
        deadping_ms: 40,
    };
    config
}

#[test]
fn death_comes_exactly_one_dead_time_after_the_last_heartbeat() {
    for (first, second, deadtime) in [(config(0), config(1), DEADTIME_MS), (fast(0), fast(1), 40)] {
        let mut net = Net::active_with(first, second);
        net.run(ms(537));
        net.kill(1);
        let last = net.members[1].sent.last().expect("heartbeats were sent").0;
        let at = net.run_until(ms(5_000), |net| !net.statuses(0).is_empty());
        assert_eq!(net.statuses(0), [(at.as_micros(), NodeStatus::Dead)]);
        assert_eq!(at, last + net.latency[0] + ms(deadtime));
    }
}

#[test]
fn both_links_of_a_dead_node_go_down_with_it() {
    let mut net = Net::active();
    net.kill(1);
    net.run(ms(1_200));
    let kinds: Vec<&str> = net.members[0]
        .events
        .iter()
        .map(|(_, event)| match event {
            Event::NodeStatus { cause, .. } => {
                assert_eq!(cause, "no heartbeat for 1000 ms (its dead time is 1000 ms)");
                "node"
            }
            Event::LinkStatus { up: false, .. } => "link",
            _ => "else",
        })
        .collect();
    assert_eq!(kinds, ["node", "link", "link"]);
}

#[test]
fn the_peers_own_dead_time_counts() {
    let mut slow = config(1);
    slow.timing.deadtime_ms = 3_000;
    let mut net = Net::active_with(config(0), slow);
    net.kill(1);
    net.run(ms(2_900));
    assert!(net.statuses(0).is_empty());
    net.run(ms(200));
    assert_eq!(net.statuses(0).len(), 1);
}

#[test]
fn one_cut_link_is_told_and_nothing_else() {
    let mut net = Net::active();
    net.cut_link(1, true);
    net.run(ms(3_000));
    for index in 0..2 {
        assert_eq!(net.link_changes(index), [("eth1".to_owned(), false)]);
        assert!(net.statuses(index).is_empty());
        let links = net.view(index).links;
        assert_eq!((links[0].up, links[1].up), (true, false));
        assert!(links[1].heard_ms_ago.expect("heard before") >= 2_900);
    }
    net.cut_link(1, false);
    net.run(ms(200));
    assert_eq!(net.link_changes(0)[1..], [("eth1".to_owned(), true)]);
}

/// 3.0.6 drops what is older than the newest packet without a look at the link.
#[test]
fn a_link_with_a_longer_way_than_the_keepalive_stays_up() {
    let mut net = Net::active_with(fast(0), fast(1));
    net.latency[1] = ms(35);
    net.run(ms(100));
    net.members[0].events.clear();
    net.run(ms(2_000));
    assert_eq!(net.link_changes(0), []);
    assert!(net.view(0).links[1].up);
}

#[test]
fn a_repeated_packet_does_not_keep_a_link_up() {
    let mut net = Net::active();
    net.run(ms(350));
    let bytes = net.members[1].sent.last().expect("sent").1.clone();
    net.cut_link(1, true);
    for _ in 0..15 {
        net.run(ms(100));
        net.feed(0, Input::Datagram { link: LinkId(1), bytes: bytes.clone() });
    }
    assert_eq!(net.link_changes(0), [("eth1".to_owned(), false)]);
}

#[test]
fn a_failed_socket_takes_the_link_down_until_a_packet_comes_after_the_repair() {
    let mut net = Net::active();
    net.feed(0, Input::LinkFailed { link: LinkId(1), reason: "No such device".to_owned() });
    let cause = |event: &Event| match event {
        Event::LinkStatus { up: false, cause, .. } => cause == "no socket here: No such device",
        _ => false,
    };
    assert!(net.has(0, cause));
    net.run(ms(500));
    assert_eq!(net.link_changes(0), [("eth1".to_owned(), false)]);
    assert_eq!(net.view(0).links[1].failure.as_deref(), Some("No such device"));
    net.feed(0, Input::LinkRestored { link: LinkId(1) });
    assert_eq!(net.view(0).links[1].failure, None);
    net.run(ms(200));
    assert_eq!(net.link_changes(0)[1..], [("eth1".to_owned(), true)]);
}

#[test]
fn two_media_on_one_interface_are_one_link() {
    let double = |index| {
        let mut config = config(index);
        config.links = vec!["eth0".to_owned(), "eth0".to_owned()];
        config
    };
    let mut net = Net::active_with(double(0), double(1));
    assert_eq!(net.view(0).links.len(), 1);
    net.feed(0, Input::LinkFailed { link: LinkId(1), reason: "broken".to_owned() });
    net.run(ms(200));
    assert_eq!(net.link_changes(0), [], "the other medium still works");
    assert_eq!(net.view(0).links[0].failure.as_deref(), Some("broken"));
    net.feed(0, Input::LinkFailed { link: LinkId(0), reason: "broken".to_owned() });
    assert_eq!(net.link_changes(0), [("eth0".to_owned(), false)]);
}

#[test]
fn a_late_heartbeat_is_told_once_with_its_interval() {
    let mut net = Net::active();
    net.partition(true);
    net.run(ms(700));
    net.partition(false);
    net.run(ms(1_000));
    let late: Vec<u64> = net.members[0]
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LateHeartbeat { interval_ms, .. } => Some(*interval_ms),
            _ => None,
        })
        .collect();
    assert_eq!(late, [800]);
    assert!(net.statuses(0).is_empty());
}

#[test]
fn a_healed_partition_is_no_restart() {
    let mut net = Net::active();
    net.partition(true);
    net.run(ms(5_000));
    assert!(net.has(0, |event| matches!(event, Event::NodeStatus { to: NodeStatus::Dead, .. })));
    for member in &mut net.members {
        member.events.clear();
    }
    net.partition(false);
    let healed = net.now;
    let at = net.run_until(ms(500), |net| net.has(0, returned));
    assert!(at.since(healed) <= ms(KEEPALIVE_MS + 1));
    net.run(ms(1));
    let events: Vec<&Event> = net.members[0].events.iter().map(|(_, event)| event).collect();
    let back = events
        .iter()
        .position(|event| matches!(event, Event::NodeStatus { to: NodeStatus::Active, .. }));
    let told = events.iter().position(|event| returned(event));
    assert!(back < told && back.is_some());
    assert!(!net.has(0, restarted));
    // Each side answers the other's first heartbeat at once.
    assert!(net.has(1, |event| matches!(event, Event::ReturnedAfterPartition { .. })));
    net.send(1, numbered(1));
    net.run(ms(10));
    assert_eq!(net.received(0), ["1"]);
}

#[test]
fn a_partition_since_the_start_is_one_too() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.partition(true);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(12_000));
    assert!(net.is_active(0) && net.is_active(1));
    net.partition(false);
    net.run(ms(200));
    for index in 0..2 {
        let told = |event: &Event| matches!(event, Event::ReturnedAfterPartition { .. });
        assert!(net.has(index, told) && !net.has(index, restarted));
    }
}

#[test]
fn a_restart_behind_a_partition_is_both() {
    let mut net = Net::active();
    net.partition(true);
    net.run(ms(2_000));
    let mut again = config(1);
    again.generation = 101;
    net.restart(1, again);
    net.run(ms(12_000));
    net.members[0].events.clear();
    net.partition(false);
    net.run(ms(200));
    assert!(net.has(0, restarted) && net.has(0, returned));
}

#[test]
fn a_node_that_starts_late_is_no_partition() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.feed(0, Input::Start);
    net.run(ms(12_000));
    net.feed(1, Input::Start);
    net.run(ms(200));
    assert!(net.is_active(1));
    assert!(!net.has(0, returned) && !net.has(0, restarted));
    let words: Vec<NodeStatus> = net.statuses(0).into_iter().map(|(_, status)| status).collect();
    assert_eq!(words, [NodeStatus::Dead, NodeStatus::Init, NodeStatus::Up, NodeStatus::Active]);
}

#[test]
fn a_restart_within_the_dead_time_is_noticed() {
    let mut net = Net::active();
    net.kill(1);
    net.run(ms(200));
    let mut again = config(1);
    again.generation = 101;
    net.restart(1, again);
    net.run(ms(300));
    assert!(net.has(0, |event| matches!(event, Event::PeerRestarted { generation: 101, .. })));
    assert!(!net.has(0, |event| matches!(event, Event::NodeStatus { to: NodeStatus::Dead, .. })));
    assert!(!net.has(0, returned));
    assert!(net.is_active(1));
    assert_eq!(net.view(0).generation, 101);
    let order = |wanted: fn(&Event) -> bool| {
        net.members[0].events.iter().position(|(_, event)| wanted(event)).expect("told")
    };
    assert!(order(restarted) < order(|event| matches!(event, Event::NodeStatus { .. })));
}

#[test]
fn a_restart_after_death_is_noticed() {
    let mut net = Net::active();
    net.kill(1);
    net.run(ms(2_000));
    let mut again = config(1);
    again.generation = 101;
    net.restart(1, again);
    net.run(ms(300));
    assert!(net.has(0, restarted) && !net.has(0, returned));
    assert!(net.is_active(1));
}

#[test]
fn our_own_pause_is_not_the_peers_death() {
    let mut net = Net::active();
    net.members[0].paused = true;
    net.run(ms(5_000));
    net.members[0].paused = false;
    // The timer runs before the sockets are read: the worst case.
    net.feed(0, Input::Timeout);
    assert!(net.statuses(0).is_empty(), "{:?}", net.members[0].events);
    net.run(ms(2_000));
    assert!(net.statuses(0).is_empty());
    assert!(net.link_changes(0).is_empty());
}

#[test]
fn after_a_pause_a_dead_peer_dies_two_keepalives_later() {
    let mut net = Net::active();
    net.run(ms(50));
    net.members[0].paused = true;
    net.partition(true);
    net.run(ms(5_000));
    net.members[0].paused = false;
    net.feed(0, Input::Timeout);
    let paused_until = net.now;
    let at = net.run_until(ms(5_000), |net| !net.statuses(0).is_empty());
    assert_eq!(at.since(paused_until), ms(2 * KEEPALIVE_MS));
}

#[test]
fn a_second_pause_puts_nothing_off() {
    let mut net = Net::active();
    net.partition(true);
    net.run(ms(900));
    for pause in [300, 301] {
        net.members[0].paused = true;
        net.run(ms(pause));
        net.members[0].paused = false;
        net.feed(0, Input::Timeout);
    }
    assert_eq!(net.statuses(0).len(), 1, "dead at the end of the second pause");
}

#[test]
fn a_second_pause_as_long_as_the_dead_time_puts_off_again() {
    let mut net = Net::active();
    net.partition(true);
    for pause in [5_000, 5_000] {
        net.members[0].paused = true;
        net.run(ms(pause));
        net.members[0].paused = false;
        net.feed(0, Input::Timeout);
        net.run(ms(KEEPALIVE_MS));
        assert!(net.statuses(0).is_empty(), "it may have slept through all of the silence");
    }
    let woke = net.now;
    let at = net.run_until(ms(5_000), |net| !net.statuses(0).is_empty());
    assert_eq!(at.since(woke), ms(KEEPALIVE_MS));
}

#[test]
fn heartbeats_after_a_pause_come_in_rhythm() {
    let mut net = Net::active();
    net.members[0].paused = true;
    net.run(ms(1_050));
    net.members[0].paused = false;
    net.members[0].sent.clear();
    net.run(ms(450));
    let statuses = net.sent_kinds(0).iter().filter(|kind| *kind == "status").count();
    assert_eq!(statuses, 5, "one at once, then one in each keepalive");
}

#[test]
fn a_ping_node_lives_and_dies_by_its_answers() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1")];
    let mut net = Net::new(vec![first, config(1)]);
    net.answering.insert(0);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(1_050));
    net.answering.clear();
    net.run(ms(3_000));
    net.answering.insert(0);
    net.run(ms(200));
    let target = NodeName::new("10.0.0.1");
    let told: Vec<(u64, String)> = net.members[0]
        .events
        .iter()
        .filter_map(|(at, event)| match event {
            Event::NodeStatus { node, to, .. } if *node == target => {
                Some((at.as_millis(), to.word().to_owned()))
            }
            Event::LinkStatus { node, link, up, .. } if *node == target => {
                Some((at.as_millis(), format!("{link} {up}")))
            }
            _ => None,
        })
        .collect();
    let expect = [
        (1, "ping"),
        (1, "10.0.0.1 true"),
        (2_001, "dead"),
        (2_001, "10.0.0.1 false"),
        (4_101, "ping"),
        (4_101, "10.0.0.1 true"),
    ];
    assert_eq!(told, expect.map(|(at, words)| (at, words.to_owned())));
    let views = net.members[0].engine.nodes(net.now);
    assert_eq!(views.len(), 2);
    assert!(views[1].ping && views[1].status == NodeStatus::Ping && views[1].links[0].up);
}

#[test]
fn an_old_or_invented_answer_does_not_revive_a_ping_node() {
    let mut first = config(0);
    first.pings = vec![ping("10.0.0.1")];
    let mut net = Net::new(vec![first, config(1)]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(3_000));
    for (ping, sequence) in [(0, 1), (0, 0), (0, 999), (7, 30)] {
        net.feed(0, Input::EchoReply { ping: PingId(ping), sequence });
    }
    assert_eq!(net.members[0].engine.nodes(net.now)[1].status, NodeStatus::Dead);
}

#[test]
fn what_the_peer_says_of_itself_is_told_when_it_changes() {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.feed(0, Input::Start);
    net.feed(1, Input::Start);
    net.run(ms(1_000));
    net.feed(1, Input::Stopping);
    net.run(ms(1_000));
    let told: Vec<&Extensions> = net.members[0]
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::PeerExtensions { extensions, .. } => Some(extensions),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].get("x_product").map(String::as_str), Some("twinbeat"));
    assert_eq!(told[1].get("x_stopping").map(String::as_str), Some("1"));
}

#[test]
fn a_3_0_6_peer_says_nothing_of_itself() {
    let mut net = Net::new(vec![config(0)]);
    net.feed(0, Input::Start);
    let pairs = [("t", "status"), ("st", "active"), ("seq", "9"), ("hg", "5"), ("ts", "1")];
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
    assert!(net.has(0, |event| matches!(event, Event::PeerExtensions { extensions, .. }
        if extensions.is_empty())));
}

#[test]
fn a_stopping_node_is_heard_but_hears_no_messages() {
    let mut net = Net::active();
    net.feed(0, Input::Stopping);
    net.send(1, numbered(1));
    net.run(ms(3_000));
    assert!(net.received(0).is_empty());
    assert!(net.statuses(1).is_empty(), "its heartbeats go on");
    net.send(0, numbered(2));
    net.run(ms(10));
    assert_eq!(net.received(1), ["2"]);
}

fn heartbeat(sequence: u64, status: &str) -> Vec<u8> {
    let sequence = format!("{sequence:x}");
    let pairs = [
        ("t", "status"),
        ("st", status),
        ("protocol", "1"),
        ("seq", sequence.as_str()),
        ("hg", "64"),
        ("ts", "1"),
    ];
    forge(&config(1), &pairs)
}

/// One engine that hears a peer made of forged heartbeats.
fn hearing() -> Net {
    let mut net = Net::new(vec![config(0)]);
    net.feed(0, Input::Start);
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(1, "active") });
    net
}

fn told(net: &Net) -> Vec<NodeStatus> {
    net.statuses(0).into_iter().map(|(_, status)| status).collect()
}

#[test]
fn an_old_heartbeat_that_was_missing_prolongs_nothing() {
    let mut net = hearing();
    net.run(ms(100));
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(3, "active") });
    net.run(ms(600));
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(2, "up") });
    assert_eq!(net.members[0].engine.counters().accepted, 3);
    let at = net.run_until(ms(5_000), |net| told(net).last() == Some(&NodeStatus::Dead));
    assert_eq!(at.as_millis(), 1_100);
    assert_eq!(told(&net), [NodeStatus::Active, NodeStatus::Dead]);
}

#[test]
fn a_node_that_says_that_it_is_dead_is_dead() {
    let mut net = hearing();
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(2, "dead") });
    assert_eq!(told(&net), [NodeStatus::Active, NodeStatus::Dead]);
}

/// 3.0.6 takes any word.
#[test]
fn an_unknown_word_is_life_and_no_change() {
    let mut net = hearing();
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(2, "bogus") });
    net.feed(0, Input::Datagram { link: LinkId(0), bytes: heartbeat(3, "ping") });
    net.run(ms(999));
    assert_eq!(told(&net), [NodeStatus::Active]);
}

#[test]
fn a_peer_without_flow_control_gets_no_acknowledgements() {
    for (protocol, acks) in [(true, 2), (false, 0)] {
        let mut net = Net::new(vec![config(0)]);
        net.feed(0, Input::Start);
        for sequence in 1..=25 {
            let number = format!("{sequence:x}");
            let mut pairs = vec![("t", "status"), ("st", "active"), ("seq", number.as_str())];
            pairs.extend([("hg", "64"), ("ts", "1")]);
            pairs.extend(protocol.then_some(("protocol", "1")));
            net.feed(0, Input::Datagram { link: LinkId(0), bytes: forge(&config(1), &pairs) });
        }
        let sent = net.sent_kinds(0).iter().filter(|kind| *kind == "NS_ackmsg").count();
        assert!((acks..=acks + u32::from(protocol) as usize).contains(&sent), "{sent}");
    }
}
