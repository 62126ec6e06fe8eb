//! What is measured of links, and what must not be taken for it.

use std::time::Duration;

use hb_config::settings::{AuthMethod, Framing};
use hb_messaging::engine::{Input, LinkId, LinkMeasures};
use hb_messaging::measure::Intervals;
use hb_messaging::message::Extensions;

use crate::harness::{DEADTIME_MS, KEEPALIVE_MS, Net, config, forge, keys, ms, name};

/// Bytes of a datagram that is not cut into fragments on Ethernet.
const FRAME_MAX: usize = 1_472;

fn measured(net: &Net, index: usize) -> (Intervals, Vec<LinkMeasures>) {
    net.members[index].engine.measured(&name(1 - index)).expect("a member")
}

fn trips(net: &Net, index: usize) -> Vec<Option<u64>> {
    measured(net, index).1.iter().map(|link| link.rtt_us).collect()
}

fn echoes(net: &Net, index: usize) -> Vec<Option<String>> {
    let all = net.sent_fields(index);
    let statuses = all.iter().filter(|list| list.text("t") == Some("status"));
    statuses.map(|list| list.text("x_echo").map(str::to_owned)).collect()
}

/// Both nodes, after a while with these delays.
fn settled(delays: [u64; 2]) -> Net {
    let mut net = Net::new(vec![config(0), config(1)]);
    net.latency = delays.map(Duration::from_micros).to_vec();
    (0..2).for_each(|index| net.feed(index, Input::Start));
    net.run(ms(5_000));
    net
}

#[test]
fn a_round_trip_is_twice_the_delay_of_its_link() {
    let check = |delays: [u64; 2]| {
        let net = settled(delays);
        let expect = delays.map(|delay| Some(2 * delay));
        assert_eq!((trips(&net, 0), trips(&net, 1)), (expect.to_vec(), expect.to_vec()));
    };
    check([200, 200]);
    check([200, 3_000]);
    // Longer than a keepalive: several heartbeats are under way at a time.
    check([40_000, 350_000]);
}

#[test]
fn lost_and_repeated_heartbeats_do_not_distort_it() {
    let mut lost = 0;
    for seed in 0..6 {
        let mut net = settled([200, 3_000]);
        net.seed_dice(seed);
        net.loss = 300;
        net.run(ms(20_000));
        lost += net.members[0].engine.counters().rexmit_requested;
        assert_eq!(trips(&net, 0), [Some(400), Some(6_000)], "seed {seed}");
    }
    assert!(lost > 30, "{lost} were asked for again");
}

#[test]
fn only_a_twinbeat_peer_that_was_heard_gets_an_echo() {
    let legacy =
        |index| hb_messaging::engine::Config { announce: Extensions::new(), ..config(index) };
    let mut net = Net::active_with(config(0), legacy(1));
    net.run(ms(3_000));
    assert!(echoes(&net, 0).iter().chain(&echoes(&net, 1)).all(Option::is_none));
    assert_eq!(trips(&net, 0), [None, None]);
    let net = settled([200, 200]);
    let said = echoes(&net, 0);
    assert_eq!(said.first(), Some(&None), "nobody was heard at that time");
    let last = said.last().cloned().flatten().expect("an echo");
    let names: Vec<&str> = last.split(' ').filter_map(|word| word.split(':').next()).collect();
    assert_eq!(names, ["eth0", "eth1"], "{last}");
}

#[test]
fn a_link_that_carries_in_one_direction_has_no_round_trip() {
    let mut net = settled([200, 200]);
    net.cut.insert((0, 1, 1));
    net.run(ms(2 * DEADTIME_MS));
    assert_eq!(trips(&net, 0), [Some(400), None], "its heartbeats come, ours do not arrive");
    assert_eq!(trips(&net, 1), [Some(400), None], "nothing comes");
    net.cut.clear();
    net.run(ms(1_000));
    assert_eq!(trips(&net, 0), [Some(400), Some(400)]);
}

#[test]
fn links_with_other_names_are_matched_by_position() {
    let other = hb_messaging::engine::Config {
        links: vec!["eno1".to_owned(), "eno2".to_owned()],
        ..config(1)
    };
    let mut net = Net::new(vec![config(0), other]);
    net.latency = vec![Duration::from_micros(100), Duration::from_micros(700)];
    (0..2).for_each(|index| net.feed(index, Input::Start));
    net.run(ms(3_000));
    assert_eq!(trips(&net, 0), [Some(200), Some(1_400)]);
    assert_eq!(trips(&net, 1), [Some(200), Some(1_400)]);
}

#[test]
fn an_absurd_echo_changes_nothing() {
    let mut net = settled([200, 200]);
    for (number, echo) in [
        "eth0:5000.0 eth1:0.0",
        "eth0:ffffffffffffffff.0",
        "eth0:5.ffffffffffffffff eth1:5.ffffffff",
        "eth0: eth1:.",
        "::::::",
        "",
    ]
    .iter()
    .enumerate()
    {
        let sequence = format!("{:x}", 5_000 + number);
        let pairs = [
            ("t", "status"),
            ("st", "active"),
            ("dt", "3e8"),
            ("x_product", "twinbeat"),
            ("x_echo", echo),
            ("seq", &sequence),
            ("hg", "64"),
            ("ts", "1"),
            ("ttl", "3"),
        ];
        let bytes = forge(&config(1), &pairs);
        net.feed(0, Input::Datagram { link: LinkId(0), bytes });
        assert_eq!(trips(&net, 0), [Some(400), Some(400)], "{echo:?}");
    }
}

