//! The whole screen of `hb status`: the verdict first, then what is wrong and what to do, then both
//! nodes side by side with the age of what is known, then groups. Values in, text out.

use std::fmt::Write as _;

use hb_node::api::{
    ConfigPart, GroupStatus, KeyStatus, LinkStatus, PeerNode, Problem, ResourceStatus,
    StatusSnapshot, Verdict,
};
use hb_resource::input::GroupClaim;

use super::{age, split};
use crate::history::line;

/// Width of the first column.
const LABEL: usize = 14;
/// Width of a node's column.
const COLUMN: usize = 30;

/// What the terminal can show. Colour and symbols only reinforce; the words carry the meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Symbols beyond ASCII.
    pub symbols: bool,
    /// ANSI colours.
    pub colour: bool,
}

impl Style {
    fn paint(self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Healthy => "1;32",
            Verdict::Transition => "1;36",
            Verdict::Degraded => "1;33",
            Verdict::Down | Verdict::Split => "1;31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn symbol(self, verdict: Verdict) -> &'static str {
        match (self.symbols, verdict) {
            (true, Verdict::Healthy) => "●",
            (true, Verdict::Transition) => "◌",
            (true, Verdict::Degraded) => "▲",
            (true, Verdict::Down | Verdict::Split) => "✖",
            (false, Verdict::Healthy) => "*",
            (false, Verdict::Transition) => "~",
            (false, Verdict::Degraded) => "!",
            (false, Verdict::Down | Verdict::Split) => "X",
        }
    }

    fn dot(self, claim: GroupClaim) -> &'static str {
        match (self.symbols, claim) {
            (true, GroupClaim::Held) => "●",
            (true, GroupClaim::Released) => "○",
            (true, GroupClaim::Acquiring | GroupClaim::Releasing) => "◌",
            (true, GroupClaim::Failed | GroupClaim::Blocked) => "✖",
            (false, GroupClaim::Held) => "*",
            (false, GroupClaim::Released) => "-",
            (false, GroupClaim::Acquiring | GroupClaim::Releasing) => "~",
            (false, GroupClaim::Failed | GroupClaim::Blocked) => "X",
        }
    }
}

/// The whole screen. `clock` shows a moment of Unix time in milliseconds.
pub(crate) fn screen(
    snapshot: &StatusSnapshot,
    style: Style,
    clock: &dyn Fn(u64) -> String,
) -> String {
    let mut out = headline(snapshot, style);
    if snapshot.verdict == Verdict::Split {
        out += &split::lines(snapshot);
    }
    for (number, problem) in snapshot.problems.iter().enumerate() {
        out.push_str(&problem_lines(number + 1, problem));
    }
    out += &readiness(snapshot);
    if !snapshot.problems.is_empty() || !snapshot.unready.is_empty() {
        out.push('\n');
    }
    out.push_str(&nodes(snapshot));
    for group in &snapshot.groups {
        out.push('\n');
        out.push_str(&group_lines(snapshot, group, style));
    }
    out + &last_move(snapshot, style, clock)
}

/// The last time a group moved, as far as this node knows.
fn last_move(snapshot: &StatusSnapshot, style: Style, clock: &dyn Fn(u64) -> String) -> String {
    let Some(last) = &snapshot.last_move else { return String::new() };
    let arrow = if style.symbols { "→" } else { "->" };
    let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "nobody".to_owned());
    let path = match (&last.from, &last.to) {
        (None, None) => last.what.clone(),
        (Some(from), Some(to)) if from == to => format!("{} on {from}", last.what),
        (None, Some(to)) => format!("{} by {to}", last.what),
        (from, to) => format!("{} {arrow} {}", name(from), name(to)),
    };
    let by = last.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let outage = line::outage(last).map(|text| format!("   outage {text}")).unwrap_or_default();
    let (group, cause) = (&last.group, &last.cause);
    let moment = clock(last.at_ms());
    format!(
        "\n last move   {group}   {path}   {moment}   {cause}{by}{outage}\n             {}\n",
        last.reason
    )
}

