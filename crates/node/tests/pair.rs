//! Two nodes in virtual time: what each fault and each command leads to, and how soon.

#[path = "pair/sleep.rs"]
mod sleep;

use std::time::Duration;

use hb_config::settings::{AuthKey, AuthMethod, AutoFailback, GroupSpec, Secret, Settings};
use hb_node::api::{Request, Response, Verdict};
use hb_resource::input::{GroupClaim, Holdings, Which};
use hb_resource::operation::Action;
use hb_sim::setup::{self, group, timing};
use hb_sim::world::World;

const KEEPALIVE_MS: u64 = 100;
const DEADTIME_MS: u64 = KEEPALIVE_MS * 5;
const INITDEAD_MS: u64 = DEADTIME_MS * 2;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn www() -> Vec<GroupSpec> {
    vec![group("node1", &["www", "nginx"])]
}

fn world_of(groups: &[GroupSpec], change: impl Fn(&mut Settings)) -> World {
    let mut settings = setup::pair(timing(KEEPALIVE_MS), groups);
    settings.iter_mut().for_each(change);
    World::new(settings, 7)
}

/// Both started, everything settled.
fn pair_of(groups: &[GroupSpec], change: impl Fn(&mut Settings)) -> World {
    let mut world = world_of(groups, change);
    world.start(0);
    world.start(1);
    settle(&mut world);
    world
}

fn pair() -> World {
    pair_of(&www(), |_| {})
}

/// Both nodes say that all is well, and go on saying so.
fn settle(world: &mut World) {
    settle_after(world, &[]);
}

/// The same, except that past events of these kinds may still be shown.
fn settle_after(world: &mut World, past: &[&str]) {
    let healthy = |world: &World| {
        (0..2).all(|machine| {
            world.status(machine).is_some_and(|status| {
                let known = status.problems.iter().all(|problem| past.contains(&&*problem.id));
                // A group that is due to go home has not settled yet.
                let home = status.groups.iter().all(|group| group.failback.is_none());
                home && (status.verdict == Verdict::Healthy || (known && status.failover_ready))
            })
        })
    };
    let took = world.run_until(ms(60_000), healthy);
    assert!(took.is_some(), "never settled: {:#?}", [problems(world, 0), problems(world, 1)]);
    world.run(ms(1_000));
    assert!(healthy(world), "not stable: {:#?}", [problems(world, 0), problems(world, 1)]);
}

fn problems(world: &World, machine: usize) -> Vec<String> {
    let status = world.status(machine);
    let mut lines: Vec<String> = Vec::new();
    if let Some(status) = status {
        lines.push(format!(
            "{:?} {} {}",
            status.verdict, status.this_node.phase, status.this_node.rscstatus
        ));
        lines.extend(
            status.problems.into_iter().map(|problem| format!("{}: {}", problem.id, problem.text)),
        );
    }
    lines
}

fn ids(world: &World, machine: usize) -> Vec<String> {
    let status = world.status(machine).expect("the daemon runs");
    status.problems.into_iter().map(|problem| problem.id).collect()
}

/// Which machines have any part of the group.
fn owners(world: &World, key: &str) -> Vec<usize> {
    (0..2).filter(|machine| world.machines[*machine].agents.runs_any_of(key)).collect()
}

fn served_by(world: &World, key: &str, machine: usize) -> bool {
    world.machines[machine].serves(key) && owners(world, key) == [machine]
}

fn wait_served(world: &mut World, key: &str, machine: usize, limit_ms: u64) -> Duration {
    let took = world.run_until(ms(limit_ms), |world| served_by(world, key, machine));
    took.unwrap_or_else(|| {
        panic!("{key} not on node{}: {:#?}", machine + 1, [problems(world, 0), problems(world, 1)])
    })
}

fn all() -> Which {
    Which::Sets(Holdings::ALL)
}

/// Asks and waits for the answer.
fn ask(world: &mut World, machine: usize, request: Request) -> Response {
    let client = world.request(machine, request);
    let answered = world.run_until(ms(120_000), |world| world.reply(client).is_some());
    assert!(answered.is_some(), "no answer");
    world.reply(client).cloned().expect("answered")
}

fn assert_done(response: &Response) {
    assert!(matches!(response, Response::Done { .. }), "{response:?}");
}

