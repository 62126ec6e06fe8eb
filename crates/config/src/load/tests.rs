//! Whole configurations: from four files to settings.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::settings::{AddressSpec, AgentSpec, AuthMethod, BuiltIn, Medium, PingKind};

const KEYS: &str = "auth 1\n1 sha1 0123456789abcdef0123\n";

fn files(ha_cf: &str, haresources: &str, authkeys: &str) -> Files {
    let mut files = Files::missing_in("/etc/ha.d");
    files.set(FileId::HaCf, ha_cf.as_bytes(), Some(0o644));
    files.set(FileId::HaResources, haresources.as_bytes(), Some(0o644));
    files.set(FileId::AuthKeys, authkeys.as_bytes(), Some(0o600));
    files
}

/// Settings of node `a`; fails with the errors when there are some.
fn settings_of(ha_cf: &str, haresources: &str) -> Settings {
    let files = files(ha_cf, haresources, KEYS);
    let loaded = load(&files, Some(&NodeName::new("a")));
    let lines: Vec<_> = loaded.diagnostics.iter().map(|it| it.to_line(&files)).collect();
    loaded.settings.unwrap_or_else(|| panic!("{lines:#?}"))
}

#[test]
fn defaults_are_heartbeats() {
    let settings = settings_of("ucast eth1 10.0.0.2\nnode A B\n", "a 10.0.0.100 nginx\n");
    assert_eq!(settings.nodes, [NodeName::new("a"), NodeName::new("b")]);
    assert_eq!(settings.peer(), Some(&NodeName::new("b")));
    assert_eq!(
        settings.timing,
        Timing {
            keepalive_ms: 1_000,
            deadtime_ms: 30_000,
            warntime_ms: 15_000,
            initdead_ms: 30_000,
            deadping_ms: 30_000,
        }
    );
    assert_eq!(settings.cluster, "linux-ha");
    assert_eq!(settings.udp_port, 694);
    assert_eq!(settings.auto_failback, AutoFailback::Legacy);
    assert_eq!(settings.max_rexmit_delay_ms, 250);
    assert_eq!(settings.hopfudge, 1);
    assert!(settings.realtime && settings.inner_auth && settings.logging.log_bad_packets);
    assert_eq!(settings.generation_source, GenerationSource::File);
    assert_eq!(settings.uuid_source, UuidSource::File);
    assert_eq!(settings.native, Native::default());
    assert_eq!(settings.keys.active, 1);
}

