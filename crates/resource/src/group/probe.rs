//! What runs here already: the look at each member when the daemon starts, and the question that an
//! agent is asked before it is started.

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
        self.members[index].state = match outcome {
            Outcome::Ok | Outcome::NotRunning => ResourceState::Stopped,
            // A check that could not be made says nothing. An address that may be here is removed
            // to be sure; the daemon removes only what it had added.
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::CouldNotRun { .. } => {
                match self.spec.resources[index].built_in {
                    Some(_) => ResourceState::Failed,
                    None => ResourceState::Unknown,
                }
            }
        };
    }

    /// Everything that moves runs: adopted. The first member or an address runs: a daemon was killed
    /// here while it started or stopped the group, which is released as a whole, for it may be
    /// served elsewhere. Only others run: left alone, because whoever started them was not heartbeat.
    pub(super) fn probed(&mut self, ctx: &mut Context<'_>) {
        self.probing = None;
        let moves = |index: &usize| !self.members[*index].warm;
        let here = |index: &usize| {
            matches!(self.members[*index].state, ResourceState::Running | ResourceState::Failed)
        };
        let running: Vec<usize> = (0..self.members.len()).filter(moves).filter(here).collect();
        let all =
            self.members.iter().all(|member| member.warm || member.state == ResourceState::Running);
        if all && self.goal == Goal::Released && !self.stopping {
            self.goal = Goal::Held;
            self.because(Cause::Adopted, "it ran here already when heartbeat started".into());
            self.report(ctx);
            self.announce(ctx);
            return;
        }
        let ours = |index: &usize| *index == 0 || self.spec.resources[*index].built_in.is_some();
        let names: Vec<&str> =
            running.iter().map(|index| self.spec.resources[*index].text.as_str()).collect();
        if running.iter().any(ours) {
            let text = format!(
                "of group {} only {} runs here: releasing it, as the group may run on the other node",
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
}
