//! What runs as the daemon of a machine: the node that ships, or the reference model of Heartbeat
//! 3.0.6. It only passes on.

use hb_config::settings::AuthKeys;
use hb_messaging::engine::Counters;
use hb_messaging::time::Instant;
use hb_node::Node;
use hb_node::api::{HistoryEntry, StatusSnapshot};
use hb_node::effect::Effect;
use hb_node::input::Input;
use hb_resource::manager::Manager;

use crate::legacy::Legacy;

/// One of the two.
#[derive(Clone, Debug)]
pub enum Player {
    /// The real thing.
    Ours(Box<Node>),
    /// Heartbeat 3.0.6.
    Legacy(Box<Legacy>),
}

impl Player {
    /// Takes one input and appends what follows from it.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        match self {
            Self::Ours(node) => node.handle(now, input, effects),
            Self::Legacy(legacy) => legacy.handle(now, input, effects),
        }
    }

    /// When it wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Ours(node) => node.next_timeout(),
            Self::Legacy(legacy) => legacy.next_timeout(),
        }
    }

    /// What it says of everything; a 3.0.6 node says nothing.
    pub fn status(&self, now: Instant) -> Option<StatusSnapshot> {
        match self {
            Self::Ours(node) => Some(node.status(now)),
            Self::Legacy(_) => None,
        }
    }

    /// What it has; of a 3.0.6 node nobody knows.
    pub fn resources(&self) -> Option<&Manager> {
        match self {
            Self::Ours(node) => Some(node.resources()),
            Self::Legacy(_) => None,
        }
    }

    /// What became of the datagrams that reached it; of a 3.0.6 node nobody knows.
    pub fn counters(&self) -> Option<Counters> {
        match self {
            Self::Ours(node) => Some(node.counters()),
            Self::Legacy(_) => None,
        }
    }

    /// authkeys was read again. The model of 3.0.6 has one key for ever.
    pub fn rekey(&mut self, now: Instant, keys: AuthKeys, effects: &mut Vec<Effect>) {
        match self {
            Self::Ours(node) => node.rekey(now, keys, effects),
            Self::Legacy(_) => {}
        }
    }

    /// Begins with a history; a 3.0.6 node keeps none.
    pub fn remember(&mut self, kept: Vec<HistoryEntry>) {
        match self {
            Self::Ours(node) => node.remember(kept),
            Self::Legacy(_) => {}
        }
    }

    /// How much it keeps: bytes of its state, as a recording begins with it. `None` for the model of
    /// 3.0.6, which has no such state.
    pub fn kept(&self) -> Option<usize> {
        let Self::Ours(node) = self else { return None };
        let mut bytes = Vec::new();
        ciborium::into_writer(node, &mut bytes).ok().map(|()| bytes.len())
    }

    /// The model of 3.0.6, if it is that.
    pub fn legacy(&self) -> Option<&Legacy> {
        match self {
            Self::Ours(_) => None,
            Self::Legacy(legacy) => Some(legacy),
        }
    }
}
