//! What Prometheus reads. Names and labels are fixed: a state is one of several series that are 0 or 1,
//! never a label that changes. What is not known has no series; nothing is made up. Values in, text
//! out, by prometheus-client.

mod totals;

use std::collections::BTreeSet;
use std::fmt;

use hb_cli::status::{Known, word_of};
use hb_node::api::{GroupStatus, HistoryEntry, PeerNode, StatusSnapshot, Verdict};
use hb_resource::input::GroupClaim;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// One metric with all its series. A metric without series is still announced.
#[derive(Clone, Debug)]
struct Family {
    /// Without the `_total` of a counter.
    name: &'static str,
    help: &'static str,
    points: Points,
}

/// Names and values.
type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
enum Points {
    Gauge(Vec<(Labels, f64)>),
    Counter(Vec<(Labels, u64)>),
    Histogram(Vec<(Labels, Distribution)>),
}

/// Seconds.
#[derive(Clone, Debug)]
struct Distribution {
    sum: f64,
    count: u64,
    /// Upper limits, rising to infinity, and how many are above the limit before.
    buckets: Vec<(f64, u64)>,
}

/// States that a node can be in, of which one is 1.
const NODE_STATES: [&str; 5] = ["init", "up", "active", "stopping", "dead"];
/// States that a resource can be in on this node.
const RESOURCE_STATES: [&str; 6] =
    ["stopped", "starting", "running", "stopping", "failed", "unknown"];
const VERDICTS: [Verdict; 5] =
    [Verdict::Healthy, Verdict::Transition, Verdict::Degraded, Verdict::Down, Verdict::Split];
/// What can be wrong (`docs/reference/status-json.md`); ids that a later daemon adds are shown, too.
const PROBLEMS: [&str; 26] = [
    "address_conflict",
    "bad_auth",
    "config_differs",
    "core_stalled",
    "fencing_failed",
    "group_blocked",
    "group_failed",
    "group_not_served",
    "hung",
    "key_unconfirmed",
    "late_heartbeats",
    "link_down",
    "link_one_way",
    "log_hangs",
    "maintenance",
    "monitor_unusable",
    "no_peer",
    "not_ready",
    "peer_dead",
    "peer_lost",
    "peer_never_seen",
    "ping_dead",
    "ping_worse",
    "resource_failed",
    "split",
    "split_possible",
];

/// The text that is scraped: OpenMetrics 1.0. `notify_failures` is what `hb notify` counts, when it
/// runs here.
pub fn text(known: &Known, entries: &[HistoryEntry], notify_failures: Option<u64>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(families(known, entries, notify_failures))));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => text,
        // Writing into a string cannot fail.
        Err(fmt::Error) => String::new(),
    }
}

#[derive(Debug)]
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let kind = family.metric_type();
            family.encode(encoder.encode_descriptor(family.name, family.help, None, kind)?)?;
        }
        Ok(())
    }
}

