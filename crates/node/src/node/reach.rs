//! Carries between the node and the ipfail decision: counts and messages in, messages and
//! commands to the manager out. It decides nothing.

use std::time::Duration;

use hb_config::settings::NodeName;
use hb_messaging::engine as messaging;
use hb_messaging::message::{Body, NodeStatus};
use hb_resource::group::Group;
use hb_resource::input::{self as resource, GroupClaim};

use super::{Node, Turn};
use crate::ipfail::{Ipfail, Situation, Step, Word};
use crate::report;

impl Node {
    /// This node became active, or the peer restarted.
    pub(super) fn greet_ipfail(&mut self, turn: &mut Turn<'_>) {
        let status = self.peer_status();
        let talking = self.active && status == NodeStatus::Active;
        self.ask_for_clients(status, turn);
        self.count_pings(turn);
        self.ask_ipfail(turn, |ipfail, now| ipfail.talk(now, talking));
    }

    /// A node changed status.
    pub(super) fn note_reach(&mut self, node: &NodeName, to: NodeStatus, turn: &mut Turn<'_>) {
        if self.is_peer(node) {
            let talking = self.active && to == NodeStatus::Active;
            self.ask_for_clients(to, turn);
            self.ask_ipfail(turn, |ipfail, now| ipfail.talk(now, talking));
        } else {
            self.count_pings(turn);
        }
    }

    pub(super) fn hear_ipfail(&mut self, body: &Body, turn: &mut Turn<'_>) {
        if let Some(word) = Word::read(body) {
            self.ask_ipfail(turn, |ipfail, now| ipfail.hear(now, word));
        }
    }

    pub(super) fn tick_ipfail(&mut self, turn: &mut Turn<'_>) {
        let situation = self.situation();
        turn.changed = true;
        self.ask_ipfail(turn, |ipfail, now| ipfail.tick(now, &situation));
    }

    fn count_pings(&mut self, turn: &mut Turn<'_>) {
        if self.ipfail.is_none() {
            return;
        }
        let nodes = self.messaging.nodes(self.now);
        let answering = nodes.iter().filter(|node| node.ping && node.status == NodeStatus::Ping);
        // ha.cf cannot name so many.
        let own = u32::try_from(answering.count()).unwrap_or(u32::MAX);
        self.ask_ipfail(turn, |ipfail, now| ipfail.count(now, own));
    }

    fn peer_status(&self) -> NodeStatus {
        let nodes = self.messaging.nodes(self.now);
        let peer = nodes.iter().find(|node| !node.ping && self.is_peer(&node.name));
        peer.map_or(NodeStatus::Dead, |peer| peer.status)
    }

    fn situation(&self) -> Situation {
        let obstacle = if self.pause.is_some() {
            Some("this node has just stood still".to_owned())
        } else {
            self.manager.why_not_give()
        };
        let held = |group: &&Group| group.claim() == GroupClaim::Held;
        let ages = self
            .manager
            .groups()
            .filter(held)
            .map(|group| Duration::from_millis(self.claims.lasted_ms(group.key(), self.now)));
        Situation { obstacle, held_for: ages.max() }
    }

    fn ask_ipfail(
        &mut self,
        turn: &mut Turn<'_>,
        ask: impl FnOnce(&mut Ipfail, hb_messaging::time::Instant) -> Vec<Step>,
    ) {
        let now = self.now;
        let Some(ipfail) = &mut self.ipfail else { return };
        let steps = ask(ipfail, now);
        let peer = ipfail.peer().clone();
        for step in steps {
            match step {
                Step::Send(word) => {
                    let body = word.body(&peer);
                    turn.log(report::sent(&body));
                    self.feed_messaging(messaging::Input::Send(body), turn);
                }
                Step::GiveUp(reason) => {
                    self.feed_manager(resource::Input::GiveUp { reason }, turn);
                }
                Step::PeerIsWorse(worse) => {
                    self.feed_manager(resource::Input::PeerIsWorse(worse), turn);
                }
                Step::Log(line) => turn.log(line),
            }
        }
    }
}
