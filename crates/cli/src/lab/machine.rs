//! A node from the inside: its namespaces, its first process, the stubs that cover dangerous
//! commands. I/O: namespaces, child processes, standard input and output. The file system is made
//! by `root`.

#![expect(clippy::disallowed_methods, reason = "is the first process of a node")]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::sethostname;
use rustix::thread::CapabilitySet;

use super::error::LabError;
use super::node::{MachineSpec, POWER_LOG};
use super::{helper, root, switch};

/// What no process of a node may do, because a namespace does not confine it: reboot, clock, kernel
/// modules, hardware ports.
const FORBIDDEN: [CapabilitySet; 4] = [
    CapabilitySet::SYS_BOOT,
    CapabilitySet::SYS_TIME,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
];

/// Outside the node: makes its namespaces, starts its first process in them, reports its PID on
/// standard output and waits for its end.
pub(super) fn run(name: &str) -> i32 {
    let started = end_with_parent().and_then(|()| {
        unshare(
            CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWNET
                | CloneFlags::CLONE_NEWUTS
                | CloneFlags::CLONE_NEWIPC,
        )
        .map_err(|e| LabError::system("making namespaces", e))?;
        // The network namespace exists from here on, and the child's PID names it.
        Command::new("/proc/self/exe")
            .arg0(helper::NAME)
            .args([helper::FLAG, helper::INIT, name])
            .spawn()
            .map_err(|e| LabError::system("starting the first process", e))
    });
    match started {
        Ok(mut child) => {
            say(&format!("pid {}", child.id()));
            child.wait().map_or(1, |status| status.code().unwrap_or(1))
        }
        Err(error) => {
            say(&error.to_string());
            1
        }
    }
}

/// Inside the node: the first process. Reads its [`MachineSpec`], makes the node, reports `ready`,
/// and then only collects children.
pub(super) fn init() -> i32 {
    match set_up() {
        Ok(()) => say("ready"),
        Err(error) => {
            say(&error.to_string());
            return 1;
        }
    }
    collect_children()
}

fn set_up() -> Result<(), LabError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|e| LabError::system("reading the order", e))?;
    let spec: MachineSpec =
        serde_json::from_str(&line).map_err(|e| LabError::Invalid(format!("bad order: {e}")))?;
    sethostname(&spec.name).map_err(|e| LabError::system("setting the host name", e))?;
    root::build(&spec)?;
    let mut cables = String::new();
    io::stdin().read_line(&mut cables).map_err(|e| LabError::system("reading the order", e))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| LabError::system("tokio runtime", e))?
        .block_on(switch::configure_node(spec.interfaces.iter()))
}

fn collect_children() -> i32 {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    if children.thread_block().is_err() {
        return 1;
    }
    loop {
        // One signal can stand for many ends.
        while matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(status) if status != WaitStatus::StillAlive
        ) {}
        let _ = children.wait();
    }
}

/// This process ends when its parent does.
pub(super) fn end_with_parent() -> Result<(), LabError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| LabError::system("asking to end with the parent", e))
}

/// Takes from this process' children what a namespace does not confine.
pub(super) fn drop_dangerous_capabilities() -> Result<(), LabError> {
    for capability in FORBIDDEN {
        rustix::thread::remove_capability_from_bounding_set(capability)
            .map_err(|e| LabError::system("dropping a capability", e))?;
    }
    Ok(())
}

/// Stands in for `reboot`, `systemctl` and the like: notes the call and does nothing. `args` are the
/// script's path and the call's arguments.
pub(super) fn stub(args: &[String]) -> i32 {
    let line = args.join(" ");
    let noted = OpenOptions::new().create(true).append(true).open(POWER_LOG);
    if let Ok(mut log) = noted {
        let _ = writeln!(log, "{line}");
    }
    if args.first().is_some_and(|path| path.ends_with("/systemctl")) {
        complain("there is no systemd in a node of the lab");
        return 1;
    }
    0
}

/// A line of the protocol with the lab.
fn say(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{}", line.replace('\n', " ")).and_then(|()| out.flush());
}

/// A line on standard error, for people.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "hb: {line}");
}

/// Standard streams of a helper that must not hold the lab's.
pub(super) fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
