//! Each property fails on a made-up bad history.

use std::sync::Arc;

use hb_node::effect::Level;

use super::*;
use crate::plan::{Scope, Seed};
use crate::setup::timing;
use crate::testing::{served, unasked};
use crate::troubles::Stray;

fn evidence() -> Evidence {
    let mut plan = Plan::new(Seed { number: 1, scope: Scope::Base });
    for one in &mut plan.settings {
        one.timing = timing(100);
    }
    Evidence::new(&plan)
}

fn operation(world: &World, machine: usize, action: Action) -> News {
    News::Begun { machine, run: Arc::new(unasked(world, machine, 0, action)) }
}

fn check(world: &World, evidence: &mut Evidence, news: &[News]) -> Option<&'static str> {
    evidence.check(world, news).err().map(|violation| violation.property)
}

#[test]
fn a_good_history_is_good() {
    let (world, mut evidence) = (served(), evidence());
    assert_eq!(check(&world, &mut evidence, &world.news), None);
}

#[test]
fn an_action_on_a_stray_is_seen() {
    let (world, mut evidence) = (served(), evidence());
    let news = News::Acted { machine: 0, stray: Stray::Forged, did: "stop".to_owned() };
    assert_eq!(check(&world, &mut evidence, &[news]), Some("S4 no action on strays"));
}

#[test]
fn a_start_right_after_waking_is_seen() {
    let (mut world, mut evidence) = (served(), evidence());
    world.halt(0);
    world.run(Duration::from_secs(5));
    world.news.clear();
    world.resume(0);
    let news = std::mem::take(&mut world.news);
    assert_eq!(check(&world, &mut evidence, &news), None);
    let start = operation(&world, 0, Action::Start);
    assert_eq!(check(&world, &mut evidence, &[start]), Some("S5 fresh evidence"));
}

#[test]
fn a_stop_of_what_is_not_its_own_is_seen() {
    let (world, mut evidence) = (served(), evidence());
    let stop = operation(&world, 1, Action::Stop);
    assert_eq!(check(&world, &mut evidence, &[stop]), Some("S7 only its own"));
}

#[test]
fn a_group_that_wanders_is_seen() {
    let (mut world, mut evidence) = (served(), evidence());
    let acquired = |entry: &&HistoryEntry| entry.what == "acquired" && !entry.amends;
    let entry = world.machines[0].history.iter().find(acquired).expect("it serves").clone();
    world.machines[0].history.extend(vec![entry; 2_000]);
    assert_eq!(check(&world, &mut evidence, &[]), Some("L3 moves"));
}

fn changed(from: &str, to: &str, cause: &str) -> LogEvent {
    LogEvent::new(Level::Info, "group_changed", format!("group www: {from} -> {to}"))
        .with("group", "www")
        .with("from", from)
        .with("to", to)
        .with("cause", cause)
}

#[test]
fn a_transition_without_a_cause_or_a_line_is_seen() {
    fn check_line(line: LogEvent, expect: Option<&str>) {
        let (mut world, mut evidence) = (served(), evidence());
        world.machines[0].logs.push(line);
        assert_eq!(check(&world, &mut evidence, &[]), expect);
    }
    check_line(changed("held", "releasing", ""), Some("H2 one cause"));
    check_line(changed("released", "acquiring", "standby"), Some("H2 every transition"));
    check_line(changed("held", "releasing", "standby"), Some("H2 no silent transition"));
}

#[test]
fn a_status_that_is_not_true_is_seen() {
    let (mut world, mut evidence) = (served(), evidence());
    world.machines[0].agents.remove("www", "nginx");
    assert_eq!(check(&world, &mut evidence, &[]), Some("H1 shows what runs"));
}

#[test]
fn an_age_label_that_is_too_young_is_seen() {
    let (mut world, mut evidence) = (served(), evidence());
    let now = world.now();
    world.machines[0].heard = Some((Instant::ZERO, Instant::ZERO));
    assert!(now > Instant::from_millis(1_000));
    assert_eq!(check(&world, &mut evidence, &[]), Some("H1 age"));
}
