//! What real nodes measure of real links: round trips, intervals, packets by result; and what `hb`
//! says of them.

use std::time::Duration;

use hb_cli::lab::{HEARTBEAT, PUBLIC};
use hb_netns::files::{NODES, Setup, ucast};
use hb_netns::pair::{Pair, need_ip};
use hb_netns::runner::Case;
use hb_node::api::{LinkStatus, StatusSnapshot};

use crate::weather::{Sky, Weather};

pub(crate) const CASES: &[Case] = &[
    Case { name: "round_trips_are_measured", run: round_trips_are_measured },
    Case { name: "intervals_are_measured", run: intervals_are_measured },
];

/// One way.
const DELAY_MS: u64 = 40;

fn two_links() -> Setup {
    Setup { media: format!("{}{}", ucast(HEARTBEAT), ucast(PUBLIC)), ..Setup::web() }
}

fn link<'a>(status: &'a StatusSnapshot, name: &str) -> &'a LinkStatus {
    let peer = status.peer.as_ref().expect("a peer");
    peer.links.iter().find(|link| link.name == name).expect("a link")
}

fn trip_us(status: &StatusSnapshot, name: &str) -> Option<u64> {
    link(status, name).rtt_us
}

fn round_trips_are_measured() {
    need_ip();
    let pair = Pair::running(two_links());
    for node in NODES {
        let status = pair.wait(node, "both links are measured", |s| {
            [HEARTBEAT, PUBLIC].iter().all(|name| trip_us(s, name).is_some())
        });
        assert!(trip_us(&status, HEARTBEAT) > Some(0), "nothing takes no time");
        let shown = pair.expect(node, &["hb", "status"], 0).out;
        let row = format!("link {HEARTBEAT}");
        let line = shown.lines().find(|line| line.contains(&row)).expect("a row");
        assert!(line.contains("hears  ") && line.contains(" ms"), "{shown}");
        let plain = pair.expect(node, &["hb", "status", "--plain"], 0).out;
        assert!(plain.contains(&format!("link.{HEARTBEAT}.rtt_us ")), "{plain}");
    }
    let delay = Duration::from_millis(DELAY_MS);
    let weather = Weather::begin(&pair, Sky { delay, ..Sky::default() });
    for node in NODES {
        pair.wait(node, "the delay shows", |s| {
            trip_us(s, HEARTBEAT).is_some_and(|us| us >= DELAY_MS * 2_000)
        });
        let other = trip_us(&pair.status(node), PUBLIC);
        assert!(other < trip_us(&pair.status(node), HEARTBEAT), "each link has its own: {other:?}");
    }
    weather.end(&pair);
}

fn intervals_are_measured() {
    let pair = Pair::running(two_links());
    let counted = |s: &StatusSnapshot| {
        let intervals = link(s, HEARTBEAT).intervals.as_ref();
        intervals.is_some_and(|intervals| intervals.distribution.count >= 10)
    };
    let status = pair.wait("node1", "intervals are counted", counted);
    let of = |name| link(&status, name).counters.expect("counted");
    assert!(of(HEARTBEAT).ok > 0 && of(PUBLIC).dup > 0, "{status:?}");
    let tune = pair.expect("node1", &["hb", "tune", "--json"], 1).out;
    let report: serde_json::Value = serde_json::from_str(&tune).expect("JSON");
    assert_eq!(report["deadtime_ms"], status.timing.deadtime_ms, "{tune}");
    assert_eq!(report["suggested_deadtime_ms"], serde_json::Value::Null, "seconds say nothing");
    assert_eq!(report["is_enough"], false);
    let count = report["links"][0]["intervals"]["distribution"]["count"].as_u64();
    assert!(count >= Some(10), "{tune}");
    let shown = pair.expect("node1", &["hb", "tune"], 1).out;
    assert!(shown.contains("too short to say anything") && shown.contains('#'), "{shown}");
    // An address that moves is counted where it arrives.
    pair.expect("node1", &["hb", "standby"], 0);
    let status = pair.status("node2");
    let moves: u64 = status.activity.moves.values().flat_map(|causes| causes.values()).sum();
    assert!(moves > 0 && status.activity.announcements > 0, "{:?}", status.activity);
}
