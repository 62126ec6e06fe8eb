//! The daemon of this node as a process: who watches over it, how it is started, signals (I/O:
//! `/proc`, child processes). A number that another process has got meanwhile is never signalled.
#![expect(clippy::disallowed_methods, reason = "looks into /proc and starts programs")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use super::fault::{Process, Start};

/// Who starts the daemon again when it was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Supervisor {
    /// systemd, by this unit.
    Systemd(String),
    /// The daemon's own guardian.
    Guardian,
    /// Nobody.
    None,
}

/// What is known of the daemon's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) process: Process,
    pub(super) supervisor: Supervisor,
    pub(super) start: Start,
    /// systemd kills it after so many milliseconds without a sign of life.
    pub(super) watchdog_ms: Option<u64>,
}

impl Daemon {
    /// Looks at process `pid`.
    ///
    /// # Errors
    /// When it cannot be looked at, or is no heartbeat.
    pub(super) fn look(pid: u32) -> Result<Self, String> {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).ok_or("it tells no process id")?;
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
        let stat = read("stat").map_err(|error| format!("process {pid}: {error}"))?;
        let stat = Stat::read(&String::from_utf8_lossy(&stat)).ok_or("its process has ended")?;
        let cmdline = words(&read("cmdline").map_err(|error| format!("process {pid}: {error}"))?);
        let environment = words(&read("environ").unwrap_or_default());
        let variable =
            |name: &str| environment.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        let cgroup = String::from_utf8_lossy(&read("cgroup").unwrap_or_default()).into_owned();
        let parent = fs::read_to_string(format!("/proc/{}/comm", stat.parent)).unwrap_or_default();
        let managed = variable("NOTIFY_SOCKET").is_some() && stat.parent == 1;
        let supervisor = match unit(&cgroup).filter(|_| managed) {
            Some(unit) => Supervisor::Systemd(unit),
            None if parent.trim() == "heartbeat" => Supervisor::Guardian,
            None => Supervisor::None,
        };
        let start = match &supervisor {
            Supervisor::Systemd(unit) => Start::Unit(unit.clone()),
            Supervisor::Guardian | Supervisor::None => {
                let exe = fs::read_link(format!("/proc/{pid}/exe"));
                let exe = exe.map_err(|error| format!("process {pid}: {error}"))?;
                program(&exe.to_string_lossy(), &cmdline)
            }
        };
        let watchdog_us = variable("WATCHDOG_USEC").and_then(|us| us.parse::<u64>().ok());
        Ok(Self {
            process: Process { pid, started: stat.started },
            supervisor,
            start,
            watchdog_ms: watchdog_us.map(|us| us / 1_000),
        })
    }
}

/// The fields of `/proc/PID/stat` (proc_pid_stat(5)) that count here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field may contain blanks and brackets.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        // A dead process that nobody has collected is none.
        (*field(3)? != "Z").then_some(())?;
        Some(Self { parent: field(4)?.parse().ok()?, started: field(22)?.parse().ok()? })
    }
}

