//! One resource group: started left to right, stopped right to left, one step at a time, with checks
//! beside the steps.
//!
//! A group has a *goal*; each finished operation leads to the next step towards it, so that a change
//! of mind in the middle needs no case of its own. Which goal a group has is the manager's decision.
//! How members are checked is in `monitor`, what follows when one fails in `recover`, how stops are
//! repeated and escalated in `stop`, what runs on both nodes in `warm`, and whether a group that is
//! not held could be in `ready`.

mod canonical;
mod cause;
mod in_use;
mod member;
mod monitor;
mod probe;
mod ready;
mod recover;
mod stop;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{FailurePolicy, GroupSpec, Operations};
use serde::{Deserialize, Serialize};

use crate::input::{Evidence, GroupClaim};
use crate::operation::{Action, IN_USE, IN_USE_BY_PEER, OpId, Operation, Outcome};
use crate::output::{Output, Timer, Transition};
use crate::policy::Policy;
pub use cause::Cause;
use in_use::InUse;
pub use member::{Member, ResourceState};
use member::{Watch, is_address, is_script};
use ready::Ready;
use recover::Breaker;
pub(crate) use recover::in_words;
use stop::StopProgress;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Goal {
    Held,
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Running {
    id: OpId,
    action: Action,
    member: usize,
    /// Whether it was known, before this operation, if the member runs.
    known: bool,
}

/// What a step needs besides the group.
pub(crate) struct Context<'a> {
    pub(crate) next_id: &'a mut u64,
    pub(crate) operations: Operations,
    pub(crate) failure: FailurePolicy,
    pub(crate) policy: &'a Policy,
    /// The peer has just said, in a dialogue or by its claim, that nothing of the group runs there:
    /// nobody is asked for an address before it is set.
    pub(crate) peer_confirmed: bool,
    /// The peer says that it holds the group.
    pub(crate) peer_holds: bool,
    pub(crate) out: &'a mut Vec<Output>,
}

/// One resource group on this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    spec: GroupSpec,
    members: Vec<Member>,
    goal: Goal,
    running: Option<Running>,
    /// The member to be looked at next, while what runs here is being found out.
    probing: Option<usize>,
    /// The member because of which the group failed here, as long as that counts.
    failed: Option<usize>,
    blocked: bool,
    /// A daemon before this one had all of it, and only parts of it still run: it is completed once
    /// nobody else has it, and let go as soon as somebody does.
    in_part: bool,
    /// The peer may run it: nothing more is started until it says otherwise.
    held_back: bool,
    /// The member whose status was asked for in this acquisition.
    checked: Option<usize>,
    stop: StopProgress,
    in_use: InUse,
    /// The members from here rightwards are stopped before they are started again.
    recovering: Option<usize>,
    /// All of it has run since it was acquired: a failure is one of a service and not of its start.
    was_held: bool,
    /// Hands off: checks go on, nothing is started or stopped.
    maintenance: bool,
    /// The node stops: warm members stop as well.
    stopping: bool,
    /// The peer has it and keeps it: what answers to the network here is taken away first.
    silencing: bool,
    breaker: Breaker,
    ready: Ready,
    /// Members still to be announced, the next one last.
    announcements: Vec<usize>,
    cause: Cause,
    reason: String,
    shown: GroupClaim,
}