#[test]
fn intervals_are_those_between_heartbeats_on_each_link() {
    let mut net = settled([200, 3_000]);
    net.cut_link(1, true);
    net.run(ms(3_000));
    net.cut_link(1, false);
    net.run(ms(2_000));
    let (all, links) = measured(&net, 0);
    let keepalive_us = KEEPALIVE_MS * 1_000;
    for (what, intervals) in [("any", &all), ("eth0", &links[0].intervals)] {
        assert_eq!((intervals.cuts, intervals.distribution.max_us), (0, keepalive_us), "{what}");
        assert!(intervals.distribution.count >= 95, "{what} {intervals:?}");
    }
    let cut = &links[1].intervals;
    assert_eq!((cut.cuts, cut.distribution.max_us), (1, keepalive_us));
    assert!((3_000_000..3_200_000).contains(&cut.longest_cut_us), "{cut:?}");
    assert!((60..80).contains(&cut.distribution.count), "{cut:?}");
}

#[test]
fn who_stands_still_measures_nothing_and_is_measured() {
    let mut net = settled([200, 200]);
    net.members[1].paused = true;
    net.run(ms(700));
    net.members[1].paused = false;
    net.run(ms(2_000));
    let longest = |index: usize| measured(&net, index).1[0].intervals.distribution.max_us;
    assert!((700_000..900_000).contains(&longest(0)), "the peer saw it: {}", longest(0));
    assert_eq!(longest(1), KEEPALIVE_MS * 1_000);
}

#[test]
fn the_time_without_a_peer_that_starts_anew_is_no_interval() {
    let mut net = settled([200, 200]);
    net.kill(1);
    net.run(ms(800));
    let again = hb_messaging::engine::Config { generation: 101, ..config(1) };
    net.restart(1, again);
    net.run(ms(3_000));
    let (all, links) = measured(&net, 0);
    for intervals in [&all, &links[0].intervals, &links[1].intervals] {
        assert_eq!((intervals.cuts, intervals.distribution.max_us), (0, KEEPALIVE_MS * 1_000));
    }
    assert_eq!(trips(&net, 0), [Some(400), Some(400)], "and the way is measured again");
}

#[test]
fn each_packet_is_counted_on_its_link() {
    let mut net = settled([200, 3_000]);
    let counters = |net: &Net, link: usize| measured(net, 0).1[link].counters;
    let (first, second) = (counters(&net, 0), counters(&net, 1));
    assert!(first.ok > 45 && first.dup == 0, "{first:?}");
    assert!(second.dup > 45 && second.ok < 10, "the copies are late: {second:?}");
    let foreign = hb_messaging::engine::Config { node: name(8), ..config(1) };
    let stranger =
        hb_messaging::engine::Config { keys: keys(1, &[(1, AuthMethod::Sha1, "x")]), ..config(1) };
    let pairs = [("t", "status"), ("st", "active"), ("seq", "1"), ("hg", "63"), ("ts", "1")];
    for bytes in [
        b"noise".to_vec(),
        forge(&foreign, &pairs),
        forge(&stranger, &pairs),
        forge(&config(1), &pairs),
    ] {
        net.feed(0, Input::Datagram { link: LinkId(1), bytes });
    }
    let after = counters(&net, 1);
    let bad = (after.malformed, after.foreign, after.badauth, after.replay);
    assert_eq!((bad, after.ok, after.dup), ((1, 1, 1, 1), second.ok, second.dup));
    assert_eq!(counters(&net, 0), first);
}

#[test]
fn an_echo_never_makes_a_heartbeat_too_long() {
    let check = |told: usize, framing, is_echoed: bool| {
        let key = |index| (index, AuthMethod::Sha256, "0123456789abcdef0123456789abcdef");
        let all: Vec<_> = (0..16).map(key).collect();
        let long = |index| hb_messaging::engine::Config {
            keys: keys(1, &all),
            framing,
            links: (0..8).map(|link| format!("bond{link}.4094:heart")).collect(),
            announce: Extensions::from([("x_long".to_owned(), "x".repeat(told))]),
            ..config(index)
        };
        let mut net = Net::active_with(long(0), long(1));
        net.run(ms(1_000));
        let last = net.members[0].sent.last().expect("sent");
        let echo = echoes(&net, 0).last().cloned().flatten();
        assert_eq!(echo.is_some(), is_echoed, "{told} {framing:?}");
        assert!(!is_echoed || last.1.len() <= FRAME_MAX, "{} bytes", last.1.len());
    };
    for framing in [Framing::Classic, Framing::Netstring] {
        check(200, framing, true);
        check(310, framing, true);
        check(600, framing, false);
    }
}
