//! What is measured of each link, for status only: how far apart heartbeats came, how long a round
//! trip takes, what became of each packet. Values and their arithmetic; nothing is decided by them.

use serde::{Deserialize, Serialize};

/// Upper limits of the buckets of an interval within one octave, in µs: four for each doubling,
/// so that a limit is at most 19 % above what it stands for.
const OCTAVE_US: [u64; 4] = [1_000, 1_189, 1_414, 1_682];
/// Doublings from 1 ms on: beyond 70 minutes, longer than any dead time that is obeyed.
const OCTAVES: u32 = 23;

/// How many values there were above the limit before and not above this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Upper limit in µs, inclusive; `None`: above every limit.
    pub le_us: Option<u64>,
    /// How many; never 0.
    pub count: u64,
}

/// A distribution of times. Its size is bounded by the limits that it is fed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// How many values.
    pub count: u64,
    /// Their sum in µs.
    pub sum_us: u64,
    /// The greatest in µs; 0 when there is none.
    pub max_us: u64,
    /// Buckets that are not empty, the smallest limit first.
    pub buckets: Vec<Bucket>,
}

impl Histogram {
    /// Counts one value. `limits_us` rise, and are the same for each value.
    pub fn observe(&mut self, value_us: u64, limits_us: impl IntoIterator<Item = u64>) {
        self.count = self.count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(value_us);
        self.max_us = self.max_us.max(value_us);
        let le_us = limits_us.into_iter().find(|limit| value_us <= *limit);
        // `None` is the last, though it is the smallest of its type.
        let place = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        match self.buckets.binary_search_by_key(&place(le_us), |bucket| place(bucket.le_us)) {
            Ok(index) => self.buckets[index].count = self.buckets[index].count.saturating_add(1),
            Err(index) => self.buckets.insert(index, Bucket { le_us, count: 1 }),
        }
    }

    /// How many values were at most `limit_us`, which must be one of the limits that it was fed with.
    pub fn at_most(&self, limit_us: u64) -> u64 {
        let below =
            self.buckets.iter().filter(|bucket| bucket.le_us.is_some_and(|le| le <= limit_us));
        below.map(|bucket| bucket.count).sum()
    }
}

/// Distribution of the time between two heartbeats of a peer on one link, while it was heard there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// Intervals shorter than the peer's dead time, at limits four to the octave from 1 ms on. Their
    /// sum is the time over which was measured.
    pub distribution: Histogram,
    /// Silences of at least the dead time after which the same run of the peer was heard again: a
    /// cut link or a false alarm.
    pub cuts: u64,
    /// The longest of them in µs.
    pub longest_cut_us: u64,
}

impl Intervals {
    /// The limits of its buckets in µs.
    pub fn limits_us() -> impl Iterator<Item = u64> {
        Self::limits_from(0)
    }

    fn limits_from(octave: u32) -> impl Iterator<Item = u64> {
        let limits = |octave| OCTAVE_US.into_iter().map(move |limit| limit << octave);
        (octave..OCTAVES).flat_map(limits)
    }

    pub(crate) fn observe(&mut self, interval_us: u64, deadtime_us: u64) {
        if interval_us < deadtime_us {
            // No limit of an octave before is as large.
            let octave = (interval_us / OCTAVE_US[0]).checked_ilog2().unwrap_or(0);
            self.distribution.observe(interval_us, Self::limits_from(octave));
        } else {
            self.cuts = self.cuts.saturating_add(1);
            self.longest_cut_us = self.longest_cut_us.max(interval_us);
        }
    }
}

/// What became of the packets that arrived on one link since the daemon's start. A node's own
/// packets, which broadcast and multicast return, are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    /// Verified and in place.
    pub ok: u64,
    /// Verified, and here before: usually on another link.
    pub dup: u64,
    /// Verified, of an older generation or far behind.
    pub replay: u64,
    /// Unsigned, or signed with a wrong, unknown or weaker key.
    pub badauth: u64,
    /// Verified, of a node that ha.cf does not name.
    pub foreign: u64,
    /// Not decodable, or without a field that must be there.
    pub malformed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(histogram: &Histogram) -> Vec<(Option<u64>, u64)> {
        histogram.buckets.iter().map(|bucket| (bucket.le_us, bucket.count)).collect()
    }

    #[test]
    fn values_are_counted_at_the_first_limit_that_is_not_below_them() {
        let mut histogram = Histogram::default();
        for value in [15, 10, 11, 9, 20, 21, 1_000] {
            histogram.observe(value, [10, 20]);
        }
        assert_eq!(buckets(&histogram), [(Some(10), 2), (Some(20), 3), (None, 2)]);
        assert_eq!((histogram.count, histogram.sum_us, histogram.max_us), (7, 1_086, 1_000));
        assert_eq!((histogram.at_most(10), histogram.at_most(20)), (2, 5));
    }

    #[test]
    fn limits_of_intervals_rise_and_are_near() {
        let limits: Vec<u64> = Intervals::limits_us().collect();
        assert_eq!((limits[0], limits[4], limits.len()), (1_000, 2_000, 92));
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1] && pair[1] * 100 < pair[0] * 120));
        assert!(limits.last() > Some(&3_600_000_000));
    }

    #[test]
    fn a_silence_of_a_dead_time_is_no_interval() {
        let mut intervals = Intervals::default();
        for interval in [1_000_000, 4_999_999, 5_000_000, 60_000_000] {
            intervals.observe(interval, 5_000_000);
        }
        assert_eq!((intervals.distribution.count, intervals.distribution.max_us), (2, 4_999_999));
        assert_eq!((intervals.cuts, intervals.longest_cut_us), (2, 60_000_000));
    }

    #[test]
    fn an_interval_is_counted_at_its_limit_wherever_the_search_begins() {
        let limits: Vec<u64> = Intervals::limits_us().collect();
        let around = limits.iter().flat_map(|limit| [limit - 1, *limit, limit + 1]);
        for value in around.chain([0, 1, u64::MAX - 1]) {
            let mut intervals = Intervals::default();
            intervals.observe(value, u64::MAX);
            let expect = limits.iter().find(|limit| value <= **limit).copied();
            assert_eq!(buckets(&intervals.distribution), [(expect, 1)], "{value}");
        }
    }

    #[test]
    fn any_values_fill_no_more_than_the_limits() {
        let mut intervals = Intervals::default();
        for shift in 0..64 {
            intervals.observe((1_u64 << shift) + 12_345, u64::MAX);
        }
        assert!(intervals.distribution.buckets.len() <= Intervals::limits_us().count() + 1);
        assert_eq!(intervals.distribution.sum_us, u64::MAX);
    }
}
