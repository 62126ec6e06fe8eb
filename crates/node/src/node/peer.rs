//! What the peer is and says, and what becomes of its silence: carries facts from messaging to the
//! doubt, and its steps to the manager, the edge and the operator. It decides nothing.

use std::time::Duration;

use hb_config::settings::{self, NodeName};
use hb_messaging::engine::{self as messaging, NodeView};
use hb_messaging::message::{Body, NodeStatus};
use hb_messaging::time::Instant;
use hb_resource::group::Group;
use hb_resource::input::{self as resource, GroupClaim, PeerMessage, PeerStatus};
use hb_resource::operation::Outcome;
use serde::{Deserialize, Serialize};

use super::{Node, Turn};
use crate::STEPPED_DOWN;
use crate::api::Response;
use crate::doubt::reach::Ping;
use crate::doubt::{Facts, Step};
use crate::effect::{Effect, Level, LogEvent};
use crate::input::{ClientId, WitnessAnswer};
use crate::report;
use crate::translate::Incoming;

/// What the watchdog is for, and whether it was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dog {
    reboot_when_stuck: bool,
    bites: bool,
}

impl Dog {
    pub(super) fn new(config: &settings::Watchdog) -> Self {
        Self { reboot_when_stuck: config.reboot_when_stuck, bites: false }
    }
}

impl Node {
    pub(super) fn is_peer(&self, node: &NodeName) -> bool {
        self.profile.peer.as_ref() == Some(node)
    }

    pub(super) fn take_peer_status(&mut self, to: NodeStatus, turn: &mut Turn<'_>) {
        let status = match to {
            // A status word came from it: it speaks.
            NodeStatus::Init | NodeStatus::Up => PeerStatus::Starting,
            NodeStatus::Active => PeerStatus::Active,
            NodeStatus::Dead => PeerStatus::Dead,
            // No member has this status.
            NodeStatus::Ping => PeerStatus::Unknown,
        };
        let (facts, now) = (self.facts(), self.now);
        let Some(doubt) = &mut self.doubt else { return };
        match status {
            PeerStatus::Dead | PeerStatus::Lost => {
                let steps = doubt.silent(now, &facts);
                self.follow(steps, turn);
            }
            PeerStatus::Starting | PeerStatus::Active | PeerStatus::Unknown => {
                let (is_trusted, steps) = doubt.heard(facts.generation);
                self.follow(steps, turn);
                if is_trusted {
                    self.feed_manager(resource::Input::Peer(status), turn);
                }
            }
        }
    }

    pub(super) fn take_message(&mut self, from: &NodeName, body: Body, turn: &mut Turn<'_>) {
        self.hear_ipfail(&body, turn);
        self.hear_of_clients(&body, turn);
        self.hear_refusal(&body, turn);
        self.hear_why(&body);
        let kind = report::kind(&body).to_owned();
        match self.translator.incoming(body) {
            Incoming::Message { message, warning } => {
                if matches!(message, PeerMessage::Resources { .. }) {
                    self.watch.note_difference(warning.clone());
                }
                if let Some(text) = warning {
                    turn.log(
                        LogEvent::new(Level::Warn, "extension_ignored", text)
                            .with("peer", from)
                            .with("type", &kind),
                    );
                }
                if matches!(message, PeerMessage::Shutdone) {
                    self.takeover = Some((from.clone(), self.now, self.groups_held()));
                    self.tell_left(turn);
                    if let Some(doubt) = &mut self.doubt {
                        doubt.left();
                    }
                }
                let wanted = matches!(message, PeerMessage::HbTakeover { .. });
                let refusal = if wanted { self.manager.why_not_give() } else { None };
                self.feed_manager(resource::Input::Message(message), turn);
                if let Some(reason) = refusal {
                    self.refuse_takeover(reason, turn);
                }
            }
            Incoming::Ignored => {}
            Incoming::Refused(reason) => turn.log(
                LogEvent::new(Level::Warn, "message_refused", format!("{kind} refused: {reason}"))
                    .with("peer", from)
                    .with("type", &kind),
            ),
        }
    }

    /// Whether the peer was fenced and speaks all the same.
    pub(super) fn is_distrusted(&self) -> bool {
        self.doubt.as_ref().is_some_and(crate::doubt::Doubt::is_distrusted)
    }

    /// The peer has a generation that nobody has fenced.
    pub(super) fn trust_again(&mut self, turn: &mut Turn<'_>) {
        if !self.is_distrusted() {
            return;
        }
        let status = self.peer_view().map(|peer| peer.status);
        if let Some(status) = status {
            self.take_peer_status(status, turn);
        }
    }

