//! From a datagram to a verified message of a known sender in its place in the sequence. Nothing
//! here or below changes any state of a peer before the signature, the sender and the generation
//! have been checked.

use std::time::Duration;

use compact_str::CompactString;
use hb_config::settings::{AuthMethod, NodeName};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::messaging::{Messaging, Phase};
use super::status::Begin;
use super::{Event, LinkId, Output, Unverified};
use crate::echo;
use crate::error::{AuthError, DecodeError, PeerError};
use crate::fields::{self, FieldList};
use crate::message::codec::{ACK, ASK_NODES, CONTROL_PREFIX, NAK, NODES, REXMIT, STATUS};
use crate::message::{Body, NodeStatus};
use crate::order;
use crate::sequence::Verdict;
use crate::wire;

/// Bodies kept for the moment when this node is active; a peer sends a handful while we start.
const EARLY_MAX: usize = 64;
/// A number this far behind is no late copy but a replay: senders keep no more (Heartbeat 3.0.6).
const COPY_AGE_MAX: u64 = 500;
/// Characters of a foreign node's name in an event.
const NAME_SHOWN_MAX: usize = 100;

/// Why a datagram is refused; one event for each link and kind in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Refusal {
    Malformed,
    Unsupported,
    BadAuth,
    Downgrade,
    Foreign,
    OwnName,
    Replay,
    Content,
}

/// A refusal and its words.
struct Refused(Refusal, String);

/// The last verified message, with its bytes: with two links each arrives twice, and what is the same
/// to the last bit need not be read and verified again.
#[derive(Clone, Debug)]
pub(super) struct Known {
    bytes: Vec<u8>,
    packet: Packet,
}

/// A verified message.
#[derive(Clone, Debug)]
struct Packet {
    peer: usize,
    method: AuthMethod,
    generation: u64,
    fields: FieldList,
    kind: CompactString,
}

/// Where a message stands against what is known of its sender's session.
enum Standing {
    /// Belongs to the session.
    Current,
    /// Its `status` begins one.
    Begins(Begin),
    /// Of an earlier generation or from before the sender's death.
    Stale,
    /// Comes before the `status` that begins the session.
    Premature,
}

impl Messaging {
    pub(super) fn receive(&mut self, link: LinkId, bytes: Vec<u8>, outputs: &mut Vec<Output>) {
        self.counters.received += 1;
        let Some(local) = self.link_index(link) else { return };
        if self.phase == Phase::Idle {
            return;
        }
        let admitted = match self.known.take_if(|known| known.bytes == bytes) {
            // A stronger method may have been seen since.
            Some(Known { packet, .. }) => {
                self.check_strength(packet.peer, packet.method).map(|()| Some(packet))
            }
            None => self.admit(link, &bytes),
        };
        let taken = match admitted {
            Ok(None) => Ok(()),
            Ok(Some(packet)) => {
                let taken = self.take(local, &packet, outputs);
                self.known = Some(Known { bytes, packet });
                taken
            }
            Err(refused) => Err(refused),
        };
        if let Err(refused) = taken {
            self.refuse(link, local, refused, outputs);
        }
    }

    fn take(
        &mut self,
        local: usize,
        packet: &Packet,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        match packet.kind.starts_with(CONTROL_PREFIX) {
            true => self.control(local, packet, outputs),
            false => self.sequenced(local, packet, outputs),
        }
    }

    /// Decodes, verifies, finds the sender. `None` for this node's own packets, which broadcast
    /// and multicast return. But for the strength of the method, what it says depends on the bytes
    /// and the keys alone.
    fn admit(&mut self, link: LinkId, bytes: &[u8]) -> Result<Option<Packet>, Refused> {
        let frame = wire::decode(bytes)?;
        let signature = frame.signature.as_ref().ok_or(AuthError::Unsigned);
        let verified = signature.and_then(|signature| self.keys.verify(signature, &frame.signed));
        let fields = frame.fields;
        let method = verified.inspect_err(|_| self.note_unverified(link, &fields))?;
        let name = text(&fields, fields::SRC)?;
        if self.node.is(name) {
            let other = fields.uuid(fields::SRC_UUID).is_some_and(|uuid| uuid != self.uuid);
            let refused = || Refused(Refusal::OwnName, "another machine uses this name".to_owned());
            return if other { Err(refused()) } else { Ok(None) };
        }
        let Some(peer) = self.peers.iter().position(|peer| peer.name.is(name)) else {
            let shown: String = NodeName::new(name).as_str().chars().take(NAME_SHOWN_MAX).collect();
            return Err(Refused(Refusal::Foreign, format!("foreign node {shown:?}")));
        };
        self.check_strength(peer, method)?;
        let kind = text(&fields, fields::KIND)?;
        if kind.is_empty() || kind.len() > fields::KIND_MAX {
            return Err(PeerError::Field(fields::KIND).into());
        }
        if hex(&fields, fields::TIMESTAMP)? == 0 {
            return Err(PeerError::Field(fields::TIMESTAMP).into());
        }
        let generation = match fields.find(fields::GENERATION) {
            Some(_) => hex(&fields, fields::GENERATION)?,
            None => 0,
        };
        let kind = CompactString::from(kind);
        Ok(Some(Packet { peer, method, generation, fields, kind }))
    }

