//! Its resource scripts: `takegroup` and `givegroup`, one after the other, and what is said when
//! they have ended, whatever came of them (§§7.6, 7.8, 9.2). An agent that fails is not repeated
//! here: the model's agents work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::NodeName;
use hb_messaging::message::{AskStep, Body};
use hb_messaging::time::Instant;
use hb_node::effect::Effect;
use hb_resource::input::Holdings;
use hb_resource::operation::{Action, OpId, Operation, Outcome};

use super::Legacy;
use super::resources::State;

/// A shell is forked and reads the files.
const FORK_TAKES: Duration = Duration::from_millis(50);
/// Nothing ends an agent that hangs (§7.9: an hour until the emergency).
const NO_LIMIT: Duration = Duration::from_secs(3_600);

/// A script that waits for its turn. Sets are as this node names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// `takegroup` for each group of these sets.
    Take(Holdings, Then),
    /// `givegroup` for each.
    Give(Holdings, Then),
    /// `rc.d/ip-request-resp`: `takegroup` of the own groups, unless it leaves meanwhile.
    TakeOurs,
    /// `rc.d/hb_takeover`: `hb_standby` with these.
    Standby(Holdings),
}

/// What is said at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// `resource … info=mach_down`
    MachDown,
    /// `ask_resources … info=done`, from the giver's point of view.
    Done(Holdings),
    /// `shutdone`
    Shutdone,
}

/// The script that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    job: Job,
    /// It begins then; `None` once it has.
    pub(super) begins: Option<Instant>,
    /// What is to be done: group, member, to be started.
    steps: VecDeque<(usize, usize, bool)>,
    /// The agent that runs.
    under_way: Option<(OpId, Action)>,
}

impl Legacy {
    /// The child of §7.6: it sends `ip-request-resp` to its own node and says what is held.
    pub(super) fn request_ours(&mut self) {
        self.requests.push(self.now + FORK_TAKES);
    }

    /// What is due of all this.
    pub(super) fn scripts_due(&mut self) {
        while let Some(index) = self.requests.iter().position(|at| *at <= self.now) {
            self.requests.remove(index);
            self.jobs.push_back(Job::TakeOurs);
            // Stable, says the child, whatever has been started (§15, 8).
            self.say_resource(true, Some("req_our_resources()"));
            self.next_script();
        }
        let begins = self.running.as_ref().and_then(|running| running.begins);
        if begins.is_some_and(|at| self.now >= at) {
            if let Some(running) = &mut self.running {
                running.begins = None;
            }
            self.next_step();
        }
    }

    /// Begins the next script when none runs.
    pub(super) fn next_script(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.jobs.pop_front() else { return };
        let steps = match job {
            Job::Take(sets, _) => self.steps(sets, true),
            Job::TakeOurs if self.resources.state == State::Shutdown => VecDeque::new(),
            Job::TakeOurs => self.steps(Holdings::LOCAL, true),
            Job::Give(sets, _) => self.steps(sets, false),
            Job::Standby(_) => VecDeque::new(),
        };
        let begins = Some(self.now + FORK_TAKES);
        self.running = Some(Running { job, begins, steps, under_way: None });
    }

    /// Members from left to right to be started, from right to left to be stopped.
    fn steps(&self, sets: Holdings, start: bool) -> VecDeque<(usize, usize, bool)> {
        let mut steps = VecDeque::new();
        for (index, group) in self.settings.groups.iter().enumerate() {
            let own = group.preferred == NodeName::new(self.settings.node.as_str());
            if !(if own { sets.local } else { sets.foreign }) {
                continue;
            }
            let members = 0..group.resources.len();
            match start {
                true => steps.extend(members.map(|member| (index, member, true))),
                false => steps.extend(members.rev().map(|member| (index, member, false))),
            }
        }
        steps
    }

    fn next_step(&mut self) {
        let Some(running) = &self.running else { return };
        match running.steps.front() {
            Some((_, _, true)) => self.run(Action::Status),
            Some((_, _, false)) => self.run(Action::Stop),
            None => self.script_ends(),
        }
    }

    fn run(&mut self, action: Action) {
        let Some(running) = &mut self.running else { return };
        let Some((group, member, _)) = running.steps.front().copied() else { return };
        self.next_op += 1;
        let id = OpId(self.next_op);
        running.under_way = Some((id, action));
        let spec = &self.settings.groups[group];
        self.effects.push(Effect::Run(Arc::new(Operation {
            id,
            group: spec.key.clone(),
            resource: spec.resources[member].clone(),
            action,
            timeout: NO_LIMIT,
            kill: false,
            monitor: false,
            probe: false,
        })));
    }

    /// An agent has ended. What runs already is not started; anything else is done once.
    pub(super) fn operation_done(&mut self, op: OpId, outcome: &Outcome) {
        let Some(running) = &mut self.running else { return };
        let Some((_, action)) = running.under_way.filter(|(id, _)| *id == op) else { return };
        running.under_way = None;
        match action {
            Action::Status if *outcome != Outcome::Ok => self.run(Action::Start),
            Action::Status | Action::Start | Action::Stop | Action::Announce | Action::Validate => {
                running.steps.pop_front();
                self.next_step();
            }
        }
    }

    fn script_ends(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running.job {
            Job::Take(_, then) | Job::Give(_, then) => match then {
                Then::MachDown => self.say_mach_down(),
                Then::Done(given) => self.say_step(given, AskStep::Done),
                Then::Shutdone => self.say(&Body::Shutdone),
            },
            Job::TakeOurs => {}
            Job::Standby(given) => self.hb_standby(given),
        }
        self.next_script();
    }
}
