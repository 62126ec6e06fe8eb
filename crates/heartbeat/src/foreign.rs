//! Another heartbeat manager on this machine, found by the port it listens on (I/O). Heartbeat's
//! pid file may lie elsewhere, and two managers would fight for the same addresses. And what looks like
//! one: programs that a heartbeat was just starting when it ended.
#![expect(clippy::disallowed_methods, reason = "reads /proc, waits for processes that it kills")]

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hb_resource::exec::thread;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::pid_file::{exe_of, has_ended, is_heartbeat, parent_of};

/// How long all that was killed may take to end; what the kernel does not let die is left.
const END_LIMIT: Duration = Duration::from_millis(500);
/// How often it is looked at meanwhile.
const END_PAUSE: Duration = Duration::from_millis(5);

/// Tables of UDP sockets of this network namespace.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// The process called `heartbeat` that has a UDP socket on `port`.
pub(crate) fn heartbeat_on_port(port: u16) -> Option<(u32, PathBuf)> {
    let inodes: Vec<u64> = TABLES
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_of_port(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let names: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    processes().filter(|pid| !is_start_left(*pid)).find_map(|pid| {
        let exe = exe_of(pid).filter(|exe| is_heartbeat(exe))?;
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok);
        let holds = open.any(|entry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
        });
        holds.then_some((pid, exe))
    })
}

/// Ends programs that a heartbeat was starting when it ended, by a crash or to make place for this one, and
/// that wait for a disk: they have all that it had open, and nobody would expect what they do later.
/// Returns how many there were.
pub(crate) fn end_starts_left() -> usize {
    let left: Vec<u32> = processes().filter(|pid| is_start_left(*pid)).collect();
    let numbers = || left.iter().filter_map(|pid| i32::try_from(*pid).ok()).map(Pid::from_raw);
    for pid in numbers() {
        let _ = kill(pid, Signal::SIGKILL);
    }
    // All together: the other node waits for the next heartbeat.
    let begin = Instant::now();
    while begin.elapsed() < END_LIMIT && !left.iter().all(|pid| has_ended(*pid)) {
        sleep(END_PAUSE);
    }
    for pid in numbers() {
        // It is a child of this process, when that was started anew.
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
    left.len()
}

/// Whether `pid` is a copy of a heartbeat that has not become another program yet, and whose heartbeat
/// has ended or was started anew as this process.
fn is_start_left(pid: u32) -> bool {
    let runs_heartbeat = |pid: u32| exe_of(pid).is_some_and(|exe| is_heartbeat(&exe));
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim_end() == thread::NAME)
        && runs_heartbeat(pid)
        && parent_of(pid)
            .is_none_or(|parent| parent == std::process::id() || !runs_heartbeat(parent))
}

fn processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(move |pid| *pid != own)
}

/// Inodes of the sockets on `port` in a table of proc_net_udp(5): local address `HEX:PORT` is the
/// second column, the inode the tenth.
fn inodes_of_port(table: &str, port: u16) -> Vec<u64> {
    let ending = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let local = columns.nth(1)?;
            local.ends_with(&ending).then(|| columns.nth(7)?.parse().ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::pid_file::tests::{asleep, end};

    #[test]
    fn sockets_are_found_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n   \
            55: 00000000:02B6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8815 2 0000000000000000 0\n   \
            56: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0000000000000000 0\n";
        assert_eq!(inodes_of_port(table, 694), [8815]);
        assert_eq!(inodes_of_port(table, 53), [99]);
        assert!(inodes_of_port(table, 1).is_empty());
        assert!(inodes_of_port("", 694).is_empty());
    }

    #[test]
    fn what_was_being_started_is_ended_and_a_heartbeat_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("heartbeat");
        fs::copy("/bin/sleep", &program).expect("copied");
        std::os::unix::fs::symlink(&program, dir.path().join(thread::NAME)).expect("a link");
        let mut left = asleep(&dir.path().join(thread::NAME));
        let mut runs = asleep(&program);
        assert!(is_start_left(left.id()) && !is_start_left(runs.id()));
        assert_eq!(end_starts_left(), 1);
        assert!(has_ended(left.id()));
        assert!(runs.try_wait().expect("ours").is_none());
        end(&mut runs);
        let _ = left.wait();
    }

    #[test]
    fn another_programs_port_is_not_a_heartbeat() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        assert_eq!(heartbeat_on_port(port), None);
    }
}
