//! Held addresses that something happens to. The test plays the manager: notice, status, start.

use std::sync::Arc;
use std::time::Duration;

use hb_resource::address::{Addresses, Watch};
use hb_resource::operation::Outcome;
use tokio::time::timeout;

use super::net::{ONCE, PATIENCE, Wire, arp, in_namespace, spec, with_neighbour};

/// Reads notices up to the one that says this.
async fn notice(watch: &mut Watch, expect: &str) {
    let mut heard = Vec::new();
    let search = async {
        while !heard.last().is_some_and(|reason: &String| reason.contains(expect)) {
            heard.push(watch.recv().await.reason);
        }
    };
    let found = timeout(PATIENCE / 2, search).await;
    assert!(found.is_ok(), "{expect:?} was not told: {heard:?}");
}

async fn watched(refresh: Duration) -> (Arc<Addresses>, Watch) {
    let addresses = Arc::new(Addresses::open().unwrap());
    let watch = addresses.watch(refresh).await;
    (addresses, watch)
}

#[test]
fn an_address_that_is_removed_is_told_and_put_back() {
    in_namespace("an_address_that_is_removed_is_told_and_put_back", async |net| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        for text in ["10.0.0.170/24", "fd00::170/64"] {
            let spec = spec(text, Some("eth0"));
            assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
            for removals in 1..3 {
                net.remove("eth0", &spec.ip.to_string()).await;
                notice(&mut watch, &format!("{} was removed from eth0", spec.ip)).await;
                assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
                assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
                assert_eq!(addresses.status(&spec).await, Outcome::Ok);
                let health = addresses.health();
                let health = health.iter().find(|health| health.ip == spec.ip).unwrap();
                assert_eq!((health.removals, &*health.interface), (removals, "eth0"));
            }
        }
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        assert_eq!(wire.take(6).await, [pair.clone(), pair.clone(), pair].concat());
    });
}

#[test]
fn what_we_remove_and_what_others_own_is_not_told() {
    in_namespace("what_we_remove_and_what_others_own_is_not_told", async |net| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let [stopped, kept] = ["10.0.0.170/24", "10.0.0.171/24"].map(|ip| spec(ip, Some("eth0")));
        assert_eq!(addresses.start(&stopped, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.start(&kept, ONCE).await, Outcome::Ok);
        net.add("eth0", "10.0.0.9/24", None).await;
        net.remove("eth0", "10.0.0.9").await;
        assert_eq!(addresses.stop(&stopped).await, Outcome::Ok);
        net.remove("eth0", "10.0.0.171").await;
        assert_eq!(watch.recv().await.reason, "10.0.0.171 was removed from eth0", "the first");
        assert_eq!(addresses.health().len(), 1);
    });
}

#[test]
fn a_lost_carrier_is_a_failure_and_its_return_is_announced() {
    in_namespace("a_lost_carrier_is_a_failure_and_its_return_is_announced", async |net| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        assert_eq!(wire.take(2).await, pair);
        net.set_down("far0").await;
        notice(&mut watch, "eth0 has no carrier").await;
        for outcome in [
            addresses.status(&spec).await,
            addresses.start(&spec, ONCE).await,
            addresses.validate(&spec, false, Duration::ZERO).await,
        ] {
            assert!(outcome.describe().contains("eth0 has no carrier"), "{outcome:?}");
        }
        net.set_up("far0").await;
        notice(&mut watch, "eth0 works again").await;
        assert_eq!(addresses.status(&spec).await, Outcome::Ok);
        assert_eq!(wire.take(2).await, pair, "announced by the guard itself");
    });
}

#[test]
fn an_interface_that_goes_down_is_told() {
    in_namespace("an_interface_that_goes_down_is_told", async |net| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        net.set_down("eth0").await;
        notice(&mut watch, "eth0 is down").await;
        net.rename("eth0", "wan0").await;
        notice(&mut watch, "eth0 was renamed to wan0").await;
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        net.rename("wan0", "eth0").await;
        net.set_up("eth0").await;
        notice(&mut watch, "eth0 works again").await;
        assert_eq!(addresses.status(&spec).await, Outcome::Ok);
    });
}

#[test]
fn an_interface_that_is_made_anew_is_used_with_its_new_index() {
    in_namespace("an_interface_that_is_made_anew_is_used_with_its_new_index", async |net| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        let before = net.index("eth0").await;
        net.delete("eth0").await;
        notice(&mut watch, "eth0 was deleted").await;
        assert_eq!(addresses.status(&spec).await, Outcome::NotRunning);
        let outcome = addresses.start(&spec, ONCE).await;
        assert!(outcome.describe().contains("interface eth0 does not exist"), "{outcome:?}");
        net.wire().await;
        assert_ne!(net.index("eth0").await, before);
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        net.remove("eth0", "10.0.0.170").await;
        notice(&mut watch, "10.0.0.170 was removed from eth0").await;
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "10.0.0.170").await, None);
    });
}

