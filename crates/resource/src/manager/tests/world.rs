//! Two managers, the messages between them and the resources they run. Nothing happens by itself:
//! a test delivers, completes and fires. Each step is checked against the safety properties.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hb_config::settings::{
    AddressSpec, AgentSpec, AutoFailback, BuiltIn, GroupSpec, Native, NodeName, ResourceSpec,
};

use crate::group::{Group, ResourceState};
use crate::input::{Evidence, GroupClaim, Input, PeerMessage, PeerStatus, RequestId, Which};
use crate::manager::{Manager, ManagerConfig};
use crate::operation::{Action, OpId, Operation, Outcome};
use crate::output::{Answer, Output, Timer};
use crate::policy::Policy;

pub(super) const WEB: &str = "IPaddr::10.0.0.50";
pub(super) const MAIL: &str = "IPaddr::10.0.0.60";

pub(super) struct Side {
    pub(super) manager: Manager,
    pub(super) alive: bool,
    pub(super) running: BTreeSet<String>,
    /// Group and text of what was started and not stopped, as the daemon writes it down.
    pub(super) left: BTreeSet<(String, String)>,
    pub(super) pending: Vec<Operation>,
    pub(super) timers: BTreeSet<Timer>,
    pub(super) answers: BTreeMap<RequestId, Answer>,
    pub(super) alerts: Vec<String>,
    pub(super) log: Vec<String>,
    pub(super) has_left: bool,
    /// Answers to `Input::Retire`.
    pub(super) retired: Vec<Result<(), String>>,
    /// What ended by itself since its last start.
    pub(super) ended: BTreeSet<String>,
    /// Groups that may be started though the peer is lost.
    kept: BTreeSet<String>,
    /// Checks that were asked to end.
    pub(super) cancelled: BTreeSet<OpId>,
    /// Outcomes to give instead of the true ones.
    pub(super) faults: BTreeMap<(String, Action), Outcome>,
}

pub(super) struct World {
    pub(super) sides: [Side; 2],
    /// `wire[n]`: on the way to side `n`.
    pub(super) wire: [VecDeque<PeerMessage>; 2],
    pub(super) connected: bool,
    /// Prints each input and output, for a walk that is replayed because it failed.
    pub(super) verbose: bool,
    failback: AutoFailback,
    native: bool,
    /// How many of the groups there are.
    groups: usize,
    /// What hb.toml says, for the next boot.
    pub(super) policy: Policy,
    /// Both groups prefer node1, from the next boot on.
    pub(super) all_prefer_node1: bool,
}

fn resource(text: &str) -> ResourceSpec {
    let built_in = text.strip_prefix("IPaddr::").and_then(|ip| ip.parse().ok()).map(|ip| {
        BuiltIn::Address(AddressSpec {
            ip,
            prefix_len: None,
            interface: None,
            label: None,
            broadcast: None,
        })
    });
    let agent = AgentSpec::Script { name: text.into(), args: Vec::new() };
    ResourceSpec { text: text.into(), agent, built_in }
}

/// The kernel has said that a process of the resource was killed.
pub(super) fn hint(group: &str, resource: &str) -> Input {
    let (group, resource) = (group.to_owned(), resource.to_owned());
    Input::Look { group, resource, evidence: Evidence::ProcessEnded, reason: "killed".into() }
}

/// Without what repeats in each line.
fn brief(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.find(", agent: ") {
        let end = text[start..].find(", action").map_or(text.len(), |end| start + end);
        text.replace_range(start..end, "");
    }
    text
}

fn group(preferred: &str, resources: &[&str]) -> GroupSpec {
    GroupSpec {
        key: resources[0].into(),
        preferred: NodeName::new(preferred),
        resources: resources.iter().map(|text| resource(text)).collect(),
    }
}

