//! Members that run on both nodes: kept running here while the group is not held, in their own slots
//! so that an acquisition does not wait for them until it comes to them.

use super::*;

impl Group {
    /// Starts what shall run on both nodes and does not.
    pub(super) fn tend_warm(&mut self, settled: bool, ctx: &mut Context<'_>) {
        let rests = self.goal == Goal::Released && !self.is_probing() && !self.blocked;
        if !rests || !settled || self.stopping || self.maintenance {
            return;
        }
        for index in 0..self.members.len() {
            let member = &self.members[index];
            let limit = ctx.policy.restarts_max(&self.spec.resources[index].text);
            let in_step = self.running.is_some_and(|op| op.member == index);
            if !member.warm || member.beside.is_some() || in_step || member.failures > limit {
                continue;
            }
            let (action, state) = match member.state {
                ResourceState::Running => continue,
                ResourceState::Unknown => (Action::Status, ResourceState::Unknown),
                // A step of the group that was ended: whether it runs is not known.
                ResourceState::Failed | ResourceState::Starting | ResourceState::Stopping => {
                    (Action::Stop, ResourceState::Stopping)
                }
                ResourceState::Stopped => (Action::Start, ResourceState::Starting),
            };
            self.run_beside(index, action, false, ctx);
            self.members[index].state = state;
        }
    }

    /// A start, stop or first look beside the steps of the group has ended.
    pub(super) fn warm_done(
        &mut self,
        index: usize,
        action: Action,
        outcome: &Outcome,
        ctx: &mut Context<'_>,
    ) {
        let script = is_script(&self.spec.resources[index]);
        let member = &mut self.members[index];
        member.last = Some(outcome.clone());
        match (action, outcome) {
            (Action::Start, Outcome::Ok) => return member.started(script),
            (Action::Status, Outcome::Ok) => {
                member.state = ResourceState::Running;
                return member.proved();
            }
            (Action::Stop, Outcome::Ok | Outcome::NotRunning)
            // What could not be looked at is started; agents do nothing when it runs.
            | (
                Action::Status,
                Outcome::NotRunning | Outcome::Failed { .. } | Outcome::TimedOut,
            ) => {
                member.state = ResourceState::Stopped;
                return;
            }
            (Action::Status, Outcome::CouldNotRun { .. }) => {
                member.state = ResourceState::Unknown;
            }
            (Action::Start | Action::Stop | Action::Announce | Action::Validate, _) => {
                member.state = ResourceState::Failed;
            }
        }
        if self.goal == Goal::Held {
            return self.start_failed(index, outcome, ctx);
        }
        let name = self.spec.resources[index].text.clone();
        let limit = ctx.policy.restarts_max(&name);
        let count = self.count_failure(index, limit, ctx);
        let what = format!("{} of {name} {}", action.word(), outcome.describe());
        self.warm_failed(index, count > limit, what, ctx);
    }

    /// One failure of a member that is kept running beside a released group.
    pub(super) fn warm_failed(
        &mut self,
        index: usize,
        given_up: bool,
        what: String,
        ctx: &mut Context<'_>,
    ) {
        let key = &self.spec.key;
        let window = super::recover::in_words(ctx.policy.recovery.window_ms);
        let text = match given_up {
            true => format!("group {key}: {what}; not tried again for {window}"),
            false => format!("group {key}: {what}; trying again"),
        };
        ctx.out.push(Output::Alert { error: given_up, text });
        self.members[index].unready = Some(what);
    }
}
