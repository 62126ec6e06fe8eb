//! Drives the real manager of node1 through all states that it reaches with the inputs that concern
//! one group of an address and a service, and notes what each input leads to.
#![expect(clippy::disallowed_types, reason = "looked up, never iterated")]

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use hb_config::settings::{
    AddressSpec, AgentSpec, AutoFailback, BuiltIn, GroupSpec, NodeName, ResourceSpec,
};
use hb_resource::group::Group;
use hb_resource::input::{
    GroupClaim, Holdings, Input, PeerMessage, PeerStatus, RequestId, StandbyStep, Which,
};
use hb_resource::manager::{Manager, ManagerConfig, Phase};
use hb_resource::operation::{Action, Operation, Outcome};
use hb_resource::output::{Output, Timer};
use hb_resource::policy::Policy;

/// The group: an address, which the daemon sets itself, and a service with an OCF agent.
const ADDRESS: &str = "IPaddr::10.0.0.50";
const SERVICE: &str = "ocf::web";
/// States of the manager that look alike to people (same phase, claim and step) and are tried with
/// every input: the nearest ones. They differ in counters, timers and what the peer said last; all of
/// them are some hundred thousand, and more of them add no row that matters.
pub(super) const ALIKE_MAX: usize = 150;

/// What an input led to: the next state, and the operations that were begun.
pub(super) type Next = (String, BTreeSet<String>);

/// Everything that was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Different states of the manager.
    pub(super) states: usize,
    /// Steps from one to another.
    pub(super) steps: usize,
    /// State of the group and input: where it led. What changes nothing is left out.
    pub(super) group: BTreeMap<String, BTreeMap<String, BTreeSet<Next>>>,
    /// Phase of the node and input: where it led and what was said.
    pub(super) phase: BTreeMap<Phase, BTreeMap<String, BTreeSet<Next>>>,
    /// Claim before and after: the causes.
    pub(super) moves: BTreeMap<(String, String), BTreeSet<String>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    manager: Manager,
    pending: Vec<Operation>,
    timers: BTreeSet<Timer>,
}

/// What is tried together. Everything at once would be a table that nobody can read, and hours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The peer is dead: agents fail in every way, operators clean up, services are watched.
    Alone,
    /// The peer lives, dies, claims and asks; agents work, or fail to start.
    Paired,
}

/// Every state with every input.
pub(super) fn all() -> Seen {
    let mut seen = Seen::default();
    for scope in [Scope::Alone, Scope::Paired] {
        explore(scope, &mut seen);
    }
    seen
}

fn explore(scope: Scope, seen: &mut Seen) {
    let first = State {
        manager: Manager::new(config(scope)),
        pending: Vec::new(),
        timers: BTreeSet::new(),
    };
    let mut alike: BTreeMap<(Phase, String), usize> = BTreeMap::new();
    let mut known = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([first]);
    while let Some(state) = queue.pop_front() {
        for (name, input) in inputs(scope, &state) {
            let mut next = state.clone();
            let outputs = feed(&mut next, input);
            note(seen, &state, &next, &name, &outputs);
            let alike = alike.entry((next.manager.phase(), label(&next))).or_default();
            if *alike < ALIKE_MAX && known.insert(next.clone()) {
                *alike += 1;
                queue.push_back(next);
            }
        }
    }
    seen.states += known.len();
}

fn config(scope: Scope) -> ManagerConfig {
    let mut native = hb_config::settings::Native::default();
    native.monitor.ready_interval_ms = 0;
    native.monitor.enabled = scope == Scope::Alone;
    native.failure.stop_retries_max = 1;
    native.recovery.restarts_max = 1;
    let policy = Policy {
        monitor: native.monitor,
        recovery: native.recovery,
        failback: native.failback,
        address: native.address,
        resources: BTreeMap::new(),
        groups: BTreeMap::new(),
        deadtime_ms: 1_000,
    };
    let address = AddressSpec {
        ip: std::net::Ipv4Addr::new(10, 0, 0, 50).into(),
        prefix_len: None,
        interface: None,
        label: None,
        broadcast: None,
    };
    let agent = |name: &str| AgentSpec::Ocf {
        provider: "heartbeat".into(),
        kind: name.into(),
        parameters: Vec::new(),
    };
    let resource =
        |text: &str, built_in| ResourceSpec { text: text.into(), agent: agent(text), built_in };
    let group = GroupSpec {
        key: ADDRESS.into(),
        preferred: NodeName::new("node1"),
        resources: vec![
            resource(ADDRESS, Some(BuiltIn::Address(address))),
            resource(SERVICE, None),
        ],
    };
    ManagerConfig {
        node: NodeName::new("node1"),
        peer: Some(NodeName::new("node2")),
        groups: vec![group],
        auto_failback: AutoFailback::Off,
        operations: native.operations,
        failure: native.failure,
        policy,
    }
}

