//! The clocks of one machine: one that counts, at a rate of its own and not while the machine is
//! suspended, and one on the wall, which people and time servers set. It judges nothing.

use std::time::Duration;

use hb_messaging::time::Instant;

/// Any day will do: 2026-01-01.
const EPOCH_S: i64 = 1_767_225_600;
/// A clock that runs true counts so many microseconds in a second.
pub const TRUE_RATE: u64 = 1_000_000;

/// Both clocks of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The world's time since which `rate` holds.
    since: Instant,
    /// What was counted until then.
    counted: Instant,
    /// Microseconds counted in a second of the world.
    rate: u64,
    /// How far the clock on the wall is off.
    pub wall_off_s: i64,
    /// While it is suspended: since when, and its rate before.
    frozen: Option<(Instant, u64)>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            since: Instant::ZERO,
            counted: Instant::ZERO,
            rate: TRUE_RATE,
            wall_off_s: 0,
            frozen: None,
        }
    }
}

impl Clock {
    /// What it has counted at `now`.
    pub fn local(&self, now: Instant) -> Instant {
        let passed = now - self.since;
        if self.rate == TRUE_RATE {
            return self.counted + passed;
        }
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        self.counted + Duration::from_micros(micros.saturating_mul(self.rate) / TRUE_RATE)
    }

    /// The first moment of the world at which it has counted `local`; `None` while it stands still.
    pub fn world(&self, local: Instant) -> Option<Instant> {
        let missing = local.since(self.counted);
        if self.rate == TRUE_RATE {
            return Some(self.since + missing);
        }
        let micros = u64::try_from(missing.as_micros()).unwrap_or(u64::MAX);
        let rate = (self.rate > 0).then_some(self.rate)?;
        let passed = micros.saturating_mul(TRUE_RATE).div_ceil(rate);
        Some(self.since + Duration::from_micros(passed))
    }

    /// Runs at `rate` from `now` on; 0 stands still.
    pub fn set_rate(&mut self, now: Instant, rate: u64) {
        self.counted = self.local(now);
        self.since = now;
        self.rate = rate;
    }

    /// Stands still until it is thawed.
    pub fn freeze(&mut self, now: Instant) {
        if self.frozen.is_none() {
            self.frozen = Some((now, self.rate));
            self.set_rate(now, 0);
        }
    }

    /// Goes on; how many milliseconds were not counted. `None` when it was not frozen.
    pub fn thaw(&mut self, now: Instant) -> Option<u64> {
        let (since, rate) = self.frozen.take()?;
        self.set_rate(now, rate);
        u64::try_from((now - since).as_millis()).ok()
    }

    /// Unix time as this machine believes.
    pub fn wall_s(&self, now: Instant) -> u64 {
        let true_s = i64::try_from(now.as_millis() / 1_000).unwrap_or(i64::MAX);
        u64::try_from(EPOCH_S + true_s + self.wall_off_s).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_count_is_the_first_at_which_it_has_been_reached() {
        let mut clock = Clock::default();
        clock.set_rate(Instant::from_millis(10), 999_000);
        for micros in [10_000, 10_001, 11_234, 99_999_999] {
            let local = Instant::from_micros(micros);
            let world = clock.world(local).expect("it runs");
            assert!(clock.local(world) >= local, "{micros}");
            let before = Instant::from_micros(world.as_micros() - 1);
            assert!(micros == 10_000 || clock.local(before) < local, "{micros}");
        }
    }

    #[test]
    fn what_a_suspended_machine_sleeps_is_not_counted() {
        let mut clock = Clock::default();
        clock.freeze(Instant::from_millis(1_000));
        assert_eq!(clock.world(Instant::from_millis(1_001)), None);
        assert_eq!(clock.thaw(Instant::from_millis(61_000)), Some(60_000));
        assert_eq!(clock.local(Instant::from_millis(62_000)), Instant::from_millis(2_000));
        assert_eq!(clock.wall_s(Instant::from_millis(62_000)), 1_767_225_662);
    }
}
