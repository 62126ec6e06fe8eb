//! `hb tune`: how far apart the other node's heartbeats came, link by link, and how short a deadtime
//! would have had no false alarm. Reads the daemon's status; it changes nothing. The rules are those
//! of `docs/guide/tuning.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use hb_node::api::{self, Bucket, Intervals, StatusSnapshot};
use serde::Serialize;

use crate::moves::unreachable_daemon;
use crate::status::age;
use crate::{client, exit, print};

/// The longest silence of a healthy node, times this, is a good deadtime.
const MARGIN: u64 = 2;
/// Fewest keepalives in a deadtime: three heartbeats in a row may be lost.
const KEEPALIVES_MIN: u64 = 4;
/// A week has a backup, a busy hour and perhaps a reboot of the switch in it.
const ENOUGH_MS: u64 = 7 * 24 * 3_600_000;
/// Below this nothing can be said: a backup alone lasts longer.
const LEAST_MS: u64 = 3_600_000;
/// Rows of a plot: more are joined to one for each doubling.
const ROWS_MAX: usize = 14;
/// Characters of the longest bar.
const BAR: usize = 40;

/// Measured heartbeat intervals of each link as a plot, and the deadtime that they allow
///
/// Counted since the daemon's start, in the direction from the other node to this one: run it on both
/// nodes and take the longer deadtime.
#[derive(Clone, Debug, Args)]
pub(crate) struct TuneArgs {
    /// Print what was measured and what follows from it as JSON
    #[arg(long)]
    json: bool,
    /// No symbols beyond ASCII; also when stdout is not a terminal
    #[arg(long)]
    ascii: bool,
}

/// What was measured and what follows from it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    cluster: &'a str,
    this_node: &'a str,
    peer: &'a str,
    keepalive_ms: u64,
    deadtime_ms: u64,
    /// Over which heartbeats were counted, on whichever link each came first.
    measured_ms: u64,
    /// A week or more.
    is_enough: bool,
    /// `None` when next to nothing was measured.
    suggested_deadtime_ms: Option<u64>,
    /// The link whose longest silence decides; each must suffice alone when another is cut.
    decided_by: Option<&'a str>,
    all_links: &'a Intervals,
    links: Vec<Link<'a>>,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    name: &'a str,
    longest_us: u64,
    needs_deadtime_ms: u64,
    intervals: &'a Intervals,
}

/// Runs it. Exit: 0 with a suggestion, 1 when too little was measured.
pub(crate) fn run(run_dir: &Path, args: &TuneArgs) -> ExitCode {
    let snapshot = match client::snapshot(run_dir) {
        Ok(snapshot) => snapshot,
        Err(error) => return unreachable_daemon(&error),
    };
    let report = match report(&snapshot) {
        Ok(report) => report,
        Err(why) => {
            print::err(&format!("hb: {why}\n"));
            return exit::code(exit::NEGATIVE);
        }
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        print::out(&(text + "\n"));
    } else {
        print::out(&shown(&report, print::is_terminal() && !args.ascii));
    }
    exit::code(if report.suggested_deadtime_ms.is_some() { exit::OK } else { exit::NEGATIVE })
}

fn report(snapshot: &StatusSnapshot) -> Result<Report<'_>, String> {
    let Some(peer) = &snapshot.peer else {
        return Err("ha.cf names only this node: nothing is measured".to_owned());
    };
    let Some(all_links) = &peer.intervals else {
        return Err(format!(
            "no two heartbeats of {} were heard since the daemon's start",
            peer.name
        ));
    };
    let keepalive_ms = snapshot.timing.keepalive_ms;
    let links = peer.links.iter().filter_map(|link| {
        let intervals = link.intervals.as_ref()?;
        let longest_us = intervals.distribution.max_us;
        let needs_deadtime_ms = deadtime(longest_us, keepalive_ms);
        Some(Link { name: &link.name, longest_us, needs_deadtime_ms, intervals })
    });
    let links: Vec<Link<'_>> = links.collect();
    let worst = links.iter().rev().max_by_key(|link| link.needs_deadtime_ms);
    let measured_ms = all_links.distribution.sum_us / 1_000;
    Ok(Report {
        v: api::VERSION,
        cluster: &snapshot.cluster,
        this_node: &snapshot.this_node.name,
        peer: &peer.name,
        keepalive_ms,
        deadtime_ms: snapshot.timing.deadtime_ms,
        measured_ms,
        is_enough: measured_ms >= ENOUGH_MS,
        suggested_deadtime_ms: worst
            .map(|link| link.needs_deadtime_ms)
            .filter(|_| measured_ms >= LEAST_MS),
        decided_by: worst.map(|link| link.name),
        all_links,
        links,
    })
}

/// Twice the longest silence, rounded up to what people write, and some keepalives at least.
fn deadtime(longest_us: u64, keepalive_ms: u64) -> u64 {
    let silence_ms = longest_us.saturating_mul(MARGIN).div_ceil(1_000);
    let least_ms = keepalive_ms.saturating_mul(KEEPALIVES_MIN);
    let ms = silence_ms.max(least_ms);
    let step = match ms {
        0..1_000 => 50,
        1_000..10_000 => 500,
        _ => 1_000,
    };
    ms.div_ceil(step).saturating_mul(step)
}

