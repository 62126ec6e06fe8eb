//! What exactly a drill will do, and whether it is safe to: values in, values out. Nothing is done
//! here; what is looked at beforehand is handed in as [`Facts`].

use std::collections::BTreeMap;

use hb_config::settings::{BuiltIn, GroupSpec, Medium, Settings};
use hb_node::api::{StatusSnapshot, Verdict};
use serde::Serialize;

use super::daemon::{Daemon, Supervisor};
use super::fault::{Fault, Kind};
use crate::history::line::span;

/// Longest time that a daemon or a link is away on purpose.
const HOLD_MAX_MS: u64 = 10 * 60_000;
/// Beyond what the nodes need for it: the slowness of a loaded machine.
const HOLD_SLACK_MS: u64 = 2_000;
/// Longer than any start of a service, with the time that the other node needs to notice.
const STOP_LIMIT_MS: u64 = 5 * 60_000;
/// A killed daemon is back within seconds.
const KILL_LIMIT_MS: u64 = 60_000;
/// Problems that a loaded machine leaves behind for a while.
const PASSING: [&str; 2] = ["late_heartbeats", "core_stalled"];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) kind: Kind,
    /// What stands after the kind: `LINK` of a cut, then `GROUP`.
    pub(super) words: Vec<String>,
    pub(super) max_outage_ms: u64,
    /// How long the fault lasts, if said.
    pub(super) hold_ms: Option<u64>,
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) kind: Kind,
    pub(super) link: Option<String>,
    /// The group that moves, when it is not all.
    pub(super) group: Option<String>,
    /// Groups whose service is measured, and where they are.
    pub(super) home: BTreeMap<String, String>,
    /// This node serves them.
    pub(super) owner_here: bool,
    pub(super) max_outage_ms: u64,
    /// How long the fault lasts at most; it is undone then by itself.
    pub(super) limit_ms: u64,
    /// Words of `hb plan` for it; `None`: no interruption is expected at all.
    pub(super) plan: Option<Vec<String>>,
    /// The other node is expected to take the groups over.
    pub(super) moves: bool,
}

/// What was found out beforehand.
#[derive(Clone, Debug)]
pub(super) struct Facts<'a> {
    pub(super) status: &'a StatusSnapshot,
    pub(super) settings: &'a Settings,
    pub(super) daemon: Option<&'a Daemon>,
    /// Whether `nft` is installed.
    pub(super) nft: bool,
    /// Version of hb on the other node, or why it cannot observe.
    pub(super) observer: &'a Result<String, String>,
    /// Expected outage, or why it cannot be told.
    pub(super) expected: &'a Result<u64, String>,
}

/// One thing that was looked at beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What.
    pub(super) name: &'static str,
    /// Whether it allows the drill.
    pub(super) ok: bool,
    /// What was found.
    pub(super) text: String,
}

impl Spec {
    /// Says what `wish` means on this node today.
    ///
    /// # Errors
    /// When there is no such group or link, or nothing that could be rehearsed.
    pub(super) fn of(
        wish: &Wish,
        status: &StatusSnapshot,
        settings: &Settings,
        watchdog_ms: Option<u64>,
    ) -> Result<Self, String> {
        let mut words = wish.words.iter();
        let link = match wish.kind {
            Kind::Cut => Some(link(words.next(), settings)?),
            Kind::Standby | Kind::Stop | Kind::Kill | Kind::Freeze => None,
        };
        let group = words.next().map(|wanted| key(wanted, settings)).transpose()?;
        if let Some(more) = words.next() {
            return Err(format!("{more:?} is too much: write [LINK] [GROUP]"));
        }
        let here = status.this_node.name.as_str();
        let served = |wanted: &dyn Fn(&str, &str) -> bool| -> BTreeMap<String, String> {
            let active =
                status.groups.iter().filter_map(|it| Some((&it.key, it.active_on.as_ref()?)));
            let wanted = active.filter(|(key, node)| wanted(key, node));
            wanted.map(|(key, node)| (key.clone(), node.clone())).collect()
        };
        let asked = |key: &str| group.as_ref().is_none_or(|wanted| wanted == key);
        let mut home = served(&|key, node| asked(key) && node == here);
        let owner_here = !home.is_empty();
        if !owner_here {
            home = served(&|key, _| asked(key));
        }
        if home.is_empty() {
            return Err("no node serves that now: there is nothing to rehearse".to_owned());
        }
        let mut spec = Self {
            kind: wish.kind,
            link,
            group,
            home,
            owner_here,
            max_outage_ms: wish.max_outage_ms,
            limit_ms: 0,
            plan: None,
            moves: false,
        };
        spec.limit_ms = spec.limit(wish.hold_ms, settings);
        spec.moves = spec.is_expected_to_move(settings, watchdog_ms);
        spec.plan = spec.plan(here);
        Ok(spec)
    }