/// Nobody says that both have a group, but both may.
fn is_only_feared(snapshot: &StatusSnapshot) -> bool {
    snapshot.problems.iter().all(|problem| problem.id != "split")
}

fn headline(snapshot: &StatusSnapshot, style: Style) -> String {
    let word = match snapshot.verdict {
        Verdict::Healthy => "HEALTHY",
        Verdict::Transition => "IN TRANSITION",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "NOT SERVED",
        Verdict::Split if is_only_feared(snapshot) => "SPLIT?",
        Verdict::Split => "SPLIT",
    };
    let verdict = format!("{}  {word}", style.symbol(snapshot.verdict));
    let verdict = style.paint(snapshot.verdict, &verdict);
    let ready = if snapshot.failover_ready { "yes" } else { "NO" };
    let reasons = match snapshot.unready.len() {
        0 => String::new(),
        1 => "  (1 reason)".to_owned(),
        count => format!("  ({count} reasons)"),
    };
    let since = age(snapshot.verdict_since_ms);
    format!(
        "{} cluster  {verdict}   failover ready: {ready}{reasons}   since {since}\n",
        snapshot.cluster
    )
}

fn problem_lines(number: usize, problem: &Problem) -> String {
    let mut out = format!(" {number} {}   since {}\n", problem.text, age(problem.since_ms));
    if !problem.hint.is_empty() {
        let _ = writeln!(out, "   do: {}", problem.hint);
    }
    out
}

/// Why the other node could not take over, unless a problem above says it.
fn readiness(snapshot: &StatusSnapshot) -> String {
    let mut out = String::new();
    let is_said = |reason: &&String| {
        let said = |problem: &Problem| problem.text.replace(" group ", " ").contains(*reason);
        snapshot.problems.iter().any(said)
    };
    for reason in snapshot.unready.iter().filter(|reason| !is_said(reason)) {
        let _ = writeln!(out, "   not ready: {reason}");
    }
    out
}

/// Lines that stand only where something is configured or switched on.
fn extras(snapshot: &StatusSnapshot) -> String {
    let mut out = String::new();
    if let Some(it) = &snapshot.maintenance {
        let word = |on| if on { "MAINTENANCE" } else { "no maintenance" };
        let ends = it.ends_in_ms.map(|ms| format!(", ends in {}", age(ms))).unwrap_or_default();
        out += &row("maintenance", &format!("{}{ends}", word(it.here)), word(it.peer));
    }
    if let Some(fencing) = &snapshot.fencing {
        let last = fencing.last.as_ref().map(|last| format!(": {last}")).unwrap_or_default();
        out += &row("fencing", &format!("{}{last}", fencing.state), &fencing.devices.join(", "));
    }
    if let Some(witness) = &snapshot.witness {
        out += &row("witness", witness, "");
    }
    out
}

pub(super) fn row(label: &str, here: &str, there: &str) -> String {
    // A long entry still ends before the next column begins.
    let gap = if here.chars().count() < COLUMN { "" } else { "  " };
    let line = format!(" {label:<LABEL$}{here:<COLUMN$}{gap}{there}");
    format!("{}\n", line.trim_end())
}

fn nodes(snapshot: &StatusSnapshot) -> String {
    let this = &snapshot.this_node;
    let Some(peer) = &snapshot.peer else {
        let mut out = row("", &format!("{} (this node)", this.name), "no other node in ha.cf");
        out += &row("node", &this.status, "");
        out += &row("holds", &this.rscstatus, "");
        return out + &pings(snapshot) + &extras(snapshot);
    };
    let mut out = row("", &format!("{} (this node)", this.name), &peer.name);
    let up = format!("{}, up {}", this.status, age(snapshot.uptime_ms));
    out += &row("node", &up, &format!("{}, {}", peer.status, heard(peer.heard_ms_ago)));
    out += &row("holds", &this.rscstatus, &peer_holdings(peer));
    let speaks = match peer.native {
        Some(true) => "Twinbeat",
        Some(false) => "Heartbeat 3",
        None => "unknown",
    };
    out += &row("speaks", &format!("Twinbeat {}", snapshot.version), speaks);
    for link in &peer.links {
        out += &row(&format!("link {}", link.name), &hears(link), &is_heard(link));
    }
    out += &config(&snapshot.config);
    out += &row("key", &this.key, &peer.keys.as_deref().map(signing).unwrap_or_default());
    out += &further_keys(&this.keys, peer.keys.as_deref());
    out + &pings(snapshot) + &extras(snapshot)
}

