//! Links: do their interfaces, names and ports allow that heartbeats come and go. The packet filter
//! is `filter`'s. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hb_config::settings::{Medium, Settings};

use super::super::facts::{Facts, Name, Protocol, Socket};
use super::super::finding::{Area, Finding};
use super::{filter, is_near, list};

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(settings) = &facts.config.settings else {
        found.push(Finding::note(Area::Links, "no_configuration", "no valid ha.cf names links"));
        return;
    };
    for link in links(facts, settings) {
        interface(facts, &link, found);
        names(facts, settings, &link, found);
        filter::judge(facts, &link, found);
        heard(facts, &link, found);
    }
    same_network(facts, settings, found);
    port(facts, settings, found);
}

/// One interface with all that ha.cf says of it.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) interface: &'a str,
    pub(super) port: u16,
    /// Hosts of ucast lines as written.
    hosts: Vec<String>,
    /// Where heartbeats come from and go to; `None`: broadcast or multicast, from anybody.
    pub(super) peers: Vec<Option<IpAddr>>,
}

/// Lines of one interface and port are one link, as a node's line to itself does no harm.
fn links<'a>(facts: &Facts, settings: &'a Settings) -> Vec<Link<'a>> {
    let mut all: BTreeMap<(&str, u16), Link<'a>> = BTreeMap::new();
    for medium in &settings.media {
        let (port, host) = match medium {
            Medium::Broadcast { .. } => (settings.udp_port, None),
            Medium::Unicast { host, .. } => (settings.udp_port, Some(host.clone())),
            Medium::Unicast6 { address, .. } => (settings.udp_port, Some(address.to_string())),
            Medium::Multicast { port, .. } | Medium::Multicast6 { port, .. } => (*port, None),
        };
        let interface = medium.interface();
        let (hosts, peers) = (Vec::new(), Vec::new());
        let link = all.entry((interface, port)).or_insert(Link { interface, port, hosts, peers });
        match host {
            Some(host) => {
                let addresses = facts.network.names.get(&host).map_or(&[][..], |it| &it.addresses);
                let others = addresses.iter().filter(|address| !is_own(facts, **address));
                link.peers.extend(others.map(|address| Some(*address)));
                link.hosts.push(host);
            }
            None => link.peers.push(None),
        }
    }
    all.into_values().collect()
}

/// Whether this machine has the address: then the line is the node's own.
fn is_own(facts: &Facts, address: IpAddr) -> bool {
    let mut all = facts.network.interfaces.values().flat_map(|it| &it.addresses);
    all.any(|(own, _)| *own == address)
}

fn interface(facts: &Facts, link: &Link<'_>, found: &mut Vec<Finding>) {
    let name = link.interface;
    let finding = match facts.network.interfaces.get(name) {
        None => {
            let known: Vec<String> = facts.network.interfaces.keys().cloned().collect();
            Finding::problem(Area::Links, "no_interface", format!("{name} of ha.cf is not there"))
                .why("no heartbeat passes over it; a link that comes later is found by itself")
                .cure(format!("write one of these to ha.cf: {}", list(&known)))
        }
        Some(it) if !it.up => {
            Finding::problem(Area::Links, "interface_down", format!("{name} is switched off")).cure(
                format!("`ip link set {name} up`, and see to it that the network's own files do"),
            )
        }
        Some(it) if it.carrier == Some(false) => {
            Finding::problem(Area::Links, "no_carrier", format!("{name} has no carrier"))
                .cure("look at the cable and at the switch's port")
        }
        Some(it) if it.addresses.is_empty() => {
            Finding::problem(Area::Links, "no_address", format!("{name} has no address"))
                .why("heartbeats need one to come from")
                .cure(format!("give {name} an address in the network's own files"))
        }
        Some(_) => {
            Finding::ok(Area::Links, "interface", format!("{name} is up and has an address"))
        }
    };
    found.push(finding.about(name));
}

fn names(facts: &Facts, settings: &Settings, link: &Link<'_>, found: &mut Vec<Finding>) {
    for host in &link.hosts {
        if let Some(finding) = name(facts, link, host) {
            found.push(finding.about(host));
        }
    }
    if !link.hosts.is_empty() && link.peers.is_empty() && settings.peer().is_some() {
        let text = format!("no line of {} leads to the other node", link.interface);
        found.push(
            Finding::problem(Area::Links, "no_peer_line", text)
                .why("each ucast line names this node itself or nobody")
                .cure(format!("`ucast {} ADDRESS-OF-THE-OTHER-NODE` in ha.cf", link.interface))
                .about(link.interface),
        );
    }
}

fn name(facts: &Facts, link: &Link<'_>, host: &str) -> Option<Finding> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let none = Name::default();
    let Name { addresses, in_hosts } = facts.network.names.get(host).unwrap_or(&none);
    let line = format!("write `ADDRESS {host}` to /etc/hosts, or the address itself to ha.cf");
    if addresses.is_empty() {
        let text = format!("{host} of `ucast {} {host}` has no address", link.interface);
        return Some(Finding::problem(Area::Links, "unknown_host", text).cure(line));
    }
    if addresses.iter().any(IpAddr::is_loopback) {
        let text =
            format!("{host} of `ucast {} {host}` is this machine's loopback", link.interface);
        let why =
            "heartbeats to it do not leave the machine, nor does it count as the node's own line";
        return Some(Finding::problem(Area::Links, "loopback_host", text).why(why).cure(line));
    }
    if !in_hosts {
        let text = format!("{host} of ha.cf is known to a name server only");
        let why = "when the name server does not answer at boot, this link begins later";
        return Some(Finding::warning(Area::Links, "host_by_dns", text).why(why).cure(line));
    }
    None
}

