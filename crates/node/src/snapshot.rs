//! What `hb status` shows: one view of messaging and the resource manager at a moment. It reads
//! and never changes anything; what is not known is left out, not guessed.

use std::borrow::Cow;

use hb_config::settings::NodeName;
use hb_messaging::engine::{Counters, LinkMeasures, LinkView, NodeView};
use hb_messaging::measure::Intervals;
use hb_messaging::message::NodeStatus;
use hb_messaging::time::Instant;
use hb_resource::group::Group;
use hb_resource::input::GroupClaim;
use hb_resource::manager::{FailbackState, Maintenance, Manager, Phase};
use hb_resource::output::Timer;

use crate::activity::short;
use crate::api::{
    ConfigPart, GroupStatus, LinkStatus, MaintenanceStatus, PeerNode, PingStatus, ResourceStatus,
    StatusSnapshot, ThisNode, VERSION, Verdict,
};
use crate::doubt::Doubt;
use crate::equal;
use crate::keys;
use crate::node::Node;
use crate::problems::Finding;
use crate::report::millis;
use crate::rivals::Rival;

/// Who serves a group, as far as is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// This node, and as far as is known nobody else.
    Here,
    /// The peer says so.
    Peer,
    /// This node does and the peer says so too.
    Both,
    /// Nobody: the peer says that it does not, or is dead.
    Nobody,
    /// Not here, and the peer lives but never said.
    Unknown,
}

/// A node and what messaging knows of the others, at one moment.
pub(crate) struct View<'a> {
    pub(crate) node: &'a Node,
    pub(crate) nodes: Cow<'a, [NodeView]>,
    /// Position of the peer.
    peer: Option<usize>,
}

impl Node {
    pub(crate) fn view(&self, now: Instant) -> View<'_> {
        self.view_over(self.messaging.nodes(now).into())
    }

    /// The view of who has asked messaging already.
    pub(crate) fn view_of<'a>(&'a self, nodes: &'a [NodeView]) -> View<'a> {
        self.view_over(nodes.into())
    }

    fn view_over<'a>(&'a self, nodes: Cow<'a, [NodeView]>) -> View<'a> {
        let name = self.profile.peer.as_ref();
        let peer = nodes.iter().position(|node| Some(&node.name) == name && !node.ping);
        View { node: self, nodes, peer }
    }

    /// What this node has, for who watches it from within the process: a simulator.
    pub fn resources(&self) -> &Manager {
        &self.manager
    }

    /// What became of the datagrams so far, for the same.
    pub fn counters(&self) -> Counters {
        self.messaging.counters()
    }

    /// A snapshot at `now`; `pid` is left 0 for the shell to fill in.
    pub fn status(&self, now: Instant) -> StatusSnapshot {
        let view = self.view(now);
        let findings = view.problems(now);
        let unready = view.unready(now);
        StatusSnapshot {
            v: VERSION,
            cluster: self.profile.cluster.clone(),
            members: self.profile.members.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: 0,
            uptime_ms: now.as_millis(),
            verdict: view.verdict(&findings),
            verdict_since_ms: self.verdict.lasted_ms(&(), now),
            config: view.config(),
            failover_ready: unready.is_empty(),
            unready,
            maintenance: self.maintenance(now),
            fencing: self.doubt.as_ref().and_then(|doubt| doubt.fencing_status(now)),
            witness: self.doubt.as_ref().and_then(Doubt::witness_words),
            problems: self.watch.dated(findings, now),
            this_node: view.this_node(),
            peer: view.peer_node(),
            pings: view.pings(),
            groups: self
                .manager
                .groups()
                .enumerate()
                .map(|(number, group)| view.group(number, group, now))
                .collect(),
            last_move: self.history.last().cloned(),
            timing: self.profile.timing,
            auto_failback: self.profile.auto_failback,
            parameters: self.profile.parameters.clone(),
            counters: self.messaging.counters(),
            activity: self.totals.activity().clone(),
        }
    }
}