/// Stops that a machine carried out.
fn stops(world: &World, machine: usize) -> usize {
    let log = &world.machines[machine].agents.log;
    log.iter().filter(|(action, _)| *action == Action::Stop).count()
}

fn assert_no_errors(world: &World) {
    for machine in &world.machines {
        assert_eq!(machine.errors(), Vec::<&hb_node::effect::LogEvent>::new());
    }
}

#[test]
fn cold_start_of_both_is_a_matter_of_heartbeats() {
    let mut world = world_of(&www(), |_| {});
    world.start(0);
    world.start(1);
    let took = wait_served(&mut world, "www", 0, 60_000);
    // Heartbeat 3.0.6 waits ten seconds here, whatever its keepalive.
    assert!(took <= ms(KEEPALIVE_MS * 10), "{took:?}");
    settle(&mut world);
    assert!(served_by(&world, "www", 0));
    assert_eq!(stops(&world, 0) + stops(&world, 1), 0);
    assert_eq!(world.machines[0].logged("initial_acquisition").len(), 1);
    for machine in 0..2 {
        let status = world.status(machine).expect("runs");
        assert!(status.failover_ready, "{:?}", status.problems);
        assert_eq!(status.groups[0].active_on.as_deref(), Some("node1"));
        assert_eq!(status.peer.and_then(|peer| peer.native), Some(true));
    }
    assert_no_errors(&world);
}

#[test]
fn cold_start_order_does_not_matter() {
    for delay_ms in [0, 10, 90, 450, 990, 1_010, 5_000] {
        for first in 0..2 {
            let mut world = world_of(&www(), |_| {});
            world.start(first);
            world.run(ms(delay_ms));
            world.start(1 - first);
            settle(&mut world);
            assert!(served_by(&world, "www", 0), "first {first}, delay {delay_ms}");
            assert_no_errors(&world);
        }
    }
}

#[test]
fn one_alone_serves_after_initdead() {
    for machine in 0..2 {
        let mut world = world_of(&www(), |_| {});
        world.start(machine);
        let took = wait_served(&mut world, "www", machine, 60_000);
        assert!(took >= ms(INITDEAD_MS), "{took:?}");
        assert!(took <= ms(INITDEAD_MS + 200), "{took:?}");
        world.run(ms(500));
        assert_eq!(ids(&world, machine), ["peer_never_seen"]);
        let status = world.status(machine).expect("runs");
        assert!(!status.failover_ready);
        assert_eq!(status.verdict, Verdict::Degraded);
    }
}

#[test]
fn death_leads_to_takeover_at_deadtime_and_agent_time() {
    let mut world = pair();
    world.run(ms(10_000));
    world.power_off(0);
    let took = wait_served(&mut world, "www", 1, 60_000);
    // Between the last heartbeat and the power cut lies up to one keepalive; two resources are
    // probed and started, 22 ms each.
    assert!(took >= ms(DEADTIME_MS - KEEPALIVE_MS), "{took:?}");
    assert!(took <= ms(DEADTIME_MS + 2 * 25), "{took:?}");
    world.run(ms(500));
    assert_eq!(ids(&world, 1), ["peer_dead"]);
    let dead = world.machines[1].logged("node_dead");
    assert!(dead[0].text.starts_with("node node1: is dead"), "{}", dead[0].text);
    let complete = world.machines[1].logged("takeover_complete");
    assert!(complete[0].text.starts_with("mach_down takeover complete"), "{}", complete[0].text);
    let last = world.status(1).and_then(|status| status.last_move).expect("a move");
    assert_eq!((last.what.as_str(), last.group.as_str()), ("acquired", "www"));
    assert!((40..=60).contains(&last.elapsed_ms), "{}", last.elapsed_ms);
    assert_eq!(world.machines[1].history.last(), Some(&last));
}

#[test]
fn the_preferred_node_gets_its_group_back() {
    let mut world = pair();
    world.power_off(0);
    wait_served(&mut world, "www", 1, 60_000);
    world.start(0);
    settle(&mut world);
    assert!(served_by(&world, "www", 0));
    assert_no_errors(&world);
}

