//! Delivers one sender's bodies in the order of their sequence numbers. Heartbeat 3.0.6 delivers a
//! retransmitted message when it arrives, so that an old `resource` can overwrite a newer one.
//!
//! A body waits for the messages before it that are still missing. A Twinbeat sender names its
//! previous body in `x_after`, so that a lost `status` delays nothing; for a 3.0.6 sender every
//! missing number could be a body. The wait ends when the gap closes, when the sender says that the
//! message is gone, after a limit in time and number, or with the sender's death. A body that
//! arrives after a later one was delivered is dropped: late news is worse than none. Except a step
//! of a standby of a 3.0.6 sender: it is said once, and for an hour the sender waits for the next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{AskStep, Body};
use crate::time::Instant;

/// Bodies that wait at a time. A node sends a handful per transition.
const WAITING_MAX: usize = 64;

/// Bodies of one sender that wait for earlier ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    waiting: BTreeMap<u64, Waiting>,
    /// Highest number that was delivered.
    delivered: u64,
    /// Highest number of a standby's first step. Other steps before it belong to a past standby.
    asked: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    body: Body,
    /// Number of the body before it, or of the message before it when that is not known.
    after: u64,
    until: Instant,
}

impl Order {
    /// Takes the body of message `sequence`; `after` as its sender said it.
    pub(crate) fn push(&mut self, sequence: u64, after: Option<u64>, body: Body, until: Instant) {
        if sequence <= self.delivered {
            if after.is_none() && self.is_owed(sequence, &body) {
                self.waiting.insert(sequence, Waiting { body, after: 0, until });
            } else {
                tracing::debug!(seq = sequence, "body dropped: a later one was delivered already");
            }
            return;
        }
        if let Body::AskResources { step: AskStep::Me, .. } = body {
            self.asked = self.asked.max(sequence);
        }
        let before = sequence.saturating_sub(1);
        let after = after.unwrap_or(before).min(before);
        self.waiting.insert(sequence, Waiting { body, after, until });
    }

    /// Whether it answers something within the standby under way.
    fn is_owed(&self, sequence: u64, body: &Body) -> bool {
        let answers =
            matches!(body, Body::AskResources { step: AskStep::Other | AskStep::Done, .. });
        answers && sequence > self.asked
    }

    /// The next body to deliver: one that waits for nothing, or whose time is up.
    pub(crate) fn pop(&mut self, now: Instant, first_missing: Option<u64>) -> Option<Body> {
        let entry = self.waiting.first_entry()?;
        let blocked = first_missing.is_some_and(|missing| missing <= entry.get().after);
        let patience_over = entry.get().until <= now;
        let too_many = self.waiting.len() > WAITING_MAX;
        if blocked && !patience_over && !too_many { None } else { self.pop_first() }
    }

    /// The next body in order, whatever is missing before it.
    pub(crate) fn pop_first(&mut self) -> Option<Body> {
        let (sequence, waiting) = self.waiting.pop_first()?;
        self.delivered = self.delivered.max(sequence);
        Some(waiting.body)
    }

    /// When the first body stops waiting.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.until)
    }

    /// The sender begins a session: what waits belongs to a past one.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// How long a body waits: eight rounds of requests, after which the sender is out of reach.
pub(crate) fn patience(request_repeat: Duration) -> Duration {
    request_repeat * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(number: u64) -> Body {
        Body::Other { kind: number.to_string(), fields: Vec::new() }
    }

    fn drain(order: &mut Order, now: u64, missing: Option<u64>) -> Vec<String> {
        let now = Instant::from_millis(now);
        std::iter::from_fn(|| order.pop(now, missing)).map(|body| body.kind().to_owned()).collect()
    }

    fn push(order: &mut Order, sequence: u64, after: Option<u64>) {
        order.push(sequence, after, body(sequence), Instant::from_millis(100 + sequence));
    }

    #[test]
    fn bodies_wait_for_what_is_missing_before_them() {
        let mut order = Order::default();
        push(&mut order, 5, None);
        push(&mut order, 7, None);
        assert_eq!(drain(&mut order, 0, Some(6)), ["5"]);
        push(&mut order, 6, None);
        assert_eq!(drain(&mut order, 0, None), ["6", "7"]);
    }

    #[test]
    fn a_named_predecessor_makes_other_gaps_harmless() {
        let mut order = Order::default();
        push(&mut order, 9, Some(4));
        assert_eq!(drain(&mut order, 0, Some(5)), ["9"]);
        push(&mut order, 12, Some(9));
        push(&mut order, 14, Some(12));
        assert_eq!(drain(&mut order, 0, Some(8)), [""; 0]);
        assert_eq!(drain(&mut order, 0, Some(13)), ["12", "14"]);
    }

    #[test]
    fn a_predecessor_in_the_future_means_nothing() {
        let mut order = Order::default();
        push(&mut order, 3, Some(u64::MAX));
        assert_eq!(drain(&mut order, 0, Some(3)), ["3"]);
    }

    #[test]
    fn waiting_ends_and_what_comes_later_is_dropped() {
        let mut order = Order::default();
        push(&mut order, 7, None);
        push(&mut order, 8, None);
        assert_eq!(order.next_timeout(), Some(Instant::from_millis(107)));
        assert_eq!(drain(&mut order, 107, Some(6)), ["7"]);
        push(&mut order, 6, None);
        assert_eq!(drain(&mut order, 108, Some(5)), ["8"]);
        assert_eq!(order.next_timeout(), None);
    }

    #[test]
    fn a_late_step_of_a_standby_under_way_is_delivered() {
        let step = |step| Body::AskResources {
            hold: crate::message::HoldWord::All,
            step,
            extensions: crate::message::Extensions::new(),
        };
        // Said before and after the last first step, number 5; delivered so far: up to 7.
        let check = |sequence: u64, after: Option<u64>, late: AskStep, expect: bool| {
            let mut order = Order::default();
            order.push(5, None, step(AskStep::Me), Instant::ZERO);
            push(&mut order, 7, None);
            drain(&mut order, 200, None);
            order.push(sequence, after, step(late), Instant::from_millis(300));
            let delivered = drain(&mut order, 200, Some(3)).len();
            assert_eq!(delivered, usize::from(expect), "{sequence} {after:?} {late:?}");
            push(&mut order, 7, None);
            assert_eq!(drain(&mut order, 200, None), [""; 0], "nothing twice");
        };
        check(6, None, AskStep::Done, true);
        check(6, None, AskStep::Other, true);
        check(6, None, AskStep::Me, false);
        check(4, None, AskStep::Done, false);
        // A Twinbeat sender says its steps again.
        check(6, Some(5), AskStep::Done, false);
    }

    #[test]
    fn a_full_list_does_not_grow() {
        let mut order = Order::default();
        for sequence in 2..200 {
            push(&mut order, sequence, None);
            drain(&mut order, 0, Some(1));
            assert!(order.waiting.len() <= WAITING_MAX);
        }
        assert_eq!(order.pop_first().map(|body| body.kind().to_owned()).as_deref(), Some("136"));
    }
}
