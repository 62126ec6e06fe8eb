//! One resource group: started left to right, stopped right to left, one operation at a time.
//!
//! A group has a *goal*; each finished operation leads to the next step towards it, so that a change
//! of mind in the middle needs no case of its own. Which goal a group has is the manager's decision.

use std::time::Duration;

use hb_config::settings::{BuiltIn, FailurePolicy, GroupSpec, Operations};
use serde::Serialize;

use crate::input::GroupClaim;
use crate::operation::{Action, OpId, Operation, Outcome};
use crate::output::{Output, Timer, Transition};

/// Why a group moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Cause {
    /// This node started.
    Startup,
    /// It ran here already when the daemon started.
    Adopted,
    /// The peer was declared dead.
    PeerDead,
    /// The peer stopped in order.
    PeerLeft,
    /// An operator moved it.
    Standby,
    /// The peer's operator asked for it.
    Takeover,
    /// Its preferred node is back.
    Failback,
    /// The peer reaches more ping nodes.
    PingNodes,
    /// It failed to start on the other node.
    Offered,
    /// It failed to start here.
    StartFailed,
    /// The peer could not start what it was given.
    TakenBack,
    /// Both nodes held it.
    Conflict,
    /// An operator had its failure forgotten.
    Cleanup,
    /// This node stops.
    Shutdown,
}

impl Cause {
    /// Stable id for logs and history.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Adopted => "adopted",
            Self::PeerDead => "peer_dead",
            Self::PeerLeft => "peer_left",
            Self::Standby => "standby",
            Self::Takeover => "takeover",
            Self::Failback => "failback",
            Self::PingNodes => "ping_nodes",
            Self::Offered => "offered",
            Self::StartFailed => "start_failed",
            Self::TakenBack => "taken_back",
            Self::Conflict => "conflict",
            Self::Cleanup => "cleanup",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What is known of one member on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ResourceState {
    /// Not looked at yet.
    Unknown,
    /// Does not run here.
    Stopped,
    /// `start` is under way.
    Starting,
    /// Runs here.
    Running,
    /// `stop` is under way.
    Stopping,
    /// `start` or `stop` failed: it may run in part.
    Failed,
}

impl ResourceState {
    /// The word in status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// One resource of the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Member {
    /// Its state.
    pub state: ResourceState,
    /// How its last operation ended.
    pub last: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
enum Goal {
    Held,
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
struct Running {
    id: OpId,
    action: Action,
    member: usize,
    /// Whether it was known, before this operation, if the member runs.
    known: bool,
}

/// How far a failing stop has come: repeated, then with KILL, then looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
struct StopProgress {
    attempts: u32,
    waits_for_retry: bool,
    killed: bool,
}

/// What a step needs besides the group.
pub(crate) struct Context<'a> {
    pub(crate) next_id: &'a mut u64,
    pub(crate) operations: Operations,
    pub(crate) failure: FailurePolicy,
    pub(crate) out: &'a mut Vec<Output>,
}

/// One resource group on this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Group {
    spec: GroupSpec,
    members: Vec<Member>,
    goal: Goal,
    running: Option<Running>,
    /// The member to be looked at next, while what runs here is being found out.
    probing: Option<usize>,
    failed: bool,
    blocked: bool,
    /// The peer may run it: nothing more is started until it says otherwise.
    held_back: bool,
    /// The member whose status was asked for in this acquisition.
    checked: Option<usize>,
    stop: StopProgress,
    /// Members still to be announced, the next one last.
    announcements: Vec<usize>,
    cause: Cause,
    reason: String,
    shown: GroupClaim,
}

impl Group {
    pub(crate) fn new(spec: GroupSpec) -> Self {
        let member = Member { state: ResourceState::Unknown, last: None };
        Self {
            members: vec![member; spec.resources.len()],
            spec,
            goal: Goal::Released,
            running: None,
            probing: None,
            failed: false,
            blocked: false,
            held_back: false,
            checked: None,
            stop: StopProgress::default(),
            announcements: Vec::new(),
            cause: Cause::Startup,
            reason: "not started yet".into(),
            shown: GroupClaim::Released,
        }
    }

    /// The first resource as written; names the group.
    pub fn key(&self) -> &str {
        &self.spec.key
    }

