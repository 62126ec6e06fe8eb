//! The state machine with virtual time: what is told, how often, by whom, and after a restart.

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::{AutoFailback, Timing};
use hb_node::api::{GroupStatus, HistoryStep, PingStatus, ThisNode, VERSION as API};
use proptest::prelude::*;

use super::*;

const START: u64 = 1_795_000_000_000;
const RULES: Rules = Rules { settle_ms: 10_000, clear_ms: 30_000, daemon_grace_ms: 30_000 };

/// A node with its notifier, as its daemon tells it.
struct World {
    status: StatusSnapshot,
    history: Vec<HistoryEntry>,
    incidents: Incidents,
    now: u64,
    told: Vec<Message>,
}

fn status(here: &str, peer: &str) -> StatusSnapshot {
    let link = |name: &str| serde_json::json!({"name": name, "up": true, "heard_ms_ago": 90, "failure": null});
    let mut status: StatusSnapshot = serde_json::from_value(serde_json::json!({
        "v": API, "cluster": "web", "version": "0", "pid": 1, "uptime_ms": 1, "verdict": "healthy",
        "problems": [], "failover_ready": true, "members": ["ha1", "ha2"],
        "this_node": ThisNode {
            name: here.into(), status: "active".into(), phase: "stable".into(),
            rscstatus: "local".into(), generation: 1, key: "#1 sha256".into(), keys: Vec::new(),
            clients: BTreeSet::new(),
        },
        "peer": {
            "name": peer, "status": "active", "heard_ms_ago": 90, "holdings": null, "stable": true,
            "native": true, "generation": 1, "links": [link("eth0"), link("eth1")],
        },
        "pings": Vec::<PingStatus>::new(), "groups": Vec::<GroupStatus>::new(), "last_move": null,
        "timing": Timing {
            keepalive_ms: 200, deadtime_ms: 5_000, warntime_ms: 500, initdead_ms: 5_000,
            deadping_ms: 1_000,
        },
        "auto_failback": AutoFailback::Off, "parameters": BTreeMap::<String, String>::new(),
        "counters": counters(),
    }))
    .expect("a status");
    status.groups = vec![GroupStatus {
        key: "www".into(),
        prefers: "ha1".into(),
        here: if here == "ha1" { GroupClaim::Held } else { GroupClaim::Released },
        peer: Some(if here == "ha1" { GroupClaim::Released } else { GroupClaim::Held }),
        active_on: Some("ha1".into()),
        maybe_on: None,
        since_ms: 1,
        reason: "started".into(),
        resources: Vec::new(),
        unready_here: None,
        unready_peer: None,
        failback: None,
        would_do: None,
    }];
    status
}

/// All zero.
fn counters() -> serde_json::Value {
    serde_json::to_value(hb_messaging::engine::Counters::default()).expect("counters")
}

impl World {
    /// `ha1` holds www; this is the notifier of `here`.
    fn of(here: &str) -> Self {
        let peer = if here == "ha1" { "ha2" } else { "ha1" };
        let incidents = Incidents::new(RULES, State::default(), START);
        let status = status(here, peer);
        let mut world = Self { status, history: Vec::new(), incidents, now: START, told: vec![] };
        world.pass(1);
        assert_eq!(world.told, [], "nothing has happened yet");
        world
    }

    /// `s` seconds pass, with a look every half second.
    fn pass(&mut self, s: u64) {
        for _ in 0..s * 2 {
            self.now += 500;
            for problem in &mut self.status.problems {
                problem.since_ms += 500;
            }
            let seen = Seen::Status { status: &self.status, history: Some(&self.history) };
            let messages = self.incidents.step(self.now, seen);
            self.told.extend(messages);
        }
    }

    fn away(&mut self, s: u64, in_order: bool) {
        for _ in 0..s * 2 {
            self.now += 500;
            let seen = Seen::Away { reason: "no daemon", in_order };
            let messages = self.incidents.step(self.now, seen);
            self.told.extend(messages);
        }
    }

