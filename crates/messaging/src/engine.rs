//! The contract of the messaging engine: what goes in, what comes out, in which order.

use std::sync::Arc;

use compact_str::CompactString;
use hb_config::settings::{AuthKeys, Framing, NodeName, PingTarget, Timing};
use serde::{Deserialize, Serialize};

use crate::measure::{Intervals, LinkCounters};
use crate::message::{Body, Extensions, NodeStatus};
use crate::time::Instant;

mod messaging;
mod receive;
mod send;
mod startup;
mod status;
mod timers;

pub use messaging::Messaging;

/// Index of a configured medium in `Settings::media`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u16);

/// Index of a configured ping target in `Settings::pings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PingId(pub u16);

impl PingId {
    /// No configured target but the other member's own machine, at the addresses from which its
    /// verified packets came. The engine never asks it.
    pub const PEER: Self = Self(u16::MAX);
}

/// What the engine must know; built by the node from `Settings`.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeName,
    /// This node's UUID (`hb_uuid`).
    pub uuid: [u8; 16],
    /// This start's generation (`hg`), above every earlier one.
    pub generation: u64,
    /// All members, this one included.
    pub nodes: Vec<NodeName>,
    /// Link names in the order of their ids; two media on one interface share a name.
    pub links: Vec<String>,
    /// Ping targets in the order of their ids.
    pub pings: Vec<PingTarget>,
    /// Heartbeat times.
    pub timing: Timing,
    /// Keys: all verify, the active one signs.
    pub keys: AuthKeys,
    /// Framing of what is sent.
    pub framing: Framing,
    /// Whether netstring messages carry the inner `auth` field.
    pub inner_auth: bool,
    /// Added to the number of nodes to make `ttl`.
    pub hopfudge: u8,
    /// Longest delay before a retransmission request, in ms.
    pub max_rexmit_delay_ms: u64,
    /// Seed of every random delay.
    pub seed: u64,
    /// Twinbeat's own fields put on each `status` message (capabilities, product version), until
    /// [`Input::Announce`] replaces them.
    pub announce: Extensions,
}

/// What happens to the engine. Not serialisable: a recording holds `hb_node::input::Input`, which
/// never carries keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Wall clock and load, for the fields `ts` and `ld` only; fed at start and about once a second.
    Environment {
        /// Unix time in seconds.
        unix_s: u64,
        /// First line of `/proc/loadavg`.
        load: String,
    },
    /// First input: begin to send `init`, `up`.
    Start,
    /// A datagram arrived.
    Datagram {
        /// On which link.
        link: LinkId,
        /// As read from the socket.
        bytes: Vec<u8>,
    },
    /// A socket of this link failed or could not be made. It stays failed until `LinkRestored`.
    LinkFailed {
        /// Which link.
        link: LinkId,
        /// The system's words.
        reason: String,
    },
    /// The link's sockets work (again).
    LinkRestored {
        /// Which link.
        link: LinkId,
    },
    /// A ping target answered an echo request of ours with its payload intact.
    EchoReply {
        /// Which target.
        ping: PingId,
        /// Sequence number of the request.
        sequence: u16,
    },
    /// The machine slept without counting the time: every silence that is being measured may last
    /// a dead time more, once.
    Woke,
    /// `next_timeout()` is due.
    Timeout,
    /// Ask every ping target at once, without waiting for its turn. For a moment of decision: not
    /// more often than a peer can die.
    AskPings,
    /// Sign and send to all links, kept for retransmission.
    Send(Body),
    /// Other fields of Twinbeat's own on each `status` from here on.
    Announce {
        /// All of them, in place of those before.
        extensions: Extensions,
        /// Whether the peer is to know before the next heartbeat is due.
        at_once: bool,
    },
    /// New keys (SIGHUP after a change of authkeys).
    Rekey(AuthKeys),
    /// The node stops in order: `status` says so and nothing more is taken from the peer.
    Stopping,
}

/// What the engine wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Send these bytes on this link.
    Transmit {
        /// Link.
        link: LinkId,
        /// Whole datagram, shared by all links.
        bytes: Arc<[u8]>,
    },
    /// Send an echo request to every host of this target.
    Echo {
        /// Target.
        ping: PingId,
        /// Sequence number to carry.
        sequence: u16,
    },
    /// Tell the node.
    Event(Event),
}

