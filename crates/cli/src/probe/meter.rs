//! Outages from the answers of many short questions. Values in, values out; times are microseconds
//! since the observation began.
//!
//! An outage lies between two answers that follow one another when at least one question that was put
//! between them stayed unanswered. So a slow answer is no outage, and a lost question is one that is
//! as long as the time in which the service was not seen to answer.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// Answers that are remembered, to place questions that failed late: at one every 10 ms, over forty
/// seconds, and no question takes longer than a second.
const ANSWERS_MAX: usize = 4_096;
/// Outages that are told one by one; more are only counted and summed.
pub(crate) const OUTAGES_MAX: usize = 1_000;

/// A time in which the service did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// The last answer before it; the begin of the observation when there was none.
    pub(crate) from_us: u64,
    /// The first answer after it; `None`: it lasts.
    pub(crate) to_us: Option<u64>,
}

/// What became of the questions to one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Readings {
    /// Questions that were answered or failed.
    pub(crate) probes: u64,
    /// Of these, failed.
    pub(crate) failed: u64,
    /// Longest time between two questions in microseconds: an outage shorter than this and an
    /// answer's time may have been missed.
    pub(crate) resolution_us: u64,
    /// How many outages there were.
    pub(crate) count: u64,
    /// All of them together, in microseconds, without one that lasts.
    pub(crate) total_us: u64,
    /// The longest, in microseconds, without one that lasts.
    pub(crate) max_us: u64,
    /// One by one, as far as they are kept.
    pub(crate) outages: Vec<Outage>,
}

/// The meter of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// Ends of the last answers.
    answers: VecDeque<u64>,
    last_asked: Option<u64>,
    /// Begins of the outages among them that are over.
    closed: BTreeSet<u64>,
    /// End of the last outage that is over.
    closed_until: u64,
    /// Begin of the outage that lasts.
    open: Option<u64>,
    readings: Readings,
}

impl Meter {
    /// A question was put.
    pub(crate) fn asked(&mut self, at: u64) {
        if let Some(last) = self.last_asked {
            let apart = at.saturating_sub(last);
            self.readings.resolution_us = self.readings.resolution_us.max(apart);
        }
        self.last_asked = Some(at);
    }

    /// A question was answered at `at`. Answers come in the order of their times, nearly.
    pub(crate) fn answered(&mut self, at: u64) {
        self.readings.probes += 1;
        // Threads that answer at the same time may be heard the other way round.
        let at = at.max(self.answers.back().copied().unwrap_or(0));
        if let Some(from) = self.open.take() {
            self.close(from, at);
        }
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(at);
    }

    /// The question that was put at `asked` failed.
    pub(crate) fn failed(&mut self, asked: u64) {
        self.readings.probes += 1;
        self.readings.failed += 1;
        let after = self.answers.partition_point(|answer| *answer <= asked);
        let before = after.checked_sub(1).and_then(|index| self.answers.get(index)).copied();
        let from = before.unwrap_or(0);
        match self.answers.get(after).copied() {
            None => self.open = Some(self.open.unwrap_or(from).min(from)),
            Some(to) => self.close(from, to),
        }
    }

    fn close(&mut self, from: u64, to: u64) {
        if !self.closed.insert(from) {
            return;
        }
        if self.closed.len() > ANSWERS_MAX {
            self.closed.pop_first();
        }
        self.closed_until = self.closed_until.max(to);
        let lasted = to.saturating_sub(from);
        self.readings.count += 1;
        self.readings.total_us += lasted;
        self.readings.max_us = self.readings.max_us.max(lasted);
        if self.readings.outages.len() < OUTAGES_MAX {
            self.readings.outages.push(Outage { from_us: from, to_us: Some(to) });
        }
    }

    /// For how long there has been no answer.
    pub(crate) fn silent_us(&self, now: u64) -> u64 {
        now.saturating_sub(self.answers.back().copied().unwrap_or(0))
    }

    /// The last answers came, and no question failed since: how many there were.
    pub(crate) fn steady(&self) -> usize {
        match self.open {
            Some(_) => 0,
            None => self.answers.iter().filter(|answer| **answer >= self.closed_until).count(),
        }
    }

    /// Everything so far. An outage that lasts counts, without an end.
    pub(crate) fn readings(&self) -> Readings {
        let mut readings = self.readings.clone();
        if let Some(from_us) = self.open {
            readings.count += 1;
            readings.outages.push(Outage { from_us, to_us: None });
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Saw {
        Good(u64),
        Bad(u64),
    }
    use Saw::{Bad, Good};

    fn meter(saw: &[Saw]) -> Meter {
        let mut meter = Meter::default();
        for one in saw {
            match one {
                Good(at) => meter.answered(*at),
                Bad(asked) => meter.failed(*asked),
            }
        }
        meter
    }

    #[test]
    fn outages() {
        let check = |saw: &[Saw], expect: &[(u64, Option<u64>)]| {
            let readings = meter(saw).readings();
            let found: Vec<_> =
                readings.outages.iter().map(|outage| (outage.from_us, outage.to_us)).collect();
            assert_eq!(found, expect);
            assert_eq!(readings.count, expect.len() as u64);
            let lasted = expect.iter().filter_map(|(from, to)| Some((*to)? - from));
            assert_eq!(readings.total_us, lasted.clone().sum::<u64>());
            assert_eq!(readings.max_us, lasted.max().unwrap_or(0));
        };
        check(&[], &[]);
        // A slow answer is no outage.
        check(&[Good(10), Good(500)], &[]);
        check(&[Good(10), Bad(20), Bad(30), Good(45)], &[(10, Some(45))]);
        // It lasts.
        check(&[Good(10), Bad(20), Bad(30)], &[(10, None)]);
        check(&[Bad(5), Bad(7)], &[(0, None)]);
        check(&[Bad(5), Good(9)], &[(0, Some(9))]);
        // Questions that fail after the service is back belong where they were put.
        check(&[Good(10), Good(60), Bad(20), Bad(30), Good(70)], &[(10, Some(60))]);
        check(&[Good(10), Bad(20), Good(60), Bad(30), Good(70)], &[(10, Some(60))]);
        let twice = [Good(1), Bad(2), Good(3), Good(4), Bad(5), Good(8)];
        check(&twice, &[(1, Some(3)), (4, Some(8))]);
    }

    #[test]
    fn silence_and_steadiness() {
        let check = |saw: &[Saw], silent: u64, steady: usize| {
            let meter = meter(saw);
            assert_eq!((meter.silent_us(100), meter.steady()), (silent, steady));
        };
        check(&[], 100, 0);
        check(&[Good(10), Good(20)], 80, 2);
        check(&[Good(10), Bad(15)], 90, 0);
        check(&[Good(10), Bad(15), Good(20), Good(30)], 70, 2);
    }

    #[test]
    fn the_resolution_is_the_longest_time_without_a_question() {
        let mut meter = Meter::default();
        [10, 20, 55, 60].into_iter().for_each(|at| meter.asked(at));
        assert_eq!(meter.readings().resolution_us, 35);
    }

    #[test]
    fn only_so_many_are_told_one_by_one() {
        let mut meter = Meter::default();
        for turn in 0..2_000 {
            meter.answered(turn * 10);
            meter.failed(turn * 10 + 5);
        }
        meter.answered(20_000);
        let readings = meter.readings();
        assert_eq!((readings.count, readings.outages.len()), (2_000, OUTAGES_MAX));
    }
}