/// The direction from the peer to this node.
pub fn hears(link: &LinkStatus) -> String {
    let way = link.rtt_us.map(latency);
    let loss =
        link.loss_permille.map(|permille| format!("{}.{} % lost", permille / 10, permille % 10));
    let measured: Vec<String> = way.into_iter().chain(loss).collect();
    match (&link.failure, link.up) {
        (Some(failure), _) => format!("FAILED: {failure}"),
        (None, true) if measured.is_empty() => format!("hears, {} ago", ago(link.heard_ms_ago)),
        (None, true) => format!("hears  {}", measured.join("  ")),
        (None, false) => match link.heard_ms_ago {
            Some(ms) => format!("DEAD, heard {} ago", age(ms)),
            None => "DEAD, never heard".to_owned(),
        },
    }
}

/// A round trip: `0.08 ms`, `0.4 ms`, `35 ms`.
fn latency(us: u64) -> String {
    match us {
        0..100 => format!("0.{:02} ms", us / 10),
        100..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{} ms", us / 1_000),
    }
}

/// The direction from this node to the peer, as the peer says it.
pub fn is_heard(link: &LinkStatus) -> String {
    let word = match link.peer_hears {
        Some(true) => "hears",
        Some(false) => "does NOT HEAR this node",
        None => "has not said",
    };
    word.to_owned()
}

fn ago(ms: Option<u64>) -> String {
    ms.map_or_else(|| "unknown".to_owned(), age)
}

/// Whether both nodes are configured alike; part by part only where they are not.
fn config(parts: &[ConfigPart]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    if parts.iter().all(|part| part.same == Some(true)) {
        return row("config", "same on both nodes", "");
    }
    if parts.iter().all(|part| part.same.is_none()) {
        return row("config", "the other node has not said", "");
    }
    let line = |part: &ConfigPart| {
        let word = match part.same {
            Some(true) => "same",
            Some(false) => "DIFFERS",
            None => "not comparable",
        };
        let there = part.peer.as_deref().unwrap_or("unknown");
        row(&part.part, &format!("{}  {word}", part.here), there)
    };
    parts.iter().map(line).collect()
}

/// The key that signs, as `ThisNode::key` says it.
fn signing(keys: &[KeyStatus]) -> String {
    let key = keys.iter().find(|key| key.active);
    key.map(|key| format!("#{} {}", key.index, key.method)).unwrap_or_default()
}

/// Keys that do not sign: what a rotation has come to. No line when there are none.
fn further_keys(here: &[KeyStatus], there: Option<&[KeyStatus]>) -> String {
    let accepted = |keys: &[KeyStatus]| {
        let keys = keys.iter().filter(|key| !key.active);
        keys.map(|key| format!("#{} {}", key.index, key.method)).collect::<Vec<_>>().join(", ")
    };
    let (here, there) = (accepted(here), there.map(accepted).unwrap_or_default());
    if here.is_empty() && there.is_empty() {
        return String::new();
    }
    let shown = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    row("also accepts", &shown(here), &shown(there))
}

/// What the other node says that it holds.
pub fn peer_holdings(peer: &PeerNode) -> String {
    match (&peer.holdings, peer.stable) {
        (None, _) => "unknown".to_owned(),
        (Some(word), Some(false)) => format!("{word}, in transition"),
        (Some(word), _) => word.clone(),
    }
}

