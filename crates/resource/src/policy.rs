//! What ha.cf and hb.toml say about watching, recovery and failback, as the manager needs it. Values
//! only; who acts on them is `group` and `manager`.

use std::collections::BTreeMap;

use hb_config::settings::{
    AddressGuard, DayWindow, Failback, GroupOptions, Monitor, Native, Recovery, ResourceOptions,
    Settings,
};
use serde::{Deserialize, Serialize};

/// Policies of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// Whether the resource written as `text` is watched.
    pub fn monitors(&self, text: &str) -> bool {
        let said = self.resources.get(text).and_then(|options| options.monitor);
        said.unwrap_or(self.monitor.enabled)
    }

    /// Between two checks of the resource written as `text`, in ms.
    pub fn interval_ms(&self, text: &str) -> u64 {
        let said = self.resources.get(text).and_then(|options| options.interval_ms);
        said.unwrap_or(self.monitor.interval_ms)
    }

    /// Restarts in place of the resource written as `text` before its group moves.
    pub fn restarts_max(&self, text: &str) -> u32 {
        let said = self.resources.get(text).and_then(|options| options.restarts_max);
        said.unwrap_or(self.recovery.restarts_max)
    }

    /// Whether the resource written as `text` runs on both nodes.
    pub fn is_warm(&self, text: &str) -> bool {
        self.resources.get(text).is_some_and(|options| options.warm)
    }

    /// At which time of day the group with this key may go home by itself; `None`: at any.
    pub fn failback_window(&self, key: &str) -> Option<DayWindow> {
        self.groups.get(key).and_then(|options| options.failback_window).or(self.failback.window)
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
