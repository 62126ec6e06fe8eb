//! What the entries of the history mean: moves, deaths, splits, power switches.

use hb_config::settings::notify::{Event, Gravity};
use hb_node::api::{EntryKind, HistoryEntry, StatusSnapshot};

use super::points::Point;
use super::{
    CHAIN_MAX, Incidents, Kind, MOVES_MAX, MOVES_WAIT_MS, Move, Open, PEER, Seen, is_settled,
    living_peer, shared_is_ours,
};
use crate::message::Message;
use crate::words;

impl Incidents {
    /// Looks at the entries that are new. At the first start what is past is past.
    pub(super) fn look_back(
        &mut self,
        entries: &[HistoryEntry],
        status: &StatusSnapshot,
        now_ms: u64,
        out: &mut Vec<Message>,
    ) {
        let last = entries.iter().map(|entry| entry.number).max();
        let seen_ms = self.state.seen_ms;
        let begin = match (self.state.cursor, last) {
            // The node has lost its history: numbers began anew, times did not.
            (Some(cursor), Some(last)) if last < cursor => None,
            (cursor, _) => cursor,
        };
        let first_start = self.state.cursor.is_none() && seen_ms == 0;
        for entry in entries {
            let is_new = match begin {
                Some(number) => entry.number > number,
                None => entry.at_ms() > seen_ms,
            };
            if is_new && !first_start {
                self.take(entry, status, now_ms, out);
            }
        }
        // An empty history is one that begins with number 1.
        self.state.cursor = Some(last.unwrap_or_default());
    }

    fn take(
        &mut self,
        entry: &HistoryEntry,
        status: &StatusSnapshot,
        now_ms: u64,
        out: &mut Vec<Message>,
    ) {
        let seen = Seen::Status { status, history: None };
        let peer = status.peer.as_ref().map(|peer| peer.name.as_str());
        let about_peer = entry.subject.as_deref() == peer && peer.is_some();
        let happened = match entry.kind {
            EntryKind::Move | EntryKind::Split if entry.is_move() => {
                self.took(entry, status);
                None
            }
            EntryKind::Move | EntryKind::Split => self.was_split(entry, status),
            EntryKind::Node if about_peer => {
                self.peer_changed(entry);
                None
            }
            EntryKind::Fence if about_peer => self.fenced(entry),
            EntryKind::Failure => Some((
                format!("failure {} {}", entry.group, entry.subject.as_deref().unwrap_or_default()),
                point(entry, Event::Resource, Gravity::Warning, entry.reason.clone()),
            )),
            EntryKind::Node | EntryKind::Fence => None,
            EntryKind::Maintenance => {
                self.chain_of_maintenance(entry);
                None
            }
        };
        if let Some((key, point)) = happened {
            self.happens(key, point, seen, now_ms, out);
        }
    }

    /// A group came here. What the other node took is its own to tell, when it can.
    fn took(&mut self, entry: &HistoryEntry, status: &StatusSnapshot) {
        let Some(to) = entry.to.clone() else { return };
        let ours = to == status.this_node.name || living_peer(status).is_none();
        let quiet = entry.cause == "adopted" && entry.outage_ms.is_none();
        let came = matches!(entry.what.as_str(), "acquired" | "restarted" | "released");
        // A group that stays where it is when a double claim ends has not moved.
        if !ours || quiet || !came {
            return;
        }
        let moved = Move {
            group: entry.group.clone(),
            from: entry.from.clone(),
            to,
            outage_ms: entry.outage_ms,
            cause: entry.cause.clone(),
            by: entry.by.clone(),
            reason: entry.reason.clone(),
        };
        if matches!(entry.cause.as_str(), "peer_dead" | "peer_left")
            && let Some(open) = self.state.open.get_mut(PEER)
            && open.told.is_none()
        {
            open.remember(words::entry(entry));
            for step in words::steps(entry) {
                open.remember(step);
            }
            if !open.events.contains(&Event::Move) {
                open.events.push(Event::Move);
            }
            if open.moves.len() < MOVES_MAX {
                open.moves.push(moved);
            }
            return;
        }
        let again = entry.what == "restarted";
        let (event, severity) = match (again, entry.cause.as_str()) {
            (true, _) => (Event::Resource, Gravity::Warning),
            (
                false,
                "startup" | "adopted" | "standby" | "takeover" | "failback" | "cleanup" | "reload",
            ) => (Event::Move, Gravity::Info),
            (false, _) => (Event::Move, Gravity::Warning),
        };
        let mut point = point(entry, event, severity, String::new());
        point.lines.extend(words::steps(entry).take(CHAIN_MAX));
        if !point.events.contains(&Event::Move) {
            point.events.push(Event::Move);
        }
        point.moves.push(moved);
        if self.state.coming.len() < MOVES_MAX {
            self.state.coming.push(point);
        }
    }

