//! A node that stood still for longer than its dead time wakes with datagrams and results that
//! are as old as its sleep, and the peer has gone on without it. What they say is held back until
//! the peer has said how things stand, or has had time to. It decides nothing about resources.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::input::{Input, PeerMessage};
use serde::{Deserialize, Serialize};

/// Inputs held back at most: a socket buffer's worth of resource messages and a result for each
/// resource. With more than this the pause ends early.
const INPUTS_MAX: usize = 4_096;
/// Within so long what waited in the sockets is read. The peer's word counts when no later one of those
/// has taken it back: it may have heard a packet of ours that was under way when this node fell asleep.
const READING: Duration = Duration::from_millis(5);

/// What the manager is not told yet, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pause {
    until: Instant,
    /// No word ends it before.
    #[serde(default)]
    not_before: Instant,
    inputs: Vec<Input>,
    word: Word,
    evidence: Evidence,
}

/// How much of its word the peer has given: `starting`, then what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    Nothing,
    Starting,
    Claims,
}

/// Whether what arrives was said after this node woke. A peer that missed us said for as long that
/// it does not hear us (`x_hears`): that it does again is a word that no datagram can hold which
/// was sent while we slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Evidence {
    None,
    /// It said that it does not hear us.
    Missed,
    /// It has heard us since we woke.
    Fresh,
}

impl Pause {
    /// This node woke at `now` and has `patience` with the peer.
    pub(crate) fn new(now: Instant, patience: Duration) -> Self {
        let (word, evidence) = (Word::Nothing, Evidence::None);
        let (until, not_before) = (now + patience, now + READING);
        Self { until, not_before, inputs: Vec::new(), word, evidence }
    }

    /// The node slept once more before it was over: the peer has gone on again, and its word is older
    /// than that.
    pub(crate) fn sleep_again(&mut self, now: Instant, patience: Duration) {
        let inputs = std::mem::take(&mut self.inputs);
        *self = Self { inputs, ..Self::new(now, patience) };
    }

    /// When what was held back is to be told.
    pub(crate) fn until(&self) -> Instant {
        if self.is_told() { self.not_before.min(self.until) } else { self.until }
    }

    fn is_told(&self) -> bool {
        self.word == Word::Claims && self.evidence == Evidence::Fresh
    }

    pub(crate) fn hold(&mut self, input: Input) {
        match &input {
            Input::Message(PeerMessage::Starting) => self.word = Word::Starting,
            Input::Message(PeerMessage::Resources { groups: Some(_), .. })
                if self.word == Word::Starting =>
            {
                self.word = Word::Claims;
            }
            Input::PeerRestarted => {
                (self.word, self.evidence) = (Word::Nothing, Evidence::None);
            }
            Input::Message(_)
            | Input::Started
            | Input::Peer(_)
            | Input::PeerReturned
            | Input::PeerIsNative(_)
            | Input::Timer(_)
            | Input::Done { .. }
            | Input::Standby { .. }
            | Input::Takeover { .. }
            | Input::GiveUp { .. }
            | Input::PeerIsWorse(_)
            | Input::Cleanup { .. }
            | Input::Stop
            | Input::Retire { .. }
            | Input::Look { .. }
            | Input::Maintenance { .. }
            | Input::PeerMaintenance(_)
            | Input::PeerUnready(_)
            | Input::Left(_)
            | Input::Unheard(_)
            | Input::FailbackShut(_)
            | Input::MayTake(_) => {}
        }
        self.inputs.push(input);
    }

    /// The peer says whether it hears us.
    pub(crate) fn hear(&mut self, heard: bool) {
        self.evidence = match (self.evidence, heard) {
            (_, false) => Evidence::Missed,
            (Evidence::Missed | Evidence::Fresh, true) => Evidence::Fresh,
            (Evidence::None, true) => Evidence::None,
        };
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until() || self.inputs.len() >= INPUTS_MAX
    }

    /// What the manager is told in the end. A Twinbeat peer that thought this node dead says
    /// `starting` when it hears it again, and has forgotten whatever it said before: that is left
    /// out. What the peer is and says goes first, so that a result does not lead to the next start
    /// of a group that runs over there meanwhile. Of maintenance only the last word counts: what began
    /// again while this node slept has not ended for it.
    pub(crate) fn end(self) -> Vec<Input> {
        let starting = |input: &Input| matches!(input, Input::Message(PeerMessage::Starting));
        let fresh = self.inputs.iter().rposition(starting).unwrap_or(0);
        let maintenance = |input: &Input| matches!(input, Input::PeerMaintenance(_));
        let last = self.inputs.iter().rposition(maintenance).unwrap_or(0);
        let (peer, own): (Vec<_>, Vec<_>) =
            self.inputs.into_iter().enumerate().partition(|(_, input)| is_of_peer(input));
        let is_fresh = |(index, input): &(usize, Input)| {
            let said = *index >= fresh || !matches!(input, Input::Message(_));
            said && (*index >= last || !maintenance(input))
        };
        peer.into_iter().filter(is_fresh).chain(own).map(|(_, input)| input).collect()
    }
}

