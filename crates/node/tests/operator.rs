//! What status says of readiness, maintenance, failures and the way home, on both nodes.

use std::time::Duration;

use hb_config::settings::{AutoFailback, Settings};
use hb_node::api::{Request, Response, StatusSnapshot, Verdict};
use hb_node::input::Input;
use hb_resource::input::GroupClaim;
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEEPALIVE_MS: u64 = 100;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Both started, `www` with its nginx on node1, everything ready.
fn pair_with(change: impl Fn(&mut Settings)) -> World {
    let groups = [group("node1", &["www", "nginx"])];
    let mut settings = setup::pair(timing(KEEPALIVE_MS), &groups);
    settings.iter_mut().for_each(change);
    let mut world = World::new(settings, 11);
    world.start(0);
    world.start(1);
    let ready = |world: &World| (0..2).all(|machine| status(world, machine).failover_ready);
    assert!(world.run_until(ms(20_000), ready).is_some(), "{:?}", status(&world, 0).unready);
    world
}

fn status(world: &World, machine: usize) -> StatusSnapshot {
    world.status(machine).expect("the daemon runs")
}

fn ids(world: &World, machine: usize) -> Vec<String> {
    status(world, machine).problems.into_iter().map(|problem| problem.id).collect()
}

fn wait(world: &mut World, limit_ms: u64, done: impl FnMut(&World) -> bool) {
    let ended = world.run_until(ms(limit_ms), done);
    let seen = [status(world, 0).problems, status(world, 1).problems];
    assert!(ended.is_some(), "{seen:#?}");
}

fn ask(world: &mut World, machine: usize, request: Request) -> Response {
    let client = world.request(machine, request);
    wait(world, 60_000, |world| world.reply(client).is_some());
    world.reply(client).cloned().expect("answered")
}

fn maintenance(world: &mut World, machine: usize, on: bool, limit_ms: Option<u64>) {
    let answer = ask(world, machine, Request::Maintenance { on, limit_ms });
    assert!(matches!(answer, Response::Done { .. }), "{answer:?}");
}

#[test]
fn a_log_that_hangs_is_told_where_it_hangs_until_it_answers() {
    let mut world = pair_with(|_| {});
    world.feed(1, Input::LogHangs(true));
    world.run(ms(1_000));
    assert_eq!((ids(&world, 0), ids(&world, 1)), (vec![], vec!["log_hangs".to_owned()]));
    assert_eq!(status(&world, 1).verdict, Verdict::Degraded);
    world.feed(1, Input::LogHangs(false));
    assert_eq!(ids(&world, 1), Vec::<String>::new());
}

#[test]
fn a_standby_that_could_not_run_the_group_says_why_to_both() {
    let mut world = pair_with(|settings| settings.native.monitor.ready_interval_ms = 1_000);
    world.machines[1].agents.change("nginx", |habits| habits.invalid = true);
    wait(&mut world, 10_000, |world| !status(world, 0).failover_ready);
    world.run(ms(500));
    for machine in 0..2 {
        let status = status(&world, machine);
        let reasons = status.unready.join("; ");
        assert!(reasons.contains("node2 could not run www"), "{machine}: {reasons}");
        assert!(reasons.contains("its configuration is not valid"), "{machine}: {reasons}");
        assert_eq!(ids(&world, machine), ["not_ready"]);
        assert_eq!(status.verdict, Verdict::Degraded);
        let group = &status.groups[0];
        let shown = [&group.unready_peer, &group.unready_here][machine];
        assert!(shown.as_ref().is_some_and(|why| why.contains("not valid")), "{group:?}");
    }
    world.machines[1].agents.change("nginx", |habits| habits.invalid = false);
    wait(&mut world, 10_000, |world| (0..2).all(|machine| ids(world, machine).is_empty()));
    assert!(status(&world, 0).failover_ready && status(&world, 1).failover_ready);
}