/// With the first `groups` groups.
fn side(number: usize, failback: AutoFailback, groups: usize, policy: Policy) -> Side {
    let name = |number: usize| NodeName::new(["node1", "node2"][number]);
    let native = Native::default();
    let all = [group("node1", &[WEB, "nginx"]), group("node2", &[MAIL, "smtp", "imap"])];
    let config = ManagerConfig {
        node: name(number),
        peer: Some(name(1 - number)),
        groups: all.into_iter().take(groups).collect(),
        auto_failback: failback,
        operations: native.operations,
        failure: native.failure,
        policy,
    };
    Side {
        manager: Manager::new(config),
        alive: false,
        running: BTreeSet::new(),
        left: BTreeSet::new(),
        pending: Vec::new(),
        timers: BTreeSet::new(),
        answers: BTreeMap::new(),
        alerts: Vec::new(),
        log: Vec::new(),
        retired: Vec::new(),
        has_left: false,
        ended: BTreeSet::new(),
        kept: BTreeSet::new(),
        cancelled: BTreeSet::new(),
        faults: BTreeMap::new(),
    }
}

impl Manager {
    fn all_prefer(self, node: &NodeName) -> Self {
        let mut config = self.config;
        config.groups.iter_mut().for_each(|group| group.preferred = node.clone());
        Self::new(config)
    }
}

impl Side {
    /// Whether a timer runs that leads to more than a look.
    pub(super) fn waits(&self) -> bool {
        let moves = |timer: &Timer| {
            !matches!(timer, Timer::Monitor(..) | Timer::Ready(_) | Timer::ForgetFailures(..))
        };
        self.timers.iter().any(moves)
    }
}

impl World {
    pub(super) fn new(failback: AutoFailback) -> Self {
        let mut policy = Policy::default();
        policy.failback.stable_for_ms = Some(0);
        Self {
            sides: [0, 1].map(|number| side(number, failback, usize::MAX, policy.clone())),
            wire: [VecDeque::new(), VecDeque::new()],
            connected: true,
            verbose: false,
            failback,
            native: true,
            groups: usize::MAX,
            policy,
            all_prefer_node1: false,
        }
    }

    /// Side 1 is played by the test itself, as a 3.0.6 node.
    pub(super) fn with_legacy_peer(failback: AutoFailback) -> Self {
        let mut world = Self::new(failback);
        world.native = false;
        world
    }

    /// Both nodes off, with WEB alone, so that node2 has no group of its own.
    pub(super) fn with_one_group(failback: AutoFailback) -> Self {
        let mut world = Self::new(failback);
        world.groups = 1;
        world
    }

    /// Both nodes up, talking and at rest.
    pub(super) fn settled(failback: AutoFailback) -> Self {
        let mut world = Self::new(failback);
        world.boot(0);
        world.boot(1);
        world.rest();
        world
    }

    fn talks(&self) -> bool {
        self.connected && self.sides.iter().all(|side| side.alive && !side.has_left)
    }

    /// Power on, or the daemon's restart: what runs keeps running, the manager knows nothing.
    pub(super) fn boot(&mut self, number: usize) {
        let mut fresh = side(number, self.failback, self.groups, self.policy.clone());
        if self.all_prefer_node1 {
            fresh.manager = fresh.manager.all_prefer(&NodeName::new("node1"));
        }
        fresh.running = std::mem::take(&mut self.sides[number].running);
        fresh.left = std::mem::take(&mut self.sides[number].left);
        let left = Input::Left(fresh.left.clone());
        fresh.faults = std::mem::take(&mut self.sides[number].faults);
        fresh.alive = true;
        self.sides[number] = fresh;
        self.feed(number, left);
        // Older messages of either side are refused as replays, or came before `starting`.
        self.wire = [VecDeque::new(), VecDeque::new()];
        let other = 1 - number;
        if self.talks() {
            for (to, _) in [(number, other), (other, number)] {
                let known = self.sides[to].manager.peer.status;
                if to == other && known == PeerStatus::Active {
                    self.feed(to, Input::PeerRestarted);
                }
                self.feed(to, Input::PeerIsNative(self.native));
                self.feed(to, Input::Peer(PeerStatus::Starting));
                self.feed(to, Input::Peer(PeerStatus::Active));
            }
        } else {
            self.feed(number, Input::Peer(PeerStatus::Dead));
        }
        self.feed(number, Input::Started);
    }

    /// The machine is gone. The other side learns it when the test says so.
    pub(super) fn power_off(&mut self, number: usize) {
        let side = &mut self.sides[number];
        side.alive = false;
        side.running.clear();
        side.left.clear();
        side.pending.clear();
        side.timers.clear();
        self.wire = [VecDeque::new(), VecDeque::new()];
    }

