//! What is known of one sender's sequence numbers: generation, what came, what is missing, what to
//! ask for and what to acknowledge. Knows nothing of message content or delivery order (`order`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::time::Instant;

/// A larger jump means that the history is lost: asking for more would only flood the links
/// (Heartbeat 3.0.6).
pub(crate) const GAP_MAX: u64 = 250;
/// Of a larger jump so many of the last numbers are missing: what the sender said a moment ago may
/// only have been overtaken, and it says its holdings once. A node says less than this in one go.
const JUMP_ASKED: u64 = 20;
/// Most numbers missing at a time (Heartbeat 3.0.6); senders keep no more than this anyway.
pub(crate) const MISSING_MAX: usize = 500;
/// Numbers this far behind are gone from every sender's history (Heartbeat 3.0.6 keeps 500).
const HISTORY: u64 = 500;
/// Heartbeat 3.0.6 acknowledges one number in ten.
const ACK_INTERVAL: u64 = 10;
/// Least delay before the first request, so that the copy on a second link can arrive first.
const REQUEST_DELAY_MIN: Duration = Duration::from_millis(50);
/// Below this maximum the least delay is 0 (Heartbeat 3.0.6).
const SHORT_DELAY: Duration = Duration::from_millis(100);

/// What a sequence number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of a session or the successor of the last.
    InOrder,
    /// Newer than the successor; so many numbers in between are missing or, beyond [`GAP_MAX`], all
    /// but the last few given up.
    Gap(u64),
    /// Was missing.
    Filled,
    /// The last one again: the normal case with two links.
    Duplicate,
    /// Older and not missing.
    Old,
}

impl Verdict {
    /// Whether the message counts.
    pub(crate) fn is_accepted(self) -> bool {
        match self {
            Self::InOrder | Self::Gap(_) | Self::Filled => true,
            Self::Duplicate | Self::Old => false,
        }
    }
}

/// Receive state of one sender. A session begins with the first `status` of a generation, or with
/// the first one after the sender was declared dead.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inbound {
    /// Recorded generation; 0 before any was seen.
    pub(crate) generation: u64,
    /// Sequence number of the newest `status` of this generation.
    pub(crate) last_status: u64,
    last: Option<u64>,
    /// Missing numbers and when each is asked for next.
    missing: BTreeMap<u64, Instant>,
    ack_digit: u64,
    acked: u64,
    /// Highest number that was asked for.
    #[serde(default)]
    asked: u64,
}

impl Inbound {
    /// `random` picks the digit to acknowledge.
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            generation: 0,
            last_status: 0,
            last: None,
            missing: BTreeMap::new(),
            ack_digit: random.below(ACK_INTERVAL),
            acked: 0,
            asked: 0,
        }
    }

    /// A higher generation speaks: all numbers begin again.
    pub(crate) fn restart(&mut self, generation: u64) {
        self.generation = generation;
        self.last_status = 0;
        self.end_session();
    }

    /// The sender died. Generation and last status stay known, so that old packets stay old.
    pub(crate) fn end_session(&mut self) {
        self.last = None;
        self.asked = 0;
        self.missing.clear();
    }

    /// Highest number seen in this session.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Judges and books `sequence`.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        sequence: u64,
        request_delay_max: Duration,
        random: &mut Random,
    ) -> Verdict {
        let Some(last) = self.last else {
            self.last = Some(sequence);
            self.acked = sequence.saturating_sub(1);
            return Verdict::InOrder;
        };
        if sequence == last {
            return Verdict::Duplicate;
        }
        if sequence < last {
            let filled = self.missing.remove(&sequence).is_some();
            return if filled { Verdict::Filled } else { Verdict::Old };
        }
        self.last = Some(sequence);
        let gap = sequence - last - 1;
        let jumped = gap > GAP_MAX;
        if jumped {
            self.missing.clear();
        }
        let first = if jumped { sequence - JUMP_ASKED } else { last + 1 };
        for number in first..sequence {
            let delay = first_delay(request_delay_max, random);
            self.missing.insert(number, now + delay);
        }
        self.forget_old(sequence);
        if gap == 0 { Verdict::InOrder } else { Verdict::Gap(gap) }
    }

    fn forget_old(&mut self, newest: u64) {
        self.missing = self.missing.split_off(&newest.saturating_sub(HISTORY));
        while self.missing.len() > MISSING_MAX {
            self.missing.pop_first();
        }
    }

    /// The sender has lost `sequence` from its history.
    pub(crate) fn give_up(&mut self, sequence: u64) {
        self.missing.remove(&sequence);
    }

    /// The oldest number that is still missing.
    pub(crate) fn first_missing(&self) -> Option<u64> {
        self.missing.first_key_value().map(|(number, _)| *number)
    }

    /// When the next request is due.
    pub(crate) fn next_request(&self) -> Option<Instant> {
        self.missing.values().min().copied()
    }

    /// Whether `sequence` may come late because it was asked for.
    pub(crate) fn may_be_copy(&self, sequence: u64) -> bool {
        sequence <= self.asked
    }

    /// Numbers to ask for at `now`; each is due again after `repeat`.
    pub(crate) fn due_requests(&mut self, now: Instant, repeat: Duration) -> Vec<u64> {
        let mut due = Vec::new();
        for (number, at) in self.missing.iter_mut().filter(|(_, at)| **at <= now) {
            due.push(*number);
            *at = now + repeat;
        }
        self.asked = self.asked.max(due.last().copied().unwrap_or(0));
        due
    }

    /// The number to acknowledge, if it is not acknowledged yet: the highest with our digit below which
    /// nothing is missing.
    pub(crate) fn take_ack(&mut self) -> Option<u64> {
        let complete = self.first_missing().map_or(self.last?, |number| number - 1);
        let behind = (complete % ACK_INTERVAL + ACK_INTERVAL - self.ack_digit) % ACK_INTERVAL;
        let ack = complete.checked_sub(behind)?;
        if ack <= self.acked {
            return None;
        }
        self.acked = ack;
        Some(ack)
    }
}

