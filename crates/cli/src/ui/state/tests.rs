//! Walks through the states of `hb ui`.

use super::*;
use crate::client::ClientError;
use crate::status::Down;
use crate::testing;
use std::io;

fn up(snapshot: StatusSnapshot) -> Event {
    Event::Known(Box::new(Known { snapshot: Some(snapshot), down: None }))
}

fn down(snapshot: Option<StatusSnapshot>, age_ms: u64) -> Event {
    let source = io::Error::from(io::ErrorKind::NotFound);
    let error = ClientError::NotRunning { path: "/run/x".into(), source };
    let down = Down { error, age_ms, saved_unix_ms: 1, is_last: false };
    Event::Known(Box::new(Known { snapshot, down: Some(down) }))
}

/// A pair that is well, with the group `www` on node1.
fn status() -> StatusSnapshot {
    let mut status = testing::healthy();
    status.groups[0].key = "www".into();
    status
}

fn two_groups() -> StatusSnapshot {
    let mut status = status();
    let mut other = status.groups[0].clone();
    other.key = "db".into();
    status.groups.push(other);
    status
}

fn started(snapshot: StatusSnapshot) -> State {
    let mut state = State::new();
    state.drawn(Extents { status: 5, events: 40, dialog: 9, page: 10, small: false });
    assert_eq!(state.handle(up(snapshot)), []);
    state
}

fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.chars() {
        let key = match key {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\t' => Key::Tab,
            '^' => Key::Up,
            'v' => Key::Down,
            key => Key::Char(key),
        };
        effects.extend(state.handle(Event::Key(key)));
    }
    effects
}

fn planned(job: u64, text: &str) -> Event {
    Event::Planned { job, planned: Planned::Text(text.into()) }
}

#[test]
fn an_action_is_planned_asked_for_done_and_told() {
    let mut state = started(status());
    let action = Action::Standby(None);
    let preview = Effect::Preview { job: 1, action: action.clone() };
    assert_eq!(press(&mut state, "s"), [preview], "one group needs no choice");
    assert_eq!(press(&mut state, "y"), [], "nothing is agreed to that is not shown");
    assert_eq!(state.handle(planned(1, "www: node1 -> node2")), []);
    assert!(matches!(&state.mode, Mode::Ask { text, .. } if text.contains("node2")));
    assert_eq!(press(&mut state, "\n x"), [], "only y does it");
    assert_eq!(press(&mut state, "y"), [Effect::Act { job: 2, action }]);
    assert!(state.is_busy());
    assert_eq!(press(&mut state, "yst"), [], "one thing after the other");
    state.handle(Event::Time { now_ms: 1_500, unix_ms: 0 });
    state.handle(Event::Ended { job: 2, result: Ok("node2 has it".into()) });
    let Mode::Page { title, text, tone } = &state.mode else { panic!("{:?}", state.mode) };
    assert_eq!((title.as_str(), *tone), ("done after 1.5 s", Tone::Done));
    assert_eq!(text, "standby: this node gives all groups\nnode2 has it\n");
    assert_eq!(press(&mut state, "\n"), []);
    assert_eq!(state.mode, Mode::Watch);
}

