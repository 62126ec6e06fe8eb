//! Composes, signs and transmits; answers requests for retransmission. Decides nothing else.

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::NodeName;

use super::messaging::{Messaging, Phase};
use super::{LinkId, Output};
use crate::echo;
use crate::fields::{self, FieldList};
use crate::history::Lookup;
use crate::liveness::whole_millis;
use crate::message::codec::{ACK, ASK_NODES, CONTROL_PREFIX, NAK, NODES, RESOURCE, REXMIT, STATUS};
use crate::message::{Body, NodeStatus, codec};
use crate::wire;

/// Bytes of the fields before it up to which a heartbeat has room for `x_echo`: with the field itself,
/// the common fields and the signature it stays below the 1,472 bytes of one Ethernet frame.
const ECHO_ROOM: usize = 800;
/// Numbers answered for one request (Heartbeat 3.0.6).
const RESEND_MAX: u64 = 50;
/// Refused retransmissions in a second: what one full request may cause.
const NAKS_PER_SECOND: u32 = 50;

impl Messaging {
    /// This node's heartbeat.
    pub(super) fn send_status(&mut self, status: NodeStatus, outputs: &mut Vec<Output>) {
        let mut list = FieldList::new();
        list.push_text(fields::KIND, STATUS);
        list.push_text(fields::STATUS, status.word());
        list.push_hex(fields::DEADTIME, whole_millis(self.times.deadtime));
        list.push_text(fields::PROTOCOL, "1");
        codec::push_extensions(&mut list, &self.announce);
        // Without extensions of our own the message looks exactly like 3.0.6's.
        if !self.announce.is_empty() {
            list.push_text(fields::KEYS, self.keys.key_list());
        }
        if self.stopping {
            list.push_text(fields::STOPPING, "1");
        }
        if let Some(echo) = self.echo(&list) {
            list.push_text(fields::ECHO, echo);
        }
        if self.send_sequenced(list, outputs) {
            self.sent_times.push(self.history.highest(), self.now);
        }
    }

    /// What the peer needs to reckon the round trip of each link, when it understands that and the
    /// heartbeat stays within one frame with it. One field goes out on all links, so it can speak of
    /// one peer only.
    fn echo(&self, list: &FieldList) -> Option<String> {
        let [peer] = self.peers.as_slice() else { return None };
        if self.announce.is_empty() || !peer.puts_in_order() || list.room() > ECHO_ROOM {
            return None;
        }
        let ways = self.links.iter().zip(&peer.links);
        echo::write(ways.map(|(local, link)| (local.name.as_str(), &link.way)), self.now)
    }

    /// A message of the resource layer. The engine's own types are not for it.
    pub(super) fn send_body(&mut self, body: &Body, outputs: &mut Vec<Output>) {
        let kind = body.kind();
        let own = [STATUS, ASK_NODES, NODES].contains(&kind) || kind.starts_with(CONTROL_PREFIX);
        if self.phase == Phase::Idle || own || kind.len() > fields::KIND_MAX {
            tracing::error!(kind, "message not sent: not started, or not a type of the node");
            return;
        }
        let mut list = body.to_fields();
        // Without extensions of our own the message looks exactly like 3.0.6's.
        if !self.announce.is_empty() {
            list.push_hex(fields::AFTER, self.last_body);
            if let (Body::Resource { .. }, [peer]) = (body, self.peers.as_slice()) {
                list.push_hex(fields::FOR, peer.inbound.generation);
            }
        }
        if self.send_sequenced(list, outputs) {
            self.last_body = self.history.highest();
            match body {
                Body::Resource { .. } => {
                    self.last_resource = Some((self.last_body, body.clone()));
                }
                // What was held before means nothing after this.
                Body::Shutdone => self.last_resource = None,
                Body::Starting
                | Body::AskResources { .. }
                | Body::HbTakeover { .. }
                | Body::Stonith { .. }
                | Body::Other { .. } => {}
            }
        }
    }

    pub(super) fn send_ask_nodes(&mut self, peer: usize, outputs: &mut Vec<Output>) {
        let list = Self::addressed(ASK_NODES, &self.peers[peer].name);
        self.send_sequenced(list, outputs);
    }

    /// Field order as captured from 3.0.6, `dest` first.
    pub(super) fn send_nodes(&mut self, peer: usize, outputs: &mut Vec<Output>) {
        let names: String = self.members.iter().map(|name| format!("{name} ")).collect();
        let mut list = FieldList::new();
        list.push_text(fields::DEST, self.peers[peer].name.as_str());
        list.push_text(fields::KIND, NODES);
        list.push_text(fields::NODE_LIST, names);
        list.push_text(fields::DELETED_LIST, " ");
        self.send_sequenced(list, outputs);
    }

    pub(super) fn send_ack(&mut self, peer: usize, sequence: u64, outputs: &mut Vec<Output>) {
        let mut list = Self::addressed(ACK, &self.peers[peer].name);
        list.push_hex(fields::ACK_SEQUENCE, sequence);
        self.send_control(list, outputs);
    }

    pub(super) fn send_rexmit_request(
        &mut self,
        peer: usize,
        sequence: u64,
        outputs: &mut Vec<Output>,
    ) {
        let mut list = Self::addressed(REXMIT, &self.peers[peer].name);
        list.push_text(fields::FIRST_SEQUENCE, sequence.to_string());
        list.push_text(fields::LAST_SEQUENCE, sequence.to_string());
        self.counters.rexmit_requested += 1;
        self.send_control(list, outputs);
    }

