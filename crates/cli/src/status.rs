//! `hb status`: the verdict first, then both nodes side by side with the age of what is known, then
//! groups, then what to do. It draws one snapshot; it decides nothing.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use hb_node::api::{
    GroupStatus, KeyStatus, PeerNode, Problem, ResourceStatus, StatusSnapshot, Verdict,
};
use hb_resource::input::GroupClaim;

use crate::{client, exit, print};

/// Width of the first column.
const LABEL: usize = 14;
/// Width of a node's column.
const COLUMN: usize = 30;

/// Options of `hb status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print the whole snapshot as JSON (schema version in the field `v`)
    #[arg(long)]
    json: bool,
    /// No colour and no symbols beyond ASCII; also when stdout is not a terminal
    #[arg(long)]
    plain: bool,
}

/// Runs `hb status`. Exit: 0 healthy, 1 degraded or in transition, 2 not served or split, 3 unknown.
pub(crate) fn run(run_dir: &Path, args: &StatusArgs) -> ExitCode {
    let snapshot = match client::snapshot(run_dir) {
        Ok(snapshot) => snapshot,
        Err(error) if args.json => {
            let text =
                serde_json::json!({ "v": hb_node::api::VERSION, "error": error.to_string() });
            print::out(&format!("{text}\n"));
            return exit::code(exit::UNKNOWN);
        }
        Err(error) => {
            print::err(&format!(
                "hb: {error}\nhint: start it with `systemctl start heartbeat` or `heartbeat`; \
                 `hb check` tells whether its configuration is right\n"
            ));
            return exit::code(exit::UNKNOWN);
        }
    };
    if args.json {
        match serde_json::to_string_pretty(&snapshot) {
            Ok(text) => print::out(&format!("{text}\n")),
            Err(error) => print::err(&format!("hb: {error}\n")),
        }
    } else {
        let terminal = std::io::stdout().is_terminal() && !args.plain;
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        print::out(&screen(&snapshot, Style { symbols: terminal, colour }));
    }
    exit::code(verdict_code(snapshot.verdict))
}

fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => exit::OK,
        Verdict::Transition | Verdict::Degraded => exit::NEGATIVE,
        Verdict::Down | Verdict::Split => exit::USAGE,
    }
}

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

/// The whole screen.
pub(crate) fn screen(snapshot: &StatusSnapshot, style: Style) -> String {
    let mut out = headline(snapshot, style);
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
    if let Some(last) = &snapshot.last_move {
        let _ = writeln!(
            out,
            "\n last here   {} {}: {} (took {})",
            last.group,
            last.what,
            last.reason,
            millis(last.elapsed_ms),
        );
    }
    out
}

fn headline(snapshot: &StatusSnapshot, style: Style) -> String {
    let word = match snapshot.verdict {
        Verdict::Healthy => "HEALTHY",
        Verdict::Transition => "IN TRANSITION",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "NOT SERVED",
        Verdict::Split => "SPLIT",
    };
    let verdict = format!("{}  {word}", style.symbol(snapshot.verdict));
    let verdict = style.paint(snapshot.verdict, &verdict);
    let ready = if snapshot.failover_ready { "yes" } else { "NO" };
    let up = age(snapshot.uptime_ms);
    format!("{}  {verdict}   failover ready: {ready}   up {up}\n", snapshot.cluster)
}

fn problem_lines(number: usize, problem: &Problem) -> String {
    let mut out = format!(" {number} {}   since {}\n", problem.text, age(problem.since_ms));
    if !problem.hint.is_empty() {
        let _ = writeln!(out, "   do: {}", problem.hint);
    }
    out
}