    pub(super) fn declare_dead(&mut self, number: usize) {
        self.feed(1 - number, Input::Peer(PeerStatus::Dead));
    }

    pub(super) fn partition(&mut self) {
        self.connected = false;
        self.wire = [VecDeque::new(), VecDeque::new()];
        for number in [0, 1] {
            if self.sides[number].alive {
                self.feed(number, Input::Peer(PeerStatus::Dead));
            }
        }
    }

    /// Nothing gets through; what the two make of it is up to the test.
    pub(super) fn silence(&mut self) {
        self.connected = false;
        self.wire = [VecDeque::new(), VecDeque::new()];
    }

    pub(super) fn heal(&mut self) {
        self.connected = true;
        if !self.talks() {
            return;
        }
        for number in [0, 1] {
            let known = self.sides[number].manager.peer.status;
            if matches!(known, PeerStatus::Dead | PeerStatus::Lost) {
                self.feed(number, Input::PeerIsNative(self.native));
                self.feed(number, Input::Peer(PeerStatus::Active));
                self.feed(number, Input::PeerReturned);
            }
        }
    }

    pub(super) fn feed(&mut self, number: usize, input: Input) {
        if !self.sides[number].alive {
            return;
        }
        let mut out = Vec::new();
        self.trace(number, "in ", &input);
        self.sides[number].manager.handle(input, &mut out);
        self.note_kept(number);
        for output in out {
            self.trace(number, "out", &output);
            self.perform(number, output);
        }
    }

    /// What this side may still start once its peer is lost: what it has, or was allowed to take.
    fn note_kept(&mut self, number: usize) {
        let side = &mut self.sides[number];
        let lost = side.manager.peer.status == PeerStatus::Lost;
        if !lost {
            side.kept.clear();
        }
        side.kept.extend(side.manager.may_take.iter().cloned());
        let has = |group: &&Group| {
            if lost { group.claim() == GroupClaim::Held } else { group.is_wanted() }
        };
        let keys = side.manager.groups().filter(has).map(|group| group.key().to_owned());
        side.kept.extend(keys.collect::<Vec<_>>());
    }

    /// What each says of its maintenance with its status.
    pub(super) fn exchange_status(&mut self) {
        if !self.talks() {
            return;
        }
        for number in [0, 1] {
            let says = self.sides[1 - number].manager.in_maintenance();
            if self.sides[number].manager.maintenance().peer != says {
                self.feed(number, Input::PeerMaintenance(says));
            }
        }
    }

    #[expect(clippy::print_stdout, reason = "the trace of a failed walk")]
    fn trace(&self, number: usize, direction: &str, what: &impl std::fmt::Debug) {
        if self.verbose {
            println!("node{} {direction} {}", number + 1, brief(&format!("{what:?}")));
        }
    }

    pub(super) fn perform(&mut self, number: usize, output: Output) {
        match output {
            Output::Send(message) => {
                self.sides[number].log.push(format!("send {message:?}"));
                if self.talks() {
                    self.wire[1 - number].push_back(message);
                }
            }
            Output::Run(operation) => {
                self.check_operation(number, &operation);
                if operation.action == Action::Start {
                    let owner = (operation.group.clone(), operation.resource.text.clone());
                    self.sides[number].left.insert(owner);
                }
                self.sides[number].pending.push(Arc::unwrap_or_clone(operation));
            }
            Output::Cancel(op) => {
                let side = &mut self.sides[number];
                let pending = side.pending.iter().find(|operation| operation.id == op);
                let pending = pending.expect("what is cancelled is under way");
                assert!(pending.monitor, "only checks are cancelled");
                assert!(side.cancelled.insert(op), "cancelled once");
            }
            Output::SetTimer(timer, duration) => {
                self.sides[number].log.push(format!("set {timer:?} {duration:?}"));
                self.sides[number].timers.insert(timer);
            }
            Output::CancelTimer(timer) => {
                self.sides[number].timers.remove(&timer);
            }
            Output::Changed(change) => {
                assert!(!change.cause.is_empty() && !change.reason.is_empty(), "H2: {change:?}");
                assert_ne!(change.from, change.to, "H2: {change:?}");
                self.sides[number].log.push(format!("{}->{}", change.from, change.to));
            }
            Output::Answer(request, answer) => {
                let earlier = self.sides[number].answers.insert(request, answer);
                assert_eq!(earlier, None, "one answer per request");
            }
            Output::Alert { text, .. } => self.sides[number].alerts.push(text),
            Output::Stopped => self.sides[number].has_left = true,
            Output::Retired(result) => self.retired(number, result),
        }
    }

