//! ICMP echo to ping nodes and groups, and to the other member's machine: sockets, and which reply
//! belongs to which target. Does I/O; whether a target lives is decided by the core.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use hb_config::settings::{PingKind, PingTarget};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::resolve::{Family, Host};
use crate::engine::{LinkId, PingId};

/// Longest packet looked at: our replies have 60 bytes at most with IP options.
const PACKET_MAX: usize = 2048;

/// Marks our payload in a packet capture.
const MARK: [u8; 8] = *b"twinbeat";

/// Payload: mark, cookie, target, sequence number.
const PAYLOAD_LEN: usize = 8 + 8 + 2 + 2;

/// Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443 §4).
const HEADER_LEN: usize = 8;

/// Echo to all ping nodes and ping groups.
///
/// A reply counts when it comes from a host of the target it was meant for and carries our payload
/// unchanged, with the cookie of this process: neither another program's ping nor a guessed packet
/// keeps a ping node alive.
#[derive(Debug)]
pub struct Pings {
    targets: Vec<Vec<Host>>,
    /// [`PingId::PEER`], by link.
    peer: BTreeMap<LinkId, SocketAddr>,
    cookie: u64,
    v4: Option<EchoSocket>,
    v6: Option<EchoSocket>,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
struct EchoSocket {
    /// Any datagram socket: only its system calls are used.
    socket: UdpSocket,
    /// A raw socket sees everybody's replies, and for IPv4 the IP header.
    raw: bool,
}

impl Pings {
    /// Makes the sockets for `targets`; [`PingId`] is the index. `cookie` is a random number of
    /// this process. Answers with warnings for the log; targets that cannot be asked stay silent.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has I/O enabled.
    pub fn open(targets: &[PingTarget], cookie: u64) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let family = |kind: PingKind, host: &str| match kind {
            PingKind::Ping => Family::V4,
            PingKind::Ping6 => Family::V6,
            // Heartbeat's groups are IPv4; a literal IPv6 member cannot mean anything else.
            PingKind::Group if host.parse::<Ipv6Addr>().is_ok() => Family::V6,
            PingKind::Group => Family::V4,
        };
        let hosts = |target: &PingTarget| -> Vec<Host> {
            target.hosts.iter().map(|host| Host::new(host, family(target.kind, host))).collect()
        };
        let targets: Vec<Vec<Host>> = targets.iter().map(hosts).collect();
        let mut open = |family: Family, domain: Domain| {
            let needed = targets.iter().flatten().any(|host| host.family() == family);
            let opened = needed.then(|| EchoSocket::open(domain))?;
            opened.map_err(|reason| warnings.push(reason)).ok()
        };
        let (v4, v6) = (open(Family::V4, Domain::IPV4), open(Family::V6, Domain::IPV6));
        let buffer = vec![0; PACKET_MAX].into_boxed_slice();
        let mut pings = Self { targets, peer: BTreeMap::new(), cookie, v4, v6, buffer };
        // Names are asked for here, so that the first echo request finds them known.
        for host in pings.targets.iter_mut().flatten() {
            if let Err(reason) = host.resolve(Duration::ZERO) {
                tracing::debug!(reason, "ping host");
            }
        }
        (pings, warnings)
    }

    /// Sends an echo request to every host of the target, without waiting. What cannot be sent is
    /// like what was not answered. Unknown targets are ignored.
    pub fn send(&mut self, ping: PingId, sequence: u16) {
        if ping == PingId::PEER {
            return self.ask_peer(sequence);
        }
        let Some(hosts) = self.targets.get_mut(usize::from(ping.0)) else { return };
        for host in hosts {
            let sent = host.resolve(Duration::ZERO).and_then(|address| {
                let socket = if address.is_ipv4() { &self.v4 } else { &self.v6 };
                let socket = socket.as_ref().ok_or("no ICMP socket")?;
                let request = request(address.ip(), self.cookie, ping, sequence);
                socket.send(&request, address).map_err(|error| error.to_string())
            });
            if let Err(reason) = sent {
                tracing::debug!(ping = ping.0, reason, "echo request not sent");
            }
        }
    }

    /// The other member's verified packets come from `address` on this link: there
    /// [`PingId::PEER`] is asked.
    pub fn peer_is_at(&mut self, link: LinkId, mut address: SocketAddr) {
        address.set_port(0);
        self.peer.insert(link, address);
    }

    /// The sockets are opened when they are wanted for the first time: most pairs never need them.
    fn ask_peer(&mut self, sequence: u16) {
        for (link, address) in &self.peer {
            let (socket, domain) = match address {
                SocketAddr::V4(_) => (&mut self.v4, Domain::IPV4),
                SocketAddr::V6(_) => (&mut self.v6, Domain::IPV6),
            };
            let opened = match socket.take() {
                Some(socket) => Ok(socket),
                None => EchoSocket::open(domain),
            };
            let sent = opened.and_then(|opened| {
                let request = request(address.ip(), self.cookie, PingId::PEER, sequence);
                socket.insert(opened).send(&request, *address).map_err(|error| error.to_string())
            });
            if let Err(reason) = sent {
                tracing::debug!(link = link.0, reason, "echo request to the other node not sent");
            }
        }
    }

