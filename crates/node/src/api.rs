//! The control API: one JSON object per line over `/run/heartbeat/status.sock` (read only, 0666)
//! and `/run/heartbeat/control.sock` (0660, root and group haclient). Version 1.

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::{AutoFailback, Timing};
use hb_messaging::engine::Counters;
use hb_resource::input::{GroupClaim, Which};
use serde::{Deserialize, Serialize};

pub mod activity;
mod entry;

pub use activity::{Activity, Bucket, Histogram, Intervals, LinkCounters};
pub use entry::{EntryKind, HistoryEntry, HistoryStep, OutageSince};

/// Version of this schema; changes only when an old reader would misread.
pub const VERSION: u32 = 1;
/// Directory of both sockets.
pub const RUN_DIR: &str = "/run/heartbeat";
/// File name of the read-only socket below [`RUN_DIR`].
pub const STATUS_SOCKET: &str = "status.sock";
/// File name of the command socket below [`RUN_DIR`].
pub const CONTROL_SOCKET: &str = "control.sock";

/// Directory of what is kept over restarts.
pub const STATE_DIR: &str = "/var/lib/heartbeat";
/// File name of the history below [`STATE_DIR`]: one [`HistoryEntry`] per line.
pub const HISTORY_FILE: &str = "history.jsonl";
/// File name of the last status below [`STATE_DIR`]: one [`SavedStatus`].
pub const LAST_STATUS_FILE: &str = "last-status.json";

/// One line from a client: `{"v":1,"id":7,"cmd":"standby","which":{"sets":{…}}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// Schema version of the client.
    pub v: u32,
    /// Echoed in the answer.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What a client may ask. `Status` and `History` on both sockets, the rest on the command socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
pub enum Request {
    /// A snapshot now.
    Status,
    /// What happened last, oldest first.
    History,
    /// Give groups to the peer. Answered when it is done or refused.
    Standby {
        /// Which, from this node's point of view.
        which: Which,
    },
    /// Get groups from the peer. Answered when it is done or refused.
    Takeover {
        /// Which, from this node's point of view.
        which: Which,
    },
    /// Forget a failure and try again.
    Cleanup {
        /// Which group; all when absent.
        #[serde(default)]
        group: Option<String>,
    },
    /// Read the files again and put into force what differs. Answered with what that is.
    Reload {
        /// Only say it.
        #[serde(default)]
        dry_run: bool,
    },
    /// Orderly stop of this daemon. Answered when it is accepted.
    Stop,
    /// Hands off: checks go on, nothing is started, stopped or moved, on neither node.
    Maintenance {
        /// On or off.
        on: bool,
        /// Ends by itself after this time; never when absent.
        #[serde(default)]
        limit_ms: Option<u64>,
    },
    /// Ask each fence device whether it works. Answered when all have answered.
    FenceTest,
    /// An operator has made sure that the other node is off.
    FenceConfirm {
        /// Its name, so that nobody confirms the wrong one.
        node: String,
    },
}

/// One line to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseLine {
    /// [`VERSION`].
    pub v: u32,
    /// Id of the request.
    pub id: u64,
    /// Whether it was done.
    pub ok: bool,
    /// The answer.
    #[serde(flatten)]
    pub response: Response,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Answer to `Status`.
    Status(Box<StatusSnapshot>),
    /// Answer to `History`.
    History(Vec<HistoryEntry>),
    /// Answer to `Reload`: what differs between the files and what was in force.
    Changes {
        /// Sentences for people, one on each line.
        text: String,
        /// Whether the daemon starts anew to put it into force.
        restarts: bool,
    },
    /// A command was carried out.
    Done {
        /// What was done.
        text: String,
    },
    /// A command was refused or failed.
    Error {
        /// Why, and what to do.
        text: String,
    },
}

/// The verdict, worst first when combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Served, and the peer could take over.
    Healthy,
    /// A transition is under way.
    Transition,
    /// Served, but something is not redundant or not as it should be.
    Degraded,
    /// Something is not served by anybody.
    Down,
    /// Both nodes claim a group, or the peer is silent and its machine still answers for an address
    /// of one, or claims it.
    Split,
}

