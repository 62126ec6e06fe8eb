//! The right to go on alone, which a third party gives to one of two nodes for the length of a
//! lease. Pure: it says when to ask and what an answer means; the edge asks.
//!
//! - It is asked when the peer falls silent. Who holds nothing waits a little before, so that in a
//!   partition the owner keeps its groups.
//! - The lease counts from the moment of the question, so that this node never thinks it longer than
//!   the witness does. It is renewed at a third of its length while this node is alone, and given
//!   back when the peer is heard.
//! - *Refused* means that the peer has it, and so believes itself alone: it takes everything over. A
//!   node that runs something then must stop it; `doubt` says how.
//! - *Unreachable* proves nothing: nothing more is taken, and what runs goes on even after the lease,
//!   with an alert. The peer cannot be given the right by a witness that is down; a witness that only
//!   this node cannot reach will refuse it when it can be reached again.

use std::time::Duration;

use hb_config::settings;
use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Level, LogEvent};
use crate::input::WitnessAnswer;

/// Questions within one lease: two may be lost.
const QUESTIONS: u32 = 3;
/// Shortest pause between two questions, whatever the lease.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How long after its limit an answer of the edge is waited for.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// What the witness said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    None,
    Granted,
    /// Since then.
    Refused(Instant),
    Unreachable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    number: u64,
    asked: Instant,
    /// When an answer counts as lost.
    until: Instant,
}

/// The right of this node to go on alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Right {
    lease: Duration,
    timeout: Duration,
    last_question: u64,
    open: Option<Question>,
    /// The next question; `None` while the peer is heard.
    next: Option<Instant>,
    /// Until when this node has the right.
    granted_until: Option<Instant>,
    word: Word,
    /// The end of the lease was told.
    told_lost: bool,
}

impl Right {
    pub(crate) fn new(config: &settings::Witness) -> Self {
        Self {
            lease: Duration::from_millis(config.lease_ms),
            timeout: Duration::from_millis(config.timeout_ms),
            last_question: 0,
            open: None,
            next: None,
            granted_until: None,
            word: Word::None,
            told_lost: false,
        }
    }

    /// This node is alone; it asks after `delay` if it did not yet. Called as often as one likes.
    pub(crate) fn want(&mut self, now: Instant, delay: Duration, out: &mut Vec<Effect>) {
        if self.next.is_none() && self.open.is_none() {
            self.next = Some(now + delay);
        }
        self.tick(now, out);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(question) = self.open
            && question.until <= now
        {
            let reason = "no answer to the question".to_owned();
            self.answer(now, question.number, WitnessAnswer::Unreachable { reason }, out);
        }
        if self.granted_until.is_some_and(|until| until <= now) && !self.told_lost {
            self.told_lost = true;
            let text = format!(
                "the lease of the witness ran out: {}; nothing more is taken over, what runs here \
                 goes on",
                self.words()
            );
            out.push(log(Level::Error, "witness_lost", text));
        }
        if self.open.is_none() && self.next.is_some_and(|next| next <= now) {
            self.last_question += 1;
            let until = now + self.timeout + ANSWER_GRACE;
            self.open = Some(Question { number: self.last_question, asked: now, until });
            self.next = None;
            out.push(Effect::Witness { question: self.last_question, acquire: true });
        }
    }

    /// When [`Self::tick`] does something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let lost = self.granted_until.filter(|_| !self.told_lost);
        let asked = self.open.map(|question| question.until);
        [self.next, lost, asked].into_iter().flatten().min()
    }

    /// The witness has answered. Answers to other questions are ignored.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        number: u64,
        answer: WitnessAnswer,
        out: &mut Vec<Effect>,
    ) {
        let Some(question) = self.open.take_if(|question| question.number == number) else {
            return;
        };
        self.next = Some(now.max(question.asked + (self.lease / QUESTIONS).max(PAUSE_MIN)));
        let word = match answer {
            WitnessAnswer::Granted => {
                self.granted_until = Some(question.asked + self.lease);
                self.told_lost = false;
                Word::Granted
            }
            WitnessAnswer::Refused => {
                self.granted_until = None;
                match self.word {
                    Word::Refused(since) => Word::Refused(since),
                    Word::None | Word::Granted | Word::Unreachable(_) => Word::Refused(now),
                }
            }
            WitnessAnswer::Unreachable { reason } => Word::Unreachable(reason),
        };
        if self.word != word {
            self.word = word;
            let (level, event) = match self.word {
                Word::Granted | Word::None => (Level::Info, "witness_granted"),
                Word::Refused(_) => (Level::Error, "witness_refused"),
                Word::Unreachable(_) => (Level::Error, "witness_unreachable"),
            };
            out.push(log(level, event, format!("witness: {}", self.words())));
        }
    }

    /// The peer is heard: this node need not be alone.
    pub(crate) fn give_back(&mut self, out: &mut Vec<Effect>) {
        // A question under way may still be granted.
        if self.granted_until.is_some() || self.open.is_some() {
            self.last_question += 1;
            out.push(Effect::Witness { question: self.last_question, acquire: false });
        }
        self.open = None;
        self.next = None;
        self.granted_until = None;
        self.word = Word::None;
        self.told_lost = false;
    }

    /// Whether this node has the right at `now`.
    pub(crate) fn is_granted(&self, now: Instant) -> bool {
        self.granted_until.is_some_and(|until| until > now)
    }

    /// For how long the witness has said that the peer has it.
    pub(crate) fn refused_for(&self, now: Instant) -> Option<Duration> {
        match self.word {
            Word::Refused(since) => Some(now - since),
            Word::None | Word::Granted | Word::Unreachable(_) => None,
        }
    }

    /// Length of a lease.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// What it said last.
    pub(crate) fn words(&self) -> String {
        match &self.word {
            Word::None if self.next.is_some() || self.open.is_some() => {
                "it has not answered yet".to_owned()
            }
            Word::None => "not asked: the other node is heard".to_owned(),
            Word::Granted => "it has given this node the right to go on alone".to_owned(),
            Word::Refused(_) => {
                "it has given the right to go on alone to the other node".to_owned()
            }
            Word::Unreachable(reason) => format!("it could not be asked: {reason}"),
        }
    }
}

