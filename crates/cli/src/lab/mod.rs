//! A two-node lab on one machine: two nodes, a client and the two networks between them, all in
//! namespaces of their own. `hb demo` plays in it and `tests/netns` tests in it. It knows nothing
//! of clusters: which daemon runs and what its files say is the caller's business.
//!
//! A program that uses it calls [`enter`] first thing in `main`. Inside, everything belongs to a
//! PID namespace whose first process is the caller, so that its end is the end of every process,
//! mount, interface and file of the lab, whatever ended it.

mod enter;
mod error;
mod exec;
mod helper;
mod http;
mod machine;
mod node;
mod prober;
mod root;
mod switch;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

pub use enter::{Entered, enter};
pub use error::LabError;
pub use exec::find_program;
pub use exec::{Proc, shell};
pub use helper::{RESOURCE_FLAG, help_if_asked};
pub(crate) use http::html as page_html;
pub use node::{KEPT, PROGRAMS, SELF};
pub(crate) use prober::SERVED_BY;
pub use prober::{Miss, Outage, Probe, Prober, Summary};
pub use root::is_machines_root;

use node::Node;
use switch::Switch;

/// Interface of a node on the public network, where the floating address lives.
pub const PUBLIC: &str = "eth0";
/// Interface of a node on the heartbeat network.
pub const HEARTBEAT: &str = "eth1";
/// Prefix length of both networks.
pub const PREFIX: u8 = 24;
/// The address that the cluster moves, and that the client asks (TEST-NET-1, RFC 5737).
pub const FLOATING: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The client's address on the public network; it answers pings, so it serves as a ping node too.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// Nodes that a lab can have; host parts and interface names are made from the number.
const NODES_MAX: usize = 9;
/// Longest run of one [`Lab::exec`]: longer than any stop of a resource in a test.
const EXEC_LIMIT: Duration = Duration::from_secs(60);

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Names of the nodes. The number of a node, from 1, is the host part of its addresses.
    pub nodes: Vec<String>,
    /// Programs that every node finds in [`PROGRAMS`], by name. The running program is one of them
    /// in any case, under the name [`SELF`].
    pub programs: BTreeMap<String, PathBuf>,
    /// Further folders below `/etc` and `/var` that keep their content when a node's power fails,
    /// beside [`KEPT`].
    pub kept: Vec<String>,
}

impl LabConfig {
    /// Two nodes, `node1` and `node2`.
    pub fn pair() -> Self {
        Self {
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            programs: BTreeMap::new(),
            kept: Vec::new(),
        }
    }

    /// With `path` as [`PROGRAMS`]`/name` in every node.
    #[must_use]
    pub fn program(mut self, name: &str, path: &Path) -> Self {
        self.programs.insert(name.to_owned(), path.to_owned());
        self
    }
}

/// Address of node number `number` (from 1) on the public network.
pub fn public_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host_part(number))
}

/// Address of node number `number` (from 1) on the heartbeat network (TEST-NET-2, RFC 5737).
pub fn heartbeat_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, host_part(number))
}

