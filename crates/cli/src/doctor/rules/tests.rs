//! Rules from facts that are written down: what is found, and that nothing is when all is well.

use std::collections::BTreeMap;

use hb_config::settings::{NodeName, Settings};
use hb_config::source::SourceFile;
use hb_config::{FileState, Files, load};

use super::super::facts::*;
use super::super::finding::Level;
use super::super::firewall::{Family, iptables, nft};
use super::*;

const HA_CF: &str = "keepalive 1\ndeadtime 10\nucast eth0 192.0.2.1\nucast eth0 192.0.2.2\nbcast eth1\n\
    auto_failback off\nnode node1 node2\n";

fn settings(ha_cf: &str, haresources: &str, native: &str) -> Settings {
    let mut files = Files::missing_in("/etc/ha.d");
    let present = |name: &str, text: &str| {
        FileState::Present(SourceFile::from_bytes(name, text.as_bytes(), Some(0o600)))
    };
    files.ha_cf = present("ha.cf", ha_cf);
    files.haresources = present("haresources", haresources);
    files.authkeys = present("authkeys", "auth 1\n1 sha256 a-key-of-the-tests-with-32-bytes\n");
    files.native = present("hb.toml", native);
    let loaded = load(&files, Some(&NodeName::new("node1")));
    loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn interface(addresses: &[&str]) -> Interface {
    let address = |text: &&str| {
        let (address, bits) = text.split_once('/').unwrap();
        (address.parse().unwrap(), bits.parse().unwrap())
    };
    Interface {
        up: true,
        carrier: Some(true),
        addresses: addresses.iter().map(address).collect(),
        ..Interface::default()
    }
}

fn there() -> FolderState {
    FolderState::There {
        uid: 0,
        mode: 0o755,
        read_only: false,
        volatile: false,
        free: 1 << 30,
        inodes: Some(1_000),
    }
}

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A node on which all is well.
fn well() -> Facts {
    let name = |address: &str| Name { addresses: vec![address.parse().unwrap()], in_hosts: true };
    let socket = Socket {
        protocol: Protocol::Udp,
        address: "0.0.0.0".parse().unwrap(),
        port: 694,
        owner: Some((7, "heartbeat".to_owned())),
    };
    let component = |path: &str, mode| Component { path: path.to_owned(), uid: 0, mode };
    Facts {
        is_root: true,
        config: Config {
            dir: "/etc/ha.d".to_owned(),
            settings: Some(settings(HA_CF, "node1 192.0.2.100/24/eth0 systemd::nginx\n", "")),
            files: vec![component("/etc/ha.d", 0o755), component("/etc/ha.d/authkeys", 0o600)],
            ..Config::default()
        },
        status: None,
        daemon: Some(Daemon {
            pid: 7,
            capabilities: u64::MAX,
            policy: 2,
            locked_kib: 1_000,
            same_files: true,
            same_network: true,
            limits: BTreeMap::from([("Max open files".to_owned(), Some(65_536))]),
            ..Daemon::default()
        }),
        network: Network {
            interfaces: BTreeMap::from([
                ("eth0".to_owned(), interface(&["192.0.2.1/24"])),
                ("eth1".to_owned(), interface(&["198.51.100.1/24"])),
            ]),
            names: BTreeMap::from([
                ("192.0.2.1".to_owned(), name("192.0.2.1")),
                ("192.0.2.2".to_owned(), name("192.0.2.2")),
                ("node1".to_owned(), name("192.0.2.1")),
                ("node2".to_owned(), name("192.0.2.2")),
            ]),
            sockets: vec![socket],
            sysctl: strings(&[("net/ipv4/ip_nonlocal_bind", "0")]),
        },
        firewall: Firewall::default(),
        boot: Boot {
            systemd: true,
            enabled: strings(&[
                ("heartbeat.service", "a"),
                ("systemd-networkd-wait-online.service", "b"),
            ]),
            unit: strings(&[
                ("KillMode", "process"),
                ("Restart", "always"),
                ("Type", "notify"),
                ("After", "network-online.target basic.target"),
            ]),
            ..Boot::default()
        },
        machine: Machine {
            host: "node1".to_owned(),
            folders: vec![Folder {
                path: "/var/lib/heartbeat".to_owned(),
                use_for: "state".to_owned(),
                state: there(),
            }],
            synchronised: Some(true),
            ..Machine::default()
        },
        agents: Some(vec![Agent {
            group: "192.0.2.100".to_owned(),
            text: "systemd::nginx".to_owned(),
            path: Vec::new(),
            validated: Validated::Fine,
            metadata: None,
        }]),
    }
}

fn judged(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = well();
    change(&mut facts);
    judge(&facts, &Area::ALL)
}

/// What is not well after a change: level and id.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), expect: &[(Level, &str)]) {
    let found = judged(change);
    let bad: Vec<_> =
        found.iter().filter(|it| it.level != Level::Ok).map(|it| (it.level, it.id)).collect();
    assert_eq!(bad, expect, "{found:#?}");
}

