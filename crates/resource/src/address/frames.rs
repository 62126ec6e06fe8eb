//! What is said on the wire: that an address has moved (gratuitous ARP in both forms, or an
//! unsolicited neighbour advertisement), and the question whether anybody has it. Pure encoders;
//! what others say is read by `claims`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an Ethernet address.
pub(super) const ETHERNET_LEN: usize = 6;

/// An Ethernet address.
pub(super) type Ethernet = [u8; ETHERNET_LEN];

/// EtherType of ARP.
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
const EVERYBODY: Ethernet = [0xff; ETHERNET_LEN];
/// Ethernet address of ff02::1 (RFC 2464, §7).
const ALL_NODES_ETHERNET: Ethernet = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A frame without its link-layer header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// EtherType.
    pub(super) protocol: u16,
    pub(super) destination: Ethernet,
    pub(super) payload: Vec<u8>,
}

/// All frames of one announcement that `ip` lives at `ethernet`.
///
/// For IPv4 both forms of gratuitous ARP: some systems only take requests as a reason to update
/// their table, some only replies. `router`: whether this node forwards IPv6 on the interface; a
/// neighbour that uses it as a router would else drop it (RFC 4861, §7.2.5).
pub(super) fn announcement(ip: IpAddr, ethernet: Ethernet, router: bool) -> Vec<Frame> {
    match ip {
        IpAddr::V4(ip) => {
            let frame = |payload: [u8; ARP_LEN]| Frame {
                protocol: ETHERTYPE_ARP,
                destination: EVERYBODY,
                payload: payload.to_vec(),
            };
            vec![frame(arp_request(ip, ethernet)), frame(arp_reply(ip, ethernet))]
        }
        IpAddr::V6(ip) => vec![Frame {
            protocol: ETHERTYPE_IPV6,
            destination: ALL_NODES_ETHERNET,
            payload: neighbour_advertisement(ip, ethernet, router).to_vec(),
        }],
    }
}

/// The question whether anybody has `ip`, asked by one who does not: an ARP Probe (RFC 5227, §2.1.1)
/// or the neighbour solicitation of duplicate address detection (RFC 4862, §5.4.2). The sender's
/// protocol address is unspecified, so that no neighbour's table changes.
pub(super) fn probe(ip: IpAddr, ethernet: Ethernet) -> Frame {
    match ip {
        IpAddr::V4(ip) => {
            let nobody = Ipv4Addr::UNSPECIFIED;
            let packet = arp(ARP_REQUEST, (nobody, ethernet), (ip, [0; ETHERNET_LEN]));
            Frame { protocol: ETHERTYPE_ARP, destination: EVERYBODY, payload: packet.to_vec() }
        }
        IpAddr::V6(ip) => {
            let [.., a, b, c] = ip.octets();
            Frame {
                protocol: ETHERTYPE_IPV6,
                destination: [0x33, 0x33, 0xff, a, b, c],
                payload: neighbour_solicitation(ip).to_vec(),
            }
        }
    }
}

/// Bytes of an ARP packet for IPv4 over Ethernet.
pub(super) const ARP_LEN: usize = 28;
/// Operation of an ARP request.
pub(super) const ARP_REQUEST: u8 = 1;
/// Operation of an ARP reply.
pub(super) const ARP_REPLY: u8 = 2;

/// ARP Announcement: sender and target address are the same, the target's hardware address is not
/// used and zero (RFC 5227, §3).
fn arp_request(ip: Ipv4Addr, ethernet: Ethernet) -> [u8; ARP_LEN] {
    arp(ARP_REQUEST, (ip, ethernet), (ip, [0; ETHERNET_LEN]))
}

/// The reply form carries the address that caches are to take in both hardware fields
/// (RFC 5944, §4.6).
fn arp_reply(ip: Ipv4Addr, ethernet: Ethernet) -> [u8; ARP_LEN] {
    arp(ARP_REPLY, (ip, ethernet), (ip, ethernet))
}

/// RFC 826 for IPv4 over Ethernet.
pub(super) fn arp(
    operation: u8,
    sender: (Ipv4Addr, Ethernet),
    target: (Ipv4Addr, Ethernet),
) -> [u8; ARP_LEN] {
    let mut packet = [0; ARP_LEN];
    packet[..8].copy_from_slice(&ARP_HEADER);
    packet[7] = operation;
    packet[8..14].copy_from_slice(&sender.1);
    packet[14..18].copy_from_slice(&sender.0.octets());
    packet[18..24].copy_from_slice(&target.1);
    packet[24..].copy_from_slice(&target.0.octets());
    packet
}

/// Ethernet, IPv4, their lengths, and the place of the operation.
pub(super) const ARP_HEADER: [u8; 8] = [0, 1, 0x08, 0x00, 6, 4, 0, 0];

/// Bytes of the fixed IPv6 header.
pub(super) const IPV6_HEADER_LEN: usize = 40;
/// Bytes of a neighbour solicitation or advertisement without options.
pub(super) const NEIGHBOUR_LEN: usize = 24;
const ADVERTISEMENT_LEN: usize = 32;
/// Next header of ICMPv6.
pub(super) const NEXT_HEADER_ICMPV6: u8 = 58;
/// ICMPv6 type (RFC 4861, §4.3).
pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
/// ICMPv6 type (RFC 4861, §4.4).
pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_OVERRIDE: u8 = 0x20;
/// Option of an advertisement that names the Ethernet address.
pub(super) const OPTION_TARGET_LINK_LAYER: u8 = 2;

