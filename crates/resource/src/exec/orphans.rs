//! Reaps orphans: processes that agents left behind and that became children of this process,
//! because it is a subreaper (`PR_SET_CHILD_SUBREAPER`) or the first process of its namespace. It
//! does I/O. It never takes the exit status of a child that somebody waits for.
//!
//! `waitpid(-1)` cannot be used: it would take the status of agents that tokio waits for by number.
//! So every child that is started goes through [`Children::spawn`], which keeps its number, and
//! only zombies with other numbers are reaped. A start can hang with the disk that the program is on:
//! until it is over, nothing that began since is reaped, as it may be its child. A zombie must also
//! have been one for [`LOOK_AGAIN`], so that even a child that was started past the register is
//! waited for by its owner first.
#![expect(clippy::disallowed_methods, reason = "edge: measures how long a zombie is one")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::proc;
use super::watch::Ticks;

/// How long a zombie is left to whoever may be waiting for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Children of this process that somebody waits for. Cheap to clone; all clones are one register.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    waited_for: BTreeSet<i32>,
    /// When each start that is under way began: nobody knows the number of its child yet.
    starting: Vec<Ticks>,
    /// Zombies seen before, by number and start time.
    seen: BTreeMap<(i32, u64), Instant>,
}

/// Keeps a child in the register; dropped after the child was waited for.
#[derive(Debug)]
pub struct ChildGuard {
    children: Children,
    pid: i32,
}

impl Children {
    /// Starts `command` and registers the child before anybody can look for orphans.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(&self, command: &mut Command) -> io::Result<(Child, ChildGuard)> {
        // A child that has just been started was not waited for: it has a number.
        let number = |child: &Child| child.id().and_then(|pid| i32::try_from(pid).ok());
        self.start(|| command.spawn(), |child| number(child).unwrap_or_default())
    }

    /// Whoever looks for orphans meanwhile does not wait for `start`.
    fn start<T>(
        &self,
        start: impl FnOnce() -> io::Result<T>,
        number: impl FnOnce(&T) -> i32,
    ) -> io::Result<(T, ChildGuard)> {
        let began = Ticks::now();
        self.lock().starting.push(began);
        let started = start();
        let mut known = self.lock();
        if let Some(at) = known.starting.iter().position(|one| *one == began) {
            known.starting.swap_remove(at);
        }
        let child = started?;
        let pid = number(&child);
        known.waited_for.insert(pid);
        drop(known);
        Ok((child, ChildGuard { children: self.clone(), pid }))
    }

    /// Whether a start is under way: its child has what is open here until the kernel has read its
    /// program.
    pub fn are_starting(&self) -> bool {
        !self.lock().starting.is_empty()
    }

    /// Numbers of the children that somebody waits for.
    pub(super) fn waited_for(&self) -> Vec<i32> {
        self.lock().waited_for.iter().copied().collect()
    }

    /// Reaps adopted orphans that have ended and returns how many. Never waits. Meant to be called
    /// every second or so, and after `SIGCHLD` as often as one likes.
    pub fn reap_orphans(&self) -> usize {
        self.reap_older_than(LOOK_AGAIN)
    }

    fn reap_older_than(&self, age: Duration) -> usize {
        let mut known = self.lock();
        let zombies: Vec<_> = proc::own_children()
            .into_iter()
            .filter(|one| !one.is_alive() && !known.waited_for.contains(&one.pid))
            .filter(|one| !known.starting.iter().any(|began| began.are_before(one.start)))
            .map(|one| (one.pid, one.start))
            .collect();
        known.seen.retain(|zombie, _| zombies.contains(zombie));
        let mut reaped = 0;
        for zombie in zombies {
            let since = *known.seen.entry(zombie).or_insert_with(Instant::now);
            if since.elapsed() >= age {
                known.seen.remove(&zombie);
                let status = waitpid(Pid::from_raw(zombie.0), Some(WaitPidFlag::WNOHANG));
                reaped += usize::from(status.is_ok_and(|end| end != WaitStatus::StillAlive));
            }
        }
        reaped
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        self.children.lock().waited_for.remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command as Plain, Stdio};
    use std::sync::mpsc::channel;

    use super::*;

    /// Each looks at all children of this process.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn await_zombie(pid: u32) {
        let pid = i32::try_from(pid).unwrap();
        while proc::process(pid).is_some_and(|one| one.is_alive()) {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn only_unknown_zombies_are_reaped() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let children = Children::default();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 3"]).stdin(Stdio::null());
        let (mut known, guard) = children.spawn(&mut command).unwrap();
        await_zombie(known.id().unwrap());
        // Started past the register: to the reaper it looks like an adopted orphan.
        let mut orphan = Plain::new("/bin/true").spawn().unwrap();
        await_zombie(orphan.id());

        assert_eq!(children.reap_older_than(Duration::from_secs(3600)), 0);
        assert_eq!(children.reap_older_than(Duration::ZERO), 1);
        assert_eq!(orphan.wait().unwrap_err().raw_os_error(), Some(nix::libc::ECHILD));
        assert_eq!(known.wait().await.unwrap().code(), Some(3));
        drop(guard);
        assert_eq!(children.reap_older_than(Duration::ZERO), 0);
    }

    #[test]
    fn a_start_that_hangs_holds_up_nobody_and_loses_no_child() {
        let _alone = ONE_AT_A_TIME.blocking_lock();
        let children = Children::default();
        let (goes_on, hangs) = channel();
        let (says, started) = channel();
        let start = move || {
            let child = Plain::new("/bin/true").spawn()?;
            await_zombie(child.id());
            says.send(()).unwrap();
            hangs.recv_timeout(Duration::from_secs(60)).unwrap();
            Ok(child)
        };
        let register = children.clone();
        let number = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let starts = std::thread::spawn(move || register.start(start, number));
        started.recv().unwrap();
        assert_eq!(children.reap_older_than(Duration::ZERO), 0, "it may be the child of the start");
        assert!(children.waited_for().is_empty());
        goes_on.send(()).unwrap();
        let (mut child, _guard) = starts.join().unwrap().unwrap();
        assert_eq!(children.reap_older_than(Duration::ZERO), 0);
        assert!(child.wait().unwrap().success());
    }
}
