//! The report of a drill: what an auditor wants to know, as values, and the verdict. Values in, values
//! out; how it looks is `text`'s business. The JSON form is described in docs/guide/drills.md.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::Kind;
use super::preflight::Check;
use crate::history::line::span;
use crate::probe::meter::Readings;

/// Version of the JSON form.
pub(super) const VERSION: u32 = 1;

/// How a drill ended, and the exit code that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Everything was as expected.
    Passed,
    /// The service was away for longer than allowed.
    OutageTooLong,
    /// It did not begin.
    Refused,
    /// Something else went wrong, or nothing could be measured.
    Failed,
}

/// What one observer measured of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Measured {
    /// What was asked.
    pub(super) target: String,
    /// The group that it stands for.
    pub(super) group: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub(super) readings: Readings,
}

/// One observer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Observer {
    /// The node on which it ran.
    pub(super) node: String,
    /// Version of hb there.
    pub(super) version: Option<String>,
    /// Unix time of that node in milliseconds at which it began; its outages count from there.
    pub(super) begun_unix_ms: Option<u64>,
    /// Milliseconds between two questions to a target.
    pub(super) every_ms: u64,
    /// Why what it measured does not count, if so.
    pub(super) not_counted: Option<String>,
    /// In the order of the targets.
    pub(super) measured: Vec<Measured>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Moment {
    /// Unix time in milliseconds, by the clock of that node.
    pub(super) unix_ms: u64,
    /// Where: a node, or `drill`.
    pub(super) who: String,
    /// What.
    pub(super) text: String,
}

/// What was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Expected {
    /// Milliseconds without service.
    pub(super) outage_ms: u64,
    /// The other node takes the groups over.
    pub(super) takeover: bool,
    /// What `hb plan` assumed.
    pub(super) assumed: Vec<String>,
}

/// One part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// File.
    pub(super) part: String,
    /// Digest of its meaning on this node.
    pub(super) digest: String,
    /// Whether the other node has the same; `None`: it has not said so.
    pub(super) same: Option<bool>,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// [`VERSION`].
    pub(super) v: u32,
    pub(super) verdict: Verdict,
    /// Why, one sentence each.
    pub(super) reasons: Vec<String>,
    pub(super) cluster: String,
    /// The node on which it was done.
    pub(super) node: String,
    pub(super) peer: String,
    /// Who did it.
    pub(super) by: String,
    pub(super) kind: Kind,
    pub(super) link: Option<String>,
    /// Measured groups, and where they were.
    pub(super) groups: BTreeMap<String, String>,
    pub(super) begun_unix_ms: u64,
    pub(super) ended_unix_ms: u64,
    pub(super) max_outage_ms: u64,
    pub(super) checks: Vec<Check>,
    pub(super) expected: Expected,
    /// Whether the other node was seen to take the groups over; `None`: nobody looked.
    pub(super) takeover: Option<bool>,
    /// The longest outage that counts, in milliseconds; `None`: nothing was measured.
    pub(super) outage_ms: Option<u64>,
    pub(super) observers: Vec<Observer>,
    /// What could not be measured, and why.
    pub(super) not_measured: Vec<String>,
    /// Why it was ended early, if so.
    pub(super) aborted: Option<String>,
    /// Everything is where and as it was.
    pub(super) restored: bool,
    /// Ordered by the clocks of the nodes.
    pub(super) timeline: Vec<Moment>,
    pub(super) config: Vec<Part>,
    /// Versions of the daemon by node, as far as they are known.
    pub(super) versions: BTreeMap<String, String>,
}

/// What went wrong beside the outage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What could not be done or undone, and what nobody wanted.
    pub(super) failures: Vec<String>,
    /// The guard ended it because of the outage.
    pub(super) too_long: Option<String>,
}

impl Observer {
    /// The longest outage of its targets in microseconds; `None`: it counts nothing, or does not count.
    fn longest_us(&self) -> Option<u64> {
        if self.not_counted.is_some() {
            return None;
        }
        let longest = |one: &Measured| {
            let lasts = one.readings.outages.iter().any(|outage| outage.to_us.is_none());
            let seen = one.readings.probes > one.readings.failed;
            seen.then_some(if lasts { u64::MAX } else { one.readings.max_us })
        };
        self.measured.iter().map(longest).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// The longest time without a question to a target, in microseconds.
    fn resolution_us(&self) -> u64 {
        self.measured.iter().map(|one| one.readings.resolution_us).max().unwrap_or(0)
    }
}

impl Report {
    /// Judges what was measured and says why.
    pub(super) fn judge(&mut self, trouble: Trouble) {
        let outage = self.observers.iter().filter_map(Observer::longest_us).max();
        self.outage_ms = outage.map(|us| if us == u64::MAX { us } else { us.div_ceil(1_000) });
        let mut failures = trouble.failures;
        let max = span(self.max_outage_ms);
        let counted = self.observers.iter().filter(|it| it.longest_us().is_some());
        for observer in counted.filter(|it| it.resolution_us() / 1_000 > self.max_outage_ms) {
            let was = span(observer.resolution_us() / 1_000);
            let node = &observer.node;
            failures.push(format!("the observer on {node} itself stood still for {was}"));
        }
        if outage.is_none() && trouble.too_long.is_none() {
            failures.push("nothing was measured that counts".to_owned());
        }
        if self.expected.takeover && self.takeover == Some(false) {
            failures.push(format!("{} did not take the groups over", self.peer_of_home()));
        }
        if !self.restored {
            failures.push("not everything is as it was before".to_owned());
        }
        let mut reasons = Vec::new();
        let too_long = match (trouble.too_long, self.outage_ms) {
            (Some(text), _) => Some(text),
            (None, Some(u64::MAX)) => Some("the service was not back in the end".to_owned()),
            (None, Some(ms)) if ms > self.max_outage_ms => {
                Some(format!("the service was away for {}, allowed are {max}", span(ms)))
            }
            (None, Some(ms)) => {
                reasons.push(match ms {
                    0 => format!("no interruption was seen, {max} were allowed"),
                    _ => format!("the service was away for {}, {max} were allowed", span(ms)),
                });
                None
            }
            (None, None) => None,
        };
        self.verdict = match (failures.is_empty(), &too_long) {
            (false, _) => Verdict::Failed,
            (true, Some(_)) => Verdict::OutageTooLong,
            (true, None) => Verdict::Passed,
        };
        self.reasons = failures.into_iter().chain(too_long).chain(reasons).collect();
    }

    /// The node that should have taken over.
    fn peer_of_home(&self) -> &str {
        if self.groups.values().any(|home| *home == self.node) { &self.peer } else { &self.node }
    }
}

#[cfg(test)]
pub(super) mod tests;
