//! The network is asked before an address is added.

use std::time::Duration;

use hb_resource::address::Addresses;
use hb_resource::operation::{IN_USE, IN_USE_BY_PEER, Outcome};
use rtnetlink::packet_route::address::AddressFlags;

use super::net::{ONCE, Wire, arp, in_namespace, spec, with_neighbour};

/// An answer on this wire comes in microseconds, even on a machine under load.
const LIMIT: Duration = Duration::from_millis(300);
/// For what nobody answers.
const SHORT: Duration = Duration::from_millis(40);

#[test]
fn an_address_that_another_host_has_is_not_added() {
    with_neighbour("an_address_that_another_host_has_is_not_added", async |net, neighbour| {
        let addresses = Addresses::open().unwrap();
        let shown = neighbour.mac.map(|byte| format!("{byte:02x}")).join(":");
        for text in ["10.0.0.170/24", "fd00::170/64"] {
            let spec = spec(text, Some("eth0"));
            let ip = spec.ip.to_string();
            neighbour.net.add("far0", text, Some(AddressFlags::Nodad)).await;
            let outcome = addresses.start_probed(&spec, ONCE, LIMIT).await;
            let reason = format!("{ip} is in use by {shown} on eth0");
            assert_eq!(outcome, Outcome::Failed { code: Some(IN_USE), reason: reason.clone() });
            // The same machine had it while the peer said that it holds it.
            assert_eq!(addresses.validate(&spec, true, LIMIT).await, Outcome::Ok);
            let outcome = addresses.start_probed(&spec, ONCE, LIMIT).await;
            assert_eq!(outcome, Outcome::Failed { code: Some(IN_USE_BY_PEER), reason });
            assert_eq!(net.find("eth0", &ip).await, None);
            // The other way round: unasked, it is added.
            assert_eq!(addresses.start_probed(&spec, ONCE, Duration::ZERO).await, Outcome::Ok);
            assert_eq!(addresses.stop(&spec).await, Outcome::Ok);

            neighbour.net.remove("far0", &ip).await;
            assert_eq!(addresses.start_probed(&spec, ONCE, SHORT).await, Outcome::Ok);
            assert_eq!(addresses.stop(&spec).await, Outcome::Ok);
        }
    });
}

/// The peer has said which machine it is; another one that answers meanwhile is a stranger.
#[test]
fn who_answers_beside_a_peer_that_is_known_is_a_stranger() {
    with_neighbour(
        "who_answers_beside_a_peer_that_is_known_is_a_stranger",
        async |_, neighbour| {
            let addresses = Addresses::open().unwrap();
            addresses.peer_is(&["02:00:00:00:00:77".to_owned()]);
            let spec = spec("10.0.0.170/24", Some("eth0"));
            neighbour.net.add("far0", "10.0.0.170/24", Some(AddressFlags::Nodad)).await;
            assert_eq!(addresses.validate(&spec, true, LIMIT).await, Outcome::Ok);
            let outcome = addresses.start_probed(&spec, ONCE, LIMIT).await;
            assert!(
                matches!(outcome, Outcome::Failed { code: Some(IN_USE), .. }),
                "taken for the peer: {outcome:?}"
            );
        },
    );
}

#[test]
fn an_answer_of_our_own_other_interface_does_not_count() {
    in_namespace("an_answer_of_our_own_other_interface_does_not_count", async |net| {
        let addresses = Addresses::open().unwrap();
        // The kernel answers at `far0` for what it has on the loopback.
        net.add("lo", "10.0.0.170/32", None).await;
        let answers = Wire::open_at(&net, "eth0").await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        assert_eq!(addresses.start_probed(&spec, ONCE, LIMIT).await, Outcome::Ok);
        let answer = answers.next().await;
        assert_eq!((answer[21], &answer[28..32]), (2, &[10, 0, 0, 170][..]), "it did answer");
        assert_eq!(answer[22..28], net.mac("far0").await);
    });
}

#[test]
fn three_questions_then_the_announcement_and_none_for_what_is_there() {
    let test = "three_questions_then_the_announcement_and_none_for_what_is_there";
    with_neighbour(test, async |net, neighbour| {
        let addresses = Addresses::open().unwrap();
        let mac = net.mac("eth0").await;
        let spec = spec("10.0.0.170/24", Some("eth0"));
        let mut question = arp(1, mac, [10, 0, 0, 170]);
        question[28..32].fill(0);
        let pair = [arp(1, mac, [10, 0, 0, 170]), arp(2, mac, [10, 0, 0, 170])];
        assert_eq!(addresses.start_probed(&spec, ONCE, SHORT).await, Outcome::Ok);
        assert_eq!(neighbour.wire.take(3).await, [question.clone(), question.clone(), question]);
        assert_eq!(neighbour.wire.take(2).await, pair);
        assert_eq!(addresses.start_probed(&spec, ONCE, SHORT).await, Outcome::Ok);
        assert_eq!(neighbour.wire.take(2).await, pair, "and no question");
    });
}

#[test]
fn the_addresses_of_a_group_are_asked_for_together() {
    with_neighbour("the_addresses_of_a_group_are_asked_for_together", async |net, neighbour| {
        let addresses = Addresses::open().unwrap();
        let mac = net.mac("eth0").await;
        let specs = ["10.0.0.170/24", "10.0.0.171/24"].map(|text| spec(text, Some("eth0")));
        addresses.probe_ahead(&specs, SHORT).await;
        for spec in &specs {
            assert_eq!(addresses.start_probed(spec, ONCE, SHORT).await, Outcome::Ok);
        }
        // Three questions for each, and then two announcements of each.
        let heard = neighbour.wire.take(10).await;
        let is_question = |frame: &Vec<u8>| frame[28..32] == [0; 4];
        assert_eq!(heard.iter().filter(|frame| is_question(frame)).count(), 6);
        assert!(heard[..6].iter().all(is_question), "{heard:02x?}");
        assert_eq!(heard[9], arp(2, mac, [10, 0, 0, 171]));

        // Stopped, it may be anybody's: asked for again.
        assert_eq!(addresses.stop(&specs[0]).await, Outcome::Ok);
        assert_eq!(addresses.start_probed(&specs[0], ONCE, SHORT).await, Outcome::Ok);
        assert!(neighbour.wire.take(3).await.iter().all(is_question));
    });
}