    /// The process ends and another one begins with what was kept.
    fn restart(&mut self) {
        let kept = serde_json::to_vec(self.incidents.state()).expect("JSON");
        let state = serde_json::from_slice(&kept).expect("a state");
        self.incidents = Incidents::new(RULES, state, self.now);
    }

    fn entry(&mut self, entry: HistoryEntry) {
        let number = self.history.last().map_or(0, |last| last.number) + 1;
        let (unix_ms, unix_s) = (self.now, self.now / 1_000);
        self.history.push(HistoryEntry { number, unix_ms, unix_s, ..entry });
    }

    fn problem(&mut self, id: &str, subject: &str) {
        self.status.problems.push(Problem {
            id: id.into(),
            subject: subject.into(),
            text: format!("{id} of {subject}"),
            hint: "do this".into(),
            since_ms: 0,
        });
    }

    fn solved(&mut self, id: &str) {
        self.status.problems.retain(|problem| problem.id != id);
    }

    /// `ha1` loses power, as `ha2` sees it.
    fn power_loss(&mut self) {
        self.peer("dead");
        self.problem("peer_dead", "ha1");
        self.status.verdict = Verdict::Transition;
        self.status.groups[0].here = GroupClaim::Acquiring;
        self.status.groups[0].peer = None;
        self.status.failover_ready = false;
        self.status.unready = vec!["ha1 is dead".into()];
        self.entry(node("ha1", "dead", 5_000));
    }

    fn acquired(&mut self, from: &str, cause: &str, outage_ms: u64) {
        let here = self.status.this_node.name.clone();
        self.status.verdict = Verdict::Degraded;
        self.status.groups[0].here = GroupClaim::Held;
        self.status.groups[0].active_on = Some(here.clone());
        self.entry(HistoryEntry {
            group: "www".into(),
            what: "acquired".into(),
            from: Some(from.into()),
            to: Some(here),
            cause: cause.into(),
            reason: format!("because of {cause}"),
            outage_ms: Some(outage_ms),
            steps: vec![HistoryStep {
                resource: "nginx".into(),
                action: "start".into(),
                ms: 12,
                outcome: "ok".into(),
            }],
            ..HistoryEntry::default()
        });
    }

    fn peer(&mut self, word: &str) {
        if let Some(peer) = &mut self.status.peer {
            peer.status = word.into();
        }
    }

    #[track_caller]
    fn tells(&mut self, expect: &[&str]) {
        let told: Vec<String> = std::mem::take(&mut self.told)
            .iter()
            .map(|it| format!("{} {}", it.phase.word(), it.subject))
            .collect();
        assert_eq!(told, expect);
    }
}

fn node(name: &str, what: &str, elapsed_ms: u64) -> HistoryEntry {
    HistoryEntry {
        kind: hb_node::api::EntryKind::Node,
        subject: Some(name.into()),
        what: what.into(),
        cause: "silent".into(),
        reason: format!("{name} is {what}"),
        elapsed_ms,
        ..HistoryEntry::default()
    }
}

const MOVED: &str = "begin [web] www moved ha1→ha2 — ha1 silent 5.0 s — service back after 6.3 s";

#[test]
fn a_power_loss_is_one_message_and_the_return_another() {
    let mut world = World::of("ha2");
    world.power_loss();
    world.pass(1);
    world.tells(&[]);
    world.acquired("ha1", "peer_dead", 6_300);
    world.pass(100);
    let message = world.told[0].clone();
    world.tells(&[MOVED]);
    assert_eq!((message.outage_ms, message.cause.as_str()), (Some(6_300), "dead"));
    assert_eq!(
        (message.events, message.groups),
        (vec![Event::Node, Event::Move], vec!["www".into()])
    );
    assert!(message.happened[0].contains("ha1 dead"), "{:?}", message.happened);
    assert!(message.happened.iter().any(|it| it.contains("start nginx: ok in 0.0 s")));
    assert!(message.views.iter().any(|it| it.starts_with("ha1: dead")), "{:?}", message.views);
    assert_eq!(message.not_redundant, ["no failover: ha1 is dead"]);
    assert_eq!(message.next[0], "do this");

    world.peer("active");
    world.solved("peer_dead");
    world.entry(node("ha1", "back", 101_000));
    world.status.verdict = Verdict::Healthy;
    world.pass(29);
    world.tells(&[]);
    world.pass(100);
    let resolved = world.told[0].clone();
    world.tells(&["resolved [web] resolved: ha1 is back after 1 min 46 s — www is on ha2"]);
    assert_eq!((resolved.incident, resolved.seq), (message.id, message.seq + 1));
}