#[test]
fn another_host_that_claims_an_address_is_told_and_answered_once() {
    let test = "another_host_that_claims_an_address_is_told_and_answered_once";
    with_neighbour(test, async |net, neighbour| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let mac = net.mac("eth0").await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        assert_eq!(neighbour.wire.take(2).await, pair);
        let shown = neighbour.mac.map(|byte| format!("{byte:02x}")).join(":");
        for _ in 0..5 {
            assert_eq!(neighbour.addresses.send_arp(spec.ip, "far0", ONCE).await, Outcome::Ok);
        }
        notice(&mut watch, &format!("{shown} also claims 10.0.0.170")).await;
        assert_eq!(neighbour.wire.take(2).await, pair, "defended");
        assert_eq!(neighbour.addresses.send_arp(spec.ip, "far0", ONCE).await, Outcome::Ok);
        // What comes next is the mark, and not another defence.
        let other = [10, 0, 0, 9];
        assert_eq!(addresses.send_arp(other.into(), "eth0", ONCE).await, Outcome::Ok);
        assert_eq!(neighbour.wire.take(2).await, [arp(1, mac, other), arp(2, mac, other)]);
        assert_eq!(addresses.status(&spec).await, Outcome::Ok, "never given up");
        let health = addresses.health().remove(0);
        assert_eq!((health.conflict, health.conflicts), (Some(shown), 1));
    });
}

#[test]
fn another_host_that_claims_an_ipv6_address_is_told() {
    with_neighbour("another_host_that_claims_an_ipv6_address_is_told", async |_net, neighbour| {
        let (addresses, mut watch) = watched(Duration::ZERO).await;
        let spec = spec("fd00::170/64", Some("eth0"));
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        assert_eq!(neighbour.addresses.send_arp(spec.ip, "far0", ONCE).await, Outcome::Ok);
        notice(&mut watch, "also claims fd00::170").await;
        assert_eq!(addresses.status(&spec).await, Outcome::Ok);
    });
}

#[test]
fn a_held_address_is_refreshed_at_most_once_a_second() {
    in_namespace("a_held_address_is_refreshed_at_most_once_a_second", async |net| {
        let (addresses, _watch) = watched(Duration::from_millis(1)).await;
        let mac = net.mac("eth0").await;
        let wire = Wire::open(&net).await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        let begun = tokio::time::Instant::now();
        assert_eq!(addresses.start(&spec, ONCE).await, Outcome::Ok);
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        assert_eq!(wire.take(4).await, [pair.clone(), pair].concat());
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(addresses.health()[0].announced, 1);
    });
}

#[test]
fn an_address_with_another_prefix_length_is_told_and_ours_is_mended() {
    let test = "an_address_with_another_prefix_length_is_told_and_ours_is_mended";
    in_namespace(test, async |net| {
        let (addresses, _watch) = watched(Duration::ZERO).await;
        let wide = spec("10.0.0.170/24", Some("eth0"));
        let host = spec("10.0.0.170/32", Some("eth0"));
        assert_eq!(addresses.start(&host, ONCE).await, Outcome::Ok);
        let outcome = addresses.status(&wide).await;
        let expect = "10.0.0.170 is on eth0 as 10.0.0.170/32, not 10.0.0.170/24";
        assert!(outcome.describe().contains(expect), "{outcome:?}");
        assert_eq!(addresses.start(&wide, ONCE).await, Outcome::Ok);
        assert_eq!(addresses.status(&wide).await, Outcome::Ok);
        assert_eq!(net.find("eth0", "10.0.0.170").await.unwrap().header.prefix_len, 24);

        net.add("eth0", "10.0.0.50/32", None).await;
        let outcome = addresses.start(&spec("10.0.0.50/24", Some("eth0")), ONCE).await;
        assert!(outcome.describe().contains("should be 10.0.0.50/24"), "{outcome:?}");
        assert_eq!(net.find("eth0", "10.0.0.50").await.unwrap().header.prefix_len, 32);
    });
}

#[test]
fn whether_an_address_could_be_started_is_known_before() {
    in_namespace("whether_an_address_could_be_started_is_known_before", async |net| {
        let addresses = Addresses::open().unwrap();
        let check = async |text: &str, interface: Option<&str>, expect: &str| {
            let outcome = addresses.validate(&spec(text, interface), false, Duration::ZERO).await;
            if expect.is_empty() {
                assert_eq!(outcome, Outcome::Ok, "{text}");
            } else {
                assert!(outcome.describe().contains(expect), "{text}: {outcome:?}");
            }
        };
        check("10.0.0.170/24", Some("eth0"), "").await;
        check("10.0.0.170", None, "").await;
        check("10.0.0.170/33", Some("eth0"), "at most 32").await;
        check("10.0.0.255/24", Some("eth0"), "broadcast address").await;
        check("10.0.0.170/24", Some("eth9"), "interface eth9 does not exist").await;
        check("10.9.9.9", None, "no route to it").await;
        check("fd00::170/64", Some("eth0"), "").await;
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        check("fd00::170/64", Some("eth0"), "IPv6 is disabled on eth0").await;
        assert_eq!(addresses.validate_send_arp("eth0").await, Outcome::Ok);
        net.set_down("eth0").await;
        check("10.0.0.170/24", Some("eth0"), "eth0 is down").await;
        let outcome = addresses.validate_send_arp("eth0").await;
        assert!(outcome.describe().contains("eth0 is down"), "{outcome:?}");
        assert_eq!(net.find("eth0", "10.0.0.170").await, None, "nothing was changed");
    });
}
