//! Interfaces, names, ports and kernel settings (I/O).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hb_config::settings::Settings;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::super::facts::{Interface, Name, Network, Networkd, Protocol, Socket};
use super::process::Process;
use super::{hosts, names, read, tool};

/// Settings of the kernel that rules ask for; `IF` stands for each interface.
const SYSCTL: [&str; 11] = [
    "net/ipv4/ip_nonlocal_bind",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/conf/all/arp_announce",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/promote_secondaries",
    "net/ipv6/conf/all/disable_ipv6",
    "kernel/sched_rt_runtime_us",
    "net/ipv4/conf/IF/rp_filter",
    "net/ipv4/conf/IF/promote_secondaries",
    "net/ipv6/conf/IF/disable_ipv6",
    "net/ipv6/conf/IF/accept_dad",
];
/// Folders of drop-ins, the later wins for one name (systemd.network(5)).
const NETWORK_FOLDERS: [&str; 4] = [
    "/usr/lib/systemd/network",
    "/usr/local/lib/systemd/network",
    "/run/systemd/network",
    "/etc/systemd/network",
];

pub(super) fn network(settings: Option<&Settings>, processes: &[Process]) -> Network {
    let interfaces = interfaces(processes);
    Network {
        sysctl: sysctl(&interfaces),
        names: settings.map(|settings| resolved(settings)).unwrap_or_default(),
        sockets: sockets(processes),
        interfaces,
    }
}

fn interfaces(processes: &[Process]) -> BTreeMap<String, Interface> {
    let mut all: BTreeMap<String, Interface> = BTreeMap::new();
    let runs = |name: &str| processes.iter().any(|it| it.name == name);
    // Names of processes are cut after 15 characters.
    let (networkd, manager) = (runs("systemd-network"), runs("NetworkManager"));
    for entry in getifaddrs().into_iter().flatten() {
        let name = entry.interface_name;
        let interface = all.entry(name.clone()).or_insert_with(|| {
            let index = if_nametoindex(name.as_str()).unwrap_or(0);
            Interface {
                networkd: networkd.then(|| self::networkd(index)).flatten(),
                network_manager: manager && is_managed(index),
                ..Interface::default()
            }
        });
        let up = entry.flags.contains(InterfaceFlags::IFF_UP);
        interface.up = up;
        interface.carrier = up.then(|| entry.flags.contains(InterfaceFlags::IFF_RUNNING));
        let ip = |address: Option<nix::sys::socket::SockaddrStorage>| {
            let address = address?;
            let four = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
        };
        if let Some(address) = ip(entry.address) {
            let bits = ip(entry.netmask).map_or(if address.is_ipv4() { 32 } else { 128 }, ones);
            interface.addresses.push((address, bits));
        }
    }
    all.remove("lo");
    all
}

/// Bits of a mask.
fn ones(mask: IpAddr) -> u8 {
    let count = match mask {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// What systemd-networkd keeps of an interface that it manages.
fn networkd(index: u32) -> Option<Networkd> {
    let text = read(format!("/run/systemd/netif/links/{index}"))?;
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let file = field("NETWORK_FILE").filter(|file| !file.is_empty())?.to_owned();
    let base = file.rsplit('/').next().unwrap_or_default().to_owned();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for folder in NETWORK_FOLDERS {
        let folder = format!("{folder}/{base}.d");
        for name in names(&folder).into_iter().filter(|name| name.ends_with(".conf")) {
            if let Some(text) = read(format!("{folder}/{name}")) {
                texts.insert(name, text);
            }
        }
    }
    let own = read(&file).unwrap_or_default();
    let keep =
        keep_configuration(std::iter::once(own.as_str()).chain(texts.values().map(String::as_str)));
    Some(Networkd { file, keep })
}

/// The last `KeepConfiguration=` of `[Network]`.
fn keep_configuration<'a>(texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut keep = None;
    for text in texts {
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section == "[Network]"
                && let Some((name, value)) = line.split_once('=')
                && name.trim() == "KeepConfiguration"
            {
                keep = Some(value.trim().to_ascii_lowercase()).filter(|it| !it.is_empty());
            }
        }
    }
    keep
}

/// Whether NetworkManager has written down that it manages the interface.
fn is_managed(index: u32) -> bool {
    let text = read(format!("/run/NetworkManager/devices/{index}")).unwrap_or_default();
    text.lines().any(|line| matches!(line.trim(), "managed=true" | "managed=1"))
}

fn sysctl(interfaces: &BTreeMap<String, Interface>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for pattern in SYSCTL {
        let paths: Vec<String> = match pattern.contains("/IF/") {
            true => interfaces
                .keys()
                .map(|name| pattern.replace("/IF/", &format!("/{name}/")))
                .collect(),
            false => vec![pattern.to_owned()],
        };
        for path in paths {
            if let Some(value) = read(format!("/proc/sys/{path}")) {
                all.insert(path, value.trim().to_owned());
            }
        }
    }
    all
}

