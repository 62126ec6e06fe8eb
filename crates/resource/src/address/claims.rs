//! What other hosts say of an address: reads ARP and neighbour discovery. Pure; frames come from
//! strangers, and whatever is not well-formed says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frames::{
    ARP_HEADER, ARP_LEN, ARP_REPLY, ARP_REQUEST, ETHERNET_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV6,
    Ethernet, IPV6_HEADER_LEN, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_LEN, NEIGHBOUR_SOLICITATION,
    NEXT_HEADER_ICMPV6, OPTION_TARGET_LINK_LAYER, icmpv6_checksum,
};

/// What a frame says of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) ip: IpAddr,
    /// The host that says so.
    pub(super) ethernet: Ethernet,
    /// Index of the interface on which it was heard.
    pub(super) index: u32,
    pub(super) kind: Kind,
}

/// What a host says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has the address.
    Has,
    /// It is about to take the address and asks whether anybody has it.
    Wants,
}

/// Reads one frame. `payload` begins behind the link-layer header, `source` is the address in it.
pub(super) fn read(protocol: u16, payload: &[u8], source: Ethernet, index: u32) -> Option<Claim> {
    let (ip, ethernet, kind) = match protocol {
        ETHERTYPE_ARP => read_arp(payload)?,
        ETHERTYPE_IPV6 => read_neighbour(payload, source)?,
        _ => return None,
    };
    Some(Claim { ip, ethernet, index, kind })
}

/// `02:00:00:00:00:01`
pub(super) fn show(ethernet: Ethernet) -> String {
    ethernet.map(|byte| format!("{byte:02x}")).join(":")
}

/// What [`show`] writes.
pub(super) fn parse(text: &str) -> Option<Ethernet> {
    let mut bytes = text.split(':').map(|byte| match byte.len() {
        2 if byte.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u8::from_str_radix(byte, 16).ok()
        }
        _ => None,
    });
    let mut ethernet: Ethernet = [0; ETHERNET_LEN];
    for byte in &mut ethernet {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(ethernet)
}

/// Any ARP packet with an address as its sender's is a claim (RFC 5227, §2.4); a request without a
/// sender's address is a probe (§2.1.1).
fn read_arp(packet: &[u8]) -> Option<(IpAddr, Ethernet, Kind)> {
    let packet: &[u8; ARP_LEN] = packet.first_chunk()?;
    let operation = packet[7];
    if packet[..7] != ARP_HEADER[..7] || !matches!(operation, ARP_REQUEST | ARP_REPLY) {
        return None;
    }
    let ethernet: Ethernet = *packet[8..].first_chunk()?;
    let sender = Ipv4Addr::from(*packet[14..].first_chunk::<4>()?);
    let target = Ipv4Addr::from(*packet[24..].first_chunk::<4>()?);
    match (sender.is_unspecified(), operation) {
        (false, _) => Some((sender.into(), ethernet, Kind::Has)),
        (true, ARP_REQUEST) => Some((target.into(), ethernet, Kind::Wants)),
        (true, _) => None,
    }
}

/// An advertisement is a claim of its target; a solicitation from the unspecified address is
/// duplicate address detection (RFC 4861, §7.1; RFC 4862, §5.4.3).
fn read_neighbour(packet: &[u8], source: Ethernet) -> Option<(IpAddr, Ethernet, Kind)> {
    let (header, rest) = packet.split_first_chunk::<IPV6_HEADER_LEN>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // Hop limit 255: no router has passed it on.
    if header[0] >> 4 != 6 || header[6] != NEXT_HEADER_ICMPV6 || header[7] != 255 {
        return None;
    }
    let message = rest.get(..length)?;
    let from = Ipv6Addr::from(*header[8..].first_chunk::<16>()?);
    let to = Ipv6Addr::from(*header[24..].first_chunk::<16>()?);
    let (fixed, options) = message.split_first_chunk::<NEIGHBOUR_LEN>()?;
    if icmpv6_checksum(from, to, message) != 0 || fixed[1] != 0 {
        return None;
    }
    let target = IpAddr::from(*fixed[8..].first_chunk::<16>()?);
    match fixed[0] {
        NEIGHBOUR_ADVERTISEMENT => {
            Some((target, link_layer_option(options)?.unwrap_or(source), Kind::Has))
        }
        NEIGHBOUR_SOLICITATION if from.is_unspecified() => Some((target, source, Kind::Wants)),
        _ => None,
    }
}

