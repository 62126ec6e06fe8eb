//! Asks nft, iptables and firewalld for their rules (I/O). What they mean is for `firewall`.

use std::collections::BTreeMap;

use super::super::facts::Firewall;
use super::super::firewall::{Family, Tool, iptables, nft};
use super::process::Process;
use super::tool::{self, Ran};

pub(super) fn firewall(processes: &[Process]) -> Firewall {
    if !nix::unistd::geteuid().is_root() {
        let unread = Some("that needs root".to_owned());
        return Firewall { unread, ..Firewall::default() };
    }
    let mut firewall = Firewall::default();
    let mut opaque = Vec::new();
    let mut read = false;
    match tool::run("nft", &["-j", "list", "ruleset"]) {
        Ran::Ended { code: 0, text } => match nft::parse(&text) {
            Some(ruleset) => {
                read = true;
                (firewall.chains, opaque) = (ruleset.chains, ruleset.opaque);
            }
            None => firewall.unread = Some("`nft -j list ruleset` printed no JSON".to_owned()),
        },
        Ran::Ended { text, .. } => firewall.unread = Some(format!("nft: {}", text.trim())),
        Ran::Failed(reason) => firewall.unread = Some(format!("nft: {reason}")),
        Ran::Missing => {}
    }
    for (program, family) in [
        ("iptables-save", Family::Ip),
        ("ip6tables-save", Family::Ip6),
        ("iptables-legacy-save", Family::Ip),
        ("ip6tables-legacy-save", Family::Ip6),
    ] {
        let Some(text) = tool::run(program, &[]).ok() else { continue };
        // Over nf_tables they show what nft has shown already, but for parts that it cannot show.
        let same = text.contains("(nf_tables)");
        let mut chains = iptables::parse(&text, family);
        if same && read {
            chains.retain(|chain| opaque.contains(&(family, chain.table.clone())));
            let hidden = |it: &(Family, String)| {
                it.0 == family && chains.iter().any(|chain| chain.table == it.1)
            };
            let replaced: Vec<_> = opaque.iter().filter(|it| hidden(it)).cloned().collect();
            firewall.chains.retain(|it| !replaced.contains(&(it.family, it.table.clone())));
        }
        firewall.chains.extend(chains);
        read = true;
    }
    // A table in the kernel's own names is that of iptables, and people change it with that.
    for chain in &mut firewall.chains {
        let named = matches!(chain.name.as_str(), "INPUT" | "OUTPUT" | "PREROUTING");
        if chain.tool == Tool::Nft && named && chain.family != Family::Inet {
            chain.tool = Tool::Iptables;
        }
    }
    if !read && firewall.unread.is_none() {
        firewall.unread = Some("neither nft nor iptables-save is installed".to_owned());
    }
    let runs = processes.iter().any(|it| it.name == "firewalld");
    firewall.firewalld = runs.then(zones);
    firewall
}

/// Interfaces by zone: a zone's name, then indented `interfaces: eth0 eth1`.
fn zones() -> BTreeMap<String, String> {
    let text = tool::run("firewall-cmd", &["--get-active-zones"]).ok().unwrap_or_default();
    parse_zones(&text)
}

fn parse_zones(text: &str) -> BTreeMap<String, String> {
    let mut zones = BTreeMap::new();
    let mut zone = "";
    for line in text.lines() {
        match line.trim_start().strip_prefix("interfaces:") {
            Some(names) => {
                for name in names.split_whitespace() {
                    zones.insert(name.to_owned(), zone.to_owned());
                }
            }
            None if !line.starts_with(' ') => {
                zone = line.split_whitespace().next().unwrap_or_default()
            }
            None => {}
        }
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_firewalld() {
        let text = "public (default)\n  interfaces: eth0 eth2\ninternal\n  interfaces: eth1\n  sources: 10.0.0.0/8\n";
        let zones = parse_zones(text);
        let check = |name: &str, expect| assert_eq!(zones.get(name).map(String::as_str), expect);
        check("eth0", Some("public"));
        check("eth2", Some("public"));
        check("eth1", Some("internal"));
        check("eth3", None);
    }
}