fn pings(snapshot: &StatusSnapshot) -> String {
    let line = |ping: &hb_node::api::PingStatus| {
        let word = match ping.status.as_str() {
            "ping" => "answers".to_owned(),
            "init" => "not heard yet".to_owned(),
            _ => "SILENT".to_owned(),
        };
        row("ping", &format!("{} {word}", ping.name), &heard(ping.heard_ms_ago))
    };
    snapshot.pings.iter().map(line).collect()
}

fn group_lines(snapshot: &StatusSnapshot, group: &GroupStatus, style: Style) -> String {
    let active = active_words(group);
    let failback = format!("{:?}", snapshot.auto_failback).to_lowercase();
    let mut out = format!(
        " group {}   active on {active}   prefers {}   failback {failback}\n",
        group.key, group.prefers
    );
    let there = match group.peer {
        Some(claim) => claim_word(claim),
        None => "unknown",
    };
    let _ = writeln!(
        out,
        "   here {} for {}, peer {there}: {}",
        claim_word(group.here),
        age(group.since_ms),
        group.reason
    );
    for resource in &group.resources {
        out.push_str(&resource_line(resource, group, style));
    }
    let peer = snapshot.peer.as_ref().map_or("the other", |peer| peer.name.as_str());
    let dies = if_it_dies(snapshot, group);
    let unsaid = |why: &Option<String>| {
        let said = |why: &String| !snapshot.failover_ready && dies.contains(why.as_str());
        why.clone().filter(|why| !said(why))
    };
    let lines = [
        ("   goes home: ", group.failback.clone()),
        ("   would do: ", group.would_do.clone()),
        ("   could not run here: ", unsaid(&group.unready_here)),
        (
            "   could not run there: ",
            unsaid(&group.unready_peer).map(|why| format!("{peer}: {why}")),
        ),
    ];
    if !snapshot.failover_ready {
        out += &dies;
    }
    for (label, text) in lines {
        if let Some(text) = text {
            let _ = writeln!(out, "{label}{text}");
        }
    }
    out
}

/// Who serves a group; what is not known is not claimed.
fn active_words(group: &GroupStatus) -> String {
    match (&group.active_on, &group.maybe_on) {
        (Some(node), None) => node.clone(),
        (Some(node), Some(other)) => format!("{node}, perhaps on {other} too"),
        (None, Some(other)) => format!("{other} perhaps (not known)"),
        (None, None) => "nobody".to_owned(),
    }
}

/// What a failure of the node that serves the group would lead to at this moment. Nothing is foretold
/// while the group moves, or both nodes have it.
pub fn if_it_dies(snapshot: &StatusSnapshot, group: &GroupStatus) -> String {
    let Some(active) = &group.active_on else { return String::new() };
    if matches!(snapshot.verdict, Verdict::Transition | Verdict::Split) {
        return String::new();
    }
    let is_here = *active == snapshot.this_node.name;
    let (heir, why_not) = match (&snapshot.peer, is_here) {
        (Some(peer), true) => match peer.status.as_str() {
            "active" => (peer.name.as_str(), group.unready_peer.clone()),
            status => (peer.name.as_str(), Some(format!("{} is {status}", peer.name))),
        },
        (Some(_), false) => (snapshot.this_node.name.as_str(), group.unready_here.clone()),
        (None, _) => ("", Some("there is no other node".to_owned())),
    };
    let hands_off = snapshot.maintenance.as_ref().map(|it| match (it.here, &snapshot.peer) {
        (false, Some(peer)) => format!("{} is in maintenance", peer.name),
        (true | false, _) => format!("{} is in maintenance", snapshot.this_node.name),
    });
    let tail = match hands_off.or(why_not) {
        None => format!("it would move to {heir}"),
        Some(why) => format!("it would NOT be served: {why}"),
    };
    format!("   if {active} dies now: {tail}\n")
}

