//! The node-level machine: which groups this node shall have, and what it tells the peer.
//!
//! Untimed and level-triggered: each input updates what is known (`peer`, `dialogue`), then
//! `Manager::settle` derives what follows. A lost or repeated message therefore costs a
//! delay, never a dead end. How a group is started and stopped is in `group`.

mod breaker;
mod canonical;
mod dialogue;
mod failback;
mod maintenance;
mod peer;
mod retire;
mod settle;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::{AutoFailback, FailurePolicy, GroupSpec, NodeName, Operations};
use serde::{Deserialize, Serialize};

use crate::group::{Cause, Context, Group};
use crate::input::{GroupClaim, Holdings, Input, PeerMessage, PeerStatus, RequestId, Which};
use crate::operation::{GroupKey, OpId, Outcome};
use crate::output::{Answer, Output, Timer};
use crate::policy::Policy;
use dialogue::Dialogue;
pub use failback::FailbackState;
use failback::{Due, Home};
pub use maintenance::Maintenance;

/// What the manager must know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ManagerConfig {
    /// This node.
    pub node: NodeName,
    /// The other member; `None` when ha.cf names only this node.
    pub peer: Option<NodeName>,
    /// Groups in haresources order.
    pub groups: Vec<GroupSpec>,
    /// Whether groups go home. `Legacy` acts as `Off`.
    pub auto_failback: AutoFailback,
    /// Limits of agent actions.
    pub operations: Operations,
    /// What a failed start or stop leads to.
    pub failure: FailurePolicy,
    /// Watching, recovery, failback.
    pub policy: Policy,
}

/// Phase of the negotiation (Heartbeat 3.0.6, §7.1 of the protocol description).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Not started, or still looking at what runs here.
    Init,
    /// `starting` was sent, or waits for the peer to be ready for it.
    Starting,
    /// The peer has said `starting` as well.
    BothStarting,
    /// The peer has said what it holds.
    ResourcesReceived,
    /// Negotiated: transitions follow from events.
    Stable,
    /// Releasing everything.
    Stopping,
    /// Everything is released and the peer was told.
    Stopped,
}

impl Phase {
    /// The word in status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Starting => "starting",
            Self::BothStarting => "both starting",
            Self::ResourcesReceived => "resources received",
            Self::Stable => "stable",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// What is known of the peer; everything it said is void when it restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Peer {
    status: PeerStatus,
    native: bool,
    holdings: Option<Holdings>,
    stable: Option<bool>,
    groups: Option<BTreeMap<GroupKey, GroupClaim>>,
    /// What it said last belongs to a standby that it gives.
    gives: bool,
    /// It said `starting` to this node: it has just begun, and has nothing to end before.
    fresh: bool,
    /// It said `shutdone`: it holds nothing although it is not dead yet.
    left: bool,
    /// Groups that it could not stop before it left. They may still run there.
    blocked: BTreeSet<GroupKey>,
    /// It was away, and has not settled since.
    away: bool,
    /// A 3.0.6 peer has settled without its own groups, and nobody has them: they are asked for.
    #[serde(default)]
    orphans: bool,
    /// What a 3.0.6 peer asked to give, and did not begin to in time. It may have begun unheard.
    #[serde(default)]
    lapsed: Option<Which>,
}

impl Peer {
    fn new() -> Self {
        Self {
            status: PeerStatus::Unknown,
            native: false,
            holdings: None,
            stable: None,
            groups: None,
            gives: false,
            fresh: false,
            left: false,
            blocked: BTreeSet::new(),
            away: false,
            orphans: false,
            lapsed: None,
        }
    }

    fn forget(&mut self) {
        self.holdings = None;
        self.stable = None;
        self.groups = None;
        self.fresh = false;
        self.gives = false;
        self.orphans = false;
        self.lapsed = None;
    }
}

/// A message that was sent, kept to send it again only when it changed.
type Said = (Holdings, Option<bool>, Option<BTreeMap<GroupKey, GroupClaim>>);

