//! The system calls for which nix has no safe wrapper. The only file of this crate with `unsafe`;
//! each block is one call. It decides nothing.
#![allow(unsafe_code, reason = "sched_setscheduler, localtime_r and pidfd_* have no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Gives the calling thread `SCHED_RR` at `priority` (1..=99), to be lost by every child process
/// and every later thread (`SCHED_RESET_ON_FORK`, sched(7)): agents and the log writer stay normal.
///
/// # Errors
/// The system's answer: `EPERM` without `CAP_SYS_NICE`, or where the control group has no
/// real-time budget.
pub(crate) fn set_round_robin(priority: u8) -> io::Result<()> {
    // SAFETY: `sched_param` is plain data for which all zeroes is a valid value (musl has more
    // fields than glibc).
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = i32::from(priority);
    // SAFETY: pid 0 is the calling thread; `param` outlives the call, which only reads it.
    let code = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const param)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Local time in parts, for log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalTime {
    /// Four digits.
    pub(crate) year: i32,
    /// 1..=12.
    pub(crate) month: i32,
    /// 1..=31.
    pub(crate) day: i32,
    /// 0..=23.
    pub(crate) hour: i32,
    /// 0..=59.
    pub(crate) minute: i32,
    /// 0..=60.
    pub(crate) second: i32,
}

/// The minute of the day, 0 to 1439, that the local clock shows. The zone file is read by the first
/// call of this or of [`local_time`] only.
pub(crate) fn minute_of_day(unix_s: u64) -> u16 {
    let LocalTime { hour, minute, .. } = local_time(unix_s);
    u16::try_from(hour * 60 + minute).unwrap_or_default()
}

/// Breaks Unix time up in the machine's time zone. May read the zone file: not for the core thread.
pub(crate) fn local_time(unix_s: u64) -> LocalTime {
    let seconds = libc::time_t::try_from(unix_s).unwrap_or(libc::time_t::MAX);
    // SAFETY: `tm` is plain data (its zone pointer may be null); all zeroes is valid.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; on failure `parts` stays zeroed, which is harmless.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    LocalTime {
        year: parts.tm_year + 1900,
        month: parts.tm_mon + 1,
        day: parts.tm_mday,
        hour: parts.tm_hour,
        minute: parts.tm_min,
        second: parts.tm_sec,
    }
}

/// A handle to a process that never names another one, even when its number is used again.
///
/// # Errors
/// `ESRCH` when there is no such process, `ENOSYS` before Linux 5.3.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made `fd` for us and nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `signal` to the process behind the handle.
///
/// # Errors
/// `ESRCH` when it has ended, `EPERM` when we may not.
pub(crate) fn pidfd_signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = process.as_fd().as_raw_fd();
    // SAFETY: `fd` is open for the time of the call; a null `siginfo` is allowed
    // (pidfd_send_signal(2)).
    let code = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<u8>(), 0)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until the process behind the handle has ended; false when `limit` passed first.
pub(crate) fn pidfd_wait(process: impl AsFd, limit: Duration) -> bool {
    let mut poll =
        libc::pollfd { fd: process.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid `pollfd` that outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, limit_ms) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_breaks_a_moment_up() {
        let time = local_time(1_795_219_200);
        assert_eq!((time.year, time.month), (2026, 11));
        assert!((1..=31).contains(&time.day) && (0..24).contains(&time.hour));
        assert_eq!((time.minute % 15, time.second), (0, 0), "zones differ by quarters of an hour");
    }

    #[test]
    fn a_process_can_be_watched_until_it_ends() {
        #[expect(clippy::disallowed_methods, reason = "a real child is what is tested")]
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let handle = pidfd_open(child.id()).expect("it runs");
        assert!(!pidfd_wait(&handle, Duration::ZERO));
        pidfd_signal(&handle, libc::SIGKILL).expect("it is ours");
        assert!(pidfd_wait(&handle, Duration::from_secs(10)));
        child.wait().expect("it is ours");
        assert!(pidfd_signal(&handle, libc::SIGKILL).is_err());
    }

    #[test]
    fn no_handle_to_nobody() {
        assert!(pidfd_open(u32::try_from(i32::MAX).expect("positive")).is_err());
    }
}
