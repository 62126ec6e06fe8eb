//! States for the tests, of two real nodes in the modelled world. Compiled for tests only.

use std::time::Duration;

use hb_cli::client::ClientError;
use hb_cli::status::{Down, Known};
use hb_node::api::StatusSnapshot;
use hb_sim::moments;

fn timeout() -> ClientError {
    ClientError::Timeout { limit: Duration::from_secs(5) }
}

fn now(snapshot: StatusSnapshot) -> Known {
    Known { snapshot: Some(snapshot), down: None }
}

/// After a move to node2, as node2 sees it.
pub(crate) fn healthy() -> Known {
    now(moments::healthy())
}

/// One direction of the second link is cut, and the standby could not start nginx.
pub(crate) fn degraded() -> Known {
    now(moments::degraded())
}

/// Both serve; node2 cannot stop nginx for a while.
pub(crate) fn split() -> Known {
    now(moments::split())
}

/// The daemon was stopped three minutes ago.
pub(crate) fn down() -> Known {
    let saved_unix_ms = 1_795_000_000_000;
    let down = Down { error: timeout(), age_ms: 182_000, saved_unix_ms, is_last: true };
    Known { down: Some(down), ..healthy() }
}

/// Nothing is known at all.
pub(crate) fn nothing() -> Known {
    let down = Down { error: timeout(), age_ms: 0, saved_unix_ms: 0, is_last: false };
    Known { snapshot: None, down: Some(down) }
}

/// Numbers before a unit of time are not the same in every version of the node.
pub(crate) fn masked(text: &str) -> String {
    moments::masked(text, env!("CARGO_PKG_VERSION"))
}
