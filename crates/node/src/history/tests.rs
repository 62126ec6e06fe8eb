use std::time::Duration;

use hb_config::settings::{AgentSpec, ResourceSpec};
use hb_resource::input::GroupClaim;
use hb_resource::operation::{Action, OpId, Operation, Outcome};
use hb_resource::output::Transition;

use super::*;
use crate::api::OutageSince;

fn history() -> History {
    History::new("node1".into(), Some("node2".into()))
}

fn change(group: &str, from: &str, to: &str, cause: &str) -> Transition {
    Transition {
        group: Some(group.into()),
        from: from.into(),
        to: to.into(),
        cause: cause.into(),
        reason: format!("because {cause}"),
    }
}

fn at(millis: u64) -> Moment {
    Moment { at: Instant::from_millis(millis), unix_ms: 1_000_000 + millis }
}

fn operation(action: Action) -> Operation {
    let agent = AgentSpec::Script { name: "nginx".into(), args: Vec::new() };
    Operation {
        id: OpId(1),
        group: "www".into(),
        resource: ResourceSpec { text: "nginx".into(), agent, built_in: None },
        action,
        timeout: Duration::from_secs(60),
        kill: false,
        monitor: false,
        probe: false,
    }
}

impl History {
    fn steps(&mut self, changes: &[(u64, &str, &str, &str)]) -> Option<HistoryEntry> {
        let mut last = None;
        for (millis, from, to, cause) in changes {
            last = self.note(&change("www", from, to, cause), at(*millis));
        }
        last
    }
}

#[test]
fn a_move_lasts_from_the_decision_to_the_end_and_keeps_its_cause() {
    let mut history = history();
    assert_eq!(history.steps(&[(100, "released", "acquiring", "startup")]), None);
    let entry = history.steps(&[(340, "acquiring", "held", "start_ok")]).expect("completes");
    assert_eq!((entry.number, entry.unix_ms, entry.elapsed_ms), (1, 1_000_340, 240));
    assert_eq!((entry.what.as_str(), entry.cause.as_str()), ("acquired", "startup"));
    assert_eq!((entry.from.as_deref(), entry.to.as_deref()), (None, Some("node1")));
    assert_eq!(entry.outage_ms, None, "nobody had it before, as far as is known");
    assert_eq!(history.last(), Some(&entry));
}

#[test]
fn what_went_wrong_is_named_by_its_own_cause() {
    let mut history = history();
    let entry = history.steps(&[
        (0, "held", "releasing", "standby"),
        (50, "releasing", "releasing", "stop_failed"),
        (90, "releasing", "blocked", "stop_failed"),
    ]);
    let entry = entry.expect("completes");
    assert_eq!((entry.cause.as_str(), entry.elapsed_ms), ("stop_failed", 90));
    assert_eq!(entry.to, None);
}

#[test]
fn groups_are_measured_apart_and_the_node_itself_is_not_a_move() {
    let mut history = history();
    history.note(&change("a", "released", "acquiring", "startup"), at(0));
    history.note(&change("b", "released", "acquiring", "startup"), at(10));
    let b = history.note(&change("b", "acquiring", "held", "x"), at(20)).expect("ends");
    let a = history.note(&change("a", "acquiring", "held", "x"), at(20)).expect("ends");
    assert_eq!((a.elapsed_ms, b.elapsed_ms), (20, 10));
    let mut node = change("a", "starting", "stable", "x");
    node.group = None;
    assert_eq!(history.note(&node, at(30)), None);
    assert_eq!(history.note(&change("a", "x", "stable", "x"), at(30)), None);
}

#[test]
fn the_giver_learns_the_outage_from_the_peer_and_completes_its_entry() {
    let mut history = history();
    history.ordered("standby", Some("root@node1".into()));
    history.steps(&[(0, "held", "releasing", "standby")]);
    let stop = operation(Action::Stop);
    history.note_step(&stop, &Outcome::Ok, Duration::from_millis(250), at(260).at);
    let gone = history.steps(&[(300, "releasing", "released", "standby")]).expect("completes");
    assert_eq!((gone.to.as_deref(), gone.outage_ms), (None, None));
    assert_eq!((gone.by.as_deref(), gone.stop_ms), (Some("root@node1"), Some(250)));
    let key = "www".to_owned();
    let mut hear =
        |claim, millis| history.note_peer(&key, GroupClaim::Released, Some(claim), at(millis).at);
    assert_eq!(hear(GroupClaim::Acquiring, 310), None);
    let whole = hear(GroupClaim::Held, 810).expect("completes it");
    assert!(whole.amends);
    assert_eq!((whole.number, whole.to.as_deref()), (gone.number, Some("node2")));
    assert_eq!((whole.start_ms, whole.outage_ms), (Some(500), Some(810)));
    assert_eq!(whole.outage_since, Some(OutageSince::Stopped));
    assert_eq!(hear(GroupClaim::Held, 900), None, "once");
    assert_eq!(history.entries().count(), 1);
    assert_eq!(history.last().and_then(|entry| entry.outage_ms), Some(810));
}