fn shown(report: &Report<'_>, symbols: bool) -> String {
    let Report { cluster, this_node, peer, .. } = report;
    let mut out = format!(
        "{cluster} cluster: heartbeats of {peer} as {this_node} heard them for {}\n",
        age(report.measured_ms)
    );
    for link in &report.links {
        out += &link_lines(link, symbols);
    }
    out += &conclusion(report);
    out
}

fn link_lines(link: &Link<'_>, symbols: bool) -> String {
    let Intervals { distribution, cuts, longest_cut_us } = link.intervals;
    let mean = distribution.sum_us.checked_div(distribution.count).unwrap_or_default();
    let mut out = format!(
        "\n link {}   {} intervals, {} on average, the longest {}\n",
        link.name,
        distribution.count,
        time(mean),
        time(distribution.max_us)
    );
    let rows = rows(&distribution.buckets);
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let mark = if symbols { '█' } else { '#' };
    for (limit, count) in rows {
        let bar: String = std::iter::repeat_n(mark, bar(count, most)).collect();
        let limit = limit.map_or_else(|| "longer".to_owned(), |us| format!("<= {}", time(us)));
        let line = format!("   {limit:>11}  {bar:<BAR$} {count:>10}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if *cuts > 0 {
        let times = if *cuts == 1 { "once" } else { "times" };
        let count = if *cuts == 1 { String::new() } else { format!("{cuts} ") };
        let _ = writeln!(
            out,
            "   {count}{times} silent for deadtime or longer, at most {}: not counted above",
            time(*longest_cut_us)
        );
    }
    out
}

/// What is drawn: each bucket between the first and the last, or one row for each doubling where
/// those are too many. Limits in µs.
fn rows(buckets: &[Bucket]) -> Vec<(Option<u64>, u64)> {
    let known = || buckets.iter().filter_map(|bucket| bucket.le_us);
    let (Some(first), Some(last)) = (known().min(), known().max()) else { return Vec::new() };
    let fine: Vec<u64> =
        Intervals::limits_us().filter(|limit| (first..=last).contains(limit)).collect();
    let limits = if fine.len() <= ROWS_MAX {
        fine
    } else {
        let octaves = Intervals::limits_us().step_by(4);
        octaves.filter(|limit| *limit >= first && *limit < last.saturating_mul(2)).collect()
    };
    let mut rows: Vec<(Option<u64>, u64)> = Vec::new();
    let mut below = 0;
    for limit in limits {
        let count = |bucket: &&Bucket| bucket.le_us.is_some_and(|le| le > below && le <= limit);
        rows.push((Some(limit), buckets.iter().filter(count).map(|bucket| bucket.count).sum()));
        below = limit;
    }
    let beyond = buckets.iter().filter(|bucket| bucket.le_us.is_none());
    rows.extend(beyond.map(|bucket| (None, bucket.count)));
    rows
}

/// Length of a bar: logarithmic, because the one interval in a million is what matters.
fn bar(count: u64, most: u64) -> usize {
    let bits = |count: u64| u64::from(u64::BITS - count.leading_zeros());
    let share = BAR as u64 * bits(count) / bits(most).max(1);
    if count == 0 { 0 } else { usize::try_from(share.max(1)).unwrap_or(BAR) }
}

fn conclusion(report: &Report<'_>) -> String {
    let now = report.deadtime_ms;
    let all = report.all_links;
    let longest = time(all.distribution.max_us);
    let mut out = format!(
        "\n deadtime in force   {}\n longest silence     {longest}, all links together\n",
        time(now * 1_000)
    );
    if all.cuts > 0 {
        let _ = writeln!(
            out,
            " taken for dead      {} and heard again, after {} at most: if {} ran all the time and no\n\
             \x20                    network was cut, deadtime must be longer than that (hb history)",
            if all.cuts == 1 { "once".to_owned() } else { format!("{} times", all.cuts) },
            time(all.longest_cut_us),
            report.peer,
        );
    }
    match (report.suggested_deadtime_ms, report.decided_by) {
        (Some(ms), Some(link)) => {
            let than = match ms.cmp(&now) {
                std::cmp::Ordering::Less => "shorter than",
                std::cmp::Ordering::Equal => "as",
                std::cmp::Ordering::Greater => "LONGER than",
            };
            let _ = write!(
                out,
                " suggested           {}, {than} in force: twice the longest silence on {link},\n\
                 \x20                    and {KEEPALIVES_MIN} keepalives at least. In ha.cf on both nodes:\n\
                 \x20                      deadtime {}\n",
                time(ms * 1_000),
                directive(ms),
            );
        }
        (Some(_) | None, _) => {
            let _ = writeln!(
                out,
                " suggested           nothing: {} is too short to say anything",
                age(report.measured_ms)
            );
        }
    }
    if !report.is_enough {
        out += " measured            for less than a week: leave it until a backup, a busy hour and a\n\
                \x20                    reboot of the switch are in it\n";
    }
    let _ = writeln!(
        out,
        " other direction     what {} hears of {}: run hb tune there, and take the longer one",
        report.peer, report.this_node
    );
    out
}

/// As ha.cf has it: `2`, `1500ms`.
fn directive(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { (ms / 1_000).to_string() } else { format!("{ms}ms") }
}

/// `0.4 ms`, `214 ms`, `1.9 s`.
fn time(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => age(us / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use hb_node::api::Histogram;

    use super::*;
    use crate::testing;

    /// Counts by length of the interval in ms.
    fn intervals(counts: &[(u64, u64)], cuts: &[u64]) -> Intervals {
        let mut distribution = Histogram::default();
        for (ms, count) in counts {
            let us = ms * 1_000;
            let mut one = Histogram::default();
            one.observe(us, Intervals::limits_us());
            let le_us = one.buckets[0].le_us;
            distribution.count += count;
            distribution.sum_us += us * count;
            distribution.max_us = distribution.max_us.max(us);
            match distribution.buckets.iter_mut().find(|bucket| bucket.le_us == le_us) {
                Some(bucket) => bucket.count += count,
                None => distribution.buckets.push(Bucket { le_us, count: *count }),
            }
        }
        let longest_cut_us = cuts.iter().max().map_or(0, |ms| ms * 1_000);
        Intervals { distribution, cuts: cuts.len() as u64, longest_cut_us }
    }

    fn snapshot(links: [Intervals; 2], all: Intervals) -> StatusSnapshot {
        let mut snapshot = testing::healthy();
        let peer = snapshot.peer.as_mut().expect("a peer");
        peer.intervals = Some(all);
        for (link, intervals) in peer.links.iter_mut().zip(links) {
            link.intervals = Some(intervals);
        }
        snapshot
    }

    fn week() -> StatusSnapshot {
        let eth0 = [(190, 500), (200, 3_020_000), (215, 8_000), (260, 90), (340, 1)];
        let eth1 = [(150, 2), (200, 3_000_000), (230, 20_000), (400, 300), (900, 1)];
        let all = intervals(&eth0, &[]);
        snapshot([intervals(&eth0, &[]), intervals(&eth1, &[34_000])], all)
    }

    #[test]
    fn a_week_leads_to_a_suggestion() {
        let snapshot = week();
        let report = report(&snapshot).expect("measured");
        assert_eq!((report.suggested_deadtime_ms, report.decided_by), (Some(2_000), Some("eth1")));
        insta::assert_snapshot!("week", shown(&report, false));
    }

    #[test]
    fn a_minute_and_a_false_alarm_are_told_as_what_they_are() {
        let few = [(200, 300), (700, 1)];
        let all = intervals(&few, &[1_400, 1_200]);
        let snapshot = snapshot([intervals(&few, &[]), intervals(&[(2, 5), (9_000, 1)], &[])], all);
        let report = report(&snapshot).expect("measured");
        assert_eq!((report.suggested_deadtime_ms, report.is_enough), (None, false));
        insta::assert_snapshot!("minute", shown(&report, true));
    }

    #[test]
    fn json_has_what_the_screen_has() {
        let snapshot = week();
        let report = serde_json::to_value(report(&snapshot).expect("measured")).expect("JSON");
        assert_eq!(report["suggested_deadtime_ms"], 2_000);
        assert_eq!(report["links"][1]["needs_deadtime_ms"], 2_000);
        assert_eq!(report["links"][1]["intervals"]["cuts"], 1);
        assert_eq!(report["all_links"]["distribution"]["max_us"], 340_000);
    }

    #[test]
    fn without_heartbeats_there_is_no_report() {
        let mut snapshot = testing::healthy();
        assert!(report(&snapshot).is_err_and(|why| why.contains("node2")));
        snapshot.peer = None;
        assert!(report(&snapshot).is_err_and(|why| why.contains("only this node")));
    }

    #[test]
    fn a_deadtime_is_round_and_never_too_near_to_keepalive() {
        let check = |longest_ms: u64, keepalive_ms, expect: u64| {
            let found = deadtime(longest_ms * 1_000, keepalive_ms);
            assert_eq!(found, expect, "{longest_ms} {keepalive_ms}");
            assert!(found > 2 * keepalive_ms && found >= 2 * longest_ms);
        };
        check(104, 100, 400);
        check(104, 10, 250);
        check(260, 100, 550);
        check(600, 100, 1_500);
        check(1_908, 200, 4_000);
        check(5_200, 1_000, 11_000);
        check(1_001, 1_000, 4_000);
    }

    #[test]
    fn a_wide_distribution_is_drawn_by_doublings() {
        let wide = intervals(&[(2, 1), (90, 7), (110, 5), (30_000, 1)], &[]);
        let rows = rows(&wide.distribution.buckets);
        assert!(rows.len() <= 16, "{rows:?}");
        assert_eq!(rows.iter().map(|(_, count)| count).sum::<u64>(), 14);
        assert_eq!(rows.first(), Some(&(Some(2_000), 1)));
        assert!(rows.contains(&(Some(128_000), 12)), "{rows:?}");
    }
}