impl EncodeMetric for Family {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match &self.points {
            Points::Gauge(points) => {
                for (labels, value) in points {
                    series(&mut encoder, labels, |it| it.encode_gauge(value))?;
                }
            }
            Points::Counter(points) => {
                for (labels, value) in points {
                    series(&mut encoder, labels, |it| {
                        it.encode_counter::<Labels, _, u64>(value, None)
                    })?;
                }
            }
            Points::Histogram(points) => {
                for (labels, value) in points {
                    series(&mut encoder, labels, |it| {
                        let Distribution { sum, count, buckets } = value;
                        it.encode_histogram::<Labels>(*sum, *count, buckets, None)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.points {
            Points::Gauge(_) => MetricType::Gauge,
            Points::Counter(_) => MetricType::Counter,
            Points::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// One series; without labels it has no braces.
fn series(
    encoder: &mut MetricEncoder<'_>,
    labels: &Labels,
    put: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error> {
    if labels.is_empty() { put(encoder) } else { put(&mut encoder.encode_family(labels)?) }
}

fn gauge(name: &'static str, help: &'static str, points: Vec<(Labels, f64)>) -> Family {
    Family { name, help, points: Points::Gauge(points) }
}

fn counter(name: &'static str, help: &'static str, points: Vec<(Labels, u64)>) -> Family {
    Family { name, help, points: Points::Counter(points) }
}

fn label(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// No time here is longer than the 285 thousand years in which a float is exact to the millisecond.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn families(known: &Known, entries: &[HistoryEntry], notify_failures: Option<u64>) -> Vec<Family> {
    // What the daemon kept is no state of now: without a daemon nothing but that is said.
    let now = known.snapshot.as_ref().filter(|_| known.down.is_none());
    let mut all = vec![gauge(
        "hb_up",
        "Whether the daemon on this node answers",
        vec![(vec![], flag(now.is_some()))],
    )];
    all.extend(cluster(now));
    all.extend(nodes(now, known));
    all.extend(links(now));
    all.extend(groups(now, entries));
    all.extend(agreement(now));
    all.extend(totals::families(now));
    let failures = notify_failures.map(|count| (vec![], count));
    all.push(counter(
        "hb_notify_failures",
        "Notifications that could not be delivered at once",
        failures.into_iter().collect(),
    ));
    all
}

/// Series of a snapshot, none without one.
fn of<T>(now: Option<&StatusSnapshot>, points: impl Fn(&StatusSnapshot) -> Vec<T>) -> Vec<T> {
    now.map(points).unwrap_or_default()
}

fn one_hot<'a>(states: &'a [&'a str], state: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    states.iter().map(move |other| (*other, flag(*other == state)))
}

fn cluster(now: Option<&StatusSnapshot>) -> Vec<Family> {
    let info = |it: &StatusSnapshot| vec![(vec![label("version", &it.version)], 1.0)];
    let verdicts = |it: &StatusSnapshot| {
        let point =
            |verdict| (vec![label("verdict", word_of(verdict))], flag(verdict == it.verdict));
        VERDICTS.map(point).to_vec()
    };
    let problems = |it: &StatusSnapshot| {
        let found = it.problems.iter().map(|problem| problem.id.as_str());
        let ids: BTreeSet<&str> = PROBLEMS.into_iter().chain(found).collect();
        let count = |id: &str| it.problems.iter().filter(|problem| problem.id == id).count();
        let point =
            |id| (vec![label("id", id)], f64::from(u32::try_from(count(id)).unwrap_or(u32::MAX)));
        ids.into_iter().map(point).collect()
    };
    vec![
        gauge("hb_build_info", "Version of the daemon", of(now, info)),
        gauge("hb_cluster_verdict", "Verdict of hb status, one of these is 1", of(now, verdicts)),
        gauge(
            "hb_failover_ready",
            "Whether the other node could take over",
            of(now, |it| vec![(vec![], flag(it.failover_ready))]),
        ),
        gauge("hb_problem", "Problems and notes of hb status by id", of(now, problems)),
        gauge(
            "hb_maintenance",
            "Whether either node is in maintenance",
            of(now, |it| vec![(vec![], flag(it.maintenance.is_some()))]),
        ),
        gauge(
            "hb_deadtime_seconds",
            "deadtime in force",
            of(now, |it| vec![(vec![], seconds(it.timing.deadtime_ms))]),
        ),
    ]
}

fn nodes(now: Option<&StatusSnapshot>, known: &Known) -> Vec<Family> {
    let states = |it: &StatusSnapshot| {
        let peer = it.peer.as_ref().map(|peer| (peer.name.as_str(), peer.status.as_str()));
        let nodes = [(it.this_node.name.as_str(), it.this_node.status.as_str())];
        let states = nodes.into_iter().chain(peer).flat_map(|(node, state)| {
            let point =
                move |(name, value)| (vec![label("node", node), label("state", name)], value);
            one_hot(&NODE_STATES, state).map(point).collect::<Vec<_>>()
        });
        states.collect()
    };
    let heard = |it: &StatusSnapshot| {
        let peer = it.peer.as_ref().and_then(|peer| Some((&peer.name, peer.heard_ms_ago?)));
        peer.map(|(name, ms)| (vec![label("node", name)], seconds(ms)))
            .into_iter()
            .collect::<Vec<_>>()
    };
    // The age of what is known, also of what the daemon kept.
    let own = known.snapshot.as_ref().map(|it| {
        let age = known.down.as_ref().map_or(0, |down| down.age_ms);
        (vec![label("node", &it.this_node.name)], seconds(age))
    });
    let theirs = known.snapshot.as_ref().map(heard).unwrap_or_default();
    vec![
        gauge("hb_node_state", "State of a node, one of these is 1", of(now, states)),
        gauge("hb_node_last_heard_seconds", "Since the other node was last heard", of(now, heard)),
        gauge(
            "hb_state_age_seconds",
            "Age of what is known of a node here, also when the daemon is down",
            own.into_iter().chain(theirs).collect(),
        ),
        gauge(
            "hb_ping_up",
            "Whether a ping node answers",
            of(now, |it| {
                let pings = it.pings.iter().filter(|ping| ping.status != "init");
                let point = |ping: &hb_node::api::PingStatus| {
                    (vec![label("target", &ping.name)], flag(ping.status == "ping"))
                };
                pings.map(point).collect()
            }),
        ),
    ]
}

fn links(now: Option<&StatusSnapshot>) -> Vec<Family> {
    let up = |it: &StatusSnapshot| {
        let Some(peer) = &it.peer else { return Vec::new() };
        let mut points = Vec::new();
        for link in &peer.links {
            let labels = |direction| {
                let place = [label("peer", &peer.name), label("link", &link.name)];
                [place.to_vec(), vec![label("direction", direction)]].concat()
            };
            points.push((labels("in"), flag(link.up && link.failure.is_none())));
            points.extend(link.peer_hears.map(|hears| (labels("out"), flag(hears))));
        }
        points
    };
    let mut all = vec![gauge(
        "hb_link_up",
        "Whether packets arrive: in, from the other node here; out, as the other node says it",
        of(now, up),
    )];
    all.extend(totals::links(now));
    all
}

fn groups(now: Option<&StatusSnapshot>, entries: &[HistoryEntry]) -> Vec<Family> {
    let active = |it: &StatusSnapshot| {
        let of_group = |group: &GroupStatus| {
            let point =
                |node: &str, on| (vec![label("group", &group.key), label("node", node)], flag(on));
            let here =
                point(&it.this_node.name, is_active(group, &it.this_node.name, Some(group.here)));
            let there =
                |peer: &PeerNode| point(&peer.name, is_active(group, &peer.name, group.peer));
            [Some(here), it.peer.as_ref().map(there)].into_iter().flatten().collect::<Vec<_>>()
        };
        it.groups.iter().flat_map(of_group).collect()
    };
    let outages = |it: &StatusSnapshot| {
        let last = |group: &GroupStatus| {
            let moves =
                entries.iter().rev().filter(|entry| entry.is_move() && entry.group == group.key);
            let ms = moves.filter_map(|entry| entry.outage_ms).next()?;
            Some((vec![label("group", &group.key)], seconds(ms)))
        };
        it.groups.iter().filter_map(last).collect::<Vec<_>>()
    };
    let states = |it: &StatusSnapshot| {
        let mut points = Vec::new();
        for group in &it.groups {
            for resource in &group.resources {
                let place = [label("group", &group.key), label("resource", &resource.text)];
                points.extend(one_hot(&RESOURCE_STATES, &resource.state).map(|(state, value)| {
                    ([place.to_vec(), vec![label("state", state)]].concat(), value)
                }));
            }
        }
        points
    };
    vec![
        gauge("hb_group_active", "Whether a node serves a group; both in a split", of(now, active)),
        gauge(
            "hb_group_last_outage_seconds",
            "For how long nobody served a group at its last move of which that is known",
            of(now, outages),
        ),
        gauge(
            "hb_resource_state",
            "State of a resource on this node, one of these is 1",
            of(now, states),
        ),
    ]
}

/// By the node's own claim, else by what is known of who serves it.
fn is_active(group: &GroupStatus, node: &str, claim: Option<GroupClaim>) -> bool {
    claim == Some(GroupClaim::Held) || group.active_on.as_deref() == Some(node)
}

/// Whether both nodes are set up alike.
fn agreement(now: Option<&StatusSnapshot>) -> Vec<Family> {
    let matches = |it: &StatusSnapshot| {
        let told: Vec<bool> = it.config.iter().filter_map(|part| part.same).collect();
        let all = told.iter().all(|same| *same);
        if told.is_empty() { Vec::new() } else { vec![(vec![], flag(all))] }
    };
    let keys = |it: &StatusSnapshot| {
        let index = |role, index: Option<u8>| Some((vec![label("role", role)], f64::from(index?)));
        let keys = &it.this_node.keys;
        let signing = keys.iter().find(|key| key.active).map(|key| key.index);
        let highest = keys.iter().map(|key| key.index).max();
        [index("sign", signing), index("accept", highest)].into_iter().flatten().collect::<Vec<_>>()
    };
    vec![
        gauge(
            "hb_config_match",
            "Whether the configuration means the same on both nodes, where that can be told",
            of(now, matches),
        ),
        gauge(
            "hb_key_id",
            "Index of the key that signs here, and the highest index that is accepted here",
            of(now, keys),
        ),
    ]
}

#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
