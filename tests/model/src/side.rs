//! One node as the model sees it: the unchanged manager, the operations that it has under way and
//! the timers that it has set. Each state has a number, and each step is made once: the same manager
//! with the same input gives the same answer. It knows neither the peer nor the network.

#![expect(clippy::disallowed_types, reason = "looked up, never iterated")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use hb_resource::input::{GroupClaim, Input, PeerMessage};
use hb_resource::manager::{Manager, Phase};
use hb_resource::operation::{Action, OpId, Operation};
use hb_resource::output::{Output, Timer};

use crate::setup::Setup;

/// Number of a state of a side.
pub type SideId = u32;
/// Number of a message.
pub type MessageId = u16;

/// An operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pending {
    /// Its id.
    pub op: OpId,
    /// What it does.
    pub action: Action,
    /// On which member, counted through all groups.
    pub member: usize,
    /// A check: beside the steps of the group.
    pub beside: bool,
    /// It was cancelled, and must still be answered.
    pub cancelled: bool,
}

/// Everything of a node that is not in the world around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// The machine that ships.
    pub manager: Manager,
    /// By id.
    pub pending: Vec<Pending>,
    /// Those that run.
    pub timers: BTreeSet<Timer>,
}

/// What a step wants of the world, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To the peer.
    pub sent: Vec<MessageId>,
    /// Operations that were begun, with those of the same group that were under way.
    pub begun: Vec<Pending>,
    /// The daemon leaves.
    pub left: bool,
    /// An invariant of the manager broke, or two steps of a group overlap.
    pub broken: Option<String>,
}

/// What properties look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// For each group.
    pub claims: Vec<GroupClaim>,
    /// No transition is under way.
    pub stable: bool,
    /// Where the negotiation stands.
    pub phase: Phase,
    /// Told to keep its hands off.
    pub maintenance: bool,
}

#[derive(Default)]
struct Tables {
    sides: Vec<Arc<Side>>,
    numbers: HashMap<Arc<Side>, SideId>,
    views: Vec<Arc<View>>,
    steps: HashMap<(SideId, Input), (SideId, Arc<Effects>)>,
    messages: Vec<PeerMessage>,
    message_numbers: HashMap<PeerMessage, MessageId>,
}

/// All states of sides that were seen.
pub struct Book {
    setup: Setup,
    tables: RwLock<Tables>,
}

impl Book {
    /// An empty one.
    pub fn new(setup: Setup) -> Self {
        Self { setup, tables: RwLock::default() }
    }

    /// A daemon on node `number` that has just begun.
    pub fn fresh(&self, number: usize) -> SideId {
        let manager = Manager::new(self.setup.config(number));
        self.number(Side { manager, pending: Vec::new(), timers: BTreeSet::new() })
    }