    /// Somebody says that a member speaks, and nothing vouches for it.
    fn note_unverified(&mut self, link: LinkId, list: &FieldList) {
        let Some(claimed) = list.text(fields::SRC) else { return };
        let Some(peer) = self.peers.iter().position(|peer| peer.name.is(claimed)) else { return };
        self.unverified.insert(peer, Unverified { at: self.now, link });
    }

    /// A key line left over in authkeys, typically `crc`, would let anybody speak for the peer. So
    /// a peer that has signed with a stronger method stays with it until the keys are read again.
    /// What this node itself signs with is always strong enough: the operator has chosen it.
    fn check_strength(&self, peer: usize, method: AuthMethod) -> Result<(), Refused> {
        let peer = &self.peers[peer];
        let floor = peer.strongest.map(|strongest| strongest.min(self.signing_key().1));
        match floor {
            Some(floor) if method < floor => Err(Refused(
                Refusal::Downgrade,
                format!(
                    "{} from {}, which signed with a stronger method before",
                    method.word(),
                    peer.name
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn sequenced(
        &mut self,
        local: usize,
        packet: &Packet,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let (index, sequence) = (packet.peer, hex(&packet.fields, fields::SEQUENCE)?);
        if sequence == 0 {
            return Err(PeerError::Field(fields::SEQUENCE).into());
        }
        let begin = match self.standing(packet, sequence) {
            Standing::Current => None,
            Standing::Begins(begin) => Some(begin),
            Standing::Stale => {
                self.count_replay(local);
                let node = &self.peers[index].name;
                let words = format!("replay of generation {} of {node}", packet.generation);
                return Err(Refused(Refusal::Replay, words));
            }
            Standing::Premature => return Ok(()),
        };
        if let Some(begin) = begin {
            self.begin_session(index, begin, packet.generation, outputs);
        }
        let peer = &mut self.peers[index];
        let verdict = peer.inbound.observe(self.now, sequence, self.rexmit_delay, &mut self.random);
        self.count(index, local, sequence, verdict);
        if self.hear_link(index, local, sequence, outputs) && packet.kind == STATUS {
            self.measure(index, local, sequence, &packet.fields);
        }
        if !verdict.is_accepted() {
            return Ok(());
        }
        let peer = &mut self.peers[index];
        peer.heard = Some(self.now);
        peer.uuid = packet.fields.uuid(fields::SRC_UUID).or(peer.uuid);
        peer.strongest = peer.strongest.max(Some(packet.method));
        if let Some(ack) = peer.inbound.take_ack().filter(|_| peer.acknowledges) {
            self.send_ack(index, ack, outputs);
        }
        self.dispatch(packet, sequence, begin, outputs)
    }

    fn standing(&self, packet: &Packet, sequence: u64) -> Standing {
        let peer = &self.peers[packet.peer];
        let is_status = packet.kind == STATUS;
        let dead = peer.status == NodeStatus::Dead;
        match packet.generation.cmp(&peer.inbound.generation) {
            std::cmp::Ordering::Less => Standing::Stale,
            std::cmp::Ordering::Greater if is_status => Standing::Begins(Begin::Start),
            std::cmp::Ordering::Equal if dead && is_status => {
                let fresh = sequence > peer.inbound.last_status;
                if fresh { Standing::Begins(Begin::Return) } else { Standing::Stale }
            }
            std::cmp::Ordering::Equal if is_status || peer.inbound.last().is_some() => {
                Standing::Current
            }
            std::cmp::Ordering::Greater | std::cmp::Ordering::Equal => Standing::Premature,
        }
    }

    fn count(&mut self, index: usize, local: usize, sequence: u64, verdict: Verdict) {
        let newest = self.peers[index].inbound.last().unwrap_or(sequence);
        match verdict {
            Verdict::InOrder | Verdict::Filled => self.count_accepted(local),
            Verdict::Gap(missing) => {
                self.count_accepted(local);
                self.counters.lost = self.counters.lost.saturating_add(missing);
            }
            Verdict::Old if sequence.saturating_add(COPY_AGE_MAX) < newest => {
                self.count_replay(local);
            }
            Verdict::Duplicate | Verdict::Old => {
                self.counters.duplicate += 1;
                self.links[local].counters.dup += 1;
            }
        }
    }

    fn count_accepted(&mut self, local: usize) {
        self.counters.accepted += 1;
        self.links[local].counters.ok += 1;
    }

    fn count_replay(&mut self, local: usize) {
        self.counters.replay += 1;
        self.links[local].counters.replay += 1;
    }

    /// Books a packet that shows that a link works; whether it is one.
    fn hear_link(
        &mut self,
        index: usize,
        local: usize,
        sequence: u64,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let peer = &mut self.peers[index];
        let newest = peer.inbound.last().unwrap_or(sequence);
        let link = &mut peer.links[local];
        if self.links[local].is_failed() || !link.is_news(sequence, newest) {
            return false;
        }
        link.hear(self.now, sequence);
        if !std::mem::replace(&mut link.up, true) {
            outputs.push(Output::Event(Event::LinkStatus {
                node: peer.name.clone(),
                link: self.links[local].name.clone(),
                up: true,
                cause: "its packets arrive".to_owned(),
            }));
        }
        true
    }

    /// A heartbeat came on a link on which it is news: when, and what it says of the way.
    fn measure(&mut self, index: usize, local: usize, sequence: u64, list: &FieldList) {
        let is_blind = self.is_blind();
        let names = self.links.iter().map(|link| link.name.as_str());
        let names: SmallVec<[&str; echo::LINKS_MAX]> = names.collect();
        let echoed = list
            .text(fields::ECHO)
            .map(|text| echo::read(text, &names, local, &self.sent_times, self.now));
        let peer = &mut self.peers[index];
        let is_copy = peer.inbound.may_be_copy(sequence);
        let (now, deadtime) = (self.now, peer.deadtime);
        let link = &mut peer.links[local];
        link.beat(now, deadtime, !is_blind);
        if is_blind || is_copy {
            return;
        }
        link.way.hear(sequence, now);
        if let Some(echoed) = echoed {
            link.way.take(echoed);
        }
    }

    fn dispatch(
        &mut self,
        packet: &Packet,
        sequence: u64,
        begin: Option<Begin>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let index = packet.peer;
        let for_us = self.is_for_us(&packet.fields);
        let mut result = Ok(());
        match packet.kind.as_str() {
            STATUS => self.heartbeat(index, sequence, &packet.fields, begin, outputs),
            ASK_NODES if for_us => self.send_nodes(index, outputs),
            NODES if for_us => {
                let names = packet.fields.text(fields::NODE_LIST).unwrap_or_default();
                self.nodes_answered(index, names, outputs);
            }
            ASK_NODES | NODES => {}
            kind if for_us => {
                result = self.push_body(index, sequence, kind, &packet.fields);
            }
            _ => {}
        }
        self.deliver_ready(index, outputs);
        result
    }

    /// With a destination UUID that is not zero the UUID decides, else the name.
    fn is_for_us(&self, list: &FieldList) -> bool {
        let Some(name) = list.text(fields::DEST) else {
            return list.find(fields::DEST).is_none();
        };
        match list.uuid(fields::DEST_UUID).filter(|uuid| *uuid != [0; 16]) {
            Some(uuid) => uuid == self.uuid,
            None => self.node.is(name),
        }
    }

    fn push_body(
        &mut self,
        index: usize,
        sequence: u64,
        kind: &str,
        list: &FieldList,
    ) -> Result<(), Refused> {
        let body = Body::from_fields(kind, list).map_err(|error| {
            Refused(Refusal::Content, format!("{kind} of {}: {error}", self.peers[index].name))
        })?;
        let number = |name| list.text(name).and_then(fields::parse_hex);
        if matches!(body, Body::Resource { .. })
            && number(fields::FOR).is_some_and(|generation| generation != self.generation)
        {
            tracing::debug!(seq = sequence, "body dropped: said to an earlier start of this node");
            return Ok(());
        }
        let after = number(fields::AFTER);
        let until = self.now + order::patience(self.rexmit_delay);
        self.peers[index].order.push(sequence, after, body, until);
        Ok(())
    }

    /// Delivers the bodies of a peer that need not wait.
    pub(super) fn deliver_ready(&mut self, index: usize, outputs: &mut Vec<Output>) {
        loop {
            let peer = &mut self.peers[index];
            let Some(body) = peer.order.pop(self.now, peer.inbound.first_missing()) else { break };
            self.deliver(index, body, outputs);
        }
    }

    /// Hands a body to the node; before this node is active it is kept, where 3.0.6 loses it.
    pub(super) fn deliver(&mut self, index: usize, body: Body, outputs: &mut Vec<Output>) {
        if self.stopping {
            return;
        }
        if self.phase == Phase::Active {
            let from = self.peers[index].name.clone();
            outputs.push(Output::Event(Event::Received { from, body }));
            return;
        }
        if self.early.len() == EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back((index, body));
    }

    /// `NS_*`: without sequence number. 3.0.6 takes them from any generation; an older one can
    /// only be a replay.
    fn control(
        &mut self,
        local: usize,
        packet: &Packet,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let index = packet.peer;
        if packet.generation < self.peers[index].inbound.generation {
            self.count_replay(local);
            let node = &self.peers[index].name;
            return Err(Refused(Refusal::Replay, format!("replay of {} of {node}", packet.kind)));
        }
        if !self.is_for_us(&packet.fields) {
            return Ok(());
        }
        self.count_accepted(local);
        match packet.kind.as_str() {
            // Nothing is held back for want of one. It does not say which run of ours it is for,
            // so it may not stop a repetition either, as it does in 3.0.6.
            ACK => {
                hex(&packet.fields, fields::ACK_SEQUENCE)?;
            }
            REXMIT => {
                let first = decimal(&packet.fields, fields::FIRST_SEQUENCE)?;
                let last = decimal(&packet.fields, fields::LAST_SEQUENCE)?;
                self.answer_rexmit(index, first, last, outputs);
            }
            NAK => {
                let gone = hex(&packet.fields, fields::FIRST_SEQUENCE)?;
                self.peers[index].inbound.give_up(gone);
                self.deliver_ready(index, outputs);
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse(&mut self, link: LinkId, local: usize, refused: Refused, outputs: &mut Vec<Output>) {
        let Refused(kind, reason) = refused;
        let there = &mut self.links[local].counters;
        match kind {
            Refusal::Malformed | Refusal::Unsupported | Refusal::Content => {
                self.counters.malformed += 1;
                there.malformed += 1;
            }
            Refusal::BadAuth | Refusal::Downgrade => {
                self.counters.bad_auth += 1;
                there.badauth += 1;
            }
            Refusal::Foreign | Refusal::OwnName => {
                self.counters.foreign += 1;
                there.foreign += 1;
            }
            // Counted where it is found.
            Refusal::Replay => {}
        }
        let told = self.refusals.get(&(link, kind));
        if told.is_some_and(|told| self.now.since(*told) < Duration::from_secs(1)) {
            return;
        }
        self.refusals.insert((link, kind), self.now);
        outputs.push(Output::Event(Event::Refused { link, reason }));
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        let kind = match error {
            DecodeError::UnsupportedType(_) => Refusal::Unsupported,
            DecodeError::TooLong
            | DecodeError::Start
            | DecodeError::End
            | DecodeError::Trailing
            | DecodeError::Field
            | DecodeError::Name
            | DecodeError::Value
            | DecodeError::TooManyFields
            | DecodeError::Signature => Refusal::Malformed,
        };
        Self(kind, error.to_string())
    }
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        Self(Refusal::BadAuth, error.to_string())
    }
}

impl From<PeerError> for Refused {
    fn from(error: PeerError) -> Self {
        Self(Refusal::Malformed, error.to_string())
    }
}

fn text<'a>(list: &'a FieldList, name: &'static str) -> Result<&'a str, PeerError> {
    list.text(name).ok_or(PeerError::Field(name))
}

fn hex(list: &FieldList, name: &'static str) -> Result<u64, PeerError> {
    fields::parse_hex(text(list, name)?).ok_or(PeerError::Field(name))
}

fn decimal(list: &FieldList, name: &'static str) -> Result<u64, PeerError> {
    fields::parse_decimal(text(list, name)?).ok_or(PeerError::Field(name))
}