#[test]
fn every_directive_reaches_its_place() {
    let settings = settings_of(
        "cluster web\nkeepalive 200ms\ndeadtime 2\nwarntime 1\ninitdead 20\ndeadping 5\n\
         udpport 700\nbcast eth0,eth2\nudp eth3\nucast eth1 peer.example\nucast6 eth1 fd00::2\n\
         mcast eth0 225.0.0.1 695 1 0\nmcast6 eth0 ff02::1 696 2 1\nping 10.0.0.1 gw\n\
         ping6 fd00::1\nping_group gws 10.0.0.3 10.0.0.4\nauto_failback OFF\n\
         logfile /var/log/ha-log\ndebugfile /var/log/ha-debug\nlogfacility local3\ndebug 2\n\
         log_badpack no\nrtprio 50\nrealtime off\nhbgenmethod time\nuuidfrom nodename\n\
         msgfmt netstring\nmax_rexmit_delay 100\nhopfudge 3\nenv A=1 B=two\nnode a\nnode b\n",
        "a 10.0.0.100 nginx\n",
    );
    assert_eq!(settings.cluster, "web");
    assert_eq!(settings.timing.keepalive_ms, 200);
    assert_eq!(settings.timing.deadping_ms, 5_000);
    assert_eq!(settings.udp_port, 700);
    let words: Vec<_> = settings.media.iter().map(Medium::interface).collect();
    assert_eq!(words, ["eth0", "eth2", "eth3", "eth1", "eth1", "eth0", "eth0"]);
    assert_eq!(
        settings.media[6],
        Medium::Multicast6 {
            interface: "eth0".into(),
            group: "ff02::1".parse().unwrap(),
            port: 696,
            hops: 2,
            loopback: true
        }
    );
    let pings: Vec<_> = settings
        .pings
        .iter()
        .map(|ping| (ping.name.as_str(), ping.hosts.len(), ping.kind))
        .collect();
    assert_eq!(
        pings,
        [
            ("10.0.0.1", 1, PingKind::Ping),
            ("gw", 1, PingKind::Ping),
            ("fd00::1", 1, PingKind::Ping6),
            ("gws", 2, PingKind::Group),
        ]
    );
    assert_eq!(settings.auto_failback, AutoFailback::Off);
    assert_eq!(settings.logging.logfile.as_deref(), Some("/var/log/ha-log"));
    assert_eq!(settings.logging.debugfile.as_deref(), Some("/var/log/ha-debug"));
    assert_eq!(settings.logging.facility, Some(19));
    assert_eq!(settings.logging.debug, 2);
    assert!(!settings.logging.log_bad_packets && !settings.realtime && !settings.inner_auth);
    assert_eq!(settings.realtime_priority, Some(50));
    assert_eq!(settings.generation_source, GenerationSource::Time);
    assert_eq!(settings.uuid_source, UuidSource::NodeName);
    assert_eq!(settings.max_rexmit_delay_ms, 100);
    assert_eq!(settings.hopfudge, 3);
    assert_eq!(settings.environment, [("A".into(), "1".into()), ("B".into(), "two".into())]);
    assert_eq!(settings.parameters["keepalive"], "200ms");
    assert_eq!(settings.parameters["bcast"], "eth3");
    assert_eq!(settings.parameters["ucast"], "peer.example");
}

#[test]
fn computed_warntime_is_a_parameter_as_in_heartbeat() {
    let settings = settings_of("deadtime 8\nbcast eth0\nnode a b\n", "a nginx\n");
    assert_eq!(settings.parameters["warntime"], "4000ms");
    let settings = settings_of("deadtime 8\nwarntime 3\nbcast eth0\nnode a b\n", "a nginx\n");
    assert_eq!(settings.parameters["warntime"], "3");
}

#[test]
fn initdead_defaults_depend_on_deadtime() {
    let check = |deadtime: &str, expect| {
        let cf = format!("keepalive 100ms\ndeadtime {deadtime}\nbcast eth0\nnode a b\n");
        assert_eq!(settings_of(&cf, "a nginx\n").timing.initdead_ms, expect, "{deadtime}");
    };
    check("500ms", 12_000);
    check("5.999", 12_000);
    check("6", 12_000);
    check("10", 20_000);
    check("10.001", 10_001);
    check("45", 45_000);
}

#[test]
fn nice_failback_is_converted() {
    let check = |lines: &str, expect| {
        let cf = format!("{lines}\nbcast eth0\nnode a b\n");
        assert_eq!(settings_of(&cf, "a nginx\n").auto_failback, expect, "{lines}");
    };
    check("nice_failback on", AutoFailback::Off);
    check("nice_failback off", AutoFailback::Legacy);
    check("nice_failback on\nauto_failback on", AutoFailback::On);
    check("auto_failback legacy", AutoFailback::Legacy);
}

#[test]
fn any_missing_part_means_no_settings() {
    let complete = || files("bcast eth0\nnode a b\n", "a nginx\n", KEYS);
    let node = NodeName::new("a");
    assert!(load(&complete(), Some(&node)).settings.is_some());
    assert!(load(&complete(), None).settings.is_none());
    assert!(load(&complete(), Some(&NodeName::new("c"))).settings.is_none());
    for id in [FileId::HaCf, FileId::HaResources, FileId::AuthKeys] {
        let mut files = complete();
        let name = files.get(id).name().to_owned();
        *files.get_mut(id) = FileState::Missing { name: name.clone() };
        let loaded = load(&files, Some(&node));
        assert!(loaded.settings.is_none() && loaded.has(Severity::Error), "{id}");
        *files.get_mut(id) = FileState::Unreadable { name, reason: "denied".into() };
        let loaded = load(&files, Some(&node));
        assert!(loaded.settings.is_none() && loaded.has(Severity::Error), "{id}");
    }
}

