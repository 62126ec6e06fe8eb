//! Floating addresses against a real kernel, in network namespaces that each test makes for itself.
//! What is announced is read at the far end of a veth pair. Skipped, loudly, without permission.
#![cfg(feature = "address")]
#![expect(clippy::disallowed_methods, reason = "threads with namespaces of their own")]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

mod guard;
mod net;
mod probe;
mod tagged;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hb_config::settings::{AddressSpec, Announce};
use hb_resource::address::{ADDRESS_PROTOCOL, Addresses};
use hb_resource::operation::Outcome;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol,
};

use self::net::{Net, ONCE, Wire, arp, in_namespace, spec};

const THRICE: Announce = Announce { count: 3, interval_ms: 10 };
const NEVER_AGAIN: Announce = Announce { count: 2, interval_ms: 86_400_000 };

#[test]
fn an_ipv4_address_comes_and_goes_with_all_its_attributes() {
    in_namespace("an_ipv4_address_comes_and_goes_with_all_its_attributes", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let spec = AddressSpec {
            label: Some("eth0:0".into()),
            broadcast: Some(Ipv4Addr::new(10, 0, 0, 254)),
            ..spec("10.0.0.170/25", Some("eth0"))
        };
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok, "stopping what is not there");
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.status(&spec).await, Outcome::Ok);
        let message = net.find("eth0", "10.0.0.170").await.unwrap();
        assert_eq!(message.header.prefix_len, 25);
        for expect in [
            AddressAttribute::Label("eth0:0".into()),
            AddressAttribute::Broadcast(Ipv4Addr::new(10, 0, 0, 254)),
            AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL)),
        ] {
            assert!(message.attributes.contains(&expect), "{expect:?} in {message:?}");
        }
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok, "starting it again");
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        assert_eq!(net.find("eth0", "10.0.0.170").await, None);
        assert!(net.find("eth0", "10.0.0.1").await.is_some(), "the interface's own address");
    });
}

#[test]
fn what_is_not_written_is_found() {
    in_namespace("what_is_not_written_is_found", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        net.add("eth0", "fd00::1/64", None).await;
        let check = async |text: &str, prefix_len: u8, broadcast: Option<[u8; 4]>| {
            let spec = spec(text, None);
            assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok, "{text}");
            let message = net.find("eth0", &spec.ip.to_string()).await.unwrap();
            assert_eq!(message.header.prefix_len, prefix_len, "{text}");
            let found = message.attributes.iter().find_map(|attribute| {
                if let AddressAttribute::Broadcast(ip) = attribute { Some(*ip) } else { None }
            });
            assert_eq!(found, broadcast.map(Ipv4Addr::from), "{text}");
            assert_eq!(addresses.status(&spec).await, Outcome::Ok, "{text}");
            assert_eq!(addresses.stop(&spec).await, Outcome::Ok, "{text}");
        };
        check("10.0.0.170", 24, Some([10, 0, 0, 255])).await;
        check("10.0.0.170/32", 32, None).await;
        check("fd00::170", 64, None).await;
        net.add_route("172.16.0.0", 16, "10.0.0.9").await;
        check("172.16.1.1", 32, None).await;
    });
}

#[test]
fn impossible_starts_say_why() {
    in_namespace("impossible_starts_say_why", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let check = async |text: &str, interface: Option<&str>, expect: &str| {
            let outcome = addresses.start(&spec(text, interface), ONCE).await;
            let Outcome::Failed { code: None, reason } = &outcome else { panic!("{outcome:?}") };
            assert!(reason.contains(expect), "{reason}");
        };
        check("10.9.9.9", None, "no route to it: write prefix length and interface").await;
        check("fd99::1", None, "as in IPv6addr::fd99::1/64/eth0").await;
        check("fe80::99", None, "no interface is named for fe80::99").await;
        check("10.0.0.170", Some("eth9"), "interface eth9 does not exist").await;
        check("10.0.0.170", Some("lo"), "lo is the loopback").await;
        net.set_down("eth0").await;
        check("10.0.0.170/24", Some("eth0"), "eth0 is down").await;
    });
}

#[test]
fn ipv6_that_is_disabled_is_named() {
    in_namespace("ipv6_that_is_disabled_is_named", async |_net: Net| {
        let addresses = Addresses::open().unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        let outcome = addresses.start(&spec("fd00::170/64", Some("eth0")), ONCE).await;
        assert!(outcome.describe().contains("IPv6 is disabled on eth0"), "{outcome:?}");
    });
}