    fn check_operation(&self, number: usize, operation: &Operation) {
        let side = &self.sides[number];
        let group = side.manager.groups().find(|group| group.key() == operation.group);
        let group = group.expect("an operation of a known group");
        let spec = group.spec();
        // What the peer keeps is taken from the network first, beside everything else.
        let silences = |operation: &Operation| {
            let address = operation.resource.built_in.is_some();
            group.is_silencing() && operation.action == Action::Stop && address
        };
        let at = spec.resources.iter().position(|member| *member == operation.resource);
        let at = at.expect("a member of its group");
        let runs = |index: usize| side.running.contains(&spec.resources[index].text);
        let warm = |index: usize| {
            let text = &spec.resources[index].text;
            self.policy.resources.get(text).is_some_and(|options| options.warm)
        };
        let overlap = side.pending.iter().any(|pending| {
            let beside = pending.monitor
                || operation.monitor
                || silences(pending)
                || silences(operation)
                || !self.policy.resources.is_empty();
            pending.group == operation.group && (!beside || pending.resource == operation.resource)
        });
        assert!(!overlap, "no overlap: {operation:?}");
        let other = &self.sides[1 - number];
        // What the other side was not able to look at, it cannot speak of.
        let known = |name: &String| {
            let mut members = other.manager.groups().flat_map(|group| {
                group.spec().resources.iter().map(|spec| &spec.text).zip(group.members())
            });
            members.any(|(text, member)| text == name && member.state != ResourceState::Unknown)
        };
        let others = |index: usize| {
            let name = &spec.resources[index].text;
            !warm(index) && other.running.contains(name) && known(name)
        };
        let moves = matches!(operation.action, Action::Start | Action::Stop);
        assert!(!moves || !side.manager.in_maintenance(), "in maintenance: {operation:?}");
        if operation.action == Action::Start && side.manager.is_lost() && !warm(at) {
            let mine = side.kept.contains(&operation.group);
            assert!(mine, "S2: started though the lost peer may run it: {operation:?}");
        }
        match operation.action {
            Action::Start if warm(at) => {}
            Action::Start => {
                let believed = |index: usize| {
                    let mut groups = side.manager.groups();
                    let group = groups.find(|group| group.key() == operation.group);
                    let state = group.map(|group| group.members()[index].state);
                    let ended = side.ended.contains(&spec.resources[index].text);
                    ended && state == Some(ResourceState::Running)
                };
                let left = (0..at).all(|index| runs(index) || believed(index));
                assert!(left, "S3: started before what is left of it: {operation:?}");
                let there = (0..spec.resources.len()).any(others);
                let split = runs(0) || believed(0);
                assert!(
                    !there || !self.talks() || split,
                    "S1/S2: started while the peer, which is reachable, runs it: {operation:?}"
                );
            }
            Action::Stop => {
                let right = (at + 1..spec.resources.len()).any(|index| !warm(index) && runs(index));
                assert!(
                    !right || silences(operation),
                    "S3: stopped before what is right of it: {operation:?}"
                );
            }
            Action::Status | Action::Announce | Action::Validate => {}
        }
    }

    /// Whoever starts anew leaves nothing under way and nothing up that was to be released.
    fn retired(&mut self, number: usize, result: Result<(), String>) {
        let side = &mut self.sides[number];
        if result.is_ok() {
            assert!(side.pending.is_empty(), "retired with {:?} under way", side.pending);
            let moves = side.manager.groups().any(Group::in_transition);
            assert!(!moves, "retired in a transition");
        }
        side.retired.push(result);
    }

    /// The daemons that may start anew do.
    pub(super) fn restart_retired(&mut self) {
        for number in [0, 1] {
            let side = &self.sides[number];
            if side.alive && !side.has_left && side.retired.contains(&Ok(())) {
                self.boot(number);
            }
        }
    }

    /// Something ends by itself. Until its manager knows, it acts as if it ran.
    pub(super) fn ends(&mut self, number: usize, text: &str) {
        if self.sides[number].running.remove(text) {
            self.sides[number].ended.insert(text.to_owned());
        }
    }

