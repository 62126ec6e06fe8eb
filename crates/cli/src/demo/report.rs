//! What the demo found: per step the outage that the client saw and whether that is within the
//! target. Data and its JSON form; how it is drawn is `view`'s business.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pair::Pair;

/// Version of the JSON document; changes only when an old reader would misread.
pub(super) const VERSION: u32 = 1;

/// The whole play.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    v: u32,
    /// Every step was played and did what it should.
    ok: bool,
    keepalive_ms: u64,
    deadtime_ms: u64,
    /// What moves, in words.
    service: &'static str,
    /// Whether a missed target is a failure.
    strict: bool,
    /// Processes that wanted a processor during the last minute, on average.
    load: Option<f64>,
    /// Processors of this machine.
    processors: usize,
    /// In the order in which they were played.
    pub(super) steps: Vec<Step>,
}

/// One step of the play.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    /// Stable name.
    pub(super) id: &'static str,
    /// What was done, for people.
    pub(super) title: String,
    /// What went wrong; `None` when the step did what it should.
    pub(super) failure: Option<String>,
    /// What the client saw; `None` when it did not come to that.
    pub(super) seen: Option<Seen>,
    /// Longest outage that is promised, in ms; `None` where nothing is.
    pub(super) target_ms: Option<u64>,
    /// Whether the outage is within the target; `None` without a target or an outage.
    pub(super) within_target: Option<bool>,
    /// What happened when, in ms from the step's event.
    pub(super) events: Vec<Event>,
}

/// What the client saw of a step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// Longest outage, in ms; 0 when no probe failed and the server did not change.
    pub(super) outage_ms: f64,
    /// Longest time between two answers, outage or not, in ms.
    pub(super) longest_gap_ms: f64,
    /// Who served before; `None` before the first start.
    pub(super) from: Option<String>,
    /// Who served afterwards.
    pub(super) to: String,
    /// How much of the outage the client itself was not running, in ms.
    pub(super) stalled_ms: f64,
    /// Probes since the event.
    pub(super) probes: usize,
    /// Of these, unanswered, by reason.
    pub(super) missed: BTreeMap<String, usize>,
    /// The time around the outage in equal pieces, for drawing.
    #[serde(skip)]
    pub(super) bar: Vec<Cell>,
    /// How long the bar is, in ms.
    #[serde(skip)]
    pub(super) bar_ms: f64,
}

/// What a piece of time was like for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// No answer.
    Nothing,
    /// Answers of the node with this index.
    Served(usize),
    /// Answers of more than one node.
    Change,
}

/// Something that happened in a step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    /// Milliseconds from the step's event; `None` when only the order is known.
    pub(super) at_ms: Option<f64>,
    /// What.
    pub(super) text: String,
}

impl Report {
    /// Before the first step. `strict`: a missed target is a failure.
    pub(super) fn new(pair: &Pair, strict: bool) -> Self {
        Self {
            v: VERSION,
            ok: true,
            keepalive_ms: pair.keepalive_ms,
            deadtime_ms: pair.deadtime_ms,
            service: pair.service(),
            strict,
            load: None,
            processors: 1,
            steps: Vec::new(),
        }
    }

    /// Notes how busy the machine was.
    pub(super) fn note_load(&mut self, load: Option<f64>, processors: usize) {
        (self.load, self.processors) = (load, processors);
    }

    /// The load and the number of processors, when a target was missed on a machine that had more to
    /// do than it has processors.
    pub(super) fn excuse(&self) -> Option<(f64, usize)> {
        let missed = self.steps.iter().any(|step| step.within_target == Some(false));
        let processors = u32::try_from(self.processors).map_or(f64::MAX, f64::from);
        self.load.filter(|load| missed && *load > processors).map(|load| (load, self.processors))
    }

    /// Adds a played step.
    pub(super) fn add(&mut self, step: Step) {
        let missed = self.strict && step.within_target == Some(false);
        self.ok &= step.failure.is_none() && !missed;
        self.steps.push(step);
    }

    /// Whether every step so far did what it should.
    pub(super) fn is_ok(&self) -> bool {
        self.ok
    }
}

/// Whether `seen` is within `target_ms`; `None` without a target or an outage.
pub(super) fn is_within(seen: Option<&Seen>, target_ms: Option<u64>) -> Option<bool> {
    let target = u32::try_from(target_ms?).ok()?;
    Some(seen?.outage_ms <= f64::from(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::pair::Web;

    fn step(outage_ms: f64, target_ms: Option<u64>, failure: Option<&str>) -> Step {
        let seen = Seen {
            outage_ms,
            longest_gap_ms: outage_ms,
            from: None,
            to: "node2".to_owned(),
            stalled_ms: 0.0,
            probes: 1,
            missed: BTreeMap::new(),
            bar: Vec::new(),
            bar_ms: 0.0,
        };
        Step {
            id: "x",
            title: String::new(),
            failure: failure.map(str::to_owned),
            within_target: is_within(Some(&seen), target_ms),
            seen: Some(seen),
            target_ms,
            events: Vec::new(),
        }
    }

    #[test]
    fn verdict() {
        let pair = Pair { keepalive_ms: 1, deadtime_ms: 3, auto_failback: true, web: Web::Warm };
        let check = |strict: bool, steps: &[Step], expect: bool| {
            let mut report = Report::new(&pair, strict);
            steps.iter().for_each(|s| report.add(s.clone()));
            assert_eq!(report.is_ok(), expect);
        };
        let (good, slow, bad) =
            (step(9.0, Some(10), None), step(11.0, Some(10), None), step(9.0, None, Some("no")));
        check(true, &[], true);
        check(true, &[good.clone(), step(99.0, None, None)], true);
        check(false, std::slice::from_ref(&slow), true);
        check(true, &[slow, good.clone()], false);
        check(false, &[bad, good], false);
    }

    #[test]
    fn busy_machine() {
        let pair = Pair { keepalive_ms: 1, deadtime_ms: 3, auto_failback: true, web: Web::Warm };
        let check = |outage_ms: f64, load: Option<f64>, expect: Option<(f64, usize)>| {
            let mut report = Report::new(&pair, false);
            report.add(step(outage_ms, Some(10), None));
            report.note_load(load, 2);
            assert_eq!(report.excuse(), expect, "{outage_ms} {load:?}");
        };
        check(11.0, Some(2.1), Some((2.1, 2)));
        check(11.0, Some(1.9), None);
        check(11.0, None, None);
        check(9.0, Some(2.1), None);
    }
}