fn words(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The unit of a control group: the last part of its path that is a service.
fn unit(cgroup: &str) -> Option<String> {
    let is_service = |part: &&str| part.strip_suffix(".service").is_some_and(|it| !it.is_empty());
    let mut paths = cgroup.lines().filter_map(|line| line.rsplit(':').next());
    paths.find_map(|path| path.rsplit('/').find(is_service)).map(str::to_owned)
}

/// The command line with which it was started by a person or an init script.
fn program(exe: &str, cmdline: &[String]) -> Start {
    // The kernel says so of a program that was replaced on the disk; its successor is wanted.
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
    let mut argv = vec![exe.to_owned()];
    let mut rest = cmdline.iter().skip(1);
    while let Some(word) = rest.next() {
        // Of its own use: which stage of becoming a daemon it is, and what was so when it began anew.
        if word == "--daemon-stage" {
            rest.next();
        } else if !word.starts_with("--daemon-stage=") && !word.starts_with("--in-maintenance") {
            argv.push(word.clone());
        }
    }
    let letters = |word: &&String| word.starts_with('-') && !word.starts_with("--");
    let foreground = argv.iter().skip(1).filter(letters).any(|word| word.contains('f'));
    Start::Program { argv, foreground }
}

/// Signals `process` when it is still the same.
pub(super) fn signal(process: Process, signal: Signal) -> Result<(), String> {
    let Process { pid, started } = process;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    match stat.and_then(|text| Stat::read(&text)) {
        Some(stat) if stat.started == started => kill(Pid::from_raw(pid), signal)
            .map_err(|error| format!("process {pid} cannot be signalled: {error}")),
        Some(_) | None => Err(format!("process {pid} has ended")),
    }
}

/// Starts heartbeat.
pub(super) fn start(start: &Start) -> Result<(), String> {
    let (program, args, foreground) = match start {
        Start::Unit(unit) => {
            // A unit that was killed too often refuses to start until it is told to forget that.
            let _ = run("systemctl", &["reset-failed", unit]);
            return run("systemctl", &["start", unit]);
        }
        Start::Program { argv, foreground } => match argv.split_first() {
            Some((program, args)) => (program, args, *foreground),
            None => return Err("how heartbeat is started is not known".to_owned()),
        },
    };
    if !foreground {
        return run(program, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It outlives the drill and its terminal.
    command.process_group(0);
    command.spawn().map(drop).map_err(|error| format!("{program} cannot be started: {error}"))
}

/// Runs a program to its end.
pub(super) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", args.join(" "), said.trim()))
}

/// Leaves the terminal and its session, so that neither's end is this process's end.
pub(super) fn leave_session() {
    // A process that leads one already stays.
    let _ = setsid();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat() {
        let fields: Vec<String> = (5..=25).map(|n| n.to_string()).collect();
        let text = |state: &str| format!("17 (a (b) c) {state} 4 {}", fields.join(" "));
        assert_eq!(Stat::read(&text("S")), Some(Stat { parent: 4, started: 22 }));
        assert_eq!(Stat::read(&text("Z")), None);
        assert_eq!(Stat::read("17"), None);
    }

    #[test]
    fn units() {
        let check = |cgroup: &str, expect: Option<&str>| {
            assert_eq!(unit(cgroup).as_deref(), expect, "{cgroup}");
        };
        check("0::/system.slice/heartbeat.service\n", Some("heartbeat.service"));
        check("12:pids:/\n0::/system.slice/heartbeat.service/x\n", Some("heartbeat.service"));
        check("0::/user.slice/user-0.slice/session-1.scope\n", None);
        check("0::/\n", None);
        check("", None);
    }

    #[test]
    fn command_lines() {
        let check = |line: &str, expect: &str, expect_foreground: bool| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let Start::Program { argv, foreground } =
                program("/usr/sbin/heartbeat (deleted)", &words)
            else {
                unreachable!()
            };
            assert_eq!(
                (argv.join(" ").as_str(), foreground),
                (expect, expect_foreground),
                "{line}"
            );
        };
        check("heartbeat -f", "/usr/sbin/heartbeat -f", true);
        check("x -df --run-dir /x", "/usr/sbin/heartbeat -df --run-dir /x", true);
        check("heartbeat --daemon-stage 2", "/usr/sbin/heartbeat", false);
        check("heartbeat --daemon-stage=2 -d", "/usr/sbin/heartbeat -d", false);
        check("heartbeat -f --in-maintenance=5", "/usr/sbin/heartbeat -f", true);
    }

    #[test]
    fn another_process_of_the_number_is_not_signalled() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(signal(Process { pid, started: 1 }, Signal::SIGKILL).is_err());
        let daemon = Daemon::look(std::process::id()).unwrap();
        assert_eq!(daemon.process.pid, pid);
        assert_eq!(signal(daemon.process, Signal::SIGCONT), Ok(()));
    }
}
