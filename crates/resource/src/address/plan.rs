//! What is to be done about a floating address, worked out from what the kernel says of addresses
//! and interfaces. Pure: `netlink` asks and does.

use std::net::{IpAddr, Ipv4Addr};

use hb_config::settings::AddressSpec;

use super::frames::Ethernet;

/// `IFA_PROTO` of every address that this program adds: the letter `h`. Shown by `ip -d address` as
/// `proto 104`, or by name with a line `104 heartbeat` in `/etc/iproute2/rt_addrprotos`.
///
/// Kernels before 5.18 ignore it.
pub const ADDRESS_PROTOCOL: u8 = 104;

/// Longest interface name and longest label (IFNAMSIZ without its final zero).
const NAME_MAX: usize = 15;

/// The loopback has this index in every network namespace.
pub(super) const LOOPBACK_INDEX: u32 = 1;

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) ip: IpAddr,
    pub(super) prefix_len: u8,
    /// Of its interface.
    pub(super) index: u32,
    /// IPv4: another address of the same subnet came first on that interface.
    pub(super) secondary: bool,
    /// IPv6: another host had it when it was added.
    pub(super) duplicate: bool,
    /// IPv6: whether another host has it is being found out; until then it does not serve.
    pub(super) tentative: bool,
    /// `IFA_PROTO`.
    pub(super) protocol: Option<u8>,
}

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) loopback: bool,
    /// `None` where addresses are not Ethernet's: nothing to announce there.
    pub(super) ethernet: Option<Ethernet>,
}

/// Where an address without a named interface belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Exactly one interface has the longest subnet that contains it.
    Interface(u32),
    /// No interface has, or more than one: the routing table decides.
    Route,
    /// Only its name can tell.
    MustBeNamed,
}

/// Refuses what no interface can carry.
pub(super) fn validate(spec: &AddressSpec) -> Result<(), String> {
    let ip = spec.ip;
    let bits = bits(ip);
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
        return Err(format!("{ip} cannot be a floating address"));
    }
    if let Some(prefix_len) = spec.prefix_len.filter(|length| *length > bits) {
        return Err(format!("{ip}/{prefix_len}: the prefix length must be at most {bits}"));
    }
    if let Some(label) = spec.label.as_ref().filter(|label| label.len() > NAME_MAX) {
        return Err(format!("label {label:?} of {ip} is longer than {NAME_MAX} bytes"));
    }
    if let Some(name) = &spec.interface {
        check_interface_name(name)?;
    }
    Ok(())
}

/// Refuses names that no interface can have, before they reach a path or the kernel.
pub(super) fn check_interface_name(name: &str) -> Result<(), String> {
    let bad = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with('.') || name.bytes().any(bad) {
        return Err(absent(name));
    }
    Ok(())
}

/// Words for a missing interface.
pub(super) fn absent(interface: &str) -> String {
    format!("interface {interface} does not exist")
}

/// Finds the interface whose subnet contains `ip`: the longest prefix wins.
pub(super) fn place(ip: IpAddr, entries: &[Entry]) -> Place {
    if let IpAddr::V6(v6) = ip
        && v6.is_unicast_link_local()
    {
        return Place::MustBeNamed;
    }
    let around = |entry: &&Entry| contains(entry, ip) && entry.index != LOOPBACK_INDEX;
    let Some(longest) = entries.iter().filter(around).map(|entry| entry.prefix_len).max() else {
        return Place::Route;
    };
    let mut best = entries.iter().filter(around).filter(|entry| entry.prefix_len == longest);
    let first = best.next().map(|entry| entry.index);
    match first {
        Some(index) if best.all(|entry| entry.index == index) => Place::Interface(index),
        Some(_) | None => Place::Route,
    }
}

/// The prefix length to add `ip` with: as written, else that of the subnet which contains it on
/// the interface, else that of a host address.
pub(super) fn prefix_len(spec: &AddressSpec, index: u32, entries: &[Entry]) -> u8 {
    let subnet = || {
        let here = entries.iter().filter(|entry| entry.index == index);
        here.filter(|entry| contains(entry, spec.ip)).map(|entry| entry.prefix_len).max()
    };
    spec.prefix_len.or_else(subnet).unwrap_or_else(|| bits(spec.ip))
}

/// Whether an address that is there has the prefix length that is written; any, if none is.
pub(super) fn prefix_fits(spec: &AddressSpec, entry: &Entry) -> bool {
    spec.prefix_len.is_none_or(|length| length == entry.prefix_len)
}

