//! Checks of members that run: when they are made, beside the steps of the group and one at a time
//! for each member, and what their results say. What follows from a failure is in `recover`.

use super::*;

/// After a lost address was put back, it is looked at again after this time at the latest, so that
/// one that does not stay soon counts as failed.
const SOON: Duration = Duration::from_secs(1);
/// Longest text, in characters, kept of what was said to have happened.
const HINT_MAX: usize = 200;

impl Group {
    /// What follows from what the group is, derived afresh after each input: which timers of checks
    /// run and which checks are made, and what is to be done to warm members. `settled`: the node
    /// has negotiated what it holds.
    pub(crate) fn tend(&mut self, settled: bool, ctx: &mut Context<'_>) {
        self.tend_warm(settled, ctx);
        self.tend_ready(settled, ctx);
        for index in 0..self.members.len() {
            self.tend_member(index, ctx);
        }
    }

    fn tend_member(&mut self, index: usize, ctx: &mut Context<'_>) {
        let timer = || Timer::Monitor(self.spec.key.clone(), index);
        if self.waits_for_recovery(index) {
            if self.members[index].is_checked_now() {
                self.cancel_check(index, ctx);
            }
            return;
        }
        if !self.is_to_be_watched(index, ctx.policy) {
            if self.members[index].watch == Watch::Waiting {
                ctx.out.push(Output::CancelTimer(timer()));
            }
            if self.members[index].is_checked_now() {
                self.cancel_check(index, ctx);
            }
            self.members[index].watch = Watch::Off;
            self.members[index].gone = false;
            return;
        }
        match self.members[index].watch {
            Watch::Waiting => {}
            Watch::Off => {
                if !self.members[index].is_checked_now() {
                    let text = &self.spec.resources[index].text;
                    let interval = Duration::from_millis(ctx.policy.interval_ms(text));
                    let soon = std::mem::take(&mut self.members[index].soon);
                    let delay = if soon { interval.min(SOON) } else { interval };
                    ctx.out.push(Output::SetTimer(timer(), delay));
                    self.members[index].watch = Watch::Waiting;
                }
            }
            Watch::Due => {
                let free = self.members[index].beside.is_none()
                    && self.running.is_none_or(|op| op.member != index);
                if free {
                    self.members[index].watch = Watch::Off;
                    self.run_beside(index, Action::Status, true, ctx);
                }
            }
        }
    }

    /// What shall run, runs, and whose check means something.
    fn is_to_be_watched(&self, index: usize, policy: &Policy) -> bool {
        let (member, spec) = (&self.members[index], &self.spec.resources[index]);
        let wanted = match self.goal {
            Goal::Held => self.recovering.is_none_or(|from| index < from),
            Goal::Released => member.warm,
        };
        let checkable = spec.built_in.is_none() || is_address(spec);
        wanted
            && checkable
            && member.state == ResourceState::Running
            && (member.gone || !member.has_useless_status())
            && !self.stopping
            && !self.blocked
            && !self.is_probing()
            && policy.monitors(&spec.text)
    }

    /// A warm member runs on while what is left of it is restarted: its next check keeps its time and is
    /// made after that at the earliest.
    fn waits_for_recovery(&self, index: usize) -> bool {
        let member = &self.members[index];
        member.warm
            && member.state == ResourceState::Running
            && self.goal == Goal::Held
            && self.recovering.is_some_and(|from| index >= from)
            && !self.stopping
    }

    /// Runs something in the member's own slot, which must be free.
    pub(super) fn run_beside(
        &mut self,
        index: usize,
        action: Action,
        check: bool,
        ctx: &mut Context<'_>,
    ) {
        let operation = self.operation(index, action, ctx);
        let beside = member::Beside { id: operation.id, action, check, cancelled: false };
        self.members[index].beside = Some(beside);
        let probe = action == Action::Validate && ctx.peer_holds;
        ctx.out.push(Output::Run(Arc::new(Operation { monitor: check, probe, ..operation })));
    }

    /// `Timer::Monitor` fired.
    pub(crate) fn monitor_due(&mut self, index: usize) {
        if let Some(member) = self.members.get_mut(index)
            && member.watch == Watch::Waiting
        {
            member.watch = Watch::Due;
        }
    }

