//! The state of the model: two machines, what is on the way between them, what may still go wrong.
//! Values only; what can happen is in `moves`.

use hb_resource::input::PeerStatus;
use hb_resource::output::Timer;

use crate::legacy::Legacy;
use crate::side::{MessageId, SideId};

/// The daemon of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// The machine is off: nothing runs.
    Off,
    /// The daemon was killed; what it had started goes on.
    Killed,
    /// It speaks and listens, and waits to know what the peer is.
    Booting,
    /// It decides.
    Up,
    /// It was stopped in order.
    Left,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its daemon.
    pub power: Power,
    /// The manager and what it has under way. Without meaning unless the daemon runs.
    pub side: SideId,
    /// Members that run, or may: from the begin of a start to the end of a stop.
    pub runs: u8,
    /// Members that somebody started by hand, without heartbeat.
    pub by_hand: u8,
    /// What the manager was told of the peer.
    pub knows: PeerStatus,
    /// The peer has not begun anew since it was heard.
    pub current: bool,
    /// The peer has said that it leaves.
    pub parted: bool,
    /// The device has switched the peer off, and has not answered yet.
    pub fenced: bool,
}

/// A message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    /// What it says.
    pub message: MessageId,
    /// Its sender has begun anew since.
    pub old: bool,
}

/// What may still go wrong, and what may still be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budget {
    /// Machines lose power, daemons are killed.
    pub crashes: u8,
    /// All links are cut.
    pub cuts: u8,
    /// Messages are lost for good, or overtake one another.
    pub losses: u8,
    /// Starts and stops fail.
    pub failures: u8,
    /// Operators ask for something.
    pub requests: u8,
}

/// A property that a step has broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// Started while the peer, which is not dead, had it.
    S2,
    /// Started before what is left of it, or stopped before what is right of it.
    S3,
    /// Stopped what somebody else had started.
    S7,
    /// An invariant of the manager.
    Invariant(String),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// node1 and node2.
    pub nodes: [Node; 2],
    /// `wire[n]`: on the way to node `n`.
    pub wire: [Vec<Packet>; 2],
    /// `deaf[n]`: nothing reaches node `n`.
    pub deaf: [bool; 2],
    /// What may still happen.
    pub left: Budget,
    /// The first thing that was wrong; nothing happens after it.
    pub broken: Option<Broken>,
    /// A node was taken for dead that is not: until both have heard each other again, nobody can
    /// know what the other runs.
    pub split: bool,
    /// node2 when it is a 3.0.6 node.
    pub legacy: Option<Legacy>,
}

/// What operators ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `hb standby`: give everything.
    Standby,
    /// `hb takeover`: have everything.
    Takeover,
    /// Stop the daemon.
    Stop,
    /// `hb cleanup`
    Cleanup,
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The next message arrives.
    Deliver(usize),
    /// The second message arrives before the first.
    Overtake(usize),
    /// The next message is lost for good.
    Lose(usize),
    /// An operation ends.
    Complete {
        /// Where.
        node: usize,
        /// Place among those under way.
        index: usize,
        /// Not as it should.
        fails: bool,
    },
    /// A timer runs out.
    Fire(usize, Timer),
    /// The peer is heard: what it is has changed.
    Hear(usize),
    /// The daemon knows what the peer is and begins to decide.
    Begin(usize),
    /// The dead time of the peer is over.
    Silence(usize),
    /// All links are cut.
    Cut,
    /// Nothing reaches this node any more; what it says arrives.
    Deafen(usize),
    /// All links are mended.
    Heal,
    /// The machine loses its power.
    PowerOff(usize),
    /// The daemon is killed; what its agents were doing is done, or is not.
    Kill {
        /// Where.
        node: usize,
        /// Whether it is done.
        done: bool,
    },
    /// The daemon begins.
    Boot(usize),
    /// The fence device of this node switches the other off.
    Fence(usize),
    /// And says so.
    Fenced(usize),
    /// An operator asks.
    Ask(usize, Request),
    /// The 3.0.6 node ends the script that it runs.
    Script,
    /// The 10 s of the 3.0.6 node are over.
    TakeTimer,
}

impl World {
    /// Whether the daemon of a node speaks and listens.
    pub fn speaks(&self, node: usize) -> bool {
        matches!(self.nodes[node].power, Power::Booting | Power::Up)
    }

    /// Whether a node hears the other at this moment.
    pub fn hears(&self, node: usize) -> bool {
        self.speaks(node) && self.speaks(1 - node) && !self.deaf[node]
    }

    /// Whether this node is the 3.0.6 one.
    pub fn is_legacy(&self, node: usize) -> bool {
        node == 1 && self.legacy.is_some()
    }

    /// Whether a node was told that the peer is silent.
    pub fn misses(&self, node: usize) -> bool {
        matches!(self.nodes[node].knows, PeerStatus::Dead | PeerStatus::Lost)
    }
}
