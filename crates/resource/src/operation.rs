//! One run of one action on one resource, and how it ended. Whoever runs it is at the edge.

use std::time::Duration;

use hb_config::settings::ResourceSpec;
use serde::{Deserialize, Serialize};

/// The key of a group: its first resource as written in haresources.
pub type GroupKey = String;

/// Identifies one operation; never reused within a process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Is it running? Changes nothing.
    Status,
    /// Make it run.
    Start,
    /// Make it not run.
    Stop,
    /// Tell the network again where an address lives. Built-in addresses only.
    Announce,
    /// Could it be started here? Changes nothing: agent present, configuration of the service
    /// valid (OCF `validate-all`), interface up. `Ok` also when the agent cannot tell.
    Validate,
}

impl Action {
    /// The word given to agents and shown in logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Announce => "announce",
            Self::Validate => "validate",
        }
    }
}

/// A request to the edge: run this, then feed `Input::Done` with the same id, exactly once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// Identifies the answer.
    pub id: OpId,
    /// The group it belongs to.
    pub group: GroupKey,
    /// What it acts on.
    pub resource: ResourceSpec,
    /// What it does.
    pub action: Action,
    /// Limit; the edge ends the process group at its end and answers `TimedOut`.
    pub timeout: Duration,
    /// Escalated stop: the edge also kills what the agent has left running (its recorded process
    /// groups) before it answers.
    pub kill: bool,
    /// A check of something that runs, beside everything else. It may be cancelled
    /// (`Output::Cancel`), and it includes the probes of hb.toml.
    pub monitor: bool,
    /// Start of an address: ask the network first whether somebody else has it. Validation of one:
    /// the peer says that it has it; remember who answers.
    pub probe: bool,
}

/// Code of a failed start of an address: a machine that is not the peer's answers for it (EADDRINUSE).
pub const IN_USE: i32 = 98;
/// Code of a failed start of an address: the machine answers for it that did when the peer said that
/// it holds it (EBUSY).
pub const IN_USE_BY_PEER: i32 = 16;

/// How an operation ended. An agent's failure is data, not an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// `start`, `stop` or `announce` worked; `status` found it running.
    Ok,
    /// `status` found it not running.
    NotRunning,
    /// The agent said that it failed.
    Failed {
        /// Exit code, when there was one.
        code: Option<i32>,
        /// Last lines of its output, bounded, or the built-in's reason.
        reason: String,
    },
    /// It did not end in time and was killed.
    TimedOut,
    /// It could not be run at all: no such script, no memory, no permission.
    CouldNotRun {
        /// Which part failed and how.
        reason: String,
    },
}

impl Outcome {
    /// Words for logs and status.
    pub fn describe(&self) -> String {
        match self {
            Self::Ok => "ok".into(),
            Self::NotRunning => "not running".into(),
            Self::Failed { code: Some(code), reason } if reason.is_empty() => {
                format!("failed with exit code {code}")
            }
            Self::Failed { code: Some(code), reason } => {
                format!("failed with exit code {code}: {reason}")
            }
            Self::Failed { code: None, reason } => format!("failed: {reason}"),
            Self::TimedOut => "did not end in time and was killed".into(),
            Self::CouldNotRun { reason } => format!("could not be run: {reason}"),
        }
    }
}