/// The finding called `id` after a change.
#[track_caller]
fn finding(change: impl FnOnce(&mut Facts), id: &str) -> Finding {
    let found = judged(change);
    let one = found.iter().find(|it| it.id == id);
    one.unwrap_or_else(|| panic!("{id} in {found:#?}")).clone()
}

use Level::{Note, Problem, Warning};

#[test]
fn a_node_on_which_all_is_well() {
    check(|_| {}, &[]);
    assert_eq!(judged(|_| {}).iter().filter(|it| it.area == Area::Links).count(), 5);
}

#[test]
fn only_the_areas_that_are_asked_for() {
    let found = judge(&well(), &[Area::Boot]);
    assert!(found.iter().all(|it| it.area == Area::Boot) && !found.is_empty());
}

#[test]
fn interfaces() {
    let eth0 = |change: fn(&mut Interface)| {
        move |facts: &mut Facts| change(facts.network.interfaces.get_mut("eth0").unwrap())
    };
    check(eth0(|it| it.up = false), &[(Problem, "interface_down")]);
    check(eth0(|it| it.carrier = Some(false)), &[(Problem, "no_carrier")]);
    let gone = |facts: &mut Facts| drop(facts.network.interfaces.remove("eth1"));
    check(gone, &[(Problem, "no_interface")]);
    assert!(finding(gone, "no_interface").cure[0].contains("eth0"));
    let same = |facts: &mut Facts| {
        facts.network.interfaces.insert("eth1".to_owned(), interface(&["192.0.2.9/24"]));
        facts.network.sysctl.insert("net/ipv4/conf/eth1/rp_filter".to_owned(), "1".to_owned());
    };
    check(same, &[(Warning, "same_network")]);
    assert!(finding(same, "same_network").cure[1].contains("net.ipv4.conf.eth1.rp_filter = 2"));
}

#[test]
fn hosts_of_ucast_lines() {
    let with = |addresses: &[&str], in_hosts| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        move |facts: &mut Facts| {
            let text = HA_CF.replace("192.0.2.2", "peer");
            facts.config.settings = Some(settings(&text, "node1 192.0.2.100/24/eth0\n", ""));
            facts.network.names.insert("peer".to_owned(), Name { addresses, in_hosts });
        }
    };
    check(with(&["192.0.2.2"], true), &[]);
    check(with(&["192.0.2.2"], false), &[(Warning, "host_by_dns")]);
    check(with(&["127.0.1.1"], true), &[(Problem, "loopback_host")]);
    check(with(&[], false), &[(Problem, "unknown_host"), (Problem, "no_peer_line")]);
}

#[test]
fn the_port() {
    let owner = |owner: Option<(u32, &'static str)>| {
        move |facts: &mut Facts| {
            facts.network.sockets[0].owner = owner.map(|(pid, name)| (pid, name.to_owned()));
        }
    };
    check(owner(Some((9, "socat"))), &[(Problem, "port_taken")]);
    assert!(finding(owner(Some((9, "socat"))), "port_taken").text.contains("socat (process 9)"));
    check(owner(None), &[]);
    check(|facts| facts.network.sockets.clear(), &[(Problem, "port_closed")]);
}

fn filter(rules: &str) -> impl FnOnce(&mut Facts) {
    let text = format!("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n");
    move |facts: &mut Facts| facts.firewall.chains = iptables::parse(&text, Family::Ip)
}

