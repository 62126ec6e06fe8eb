//! What happens to the resource manager. Closed enums, serialisable, so that a run can be recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::operation::{GroupKey, OpId, Outcome};
use crate::output::Timer;

/// Who asked; the node maps it to a client of the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// What a hint about a member rests on ([`Input::Look`]).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Evidence {
    /// A process of it has ended; another may be the service.
    #[default]
    ProcessEnded,
    /// Since its start it has had a daemon, a process in a session of its own; the last one has ended, and a search found
    /// no process of it. Of a script whose `status` has never said that it runs this is believed: its
    /// check is still made, but where that says no more than ever, the member counts as failed.
    NothingLeft,
    /// systemd says that its unit neither runs nor is on its way up.
    UnitInactive,
    /// Its address or the link of its address went away, or another host answers for it.
    Network,
}

/// Two sets of groups: those that prefer the node that speaks, and the rest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Holdings {
    /// Groups that prefer the speaker.
    pub local: bool,
    /// All other groups.
    pub foreign: bool,
}

impl Holdings {
    /// Nothing.
    pub const NONE: Self = Self { local: false, foreign: false };
    /// Everything.
    pub const ALL: Self = Self { local: true, foreign: true };
    /// Groups that prefer the speaker.
    pub const LOCAL: Self = Self { local: true, foreign: false };
    /// All other groups.
    pub const FOREIGN: Self = Self { local: false, foreign: true };

    /// Whether both name a common set.
    pub fn intersects(self, other: Self) -> bool {
        (self.local && other.local) || (self.foreign && other.foreign)
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { local: self.local || other.local, foreign: self.foreign || other.foreign }
    }

    /// Without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { local: self.local && !other.local, foreign: self.foreign && !other.foreign }
    }

    /// The same sets as the other node names them.
    #[must_use]
    pub fn seen_from_peer(self) -> Self {
        Self { local: self.foreign, foreign: self.local }
    }

    /// The word of `rsc_hold` and of `cl_status rscstatus`.
    pub fn word(self) -> &'static str {
        match (self.local, self.foreign) {
            (false, false) => "none",
            (true, false) => "local",
            (false, true) => "foreign",
            (true, true) => "all",
        }
    }
}

/// Which groups a standby or takeover means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// By Heartbeat's two sets, from the point of view of the node that is asked.
    Sets(Holdings),
    /// One group. Only between two Twinbeat nodes.
    Group(GroupKey),
}

/// The three steps of the standby dialogue; `Done` is said first by the giver, then by the taker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StandbyStep {
    /// The giver asks.
    Me,
    /// The taker agrees.
    Other,
    /// Released (giver) or acquired (taker).
    Done,
}

/// What a Twinbeat peer says of one group (`x_groups`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupClaim {
    /// Nothing of it runs there.
    Released,
    /// Being started there.
    Acquiring,
    /// All of it runs there.
    Held,
    /// Being stopped there.
    Releasing,
    /// It failed to start there and is not being tried; free to be taken.
    Failed,
    /// A stop failed there: parts may still run. It must not be started elsewhere.
    Blocked,
}

impl GroupClaim {
    /// The word in `x_groups`, logs and status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Acquiring => "acquiring",
            Self::Held => "held",
            Self::Releasing => "releasing",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }

    /// The claim that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Released, Self::Acquiring, Self::Held, Self::Releasing, Self::Failed, Self::Blocked]
            .into_iter()
            .find(|claim| claim.word() == word)
    }
}

/// Messages between two resource managers. The node translates them to and from the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeerMessage {
    /// The sender has just started and asks what we hold.
    Starting,
    /// What the sender holds.
    Resources {
        /// From the sender's point of view.
        holdings: Holdings,
        /// Replaces what was known; otherwise adds to it.
        full: bool,
        /// Whether the sender has no transition under way; `None`: unchanged.
        stable: Option<bool>,
        /// Free word with a meaning in some cases (`mach_down`, `shutdown`, `standby`).
        info: Option<String>,
        /// Per group, from a Twinbeat peer only.
        groups: Option<BTreeMap<GroupKey, GroupClaim>>,
    },
    /// A step of the standby dialogue. The set is from the giver's point of view in every step.
    AskResources {
        /// Which groups move.
        which: Which,
        /// Which step.
        step: StandbyStep,
    },
    /// The sender wants these groups, named from its own point of view (`hb_takeover`).
    HbTakeover {
        /// Which groups move.
        which: Which,
    },
    /// The sender has released everything and is about to leave.
    Shutdone,
}

