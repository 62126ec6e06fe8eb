//! Finds and kills what the agents of a resource have left running, for an escalated stop. It does
//! I/O.
//!
//! Two ways to find it, each incomplete on its own:
//! - process groups: an agent runs in a group of its own, and what it leaves there is recorded with
//!   start times when the agent ends. Lost when the daemon restarts; blind to what made a session
//!   of its own, as daemons do.
//! - the environment: every agent gets `HA_CURHOST`, `HA_GROUP` and `HA_RESOURCE`, which daemons
//!   inherit. It survives the daemon and sees other sessions; blind to programs that clear or write over their
//!   environment (nginx does).
//!
//! What neither sees is not killed. A control group per resource would see all of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::environment::{GROUP_VARIABLE, NODE_VARIABLE, RESOURCE_VARIABLE};
use super::proc::{self, Process};
use crate::operation::Operation;

/// Groups remembered for one resource. More than a few means that its agent leaks processes with
/// each run; the oldest are forgotten.
const GROUPS_MAX: usize = 16;
/// How long killed processes are waited for. Longer means that the kernel holds them (state D).
const DEATH_WAIT: Duration = Duration::from_secs(2);
/// First pause between two looks at processes that were signalled; doubles up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_millis(5);
/// Longest such pause: a look reads all of `/proc`.
const LOOK_MAX: Duration = Duration::from_millis(100);

/// Whose leftovers: group key and resource as written.
type Owner = (String, String);

/// Process groups that agents have left behind.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// This node's name, as agents get it. Two nodes may share a machine in tests.
    node: String,
    recorded: Mutex<BTreeMap<Owner, Vec<Group>>>,
}

/// A process group and the members that it had when its agent ended.
#[derive(Clone, Debug)]
struct Group {
    id: i32,
    members: Vec<Process>,
}

impl Group {
    /// The numbers of dead processes and groups are given out again: it is the same group only as
    /// long as one of its members is the same process.
    fn is_same_and_alive(&self) -> bool {
        self.members.iter().any(|member| {
            proc::process(member.pid).is_some_and(|now| {
                now.is_alive() && now.start == member.start && now.group == self.id
            })
        })
    }
}

/// The variables by which processes of one resource on one node are known.
#[derive(Clone, Debug)]
pub(super) struct Marks([Vec<u8>; 3]);

impl Marks {
    /// Whether `environment` has all of them.
    pub(super) fn are_in(&self, environment: &[u8]) -> bool {
        let has = |mark: &Vec<u8>| environment.split(|byte| *byte == 0).any(|one| one == mark);
        self.0.iter().all(has)
    }

    /// Whether `environment` has variables of these names, with whatever values.
    pub(super) fn names_are_in(&self, environment: &[u8]) -> bool {
        [NODE_VARIABLE, GROUP_VARIABLE, RESOURCE_VARIABLE].iter().all(|name| {
            environment.split(|byte| *byte == 0).any(|one| {
                one.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
            })
        })
    }
}

impl Leftovers {
    /// `environment` is what agents get.
    pub(super) fn new(environment: &[(String, String)]) -> Self {
        let node = environment.iter().find(|(name, _)| name == NODE_VARIABLE);
        Self { node: node.map(|(_, value)| value.clone()).unwrap_or_default(), ..Self::default() }
    }

    /// Records what is left of the group of an agent that has ended.
    pub(super) fn record(&self, operation: &Operation, group: i32) {
        // Mostly nobody is left, and one system call says so.
        if killpg(Pid::from_raw(group), None).is_err() {
            return;
        }
        let members = proc::living_members(group);
        if members.is_empty() {
            return;
        }
        tracing::debug!(resource = operation.resource.text, group, "agent left processes behind");
        let mut all = self.lock();
        let groups = all.entry(owner(operation)).or_default();
        groups.retain(Group::is_same_and_alive);
        if groups.len() == GROUPS_MAX {
            groups.remove(0);
        }
        groups.push(Group { id: group, members });
    }

    /// Kills what can be found of the resource and waits until it is gone, at most
    /// [`DEATH_WAIT`]. Returns how many processes were there.
    pub(super) async fn kill(&self, operation: &Operation) -> usize {
        let groups = self.lock().remove(&owner(operation)).unwrap_or_default();
        let mut targets = Vec::new();
        for group in groups.iter().filter(|group| group.is_same_and_alive()) {
            targets.extend(proc::living_members(group.id));
            let _ = killpg(Pid::from_raw(group.id), Signal::SIGKILL);
        }
        for process in self.marked(operation) {
            if !targets.iter().any(|one| one.pid == process.pid) {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
                targets.push(process);
            }
        }
        let found = targets.len();
        if found > 0 {
            tracing::warn!(
                resource = operation.resource.text,
                found,
                "killed what was left running"
            );
            await_death(targets, DEATH_WAIT).await;
        }
        found
    }

    /// Processes that were started with the variables of this resource on this node. Never this
    /// process itself, which has them when a resource script has restarted the daemon.
    fn marked(&self, operation: &Operation) -> Vec<Process> {
        let marks = self.marks(&operation.group, &operation.resource.text);
        let is_marked = |process: &Process| {
            proc::environment(process.pid).is_some_and(|environment| marks.are_in(&environment))
        };
        let me = std::process::id();
        proc::processes()
            .into_iter()
            .filter(|one| one.is_alive() && u32::try_from(one.pid) != Ok(me) && is_marked(one))
            .collect()
    }

    /// The marks of `resource` (as written) of `group` on this node.
    pub(super) fn marks(&self, group: &str, resource: &str) -> Marks {
        let marks = [
            (NODE_VARIABLE, self.node.as_str()),
            (GROUP_VARIABLE, group),
            (RESOURCE_VARIABLE, resource),
        ];
        Marks(marks.map(|(name, value)| format!("{name}={value}").into_bytes()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Owner, Vec<Group>>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner(operation: &Operation) -> Owner {
    (operation.group.clone(), operation.resource.text.clone())
}

/// Waits until all of `processes` are dead, at most `limit`. Says in the log which are not.
async fn await_death(mut processes: Vec<Process>, limit: Duration) {
    let deadline = tokio::time::Instant::now() + limit;
    let mut pause = LOOK_MIN;
    loop {
        processes.retain_mut(|one| match proc::process(one.pid) {
            Some(now) if now.start == one.start && now.is_alive() => {
                one.state = now.state;
                true
            }
            Some(_) | None => false,
        });
        if processes.is_empty() || tokio::time::Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
    for one in &processes {
        let what = if one.state == 'D' {
            "in uninterruptible sleep: the kernel waits for a device or a server"
        } else {
            "still there"
        };
        tracing::error!(pid = one.pid, state = %one.state, "a killed process is {what}");
    }
}

/// Kills a process group and waits until it is gone, at most [`DEATH_WAIT`].
pub(super) async fn kill_group(group: i32) {
    if killpg(Pid::from_raw(group), Signal::SIGKILL).is_ok() {
        await_death(proc::living_members(group), DEATH_WAIT).await;
    }
}

/// Returns when the group has no living member.
pub(super) async fn group_gone(group: i32) {
    let mut pause = LOOK_MIN;
    // Zombies that nobody has reaped yet still answer the signal 0, so a look decides.
    while killpg(Pid::from_raw(group), None).is_ok() && !proc::living_members(group).is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}