/// Unsolicited neighbour advertisement with the override flag, in its IPv6 packet
/// (RFC 4861, §4.4 and §7.2.6).
pub(super) fn neighbour_advertisement(
    ip: Ipv6Addr,
    ethernet: Ethernet,
    router: bool,
) -> [u8; IPV6_HEADER_LEN + ADVERTISEMENT_LEN] {
    let mut packet = [0; IPV6_HEADER_LEN + ADVERTISEMENT_LEN];
    let (header, message) = packet.split_at_mut(IPV6_HEADER_LEN);
    ipv6_header(header, ADVERTISEMENT_LEN as u8, ip, ALL_NODES);

    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = FLAG_OVERRIDE | if router { FLAG_ROUTER } else { 0 };
    message[8..24].copy_from_slice(&ip.octets());
    message[24] = OPTION_TARGET_LINK_LAYER;
    message[25] = 1;
    message[26..].copy_from_slice(&ethernet);
    let sum = icmpv6_checksum(ip, ALL_NODES, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// From the unspecified address to the solicited-node address of `ip`, without an option.
fn neighbour_solicitation(ip: Ipv6Addr) -> [u8; IPV6_HEADER_LEN + NEIGHBOUR_LEN] {
    let [.., a, b, c] = ip.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let mut packet = [0; IPV6_HEADER_LEN + NEIGHBOUR_LEN];
    let (header, message) = packet.split_at_mut(IPV6_HEADER_LEN);
    ipv6_header(header, NEIGHBOUR_LEN as u8, Ipv6Addr::UNSPECIFIED, group);
    message[0] = NEIGHBOUR_SOLICITATION;
    message[8..24].copy_from_slice(&ip.octets());
    let sum = icmpv6_checksum(Ipv6Addr::UNSPECIFIED, group, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn ipv6_header(header: &mut [u8], length: u8, source: Ipv6Addr, destination: Ipv6Addr) {
    header[0] = 6 << 4;
    header[5] = length;
    header[6] = NEXT_HEADER_ICMPV6;
    // Receivers drop neighbour discovery that has passed a router.
    header[7] = 255;
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&destination.octets());
}

/// RFC 4443, §2.3: over the pseudo-header of RFC 8200, §8.1 and the message with a zero checksum.
pub(super) fn icmpv6_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut sum = u32::from(NEXT_HEADER_ICMPV6);
    sum += u32::try_from(message.len()).unwrap_or(0);
    for bytes in [&source.octets()[..], &destination.octets()[..], message] {
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Ethernet = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    #[test]
    fn ipv4_is_announced_by_a_request_and_a_reply_to_everybody() {
        let frames = announcement(IpAddr::from([10, 0, 0, 170]), MAC, false);
        let request = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, 6, 4, request
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 170, // sender
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 0, 0, 170, // target
        ];
        let reply = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // … reply
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 170, // sender
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 170, // target
        ];
        let frame = |payload: [u8; 28]| Frame {
            protocol: 0x0806,
            destination: [0xff; 6],
            payload: payload.to_vec(),
        };
        assert_eq!(frames, [frame(request), frame(reply)]);
    }

    #[test]
    fn ipv6_is_announced_by_an_advertisement_with_override() {
        let ip: Ipv6Addr = "2001:db8::170".parse().unwrap();
        let [frame] = <[Frame; 1]>::try_from(announcement(ip.into(), MAC, false)).unwrap();
        assert_eq!((frame.protocol, frame.destination), (0x86dd, [0x33, 0x33, 0, 0, 0, 1]));
        let expect = [
            0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // version, length 32, ICMPv6, 255
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x70, // source
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // ff02::1
            0x88, 0x00, 0x71, 0x91, 0x20, 0x00, 0x00, 0x00, // advertisement, checksum, O
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x70, // target
            0x02, 0x01, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // target link-layer address
        ];
        assert_eq!(frame.payload, expect);
    }

    #[test]
    fn a_question_names_no_sender() {
        let frame = probe(IpAddr::from([10, 0, 0, 170]), MAC);
        let expect = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, 6, 4, request
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0, 0, 0, 0, // sender: no address
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 0, 0, 170, // target
        ];
        assert_eq!((frame.protocol, frame.destination), (0x0806, [0xff; 6]));
        assert_eq!(frame.payload, expect);

        let frame = probe("2001:db8::12:3456".parse().unwrap(), MAC);
        assert_eq!(
            (frame.protocol, frame.destination),
            (0x86dd, [0x33, 0x33, 0xff, 0x12, 0x34, 0x56])
        );
        let expect = [
            0x60, 0x00, 0x00, 0x00, 0x00, 0x18, 0x3a, 0xff, // version, length 24, ICMPv6, 255
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // source
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x12, 0x34, 0x56,
        ];
        assert_eq!(frame.payload[..IPV6_HEADER_LEN], expect);
        let message = &frame.payload[IPV6_HEADER_LEN..];
        assert_eq!((message[0], message.len()), (135, 24));
        assert_eq!(message[8..], "2001:db8::12:3456".parse::<Ipv6Addr>().unwrap().octets());
        let group = "ff02::1:ff12:3456".parse().unwrap();
        assert_eq!(icmpv6_checksum(Ipv6Addr::UNSPECIFIED, group, message), 0);
    }

    #[test]
    fn a_router_says_so_and_every_checksum_verifies() {
        for (ip, router) in [("2001:db8::170", true), ("fd00::1", false), ("::ffff:0:1", true)] {
            let ip: Ipv6Addr = ip.parse().unwrap();
            let packet = neighbour_advertisement(ip, MAC, router);
            assert_eq!(packet[44] & FLAG_ROUTER != 0, router);
            // A correct message sums up, its checksum included, to the complement of zero.
            assert_eq!(icmpv6_checksum(ip, ALL_NODES, &packet[IPV6_HEADER_LEN..]), 0);
        }
    }
}