#[test]
fn who_hears_of_the_beginning_hears_of_the_end() {
    let mut world = World::of("ha1");
    world.peer("dead");
    world.problem("peer_dead", "ha2");
    world.status.groups[0].active_on = None;
    world.pass(20);
    world.status.groups[0].active_on = Some("ha1".into());
    world.solved("peer_dead");
    world.pass(60);
    let told: Vec<_> = world.told.iter().map(|it| (it.phase, it.severity)).collect();
    assert_eq!(told, [(Phase::Begin, Gravity::Critical), (Phase::Resolved, Gravity::Critical)]);
}

#[test]
fn ids_hold_nothing_but_letters_digits_and_dashes() {
    let mut world = World::of("ha1");
    world.status.cluster = "my web\0 <pair>".into();
    world.problem("split", "www");
    world.pass(1);
    assert_eq!(world.told[0].id, format!("mywebpair-ha1-{START:x}-1"));
    assert_eq!(world.told[0].subject, "[my web  <pair>] split of www");
}

#[test]
fn a_death_without_a_takeover_is_told_when_it_lasts() {
    let mut world = World::of("ha1");
    world.peer("dead");
    world.problem("peer_dead", "ha2");
    world.problem("link_down", "eth1");
    world.problem("not_ready", "ha2 www");
    world.pass(9);
    world.tells(&[]);
    world.pass(90);
    world.tells(&["begin [web] ha2 is dead — www is on ha1"]);
    let mut world = World::of("ha1");
    world.problem("peer_dead", "ha2");
    world.pass(5);
    world.solved("peer_dead");
    world.pass(100);
    world.tells(&[]);
}

#[test]
fn moves_that_somebody_wanted_are_told_once_each() {
    let mut world = World::of("ha1");
    world.acquired("ha2", "standby", 800);
    world.history[0].by = Some("root@ha2".into());
    world.pass(100);
    world
        .tells(&["event [web] www moved ha2→ha1 — standby by root@ha2 — service back after 0.8 s"]);
    // What the other node takes is its own to tell, but a peer of version 3.0.6 tells nothing.
    let given = |native| {
        let mut world = World::of("ha1");
        if let Some(peer) = &mut world.status.peer {
            peer.native = native;
        }
        world.acquired("ha1", "standby", 800);
        world.history[0].to = Some("ha2".into());
        world.history[0].what = "released".into();
        world.pass(5);
        world.told.len()
    };
    assert_eq!((given(Some(true)), given(Some(false)), given(None)), (0, 1, 1));
}

#[test]
fn groups_that_move_together_are_one_message() {
    let mut world = World::of("ha1");
    for group in ["www", "db"] {
        world.acquired("ha2", "takeover", 500);
        if let Some(entry) = world.history.last_mut() {
            entry.group = group.into();
        }
    }
    world.pass(1);
    world.tells(&["event [web] www, db moved ha2→ha1 — takeover — service back after 0.5 s"]);
}

#[test]
fn what_keeps_happening_is_told_together() {
    let mut world = World::of("ha1");
    for _ in 0..5 {
        world.acquired("ha1", "failed", 400);
        if let Some(entry) = world.history.last_mut() {
            (entry.what, entry.reason) = ("restarted".into(), "nginx does not run".into());
        }
        world.pass(3);
    }
    let first =
        "event [web] www started again on ha1 — nginx does not run — service back after 0.4 s";
    world.tells(&[first]);
    world.pass(60);
    world.tells(&[&format!("{first} — 4 times of late")]);
    world.pass(1_000);
    world.tells(&[]);
}

