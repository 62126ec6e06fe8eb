//! What the kernel says of this machine's interfaces, read once per look. Does I/O (`getifaddrs`);
//! what follows from it is pure. It opens no socket and remembers nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::Builder;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use tokio::sync::oneshot;

/// Small, because locked memory counts.
const STACK_BYTES: usize = 256 * 1024;

/// An IPv4 address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ipv4Entry {
    pub(super) address: Ipv4Addr,
    pub(super) mask: Ipv4Addr,
    /// As configured; `None` when the address was added without one.
    pub(super) broadcast: Option<Ipv4Addr>,
}

/// One interface with its addresses in the kernel's order (primary ones first).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Kernel index; an interface that is made anew under its old name has another one.
    pub(super) index: u32,
    /// Administratively up (`IFF_UP`); says nothing of the carrier.
    pub(super) up: bool,
    pub(super) ipv4: Vec<Ipv4Entry>,
    pub(super) ipv6: Vec<Ipv6Addr>,
}

impl Interface {
    /// Where `bcast` sends: the configured broadcast address of the first address that has a
    /// subnet, else the last address of that subnet. An interface with host addresses only (/31,
    /// /32) has no subnet to broadcast to and gets 255.255.255.255. `None` without IPv4.
    ///
    /// Heartbeat 3.0.6 sends nowhere when the address has no broadcast address.
    pub(super) fn broadcast(&self) -> Option<Ipv4Addr> {
        let has_subnet = |entry: &&Ipv4Entry| u32::from(entry.mask).count_ones() < 31;
        let Some(entry) = self.ipv4.iter().find(has_subnet) else {
            return self.ipv4.first().map(|_| Ipv4Addr::BROADCAST);
        };
        let computed = Ipv4Addr::from(u32::from(entry.address) | !u32::from(entry.mask));
        Some(entry.broadcast.filter(|address| !address.is_unspecified()).unwrap_or(computed))
    }
}

/// All interfaces of this machine's (or this container's) network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interfaces(Vec<Interface>);

/// Reads the interfaces on a thread of its own: the kernel answers under a lock of the whole machine
/// and may keep the asker waiting while network namespaces come and go.
pub(super) fn look() -> oneshot::Receiver<io::Result<Interfaces>> {
    let (seen, result) = oneshot::channel();
    let work = move || {
        // Nobody waits when the sockets were closed meanwhile.
        let _ = seen.send(Interfaces::read());
    };
    // Without a thread the channel closes, which the caller takes for no answer.
    let _ = Builder::new().name("interfaces".into()).stack_size(STACK_BYTES).spawn(work);
    result
}

impl Interfaces {
    /// Asks the kernel: a netlink dump, tens of microseconds on an ordinary machine.
    pub(super) fn read() -> io::Result<Self> {
        let mut all = Self::default();
        for entry in getifaddrs()? {
            all.add(&entry);
        }
        Ok(all)
    }

    /// The interface of that name. An alternative name (`ip link property add … altname`) counts.
    pub(super) fn find(&self, name: &str) -> Option<&Interface> {
        let real = || self.0.iter().filter(|interface| interface.index != 0);
        real().find(|interface| interface.name == name).or_else(|| {
            let index = if_nametoindex(name).ok()?;
            real().find(|interface| interface.index == index)
        })
    }

    /// Whether any interface has this address.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.0.iter().any(|interface| match address {
            IpAddr::V4(ip) => interface.ipv4.iter().any(|entry| entry.address == ip),
            IpAddr::V6(ip) => interface.ipv6.contains(&ip),
        })
    }

    fn add(&mut self, entry: &InterfaceAddress) {
        // An IPv4 address with a label (`eth0:0`) comes under the label, not under the interface.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        let position = self.0.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.0.push(Interface { name: name.to_owned(), ..Interface::default() });
            self.0.len() - 1
        });
        let interface = &mut self.0[position];
        interface.up = entry.flags.contains(InterfaceFlags::IFF_UP);
        let Some(address) = entry.address.as_ref() else { return };
        if let Some(link) = address.as_link_addr() {
            interface.index = u32::try_from(link.ifindex()).unwrap_or(0);
        } else if let Some(ip) = address.as_sockaddr_in() {
            let mask = entry.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in());
            let broadcast = entry.broadcast.as_ref().and_then(|ip| ip.as_sockaddr_in());
            interface.ipv4.push(Ipv4Entry {
                address: ip.ip(),
                mask: mask.map_or(Ipv4Addr::BROADCAST, |mask| mask.ip()),
                // The C library shows the address itself where there is no broadcast address.
                broadcast: broadcast.map(|ip| ip.ip()).filter(|other| *other != ip.ip()),
            });
        } else if let Some(ip) = address.as_sockaddr_in6() {
            interface.ipv6.push(ip.ip());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(address: &str, mask: &str, broadcast: Option<&str>) -> Ipv4Entry {
        Ipv4Entry {
            address: address.parse().unwrap(),
            mask: mask.parse().unwrap(),
            broadcast: broadcast.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn broadcast_address_is_the_configured_one_or_computed_from_the_prefix() {
        let check = |entries: &[Ipv4Entry], expect: Option<&str>| {
            let interface = Interface { ipv4: entries.to_vec(), ..Interface::default() };
            assert_eq!(interface.broadcast(), expect.map(|text| text.parse().unwrap()));
        };
        check(&[], None);
        check(&[entry("10.0.0.1", "255.255.255.0", Some("10.0.0.255"))], Some("10.0.0.255"));
        check(&[entry("10.0.0.1", "255.255.255.0", None)], Some("10.0.0.255"));
        check(&[entry("10.0.0.1", "255.255.255.0", Some("0.0.0.0"))], Some("10.0.0.255"));
        check(&[entry("10.0.0.1", "255.255.252.0", None)], Some("10.0.3.255"));
        check(&[entry("10.0.0.1", "255.255.255.252", None)], Some("10.0.0.3"));
        check(&[entry("10.0.0.1", "255.255.255.254", None)], Some("255.255.255.255"));
        // A floating /32 that happens to stand first does not decide.
        check(
            &[
                entry("10.9.9.9", "255.255.255.255", None),
                entry("192.168.1.1", "255.255.0.0", None),
            ],
            Some("192.168.255.255"),
        );
    }

    #[test]
    fn loopback_is_found_by_name_with_its_index() {
        let all = Interfaces::read().unwrap();
        let lo = all.find("lo").unwrap();
        assert_eq!(lo.index, if_nametoindex("lo").unwrap());
        assert!(all.find("no-such-if0").is_none());
    }
}
