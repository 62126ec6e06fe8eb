//! haresources word by word: every way to write a resource, and that nothing panics.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::settings::{AddressSpec, AgentSpec, BuiltIn};

fn spec(word: &str) -> ResourceSpec {
    parse_resource(word).unwrap_or_else(|| panic!("{word} is a resource"))
}

fn address(word: &str) -> AddressSpec {
    match spec(word).built_in {
        Some(BuiltIn::Address(address)) => address,
        other => panic!("{word}: {other:?}"),
    }
}

fn script(name: &str, args: &[&str]) -> AgentSpec {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    AgentSpec::Script { name: name.to_owned(), args }
}

#[test]
fn orders_of_address_arguments() {
    let check = |word: &str, prefix, interface: Option<&str>, label: Option<&str>, broadcast| {
        let found = address(word);
        assert_eq!(found.prefix_len, prefix, "{word}");
        assert_eq!(found.interface.as_deref(), interface, "{word}");
        assert_eq!(found.label.as_deref(), label, "{word}");
        assert_eq!(found.broadcast, broadcast, "{word}");
    };
    let last = Some(Ipv4Addr::new(10, 0, 0, 255));
    for head in ["", "IPaddr::", "IPaddr2::"] {
        let check = |tail: &str, prefix, interface, label, broadcast| {
            check(&format!("{head}10.0.0.9{tail}"), prefix, interface, label, broadcast);
        };
        check("", None, None, None, None);
        check("/24", Some(24), None, None, None);
        check("/255.255.255.0", Some(24), None, None, None);
        check("/255.255.255.255", Some(32), None, None, None);
        check("/0.0.0.0", Some(0), None, None, None);
        check("/24/eth0", Some(24), Some("eth0"), None, None);
        check("/24/eth0:0", Some(24), Some("eth0"), Some("eth0:0"), None);
        check("/24/bond0.100:web", Some(24), Some("bond0.100"), Some("bond0.100:web"), None);
        check("/24/eth0/10.0.0.255", Some(24), Some("eth0"), None, last);
        check("/24/10.0.0.255", Some(24), None, None, last);
        check("//eth0", None, Some("eth0"), None, None);
        check("/24//10.0.0.255", Some(24), None, None, last);
    }
    check("fd00::9", None, None, None, None);
    check("fd00::9/64", Some(64), None, None, None);
    check("fd00::9/64/eth0", Some(64), Some("eth0"), None, None);
    check("IPv6addr::fd00::9/64/eth0", Some(64), Some("eth0"), None, None);
    check("IPv6addr::fd00:0:0:0:0:0:0:9/64/eth0", Some(64), Some("eth0"), None, None);
    check("IPaddr2::fd00::9/128", Some(128), None, None, None);
}

#[test]
fn agents_are_named_as_written() {
    let check = |word: &str, agent| {
        let found = spec(word);
        assert_eq!(found.agent, agent, "{word}");
        assert_eq!(found.text, word);
    };
    check("nginx", script("nginx", &[]));
    check(
        "Filesystem::/dev/sdb1::/srv::ext4",
        script("Filesystem", &["/dev/sdb1", "/srv", "ext4"]),
    );
    check("10.0.0.9/24/eth0:0", script("IPaddr", &["10.0.0.9/24/eth0:0"]));
    check("IPaddr::172.16.100.1/24/eth0", script("IPaddr", &["172.16.100.1/24/eth0"]));
    check("IPaddr2::10.0.0.9", script("IPaddr2", &["10.0.0.9"]));
    check("fd00::9/64", script("IPv6addr", &["fd00::9/64"]));
    check("IPv6addr::fd00::9/64", script("IPv6addr", &["fd00::9/64"]));
    check("db2::1", script("db2", &["1"]));
    check("cafe::beef", script("cafe", &["beef"]));
    check("2001:db8::1", script("IPv6addr", &["2001:db8::1"]));
    check("fe80::1", script("IPv6addr", &["fe80::1"]));
    check("MailTo::root::主机", script("MailTo", &["root", "主机"]));
    check("OCF::web::one", script("OCF", &["web", "one"]));
    let unit = |unit: &str| AgentSpec::Systemd { unit: unit.into() };
    check("systemd::nginx", unit("nginx.service"));
    check("systemd::nginx.service", unit("nginx.service"));
    check("systemd::srv.mount", unit("srv.mount"));
    check("systemd::app@1.2", unit("app@1.2.service"));
    let ocf = |parameters: &[(&str, &str)]| AgentSpec::Ocf {
        provider: "heartbeat".into(),
        kind: "IPaddr2".into(),
        parameters: parameters.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
    };
    check("ocf::heartbeat:IPaddr2", ocf(&[]));
    check("ocf::heartbeat:IPaddr2::ip=10.0.0.9::nic=", ocf(&[("ip", "10.0.0.9"), ("nic", "")]));
    check("ocf::heartbeat:IPaddr2::ip=fd00::9::nic=e", ocf(&[("ip", "fd00::9"), ("nic", "e")]));
    check("ocf::heartbeat:IPaddr2::x=a=b", ocf(&[("x", "a=b")]));
}