#[test]
fn the_packet_filter() {
    check(filter("-A INPUT -p udp --dport 694 -j ACCEPT"), &[]);
    let eth1 = "-A INPUT -i eth1 -p udp -m udp --dport 694 -j DROP";
    check(filter(eth1), &[(Problem, "firewall_drops")]);
    check(filter("-A OUTPUT -d 192.0.2.2 -j DROP"), &[(Problem, "firewall_drops")]);
    let cure = &finding(filter(eth1), "firewall_drops").cure[0];
    assert_eq!(cure, "`iptables -I INPUT -i eth1 -p udp --dport 694 -j ACCEPT`");
    let from = finding(filter("-A INPUT -s 192.0.2.2 -j DROP"), "firewall_drops");
    assert_eq!(
        from.cure[0],
        "`iptables -I INPUT -i eth0 -s 192.0.2.2 -p udp --dport 694 -j ACCEPT`"
    );
    let limited = "-A INPUT -m limit --limit 1/s -p udp -j DROP";
    check(filter(limited), &[(Warning, "firewall_may_drop"), (Warning, "firewall_may_drop")]);
    let unread = |facts: &mut Facts| facts.firewall.unread = Some("that needs root".to_owned());
    check(unread, &[(Note, "firewall_unread")]);
}

#[test]
fn the_line_for_each_tool() {
    let nft = |facts: &mut Facts| {
        let text = r#"{"nftables": [{"chain": {"family": "inet", "table": "filter", "name": "input",
            "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}"#;
        facts.firewall.chains = nft::parse(text).unwrap().chains;
    };
    let cure = |change: &dyn Fn(&mut Facts)| finding(change, "firewall_drops").cure[0].clone();
    assert_eq!(
        cure(&nft),
        "`nft insert rule inet filter input iifname eth0 ip saddr 192.0.2.2 udp dport 694 accept`"
    );
    let firewalld = |facts: &mut Facts| {
        nft(facts);
        facts.firewall.firewalld = Some(strings(&[("eth0", "internal")]));
    };
    assert_eq!(
        cure(&firewalld),
        "`firewall-cmd --permanent --zone=internal --add-port=694/udp && firewall-cmd --reload`"
    );
    let ufw = |facts: &mut Facts| {
        let text =
            "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:ufw-user-input - [0:0]\nCOMMIT\n";
        facts.firewall.chains = iptables::parse(text, Family::Ip);
    };
    assert_eq!(cure(&ufw), "`ufw allow in on eth0 proto udp from 192.0.2.2 to any port 694`");
}

#[test]
fn agents() {
    let with = |validated: Validated| {
        move |facts: &mut Facts| facts.agents.as_mut().unwrap()[0].validated = validated
    };
    check(with(Validated::BuiltIn), &[]);
    check(with(Validated::Refused("line 14".into())), &[(Problem, "agent_refuses")]);
    check(with(Validated::NotRun("/x is not executable".into())), &[(Problem, "agent_cannot_run")]);
    check(with(Validated::TimedOut), &[(Problem, "agent_hangs")]);
    check(|facts| facts.agents = None, &[(Note, "agents_not_tried")]);
    let metadata = |facts: &mut Facts| {
        facts.agents.as_mut().unwrap()[0].metadata = Some(Err("failed with exit code 1".into()));
    };
    check(metadata, &[(Warning, "no_metadata")]);
    let addresses = |text: &'static str| {
        move |facts: &mut Facts| facts.config.settings = Some(settings(HA_CF, text, ""))
    };
    check(addresses("node1 192.0.2.100/24/eth0\n"), &[]);
    check(addresses("node1 192.0.2.100/24/eth7\n"), &[(Problem, "no_home")]);
    check(addresses("node1 192.0.2.100\n"), &[]);
    check(addresses("node1 203.0.113.1\n"), &[(Problem, "no_home")]);
    let part = |uid: u32, mode: u32| {
        move |facts: &mut Facts| {
            let path = "/etc/ha.d/resource.d/x".to_owned();
            facts.agents.as_mut().unwrap()[0].path = vec![Component { path, uid, mode }];
        }
    };
    check(part(0, 0o755), &[]);
    check(part(0, 0o1777), &[]);
    check(part(0, 0o757), &[(Warning, "unsafe_path")]);
    check(part(0, 0o775), &[(Warning, "unsafe_path")]);
    check(part(1000, 0o755), &[(Warning, "unsafe_path")]);
    assert!(
        finding(part(1000, 0o755), "unsafe_path")
            .text
            .contains("/etc/ha.d/resource.d/x belongs to user 1000")
    );
}

