//! Totals since the daemon's start, for whoever draws them over time. Values only; `totals`
//! counts. A restart begins with 0, as counters of Prometheus may.

use std::collections::BTreeMap;

pub use hb_messaging::measure::{Bucket, Histogram, Intervals, LinkCounters};
use serde::{Deserialize, Serialize};

/// Upper limits in µs of [`Activity::actions`] and [`Activity::pauses`]: from what netlink takes to
/// the longest limit that agents are usually given.
pub const DURATION_LIMITS_US: [u64; 14] = [
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// What this node did and met since its daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Activity {
    /// Times that the network was told where an address lives; repeats of one announcement count
    /// once. At a start, in defence, by refresh, after its link came back.
    pub announcements: u64,
    /// Times that another host began to claim an address that is held here.
    pub vip_conflicts: u64,
    /// Times that an address which had been taken away from this machine was put back.
    pub vip_restored: u64,
    /// Times that both nodes were found to serve a group.
    pub splits: u64,
    /// Moves that ended here, `acquired` and `released` as in the history, by group and cause.
    pub moves: BTreeMap<String, BTreeMap<String, u64>>,
    /// Times for which this process stood still, longer than warntime; limits are
    /// [`DURATION_LIMITS_US`].
    pub pauses: Histogram,
    /// Ends of fencing: `fenced`, `failed`, `confirmed` (by a person).
    pub fences: BTreeMap<String, u64>,
    /// How long actions took, by group, resource (as written in haresources) and action (`start`,
    /// `stop`, `status`, `announce`, `validate`); limits are [`DURATION_LIMITS_US`].
    pub actions: BTreeMap<String, BTreeMap<String, BTreeMap<String, Histogram>>>,
    /// Failed starts, stops and checks, by group and resource.
    pub failures: BTreeMap<String, BTreeMap<String, u64>>,
}