/// The resource manager of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Manager {
    config: ManagerConfig,
    groups: Vec<Group>,
    phase: Phase,
    peer: Peer,
    dialogue: Dialogue,
    /// Sets this node stands for even where they contain no group (Heartbeat books them so).
    booked: Holdings,
    /// `starting` was sent to this incarnation of the peer.
    greeted: bool,
    /// The 10 s of a joint start with a 3.0.6 peer are over.
    waited: bool,
    /// Groups that prefer the peer may be here since it was away or reached fewer ping nodes.
    failback_due: Option<Due>,
    /// Groups that are to go home, as far as the peer is a Twinbeat node.
    going_home: BTreeMap<GroupKey, Home>,
    /// Returns of the peer within about an hour.
    returns: u8,
    /// Groups that may not go home at this time of day.
    shut: BTreeSet<GroupKey>,
    /// Groups that failed here while something else was under way: offered when that is over.
    offers: BTreeSet<GroupKey>,
    /// Groups that the peer could not run, as it says, and why.
    peer_unready: BTreeMap<GroupKey, String>,
    /// The peer reaches fewer ping nodes.
    peer_worse: bool,
    /// The peer claimed what this node keeps: announce again when it lets go.
    contested: BTreeSet<GroupKey>,
    /// Groups that may be taken although the peer is lost.
    may_take: BTreeSet<GroupKey>,
    /// The peer does not hear this node, and has taken these groups.
    unheard: Option<BTreeSet<GroupKey>>,
    /// Groups that this node had when the peer was lost, or has taken since: recovered in place.
    ours: BTreeSet<GroupKey>,
    maintenance: Maintenance,
    /// Groups that are left as they are: they had come to rest since maintenance began.
    frozen: BTreeSet<GroupKey>,
    /// This node stops in maintenance: its resources go on without it.
    leaves_running: bool,
    /// The daemon starts anew once these groups are released and everything is at rest.
    retiring: Option<BTreeSet<GroupKey>>,
    said: Option<Said>,
    next_id: u64,
    late_results: u64,
}

impl Manager {
    /// A manager that has seen nothing.
    pub fn new(config: ManagerConfig) -> Self {
        Self {
            groups: {
                let group = |spec: &GroupSpec| Group::new(spec.clone(), &config.policy);
                config.groups.iter().map(group).collect()
            },
            shut: failback::shut_at_first(&config),
            offers: BTreeSet::new(),
            config,
            phase: Phase::Init,
            peer: Peer::new(),
            dialogue: Dialogue::None,
            booked: Holdings::NONE,
            greeted: false,
            waited: false,
            failback_due: None,
            going_home: BTreeMap::new(),
            returns: 0,
            peer_unready: BTreeMap::new(),
            peer_worse: false,
            contested: BTreeSet::new(),
            may_take: BTreeSet::new(),
            unheard: None,
            ours: BTreeSet::new(),
            maintenance: Maintenance::default(),
            frozen: BTreeSet::new(),
            leaves_running: false,
            retiring: None,
            said: None,
            next_id: 0,
            late_results: 0,
        }
    }

