//! What a wish means, and what forbids it.

use hb_config::settings::{Fencing, NodeName, Watchdog};
use hb_config::span::FileId;
use hb_config::{Files, load};

use super::super::fault::{Process, Start};
use super::*;
use crate::testing;

const KEY: &str = "IPaddr::10.0.0.50/24/eth0";

fn settings() -> Settings {
    let mut files = Files::missing_in("/x");
    let cf = "keepalive 200ms\ndeadtime 1\ninitdead 5\nucast eth0 10.0.0.2\n\
        mcast eth1 225.0.0.1 695 1 0\nnode node1 node2\nauto_failback on\n";
    files.set(FileId::HaCf, cf.as_bytes(), Some(0o644));
    let groups = format!("node1 {KEY} nginx\nnode2 other\n");
    files.set(FileId::HaResources, groups.as_bytes(), Some(0o644));
    files.set(FileId::AuthKeys, b"auth 1\n1 sha1 a-key-that-is-long\n", Some(0o600));
    load(&files, Some(&NodeName::new("node1"))).settings.expect("valid")
}

fn status() -> StatusSnapshot {
    let mut status = testing::healthy();
    let mut other = status.groups[0].clone();
    other.key = "other".to_owned();
    other.active_on = Some("node2".to_owned());
    status.groups.push(other);
    status
}

fn wish(kind: Kind, words: &[&str]) -> Wish {
    let words = words.iter().map(ToString::to_string).collect();
    Wish { kind, words, max_outage_ms: 5_000, hold_ms: None }
}

fn daemon(supervisor: Supervisor) -> Daemon {
    Daemon {
        process: Process { pid: 7, started: 9 },
        supervisor,
        start: Start::Unit("heartbeat.service".to_owned()),
        watchdog_ms: None,
    }
}

#[test]
fn wishes() {
    let check = |kind, words: &[&str], expect: Result<(&str, bool, bool, Option<&str>), &str>| {
        let spec = Spec::of(&wish(kind, words), &status(), &settings(), None);
        let found = spec.map(|spec| {
            let groups: Vec<&str> = spec.home.keys().map(String::as_str).collect();
            (groups.join(" "), spec.owner_here, spec.moves, spec.plan.map(|words| words.join(" ")))
        });
        let expect = expect.map(|(groups, here, moves, plan)| {
            (groups.to_owned(), here, moves, plan.map(str::to_owned))
        });
        match (found, expect) {
            (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
            (found, expect) => {
                assert_eq!(found, expect.map_err(str::to_owned), "{kind:?} {words:?}")
            }
        }
    };
    check(Kind::Standby, &[], Ok((KEY, true, true, Some("standby"))));
    check(Kind::Standby, &["IPaddr"], Ok((KEY, true, true, Some(&format!("standby {KEY}")))));
    check(Kind::Standby, &["other"], Ok(("other", false, true, Some("takeover other"))));
    check(Kind::Standby, &["nobody"], Err("no group nobody"));
    check(Kind::Stop, &[], Ok((KEY, true, true, Some("standby"))));
    check(Kind::Stop, &["other"], Ok(("other", false, false, None)));
    check(Kind::Kill, &[], Ok((KEY, true, false, None)));
    check(Kind::Freeze, &[], Ok((KEY, true, true, Some("node1 dies"))));
    check(Kind::Freeze, &["other"], Ok(("other", false, false, None)));
    check(Kind::Cut, &["eth0"], Ok((KEY, true, false, Some("eth0 cut"))));
    check(Kind::Cut, &[], Err("which link is to be cut? ha.cf has eth0, eth1"));
    check(Kind::Cut, &["eth7"], Err("no heartbeat link eth7"));
    check(Kind::Stop, &["other", "more"], Err("too much"));
}

#[test]
fn a_freeze_lasts_until_the_other_node_has_noticed() {
    let check = |words: &[&str], hold_ms, watchdog_ms, expect: (u64, bool)| {
        let wish = Wish { hold_ms, ..wish(Kind::Freeze, words) };
        let spec = Spec::of(&wish, &status(), &settings(), watchdog_ms).unwrap();
        assert_eq!((spec.limit_ms, spec.moves), expect, "{words:?} {hold_ms:?} {watchdog_ms:?}");
    };
    // Dead time, the ten seconds for which an address is left to who answers for it, some slack.
    check(&[], None, None, (13_000, true));
    check(&["other"], None, None, (3_000, false));
    check(&[], Some(2_000), None, (2_000, false));
    // systemd ends it before.
    check(&[], None, Some(10_000), (13_000, false));
    check(&[], Some(u64::MAX), None, (600_000, true));
}

#[test]
fn rules_of_a_cut_have_the_ports_of_the_link() {
    let check = |link: &str, expect: u16| {
        let spec = Spec::of(&wish(Kind::Cut, &[link]), &status(), &settings(), None).unwrap();
        let fault = spec.fault(&daemon(Supervisor::None), &settings());
        assert_eq!(fault, Fault::Cut { link: link.to_owned(), ports: vec![expect] });
    };
    check("eth0", 694);
    check("eth1", 695);
}

/// Names of the checks that forbid it.
fn forbidding(
    kind: Kind,
    words: &[&str],
    change: impl FnOnce(&mut StatusSnapshot, &mut Settings, &mut Daemon),
) -> Vec<&'static str> {
    let (mut status, mut settings) = (status(), settings());
    let mut daemon = daemon(Supervisor::Guardian);
    let spec = Spec::of(&wish(kind, words), &status, &settings, None).unwrap();
    change(&mut status, &mut settings, &mut daemon);
    let facts = Facts {
        status: &status,
        settings: &settings,
        daemon: Some(&daemon),
        nft: true,
        observer: &Ok("0.1.0".to_owned()),
        expected: &Ok(300),
    };
    checks(&spec, &facts).into_iter().filter(|it| !it.ok).map(|it| it.name).collect()
}

