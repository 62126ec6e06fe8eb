//! The pid file: who runs, and the lock that lets only one run (I/O). What is done to the running
//! one is in `command`.
#![expect(clippy::disallowed_methods, reason = "reads and locks the pid file and /proc")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::exit::Fatal;

/// File name of the genuine daemon and of ours.
const PROGRAM: &str = "heartbeat";
/// How often the file may be replaced between opening and locking before we give up.
const LOCK_ATTEMPTS: u32 = 16;
/// How long a lock may be held by what a heartbeat that has ended was just starting.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// A pid file is 11 bytes; anything longer is not one.
const SIZE_MAX: u64 = 64;

/// The locked pid file. The lock ends with the process however it ends, so a crash never blocks
/// the next start.
#[derive(Debug)]
pub(crate) struct PidLock {
    file: Flock<File>,
    path: PathBuf,
    /// Who held it before and did not remove it.
    left_by: Option<u32>,
}

impl PidLock {
    /// Locks `path` and looks at who is named in it. Waits for a moment when it is locked, but not by
    /// the one that it names.
    ///
    /// # Errors
    /// `AlreadyRunning` when one of ours holds the lock, `Foreign` when the file names a living
    /// program called `heartbeat` that is not ours, else the system's answer.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Fatal> {
        let begin = Instant::now();
        loop {
            match Self::try_acquire(path) {
                Err(Fatal::AlreadyRunning { pid }) if !runs_besides(pid) => {
                    if begin.elapsed() > PATIENCE {
                        let path = path.display();
                        return Err(Fatal::Refused(format!(
                            "{path} is locked, but the heartbeat that it names (pid {pid}) does not \
                             run: what it was starting hangs; `fuser {path}` names it, end that"
                        )));
                    }
                    sleep(LOCK_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn try_acquire(path: &Path) -> Result<Self, Fatal> {
        for _ in 0..LOCK_ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(Fatal::path("open", path))?;
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((mut file, Errno::EWOULDBLOCK)) => {
                    let pid = parse(&read_start(&mut file)).unwrap_or(0);
                    return Err(Fatal::AlreadyRunning { pid });
                }
                Err((_, errno)) => return Err(Fatal::path("lock", path)(errno.into())),
            };
            // The one that stops removes its file: what was locked must still be what is there.
            let locked = file.metadata().map_err(Fatal::path("look at", path))?;
            match fs::symlink_metadata(path) {
                Ok(now) if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) => {
                    let mut lock = Self { file, path: path.into(), left_by: None };
                    lock.look_at_predecessor()?;
                    return Ok(lock);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(Fatal::Refused(format!("{} is replaced again and again", path.display())))
    }

    /// Writes our number as Heartbeat does: ten characters and a line end.
    ///
    /// # Errors
    /// The system's answer (disk full, read-only).
    pub(crate) fn write(&mut self, pid: u32) -> Result<(), Fatal> {
        let path = self.path.clone();
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            file.set_len(0)?;
            file.write_all(format!("{pid:>10}\n").as_bytes())
        };
        write(&mut self.file).map_err(Fatal::path("write", path))
    }

    /// The process that held the lock before and was killed: it has not removed its file.
    pub(crate) fn left_by(&self) -> Option<u32> {
        self.left_by
    }

    /// Removes the file and then gives up the lock.
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Heartbeat 3.0.6 does not lock its pid file, so a living program of that name counts.
    fn look_at_predecessor(&mut self) -> Result<(), Fatal> {
        let Some(pid) = parse(&read_start(&mut self.file)) else { return Ok(()) };
        if pid == std::process::id() {
            return Ok(());
        }
        match exe_of(pid) {
            Some(exe) if !is_this_program(&exe) && is_heartbeat(&exe) => {
                let what = format!(
                    "{} names pid {pid}, which runs {}",
                    self.path.display(),
                    exe.display()
                );
                Err(Fatal::Foreign { what })
            }
            // Nobody, somebody else under a number used again, or one of ours that is just ending.
            Some(_) | None => {
                self.left_by = Some(pid);
                Ok(())
            }
        }
    }
}

/// What the pid file says about who runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// There is no pid file.
    Nobody,
    /// There is one, but what it names has ended, or is not this program.
    Stale {
        /// The living program behind the number, if any.
        other: Option<(u32, PathBuf)>,
    },
    /// This program runs.
    Running {
        /// Its number.
        pid: u32,
    },
}

/// Finds out who runs, without taking the lock.
///
/// # Errors
/// When the pid file exists but cannot be read.
pub(crate) fn holder(path: &Path) -> Result<Holder, Fatal> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(Fatal::path("read", path)(error)),
    };
    let Some(pid) = parse(&read_start(&mut file)) else { return Ok(Holder::Stale { other: None }) };
    Ok(match exe_of(pid) {
        Some(exe) if is_this_program(&exe) => Holder::Running { pid },
        Some(exe) => Holder::Stale { other: Some((pid, exe)) },
        // Whoever may not look into /proc/PID/exe can still see that somebody holds the lock.
        None if Path::new("/proc").join(pid.to_string()).exists() && is_locked(file) => {
            Holder::Running { pid }
        }
        None => Holder::Stale { other: None },
    })
}

/// The program that a process runs; `None` when there is no such process or we may not know.
pub(crate) fn exe_of(pid: u32) -> Option<PathBuf> {
    let target = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // After an upgrade of the package the running program has no file any more.
    let text = target.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map_or_else(|| target.clone(), PathBuf::from))
}

/// The parent of a process (proc_pid_stat(5): the fourth field).
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    after_name(pid, 1)?.parse().ok()
}