impl Group {
    pub(crate) fn new(spec: GroupSpec, policy: &Policy) -> Self {
        let warm: Vec<bool> =
            spec.resources.iter().map(|resource| policy.is_warm(&resource.text)).collect();
        // Something must move, or both nodes would hold the group.
        let any_moves = warm.iter().any(|warm| !warm);
        Self {
            members: warm.into_iter().map(|warm| Member::new(warm && any_moves)).collect(),
            spec,
            goal: Goal::Released,
            running: None,
            probing: None,
            failed: None,
            blocked: false,
            in_part: false,
            held_back: false,
            checked: None,
            stop: StopProgress::default(),
            in_use: InUse::default(),
            recovering: None,
            was_held: false,
            maintenance: false,
            stopping: false,
            silencing: false,
            breaker: Breaker::default(),
            ready: Ready::default(),
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
            Goal::Released if self.failed.is_some() => GroupClaim::Failed,
            Goal::Released => GroupClaim::Released,
        }
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probing.is_some()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
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

    /// Something is under way, or must still be stopped because the node stops.
    pub(crate) fn is_busy(&self) -> bool {
        let beside = self.members.iter().any(|member| member.beside.is_some());
        let more = self.stopping && !self.blocked && self.to_stop().is_some();
        self.running.is_some() || beside || more
    }

    /// The step of the group that is under way: its id, what it does and to which member.
    pub fn operation_under_way(&self) -> Option<(OpId, Action, usize)> {
        self.running.map(|op| (op.id, op.action, op.member))
    }

    /// What is under way on the member with this index: a step of the group, or a check.
    pub fn under_way(&self, member: usize) -> Option<(OpId, Action)> {
        let step = self.running.filter(|op| op.member == member).map(|op| (op.id, op.action));
        let beside = || self.members.get(member)?.beside.map(|op| (op.id, op.action));
        step.or_else(beside)
    }

    /// Nothing of it runs here, as far as is known. Warm members do not count.
    fn is_stopped(&self) -> bool {
        let at_rest = |member: &Member| {
            member.warm || matches!(member.state, ResourceState::Stopped | ResourceState::Unknown)
        };
        let idle = |op: Running| op.action == Action::Announce || self.members[op.member].warm;
        self.members.iter().all(at_rest) && self.running.is_none_or(idle)
    }

    pub(crate) fn acquire(&mut self, cause: Cause, reason: String, ctx: &mut Context<'_>) {
        if self.goal == Goal::Held && !self.blocked {
            return;
        }
        self.goal = Goal::Held;
        self.blocked = false;
        self.silencing = false;
        self.was_held = false;
        self.recovering = None;
        self.checked = None;
        // What spoke against it is put to the test; a warm member that runs is not started again.
        self.members.iter_mut().for_each(|member| member.unready = None);
        if self.failed.take().is_some() {
            ctx.out.push(Output::CancelTimer(Timer::OfferGroup(self.spec.key.clone())));
        }
        self.end_pause(ctx);
        self.end_stop_retries(ctx);
        self.end_asking(ctx);
        self.because(cause, reason);
        self.report(ctx);
        self.advance(ctx);
    }

    pub(crate) fn release(&mut self, cause: Cause, reason: String, ctx: &mut Context<'_>) {
        self.stopping |= cause == Cause::Shutdown;
        if self.goal == Goal::Released && !self.is_probing() {
            return self.advance(ctx);
        }
        self.goal = Goal::Released;
        self.in_part = false;
        self.silencing = cause == Cause::Conflict;
        self.recovering = None;
        self.announcements.clear();
        self.end_asking(ctx);
        self.because(cause, reason);
        self.report(ctx);
        self.advance(ctx);
    }

    /// Forgets failures; a blocked group tries its stop again.
    pub(crate) fn cleanup(&mut self, cause: Cause, reason: &str, ctx: &mut Context<'_>) {
        ctx.out.push(Output::CancelTimer(Timer::OfferGroup(self.spec.key.clone())));
        self.forgive(ctx);
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
        let address = |index: &usize| is_address(&self.spec.resources[*index]);
        self.announcements = (0..self.members.len()).rev().filter(address).collect();
        self.advance(ctx);
    }

    /// Whether the next member may be started. What runs keeps running.
    pub(crate) fn hold_back(&mut self, held_back: bool, ctx: &mut Context<'_>) {
        if std::mem::replace(&mut self.held_back, held_back) && !held_back {
            self.advance(ctx);
        }
    }

    /// Takes the result of an operation; `false` when none such is under way.
    pub(crate) fn done(&mut self, id: OpId, outcome: &Outcome, ctx: &mut Context<'_>) -> bool {
        let beside = |member: &Member| member.beside.as_ref().is_some_and(|beside| beside.id == id);
        if let Some(op) = self.running.take_if(|op| op.id == id) {
            self.step_done(op, outcome, ctx);
        } else if let Some(index) = self.members.iter().position(beside) {
            self.beside_done(index, outcome, ctx);
        } else {
            return false;
        }
        self.report(ctx);
        self.advance(ctx);
        true
    }

    fn step_done(&mut self, op: Running, outcome: &Outcome, ctx: &mut Context<'_>) {
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
    }

    /// What ran beside the steps of the group has ended.
    fn beside_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        let Some(op) = self.members[index].beside.take() else { return };
        match op.action {
            _ if op.cancelled => {}
            Action::Status if op.check => self.check_done(index, outcome, ctx),
            Action::Validate => self.validate_done(index, outcome, ctx),
            Action::Stop if !self.members[index].warm => self.silenced(index, outcome),
            Action::Status | Action::Start | Action::Stop | Action::Announce => {
                self.warm_done(index, op.action, outcome, ctx);
            }
        }
    }

