//! The guard at chosen moments, without a socket.

use super::*;

const OURS: Ethernet = [2, 0, 0, 0, 0, 1];
const THEIRS: Ethernet = [2, 0, 0, 0, 0, 9];
const SHOWN: &str = "02:00:00:00:00:09";

fn link(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.into(),
        up: true,
        carrier: true,
        loopback: false,
        ethernet: Some([2, 0, 0, 0, 0, index as u8]),
    }
}

fn entry(text: &str, index: u32) -> Entry {
    let (ip, prefix_len) = text.split_once('/').unwrap();
    Entry {
        ip: ip.parse().unwrap(),
        prefix_len: prefix_len.parse().unwrap(),
        index,
        secondary: false,
        duplicate: false,
        tentative: false,
        protocol: None,
    }
}

fn ip() -> IpAddr {
    [10, 0, 0, 50].into()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `eth0` (1, our Ethernet address) with 10.0.0.50/24, and `eth1` (2).
fn guard(refresh: Option<u64>) -> Guard {
    let mut guard = Guard::default();
    guard.set_refresh(refresh.map(s));
    assert_eq!(guard.interfaces(vec![link(1, "eth0"), link(2, "eth1")]), []);
    guard.hold(ip(), Place { index: 1, prefix_len: 24 }, s(100));
    guard
}

fn claim(ethernet: Ethernet, index: u32, kind: Kind) -> Claim {
    Claim { ip: ip(), ethernet, index, kind }
}

fn told(reason: &str) -> Duty {
    tell(ip(), reason.into())
}

#[test]
fn a_removal_is_told_when_it_is_ours() {
    let check = |text: &str, index, expect: &[Duty]| {
        assert_eq!(guard(None).no_address(&entry(text, index)), expect, "{text} {index}");
    };
    check("10.0.0.50/24", 1, &[told("10.0.0.50 was removed from eth0")]);
    check("10.0.0.50/24", 2, &[]);
    check("10.0.0.50/32", 1, &[]);
    check("10.0.0.51/24", 1, &[]);
    let mut stopped = guard(None);
    stopped.let_go(ip());
    assert_eq!(stopped.no_address(&entry("10.0.0.50/24", 1)), [], "our own doing");
}

#[test]
fn a_failed_detection_of_duplicates_is_told() {
    let mut guard = guard(None);
    assert_eq!(guard.address(&entry("10.0.0.50/24", 1)), []);
    let failed = Entry { duplicate: true, ..entry("10.0.0.50/24", 1) };
    let expect = [told("another host uses 10.0.0.50 (duplicate address on eth0)")];
    assert_eq!(guard.address(&failed), expect);
    assert_eq!(guard.address(&Entry { index: 2, ..failed }), []);
}

#[test]
fn what_happens_to_its_link_is_told_and_a_link_that_is_back_is_announced_on() {
    let check = |from: &Interface, to: Interface, expect: &[Duty]| {
        let mut guard = guard(None);
        guard.interface(from.clone());
        assert_eq!(guard.interface(to.clone()), expect, "{from:?} {to:?}");
    };
    let up = link(1, "eth0");
    let down = Interface { up: false, carrier: false, ..up.clone() };
    let unplugged = Interface { carrier: false, ..up.clone() };
    let renamed = Interface { name: "wan0".into(), ..up.clone() };
    let other_card = Interface { ethernet: Some(THEIRS), ..up.clone() };
    let back = [told("eth0 works again"), Duty::Announce(ip())];
    check(&up, up.clone(), &[]);
    check(&up, down.clone(), &[told("eth0 is down")]);
    check(&up, unplugged.clone(), &[told("eth0 has no carrier")]);
    check(&up, renamed, &[told("eth0 was renamed to wan0")]);
    check(&up, other_card, &[Duty::Announce(ip())]);
    check(&unplugged, unplugged.clone(), &[]);
    check(&unplugged, up.clone(), &back);
    check(&down, up, &back);
    check(&down, unplugged, &[]);
    assert_eq!(guard(None).interface(Interface { up: false, ..link(2, "eth1") }), []);
}

#[test]
fn a_deleted_interface_is_told_whether_heard_or_missed() {
    assert_eq!(guard(None).no_interface(1), [told("eth0 was deleted")]);
    assert_eq!(guard(None).no_interface(2), []);
    assert_eq!(guard(None).interfaces(vec![link(2, "eth1")]), [told("eth0 was deleted")]);
    let unplugged = Interface { carrier: false, ..link(1, "eth0") };
    let expect = [told("eth0 has no carrier")];
    assert_eq!(guard(None).interfaces(vec![unplugged, link(2, "eth1")]), expect);
}

#[test]
fn after_lost_messages_everything_is_looked_at_and_announced() {
    let mut guard = guard(None);
    guard.hold("fd00::50".parse().unwrap(), Place { index: 2, prefix_len: 64 }, s(100));
    let duties = guard.lost();
    assert_eq!(duties.len(), 4);
    assert!(duties.contains(&told("messages of the kernel were lost")), "{duties:?}");
    assert!(duties.contains(&Duty::AnnounceOnce("fd00::50".parse().unwrap())), "{duties:?}");
}

#[test]
fn only_another_host_on_the_same_wire_is_a_conflict() {
    let check = |claim: Claim, expect: usize| {
        assert_eq!(guard(None).claim(&claim, s(101)).len(), expect, "{claim:?}");
    };
    check(claim(THEIRS, 1, Kind::Has), 2);
    check(claim(THEIRS, 2, Kind::Has), 0);
    check(claim(THEIRS, 1, Kind::Wants), 0);
    check(claim(OURS, 1, Kind::Has), 0);
    check(claim([2, 0, 0, 0, 0, 2], 1, Kind::Has), 0);
    check(Claim { ip: [10, 0, 0, 51].into(), ..claim(THEIRS, 1, Kind::Has) }, 0);
}

#[test]
fn an_address_is_defended_once_in_ten_seconds_and_never_given_up() {
    let mut guard = guard(None);
    let against = claim(THEIRS, 1, Kind::Has);
    let defence = [Duty::AnnounceOnce(ip()), told(&format!("{SHOWN} also claims 10.0.0.50"))];
    let (mut defences, mut at) = (0, 101_000);
    // Another host that claims it every 100 ms for a minute.
    while at < 161_000 {
        let duties = guard.claim(&against, Duration::from_millis(at));
        assert!(duties.is_empty() || duties == defence, "{duties:?}");
        defences += usize::from(!duties.is_empty());
        assert_eq!(guard.due(Duration::from_millis(at + 50)), []);
        at += 100;
    }
    assert_eq!(defences, 6);
    let [health] = <[Health; 1]>::try_from(guard.health()).unwrap();
    assert_eq!((health.conflict.as_deref(), health.conflicts), (Some(SHOWN), 1));
    assert_eq!((health.announced, health.interface.as_str()), (6, "eth0"));
    assert!(guard.holds(ip()));
}

#[test]
fn a_conflict_ends_with_silence_and_is_announced() {
    let mut guard = guard(None);
    assert_eq!(guard.next(), None);
    guard.claim(&claim(THEIRS, 1, Kind::Has), s(101));
    guard.claim(&claim(THEIRS, 1, Kind::Has), s(105));
    assert_eq!(guard.next(), Some(s(115)));
    assert_eq!(guard.due(s(114)), []);
    let over = [told(&format!("{SHOWN} no longer claims 10.0.0.50")), Duty::Announce(ip())];
    assert_eq!(guard.due(s(115)), over);
    assert_eq!((guard.next(), guard.due(s(115))), (None, vec![]));
    assert_eq!(guard.claim(&claim(THEIRS, 1, Kind::Has), s(116)).len(), 2);
    assert_eq!(guard.health()[0].conflicts, 2);
}

#[test]
fn a_held_address_is_refreshed_at_its_interval() {
    let mut guard = guard(Some(60));
    assert_eq!(guard.next(), Some(s(160)));
    assert_eq!(guard.due(s(159)), []);
    assert_eq!(guard.due(s(160)), [Duty::AnnounceOnce(ip())]);
    assert_eq!(guard.due(s(160)), []);
    // However late it comes, it comes once.
    assert_eq!(guard.due(s(1000)), [Duty::AnnounceOnce(ip())]);
    assert_eq!(guard.next(), Some(s(1060)));
    guard.let_go(ip());
    assert_eq!((guard.next(), guard.due(s(2000))), (None, vec![]));

    let mut silly = self::guard(Some(0));
    assert_eq!(silly.due(s(100)), []);
    assert_eq!(silly.next(), Some(s(101)), "at most once a second");
}

#[test]
fn started_again_its_counters_go_on_and_its_place_is_the_recent_one() {
    let mut guard = guard(None);
    guard.no_address(&entry("10.0.0.50/24", 1));
    guard.hold(ip(), Place { index: 7, prefix_len: 24 }, s(101));
    assert_eq!(guard.health()[0].removals, 1);
    assert_eq!(guard.no_address(&entry("10.0.0.50/24", 1)), []);
    assert_eq!(guard.no_address(&entry("10.0.0.50/24", 7)).len(), 1);
}