#[test]
fn hb_toml_is_optional_and_counts() {
    let mut files = files("bcast eth0\nnode a b\n", "a nginx\n", KEYS);
    files.set(FileId::Native, b"[announce]\ncount = 3\n", Some(0o644));
    let settings = load(&files, Some(&NodeName::new("a"))).settings.unwrap();
    assert_eq!(settings.native.announce.count, 3);
}

const NGINX: [&str; 3] = [
    include_str!("../../../../tests/cli/diagnostics/nginx-pair/ha.cf"),
    include_str!("../../../../tests/cli/diagnostics/nginx-pair/haresources"),
    include_str!("../../../../tests/cli/diagnostics/nginx-pair/authkeys"),
];

#[test]
fn the_nginx_pair_runs_with_its_two_names_mended() {
    let [cf, resources, keys] = NGINX;
    let broken = files(cf, resources, keys);
    assert!(load(&broken, Some(&NodeName::new("zhaijunming"))).settings.is_none());
    let cf = cf
        .replace("\nogfile", "\nlogfile")
        .replace("node zhaijunming1", "node node2")
        .replace("node zhaijunming", "node node1");
    let mended = files(&cf, resources, keys);
    let settings = load(&mended, Some(&NodeName::new("node1"))).settings.unwrap();
    assert_eq!(settings.peer(), Some(&NodeName::new("node2")));
    assert_eq!(settings.timing.keepalive_ms, 2_000);
    assert_eq!(settings.auto_failback, AutoFailback::On);
    let group = &settings.groups[0];
    assert_eq!(group.key, "192.168.1.109/24/eth0:0");
    assert_eq!(
        group.resources[0].built_in,
        Some(BuiltIn::Address(AddressSpec {
            ip: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 109)),
            prefix_len: Some(24),
            interface: Some("eth0".into()),
            label: Some("eth0:0".into()),
            broadcast: None,
        }))
    );
    let nginx = AgentSpec::Script { name: "nginx".into(), args: vec![] };
    assert_eq!(group.resources[1].agent, nginx);
    assert_eq!(settings.keys.keys[&1].method, AuthMethod::Crc);
}

#[test]
fn the_httpd_pair_runs_as_it_stands() {
    let files = files(
        include_str!("../../../../tests/cli/diagnostics/httpd-pair/ha.cf"),
        include_str!("../../../../tests/cli/diagnostics/httpd-pair/haresources"),
        include_str!("../../../../tests/cli/diagnostics/httpd-pair/authkeys"),
    );
    let node = NodeName::new("node2.anyisalin.com");
    let settings = load(&files, Some(&node)).settings.unwrap();
    assert_eq!(settings.groups[0].key, "IPaddr::172.16.100.1/24/eth0");
    assert_eq!(settings.groups[0].resources[1].text, "httpd");
    assert_eq!(settings.keys.keys[&1].secret.expose(), b"d41d8cd98f00b204e9800998ecf8427e");
}

#[test]
fn findings_come_in_the_order_of_files_and_lines() {
    let files = files("x 1\ny 2\nnode a b\nbcast eth0\n", "c nginx\n", "1 crc\n");
    let places: Vec<_> =
        load(&files, Some(&NodeName::new("a"))).diagnostics.iter().map(Diagnostic::place).collect();
    let files_in_order: Vec<_> = places.iter().map(|(file, _)| *file).collect();
    assert!(files_in_order.is_sorted());
    assert_eq!(places[0], (Some(FileId::HaCf), 0));
    assert_eq!(places[1], (Some(FileId::HaCf), 4));
}