    /// Something is said to have happened to a member: it is checked at once, and after a check
    /// that is under way once more. Ignored for what is not watched.
    pub(crate) fn look(
        &mut self,
        resource: &str,
        evidence: Evidence,
        reason: &str,
        ctx: &mut Context<'_>,
    ) {
        for index in 0..self.members.len() {
            let spec = &self.spec.resources[index];
            if spec.text != resource {
                continue;
            }
            self.members[index].take_evidence(evidence, is_script(spec));
            if !self.is_to_be_watched(index, ctx.policy) {
                continue;
            }
            if self.members[index].watch == Watch::Waiting {
                let timer = Timer::Monitor(self.spec.key.clone(), index);
                ctx.out.push(Output::CancelTimer(timer));
            }
            self.members[index].watch = Watch::Due;
            self.members[index].hint = Some(reason.chars().take(HINT_MAX).collect());
        }
    }

    /// Hands off, or hands on again: then what the last checks said leads to action.
    pub(crate) fn set_maintenance(&mut self, on: bool, ctx: &mut Context<'_>) {
        if std::mem::replace(&mut self.maintenance, on) == on || on {
            return;
        }
        for index in 0..self.members.len() {
            if let Some(outcome) = self.members[index].suspect.take()
                && self.is_to_be_watched(index, ctx.policy)
            {
                self.member_failed(index, &outcome, ctx);
            }
        }
        self.report(ctx);
        self.advance(ctx);
    }

    pub(super) fn check_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if !self.is_to_be_watched(index, ctx.policy) {
            return;
        }
        let script = is_script(&self.spec.resources[index]);
        let member = &mut self.members[index];
        member.checked = Some(outcome.clone());
        if *outcome == Outcome::Ok {
            member.cannot_check = false;
            return member.proved();
        }
        let gone = member.gone;
        // A check that did not end in time is made again, and the evidence is needed then; so it is at
        // the end of maintenance.
        member.gone &= self.maintenance || *outcome == Outcome::TimedOut;
        // A check that could not be made says nothing about the script either.
        let was_made = !matches!(outcome, Outcome::CouldNotRun { .. });
        if was_made && !gone && member.doubt(script) {
            return self.tell_useless(index, outcome, ctx);
        }
        match outcome {
            Outcome::Ok => {}
            Outcome::CouldNotRun { .. } => self.could_not_check(index, outcome, ctx),
            Outcome::TimedOut => self.check_timed_out(index, ctx),
            // Not what the script says, which it may always say, but what was seen.
            Outcome::NotRunning | Outcome::Failed { .. } if gone => {
                member.cannot_check = false;
                member.timeouts = 0;
                self.member_failed(index, &Outcome::NotRunning, ctx);
            }
            Outcome::NotRunning | Outcome::Failed { .. } => {
                member.cannot_check = false;
                member.timeouts = 0;
                self.member_failed(index, outcome, ctx);
            }
        }
    }

    /// A script that has never said that it runs, not even after a successful start.
    fn tell_useless(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let member = &mut self.members[index];
        if !member.has_useless_status() || std::mem::replace(&mut member.told_useless, true) {
            return;
        }
        let name = &self.spec.resources[index].text;
        let text = format!(
            "{name} was started, but its status does not say that it runs ({}): its status cannot \
             be used, or it ended at once. Until its next start only the end of its daemon is noticed",
            outcome.describe()
        );
        ctx.out.push(Output::Alert { error: false, text });
    }

    fn could_not_check(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.members[index].cannot_check, true) {
            let name = &self.spec.resources[index].text;
            let text = format!(
                "the check of {name} {}; it is left as it is, and nobody knows whether it runs",
                outcome.describe()
            );
            ctx.out.push(Output::Alert { error: false, text });
        }
    }

    fn check_timed_out(&mut self, index: usize, ctx: &mut Context<'_>) {
        let limit = ctx.policy.monitor.timeouts_max.max(1);
        let member = &mut self.members[index];
        member.timeouts = member.timeouts.saturating_add(1).min(limit);
        if member.timeouts >= limit {
            return self.member_failed(index, &Outcome::TimedOut, ctx);
        }
        member.watch = Watch::Due;
        if member.timeouts == 1 {
            let name = &self.spec.resources[index].text;
            let text = format!("the check of {name} did not end in time: checking again");
            ctx.out.push(Output::Alert { error: false, text });
        }
    }
}