    /// Moves that belong together become one message, once nothing is on its way.
    pub(super) fn tell_moves(
        &mut self,
        status: &StatusSnapshot,
        now_ms: u64,
        out: &mut Vec<Message>,
    ) {
        let oldest = self.state.coming.iter().map(|point| point.at_ms).min().unwrap_or(now_ms);
        if !is_settled(status) && now_ms.saturating_sub(oldest) < MOVES_WAIT_MS {
            return;
        }
        let mut together: Vec<Point> = Vec::new();
        for point in std::mem::take(&mut self.state.coming) {
            let known = together.iter_mut().find(|other| {
                let facts = |point: &Point| {
                    point.moves.first().map(|it| (it.from.clone(), it.to.clone(), it.by.clone()))
                };
                (other.events == point.events && other.cause == point.cause)
                    && facts(other) == facts(&point)
                    && other.moves.iter().all(|it| point.moves.iter().all(|m| m.group != it.group))
            });
            match known {
                Some(known) => {
                    known.moves.extend(point.moves);
                    let room = CHAIN_MAX.saturating_sub(known.lines.len());
                    known.lines.extend(point.lines.into_iter().take(room));
                }
                None => together.push(point),
            }
        }
        let seen = Seen::Status { status, history: None };
        for point in together {
            let groups: Vec<&str> = point.moves.iter().map(|it| it.group.as_str()).collect();
            self.happens(format!("move {}", groups.join(" ")), point, seen, now_ms, out);
        }
    }

    /// Both nodes had a group, and one has let go. Told with the problem, when that was seen.
    fn was_split(
        &mut self,
        entry: &HistoryEntry,
        status: &StatusSnapshot,
    ) -> Option<(String, Point)> {
        let open = self.state.open.get_mut(&format!("split {}", entry.group));
        if let Some(open) = open.filter(|open| open.told.is_some()) {
            open.remember(words::entry(entry));
            return None;
        }
        split(entry, status)
    }

    fn peer_changed(&mut self, entry: &HistoryEntry) {
        let name = entry.subject.clone().unwrap_or_default();
        let gone = matches!(entry.what.as_str(), "dead" | "lost" | "left");
        if !gone {
            if let Some(open) = self.state.open.get_mut(PEER) {
                open.remember(words::entry(entry));
            }
            return;
        }
        let silent_ms = (entry.what != "left").then_some(entry.elapsed_ms);
        let began_ms = entry.at_ms().saturating_sub(silent_ms.unwrap_or_default());
        let open = self.state.open.entry(PEER.to_owned()).or_insert_with(|| Open {
            kind: Kind::Peer,
            cause: String::new(),
            subject: name,
            events: vec![Event::Node],
            severity: Gravity::Warning,
            began_ms,
            gone_ms: None,
            returns: 0,
            text: String::new(),
            hint: String::new(),
            chain: Vec::new(),
            moves: Vec::new(),
            silent_ms: None,
            told: None,
            left_ms: None,
        });
        if open.gone_ms.take().is_some() {
            open.returns = open.returns.saturating_add(1);
        }
        if open.told.is_none() {
            open.cause.clone_from(&entry.what);
            open.silent_ms = silent_ms.or(open.silent_ms);
            open.began_ms = open.began_ms.min(began_ms);
            if entry.what == "lost" {
                open.severity = Gravity::Critical;
            }
        }
        open.text.clone_from(&entry.reason);
        open.remember(words::entry(entry));
    }

    /// Part of the other node's death while that is not told.
    fn fenced(&mut self, entry: &HistoryEntry) -> Option<(String, Point)> {
        if let Some(open) = self.state.open.get_mut(PEER)
            && open.told.is_none()
        {
            open.remember(words::entry(entry));
            if !open.events.contains(&Event::Fence) {
                open.events.push(Event::Fence);
            }
            return None;
        }
        let severity = match entry.what.as_str() {
            "failed" => Gravity::Critical,
            _ => Gravity::Warning,
        };
        let name = entry.subject.as_deref().unwrap_or_default();
        let text = format!("{name} {}: {}", entry.what, entry.reason);
        Some((format!("fence {}", entry.what), point(entry, Event::Fence, severity, text)))
    }

    fn chain_of_maintenance(&mut self, entry: &HistoryEntry) {
        for open in self.state.open.values_mut().filter(|it| it.cause == "maintenance") {
            open.remember(words::entry(entry));
        }
    }
}

/// Both nodes had a group, and one has let go.
fn split(entry: &HistoryEntry, status: &StatusSnapshot) -> Option<(String, Point)> {
    if !shared_is_ours(&entry.group, status) {
        return None;
    }
    let lasted = entry.overlap_ms.map(|ms| format!(" for {}", words::span(ms)));
    let text = format!("both nodes had {}{}", entry.group, lasted.unwrap_or_default());
    Some((format!("split {}", entry.group), point(entry, Event::Split, Gravity::Critical, text)))
}

fn point(entry: &HistoryEntry, event: Event, severity: Gravity, text: String) -> Point {
    Point {
        events: vec![event],
        severity,
        cause: entry.cause.clone(),
        at_ms: entry.at_ms(),
        moves: Vec::new(),
        text,
        lines: vec![words::entry(entry)],
    }
}
