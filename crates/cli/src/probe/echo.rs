//! ICMP echo, asked again and again (raw sockets, RFC 792 and RFC 4443). It says when each question was
//! put and answered; what that means is for the meter.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// Echo request and reply, of both versions.
const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;
/// Type, code, checksum, identifier, sequence number.
const HEADER_LEN: usize = 8;
/// An answer is as short as the question, with an IPv4 header of at most 60 bytes.
const ANSWER_MAX: usize = 256;
/// Questions under way: at one every millisecond with a limit of a second, twice.
const UNDER_WAY_MAX: usize = 2_048;

/// What happened to a question, by the time of the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// It was put.
    Asked(Instant),
    /// It was answered.
    Answered(Instant),
    /// The one put then was not answered in time, or could not be put.
    Failed(Instant),
}

/// A socket for echoes to one address.
#[derive(Debug)]
pub(super) struct Pinger {
    socket: OwnedFd,
    to: SockaddrStorage,
    is_v4: bool,
    /// Raw sockets of IPv4 receive the IP header, too.
    raw: bool,
    id: u16,
}

impl Pinger {
    /// Needs `CAP_NET_RAW`, or a group of `net.ipv4.ping_group_range`.
    pub(super) fn open(ip: IpAddr, id: u16) -> io::Result<Self> {
        let (family, protocol) = match ip {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let open = |kind| socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol);
        let (socket, raw) = match open(SockType::Raw) {
            Ok(socket) => (socket, true),
            Err(_) => (open(SockType::Datagram)?, false),
        };
        let to = match ip {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, 0)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, 0)),
        };
        Ok(Self { socket, to: to.into(), is_v4: ip.is_ipv4(), raw, id })
    }

    /// Asks every `every` until `done`, and tells what comes of it.
    pub(super) fn run(
        &self,
        every: Duration,
        limit: Duration,
        done: impl Fn() -> bool,
        mut tell: impl FnMut(Echo),
    ) {
        let mut under_way = VecDeque::<(u16, Instant)>::new();
        let mut sequence = 0_u16;
        let mut due = Instant::now();
        while !done() {
            let now = Instant::now();
            if now >= due {
                // A question that is late is put once.
                due = (due + every).max(now);
                sequence = sequence.wrapping_add(1);
                tell(Echo::Asked(now));
                match self.ask(sequence) {
                    Ok(()) => under_way.push_back((sequence, now)),
                    Err(_) => tell(Echo::Failed(now)),
                }
            }
            while let Some((_, at)) = under_way.front()
                && (now.saturating_duration_since(*at) >= limit || under_way.len() > UNDER_WAY_MAX)
            {
                tell(Echo::Failed(*at));
                under_way.pop_front();
            }
            if let Some(answered) = self.listen(due.saturating_duration_since(Instant::now()))
                && let Some(index) = under_way.iter().position(|(it, _)| *it == answered)
            {
                under_way.remove(index);
                tell(Echo::Answered(Instant::now()));
            }
        }
    }

    fn ask(&self, sequence: u16) -> nix::Result<()> {
        let packet = request(self.is_v4, self.id, sequence);
        sendto(self.socket.as_raw_fd(), &packet, &self.to, MsgFlags::MSG_DONTWAIT).map(drop)
    }

    /// The sequence number of an answer that comes within `limit`.
    fn listen(&self, limit: Duration) -> Option<u16> {
        // Zero would wait for ever.
        let us = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX).clamp(100, 1_000_000);
        setsockopt(&self.socket, sockopt::ReceiveTimeout, &TimeVal::microseconds(us)).ok()?;
        let mut buffer = [0_u8; ANSWER_MAX];
        // An error that was queued, such as an unreachable host, is no answer: its question times out.
        let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
        let packet = buffer.get(..length)?;
        let packet = if self.raw && self.is_v4 { without_header(packet)? } else { packet };
        // Sockets that are not raw get their own answers only, under an identifier of the kernel.
        answer(self.is_v4, packet, self.raw.then_some(self.id))
    }
}

fn request(is_v4: bool, id: u16, sequence: u16) -> [u8; HEADER_LEN] {
    let kind = if is_v4 { REQUEST_V4 } else { REQUEST_V6 };
    let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
    let mut packet = [kind, 0, 0, 0, a, b, c, d];
    if is_v4 {
        // The kernel computes that of ICMPv6, which covers its addresses.
        let [high, low] = checksum(&packet).to_be_bytes();
        packet[2] = high;
        packet[3] = low;
    }
    packet
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn without_header(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(length..)
}

fn answer(is_v4: bool, packet: &[u8], id: Option<u16>) -> Option<u16> {
    let kind = if is_v4 { REPLY_V4 } else { REPLY_V6 };
    let [first, _, _, _, a, b, c, d, ..] = *packet else { return None };
    let ours = id.is_none_or(|id| id == u16::from_be_bytes([a, b]));
    (first == kind && ours).then(|| u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets() {
        let packet = request(true, 0x1234, 7);
        assert_eq!(packet, [8, 0, 0xe5, 0xc4, 0x12, 0x34, 0, 7]);
        assert_eq!(checksum(&packet), 0);
        assert_eq!(request(false, 1, 2), [128, 0, 0, 0, 0, 1, 0, 2]);
    }

    #[test]
    fn answers() {
        let check = |is_v4, packet: &[u8], id, expect| {
            assert_eq!(answer(is_v4, packet, id), expect, "{packet:?}");
        };
        check(true, &[0, 0, 0, 0, 0x12, 0x34, 0, 7], Some(0x1234), Some(7));
        check(true, &[0, 0, 0, 0, 0x12, 0x34, 0, 7], Some(0x1235), None);
        check(true, &[0, 0, 0, 0, 0x12, 0x34, 0, 7], None, Some(7));
        check(true, &[8, 0, 0, 0, 0x12, 0x34, 0, 7], Some(0x1234), None);
        check(true, &[0, 0, 0], Some(0x1234), None);
        check(false, &[129, 0, 0, 0, 0, 1, 1, 0], Some(1), Some(256));
        let with_header = [&[0x45][..], &[0; 19], &[1, 2]].concat();
        assert_eq!(without_header(&with_header), Some(&[1, 2][..]));
        assert_eq!(without_header(&[0x4f]), None);
        assert_eq!(without_header(&[]), None);
    }
}
