//! Becoming a daemon without `fork`: the program starts itself again before any thread exists (I/O).
//! The first copy leaves the session and stays as the guardian: it starts the daemon proper, and
//! starts it again when it was killed, as systemd does where there is one. The caller waits on a
//! pipe, so that its exit code tells whether the daemon is ready.
#![expect(clippy::disallowed_methods, reason = "starts this program again and waits for it")]

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hb_node::STEPPED_DOWN;
use hb_node::effect::RestartedMaintenance;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::args::Args;
use crate::exit::{Exit, Fatal};
use crate::guardian::{self, Burst};
use crate::pid_file::exe_of;

/// Said on the pipe when the daemon works.
const READY: &str = "ready";
/// Said on the pipe, with a number, when it could not start.
const EXIT: &str = "exit ";
/// Longest report on the pipe.
const REPORT_MAX: u64 = 32;
/// Stage of the guardian.
pub(crate) const GUARDIAN: u8 = 1;
/// Stage of the daemon proper.
pub(crate) const DAEMON: u8 = 2;

/// How the process that called us learns what became of the daemon.
#[derive(Debug)]
pub(crate) enum Report {
    /// In the foreground nobody waits.
    Nobody,
    /// Standard output is the pipe to the caller.
    Pipe,
}

impl Report {
    /// The daemon works: let the caller go and give up its terminal.
    ///
    /// # Errors
    /// When standard input, output or error cannot be replaced.
    pub(crate) fn ready(&mut self) -> Result<(), Fatal> {
        match std::mem::replace(self, Self::Nobody) {
            Self::Nobody => Ok(()),
            Self::Pipe => {
                // A caller that has gone does not matter any more.
                let _ = writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush());
                detach().map_err(Fatal::system("give up the terminal"))
            }
        }
    }

    /// The daemon could not start.
    pub(crate) fn failed(&mut self, code: u8) {
        match std::mem::replace(self, Self::Nobody) {
            Self::Nobody => {}
            Self::Pipe => {
                let _ = writeln!(io::stdout(), "{EXIT}{code}").and_then(|()| io::stdout().flush());
            }
        }
    }
}

/// In the caller's session: starts the guardian and waits for the daemon's report.
///
/// # Errors
/// `Child` with the exit code of a daemon that could not start.
pub(crate) fn launch() -> Result<(), Fatal> {
    let (report, writer) = io::pipe().map_err(Fatal::system("make a pipe"))?;
    let mut command = again(GUARDIAN);
    command.stdout(writer);
    command.spawn().map_err(Fatal::system("start the daemon"))?;
    // The command holds our end of the pipe: without it the end of the daemon is the end of file.
    drop(command);
    match read_report(report) {
        Some(0) => Ok(()),
        Some(code) => Err(Fatal::Child { code }),
        None => Err(Fatal::Child { code: Exit::General.code() }),
    }
}

/// The guardian: leaves the session, so that the daemon, which is no session leader, can never
/// acquire a terminal; passes the daemon's report on to the caller, and from then on keeps the
/// daemon running until it leaves by itself or is given up. Returns the daemon's exit code.
///
/// # Errors
/// When the daemon cannot be started the first time, or ended without a report.
pub(crate) fn guard(args: &Args) -> Result<u8, Fatal> {
    setsid().map_err(Fatal::system("leave the session"))?;
    let (report, writer) = io::pipe().map_err(Fatal::system("make a pipe"))?;
    let mut command = again(DAEMON);
    command.stdout(writer);
    let child = command.spawn().map_err(Fatal::system("start the daemon"))?;
    // Only the daemon holds the pipe from here on: its end is the end of file.
    drop(command);
    let mut caller = Report::Pipe;
    match read_report(report) {
        Some(0) => caller.ready()?,
        Some(code) => {
            caller.failed(code);
            return wait(child).map(|ended| ended.unwrap_or(code));
        }
        None => return Err(Fatal::Child { code: Exit::General.code() }),
    }
    // Whatever kills it from here on, it was at work: addresses may be set.
    let mut ended = wait(child)?;
    let mut burst = Burst::default();
    loop {
        match ended {
            Some(STEPPED_DOWN) | None => {}
            Some(code) => return Ok(code),
        }
        let Some(pause) = burst.next(Instant::now()) else {
            guardian::give_up(args);
            return Ok(guardian::given_up_code());
        };
        std::thread::sleep(pause);
        // Out of processes or memory: that may pass.
        ended = again(DAEMON).spawn().map_or(Ok(None), wait)?;
    }
}

/// The exit code; `None` when it was killed.
fn wait(mut child: Child) -> Result<Option<u8>, Fatal> {
    let status = child.wait().map_err(Fatal::system("wait for the daemon"))?;
    Ok(status.code().map(|code| u8::try_from(code).unwrap_or(Exit::General.code())))
}

/// Puts the program, as it is on the disk, in the place of this one: same process, same options.
/// Descriptors are closed by the kernel, and the service manager or the guardian notices nothing.
/// Returns only when that is not possible: why, with an exit code by which both start it again.
pub(crate) fn restart(maintenance: Option<RestartedMaintenance>) -> Fatal {
    let mut command = program("--in-maintenance");
    if let Some(RestartedMaintenance { left }) = maintenance {
        command.arg(match left {
            Some(left) => format!("--in-maintenance={}", left.as_millis()),
            None => "--in-maintenance".to_owned(),
        });
    }
    Fatal::Renewal { source: command.exec() }
}

/// This program with the same options, at another stage.
fn again(stage: u8) -> Command {
    let mut command = program("--daemon-stage");
    command.arg(format!("--daemon-stage={stage}")).stdin(Stdio::null());
    command
}

/// This program, which may have been replaced by a later version since, with the same options but one.
fn program(without: &str) -> Command {
    let exe = exe_of(std::process::id()).filter(|exe| exe.exists());
    let mut command = Command::new(exe.unwrap_or_else(|| PathBuf::from("/proc/self/exe")));
    let is_other = |arg: &OsString| !arg.to_string_lossy().starts_with(without);
    command.arg0("heartbeat").args(std::env::args_os().skip(1).filter(is_other));
    command
}

/// 0 when ready, the exit code when not, `None` when it ended without a word.
fn read_report(pipe: PipeReader) -> Option<u8> {
    let mut text = String::new();
    pipe.take(REPORT_MAX).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?;
    if line == READY { Some(0) } else { line.strip_prefix(EXIT)?.parse().ok() }
}

fn detach() -> io::Result<()> {
    let null: File = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_how_it_went() {
        let check = |text: &str, expect: Option<u8>| {
            let (reader, mut writer) = io::pipe().expect("a pipe");
            writer.write_all(text.as_bytes()).expect("room");
            drop(writer);
            assert_eq!(read_report(reader), expect, "{text:?}");
        };
        check("ready\n", Some(0));
        check("exit 6\n", Some(6));
        check("", None);
        check("exit much\n", None);
    }
}
