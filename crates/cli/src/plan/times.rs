//! How long actions on resources take: as the history has it, or as is assumed. Values in, values
//! out.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{BuiltIn, ResourceSpec};
use hb_node::api::HistoryEntry;

use crate::history::line::span;

/// Measurements that count: what a service needed years ago says little.
const LAST: usize = 5;
/// A built-in address is one message to the kernel.
const ADDRESS: Duration = Duration::from_millis(2);
/// What nobody has measured: most services are quicker.
const SERVICE: Duration = Duration::from_secs(1);
/// The same of a question for the status.
const STATUS: Duration = Duration::from_millis(50);

/// A length of time, and where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) lasts: Duration,
    /// In how many moves it was measured; 0: assumed.
    pub(super) measured: usize,
}

/// Lengths of actions by resource and action.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    /// The newest first.
    known: BTreeMap<(String, String), Vec<u64>>,
}

impl Times {
    /// What the steps of moves took.
    pub(super) fn measured(entries: &[HistoryEntry]) -> Self {
        let mut known: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for step in entries.iter().rev().flat_map(|entry| &entry.steps) {
            let times = known.entry((step.resource.clone(), step.action.clone())).or_default();
            // A failure is not how long it takes.
            if times.len() < LAST && matches!(step.outcome.as_str(), "ok" | "not running") {
                times.push(step.ms);
            }
        }
        Self { known }
    }

    /// How long `action` takes: the median of the last measurements.
    pub(super) fn of(&self, resource: &ResourceSpec, action: &str) -> Time {
        let key = (resource.text.clone(), action.to_owned());
        let mut known = self.known.get(&key).cloned().unwrap_or_default();
        known.sort_unstable();
        match known.get(known.len() / 2) {
            Some(ms) => Time { lasts: Duration::from_millis(*ms), measured: known.len() },
            None => {
                let lasts = match (&resource.built_in, action) {
                    (Some(BuiltIn::Address(_)), _) => ADDRESS,
                    (_, "status") => STATUS,
                    (_, _) => SERVICE,
                };
                Time { lasts, measured: 0 }
            }
        }
    }
}

impl Time {
    /// `0.5 s (measured 3 times)`, `1.0 s (assumed)`
    pub(super) fn words(self) -> String {
        let lasts = span(u64::try_from(self.lasts.as_millis()).unwrap_or(u64::MAX));
        match self.measured {
            0 => format!("{lasts} (assumed)"),
            1 => format!("{lasts} (measured once)"),
            count => format!("{lasts} (measured {count} times)"),
        }
    }
}