// Announcements, as they arrive at the other end of the wire.

#[test]
fn ipv4_is_announced_at_once_and_repeated() {
    in_namespace("ipv4_is_announced_at_once_and_repeated", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        // The first announcement does not wait for the interval.
        assert_eq!(addresses.start(&spec, NEVER_AGAIN).await, Outcome::Ok);
        assert_eq!(wire.take(2).await, pair);
        // Another announcement takes the place of the one under way.
        assert_eq!(addresses.announce(&spec, THRICE).await, Outcome::Ok);
        addresses.announcements_finished().await;
        assert_eq!(wire.take(6).await, [pair.clone(), pair.clone(), pair].concat());
        assert_eq!(addresses.send_arp([10, 0, 0, 9].into(), "eth0", ONCE).await, Outcome::Ok);
        let next = [arp(1, mac, [10, 0, 0, 9]), arp(2, mac, [10, 0, 0, 9])];
        assert_eq!(wire.take(2).await, next, "and nothing between");
    });
}

#[test]
fn ipv6_is_announced_at_once_and_serves_at_once() {
    in_namespace("ipv6_is_announced_at_once_and_serves_at_once", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        let spec = spec("fd00::170/64", Some("eth0"));
        let is_advertisement = |frame: &[u8], flags: u8| {
            frame[12..14] == [0x86, 0xdd]
                && frame[..6] == [0x33, 0x33, 0, 0, 0, 1]
                && frame[6..12] == mac
                && frame[58] == flags
                && frame[80..86] == mac
        };
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        while !is_advertisement(&wire.next().await, 0x20) {}
        let message = net.find("eth0", "fd00::170").await.unwrap();
        let is_tentative = |attribute: &AddressAttribute| {
            matches!(attribute, AddressAttribute::Flags(flags)
                if flags.contains(AddressFlags::Tentative))
        };
        assert!(!message.attributes.iter().any(is_tentative), "{message:?}");
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/forwarding", "1").unwrap();
        assert_eq!(addresses.announce(&spec, ONCE).await, Outcome::Ok);
        while !is_advertisement(&wire.next().await, 0xa0) {}
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "fd00::170").await, None);
    });
}

#[test]
fn what_is_not_here_is_not_announced_and_a_stop_ends_the_repeats() {
    let test = "what_is_not_here_is_not_announced_and_a_stop_ends_the_repeats";
    in_namespace(test, async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        let refused = addresses.announce(&spec, ONCE).await;
        assert!(refused.describe().contains("10.0.0.170 is not on this node"), "{refused:?}");
        let other: IpAddr = [10, 0, 0, 9].into();
        assert_eq!(addresses.send_arp(other, "eth0", ONCE).await, Outcome::Ok);
        assert!(wire.take(2).await.iter().all(|frame| frame[38..42] == [10, 0, 0, 9]));

        let endless = Announce { count: u32::MAX, interval_ms: 1 };
        assert_eq!(addresses.start(&spec, endless).await, Outcome::Ok);
        wire.take(10).await;
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        // Other addresses mark the moment, and then ten more turns of the repeat.
        assert_eq!(addresses.send_arp(other, "eth0", ONCE).await, Outcome::Ok);
        while wire.next().await != arp(2, mac, [10, 0, 0, 9]) {}
        let ten = Announce { count: 10, interval_ms: 1 };
        assert_eq!(addresses.send_arp(other, "eth0", ten).await, Outcome::Ok);
        addresses.announcements_finished().await;
        assert!(wire.take(20).await.iter().all(|frame| frame[38..42] == [10, 0, 0, 9]));
    });
}

// Ownership.

#[test]
fn only_what_is_ours_is_removed() {
    in_namespace("only_what_is_ours_is_removed", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let foreign = spec("10.0.0.50", Some("eth0"));
        net.add("eth0", "10.0.0.50/24", None).await;
        let outcome = addresses.stop(&foreign).await;
        let Outcome::Failed { code: None, reason } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("10.0.0.50/24 on eth0 was not added by heartbeat"), "{reason}");
        assert!(reason.contains("`ip address delete 10.0.0.50/24 dev eth0`"), "{reason}");
        assert!(net.find("eth0", "10.0.0.50").await.is_some());

        // Started, it is ours; without starting, what an earlier run has marked is.
        assert_eq!(addresses.start(&foreign, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.stop(&foreign).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "10.0.0.50").await, None);
        let ours = spec("10.0.0.51/24", Some("eth0"));
        assert_eq!(addresses.start(&ours, ONCE).await, Outcome::Ok);
        let restarted = Addresses::open().unwrap();
        assert_eq!(restarted.status(&ours).await, Outcome::Ok);
        assert_eq!(restarted.stop(&ours).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "10.0.0.51").await, None);
    });
}