#[test]
fn maintenance_is_shown_on_both_nodes_and_ends_by_itself() {
    let mut world = pair_with(|_| {});
    maintenance(&mut world, 0, true, Some(5_000));
    // Told at once, not with the next heartbeat.
    world.run(ms(20));
    for (machine, expect) in [(0, (true, false)), (1, (false, true))] {
        let status = status(&world, machine);
        let shown = status.maintenance.expect("in maintenance");
        assert_eq!((shown.here, shown.peer), expect);
        assert_eq!(shown.ends_in_ms.is_some(), machine == 0);
        assert_eq!(ids(&world, machine), ["maintenance"]);
        assert_eq!(status.verdict, Verdict::Degraded);
        assert!(!status.failover_ready);
        let text = &status.problems[0].text;
        assert!(text.starts_with("node1 is in maintenance: nothing is"), "{text}");
    }
    let left = status(&world, 0).maintenance.and_then(|state| state.ends_in_ms);
    assert!(left.is_some_and(|left| (4_000..5_000).contains(&left)), "{left:?}");
    wait(&mut world, 6_000, |world| (0..2).all(|m| status(world, m).maintenance.is_none()));
    wait(&mut world, 1_000, |world| (0..2).all(|m| status(world, m).failover_ready));
}

#[test]
fn in_maintenance_it_is_shown_what_would_be_done() {
    let mut world = pair_with(|settings| settings.native.monitor.interval_ms = 500);
    maintenance(&mut world, 1, true, None);
    world.run(ms(100));
    world.machines[0].agents.crash("www", "nginx");
    wait(&mut world, 5_000, |world| status(world, 0).groups[0].would_do.is_some());
    let would = status(&world, 0).groups[0].would_do.clone().unwrap_or_default();
    assert!(would.contains("nginx"), "{would}");
    assert!(!world.machines[0].agents.runs("www", "nginx"), "touched in maintenance");
    maintenance(&mut world, 1, false, None);
    wait(&mut world, 5_000, |world| world.machines[0].serves("www"));
}

#[test]
fn a_node_that_goes_in_maintenance_keeps_its_groups_and_is_shown_so() {
    let mut world = pair_with(|_| {});
    maintenance(&mut world, 0, true, None);
    world.run(ms(500));
    world.kill(0);
    world.run(ms(5_000));
    assert!(!world.machines[1].agents.runs_any_of("www"), "taken in maintenance");
    let texts: Vec<String> =
        status(&world, 1).problems.into_iter().map(|problem| problem.text).collect();
    let said = "node1 was in maintenance when it was heard last";
    assert!(texts.iter().any(|text| text.starts_with(said)), "{texts:?}");
}

#[test]
fn a_failure_that_was_mended_is_a_note() {
    let mut world = pair_with(|settings| settings.native.monitor.interval_ms = 500);
    world.run(ms(2_000));
    world.machines[0].agents.crash("www", "nginx");
    wait(&mut world, 5_000, |world| status(world, 0).groups[0].resources[1].failures == 1);
    wait(&mut world, 5_000, |world| world.machines[0].serves("www"));
    world.run(ms(1_000));
    let status = status(&world, 0);
    let nginx = &status.groups[0].resources[1];
    assert_eq!(nginx.failures, 1);
    assert!(nginx.checked_ms_ago.is_some_and(|ago| ago <= 600), "{nginx:?}");
    assert_eq!(ids(&world, 0), ["resource_failed"]);
    let text = &status.problems[0].text;
    assert_eq!(text, "nginx has failed 1 time of late: status not running");
    assert_eq!(status.verdict, Verdict::Healthy);
    assert_eq!(status.groups[0].here, GroupClaim::Held);
}

