//! What the node means: validated values without spans. The only configuration type that other
//! crates take. Nothing here parses; `ha_cf`, `haresources`, `authkeys` and `native` build it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A cluster member's name, lower-cased (Heartbeat 3.0.6 compares node names in lower case).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(String);

impl NodeName {
    /// Lower-cases `name`.
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    /// The name as it stands in messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Everything the daemon needs to run, from the four files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node.
    pub node: NodeName,
    /// All members in the order of ha.cf, this node included (ping nodes are not members).
    pub nodes: Vec<NodeName>,
    /// Display name of the cluster (`cluster`, default `linux-ha`).
    pub cluster: String,
    /// Heartbeat times.
    pub timing: Timing,
    /// Heartbeat links, in the order of ha.cf.
    pub media: Vec<Medium>,
    /// Ping nodes and groups, in the order of ha.cf.
    pub pings: Vec<PingTarget>,
    /// UDP port of `bcast`, `ucast` and `ucast6` (`udpport`, default 694).
    pub udp_port: u16,
    /// What happens to groups when their preferred node returns.
    pub auto_failback: AutoFailback,
    /// Keys of authkeys.
    pub keys: AuthKeys,
    /// Groups of haresources, in file order.
    pub groups: Vec<GroupSpec>,
    /// Where log lines go.
    pub logging: Logging,
    /// Whether to ask for real-time scheduling and locked memory (`realtime`, default true).
    pub realtime: bool,
    /// Real-time priority (`rtprio`); `None` means the shell's default.
    pub realtime_priority: Option<u8>,
    /// Whether sequenced messages carry Heartbeat's inner `auth` field (`msgfmt classic`, default).
    pub inner_auth: bool,
    /// `hopfudge` (0..=255, default 1): only enters the `ttl` field.
    pub hopfudge: u8,
    /// Longest delay before a retransmission request, in ms (`max_rexmit_delay`, default 250).
    pub max_rexmit_delay_ms: u64,
    /// Where the generation comes from (`hbgenmethod`).
    pub generation_source: GenerationSource,
    /// Where this node's UUID comes from (`uuidfrom`).
    pub uuid_source: UuidSource,
    /// Whether the node acts on its ping nodes as the client `ipfail` of Heartbeat 3.0.6 does: a
    /// `respawn` line runs a program of that file name. It needs `auto_failback` on or off.
    pub ipfail: bool,
    /// Names exported to resource scripts as `HA_<name>` by `env` lines.
    pub environment: Vec<(String, String)>,
    /// Each ha.cf directive that was written, with its raw last value: `cl_status hbparameter` and
    /// the `HA_<directive>` variables of resource scripts. `stonith_host` is left out because it
    /// holds passwords; `warntime` is there with its computed value when it was not written.
    pub parameters: BTreeMap<String, String>,
    /// What `hb.toml` adds.
    pub native: Native,
}

/// Heartbeat times in milliseconds (Heartbeat 3.0.6, §6.1 of the protocol description).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Interval between status messages; > 0.
    pub keepalive_ms: u64,
    /// Silence after which a node is declared dead; > 2 × keepalive.
    pub deadtime_ms: u64,
    /// Silence after which a late heartbeat is logged.
    pub warntime_ms: u64,
    /// Replaces deadtime until every node was heard or declared dead; ≥ deadtime.
    pub initdead_ms: u64,
    /// Silence after which a ping node is declared dead.
    pub deadping_ms: u64,
}

/// One configured heartbeat path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// `bcast IF`
    Broadcast {
        /// Interface.
        interface: String,
    },
    /// `ucast IF HOST` (the host is resolved by the shell at start)
    Unicast {
        /// Interface.
        interface: String,
        /// Host name or IPv4 address as written.
        host: String,
    },
    /// `ucast6 IF ADDR`
    Unicast6 {
        /// Interface.
        interface: String,
        /// Numeric address.
        address: Ipv6Addr,
    },
    /// `mcast IF GROUP PORT TTL LOOP`
    Multicast {
        /// Interface.
        interface: String,
        /// Group in 224/4.
        group: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// Time to live, 0..=4.
        ttl: u8,
        /// Whether own packets loop back.
        loopback: bool,
    },
    /// `mcast6 IF GROUP PORT HOPS LOOP`
    Multicast6 {
        /// Interface.
        interface: String,
        /// Group of link-, admin-, site- or organisation-local scope.
        group: Ipv6Addr,
        /// UDP port.
        port: u16,
        /// Hop limit.
        hops: u8,
        /// Whether own packets loop back.
        loopback: bool,
    },
}

impl Medium {
    /// The interface, which is also the link's name in `cl_status listhblinks`.
    pub fn interface(&self) -> &str {
        match self {
            Self::Broadcast { interface }
            | Self::Unicast { interface, .. }
            | Self::Unicast6 { interface, .. }
            | Self::Multicast { interface, .. }
            | Self::Multicast6 { interface, .. } => interface,
        }
    }
}

/// A ping node (`ping`, `ping6`) or ping group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingTarget {
    /// Name of the pseudo node: the host as written, or the group's name.
    pub name: NodeName,
    /// Hosts that answer for it, as written; one for `ping` and `ping6`.
    pub hosts: Vec<String>,
    /// Which directive made it.
    pub kind: PingKind,
}