/// Two links in one network are one link, and the kernel answers for both on either.
fn same_network(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    let mut names: Vec<&str> = settings.media.iter().map(Medium::interface).collect();
    names.sort_unstable();
    names.dedup();
    for (at, first) in names.iter().enumerate() {
        for second in names.iter().skip(at + 1) {
            let addresses = |name: &str| {
                facts.network.interfaces.get(name).map_or(&[][..], |it| &it.addresses[..])
            };
            let shared = addresses(first).iter().any(|one| {
                addresses(second).iter().any(|other| {
                    !is_link_local(one.0) && (is_near(*one, other.0) || is_near(*other, one.0))
                })
            });
            if !shared {
                continue;
            }
            let text = format!("{first} and {second} are in the same network");
            let mut finding = Finding::warning(Area::Links, "same_network", text)
                .why("what cuts one cuts both, and answers may leave through the other interface");
            finding =
                finding.cure("give the second link a network of its own, best a direct cable");
            let strict = [*first, *second].into_iter().find(|name| reverse_path(facts, name) == 1);
            if let Some(name) = strict {
                finding = finding.cure(format!(
                    "until then: `net.ipv4.conf.{name}.rp_filter = 2` in /etc/sysctl.d/heartbeat.conf \
                     (strict filtering drops what comes in on the other interface)"
                ));
            }
            let lax = setting(facts, "net/ipv4/conf/all/arp_ignore") == Some(0);
            if lax {
                finding = finding.cure(
                    "until then: `net.ipv4.conf.all.arp_ignore = 1` and \
                     `net.ipv4.conf.all.arp_announce = 2` in /etc/sysctl.d/heartbeat.conf",
                );
            }
            found.push(finding.about(format!("{first} {second}")));
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What is in force: the greater of both (kernel, Documentation/networking/ip-sysctl).
fn reverse_path(facts: &Facts, interface: &str) -> u32 {
    let of = |name: &str| setting(facts, &format!("net/ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    of("all").max(of(interface))
}

fn setting(facts: &Facts, path: &str) -> Option<u32> {
    facts.network.sysctl.get(path)?.parse().ok()
}

/// Who has the port.
fn port(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    let mut ports: Vec<u16> = settings
        .media
        .iter()
        .map(|medium| match medium {
            Medium::Broadcast { .. } | Medium::Unicast { .. } | Medium::Unicast6 { .. } => {
                settings.udp_port
            }
            Medium::Multicast { port, .. } | Medium::Multicast6 { port, .. } => *port,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let own = facts.daemon.as_ref().map(|daemon| daemon.pid);
    for port in ports {
        let bound = |socket: &&Socket| socket.protocol == Protocol::Udp && socket.port == port;
        let sockets: Vec<&Socket> = facts.network.sockets.iter().filter(bound).collect();
        let other = sockets
            .iter()
            .find(|socket| socket.owner.as_ref().is_some_and(|(pid, _)| Some(*pid) != own));
        if let Some((pid, name)) = other.and_then(|socket| socket.owner.as_ref()) {
            found.push(
                Finding::problem(
                    Area::Links,
                    "port_taken",
                    format!("UDP {port} is taken by {name} (process {pid})"),
                )
                .why("heartbeats go to that program, or the daemon cannot listen")
                .cure(format!("stop {name}, or choose another `udpport` on both nodes"))
                .about(port.to_string()),
            );
        } else if own.is_some() && !sockets.is_empty() {
            let text = format!("UDP {port} is the daemon's");
            found.push(Finding::ok(Area::Links, "port", text).about(port.to_string()));
        } else if own.is_some() {
            let text = format!("heartbeat runs, and nothing listens on UDP {port}");
            let text = if facts.is_root { text } else { text + ", as far as can be seen" };
            found.push(
                Finding::problem(Area::Links, "port_closed", text)
                    .cure("`hb status` names the socket's failure; `journalctl -u heartbeat` too")
                    .about(port.to_string()),
            );
        } else {
            let text = format!("UDP {port} is free");
            found.push(Finding::ok(Area::Links, "port", text).about(port.to_string()));
        }
    }
}

/// What the daemon itself says of a link is worth more than what rules promise.
fn heard(facts: &Facts, link: &Link<'_>, found: &mut Vec<Finding>) {
    let peer = facts.status.as_ref().and_then(|status| status.peer.as_ref());
    let Some(peer) = peer.filter(|peer| peer.heard_ms_ago.is_some()) else { return };
    let Some(said) = peer.links.iter().find(|it| it.name == link.interface) else { return };
    let (name, them) = (link.interface, &peer.name);
    let port = link.port;
    let finding = match (said.up, said.peer_hears, &said.failure) {
        (_, _, Some(failure)) => Finding::problem(Area::Links, "link_failure", failure.clone()),
        (true, Some(false), None) => Finding::problem(
            Area::Links,
            "not_heard",
            format!("{name}: we hear {them}, {them} does not hear us"),
        )
        .why("a takeover by it would be a mistake of one side")
        .cure(format!("`hb doctor links` on {them}: most often its firewall drops UDP {port}")),
        (false, _, None) => Finding::problem(
            Area::Links,
            "not_hearing",
            format!("{name}: nothing of {them} arrives, though it lives"),
        )
        .cure(format!(
            "`tcpdump -ni {name} udp port {port}` shows whether packets reach the machine"
        )),
        (true, Some(true) | None, None) => {
            Finding::ok(Area::Links, "heard", format!("{name}: heartbeats of {them} arrive"))
        }
    };
    found.push(finding.about(name));
}
