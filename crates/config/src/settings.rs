//! What the node means: validated values without spans. The only configuration type that other
//! crates take. Nothing here parses; `ha_cf`, `haresources`, `authkeys` and `native` build it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod companions;
mod native;
pub mod notify;

pub use companions::*;
pub use native::*;

/// A cluster member's name, lower-cased (Heartbeat 3.0.6 compares node names in lower case).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(String);

impl NodeName {
    /// Lower-cases `name`.
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    /// Whether `name`, in any case, is this one.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Nothing of a secret leaves the process: what is read again is an empty one.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(Vec::new()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One line of authkeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthKey {
    /// Method.
    pub method: AuthMethod,
    /// Key; empty for `crc`.
    pub secret: Secret,
}

/// authkeys as a whole. Every key verifies, the active one signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// As written in haresources, with secrets covered ([`crate::secret`]); names the resource in messages,
    /// logs and status.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GenerationSource {
    /// Counter in `/var/lib/heartbeat/hb_generation`.
    File,
    /// Unix time at start.
    Time,
}

/// `uuidfrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UuidSource {
    /// `/var/lib/heartbeat/hb_uuid`, made at random when missing.
    File,
    /// Derived from the node name.
    NodeName,
}

impl Settings {
    /// The other member; `None` when ha.cf names only this node.
    pub fn peer(&self) -> Option<&NodeName> {
        self.nodes.iter().find(|name| **name != self.node)
    }
}
