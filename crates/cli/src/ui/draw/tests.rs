//! Whole screens as they are drawn, in several sizes and modes.

use std::io;

use hb_node::api::StatusSnapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;

use super::super::act::Action;
use super::super::menu;
use super::super::state::{Effect, Event, Key, Planned};
use super::*;
use crate::client::ClientError;
use crate::status::{Down, Known};
use crate::testing;

const SYMBOLS: Style = Style { symbols: true, colour: false };

fn entries() -> Vec<HistoryEntry> {
    let entry = |number, kind, what: &str, reason: &str| HistoryEntry {
        number,
        kind,
        group: "www".into(),
        what: what.into(),
        from: Some("node1".into()),
        to: Some("node2".into()),
        subject: Some("node2".into()),
        cause: "standby".into(),
        by: Some("root@node1".into()),
        reason: reason.into(),
        stop_ms: Some(312),
        start_ms: Some(498),
        ..HistoryEntry::default()
    };
    vec![
        entry(1, EntryKind::Node, "joined", "it speaks"),
        entry(2, EntryKind::Move, "acquired", "given by node1"),
        entry(3, EntryKind::Split, "split", "both nodes had it, node1 let go"),
        entry(4, EntryKind::Maintenance, "on", "root@node1 asked for it"),
    ]
}

fn with(snapshot: StatusSnapshot) -> State {
    let mut state = State::new();
    state.handle(Event::Known(Box::new(Known { snapshot: Some(snapshot), down: None })));
    state.handle(Event::Past(entries()));
    state
}

