//! What happened on this node, each thing with its one cause: the ring of entries, numbered. It
//! keeps them in memory; `Effect::History` hands each one to the shell, which makes it persistent.
//! Moves of groups and their outages are measured in `moves`, what happens to nodes and members
//! in `events`.

use std::collections::{BTreeMap, VecDeque};

use hb_messaging::time::Instant;
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

use crate::api::{EntryKind, HistoryEntry};

mod events;
mod moves;
mod wire;

pub(crate) use events::{Events, Presence};
use moves::{Decision, Seen};
pub(crate) use wire::{Order, hear, is_name, say};

/// Entries kept: a year of weekly drills in both directions, and a screen that still scrolls.
pub const ENTRIES_MAX: usize = 256;

/// A moment, by the clock that decides and by the one that people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// Unix time in milliseconds.
    pub(crate) unix_ms: u64,
}

/// The ring of entries, and what is measured for the next ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    entries: VecDeque<HistoryEntry>,
    number: u64,
    here: String,
    peer: Option<String>,
    /// One at most for each group.
    under_way: BTreeMap<GroupKey, Decision>,
    /// One at most for each group.
    seen: BTreeMap<GroupKey, Seen>,
    /// The last order of each kind that a person gave here or at the peer.
    orders: BTreeMap<String, Order>,
    /// What the peer says of the standby that it gives.
    given: Option<Order>,
}

impl History {
    /// An empty history of this node.
    pub(crate) fn new(here: String, peer: Option<String>) -> Self {
        Self {
            entries: VecDeque::new(),
            number: 0,
            here,
            peer,
            under_way: BTreeMap::new(),
            seen: BTreeMap::new(),
            orders: BTreeMap::new(),
            given: None,
        }
    }

    /// Oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.entries.iter()
    }

    /// The last completed move.
    pub fn last(&self) -> Option<&HistoryEntry> {
        self.entries.iter().rev().find(|entry| entry.is_move())
    }

    /// Begins with what was kept before this start, oldest first; numbers go on from there.
    pub(crate) fn resume(&mut self, kept: Vec<HistoryEntry>) {
        let skipped = kept.len().saturating_sub(ENTRIES_MAX);
        for entry in kept.into_iter().skip(skipped) {
            self.number = self.number.max(entry.number);
            self.insert(entry);
        }
    }

    /// Keeps an entry under the next number and returns it so. Of the moment only what the entry
    /// does not say yet is filled in.
    pub(crate) fn add(&mut self, mut entry: HistoryEntry, now: Moment) -> HistoryEntry {
        self.number += 1;
        entry.number = self.number;
        entry.unix_ms = now.unix_ms;
        entry.unix_s = now.unix_ms / 1_000;
        self.insert(entry.clone());
        entry
    }

    fn insert(&mut self, entry: HistoryEntry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Changes an entry that was handed out before; returns it as it is to be written over.
    fn amend(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut HistoryEntry),
    ) -> Option<HistoryEntry> {
        let entry = self.entries.iter_mut().rev().find(|entry| entry.number == number)?;
        change(entry);
        Some(HistoryEntry { amends: true, ..entry.clone() })
    }

    /// A person gave an order of this kind (`standby`, `takeover`, `cleanup`, `shutdown`).
    pub(crate) fn ordered(&mut self, kind: &'static str, by: Option<String>) {
        self.orders.insert(kind.to_owned(), Order { cause: kind.to_owned(), by });
    }

    /// Who gave the last order of this kind.
    pub(crate) fn orderer(&self, kind: &str) -> Option<String> {
        self.orders.get(kind).and_then(|order| order.by.clone())
    }

    /// The peer begins to give groups to this node, for this cause.
    pub(crate) fn is_given(&mut self, order: Option<Order>) {
        self.given = order;
    }

    /// An entry about a node: this one or the peer.
    pub(crate) fn about_node(
        &mut self,
        subject: &str,
        what: &str,
        cause: &str,
        reason: String,
        rest: HistoryEntry,
        now: Moment,
    ) -> HistoryEntry {
        self.add(
            HistoryEntry {
                kind: EntryKind::Node,
                subject: Some(subject.to_owned()),
                what: what.to_owned(),
                cause: cause.to_owned(),
                reason,
                ..rest
            },
            now,
        )
    }
}

/// Entries as they were written, oldest first, with those that complete an earlier one in its place.
pub fn merged(entries: impl IntoIterator<Item = HistoryEntry>) -> Vec<HistoryEntry> {
    let mut whole: Vec<HistoryEntry> = Vec::new();
    for mut entry in entries {
        let known = match entry.amends {
            // It stands near the end.
            true => whole.iter_mut().rev().take(ENTRIES_MAX).find(|it| it.number == entry.number),
            false => None,
        };
        entry.amends = false;
        match known {
            Some(known) => *known = entry,
            None => whole.push(entry),
        }
    }
    whole
}

#[cfg(test)]
mod tests;