/// Why the other node could not take over, and who else has a say.
fn readiness(snapshot: &StatusSnapshot) -> String {
    let mut out = String::new();
    for reason in &snapshot.unready {
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

fn row(label: &str, here: &str, there: &str) -> String {
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
    out += &row("node", &this.status, &format!("{}, {}", peer.status, heard(peer.heard_ms_ago)));
    out += &row("holds", &this.rscstatus, &peer_holdings(peer));
    let speaks = match peer.native {
        Some(true) => "Twinbeat",
        Some(false) => "Heartbeat 3",
        None => "unknown",
    };
    out += &row("speaks", &format!("Twinbeat {}", snapshot.version), speaks);
    for link in &peer.links {
        let here = match &link.failure {
            Some(failure) => format!("FAILED: {failure}"),
            None => match link.peer_hears {
                Some(true) => "works, heard by the other".to_owned(),
                Some(false) => "NOT HEARD by the other".to_owned(),
                None => "works".to_owned(),
            },
        };
        let there = match link.up {
            true => format!("up, {}", heard(link.heard_ms_ago)),
            false => format!("DEAD, {}", heard(link.heard_ms_ago)),
        };
        out += &row(&format!("link {}", link.name), &here, &there);
    }
    out += &row("key", &this.key, &peer.keys.as_deref().map(signing).unwrap_or_default());
    out += &further_keys(&this.keys, peer.keys.as_deref());
    out + &pings(snapshot) + &extras(snapshot)
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

fn peer_holdings(peer: &PeerNode) -> String {
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
    let active = group.active_on.as_deref().unwrap_or("nobody");
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
    let lines = [
        ("   goes home: ", group.failback.clone()),
        ("   would do: ", group.would_do.clone()),
        ("   could not run here: ", group.unready_here.clone()),
        (
            "   could not run there: ",
            group.unready_peer.as_ref().map(|why| format!("{peer}: {why}")),
        ),
    ];
    for (label, text) in lines {
        if let Some(text) = text {
            let _ = writeln!(out, "{label}{text}");
        }
    }
    out
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
    let busy = resource.under_way.as_ref().map(|it| format!("     under way: {it}\n"));
    let busy = busy.unwrap_or_default();
    format!(
        "   {} {:<34} {} for {}{last}{failures}\n{busy}",
        style.dot(group.here),
        resource.text,
        resource.state,
        age(resource.since_ms),
    )
}

fn claim_word(claim: GroupClaim) -> &'static str {
    match claim {
        GroupClaim::Released => "released",
        GroupClaim::Acquiring => "acquiring",
        GroupClaim::Held => "held",
        GroupClaim::Releasing => "releasing",
        GroupClaim::Failed => "FAILED",
        GroupClaim::Blocked => "BLOCKED",
    }
}

fn heard(ms: Option<u64>) -> String {
    match ms {
        Some(ms) => format!("heard {} ago", age(ms)),
        None => "never heard".to_owned(),
    }
}

fn millis(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { age(ms) }
}

/// A duration as people say it: `0.3 s`, `42 s`, `04:11`, `3 h 04 min`, `12 d 4 h`.
pub(crate) fn age(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..10 => format!("{}.{} s", s, ms % 1_000 / 100),
        10..60 => format!("{s} s"),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use hb_node::api::{FencingStatus, MaintenanceStatus};

    use super::*;
    use crate::testing;

    const PLAIN: Style = Style { symbols: false, colour: false };

    #[test]
    fn the_degraded_screen_names_cause_and_cure() {
        insta::assert_snapshot!("degraded", screen(&testing::snapshot(), PLAIN));
    }

    #[test]
    fn the_healthy_screen_fits_eighty_columns() {
        let text = screen(&testing::healthy(), PLAIN);
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
        let group = &mut snapshot.groups[0];
        group.failback = Some("in 12 s, when node2 has been ready for 20 s".into());
        group.would_do = Some("restart nginx".into());
        group.unready_peer = Some("nginx: configuration invalid".into());
        group.resources[1].checked_ms_ago = Some(2_300);
        group.resources[1].failures = 2;
        group.resources[1].under_way = Some("stop for 12 s, limit 60 s".into());
        insta::assert_snapshot!("everything", screen(&snapshot, PLAIN));
    }

    #[test]
    fn a_rotation_shows_who_has_which_key() {
        let mut snapshot = testing::healthy();
        let new = KeyStatus { index: 2, active: false, ..testing::signing_key() };
        snapshot.this_node.keys.push(new);
        let text = screen(&snapshot, PLAIN);
        assert!(text.contains("also accepts  #2 sha1                       none\n"), "{text}");
    }

    #[test]
    fn colour_never_carries_meaning() {
        let coloured = screen(&testing::snapshot(), Style { symbols: false, colour: true });
        let plain = screen(&testing::snapshot(), PLAIN);
        assert_ne!(coloured, plain);
        let stripped = coloured.replace("\x1b[1;33m", "").replace("\x1b[0m", "");
        assert_eq!(stripped, plain);
    }

    #[test]
    fn ages_read_naturally() {
        for (ms, text) in [
            (0, "0.0 s"),
            (340, "0.3 s"),
            (42_000, "42 s"),
            (251_000, "4 min 11 s"),
            (11_040_000, "3 h 04 min"),
            (1_051_200_000, "12 d 4 h"),
        ] {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn exit_codes_follow_the_verdict() {
        let codes = [
            (Verdict::Healthy, 0),
            (Verdict::Transition, 1),
            (Verdict::Degraded, 1),
            (Verdict::Down, 2),
            (Verdict::Split, 2),
        ];
        for (verdict, code) in codes {
            assert_eq!(verdict_code(verdict), code, "{verdict:?}");
        }
    }
}