#[test]
fn send_arp_announces_without_owning() {
    let found = spec("SendArp::10.0.0.9/eth0");
    let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    assert_eq!(found.built_in, Some(BuiltIn::SendArp { ip, interface: "eth0".into() }));
    assert_eq!(owned_address(&found), None);
}

#[test]
fn only_addresses_are_built_in() {
    for word in
        ["nginx", "ocf::heartbeat:IPaddr2::ip=10.0.0.9", "IPsrcaddr::10.0.0.9", "systemd::x"]
    {
        assert_eq!(spec(word).built_in, None, "{word}");
    }
}

#[test]
fn what_is_no_resource() {
    for word in [
        "",
        "::",
        "IPaddr",
        "IPaddr::",
        "10.0.0.256",
        "10.0.0",
        "10.0.0.9/33",
        "10.0.0.9/+4",
        "10.0.0.9/255.0.255.0",
        "10.0.0.9/24/eth0:aaaaaaaaaaaaaaaa",
        "10.0.0.9/24/a/b/c",
        "10.0.0.9/24/eth0/fd00::1",
        "10.0.0.9.1",
        "010.0.0.9",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "fd00::9/129",
        "fd00::9/64/eth0:0",
        "ff02::1",
        "IPv6addr::10.0.0.9",
        "IPaddr::10.0.0.9::24",
        "SendArp::10.0.0.9",
        "SendArp::10.0.0.9/e/f",
        "a/b",
        "../x",
        "-x",
        "a::",
        "a::::b",
        "ocf::",
        "ocf::x",
        "ocf::a:",
        "ocf::a:b::c",
        "ocf::../a:b",
        "ocf:a:b",
        "systemd::",
        "systemd::a::b",
        "systemd::a/b",
        "lsb::x",
        "nginx主",
        "\\",
    ] {
        assert_eq!(parse_resource(word), None, "{word}");
    }
}

#[test]
fn lines_become_groups() {
    let text = "# sample\nNode1 10.0.0.9 nginx # web\n\nnode2 \\\n  10.0.0.10 \\\n  httpd\nnode1\n";
    let (groups, found) = parse(&SourceFile::from_text("haresources", text));
    let words: Vec<_> = groups
        .iter()
        .map(|group| {
            let resources = group.resources.iter().map(|it| it.value.text.as_str());
            (group.node.value.as_str(), resources.collect::<Vec<_>>())
        })
        .collect();
    let expect = [
        ("node1", vec!["10.0.0.9", "nginx"]),
        ("node2", vec!["10.0.0.10", "httpd"]),
        ("node1", vec![]),
    ];
    assert_eq!(words, expect);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code, Code::GroupWithoutResources);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_labels_lie_inside(bytes: Vec<u8>) {
        check_labels(&SourceFile::from_bytes("haresources", &bytes, None))?;
    }

    #[test]
    fn no_words_panic_and_labels_lie_inside(
        words in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "", "IPaddr::", "IPv6addr::", "SendArp::", "ocf::", "systemd::", "10.0.0.9/",
                    "fd00::9/", "\\\n", "\n", "#", "\\",
                ]),
                "[a-c0-9./:=主 \\-\\\\]{0,12}",
            ),
            0..10,
        ),
    ) {
        let text: String = words.iter().map(|(head, tail)| format!("{head}{tail} ")).collect();
        check_labels(&SourceFile::from_text("haresources", &text))?;
    }
}

fn check_labels(source: &SourceFile) -> Result<(), TestCaseError> {
    for found in parse(source).1 {
        prop_assert!(!found.help.is_empty(), "{found:?}");
        for label in &found.labels {
            prop_assert!(source.text().get(label.span.start..label.span.end).is_some());
        }
    }
    Ok(())
}
