//! What a node wants done, in the order in which it must happen.

use std::sync::Arc;
use std::time::Duration;

use compact_str::{CompactString, ToCompactString};
use hb_config::settings::NodeName;
use hb_messaging::engine::{LinkId, PingId};
use hb_resource::operation::{OpId, Operation};
use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, Response};
use crate::input::ClientId;

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Each decision.
    Debug,
    /// Transitions, results.
    Info,
    /// Worth a look.
    Warn,
    /// Worth a page.
    Error,
}

/// Fields of the lines that are made most often, those of checks.
const USUAL_FIELDS: usize = 5;

/// A line for the log. Values are fields; the text is for people and keeps the key phrases of
/// Heartbeat 3.0.6 that scripts look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Loudness.
    pub level: Level,
    /// Stable id, `snake_case`.
    pub event: CompactString,
    /// For people.
    pub text: String,
    /// `peer`, `link`, `group`, `resource`, `action`, `op`, `from`, `to`, `cause` …
    pub fields: Vec<(CompactString, CompactString)>,
}

impl LogEvent {
    /// A line without fields.
    pub fn new(level: Level, event: &str, text: impl Into<String>) -> Self {
        Self {
            level,
            event: event.into(),
            text: text.into(),
            fields: Vec::with_capacity(USUAL_FIELDS),
        }
    }

    /// The value of a field, if the line has it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The same line with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToCompactString) -> Self {
        self.fields.push((name.into(), value.to_compact_string()));
        self
    }
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Send a datagram.
    Transmit {
        /// Link.
        link: LinkId,
        /// Whole datagram.
        bytes: Arc<[u8]>,
    },
    /// Send an echo request to each host of a ping target, or to the peer's machine.
    Echo {
        /// Target.
        ping: PingId,
        /// Sequence number.
        sequence: u16,
    },
    /// Run an operation; answer with `Input::Done`.
    Run(Arc<Operation>),
    /// End a check that is under way; its result still comes.
    Cancel(OpId),
    /// Make sure that a node is off; answer with `Input::Fenced`.
    Fence {
        /// Identifies the answer; never reused.
        attempt: u64,
        /// Which.
        target: NodeName,
        /// Index into `Fencing::devices`.
        device: usize,
        /// What the device is to do.
        action: FenceAction,
        /// Limit.
        timeout: Duration,
    },
    /// Ask the witness; answer with `Input::Witness`.
    Witness {
        /// Identifies the answer; never reused.
        question: u64,
        /// `true`: acquire or renew the right to go on alone. `false`: give it back.
        acquire: bool,
    },
    /// The datagram that the node was handed with this call is verified and the peer's: where it came
    /// from is where `PingId::PEER` is asked on this link.
    PeerAddress {
        /// Link.
        link: LinkId,
    },
    /// These are the Ethernet addresses of the peer's machine: an answer from one of them for a
    /// floating address is that machine's.
    PeerEthernet(Vec<String>),
    /// A decision has passed through the whole loop: the watchdog may be fed.
    Alive,
    /// Stop feeding the watchdog, for this reason: it shall reset this machine.
    LetWatchdogBite {
        /// Why; said loudly before.
        reason: String,
    },
    /// Answer a client.
    Reply {
        /// Whom.
        client: ClientId,
        /// What.
        response: Response,
    },
    /// Write to the log.
    Log(LogEvent),
    /// Keep a move in the persistent history.
    History(Box<HistoryEntry>),
    /// What the service manager shows (`STATUS=` of sd_notify); the first one also means ready.
    Notify {
        /// One line.
        status: String,
    },
    /// Start anew in the place of this process, with the configuration that was read; what runs stays
    /// up and is adopted. Everything before it in the list was performed, and nothing comes after it.
    Restart {
        /// Maintenance that the operator wanted here, to be begun again.
        maintenance: Option<RestartedMaintenance>,
    },
    /// The configuration that was read cannot come into force: the old one stays.
    KeepConfiguration {
        /// Why.
        reason: String,
    },
    /// Leave with this exit code; everything before it in the list was performed.
    Exit {
        /// 0 after an orderly stop.
        code: u8,
    },
}

/// A maintenance that outlives its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartedMaintenance {
    /// What is left of its time; `None`: until it is ended.
    pub left: Option<Duration>,
}

/// What a fence device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceAction {
    /// Power off or reset the target, and be sure of it.
    Fence,
    /// Say whether the device works (`hb fence test`); changes nothing.
    Status,
}