    /// Looks again at what speaks against the peer's death, while it is silent.
    pub(super) fn weigh(&mut self, turn: &mut Turn<'_>) {
        let now = self.now;
        let is_silent = self.doubt.as_ref().is_some_and(crate::doubt::Doubt::is_silent);
        let facts = if is_silent { self.facts() } else { Facts::default() };
        let Some(doubt) = &mut self.doubt else { return };
        let mut steps = doubt.weigh(now, &facts);
        steps.extend(doubt.end_test(now).map(Step::Effect));
        self.follow(steps, turn);
    }

    /// How long the peer has to say that it does not hear this node before that counts.
    pub(super) fn deaf_patience(&self) -> Duration {
        Duration::from_millis(self.profile.timing.deadtime_ms)
    }

    /// Looks at whether the peer speaks and hears nothing of this node.
    pub(super) fn weigh_unheard(&mut self, turn: &mut Turn<'_>) {
        let deaf = self.peer_says.hears_at_all() == Some(false);
        if !deaf && self.unheard == crate::unheard::Unheard::default() {
            return;
        }
        let speaks = deaf && self.peer_view().is_some_and(|peer| peer.status == NodeStatus::Active);
        let (now, patience) = (self.now, self.deaf_patience());
        self.unheard.note(now, speaks && self.pause.is_none());
        let owns = match self.peer_says.owns_all {
            true => self.profile.groups.iter().map(|group| group.key.clone()).collect(),
            false => self.peer_says.owns.clone(),
        };
        if let Some(taken) = self.unheard.judge(now, patience, &owns) {
            if let Some(taken) = &taken {
                turn.log(report::unheard(&self.peer_name(), taken));
            }
            self.feed_manager(resource::Input::Unheard(taken), turn);
        }
    }

    /// The peer has had this node fenced and has its groups, and this node lives all the same: it
    /// releases everything and comes back as a new one. In maintenance hands are off.
    pub(super) fn heed_fencing(&mut self, turn: &mut Turn<'_>) {
        let generation = self.profile.generation;
        if self.peer_says.fenced != Some(generation) || self.stopping {
            return;
        }
        let maintenance = self.manager.maintenance();
        if maintenance.here || maintenance.peer {
            return;
        }
        let peer = self.peer_name();
        let text = format!(
            "{peer} has had this node fenced (generation {generation}), and it runs all the same: its \
             fence device does not do what it says. {peer} goes on alone: everything is released here"
        );
        self.follow(vec![Step::Yield(text)], turn);
    }

    /// `-` when ha.cf names only this node.
    pub(super) fn peer_name(&self) -> String {
        self.profile.peer.as_ref().map_or("-", NodeName::as_str).to_owned()
    }

    pub(super) fn take_fence(&mut self, attempt: u64, outcome: &Outcome, turn: &mut Turn<'_>) {
        self.note_fenced(attempt, outcome, turn);
        let (now, facts) = (self.now, self.facts());
        let Some(doubt) = &mut self.doubt else { return };
        let steps = doubt.fence_answer(now, attempt, outcome, &facts);
        self.follow(steps, turn);
    }

    pub(super) fn take_witness(
        &mut self,
        question: u64,
        answer: WitnessAnswer,
        turn: &mut Turn<'_>,
    ) {
        let now = self.now;
        let Some(doubt) = &mut self.doubt else { return };
        let steps = doubt.witness_answer(now, question, answer);
        self.follow(steps, turn);
    }

    pub(super) fn test_fencing(&mut self, client: ClientId, turn: &mut Turn<'_>) {
        let now = self.now;
        let no_peer = || "ha.cf names only this node".to_owned();
        let steps =
            self.doubt.as_mut().ok_or_else(no_peer).and_then(|doubt| doubt.test(now, client));
        match steps {
            Ok(steps) => self.follow(steps, turn),
            Err(text) => {
                let response = Response::Error { text };
                turn.effects.push(Effect::Reply { client, response });
            }
        }
    }

    pub(super) fn confirm_fence(
        &mut self,
        client: ClientId,
        node: &str,
        turn: &mut Turn<'_>,
    ) -> Response {
        let status = self.peer_view().map(|peer| peer.status);
        let alive = matches!(status, Some(NodeStatus::Up | NodeStatus::Active));
        let Some(doubt) = &mut self.doubt else {
            return Response::Error { text: "ha.cf names only this node".to_owned() };
        };
        match doubt.confirm(node, alive) {
            Ok(text) => {
                let line = format!("an operator has confirmed that {node} is off: {text}");
                turn.log(
                    LogEvent::new(Level::Warn, "fence_confirmed", line).with("client", client.0),
                );
                let by = self.names.get(&client).cloned();
                self.tell_fence("confirmed", "operator", text.clone(), by, 0, turn);
                Response::Done { text }
            }
            Err(text) => Response::Error { text },
        }
    }

