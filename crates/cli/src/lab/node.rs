//! One node as the lab sees it: its disk, its power, its first process. I/O: files and one child
//! process. What that process does inside is `machine`'s business, its cables are `switch`'s.

#![expect(clippy::disallowed_methods, reason = "keeps a node's disk and starts its process")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::{LabConfig, heartbeat_address, helper, public_address};

/// Folders of a node that survive its power loss: its disk. All others are fresh at each boot, or
/// the machine's own, read-only.
pub const KEPT: [&str; 6] = [
    "/etc/ha.d",
    "/etc/nginx",
    "/var/cache/nginx",
    "/var/lib/heartbeat",
    "/var/lib/nginx",
    "/var/log",
];
/// Folder of a node, first in its PATH, with the programs of [`LabConfig::programs`].
pub const PROGRAMS: &str = "/twinbeat";
/// Name of the running program in [`PROGRAMS`], for its parts as a helper.
pub const SELF: &str = "lab";
/// Where the stubs of `reboot` and its like write what they were asked.
pub(super) const POWER_LOG: &str = "/var/log/power-requests";
/// Linux' limit for a host name.
const NAME_MAX: usize = 64;

/// What a node's first process needs to know. One line of JSON on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MachineSpec {
    /// Host name.
    pub(super) name: String,
    /// Content of `/etc/hosts`.
    pub(super) hosts: String,
    /// Its empty folder for a root file system.
    pub(super) root: PathBuf,
    /// Folders that are kept: path in the node, path in the lab.
    pub(super) disk: BTreeMap<String, PathBuf>,
    /// Programs: name, path in the lab.
    pub(super) programs: BTreeMap<String, PathBuf>,
    /// Interfaces: name, address with prefix length.
    pub(super) interfaces: BTreeMap<String, String>,
}

/// Whether `name` can be a host name and a folder.
pub(super) fn is_usable_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(good) && !name.starts_with('-')
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    number: usize,
    spec: MachineSpec,
    running: Option<Running>,
}

