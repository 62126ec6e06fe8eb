//! What is written is read again, within its bounds, and nothing foreign does harm.

use proptest::prelude::*;

use super::*;

fn saying() -> Saying {
    Saying {
        hears: Some(vec![("eth0".into(), true), ("eth1".into(), false)]),
        owns: BTreeSet::from(["db".into(), "www".into()]),
        owns_all: false,
        unready: BTreeMap::from([("www".into(), "nginx -t: line 3".into())]),
        config: BTreeMap::from([("ha.cf".into(), "1a2b3c4d".into())]).into(),
        maintenance: true,
        ethernet: vec!["02:77:00:00:00:01".into(), "02:77:00:00:00:02".into()],
        fenced: Some(17),
    }
}

#[test]
fn what_is_said_is_understood() {
    let fields = saying().write();
    assert_eq!(fields[HEARS], "+eth0 -eth1");
    assert_eq!(fields[OWNS], "db\twww");
    assert_eq!(fields[UNREADY], "www nginx -t: line 3");
    assert_eq!(fields[CONFIG], "ha.cf:1a2b3c4d");
    assert_eq!(fields[MAINTENANCE], "on");
    assert_eq!(fields[ETHERNET], "02:77:00:00:00:01 02:77:00:00:00:02");
    assert_eq!(fields[FENCED], "17");
    assert_eq!(Saying::read(&fields, |_| true), saying());
    assert_eq!(Saying::read(&fields, |_| false).unready, BTreeMap::new());
    assert_eq!(Saying::read(&Extensions::new(), |_| true), Saying::default());
    assert_eq!(Saying::default().write(), Extensions::new());
}

#[test]
fn a_node_that_has_everything_says_so_in_one_word() {
    let all = Saying { owns_all: true, ..Saying::default() };
    assert_eq!(all.write()[OWNS], "*");
    assert_eq!(Saying::read(&all.write(), |_| true), all);
    let crowd: BTreeSet<_> = (0..200).map(|n| format!("group{n}")).collect();
    assert!(write_owns(&crowd).len() <= OWNS_MAX);
}

#[test]
fn links_are_matched_by_name_and_else_by_position() {
    let check = |said: &str, names: &[&str], expect: &[Option<bool>]| {
        let fields = Extensions::from([(HEARS.to_owned(), said.to_owned())]);
        let saying = Saying::read(&fields, |_| true);
        let found: Vec<_> =
            (0..names.len()).map(|index| saying.hears_on(names.iter().copied(), index)).collect();
        assert_eq!(found, expect, "{said:?} {names:?}");
    };
    check("+eth0 -eth1", &["eth0", "eth1"], &[Some(true), Some(false)]);
    check("-eth1 +eth0", &["eth0", "eth1"], &[Some(true), Some(false)]);
    check("+eno1 -eno2", &["eth0", "eth1"], &[Some(true), Some(false)]);
    check("+eno1", &["eth0", "eth1"], &[None, None]);
    check("+eth0 -eth1 +eth2", &["eth0", "eth1"], &[Some(true), Some(false)]);
    check("", &["eth0"], &[None]);
    check("eth0", &["eth0"], &[None]);
    check("+ -", &["eth0"], &[None]);
}

#[test]
fn ethernet_addresses_are_few_and_well_formed() {
    let check = |text: &str, expect: &[&str]| assert_eq!(read_ethernet(text), expect, "{text:?}");
    check("02:AB:00:00:00:01", &["02:ab:00:00:00:01"]);
    check("02:ab:00:00:00 x 02:ab:00:00:00:01:02 02:ab:00:00:00:+1 02ab00000001", &[]);
    let many = ["02:00:00:00:00:01"; 40];
    check(&many.join(" "), &many[..ETHERNET_MAX]);
    let saying = Saying { ethernet: many.map(String::from).to_vec(), ..Saying::default() };
    assert_eq!(saying.write()[ETHERNET], many[..ETHERNET_MAX].join(" "));
}

#[test]
fn reasons_are_cut_and_shared_fairly() {
    let long = "x".repeat(500);
    let many: BTreeMap<_, _> = (0..4).map(|n| (format!("group{n}"), long.clone())).collect();
    let text = write_unready(&many);
    assert!(text.len() <= UNREADY_MAX, "{}", text.len());
    let read = read_unready(&text, |_| true);
    assert_eq!(read.len(), 4);
    assert!(read.values().all(|why| why.ends_with('…') && why.len() > 40), "{read:?}");
    let one = BTreeMap::from([("www".to_owned(), "line one\nline\ttwo".to_owned())]);
    assert_eq!(write_unready(&one), "www line one line two");
    let crowd: BTreeMap<_, _> = (0..200).map(|n| (format!("group{n}"), long.clone())).collect();
    assert!(write_unready(&crowd).len() <= UNREADY_MAX);
}

proptest! {
    #[test]
    fn whatever_a_peer_says_is_survived(value in ".{0,400}", field in 0..6_usize) {
        let name = [HEARS, UNREADY, CONFIG, MAINTENANCE, ETHERNET, FENCED][field];
        let read = Saying::read(&Extensions::from([(name.to_owned(), value)]), |_| true);
        let again = Saying::read(&read.write(), |_| true);
        prop_assert_eq!(&again.config, &read.config);
        prop_assert!(read.write().values().all(|value| value.len() <= 400));
    }

    #[test]
    fn a_cut_is_never_longer_than_asked(text in ".{0,60}", max in 3..40_usize) {
        prop_assert!(cut(&text, max).len() <= max);
    }
}