#[test]
fn an_address_on_the_loopback_is_neither_counted_nor_touched() {
    let test = "an_address_on_the_loopback_is_neither_counted_nor_touched";
    in_namespace(test, async |net: Net| {
        let addresses = Addresses::open().unwrap();
        net.add("lo", "10.0.0.170/32", None).await;
        let spec = spec("10.0.0.170/24", None);
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        assert!(net.find("eth0", "10.0.0.170").await.is_some());
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        assert!(net.find("lo", "10.0.0.170").await.is_some());
    });
}

#[test]
fn an_address_on_another_interface_is_moved_if_ours_and_left_if_not() {
    let test = "an_address_on_another_interface_is_moved_if_ours_and_left_if_not";
    in_namespace(test, async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let on = |interface| spec("10.0.0.170/24", Some(interface));
        assert_eq!(addresses.start(&on("far0"), ONCE).await, Outcome::Ok);
        assert_eq!(addresses.status(&on("eth0")).await, Outcome::NotRunning);
        assert_eq!(addresses.start(&on("eth0"), ONCE).await, Outcome::Ok);
        assert_eq!(net.find("far0", "10.0.0.170").await, None);
        assert!(net.find("eth0", "10.0.0.170").await.is_some());

        // Stopped under another interface than it was started on.
        assert_eq!(addresses.stop(&on("far0")).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "10.0.0.170").await, None);

        net.add("far0", "10.0.0.171/24", None).await;
        let outcome = addresses.start(&spec("10.0.0.171/24", Some("eth0")), ONCE).await;
        let told = outcome.describe();
        assert!(told.contains("10.0.0.171 is already on far0") && told.contains("eth0"), "{told}");
        assert!(net.find("far0", "10.0.0.171").await.is_some());
    });
}

#[test]
fn siblings_in_the_subnet_survive() {
    in_namespace("siblings_in_the_subnet_survive", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        for of in ["all", "eth0"] {
            let setting = format!("/proc/sys/net/ipv4/conf/{of}/promote_secondaries");
            std::fs::write(setting, "0").unwrap();
        }
        // Alone in their subnet: the first is primary, the others go with it unless promoted.
        let [first, second] = ["192.168.9.1/24", "192.168.9.2/24"].map(|ip| spec(ip, Some("eth0")));
        assert_eq!(addresses.start(&first, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.start(&second, ONCE).await, Outcome::Ok);
        net.add("eth0", "192.168.9.3/24", None).await;
        assert_eq!(addresses.stop(&first).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "192.168.9.1").await, None);
        assert_eq!(addresses.status(&second).await, Outcome::Ok);
        assert!(net.find("eth0", "192.168.9.3").await.is_some());
        // Secondary to the interface's own address, the usual case: nothing else goes.
        let usual = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&usual, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.stop(&usual).await, Outcome::Ok);
        assert!(net.find("eth0", "10.0.0.1").await.is_some());
    });
}

#[test]
fn a_duplicate_ipv6_address_is_told() {
    in_namespace("a_duplicate_ipv6_address_is_told", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let ip = "fd00::170";
        net.add("far0", "fd00::170/64", Some(AddressFlags::Nodad)).await;
        net.add("eth0", "fd00::170/64", None).await;
        let has_failed = |message: AddressMessage| {
            message.attributes.iter().any(|attribute| {
                matches!(attribute, AddressAttribute::Flags(flags)
                    if flags.contains(AddressFlags::Dadfailed))
            })
        };
        while !has_failed(net.find("eth0", ip).await.unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let spec = spec("fd00::170/64", Some("eth0"));
        for outcome in [addresses.status(&spec).await, addresses.start(&spec, ONCE).await] {
            assert!(outcome.describe().contains("another host uses fd00::170"), "{outcome:?}");
        }
    });
}

#[test]
fn an_interface_that_went_down_is_told() {
    in_namespace("an_interface_that_went_down_is_told", async |net: Net| {
        let addresses = Addresses::open().unwrap();
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        net.set_down("eth0").await;
        let outcome = addresses.status(&spec).await;
        assert!(outcome.describe().contains("eth0, which has 10.0.0.170, is down"), "{outcome:?}");
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok, "a stop works all the same");
        net.delete("eth0").await;
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
    });
}