fn short(text: &str) -> &'static str {
    if text == ADDRESS { "address" } else { "service" }
}

/// The inputs that mean something in a state, each with its name in the table.
fn inputs(scope: Scope, state: &State) -> Vec<(String, Input)> {
    let mut inputs = Vec::new();
    let mut add = |name: &str, input: Input| inputs.push((name.to_owned(), input));
    let dead = ("peer dead", Input::Peer(PeerStatus::Dead));
    let active = ("peer active", Input::Peer(PeerStatus::Active));
    if state.manager.phase() == Phase::Init {
        add(dead.0, dead.1);
        if scope == Scope::Paired {
            add(active.0, active.1);
            add("native peer", Input::PeerIsNative(true));
        }
        add("node active", Input::Started);
        return inputs;
    }
    match scope {
        Scope::Alone => {
            let request = RequestId(1);
            add("operator: cleanup", Input::Cleanup { request, group: None });
        }
        Scope::Paired => {
            add(dead.0, dead.1);
            add(active.0, active.1);
            add("peer lost", Input::Peer(PeerStatus::Lost));
            for (name, input) in of_peer() {
                add(&name, input);
            }
        }
    }
    add("operator: stop", Input::Stop);
    for timer in &state.timers {
        add(&format!("timer: {}", timer_word(timer)), Input::Timer(timer.clone()));
    }
    for operation in &state.pending {
        for (how, outcome) in outcomes(scope, operation) {
            let name = format!("{} {how}", words(operation));
            add(&name, Input::Done { op: operation.id, outcome });
        }
    }
    inputs
}

/// What the peer says, and what operators ask of the two.
fn of_peer() -> Vec<(String, Input)> {
    let claims = [GroupClaim::Released, GroupClaim::Held, GroupClaim::Failed];
    let claim =
        |claim: GroupClaim| (format!("peer says: {}", claim.word()), Input::Message(says(claim)));
    let mut inputs: Vec<(String, Input)> = claims.map(claim).to_vec();
    let which = Which::Sets(Holdings::ALL);
    for (name, step) in
        [("asks", StandbyStep::Me), ("agrees", StandbyStep::Other), ("done", StandbyStep::Done)]
    {
        let message = PeerMessage::AskResources { which: which.clone(), step };
        inputs.push((format!("standby: peer {name}"), Input::Message(message)));
    }
    let request = RequestId(1);
    inputs.push(("peer stopped".into(), Input::Message(PeerMessage::Shutdone)));
    inputs.push(("operator: standby".into(), Input::Standby { request, which: which.clone() }));
    inputs.push(("operator: takeover".into(), Input::Takeover { request, which }));
    inputs
}

/// A peer that holds the group, or not, and has settled.
fn says(claim: GroupClaim) -> PeerMessage {
    PeerMessage::Resources {
        holdings: Holdings { local: false, foreign: claim == GroupClaim::Held },
        full: true,
        stable: Some(true),
        info: None,
        groups: Some(BTreeMap::from([(ADDRESS.to_owned(), claim)])),
    }
}

fn timer_word(timer: &Timer) -> &'static str {
    match timer {
        Timer::StartupWait => "joint start",
        Timer::StandbyAnswer => "no answer to standby",
        Timer::StandbyEnd => "standby takes long",
        Timer::FailbackRetry => "failback again",
        Timer::OfferGroup(_) => "offer the group",
        Timer::StopRetry(_) => "stop again",
        Timer::AnnounceAgain => "announce again",
        Timer::TakeContested => "take contested",
        Timer::Linger => "linger",
        Timer::Monitor(_, 0) => "check the address",
        Timer::Monitor(..) => "check the service",
        Timer::ForgetFailures(..) => "forget failures",
        Timer::Retry(_) => "next attempt",
        Timer::Ready(_) => "look whether ready",
        Timer::FailbackStable(_) => "failback window",
        Timer::ForgetReturns => "forget returns",
        Timer::AskAgain(_) => "ask for the address again",
        Timer::MaintenanceEnd => "maintenance ends",
    }
}

