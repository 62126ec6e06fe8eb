//! What happens and is over at once: told once, and what keeps happening is told together, less and
//! less often.

use std::collections::BTreeMap;

use hb_config::settings::notify::{Event, Gravity};
use serde::{Deserialize, Serialize};

use super::{DOUBLINGS_MAX, Draft, Incidents, Move, Seen};
use crate::message::{Message, Phase};
use crate::words;

/// Lines that are kept of what is told together.
const LINES_MAX: usize = 40;
/// Kinds of happenings that are remembered.
const RECENT_MAX: usize = 256;
/// After this time without it, in multiples of its hold, a happening is news again.
const FORGET: u64 = 4;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What it is about, for filters.
    pub events: Vec<Event>,
    /// How grave.
    pub severity: Gravity,
    /// Cause, one word.
    pub cause: String,
    /// When, Unix time in ms.
    pub at_ms: u64,
    /// The move, if it is one.
    pub moves: Vec<Move>,
    /// What to say when it is none.
    pub text: String,
    /// What happened, a line each.
    pub lines: Vec<String>,
}

/// What was told of it, and what is held back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// When it was told last.
    told_ms: u64,
    /// How often its hold was doubled.
    level: u32,
    /// How often it happened since it was told.
    held: u32,
    /// The last of those.
    last: Option<Point>,
    /// The lines of all of those; bounded.
    lines: Vec<String>,
}

impl Recent {
    fn hold_ms(&self, clear_ms: u64) -> u64 {
        clear_ms.saturating_mul(1 << self.level.min(DOUBLINGS_MAX))
    }
}

impl Incidents {
    /// Tells it now, or later with others of its `key`.
    pub(super) fn happens(
        &mut self,
        key: String,
        point: Point,
        seen: Seen<'_>,
        now_ms: u64,
        out: &mut Vec<Message>,
    ) {
        let clear_ms = self.rules.clear_ms;
        match self.state.recent.get_mut(&key) {
            Some(recent) if now_ms.saturating_sub(recent.told_ms) < recent.hold_ms(clear_ms) => {
                recent.held = recent.held.saturating_add(1);
                let room = LINES_MAX.saturating_sub(recent.lines.len());
                recent.lines.extend(point.lines.iter().take(room).cloned());
                recent.last = Some(point);
            }
            Some(_) | None => {
                let known = self.state.recent.remove(&key).unwrap_or_default();
                let recent = Recent { told_ms: now_ms, held: 0, last: None, ..known };
                make_room(&mut self.state.recent);
                self.state.recent.insert(key, recent);
                let message = self.tell_point(point, 0, seen, now_ms);
                out.push(message);
            }
        }
    }

    /// Tells what was held back for long enough, and forgets what is long past.
    pub(super) fn tell_held(&mut self, seen: Seen<'_>, now_ms: u64, out: &mut Vec<Message>) {
        let clear_ms = self.rules.clear_ms;
        let passed = |recent: &Recent| now_ms.saturating_sub(recent.told_ms);
        let mut due = Vec::new();
        self.state.recent.retain(|_, recent| {
            let hold = recent.hold_ms(clear_ms);
            if passed(recent) < hold {
                return true;
            }
            match recent.last.take() {
                Some(mut point) => {
                    point.lines = std::mem::take(&mut recent.lines);
                    due.push((point, recent.held));
                    recent.held = 0;
                    recent.told_ms = now_ms;
                    recent.level = recent.level.saturating_add(1);
                    true
                }
                None => passed(recent) < hold.saturating_mul(FORGET),
            }
        });
        due.sort_by_key(|(point, _)| point.at_ms);
        for (point, held) in due {
            let message = self.tell_point(point, held, seen, now_ms);
            out.push(message);
        }
    }

    /// `repeats`: how many are told together, 0 for one alone.
    fn tell_point(&mut self, point: Point, held: u32, seen: Seen<'_>, now_ms: u64) -> Message {
        let status = match seen {
            Seen::Status { status, .. } => Some(status),
            Seen::Away { .. } => None,
        };
        let repeats = held.saturating_sub(1);
        let subject = match point.moves.is_empty() {
            false => words::of_moves(&point.moves, repeats),
            true if repeats > 0 => format!("{} — {} times of late", point.text, repeats + 1),
            true => point.text.clone(),
        };
        let draft = Draft {
            phase: Phase::Event,
            incident: None,
            severity: point.severity,
            groups: point.moves.iter().map(|it| it.group.clone()).collect(),
            began_ms: point.at_ms,
            duration_ms: None,
            outage_ms: point.moves.iter().filter_map(|it| it.outage_ms).max(),
            repeats,
            subject,
            events: point.events,
            cause: point.cause,
            happened: point.lines,
            hint: String::new(),
        };
        self.message(draft, status, now_ms)
    }
}

/// Forgets the one that was told longest ago and holds nothing back.
fn make_room(recent: &mut BTreeMap<String, Recent>) {
    if recent.len() < RECENT_MAX {
        return;
    }
    let oldest = recent.iter().min_by_key(|(_, it)| (it.last.is_some(), it.told_ms));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        recent.remove(&key);
    }
}
