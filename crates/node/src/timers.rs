//! The clock side of the resource manager's named timers: which run, and when each is due.
//! It does not decide what a timer means, and it never reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::output::Timer;
use serde::{Deserialize, Serialize};

/// Running timers. Bounded by the number of `Timer` values: a few plus two for each group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerTable {
    due: BTreeMap<Timer, Instant>,
}

impl TimerTable {
    /// Starts `timer`, or starts it anew when it runs already.
    pub fn set(&mut self, timer: Timer, due: Instant) {
        self.due.insert(timer, due);
    }

    /// Stops `timer`. Nothing happens when it does not run.
    pub fn cancel(&mut self, timer: &Timer) {
        self.due.remove(timer);
    }

    /// Whether `timer` runs.
    pub fn runs(&self, timer: &Timer) -> bool {
        self.due.contains_key(timer)
    }

    /// When the earliest timer is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// When `timer` is due; `None` when it does not run.
    pub fn due(&self, timer: &Timer) -> Option<Instant> {
        self.due.get(timer).copied()
    }

    /// Takes out the earliest timer that is due at `now`; of several due at one moment the first
    /// in the order of `Timer`, so that a replay fires them as the recording did.
    pub fn pop(&mut self, now: Instant) -> Option<Timer> {
        // The table is in the order of `Timer`, and of equal ones this finds the first.
        let (timer, due) = self.due.iter().min_by_key(|(_, due)| **due)?;
        if *due > now {
            return None;
        }
        let timer = timer.clone();
        self.due.remove(&timer);
        Some(timer)
    }

    /// Starts `timer` to end `delay` from `now`.
    pub fn start(&mut self, timer: Timer, now: Instant, delay: Duration) {
        self.set(timer, now + delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn fires_the_earliest_first_and_only_what_is_due() {
        let mut table = TimerTable::default();
        table.set(Timer::Linger, at(30));
        table.set(Timer::StandbyEnd, at(10));
        table.set(Timer::StartupWait, at(20));
        assert_eq!(table.next(), Some(at(10)));
        assert_eq!(table.pop(at(9)), None);
        assert_eq!(table.pop(at(25)), Some(Timer::StandbyEnd));
        assert_eq!(table.pop(at(25)), Some(Timer::StartupWait));
        assert_eq!(table.pop(at(25)), None);
        assert_eq!(table.next(), Some(at(30)));
    }

    #[test]
    fn equal_moments_fire_in_the_order_of_the_names() {
        let mut table = TimerTable::default();
        for key in ["b", "a"] {
            table.set(Timer::StopRetry(key.into()), at(5));
        }
        table.set(Timer::StandbyAnswer, at(5));
        let order: Vec<Timer> = std::iter::from_fn(|| table.pop(at(5))).collect();
        assert_eq!(
            order,
            [Timer::StandbyAnswer, Timer::StopRetry("a".into()), Timer::StopRetry("b".into())]
        );
    }

    #[test]
    fn setting_again_moves_and_cancelling_removes() {
        let mut table = TimerTable::default();
        table.start(Timer::Linger, at(0), Duration::from_millis(5));
        table.start(Timer::Linger, at(0), Duration::from_millis(50));
        assert_eq!(table.next(), Some(at(50)));
        table.cancel(&Timer::Linger);
        table.cancel(&Timer::Linger);
        assert_eq!(table.next(), None);
    }
}
