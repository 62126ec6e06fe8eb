//! What is played: each scenario with the owners that Heartbeat 3.0.6's rules lead to. Nodes are 0
//! and 1 here; in `owners` and in texts they are 1 and 2, one digit for each group.

mod change;
mod cl_status;
mod fault;
mod keys;
mod moves;
mod reach;
mod start;

use std::time::Duration;

use crate::Step;
use crate::files::{Media, Options};
use crate::pair::Pair;

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// For `--filter` and the table.
    pub name: &'static str,
    /// What the files say.
    pub options: fn() -> Options,
    /// The events, each followed by what must come of it.
    pub run: fn(&mut Pair) -> Step,
    /// Both nodes serve for a while, as they must when they do not hear each other.
    pub splits: bool,
    /// Part of `cargo test`.
    pub short: bool,
}

impl Scenario {
    const fn new(name: &'static str, options: fn() -> Options, run: fn(&mut Pair) -> Step) -> Self {
        Self { name, options, run, splits: false, short: false }
    }

    const fn splits(self) -> Self {
        Self { splits: true, ..self }
    }

    const fn short(self) -> Self {
        Self { short: true, ..self }
    }
}

/// The scenario of that name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("life", Options::default, start::life).short(),
    Scenario::new("start-together", two_groups, start::together),
    Scenario::new("start-home-first", two_groups, start::home_first),
    Scenario::new("start-guest-first", one_group, start::guest_first),
    Scenario::new("start-guest-first-off", one_group_off, start::guest_first_off),
    Scenario::new("crash-1", two_groups, fault::crash_first),
    Scenario::new("crash-2", two_groups, fault::crash_second),
    Scenario::new("crash-1-off", two_groups_off, fault::crash_first_off),
    Scenario::new("crash-2-off", two_groups_off, fault::crash_second_off),
    Scenario::new("stop-1", two_groups, start::stop_first),
    Scenario::new("stop-2", two_groups, start::stop_second),
    Scenario::new("stop-1-off", two_groups_off, start::stop_first_off),
    Scenario::new("stop-2-off", two_groups_off, start::stop_second_off),
    Scenario::new("standby", two_groups_off, moves::standby).short(),
    Scenario::new("standby-on", two_groups, moves::standby),
    Scenario::new("takeover", two_groups_off, moves::takeover),
    Scenario::new("takeover-failback", two_groups_off, moves::takeover_failback),
    Scenario::new("takeover-one", one_group, moves::one_group),
    Scenario::new("standby-empty", one_group, moves::empty),
    Scenario::new("standby-crossing", two_groups_off, moves::crossing),
    Scenario::new("giver-1-dies", two_groups_off, fault::first_dies_giving),
    Scenario::new("giver-2-dies", two_groups_off, fault::second_dies_giving),
    Scenario::new("taker-1-dies", two_groups_off, fault::first_dies_taking),
    Scenario::new("taker-2-dies", two_groups_off, fault::second_dies_taking),
    Scenario::new("partition", two_groups, fault::partition).splits(),
    Scenario::new("partition-off", two_groups_off, fault::partition_off).splits(),
    Scenario::new("partition-one-group", one_group, fault::partition_one_group).splits(),
    Scenario::new("partition-short", one_group, fault::short_partition),
    Scenario::new("one-of-two-links", both_links, fault::one_of_two_links),
    Scenario::new("crc-ucast", crc_ucast, start::life),
    Scenario::new("md5-bcast", md5_bcast, start::life),
    Scenario::new("sha1-ucast", sha1_ucast, start::life),
    Scenario::new("mcast", mcast, start::life),
    Scenario::new("ping", with_ping, start::life),
    Scenario::new("crc-bcast-off", crc_bcast_off, start::life_off),
    Scenario::new("md5-ucast-off", md5_ucast_off, start::life_off),
    Scenario::new("sha1-two-links-off", two_links_off, start::life_off),
    Scenario::new("ping-lost", two_groups_ping, reach::ping_lost),
    Scenario::new("ipfail", with_ipfail, reach::cable),
    Scenario::new("ipfail-off", with_ipfail_off, reach::cable_off),
    Scenario::new("ipfail-ping-lost", with_ipfail, reach::ping_lost_with_ipfail),
    Scenario::new("ipfail-on-1", ipfail_on_first, reach::ping_lost_ipfail_on_one),
    Scenario::new("ipfail-on-2", ipfail_on_second, reach::ping_lost_ipfail_on_one),
    Scenario::new("netstring", netstring, start::without_scripts),
    Scenario::new("loss", lossy, fault::loss).short(),
    Scenario::new("loss-long", lossy, fault::long_loss),
    Scenario::new("quick-reboot-1", slow_deadtime, fault::quick_reboot_first),
    Scenario::new("quick-reboot-2", slow_deadtime, fault::quick_reboot_second),
    Scenario::new("daemon-killed", slow_deadtime, fault::daemon_killed).splits(),
    Scenario::new("idle", fast, fault::idle),
    Scenario::new("reload", two_groups, change::reload),
    Scenario::new("authkeys", two_groups, keys::reload),
    Scenario::new("key-change", two_groups_slow, keys::change),
    Scenario::new("flood", two_groups, keys::flood),
    Scenario::new("cl-status", two_links_ipfail, cl_status::compare),
    Scenario::new("migrate", two_groups, change::migrate),
];

