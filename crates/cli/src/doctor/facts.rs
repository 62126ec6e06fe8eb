//! What the doctor knows of the machine. Plain data: `gather` fills it in, `rules` judge it, tests
//! write it down. Unknown is `None` or absent, never a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hb_config::settings::Settings;
use hb_node::api::StatusSnapshot;

use super::firewall::Chain;

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Whether root looks: much cannot be seen otherwise.
    pub(super) is_root: bool,
    pub(super) config: Config,
    /// What the daemon says; `None` when it does not answer.
    pub(super) status: Option<StatusSnapshot>,
    /// The daemon's process; `None` when it does not run.
    pub(super) daemon: Option<Daemon>,
    pub(super) network: Network,
    pub(super) firewall: Firewall,
    pub(super) boot: Boot,
    pub(super) machine: Machine,
    /// `None`: not looked at.
    pub(super) agents: Option<Vec<Agent>>,
}

/// The configuration directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) dir: String,
    /// Of `hb check`.
    pub(super) errors: usize,
    pub(super) warnings: usize,
    /// `None` when the daemon would not start with it.
    pub(super) settings: Option<Settings>,
    /// Files of the directory whose owner or mode was looked at.
    pub(super) files: Vec<Component>,
}

/// A file or directory, and who may change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) path: String,
    /// Owner, by number.
    pub(super) uid: u32,
    /// Permissions with sticky bit.
    pub(super) mode: u32,
}

/// The daemon's process as `/proc` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) pid: u32,
    /// Effective user.
    pub(super) uid: u32,
    /// Effective capabilities, as bits.
    pub(super) capabilities: u64,
    pub(super) no_new_privileges: bool,
    /// Soft limits by the name of `/proc/PID/limits`; `None`: unlimited.
    pub(super) limits: BTreeMap<String, Option<u64>>,
    /// Scheduling policy of sched(7): 0 ordinary, 1 FIFO, 2 round robin.
    pub(super) policy: u32,
    /// Locked memory in KiB.
    pub(super) locked_kib: u64,
    pub(super) oom_score_adj: i32,
    /// Whether its files are those that this command sees.
    pub(super) same_files: bool,
    /// Whether its network is the one that this command sees.
    pub(super) same_network: bool,
    /// Label of SELinux or AppArmor, when it is confined.
    pub(super) label: Option<String>,
}

/// Interfaces, names, ports, kernel settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    pub(super) interfaces: BTreeMap<String, Interface>,
    /// By the name as ha.cf has it.
    pub(super) names: BTreeMap<String, Name>,
    /// Who listens.
    pub(super) sockets: Vec<Socket>,
    /// By the path below `/proc/sys`, with `/`.
    pub(super) sysctl: BTreeMap<String, String>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// Whether it is switched on.
    pub(super) up: bool,
    /// Whether there is a cable; `None` when that cannot be told.
    pub(super) carrier: Option<bool>,
    /// Addresses with prefix lengths.
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) networkd: Option<Networkd>,
    /// Whether NetworkManager manages it.
    pub(super) network_manager: bool,
}

/// What systemd-networkd does with an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Networkd {
    /// The `.network` file.
    pub(super) file: String,
    /// `KeepConfiguration=` with drop-ins, in lower case.
    pub(super) keep: Option<String>,
}

/// What a host name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) addresses: Vec<IpAddr>,
    /// Whether /etc/hosts has it, so that no name server is needed.
    pub(super) in_hosts: bool,
}

/// One open port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) protocol: Protocol,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Process and its name; `None` when it cannot be seen.
    pub(super) owner: Option<(u32, String)>,
}

/// Of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A listener.
    Tcp,
    /// A bound socket.
    Udp,
}

/// The packet filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Firewall {
    pub(super) chains: Vec<Chain>,
    /// Why it could not be read, if so.
    pub(super) unread: Option<String>,
    /// firewalld runs, and the zone of each interface as far as it says so.
    pub(super) firewalld: Option<BTreeMap<String, String>>,
}

/// What starts when the machine does.
#[derive(Clone, Debug, Default)]
pub(super) struct Boot {
    /// The machine runs systemd.
    pub(super) systemd: bool,
    /// Units and init scripts that are started at boot, with the link that does it.
    pub(super) enabled: BTreeMap<String, String>,
    pub(super) masked: BTreeSet<String>,
    /// Properties of heartbeat.service as systemd knows it; empty without.
    pub(super) unit: BTreeMap<String, String>,
}

/// The rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) host: String,
    /// Names of programs that run, of those that matter here.
    pub(super) programs: BTreeMap<String, Vec<u32>>,
    /// Processes of Debian's heartbeat.
    pub(super) genuine: Vec<u32>,
    /// Directories of the daemon.
    pub(super) folders: Vec<Folder>,
    /// Files that set up addresses at boot and name one of ours: address and file.
    pub(super) static_addresses: Vec<(IpAddr, String)>,
    /// Configured by cloud-init at each boot.
    pub(super) cloud_init: bool,
    /// Whether the clock is synchronised; `None` when nobody knows.
    pub(super) synchronised: Option<bool>,
}

/// A directory in which the daemon writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: String,
    /// What it is for, in words.
    pub(super) use_for: String,
    pub(super) state: FolderState,
}

/// How it is with a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FolderState {
    Missing,
    /// Why it cannot be looked at.
    Unreadable(String),
    There {
        uid: u32,
        mode: u32,
        read_only: bool,
        /// In memory: gone after a boot.
        volatile: bool,
        /// Bytes that are free.
        free: u64,
        /// Files that can still be made; `None` when the file system does not count them.
        inodes: Option<u64>,
    },
}

impl Default for FolderState {
    fn default() -> Self {
        Self::Missing
    }
}

/// One resource and its program, tried in the daemon's own context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) group: String,
    /// As written in haresources, secrets covered.
    pub(super) text: String,
    /// Every part of the way to the program, from the root on; empty where there is no program.
    pub(super) path: Vec<Component>,
    pub(super) validated: Validated,
    /// Whether an OCF agent describes itself; `None` for others.
    pub(super) metadata: Option<Result<(), String>>,
}

/// What the validation of a resource said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Validated {
    /// Nothing to run: the daemon does it itself.
    BuiltIn,
    Fine,
    /// The agent ran and said no.
    Refused(String),
    /// The agent could not be run: which says nothing of the service.
    NotRun(String),
    TimedOut,
}