#[test]
fn a_pair_that_is_well_may_be_drilled() {
    for kind in [Kind::Standby, Kind::Stop, Kind::Kill, Kind::Freeze] {
        assert_eq!(forbidding(kind, &[], |_, _, _| {}), [""; 0], "{kind:?}");
    }
    assert_eq!(forbidding(Kind::Cut, &["eth0"], |_, _, _| {}), [""; 0]);
    let passing = |status: &mut StatusSnapshot, _: &mut Settings, _: &mut Daemon| {
        let mut problem = testing::snapshot().problems[0].clone();
        problem.id = "late_heartbeats".to_owned();
        status.problems.push(problem);
    };
    assert_eq!(forbidding(Kind::Stop, &[], passing), [""; 0]);
}

#[test]
fn what_forbids_a_drill() {
    let check = |expect: &[&str], change: fn(&mut StatusSnapshot)| {
        assert_eq!(forbidding(Kind::Stop, &[], |status, _, _| change(status)), expect);
    };
    check(&["health"], |status| status.problems = testing::snapshot().problems);
    check(&["health"], |status| status.verdict = Verdict::Split);
    check(&["peer"], |status| status.peer.as_mut().unwrap().status = "dead".to_owned());
    check(&["product"], |status| status.peer.as_mut().unwrap().native = Some(false));
    check(&["failover ready"], |status| status.failover_ready = false);
    check(&["at rest"], |status| status.peer.as_mut().unwrap().stable = Some(false));
    check(&["at rest"], |status| status.verdict = Verdict::Transition);
    check(&["maintenance"], |status| {
        let on = hb_node::api::MaintenanceStatus { here: true, peer: false, ends_in_ms: None };
        status.maintenance = Some(on);
    });
}

#[test]
fn what_forbids_one_kind() {
    let fenced = |_: &mut StatusSnapshot, settings: &mut Settings, _: &mut Daemon| {
        settings.native.fencing = Some(Fencing::default());
    };
    assert_eq!(forbidding(Kind::Freeze, &[], fenced), ["fencing"]);
    assert_eq!(forbidding(Kind::Stop, &[], fenced), [""; 0]);
    let watched = |_: &mut StatusSnapshot, settings: &mut Settings, _: &mut Daemon| {
        settings.native.watchdog = Some(Watchdog::of("/dev/watchdog"));
    };
    assert_eq!(forbidding(Kind::Freeze, &[], watched), ["fencing"]);
    let alone = |_: &mut StatusSnapshot, _: &mut Settings, daemon: &mut Daemon| {
        daemon.supervisor = Supervisor::None;
    };
    assert_eq!(forbidding(Kind::Kill, &[], alone), ["supervision"]);
    let last = |status: &mut StatusSnapshot, _: &mut Settings, _: &mut Daemon| {
        status.peer.as_mut().unwrap().links[1].up = false;
    };
    assert_eq!(forbidding(Kind::Cut, &["eth0"], last), ["other links"]);
    let deaf = |status: &mut StatusSnapshot, _: &mut Settings, _: &mut Daemon| {
        status.peer.as_mut().unwrap().links[1].peer_hears = Some(false);
    };
    assert_eq!(forbidding(Kind::Cut, &["eth0"], deaf), ["other links"]);
}

#[test]
fn who_observes_and_what_is_expected() {
    let check =
        |kind, expected: Result<u64, String>, observer: Result<String, String>, bad: &[&str]| {
            let (status, settings) = (status(), settings());
            let daemon = daemon(Supervisor::Guardian);
            let spec = Spec::of(&wish(kind, &[]), &status, &settings, None).unwrap();
            let facts = Facts {
                status: &status,
                settings: &settings,
                daemon: Some(&daemon),
                nft: false,
                observer: &observer,
                expected: &expected,
            };
            let found: Vec<_> =
                checks(&spec, &facts).into_iter().filter(|it| !it.ok).map(|it| it.name).collect();
            assert_eq!(found, bad, "{kind:?} {expected:?} {observer:?}");
        };
    let (yes, no) = (|| Ok("0.1.0".to_owned()), || Err("no ssh".to_owned()));
    check(Kind::Stop, Ok(5_000), yes(), &[]);
    check(Kind::Stop, Ok(5_001), yes(), &["outage"]);
    check(Kind::Stop, Err("it is not known".to_owned()), yes(), &["outage"]);
    check(Kind::Stop, Ok(0), no(), &[]);
    // What the frozen node's kernel answers says nothing.
    check(Kind::Freeze, Ok(0), no(), &["observers"]);
}