    /// Waits for the next valid reply. In a group each member that answers makes one. Cancel-safe.
    pub async fn recv(&mut self) -> (PingId, u16) {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<(PingId, u16)> {
        let Self { targets, peer, cookie, v4, v6, buffer } = self;
        for socket in [v4.as_ref(), v6.as_ref()].into_iter().flatten() {
            loop {
                let mut packet = ReadBuf::new(buffer);
                match socket.socket.poll_recv_from(context, &mut packet) {
                    Poll::Pending => break,
                    Poll::Ready(Err(error)) => tracing::debug!(%error, "reading echo replies"),
                    Poll::Ready(Ok(source)) => {
                        let reply = if socket.raw && source.is_ipv4() {
                            without_ip_header(packet.filled())
                        } else {
                            packet.filled()
                        };
                        if let Some((ping, sequence)) = reply_to(reply, source.ip(), *cookie)
                            && is_of(source.ip(), ping, targets, peer)
                        {
                            return Poll::Ready((ping, sequence));
                        }
                    }
                }
            }
        }
        Poll::Pending
    }
}

impl EchoSocket {
    /// The kernel's own ping socket where this user may have one (`net.ipv4.ping_group_range`),
    /// else a raw socket.
    fn open(domain: Domain) -> Result<Self, String> {
        let protocol = if domain == Domain::IPV4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, false),
            Err(_not_permitted) => match Socket::new(domain, Type::RAW, Some(protocol)) {
                Ok(socket) => (socket, true),
                Err(error) => {
                    return Err(format!(
                        "ping nodes cannot be asked: no ICMP socket ({error}); run as root, grant \
                         CAP_NET_RAW or widen net.ipv4.ping_group_range"
                    ));
                }
            },
        };
        let make = || -> io::Result<UdpSocket> {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket.into())
        };
        let socket = make().map_err(|error| format!("ping nodes cannot be asked: {error}"))?;
        Ok(Self { socket, raw })
    }

    fn send(&self, request: &[u8], address: SocketAddr) -> io::Result<()> {
        // Past the runtime, which believes that a socket that it has not watched yet is not ready.
        SockRef::from(&self.socket).send_to(request, &address.into()).map(|_all_of_it| ())
    }
}

