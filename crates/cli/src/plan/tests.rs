//! Plans from configurations and states that two real nodes came to.

use std::time::Duration;

use hb_config::Files;
use hb_config::span::FileId;
use hb_node::api::{HistoryEntry, HistoryStep, Request, StatusSnapshot};
use hb_resource::input::{GroupClaim, Holdings, Which};
use hb_sim::world::World;

use super::*;

const HA_CF: &str = "cluster web\nkeepalive 200ms\ndeadtime 1\ninitdead 2\nauto_failback off\n\
                     bcast eth0 eth1\nnode node1 node2\n";

fn loaded(ha_cf: &str, haresources: &str) -> Loaded {
    let mut files = Files::missing_in("/etc/ha.d");
    files.set(FileId::HaCf, ha_cf.as_bytes(), Some(0o644));
    files.set(FileId::HaResources, haresources.as_bytes(), Some(0o644));
    files.set(FileId::AuthKeys, b"auth 1\n1 sha1 0123456789abcdef0123\n", Some(0o600));
    load(&files, Some(&NodeName::new("node1")))
}

fn settings() -> Settings {
    let loaded = loaded(HA_CF, "node1 192.0.2.100/24/eth0 nginx\n");
    loaded.settings.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// nginx was started twice and stopped once.
fn entries() -> Vec<HistoryEntry> {
    let step = |action: &str, ms| HistoryStep {
        resource: "nginx".into(),
        action: action.into(),
        ms,
        outcome: "ok".into(),
    };
    let steps = vec![step("start", 480), step("start", 500), step("stop", 300)];
    vec![HistoryEntry { number: 1, steps, ..HistoryEntry::default() }]
}

/// What node1 says after `change`.
fn today(settings: &Settings, change: impl Fn(&mut World)) -> StatusSnapshot {
    let peer = Settings { node: NodeName::new("node2"), ..settings.clone() };
    let mut world = World::new([settings.clone(), peer], 7);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(30));
    change(&mut world);
    world.run(Duration::from_secs(30));
    world.status(0).expect("it runs")
}

fn given(world: &mut World) {
    world.request(0, Request::Standby { which: Which::Sets(Holdings::ALL) });
}

#[track_caller]
fn plan(status: Option<&StatusSnapshot>, what: &What) -> Story {
    let status = status.map(|status| (status, None));
    play(&settings(), status, &entries(), what).expect("a plan")
}

#[test]
fn words_of_the_command_line() {
    let read = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        What::read(&words)
    };
    assert_eq!(read(&["standby"]), Ok(What::Standby(None)));
    assert_eq!(read(&["takeover", "www"]), Ok(What::Takeover(Some("www".into()))));
    assert_eq!(read(&["node1 dies"]), Ok(What::Dies("node1".into())));
    assert_eq!(read(&["node1", "dies"]), Ok(What::Dies("node1".into())));
    assert_eq!(read(&["eth1 cut"]), Ok(What::Cut("eth1".into())));
    assert_eq!(read(&["reload"]), Ok(What::Reload));
    assert_eq!(read(&["maintenance", "on"]), Ok(What::Maintenance(true)));
    assert_eq!(read(&["cleanup", "www"]), Ok(What::Cleanup(Some("www".into()))));
    assert!(read(&["maintenance"]).is_err());
    assert!(read(&["explode"]).is_err());
    assert!(read(&["node1", "dies", "twice"]).is_err());
}

