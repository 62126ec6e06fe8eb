//! What follows when a member that ran has failed: it and what is right of it are started again in
//! place; after too many failures, or when the start fails, the group is given up here. Which node
//! tries again, and when, is the manager's decision.

use super::*;

/// Whether a group that failed here waits for another attempt here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Breaker {
    waiting: bool,
    /// That it failed everywhere was said; once until it is held again.
    told: bool,
}

/// `10 min`, `60 s` or `500 ms`.
pub(crate) fn in_words(ms: u64) -> String {
    match ms {
        _ if ms >= 120_000 && ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms >= 1_000 && ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}

impl Group {
    /// A member that ran has failed, as its check said.
    pub(super) fn member_failed(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let what = self.what_failed(index, outcome);
        let key = &self.spec.key;
        if self.maintenance {
            if self.members[index].suspect.replace(outcome.clone()).is_none() {
                let text = format!("{what} (group {key}): left as it is, for maintenance is on");
                ctx.out.push(Output::Alert { error: false, text });
            }
            return;
        }
        let gone = *outcome == Outcome::NotRunning;
        let alone = is_address(&self.spec.resources[index]);
        let limit = match alone && gone {
            true => ctx.policy.address.restores_max,
            false => ctx.policy.restarts_max(&self.spec.resources[index].text),
        };
        let count = self.count_failure(index, limit, ctx);
        let member = &mut self.members[index];
        member.hint = None;
        member.timeouts = 0;
        member.checked = Some(outcome.clone());
        member.state = match alone && gone {
            true => ResourceState::Stopped,
            false => ResourceState::Failed,
        };
        let window = in_words(ctx.policy.recovery.window_ms);
        if self.goal == Goal::Released {
            return self.warm_failed(index, count > limit, what, ctx);
        }
        if count > limit {
            return self.give_up(index, &what, count, &window, ctx);
        }
        let remedy = if alone {
            member.soon = true;
            "putting it back"
        } else {
            self.recovering = Some(self.recovering.map_or(index, |from| from.min(index)));
            "restarting here"
        };
        let reason = format!("{what}: {remedy}, {count} of {limit} within {window}");
        let text = format!("group {}: {reason}", self.spec.key);
        self.because(Cause::Failed, reason);
        ctx.out.push(Output::Alert { error: false, text });
    }

    fn what_failed(&self, index: usize, outcome: &Outcome) -> String {
        let spec = &self.spec.resources[index];
        let what = match outcome {
            Outcome::NotRunning if is_address(spec) => format!("{} is gone", spec.text),
            Outcome::NotRunning => format!("{} stopped running", spec.text),
            Outcome::TimedOut => format!("the check of {} did not end in time", spec.text),
            Outcome::Ok | Outcome::Failed { .. } | Outcome::CouldNotRun { .. } => {
                format!("the check of {} {}", spec.text, outcome.describe())
            }
        };
        match &self.members[index].hint {
            Some(hint) => format!("{what} ({hint})"),
            None => what,
        }
    }

    /// Failures within the window, this one included; one above the limit at most.
    pub(super) fn count_failure(&mut self, index: usize, limit: u32, ctx: &mut Context<'_>) -> u32 {
        let member = &mut self.members[index];
        if member.failures <= limit {
            member.failures = member.failures.saturating_add(1);
        }
        let count = member.failures;
        self.remember_failure(index, ctx);
        count
    }

    fn remember_failure(&self, index: usize, ctx: &mut Context<'_>) {
        let timer = Timer::ForgetFailures(self.spec.key.clone(), index);
        let window = Duration::from_millis(ctx.policy.recovery.window_ms);
        ctx.out.push(Output::SetTimer(timer, window));
    }

    fn give_up(
        &mut self,
        index: usize,
        what: &str,
        count: u32,
        window: &str,
        ctx: &mut Context<'_>,
    ) {
        let often =
            if count > 1 { format!(", {count} times within {window}") } else { String::new() };
        let reason = format!("{what}{often}: given up here");
        let text = format!("group {}: {reason}", self.spec.key);
        self.fail_here(index, Cause::Failed, reason);
        ctx.out.push(Output::Alert { error: true, text });
    }

    fn fail_here(&mut self, index: usize, cause: Cause, reason: String) {
        self.failed = Some(index);
        self.goal = Goal::Released;
        self.in_part = false;
        self.recovering = None;
        self.announcements.clear();
        self.because(cause, reason);
    }

    /// What runs of the group is stopped again; then it is offered to the peer.
    pub(super) fn start_failed(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if self.goal != Goal::Held {
            return;
        }
        let name = self.spec.resources[index].text.clone();
        let why = outcome.describe();
        // That an attempt after a pause came to nothing is no news.
        let error = self.cause != Cause::Retry;
        let reason = match (&self.cause, self.was_held) {
            (Cause::Failed, true) => {
                format!("{}; {name} failed to start again: {why}", self.reason)
            }
            _ => format!("{name} failed to start: {why}"),
        };
        self.fail_here(index, Cause::StartFailed, reason);
        self.remember_failure(index, ctx);
        let text = format!("{name} of group {} failed to start here: {why}", self.spec.key);
        ctx.out.push(Output::Alert { error, text });
    }

    /// The window is over for a member. A group that failed because of it counts as good again when
    /// it is served elsewhere; where nobody serves it, `Timer::Retry` and operators decide.
    pub(crate) fn forget_failures(&mut self, index: usize, elsewhere: bool, ctx: &mut Context<'_>) {
        let Some(member) = self.members.get_mut(index) else { return };
        member.failures = 0;
        if member.warm {
            member.unready = None;
        }
        if self.failed != Some(index) {
            return;
        }
        if !elsewhere || self.claim() != GroupClaim::Failed {
            return self.remember_failure(index, ctx);
        }
        self.failed = None;
        self.end_pause(ctx);
        ctx.out.push(Output::CancelTimer(Timer::OfferGroup(self.spec.key.clone())));
        let reason = format!(
            "the failure of {} was {} ago: this node may have the group again",
            self.spec.resources[index].text,
            in_words(ctx.policy.recovery.window_ms)
        );
        self.because(Cause::Forgotten, reason);
        self.report(ctx);
    }

    /// No failure of the past counts.
    pub(super) fn forgive(&mut self, ctx: &mut Context<'_>) {
        for index in 0..self.members.len() {
            if self.members[index].failures > 0 || self.failed == Some(index) {
                let timer = Timer::ForgetFailures(self.spec.key.clone(), index);
                ctx.out.push(Output::CancelTimer(timer));
            }
            self.members[index].forgive();
        }
        self.failed = None;
        self.end_pause(ctx);
        self.breaker = Breaker::default();
    }

    /// Failed, and no other node could do better: it stays down here, and is tried again after a
    /// pause. `why`: `failed on both nodes: staying on node1`.
    pub(crate) fn pause(&mut self, why: &str, ctx: &mut Context<'_>) {
        let Some(index) = self.failed.filter(|_| self.claim() == GroupClaim::Failed) else {
            return;
        };
        if std::mem::replace(&mut self.breaker.waiting, true) {
            return;
        }
        let key = self.spec.key.clone();
        let delay = ctx.policy.recovery.retry_ms;
        ctx.out.push(Output::CancelTimer(Timer::OfferGroup(key.clone())));
        ctx.out.push(Output::SetTimer(Timer::Retry(key.clone()), Duration::from_millis(delay)));
        let name = &self.spec.resources[index].text;
        let next = format!("{why}, next attempt in {}", in_words(delay));
        self.reason = format!("{name}: {next}");
        if !std::mem::replace(&mut self.breaker.told, true) {
            let text = format!(
                "group {key} is not served ({name} failed); {next}. Mend it, then `hb cleanup {key}`"
            );
            ctx.out.push(Output::Alert { error: true, text });
        }
    }

    /// Another node could do better again: it is offered there.
    pub(crate) fn offer_after_pause(&mut self, ctx: &mut Context<'_>) {
        if self.breaker.waiting && self.claim() == GroupClaim::Failed {
            let timer = Timer::OfferGroup(self.spec.key.clone());
            ctx.out.push(Output::SetTimer(timer, Duration::ZERO));
        }
        self.end_pause(ctx);
    }

    /// There is no reason to wait any more.
    pub(super) fn end_pause(&mut self, ctx: &mut Context<'_>) {
        if std::mem::take(&mut self.breaker.waiting) {
            ctx.out.push(Output::CancelTimer(Timer::Retry(self.spec.key.clone())));
        }
    }

    /// `Timer::Retry` fired; whether the group may be tried. The failures still count: one that
    /// fails again is given up again.
    pub(crate) fn end_of_pause(&mut self) -> bool {
        std::mem::take(&mut self.breaker.waiting) && !self.maintenance
    }

    /// What would be done to the group if maintenance were off; `None` when that is nothing, or when
    /// maintenance is off.
    pub fn would_do(&self) -> Option<String> {
        if !self.maintenance || self.blocked || self.is_probing() {
            return None;
        }
        let suspects = self.members.iter().enumerate().filter_map(|(index, member)| {
            member
                .suspect
                .as_ref()
                .map(|outcome| format!("{}: start it again", self.what_failed(index, outcome)))
        });
        let text = &|index: usize| self.spec.resources[index].text.clone();
        let missing = |(index, member): (usize, &Member)| {
            (member.state != ResourceState::Running).then(|| format!("start {}", text(index)))
        };
        let mut would: Vec<String> = suspects.collect();
        match self.goal {
            Goal::Held => would.extend(self.members.iter().enumerate().filter_map(missing)),
            Goal::Released => {
                would.extend(self.to_stop().map(|index| format!("stop {}", text(index))));
            }
        }
        (!would.is_empty()).then(|| would.join("; "))
    }
}
