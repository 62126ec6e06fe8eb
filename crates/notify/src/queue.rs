//! The messages that wait for one channel: in order, bounded, tried again less and less often. Pure:
//! the files are kept by `store`, the tries are made by `channel`.

use std::collections::VecDeque;

use crate::message::{Message, Phase};

/// Messages that wait for one channel at most: a week of a bad day each hour.
pub const QUEUE_MAX: usize = 200;
/// Delay after the first try that failed, in ms; it doubles.
const DELAY_MIN_MS: u64 = 5_000;
/// Longest delay between two tries, in ms.
const DELAY_MAX_MS: u64 = 300_000;
/// A message that was refused for this long is dropped, so that those behind it are heard, in ms.
pub const GIVE_UP_MS: u64 = 24 * 3_600_000;

/// What waits for one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    waiting: VecDeque<Message>,
    failures: u32,
    /// When the first may be tried again.
    not_before_ms: u64,
    /// Since when the first is tried.
    tried_since_ms: Option<u64>,
}

impl Queue {
    /// Adds a message; returns the numbers of those that must go for it.
    pub fn push(&mut self, message: Message) -> Vec<u64> {
        self.waiting.push_back(message);
        let mut dropped = Vec::new();
        while self.waiting.len() > QUEUE_MAX {
            let Some(index) = self.least() else { break };
            if let Some(message) = self.waiting.remove(index) {
                dropped.push(message.seq);
            }
        }
        dropped
    }

    /// The one that is missed least: what is over, what only repeats, what somebody asked for; of
    /// those the oldest. Never the first, which may be on its way.
    fn least(&self) -> Option<usize> {
        let rank = |message: &Message| match (message.phase, message.repeats) {
            (Phase::Resolved, _) => 0,
            (Phase::Event, 1..) | (Phase::Test, _) => 1,
            (Phase::Event, 0) => 2,
            (Phase::Begin, _) => 3,
        };
        let all = self.waiting.iter().enumerate().skip(1);
        all.min_by_key(|(index, message)| (rank(message), message.severity, *index)).map(|it| it.0)
    }

    /// The message to try at `now_ms`.
    pub fn due(&self, now_ms: u64) -> Option<&Message> {
        self.waiting.front().filter(|_| now_ms >= self.not_before_ms)
    }

    /// When the next try is due; `None` when nothing waits.
    pub fn next_ms(&self) -> Option<u64> {
        self.waiting.front().map(|_| self.not_before_ms)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first was accepted; its number.
    pub fn accepted(&mut self) -> Option<u64> {
        self.failures = 0;
        self.not_before_ms = 0;
        self.tried_since_ms = None;
        self.waiting.pop_front().map(|message| message.seq)
    }

    /// The channel is set anew: what was in the way of the first may be mended.
    pub fn hurry(&mut self) {
        self.failures = 0;
        self.not_before_ms = 0;
    }

    /// The first was not accepted. Returns its number when it was tried for too long and is dropped.
    pub fn refused(&mut self, now_ms: u64) -> Option<u64> {
        let doubled = DELAY_MIN_MS.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now_ms.saturating_add(doubled.min(DELAY_MAX_MS));
        let since = *self.tried_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) < GIVE_UP_MS {
            return None;
        }
        self.tried_since_ms = None;
        self.waiting.pop_front().map(|message| message.seq)
    }
}

#[cfg(test)]
mod tests {
    use hb_config::settings::notify::Gravity;

    use super::*;
    use crate::testing::message;

    fn queue(messages: impl IntoIterator<Item = Message>) -> Queue {
        let mut queue = Queue::default();
        for message in messages {
            assert_eq!(queue.push(message), Vec::<u64>::new());
        }
        queue
    }

    #[test]
    fn messages_leave_in_order_and_each_is_tried_until_it_is_accepted() {
        let mut queue = queue([1, 2].map(|seq| message(seq, Phase::Begin)));
        assert_eq!(queue.due(0).map(|it| it.seq), Some(1));
        assert_eq!(queue.refused(1_000), None);
        assert_eq!((queue.due(5_999), queue.next_ms()), (None, Some(6_000)));
        assert_eq!(queue.due(6_000).map(|it| it.seq), Some(1));
        assert_eq!(queue.accepted(), Some(1));
        assert_eq!(queue.due(6_000).map(|it| it.seq), Some(2), "at once, not after the delay");
        assert_eq!((queue.accepted(), queue.next_ms()), (Some(2), None));
    }

    #[test]
    fn the_delay_doubles_up_to_a_bound_and_a_message_is_given_up_after_a_day() {
        let mut queue = queue([1, 2].map(|seq| message(seq, Phase::Begin)));
        let mut delays = Vec::new();
        let mut now = 0;
        let gone = loop {
            let gone = queue.refused(now);
            if gone.is_some() {
                break gone;
            }
            let next = queue.next_ms().expect("it waits");
            delays.push(next - now);
            now = next;
        };
        assert_eq!(delays[..8], [5, 10, 20, 40, 80, 160, 300, 300].map(|s| s * 1_000));
        assert_eq!((gone, now >= GIVE_UP_MS), (Some(1), true));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_waits_is_tried_at_once_when_the_channel_is_set_anew() {
        let mut queue = queue([message(1, Phase::Begin)]);
        for now in [1_000, 6_000] {
            assert_eq!(queue.refused(now), None);
        }
        assert_eq!(queue.due(6_001), None);
        queue.hurry();
        assert_eq!(queue.due(6_001).map(|it| it.seq), Some(1));
        assert_eq!((queue.refused(7_000), queue.next_ms()), (None, Some(12_000)), "as at first");
    }

    #[test]
    fn what_is_missed_least_goes_first() {
        let check = |phase: Phase, severity: Gravity, expect: u64| {
            let begin = |seq| message(seq, Phase::Begin);
            let mut queue = queue((1..QUEUE_MAX as u64).map(begin));
            let odd = Message { severity, ..message(500, phase) };
            assert_eq!(queue.push(odd), Vec::<u64>::new());
            assert_eq!(queue.push(begin(501)), [expect], "{phase:?}");
            assert_eq!((queue.len(), queue.due(0).map(|it| it.seq)), (QUEUE_MAX, Some(1)));
        };
        check(Phase::Resolved, Gravity::Critical, 500);
        check(Phase::Event, Gravity::Critical, 500);
        check(Phase::Begin, Gravity::Info, 500);
        check(Phase::Begin, Gravity::Critical, 2);
    }
}
