//! Finds the processes that a resource consists of and tells when one of them ends, within a
//! millisecond or two and without asking again and again (pidfd_open(2)). It does I/O; looking takes
//! a helper thread, as it reads all of `/proc`. What follows from a death is decided elsewhere: it
//! is a hint to check the resource, so finding one process too many costs one check.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use hb_config::settings::{AgentSpec, ResourceSpec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::leftovers::Marks;
use super::proc::{self, Process};

/// Processes watched for one resource. A service has one process on top, rarely a handful; with
/// more, the death of one says little of the service.
pub const WATCHED_MAX: usize = 16;
/// `CLOCK_BOOTTIME` is read in thousand millionths of a second.
const NANOS: u64 = 1_000_000_000;

/// A process of a resource. `pid` and `start` together name it until the machine restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Its number.
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start: u64,
    /// The name it had when it was last looked at; execve(2) and prctl(2) change it.
    pub name: String,
}

/// What is watched, for the daemon after this one: a service that has cleared its environment could
/// not be found again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The boot of the machine in which the numbers mean something.
    pub boot: String,
    /// Group, resource as written, and its processes.
    pub resources: Vec<(String, String, Vec<Watched>)>,
}

impl Snapshot {
    /// Of this boot.
    pub fn new(resources: Vec<(String, String, Vec<Watched>)>) -> Self {
        Self { boot: proc::boot_id(), resources }
    }

    /// Whether the machine has not restarted since.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == proc::boot_id()
    }
}

/// When something began, in clock ticks since boot, the unit and clock of start times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

impl Ticks {
    /// Whether a process that began at `start` may have begun since.
    pub(super) fn are_before(self, start: u64) -> bool {
        start >= self.0
    }

    /// The present moment. Never waits.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let rate = rustix::param::clock_ticks_per_second();
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Self(part(now.tv_sec) * rate + part(now.tv_nsec) * rate / NANOS)
    }
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The group of the resource.
    pub group: String,
    /// The resource.
    pub resource: ResourceSpec,
    /// Processes known from before; those that still live belong to it.
    pub known: Vec<Watched>,
    /// Also daemons that have appeared since then, whoever they belong to: those that an agent leaves
    /// behind can write over everything that marks them (nginx does).
    pub since: Option<Ticks>,
    /// Of such daemons only those with a name of this list; all when it is empty.
    pub names: Vec<String>,
    /// Sessions of its daemons ([`Found::sessions`]): all that lives in them belongs to it.
    pub sessions: Vec<i32>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The processes on top, at most [`WATCHED_MAX`].
    pub top: Vec<Watched>,
    /// Sessions of daemons that are the resource's for certain, by their marks or their control group.
    /// A daemon lives in another session than this process (daemon(7)), while agents and what
    /// they leave in the background stay in ours. At most [`WATCHED_MAX`]; empty for units.
    pub sessions: Vec<i32>,
}

/// A process whose end can be awaited.
#[derive(Debug)]
pub struct Grip(AsyncFd<OwnedFd>);

impl Watched {
    /// Whether both are one process, whatever its name is by now.
    pub fn is(&self, other: &Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }

    /// Takes hold of the process. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it has ended already. Others when the kernel is older than
    /// 5.3 or has no descriptor left.
    pub fn grip(&self) -> io::Result<Grip> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = Pid::from_raw(self.pid).ok_or_else(gone)?;
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Err(gone()),
            other => other?,
        };
        // Only now can the number not be given out again behind our back.
        if proc::process(self.pid).is_none_or(|now| now.start != self.start || !now.is_alive()) {
            return Err(gone());
        }
        #[expect(
            deprecated,
            reason = "its replacement is unsafe, for types whose descriptor changes; ours never does"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Grip(fd))
    }
}

impl Grip {
    /// Returns when the process has ended, all of its threads.
    pub async fn ended(self) {
        if let Err(error) = self.0.readable().await {
            // Only when the runtime ends.
            tracing::debug!(%error, "a process cannot be watched any more");
        }
    }
}

/// Looks for the processes on top of the resource. `waited_for` are agents that run now.
pub(super) fn find(search: &Search, marks: &Marks, waited_for: &[i32]) -> Found {
    let all = proc::processes();
    let lineage = proc::lineage();
    let me = lineage.first().copied().unwrap_or_default();
    let is_agent =
        |one: &Process| waited_for.iter().any(|pid| *pid == one.pid || *pid == one.group);
    let is_ours = |one: &Process| {
        if search.known.iter().any(|known| (known.pid, known.start) == (one.pid, one.start)) {
            return true;
        }
        if search.sessions.contains(&one.session) {
            return true;
        }
        let environment = proc::environment(one.pid).unwrap_or_default();
        if marks.are_in(&environment) {
            return true;
        }
        // Marks of somebody else settle it as well.
        let is_late = search.since.is_some_and(|since| since.are_before(one.start));
        is_late
            && lineage.contains(&one.parent)
            && !marks.names_are_in(&environment)
            && (search.names.is_empty() || search.names.contains(&proc::name(one.pid)))
            && proc::is_in_our_namespaces(one.pid)
    };
    let members: Vec<Process> = all
        .into_iter()
        .filter(|one| one.is_alive() && one.pid != me && !is_agent(one))
        .filter(is_ours)
        .collect();
    Found { top: top(&members), sessions: sessions_of_daemons(&members, marks) }
}