/// The target's Ethernet address among the options of an advertisement; `None` for malformed ones
/// (RFC 4861, §4.6: lengths count eight bytes, zero is not valid).
fn link_layer_option(mut options: &[u8]) -> Option<Option<Ethernet>> {
    while let [kind, units, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(units) * 8)?;
        if units == 0 {
            return None;
        }
        if kind == OPTION_TARGET_LINK_LAYER && option.len() == 2 + ETHERNET_LEN {
            return Some(option[2..].first_chunk().copied());
        }
        options = rest;
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frames::{self, neighbour_advertisement};
    use super::*;

    const MAC: Ethernet = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const SOURCE: Ethernet = [2, 0, 0, 0, 0, 9];

    fn claim(ip: &str, ethernet: Ethernet, kind: Kind) -> Claim {
        Claim { ip: ip.parse().unwrap(), ethernet, index: 7, kind }
    }

    #[test]
    fn announcements_claim_and_probes_want() {
        for ip in ["10.0.0.50", "fd00::50"] {
            let check = |frame: &frames::Frame, expect| {
                assert_eq!(read(frame.protocol, &frame.payload, SOURCE, 7), Some(expect), "{ip}");
            };
            for frame in frames::announcement(ip.parse().unwrap(), MAC, false) {
                check(&frame, claim(ip, MAC, Kind::Has));
            }
            let probe = frames::probe(ip.parse().unwrap(), MAC);
            let who = if ip.contains(':') { SOURCE } else { MAC };
            check(&probe, claim(ip, who, Kind::Wants));
        }
    }

    #[test]
    fn an_ethernet_address_is_read_as_it_is_shown() {
        assert_eq!(parse(&show(MAC)), Some(MAC));
        for text in [
            "",
            "02",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52:54:00:12:34:+5",
            "5g:54:00:12:34:56",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_ordinary_request_claims_its_sender_and_padding_does_no_harm() {
        let sender = (Ipv4Addr::new(10, 0, 0, 9), MAC);
        let target = (Ipv4Addr::new(10, 0, 0, 50), [0; 6]);
        let mut packet = frames::arp(ARP_REQUEST, sender, target).to_vec();
        packet.extend([0; 18]);
        let expect = claim("10.0.0.9", MAC, Kind::Has);
        assert_eq!(read(ETHERTYPE_ARP, &packet, SOURCE, 7), Some(expect));
    }

    #[test]
    fn an_advertisement_without_an_option_is_its_senders() {
        let ip: Ipv6Addr = "fd00::50".parse().unwrap();
        let mut packet = neighbour_advertisement(ip, MAC, false).to_vec();
        packet.truncate(IPV6_HEADER_LEN + NEIGHBOUR_LEN);
        packet[5] = NEIGHBOUR_LEN as u8;
        packet[42..44].fill(0);
        let to = "ff02::1".parse().unwrap();
        let sum = icmpv6_checksum(ip, to, &packet[IPV6_HEADER_LEN..]);
        packet[42..44].copy_from_slice(&sum.to_be_bytes());
        let expect = claim("fd00::50", SOURCE, Kind::Has);
        assert_eq!(read(ETHERTYPE_IPV6, &packet, SOURCE, 7), Some(expect));
    }

    #[test]
    fn what_is_not_well_formed_says_nothing() {
        let good = frames::announcement("fd00::50".parse().unwrap(), MAC, false).remove(0).payload;
        let check = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = good.clone();
            change(&mut packet);
            assert_eq!(read(ETHERTYPE_IPV6, &packet, SOURCE, 7), None, "{packet:02x?}");
        };
        check(&|packet| packet[7] = 254);
        check(&|packet| packet[6] = 17);
        check(&|packet| packet[50] ^= 1);
        check(&|packet| packet[40] = 1);
        check(&|packet| packet[5] = 33);
        check(&|packet| packet.truncate(60));
        let good = frames::arp(ARP_REPLY, ([10, 0, 0, 9].into(), MAC), ([0; 4].into(), MAC));
        for (at, value) in [(1, 6), (2, 0), (4, 8), (7, 3)] {
            let mut packet = good;
            packet[at] = value;
            assert_eq!(read(ETHERTYPE_ARP, &packet, SOURCE, 7), None, "{packet:02x?}");
        }
        assert_eq!(read(ETHERTYPE_ARP, &good[..27], SOURCE, 7), None);
        assert_eq!(read(0x0800, &good, SOURCE, 7), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            packet in proptest::collection::vec(any::<u8>(), 0..120), ipv6: bool
        ) {
            let mut packet = packet;
            if ipv6 && packet.len() > 8 {
                // Past the first checks.
                packet[0] = 0x60;
                packet[4] = 0;
                packet[6..8].copy_from_slice(&[NEXT_HEADER_ICMPV6, 255]);
            }
            let _ = read(if ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_ARP }, &packet, SOURCE, 7);
            let _ = link_layer_option(&packet);
        }
    }
}
