//! What becomes of a standby dialogue when a step does not come in time. Its steps are in the module above.

use std::time::Duration;

use super::*;
use crate::manager::failback::FAILBACK_RETRY;

/// Heartbeat's patience for the answer to the first step.
pub(in crate::manager) const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A 3.0.6 giver says that it is in transition as soon as it hears that this node agrees. One that
/// has not by then ignored its own question: half of [`ANSWER_WAIT`], and more than a lost word takes.
pub(super) const BEGIN_WAIT: Duration = Duration::from_secs(5);
/// Heartbeat's patience for all further steps; agents may take long to stop and start.
const END_WAIT: Duration = Duration::from_secs(3_600);
/// Between two Twinbeat nodes a step is said again after this time, should it have been lost.
const SAY_AGAIN: Duration = Duration::from_secs(30);

impl Manager {
    /// A 3.0.6 giver has begun to release.
    pub(in crate::manager) fn giver_begins(&self, out: &mut Vec<Output>) {
        if let (Dialogue::Taking(_), false) = (&self.dialogue, self.peer.native) {
            out.push(Output::CancelTimer(Timer::StandbyAnswer));
        }
    }

    /// A 3.0.6 node ignores its own question, with a warning, when a late copy of a message makes it
    /// believe this node in transition. Nobody gives then: the operator there has to ask again, and
    /// what this node says now puts that belief right.
    fn giver_did_not_begin(&mut self, which: Which, out: &mut Vec<Output>) {
        let reason = format!(
            "{} asked to go standby and did not begin. See its log and ask again",
            self.peer_name()
        );
        out.push(Output::Alert { error: false, text: reason.clone() });
        self.peer.stable = Some(true);
        self.peer.lapsed = Some(which);
        self.end_dialogue(Some(Answer::Failed { reason }), out);
    }

    /// Ten seconds without an answer to the first step, or five in which a 3.0.6 giver did not begin.
    pub(in crate::manager) fn no_answer(&mut self, out: &mut Vec<Output>) {
        if let (Dialogue::Taking(taking), false) = (&self.dialogue, self.peer.native) {
            let which = taking.which.clone();
            return self.giver_did_not_begin(which, out);
        }
        let (failback, offered) = match &self.dialogue {
            Dialogue::Asked(giving) => (
                giving.cause == Cause::Failback && !self.peer.native,
                (giving.cause == Cause::Offered).then(|| giving.which.clone()),
            ),
            Dialogue::Wanting { .. } => (false, None),
            Dialogue::None
            | Dialogue::Releasing(_)
            | Dialogue::Given(..)
            | Dialogue::Taking(_)
            | Dialogue::Acquiring(_) => return,
        };
        let reason = format!(
            "No reply to standby request from {}: standby request cancelled. Look at its log and \
             try again",
            self.peer_name()
        );
        out.push(Output::Alert { error: false, text: reason.clone() });
        self.end_dialogue(Some(Answer::Failed { reason }), out);
        if failback {
            out.push(Output::SetTimer(Timer::FailbackRetry, FAILBACK_RETRY));
        }
        for index in offered.map(|which| self.selected(&which)).unwrap_or_default() {
            let timer = Timer::OfferGroup(self.groups[index].key().to_owned());
            out.push(Output::SetTimer(timer, FAILBACK_RETRY));
        }
    }

    pub(super) fn await_end(&self, out: &mut Vec<Output>) {
        let wait = if self.peer.native { SAY_AGAIN } else { END_WAIT };
        out.push(Output::SetTimer(Timer::StandbyEnd, wait));
    }

    /// The dialogue takes long. With a 3.0.6 peer it is given up after Heartbeat's hour. With a
    /// Twinbeat peer it is not, for the peer may have heard `done` and be starting what we would
    /// take back; a step that may have been lost is said again.
    pub(in crate::manager) fn dialogue_too_long(&mut self, out: &mut Vec<Output>) {
        match (self.dialogue.clone(), self.peer.native) {
            (Dialogue::None | Dialogue::Asked(_) | Dialogue::Wanting { .. }, _) => {}
            (_, false) => {
                let reason = "the standby did not end within an hour and was given up".to_owned();
                out.push(Output::Alert { error: true, text: reason.clone() });
                self.end_dialogue(Some(Answer::Failed { reason }), out);
            }
            (Dialogue::Given(giving, _), true) => {
                self.say_done(giving.which, out);
                self.await_end(out);
            }
            (Dialogue::Taking(taking), true) => {
                let which = seen_from_peer(&taking.which);
                let step = StandbyStep::Other;
                out.push(Output::Send(PeerMessage::AskResources { which, step }));
                self.await_end(out);
            }
            (Dialogue::Releasing(_) | Dialogue::Acquiring(_), true) => self.await_end(out),
        }
    }
}