/// Whether a process is gone, or has closed everything and is only waited for by its parent.
pub(crate) fn has_ended(pid: u32) -> bool {
    after_name(pid, 0).is_none_or(|state| state == "Z" || state == "X")
}

/// A field of `/proc/PID/stat`, counted from the name on.
fn after_name(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(field).map(str::to_owned)
}

/// Whether `exe` is called as the genuine daemon and ours are.
pub(crate) fn is_heartbeat(exe: &Path) -> bool {
    exe.file_name() == Some(PROGRAM.as_ref())
}

/// Whether `exe` is the program that runs here.
pub(crate) fn is_this_program(exe: &Path) -> bool {
    exe_of(std::process::id()).is_some_and(|own| own == exe)
}

/// The number in a pid file.
fn parse(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

fn read_start(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(SIZE_MAX).read_to_string(&mut text);
    text
}

/// Whether `pid` is a heartbeat in another process.
fn runs_besides(pid: u32) -> bool {
    let is_one = |exe: PathBuf| is_this_program(&exe) || is_heartbeat(&exe);
    pid != std::process::id() && exe_of(pid).is_some_and(is_one)
}

fn is_locked(file: File) -> bool {
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => false,
        Err((_, errno)) => errno == Errno::EWOULDBLOCK,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Child;

    use super::*;

    #[test]
    fn the_number_is_found_in_heartbeats_layout() {
        let check = |text: &str, expect: Option<u32>| assert_eq!(parse(text), expect, "{text:?}");
        check("       388\n", Some(388));
        check("388", Some(388));
        check("", None);
        check("-1\n", None);
        check("1\n", None);
        check("0\n", None);
        check("many\n", None);
    }

    /// A living process that is called `name`.
    fn called(dir: &Path, name: &str) -> Child {
        let program = dir.join(name);
        fs::copy("/bin/sleep", &program).expect("copied");
        asleep(&program)
    }

    /// Runs a copy of `sleep`. A process that another test forks at this moment may have it open for
    /// writing.
    pub(crate) fn asleep(program: &Path) -> Child {
        loop {
            match std::process::Command::new(program).arg("60").spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                other => return other.expect("runs"),
            }
        }
    }

    pub(crate) fn end(child: &mut Child) {
        child.kill().expect("ours");
        child.wait().expect("ours");
    }

    #[test]
    fn only_one_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut first = PidLock::acquire(&path).expect("free");
        first.write(4711).expect("writable");
        assert_eq!(fs::read(&path).expect("written"), b"      4711\n");
        let mut other = called(dir.path(), "heartbeat");
        first.write(other.id()).expect("writable");
        let second = PidLock::acquire(&path).expect_err("held");
        let is_named = matches!(second, Fatal::AlreadyRunning { pid } if pid == other.id());
        assert!(is_named, "{second}");
        end(&mut other);
        first.remove();
        assert!(!path.exists());
        assert_eq!(PidLock::acquire(&path).expect("free again").left_by(), None);
    }

    /// A child has all that is open here until it is what it is to be, and with a hung disk for longer.
    #[test]
    fn a_lock_is_given_up_for_the_copies_of_children_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut lock = PidLock::acquire(&path).expect("free");
        lock.write(std::process::id()).expect("writable");
        let copy = lock.file.try_clone().expect("a descriptor");
        drop(lock);
        drop(PidLock::acquire(&path).expect("free again"));
        drop(copy);
    }

    #[test]
    fn a_lock_of_one_that_has_ended_is_waited_for_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for pid in [i32::MAX.unsigned_abs(), std::process::id()] {
            fs::write(&path, format!("{pid:>10}\n")).expect("writable");
            let left = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
            let refused = PidLock::acquire(&path).expect_err("held");
            assert!(
                refused.to_string().contains(&format!("(pid {pid}) does not run")),
                "{refused}"
            );
            let waits = std::thread::spawn({
                let path = path.clone();
                move || PidLock::acquire(&path).map(drop)
            });
            drop(left);
            waits.join().unwrap().expect("given up in time");
        }
    }

    #[test]
    fn a_pid_file_left_behind_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert_eq!(holder(&path).expect("no file"), Holder::Nobody);
        fs::write(&path, format!("{:>10}\n", i32::MAX)).expect("writable");
        assert_eq!(holder(&path).expect("readable"), Holder::Stale { other: None });
        let lock = PidLock::acquire(&path).expect("nobody holds it");
        assert_eq!(lock.left_by(), u32::try_from(i32::MAX).ok());
    }

    #[test]
    fn the_running_program_is_recognised_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let pid = std::process::id();
        fs::write(&path, format!("{pid:>10}\n")).expect("writable");
        assert_eq!(holder(&path).expect("readable"), Holder::Running { pid });
    }

    #[test]
    fn a_process_knows_its_parent() {
        let child = std::process::Command::new("sleep").arg("60").spawn();
        let mut child = child.expect("sleep starts");
        assert_eq!(parent_of(child.id()), Some(std::process::id()));
        end(&mut child);
        assert_eq!(parent_of(child.id()), None);
    }

    #[test]
    fn a_foreign_heartbeat_is_refused_and_any_other_program_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for (name, refused) in [("heartbeat", true), ("something", false)] {
            let mut child = called(dir.path(), name);
            let path = dir.path().join("pid");
            fs::write(&path, format!("{:>10}\n", child.id())).expect("writable");
            let lock = PidLock::acquire(&path);
            assert_eq!(matches!(lock, Err(Fatal::Foreign { .. })), refused, "{name}");
            end(&mut child);
        }
    }
}