/// 3.0.6 tells a longer dead time in its first five seconds.
const SETTLED_AGE: Duration = Duration::from_secs(6);

fn one_group() -> Options {
    Options::default()
}

fn one_group_off() -> Options {
    Options { failback: false, ..Options::default() }
}

fn two_groups() -> Options {
    Options { groups: 2, ..Options::default() }
}

fn two_groups_off() -> Options {
    Options { failback: false, ..two_groups() }
}

fn both_links() -> Options {
    Options { media: Media::Both, ..two_groups() }
}

fn crc_ucast() -> Options {
    Options { auth: "crc", media: Media::Ucast, ..Options::default() }
}

fn md5_bcast() -> Options {
    Options { auth: "md5", ..Options::default() }
}

fn sha1_ucast() -> Options {
    Options { media: Media::Ucast, ..Options::default() }
}

fn mcast() -> Options {
    Options { media: Media::Mcast, ..Options::default() }
}

/// The client as ping node.
fn with_ping() -> Options {
    Options { extra: "ping 192.0.2.254\n", ..Options::default() }
}

fn crc_bcast_off() -> Options {
    Options { auth: "crc", ..one_group_off() }
}

fn md5_ucast_off() -> Options {
    Options { auth: "md5", media: Media::Ucast, ..one_group_off() }
}

fn two_links_off() -> Options {
    Options { media: Media::Both, ..one_group_off() }
}

const PING: &str = "ping 192.0.2.254\ndeadping 2\n";
const RESPAWN_IPFAIL: &str = "respawn hacluster /usr/libexec/heartbeat/ipfail\n";
const IPFAIL: &str =
    "ping 192.0.2.254\ndeadping 2\nrespawn hacluster /usr/libexec/heartbeat/ipfail\n";

fn two_groups_ping() -> Options {
    Options { extra: PING, ..two_groups() }
}

fn two_links_ipfail() -> Options {
    Options { extra: IPFAIL, ..both_links() }
}

fn ipfail_on_first() -> Options {
    Options { extra_on: [RESPAWN_IPFAIL, ""], ..two_groups_ping() }
}

fn ipfail_on_second() -> Options {
    Options { extra_on: ["", RESPAWN_IPFAIL], ..two_groups_ping() }
}

/// Both keys can be changed before anybody is missed.
fn two_groups_slow() -> Options {
    Options { deadtime_ms: 6_000, initdead_ms: 6_000, ..two_groups() }
}

fn with_ipfail() -> Options {
    Options { extra: IPFAIL, ..two_groups() }
}

fn with_ipfail_off() -> Options {
    Options { extra: IPFAIL, ..two_groups_off() }
}

fn netstring() -> Options {
    Options { extra: "msgfmt netstring\n", ..Options::default() }
}

/// Many heartbeats in a deadtime, so that losing some of them kills nobody.
fn lossy() -> Options {
    Options { keepalive_ms: 100, deadtime_ms: 4_000, initdead_ms: 5_000, ..two_groups_off() }
}

/// A machine of the lab is back before this is over.
fn slow_deadtime() -> Options {
    Options { deadtime_ms: 8_000, initdead_ms: 8_000, ..two_groups() }
}

/// Some hundred messages in a few seconds.
fn fast() -> Options {
    Options { keepalive_ms: 20, deadtime_ms: 1_500, ..two_groups_off() }
}

/// Both run, each group at home: the first node alone, then the second, which is quicker than both
/// at once.
fn both_up(pair: &mut Pair) -> Step {
    let (alone, together) = if pair.options.groups == 1 { ("1", "1") } else { ("11", "12") };
    pair.start(0)?;
    pair.settle(alone)?;
    pair.start(1)?;
    if pair.options.groups == 2 && !pair.options.failback {
        // Nothing goes home by itself, and a joiner takes nothing that is served.
        pair.settle(alone)?;
        pair.command(0, "standby", "foreign")?;
    }
    pair.settle(together)
}

/// As [`both_up`], and long enough ago that dead times are those of ha.cf.
fn long_up(pair: &mut Pair) -> Step {
    both_up(pair)?;
    pair.pass(SETTLED_AGE);
    pair.settle(if pair.options.groups == 1 { "1" } else { "12" })
}
