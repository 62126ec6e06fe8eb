//! An address that another machine answers for. Where it is the silent peer's, the service may well
//! run there: the peer's daemon may be frozen, or only the heartbeats may not come through. So it is
//! asked for again for a while, and then taken all the same, because a machine can answer for an
//! address long after everything else on it has died. From any other machine it is never taken.

use super::*;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How far the waiting has come in this acquisition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct InUse {
    asked: u64,
    waiting: bool,
    over: bool,
}

impl InUse {
    pub(super) fn is_waiting(self) -> bool {
        self.waiting
    }

    /// Nobody is asked any more.
    pub(super) fn is_over(self) -> bool {
        self.over
    }
}

impl Group {
    pub(super) fn address_in_use(
        &mut self,
        index: usize,
        outcome: &Outcome,
        ctx: &mut Context<'_>,
    ) {
        self.members[index].state = ResourceState::Stopped;
        let Outcome::Failed { code, reason } = outcome else { return };
        if self.goal != Goal::Held {
            return;
        }
        let hold = Duration::from_millis(ctx.policy.address.hold_ms);
        let questions = u64::try_from(hold.as_millis() / ASK_EVERY.as_millis()).unwrap_or(u64::MAX);
        self.in_use.asked += 1;
        self.in_use.over = self.in_use.asked > questions;
        self.in_use.waiting = !self.in_use.over;
        let by_peer = *code == Some(IN_USE_BY_PEER);
        let seconds = hold.as_secs();
        let text = match (self.in_use.over, by_peer) {
            (true, true) => format!(
                "SPLIT? {reason} after {seconds} s, the machine of the silent peer: taking it over \
                 all the same. See to that machine: it must not serve any more"
            ),
            (true, false) => return self.start_failed(index, outcome, ctx),
            (false, true) => format!(
                "SPLIT? {reason}, the machine of the silent peer, so group {} may well be served \
                 there: left to it for {seconds} s",
                self.spec.key
            ),
            (false, false) => {
                format!("{reason}: asked again for {seconds} s, and not taken from it")
            }
        };
        if self.in_use.over || self.in_use.asked == 1 {
            self.reason.clone_from(&text);
            ctx.out.push(Output::Alert { error: true, text });
        }
        if self.in_use.waiting {
            ctx.out.push(Output::SetTimer(Timer::AskAgain(self.spec.key.clone()), ASK_EVERY));
        }
    }

    /// `Timer::AskAgain` fired.
    pub(crate) fn ask_again(&mut self, ctx: &mut Context<'_>) {
        if std::mem::take(&mut self.in_use.waiting) {
            self.advance(ctx);
        }
    }

    pub(super) fn end_asking(&mut self, ctx: &mut Context<'_>) {
        if std::mem::take(&mut self.in_use).waiting {
            ctx.out.push(Output::CancelTimer(Timer::AskAgain(self.spec.key.clone())));
        }
    }
}
