//! What happens beside moves: nodes that die and return, power switches, maintenance, members that
//! fail without a move. It finds out what is news; the words of an entry are made in
//! `node/past.rs`.

use std::collections::{BTreeMap, BTreeSet};

use hb_messaging::time::Instant;
use hb_resource::manager::Maintenance;
use hb_resource::operation::{Action, GroupKey, Operation, Outcome};
use serde::{Deserialize, Serialize};

/// Fence attempts whose end is awaited; there is one for each device at most.
const FENCES_MAX: usize = 32;

/// What is known of the peer's presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Presence {
    /// Not heard since this start.
    #[default]
    Unseen,
    /// It speaks.
    Here,
    /// It said that it has stopped.
    Left(Instant),
    /// It fell silent; whether it is dead was said.
    Gone(Instant),
}

/// What is remembered to tell news from what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) presence: Presence,
    pub(crate) maintenance: Maintenance,
    fences: BTreeMap<u64, (usize, Instant)>,
    failing: BTreeSet<(GroupKey, String)>,
}

impl Events {
    /// A device was asked to fence.
    pub(crate) fn fencing(&mut self, attempt: u64, device: usize, now: Instant) {
        if self.fences.len() < FENCES_MAX {
            self.fences.insert(attempt, (device, now));
        }
    }

    /// The device of an attempt that has ended, and since when it was under way; `None` for one that
    /// only asked whether the device works.
    pub(crate) fn fenced(&mut self, attempt: u64) -> Option<(usize, Instant)> {
        self.fences.remove(&attempt)
    }

    /// Whether the end of a check is news: a member that works no more. Which member fails again
    /// after it has worked is news again.
    pub(crate) fn fails(&mut self, operation: &Operation, outcome: &Outcome) -> bool {
        if !operation.monitor || operation.action != Action::Status {
            return false;
        }
        let key = (operation.group.clone(), operation.resource.text.clone());
        match outcome {
            Outcome::Ok => {
                self.failing.remove(&key);
                false
            }
            // That it cannot be looked at says nothing of it.
            Outcome::CouldNotRun { .. } => false,
            Outcome::NotRunning | Outcome::Failed { .. } | Outcome::TimedOut => {
                self.failing.insert(key)
            }
        }
    }
}
