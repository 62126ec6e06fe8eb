//! Running commands inside a node, from the lab and from another terminal. I/O: namespaces and
//! child processes. Joining takes two processes: one that joins the PID namespace, and its child,
//! the first that is in it.

#![expect(clippy::disallowed_methods, reason = "starts processes inside a node")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::unistd::{chdir, getuid};

use super::enter::CLIENT_NAME;
use super::error::LabError;
use super::helper::NAME;
use super::machine::{complain, drop_dangerous_capabilities, end_with_parent};
use super::node::PROGRAMS;
use super::{helper, root};

/// Exit codes of a shell for a command that cannot be run and for one that a signal ended.
const CANNOT_RUN: i32 = 127;
const SIGNAL_BASE: i32 = 128;
/// Exit code when there is nothing to join.
const NO_LAB: i32 = 1;
/// Namespaces of a node in the order in which they are joined: user first, because it gives the
/// right to the rest; mount last, because /proc is another after it.
const NAMESPACES: [(&str, CloneFlags); 6] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("net", CloneFlags::CLONE_NEWNET),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("mnt", CloneFlags::CLONE_NEWNS),
];
/// Where commands are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that goes on inside a node. Dropping it ends it.
#[derive(Debug)]
pub struct Proc {
    child: Child,
}

impl Proc {
    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its exit status when it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the kernel does not know it, which is a fault of the caller.
    pub fn wait(&mut self) -> Result<ExitStatus, LabError> {
        self.child.wait().map_err(|e| LabError::system("waiting for a command", e))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The helper's command line for `argv` in the node whose first process is `pid`.
fn helper_args(pid: i32, argv: &[&str]) -> Vec<String> {
    let mut args = vec![helper::FLAG.to_owned(), helper::EXEC.to_owned(), pid.to_string()];
    args.extend(argv.iter().map(|a| (*a).to_owned()));
    args
}

/// Runs `argv` in the node of `pid` to its end.
pub(super) async fn output(pid: i32, argv: &[&str], limit: Duration) -> Result<Output, LabError> {
    let mut command = tokio::process::Command::new("/proc/self/exe");
    command.arg0(NAME).args(helper_args(pid, argv)).stdin(Stdio::null()).kill_on_drop(true);
    let name = argv.first().copied().unwrap_or_default();
    match tokio::time::timeout(limit, command.output()).await {
        Ok(output) => output.map_err(|e| LabError::system(format!("running {name}"), e)),
        Err(_) => Err(LabError::Timeout {
            what: format!("{name} did not end"),
            limit_ms: limit.as_millis(),
        }),
    }
}

/// Starts `argv` in the node of `pid`, its output appended to `log`.
pub(super) fn spawn(pid: i32, argv: &[&str], log: &Path) -> Result<Proc, LabError> {
    let out = root::open_log(log)?;
    let err = out.try_clone().map_err(|e| LabError::system("sharing a log", e))?;
    let child = Command::new("/proc/self/exe")
        .arg0(NAME)
        .args(helper_args(pid, argv))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| {
            LabError::system(format!("starting {}", argv.first().copied().unwrap_or_default()), e)
        })?;
    Ok(Proc { child })
}

/// Helper: joins the namespaces of `pid`, runs the command as its child and ends as it does.
pub(super) fn join_and_run(pid: &str, command: &[&str]) -> i32 {
    let joined = end_with_parent().and_then(|()| join(pid));
    if let Err(error) = joined {
        complain(&error.to_string());
        return CANNOT_RUN;
    }
    let status =
        Command::new("/proc/self/exe").args([helper::FLAG, helper::RUN]).args(command).status();
    exit_code(status)
}

fn exit_code(status: io::Result<ExitStatus>) -> i32 {
    match status {
        Ok(status) => {
            status.code().or(status.signal().map(|s| SIGNAL_BASE + s)).unwrap_or(CANNOT_RUN)
        }
        Err(error) => {
            complain(&error.to_string());
            CANNOT_RUN
        }
    }
}

/// Makes this process a member of the namespaces of `pid`; the PID namespace counts for children.
fn join(pid: &str) -> Result<(), LabError> {
    let fail = |name: &str, e: io::Error| {
        LabError::system(format!("joining the {name} namespace of process {pid}"), e)
    };
    let mut open = Vec::new();
    for (name, kind) in NAMESPACES {
        let path = format!("/proc/{pid}/ns/{name}");
        let there = fs::metadata(&path).map_err(|e| fail(name, e))?;
        let here = fs::metadata(format!("/proc/self/ns/{name}")).map_err(|e| fail(name, e))?;
        // The kernel refuses to join the user namespace that one is in.
        if there.ino() != here.ino() {
            open.push((name, kind, File::open(&path).map_err(|e| fail(name, e))?));
        }
    }
    for (name, kind, file) in &open {
        setns(file, *kind).map_err(|e| fail(name, e.into()))?;
    }
    chdir("/").map_err(|e| fail("mnt", e.into()))
}

/// Helper inside the node: becomes the command.
pub(super) fn become_command(command: &[OsString]) -> i32 {
    let Some((program, args)) = command.split_first() else { return CANNOT_RUN };
    let ready = end_with_parent().and_then(|()| drop_dangerous_capabilities());
    if let Err(error) = ready {
        complain(&error.to_string());
        return CANNOT_RUN;
    }
    let mut become_it = Command::new(program);
    become_it.args(args).env_clear();
    for name in ["TERM", "LANG", "COLORTERM", "NO_COLOR", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            become_it.env(name, value);
        }
    }
    become_it.env("PATH", format!("{PROGRAMS}:{PATH}")).env("HOME", "/root");
    if let Ok(host) = nix::unistd::gethostname() {
        become_it.env("PS1", format!("{}:\\w# ", host.to_string_lossy()));
    }
    let error = become_it.exec();
    complain(&format!("{}: {error}", program.to_string_lossy()));
    CANNOT_RUN
}