fn resource_line(resource: &ResourceStatus, group: &GroupStatus, style: Style) -> String {
    let last = match (resource.checked_ms_ago, &resource.last) {
        (Some(ms), Some(last)) => format!("   checked {} ago: {last}", age(ms)),
        (None, Some(last)) => format!("   last: {last}"),
        (Some(_) | None, None) => String::new(),
    };
    let failures = match resource.failures {
        0 => String::new(),
        1 => "   1 failure".to_owned(),
        count => format!("   {count} failures"),
    };
    let busy = resource.under_way.as_ref().map(|it| format!("     {it}\n"));
    let busy = busy.unwrap_or_default();
    format!(
        "   {} {:<34} {} for {}{last}{failures}\n{busy}",
        style.dot(group.here),
        resource.text,
        resource.state,
        age(resource.since_ms),
    )
}

/// A group's state on one node, in a word.
pub fn claim_word(claim: GroupClaim) -> &'static str {
    match claim {
        GroupClaim::Released => "released",
        GroupClaim::Acquiring => "acquiring",
        GroupClaim::Held => "held",
        GroupClaim::Releasing => "releasing",
        GroupClaim::Failed => "FAILED",
        GroupClaim::Blocked => "BLOCKED",
    }
}

/// The age of what is known of a node.
pub fn heard(ms: Option<u64>) -> String {
    match ms {
        Some(ms) => format!("heard {} ago", age(ms)),
        None => "never heard".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hb_node::api::{FencingStatus, MaintenanceStatus};

    use hb_node::api::KeyStatus;

    use super::*;
    use crate::testing;

    fn shown(snapshot: &StatusSnapshot, style: Style) -> String {
        screen(snapshot, style, &|_| "08 Nov 17:20:03.412".to_owned())
    }

    const PLAIN: Style = Style { symbols: false, colour: false };

    #[test]
    fn the_degraded_screen_names_cause_and_cure() {
        insta::assert_snapshot!("degraded", shown(&testing::snapshot(), PLAIN));
    }

    #[test]
    fn the_healthy_screen_fits_eighty_columns() {
        let text = shown(&testing::healthy(), PLAIN);
        insta::assert_snapshot!("healthy", text);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{text}");
    }

    #[test]
    fn what_is_only_sometimes_there_has_its_lines() {
        let mut snapshot = testing::healthy();
        snapshot.unready = vec!["node2: nginx: configuration invalid".into()];
        snapshot.failover_ready = false;
        snapshot.maintenance =
            Some(MaintenanceStatus { here: true, peer: false, ends_in_ms: Some(1_740_000) });
        snapshot.fencing = Some(FencingStatus {
            devices: vec!["ipmi-node2".into()],
            state: "failed".into(),
            last: Some("ipmi-node2: timed out".into()),
        });
        snapshot.witness = Some("etcd: granted".into());
        let peer = snapshot.peer.as_mut().unwrap();
        peer.links[0].peer_hears = Some(true);
        peer.links[1].peer_hears = Some(false);
        peer.links[0].loss_permille = Some(12);
        peer.links[0].rtt_us = Some(438);
        peer.links[1].rtt_us = Some(35_600);
        let group = &mut snapshot.groups[0];
        group.failback = Some("in 12 s, when node2 has been ready for 20 s".into());
        group.would_do = Some("restart nginx".into());
        group.unready_peer = Some("nginx: configuration invalid".into());
        group.resources[1].checked_ms_ago = Some(2_300);
        group.resources[1].failures = 2;
        group.resources[1].under_way = Some("stop for 12 s, limit 60 s".into());
        insta::assert_snapshot!("everything", shown(&snapshot, PLAIN));
    }

    #[test]
    fn a_rotation_shows_who_has_which_key() {
        let mut snapshot = testing::healthy();
        let new = KeyStatus { index: 2, active: false, ..testing::signing_key() };
        snapshot.this_node.keys.push(new);
        let text = shown(&snapshot, PLAIN);
        assert!(text.contains("also accepts  #2 sha1                       none\n"), "{text}");
    }

    #[test]
    fn colour_never_carries_meaning() {
        let coloured = shown(&testing::snapshot(), Style { symbols: false, colour: true });
        let plain = shown(&testing::snapshot(), PLAIN);
        assert_ne!(coloured, plain);
        let stripped = coloured.replace("\x1b[1;33m", "").replace("\x1b[0m", "");
        assert_eq!(stripped, plain);
    }
}
