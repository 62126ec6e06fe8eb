//! Feeds a recording to a node and compares what it decides with what was decided.

use hb_messaging::time::Instant;
use thiserror::Error;

use super::{Damage, Entry, Part, digest, encode, head, read};
use crate::effect::Effect;
use crate::input::Input;
use crate::node::Node;

/// Where a replay and its recording part.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Difference {
    /// Other effects than in the recording.
    #[error("the effects differ from those of the recording")]
    Effects,
    /// The state at a snapshot is not that of the recording.
    #[error("the state differs from that of the recording's snapshot")]
    State,
    /// An input before any beginning.
    #[error("an input before any beginning")]
    NoBeginning,
    /// Time goes back.
    #[error("time goes back")]
    Time,
}

/// What an entry led to.
#[derive(Clone, Debug)]
pub enum Step {
    /// A node begins: the daemon started, or a snapshot.
    Begins {
        /// Version of the product that recorded it.
        version: String,
        /// Inputs that are missing before it.
        lost: u64,
        /// The node's name.
        node: String,
        /// Whether the daemon started here.
        start: bool,
    },
    /// An input was handled.
    Took {
        /// When.
        at: Instant,
        /// What.
        input: Input,
        /// What the node wants.
        effects: Vec<Effect>,
    },
}

/// A node that lives through a recording.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    pub(super) node: Option<Node>,
    last: Instant,
}

impl Replay {
    /// A replay that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next entry; what it led to, and how that differs from the recording, if it does.
    pub fn take(&mut self, entry: Entry) -> (Option<Step>, Option<Difference>) {
        match entry {
            Entry::Start { version, settings, identity, keys, config } => {
                let node = settings.node.to_string();
                self.node = Some(Node::recorded(&settings, identity, keys, config));
                self.last = Instant::ZERO;
                (Some(Step::Begins { version, lost: 0, node, start: true }), None)
            }
            Entry::Snapshot { version, lost, continues, node } => {
                let name = node.profile.node.to_string();
                let same = |own: &Node| encode(own) == encode(&node);
                let differs = continues && self.node.as_ref().is_some_and(|own| !same(own));
                self.last = node.now();
                self.node = Some(*node);
                let step = Step::Begins { version, lost, node: name, start: false };
                (Some(step), differs.then_some(Difference::State))
            }
            Entry::Datagram { at, link, bytes, effects } => {
                self.feed(at, Input::Datagram { link, bytes }, effects)
            }
            Entry::Step { at, input, effects } => self.feed(at, input, effects),
        }
    }

    fn feed(
        &mut self,
        at: Instant,
        input: Input,
        expected: u64,
    ) -> (Option<Step>, Option<Difference>) {
        let Some(node) = &mut self.node else { return (None, Some(Difference::NoBeginning)) };
        if at < self.last {
            return (None, Some(Difference::Time));
        }
        self.last = at;
        let mut effects = Vec::new();
        node.handle(at, input.clone(), &mut effects);
        let differs = digest(&effects) != expected;
        (Some(Step::Took { at, input, effects }), differs.then_some(Difference::Effects))
    }
}

/// Room for a head and more frames than `renew` writes.
const ROOM: u64 = 1024 * 1024;

/// The same inputs with what the node of this program decides, as a file of one bank: for a recording
/// that is kept as a test, once its new decisions have been found right.
///
/// # Errors
/// When it cannot be read, or does not begin with a node.
pub fn renew(file: &[u8]) -> Result<Vec<u8>, Damage> {
    let (entries, damage) = read(file)?;
    if let Some(damage) = damage {
        return Err(damage);
    }
    let mut bytes = head(0, (file.len() as u64).saturating_mul(2).saturating_add(ROOM));
    let mut part = Part::after(&bytes);
    let mut replay = Replay::new();
    for mut entry in entries {
        if let (Entry::Snapshot { node, continues: true, .. }, Some(own)) =
            (&mut entry, &replay.node)
        {
            **node = own.clone();
        }
        let (step, _) = replay.take(entry.clone());
        if let (
            Entry::Datagram { effects: known, .. } | Entry::Step { effects: known, .. },
            Some(Step::Took { effects, .. }),
        ) = (&mut entry, &step)
        {
            *known = digest(effects);
        }
        let frame = part.frame(&encode(&entry));
        // The end mark of the frame before is where this one begins.
        bytes.truncate(usize::try_from(part.used).unwrap_or(0) + 4 - frame.len());
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}
