//! Why a group moves, as history and status name it. Values only.

use serde::{Deserialize, Serialize};

/// Why a group moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// A member stopped running, or its check failed.
    Failed,
    /// It failed on both nodes, or there is no other, and some time has passed.
    Retry,
    /// Its failure here was long ago.
    Forgotten,
    /// This node stops.
    Shutdown,
    /// It is not, or is otherwise, in the configuration that comes into force.
    Reload,
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
            Self::Failed => "failed",
            Self::Retry => "retry",
            Self::Forgotten => "forgotten",
            Self::Shutdown => "shutdown",
            Self::Reload => "reload",
        }
    }
}
