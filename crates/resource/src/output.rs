//! What the resource manager wants done, in the order in which it must happen, and what it reports.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::input::{PeerMessage, RequestId};
use crate::operation::{GroupKey, OpId, Operation};

/// Timers of the manager. It names them; the node keeps the clock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// No answer to our `starting`, or both started at once: acquire what prefers us.
    StartupWait,
    /// The peer did not answer the first step of a standby, or asked for one and did not begin.
    StandbyAnswer,
    /// A standby that was agreed on has not ended.
    StandbyEnd,
    /// A failback was due while something was under way: look again.
    FailbackRetry,
    /// A group that failed to start here is offered to the peer.
    OfferGroup(GroupKey),
    /// A failed stop is repeated.
    StopRetry(GroupKey),
    /// A 3.0.6 peer still has what this node keeps, and tells the network so.
    AnnounceAgain,
    /// A 3.0.6 peer has not let go of what both have; it is asked for it.
    TakeContested,
    /// After `shutdone`: stay a moment so that the peer hears it, then leave.
    Linger,
    /// The next check of a member that runs.
    Monitor(GroupKey, usize),
    /// A member has not failed for the window: forget its failures.
    ForgetFailures(GroupKey, usize),
    /// A group that failed on both nodes, or with no other node, is tried again.
    Retry(GroupKey),
    /// The next look at whether a group that is not held here could be.
    Ready(GroupKey),
    /// The preferred node has been back for long enough.
    FailbackStable(GroupKey),
    /// The peer has not returned for an hour: earlier returns do not count any more.
    ForgetReturns,
    /// The silent peer's machine answered for an address: ask again.
    AskAgain(GroupKey),
    /// Maintenance ends by itself.
    MaintenanceEnd,
}

/// Why something changed. Logged once, kept in history, shown in status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Transition {
    /// Group, or `None` for the node as a whole.
    pub group: Option<GroupKey>,
    /// State before, as shown in status.
    pub from: String,
    /// State after.
    pub to: String,
    /// The event that caused it: `peer_dead`, `standby`, `failback`, `startup`, `start_failed` …
    pub cause: String,
    /// A sentence for people.
    pub reason: String,
}

/// The answer to an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, all of it.
    Done {
        /// What was done, in words.
        text: String,
    },
    /// It was not begun.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// It was begun and did not end as asked.
    Failed {
        /// What happened and where things stand.
        reason: String,
    },
}

/// What the manager wants done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Output {
    /// Send to the peer.
    Send(PeerMessage),
    /// Run an operation. Shared by all who remember it while it is under way.
    Run(Arc<Operation>),
    /// A check that was asked for is in the way: end it at once. Its `Input::Done` still comes, and
    /// what waits for the member waits for that.
    Cancel(OpId),
    /// Start (or restart) a timer.
    SetTimer(Timer, Duration),
    /// Stop a timer; harmless when it does not run.
    CancelTimer(Timer),
    /// Something changed.
    Changed(Transition),
    /// Answer an operator.
    Answer(RequestId, Answer),
    /// A fact worth a page (`error: true`) or a look.
    Alert {
        /// Whether somebody must act.
        error: bool,
        /// What happened and what to do.
        text: String,
    },
    /// Everything is released and the peer was told: the daemon may leave.
    Stopped,
    /// Everything is at rest and what was to be released is: the daemon may start anew. Or why not;
    /// then everything goes on as before.
    Retired(Result<(), String>),
}
