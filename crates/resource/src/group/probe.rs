//! What runs here already: the look at each member when the daemon starts, what follows from it
//! together with the record of what an earlier daemon has started, and the question that an agent is
//! asked before it is started.

use super::*;

impl Group {
    /// Looks at each member to find what already runs here.
    pub(crate) fn probe(&mut self, ctx: &mut Context<'_>) {
        self.probing = Some(0);
        self.reason = "looking at what runs here".into();
        self.advance(ctx);
    }

    pub(super) fn status_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if self.stop.killed {
            return self.verified(index, outcome, ctx);
        }
        if *outcome == Outcome::Ok {
            self.members[index].state = ResourceState::Running;
            self.members[index].proved();
            return;
        }
        if self.goal == Goal::Held && !self.is_probing() {
            match outcome {
                Outcome::CouldNotRun { .. } => self.start_failed(index, outcome, ctx),
                Outcome::Ok | Outcome::NotRunning => {
                    self.members[index].state = ResourceState::Stopped;
                    self.checked = Some(index);
                }
                // A check without a result: a start will tell, as in Heartbeat.
                Outcome::Failed { .. } | Outcome::TimedOut => {
                    self.members[index].state = ResourceState::Unknown;
                    self.checked = Some(index);
                }
            }
            return;
        }
        self.members[index].state = self.state_found(index, outcome);
    }

    /// What the first look says of a member that is not known to run. What an earlier daemon left
    /// is stopped unless it certainly does not run: a script's status need not be true.
    fn state_found(&self, index: usize, outcome: &Outcome) -> ResourceState {
        let spec = &self.spec.resources[index];
        let left = self.members[index].left;
        match outcome {
            Outcome::NotRunning if left && is_script(spec) => ResourceState::Failed,
            Outcome::Ok | Outcome::NotRunning => ResourceState::Stopped,
            // A check that could not be made says nothing. An address that may be here is removed
            // to be sure; the daemon removes only what it had added.
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::CouldNotRun { .. } => {
                match spec.built_in {
                    _ if left => ResourceState::Failed,
                    Some(_) => ResourceState::Failed,
                    None => ResourceState::Unknown,
                }
            }
        }
    }

    /// Everything that moves runs: adopted. Parts of what an earlier daemon had as a whole: to be
    /// completed when nobody else has it. Anything else that an earlier daemon left, and the first
    /// member or an address even without a record of that: released as a whole, for a daemon was
    /// killed here while it started or stopped the group, which may be served elsewhere. Only
    /// others run: left alone, because whoever started them was not heartbeat.
    pub(super) fn probed(&mut self, ctx: &mut Context<'_>) {
        self.probing = None;
        let moves = |index: &usize| !self.members[*index].warm;
        let here = |index: &usize| {
            matches!(self.members[*index].state, ResourceState::Running | ResourceState::Failed)
        };
        let running: Vec<usize> = (0..self.members.len()).filter(moves).filter(here).collect();
        let missing = |member: &Member| !member.warm && member.state != ResourceState::Running;
        let free = self.goal == Goal::Released && !self.stopping;
        let Some(first) = self.members.iter().position(missing) else {
            if free {
                self.goal = Goal::Held;
                self.because(Cause::Adopted, "it ran here already when heartbeat started".into());
                self.report(ctx);
                self.announce(ctx);
            }
            return;
        };
        let whole = self.members.iter().all(|member| member.warm || member.left);
        let some = self
            .members
            .iter()
            .any(|member| !member.warm && member.state == ResourceState::Running);
        if free && whole && some {
            return self.complete(first, ctx);
        }
        let ours = |index: &usize| {
            let built_in = self.spec.resources[*index].built_in.is_some();
            *index == 0 || built_in || self.members[*index].left
        };
        let names: Vec<&str> =
            running.iter().map(|index| self.spec.resources[*index].text.as_str()).collect();
        if running.iter().any(ours) {
            let text = format!(
                "of group {} only {} may run here: releasing it, as the group may run on the other \
                 node",
                self.spec.key,
                names.join(" ")
            );
            ctx.out.push(Output::Alert { error: false, text });
        } else if !running.is_empty() {
            let text = format!(
                "{} runs here though group {} does not; left alone",
                names.join(" "),
                self.spec.key
            );
            ctx.out.push(Output::Alert { error: false, text });
            for index in running {
                self.members[index].state = ResourceState::Unknown;
            }
        }
        self.reason = "not running here when heartbeat started".into();
        self.report(ctx);
    }

    /// Takes up what is left of the group. Nothing is started before the manager says that nobody
    /// else has it; what is right of the first that does not run is stopped at once.
    fn complete(&mut self, first: usize, ctx: &mut Context<'_>) {
        self.goal = Goal::Held;
        self.in_part = true;
        self.held_back = true;
        self.recovering = Some(first);
        let name = &self.spec.resources[first].text;
        let reason =
            format!("it ran here before heartbeat started, but {name} does not run any more");
        let text = format!(
            "group {}: {reason}; restarting from there as soon as the other node does not have it",
            self.spec.key
        );
        ctx.out.push(Output::Alert { error: false, text });
        self.because(Cause::Adopted, reason);
        self.report(ctx);
    }

    /// These members were started by a daemon before this one and not stopped since.
    pub(crate) fn remember(&mut self, left: &dyn Fn(&str) -> bool) {
        for (member, spec) in self.members.iter_mut().zip(&self.spec.resources) {
            member.left = left(&spec.text);
        }
    }

    /// Parts of it run here, and the rest waits for the word that nobody else has it.
    pub(crate) fn is_in_part(&self) -> bool {
        self.in_part
    }
}
