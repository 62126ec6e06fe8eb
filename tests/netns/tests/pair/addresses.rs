//! Floating addresses as haresources writes them, looked at with the kernel's and iproute2's eyes.

use hb_cli::lab;
use hb_netns::files::{NGINX_CONF, NODES, Setup, nginx_conf};
use hb_netns::pair::{Pair, ip_here, need_ip};
use hb_netns::runner::{Case, skip};
use hb_netns::traffic::Traffic;

pub(crate) const CASES: &[Case] = &[
    Case { name: "ipv6_address", run: ipv6_address },
    Case { name: "label_netmask_and_broadcast", run: label_netmask_and_broadcast },
    Case { name: "interface_found_by_route", run: interface_found_by_route },
    Case { name: "foreign_addresses_stay", run: foreign_addresses_stay },
];

fn ipv6_address() {
    need_ip();
    if lab::find_program("nginx").is_none() {
        skip("nginx is not installed");
    }
    let mut pair = Pair::new(Setup::new("node1 IPv6addr::fd00:2::100/64/eth0 nginx\n"));
    for (number, node) in (1..).zip(NODES) {
        pair.shell(node, &format!("ip -6 address add fd00:2::{number}/64 dev eth0 nodad"));
        pair.write(node, NGINX_CONF, &nginx_conf(node, "[::]:80"), 0o644);
        pair.start(node);
    }
    ip_here(&["-6", "address", "add", "fd00:2::254/64", "dev", "br0", "nodad"]);
    pair.wait_well();
    let ip: std::net::Ipv6Addr = "fd00:2::100".parse().expect("an address");
    let traffic = Traffic::to((ip, 80).into());
    traffic.wait_served("node1");
    // The client's neighbour table learns of the move by an unsolicited advertisement.
    pair.expect("node1", &["hb", "standby"], 0);
    traffic.wait_served("node2");
    let has = |node| pair.shell(node, "ip -6 -o address show dev eth0").contains("fd00:2::100/64");
    assert!(!has("node1") && has("node2"));
    pair.crash("node2");
    traffic.wait_served("node1");
}

/// What `ip` shows of 192.0.2.100 on eth0 of `node`.
fn shown(pair: &Pair, node: &str) -> String {
    let all = pair.shell(node, "ip -4 -o address show dev eth0");
    all.lines().find(|line| line.contains("192.0.2.100/")).unwrap_or_default().to_owned()
}

fn label_netmask_and_broadcast() {
    need_ip();
    let check = |resource: &str, parts: &[&str]| {
        let setup = Setup { web: true, ..Setup::new(&format!("node1 {resource}\n")) };
        let pair = Pair::running(setup);
        pair.traffic().wait_served("node1");
        let line = shown(&pair, "node1");
        for part in parts {
            assert!(line.contains(part), "{resource}: {part:?} in {line:?}");
        }
        pair.expect("node1", &["hb", "standby"], 0);
        assert_eq!(shown(&pair, "node1"), "", "{resource}");
        assert!(shown(&pair, "node2").contains(parts[0]), "{resource}");
    };
    check("IPaddr::192.0.2.100/24/eth0:7/192.0.2.63", &["192.0.2.100/24 brd 192.0.2.63", "eth0:7"]);
    check("IPaddr2::192.0.2.100/255.255.255.128/eth0", &["192.0.2.100/25 brd 192.0.2.127"]);
    check("192.0.2.100/32/eth0", &["192.0.2.100/32"]);
}

fn interface_found_by_route() {
    let pair = Pair::running(Setup { web: true, ..Setup::new("node1 192.0.2.100\n") });
    pair.traffic().wait_served("node1");
    if lab::find_program("ip").is_some() {
        let line = shown(&pair, "node1");
        assert!(line.contains("192.0.2.100/24 brd 192.0.2.255"), "{line}");
    }
    assert_eq!(pair.owners("192.0.2.100"), ["node1"]);
}

/// Addresses of the same subnet, which the kernel may remove together with the first of them.
fn foreign_addresses_stay() {
    need_ip();
    let pair = Pair::running(Setup::web());
    let add = |node: &str| pair.shell(node, "ip address add 192.0.2.77/24 dev eth0");
    add("node1");
    let before = pair.addresses("node1");
    pair.expect("node1", &["hb", "standby"], 0);
    let after = pair.addresses("node1");
    let expect: Vec<&String> = before.iter().filter(|ip| *ip != "192.0.2.100").collect();
    assert_eq!(after.iter().collect::<Vec<_>>(), expect);
    assert!(after.iter().any(|ip| ip == "192.0.2.77") && after.iter().any(|ip| ip == "192.0.2.1"));
    pair.expect("node1", &["hb", "takeover"], 0);
    pair.expect("node1", &["heartbeat", "-k"], 0);
    assert_eq!(pair.addresses("node1"), after);
}
