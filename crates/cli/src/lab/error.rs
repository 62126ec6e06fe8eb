//! Why something in the lab could not be done. Never a verdict on what runs in it.

use std::io;

/// Why the lab could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel refused.
    #[error("{op}: {source}")]
    System {
        /// What was tried.
        op: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Netlink refused.
    #[error("{op}: {source}")]
    Netlink {
        /// What was tried.
        op: String,
        /// What netlink said.
        source: rtnetlink::Error,
    },
    /// The caller asked for something that does not exist.
    #[error("{0}")]
    Invalid(String),
    /// The node is switched off.
    #[error("{0} is switched off")]
    Off(String),
    /// The node did not come up.
    #[error("{node} did not boot: {reason}")]
    Boot {
        /// Which node.
        node: String,
        /// What its first process said.
        reason: String,
    },
    /// Something did not happen in time.
    #[error("{what} within {limit_ms} ms")]
    Timeout {
        /// What did not happen, as the start of a sentence.
        what: String,
        /// How long was waited.
        limit_ms: u128,
    },
}

impl LabError {
    /// For `map_err`: `op` was refused with `source`.
    pub(crate) fn system(op: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { op: op.into(), source: source.into() }
    }

    /// For `map_err`: netlink refused `op` with `source`.
    pub(crate) fn netlink(op: impl Into<String>, source: rtnetlink::Error) -> Self {
        Self::Netlink { op: op.into(), source }
    }
}
