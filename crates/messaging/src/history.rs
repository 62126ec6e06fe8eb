//! The last sequenced messages that this node sent, for retransmission. Numbers them too.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fields::FieldList;
use crate::time::Instant;

/// Messages kept (Heartbeat 3.0.6).
pub(crate) const KEPT_MAX: usize = 500;
/// A copy is not sent again within `max_rexmit_delay` less this (Heartbeat 3.0.6).
const RESEND_SLACK: Duration = Duration::from_millis(10);

/// Numbers and keeps what was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct History {
    kept: VecDeque<Sent>,
    highest: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sent {
    fields: FieldList,
    resent: Option<Instant>,
}

/// What there is for a requested number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Send these fields again.
    Resend(FieldList),
    /// A copy left a moment ago.
    TooSoon,
    /// Too old to be kept.
    Gone,
    /// Not sent yet.
    Future,
}

impl History {
    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.highest + 1
    }

    /// Highest number sent; 0 for none.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Keeps the message that carries the number [`Self::next`].
    pub(crate) fn push(&mut self, fields: FieldList) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Sent { fields, resent: None });
        self.highest += 1;
    }

    /// Finds message `sequence` and books that it is sent again.
    pub(crate) fn resend(&mut self, now: Instant, sequence: u64, repeat: Duration) -> Lookup {
        if sequence > self.highest {
            return Lookup::Future;
        }
        let from_end = usize::try_from(self.highest - sequence).unwrap_or(usize::MAX);
        let Some(index) = self.kept.len().checked_sub(from_end.saturating_add(1)) else {
            return Lookup::Gone;
        };
        let sent = &mut self.kept[index];
        let pause = repeat.saturating_sub(RESEND_SLACK);
        if sent.resent.is_some_and(|at| now.since(at) < pause) {
            return Lookup::TooSoon;
        }
        sent.resent = Some(now);
        Lookup::Resend(sent.fields.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> FieldList {
        let mut list = FieldList::new();
        list.push_text("n", number.to_string());
        list
    }

    #[test]
    fn the_last_500_are_found_the_newest_too() {
        let mut history = History::default();
        for number in 1..=600 {
            assert_eq!(history.next(), number);
            history.push(message(number));
        }
        let repeat = Duration::from_millis(250);
        let mut find = |sequence| history.resend(Instant::ZERO, sequence, repeat);
        assert_eq!(find(600), Lookup::Resend(message(600)));
        assert_eq!(find(101), Lookup::Resend(message(101)));
        assert_eq!(find(100), Lookup::Gone);
        assert_eq!(find(0), Lookup::Gone);
        assert_eq!(find(601), Lookup::Future);
    }

    #[test]
    fn copies_keep_a_distance() {
        let mut history = History::default();
        history.push(message(1));
        let repeat = Duration::from_millis(250);
        let mut find = |millis| history.resend(Instant::from_millis(millis), 1, repeat);
        assert_eq!(find(0), Lookup::Resend(message(1)));
        assert_eq!(find(239), Lookup::TooSoon);
        assert_eq!(find(240), Lookup::Resend(message(1)));
        assert_eq!(find(250), Lookup::TooSoon);
    }
}
