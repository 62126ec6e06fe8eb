//! A tiny seeded generator (splitmix64) for delays: reproducible runs, nothing secret.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Stream of numbers fixed by its seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below 2^-40 for all bounds in use.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed.checked_rem(bound).unwrap_or(0)
    }

    /// A delay in `low..=high`, in whole microseconds.
    pub(crate) fn delay(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX - 1);
        low + Duration::from_micros(self.below(span.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_values_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.below(u64::MAX)).collect();
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn delays_stay_in_range() {
        let (low, high) = (Duration::from_millis(50), Duration::from_millis(52));
        let mut random = Random::new(7);
        let delays: Vec<Duration> = (0..500).map(|_| random.delay(low, high)).collect();
        assert!(delays.iter().all(|delay| (low..=high).contains(delay)));
        assert!(delays.iter().min() != delays.iter().max());
        assert_eq!(random.delay(high, low), high);
    }
}
