//! Snapshots for the tests of the verbs. Compiled for tests only.

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::{AutoFailback, Timing};
use hb_messaging::engine::Counters;
use hb_node::api::{
    Activity, GroupStatus, HistoryEntry, KeyStatus, LinkStatus, PeerNode, PingStatus, Problem,
    ResourceStatus, StatusSnapshot, ThisNode, VERSION, Verdict,
};
use hb_resource::input::GroupClaim;

/// node1 holds everything, node2 is dead.
pub(crate) fn snapshot() -> StatusSnapshot {
    let link = |name: &str, up| LinkStatus {
        name: name.into(),
        up,
        heard_ms_ago: Some(if up { 90 } else { 8_400 }),
        failure: None,
        peer_hears: None,
        loss_permille: None,
        rtt_us: None,
        intervals: None,
        counters: None,
    };
    let resource = |text: &str| ResourceStatus {
        text: text.into(),
        state: "running".into(),
        since_ms: 7_100,
        last: Some("start: ok in 12 ms".into()),
        checked_ms_ago: None,
        failures: 0,
        under_way: None,
    };
    let key = "IPaddr::10.0.0.50/24/eth0";
    StatusSnapshot {
        v: VERSION,
        cluster: "web".into(),
        version: "0.1.0".into(),
        pid: 4242,
        uptime_ms: 1_051_200_000,
        verdict: Verdict::Degraded,
        verdict_since_ms: 7_400,
        config: Vec::new(),
        problems: vec![Problem {
            id: "peer_dead".into(),
            subject: "node2".into(),
            text: "node2 is dead: nothing heard for longer than deadtime 1000 ms".into(),
            hint: "look at node2; there is no redundancy until it is back".into(),
            since_ms: 7_400,
        }],
        failover_ready: false,
        unready: Vec::new(),
        maintenance: None,
        fencing: None,
        witness: None,
        members: vec!["node1".into(), "node2".into()],
        this_node: ThisNode {
            name: "node1".into(),
            status: "active".into(),
            phase: "stable".into(),
            rscstatus: "all".into(),
            generation: 7,
            key: "#1 sha1".into(),
            keys: vec![signing_key()],
            clients: BTreeSet::new(),
        },
        peer: Some(PeerNode {
            name: "node2".into(),
            status: "dead".into(),
            heard_ms_ago: Some(8_400),
            holdings: None,
            stable: None,
            native: Some(true),
            generation: 9,
            keys: Some(vec![signing_key()]),
            clients: ["ipfail".to_owned()].into(),
            links: vec![link("eth0", false), link("eth1", true)],
            intervals: None,
        }),
        pings: vec![PingStatus {
            name: "10.0.0.254".into(),
            status: "ping".into(),
            heard_ms_ago: Some(120),
        }],
        groups: vec![GroupStatus {
            key: key.into(),
            prefers: "node1".into(),
            here: GroupClaim::Held,
            peer: None,
            active_on: Some("node1".into()),
            maybe_on: None,
            since_ms: 7_100,
            reason: "node2 is dead".into(),
            resources: vec![resource(key), resource("nginx")],
            unready_here: None,
            unready_peer: None,
            failback: None,
            would_do: None,
        }],
        last_move: Some(HistoryEntry {
            number: 3,
            unix_s: 1_795_000_000,
            group: key.into(),
            what: "acquired".into(),
            cause: "peer_dead".into(),
            reason: "node2 is dead".into(),
            elapsed_ms: 23,
            ..HistoryEntry::default()
        }),
        timing: Timing {
            keepalive_ms: 200,
            deadtime_ms: 1_000,
            warntime_ms: 500,
            initdead_ms: 5_000,
            deadping_ms: 1_000,
        },
        auto_failback: AutoFailback::On,
        parameters: BTreeMap::from([("keepalive".into(), "200ms".into())]),
        counters: Counters::default(),
        activity: Activity::default(),
    }
}

/// The key of both nodes.
pub(crate) fn signing_key() -> KeyStatus {
    KeyStatus { index: 1, method: "sha1".into(), fingerprint: "0a1b2c3d".into(), active: true }
}

/// Both nodes well.
pub(crate) fn healthy() -> StatusSnapshot {
    let mut snapshot = snapshot();
    snapshot.verdict = Verdict::Healthy;
    snapshot.problems.clear();
    snapshot.failover_ready = true;
    if let Some(peer) = &mut snapshot.peer {
        peer.status = "active".into();
        peer.heard_ms_ago = Some(90);
        peer.holdings = Some("none".into());
        peer.stable = Some(true);
        for link in &mut peer.links {
            link.up = true;
            link.heard_ms_ago = Some(90);
        }
    }
    for group in &mut snapshot.groups {
        group.peer = Some(GroupClaim::Released);
    }
    snapshot
}
