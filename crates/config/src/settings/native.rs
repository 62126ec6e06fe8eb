//! What hb.toml means: validated values without spans.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{NodeName, Secret};

/// `hb.toml`: what Heartbeat's files cannot say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// Framing of what we send.
    pub framing: Framing,
    /// Limits on agents, in ms.
    pub operations: Operations,
    /// What a failed start or stop leads to.
    pub failure: FailurePolicy,
    /// How often an address is announced after it moved.
    pub announce: Announce,
    /// How started resources are watched (`[monitor]`).
    pub monitor: Monitor,
    /// What follows when a started resource fails (`[recovery]`).
    pub recovery: Recovery,
    /// When groups go home (`[failback]`).
    pub failback: Failback,
    /// How addresses are guarded (`[address]`).
    pub address: AddressGuard,
    /// `[resource."TEXT"]`, by the resource as written in haresources.
    pub resources: BTreeMap<String, ResourceOptions>,
    /// `[group."KEY"]`, by the group's first resource as written in haresources.
    pub groups: BTreeMap<String, GroupOptions>,
    /// Power switches, from `[fencing]` and from `stonith`/`stonith_host` lines of ha.cf.
    pub fencing: Option<Fencing>,
    /// The watchdog device (`[watchdog]`, or `watchdog` in ha.cf).
    pub watchdog: Option<Watchdog>,
    /// A third party that decides who may go on alone (`[witness]`).
    pub witness: Option<Witness>,
    /// The recording of what the daemon is told (`[record]`).
    pub record: Option<Record>,
}

/// How started resources are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Monitor {
    /// Whether at all (default true).
    pub enabled: bool,
    /// Between two checks of one resource, in ms (default 10 s). What is noticed sooner by the
    /// kernel's word (a process died, an address went away) is checked at once.
    pub interval_ms: u64,
    /// Checks in a row that do not end in time before that counts as a failure (default 2).
    pub timeouts_max: u32,
    /// Between two looks at whether a group that is not held here could be, in ms (default 60 s).
    pub ready_interval_ms: u64,
}

/// What follows when a started resource fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recovery {
    /// Restarts in place within `window_ms` before the group moves (default 3; 0: moves at once).
    pub restarts_max: u32,
    /// After this time without a failure, in ms, failures of a resource are forgotten (default 10 min).
    pub window_ms: u64,
    /// Failed on both nodes: next attempt after this time, in ms (default 60 s).
    pub retry_ms: u64,
}

/// When groups go home under `auto_failback on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failback {
    /// How long the preferred node must have been back, settled and ready, in ms. `None`: twice the
    /// dead time. Each return within the last hour doubles it, up to an hour. With a 3.0.6 peer
    /// groups go home at once, as Heartbeat does.
    pub stable_for_ms: Option<u64>,
    /// At which time of day groups go home by themselves; `None`: at any.
    pub window: Option<DayWindow>,
}

/// A part of each day, by the local clock: from its first minute up to its last, which does not
/// belong to it. One that ends before it begins goes over midnight. An hour that the clock skips in
/// spring is not there that night; one that it repeats in autumn is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DayWindow {
    /// Minute of the day, 0 to 1439.
    pub from: u16,
    /// Minute of the day, 0 to 1439, not the same.
    pub to: u16,
}

impl DayWindow {
    /// Whether `minute` of the day (0 to 1439) lies in it.
    pub fn contains(self, minute: u16) -> bool {
        match self.from <= self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }

    /// When it begins: `02:00`.
    pub fn begin(self) -> String {
        clock(self.from)
    }
}

impl fmt::Display for DayWindow {
    /// `02:00-05:00`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", clock(self.from), clock(self.to))
    }
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// How addresses are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressGuard {
    /// How long other hosts are asked for the address before it is added, in ms (default 50,
    /// at most 300; 0: not at all). Not when the peer has just said that it released it.
    pub probe_ms: u64,
    /// How long an address that the silent peer's machine still answers for is left to it, in ms
    /// (default 10 s); then it is taken all the same.
    pub hold_ms: u64,
    /// Between two announcements while an address is held, in ms (default 60 s, at least
    /// 1 s; 0: none).
    pub refresh_ms: u64,
    /// How often a lost address is put back within `Recovery::window_ms` before that counts as a
    /// failure (default 10).
    pub restores_max: u32,
}

