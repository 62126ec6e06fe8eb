//! From `Start` to `active`: hear or bury every configured node, agree with a live peer, go.

use std::time::Duration;

use hb_config::settings::NodeName;

use super::messaging::{Messaging, Phase};
use super::{Event, Output};
use crate::message::NodeStatus;

/// Between two `reqnodes` (Heartbeat 3.0.6).
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// Requests before a silent peer counts as agreeing.
const ASK_TRIES: u32 = 3;

impl Messaging {
    /// `init`, `up`, and from there on a heartbeat in each keepalive.
    pub(super) fn start(&mut self, outputs: &mut Vec<Output>) {
        if self.phase != Phase::Idle {
            return;
        }
        self.phase = Phase::Waiting;
        self.started = self.now;
        self.next_keepalive = self.now + self.times.keepalive;
        self.begin_silences();
        self.send_status(NodeStatus::Init, outputs);
        self.send_status(NodeStatus::Up, outputs);
        self.send_echoes(outputs);
        self.advance_start(outputs);
    }

    /// Goes on as soon as the state of every member and ping node is known.
    pub(super) fn advance_start(&mut self, outputs: &mut Vec<Output>) {
        if self.phase != Phase::Waiting || self.stopping || !self.all_known() {
            return;
        }
        // A peer that does not acknowledge does not answer `reqnodes` either (Heartbeat 3.0.6).
        let asked = self.peers.iter().position(|peer| peer.is_alive() && peer.acknowledges);
        match asked {
            Some(peer) => self.ask(peer, 1, outputs),
            None => self.activate(outputs),
        }
    }

    fn all_known(&self) -> bool {
        let patience_over = self.now >= self.started + self.times.initdead;
        // A node says `up` right after `init`; one that never does must not hold us for ever.
        let member_known = self.peers.iter().all(|peer| {
            peer.status != NodeStatus::Init || (patience_over && peer.heartbeat.is_some())
        });
        member_known && self.pings.iter().all(|ping| ping.status != NodeStatus::Init)
    }

    fn ask(&mut self, peer: usize, tries: u32, outputs: &mut Vec<Output>) {
        self.phase = Phase::Asking { peer, tries, next: self.now + ASK_INTERVAL };
        self.send_ask_nodes(peer, outputs);
    }

    /// The answer is overdue. 3.0.6 asks for ever and never becomes active; but the member lists
    /// come from each node's own ha.cf, the answer changes nothing here, and a node that refuses
    /// to start is worse than two files that differ.
    pub(super) fn ask_again(&mut self, outputs: &mut Vec<Output>) {
        match self.phase {
            Phase::Asking { peer, tries, next } if next <= self.now => {
                if tries < ASK_TRIES {
                    self.ask(peer, tries + 1, outputs);
                } else {
                    let node = &self.peers[peer].name;
                    tracing::warn!(%node, "no answer to reqnodes: taken for agreement");
                    self.activate(outputs);
                }
            }
            Phase::Idle | Phase::Waiting | Phase::Asking { .. } | Phase::Active => {}
        }
    }

    /// `repnodes` of `peer`.
    pub(super) fn nodes_answered(&mut self, peer: usize, names: &str, outputs: &mut Vec<Output>) {
        match self.phase {
            Phase::Asking { peer: asked, .. } if asked == peer => {
                let missing = |name: &&NodeName| {
                    !names.split_whitespace().any(|word| word.eq_ignore_ascii_case(name.as_str()))
                };
                if let Some(unknown) = self.members.iter().find(missing) {
                    let node = &self.peers[peer].name;
                    tracing::warn!(%node, %unknown, "the peer's ha.cf does not name this member");
                }
                self.activate(outputs);
            }
            Phase::Idle | Phase::Waiting | Phase::Asking { .. } | Phase::Active => {}
        }
    }

    /// The asked peer died or restarted before it answered: look again whom to ask.
    pub(super) fn restart_asking(&mut self, peer: usize, outputs: &mut Vec<Output>) {
        match self.phase {
            Phase::Asking { peer: asked, .. } if asked == peer => {
                self.phase = Phase::Waiting;
                self.advance_start(outputs);
            }
            Phase::Idle | Phase::Waiting | Phase::Asking { .. } | Phase::Active => {}
        }
    }

    fn activate(&mut self, outputs: &mut Vec<Output>) {
        self.phase = Phase::Active;
        self.send_status(NodeStatus::Active, outputs);
        outputs.push(Output::Event(Event::Active));
        for (peer, body) in std::mem::take(&mut self.early) {
            self.deliver(peer, body, outputs);
        }
    }
}