    fn limit(&self, hold_ms: Option<u64>, settings: &Settings) -> u64 {
        let deadtime = settings.timing.deadtime_ms;
        let own = match self.kind {
            Kind::Standby => STOP_LIMIT_MS,
            Kind::Stop => STOP_LIMIT_MS + deadtime,
            Kind::Kill => KILL_LIMIT_MS + deadtime,
            Kind::Freeze => deadtime + self.patience(settings) + HOLD_SLACK_MS,
            Kind::Cut => deadtime + HOLD_SLACK_MS,
        };
        let hold = match self.kind {
            Kind::Freeze | Kind::Cut => hold_ms.unwrap_or(own),
            Kind::Standby | Kind::Stop | Kind::Kill => own,
        };
        hold.clamp(1, HOLD_MAX_MS.max(own))
    }

    /// How long the other node leaves an address to a silent machine that still answers for it.
    fn patience(&self, settings: &Settings) -> u64 {
        let guard = settings.native.address;
        let has_address = |group: &&GroupSpec| {
            let mut built_in = group.resources.iter().map(|resource| &resource.built_in);
            built_in.any(|it| matches!(it, Some(BuiltIn::Address(_))))
        };
        let ours = settings.groups.iter().filter(|group| self.home.contains_key(&group.key));
        let asked = guard.probe_ms > 0 && ours.filter(has_address).count() > 0;
        if asked && self.owner_here { guard.hold_ms } else { 0 }
    }

    fn is_expected_to_move(&self, settings: &Settings, watchdog_ms: Option<u64>) -> bool {
        let deadtime = settings.timing.deadtime_ms;
        match self.kind {
            Kind::Standby => true,
            Kind::Stop => self.owner_here,
            Kind::Freeze => {
                let frozen = self.limit_ms.min(watchdog_ms.unwrap_or(u64::MAX));
                self.owner_here && frozen > deadtime + self.patience(settings)
            }
            Kind::Kill | Kind::Cut => false,
        }
    }

    fn plan(&self, here: &str) -> Option<Vec<String>> {
        let words: Vec<&str> = match self.kind {
            Kind::Standby if self.owner_here => vec!["standby"],
            Kind::Standby => vec!["takeover"],
            // An orderly end gives everything away as a standby does.
            Kind::Stop if self.owner_here => vec!["standby"],
            Kind::Freeze if self.moves => vec![here, "dies"],
            Kind::Cut => vec![self.link.as_deref()?, "cut"],
            Kind::Stop | Kind::Kill | Kind::Freeze => return None,
        };
        let group = self.group.as_deref().filter(|_| self.kind == Kind::Standby);
        Some(words.into_iter().chain(group).map(str::to_owned).collect())
    }

    /// Why what is measured on this node itself says nothing of the service.
    pub(super) fn blind(&self) -> Option<&'static str> {
        (self.kind == Kind::Freeze && self.owner_here)
            .then_some("its kernel goes on answering for the address while heartbeat stands still")
    }

    /// What will be done to this node.
    pub(super) fn fault(&self, daemon: &Daemon, settings: &Settings) -> Fault {
        match self.kind {
            Kind::Standby => Fault::Move { group: self.group.clone(), give: self.owner_here },
            Kind::Stop => Fault::Stop(daemon.start.clone()),
            Kind::Kill => Fault::Kill(daemon.process, daemon.start.clone()),
            Kind::Freeze => Fault::Freeze(daemon.process),
            Kind::Cut => {
                let link = self.link.clone().unwrap_or_default();
                let media = settings.media.iter().filter(|medium| medium.interface() == link);
                let mut ports: Vec<u16> = media.map(|medium| port(medium, settings)).collect();
                ports.sort_unstable();
                ports.dedup();
                Fault::Cut { link, ports }
            }
        }
    }
}

fn port(medium: &Medium, settings: &Settings) -> u16 {
    match medium {
        Medium::Broadcast { .. } | Medium::Unicast { .. } | Medium::Unicast6 { .. } => {
            settings.udp_port
        }
        Medium::Multicast { port, .. } | Medium::Multicast6 { port, .. } => *port,
    }
}

fn link(word: Option<&String>, settings: &Settings) -> Result<String, String> {
    let mut names: Vec<&str> = settings.media.iter().map(Medium::interface).collect();
    names.dedup();
    let known = names.join(", ");
    let word = word.ok_or_else(|| format!("which link is to be cut? ha.cf has {known}"))?;
    let found = names.iter().any(|name| name == word);
    found
        .then(|| word.clone())
        .ok_or_else(|| format!("no heartbeat link {word}: ha.cf has {known}"))
}

/// A group by its key, or by a part that only one has.
fn key(wanted: &str, settings: &Settings) -> Result<String, String> {
    let keys: Vec<&str> = settings.groups.iter().map(|spec| spec.key.as_str()).collect();
    let near: Vec<&str> = keys.iter().copied().filter(|key| key.contains(wanted)).collect();
    match (keys.contains(&wanted), near.as_slice()) {
        (true, _) => Ok(wanted.to_owned()),
        (false, [key]) => Ok((*key).to_owned()),
        (false, _) => Err(format!("no group {wanted}: haresources has {}", keys.join(", "))),
    }
}