#[test]
fn without_auto_failback_nothing_moves_on_return() {
    let mut world = pair_of(&www(), |settings| settings.auto_failback = AutoFailback::Off);
    world.power_off(0);
    wait_served(&mut world, "www", 1, 60_000);
    world.start(0);
    settle(&mut world);
    assert!(served_by(&world, "www", 1));
    assert_eq!(stops(&world, 1), 0);
    world.power_off(1);
    wait_served(&mut world, "www", 0, 60_000);
}

#[test]
fn standby_and_takeover_move_everything_and_answer_when_it_is_done() {
    let mut world = pair_of(&www(), |settings| settings.auto_failback = AutoFailback::Off);
    assert_done(&ask(&mut world, 0, Request::Standby { which: all() }));
    assert!(served_by(&world, "www", 1), "the answer came too early");
    assert_eq!(world.machines[0].logged("standby_asked").len(), 1);
    settle(&mut world);
    assert_done(&ask(&mut world, 0, Request::Takeover { which: all() }));
    assert!(served_by(&world, "www", 0), "the answer came too early");
    settle(&mut world);
    assert_done(&ask(&mut world, 1, Request::Takeover { which: all() }));
    assert!(served_by(&world, "www", 1));
    assert_no_errors(&world);
}

/// Each waits for the other to give, and neither can: both are told at once, not after Heartbeat's ten
/// seconds without an answer.
#[test]
fn takeovers_that_cross_are_refused_at_once() {
    let groups = [group("node1", &["www"]), group("node2", &["db"])];
    let mut world = pair_of(&groups, |_| {});
    let wanted = Request::Takeover { which: Which::Sets(Holdings::FOREIGN) };
    let clients = [0, 1].map(|machine| world.request(machine, wanted.clone()));
    let all = |world: &World| clients.iter().all(|client| world.reply(*client).is_some());
    let took = world.run_until(ms(60_000), all).expect("both are answered");
    assert!(took < ms(1_000), "{took:?}");
    for (client, other) in clients.into_iter().zip(["node2", "node1"]) {
        let reply = world.reply(client).expect("answered");
        let Response::Error { text } = reply else { panic!("{reply:?}") };
        assert!(text.starts_with(&format!("{other} refused: a standby or takeover")), "{text}");
    }
    settle(&mut world);
    assert!(served_by(&world, "www", 0) && served_by(&world, "db", 1));
}

/// ipfail counts as a client that is signed on (Heartbeat 3.0.6), for as long as its node is there.
#[test]
fn each_node_knows_the_clients_of_the_other() {
    let clients = |world: &World, machine: usize| {
        let status = world.status(machine).expect("it runs");
        let peer = status.peer.as_ref().map(|peer| peer.clients.contains("ipfail"));
        (status.this_node.clients.contains("ipfail"), peer)
    };
    let mut without = pair();
    assert_eq!(clients(&without, 0), (false, Some(false)));
    settle(&mut without);
    let mut world = pair_of(&www(), |settings| settings.ipfail = true);
    assert_eq!([clients(&world, 0), clients(&world, 1)], [(true, Some(true)); 2]);
    world.power_off(1);
    world.run(ms(5_000));
    assert_eq!(clients(&world, 0), (true, Some(false)));
}

#[test]
fn a_single_group_moves_between_twinbeat_nodes() {
    let groups = [group("node1", &["www"]), group("node1", &["db"])];
    let mut world = pair_of(&groups, |settings| settings.auto_failback = AutoFailback::Off);
    let which = Which::Group("db".into());
    assert_done(&ask(&mut world, 0, Request::Standby { which: which.clone() }));
    assert!(served_by(&world, "db", 1) && served_by(&world, "www", 0));
    settle(&mut world);
    assert_done(&ask(&mut world, 0, Request::Takeover { which }));
    assert!(served_by(&world, "db", 0) && served_by(&world, "www", 0));
    assert_no_errors(&world);
}

#[test]
fn a_client_that_goes_loses_its_answer_and_not_the_action() {
    let mut world = pair_of(&www(), |settings| settings.auto_failback = AutoFailback::Off);
    let client = world.request(0, Request::Standby { which: all() });
    world.feed(0, hb_node::input::Input::ClientGone { client });
    wait_served(&mut world, "www", 1, 10_000);
    settle(&mut world);
    assert_eq!(world.reply(client), None);
}