#[test]
fn boot() {
    check(
        |facts| drop(facts.boot.enabled.remove("heartbeat.service")),
        &[(Warning, "not_enabled")],
    );
    check(
        |facts| {
            facts.boot.masked.insert("heartbeat.service".into());
        },
        &[(Problem, "masked")],
    );
    let unit = |name: &'static str, value: &'static str| {
        move |facts: &mut Facts| drop(facts.boot.unit.insert(name.to_owned(), value.to_owned()))
    };
    check(unit("KillMode", "control-group"), &[(Problem, "unit_changed")]);
    check(unit("NeedDaemonReload", "yes"), &[(Note, "daemon_reload")]);
    check(unit("After", "basic.target"), &[(Warning, "order")]);
    check(unit("After", "network-online.target nginx.service"), &[(Problem, "ordered_service")]);
    let no_wait = |facts: &mut Facts| {
        facts.boot.enabled.remove("systemd-networkd-wait-online.service");
    };
    check(no_wait, &[(Note, "network_online")]);
    let nginx = |facts: &mut Facts| {
        facts.boot.enabled.insert("nginx.service".into(), "/etc/systemd/system/x".into());
    };
    check(nginx, &[(Warning, "starts_by_itself")]);
    assert!(finding(nginx, "starts_by_itself").cure[0].contains("systemctl disable nginx.service"));
    let warm = |facts: &mut Facts| {
        let native = "[resource.\"systemd::nginx\"]\nwarm = true\n";
        let text = "node1 192.0.2.100/24/eth0 systemd::nginx\n";
        facts.config.settings = Some(settings(HA_CF, text, native));
    };
    check(warm, &[(Warning, "warm_not_enabled"), (Warning, "nonlocal_bind")]);
}

#[test]
fn the_daemon_and_its_rights() {
    let daemon =
        |change: fn(&mut Daemon)| move |facts: &mut Facts| change(facts.daemon.as_mut().unwrap());
    check(daemon(|it| it.capabilities = !(1 << 12)), &[(Problem, "no_capability")]);
    check(daemon(|it| it.uid = 5), &[(Problem, "not_root")]);
    check(daemon(|it| it.policy = 0), &[(Warning, "not_realtime")]);
    check(daemon(|it| it.locked_kib = 0), &[(Warning, "not_locked")]);
    check(daemon(|it| it.no_new_privileges = true), &[(Warning, "no_new_privileges")]);
    check(daemon(|it| it.same_network = false), &[(Note, "other_network")]);
    check(daemon(|it| it.label = Some("x_t".into())), &[(Note, "confined")]);
    check(
        daemon(|it| {
            it.limits.insert("Max open files".into(), Some(256));
        }),
        &[(Warning, "few_files")],
    );
    let stopped = |facts: &mut Facts| {
        facts.daemon = None;
        facts.network.sockets.clear();
    };
    check(stopped, &[(Note, "not_running")]);
}

#[test]
fn the_machine() {
    let state =
        |state: FolderState| move |facts: &mut Facts| facts.machine.folders[0].state = state;
    let with = |change: fn(&mut u32, &mut bool, &mut bool, &mut u64, &mut Option<u64>)| {
        let mut made = there();
        if let FolderState::There { mode, read_only, volatile, free, inodes, .. } = &mut made {
            change(mode, read_only, volatile, free, inodes);
        }
        made
    };
    check(state(FolderState::Missing), &[(Note, "folder")]);
    check(state(with(|mode, _, _, _, _| *mode = 0o777)), &[(Problem, "folder")]);
    check(state(with(|_, read_only, _, _, _| *read_only = true)), &[(Problem, "folder")]);
    check(state(with(|_, _, volatile, _, _| *volatile = true)), &[(Warning, "folder")]);
    check(state(with(|_, _, _, free, _| *free = 0)), &[(Problem, "folder")]);
    check(state(with(|_, _, _, free, _| *free = 2 << 20)), &[(Warning, "folder")]);
    check(state(with(|_, _, _, _, inodes| *inodes = Some(0))), &[(Problem, "folder")]);
    check(|facts| facts.machine.synchronised = Some(false), &[(Note, "clock")]);
    check(|facts| facts.machine.host = "other".into(), &[(Note, "node_name")]);
    check(|facts| drop(facts.network.names.remove("node2")), &[(Note, "name_unknown")]);
    check(|facts| facts.config.files[1].mode = 0o640, &[(Problem, "unsafe_file")]);
    check(|facts| facts.config.files[0].mode = 0o777, &[(Problem, "unsafe_file")]);
    check(|facts| facts.config.warnings = 2, &[(Warning, "configuration")]);
    let broken = |facts: &mut Facts| {
        facts.config.settings = None;
        facts.config.errors = 1;
        facts.agents = None;
    };
    check(
        broken,
        &[(Note, "no_configuration"), (Note, "agents_not_tried"), (Problem, "configuration")],
    );
}