    /// Feeds one input and appends, in the order they must happen, the outputs it causes.
    pub fn handle(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Left(left) => self.left_by_earlier(&left),
            Input::Started => self.started(out),
            Input::Peer(status) => self.peer_status(status, out),
            Input::PeerRestarted => self.peer_restarted(out),
            Input::PeerReturned => self.peer_returned(out),
            Input::PeerIsNative(native) => self.peer_is_native(native, out),
            Input::Message(message) => self.message(message, out),
            Input::Timer(timer) => self.timer(timer, out),
            Input::Done { op, outcome } => self.done(op, &outcome, out),
            Input::Standby { request, which } => self.standby(request, which, out),
            Input::Takeover { request, which } => self.takeover(request, which, out),
            Input::GiveUp { reason } => self.give_up(reason, out),
            Input::PeerIsWorse(worse) => self.peer_worse = worse,
            Input::Cleanup { request, group } => self.cleanup(request, group.as_deref(), out),
            Input::Stop => self.stop(out),
            Input::Retire { groups } => self.retire(groups, out),
            Input::Maintenance { request, on, limit } => {
                self.set_maintenance(request, on, limit, out);
            }
            Input::PeerMaintenance(on) => self.peer_maintenance(on, out),
            Input::MayTake(keys) => self.may_take = keys,
            Input::Unheard(taken) => self.unheard(taken, out),
            Input::FailbackShut(keys) => self.shut = keys,
            Input::PeerUnready(why) => self.peer_unready = why,
            Input::Look { group, resource, evidence, reason } => {
                self.look(&group, &resource, evidence, &reason, out);
            }
        }
        self.settle(out);
        self.tend(out);
    }

    /// Phase of the negotiation.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What this node stands for on the wire: a set counts as held while any of it may run here,
    /// so that a peer that knows only sets never starts what is not free.
    pub fn holdings(&self) -> Holdings {
        let holds = |local: bool, booked: bool| {
            let mut any = false;
            for group in self.groups.iter().filter(|group| self.prefers_us(group) == local) {
                any = true;
                if !group.is_released() && !group.is_probing() {
                    return true;
                }
            }
            booked && (!any || !self.peer.native)
        };
        Holdings {
            local: holds(true, self.booked.local),
            foreign: holds(false, self.booked.foreign),
        }
    }

    /// No transition is under way.
    pub fn is_stable(&self) -> bool {
        self.phase == Phase::Stable
            && self.retiring.is_none()
            && matches!(self.dialogue, Dialogue::None)
            && !self.groups.iter().any(Group::in_transition)
    }

    /// The only thing under way is a wish that the peer has not begun to answer. Heartbeat ignores
    /// a takeover, and every first step that arrives after it was told that we are in flux: the
    /// two may overtake each other.
    fn only_wants(&self) -> bool {
        let wishes = match self.dialogue {
            Dialogue::Wanting { .. } => true,
            Dialogue::Asked(_) => !self.peer.native,
            Dialogue::None
            | Dialogue::Releasing(_)
            | Dialogue::Given(..)
            | Dialogue::Taking(_)
            | Dialogue::Acquiring(_) => false,
        };
        self.phase == Phase::Stable && wishes && !self.groups.iter().any(Group::in_transition)
    }

    /// Why every group cannot be given to the peer at this moment; `None` when it can.
    pub fn why_not_give(&self) -> Option<String> {
        let all = Which::Sets(Holdings::ALL);
        self.cannot_move(&all).or_else(|| self.not_ready_there(&all))
    }

    /// `none`, `local`, `foreign`, `all` or `transition` (`cl_status rscstatus`).
    pub fn rscstatus(&self) -> &'static str {
        if self.is_stable() { self.holdings().word() } else { "transition" }
    }

    /// What the peer holds from its own point of view, as it last said.
    pub fn peer_holdings(&self) -> Option<Holdings> {
        self.peer.holdings
    }

    /// Whether the peer has no transition under way, as it last said.
    pub fn peer_stable(&self) -> Option<bool> {
        self.peer.stable
    }

    /// What a Twinbeat peer last said of each group.
    pub fn peer_groups(&self) -> Option<&BTreeMap<GroupKey, GroupClaim>> {
        self.peer.groups.as_ref()
    }

    /// Why this node gives groups to the peer at this moment, as a stable word; `None` when it does
    /// not.
    pub fn giving_for(&self) -> Option<&'static str> {
        self.dialogue.cause().map(Cause::word)
    }

    /// The groups in haresources order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Results of operations that nobody waited for any more.
    pub fn late_results(&self) -> u64 {
        self.late_results
    }

    fn prefers_us(&self, group: &Group) -> bool {
        group.spec().preferred == self.config.node
    }

    fn peer_name(&self) -> &str {
        self.config.peer.as_ref().map_or("the other node", NodeName::as_str)
    }

    /// Nobody else can run anything: there is no peer, it is dead, or it left in order.
    fn is_alone(&self) -> bool {
        self.config.peer.is_none() || self.peer.status == PeerStatus::Dead || self.peer.left
    }

    /// The peer is silent, but may run everything.
    fn is_lost(&self) -> bool {
        self.peer.status == PeerStatus::Lost && !self.is_alone()
    }

    fn peer_claim(&self, key: &str) -> Option<GroupClaim> {
        self.peer.groups.as_ref().and_then(|groups| groups.get(key).copied())
    }

    /// Indices of the groups that `which` means, seen from this node.
    fn selected(&self, which: &Which) -> Vec<usize> {
        let chosen = |group: &Group| match which {
            Which::Sets(sets) => {
                if self.prefers_us(group) {
                    sets.local
                } else {
                    sets.foreign
                }
            }
            Which::Group(key) => group.key() == key,
        };
        (0..self.groups.len()).filter(|index| chosen(&self.groups[*index])).collect()
    }

    /// The peer has just said that nothing of the group runs there. One that is dead, lost or left
    /// a while ago has said nothing lately, and somebody else may have the address since.
    fn peer_confirmed(&self, index: usize) -> bool {
        let active = self.peer.status == PeerStatus::Active && self.config.peer.is_some();
        let claim = self.peer_claim(self.groups[index].key());
        let released = match claim {
            Some(claim) => matches!(claim, GroupClaim::Released | GroupClaim::Failed),
            // A 3.0.6 giver has said `done`.
            None => {
                !self.peer.native
                    && matches!(self.dialogue, Dialogue::Acquiring(_))
                    && self.in_dialogue(index)
            }
        };
        active && (self.peer.left || released)
    }

    /// Borrows a group and what its steps need.
    fn with_group<T>(
        &mut self,
        index: usize,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Group, &mut Context<'_>) -> T,
    ) -> T {
        let peer_confirmed = self.peer_confirmed(index);
        let claim = self.peer_claim(self.groups[index].key());
        let peer_holds = claim == Some(GroupClaim::Held) && self.can_talk();
        let mut ctx = Context {
            next_id: &mut self.next_id,
            operations: self.config.operations,
            failure: self.config.failure,
            policy: &self.config.policy,
            peer_confirmed,
            peer_holds,
            out,
        };
        step(&mut self.groups[index], &mut ctx)
    }

    fn acquire(&mut self, index: usize, cause: Cause, reason: &str, out: &mut Vec<Output>) {
        self.with_group(index, out, |group, ctx| group.acquire(cause, reason.into(), ctx));
    }

    fn release(&mut self, index: usize, cause: Cause, reason: &str, out: &mut Vec<Output>) {
        self.with_group(index, out, |group, ctx| group.release(cause, reason.into(), ctx));
    }

    fn started(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Init {
            return;
        }
        self.phase = Phase::Starting;
        for index in 0..self.groups.len() {
            self.with_group(index, out, Group::probe);
        }
    }

    fn left_by_earlier(&mut self, left: &BTreeSet<(GroupKey, String)>) {
        for group in &mut self.groups {
            let key = group.key().to_owned();
            group.remember(&|text| left.contains(&(key.clone(), text.to_owned())));
        }
    }

    fn timer(&mut self, timer: Timer, out: &mut Vec<Output>) {
        match timer {
            Timer::StartupWait => self.startup_waited(out),
            Timer::StandbyAnswer => self.no_answer(out),
            Timer::StandbyEnd => self.dialogue_too_long(out),
            Timer::FailbackRetry => self.due_home(Due::Back),
            Timer::OfferGroup(key) => self.offer(&key, out),
            Timer::AskAgain(key) => self.with_key(&key, out, Group::ask_again),
            Timer::StopRetry(key) => self.with_key(&key, out, Group::retry_stop),
            Timer::AnnounceAgain => self.announce_contested(out),
            Timer::TakeContested => self.take_contested(out),
            Timer::Monitor(key, member) => {
                self.with_key(&key, out, |group, _| group.monitor_due(member));
            }
            Timer::ForgetFailures(key, member) => self.forget_member(&key, member, out),
            Timer::Retry(key) => self.retry(&key, out),
            Timer::Ready(key) => self.with_key(&key, out, |group, _| group.ready_due()),
            Timer::FailbackStable(key) => self.window_over(&key, out),
            Timer::ForgetReturns => self.returns = 0,
            Timer::MaintenanceEnd => self.maintenance_over(out),
            Timer::Linger => {
                if self.phase == Phase::Stopped {
                    out.push(Output::Stopped);
                }
            }
        }
    }

    /// The 10 s of a joint start are over; a 3.0.6 peer that has said nothing by then never will.
    fn startup_waited(&mut self, out: &mut Vec<Output>) {
        if self.peer.native {
            return self.greet_again(out);
        }
        self.waited = true;
        if self.phase != Phase::Stable && self.peer.holdings.is_none() {
            let text = format!(
                "{} does not say what it holds, so nothing is started here. If its ha.cf has no \
                 `auto_failback on` or `off`, add it there: the legacy mode cannot be mixed",
                self.peer_name()
            );
            out.push(Output::Alert { error: true, text });
        }
    }

    fn done(&mut self, op: OpId, outcome: &Outcome, out: &mut Vec<Output>) {
        for index in 0..self.groups.len() {
            if self.with_group(index, out, |group, ctx| group.done(op, outcome, ctx)) {
                return;
            }
        }
        self.late_results += 1;
    }

    fn cleanup(&mut self, request: RequestId, key: Option<&str>, out: &mut Vec<Output>) {
        if let Some(reason) = self.in_maintenance_words() {
            out.push(Output::Answer(request, Answer::Refused { reason }));
            return;
        }
        let named = |group: &Group| key.is_none_or(|key| group.key() == key);
        let chosen: Vec<usize> =
            (0..self.groups.len()).filter(|index| named(&self.groups[*index])).collect();
        if chosen.is_empty() {
            out.push(Output::Answer(request, Answer::Refused { reason: self.unknown_group(key) }));
            return;
        }
        for index in chosen {
            self.peer.blocked.remove(self.groups[index].key());
            let reason = "an operator had the failure forgotten";
            self.with_group(index, out, |group, ctx| group.cleanup(Cause::Cleanup, reason, ctx));
        }
        self.ask_back(&Which::Sets(Holdings::ALL), out);
        let text = "failures forgotten; trying again where something is to be done".into();
        out.push(Output::Answer(request, Answer::Done { text }));
    }

    fn unknown_group(&self, key: Option<&str>) -> String {
        let known: Vec<&str> = self.groups.iter().map(Group::key).collect();
        format!(
            "no group {}; haresources has: {}",
            key.unwrap_or_default(),
            if known.is_empty() { "none".into() } else { known.join(", ") }
        )
    }

    fn stop(&mut self, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Stopping | Phase::Stopped => return,
            Phase::Init => {
                self.phase = Phase::Stopped;
                out.push(Output::Stopped);
                return;
            }
            Phase::Starting | Phase::BothStarting | Phase::ResourcesReceived | Phase::Stable => {}
        }
        self.cancel_dialogue("this node stops", out);
        self.phase = Phase::Stopping;
        if self.hands_off() && self.leave_running(out) {
            return;
        }
        self.booked = Holdings::NONE;
        self.end_windows(out);
        self.failback_due = None;
        for timer in [Timer::StartupWait, Timer::FailbackRetry] {
            out.push(Output::CancelTimer(timer));
        }
        for index in 0..self.groups.len() {
            let key = self.groups[index].key().to_owned();
            out.push(Output::CancelTimer(Timer::OfferGroup(key)));
            self.release(index, Cause::Shutdown, "this node stops", out);
        }
        if self.can_talk() {
            self.say(Some("shutdown"), out);
        }
    }

    /// Whether resource messages reach the peer.
    fn can_talk(&self) -> bool {
        self.config.peer.is_some() && self.peer.status == PeerStatus::Active && !self.peer.left
    }
}