impl Node {
    /// What both nodes were asked to leave alone, and until when.
    pub(crate) fn maintenance(&self, now: Instant) -> Option<MaintenanceStatus> {
        let Maintenance { here, peer } = self.manager.maintenance();
        let ends = self.timers.due(&Timer::MaintenanceEnd).filter(|_| here);
        let ends_in_ms = ends.map(|at| millis(at - now.min(at)));
        (here || peer).then_some(MaintenanceStatus { here, peer, ends_in_ms })
    }
}

impl View<'_> {
    pub(crate) fn peer(&self) -> Option<&NodeView> {
        self.nodes.get(self.peer?)
    }

    pub(crate) fn peer_name(&self) -> &str {
        self.node.profile.peer.as_ref().map_or("-", NodeName::as_str)
    }

    /// What a peer says counts only while it lives.
    pub(crate) fn peer_lives(&self) -> bool {
        self.peer().is_some_and(|peer| match peer.status {
            NodeStatus::Up | NodeStatus::Active => true,
            NodeStatus::Init | NodeStatus::Dead | NodeStatus::Ping => false,
        })
    }

    /// Whether the peer says that it hears us on this link of ours.
    pub(crate) fn peer_hears(&self, index: usize) -> Option<bool> {
        if !self.peer_lives() {
            return None;
        }
        let names = self.peer()?.links.iter().map(|link| link.name.as_str());
        self.node.peer_says.hears_on(names, index)
    }

    /// The peer's own word on one group; only a Twinbeat peer gives it.
    pub(crate) fn peer_claim(&self, key: &str) -> Option<GroupClaim> {
        if !self.peer_lives() {
            return None;
        }
        self.node.manager.peer_groups()?.get(key).copied()
    }

    /// Whether the peer holds the set that contains this group. Without a word on the group itself
    /// only a settled peer is believed: 3.0.6 books a set before its scripts ran.
    fn peer_holds(&self, key: &str) -> Option<bool> {
        if self.node.manager.peer_groups().is_some() {
            return self.peer_claim(key).map(|claim| claim == GroupClaim::Held);
        }
        let holdings = self.node.manager.peer_holdings()?;
        let peer = self.node.profile.peer.as_ref()?;
        let spec = self.node.profile.groups.iter().find(|spec| spec.key == key)?;
        let set = if spec.preferred == *peer { holdings.local } else { holdings.foreign };
        Some(set)
    }

    pub(crate) fn service(&self, key: &str) -> Service {
        let here = self.node.manager.groups().find(|group| group.key() == key);
        self.service_as(key, here.map(Group::claim))
    }

    /// The same, where this node's claim is known.
    pub(crate) fn service_as(&self, key: &str, here: Option<GroupClaim>) -> Service {
        let here = here == Some(GroupClaim::Held);
        let peer = if self.peer_lives() { self.peer_holds(key) } else { Some(false) };
        match (here, peer) {
            (true, Some(true)) if self.is_settled() || self.peer_claim(key).is_some() => {
                Service::Both
            }
            (true, Some(_) | None) => Service::Here,
            (false, Some(true)) => Service::Peer,
            (false, Some(false)) => Service::Nobody,
            (false, None) => Service::Unknown,
        }
    }

    /// The address of a group for which the machine of the silent peer answers: it may serve it.
    pub(crate) fn claimed_by_silent_peer(&self, key: &str) -> Option<&str> {
        self.peer().filter(|peer| peer.status == NodeStatus::Dead)?;
        self.node.activity.claimed_by_peer(key)
    }

    /// The machine of the silent peer as it claims an address that this node serves: both have it.
    pub(crate) fn peer_rival<'b>(&'b self, key: &'b str, now: Instant) -> Option<Rival<'b>> {
        self.peer().filter(|peer| peer.status == NodeStatus::Dead)?;
        let rival = self.node.rivals.of(key, now).find(|rival| rival.is_peer)?;
        let mut groups = self.node.manager.groups();
        let held = groups.any(|group| group.key() == key && group.claim() == GroupClaim::Held);
        held.then_some(rival)
    }

    /// Whether the machine of the silent peer answers for an address of a group, or claims it.
    pub(crate) fn is_maybe_on_peer(&self, key: &str, now: Instant) -> bool {
        self.claimed_by_silent_peer(key).is_some() || self.peer_rival(key, now).is_some()
    }

    /// Whether it does so for any group.
    pub(crate) fn peer_machine_answers(&self, now: Instant) -> bool {
        let mut groups = self.node.manager.groups();
        groups.any(|group| self.is_maybe_on_peer(group.key(), now))
    }

    /// No transition under way on either side, as far as is known here.
    pub(crate) fn is_settled(&self) -> bool {
        let node = self.node;
        let peer_settled = match self.peer().map(|peer| peer.status) {
            None | Some(NodeStatus::Dead) => true,
            Some(NodeStatus::Active) => node.manager.peer_stable() == Some(true),
            Some(NodeStatus::Init | NodeStatus::Up | NodeStatus::Ping) => false,
        };
        let here = node.manager.phase() == Phase::Stable && node.manager.is_stable();
        here && peer_settled && !node.stopping && node.pause.is_none()
    }

    fn config(&self) -> Vec<ConfigPart> {
        let differs = self.differences();
        let theirs = &self.node.peer_says.config;
        let comparable = |part: &str| {
            let same_version = self.node.peer_version.as_deref() == Some(env!("CARGO_PKG_VERSION"));
            theirs.contains_key(part) && (same_version || part != equal::HB_TOML)
        };
        let part = |(part, here): (&String, &String)| ConfigPart {
            part: part.clone(),
            here: here.clone(),
            peer: theirs.get(part).cloned(),
            same: match differs.iter().any(|(name, _)| name == part) {
                true => Some(false),
                false => comparable(part).then_some(true),
            },
        };
        self.node.config.iter().map(part).collect()
    }

    fn this_node(&self) -> ThisNode {
        let node = self.node;
        let (index, method) = node.messaging.signing_key();
        let status = if node.stopping { "stopping" } else { node.messaging.local_status().word() };
        ThisNode {
            name: node.profile.node.to_string(),
            status: status.to_owned(),
            phase: node.manager.phase().word().to_owned(),
            rscstatus: node.manager.rscstatus().to_owned(),
            generation: node.profile.generation,
            key: format!("#{index} {}", method.word()),
            keys: keys::read(node.messaging.key_list()),
            clients: node.own_clients(),
        }
    }

    fn peer_node(&self) -> Option<PeerNode> {
        let peer = self.peer()?;
        let manager = &self.node.manager;
        let (intervals, measures) = self.node.messaging.measured(&peer.name).unwrap_or_default();
        Some(PeerNode {
            name: peer.name.to_string(),
            status: peer.status.word().to_owned(),
            heard_ms_ago: peer.heard_ms_ago,
            holdings: manager.peer_holdings().map(|holdings| holdings.word().to_owned()),
            stable: manager.peer_stable(),
            native: self.node.peer_native,
            generation: peer.generation,
            keys: self.node.peer_keys.clone(),
            links: peer
                .links
                .iter()
                .zip(measures)
                .enumerate()
                .map(|(index, (link, measures))| {
                    link_status(link, measures, self.peer_hears(index))
                })
                .collect(),
            intervals: seen(intervals),
            clients: self.node.peer_clients.clone(),
        })
    }

    fn pings(&self) -> Vec<PingStatus> {
        let pings = self.nodes.iter().filter(|node| node.ping);
        pings
            .map(|ping| PingStatus {
                name: ping.name.to_string(),
                status: ping.status.word().to_owned(),
                heard_ms_ago: ping.heard_ms_ago,
            })
            .collect()
    }

    fn group(&self, number: usize, group: &Group, now: Instant) -> GroupStatus {
        let key = group.key();
        let spec = group.spec();
        let active_on = match self.service(key) {
            Service::Here | Service::Both => Some(self.node.profile.node.to_string()),
            Service::Peer => Some(self.peer_name().to_owned()),
            Service::Nobody | Service::Unknown => None,
        };
        let members = spec.resources.iter().zip(group.members()).enumerate();
        let activity = &self.node.activity;
        let resources = members.map(|(index, (resource, member))| ResourceStatus {
            text: resource.text.clone(),
            state: member.state.word().to_owned(),
            since_ms: self.node.members.lasted_ms(&(number, index), now),
            last: activity.last(key, &resource.text),
            checked_ms_ago: activity
                .checked_ms_ago(key, &resource.text, now)
                .filter(|_| member.is_watched()),
            failures: member.failures(),
            under_way: activity.under_way(key, &resource.text, now),
        });
        GroupStatus {
            key: key.to_owned(),
            prefers: spec.preferred.to_string(),
            here: group.claim(),
            peer: self.peer_claim(key),
            active_on,
            maybe_on: self.is_maybe_on_peer(key, now).then(|| self.peer_name().to_owned()),
            since_ms: self.node.claims.lasted_ms(key, now),
            reason: group.reason().to_owned(),
            resources: resources.collect(),
            unready_here: self.unready_here(key).map(str::to_owned),
            unready_peer: self.unready_peer(key).map(str::to_owned),
            failback: self.failback(key, now),
            would_do: self.node.manager.would_do(key),
        }
    }

    /// When a group goes home, in words, if it will.
    fn failback(&self, key: &str, now: Instant) -> Option<String> {
        let state = self.node.manager.failback(key)?;
        let due = self.node.timers.due(&Timer::FailbackStable(key.to_owned()));
        Some(match (&state, due) {
            (FailbackState::Window, Some(at)) => {
                let left = short(at - now.min(at));
                format!("in {left}, if {} stays ready", self.peer_name())
            }
            (FailbackState::Shut { .. }, _) => {
                format!("{}, if {} stays ready", state.words(), self.peer_name())
            }
            (FailbackState::Window, None)
            | (FailbackState::Waits { .. } | FailbackState::Going, _) => state.words(),
        })
    }

    /// One line for the service manager, without anything that changes by itself.
    pub(crate) fn summary(&self, findings: &[Finding]) -> String {
        let verdict = match self.verdict(findings) {
            Verdict::Healthy => "HEALTHY",
            Verdict::Transition => "TRANSITION",
            Verdict::Degraded => "DEGRADED",
            Verdict::Down => "DOWN",
            Verdict::Split => "SPLIT",
        };
        let peer = match self.peer() {
            Some(peer) => ["peer ", peer.name.as_str(), " ", peer.status.word()],
            None => ["no peer", "", "", ""],
        };
        let stopping = if self.node.stopping { ", stopping" } else { "" };
        let holds = self.node.manager.holdings().word();
        let begin = [&self.node.profile.cluster, ": ", verdict, ", holds ", holds, ", "];
        // Made after nearly every input, and as a rule the same as before.
        [begin.concat(), peer.concat(), stopping.to_owned()].concat()
    }
}

fn seen(intervals: Intervals) -> Option<Intervals> {
    (intervals != Intervals::default()).then_some(intervals)
}

fn link_status(link: &LinkView, measures: LinkMeasures, peer_hears: Option<bool>) -> LinkStatus {
    LinkStatus {
        name: link.name.to_string(),
        up: link.up,
        heard_ms_ago: link.heard_ms_ago,
        failure: link.failure.clone(),
        peer_hears,
        loss_permille: link.loss_permille,
        rtt_us: measures.rtt_us,
        intervals: seen(measures.intervals),
        counters: Some(measures.counters),
    }
}