/// What hb.toml says of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceOptions {
    /// Whether it is monitored; `None`: as [`Monitor::enabled`].
    pub monitor: Option<bool>,
    /// In place of [`Monitor::interval_ms`].
    pub interval_ms: Option<u64>,
    /// In place of [`Recovery::restarts_max`].
    pub restarts_max: Option<u32>,
    /// Runs on both nodes; only what is not warm moves.
    pub warm: bool,
    /// Questions over the network that belong to its check, asked after the agent has said that it runs.
    pub probes: Vec<Probe>,
}

/// A check over the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Probe {
    /// A connection is accepted.
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Limit in ms (default 1 s).
        timeout_ms: u64,
    },
    /// A GET is answered with this status.
    Http {
        /// Where to connect.
        address: SocketAddr,
        /// `Host` header.
        host: String,
        /// Path with query.
        path: String,
        /// Accepted status, from and to (default 200..=399).
        status: (u16, u16),
        /// Text that the first 64 KiB of the body must contain.
        contains: Option<String>,
        /// Limit in ms (default 1 s).
        timeout_ms: u64,
    },
}

/// What hb.toml says of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupOptions {
    /// In place of `auto_failback`.
    pub auto_failback: Option<bool>,
    /// In place of [`Failback::stable_for_ms`].
    pub stable_for_ms: Option<u64>,
    /// In place of [`Failback::window`].
    pub failback_window: Option<DayWindow>,
    /// In place of [`Fencing::on_failure`].
    pub on_fence_failure: Option<FenceFailure>,
}

/// What a fence that failed means for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceFailure {
    /// It stays down until the peer is heard again, a later fence works, or an operator has
    /// confirmed that the peer is off (`hb fence confirm`).
    Wait,
    /// It is taken over all the same: for groups of addresses, which two nodes may hold without
    /// damage to data.
    Takeover,
}

/// How the peer is made sure to be off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// Devices in order; those of one level must all succeed, levels are tried one after the other.
    pub devices: Vec<FenceDevice>,
    /// How long a node that holds nothing waits before it fences, in ms, so that of two that shoot
    /// at each other the owner wins (default 2 s).
    pub delay_ms: u64,
    /// Fences within an hour at most (default 3).
    pub per_hour_max: u32,
    /// What a failure means for groups that say nothing else (default wait).
    pub on_failure: FenceFailure,
}

/// One way to fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceDevice {
    /// For logs and status.
    pub name: String,
    /// Which node it fences; `None`: any.
    pub target: Option<NodeName>,
    /// From 1.
    pub level: u8,
    /// What drives it.
    pub kind: FenceKind,
    /// Parameters by name. Values may be passwords.
    pub parameters: BTreeMap<String, Secret>,
    /// Limit of one attempt, in ms (default 60 s).
    pub timeout_ms: u64,
    /// Attempts after the first (default 1).
    pub retries_max: u32,
}

/// What drives a fence device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FenceKind {
    /// A `fence_*` program (key=value lines on its standard input, ClusterLabs' fence agent API).
    Agent {
        /// File name (`fence_ipmilan`) or path.
        program: String,
    },
    /// A cluster-glue plugin of `external/`: parameters in the environment, `reset HOST` as arguments.
    External {
        /// File name below `stonith/plugins/external`, or path.
        plugin: String,
    },
    /// The command `stonith` of cluster-glue with `-t TYPE name=value… -T reset HOST`.
    Stonith {
        /// Device type.
        kind: String,
    },
    /// `ssh` to the node and stop it: needs a living node, for tests and for want of better.
    Ssh,
    /// Does nothing and succeeds: for tests.
    Null,
}

/// The watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Device (`/dev/watchdog`), or a regular file that stands in for it in tests.
    pub device: String,
    /// It bites this long after the last feed, in ms.
    pub timeout_ms: u64,
    /// A resource that cannot be stopped: let it bite (default false: the group is blocked).
    pub reboot_when_stuck: bool,
    /// A node that hears nobody, no ping node either, lets it bite (default false).
    pub suicide_when_isolated: bool,
}

