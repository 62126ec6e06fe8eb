//! The metrics of each state, with what changes from version to version masked.

use super::*;
use crate::testing;

/// Of the text one series, as a number.
fn value(text: &str, series: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|it| it.starts_with(' ')));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

/// Ages and numbers of packets are not the same in every version of the node.
fn varies(series: &str) -> bool {
    series.contains("_seconds") || series.starts_with("hb_link_packets_total")
}

fn masked(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if varies(series) && !line.starts_with('#') => {
            format!("{series} N\n")
        }
        Some(_) | None => format!("{line}\n"),
    };
    text.lines().map(line).collect::<String>().replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn each_state_has_its_metrics() {
    insta::assert_snapshot!("healthy", masked(&text(&testing::healthy(), &[], Some(3))));
    insta::assert_snapshot!("degraded", masked(&text(&testing::degraded(), &[], None)));
    insta::assert_snapshot!("split", masked(&text(&testing::split(), &[], None)));
    insta::assert_snapshot!("down", masked(&text(&testing::down(), &[], None)));
}

#[test]
fn of_each_state_one_is_one() {
    for known in [testing::healthy(), testing::degraded(), testing::split()] {
        let text = text(&known, &[], None);
        let snapshot = known.snapshot.as_ref().expect("a state");
        let on = |prefix: &str| {
            let lines = text.lines().filter(|line| line.starts_with(prefix));
            lines.filter(|line| line.ends_with(" 1.0")).count()
        };
        assert_eq!(on("hb_cluster_verdict{"), 1, "{text}");
        assert_eq!(on("hb_node_state{"), 2, "{text}");
        let resources: usize = snapshot.groups.iter().map(|group| group.resources.len()).sum();
        assert_eq!(on("hb_resource_state{"), resources, "{text}");
    }
}

#[test]
fn both_serve_in_a_split() {
    let active = |known: &Known, node: &str| {
        let series = format!("hb_group_active{{group=\"10.0.0.50\",node=\"{node}\"}}");
        value(&text(known, &[], None), &series)
    };
    let (healthy, split) = (testing::healthy(), testing::split());
    assert_eq!((active(&healthy, "node1"), active(&healthy, "node2")), (Some(0.0), Some(1.0)));
    let group = &split.snapshot.as_ref().expect("a state").groups[0];
    assert_eq!(group.peer, Some(GroupClaim::Releasing), "it has begun to let go");
    assert_eq!(active(&split, "node1"), Some(1.0));
    assert_eq!(value(&text(&split, &[], None), "hb_cluster_verdict{verdict=\"split\"}"), Some(1.0));
}

#[test]
fn without_a_daemon_nothing_but_its_age_is_said() {
    for (known, ages) in [(testing::down(), 2), (testing::nothing(), 0)] {
        let text = text(&known, &[], None);
        assert_eq!(value(&text, "hb_up"), Some(0.0));
        let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let ages_said =
            series.iter().filter(|line| line.starts_with("hb_state_age_seconds{")).count();
        assert_eq!((ages_said, series.len()), (ages, ages + 1), "{text}");
    }
    let down = text(&testing::down(), &[], None);
    assert_eq!(value(&down, "hb_state_age_seconds{node=\"node2\"}"), Some(182.0));
}

#[test]
fn the_last_known_outage_of_each_group() {
    let entry = |number, group: &str, outage_ms| HistoryEntry {
        number,
        group: group.into(),
        what: "acquired".into(),
        outage_ms,
        ..HistoryEntry::default()
    };
    let entries = [
        entry(1, "10.0.0.50", Some(100)),
        entry(2, "10.0.0.50", Some(2_500)),
        entry(3, "10.0.0.50", None),
        entry(4, "removed", Some(9)),
    ];
    let text = text(&testing::healthy(), &entries, None);
    assert_eq!(value(&text, "hb_group_last_outage_seconds{group=\"10.0.0.50\"}"), Some(2.5));
    assert!(!text.contains("removed"), "{text}");
}

#[test]
fn names_are_escaped() {
    let mut known = testing::healthy();
    let snapshot = known.snapshot.as_mut().expect("a state");
    snapshot.groups[0].key = "a\"b\\c\nd".into();
    let text = text(&known, &[], None);
    assert!(text.contains("hb_group_active{group=\"a\\\"b\\\\c\\nd\",node="), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_problem_that_is_not_in_the_table_is_shown() {
    let mut known = testing::degraded();
    let snapshot = known.snapshot.as_mut().expect("a state");
    snapshot.problems[0].id = "quite_new".into();
    let text = text(&known, &[], None);
    assert_eq!(value(&text, "hb_problem{id=\"quite_new\"}"), Some(1.0));
    assert_eq!(value(&text, "hb_problem{id=\"split\"}"), Some(0.0));
}

#[test]
fn distributions_keep_their_limits_and_their_sum() {
    let mut known = testing::healthy();
    let snapshot = known.snapshot.as_mut().expect("a state");
    let pauses = &mut snapshot.activity.pauses;
    *pauses = hb_node::api::Histogram::default();
    for us in [900_000, 900_000, 700_000_000] {
        pauses.observe(us, hb_node::api::activity::DURATION_LIMITS_US);
    }
    let text = text(&known, &[], None);
    let bucket = |le: &str| value(&text, &format!("hb_pause_seconds_bucket{{le=\"{le}\"}}"));
    assert_eq!([bucket("0.5"), bucket("1.0"), bucket("300.0")], [Some(0.0), Some(2.0), Some(2.0)]);
    assert_eq!((bucket("+Inf"), value(&text, "hb_pause_seconds_count")), (Some(3.0), Some(3.0)));
    assert_eq!(value(&text, "hb_pause_seconds_sum"), Some(701.8));
}