/// What speaks against an address that the kernel would take: it would serve nobody, or harm.
pub(super) fn sanity(spec: &AddressSpec) -> Result<(), String> {
    let (ip, Some(prefix_len)) = (spec.ip, spec.prefix_len) else { return Ok(()) };
    if prefix_len == 0 {
        return Err(format!("{ip}/0 would make the whole world one subnet: write its length"));
    }
    let IpAddr::V4(v4) = ip else { return Ok(()) };
    let hosts = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
    let host = u32::from(v4) & hosts;
    if prefix_len < 31 && (host == 0 || host == hosts) {
        let what = if host == 0 { "address of the subnet itself" } else { "broadcast address" };
        return Err(format!("{ip}/{prefix_len} is the {what}: no host can have it"));
    }
    Ok(())
}

/// The IPv4 broadcast address to add: as written, else the last address of the subnet. Subnets of
/// one or two addresses have none (RFC 3021).
pub(super) fn broadcast(spec: &AddressSpec, prefix_len: u8) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = spec.ip else { return None };
    let computed = || {
        let hosts = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
        (prefix_len < 31).then(|| Ipv4Addr::from(u32::from(ip) | hosts))
    };
    spec.broadcast.or_else(computed)
}

/// Where this machine has `ip`. The loopback does not count: an address there (for direct routing
/// behind a load balancer) is not announced and does not serve the network.
pub(super) fn held(ip: IpAddr, entries: &[Entry]) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.ip == ip && entry.index != LOOPBACK_INDEX).collect()
}

/// Whether the kernel would take other addresses away with this one unless it promotes them: those
/// that are secondary to it (the same subnet on the same interface).
pub(super) fn takes_siblings(doomed: &Entry, entries: &[Entry]) -> bool {
    let same_subnet = |other: &&Entry| {
        other.secondary
            && other.index == doomed.index
            && other.prefix_len == doomed.prefix_len
            && contains(other, doomed.ip)
    };
    doomed.ip.is_ipv4() && !doomed.secondary && entries.iter().any(|entry| same_subnet(&entry))
}

/// Whether the kernel knows `IFA_PROTO`, as far as these addresses show it: such kernels mark the
/// loopback's own and link-local addresses by themselves.
pub(super) fn shows_protocols(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.protocol.is_some())
}

/// Whether a kernel of this release (`uname -r`) knows `IFA_PROTO`: 5.18 and later.
pub(super) fn release_knows_protocols(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor)))
        if (major, minor) >= (5, 18))
}