/// What messaging says of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeerStatus {
    /// Nothing known yet.
    Unknown,
    /// It speaks but has not settled.
    Starting,
    /// Fully started: resource messages reach it.
    Active,
    /// Silent for its dead time, and known not to run anything: nothing speaks against it, or it was
    /// fenced, or the witness has given this node the right to go on alone.
    Dead,
    /// Silent for its dead time, but it may still run everything: its packets arrive and cannot be
    /// verified, it is not fenced yet, the witness has not answered. Nothing is taken from it.
    Lost,
}

/// What happens to the manager.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Input {
    /// Before `Started`: what a daemon before this one has started since the machine booted and not
    /// stopped, by group and resource as written, as its record says. Empty when nothing is known.
    Left(BTreeSet<(GroupKey, String)>),
    /// This node became active. The peer's status was reported before.
    Started,
    /// The peer changed status.
    Peer(PeerStatus),
    /// The peer restarted (new generation) without having been declared dead.
    PeerRestarted,
    /// A dead peer speaks again under its old generation: both may hold the same groups.
    PeerReturned,
    /// Whether the peer is a Twinbeat node that understands `groups` and `Which::Group`.
    PeerIsNative(bool),
    /// A message of the peer, in order.
    Message(PeerMessage),
    /// A timer that was set ran out.
    Timer(Timer),
    /// An operation ended. Unknown or superseded ids are counted and dropped.
    Done {
        /// Which.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
    /// An operator wants this node to give groups to the peer.
    Standby {
        /// Who asked.
        request: RequestId,
        /// Which groups, from this node's point of view.
        which: Which,
    },
    /// An operator wants this node to have groups that the peer holds.
    Takeover {
        /// Who asked.
        request: RequestId,
        /// Which groups, from this node's point of view.
        which: Which,
    },
    /// The peer reaches more ping nodes: give it every group. Nothing happens when nothing can move
    /// at this moment, which [`crate::manager::Manager::why_not_give`] says before.
    GiveUp {
        /// A sentence for people.
        reason: String,
    },
    /// Whether the peer reaches fewer ping nodes than this node. As long as it does, no failback
    /// begins, and what is taken from it meanwhile is due to go home later.
    PeerIsWorse(bool),
    /// An operator wants a failed or blocked group to be tried again.
    Cleanup {
        /// Who asked.
        request: RequestId,
        /// Which group; `None` for all.
        group: Option<GroupKey>,
    },
    /// Release everything, tell the peer, then leave.
    Stop,
    /// The daemon is to start anew with another configuration: release these groups, start nothing, and
    /// come to rest; answered by [`crate::output::Output::Retired`].
    Retire {
        /// Groups that must not run any more by then.
        groups: BTreeSet<GroupKey>,
    },
    /// Something happened to a member (a process died, an address went away): check it now. A hint:
    /// the check decides, as long as it can tell anything; see [`Evidence::NothingLeft`].
    Look {
        /// Its group.
        group: GroupKey,
        /// The member, as written in haresources.
        resource: String,
        /// What the hint rests on.
        #[serde(default)]
        evidence: Evidence,
        /// What happened, in words.
        reason: String,
    },
    /// An operator wants hands off: checks go on, nothing is started, stopped or moved.
    Maintenance {
        /// Who asked.
        request: RequestId,
        /// On or off.
        on: bool,
        /// Ends by itself after this time.
        limit: Option<Duration>,
    },
    /// Whether the peer is in maintenance: nothing is moved here either.
    PeerMaintenance(bool),
    /// Groups that the peer says it could not run, each with why; they do not go there.
    PeerUnready(BTreeMap<GroupKey, String>),
    /// The peer speaks but has heard nothing of this node for a while, and has taken these groups for
    /// itself, as it says: nothing can be negotiated, they are released here, and nothing is started.
    /// `None`: it hears this node, as far as it says.
    Unheard(Option<BTreeSet<GroupKey>>),
    /// Groups whose time window of hb.toml is shut at this time of day: they do not go home by
    /// themselves. Until it is said, those with a window do not.
    FailbackShut(BTreeSet<GroupKey>),
    /// Groups that may be started although the peer is [`PeerStatus::Lost`] (fencing failed, and
    /// hb.toml says so for them); empty when there are none.
    MayTake(BTreeSet<GroupKey>),
}