#[test]
fn a_standby_is_played_with_measured_times() {
    let status = today(&settings(), |_| {});
    let story = plan(Some(&status), &What::Standby(None));
    let group = &story.groups[0];
    assert_eq!(group.began_on.as_deref(), Some("node1"));
    assert_eq!(group.ends_on.as_deref(), Some("node2"));
    // Stop 300 ms, start 500 ms, the address and the network.
    assert!((800..900).contains(&group.outage_ms), "{group:?}");
    let text = show::text(&story, false);
    for part in [
        "assumed   nginx: start 0.5 s (measured 2 times), stop 0.3 s (measured once)",
        "assumed   192.0.2.100/24/eth0: start 2 ms (assumed), stop 2 ms (assumed)",
        "node1  nginx stop: takes 0.3 s",
        "node2  nginx start: takes 0.5 s",
        "result    192.0.2.100/24/eth0: node1 -> node2, served by nobody for 0.8 s",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn it_begins_where_the_groups_are_today() {
    let status = today(&settings(), given);
    let story = plan(Some(&status), &What::Takeover(Some("192.0.2.100".into())));
    assert_eq!(story.groups[0].began_on.as_deref(), Some("node2"));
    assert_eq!(story.groups[0].ends_on.as_deref(), Some("node1"));
    let story = plan(Some(&status), &What::Dies("NODE1".into()));
    assert_eq!((story.groups[0].ends_on.as_deref(), story.groups[0].outage_ms), (Some("node2"), 0));
    let refused = plan(Some(&status), &What::Standby(None));
    assert_eq!(refused.groups[0].ends_on.as_deref(), Some("node2"), "it has nothing to give");
}

#[test]
fn a_death_costs_the_dead_time_and_the_starts() {
    let story = plan(None, &What::Dies("node1".into()));
    let group = &story.groups[0];
    assert_eq!(group.ends_on.as_deref(), Some("node2"));
    assert!((1_200..1_700).contains(&group.outage_ms), "{group:?}");
    assert!(story.events.iter().any(|event| event.text.starts_with("node node1: is dead")));
    let drawn = svg::draw(&story);
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert!(drawn.contains("nginx start") && drawn.contains(">node2</text>"), "{drawn}");
}

#[test]
fn one_cut_link_moves_nothing_and_what_is_broken_today_counts() {
    let story = plan(None, &What::Cut("eth1".into()));
    assert_eq!((story.groups[0].ends_on.as_deref(), story.groups[0].outage_ms), (Some("node1"), 0));
    assert!(
        story.events.iter().any(|event| event.text.contains("eth1 dead")),
        "{:?}",
        story.events
    );
    let status = today(&settings(), |world| {
        world.machines[1].agents.change("nginx", |habits| habits.invalid = true);
        world.run(Duration::from_secs(90));
    });
    assert!(!status.failover_ready, "{status:?}");
    let story = plan(Some(&status), &What::Dies("node1".into()));
    assert_eq!(story.groups[0].ends_on, None, "{story:?}");
}

#[test]
fn maintenance_is_played_and_its_end_too() {
    let status = today(&settings(), |_| {});
    let story = plan(Some(&status), &What::Maintenance(true));
    let group = &story.groups[0];
    assert_eq!((group.ends_on.as_deref(), group.outage_ms), (Some("node1"), 0), "{story:?}");
    assert!(story.actions.is_empty(), "{:?}", story.actions);
    // The owner died meanwhile: the other one takes over as soon as it may.
    let settings = settings();
    let peer = Settings { node: NodeName::new("node2"), ..settings.clone() };
    let mut world = World::new([settings.clone(), peer], 7);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(30));
    world.request(1, Request::Maintenance { on: true, limit_ms: None });
    world.run(Duration::from_secs(3));
    let before = world.status(0).expect("it runs");
    let off = plan(Some(&before), &What::Maintenance(false));
    assert!(off.assumed.iter().any(|text| text.contains("in maintenance, as today")), "{off:?}");
    assert_eq!(off.groups[0].ends_on.as_deref(), Some("node1"));
}

#[test]
fn a_cleanup_tries_again_what_has_failed() {
    let broken = |world: &mut World, machines: &[usize]| {
        for machine in machines {
            world.machines[*machine].agents.change("nginx", |habits| habits.start_fails = true);
        }
        world.request(0, Request::Standby { which: Which::Sets(Holdings::ALL) });
        world.run(Duration::from_secs(5));
        world.request(1, Request::Standby { which: Which::Sets(Holdings::ALL) });
    };
    // Here and there: nobody serves, until it can be started here.
    let status = today(&settings(), |world| broken(world, &[0, 1]));
    assert_eq!(status.groups[0].here, GroupClaim::Failed, "{:?}", status.groups);
    let story = plan(Some(&status), &What::Cleanup(None));
    assert_eq!(story.groups[0].began_on, None, "{story:?}");
    assert_eq!(story.groups[0].ends_on.as_deref(), Some("node1"), "{story:?}");
    assert!(story.assumed.iter().any(|text| text.contains("nginx fails to start on node2")));
    assert!(story.assumed.iter().any(|text| text.contains("the cause is mended")), "{story:?}");
    // Here only: it stays where it is served.
    let status = today(&settings(), |world| broken(world, &[0]));
    assert_eq!(status.groups[0].here, GroupClaim::Failed, "{:?}", status.groups);
    let story = plan(Some(&status), &What::Cleanup(Some("192.0.2.100".into())));
    let group = &story.groups[0];
    assert_eq!(group.began_on.as_deref(), Some("node2"), "{story:?}");
    assert_eq!((group.ends_on.as_deref(), group.outage_ms), (Some("node2"), 0), "{story:?}");
}

#[test]
fn what_does_not_exist_is_refused() {
    let wrong = |what: What| play(&settings(), None, &[], &what).unwrap_err();
    assert!(wrong(What::Dies("node9".into())).contains("node1 and node2"));
    assert!(wrong(What::Cut("eth9".into())).contains("eth0, eth1"));
    assert!(wrong(What::Standby(Some("mail".into()))).contains("192.0.2.100"));
}

#[test]
fn a_reload_shows_the_difference() {
    let status = today(&settings(), |_| {});
    let check = |ha_cf: &str, haresources: &str, expect: &[&str]| {
        let (text, code) = reload::plan(&loaded(ha_cf, haresources), Some(&status));
        assert_eq!(code, 0, "{text}");
        let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert_eq!(found, expect, "{text}");
    };
    let same = "node1 192.0.2.100/24/eth0 nginx\n";
    check(HA_CF, same, &[]);
    check(
        &HA_CF.replace("deadtime 1", "deadtime 2"),
        "node2 192.0.2.100/24/eth0 nginx\nnode1 192.0.2.101/24/eth0\n",
        &[
            "~ group 192.0.2.100/24/eth0: prefers node2 in place of node1",
            "+ group 192.0.2.101/24/eth0: node1 192.0.2.101/24/eth0",
            "~ deadtime 2 in place of 1",
            "~ warntime 1000ms in place of 500ms",
        ],
    );
    check(
        HA_CF,
        "node1 192.0.2.102/24/eth0\n",
        &[
            "+ group 192.0.2.102/24/eth0: node1 192.0.2.102/24/eth0",
            "- group 192.0.2.100/24/eth0 (on node1)",
        ],
    );
    let (text, code) = reload::plan(&loaded("nonsense\n", same), Some(&status));
    assert_eq!(code, 1, "{text}");
}
