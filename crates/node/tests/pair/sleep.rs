//! Machines that stand still for a while and go on: what they may act on, and what is told of it.

use hb_config::settings::AutoFailback;
use hb_node::api::{Request, Verdict};
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

use super::{
    DEADTIME_MS, KEEPALIVE_MS, all, ask, assert_done, ms, owners, pair, pair_of, served_by, settle,
    settle_after, stops, wait_served, www,
};

#[test]
fn a_short_standstill_is_told_and_moves_nothing() {
    let mut world = pair();
    world.halt(0);
    world.run(ms(DEADTIME_MS - KEEPALIVE_MS * 3 / 2));
    world.resume(0);
    settle_after(&mut world, &["late_heartbeats", "core_stalled"]);
    assert!(served_by(&world, "www", 0));
    assert_eq!(stops(&world, 0) + stops(&world, 1), 0);
    assert_eq!(world.machines[0].logged("core_stalled").len(), 1);
}

#[test]
fn a_node_that_slept_too_long_acts_on_fresh_evidence_only() {
    // An address is started without asking first: only the node's own patience keeps it back.
    let groups = [group("node1", &["10.0.0.7", "nginx"])];
    let mut world = pair_of(&groups, |settings| settings.auto_failback = AutoFailback::Off);
    world.machines[0].agents.change("10.0.0.7", |habits| habits.stop = ms(300));
    world.request(0, Request::Standby { which: all() });
    // node2 has agreed and sleeps; what node1 says meanwhile waits in its sockets.
    world.run(ms(100));
    world.halt(1);
    world.run(ms(2_000));
    assert!(served_by(&world, "10.0.0.7", 0), "node1 takes its group back when node2 is dead");
    let before = world.machines[1].agents.log.len();
    world.resume(1);
    settle_after(&mut world, &["core_stalled"]);
    assert!(served_by(&world, "10.0.0.7", 0));
    assert_eq!(world.machines[1].agents.log.len(), before, "acted on what was long over");
}

#[test]
fn after_a_sleep_of_the_owner_there_is_one_owner_again() {
    for owner in 0..2 {
        let name = setup::NODES[owner];
        let mut world = pair_of(&[group(name, &["www", "nginx"])], |_| {});
        world.halt(owner);
        world.run(ms(3_000));
        assert_eq!(owners(&world, "www"), [0, 1]);
        world.resume(owner);
        let took = world.run_until(ms(5_000), |world| owners(world, "www").len() == 1);
        assert!(took.is_some_and(|took| took <= ms(KEEPALIVE_MS * 4)), "{took:?}");
        settle_after(&mut world, &["core_stalled"]);
    }
}

/// keepalive 200 ms, deadtime 1 s, eight seconds of sleep.
#[test]
fn a_sleeper_acts_on_the_first_fresh_word_and_the_winner_never_lets_go() {
    for owner in 0..2 {
        for preferred in 0..2 {
            let groups = [group(setup::NODES[preferred], &["www", "nginx"])];
            let mut settings = setup::pair(timing(200), &groups);
            settings.iter_mut().for_each(|of| of.auto_failback = AutoFailback::Off);
            let mut world = World::new(settings, 5);
            world.start(0);
            world.start(1);
            wait_served(&mut world, "www", preferred, 60_000);
            settle(&mut world);
            if owner != preferred {
                assert_done(&ask(&mut world, preferred, Request::Standby { which: all() }));
                settle(&mut world);
            }
            world.halt(owner);
            world.run(ms(8_000));
            assert_eq!(owners(&world, "www"), [0, 1]);
            let before = [stops(&world, 0), stops(&world, 1)];
            world.resume(owner);
            let took = world.run_until(ms(5_000), |world| owners(world, "www").len() == 1);
            assert!(took.is_some_and(|took| took <= ms(200)), "{took:?} {owner} {preferred}");
            assert!(served_by(&world, "www", preferred), "{owner} {preferred}");
            settle_after(&mut world, &["core_stalled"]);
            assert_eq!(stops(&world, preferred), before[preferred], "the winner let go");
            for machine in 0..2 {
                let split = world.machines[machine].history.iter().find(|of| of.what == "split");
                let split = split.unwrap_or_else(|| panic!("{machine}: no entry"));
                let overlap = split.overlap_ms.expect("measured");
                assert!(overlap <= 200, "{split:?}");
                assert!((6_000..=9_000).contains(&split.elapsed_ms), "{split:?}");
                let keeps = format!("{} keeps it", setup::NODES[preferred]);
                assert!(split.reason.contains(&keeps), "{split:?}");
                assert_eq!(world.machines[machine].logged("split").len(), 1);
                assert_eq!(world.machines[machine].logged("split_healed").len(), 1);
                let last = world.status(machine).and_then(|status| status.last_move);
                assert_ne!(last.map(|last| last.what), Some("split".into()));
            }
        }
    }
}

/// The clock that the node is given stands still while the machine sleeps.
#[test]
fn a_sleep_that_the_clock_did_not_count_is_a_pause_too() {
    let mut world = pair();
    world.feed(0, hb_node::input::Input::Slept { ms: KEEPALIVE_MS });
    assert!(world.machines[0].logged("core_stalled").is_empty(), "too short to matter");
    world.feed(0, hb_node::input::Input::Slept { ms: 60_000 });
    assert_eq!(world.machines[0].logged("core_stalled").len(), 1);
    // Paused: a command waits for the peer's word.
    let client = world.request(0, Request::Standby { which: all() });
    world.run(ms(KEEPALIVE_MS));
    assert_eq!(world.reply(client), None);
    assert_eq!(stops(&world, 0), 0);
    wait_served(&mut world, "www", 1, 10_000);
}

/// What it knows of the peer's silence after the second sleep, it has slept through.
#[test]
fn a_node_that_sleeps_twice_waits_for_the_peer_twice() {
    let mut world = pair();
    world.halt(1);
    for _ in 0..2 {
        world.halt(0);
        world.run(ms(8_000));
        world.resume(0);
        world.run(ms(KEEPALIVE_MS));
        let peer = world.status(0).and_then(|status| status.peer).expect("known");
        assert_eq!(peer.status, "active");
    }
    let dead = world.run_until(ms(DEADTIME_MS), |world| {
        let peer = world.status(0).and_then(|status| status.peer);
        peer.is_some_and(|peer| peer.status == "dead")
    });
    assert_eq!(dead, Some(ms(KEEPALIVE_MS)));
}

#[test]
fn a_short_standstill_leaves_the_verdict_alone() {
    let mut world = pair_of(&www(), |settings| settings.timing.warntime_ms = 140);
    world.halt(0);
    world.run(ms(KEEPALIVE_MS * 5 / 2 - 1));
    world.resume(0);
    world.run(ms(1_000));
    let status = world.status(0).expect("runs");
    let stalled = status.problems.iter().find(|problem| problem.id == "core_stalled");
    assert!(stalled.is_some(), "{:?}", status.problems);
    assert_eq!(status.verdict, Verdict::Healthy);
}