#[test]
fn an_orderly_stop_needs_no_deadtime() {
    let mut world = pair();
    let client = world.request(0, Request::Stop);
    assert!(matches!(world.reply(client), Some(Response::Done { .. })));
    assert_eq!(world.status(0).map(|status| status.this_node.status), Some("stopping".into()));
    let took = wait_served(&mut world, "www", 1, 60_000);
    // Two stops, a probe and a start for each of two resources, and a few messages.
    assert!(took <= ms(110), "{took:?}");
    let left = world.run_until(ms(10_000), |world| world.machines[0].exit.is_some());
    assert!(left.is_some() && world.machines[0].exit == Some(0));
    assert!(owners(&world, "www") == [1]);
    let notice = world.machines[1].logged("peer_shutdown");
    assert_eq!(notice[0].text, "Received shutdown notice from 'node1'.");
    world.run(ms(2_000));
    assert_eq!(ids(&world, 1), ["peer_dead"]);
    world.start(0);
    settle(&mut world);
    assert!(served_by(&world, "www", 0));
    assert_no_errors(&world);
}

#[test]
fn both_stop_at_once() {
    let mut world = pair();
    world.feed(0, hb_node::input::Input::Shutdown);
    world.feed(1, hb_node::input::Input::Shutdown);
    let left = world.run_until(ms(30_000), |world| {
        world.machines.iter().all(|machine| machine.exit == Some(0))
    });
    assert!(left.is_some(), "still there");
    assert_eq!(owners(&world, "www"), Vec::<usize>::new());
}

#[test]
fn each_of_two_groups_lives_where_it_prefers() {
    let groups = [group("node1", &["www"]), group("node2", &["db"])];
    let mut world = pair_of(&groups, |_| {});
    assert!(served_by(&world, "www", 0) && served_by(&world, "db", 1));
    for machine in 0..2 {
        let status = world.status(machine).expect("runs");
        assert_eq!(status.this_node.rscstatus, "local");
    }
    world.power_off(1);
    wait_served(&mut world, "db", 0, 60_000);
    assert!(served_by(&world, "www", 0));
    world.run(ms(100));
    assert_eq!(world.status(0).expect("runs").this_node.rscstatus, "all");
    world.start(1);
    settle(&mut world);
    assert!(served_by(&world, "www", 0) && served_by(&world, "db", 1));
    assert_no_errors(&world);
}

#[test]
fn a_group_that_fails_to_start_is_offered_to_the_peer() {
    let mut world = world_of(&www(), |settings| {
        settings.native.failure.offer_delay_ms = 1_000;
    });
    world.machines[0].agents.change("nginx", |habits| habits.start_fails = true);
    world.start(0);
    world.start(1);
    wait_served(&mut world, "www", 1, 60_000);
    world.run(ms(5_000));
    assert!(served_by(&world, "www", 1), "it came back");
    assert!(ids(&world, 0).contains(&"group_failed".to_owned()));
    assert!(ids(&world, 1).contains(&"group_failed".to_owned()));
    assert!(!world.status(1).expect("runs").failover_ready);
    world.machines[0].agents.change("nginx", |habits| habits.start_fails = false);
    assert_done(&ask(&mut world, 0, Request::Cleanup { group: None }));
    settle(&mut world);
}

#[test]
fn a_group_that_cannot_be_stopped_is_blocked_and_not_started_elsewhere() {
    let mut world = pair_of(&www(), |settings| {
        settings.native.failure.stop_retries_max = 2;
        settings.native.failure.stop_retry_delay_ms = 100;
    });
    world.machines[0].agents.change("nginx", |habits| habits.unstoppable = true);
    let answer = ask(&mut world, 0, Request::Standby { which: all() });
    assert!(matches!(answer, Response::Error { .. }), "{answer:?}");
    world.run(ms(5_000));
    assert_eq!(owners(&world, "www"), [0]);
    for machine in 0..2 {
        assert!(ids(&world, machine).contains(&"group_blocked".to_owned()), "{machine}");
    }
    let status = world.status(1).expect("runs");
    assert_eq!(status.groups[0].peer, Some(GroupClaim::Blocked));
}