/// What the engine noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// This node is fully started (`active` was sent): resource messages count from here on.
    Active,
    /// A member or ping node changed status. Every configured node is reported before `Active`.
    NodeStatus {
        /// Which node; never this one.
        node: NodeName,
        /// Before.
        from: NodeStatus,
        /// After.
        to: NodeStatus,
        /// Why, in words for the log.
        cause: String,
    },
    /// The peer runs under a higher generation than before: it restarted, however quickly.
    PeerRestarted {
        /// Which node.
        node: NodeName,
        /// Its new generation.
        generation: u64,
    },
    /// A node that had been declared dead speaks under the same generation: a partition healed.
    /// So it did when such a node's first word is `active`, whatever its generation: it has
    /// started, and decided, without this node. Comes after its `NodeStatus` and, with a higher
    /// generation, after `PeerRestarted`.
    ReturnedAfterPartition {
        /// Which node.
        node: NodeName,
    },
    /// A link to a node went up or down.
    LinkStatus {
        /// Far end: a member or a ping node.
        node: NodeName,
        /// Link name (the interface; the ping node's own name for ping nodes).
        link: String,
        /// Which it is.
        up: bool,
        /// Why, in words for the log.
        cause: String,
    },
    /// A heartbeat came later than warntime.
    LateHeartbeat {
        /// From whom.
        node: NodeName,
        /// Milliseconds since the one before.
        interval_ms: u64,
    },
    /// What the peer says of itself in the `x_*` fields of its `status`, when that changed.
    PeerExtensions {
        /// From whom.
        node: NodeName,
        /// All `x_*` fields of the message; empty for a 3.0.6 peer.
        extensions: Extensions,
    },
    /// A verified message in order, addressed to this node or to all.
    Received {
        /// From whom; never this node.
        from: NodeName,
        /// What it says.
        body: Body,
    },
    /// A datagram was refused before any state was touched. Rate-limited by the engine: at most
    /// one per link, reason and second.
    Refused {
        /// Link.
        link: LinkId,
        /// Why: malformed, unsigned, wrong key, unknown node, replay …
        reason: String,
    },
}

/// A datagram of good form that names a member as its sender and whose signature does not fit.
/// Anybody can send it: it may speak against the member's death, never for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unverified {
    /// When the last one arrived.
    pub at: Instant,
    /// Where.
    pub link: LinkId,
}

/// What status shows of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Member or ping node.
    pub name: NodeName,
    /// Whether it is a ping node.
    pub ping: bool,
    /// Last known status.
    pub status: NodeStatus,
    /// Milliseconds since the last accepted packet; `None` when none came.
    pub heard_ms_ago: Option<u64>,
    /// Generation last seen; 0 for none.
    pub generation: u64,
    /// Links to it.
    pub links: Vec<LinkView>,
}

/// What status shows of a link to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Link name.
    pub name: CompactString,
    /// Whether packets of that node arrive on it.
    pub up: bool,
    /// Milliseconds since the last packet on it; `None` when none came.
    pub heard_ms_ago: Option<u64>,
    /// Why the local socket does not work, if it does not.
    pub failure: Option<String>,
    /// Of a thousand packets of that node, how many lately did not come on it; `None` until enough
    /// were numbered to tell.
    pub loss_permille: Option<u16>,
}

/// What was measured of a link to a node since the start; for status only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMeasures {
    /// Smoothed round trip in µs; `None` while the link is down or the node has not echoed.
    pub rtt_us: Option<u64>,
    /// How far apart the node's heartbeats came on it.
    pub intervals: Intervals,
    /// What became of the packets that arrived on it, whoever sent them.
    pub counters: LinkCounters,
}

/// Counters of the engine since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams received, good or bad.
    pub received: u64,
    /// Accepted.
    pub accepted: u64,
    /// Same message again, usually on a second link.
    pub duplicate: u64,
    /// Not decodable.
    pub malformed: u64,
    /// Unsigned or signed with a wrong or unknown key.
    pub bad_auth: u64,
    /// Older generation or sequence.
    pub replay: u64,
    /// From a node that ha.cf does not name.
    pub foreign: u64,
    /// Messages found missing.
    pub lost: u64,
    /// Retransmissions asked for.
    pub rexmit_requested: u64,
    /// Retransmissions sent.
    pub rexmit_sent: u64,
}