    /// Its line of haresources.
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Its members in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Why it is as it is, in a sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Where the group stands, derived from what its members do and never ahead of them.
    pub fn claim(&self) -> GroupClaim {
        let all = |state| self.members.iter().all(|member| member.state == state);
        match self.goal {
            _ if self.blocked => GroupClaim::Blocked,
            _ if self.is_probing() => GroupClaim::Acquiring,
            Goal::Held if all(ResourceState::Running) => GroupClaim::Held,
            Goal::Held => GroupClaim::Acquiring,
            Goal::Released if !self.is_stopped() => GroupClaim::Releasing,
            Goal::Released if self.failed => GroupClaim::Failed,
            Goal::Released => GroupClaim::Released,
        }
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probing.is_some()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs here or shall run here.
    pub(crate) fn is_wanted(&self) -> bool {
        self.goal == Goal::Held && !self.is_probing()
    }

    /// Nothing of it runs here.
    pub(crate) fn is_released(&self) -> bool {
        matches!(self.claim(), GroupClaim::Released | GroupClaim::Failed)
    }

    pub(crate) fn in_transition(&self) -> bool {
        matches!(self.claim(), GroupClaim::Acquiring | GroupClaim::Releasing)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    fn is_stopped(&self) -> bool {
        let at_rest =
            |m: &Member| matches!(m.state, ResourceState::Stopped | ResourceState::Unknown);
        self.members.iter().all(at_rest)
            && self.running.is_none_or(|op| op.action == Action::Announce)
    }

    /// Looks at each member to find what already runs here.
    pub(crate) fn probe(&mut self, ctx: &mut Context<'_>) {
        self.probing = Some(0);
        self.reason = "looking at what runs here".into();
        self.advance(ctx);
    }

    pub(crate) fn acquire(&mut self, cause: Cause, reason: String, ctx: &mut Context<'_>) {
        if self.goal == Goal::Held && !self.blocked {
            return;
        }
        self.goal = Goal::Held;
        self.blocked = false;
        self.checked = None;
        if std::mem::take(&mut self.failed) {
            ctx.out.push(Output::CancelTimer(Timer::OfferGroup(self.spec.key.clone())));
        }
        self.end_stop_retries(ctx);
        self.because(cause, reason);
        self.report(ctx);
        self.advance(ctx);
    }

    pub(crate) fn release(&mut self, cause: Cause, reason: String, ctx: &mut Context<'_>) {
        if self.goal == Goal::Released && !self.is_probing() {
            return;
        }
        self.goal = Goal::Released;
        self.announcements.clear();
        self.because(cause, reason);
        self.report(ctx);
        self.advance(ctx);
    }

    /// Forgets a failure; a blocked group tries its stop again.
    pub(crate) fn cleanup(&mut self, cause: Cause, reason: &str, ctx: &mut Context<'_>) {
        ctx.out.push(Output::CancelTimer(Timer::OfferGroup(self.spec.key.clone())));
        self.failed = false;
        self.end_stop_retries(ctx);
        if self.blocked || self.shown == GroupClaim::Failed {
            self.blocked = false;
            self.because(cause, reason.into());
        }
        self.report(ctx);
        self.advance(ctx);
    }

    /// Tells the network again where the group's addresses live, when it is held.
    pub(crate) fn announce(&mut self, ctx: &mut Context<'_>) {
        if self.claim() != GroupClaim::Held {
            return;
        }
        let address = |index: &usize| {
            matches!(self.spec.resources[*index].built_in, Some(BuiltIn::Address(_)))
        };
        self.announcements = (0..self.members.len()).rev().filter(address).collect();
        self.advance(ctx);
    }

    /// Whether the next member may be started. What runs keeps running.
    pub(crate) fn hold_back(&mut self, held_back: bool, ctx: &mut Context<'_>) {
        if std::mem::replace(&mut self.held_back, held_back) && !held_back {
            self.advance(ctx);
        }
    }

    pub(crate) fn retry_stop(&mut self, ctx: &mut Context<'_>) {
        if self.stop.waits_for_retry {
            self.stop.waits_for_retry = false;
            self.advance(ctx);
        }
    }

    /// Takes the result of an operation; `false` when it is not the one under way.
    pub(crate) fn done(&mut self, id: OpId, outcome: &Outcome, ctx: &mut Context<'_>) -> bool {
        let Some(op) = self.running.take_if(|op| op.id == id) else { return false };
        if op.action != Action::Announce {
            self.members[op.member].last = Some(outcome.clone());
        }
        match op.action {
            Action::Status => self.status_done(op.member, outcome, ctx),
            Action::Start => self.start_done(op, outcome, ctx),
            Action::Stop => self.stop_done(op, outcome, ctx),
            Action::Announce => self.announce_done(op.member, outcome, ctx),
            Action::Validate => {}
        }
        self.report(ctx);
        self.advance(ctx);
        true
    }

    fn status_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if self.stop.killed {
            return self.verified(index, outcome, ctx);
        }
        if self.goal == Goal::Held && !self.is_probing() {
            match outcome {
                Outcome::CouldNotRun { .. } => self.start_failed(index, outcome, ctx),
                Outcome::Ok => self.members[index].state = ResourceState::Running,
                Outcome::NotRunning => {
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
            Outcome::Ok => ResourceState::Running,
            Outcome::NotRunning => ResourceState::Stopped,
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

    /// The look after a stop that failed even with KILL.
    fn verified(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let name = &self.spec.resources[index].text;
        self.stop = StopProgress::default();
        if *outcome == Outcome::NotRunning {
            self.members[index].state = ResourceState::Stopped;
            let text = format!("{name} failed to stop, but does not run any more; going on");
            ctx.out.push(Output::Alert { error: false, text });
            return;
        }
        let text = format!(
            "{name} cannot be stopped: {}. Group {} is blocked: it will not be started on the \
             other node. Stop it by hand, then `hb cleanup {}`",
            outcome.describe(),
            self.spec.key,
            self.spec.key
        );
        self.members[index].state = ResourceState::Failed;
        if self.goal == Goal::Released {
            self.blocked = true;
            self.reason = format!("{name} cannot be stopped");
        }
        ctx.out.push(Output::Alert { error: true, text });
    }

    fn start_done(&mut self, op: Running, outcome: &Outcome, ctx: &mut Context<'_>) {
        let index = op.member;
        match outcome {
            Outcome::Ok => self.members[index].state = ResourceState::Running,
            Outcome::NotRunning | Outcome::Failed { .. } | Outcome::TimedOut => {
                self.members[index].state = ResourceState::Failed;
                self.start_failed(index, outcome, ctx);
            }
            Outcome::CouldNotRun { .. } => {
                // An address was not asked for its status before; it may be there already.
                self.members[index].state = match self.spec.resources[index].built_in {
                    Some(_) => ResourceState::Failed,
                    None if op.known => ResourceState::Stopped,
                    None => ResourceState::Unknown,
                };
                self.start_failed(index, outcome, ctx);
            }
        }
    }

    /// The members to the left are stopped again; the group is offered to the peer after a while.
    fn start_failed(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if self.goal != Goal::Held {
            return;
        }
        let name = self.spec.resources[index].text.clone();
        let why = outcome.describe();
        self.failed = true;
        self.goal = Goal::Released;
        self.because(Cause::StartFailed, format!("{name} failed to start: {why}"));
        let text = format!("{name} of group {} failed to start here: {why}", self.spec.key);
        ctx.out.push(Output::Alert { error: true, text });
    }

    fn stop_done(&mut self, op: Running, outcome: &Outcome, ctx: &mut Context<'_>) {
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
        if self.goal == Goal::Held {
            self.stop = StopProgress::default();
            return;
        }
        let name = &self.spec.resources[index].text;
        self.stop.attempts += 1;
        if self.stop.attempts == 1 {
            let text = format!("{name} failed to stop ({}): trying again", outcome.describe());
            ctx.out.push(Output::Alert { error: false, text });
        }
        if self.stop.killed {
            // The next step looks whether it runs in spite of KILL.
            return;
        }
        if self.stop.attempts <= ctx.failure.stop_retries_max {
            self.stop.waits_for_retry = true;
            let delay = Duration::from_millis(ctx.failure.stop_retry_delay_ms);
            ctx.out.push(Output::SetTimer(Timer::StopRetry(self.spec.key.clone()), delay));
        }
    }

    fn announce_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if *outcome != Outcome::Ok {
            let name = &self.spec.resources[index].text;
            let text = format!("{name} could not be announced: {}", outcome.describe());
            ctx.out.push(Output::Alert { error: false, text });
        }
    }

    /// Takes the next step towards the goal unless one is under way.
    fn advance(&mut self, ctx: &mut Context<'_>) {
        if self.running.is_some() || self.stop.waits_for_retry || self.blocked {
            return;
        }
        if let Some(index) = self.probing {
            if index < self.members.len() {
                self.probing = Some(index + 1);
                return self.run(index, Action::Status, false, ctx);
            }
            self.probed(ctx);
        }
        match self.goal {
            Goal::Held => self.start_next(ctx),
            Goal::Released => self.stop_next(ctx),
        }
    }

    /// Everything runs: adopted. The first member or an address runs: a daemon was killed here
    /// while it started or stopped the group, which is released as a whole, for it may be served
    /// elsewhere. Only others run: left alone, because whoever started them was not heartbeat.
    fn probed(&mut self, ctx: &mut Context<'_>) {
        self.probing = None;
        let here = |index: &usize| {
            matches!(self.members[*index].state, ResourceState::Running | ResourceState::Failed)
        };
        let running: Vec<usize> = (0..self.members.len()).filter(here).collect();
        let all = self.members.iter().all(|member| member.state == ResourceState::Running);
        if all && self.goal == Goal::Released {
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

    fn start_next(&mut self, ctx: &mut Context<'_>) {
        let missing = |member: &Member| member.state != ResourceState::Running;
        let Some(index) = self.members.iter().position(missing) else {
            self.report(ctx);
            if let Some(index) = self.announcements.pop() {
                self.run(index, Action::Announce, false, ctx);
            }
            return;
        };
        if self.held_back {
            return;
        }
        // Setting an address is idempotent; an agent is asked first, as Heartbeat does.
        if self.spec.resources[index].built_in.is_some() || self.checked == Some(index) {
            self.run(index, Action::Start, false, ctx);
            self.members[index].state = ResourceState::Starting;
        } else {
            self.run(index, Action::Status, false, ctx);
        }
    }

    fn stop_next(&mut self, ctx: &mut Context<'_>) {
        if self.is_stopped() {
            return self.report(ctx);
        }
        // Once anything of the group is to be stopped, so is what could not be looked at.
        let there = |member: &Member| member.state != ResourceState::Stopped;
        let Some(index) = self.members.iter().rposition(there) else { return };
        if self.stop.killed {
            return self.run(index, Action::Status, false, ctx);
        }
        let kill = self.stop.attempts > ctx.failure.stop_retries_max;
        self.stop.killed = kill;
        self.run(index, Action::Stop, kill, ctx);
        self.members[index].state = ResourceState::Stopping;
    }

    fn run(&mut self, index: usize, action: Action, kill: bool, ctx: &mut Context<'_>) {
        *ctx.next_id += 1;
        let id = OpId(*ctx.next_id);
        let timeout = match action {
            Action::Start => ctx.operations.start_timeout_ms,
            Action::Stop => ctx.operations.stop_timeout_ms,
            Action::Status | Action::Announce | Action::Validate => {
                ctx.operations.status_timeout_ms
            }
        };
        let known = self.members[index].state != ResourceState::Unknown;
        self.running = Some(Running { id, action, member: index, known });
        ctx.out.push(Output::Run(Operation {
            id,
            group: self.spec.key.clone(),
            resource: self.spec.resources[index].clone(),
            action,
            timeout: Duration::from_millis(timeout),
            kill,
            monitor: false,
            probe: false,
        }));
    }

    fn end_stop_retries(&mut self, ctx: &mut Context<'_>) {
        if self.stop.waits_for_retry {
            ctx.out.push(Output::CancelTimer(Timer::StopRetry(self.spec.key.clone())));
        }
        self.stop = StopProgress::default();
    }

    fn because(&mut self, cause: Cause, reason: String) {
        self.cause = cause;
        self.reason = reason;
    }

    /// Each change of the claim is reported once, with its cause.
    fn report(&mut self, ctx: &mut Context<'_>) {
        let claim = self.claim();
        // A look at what runs here is no move.
        if claim == self.shown || self.is_probing() {
            return;
        }
        ctx.out.push(Output::Changed(Transition {
            group: Some(self.spec.key.clone()),
            from: self.shown.word().into(),
            to: claim.word().into(),
            cause: self.cause.word().into(),
            reason: self.reason.clone(),
        }));
        self.shown = claim;
        if claim == GroupClaim::Failed {
            // Not earlier: what is still being stopped cannot be given to the peer.
            let delay = Duration::from_millis(ctx.failure.offer_delay_ms);
            ctx.out.push(Output::SetTimer(Timer::OfferGroup(self.spec.key.clone()), delay));
        }
    }
}
