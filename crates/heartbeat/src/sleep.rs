//! Notices that the machine slept: CLOCK_MONOTONIC, by which everything here is timed, stands still
//! while a machine is suspended, and CLOCK_BOOTTIME does not (clock_gettime(2)). It only reads (I/O).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Less than this is the difference of two readings, not a sleep.
const NOTICED: Duration = Duration::from_millis(5);

/// How far the clocks were apart at most.
#[derive(Debug)]
pub(crate) struct SleepMeter {
    apart: Option<Duration>,
}

impl SleepMeter {
    /// A meter that takes the present distance of the clocks as its zero.
    pub(crate) fn new() -> Self {
        Self { apart: read() }
    }

    /// How long the machine has slept since the last call, in ms.
    pub(crate) fn slept(&mut self) -> Option<u64> {
        self.note(read()?)
    }

    fn note(&mut self, apart: Duration) -> Option<u64> {
        let before = *self.apart.get_or_insert(apart);
        let slept = apart.checked_sub(before).filter(|slept| *slept >= NOTICED)?;
        self.apart = Some(apart);
        Some(u64::try_from(slept.as_millis()).unwrap_or(u64::MAX))
    }
}

/// At least so far the clocks are apart. The monotonic clock is read last, so that being held up
/// between the two readings cannot look like a sleep.
fn read() -> Option<Duration> {
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let counted = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    Some(Duration::from(since_boot).saturating_sub(Duration::from(counted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_is_a_sleep_and_it_is_told_once() {
        let mut meter = SleepMeter { apart: Some(Duration::from_millis(100)) };
        let mut note = |millis: u64| meter.note(Duration::from_millis(millis));
        assert_eq!(note(100), None);
        assert_eq!(note(104), None);
        assert_eq!(note(90), None, "held up between two readings");
        assert_eq!(note(100), None);
        assert_eq!(note(8_100), Some(8_000));
        assert_eq!(note(8_100), None);
    }

    #[test]
    fn a_machine_that_is_awake_does_not_sleep() {
        let mut meter = SleepMeter::new();
        assert!(meter.apart.is_some());
        assert_eq!(meter.slept(), None);
    }
}
