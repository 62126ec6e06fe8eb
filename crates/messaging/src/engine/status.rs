//! What a peer's heartbeat changes: its session, its status, its dead time; and what its death does.

use hb_config::settings::NodeName;

use super::messaging::Messaging;
use super::{Event, Output};
use crate::fields::{self, FieldList};
use crate::liveness::{Silence, whole_micros, whole_millis};
use crate::message::{NodeStatus, codec};

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Under a higher generation than any before.
    Start,
    /// Under the known generation, after it was declared dead.
    Return,
}

impl Messaging {
    /// Forgets the past session of a peer.
    pub(super) fn begin_session(
        &mut self,
        index: usize,
        begin: Begin,
        generation: u64,
        outputs: &mut Vec<Output>,
    ) {
        let peer = &mut self.peers[index];
        peer.begin_session();
        if begin == Begin::Return {
            return;
        }
        peer.begin_run();
        let known_before = peer.inbound.generation > 0;
        peer.inbound.restart(generation);
        peer.extensions = None;
        peer.heartbeat = None;
        self.early.retain(|(sender, _)| *sender != index);
        if known_before {
            let node = peer.name.clone();
            outputs.push(Output::Event(Event::PeerRestarted { node, generation }));
        }
    }

    /// A `status` in its place in the sequence.
    pub(super) fn heartbeat(
        &mut self,
        index: usize,
        sequence: u64,
        list: &FieldList,
        begin: Option<Begin>,
        outputs: &mut Vec<Output>,
    ) {
        let is_blind = self.is_blind();
        let peer = &mut self.peers[index];
        // A retransmitted or overtaken heartbeat says nothing about the present.
        if sequence <= peer.inbound.last_status {
            return;
        }
        peer.inbound.last_status = sequence;
        let interval = peer.heartbeat.map(|last| self.now.since(last));
        if let Some(interval) = interval.filter(|_| !is_blind) {
            peer.intervals.observe(whole_micros(interval), whole_micros(peer.deadtime));
        }
        peer.heartbeat = Some(self.now);
        peer.silence = Silence::since(self.now);
        peer.adopt_deadtime(list.text(fields::DEADTIME).and_then(fields::parse_hex));
        peer.acknowledges = list.find(fields::PROTOCOL).is_some();
        let node = peer.name.clone();
        if let Some(late) = interval.filter(|interval| *interval > self.times.warntime) {
            let interval_ms = whole_millis(late);
            outputs.push(Output::Event(Event::LateHeartbeat { node: node.clone(), interval_ms }));
        }
        let known = peer.extensions.as_ref();
        if known.is_none_or(|known| !codec::has_extensions(list, known)) {
            let extensions = codec::extensions(list);
            peer.extensions = Some(extensions.clone());
            outputs.push(Output::Event(Event::PeerExtensions { node: node.clone(), extensions }));
        }
        let said = said_status(list, peer.status);
        let was_dead = peer.status == NodeStatus::Dead;
        if said == NodeStatus::Dead {
            self.bury(index, "it says so", outputs);
        } else {
            self.set_status(index, said, "it says so", outputs);
        }
        let partitioned = begin == Some(Begin::Return) || said == NodeStatus::Active;
        if was_dead && said != NodeStatus::Dead && partitioned {
            outputs.push(Output::Event(Event::ReturnedAfterPartition { node }));
        }
        if begin.is_some() {
            // The peer has just begun to hear, too: it need not wait for our next keepalive.
            self.send_status(self.local_status(), outputs);
            self.restart_asking(index, outputs);
        }
        self.advance_start(outputs);
    }

    /// Declares a peer dead. What it said last and what waited for missing messages is delivered
    /// first: the missing ones will never come.
    pub(super) fn bury(&mut self, index: usize, cause: &str, outputs: &mut Vec<Output>) {
        while let Some(body) = self.peers[index].order.pop_first() {
            self.deliver(index, body, outputs);
        }
        self.early.retain(|(sender, _)| *sender != index);
        let peer = &mut self.peers[index];
        peer.inbound.end_session();
        self.set_status(index, NodeStatus::Dead, cause, outputs);
        self.restart_asking(index, outputs);
        self.advance_start(outputs);
    }

    fn set_status(&mut self, index: usize, to: NodeStatus, cause: &str, outputs: &mut Vec<Output>) {
        let peer = &mut self.peers[index];
        let from = std::mem::replace(&mut peer.status, to);
        if from != to {
            outputs.push(node_status(&peer.name, from, to, cause));
        }
    }
}

/// A word that is none of a member's leaves the status as it is: the node lives.
fn said_status(list: &FieldList, known: NodeStatus) -> NodeStatus {
    match list.text(fields::STATUS) {
        Some("init") => NodeStatus::Init,
        Some("up") => NodeStatus::Up,
        Some("active") => NodeStatus::Active,
        Some("dead") => NodeStatus::Dead,
        Some(_) | None if known == NodeStatus::Active => NodeStatus::Active,
        Some(_) | None => NodeStatus::Up,
    }
}

/// The event of a changed status.
pub(super) fn node_status(
    node: &NodeName,
    from: NodeStatus,
    to: NodeStatus,
    cause: &str,
) -> Output {
    Output::Event(Event::NodeStatus { node: node.clone(), from, to, cause: cause.to_owned() })
}
