//! Whether a group that is not held here could be: each member is validated from time to time, one
//! after the other, and never in the way of anything.

use super::*;

/// After the node has settled or the group was released, the first look is taken this soon: what
/// has just happened is over, and nobody has relied on the answer yet.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// How far the looks at a released group have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Ready {
    waiting: bool,
    /// The member to be looked at next, or at this moment.
    at: Option<usize>,
}

impl Group {
    /// Why the group could not be taken over here, as far as it was looked at.
    pub fn unready(&self) -> Option<&str> {
        self.members.iter().find_map(|member| member.unready.as_deref())
    }

    /// `Timer::Ready` fired.
    pub(crate) fn ready_due(&mut self) {
        if std::mem::take(&mut self.ready.waiting) {
            self.ready.at = Some(0);
        }
    }

    pub(super) fn tend_ready(&mut self, settled: bool, ctx: &mut Context<'_>) {
        let timer = Timer::Ready(self.spec.key.clone());
        if !self.is_to_be_validated(settled, ctx.policy) {
            if std::mem::take(&mut self.ready).waiting {
                ctx.out.push(Output::CancelTimer(timer));
            }
            for index in 0..self.members.len() {
                if self.members[index].beside.is_some_and(|op| op.action == Action::Validate) {
                    self.cancel_check(index, ctx);
                }
            }
            return;
        }
        match self.ready.at {
            None if self.ready.waiting => {}
            None => {
                self.ready.waiting = true;
                ctx.out.push(Output::SetTimer(timer, FIRST_LOOK));
            }
            Some(index) => {
                if self.members.get(index).is_some_and(|member| member.beside.is_none()) {
                    self.run_beside(index, Action::Validate, true, ctx);
                }
            }
        }
    }

    fn is_to_be_validated(&self, settled: bool, policy: &Policy) -> bool {
        settled
            && self.goal == Goal::Released
            && self.is_stopped()
            && !self.stopping
            && !self.blocked
            && !self.is_probing()
            && policy.monitor.enabled
            && policy.monitor.ready_interval_ms > 0
    }

    pub(super) fn validate_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let name = &self.spec.resources[index].text;
        let found = match outcome {
            Outcome::Ok | Outcome::NotRunning => Some(None),
            Outcome::Failed { .. } | Outcome::CouldNotRun { .. } => {
                Some(Some(format!("{name}: {}", outcome.describe())))
            }
            // A machine that is busy at this moment could still run it: what was known stands.
            Outcome::TimedOut => None,
        };
        if let Some(found) = found {
            let before = std::mem::replace(&mut self.members[index].unready, found.clone());
            if let (Some(why), None) = (found, before) {
                let text = format!("group {} could not be taken over here: {why}", self.spec.key);
                ctx.out.push(Output::Alert { error: false, text });
            }
        }
        if self.ready.at != Some(index) {
            return;
        }
        self.ready.at = Some(index + 1).filter(|next| *next < self.members.len());
        if self.ready.at.is_none() {
            self.ready.waiting = true;
            let interval = Duration::from_millis(ctx.policy.monitor.ready_interval_ms);
            ctx.out.push(Output::SetTimer(Timer::Ready(self.spec.key.clone()), interval));
        }
    }
}