#[test]
fn the_way_home_is_told_with_its_time() {
    let mut world = pair_with(|settings| {
        settings.auto_failback = AutoFailback::On;
        settings.native.failback.stable_for_ms = Some(20_000);
    });
    world.power_off(0);
    let taken = |world: &World| world.machines[1].serves("www");
    assert!(world.run_until(ms(5_000), taken).is_some());
    world.start(0);
    let told = |world: &World| {
        let words = status(world, 1).groups[0].failback.clone();
        words.is_some_and(|words| words.starts_with("in "))
    };
    wait(&mut world, 10_000, told);
    let words = status(&world, 1).groups[0].failback.clone().unwrap_or_default();
    assert!(words.ends_with(" s, if node1 stays ready"), "{words}");
    assert_eq!(status(&world, 0).groups[0].failback, None);
    wait(&mut world, 25_000, |world| world.machines[0].serves("www"));
}

#[test]
fn a_one_way_link_is_named_with_its_direction_by_both() {
    let mut world = pair_with(|_| {});
    world.network.path_mut(0, 1).up = false;
    world.run(ms(3_000));
    for (machine, direction) in [(0, "node2 does not hear us"), (1, "nothing of it arrives")] {
        assert_eq!(ids(&world, machine), ["link_one_way"]);
        let status = world.status(machine).expect("runs");
        let problem = &status.problems[0];
        assert!(problem.text.contains("eth1") && problem.text.contains(direction), "{problem:?}");
        assert!(problem.hint.contains("grep 694"), "{problem:?}");
        assert!(status.failover_ready, "the other link works: {:?}", status.unready);
        let links = status.peer.expect("a peer").links;
        let hears: Vec<_> = links.iter().map(|link| (link.up, link.peer_hears)).collect();
        let expect = [(machine == 0, Some(false)), (false, Some(true))][machine];
        assert_eq!(hears, [(true, Some(true)), expect], "{machine}");
    }
    // Both directions: no word of one-way.
    world.network.path_mut(1, 1).up = false;
    world.run(ms(3_000));
    assert_eq!([ids(&world, 0), ids(&world, 1)], [["link_down"], ["link_down"]]);
}

#[test]
fn a_node_that_is_not_heard_says_so_and_is_no_standby() {
    let mut world = pair_with(|_| {});
    for link in 0..2 {
        world.network.path_mut(1, link).up = false;
    }
    world.run(ms(3_000));
    // node1 hears nothing; node2 hears node1 and is told that it is not heard.
    assert_eq!(ids(&world, 0), ["peer_dead"]);
    let status = world.status(1).expect("runs");
    let one_way = |id: &&String| **id == "link_one_way";
    assert_eq!(ids(&world, 1).iter().filter(one_way).count(), 2, "{:?}", world.status(1));
    assert!(!status.failover_ready);
    let reasons = status.unready.join("; ");
    assert!(reasons.contains("node1 does not hear this node on any link"), "{reasons}");
}

#[test]
fn configurations_that_differ_are_named_by_file() {
    let check = |change: fn(&mut Settings), part: &str| {
        let groups = [group("node1", &["www", "nginx"])];
        let mut settings = setup::pair(timing(KEEPALIVE_MS), &groups);
        change(&mut settings[1]);
        let mut world = World::new(settings, 11);
        world.start(0);
        world.start(1);
        world.run(ms(5_000));
        for machine in 0..2 {
            let status = world.status(machine).expect("runs");
            let differs: Vec<_> =
                status.problems.iter().filter(|problem| problem.id == "config_differs").collect();
            assert_eq!(differs.len(), 1, "{part}: {:?}", status.problems);
            assert!(differs[0].text.starts_with(part), "{:?}", differs[0]);
            assert!(status.unready.iter().any(|why| why.starts_with(part)), "{:?}", status.unready);
        }
    };
    check(|settings| settings.timing.deadtime_ms += 100, "ha.cf");
    check(|settings| settings.groups[0].resources.truncate(1), "haresources");
    check(|settings| settings.native.recovery.restarts_max = 9, "hb.toml");
}
