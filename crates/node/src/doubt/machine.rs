//! Does the peer's machine live although nothing that it says can be verified? Then the keys differ,
//! and that is no death. Decides when to ask and what an answer is worth; it sends nothing.
//!
//! Packets in the peer's name that do not verify are sent by a peer with another key, or by anybody.
//! So once the peer was verified they count only together with a second witness: its machine, asked
//! by ICMP echo at the addresses from which its verified packets came. Who can forge both can also
//! answer for the floating addresses, and needs no such detour.

use std::time::Duration;

use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

/// Questions within a dead time, so that a lost one costs nothing.
const ASKS_PER_DEADTIME: u32 = 4;
/// But not more often than this.
const ASK_EVERY_MIN: Duration = Duration::from_millis(50);
/// Nor less often.
const ASK_EVERY_MAX: Duration = Duration::from_secs(1);
/// The longest that the first answer is waited for. A machine that lives answers out of its kernel;
/// one that is dead, and in whose name somebody sends, delays the takeover by no more than this.
const FIRST_ANSWER_MAX: Duration = Duration::from_millis(500);

/// What is known of the peer's machine during one silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    deadtime: Duration,
    /// Of the last question; goes on over silences, so that no old answer fits.
    sequence: u16,
    /// The first and the last question of this silence.
    asked: Option<(Instant, Instant)>,
    answered: Option<Instant>,
}

impl Machine {
    /// `deadtime` as in ha.cf.
    pub(crate) fn new(deadtime: Duration) -> Self {
        Self { deadtime, sequence: 0, asked: None, answered: None }
    }

    /// A new silence begins: what was known is past.
    pub(crate) fn begin(&mut self) {
        (self.asked, self.answered) = (None, None);
    }

    /// There is a reason to ask at `now`: the number of the question, when one is due.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<u16> {
        if self.due().is_some_and(|due| due > now) {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let first = self.asked.map_or(now, |(first, _)| first);
        self.asked = Some((first, now));
        Some(self.sequence)
    }

    /// It has answered a question.
    pub(crate) fn answer(&mut self, now: Instant, sequence: u16) {
        if self.asked.is_some() && sequence == self.sequence {
            self.answered = Some(now);
        }
    }

    /// Whether it has answered within a dead time.
    pub(crate) fn lives(&self, now: Instant) -> bool {
        self.answered.is_some_and(|answered| answered + self.deadtime > now)
    }

    /// Whether the first answer may still come.
    pub(crate) fn is_asked(&self, now: Instant) -> bool {
        let limit = self.deadtime.min(FIRST_ANSWER_MAX);
        let first = self.asked.map(|(first, _)| first).filter(|_| self.answered.is_none());
        first.is_some_and(|first| first + limit > now)
    }

    /// When the next question is due; `None` when none was asked.
    pub(crate) fn due(&self) -> Option<Instant> {
        let every = (self.deadtime / ASKS_PER_DEADTIME).clamp(ASK_EVERY_MIN, ASK_EVERY_MAX);
        self.asked.map(|(_, last)| last + every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn only_an_answer_to_the_last_question_of_this_silence_counts() {
        let mut machine = Machine::new(Duration::from_millis(400));
        machine.answer(at(10), 0);
        assert!(!machine.lives(at(10)), "nobody has asked");
        assert_eq!(machine.ask(at(1_000)), Some(1));
        assert_eq!(machine.ask(at(1_099)), None);
        assert_eq!(machine.ask(at(1_100)), Some(2));
        machine.answer(at(1_101), 1);
        assert!(!machine.lives(at(1_101)), "an answer to a question before");
        machine.answer(at(1_101), 2);
        assert!(machine.lives(at(1_500)) && !machine.lives(at(1_501)));
        machine.begin();
        assert!(!machine.lives(at(1_101)));
        machine.answer(at(1_102), 2);
        assert!(!machine.lives(at(1_102)), "an answer of the silence before");
        assert_eq!(machine.ask(at(1_102)), Some(3));
    }

    #[test]
    fn a_machine_that_never_answers_is_waited_for_only_briefly() {
        let check = |deadtime_ms: u64, limit_ms: u64| {
            let mut machine = Machine::new(Duration::from_millis(deadtime_ms));
            assert!(!machine.is_asked(at(1_000)), "nobody has asked");
            for now in (1_000..1_000 + limit_ms).step_by(10) {
                machine.ask(at(now));
                assert!(machine.is_asked(at(now)), "{deadtime_ms} {now}");
            }
            assert!(!machine.is_asked(at(1_000 + limit_ms)), "{deadtime_ms}");
        };
        check(300, 300);
        check(30_000, 500);
    }
}