fn log(level: Level, event: &str, text: String) -> Effect {
    Effect::Log(LogEvent::new(level, event, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn right() -> Right {
        let path = String::new();
        let kind = settings::WitnessKind::File { path };
        Right::new(&settings::Witness { kind, lease_ms: 3_000, timeout_ms: 500 })
    }

    /// Questions among effects.
    fn asked(out: &mut Vec<Effect>) -> Vec<(u64, bool)> {
        let question = |effect| {
            if let Effect::Witness { question, acquire } = effect {
                Some((question, acquire))
            } else {
                None
            }
        };
        out.drain(..).filter_map(question).collect()
    }

    #[test]
    fn asked_at_once_or_after_a_delay_and_renewed_at_a_third() {
        for delay in [0, 200] {
            let (mut right, mut out) = (right(), Vec::new());
            right.want(at(10_000), Duration::from_millis(delay), &mut out);
            right.want(at(10_000 + delay), Duration::from_millis(delay), &mut out);
            assert_eq!(asked(&mut out), [(1, true)]);
            right.answer(at(10_300), 1, WitnessAnswer::Granted, &mut out);
            assert!(right.is_granted(at(12_999 + delay)));
            assert!(!right.is_granted(at(13_000 + delay)), "counts from the question");
            assert_eq!(right.due(), Some(at(11_000 + delay)));
            out.clear();
            right.tick(at(11_000 + delay), &mut out);
            assert_eq!(asked(&mut out), [(2, true)]);
            right.answer(at(11_000 + delay), 2, WitnessAnswer::Granted, &mut out);
            assert!(right.is_granted(at(13_999 + delay)));
        }
    }

    #[test]
    fn what_was_refused_or_unreachable_is_asked_again() {
        let (mut right, mut out) = (right(), Vec::new());
        right.want(at(0), Duration::ZERO, &mut out);
        right.answer(at(100), 1, WitnessAnswer::Refused, &mut out);
        assert!(right.refused_for(at(100)).is_some() && !right.is_granted(at(100)));
        right.tick(at(1_000), &mut out);
        // The edge never answers.
        assert_eq!(right.due(), Some(at(6_500)));
        right.tick(at(6_500), &mut out);
        assert!(right.refused_for(at(6_500)).is_none());
        assert_eq!(asked(&mut out), [(1, true), (2, true), (3, true)]);
        right.answer(at(6_600), 2, WitnessAnswer::Granted, &mut out);
        assert!(!right.is_granted(at(6_600)), "an answer to an older question");
        right.answer(at(6_600), 3, WitnessAnswer::Granted, &mut out);
        assert!(right.is_granted(at(6_600)));
    }

    #[test]
    fn a_lease_that_ran_out_is_told_once_and_given_back_when_the_peer_is_heard() {
        let (mut right, mut out) = (right(), Vec::new());
        right.want(at(0), Duration::ZERO, &mut out);
        right.answer(at(0), 1, WitnessAnswer::Granted, &mut out);
        let unreachable = || WitnessAnswer::Unreachable { reason: "refused".to_owned() };
        right.tick(at(1_000), &mut out);
        right.answer(at(1_500), 2, unreachable(), &mut out);
        assert!(right.is_granted(at(2_999)));
        for now in [3_000, 3_001] {
            right.tick(at(now), &mut out);
        }
        let lost =
            |effect: &&Effect| matches!(effect, Effect::Log(line) if line.event == "witness_lost");
        assert_eq!(out.iter().filter(lost).count(), 1);
        out.clear();
        right.give_back(&mut out);
        right.give_back(&mut out);
        assert_eq!(asked(&mut out), [(4, false)]);
        assert_eq!(right.due(), None);
    }
}