fn is_of_peer(input: &Input) -> bool {
    match input {
        Input::Peer(_)
        | Input::PeerRestarted
        | Input::PeerReturned
        | Input::PeerIsNative(_)
        | Input::Message(_)
        | Input::PeerMaintenance(_)
        | Input::PeerUnready(_)
        | Input::Unheard(_)
        | Input::MayTake(_) => true,
        Input::Left(_)
        | Input::Started
        | Input::Timer(_)
        | Input::Done { .. }
        | Input::Standby { .. }
        | Input::Takeover { .. }
        | Input::GiveUp { .. }
        | Input::PeerIsWorse(_)
        | Input::Cleanup { .. }
        | Input::Look { .. }
        | Input::Maintenance { .. }
        | Input::FailbackShut(_)
        | Input::Retire { .. }
        | Input::Stop => false,
    }
}

#[cfg(test)]
mod tests {
    use hb_resource::input::{Holdings, PeerStatus, StandbyStep, Which};
    use hb_resource::operation::{OpId, Outcome};

    use super::*;

    fn done(op: u64) -> Input {
        Input::Done { op: OpId(op), outcome: Outcome::Ok }
    }

    fn asked(step: StandbyStep) -> Input {
        let which = Which::Sets(Holdings::ALL);
        Input::Message(PeerMessage::AskResources { which, step })
    }

    fn check(held: Vec<Input>, expect: &[Input]) {
        let mut pause = Pause::new(Instant::ZERO, Duration::ZERO);
        held.into_iter().for_each(|input| pause.hold(input));
        assert_eq!(pause.end(), expect);
    }

    #[test]
    fn what_the_peer_has_forgotten_is_left_out() {
        let starting = || Input::Message(PeerMessage::Starting);
        let active = || Input::Peer(PeerStatus::Active);
        let step = asked;
        check(
            vec![done(1), step(StandbyStep::Done), active(), starting(), step(StandbyStep::Me)],
            &[active(), starting(), step(StandbyStep::Me), done(1)],
        );
        check(vec![starting(), step(StandbyStep::Me), starting()], &[starting()]);
    }

    #[test]
    fn of_maintenance_only_the_last_word_counts() {
        let says = Input::PeerMaintenance;
        let active = || Input::Peer(PeerStatus::Active);
        check(vec![says(false), active(), says(true)], &[active(), says(true)]);
        check(vec![says(true), done(1), says(false)], &[says(false), done(1)]);
        check(vec![says(true)], &[says(true)]);
    }

    #[test]
    fn without_a_new_word_nothing_is_lost() {
        let step = asked;
        check(
            vec![done(1), step(StandbyStep::Done), done(2)],
            &[step(StandbyStep::Done), done(1), done(2)],
        );
    }

    #[test]
    fn a_pause_ends_with_the_fresh_word_of_the_peer_and_not_with_an_old_one() {
        let claims = || {
            Input::Message(PeerMessage::Resources {
                holdings: Holdings::ALL,
                full: true,
                stable: Some(true),
                info: None,
                groups: Some(std::collections::BTreeMap::new()),
            })
        };
        let starting = || Input::Message(PeerMessage::Starting);
        let check = |steps: &[(Option<Input>, Option<bool>)], over: bool| {
            let mut pause = Pause::new(Instant::ZERO, Duration::from_millis(10));
            for (input, heard) in steps {
                input.iter().for_each(|input| pause.hold(input.clone()));
                heard.iter().for_each(|heard| pause.hear(*heard));
            }
            assert!(
                !pause.is_over(Instant::from_millis(4)),
                "more may wait in the sockets: {steps:?}"
            );
            assert_eq!(pause.is_over(Instant::from_millis(5)), over, "{steps:?}");
        };
        let word = |input: Input| (Some(input), None);
        let (deaf, hears) = ((None, Some(false)), (None, Some(true)));
        check(&[deaf.clone(), word(starting()), word(claims()), hears.clone()], true);
        check(&[deaf.clone(), hears.clone(), word(starting()), word(claims())], true);
        check(&[deaf.clone(), word(claims()), word(starting()), hears.clone()], false);
        check(&[word(starting()), word(claims()), hears.clone()], false);
        check(&[deaf.clone(), word(starting()), word(claims())], false);
        check(&[word(starting()), word(claims()), deaf.clone()], false);
        check(&[deaf, word(claims()), hears], false);
    }

    #[test]
    fn who_sleeps_again_waits_again_and_keeps_what_was_held() {
        let mut pause = Pause::new(Instant::ZERO, Duration::from_millis(10));
        pause.hold(done(1));
        pause.hear(false);
        pause.sleep_again(Instant::from_millis(80), Duration::from_millis(10));
        pause.hear(true);
        assert_eq!(pause.evidence, Evidence::None, "that was said before the second sleep");
        assert!(!pause.is_over(Instant::from_millis(89)));
        assert!(pause.is_over(Instant::from_millis(90)));
        assert_eq!(pause.end(), [done(1)]);
    }

    #[test]
    fn a_pause_ends_in_time_or_when_it_is_full() {
        let mut pause = Pause::new(Instant::ZERO, Duration::from_millis(10));
        assert!(!pause.is_over(Instant::from_millis(9)));
        assert!(pause.is_over(Instant::from_millis(10)));
        (0..4_096).for_each(|op| pause.hold(done(op)));
        assert!(pause.is_over(Instant::ZERO));
    }
}