fn sessions_of_daemons(members: &[Process], marks: &Marks) -> Vec<i32> {
    let ours = proc::lineage().first().and_then(|pid| proc::process(*pid)).map(|me| me.session);
    let is_sure = |one: &&Process| {
        proc::environment(one.pid).is_some_and(|environment| marks.are_in(&environment))
            || proc::is_in_our_control_group(one.pid)
    };
    let daemons = members.iter().filter(|one| Some(one.session) != ours).filter(is_sure);
    let sessions: BTreeSet<i32> = daemons.map(|one| one.session).take(WATCHED_MAX).collect();
    sessions.into_iter().collect()
}

/// The processes among `pids` whose parent is not.
pub(super) fn top_of(pids: &[i32]) -> Vec<Watched> {
    let members: Vec<_> =
        pids.iter().filter_map(|pid| proc::process(*pid)).filter(Process::is_alive).collect();
    top(&members)
}

fn top(members: &[Process]) -> Vec<Watched> {
    let is_member = |pid: i32| members.iter().any(|one| one.pid == pid);
    let mut top: Vec<_> = members.iter().filter(|one| !is_member(one.parent)).collect();
    top.sort_by_key(|one| (one.start, one.pid));
    top.iter()
        .take(WATCHED_MAX)
        .map(|one| Watched { pid: one.pid, start: one.start, name: proc::name(one.pid) })
        .collect()
}

/// Whether a unit has a process of its own to watch, from `systemctl show`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnitProcesses {
    /// `MainPID`, when the unit has one.
    pub(super) main: Option<i32>,
    /// `ControlGroup`, when it has one.
    pub(super) control_group: Option<String>,
}

impl UnitProcesses {
    /// Reads `Name=value` lines.
    pub(super) fn parse(output: &[u8]) -> Self {
        let mut found = Self::default();
        for line in String::from_utf8_lossy(output).lines() {
            match line.split_once('=') {
                Some(("MainPID", value)) => {
                    found.main = value.trim().parse().ok().filter(|pid| *pid > 1);
                }
                // Never the whole machine.
                Some(("ControlGroup", value)) if value.len() > 1 && !value.contains("..") => {
                    found.control_group = Some(value.trim().to_owned());
                }
                Some(_) | None => {}
            }
        }
        found
    }

    /// The processes on top: the main one, else those of the control group.
    pub(super) fn top(&self) -> Vec<Watched> {
        match (self.main, &self.control_group) {
            (Some(pid), _) => top_of(&[pid]),
            (None, Some(path)) => top_of(&proc::members_of_control_group(path)),
            (None, None) => Vec::new(),
        }
    }
}

/// Whether `resource` is looked for by its unit and not among all processes.
pub(super) fn unit(resource: &ResourceSpec) -> Option<&str> {
    match &resource.agent {
        AgentSpec::Systemd { unit } => Some(unit),
        AgentSpec::Script { .. } | AgentSpec::Ocf { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_name_their_processes() {
        let check = |output: &str, main: Option<i32>, group: Option<&str>| {
            let expect = UnitProcesses { main, control_group: group.map(str::to_owned) };
            assert_eq!(UnitProcesses::parse(output.as_bytes()), expect, "{output:?}");
        };
        let path = "/system.slice/nginx.service";
        check(&format!("MainPID=42\nControlGroup={path}\n"), Some(42), Some(path));
        check(&format!("ControlGroup={path}\nMainPID=0\n"), None, Some(path));
        check("MainPID=0\nControlGroup=\n", None, None);
        check("MainPID=1\nControlGroup=/\n", None, None);
        check("MainPID=x\nControlGroup=/../..\n", None, None);
        check("", None, None);
    }

    #[test]
    fn only_processes_without_a_parent_in_the_set_are_on_top() {
        let one = |pid, parent, start| Process {
            pid,
            state: 'S',
            parent,
            group: pid,
            session: pid,
            threads: 1,
            start,
        };
        let check = |members: &[Process], expect: &[i32]| {
            let pids: Vec<_> = top(members).iter().map(|one| one.pid).collect();
            assert_eq!(pids, expect);
        };
        check(&[], &[]);
        check(&[one(901, 900, 5), one(900, 1, 4), one(902, 901, 6)], &[900]);
        check(&[one(901, 1, 5), one(900, 1, 7)], &[901, 900]);
        let many: Vec<_> = (0..40).map(|n| one(1000 + n, 1, 1)).collect();
        assert_eq!(top(&many).len(), WATCHED_MAX);
    }

    #[test]
    fn this_process_began_before_now() {
        let me = proc::process(i32::try_from(std::process::id()).unwrap()).unwrap();
        let now = Ticks::now();
        assert!(me.start <= now.0, "{} {now:?}", me.start);
    }
}
