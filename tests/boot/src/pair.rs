//! Both machines and the client, and what the steps ask of them again and again. What must hold is
//! said by the steps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hb_netns::traffic::Traffic;

use crate::base::Prepared;
use crate::machine::{self, Machine};
use crate::network;

/// Both names.
pub(crate) const NODES: [&str; 2] = ["node1", "node2"];
/// Longest wait for a condition: longer than the dead times below, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Long enough that no busy machine is taken for a dead one; and that what an orderly end does at
/// once is told from what a death does after it.
const HA_CF: &str = "keepalive 200ms\ndeadtime 5\ninitdead 15\nudpport 694\nucast eth0 192.0.2.1\n\
    ucast eth0 192.0.2.2\nbcast eth1\nauto_failback off\nlogfile /var/log/ha-log\n\
    logfacility daemon\nnode node1 node2\n";
const AUTHKEYS: &str = "auth 1\n1 sha1 a-word-of-the-boot-test\n";

/// The pair.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) prepared: Prepared,
    /// Name of the control group that the machines are in.
    pub(crate) group: String,
    machines: Vec<Machine>,
    traffic: Option<Traffic>,
}

impl Pair {
    /// Networks and two machines that are off. In the namespaces only.
    pub(crate) fn new(prepared: Prepared, group: &str) -> Self {
        machine::make_places();
        network::make();
        let machines = NODES
            .into_iter()
            .zip(1..)
            .map(|(name, number)| Machine::new(name, number, &prepared.system, group))
            .collect();
        Self { prepared, group: group.to_owned(), machines, traffic: None }
    }

    /// Switches everything off.
    pub(crate) fn end(mut self) {
        self.machines.iter_mut().for_each(Machine::power_off);
    }

    pub(crate) fn machine(&self, node: &str) -> &Machine {
        self.machines.iter().find(|one| one.name == node).expect("a node")
    }

    pub(crate) fn machine_mut(&mut self, node: &str) -> &mut Machine {
        self.machines.iter_mut().find(|one| one.name == node).expect("a node")
    }

    /// The client, from the first time that it is wanted.
    pub(crate) fn traffic(&mut self) -> &Traffic {
        self.traffic.get_or_insert_with(Traffic::start)
    }

    /// Waits until `node` answers every request.
    #[track_caller]
    pub(crate) fn wait_served(&mut self, node: &str) {
        self.traffic().wait_served(node);
    }

    /// No request since then went wrong, and `node` answered each.
    #[track_caller]
    pub(crate) fn assert_unbroken(&mut self, since: Instant, node: &str) {
        self.traffic().assert_unbroken(since, Some(node));
    }

    /// Runs a line of shell; exit code and what it wrote.
    pub(crate) fn run(&self, node: &str, line: &str) -> (i32, String) {
        let output = self.machine(node).try_run(&["/bin/sh", "-c", line]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// As [`Self::run`]; it must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, node: &str, line: &str) -> String {
        let (code, text) = self.run(node, line);
        assert_eq!(code, 0, "`{line}` on {node}: {text}");
        text
    }

    /// Waits until `line` succeeds.
    #[track_caller]
    pub(crate) fn wait(&self, node: &str, line: &str) {
        let begin = Instant::now();
        loop {
            let (code, text) = self.run(node, line);
            if code == 0 {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "`{line}` on {node} never comes true: {text}");
            thread::sleep(LOOK);
        }
    }

    /// Both nodes say that all is well.
    #[track_caller]
    pub(crate) fn wait_well(&self) {
        NODES.into_iter().for_each(|node| self.wait(node, "hb status"));
    }

    /// Lets `node` have everything.
    #[track_caller]
    pub(crate) fn give_to(&mut self, node: &str) {
        self.wait(node, "hb takeover && hb status");
        self.wait_served(node);
        self.wait_well();
    }

    /// Puts a package of ours on the machine's disk and installs it as the guide says.
    #[track_caller]
    pub(crate) fn install(&self, node: &str, package: &Path) -> String {
        let name = package.file_name().expect("a name").to_string_lossy();
        let to = format!("/root/{name}");
        fs::copy(package, self.machine(node).disk(&to)).expect("room");
        self.sh(node, &format!("cd /root && apt-get install -y --no-install-recommends ./{name}"))
    }

    /// The three files.
    pub(crate) fn configure(&self, node: &str, haresources: &str) {
        let machine = self.machine(node);
        machine.write("/etc/ha.d/ha.cf", HA_CF);
        machine.write("/etc/ha.d/haresources", haresources);
        machine.write("/etc/ha.d/authkeys", AUTHKEYS);
        let keys = machine.disk("/etc/ha.d/authkeys");
        fs::set_permissions(keys, fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// What systemd knows of the daemon.
    pub(crate) fn unit(&self, node: &str, property: &str) -> String {
        let line = format!("systemctl show --property={property} --value heartbeat");
        self.sh(node, &line).trim().to_owned()
    }
}
