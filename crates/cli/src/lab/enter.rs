//! Moves the running program into namespaces of its own, by running it again inside them. I/O:
//! namespaces, mounts, one child process. What is built inside is not its business.

#![expect(clippy::disallowed_methods, reason = "starts a process and writes to /proc")]

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getgid, getpid, getppid, getuid, sethostname};

use super::helper;

/// Set inside: [`FIRST`] for the first process of the PID namespace, [`MAIN`] for the program.
const INSIDE: &str = "HB_LAB_INSIDE";
/// The process that collects orphans.
const FIRST: &str = "first";
/// The program itself, a child of the first process.
const MAIN: &str = "main";
/// Exit code when a signal ended the lab, as shells have it.
const SIGNAL_BASE: i32 = 128;
/// Host name of the lab itself, where the client is.
pub(super) const CLIENT_NAME: &str = "client";

/// Where [`enter`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// In the namespaces: go on. Standard input is not the caller's.
    Inside,
    /// In the process that was started; the program inside has run and ended with this exit code.
    Outside(u8),
}

/// Runs the program again, with the same arguments, in fresh user (only where needed), network,
/// mount, PID, UTS and IPC namespaces, and passes its exit code on. Call it first thing in `main`,
/// before any thread: it also takes over when the process was started as a helper of a lab.
///
/// SIGINT, SIGTERM, SIGHUP and SIGQUIT to the outer process end the whole lab at once.
///
/// # Errors
/// The reason, for people, when the kernel does not allow it. A test prints SKIP then.
pub fn enter() -> Result<Entered, String> {
    helper::help_if_asked();
    let inside = std::env::var(INSIDE).unwrap_or_default();
    if inside == FIRST && getpid().as_raw() == 1 {
        settle()?;
        let code = run_main().map_err(|e| format!("cannot run inside namespaces: {e}"))?;
        std::process::exit(code);
    }
    if inside == MAIN && getppid().as_raw() == 1 {
        return Ok(Entered::Inside);
    }
    leave_home()?;
    run_inside().map(Entered::Outside).map_err(|e| format!("cannot run inside namespaces: {e}"))
}

/// Namespaces of the child to come. Mounts stay shared with the outer process until the child
/// parts from them, so that paths mean the same to both.
fn leave_home() -> Result<(), String> {
    let others = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    if getuid().is_root() && unshare(others).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|e| refused("user", e))?;
    // user_namespaces(7): setgroups must be denied before an unprivileged gid_map is accepted.
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|e| format!("cannot write /proc/self/{file}: {e}"))?;
    }
    unshare(others).map_err(|e| format!("no namespaces in a user namespace ({e}); run it as root"))
}

fn refused(what: &str, error: Errno) -> String {
    let text = format!("the kernel refuses a {what} namespace ({error})");
    if getuid().is_root() {
        // Root without the right is root of a container.
        format!("{text}; a container needs CAP_SYS_ADMIN for it")
    } else {
        format!("{text}; run it as root")
    }
}

/// Starts the program inside and waits for its end.
fn run_inside() -> io::Result<u8> {
    let mut signals = SigSet::empty();
    for signal in
        [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]
    {
        signals.add(signal);
    }
    signals.thread_block()?;
    // Its own process group: a signal from the terminal reaches the outer process alone, whose
    // SIGKILL no state of the lab can delay. The pipe is never written to: its end tells the
    // program inside that the outer process is gone.
    let mut child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(INSIDE, FIRST)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let lifeline = child.stdin.take();
    let code = wait(&mut child, signals)?;
    drop(lifeline);
    Ok(code)
}

fn wait(child: &mut Child, signals: SigSet) -> io::Result<u8> {
    loop {
        let signal = signals.wait()?;
        if signal == Signal::SIGCHLD {
            if let Some(status) = child.try_wait()? {
                return Ok(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1));
            }
        } else {
            child.kill()?;
            child.wait()?;
            return Ok(u8::try_from(SIGNAL_BASE + signal as i32).unwrap_or(1));
        }
    }
}

/// As the first process: runs the program as a child, collects all others that lose their parent, and
/// returns the program's exit code. A dead process of a node that nobody collects would keep the
/// node's PID namespace from ending.
fn run_main() -> io::Result<i32> {
    let main = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(INSIDE, MAIN)
        .stdin(Stdio::null())
        .spawn()?;
    let main = Pid::from_raw(main.id().cast_signed());
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                return Ok(SIGNAL_BASE + signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Inside: parts from the machine's mounts and sees to it that this process ends with the outer.
fn settle() -> Result<(), String> {
    let step = |what: &str, result: nix::Result<()>| {
        result
            .map_err(|e| format!("the kernel refuses {what} in a namespace ({e}); run it as root"))
    };
    // A child inherits the blocked signals of the outer process.
    step("its own signal mask", SigSet::empty().thread_set_mask())?;
    step("SIGKILL at the parent's end", nix::sys::prctl::set_pdeathsig(Signal::SIGKILL))?;
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(SIGNAL_BASE + Signal::SIGKILL as i32);
    });
    step("a mount namespace", unshare(CloneFlags::CLONE_NEWNS))?;
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("private mounts", mount(none, "/", none, private, none))?;
    step("its own /proc", mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none))?;
    step("a host name", sethostname(CLIENT_NAME))
}