    /// Sends `first..=last` again, as far as they are kept. Bounded per request and in time, so
    /// that a repeated request cannot make this node flood the links.
    pub(super) fn answer_rexmit(
        &mut self,
        peer: usize,
        first: u64,
        last: u64,
        outputs: &mut Vec<Output>,
    ) {
        let mut outdated = false;
        for sequence in (first..=last).take(RESEND_MAX as usize) {
            match self.history.resend(self.now, sequence, self.rexmit_delay) {
                Lookup::Resend(list) => {
                    if self.transmit(&list, outputs).is_some() {
                        self.counters.rexmit_sent += 1;
                    }
                    outdated |= self.is_outdated(sequence, &list);
                }
                Lookup::TooSoon => {}
                Lookup::Gone => self.send_nak(peer, sequence, outputs),
                Lookup::Future => break,
            }
        }
        if outdated && !self.peers[peer].puts_in_order() {
            self.say_last_resource(outputs);
        }
    }

    /// Whether message `sequence` says of this node's resources what a later one corrects.
    fn is_outdated(&self, sequence: u64, list: &FieldList) -> bool {
        let last = self.last_resource.as_ref().map_or(0, |(last, _)| *last);
        sequence < last && list.text(fields::KIND) == Some(RESOURCE)
    }

    /// 3.0.6 believes what arrives last, a late copy too, and would take this node for one in
    /// transition from then on: it refuses every standby and its own stop. So the truth goes after
    /// the copy.
    fn say_last_resource(&mut self, outputs: &mut Vec<Output>) {
        if let Some((_, body)) = self.last_resource.clone() {
            self.send_body(&body, outputs);
        }
    }

    fn send_nak(&mut self, peer: usize, sequence: u64, outputs: &mut Vec<Output>) {
        let (since, count) = self.naks;
        let fresh = self.now.since(since) >= Duration::from_secs(1);
        self.naks = if fresh { (self.now, 1) } else { (since, count.saturating_add(1)) };
        if self.naks.1 > NAKS_PER_SECOND {
            return;
        }
        let mut list = FieldList::new();
        list.push_text(fields::KIND, NAK);
        list.push_hex(fields::FIRST_SEQUENCE, sequence);
        list.push_text(fields::DEST, self.peers[peer].name.as_str());
        list.push_text(fields::INFO, "seqno too low");
        self.send_control(list, outputs);
    }

    fn addressed(kind: &str, to: &NodeName) -> FieldList {
        let mut list = FieldList::new();
        list.push_text(fields::KIND, kind);
        list.push_text(fields::DEST, to.as_str());
        list
    }

    /// Numbers the message, sends it and keeps it. Says whether it could be sent at all.
    fn send_sequenced(&mut self, mut list: FieldList, outputs: &mut Vec<Output>) -> bool {
        self.push_common(&mut list, Some(self.history.next()));
        let sent = self.transmit(&list, outputs);
        sent.map(|message| self.history.push(message)).is_some()
    }

    fn send_control(&mut self, mut list: FieldList, outputs: &mut Vec<Output>) {
        self.push_common(&mut list, None);
        self.transmit(&list, outputs);
    }

    /// The fields of every message, in the order of Heartbeat 3.0.6 (§3.1 of the description).
    fn push_common(&self, list: &mut FieldList, sequence: Option<u64>) {
        if let Some(uuid) = list.text(fields::DEST).and_then(|name| self.uuid_of(name)) {
            list.push_binary(fields::DEST_UUID, uuid);
        }
        list.push_text(fields::SRC, self.node.as_str());
        list.push_binary(fields::SRC_UUID, self.uuid);
        if let Some(sequence) = sequence {
            list.push_hex(fields::SEQUENCE, sequence);
        }
        list.push_hex(fields::GENERATION, self.generation);
        // 3.0.6 refuses 0.
        list.push_hex(fields::TIMESTAMP, self.unix_s.max(1));
        if sequence.is_some() {
            list.push_text(fields::LOAD, self.load.as_str());
        }
        list.push_text(fields::TTL, self.ttl.to_string());
    }

    /// `None` for a node that is no member; zeros while the UUID of a member is not known.
    fn uuid_of(&self, name: &str) -> Option<[u8; 16]> {
        if self.node.is(name) {
            return Some(self.uuid);
        }
        let peer = self.peers.iter().find(|peer| peer.name.is(name))?;
        Some(peer.uuid.unwrap_or_default())
    }

    /// Signs and sends on every link, failed ones too: only sending shows that one works again. What
    /// was sent, unless it cannot be framed.
    fn transmit(&mut self, list: &FieldList, outputs: &mut Vec<Output>) -> Option<Arc<[u8]>> {
        let bytes: Arc<[u8]> = match wire::encode(list, self.framing, self.inner_auth, &self.keys) {
            Ok(bytes) => bytes.into(),
            Err(error) => {
                let kind = list.text(fields::KIND).unwrap_or_default();
                tracing::error!(kind, %error, "message not sent");
                return None;
            }
        };
        for link in (0..).map(LinkId).take(self.media) {
            outputs.push(Output::Transmit { link, bytes: Arc::clone(&bytes) });
            self.counters.sent += 1;
        }
        Some(bytes)
    }
}