/// From another terminal: runs `command`, or a shell, in `node` of the lab of the same user that
/// runs the program `verb` (first argument). The client is a node here, called `client`. Returns its exit code.
pub fn shell(verb: &str, node: &str, command: &[String]) -> i32 {
    let Some(lab) = newest(&find_labs(verb)) else {
        complain(&format!("no `hb {verb}` of yours is running; start one with: hb {verb} --keep"));
        return NO_LAB;
    };
    if let Err(error) = join(&lab.to_string()) {
        complain(&error.to_string());
        return NO_LAB;
    }
    let status = Command::new("/proc/self/exe")
        .arg0(NAME)
        .args([helper::FLAG, helper::VISIT, node])
        .args(command)
        .status();
    exit_code(status)
}

/// Helper inside the lab: runs the command, or a shell, in `node`.
pub(super) fn visit(node: &str, command: &[&str]) -> i32 {
    let shell = ["/bin/sh"];
    // Its files would replace the prompt that names the node.
    let bash = ["/bin/bash", "--norc", "--noprofile"];
    let command = match command {
        [] if Path::new(bash[0]).exists() => &bash[..],
        [] => &shell[..],
        given => given,
    };
    if node == CLIENT_NAME {
        return become_command(&command.iter().map(OsString::from).collect::<Vec<_>>());
    }
    let Some(pid) = find_node(node) else {
        complain(&format!("there is no node {node} that is on"));
        return NO_LAB;
    };
    join_and_run(&pid.to_string(), command)
}

/// Processes of this user that are the first of a lab of `verb`, as this process numbers them.
fn find_labs(verb: &str) -> Vec<i32> {
    let is_lab = |pid: &i32| {
        arguments(*pid).get(1).is_some_and(|a| a == verb)
            && fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == getuid().as_raw())
            && fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|s| is_first(&s))
    };
    processes().into_iter().filter(is_lab).collect()
}

/// Whether `/proc/PID/status` is that of the first process of a PID namespace below ours.
fn is_first(status: &str) -> bool {
    let line = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    let numbers: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

fn newest(labs: &[i32]) -> Option<i32> {
    let started = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        start_time(&stat)
    };
    labs.iter().copied().max_by_key(started)
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)); the second may contain blanks and brackets.
fn start_time(stat: &str) -> Option<u64> {
    const AFTER_NAME: usize = 22 - 3;
    stat.rsplit_once(')')?.1.split_whitespace().nth(AFTER_NAME)?.parse().ok()
}

/// The first process of `node`, seen from inside the lab.
fn find_node(node: &str) -> Option<i32> {
    let wanted = [helper::FLAG, helper::INIT, node];
    processes().into_iter().find(|pid| arguments(*pid).get(1..).is_some_and(|a| a == wanted))
}

fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().and_then(|n| n.parse().ok()))
        .collect()
}

fn arguments(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line);
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

/// Whether a program of that name is found on this machine.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    PATH.split(':').map(|folder| Path::new(folder).join(OsStr::new(name))).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_process_of_a_namespace() {
        let check = |status: &str, expect: bool| assert_eq!(is_first(status), expect, "{status:?}");
        check("Name:\thb\nNSpid:\t4711\t1\n", true);
        check("Name:\thb\nNSpid:\t4711\t1\t1\n", true);
        check("Name:\thb\nNSpid:\t4711\t2\n", false);
        check("Name:\tsystemd\nNSpid:\t1\n", false);
        check("", false);
    }

    #[test]
    fn start_time_of_a_process() {
        let fields: Vec<String> = (4..=25).map(|n| n.to_string()).collect();
        let stat = format!("17 (a (b) c) S {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
        assert_eq!(start_time("17"), None);
    }
}