/// Whether the subnet of `entry` contains `ip` and is more than a host.
fn contains(entry: &Entry, ip: IpAddr) -> bool {
    let same = |left: u128, right: u128, width: u32| {
        let length = u32::from(entry.prefix_len);
        length < width && (left ^ right).checked_shr(width - length).unwrap_or(0) == 0
    };
    match (entry.ip, ip) {
        (IpAddr::V4(left), IpAddr::V4(right)) => {
            same(u128::from(u32::from(left)), u128::from(u32::from(right)), 32)
        }
        (IpAddr::V6(left), IpAddr::V6(right)) => same(u128::from(left), u128::from(right), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Prefix length of a host address.
fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u32, text: &str) -> Entry {
        let (ip, prefix_len) = text.split_once('/').unwrap();
        Entry {
            ip: ip.parse().unwrap(),
            prefix_len: prefix_len.parse().unwrap(),
            index,
            secondary: false,
            duplicate: false,
            tentative: false,
            protocol: None,
        }
    }

    fn spec(text: &str) -> AddressSpec {
        let (ip, prefix_len) = match text.split_once('/') {
            Some((ip, prefix_len)) => (ip, Some(prefix_len.parse().unwrap())),
            None => (text, None),
        };
        let ip = ip.parse().unwrap();
        AddressSpec { ip, prefix_len, interface: None, label: None, broadcast: None }
    }

    #[test]
    fn interface_is_the_one_with_the_longest_subnet() {
        let entries = [
            entry(1, "127.0.0.1/8"),
            entry(1, "10.0.0.99/24"),
            entry(2, "10.0.0.1/8"),
            entry(3, "10.0.0.1/24"),
            entry(4, "192.168.1.1/24"),
            entry(5, "192.168.1.2/24"),
            entry(6, "172.16.0.1/32"),
            entry(3, "fd00::1/64"),
            entry(3, "fe80::1/64"),
        ];
        let check = |ip: &str, expect| assert_eq!(place(ip.parse().unwrap(), &entries), expect);
        check("10.0.0.170", Place::Interface(3));
        check("10.1.0.170", Place::Interface(2));
        check("192.168.1.170", Place::Route);
        check("172.16.0.1", Place::Route);
        check("8.8.8.8", Place::Route);
        check("fd00::170", Place::Interface(3));
        check("fd01::170", Place::Route);
        check("fe80::170", Place::MustBeNamed);
    }

    #[test]
    fn prefix_is_as_written_or_of_the_subnet_or_of_a_host() {
        let entries = [entry(2, "10.0.0.1/24"), entry(3, "10.0.0.1/8"), entry(2, "fd00::1/64")];
        let check = |text: &str, index, expect| {
            assert_eq!(prefix_len(&spec(text), index, &entries), expect);
        };
        check("10.0.0.170/32", 2, 32);
        check("10.0.0.170", 2, 24);
        check("10.0.0.170", 3, 8);
        check("10.0.0.170", 4, 32);
        check("fd00::170", 2, 64);
        check("fd01::170", 2, 128);
    }

    #[test]
    fn broadcast_is_as_written_or_the_last_address() {
        let check = |text: &str, prefix_len, expect: Option<[u8; 4]>| {
            assert_eq!(broadcast(&spec(text), prefix_len), expect.map(Ipv4Addr::from));
        };
        check("10.0.0.170", 24, Some([10, 0, 0, 255]));
        check("10.0.0.170", 8, Some([10, 255, 255, 255]));
        check("10.0.0.170", 30, Some([10, 0, 0, 171]));
        check("10.0.0.170", 31, None);
        check("10.0.0.170", 32, None);
        check("10.0.0.170", 0, Some([255, 255, 255, 255]));
        check("fd00::1", 64, None);
        let mut written = spec("10.0.0.170");
        written.broadcast = Some(Ipv4Addr::new(10, 0, 3, 255));
        assert_eq!(broadcast(&written, 24), written.broadcast);
    }

    #[test]
    fn a_primary_takes_its_secondaries_and_nothing_else() {
        let secondary = |index, text| Entry { secondary: true, ..entry(index, text) };
        let check = |doomed: &Entry, others: &[Entry], expect| {
            assert_eq!(takes_siblings(doomed, others), expect);
        };
        let primary = entry(2, "10.0.0.1/24");
        check(&primary, &[secondary(2, "10.0.0.170/24")], true);
        check(&primary, &[secondary(3, "10.0.0.170/24")], false);
        check(&primary, &[secondary(2, "10.0.0.170/25")], false);
        check(&primary, &[secondary(2, "10.0.1.170/24")], false);
        check(&secondary(2, "10.0.0.2/24"), &[secondary(2, "10.0.0.170/24")], false);
        check(&entry(2, "10.0.0.1/32"), &[entry(2, "10.0.0.2/32")], false);
        check(&entry(2, "fd00::1/64"), &[secondary(2, "fd00::2/64")], false);
    }

    #[test]
    fn impossible_addresses_are_refused_in_words() {
        let check = |text: &str, expect: &str| {
            let reason = validate(&spec(text)).unwrap_err();
            assert!(reason.contains(expect), "{reason}");
        };
        check("0.0.0.0", "0.0.0.0 cannot be a floating address");
        check("127.0.0.5/8", "127.0.0.5 cannot be");
        check("224.0.0.1", "224.0.0.1 cannot be");
        check("10.0.0.1/33", "at most 32");
        check("fd00::1/129", "at most 128");
        assert_eq!(validate(&spec("10.0.0.170/24")), Ok(()));
        let long = AddressSpec { label: Some("eth0:0123456789a".into()), ..spec("10.0.0.1") };
        assert!(validate(&long).unwrap_err().contains("longer than 15 bytes"));
        for name in ["", "..", "../eth0", "eth0:0", "eth 0", "a-very-long-name0"] {
            let bad = AddressSpec { interface: Some(name.into()), ..spec("10.0.0.1") };
            assert!(validate(&bad).unwrap_err().contains("does not exist"), "{name:?}");
        }
    }

    #[test]
    fn addresses_that_serve_nobody_are_told() {
        let check = |text: &str, expect: &str| match sanity(&spec(text)) {
            Ok(()) => assert_eq!(expect, "", "{text}"),
            Err(reason) => assert!(!expect.is_empty() && reason.contains(expect), "{reason}"),
        };
        check("10.0.0.170/24", "");
        check("10.0.0.170", "");
        check("10.0.0.0/24", "is the address of the subnet itself");
        check("10.0.0.255/24", "is the broadcast address");
        check("10.0.0.255/23", "");
        check("10.0.0.0/31", "");
        check("10.0.0.255/32", "");
        check("10.0.0.170/0", "whole world");
        check("fd00::/64", "");
    }

    #[test]
    fn kernels_from_5_18_on_know_the_tag() {
        let check = |release, expect| assert_eq!(release_knows_protocols(release), expect);
        check("5.18.0", true);
        check("6.1.0-18-amd64", true);
        check("5.15.0-91-generic\n", false);
        check("4.18.0-513.el8", false);
        check("10.0", true);
        check("", false);
    }
}