#[test]
fn a_problem_begins_once_and_ends_once_however_it_flaps() {
    let mut world = World::of("ha1");
    for _ in 0..6 {
        world.problem("link_down", "eth1");
        world.pass(3);
        world.solved("link_down");
        world.pass(3);
    }
    world.tells(&["begin [web] link_down of eth1 — it comes and goes (3 times)"]);
    world.pass(29);
    world.tells(&[]);
    world.pass(16 * 30);
    assert_eq!(world.told.len(), 1);
    assert_eq!((world.told[0].phase, world.told[0].repeats), (Phase::Resolved, 5));
    world.told.clear();
    world.pass(1_000);
    world.tells(&[]);
    assert_eq!(world.incidents.state().open.len(), 0);
}

#[test]
fn two_links_are_two_incidents_and_what_is_critical_is_told_at_once() {
    let mut world = World::of("ha1");
    world.problem("link_down", "eth0");
    world.problem("link_down", "eth1");
    world.problem("split", "www");
    world.pass(1);
    world.tells(&["begin [web] split of www"]);
    world.pass(20);
    world.tells(&["begin [web] link_down of eth0", "begin [web] link_down of eth1"]);
    world.solved("split");
    world.entry(HistoryEntry {
        kind: hb_node::api::EntryKind::Split,
        group: "www".into(),
        what: "split".into(),
        overlap_ms: Some(7_000),
        ..HistoryEntry::default()
    });
    world.pass(40);
    world.tells(&["resolved [web] resolved after 21 s: split of www"]);
}

#[test]
fn of_what_both_see_one_tells_while_both_live_and_the_survivor_otherwise() {
    let check = |here: &str, id: &str, subject: &str, expect: usize| {
        let mut world = World::of(here);
        world.problem(id, subject);
        world.pass(20);
        assert_eq!(world.told.len(), expect, "{id} on {here}");
        world.solved(id);
        world.pass(100);
        assert_eq!(world.told.len(), expect * 2, "{id} on {here}");
    };
    check("ha1", "config_differs", "ha.cf", 1);
    check("ha2", "config_differs", "ha.cf", 0);
    check("ha1", "group_failed", "www", 1);
    check("ha2", "group_failed", "www", 0);
    check("ha1", "ping_dead", "gw", 1);
    check("ha2", "ping_dead", "gw", 1);
    check("ha2", "something_of_a_later_version", "x", 1);
    check("ha1", "resource_failed", "www nginx", 0);

    let dies_after = |s: u64| {
        let mut world = World::of("ha2");
        world.problem("config_differs", "ha.cf");
        world.pass(s);
        world.peer("dead");
        world.pass(5);
        world.told.len()
    };
    assert_eq!(dies_after(20), 1, "the other may have died before it told");
    assert_eq!(dies_after(300), 0, "it has told");
}

#[test]
fn maintenance_is_worth_knowing() {
    let mut world = World::of("ha1");
    world.problem("maintenance", "");
    world.pass(20);
    assert_eq!(world.told[0].severity, Gravity::Info);
    assert_eq!(world.told[0].events, [Event::Maintenance]);
    world.solved("maintenance");
    world.pass(40);
    assert_eq!(world.told[1].incident, world.told[0].id);
}

