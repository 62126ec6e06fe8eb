//! What the command line does to a daemon that runs: ask, stop, reload (I/O). Texts and exit codes
//! are Heartbeat's, because init scripts and monitoring read them.
#![expect(clippy::print_stdout, reason = "answers on standard output are what these commands are")]

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::args::Paths;
use crate::control;
use crate::exit::{Exit, Fatal};
use crate::logging::Stderr;
use crate::pid_file::{self, Holder};
use crate::{configuration, host, sys};

/// How long one wait for the end of the daemon lasts; there are as many as are needed, since a
/// service may take minutes to stop and nobody else knows how long.
const WAIT: Duration = Duration::from_secs(60);
/// How often it is looked whether the program that follows is at work.
const RESTART_LOOK: Duration = Duration::from_millis(10);
/// After so many looks (ten seconds) it is said what is waited for.
const RESTART_NOTE: u32 = 1_000;

/// `-s`
///
/// # Errors
/// When the pid file cannot be read.
pub(crate) fn status(paths: &Paths) -> Result<Exit, Fatal> {
    match pid_file::holder(&paths.pid_file)? {
        Holder::Running { pid } => {
            let (host, node) = (host::name()?, host::node_name(&paths.config)?);
            println!("heartbeat OK [pid {pid} et al] is running on {host} [{node}]...");
            Ok(Exit::Ok)
        }
        Holder::Stale { other } => {
            println!("heartbeat is stopped. No process");
            if let Some((pid, exe)) = other {
                let exe = exe.display();
                Stderr.note(&format!("heartbeat: the pid file names {pid}, which runs {exe}"));
            }
            Ok(Exit::General)
        }
        Holder::Nobody => {
            println!("heartbeat is stopped. No process");
            Ok(Exit::Stopped)
        }
    }
}

/// `-k`
///
/// # Errors
/// When we may not signal it (exit code 4).
pub(crate) fn stop(paths: &Paths) -> Result<Exit, Fatal> {
    let pid = match pid_file::holder(&paths.pid_file)? {
        Holder::Running { pid } => pid,
        Holder::Stale { other: Some((pid, exe)) } if pid_file::is_heartbeat(&exe) => {
            let exe = exe.display();
            let text =
                format!("pid {pid} runs {exe}, not this program: stop it by its own command");
            return Err(Fatal::Refused(text));
        }
        Holder::Stale { .. } | Holder::Nobody => {
            println!("INFO: Heartbeat already stopped.");
            return Ok(Exit::Ok);
        }
    };
    let already_gone = |error: &std::io::Error| error.raw_os_error() == Some(libc::ESRCH);
    let process = match sys::pidfd_open(pid) {
        Ok(process) => process,
        Err(error) if already_gone(&error) => return Ok(Exit::Ok),
        Err(error) => return Err(Fatal::system("watch the daemon")(error)),
    };
    // Looked at again under the handle: from here on the number cannot mean another process.
    if (pid_file::holder(&paths.pid_file)? != Holder::Running { pid }) {
        return Ok(Exit::Ok);
    }
    release_guardian(pid);
    match sys::pidfd_signal(&process, libc::SIGTERM) {
        Err(error) if !already_gone(&error) => return Err(Fatal::system("stop the daemon")(error)),
        Ok(()) | Err(_) => {}
    }
    while !sys::pidfd_wait(&process, WAIT) {
        Stderr.note("heartbeat: still stopping; `hb status` shows what it waits for");
    }
    Ok(Exit::Ok)
}

/// Whoever kills a daemon that hangs in its stop must not get another one. What fails here only
/// leaves the guardian where it is, and it ends with the daemon.
fn release_guardian(pid: u32) {
    let Some(parent) = pid_file::parent_of(pid) else { return };
    if let Ok(process) = sys::pidfd_open(parent)
        && pid_file::exe_of(parent).is_some_and(|exe| pid_file::is_this_program(&exe))
    {
        let _ = sys::pidfd_signal(&process, libc::SIGTERM);
    }
}

/// `-r`
///
/// # Errors
/// `Config` when the files are not valid: the running daemon is then left alone.
pub(crate) fn reload(paths: &Paths) -> Result<Exit, Fatal> {
    let process = running_with_valid_files(paths)?;
    sys::pidfd_signal(&process, libc::SIGHUP).map_err(Fatal::system("signal the daemon"))?;
    Ok(Exit::Ok)
}

/// `--restart`: returns when the program on the disk is at work in the place of the one that ran.
///
/// # Errors
/// `Config` when the files are not valid for this program: the running one is then left alone.
/// `Refused` when none runs, or the one that ran has ended.
pub(crate) fn restart(paths: &Paths) -> Result<Exit, Fatal> {
    let process = running_with_valid_files(paths)?;
    let before = control::door(&paths.run);
    sys::pidfd_signal(&process, libc::SIGUSR2).map_err(Fatal::system("signal the daemon"))?;
    let mut waits = 0_u32;
    loop {
        if sys::pidfd_wait(&process, RESTART_LOOK) {
            let text = "the daemon has ended; the reason is in the log";
            return Err(Fatal::Refused(text.into()));
        }
        // The one that begins makes its own.
        let now = control::door(&paths.run);
        if now.is_some() && now != before {
            return Ok(Exit::Ok);
        }
        waits += 1;
        if waits.is_multiple_of(RESTART_NOTE) {
            let text = "heartbeat: waits for the end of what is being started or stopped; `hb status` \
                        shows it";
            Stderr.note(text);
        }
    }
}

/// The running daemon, once the files are known to be valid for this program.
fn running_with_valid_files(paths: &Paths) -> Result<OwnedFd, Fatal> {
    let node = host::node_name(&paths.config)?;
    let loaded = configuration::load(&paths.config, &node)?;
    if !loaded.notes.is_empty() {
        Stderr.note(loaded.notes.trim_end());
    }
    let Holder::Running { pid } = pid_file::holder(&paths.pid_file)? else {
        let text = "the configuration is valid, but heartbeat is not running; start it first";
        return Err(Fatal::Refused(text.into()));
    };
    sys::pidfd_open(pid).map_err(Fatal::system("find the daemon"))
}