/// A node that is on.
#[derive(Debug)]
struct Running {
    /// Ends when the node's first process does.
    helper: Child,
    /// The node's first process, as this process numbers it.
    pid: Pid,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Node {
    /// Makes the node's empty disk below `base`.
    pub(super) fn new(
        base: &Path,
        name: &str,
        number: usize,
        config: &LabConfig,
    ) -> Result<Self, LabError> {
        let home = base.join(name);
        let mut disk = BTreeMap::new();
        for folder in KEPT.iter().copied().chain(config.kept.iter().map(String::as_str)) {
            // Everywhere else the folder would be made on the machine.
            if !folder.starts_with("/etc/") && !folder.starts_with("/var/") {
                return Err(LabError::Invalid(format!("{folder} is not below /etc or /var")));
            }
            let place = home.join("disk").join(folder.trim_start_matches('/'));
            make_folders(&place)?;
            disk.insert(folder.to_owned(), place);
        }
        let root = home.join("root");
        make_folders(&root)?;
        let mut programs = config.programs.clone();
        programs.insert(SELF.to_owned(), own_program(base)?);
        let with_prefix = |address| format!("{address}/{}", super::PREFIX);
        let interfaces = BTreeMap::from([
            (super::PUBLIC.to_owned(), with_prefix(public_address(number))),
            (super::HEARTBEAT.to_owned(), with_prefix(heartbeat_address(number))),
        ]);
        let spec = MachineSpec {
            name: name.to_owned(),
            hosts: String::new(),
            root,
            disk,
            programs,
            interfaces,
        };
        Ok(Self { name: name.to_owned(), number, spec, running: None })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// This node's line of `/etc/hosts`.
    pub(super) fn host_entry(&self) -> String {
        format!("{} {}", public_address(self.number), self.name)
    }

    /// Starts the first process, whose PID it returns; its network namespace exists then.
    pub(super) fn switch_on(&mut self, hosts: &[String]) -> Result<u32, LabError> {
        if self.is_on() {
            return Err(LabError::Invalid(format!("{} is on", self.name)));
        }
        let mut helper = Command::new("/proc/self/exe")
            .arg0(helper::NAME)
            .args([helper::FLAG, helper::MACHINE, &self.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| LabError::system(format!("starting {}", self.name), e))?;
        let (Some(mut orders), Some(reports)) = (helper.stdin.take(), helper.stdout.take()) else {
            return Err(self.failed("no pipes"));
        };
        let mut reports = BufReader::new(reports);
        self.spec.hosts = format!("127.0.0.1 localhost\n{}\n", hosts.join("\n"));
        let line = serde_json::to_string(&self.spec).map_err(|e| self.failed(&e.to_string()))?;
        writeln!(orders, "{line}").map_err(|e| self.failed(&e.to_string()))?;
        let answer = read_line(&mut reports);
        let pid = answer.strip_prefix("pid ").and_then(|p| p.parse::<i32>().ok());
        let Some(pid) = pid else {
            let _ = helper.wait();
            return Err(self.failed(&answer));
        };
        self.running = Some(Running { helper, pid: Pid::from_raw(pid), orders, reports });
        Ok(pid.unsigned_abs())
    }

    /// Tells the first process that its cables are there, and waits until its network is up.
    pub(super) fn wait_ready(&mut self) -> Result<(), LabError> {
        let Some(running) = &mut self.running else { return Err(self.off()) };
        let told = writeln!(running.orders, "cables");
        let answer = read_line(&mut running.reports);
        if told.is_ok() && answer == "ready" {
            return Ok(());
        }
        let _ = kill(running.pid, Signal::SIGKILL);
        self.wait_gone();
        Err(self.failed(&answer))
    }

    /// Kills every process of the node.
    pub(super) fn kill(&mut self) -> Result<(), LabError> {
        let Some(running) = &self.running else { return Err(self.off()) };
        kill(running.pid, Signal::SIGKILL)
            .map_err(|e| LabError::system(format!("killing {}", self.name), e))
    }

    /// Waits until no process of the node is left.
    pub(super) fn wait_gone(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.helper.wait();
        }
    }

    pub(super) fn is_on(&mut self) -> bool {
        let on = self.running.as_mut().is_some_and(|r| matches!(r.helper.try_wait(), Ok(None)));
        if !on {
            self.running = None;
        }
        on
    }

    /// PID of the first process.
    pub(super) fn pid(&self) -> Result<i32, LabError> {
        self.running.as_ref().map(|r| r.pid.as_raw()).ok_or_else(|| self.off())
    }

    /// Where `path`, which must be on the node's disk, is in the lab.
    pub(super) fn disk_path(&self, path: &str) -> Result<PathBuf, LabError> {
        let on_disk = |(folder, place): (&String, &PathBuf)| {
            let rest = path.strip_prefix(folder.as_str())?;
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
            Some(place.join(rest))
        };
        self.spec
            .disk
            .iter()
            .find_map(on_disk)
            .ok_or_else(|| LabError::Invalid(format!("{path} is not on {}'s disk", self.name)))
    }

    /// Where `path` is while the node is on.
    pub(super) fn live_path(&self, path: &str) -> Result<PathBuf, LabError> {
        Ok(PathBuf::from(format!("/proc/{}/root/{}", self.pid()?, path.trim_start_matches('/'))))
    }

    pub(super) fn write_file(&self, path: &str, text: &str, mode: u32) -> Result<(), LabError> {
        let place = self.disk_path(path).or_else(|_| self.live_path(path))?;
        let fail = |e| LabError::system(format!("writing {path} of {}", self.name), e);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        fs::write(&place, text).map_err(fail)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).map_err(fail)
    }

    pub(super) fn read_file(&self, path: &str) -> Result<String, LabError> {
        let place = self.disk_path(path).or_else(|_| self.live_path(path))?;
        fs::read_to_string(place)
            .map_err(|e| LabError::system(format!("reading {path} of {}", self.name), e))
    }

    fn off(&self) -> LabError {
        LabError::Off(self.name.clone())
    }

    fn failed(&self, reason: &str) -> LabError {
        let reason = if reason.is_empty() { "its first process ended" } else { reason };
        LabError::Boot { node: self.name.clone(), reason: reason.to_owned() }
    }
}

/// The running program as a file that can be mounted. The magic link cannot: it belongs to the mounts
/// that the program was started from. A file that was replaced meanwhile is copied.
fn own_program(base: &Path) -> Result<PathBuf, LabError> {
    let path = std::env::current_exe().map_err(|e| LabError::system("finding this program", e))?;
    if path.is_file() {
        return Ok(path);
    }
    let copy = base.join(SELF);
    fs::copy("/proc/self/exe", &copy).map_err(|e| LabError::system("copying this program", e))?;
    Ok(copy)
}

/// The next line without its end; empty when there is none.
fn read_line(reports: &mut impl BufRead) -> String {
    let mut line = String::new();
    let _ = reports.read_line(&mut line);
    line.trim_end().to_owned()
}

fn make_folders(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|e| LabError::system(format!("making {}", path.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        let check = |name: &str, expect: bool| assert_eq!(is_usable_name(name), expect, "{name:?}");
        check("node1", true);
        check("www-a", true);
        check("", false);
        check("-n", false);
        check("..", false);
        check("a/b", false);
        check(&"a".repeat(NAME_MAX + 1), false);
    }

    #[test]
    fn paths_on_the_disk() {
        let spec = MachineSpec {
            name: "n".to_owned(),
            hosts: String::new(),
            root: PathBuf::new(),
            disk: BTreeMap::from([("/etc/ha.d".to_owned(), PathBuf::from("/lab/ha.d"))]),
            programs: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        };
        let node = Node { name: "n".to_owned(), number: 1, spec, running: None };
        let check = |path: &str, expect: Option<&str>| {
            assert_eq!(node.disk_path(path).ok(), expect.map(PathBuf::from), "{path}");
        };
        check("/etc/ha.d/ha.cf", Some("/lab/ha.d/ha.cf"));
        check("/etc/ha.d", Some("/lab/ha.d/"));
        check("/etc/ha.data", None);
        check("/run/x", None);
    }
}