#[test]
fn a_daemon_that_is_away_is_an_incident_unless_the_other_node_tells_it() {
    let check = |peer: &str, in_order: bool, expect: &[&str]| {
        let mut world = World::of("ha1");
        world.peer(peer);
        world.pass(1);
        world.away(29, in_order);
        world.tells(&[]);
        world.away(5, in_order);
        world.tells(expect);
        world.pass(100);
        assert_eq!(world.told.len(), expect.len());
    };
    check("active", true, &[]);
    check("active", false, &["begin [web] heartbeat does not answer on ha1, which held www"]);
    check("dead", false, &["begin [web] heartbeat does not answer on ha1, which held www"]);
    check("dead", true, &["begin [web] heartbeat was stopped on ha1, which held www"]);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut world = World::of("ha2");
    world.power_loss();
    world.pass(1);
    world.restart();
    world.pass(1);
    world.acquired("ha1", "peer_dead", 6_300);
    world.restart();
    world.pass(50);
    world.tells(&[MOVED]);
    world.restart();
    world.pass(50);
    world.tells(&[]);
    world.solved("peer_dead");
    world.peer("active");
    world.restart();
    world.pass(50);
    assert_eq!(world.told.len(), 1);
    world.told.clear();
    // A node that lost its history counts anew.
    world.history.clear();
    world.pass(1);
    world.acquired("ha1", "takeover", 100);
    world.pass(50);
    world.tells(&["event [web] www moved ha1→ha2 — takeover — service back after 0.1 s"]);
}

#[test]
fn the_same_state_makes_the_same_messages_again() {
    let mut world = World::of("ha2");
    world.power_loss();
    world.acquired("ha1", "peer_dead", 6_300);
    let kept = world.incidents.clone();
    world.pass(1);
    let first = std::mem::take(&mut world.told);
    // It crashed before the new state was kept.
    world.incidents = kept;
    world.now -= 1_000;
    world.pass(1);
    assert_eq!((first.len(), &first), (1, &world.told));
}

#[derive(Clone, Debug)]
enum Act {
    Problem(usize),
    Solved(usize),
    Peer(bool),
    Owner(bool),
    Moved(usize),
    Away(u64, bool),
    Pass(u64),
    Restart,
}

const PROBLEMS: [&str; 6] =
    ["peer_dead", "split", "link_down", "config_differs", "ping_dead", "maintenance"];
const CAUSES: [&str; 3] = ["peer_dead", "standby", "failed"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..PROBLEMS.len()).prop_map(Act::Problem),
        (0..PROBLEMS.len()).prop_map(Act::Solved),
        any::<bool>().prop_map(Act::Peer),
        any::<bool>().prop_map(Act::Owner),
        (0..CAUSES.len()).prop_map(Act::Moved),
        (1..60u64, any::<bool>()).prop_map(|(s, order)| Act::Away(s, order)),
        (1..90u64).prop_map(Act::Pass),
        Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is seen: each incident begins once, ends at most once and after it began; numbers
    /// have no gap; once all is well every incident ends.
    #[test]
    fn begin_and_resolved_are_paired(acts in proptest::collection::vec(act(), 1..40)) {
        let mut world = World::of("ha2");
        for act in acts {
            match act {
                Act::Problem(index) => {
                    world.solved(PROBLEMS[index]);
                    world.problem(PROBLEMS[index], "x");
                }
                Act::Solved(index) => world.solved(PROBLEMS[index]),
                Act::Peer(alive) => world.peer(if alive { "active" } else { "dead" }),
                Act::Owner(here) => {
                    let owner = if here { "ha2" } else { "ha1" };
                    world.status.groups[0].active_on = Some(owner.into());
                }
                Act::Moved(index) => world.acquired("ha1", CAUSES[index], 100),
                Act::Away(s, in_order) => world.away(s, in_order),
                Act::Pass(s) => world.pass(s),
                Act::Restart => world.restart(),
            }
            world.pass(1);
        }
        world.status.problems.clear();
        world.pass(2_000);
        prop_assert!(world.incidents.state().open.is_empty());
        let mut open = BTreeSet::new();
        for (index, message) in world.told.iter().enumerate() {
            prop_assert_eq!(message.seq, index as u64 + 1);
            match message.phase {
                Phase::Begin => prop_assert!(open.insert(message.incident.clone())),
                Phase::Resolved => prop_assert!(open.remove(&message.incident)),
                Phase::Event => prop_assert_eq!(&message.incident, &message.id),
                Phase::Test => prop_assert!(false, "nobody asked for it"),
            }
        }
        prop_assert!(open.is_empty());
    }
}