#[test]
fn the_taker_knows_whose_order_it_was_and_how_long_the_giver_stopped() {
    let mut history = history();
    let key = "www".to_owned();
    let mut hear = |claim, millis| {
        history.note_peer(&key, GroupClaim::Released, Some(claim), at(millis).at);
    };
    hear(GroupClaim::Held, 0);
    hear(GroupClaim::Releasing, 1_000);
    hear(GroupClaim::Released, 1_300);
    let by = Some("ann@node2".to_owned());
    history.is_given(Some(Order { cause: "failback".into(), by }));
    let entry = history.steps(&[
        (1_310, "released", "acquiring", "standby"),
        (1_800, "acquiring", "held", "standby"),
    ]);
    let entry = entry.expect("completes");
    assert_eq!((entry.cause.as_str(), entry.by.as_deref()), ("failback", Some("ann@node2")));
    assert_eq!((entry.from.as_deref(), entry.to.as_deref()), (Some("node2"), Some("node1")));
    assert_eq!((entry.stop_ms, entry.outage_ms), (Some(300), Some(800)));
}

#[test]
fn after_a_death_the_outage_counts_from_the_last_word() {
    let mut history = history();
    let key = "www".to_owned();
    history.note_peer(&key, GroupClaim::Released, Some(GroupClaim::Held), at(0).at);
    history.peer_silent(Some(at(5_000).at));
    let entry = history.steps(&[
        (6_000, "released", "acquiring", "peer_dead"),
        (6_040, "acquiring", "held", "peer_dead"),
    ]);
    let entry = entry.expect("completes");
    assert_eq!((entry.elapsed_ms, entry.outage_ms), (40, Some(1_040)));
    assert_eq!(entry.outage_since, Some(OutageSince::LastHeard));
    assert_eq!(entry.from.as_deref(), Some("node2"));
}

#[test]
fn a_restart_in_place_is_one_entry() {
    let mut history = history();
    history.steps(&[(0, "released", "acquiring", "startup"), (9, "acquiring", "held", "startup")]);
    history.steps(&[(50, "held", "acquiring", "failed")]);
    for (action, end) in [(Action::Stop, 60), (Action::Start, 90)] {
        history.note_step(&operation(action), &Outcome::Ok, Duration::from_millis(5), at(end).at);
    }
    let entry = history.steps(&[(90, "acquiring", "held", "failed")]).expect("completes");
    assert_eq!((entry.what.as_str(), entry.cause.as_str()), ("restarted", "failed"));
    assert_eq!((entry.from, entry.to), (Some("node1".into()), Some("node1".into())));
    assert_eq!(entry.outage_since, Some(OutageSince::Noticed));
    let steps: Vec<&str> = entry.steps.iter().map(|step| step.action.as_str()).collect();
    assert_eq!((steps, entry.outage_ms), (vec!["stop", "start"], Some(40)));
}

#[test]
fn who_loses_a_conflict_gives_it_to_the_other_without_an_outage() {
    let mut history = history();
    let key = "www".to_owned();
    history.steps(&[(0, "released", "acquiring", "peer_dead"), (5, "acquiring", "held", "x")]);
    assert_eq!(history.note_peer(&key, GroupClaim::Held, Some(GroupClaim::Held), at(90).at), None);
    let entry = history
        .steps(&[(90, "held", "releasing", "conflict"), (95, "releasing", "released", "conflict")]);
    let entry = entry.expect("completes");
    assert_eq!((entry.from, entry.to), (Some("node1".into()), Some("node2".into())));
    assert_eq!((entry.cause.as_str(), entry.outage_ms), ("conflict", None));
}

#[test]
fn the_ring_is_bounded_and_numbers_go_on() {
    let mut history = history();
    for _ in 0..ENTRIES_MAX + 10 {
        history.steps(&[(0, "acquiring", "held", "x")]);
    }
    assert_eq!(history.entries().count(), ENTRIES_MAX);
    assert_eq!(history.entries().next().map(|entry| entry.number), Some(11));
    assert_eq!(history.last().map(|entry| entry.number), Some(266));
    let kept: Vec<HistoryEntry> = history.entries().cloned().collect();
    let mut next = self::history();
    next.resume(kept);
    assert_eq!(next.last().map(|entry| entry.number), Some(266));
    let entry = next.steps(&[(0, "acquiring", "held", "x")]).expect("completes");
    assert_eq!(entry.number, 267);
}
