//! Stopping: right to left, repeated when it fails, then with KILL, then looked at; addresses first of
//! all where the peer keeps what both had. Which members are to be stopped follows from the goal, from a
//! recovery under way and from the node's own end.

use super::*;

/// How far a failing stop has come: repeated, then with KILL, then looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct StopProgress {
    attempts: u32,
    pub(super) waits_for_retry: bool,
    pub(super) killed: bool,
}

impl Group {
    pub(crate) fn retry_stop(&mut self, ctx: &mut Context<'_>) {
        if self.stop.waits_for_retry {
            self.stop.waits_for_retry = false;
            self.advance(ctx);
        }
    }

    /// The member that is to be stopped next.
    pub(super) fn to_stop(&self) -> Option<usize> {
        let last = |wanted: &dyn Fn(usize, &Member) -> bool| {
            (0..self.members.len()).rev().find(|index| wanted(*index, &self.members[*index]))
        };
        let runs = |member: &Member| {
            !matches!(member.state, ResourceState::Stopped | ResourceState::Unknown)
        };
        match (self.goal, self.recovering) {
            (Goal::Held, None) => None,
            (Goal::Held, Some(from)) => last(&|index, member: &Member| {
                runs(member) && (index == from || index > from && !member.warm)
            }),
            // Once anything of the group is to be stopped, so is what could not be looked at.
            (Goal::Released, _) if !self.is_stopped() => {
                last(&|_, member: &Member| !member.warm && member.state != ResourceState::Stopped)
            }
            (Goal::Released, _) if self.stopping => {
                last(&|_, member: &Member| member.warm && runs(member))
            }
            (Goal::Released, _) => None,
        }
    }

    /// Takes the next step of what is to be stopped; `false` when that is nothing.
    pub(super) fn stop_next(&mut self, ctx: &mut Context<'_>) -> bool {
        let Some(index) = self.to_stop() else { return false };
        if !self.is_free(index, ctx) {
            return true;
        }
        if self.stop.killed {
            self.run(index, Action::Status, false, ctx);
            return true;
        }
        // What is known not to run has left at most remains, which would be in the way of a start.
        let member = &self.members[index];
        let gone =
            member.state == ResourceState::Failed && member.checked == Some(Outcome::NotRunning);
        let kill = gone || self.stop.attempts > ctx.failure.stop_retries_max;
        self.stop.killed = kill;
        self.run(index, Action::Stop, kill, ctx);
        self.members[index].state = ResourceState::Stopping;
        true
    }

    pub(super) fn stop_done(&mut self, op: Running, outcome: &Outcome, ctx: &mut Context<'_>) {
        let index = op.member;
        let member = &mut self.members[index];
        // An agent that is not there cannot have started anything.
        let absent = !op.known && matches!(outcome, Outcome::CouldNotRun { .. });
        if absent || matches!(outcome, Outcome::Ok | Outcome::NotRunning) {
            member.state = ResourceState::Stopped;
            self.stop = StopProgress::default();
            return;
        }
        member.state = ResourceState::Failed;
        if self.goal == Goal::Held && self.recovering.is_none() {
            self.stop = StopProgress::default();
            return;
        }
        let name = &self.spec.resources[index].text;
        self.stop.attempts += 1;
        if self.stop.attempts == 1 {
            let text = format!("{name} failed to stop ({}): trying again", outcome.describe());
            ctx.out.push(Output::Alert { error: false, text });
        }
        // After KILL, the next step looks whether it runs in spite of it.
        if !self.stop.killed {
            self.repeat_stop(ctx);
        }
    }

    fn repeat_stop(&mut self, ctx: &mut Context<'_>) {
        if self.stop.attempts <= ctx.failure.stop_retries_max {
            self.stop.waits_for_retry = true;
            let delay = Duration::from_millis(ctx.failure.stop_retry_delay_ms);
            ctx.out.push(Output::SetTimer(Timer::StopRetry(self.spec.key.clone()), delay));
        }
    }

    /// The look after a stop that failed even with KILL.
    pub(super) fn verified(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let name = self.spec.resources[index].text.clone();
        if *outcome == Outcome::NotRunning {
            self.stop = StopProgress::default();
            self.members[index].state = ResourceState::Stopped;
            let text = format!("{name} failed to stop, but does not run any more; going on");
            ctx.out.push(Output::Alert { error: false, text });
            return;
        }
        self.members[index].checked = None;
        self.members[index].state = ResourceState::Failed;
        let stops = self.goal == Goal::Released || self.recovering.is_some();
        if stops && self.stop.attempts <= ctx.failure.stop_retries_max {
            self.stop.killed = false;
            return self.repeat_stop(ctx);
        }
        self.stop = StopProgress::default();
        if self.members[index].warm {
            // It may run on both nodes, so it is in nobody's way.
            self.members[index].state = ResourceState::Unknown;
            let text = format!("{name} cannot be stopped: {}", outcome.describe());
            ctx.out.push(Output::Alert { error: true, text });
            return;
        }
        let text = format!(
            "{name} cannot be stopped: {}. Group {} is blocked: it will not be started on the \
             other node. Stop it by hand, then `hb cleanup {}`",
            outcome.describe(),
            self.spec.key,
            self.spec.key
        );
        if stops {
            self.goal = Goal::Released;
            self.in_part = false;
            self.recovering = None;
            self.blocked = true;
            self.reason = format!("{name} cannot be stopped");
        }
        ctx.out.push(Output::Alert { error: true, text });
    }

    /// The peer keeps what both had: the addresses go at once, side by side and beside whatever is
    /// under way, be it an agent that hangs. One that does not go is stopped again in its turn.
    pub(super) fn silence(&mut self, ctx: &mut Context<'_>) {
        if !self.silencing || self.blocked {
            return;
        }
        for index in 0..self.members.len() {
            let address = is_address(&self.spec.resources[index]) && !self.members[index].warm;
            let runs = self.members[index].state == ResourceState::Running;
            let idle = self.running.is_none_or(|op| op.member != index);
            if address && runs && idle && self.is_free(index, ctx) {
                self.run_beside(index, Action::Stop, false, ctx);
                self.members[index].state = ResourceState::Stopping;
            }
        }
    }

    /// Its addresses are being taken from the network before anything else.
    #[cfg(test)]
    pub(crate) fn is_silencing(&self) -> bool {
        self.silencing
    }

    pub(super) fn silenced(&mut self, index: usize, outcome: &Outcome) {
        let member = &mut self.members[index];
        member.last = Some(outcome.clone());
        member.state = match outcome {
            Outcome::Ok | Outcome::NotRunning => ResourceState::Stopped,
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::CouldNotRun { .. } => {
                ResourceState::Failed
            }
        };
    }

    pub(super) fn end_stop_retries(&mut self, ctx: &mut Context<'_>) {
        if self.stop.waits_for_retry {
            ctx.out.push(Output::CancelTimer(Timer::StopRetry(self.spec.key.clone())));
        }
        self.stop = StopProgress::default();
    }
}