#[test]
fn a_healed_partition_leaves_one_owner_who_never_stopped() {
    for victim in 0..2 {
        let groups = [group("node1", &["www", "nginx"]), group("node2", &["db"])];
        let mut world = pair_of(&groups, |_| {});
        world.run(ms(victim * 37));
        world.network.each(|path| path.up = false);
        world.run(ms(3_000));
        for key in ["www", "db"] {
            assert_eq!(owners(&world, key), [0, 1], "both must have taken over");
        }
        world.network.each(|path| path.up = true);
        let before = [stops(&world, 0), stops(&world, 1)];
        let healed = world.run_until(ms(10_000), |world| {
            ["www", "db"].iter().all(|key| owners(world, key).len() == 1)
        });
        assert!(healed.is_some_and(|took| took <= ms(1_000)), "{healed:?}");
        settle(&mut world);
        for (key, members) in [("www", 2), ("db", 1)] {
            let owner = owners(&world, key)[0];
            assert!(world.machines[owner].serves(key));
            let log = &world.machines[owner].agents.log;
            let stopped =
                log.iter().filter(|(action, (of, _))| *action == Action::Stop && of == key);
            assert_eq!(stopped.count(), 0, "the winner of {key} let go");
            let loser = 1 - owner;
            let log = &world.machines[loser].agents.log;
            let stopped =
                log.iter().filter(|(action, (of, _))| *action == Action::Stop && of == key);
            assert_eq!(stopped.count(), members, "the loser of {key}");
        }
        assert!(stops(&world, 0) + stops(&world, 1) > before[0] + before[1]);
        assert!(!world.machines[0].logged("peer_returned").is_empty());
    }
}

#[test]
fn a_quick_restart_of_the_machine_is_noticed_by_its_generation() {
    let mut world = pair();
    world.power_off(0);
    world.run(ms(DEADTIME_MS / 3));
    world.start(0);
    settle(&mut world);
    assert_eq!(owners(&world, "www").len(), 1);
    assert!(!world.machines[1].logged("peer_restarted").is_empty());
}

#[test]
fn a_daemon_that_was_killed_adopts_what_runs() {
    for pause_ms in [50, DEADTIME_MS / 2] {
        let mut world = pair();
        let before = world.machines[0].agents.log.clone();
        world.kill(0);
        world.run(ms(pause_ms));
        world.start(0);
        settle(&mut world);
        assert!(served_by(&world, "www", 0));
        assert_eq!(world.machines[0].agents.log, before, "stopped or started again");
        assert_no_errors(&world);
    }
}

