//! Carries what is known of both nodes to the measurement of splits, and what it finds to the log
//! and the history.

use hb_config::settings::NodeName;
use hb_messaging::engine::NodeView;
use hb_messaging::message::NodeStatus;
use hb_messaging::time::Instant;
use hb_resource::group::Group;

use super::{Node, Turn};
use crate::activity::short;
use crate::api::{EntryKind, HistoryEntry};
use crate::effect::{Level, LogEvent};
use crate::report::millis;
use crate::rivals::Rival;
use crate::snapshot::Service;
use crate::split::{Apart, Change, Ended, Kept, Sides};

impl Node {
    /// A node changed status: the peer may have died or be back.
    pub(super) fn note_parting(&mut self, node: &NodeName, from: NodeStatus, to: NodeStatus) {
        if !self.is_peer(node) {
            return;
        }
        if to == NodeStatus::Dead {
            let heard_ms = self.view(self.now).peer().and_then(|peer| peer.heard_ms_ago);
            let now_ms = self.now.as_millis();
            let heard = now_ms.saturating_sub(heard_ms.unwrap_or(now_ms));
            self.splits.part(Instant::from_millis(heard), self.unix_s);
        } else if from == NodeStatus::Dead {
            self.splits.meet(self.now, self.unix_s);
            self.rivals.peer_speaks();
        }
    }

    pub(super) fn note_splits(&mut self, nodes: &[NodeView], turn: &mut Turn<'_>) {
        let view = self.view_of(nodes);
        let will_say = self.peer_native == Some(true) && view.peer_lives();
        let sides = |group: &Group| {
            let key = group.key();
            let (here, there) = (group.claim(), view.peer_claim(key));
            let both = view.service_as(key, Some(here)) == Service::Both;
            let claimed = view.peer_rival(key, self.now).is_some();
            Sides { both, here, there, will_say, claimed }
        };
        let sides: Vec<Sides> = self.manager.groups().map(sides).collect();
        let groups = self.manager.groups().zip(sides);
        let note = |(group, sides): (&Group, Sides)| self.splits.note(group.key(), sides, self.now);
        let changes: Vec<Change> = groups.filter_map(note).collect();
        for change in changes {
            match change {
                Change::Found { group, apart } => {
                    self.totals.note_split();
                    self.tell_split(&group, apart, turn);
                }
                Change::Ended(end) => self.tell_end(end, turn),
            }
        }
    }

    fn tell_split(&self, group: &str, apart: Option<Apart>, turn: &mut Turn<'_>) {
        let view = self.view(self.now);
        let peer = view.peer_name();
        let text = match view.peer_rival(group, self.now) {
            Some(Rival { resource, ethernet, .. }) => format!(
                "split: this node and {peer} both have group {group}: it is silent, but its machine \
                 ({ethernet}) claims {resource}"
            ),
            None => {
                let after = self.apart_words(apart);
                format!("split: this node and {peer} both serve group {group}{after}")
            }
        };
        turn.log(
            LogEvent::new(Level::Error, "split", text).with("group", group).with("peer", peer),
        );
    }

    fn tell_end(&mut self, end: Ended, turn: &mut Turn<'_>) {
        let Ended { group, apart, overlap, kept, seen_apart } = end;
        let overlap_ms = millis(overlap);
        let (here, peer) = (self.profile.node.to_string(), self.peer_name());
        let (event, end) = match kept {
            Kept::Here => ("split_healed", format!("{here} keeps it, {peer} released it")),
            Kept::There => ("split_healed", format!("{peer} keeps it, {here} released it")),
            Kept::Unknown => ("split_ended", format!("it is not known what {peer} has")),
        };
        let after = self.apart_words(apart);
        let reason = match seen_apart {
            true => format!("both served it{after}, seen here for {overlap_ms} ms: {end}"),
            false => format!("both served it{after}, for {overlap_ms} ms after that: {end}"),
        };
        let elapsed_ms = apart.map_or(0, |apart| millis(apart.lasted(self.now)));
        let mut line = LogEvent::new(Level::Warn, event, format!("group {group}: {reason}"))
            .with("group", &group)
            .with("peer", &peer)
            .with("elapsed_ms", elapsed_ms)
            .with("overlap_ms", overlap_ms);
        if let Some(apart) = apart.filter(Apart::is_over) {
            line = line
                .with("from_unix_s", apart.begun_unix_s(self.now))
                .with("to_unix_s", apart.ended_unix_s());
        }
        turn.log(line);
        let to = match kept {
            Kept::Here => Some(here),
            Kept::There => Some(peer),
            Kept::Unknown => None,
        };
        let entry = HistoryEntry {
            kind: EntryKind::Split,
            group,
            what: "split".to_owned(),
            to,
            cause: "conflict".to_owned(),
            reason,
            elapsed_ms,
            overlap_ms: Some(overlap_ms),
            ..HistoryEntry::default()
        };
        let entry = self.history.add(entry, self.moment_now());
        Self::keep(entry, turn);
    }

    fn apart_words(&self, apart: Option<Apart>) -> String {
        match apart {
            Some(apart) => format!(" after {} apart", short(apart.lasted(self.now))),
            None => String::new(),
        }
    }
}