fn first_delay(max: Duration, random: &mut Random) -> Duration {
    let min = if max < SHORT_DELAY { Duration::ZERO } else { REQUEST_DELAY_MIN };
    random.delay(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_millis(250);

    struct Receiver {
        inbound: Inbound,
        random: Random,
        now: Instant,
    }

    impl Receiver {
        fn new() -> Self {
            let mut random = Random::new(1);
            let mut inbound = Inbound::new(&mut random);
            inbound.ack_digit = 3;
            Self { inbound, random, now: Instant::ZERO }
        }

        fn see(&mut self, sequence: u64) -> Verdict {
            self.inbound.observe(self.now, sequence, MAX, &mut self.random)
        }

        fn missing(&self) -> Vec<u64> {
            self.inbound.missing.keys().copied().collect()
        }
    }

    #[test]
    fn verdicts_in_the_order_of_the_protocol() {
        let mut receiver = Receiver::new();
        for (sequence, verdict) in [
            (40, Verdict::InOrder),
            (41, Verdict::InOrder),
            (41, Verdict::Duplicate),
            (40, Verdict::Old),
            (44, Verdict::Gap(2)),
            (42, Verdict::Filled),
            (42, Verdict::Old),
            (44, Verdict::Duplicate),
            (45, Verdict::InOrder),
            (43, Verdict::Filled),
            (39, Verdict::Old),
        ] {
            assert_eq!(receiver.see(sequence), verdict, "{sequence}");
        }
        assert!(receiver.missing().is_empty());
    }

    #[test]
    fn a_gap_of_250_is_repaired_and_of_a_larger_one_the_end() {
        let mut receiver = Receiver::new();
        receiver.see(1);
        assert_eq!(receiver.see(252), Verdict::Gap(250));
        assert_eq!(receiver.missing().len(), 250);
        assert_eq!(receiver.see(504), Verdict::Gap(251));
        assert_eq!(receiver.missing(), (484..504).collect::<Vec<u64>>());
        // The first packets after a long sleep overtake each other like any others.
        assert_eq!(receiver.see(503), Verdict::Filled);
        assert_eq!(receiver.see(483), Verdict::Old);
    }

    #[test]
    fn what_no_history_holds_is_not_asked_for() {
        let mut receiver = Receiver::new();
        receiver.see(1);
        for sequence in (3..2_000).step_by(2) {
            receiver.see(sequence);
            assert!(receiver.missing().len() <= MISSING_MAX);
        }
        assert_eq!(receiver.inbound.first_missing(), Some(1_500));
    }

    #[test]
    fn requests_wait_at_random_and_repeat() {
        let mut receiver = Receiver::new();
        receiver.see(1);
        receiver.see(20);
        let first: Vec<Instant> = receiver.inbound.missing.values().copied().collect();
        let (low, high) = (Instant::from_millis(50), Instant::from_millis(250));
        assert!(first.iter().all(|at| (low..=high).contains(at)));
        assert!(first.iter().min() != first.iter().max());
        assert_eq!(receiver.inbound.next_request(), first.iter().min().copied());
        assert_eq!(receiver.inbound.due_requests(high, MAX).len(), 18);
        assert_eq!(receiver.inbound.next_request(), Some(Instant::from_millis(500)));
        receiver.see(5);
        receiver.inbound.give_up(6);
        assert_eq!(receiver.inbound.due_requests(Instant::from_millis(500), MAX).len(), 16);
    }

    #[test]
    fn short_maximum_delays_begin_at_zero() {
        let mut random = Random::new(3);
        let max = Duration::from_millis(40);
        assert!((0..100).all(|_| first_delay(max, &mut random) <= max));
        assert!((0..100).any(|_| first_delay(max, &mut random) < Duration::from_millis(10)));
    }

    #[test]
    fn every_tenth_is_acknowledged_when_nothing_earlier_is_missing() {
        let mut receiver = Receiver::new();
        let mut acks = Vec::new();
        for sequence in (21..=60).filter(|sequence| *sequence != 42) {
            receiver.see(sequence);
            acks.extend(receiver.inbound.take_ack());
        }
        assert_eq!(acks, [23, 33]);
        receiver.see(42);
        assert_eq!(receiver.inbound.take_ack(), Some(53));
        assert_eq!(receiver.inbound.take_ack(), None);
    }

    #[test]
    fn numbers_before_the_session_are_never_acknowledged() {
        let mut receiver = Receiver::new();
        receiver.see(25);
        assert_eq!(receiver.inbound.take_ack(), None);
        let mut early = Receiver::new();
        early.see(1);
        assert_eq!(early.inbound.take_ack(), None);
    }

    #[test]
    fn a_death_keeps_what_replays_are_measured_by() {
        let mut receiver = Receiver::new();
        receiver.inbound.restart(7);
        receiver.see(9);
        receiver.inbound.last_status = 9;
        receiver.inbound.end_session();
        assert_eq!((receiver.inbound.generation, receiver.inbound.last_status), (7, 9));
        assert_eq!(receiver.see(30), Verdict::InOrder);
        receiver.inbound.restart(8);
        assert_eq!((receiver.inbound.generation, receiver.inbound.last_status), (8, 0));
        assert_eq!(receiver.see(1), Verdict::InOrder);
    }
}