fn host_part(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// When the parts of a power loss happened.
#[derive(Clone, Copy, Debug)]
pub struct PowerLoss {
    /// Before anything was done: the moment from which an outage counts.
    pub at: Instant,
    /// Both cables are dead.
    pub cut: Instant,
    /// The node's first process was killed, and with it every other.
    pub killed: Instant,
}

/// The lab: what is around the nodes, and the nodes.
#[derive(Debug)]
pub struct Lab {
    runtime: tokio::runtime::Runtime,
    switch: Switch,
    base: PathBuf,
    nodes: Vec<Node>,
}

impl Lab {
    /// Makes the networks and the client. The nodes are switched off. Call [`enter`] before.
    ///
    /// # Errors
    /// When the kernel refuses bridges or mounts, or a name of the configuration is unusable.
    pub fn new(config: LabConfig) -> Result<Self, LabError> {
        if config.nodes.is_empty() || config.nodes.len() > NODES_MAX {
            return Err(LabError::Invalid(format!("a lab has 1 to {NODES_MAX} nodes")));
        }
        if let Some(bad) = config.nodes.iter().find(|n| !node::is_usable_name(n)) {
            return Err(LabError::Invalid(format!("{bad:?} is no host name")));
        }
        let base = root::make_base(config.programs.values())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| LabError::system("tokio runtime", e))?;
        let switch = runtime.block_on(Switch::new())?;
        let nodes = config
            .nodes
            .iter()
            .enumerate()
            .map(|(index, name)| Node::new(&base, name, index + 1, &config))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { runtime, switch, base, nodes })
    }

    /// Folder of the lab in this process' file system; gone with the lab.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Switches `node` on and waits until its network is up. Files below [`KEPT`] are as they were
    /// left, everything else is fresh.
    ///
    /// # Errors
    /// When it is on already, or the kernel refuses a namespace, a mount or an interface.
    pub fn boot(&mut self, node: &str) -> Result<(), LabError> {
        let index = self.index(node)?;
        let peers: Vec<_> = self.nodes.iter().map(Node::host_entry).collect();
        let Some(machine) = self.nodes.get_mut(index) else {
            return Err(LabError::Invalid(format!("there is no node {node}")));
        };
        let pid = machine.switch_on(&peers)?;
        let number = machine.number();
        self.runtime.block_on(self.switch.plug_in(number, pid))?;
        machine.wait_ready()
    }

    /// Power loss: both cables dead and every process of `node` killed in one go.
    ///
    /// # Errors
    /// When the node is off, or netlink fails.
    pub fn power_off(&mut self, node: &str) -> Result<PowerLoss, LabError> {
        let index = self.index(node)?;
        let at = now();
        let number = index + 1;
        self.runtime.block_on(self.switch.silence(number))?;
        let cut = now();
        if let Some(machine) = self.nodes.get_mut(index) {
            machine.kill()?;
        }
        let killed = now();
        // No daemon may live to see that its interfaces go: power loss gives no such warning.
        if let Some(machine) = self.nodes.get_mut(index) {
            machine.wait_gone();
        }
        self.runtime.block_on(self.switch.unplug(number))?;
        Ok(PowerLoss { at, cut, killed })
    }

    /// Whether `node` is on.
    pub fn is_on(&mut self, node: &str) -> bool {
        self.index(node).ok().and_then(|i| self.nodes.get_mut(i)).is_some_and(Node::is_on)
    }

    /// Runs a command inside `node` to its end, at most a minute.
    ///
    /// # Errors
    /// When the node is off, the program cannot be started, or it does not end in time.
    pub fn exec(&self, node: &str, argv: &[&str]) -> Result<Output, LabError> {
        self.exec_for(node, argv, EXEC_LIMIT)
    }

    /// As [`Lab::exec`] with a limit of the caller.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn exec_for(&self, node: &str, argv: &[&str], limit: Duration) -> Result<Output, LabError> {
        let pid = self.node(node)?.pid()?;
        self.runtime.block_on(exec::output(pid, argv, limit))
    }

    /// Starts a command inside `node` that goes on. What it prints is appended to
    /// `/var/log/LOG` there; the node's power loss ends it, and so does dropping the handle.
    ///
    /// # Errors
    /// When the node is off or the log cannot be opened.
    pub fn spawn(&self, node: &str, argv: &[&str], log: &str) -> Result<Proc, LabError> {
        let machine = self.node(node)?;
        let pid = machine.pid()?;
        exec::spawn(pid, argv, &machine.disk_path(&format!("/var/log/{log}"))?)
    }

    /// Pulls one cable: `interface` is [`PUBLIC`] or [`HEARTBEAT`]. The node loses its carrier, the
    /// others keep theirs.
    ///
    /// # Errors
    /// When there is no such node or cable, or netlink fails.
    pub fn cut(&self, node: &str, interface: &str) -> Result<(), LabError> {
        let (number, network) = self.cable(node, interface)?;
        self.runtime.block_on(self.switch.cut(number, network))
    }

    /// Drops everything on one cable in both directions while every node keeps its carrier, as a
    /// broken switch does.
    ///
    /// # Errors
    /// As [`Lab::cut`].
    pub fn mute(&self, node: &str, interface: &str) -> Result<(), LabError> {
        let (number, network) = self.cable(node, interface)?;
        self.runtime.block_on(self.switch.mute(number, network))
    }

    /// The name of the lab's end of a cable, for who wants to see or change what passes.
    ///
    /// # Errors
    /// When there is no such node or cable.
    pub fn lab_end(&self, node: &str, interface: &str) -> Result<String, LabError> {
        let (number, network) = self.cable(node, interface)?;
        Ok(switch::port_name(number, network))
    }

    /// Undoes [`Lab::cut`] and [`Lab::mute`].
    ///
    /// # Errors
    /// As [`Lab::cut`].
    pub fn mend(&self, node: &str, interface: &str) -> Result<(), LabError> {
        let (number, network) = self.cable(node, interface)?;
        self.runtime.block_on(self.switch.mend(number, network))
    }

    /// Takes the client's address away, so that pings to [`CLIENT`] stay unanswered, or gives it
    /// back. The client's own probes need it.
    ///
    /// # Errors
    /// When netlink fails.
    pub fn set_client_address(&self, present: bool) -> Result<(), LabError> {
        self.runtime.block_on(self.switch.set_client_address(present))
    }

    /// A client that asks `http://`[`FLOATING`]`/` every two milliseconds from here on.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn client(&self) -> Result<Prober, LabError> {
        Prober::start((FLOATING, 80).into(), prober::INTERVAL, prober::TIMEOUT)
    }

    /// Starts the built-in HTTP server inside `node`, on port 80 of all addresses. Its answers name
    /// the node, as [`Prober`] wants it.
    ///
    /// # Errors
    /// As [`Lab::spawn`].
    pub fn serve(&self, node: &str) -> Result<Proc, LabError> {
        let program = format!("{PROGRAMS}/{SELF}");
        self.spawn(node, &[&program, helper::FLAG, helper::HTTP, node, "0.0.0.0:80"], "http.log")
    }

    /// Writes a file of `node`, on or off, with `mode` and its folders. Off, only files below
    /// [`KEPT`] exist.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_file(
        &self,
        node: &str,
        path: &str,
        text: &str,
        mode: u32,
    ) -> Result<(), LabError> {
        self.node(node)?.write_file(path, text, mode)
    }

    /// Reads a file of `node`, on or off; off, only those below [`KEPT`].
    ///
    /// # Errors
    /// When it is not there or not text.
    pub fn read_file(&self, node: &str, path: &str) -> Result<String, LabError> {
        self.node(node)?.read_file(path)
    }

    /// Where a file of a running `node` is in this process' file system: its sockets can be
    /// connected to through this path.
    ///
    /// # Errors
    /// When the node is off.
    pub fn path(&self, node: &str, path: &str) -> Result<PathBuf, LabError> {
        self.node(node)?.live_path(path)
    }

    /// What `node` asked of its power switch: the calls of `reboot`, `poweroff` and the like, which
    /// a stub covers, one per line.
    pub fn power_requests(&self, node: &str) -> String {
        self.read_file(node, node::POWER_LOG).unwrap_or_default()
    }

    fn index(&self, node: &str) -> Result<usize, LabError> {
        self.nodes
            .iter()
            .position(|n| n.name() == node)
            .ok_or_else(|| LabError::Invalid(format!("there is no node {node}")))
    }

    fn node(&self, node: &str) -> Result<&Node, LabError> {
        self.nodes
            .iter()
            .find(|n| n.name() == node)
            .ok_or_else(|| LabError::Invalid(format!("there is no node {node}")))
    }

    /// Number of the node and of the network that a cable joins.
    fn cable(&self, node: &str, interface: &str) -> Result<(usize, usize), LabError> {
        let network = switch::network_of(interface)
            .ok_or_else(|| LabError::Invalid(format!("a node has no cable {interface}")))?;
        Ok((self.index(node)? + 1, network))
    }
}

impl Drop for Lab {
    /// Switches everything off and takes it away, so that the next lab finds nothing.
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if node.is_on() {
                let _ = node.kill();
                node.wait_gone();
            }
            let _ = self.runtime.block_on(self.switch.unplug(node.number()));
        }
        self.runtime.block_on(self.switch.remove());
        root::remove_base(&self.base);
    }
}

#[expect(clippy::disallowed_methods, reason = "a lab measures real time")]
fn now() -> Instant {
    Instant::now()
}
