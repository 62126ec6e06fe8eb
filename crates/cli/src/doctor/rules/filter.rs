//! What the packet filter does with heartbeats of a link, and the exact line that lets them pass.
//! Pure; the filter itself is in `firewall`.

use std::net::IpAddr;

use super::super::facts::Facts;
use super::super::finding::{Area, Finding};
use super::super::firewall::{Chain, Fate, Hook, Network, Packet, Tool, fate};
use super::links::Link;

pub(super) fn judge(facts: &Facts, link: &Link<'_>, found: &mut Vec<Finding>) {
    if let Some(reason) = &facts.firewall.unread {
        let text = format!("the packet filter was not looked at: {reason}");
        if !found.iter().any(|it| it.id == "firewall_unread") {
            found.push(Finding::note(Area::Links, "firewall_unread", text).about("firewall"));
        }
        return;
    }
    let chains = &facts.firewall.chains;
    let mut passes = true;
    let addresses = facts.network.interfaces.get(link.interface).map(|it| &it.addresses[..]);
    let own = addresses.unwrap_or_default().iter();
    let around: Vec<_> =
        own.map(|(address, bits)| Network { address: *address, bits: *bits }).collect();
    for peer in &link.peers {
        let arriving = Packet::arriving(link.interface, *peer, link.port);
        let leaving = Packet::leaving(link.interface, *peer, link.port);
        for packet in [arriving, leaving].map(|packet| packet.among(around.clone())) {
            if let Fate::Dropped { surely, chain, by } = fate(chains, &packet) {
                passes = false;
                found.push(dropped(facts, link, &packet, surely, &chain, &by));
            }
        }
    }
    if passes && !link.peers.is_empty() {
        let text = format!("the packet filter lets UDP {} pass on {}", link.port, link.interface);
        found.push(Finding::ok(Area::Links, "firewall", text).about(link.interface));
    }
}

fn dropped(
    facts: &Facts,
    link: &Link<'_>,
    packet: &Packet,
    surely: bool,
    chain: &Chain,
    by: &str,
) -> Finding {
    let (interface, port) = (link.interface, link.port);
    let arrives = packet.hooks.contains(&Hook::Input);
    let way = match (arrives, packet.peer) {
        (true, Some(peer)) => format!("from {peer} on {interface}"),
        (true, None) => format!("that arrives on {interface}"),
        (false, Some(peer)) => format!("to {peer} on {interface}"),
        (false, None) => format!("that leaves on {interface}"),
    };
    let finding = if surely {
        let text = format!("the packet filter drops UDP {port} {way}: {by}");
        Finding::problem(Area::Links, "firewall_drops", text)
    } else {
        let text = format!("the packet filter may drop UDP {port} {way}: {by}");
        Finding::warning(Area::Links, "firewall_may_drop", text)
    };
    let mut finding = finding.about(interface);
    finding.why = match is_up(facts, interface).filter(|_| arrives) {
        Some(true) => "heartbeats arrive all the same; after the next change of the rules, or a \
                       reboot, they may not"
            .to_owned(),
        Some(false) | None => {
            "each node takes the other for dead and both serve: the most frequent split".to_owned()
        }
    };
    if is_up(facts, interface) == Some(true) && arrives && surely {
        finding.level = super::super::finding::Level::Warning;
    }
    cures(facts, link, packet.peer, arrives, chain).into_iter().fold(finding, Finding::cure)
}

/// Whether the daemon hears its peer there.
fn is_up(facts: &Facts, interface: &str) -> Option<bool> {
    let peer = facts.status.as_ref()?.peer.as_ref()?;
    Some(peer.links.iter().find(|link| link.name == interface)?.up)
}

/// The line for the tool that made the chain.
fn cures(
    facts: &Facts,
    link: &Link<'_>,
    peer: Option<IpAddr>,
    arrives: bool,
    chain: &Chain,
) -> Vec<String> {
    let (interface, port) = (link.interface, link.port);
    let tool = if facts.firewall.firewalld.is_some() { Tool::Firewalld } else { chain.tool };
    let flag = if peer.is_some_and(|it| it.is_ipv6()) { "ip6tables" } else { "iptables" };
    let both = "the same line on the other node, with this node's address".to_owned();
    match tool {
        Tool::Firewalld => {
            let zones = facts.firewall.firewalld.as_ref();
            let zone = zones.and_then(|it| it.get(interface)).map(|it| format!(" --zone={it}"));
            let zone = zone.unwrap_or_default();
            vec![
                format!(
                    "`firewall-cmd --permanent{zone} --add-port={port}/udp && firewall-cmd --reload`"
                ),
                both,
            ]
        }
        Tool::Ufw => {
            let from = peer.map_or("any".to_owned(), |it| it.to_string());
            let line = match arrives {
                true => format!(
                    "`ufw allow in on {interface} proto udp from {from} to any port {port}`"
                ),
                false => format!("`ufw allow out on {interface} proto udp to {from} port {port}`"),
            };
            vec![line, both]
        }
        Tool::Iptables => {
            let (way, device, end) =
                if arrives { ("INPUT", "-i", "-s") } else { ("OUTPUT", "-o", "-d") };
            let peer = peer.map(|it| format!(" {end} {it}")).unwrap_or_default();
            vec![
                format!(
                    "`{flag} -I {way} {device} {interface}{peer} -p udp --dport {port} -j ACCEPT`"
                ),
                "keep it: `netfilter-persistent save`, or the tool that loads your rules"
                    .to_owned(),
                both,
            ]
        }
        Tool::Nft => {
            let (device, end) = if arrives { ("iifname", "saddr") } else { ("oifname", "daddr") };
            let family = if peer.is_some_and(|it| it.is_ipv6()) { "ip6" } else { "ip" };
            let peer = peer.map(|it| format!(" {family} {end} {it}")).unwrap_or_default();
            let (table, name) = (&chain.table, &chain.name);
            vec![
                format!(
                    "`nft insert rule {} {table} {name} {device} {interface}{peer} udp dport {port} accept`",
                    chain.family.word()
                ),
                "keep it: the same line without `insert rule …` in that chain of /etc/nftables.conf"
                    .to_owned(),
                both,
            ]
        }
    }
}