/// The three ping directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PingKind {
    /// `ping`
    Ping,
    /// `ping6`
    Ping6,
    /// `ping_group`
    Group,
}

/// `auto_failback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoFailback {
    /// Groups go home when their preferred node returns.
    On,
    /// Groups stay where they are.
    Off,
    /// Heartbeat's engine before `auto_failback`; also the default when the directive is absent.
    Legacy,
}

/// Signing methods of authkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethod {
    /// CRC-32/CKSUM; no key, no protection.
    Crc,
    /// HMAC-MD5 (RFC 2104).
    Md5,
    /// HMAC-SHA1 (RFC 2104).
    Sha1,
    /// HMAC-SHA256; Twinbeat only.
    Sha256,
}

impl AuthMethod {
    /// The word in authkeys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

/// Key bytes. `Debug` never shows them and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes` as they stand in the file.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the authenticator only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One line of authkeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthKey {
    /// Method.
    pub method: AuthMethod,
    /// Key; empty for `crc`.
    pub secret: Secret,
}

/// authkeys as a whole. Every key verifies, the active one signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthKeys {
    /// Index (0..=15) of the signing key; always present in `keys`.
    pub active: u8,
    /// All keys by index.
    pub keys: BTreeMap<u8, AuthKey>,
}

/// One logical line of haresources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupSpec {
    /// The first resource as written; unique in the file.
    pub key: String,
    /// Where the group lives when it may choose.
    pub preferred: NodeName,
    /// Started left to right, stopped right to left.
    pub resources: Vec<ResourceSpec>,
}

/// One resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// As written in haresources; names the resource in messages, logs and status.
    pub text: String,
    /// The program that would run it.
    pub agent: AgentSpec,
    /// What the daemon performs itself when no foreign script of that name overrides it.
    pub built_in: Option<BuiltIn>,
}

/// Which agent a resource word names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AgentSpec {
    /// `NAME::arg1::arg2`: a script in `resource.d`, else in `/etc/init.d` (decided when it runs).
    Script {
        /// File name.
        name: String,
        /// Positional arguments.
        args: Vec<String>,
    },
    /// `ocf::provider:type::name=value::…`
    Ocf {
        /// Provider directory below `$OCF_ROOT/resource.d`.
        provider: String,
        /// Agent file.
        kind: String,
        /// Parameters, exported as `OCF_RESKEY_<name>`.
        parameters: Vec<(String, String)>,
    },
    /// `systemd::unit`
    Systemd {
        /// Unit name with its suffix (`nginx.service`).
        unit: String,
    },
}

/// Work that the daemon does itself, without a fork.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BuiltIn {
    /// `IPaddr`, `IPaddr2`, `IPv6addr` and bare addresses.
    Address(AddressSpec),
    /// `SendArp::ip/interface`: announce an address without owning it.
    SendArp {
        /// Address to announce.
        ip: IpAddr,
        /// Interface to announce on.
        interface: String,
    },
}

/// A floating address as written; what is missing is found by route when it is added.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressSpec {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length, 0..=32 or 0..=128.
    pub prefix_len: Option<u8>,
    /// Interface without the label part.
    pub interface: Option<String>,
    /// Whole IPv4 label (`eth0:0`), at most 15 bytes.
    pub label: Option<String>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
}

/// Log destinations of ha.cf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// `logfile`
    pub logfile: Option<String>,
    /// `debugfile`
    pub debugfile: Option<String>,
    /// `logfacility` as a syslog facility number (RFC 3164), `None` for `none` or absent.
    pub facility: Option<u8>,
    /// `debug`, 0..=255.
    pub debug: u8,
    /// `log_badpack`: log datagrams that fail to decode or authenticate.
    pub log_bad_packets: bool,
}

/// `hbgenmethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationSource {
    /// Counter in `/var/lib/heartbeat/hb_generation`.
    File,
    /// Unix time at start.
    Time,
}

/// `uuidfrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidSource {
    /// `/var/lib/heartbeat/hb_uuid`, made at random when missing.
    File,
    /// Derived from the node name.
    NodeName,
}

/// `hb.toml`: what Heartbeat's files cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// How addresses are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressGuard {
    /// How long other hosts are asked for the address before it is added, in ms (default 200,
    /// at most 300; 0: not at all). Not when the peer has just said that it released it.
    pub probe_ms: u64,
    /// Between two announcements while an address is held, in ms (default 60 s; 0: none).
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
        address: std::net::SocketAddr,
        /// Limit in ms (default 1 s).
        timeout_ms: u64,
    },
    /// A GET is answered with this status.
    Http {
        /// Where to connect.
        address: std::net::SocketAddr,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A third party that gives one of two nodes the right to go on alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is.
    pub kind: WitnessKind,
    /// For how long the right is given, in ms; must be less than the dead time.
    pub lease_ms: u64,
    /// Limit of one question, in ms.
    pub timeout_ms: u64,
}

/// Kinds of witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            failback: Failback { stable_for_ms: None },
            address: AddressGuard { probe_ms: 200, refresh_ms: 60_000, restores_max: 10 },
            resources: BTreeMap::new(),
            groups: BTreeMap::new(),
            fencing: None,
            watchdog: None,
            witness: None,
        }
    }
}

impl Settings {
    /// The other member; `None` when ha.cf names only this node.
    pub fn peer(&self) -> Option<&NodeName> {
        self.nodes.iter().find(|name| **name != self.node)
    }
}