/// Everything that must be so before it begins.
pub(super) fn checks(spec: &Spec, facts: &Facts<'_>) -> Vec<Check> {
    let mut found = Vec::new();
    let mut add = |name, ok, text: String| found.push(Check { name, ok, text });
    let status = facts.status;
    let wrong: Vec<&str> = status
        .problems
        .iter()
        .filter(|problem| !PASSING.contains(&problem.id.as_str()))
        .map(|problem| problem.text.as_str())
        .collect();
    let well = wrong.is_empty() && !matches!(status.verdict, Verdict::Down | Verdict::Split);
    let text = if well { "nothing is wrong".to_owned() } else { wrong.join("; ") };
    add("health", well, text);
    let peer = status.peer.as_ref();
    let active = peer.is_some_and(|peer| peer.status == "active");
    let name = peer.map_or("the other node", |peer| peer.name.as_str());
    let is = peer.map_or("not configured", |peer| peer.status.as_str());
    add("peer", active, format!("{name} is {is}"));
    let native = peer.and_then(|peer| peer.native) == Some(true);
    let runs = if native { "Twinbeat" } else { "no Twinbeat, whose answers a drill needs" };
    add("product", native, format!("{name} runs {runs}"));
    let ready = status.failover_ready;
    let text = if ready { "yes".to_owned() } else { status.unready.join("; ") };
    add("failover ready", ready, text);
    let off = status.maintenance.is_none();
    add("maintenance", off, (if off { "off" } else { "on: hb maintenance off" }).to_owned());
    let rests = status.this_node.phase == "stable"
        && status.verdict != Verdict::Transition
        && peer.and_then(|peer| peer.stable) != Some(false);
    let text = if rests { "nothing is under way" } else { "a transition is under way" };
    add("at rest", rests, text.to_owned());
    let max = span(spec.max_outage_ms);
    match facts.expected {
        Ok(ms) => {
            let text = format!("expected {}, allowed {max}", span(*ms));
            add("outage", *ms <= spec.max_outage_ms, text);
        }
        Err(text) => add("outage", false, format!("it cannot be planned: {text}")),
    }
    let seen = facts.observer.is_ok() || spec.blind().is_none();
    let text = match (facts.observer, spec.blind()) {
        (Ok(version), _) => format!("{name} (hb {version}) observes, too"),
        (Err(why), None) => format!("only this node observes: {why}"),
        (Err(why), Some(blind)) => format!("nobody could measure it: {why}; on this node {blind}"),
    };
    add("observers", seen, text);
    of_kind(spec, facts, &mut add);
    found
}

/// What only some kinds need.
fn of_kind(spec: &Spec, facts: &Facts<'_>, add: &mut impl FnMut(&'static str, bool, String)) {
    let native = &facts.settings.native;
    match (spec.kind, facts.daemon) {
        (Kind::Kill, Some(daemon)) => {
            let (ok, text) = match &daemon.supervisor {
                Supervisor::Systemd(unit) => (true, format!("systemd starts {unit} again")),
                Supervisor::Guardian => (true, "its guardian starts it again".to_owned()),
                Supervisor::None => (false, "nobody starts it again when it is killed".to_owned()),
            };
            add("supervision", ok, text);
        }
        (Kind::Freeze, Some(daemon)) => {
            let fences = native.fencing.is_some() || native.watchdog.is_some();
            let text = "a frozen node would be fenced or reset by its watchdog: not on a live pair";
            let none = "none that would end a frozen node";
            add("fencing", !fences, (if fences { text } else { none }).to_owned());
            if let Some(ms) = daemon.watchdog_ms.filter(|ms| *ms <= spec.limit_ms) {
                let text = format!("systemd ends it after {} and starts it anew", span(ms));
                add("service manager", true, text);
            }
        }
        (Kind::Cut, Some(_)) => {
            let nft =
                if facts.nft { "nft is installed" } else { "nft (nftables) is not installed" };
            add("nftables", facts.nft, nft.to_owned());
            let links = facts.status.peer.iter().flat_map(|peer| &peer.links);
            let others = links.filter(|link| {
                link.up && link.peer_hears != Some(false) && Some(&link.name) != spec.link.as_ref()
            });
            let others: Vec<&str> = others.map(|link| link.name.as_str()).collect();
            let text = match others.is_empty() {
                true => {
                    "no other heartbeat link works: without it both nodes would be alone".into()
                }
                false => format!("{} goes on", others.join(", ")),
            };
            add("other links", !others.is_empty(), text);
        }
        (Kind::Standby | Kind::Stop, Some(_)) => {}
        (_, None) => add("process", false, "the process of heartbeat cannot be looked at".into()),
    }
}

#[cfg(test)]
mod tests;