fn drawn(state: &mut State, style: Style, size: (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
    let clock = |_: u64| "08 Nov 17:20:03.412".to_owned();
    let look = Look { style, clock: &clock };
    let mut extents = Extents::default();
    terminal.draw(|frame| extents = draw(frame, state, &look)).expect("drawn");
    state.drawn(extents);
    terminal
}

fn shown(state: &mut State, style: Style, size: (u16, u16)) -> String {
    let terminal = drawn(state, style, size);
    let buffer = terminal.backend().buffer();
    let row = |cells: &[Cell]| cells.iter().map(Cell::symbol).collect::<String>();
    let rows = buffer.content.chunks(usize::from(size.0)).map(row);
    rows.map(|row| format!("{}\n", row.trim_end())).collect()
}

fn press(state: &mut State, keys: &[Key]) {
    for key in keys {
        state.handle(Event::Key(*key));
    }
}

#[test]
fn the_status_with_events_below() {
    insta::assert_snapshot!("watch", shown(&mut with(testing::healthy()), SYMBOLS, (90, 30)));
}

#[test]
fn a_plan_and_the_question() {
    let mut state = with(testing::healthy());
    press(&mut state, &[Key::Char('s')]);
    let plan = "plan: standby: this node gives all its groups\n\n  assumed   the other node has the \
                same files as this one\n\n     0.000 s         standby\n     0.012 s  node2  nginx \
                start: takes 12 ms\n\n  result    www: node1 → node2, served by nobody for 0.2 s\n";
    state.handle(Event::Planned { job: 1, planned: Planned::Text(plan.into()) });
    insta::assert_snapshot!("ask", shown(&mut state, SYMBOLS, (90, 30)));
    press(&mut state, &[Key::Char('y')]);
    state.handle(Event::Time { now_ms: 700, unix_ms: 0 });
    insta::assert_snapshot!("acting", shown(&mut state, SYMBOLS, (90, 30)));
    state.handle(Event::Ended { job: 2, result: Ok("node2 has all groups".into()) });
    let text = shown(&mut state, SYMBOLS, (90, 30));
    assert!(text.contains("┌ done after 0.7 s ─"), "{text}");
    assert!(text.contains("│ node2 has all groups"), "{text}");
}

#[test]
fn the_smallest_terminal_wraps_and_says_how_much_is_not_to_be_seen() {
    let mut state = with(testing::snapshot());
    insta::assert_snapshot!("smallest", shown(&mut state, SYMBOLS, SMALLEST));
    press(&mut state, &[Key::Tab, Key::Down]);
    let text = shown(&mut state, SYMBOLS, SMALLEST);
    assert!(text.contains("1 more lines of status above, "), "{text}");
    assert!(!text.contains("web cluster"), "{text}");
}

#[test]
fn a_smaller_one_says_the_least_and_what_it_needs() {
    let text = shown(&mut with(testing::snapshot()), SYMBOLS, (58, 8));
    assert!(text.contains("@node1 degraded NOT ready"), "{text}");
    assert!(text.contains("This terminal has 58x8."), "{text}");
    assert!(text.contains("60x20: make it larger"), "{text}");
    // However small: nothing is drawn beyond it.
    for size in [(1, 1), (2, 3), (59, 19), (300, 2)] {
        shown(&mut with(testing::snapshot()), SYMBOLS, size);
    }
}

#[test]
fn nothing_beyond_ascii_when_asked() {
    let mut state = with(testing::healthy());
    press(&mut state, &[Key::Char('?')]);
    let text = shown(&mut state, Style { symbols: false, colour: false }, (80, 30));
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("help_ascii", text);
}

#[test]
fn without_colour_there_is_none() {
    let coloured = |style| {
        let mut state = with(testing::snapshot());
        press(&mut state, &[Key::Char('?')]);
        let terminal = drawn(&mut state, style, (90, 30));
        let cells = terminal.backend().buffer().content.clone();
        let plain = |cell: &Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        cells.iter().filter(|cell| !plain(cell)).count()
    };
    assert_eq!(coloured(SYMBOLS), 0);
    assert!(coloured(Style { symbols: true, colour: true }) > 0);
}

#[test]
fn without_a_daemon_the_age_stands_first() {
    let mut state = with(testing::healthy());
    state.handle(Event::Time { now_ms: 4_200, unix_ms: 9_000 });
    let source = io::Error::from(io::ErrorKind::NotFound);
    let error = ClientError::NotRunning { path: "/run/x".into(), source };
    let down = Down { error, age_ms: 0, saved_unix_ms: 0, is_last: false };
    state.handle(Event::Known(Box::new(Known { snapshot: None, down: Some(down) })));
    let text = shown(&mut state, SYMBOLS, (100, 30));
    assert!(text.starts_with("UNKNOWN: heartbeat does not run here"), "{text}");
    assert!(text.contains("Below is the last state that was kept, 4.2 s old"), "{text}");
    assert!(text.contains("web cluster  ●  HEALTHY"), "{text}");
    // Neither the daemon nor its absence is known.
    state.handle(Event::Time { now_ms: 9_200, unix_ms: 9_000 });
    let text = shown(&mut state, SYMBOLS, (100, 30));
    assert!(text.starts_with("NO ANSWER for 5.0 s"), "{text}");
}

#[test]
fn nothing_known_at_all() {
    let text = shown(&mut State::new(), SYMBOLS, (80, 24));
    assert!(text.starts_with("asking heartbeat"), "{text}");
}

#[test]
fn a_long_menu_keeps_the_marked_line_in_sight() {
    let mut status = testing::healthy();
    let group = status.groups[0].clone();
    status.groups = (0..60)
        .map(|n| hb_node::api::GroupStatus { key: format!("g{n}"), ..group.clone() })
        .collect();
    let mut state = with(status.clone());
    assert_eq!(menu::groups("x", &status, Action::Standby).items.len(), 61);
    press(&mut state, &[Key::Char('s')]);
    press(&mut state, &[Key::Down; 40]);
    let text = shown(&mut state, SYMBOLS, (80, 24));
    assert!(text.contains("> g39   active on node1"), "{text}");
    assert!(text.contains("more lines"), "{text}");
}

/// Whatever is pressed and answered, at whatever size: it draws, and nothing is done but what was asked
/// about and agreed to on a screen that showed it.
#[test]
fn nothing_is_done_that_was_not_asked() {
    const STEPS: usize = 3_000;
    /// Steps for which the terminal keeps its size.
    const SAME_SIZE: usize = 30;
    let keys = [
        Key::Char('s'),
        Key::Char('t'),
        Key::Char('m'),
        Key::Char('c'),
        Key::Char('w'),
        Key::Char('p'),
        Key::Char('y'),
        Key::Char('y'),
        Key::Char('n'),
        Key::Enter,
        Key::Enter,
        Key::Escape,
        Key::Down,
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::Tab,
    ];
    let sizes = [(90, 30), (60, 20), (200, 50), (30, 10), (59, 40)];
    let mut state = with(testing::snapshot());
    let (mut seed, mut acted, mut job) = (7_u32, 0, 0);
    for step in 0..STEPS {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let dice = usize::try_from(seed >> 8).expect("fits");
        let asked = matches!(state.mode, Mode::Ask { .. });
        let event = match dice % 10 {
            0 => Event::Planned { job, planned: Planned::Text("the plan\n".repeat(dice % 40)) },
            1 => Event::Planned { job, planned: Planned::Unknown("no".into()) },
            2 => Event::Ended { job, result: Ok("done".into()) },
            3 => {
                let snapshot = if dice % 3 == 0 { testing::snapshot() } else { testing::healthy() };
                Event::Known(Box::new(Known { snapshot: Some(snapshot), down: None }))
            }
            _ => Event::Key(keys[dice / 10 % keys.len()]),
        };
        let agreed = matches!(event, Event::Key(Key::Char('y')));
        let size = sizes[step / SAME_SIZE % sizes.len()];
        if step % SAME_SIZE == 0 {
            drawn(&mut state, SYMBOLS, size);
        }
        let small = size.0 < SMALLEST.0 || size.1 < SMALLEST.1;
        for effect in state.handle(event) {
            match effect {
                Effect::Act { job: number, .. } => {
                    assert!(asked && agreed && !small, "step {step}");
                    (acted, job) = (acted + 1, number);
                }
                Effect::Preview { job: number, .. }
                | Effect::Plan { job: number, .. }
                | Effect::Why { job: number, .. } => job = number,
                Effect::Suspend | Effect::Quit => panic!("nobody asked for it"),
            }
        }
    }
    assert!(acted > 3, "only {acted} of {STEPS} steps led to an action");
}