    /// Feeds the watchdog when a decision has passed through everything here, and lets it go when a
    /// group is stuck and hb.toml wants that.
    pub(super) fn feed_watchdog(&mut self, is_tick: bool, turn: &mut Turn<'_>) {
        let Some(dog) = self.watchdog else { return };
        if dog.reboot_when_stuck && !dog.bites {
            let stuck = self.manager.groups().find(|group| group.claim() == GroupClaim::Blocked);
            if let Some(key) = stuck.map(|group| group.key().to_owned()) {
                self.bite(format!("group {key} could not be stopped (reboot_when_stuck)"), turn);
            }
        }
        if is_tick && self.watchdog.is_some_and(|dog| !dog.bites) {
            turn.effects.push(Effect::Alive);
        }
    }

    fn bite(&mut self, reason: String, turn: &mut Turn<'_>) {
        let Some(dog) = &mut self.watchdog else { return };
        if std::mem::replace(&mut dog.bites, true) {
            return;
        }
        let text = format!("the watchdog is not fed any more and resets this machine: {reason}");
        turn.log(LogEvent::new(Level::Error, "watchdog_bites", text));
        turn.effects.push(Effect::LetWatchdogBite { reason });
    }

    fn follow(&mut self, steps: Vec<Step>, turn: &mut Turn<'_>) {
        for step in steps {
            turn.changed = true;
            match step {
                Step::Tell(status) => {
                    self.note_silence(status, turn);
                    if status == PeerStatus::Dead
                        && let Some(peer) = self.profile.peer.clone()
                    {
                        self.takeover = Some((peer, self.now, self.groups_held()));
                    }
                    self.feed_manager(resource::Input::Peer(status), turn);
                }
                Step::MayTake(groups) => {
                    self.feed_manager(resource::Input::MayTake(groups), turn);
                }
                Step::AskPings => self.feed_messaging(messaging::Input::AskPings, turn),
                Step::Effect(effect) => {
                    self.note_fencing(&effect);
                    turn.effects.push(effect);
                }
                Step::Yield(reason) => {
                    turn.log(LogEvent::new(Level::Error, "stepping_down", reason));
                    self.last = Effect::Exit { code: STEPPED_DOWN };
                    self.stop(turn);
                }
                Step::Bite(reason) => self.bite(reason, turn),
            }
        }
    }

    pub(super) fn peer_view(&self) -> Option<NodeView> {
        let nodes = self.messaging.nodes(self.now);
        nodes.into_iter().find(|node| !node.ping && self.is_peer(&node.name))
    }

    /// What is known of the peer and of this node's network.
    fn facts(&self) -> Facts {
        let nodes = self.messaging.nodes(self.now);
        let peer = nodes.iter().find(|node| !node.ping && self.is_peer(&node.name));
        let unverified = peer.and_then(|peer| self.messaging.last_unverified(&peer.name));
        let link = |id: messaging::LinkId| {
            self.profile.links.get(usize::from(id.0)).cloned().unwrap_or_default()
        };
        let ping = |node: &NodeView| Ping {
            heard: self.moment(node.heard_ms_ago),
            answers: node.status == NodeStatus::Ping,
        };
        let runs = |group: &Group| match group.claim() {
            GroupClaim::Released | GroupClaim::Failed => false,
            GroupClaim::Acquiring
            | GroupClaim::Held
            | GroupClaim::Releasing
            | GroupClaim::Blocked => true,
        };
        let maintenance = self.manager.maintenance();
        Facts {
            heard: peer.and_then(|peer| self.moment(peer.heard_ms_ago)),
            generation: peer.map_or(0, |peer| peer.generation),
            unverified: unverified.map(|last| (last.at, link(last.link))),
            pings: nodes.iter().filter(|node| node.ping).map(ping).collect(),
            maintenance: maintenance.here || maintenance.peer,
            owner: self.manager.groups().any(runs),
            stopping: self.stopping,
        }
    }

    pub(super) fn moment(&self, ms_ago: Option<u64>) -> Option<Instant> {
        let ago = ms_ago?.saturating_mul(1_000);
        Some(Instant::from_micros(self.now.as_micros().saturating_sub(ago)))
    }
}
