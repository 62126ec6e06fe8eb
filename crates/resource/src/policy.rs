//! What ha.cf and hb.toml say about watching, recovery and failback, as the manager needs it. Values
//! only; who acts on them is `group` and `manager`.

use std::collections::BTreeMap;

use hb_config::settings::{
    AddressGuard, Failback, GroupOptions, Monitor, Native, Recovery, ResourceOptions, Settings,
};
use serde::Serialize;

/// Policies of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Policy {
    /// `[monitor]`
    pub monitor: Monitor,
    /// `[recovery]`
    pub recovery: Recovery,
    /// `[failback]`
    pub failback: Failback,
    /// `[address]`
    pub address: AddressGuard,
    /// `[resource."TEXT"]`
    pub resources: BTreeMap<String, ResourceOptions>,
    /// `[group."KEY"]`
    pub groups: BTreeMap<String, GroupOptions>,
    /// `deadtime`, in ms.
    pub deadtime_ms: u64,
}

impl Policy {
    /// Those of `settings`.
    pub fn of(settings: &Settings) -> Self {
        Self::new(&settings.native, settings.timing.deadtime_ms)
    }

    fn new(native: &Native, deadtime_ms: u64) -> Self {
        Self {
            monitor: native.monitor,
            recovery: native.recovery,
            failback: native.failback,
            address: native.address,
            resources: native.resources.clone(),
            groups: native.groups.clone(),
            deadtime_ms,
        }
    }
}

impl Default for Policy {
    /// Without hb.toml, and with Heartbeat's default dead time of 30 s.
    fn default() -> Self {
        Self::new(&Native::default(), 30_000)
    }
}