fn words(operation: &Operation) -> String {
    let member = short(&operation.resource.text);
    match (operation.action, operation.monitor, operation.kill) {
        (Action::Status, true, _) => format!("check {member}"),
        (Action::Status, false, _) => format!("look at {member}"),
        (Action::Stop, _, true) => format!("stop {member} with KILL"),
        (Action::Start | Action::Stop | Action::Announce | Action::Validate, ..) => {
            format!("{} {member}", operation.action.word())
        }
    }
}

fn outcomes(scope: Scope, operation: &Operation) -> Vec<(&'static str, Outcome)> {
    let failed = Outcome::Failed { code: Some(1), reason: String::new() };
    match operation.action {
        Action::Status => {
            vec![("→ runs", Outcome::Ok), ("→ does not run", Outcome::NotRunning)]
        }
        Action::Stop if scope == Scope::Paired => vec![("→ ok", Outcome::Ok)],
        Action::Start | Action::Stop => vec![("→ ok", Outcome::Ok), ("→ failed", failed)],
        Action::Announce | Action::Validate => vec![("→ ok", Outcome::Ok)],
    }
}

fn feed(state: &mut State, input: Input) -> Vec<Output> {
    if let Input::Timer(timer) = &input {
        state.timers.remove(timer);
    }
    if let Input::Done { op, .. } = &input {
        state.pending.retain(|operation| operation.id != *op);
    }
    let mut outputs = Vec::new();
    state.manager.handle(input, &mut outputs);
    for output in &outputs {
        match output {
            Output::Run(operation) => state.pending.push((**operation).clone()),
            Output::SetTimer(timer, _) => {
                state.timers.insert(timer.clone());
            }
            Output::CancelTimer(timer) => {
                state.timers.remove(timer);
            }
            Output::Send(_)
            | Output::Cancel(_)
            | Output::Changed(_)
            | Output::Answer(..)
            | Output::Alert { .. }
            | Output::Retired(_)
            | Output::Stopped => {}
        }
    }
    let renamed = state.manager.canonicalise();
    for operation in &mut state.pending {
        operation.id = renamed.get(&operation.id).copied().unwrap_or(operation.id);
    }
    state.pending.sort();
    outputs
}

/// What people call the state of the group: its claim, and the step that is under way.
fn label(state: &State) -> String {
    let claim = state.manager.groups().next().map_or(GroupClaim::Released, Group::claim);
    let step = state.pending.iter().find(|operation| !operation.monitor);
    match step {
        Some(step) => format!("{}: {}", claim.word(), words(step)),
        None => claim.word().to_owned(),
    }
}

fn said(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Starting => "says `starting`".into(),
        PeerMessage::Resources { info, .. } if info.as_deref() == Some("shutdown") => {
            "says that it stops".into()
        }
        PeerMessage::Resources { .. } => "says what it holds".into(),
        PeerMessage::AskResources { step, .. } => match step {
            StandbyStep::Me => "standby: asks".into(),
            StandbyStep::Other => "standby: agrees".into(),
            StandbyStep::Done => "standby: done".into(),
        },
        PeerMessage::HbTakeover { .. } => "asks for the groups".into(),
        PeerMessage::Shutdone => "says that it has released everything".into(),
    }
}

fn note(seen: &mut Seen, state: &State, next: &State, input: &str, outputs: &[Output]) {
    seen.steps += 1;
    let (mut begun, mut told) = (BTreeSet::new(), BTreeSet::new());
    for output in outputs {
        match output {
            Output::Run(operation) => {
                begun.insert(words(operation));
            }
            Output::Cancel(_) => {
                begun.insert("end the check".to_owned());
            }
            Output::Send(message) => {
                told.insert(said(message));
            }
            Output::Stopped => {
                told.insert("leaves".to_owned());
            }
            Output::Retired(_) => {
                told.insert("may start anew".to_owned());
            }
            Output::Changed(change) => {
                let ends = (change.from.clone(), change.to.clone());
                seen.moves.entry(ends).or_default().insert(change.cause.clone());
            }
            Output::SetTimer(..)
            | Output::CancelTimer(_)
            | Output::Answer(..)
            | Output::Alert { .. } => {}
        }
    }
    let (before, after) = (label(state), label(next));
    if before != after || !begun.is_empty() {
        let row = seen.group.entry(before).or_default().entry(input.to_owned()).or_default();
        row.insert((after, begun));
    }
    let (before, after) = (state.manager.phase(), next.manager.phase());
    // The results of operations are the group's, and are in its table.
    if before != after {
        let row = seen.phase.entry(before).or_default().entry(input.to_owned()).or_default();
        row.insert((after.word().to_owned(), told));
    }
}
