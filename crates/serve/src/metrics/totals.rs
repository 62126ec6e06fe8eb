//! Counters and distributions since the daemon's start. Values in, series out.

use std::collections::BTreeMap;

use hb_node::api::activity::DURATION_LIMITS_US;
use hb_node::api::{Histogram, LinkStatus, StatusSnapshot};

use super::{Distribution, Family, Labels, Points, counter, gauge, label, of};

/// Of the whole pair.
pub(super) fn families(now: Option<&StatusSnapshot>) -> Vec<Family> {
    let plain = |value: fn(&StatusSnapshot) -> u64| of(now, move |it| vec![(vec![], value(it))]);
    let fences = |it: &StatusSnapshot| {
        let fences = it.activity.fences.iter();
        fences.map(|(result, count)| (vec![label("result", result)], *count)).collect()
    };
    vec![
        counter(
            "hb_group_moves",
            "Groups that this node has acquired, by cause: a move is counted by the node that has the group then",
            of(now, |it| by_two(&it.activity.moves, ["group", "cause"])),
        ),
        distributions(
            "hb_resource_action_seconds",
            "How long actions on resources took here",
            of(now, actions),
        ),
        counter(
            "hb_resource_failures",
            "Failed starts, stops and checks here",
            of(now, |it| by_two(&it.activity.failures, ["group", "resource"])),
        ),
        counter(
            "hb_vip_announcements",
            "Times that the network was told where an address lives",
            plain(|it| it.activity.announcements),
        ),
        counter(
            "hb_vip_conflicts",
            "Times that another host began to claim an address that is held here",
            plain(|it| it.activity.vip_conflicts),
        ),
        counter(
            "hb_vip_restored",
            "Times that an address which had been taken away was put back",
            plain(|it| it.activity.vip_restored),
        ),
        counter(
            "hb_split_detected",
            "Times that both nodes were found to serve a group",
            plain(|it| it.activity.splits),
        ),
        distributions(
            "hb_pause_seconds",
            "Times for which the daemon stood still, longer than warntime",
            of(now, |it| vec![(vec![], distribution(&it.activity.pauses))]),
        ),
        counter("hb_fence", "Ends of fencing", of(now, fences)),
    ]
}

fn by_two(
    counts: &BTreeMap<String, BTreeMap<String, u64>>,
    names: [&'static str; 2],
) -> Vec<(Labels, u64)> {
    let mut points = Vec::new();
    for (first, inner) in counts {
        for (second, count) in inner {
            points.push((vec![label(names[0], first), label(names[1], second)], *count));
        }
    }
    points
}

fn actions(it: &StatusSnapshot) -> Vec<(Labels, Distribution)> {
    let mut points = Vec::new();
    for (group, resources) in &it.activity.actions {
        for (resource, actions) in resources {
            for (action, histogram) in actions {
                let labels = vec![
                    label("group", group),
                    label("resource", resource),
                    label("action", action),
                ];
                points.push((labels, distribution(histogram)));
            }
        }
    }
    points
}

fn distributions(
    name: &'static str,
    help: &'static str,
    points: Vec<(Labels, Distribution)>,
) -> Family {
    Family { name, help, points: Points::Histogram(points) }
}

/// With all limits, so that series do not come and go.
fn distribution(histogram: &Histogram) -> Distribution {
    let mut buckets = Vec::new();
    let mut below = 0;
    for limit in DURATION_LIMITS_US {
        let at_most = histogram.at_most(limit);
        buckets.push((seconds_of_us(limit), at_most.saturating_sub(below)));
        below = at_most;
    }
    buckets.push((f64::INFINITY, histogram.count.saturating_sub(below)));
    Distribution { sum: seconds_of_us(histogram.sum_us), count: histogram.count, buckets }
}

#[expect(clippy::cast_precision_loss, reason = "exact to the µs for 285 years")]
fn seconds_of_us(us: u64) -> f64 {
    us as f64 / 1_000_000.0
}

/// Of each link.
pub(super) fn links(now: Option<&StatusSnapshot>) -> Vec<Family> {
    let mut trips = Vec::new();
    let mut packets = Vec::new();
    if let Some(peer) = now.and_then(|it| it.peer.as_ref()) {
        for link in &peer.links {
            let place = vec![label("peer", &peer.name), label("link", &link.name)];
            trips.extend(link.rtt_us.map(|us| (place.clone(), seconds_of_us(us))));
            packets.extend(results(link).into_iter().map(|(result, count)| {
                ([place.clone(), vec![label("result", result)]].concat(), count)
            }));
        }
    }
    vec![
        gauge("hb_link_rtt_seconds", "Smoothed round trip on a link", trips),
        counter(
            "hb_link_packets",
            "Packets that arrived on a link, by what became of them",
            packets,
        ),
    ]
}

fn results(link: &LinkStatus) -> Vec<(&'static str, u64)> {
    let Some(it) = link.counters else { return Vec::new() };
    vec![
        ("ok", it.ok),
        ("dup", it.dup),
        ("replay", it.replay),
        ("badauth", it.badauth),
        ("foreign", it.foreign),
        ("malformed", it.malformed),
    ]
}