    fn start_done(&mut self, op: Running, outcome: &Outcome, ctx: &mut Context<'_>) {
        let index = op.member;
        match outcome {
            Outcome::Ok => {
                let script = is_script(&self.spec.resources[index]);
                self.members[index].started(script);
                self.end_asking(ctx);
            }
            Outcome::Failed { code: Some(IN_USE_BY_PEER | IN_USE), .. } => {
                self.address_in_use(index, outcome, ctx);
            }
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

    fn announce_done(&mut self, index: usize, outcome: &Outcome, ctx: &mut Context<'_>) {
        if *outcome != Outcome::Ok {
            let name = &self.spec.resources[index].text;
            let text = format!("{name} could not be announced: {}", outcome.describe());
            ctx.out.push(Output::Alert { error: false, text });
        }
    }

    /// Takes the next step towards the goal unless one is under way.
    fn advance(&mut self, ctx: &mut Context<'_>) {
        self.silence(ctx);
        let waits = self.stop.waits_for_retry || self.in_use.is_waiting();
        if self.running.is_some() || waits || self.blocked {
            return;
        }
        if let Some(index) = self.probing {
            if index < self.members.len() {
                self.probing = Some(index + 1);
                return self.run(index, Action::Status, false, ctx);
            }
            self.probed(ctx);
            // What was found may be announced already.
            if self.running.is_some() {
                return self.report(ctx);
            }
        }
        match self.goal {
            _ if self.maintenance => {
                if self.claim() == GroupClaim::Held {
                    self.announce_next(ctx);
                }
            }
            Goal::Held => {
                if !self.stop_next(ctx) {
                    self.recovering = None;
                    self.start_next(ctx);
                }
            }
            Goal::Released => {
                self.stop_next(ctx);
            }
        }
        self.report(ctx);
    }

    fn start_next(&mut self, ctx: &mut Context<'_>) {
        let missing = |member: &Member| member.state != ResourceState::Running;
        let Some(index) = self.members.iter().position(missing) else {
            self.report(ctx);
            return self.announce_next(ctx);
        };
        if self.held_back || !self.is_free(index, ctx) {
            return;
        }
        // Setting an address is idempotent, and what was stopped a moment ago does not run; any
        // other agent is asked first, as Heartbeat does.
        let stopped = self.was_held && self.members[index].state == ResourceState::Stopped;
        let built_in = self.spec.resources[index].built_in.is_some();
        if built_in || stopped || self.checked == Some(index) {
            self.run(index, Action::Start, false, ctx);
            self.members[index].state = ResourceState::Starting;
        } else {
            self.run(index, Action::Status, false, ctx);
        }
    }

    fn announce_next(&mut self, ctx: &mut Context<'_>) {
        if let Some(index) = self.announcements.last().copied()
            && self.is_free(index, ctx)
        {
            self.announcements.pop();
            self.run(index, Action::Announce, false, ctx);
        }
    }

    /// Whether nothing is under way beside that is done to this member; a check is cancelled, and
    /// whoever needs the member waits for its end.
    fn is_free(&mut self, index: usize, ctx: &mut Context<'_>) -> bool {
        self.cancel_check(index, ctx);
        self.members[index].beside.is_none()
    }

    /// Something else is to be done first. What the check would have said is asked again after it.
    fn cancel_check(&mut self, index: usize, ctx: &mut Context<'_>) {
        let member = &mut self.members[index];
        if let Some(op) = &mut member.beside
            && op.check
            && !op.cancelled
        {
            op.cancelled = true;
            if op.action == Action::Status {
                member.watch = Watch::Due;
            }
            ctx.out.push(Output::Cancel(op.id));
        }
    }

    fn run(&mut self, index: usize, action: Action, kill: bool, ctx: &mut Context<'_>) {
        let known = self.members[index].state != ResourceState::Unknown;
        // What was held here a moment ago is put back at once.
        let free = ctx.peer_confirmed || self.was_held || self.in_use.is_over();
        let asks = action == Action::Start && !free;
        let probe = asks && is_address(&self.spec.resources[index]);
        let operation = self.operation(index, action, ctx);
        self.running = Some(Running { id: operation.id, action, member: index, known });
        ctx.out.push(Output::Run(Arc::new(Operation { kill, probe, ..operation })));
    }

    fn operation(&self, index: usize, action: Action, ctx: &mut Context<'_>) -> Operation {
        *ctx.next_id += 1;
        let timeout = match action {
            Action::Start => ctx.operations.start_timeout_ms,
            Action::Stop => ctx.operations.stop_timeout_ms,
            Action::Status | Action::Announce | Action::Validate => {
                ctx.operations.status_timeout_ms
            }
        };
        Operation {
            id: OpId(*ctx.next_id),
            group: self.spec.key.clone(),
            resource: self.spec.resources[index].clone(),
            action,
            timeout: Duration::from_millis(timeout),
            kill: false,
            monitor: false,
            probe: false,
        }
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
        if claim == GroupClaim::Held {
            self.in_part = false;
            self.was_held = true;
            self.breaker = Breaker::default();
        }
        if claim == GroupClaim::Failed {
            // Not earlier: what is still being stopped cannot be given to the peer.
            let delay = if self.was_held { 0 } else { ctx.failure.offer_delay_ms };
            let timer = Timer::OfferGroup(self.spec.key.clone());
            ctx.out.push(Output::SetTimer(timer, Duration::from_millis(delay)));
        }
    }
}