/// Everything `hb status` shows. Unknown is `None`, never a guess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusSnapshot {
    /// [`VERSION`].
    pub v: u32,
    /// Cluster name.
    pub cluster: String,
    /// Product version of the daemon.
    pub version: String,
    /// Process id of the daemon; filled in by the shell.
    pub pid: u32,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Verdict.
    pub verdict: Verdict,
    /// Milliseconds since it is so.
    #[serde(default)]
    pub verdict_since_ms: u64,
    /// What is wrong, each with since, why and what to do. When healthy at most notes: something
    /// that happened and is mended.
    pub problems: Vec<Problem>,
    /// Whether the peer could take over, as far as is known here.
    pub failover_ready: bool,
    /// Why not; empty when it could.
    #[serde(default)]
    pub unready: Vec<String>,
    /// Maintenance, when either node is in it.
    #[serde(default)]
    pub maintenance: Option<MaintenanceStatus>,
    /// Fencing, when it is configured.
    #[serde(default)]
    pub fencing: Option<FencingStatus>,
    /// The witness, when one is configured: what it said last, in words.
    #[serde(default)]
    pub witness: Option<String>,
    /// Names of all members in the order of ha.cf, this node included.
    pub members: Vec<String>,
    /// The configuration of both nodes, compared.
    #[serde(default)]
    pub config: Vec<ConfigPart>,
    /// This node.
    pub this_node: ThisNode,
    /// The other member; `None` when ha.cf names only this node.
    pub peer: Option<PeerNode>,
    /// Ping nodes.
    pub pings: Vec<PingStatus>,
    /// Groups in haresources order.
    pub groups: Vec<GroupStatus>,
    /// The last completed move.
    pub last_move: Option<HistoryEntry>,
    /// Times in force.
    pub timing: Timing,
    /// `auto_failback` in force.
    pub auto_failback: AutoFailback,
    /// Raw ha.cf values by directive, for `cl_status hbparameter`.
    pub parameters: BTreeMap<String, String>,
    /// Packet counters.
    pub counters: Counters,
    /// Totals since the daemon's start.
    #[serde(default)]
    pub activity: Activity,
}

/// The last status of a daemon, for the time in which it cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStatus {
    /// Unix time in milliseconds at which it was so.
    pub saved_unix_ms: u64,
    /// The daemon saved it when it left in order.
    pub is_last: bool,
    /// As it was.
    pub status: StatusSnapshot,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable id, `snake_case`: `link_down`, `peer_dead`, `split`, `group_failed` …
    pub id: String,
    /// What it is about: a group, a link, a node … Together with `id` it identifies the problem over
    /// time. Empty where there can be one only, and from versions that did not say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What and why.
    pub text: String,
    /// What to do about it.
    pub hint: String,
    /// Milliseconds since it began.
    pub since_ms: u64,
}

/// This node's own state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThisNode {
    /// Name.
    pub name: String,
    /// `init`, `up`, `active`, or `stopping`.
    pub status: String,
    /// Phase of the resource negotiation: `init`, `starting`, `stable` …
    pub phase: String,
    /// `none`, `local`, `foreign`, `all`, or `transition` (`cl_status rscstatus`).
    pub rscstatus: String,
    /// Generation of this start.
    pub generation: u64,
    /// Index and method of the signing key, as `#2 sha256`.
    pub key: String,
    /// All keys that are accepted here, by index.
    #[serde(default)]
    pub keys: Vec<KeyStatus>,
    /// Heartbeat's clients that are part of this daemon, for `cl_status clientstatus`.
    #[serde(default)]
    pub clients: BTreeSet<String>,
}

/// One key of authkeys, by fingerprint; never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Index, 0..=15.
    pub index: u8,
    /// `crc`, `md5`, `sha1` or `sha256`.
    pub method: String,
    /// Eight hex digits, the same on both nodes for the same key.
    pub fingerprint: String,
    /// Whether the node signs with it.
    pub active: bool,
}

impl KeyStatus {
    /// Whether both are the same key under the same index.
    pub fn is_same_key(&self, other: &Self) -> bool {
        (self.index, &self.method, &self.fingerprint)
            == (other.index, &other.method, &other.fingerprint)
    }
}

/// What is known of the other member, with its age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNode {
    /// Name.
    pub name: String,
    /// `init`, `up`, `active` or `dead`.
    pub status: String,
    /// Milliseconds since its last packet: the age of everything said of it.
    pub heard_ms_ago: Option<u64>,
    /// `none`, `local`, `foreign` or `all` from its own point of view; `None` when never said.
    pub holdings: Option<String>,
    /// Whether it has no transition under way; `None` when never said.
    pub stable: Option<bool>,
    /// Whether it is a Twinbeat node; `None` when nothing was heard.
    pub native: Option<bool>,
    /// Generation.
    pub generation: u64,
    /// The keys that it says it accepts; `None` when it has not said so (a 3.0.6 peer).
    #[serde(default)]
    pub keys: Option<Vec<KeyStatus>>,
    /// Programs that are signed on at its client socket, as far as it has said so.
    #[serde(default)]
    pub clients: BTreeSet<String>,
    /// Links to it.
    pub links: Vec<LinkStatus>,
    /// How far apart its heartbeats came since the daemon's start, on whichever link each came first.
    #[serde(default)]
    pub intervals: Option<Intervals>,
}