#[test]
fn a_split_is_told_with_its_length_and_who_kept_what() {
    let mut world = pair();
    world.network.each(|path| path.up = false);
    world.run(ms(10_000));
    world.network.each(|path| path.up = true);
    let mut seen = false;
    let healed = world.run_until(ms(5_000), |world| {
        let verdict = |machine| world.status(machine).map(|status| status.verdict);
        seen |= (0..2).any(|machine| verdict(machine) == Some(Verdict::Split));
        world.machines.iter().all(|machine| !machine.logged("split_healed").is_empty())
    });
    assert!(healed.is_some() && seen, "{healed:?} {seen}");
    for machine in &world.machines {
        let line = machine.logged("split_healed")[0];
        assert!(line.text.contains("after 10 s apart"), "{}", line.text);
        assert!(line.text.contains("node1 keeps it, node2 released it"), "{}", line.text);
        let field = |name: &str| {
            line.field(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
        };
        assert_eq!(field("to_unix_s") - field("from_unix_s"), 10);
        assert!((1..500).contains(&field("overlap_ms")), "{line:?}");
    }
    settle(&mut world);
}

#[test]
fn a_hanging_operation_is_named_with_its_limit() {
    let mut world = pair_of(&www(), |settings| settings.auto_failback = AutoFailback::Off);
    world.machines[0].agents.change("nginx", |habits| habits.stop = ms(30_000));
    world.request(0, Request::Standby { which: all() });
    world.run(ms(12_100));
    let status = world.status(0).expect("runs");
    let hung = status.problems.iter().find(|problem| problem.id == "hung").expect("found");
    assert_eq!(hung.text, "nginx stop: under way for 12 s, limit 60 s");
    let nginx = &status.groups[0].resources[1];
    assert_eq!(nginx.under_way.as_deref(), Some("stop: under way for 12 s, limit 60 s"));
    assert_eq!(status.verdict, Verdict::Degraded);
    wait_served(&mut world, "www", 1, 60_000);
    assert!(!ids(&world, 0).contains(&"hung".to_owned()));
}

#[test]
fn a_failed_group_tells_what_failed() {
    let mut world = world_of(&www(), |settings| settings.native.failure.offer_delay_ms = 60_000);
    world.machines[0].agents.change("nginx", |habits| habits.start_fails = true);
    world.start(0);
    world.start(1);
    world.run(ms(5_000));
    let status = world.status(0).expect("runs");
    let last = |index: usize| status.groups[0].resources[index].last.clone().unwrap_or_default();
    assert_eq!(last(0), "stop ok");
    assert!(last(1).starts_with("start failed"), "{}", last(1));
}

#[test]
fn a_wrong_key_is_a_problem_and_nothing_else() {
    let mut settings = setup::pair(timing(KEEPALIVE_MS), &www());
    settings[1].keys = setup::keys("other");
    let mut world = World::new(settings, 3);
    world.start(0);
    world.start(1);
    world.run(ms(10_000));
    for machine in 0..2 {
        let ids = ids(&world, machine);
        assert!(ids.contains(&"bad_auth".to_owned()), "{ids:?}");
        // Packets that nobody can verify arrive: it may well live.
        assert!(ids.contains(&"peer_lost".to_owned()), "{ids:?}");
        assert!(!world.status(machine).expect("runs").failover_ready);
    }
}

#[test]
fn a_key_that_only_one_node_has_is_a_problem_there() {
    let key = |secret: &str| AuthKey {
        method: AuthMethod::Sha256,
        secret: Secret::new(secret.as_bytes().to_vec()),
    };
    // node2 has a key more, which the other confirms only in the first case.
    for (confirmed, added) in [(true, "new"), (false, "another")] {
        let mut world = world_of(&www(), |settings| {
            settings.keys.keys.insert(9, key("new"));
            if settings.node.as_str() == "node2" {
                settings.keys.keys.insert(9, key(added));
                settings.keys.active = 9;
            }
        });
        world.start(0);
        world.start(1);
        let heard = |world: &World| {
            let status = world.status(1);
            status.and_then(|status| status.peer).is_some_and(|peer| peer.keys.is_some())
        };
        assert!(world.run_until(ms(10_000), heard).is_some(), "{:?}", problems(&world, 1));
        let missing = ids(&world, 1).contains(&"key_unconfirmed".to_owned());
        assert_eq!(missing, !confirmed, "{:?}", problems(&world, 1));
        let status = world.status(1).expect("runs");
        let own = status.this_node.keys.iter().find(|key| key.active).expect("one signs");
        assert_eq!((own.index, own.method.as_str()), (9, "sha256"));
        let theirs = status.peer.and_then(|peer| peer.keys).expect("heard");
        assert_eq!(theirs.iter().any(|key| key.is_same_key(own)), confirmed);
    }
}

#[test]
fn one_dead_link_of_two_is_a_problem_and_not_a_transition() {
    let mut world = pair();
    world.network.path_mut(0, 1).up = false;
    world.run(ms(3_000));
    assert_eq!(ids(&world, 1), ["link_one_way"]);
    assert!(served_by(&world, "www", 0));
    assert_eq!(
        world.machines[1].logged("link_status").last().map(|l| l.text.as_str()),
        Some("Link node1:eth1 dead.")
    );
    world.network.path_mut(0, 1).up = true;
    world.run(ms(1_000));
    assert_eq!(ids(&world, 1), Vec::<String>::new());
    assert_eq!(stops(&world, 0), 0);
}

#[test]
fn loss_below_the_threshold_moves_nothing() {
    let mut world = pair();
    world.network.each(|path| path.loss = 200);
    world.run(ms(60_000));
    assert!(served_by(&world, "www", 0));
    assert_eq!(stops(&world, 0) + stops(&world, 1), 0);
}

#[test]
fn the_service_manager_is_told_once_for_each_change() {
    let mut world = pair();
    let first = &world.machines[0].notified;
    assert!(!first.is_empty());
    assert_eq!(
        first.last().map(String::as_str),
        Some("web: HEALTHY, holds local, peer node2 active")
    );
    let repeats = first.windows(2).filter(|two| two[0] == two[1]).count();
    assert_eq!(repeats, 0, "{first:?}");
    let before = first.len();
    world.run(ms(20_000));
    assert_eq!(world.machines[0].notified.len(), before);
}
