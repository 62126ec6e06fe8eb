//! A lease in a file on shared storage. Clocks of two machines are never compared: the holder counts
//! up with each renewal, and the other node takes the lease when it has seen the same count for a
//! whole lease on its own clock. Reads and writes files.
#![expect(clippy::disallowed_methods, reason = "edge: reads files, a clock, waits for a lock")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{Answer, Common};

/// Between two attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What stands in the shared file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    /// Who has it; nobody when absent.
    holder: Option<String>,
    /// Counts renewals and changes of hands.
    count: u64,
}

/// What this machine last saw of it, kept locally. Since when is told by the clock that runs on
/// while the machine sleeps and begins at its boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    lease: Lease,
    boot: String,
    since_ms: u64,
}

/// Asks for the lease, renews it, or gives it back.
pub(super) fn ask(path: &Path, run_dir: &Path, common: &Common) -> Result<Answer, String> {
    let shown = |error: io::Error| format!("{}: {error}", path.display());
    let _lock = lock(path, common.limit()).map_err(shown)?;
    let lease = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|_| format!("{} holds something else", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Lease::default(),
        Err(error) => return Err(shown(error)),
    };
    let local = run_dir.join("witness-seen.json");
    let seen = fs::read(&local).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let (answer, write, seen) = decide(common, &lease, seen, &boot_id(), now_ms());
    if let Some(lease) = write {
        replace(path, &lease).map_err(shown)?;
    }
    // Without this memory the next question begins to watch anew: later, never wrong.
    let _ = replace(&local, &seen);
    Ok(answer)
}

/// The rule: the answer, what to write to the shared file, what to remember.
fn decide(
    common: &Common,
    lease: &Lease,
    seen: Option<Seen>,
    boot: &str,
    now_ms: u64,
) -> (Answer, Option<Lease>, Seen) {
    let seen = match seen {
        Some(seen) if seen.lease == *lease && seen.boot == boot && seen.since_ms <= now_ms => seen,
        Some(_) | None => Seen { lease: lease.clone(), boot: boot.to_owned(), since_ms: now_ms },
    };
    let ours = lease.holder.as_deref() == Some(common.node.as_str());
    let next = |holder: Option<&String>| Lease { holder: holder.cloned(), count: lease.count + 1 };
    if common.release {
        let write = ours.then(|| next(None));
        return (Answer::Granted, write, seen);
    }
    let watched_ms = now_ms - seen.since_ms;
    match &lease.holder {
        Some(holder) if !ours && watched_ms < common.lease_ms => {
            let reason = format!("{holder} has the lease, seen unchanged for {watched_ms} ms");
            (Answer::Refused(reason), None, seen)
        }
        Some(_) | None => {
            let write = next(Some(&common.node));
            let seen = Seen { lease: write.clone(), boot: boot.to_owned(), since_ms: now_ms };
            (Answer::Granted, Some(write), seen)
        }
    }
}

/// One node at a time looks and writes. The lock ends with the process, also on another machine.
fn lock(path: &Path, limit: Duration) -> io::Result<Flock<File>> {
    let name = PathBuf::from(format!("{}.lock", path.display()));
    let mut file = OpenOptions::new().create(true).append(true).open(name)?;
    let end = Instant::now() + limit;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, errno)) if Instant::now() >= end => return Err(errno.into()),
            Err((back, nix::errno::Errno::EWOULDBLOCK | nix::errno::Errno::EINTR)) => {
                file = back;
                thread::sleep(LOCK_PAUSE);
            }
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}

/// Old or new, never half of it, also after a loss of power.
fn replace<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.new", path.display()));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

/// Milliseconds since boot, sleep included; 0 when the system does not say.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(node: &str, release: bool) -> Common {
        Common { node: node.into(), lease_ms: 1_000, release, timeout: 500 }
    }

    /// One shared file, two machines with clocks and memories of their own.
    struct World {
        lease: Lease,
        seen: [Option<Seen>; 2],
    }

    impl World {
        fn ask(&mut self, machine: usize, release: bool, now_ms: u64) -> bool {
            let common = common(["node1", "node2"][machine], release);
            let seen = self.seen[machine].take();
            let boot = ["a", "b"][machine];
            let (answer, write, seen) = decide(&common, &self.lease, seen, boot, now_ms);
            self.lease = write.unwrap_or_else(|| self.lease.clone());
            self.seen[machine] = Some(seen);
            answer == Answer::Granted
        }
    }

    #[test]
    fn a_lease_is_taken_only_when_it_was_seen_unchanged_for_its_whole_time() {
        let mut world = World { lease: Lease::default(), seen: [None, None] };
        assert!(world.ask(0, false, 5_000_000));
        assert!(!world.ask(1, false, 10));
        assert!(!world.ask(1, false, 900));
        // Renewed: the other begins to watch anew.
        assert!(world.ask(0, false, 5_000_300));
        assert!(!world.ask(1, false, 1_020));
        assert!(!world.ask(1, false, 2_019));
        assert!(world.ask(1, false, 2_020));
        assert!(!world.ask(0, false, 5_000_301));
    }

    #[test]
    fn what_was_given_back_is_free_at_once() {
        let mut world = World { lease: Lease::default(), seen: [None, None] };
        assert!(world.ask(0, false, 1));
        assert!(!world.ask(1, false, 1));
        // Who does not have it gives nothing back.
        assert!(world.ask(1, true, 2));
        assert_eq!(world.lease.holder.as_deref(), Some("node1"));
        assert!(world.ask(0, true, 2));
        assert!(world.ask(1, false, 3));
    }

    #[test]
    fn a_reboot_forgets_what_was_seen() {
        let mut world = World { lease: Lease::default(), seen: [None, None] };
        assert!(world.ask(0, false, 1));
        assert!(!world.ask(1, false, 50));
        world.seen[1].as_mut().unwrap().boot = "before".into();
        assert!(!world.ask(1, false, 1_060));
        assert!(!world.ask(1, false, 2_059));
        assert!(world.ask(1, false, 2_060));
    }

    #[test]
    fn the_file_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let homes = [dir.path().join("a"), dir.path().join("b")];
        homes.iter().for_each(|home| fs::create_dir(home).unwrap());
        let ask = |machine: usize, release| {
            ask(&path, &homes[machine], &common(["node1", "node2"][machine], release))
        };
        assert_eq!(ask(0, false), Ok(Answer::Granted));
        assert!(matches!(ask(1, false), Ok(Answer::Refused(reason)) if reason.contains("node1")));
        assert_eq!(ask(0, true), Ok(Answer::Granted));
        assert_eq!(ask(1, false), Ok(Answer::Granted));
        fs::write(&path, "something else").unwrap();
        assert!(ask(1, false).is_err());
    }

    #[test]
    fn a_lock_that_is_never_given_up_ends_the_question() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let held = lock(&path, Duration::ZERO).unwrap();
        assert!(ask(&path, dir.path(), &common("node1", false)).is_err());
        drop(held);
        assert_eq!(ask(&path, dir.path(), &common("node1", false)), Ok(Answer::Granted));
    }
}