/// Least size of a recording, in MiB: a snapshot must fit into half of it several times.
pub const RECORD_MIB_MIN: u32 = 4;
/// Greatest size of a recording, in MiB: a disk of logs is not to be filled by it.
pub const RECORD_MIB_MAX: u32 = 1_024;
/// Size of a recording that says nothing of it, in MiB.
pub const RECORD_MIB_DEFAULT: u64 = 16;

/// The recording of what the daemon is told and decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its file.
    pub file: String,
    /// The file never grows beyond this, in bytes.
    pub size: u64,
}

/// A third party that gives one of two nodes the right to go on alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// What it is.
    pub kind: WitnessKind,
    /// For how long the right is given, in ms; must be less than the dead time.
    pub lease_ms: u64,
    /// Limit of one question, in ms.
    pub timeout_ms: u64,
}

/// Kinds of witnesses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WitnessKind {
    /// A lease in etcd (v3 API over its JSON gateway).
    Etcd {
        /// `http://host:port`.
        endpoints: Vec<String>,
        /// Key of the lease.
        key: String,
    },
    /// A file on storage that both nodes mount.
    File {
        /// Its path.
        path: String,
    },
}

/// Framing of sent datagrams; both are always received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// `###` … `%%%` with a trailer, as 3.0.6 sends.
    Netstring,
    /// `>>>` … `<<<` with an `auth` field: survives a key rotation with a 3.0.6 peer.
    Classic,
}

/// Time limits of agent actions, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operations {
    /// `start`
    pub start_timeout_ms: u64,
    /// `stop`
    pub stop_timeout_ms: u64,
    /// `status` or `monitor`
    pub status_timeout_ms: u64,
    /// Between TERM and KILL of a process group.
    pub kill_grace_ms: u64,
}

/// What a failed start or stop leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FailurePolicy {
    /// Delay before a group that failed to start is offered to the peer, in ms (Heartbeat: 30 s).
    pub offer_delay_ms: u64,
    /// Repeats of a failed stop before escalation (Heartbeat: HA_STOPRETRYMAX, 10).
    pub stop_retries_max: u32,
    /// Delay between those repeats, in ms (Heartbeat: 1 s).
    pub stop_retry_delay_ms: u64,
}

/// Announcements of a moved address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announce {
    /// How often in all; the first at once.
    pub count: u32,
    /// Delay between them, in ms.
    pub interval_ms: u64,
}

impl Default for Native {
    fn default() -> Self {
        Self {
            framing: Framing::Netstring,
            operations: Operations {
                start_timeout_ms: 60_000,
                stop_timeout_ms: 60_000,
                status_timeout_ms: 20_000,
                kill_grace_ms: 2_000,
            },
            failure: FailurePolicy {
                offer_delay_ms: 30_000,
                stop_retries_max: 10,
                stop_retry_delay_ms: 1_000,
            },
            announce: Announce { count: 5, interval_ms: 200 },
            monitor: Monitor {
                enabled: true,
                interval_ms: 10_000,
                timeouts_max: 2,
                ready_interval_ms: 60_000,
            },
            recovery: Recovery { restarts_max: 3, window_ms: 600_000, retry_ms: 60_000 },
            failback: Failback { stable_for_ms: None, window: None },
            address: AddressGuard {
                probe_ms: 50,
                hold_ms: 10_000,
                refresh_ms: 60_000,
                restores_max: 10,
            },
            resources: BTreeMap::new(),
            groups: BTreeMap::new(),
            fencing: None,
            watchdog: None,
            witness: None,
            record: None,
        }
    }
}

impl Default for Fencing {
    fn default() -> Self {
        Self {
            devices: Vec::new(),
            delay_ms: 2_000,
            per_hour_max: 3,
            on_failure: FenceFailure::Wait,
        }
    }
}

impl Watchdog {
    /// The device with its defaults: it bites after 30 s, and only when the daemon hangs.
    pub fn of(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            timeout_ms: 30_000,
            reboot_when_stuck: false,
            suicide_when_isolated: false,
        }
    }
}