#[test]
fn each_key_leads_where_it_says() {
    let mut failing = two_groups();
    failing.groups[1].resources[0].failures = 1;
    let check = |keys: &str, expect: &[Effect]| {
        assert_eq!(press(&mut started(failing.clone()), keys), expect, "{keys:?}");
    };
    let preview = |action| Effect::Preview { job: 1, action };
    let db = || Some("db".to_owned());
    check("s\n", &[preview(Action::Standby(None))]);
    check("svv\n", &[preview(Action::Standby(db()))]);
    check("tvvv^v\n", &[preview(Action::Takeover(db()))]);
    check("m\n", &[preview(Action::MaintenanceOn(Some(1_800_000)))]);
    check("cv\n", &[preview(Action::Cleanup(db()))]);
    check("w\n", &[Effect::Why { job: 1, subject: None }]);
    check("p\n", &[Effect::Plan { job: 1, what: What::Standby(None) }]);
    check("q", &[Effect::Quit]);
    check("sq", &[]);
    check("s\x1bq", &[Effect::Quit]);
    check("?q", &[]);
    check("x", &[]);
    for keys in ["", "s", "s\n", "?", "p\n"] {
        let mut state = started(failing.clone());
        press(&mut state, keys);
        assert_eq!(state.handle(Event::Key(Key::Interrupt)), [Effect::Quit], "{keys:?}");
        assert_eq!(state.handle(Event::Key(Key::Suspend)), [Effect::Suspend], "{keys:?}");
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let refused = |state: &State| {
        let Mode::Page { text, tone: Tone::Refused, .. } = &state.mode else {
            panic!("{:?}", state.mode)
        };
        text.clone()
    };
    // The socket is not this user's.
    let mut state = started(status());
    press(&mut state, "s");
    let why = "permission denied: root or haclient";
    state.handle(Event::Planned { job: 1, planned: Planned::Denied(why.into()) });
    assert_eq!(refused(&state), why);
    assert_eq!(press(&mut state, "y"), []);
    // No daemon.
    let mut state = started(status());
    state.handle(down(Some(status()), 9_000));
    assert_eq!(press(&mut state, "t"), []);
    assert!(refused(&state).contains("heartbeat does not run here"));
    // Refused by the daemon.
    let mut state = started(status());
    press(&mut state, "s");
    state.handle(planned(1, "text"));
    press(&mut state, "y");
    state.handle(Event::Ended { job: 2, result: Err("node2 is dead".into()) });
    assert!(refused(&state).ends_with("node2 is dead\n"));
    // Nothing has failed.
    let mut state = started(status());
    assert_eq!(press(&mut state, "c"), []);
    assert!(matches!(&state.mode, Mode::Page { tone: Tone::Plain, .. }));
}

#[test]
fn without_a_plan_it_is_asked_all_the_same() {
    let mut state = started(status());
    press(&mut state, "s");
    let planned = Planned::Unknown("ha.cf cannot be read".into());
    state.handle(Event::Planned { job: 1, planned });
    let Mode::Ask { text, .. } = &state.mode else { panic!("{:?}", state.mode) };
    assert!(text.contains("No plan can be shown: ha.cf cannot be read"), "{text}");
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_changes_nothing() {
    let mut state = started(status());
    press(&mut state, "s\x1bt");
    state.handle(planned(1, "of standby"));
    assert!(matches!(state.mode, Mode::Waiting { job: 2, .. }), "{:?}", state.mode);
    state.handle(planned(2, "of takeover"));
    press(&mut state, "y");
    state.handle(Event::Ended { job: 1, result: Ok(String::new()) });
    assert!(matches!(state.mode, Mode::Acting { job: 3, .. }), "{:?}", state.mode);
    press(&mut state, "q");
    let mut state = started(status());
    press(&mut state, "s\x1b");
    state.handle(planned(1, "late"));
    assert_eq!(state.mode, Mode::Watch);
}

#[test]
fn a_plan_is_made_again_when_a_group_has_moved_meanwhile() {
    let mut state = started(status());
    press(&mut state, "s");
    state.handle(planned(1, "text"));
    assert_eq!(state.handle(up(status())), [], "nothing has changed");
    let mut moved = status();
    moved.groups[0].active_on = Some("node2".into());
    let again = Effect::Preview { job: 2, action: Action::Standby(None) };
    assert_eq!(state.handle(up(moved)), [again]);
    assert_eq!(press(&mut state, "y"), []);
}

#[test]
fn without_a_daemon_the_youngest_status_is_shown_with_its_age() {
    let mut state = started(status());
    let at = |now_ms| Event::Time { now_ms, unix_ms: 1_000_000 + now_ms };
    let shown = |state: &State| {
        let known = state.known.as_ref().expect("known");
        let down = known.down.as_ref().expect("down");
        let heard = known.snapshot.as_ref().and_then(|it| it.peer.as_ref()?.heard_ms_ago);
        (down.age_ms, down.saved_unix_ms, heard)
    };
    // What was seen here is 3 s old, what was kept 8 s.
    state.handle(at(3_000));
    state.handle(down(Some(aged(status(), 8_000)), 8_000));
    assert_eq!(shown(&state), (3_000, 1_000_000, Some(3_090)));
    // The daemon kept its last status after that.
    state.handle(at(4_000));
    state.handle(down(Some(aged(status(), 500)), 500));
    assert_eq!(shown(&state), (500, 1, Some(590)));
    // It kept nothing.
    state.handle(down(None, 0));
    assert_eq!(shown(&state), (4_000, 1_000_000, Some(4_090)));
    // It is back.
    state.handle(up(status()));
    assert!(state.known.as_ref().is_some_and(|known| known.down.is_none()));
    assert_eq!(press(&mut state, "s").len(), 1);
}

#[test]
fn silence_is_measured_from_the_last_answer() {
    let mut state = started(status());
    state.handle(Event::Time { now_ms: 7_000, unix_ms: 0 });
    assert_eq!(state.silent_ms(), 7_000);
    state.handle(up(status()));
    assert_eq!(state.silent_ms(), 0);
}

#[test]
fn parts_scroll_within_their_bounds_and_tab_changes_the_part() {
    let mut state = started(status());
    let key = |state: &mut State, key| assert_eq!(state.handle(Event::Key(key)), []);
    key(&mut state, Key::Up);
    key(&mut state, Key::PageUp);
    assert_eq!((state.events_below, state.status_top), (10, 0));
    key(&mut state, Key::Home);
    assert_eq!(state.events_below, 40);
    key(&mut state, Key::PageDown);
    assert_eq!(state.events_below, 31);
    key(&mut state, Key::End);
    key(&mut state, Key::Down);
    assert_eq!(state.events_below, 0);
    key(&mut state, Key::Tab);
    key(&mut state, Key::PageDown);
    assert_eq!((state.status_top, state.focus), (5, Pane::Status));
    press(&mut state, "?");
    key(&mut state, Key::Down);
    assert_eq!((state.dialog_top, state.status_top), (1, 5));
    // A larger terminal shows all.
    state.drawn(Extents::default());
    assert_eq!((state.dialog_top, state.status_top), (0, 0));
}

#[test]
fn who_reads_earlier_events_stays_there_when_others_happen() {
    let mut state = started(status());
    let entries = |count| vec![HistoryEntry::default(); count];
    state.handle(Event::Past(entries(50)));
    press(&mut state, "k");
    state.handle(Event::Past(entries(53)));
    assert_eq!(state.events_below, 4);
    state.handle(Event::Key(Key::End));
    state.handle(Event::Past(entries(60)));
    assert_eq!(state.events_below, 0, "the end is followed");
}

#[test]
fn where_nothing_can_be_seen_nothing_is_agreed_to() {
    let mut state = started(status());
    press(&mut state, "s");
    state.handle(planned(1, "text"));
    state.drawn(Extents { small: true, ..Extents::default() });
    assert_eq!(press(&mut state, "ytn"), []);
    assert!(matches!(state.mode, Mode::Ask { .. }));
    assert_eq!(press(&mut state, "q"), [Effect::Quit]);
}
