//! Another heartbeat manager on this machine, found by the port it listens on (I/O). Heartbeat's
//! pid file may lie elsewhere, and two managers would fight for the same addresses.
#![expect(clippy::disallowed_methods, reason = "reads /proc")]

use std::fs;
use std::path::PathBuf;

use crate::pid_file::{exe_of, is_heartbeat};

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
    processes().find_map(|pid| {
        let exe = exe_of(pid).filter(|exe| is_heartbeat(exe))?;
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok);
        let holds = open.any(|entry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
        });
        holds.then_some((pid, exe))
    })
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
    fn another_programs_port_is_not_a_heartbeat() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        assert_eq!(heartbeat_on_port(port), None);
    }
}