    /// What stands behind a number.
    pub fn side(&self, id: SideId) -> Arc<Side> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tables.sides[id as usize])
    }

    /// What properties look at.
    pub fn view(&self, id: SideId) -> Arc<View> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tables.views[id as usize])
    }

    /// How many states of single nodes were seen.
    pub fn len(&self) -> usize {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).sides.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message with this number.
    pub fn message(&self, id: MessageId) -> PeerMessage {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.messages[usize::from(id)].clone()
    }

    /// The number of a message.
    pub fn message_number(&self, message: &PeerMessage) -> MessageId {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = tables.message_numbers.get(message) {
            return *number;
        }
        let number = MessageId::try_from(tables.messages.len()).unwrap_or(MessageId::MAX);
        tables.messages.push(message.clone());
        tables.message_numbers.insert(message.clone(), number);
        number
    }

    fn number(&self, side: Side) -> SideId {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = tables.numbers.get(&side) {
            return *number;
        }
        let number = SideId::try_from(tables.sides.len()).unwrap_or(SideId::MAX);
        let manager = &side.manager;
        let view = View {
            claims: manager.groups().map(hb_resource::group::Group::claim).collect(),
            stable: manager.is_stable(),
            phase: manager.phase(),
            maintenance: manager.in_maintenance(),
        };
        let side = Arc::new(side);
        tables.sides.push(Arc::clone(&side));
        tables.views.push(Arc::new(view));
        tables.numbers.insert(side, number);
        number
    }

    /// Feeds an input.
    pub fn step(&self, id: SideId, input: &Input) -> (SideId, Arc<Effects>) {
        let key = (id, input.clone());
        let known = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.steps.get(&key).cloned()
        };
        if let Some(known) = known {
            return known;
        }
        let mut side = (*self.side(id)).clone();
        let effects = self.perform(&mut side, input);
        let next = self.number(side);
        let result = (next, Arc::new(effects));
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.steps.insert(key, result.clone());
        result
    }

    fn perform(&self, side: &mut Side, input: &Input) -> Effects {
        if let Input::Timer(timer) = input {
            side.timers.remove(timer);
        }
        if let Input::Done { op, .. } = input {
            side.pending.retain(|pending| pending.op != *op);
        }
        let mut out = Vec::new();
        let run = catch_unwind(AssertUnwindSafe(|| side.manager.handle(input.clone(), &mut out)));
        let mut effects = Effects::default();
        if let Err(cause) = run {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            effects.broken = Some(text.unwrap_or_else(|| "a panic".into()));
            return effects;
        }
        for output in out {
            self.take(side, output, &mut effects);
        }
        let renamed = side.manager.canonicalise();
        rename(&mut side.pending, &renamed);
        for begun in &mut effects.begun {
            begun.op = *renamed.get(&begun.op).unwrap_or(&begun.op);
        }
        effects
    }

    fn take(&self, side: &mut Side, output: Output, effects: &mut Effects) {
        match output {
            Output::Send(message) => effects.sent.push(self.message_number(&message)),
            Output::Run(operation) => {
                let pending = self.pending(&operation);
                let group = self.setup.group_of(pending.member);
                let overlaps = |other: &&Pending| {
                    let same = other.member == pending.member;
                    // The loser of a conflict takes its address from the network beside any step.
                    let silences = |one: &Pending| {
                        one.action == Action::Stop && self.setup.is_address(one.member)
                    };
                    let step =
                        !other.beside && !pending.beside && !silences(other) && !silences(&pending);
                    same || step && self.setup.group_of(other.member) == group
                };
                if let Some(other) = side.pending.iter().find(overlaps) {
                    effects.broken = Some(format!("{pending:?} is begun beside {other:?}"));
                }
                side.pending.push(pending);
                effects.begun.push(pending);
            }
            Output::Cancel(op) => {
                let pending = side.pending.iter_mut().find(|pending| pending.op == op);
                match pending {
                    Some(pending) if pending.beside => pending.cancelled = true,
                    _ => effects.broken = Some("what is no check was cancelled".into()),
                }
            }
            Output::SetTimer(timer, _) => {
                side.timers.insert(timer);
            }
            Output::CancelTimer(timer) => {
                side.timers.remove(&timer);
            }
            Output::Changed(change) => {
                if change.from == change.to || change.cause.is_empty() {
                    effects.broken = Some(format!("H2: {change:?}"));
                }
            }
            Output::Answer(..) | Output::Alert { .. } | Output::Retired(_) => {}
            Output::Stopped => effects.left = true,
        }
    }

    fn pending(&self, operation: &Operation) -> Pending {
        Pending {
            op: operation.id,
            action: operation.action,
            member: self.setup.member(&operation.resource.text),
            beside: operation.monitor,
            cancelled: false,
        }
    }
}

/// What the manager does not know any more keeps an id that it will not give again soon.
fn rename(pending: &mut [Pending], renamed: &BTreeMap<OpId, OpId>) {
    let mut beyond = u64::MAX;
    for one in &mut *pending {
        one.op = renamed.get(&one.op).copied().unwrap_or_else(|| {
            beyond -= 1;
            OpId(beyond)
        });
    }
    pending.sort();
}