/// One link to the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Interface.
    pub name: String,
    /// Whether the peer's packets arrive on it.
    pub up: bool,
    /// Milliseconds since the last one.
    pub heard_ms_ago: Option<u64>,
    /// Why the socket does not work here, if so.
    pub failure: Option<String>,
    /// Whether the peer says that it hears us on this link; `None` when it has not said so.
    #[serde(default)]
    pub peer_hears: Option<bool>,
    /// Of a thousand packets of the peer, how many lately did not come on it; `None` while that is
    /// not known.
    #[serde(default)]
    pub loss_permille: Option<u16>,
    /// Smoothed round trip in µs, this node and back; `None` while it is not known (a 3.0.6 peer, a
    /// link that carries in one direction only).
    #[serde(default)]
    pub rtt_us: Option<u64>,
    /// How far apart the peer's heartbeats came on it since the daemon's start.
    #[serde(default)]
    pub intervals: Option<Intervals>,
    /// What became of the packets that arrived on it since the daemon's start.
    #[serde(default)]
    pub counters: Option<LinkCounters>,
}

/// One part of the configuration, as it is compared between the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPart {
    /// `ha.cf`, `haresources` or `hb.toml`.
    pub part: String,
    /// Digest of its meaning here.
    pub here: String,
    /// Digest at the peer; `None` when it has not said so.
    pub peer: Option<String>,
    /// Whether both mean the same; `None` when that cannot be told (a 3.0.6 peer, or another version).
    pub same: Option<bool>,
}

/// One ping node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingStatus {
    /// Name.
    pub name: String,
    /// `init`, `ping` or `dead`.
    pub status: String,
    /// Milliseconds since its last answer.
    pub heard_ms_ago: Option<u64>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Key.
    pub key: String,
    /// Preferred node.
    pub prefers: String,
    /// State here.
    pub here: GroupClaim,
    /// State at the peer; `None` when unknown (a 3.0.6 peer, or nothing heard).
    pub peer: Option<GroupClaim>,
    /// Which node serves it as far as is known here; `None` when none does or it is unknown.
    pub active_on: Option<String>,
    /// The silent peer, when its machine answers for an address of the group, or claims one that this
    /// node serves: it may serve it all the same.
    #[serde(default)]
    pub maybe_on: Option<String>,
    /// Milliseconds since the state here last changed.
    pub since_ms: u64,
    /// Why it is as it is: the last transition's sentence.
    pub reason: String,
    /// Members in order.
    pub resources: Vec<ResourceStatus>,
    /// Why it could not be run here, if so.
    #[serde(default)]
    pub unready_here: Option<String>,
    /// Why the peer says that it could not run it, if so.
    #[serde(default)]
    pub unready_peer: Option<String>,
    /// When it goes home, in words, if it will.
    #[serde(default)]
    pub failback: Option<String>,
    /// What would be done if there were no maintenance.
    #[serde(default)]
    pub would_do: Option<String>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// As written in haresources.
    pub text: String,
    /// `stopped`, `starting`, `running`, `stopping`, `failed` or `unknown`, on this node.
    pub state: String,
    /// Milliseconds since that state began.
    pub since_ms: u64,
    /// Result of the last operation, in words.
    pub last: Option<String>,
    /// Milliseconds since it was last checked; `None` when it is not watched or was not yet.
    #[serde(default)]
    pub checked_ms_ago: Option<u64>,
    /// Failures that count against it.
    #[serde(default)]
    pub failures: u32,
    /// The operation under way and for how long, in words.
    #[serde(default)]
    pub under_way: Option<String>,
}

/// Maintenance: nothing is started, stopped or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceStatus {
    /// This node was told so.
    pub here: bool,
    /// The other node says that it was told so.
    pub peer: bool,
    /// Milliseconds until it ends by itself here.
    pub ends_in_ms: Option<u64>,
}

/// Fencing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencingStatus {
    /// Devices by name.
    pub devices: Vec<String>,
    /// `idle`, `waiting`, `fencing`, `fenced`, `confirmed`, `failed`, or `refused` (too many).
    pub state: String,
    /// What happened last, in words.
    pub last: Option<String>,
}
