//! One line of a node's history, as `hb history --json` prints it and `history.jsonl` keeps it.
//! Values and the questions that readers ask of them; `history` makes them.

use serde::{Deserialize, Serialize};

/// What an entry is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A group was taken, let go, started again in place, or failed.
    #[default]
    Move,
    /// Both nodes had a group, until one let go.
    Split,
    /// A node started, stopped, died, returned, or stood still.
    Node,
    /// A power switch was used, or a person vouched in its place.
    Fence,
    /// Maintenance began or ended.
    Maintenance,
    /// A member failed, and nothing moved or was started because of it.
    Failure,
}

impl EntryKind {
    /// The word in JSON and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Split => "split",
            Self::Node => "node",
            Self::Fence => "fence",
            Self::Maintenance => "maintenance",
            Self::Failure => "failure",
        }
    }
}

/// From which moment an outage is counted: as early as this node can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageSince {
    /// The first member was told to stop, here or, as it said at once, at the peer.
    Stopped,
    /// The last packet of the node that had it: it may have served a little longer.
    LastHeard,
    /// A check or the kernel noticed it: the service may have been gone a little longer.
    Noticed,
}

impl OutageSince {
    /// In words, after the length: `counted from …`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Stopped => "the first stop",
            Self::LastHeard => "the last packet of the other node",
            Self::Noticed => "the moment it was noticed",
        }
    }
}

/// One operation on one member within a move.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryStep {
    /// As written in haresources.
    pub resource: String,
    /// `start`, `stop` or `status`.
    pub action: String,
    /// How long it took.
    pub ms: u64,
    /// How it ended: `ok`, or what went wrong.
    pub outcome: String,
}

/// One thing that happened, with its only cause.
///
/// An entry may be written twice: what another node did later, such as the end of the outage after
/// this node has let go, completes it under the same number (`amends`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Counts from 1 and goes on over restarts, as long as the state directory is kept.
    pub number: u64,
    /// Unix time in seconds, for display.
    pub unix_s: u64,
    /// The same in milliseconds; 0 in entries of a version that did not know it.
    #[serde(default)]
    pub unix_ms: u64,
    /// What it is about.
    #[serde(default)]
    pub kind: EntryKind,
    /// Group; empty when it is not about one.
    pub group: String,
    /// The member of the group that failed (`Failure`), or the node that it is about (`Node`,
    /// `Fence`, `Maintenance`).
    #[serde(default)]
    pub subject: Option<String>,
    /// Of a move: `acquired`, `released`, `restarted`, `failed`, `blocked`. Of a node: `started`,
    /// `stopped`, `joined`, `dead`, `lost`, `left`, `back`, `restarted`, `paused`. Otherwise
    /// `split`; `fenced`, `failed`, `confirmed`; `on`, `off`; `failed`.
    pub what: String,
    /// The node that had the group before, as far as is known.
    #[serde(default)]
    pub from: Option<String>,
    /// The node that has it afterwards; `None`: nobody, as far as is known.
    #[serde(default)]
    pub to: Option<String>,
    /// `peer_dead`, `standby`, `takeover`, `failback`, `startup`, `shutdown` …
    pub cause: String,
    /// A sentence.
    pub reason: String,
    /// Who asked: `root@node2`, where a person did and the socket knows who.
    #[serde(default)]
    pub by: Option<String>,
    /// Milliseconds from the decision to the end here; of a `split` how long the nodes had not heard
    /// each other before; of a death how long the node had been silent.
    pub elapsed_ms: u64,
    /// Milliseconds from the first stop to the last, here or as the peer said it.
    #[serde(default)]
    pub stop_ms: Option<u64>,
    /// Milliseconds from the first start to the last, here or as the peer said it.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// Addresses that were set here and announced with it.
    #[serde(default)]
    pub announced: u32,
    /// What was done here, in order; bounded.
    #[serde(default)]
    pub steps: Vec<HistoryStep>,
    /// Milliseconds for which the group was served by nobody; `None` when this node cannot know.
    #[serde(default)]
    pub outage_ms: Option<u64>,
    /// From when `outage_ms` is counted.
    #[serde(default)]
    pub outage_since: Option<OutageSince>,
    /// Of a `split`: milliseconds from the moment at which this node learnt that both have it to
    /// the moment at which one had let go.
    #[serde(default)]
    pub overlap_ms: Option<u64>,
    /// It takes the place of the entry with the same number.
    #[serde(default, skip_serializing_if = "is_false")]
    pub amends: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl HistoryEntry {
    /// Whether a group came, went, failed or was started again.
    pub fn is_move(&self) -> bool {
        // Earlier versions wrote splits without a kind.
        self.kind == EntryKind::Move && self.overlap_ms.is_none()
    }

    /// Milliseconds of Unix time, also of entries that know only seconds.
    pub fn at_ms(&self) -> u64 {
        if self.unix_ms == 0 { self.unix_s.saturating_mul(1_000) } else { self.unix_ms }
    }
}
