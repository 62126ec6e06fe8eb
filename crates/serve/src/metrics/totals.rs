//! Counters and distributions since the daemon's start. Values in, series out.

use hb_node::api::StatusSnapshot;

use super::Family;

/// Of the whole pair.
pub(super) fn families(_now: Option<&StatusSnapshot>) -> Vec<Family> {
    Vec::new()
}

/// Of each link.
pub(super) fn links(_now: Option<&StatusSnapshot>) -> Vec<Family> {
    Vec::new()
}