fn resolved(settings: &Settings) -> BTreeMap<String, Name> {
    let table = read("/etc/hosts").unwrap_or_default();
    hosts(settings).into_iter().map(|host| (host.clone(), name(&host, &table))).collect()
}

fn name(host: &str, table: &str) -> Name {
    if let Ok(address) = host.parse() {
        return Name { addresses: vec![address], in_hosts: true };
    }
    let addresses = in_table(host, table);
    if !addresses.is_empty() {
        return Name { addresses, in_hosts: true };
    }
    // A program of its own, so that a name server that is silent costs a limited time.
    let text = tool::run("getent", &["ahosts", host]).ok().unwrap_or_default();
    let first = |line: &str| line.split_whitespace().next()?.parse().ok();
    let mut addresses: Vec<IpAddr> = text.lines().filter_map(first).collect();
    addresses.dedup();
    Name { addresses, in_hosts: false }
}

/// What hosts(5) says of a name.
fn in_table(host: &str, table: &str) -> Vec<IpAddr> {
    let line = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    table.lines().filter_map(line).collect()
}

fn sockets(processes: &[Process]) -> Vec<Socket> {
    let mut owners: BTreeMap<u64, (u32, String)> = BTreeMap::new();
    for process in processes {
        for inode in process.sockets() {
            owners.entry(inode).or_insert((process.pid, process.name.clone()));
        }
    }
    let files = [
        ("udp", Protocol::Udp),
        ("udp6", Protocol::Udp),
        ("tcp", Protocol::Tcp),
        ("tcp6", Protocol::Tcp),
    ];
    let mut all = Vec::new();
    for (file, protocol) in files {
        let text = read(format!("/proc/net/{file}")).unwrap_or_default();
        for (address, port, inode) in text.lines().skip(1).filter_map(|line| socket(line, protocol))
        {
            let owner = owners.get(&inode).cloned();
            all.push(Socket { protocol, address, port, owner });
        }
    }
    all
}

/// Address, port and inode of a line of `/proc/net/udp` or `tcp`; of TCP only listeners.
fn socket(line: &str, protocol: Protocol) -> Option<(IpAddr, u16, u64)> {
    /// TCP_LISTEN of the kernel.
    const LISTEN: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = words.get(1)?.split_once(':')?;
    if protocol == Protocol::Tcp && words.get(3) != Some(&LISTEN) {
        return None;
    }
    Some((hex_address(address)?, u16::from_str_radix(port, 16).ok()?, words.get(9)?.parse().ok()?))
}

/// In words of 32 bits, each in the byte order of the machine.
fn hex_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let part = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(part, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes.get_mut(at * 4..at * 4 + 4)?.copy_from_slice(&word(at)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_open_ports() {
        let udp =
            " 1: 0100007F:02B6 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2";
        if cfg!(target_endian = "little") {
            let expect = Some(("127.0.0.1".parse().unwrap(), 694, 77));
            assert_eq!(socket(udp, Protocol::Udp), expect);
        }
        assert_eq!(socket(udp, Protocol::Tcp), None, "it does not listen");
        assert_eq!(socket("sl local_address", Protocol::Udp), None);
        assert_eq!(hex_address(&"0".repeat(32)), Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        assert_eq!(hex_address("00"), None);
    }

    #[test]
    fn names_of_the_hosts_file() {
        let table = "127.0.0.1 localhost\n192.0.2.1 node1 n1 # node9\n2001:db8::1\tNODE1\n#192.0.2.9 node1\n";
        let check = |host: &str, expect: &[&str]| {
            let found: Vec<String> = in_table(host, table).iter().map(IpAddr::to_string).collect();
            assert_eq!(found, expect, "{host}");
        };
        check("node1", &["192.0.2.1", "2001:db8::1"]);
        check("n1", &["192.0.2.1"]);
        check("node9", &[]);
        check("192.0.2.1", &[]);
    }

    #[test]
    fn the_last_word_about_foreign_addresses_counts() {
        let check = |texts: &[&str], expect: Option<&str>| {
            assert_eq!(keep_configuration(texts.iter().copied()).as_deref(), expect, "{texts:?}");
        };
        check(&["[Match]\nName=eth0\n[Network]\nDHCP=yes\n"], None);
        check(&["[Network]\nKeepConfiguration = Static\n"], Some("static"));
        check(&["[DHCP]\nKeepConfiguration=static\n"], None);
        check(
            &["[Network]\nKeepConfiguration=no\n", "[Network]\nKeepConfiguration=yes\n"],
            Some("yes"),
        );
    }
}