#[test]
fn other_managers() {
    check(|facts| facts.machine.genuine = vec![9], &[(Problem, "genuine_heartbeat")]);
    let keepalived =
        |facts: &mut Facts| drop(facts.machine.programs.insert("keepalived".into(), vec![9]));
    check(keepalived, &[(Problem, "other_manager")]);
    let enabled = |facts: &mut Facts| {
        facts.boot.enabled.insert("corosync.service".into(), "x".into());
    };
    check(enabled, &[(Warning, "other_manager")]);
    let address = "192.0.2.100".parse().unwrap();
    check(
        |facts| facts.machine.static_addresses = vec![(address, "/etc/network/interfaces".into())],
        &[(Problem, "static_address")],
    );
    let left = |facts: &mut Facts| {
        facts.daemon = None;
        facts.network.sockets.clear();
        facts
            .network
            .interfaces
            .insert("eth0".into(), interface(&["192.0.2.1/24", "192.0.2.100/24"]));
    };
    check(left, &[(Note, "not_running"), (Problem, "left_address")]);
    let networkd = |keep: Option<&'static str>| {
        move |facts: &mut Facts| {
            let eth0 = facts.network.interfaces.get_mut("eth0").unwrap();
            let file = "/etc/systemd/network/lan.network".to_owned();
            eth0.networkd = Some(Networkd { file, keep: keep.map(str::to_owned) });
        }
    };
    check(networkd(None), &[(Warning, "networkd")]);
    check(networkd(Some("dhcp")), &[(Warning, "networkd")]);
    check(networkd(Some("static")), &[]);
    let cure = &finding(networkd(None), "networkd").cure[0];
    assert!(cure.contains("/etc/systemd/network/lan.network.d/heartbeat.conf"), "{cure}");
    check(
        |facts| facts.network.interfaces.get_mut("eth0").unwrap().network_manager = true,
        &[(Warning, "network_manager")],
    );
    check(|facts| facts.machine.cloud_init = true, &[(Note, "cloud_init")]);
}

#[test]
fn settings_of_the_kernel() {
    let two = |promote: &'static str| {
        move |facts: &mut Facts| {
            let text = "node1 203.0.113.5/24/eth0 203.0.113.6/24/eth0\n";
            facts.config.settings = Some(settings(HA_CF, text, ""));
            let path = "net/ipv4/conf/all/promote_secondaries".to_owned();
            facts.network.sysctl.insert(path, promote.to_owned());
        }
    };
    check(two("0"), &[(Warning, "promote_secondaries")]);
    check(two("1"), &[]);
    let six = |facts: &mut Facts| {
        facts.config.settings = Some(settings(HA_CF, "node1 IPv6addr::2001:db8::5/64/eth0\n", ""));
        facts.network.sysctl.insert("net/ipv6/conf/eth0/disable_ipv6".into(), "1".into());
    };
    check(six, &[(Problem, "ipv6_disabled")]);
    let duplicate = |facts: &mut Facts| {
        facts.config.settings = Some(settings(HA_CF, "node1 IPv6addr::2001:db8::5/64/eth0\n", ""));
        facts.network.sysctl.insert("net/ipv6/conf/eth0/accept_dad".into(), "2".into());
    };
    check(duplicate, &[(Warning, "accept_dad")]);
    let only = |facts: &mut Facts| {
        facts.network.sockets.push(Socket {
            protocol: Protocol::Tcp,
            address: "192.0.2.100".parse().unwrap(),
            port: 80,
            owner: Some((5, "nginx".into())),
        });
    };
    check(only, &[(Note, "listens_on_address")]);
}