/// An echo request. The kernel replaces the identifier on its ping sockets and computes the
/// checksum of ICMPv6 on both kinds.
fn request(host: IpAddr, cookie: u64, ping: PingId, sequence: u16) -> Vec<u8> {
    let kind = if host.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
    let mut packet = Vec::with_capacity(HEADER_LEN + PAYLOAD_LEN);
    packet.extend([kind, 0, 0, 0]);
    packet.extend(identifier(cookie).to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload(cookie, ping, sequence));
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// The identifier differs between the nodes of a pair for the sake of people who read captures; the
/// payload is what a reply is known by.
fn identifier(cookie: u64) -> u16 {
    let [high, low, ..] = cookie.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn payload(cookie: u64, ping: PingId, sequence: u16) -> [u8; PAYLOAD_LEN] {
    let mut bytes = [0; PAYLOAD_LEN];
    bytes[..8].copy_from_slice(&MARK);
    bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
    bytes[16..18].copy_from_slice(&ping.0.to_be_bytes());
    bytes[18..].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// The echo request of this process that an ICMP message answers.
fn reply_to(message: &[u8], source: IpAddr, cookie: u64) -> Option<(PingId, u16)> {
    let (header, rest) = message.split_at_checked(HEADER_LEN)?;
    let kind = if source.is_ipv4() { REPLY_V4 } else { REPLY_V6 };
    if header[..2] != [kind, 0] {
        return None;
    }
    let sequence = u16::from_be_bytes([header[6], header[7]]);
    let ping = PingId(u16::from_be_bytes([*rest.get(16)?, *rest.get(17)?]));
    (rest == payload(cookie, ping, sequence)).then_some((ping, sequence))
}

/// Whether `source` is where this target is asked.
fn is_of(
    source: IpAddr,
    ping: PingId,
    targets: &[Vec<Host>],
    peer: &BTreeMap<LinkId, SocketAddr>,
) -> bool {
    if ping == PingId::PEER {
        return peer.values().any(|address| address.ip() == source);
    }
    let is_host = |host: &Host| host.address().is_some_and(|address| address.ip() == source);
    targets.get(usize::from(ping.0)).is_some_and(|hosts| hosts.iter().any(is_host))
}

/// What follows the IPv4 header; empty when the packet is cut short.
fn without_ip_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(length..).unwrap_or_default()
}

/// The Internet checksum (RFC 1071) of a message whose checksum field is zero.
fn checksum(message: &[u8]) -> u16 {
    let words = message
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_packet_is_borne(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            let source = IpAddr::from([10, 0, 0, 1]);
            prop_assert!(without_ip_header(&packet).len() <= packet.len());
            prop_assert_eq!(reply_to(&packet, source, COOKIE), None);
        }
    }

    const COOKIE: u64 = 0x0123_4567_89ab_cdef;

    /// What a host makes of a request: the same with the reply's type.
    fn answer(request: &[u8], kind: u8) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[0] = kind;
        reply
    }

    fn targets() -> Vec<Vec<Host>> {
        let host = |text: &str, family| Host::new(text, family);
        vec![
            vec![host("10.0.0.1", Family::V4)],
            vec![host("10.0.0.2", Family::V4), host("10.0.0.3", Family::V4)],
            vec![host("fd00::1", Family::V6)],
        ]
    }

    /// The peer as it is known on two links.
    fn peer() -> BTreeMap<LinkId, SocketAddr> {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        [(LinkId(0), at("10.0.0.8")), (LinkId(1), at("fe80::8"))].into()
    }

    /// What becomes of a message from `source`.
    fn taken(message: &[u8], source: IpAddr, cookie: u64) -> Option<(PingId, u16)> {
        let reply = reply_to(message, source, cookie);
        reply.filter(|(ping, _)| is_of(source, *ping, &targets(), &peer()))
    }

    #[test]
    fn requests_have_the_bytes_of_rfc_792_and_4443() {
        let check = |host: &str, kind: u8| {
            let packet = request(host.parse().unwrap(), COOKIE, PingId(2), 0x0304);
            assert_eq!(packet[..2], [kind, 0]);
            assert_eq!(packet[4..8], [0x01, 0x23, 0x03, 0x04]);
            assert_eq!(&packet[8..16], b"twinbeat");
            assert_eq!(packet[16..24], COOKIE.to_be_bytes());
            assert_eq!(packet[24..], [0, 2, 0x03, 0x04]);
            // A correct message sums up, its checksum included, to the complement of zero.
            assert_eq!(checksum(&packet), 0);
        };
        check("10.0.0.1", 8);
        check("fd00::1", 128);
    }

    #[test]
    fn a_reply_counts_for_the_target_that_was_asked() {
        let check = |host: &str, ping, kind| {
            let host: IpAddr = host.parse().unwrap();
            let reply = answer(&request(host, COOKIE, ping, 7), kind);
            assert_eq!(taken(&reply, host, COOKIE), Some((ping, 7)));
        };
        check("10.0.0.1", PingId(0), REPLY_V4);
        check("10.0.0.2", PingId(1), REPLY_V4);
        check("10.0.0.3", PingId(1), REPLY_V4);
        check("fd00::1", PingId(2), REPLY_V6);
        check("10.0.0.8", PingId::PEER, REPLY_V4);
        check("fe80::8", PingId::PEER, REPLY_V6);
    }

    #[test]
    fn nothing_else_counts() {
        let host = IpAddr::from([10, 0, 0, 1]);
        let asked = request(host, COOKIE, PingId(0), 7);
        let good = answer(&asked, REPLY_V4);
        let check = |why: &str, message: &[u8], source: IpAddr, cookie| {
            assert_eq!(taken(message, source, cookie), None, "{why}");
        };
        check("our own request, looped back", &asked, host, COOKIE);
        check("another host", &good, IpAddr::from([10, 0, 0, 2]), COOKIE);
        let peer = answer(&request(host, COOKIE, PingId::PEER, 7), REPLY_V4);
        check("a ping node for the other member", &peer, host, COOKIE);
        check("the other family", &good, "fd00::1".parse().unwrap(), COOKIE);
        check("another process", &good, host, COOKIE + 1);
        check("unknown target", &answer(&request(host, COOKIE, PingId(9), 7), 0), host, COOKIE);
        check("longer", &[good.as_slice(), b"x"].concat(), host, COOKIE);
        for length in 0..good.len() {
            check("cut short", &good[..length], host, COOKIE);
        }
        for at in (0..good.len()).filter(|at| !(2..6).contains(at)) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            check("changed", &changed, host, COOKIE);
        }
    }

    #[test]
    fn the_ip_header_of_raw_sockets_is_skipped() {
        let check = |packet: &[u8], expect: &[u8]| assert_eq!(without_ip_header(packet), expect);
        check(&[&[0x45; 20][..], b"icmp"].concat(), b"icmp");
        check(&[&[0x46; 24][..], b"icmp"].concat(), b"icmp");
        check(&[0x4f; 30], b"");
        check(&[], b"");
    }
}