    /// Hands over the next message on the way to this side.
    pub(super) fn deliver(&mut self, number: usize) -> bool {
        let Some(message) = self.wire[number].pop_front() else { return false };
        if self.sides[number].alive && !self.sides[number].has_left {
            self.feed(number, Input::Message(message));
        }
        true
    }

    /// Ends a pending operation as the machine would, or as `faults` says.
    pub(super) fn complete(&mut self, number: usize, index: usize) {
        let operation = self.sides[number].pending.remove(index);
        let name = operation.resource.text.clone();
        let side = &mut self.sides[number];
        let cancelled = side.cancelled.remove(&operation.id);
        let outcome = match side.faults.get(&(name.clone(), operation.action)) {
            _ if cancelled => Outcome::TimedOut,
            Some(outcome) => outcome.clone(),
            None => match operation.action {
                Action::Status if side.running.contains(&name) => Outcome::Ok,
                Action::Status => Outcome::NotRunning,
                Action::Start => {
                    side.running.insert(name.clone());
                    side.ended.remove(&name);
                    Outcome::Ok
                }
                Action::Stop => {
                    side.running.remove(&name);
                    Outcome::Ok
                }
                Action::Announce | Action::Validate => Outcome::Ok,
            },
        };
        if operation.action == Action::Stop && outcome == Outcome::Ok {
            side.left.remove(&(operation.group.clone(), name.clone()));
        }
        let (word, short) = (operation.action.word(), name.replace("IPaddr::10.0.0.", "ip"));
        side.log.push(format!("{word} {short}"));
        self.feed(number, Input::Done { op: operation.id, outcome });
    }

    /// Delivers and completes until nothing is under way. No timer fires.
    pub(super) fn rest(&mut self) {
        for _ in 0..10_000 {
            let delivered = self.deliver(0) | self.deliver(1);
            let mut completed = false;
            for number in [0, 1] {
                if !self.sides[number].pending.is_empty() {
                    self.complete(number, 0);
                    completed = true;
                }
            }
            if !delivered && !completed {
                return;
            }
        }
        panic!("L2: the two never come to rest: {:?}", self.wire);
    }

    /// Lets the windows run out until every group that shall go home has gone.
    pub(super) fn go_home(&mut self) {
        for _ in 0..20 {
            for number in [0, 1] {
                let window = |timer: &&Timer| matches!(timer, Timer::FailbackStable(_));
                if let Some(timer) = self.sides[number].timers.iter().find(window).cloned() {
                    self.fire(number, &timer);
                }
            }
            self.rest();
        }
    }

    pub(super) fn fire(&mut self, number: usize, timer: &Timer) {
        assert!(self.sides[number].timers.remove(timer), "{timer:?} is not set");
        self.feed(number, Input::Timer(timer.clone()));
    }

    pub(super) fn standby(&mut self, number: usize, id: u64, which: Which) {
        self.feed(number, Input::Standby { request: RequestId(id), which });
    }

    pub(super) fn answer(&self, number: usize, id: u64) -> &Answer {
        &self.sides[number].answers[&RequestId(id)]
    }

    pub(super) fn claim(&self, number: usize, key: &str) -> GroupClaim {
        let group = self.sides[number].manager.groups().find(|group| group.key() == key);
        group.expect("a known group").claim()
    }

    /// Who holds WEB and MAIL, as `"1/2"`; `-` for nobody, `*` for both.
    pub(super) fn owners(&self) -> String {
        let owner = |key| {
            let held: Vec<usize> = [0, 1]
                .into_iter()
                .filter(|n| self.sides[*n].alive && self.claim(*n, key) == GroupClaim::Held)
                .collect();
            match held.as_slice() {
                [] => "-".to_owned(),
                [one] => (one + 1).to_string(),
                _ => "*".to_owned(),
            }
        };
        format!("{}/{}", owner(WEB), owner(MAIL))
    }

    /// The log lines of a side that begin with one of `words`, since the last call.
    pub(super) fn took(&mut self, number: usize, words: &[&str]) -> Vec<String> {
        let log = std::mem::take(&mut self.sides[number].log);
        log.into_iter().filter(|line| words.iter().any(|word| line.starts_with(word))).collect()
    }
}
