//! How a Heartbeat 3.0.6 node sends and what it takes in: fields, sequence numbers, generations,
//! acknowledgements and the repair of losses, after `heartbeat-3.0.6` §§3 to 5 of the protocol
//! description. It knows no status and no resource. Left out: compression, serial lines, its own
//! acknowledgements to itself, and the pause of its clients when nobody acknowledges.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hb_config::settings::{Framing, Settings};
use hb_messaging::auth::Authenticator;
use hb_messaging::fields::{self, FieldList};
use hb_messaging::time::Instant;
use hb_messaging::wire;

use crate::rng::Rng;

/// Messages kept to be sent again (§5.5).
const KEPT_MAX: usize = 500;
/// Missing numbers that are remembered (§5.2).
const MISSING_MAX: usize = 500;
/// A larger gap makes it forget what was missing (§5.3, 6).
const GAP_MAX: u64 = 250;
/// Messages that one request brings (§5.5).
const RESENT_MAX: u64 = 50;
/// The shortest wait before the first request (§5.5).
const FIRST_REQUEST_MS: u64 = 50;
/// A copy is not sent again within the repeat less this (§5.5).
const RESEND_SLACK: Duration = Duration::from_millis(10);
/// Every tenth message is acknowledged (§5.6).
const ACK_EVERY: u64 = 10;

const ACK: &str = "NS_ackmsg";
const REXMIT: &str = "NS_rexmit";
const NAK: &str = "NS_nak_rexmit";

/// One end of the conversation.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    node: String,
    peer: String,
    uuid: [u8; 16],
    generation: u64,
    keys: Authenticator,
    inner_auth: bool,
    ttl: u64,
    repeat_ms: u64,
    rng: Rng,
    /// Number of the last message sent.
    sequence: u64,
    /// The last messages sent, the newest last, and when each was sent again.
    kept: VecDeque<(u64, FieldList, Option<Instant>)>,
    /// The peer has everything up to here.
    acknowledged: u64,
    peer_uuid: [u8; 16],
    /// What was heard of the peer.
    heard: Heard,
    /// Wall clock, for `ts`.
    pub(super) unix_s: u64,
}

/// The state of §5.2.
#[derive(Clone, Debug, Default)]
struct Heard {
    generation: u64,
    last: Option<u64>,
    /// When each missing number is asked for next.
    missing: BTreeMap<u64, Instant>,
    last_status: u64,
    ack_digit: u64,
}

/// A message that the rest of the node has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// `t`
    pub(super) kind: String,
    /// All of it.
    pub(super) fields: FieldList,
    /// What its number says of its sender.
    pub(super) sender: Sender,
    /// Whether it is meant for this node, or for all.
    pub(super) for_us: bool,
}

/// §5.3, 3
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Goes on.
    Same,
    /// Has a higher generation.
    Restarted,
    /// Was declared dead under this generation.
    Returned,
}

impl Transport {
    /// For the node of `settings`; `None` when it is alone or has no key.
    pub(super) fn new(
        settings: &Settings,
        uuid: [u8; 16],
        generation: u64,
        seed: u64,
    ) -> Option<Self> {
        let peer = settings.nodes.iter().find(|node| **node != settings.node)?;
        let mut rng = Rng::new(seed);
        let heard = Heard { ack_digit: rng.between(0, ACK_EVERY - 1), ..Heard::default() };
        let known = (settings.nodes.len() + settings.pings.len()) as u64;
        Some(Self {
            node: settings.node.as_str().to_owned(),
            peer: peer.as_str().to_owned(),
            uuid,
            generation,
            keys: Authenticator::new(&settings.keys)?,
            inner_auth: settings.inner_auth,
            ttl: u64::from(settings.hopfudge) + known,
            repeat_ms: settings.max_rexmit_delay_ms,
            rng,
            sequence: 0,
            kept: VecDeque::new(),
            acknowledged: 0,
            peer_uuid: [0; 16],
            heard,
            unix_s: 1,
        })
    }

    /// True in half of all cases: for what the description leaves open.
    pub(super) fn coin(&mut self) -> bool {
        self.rng.chance(500)
    }

    /// Numbers, keeps and encodes a message of these own fields.
    pub(super) fn send(&mut self, own: FieldList) -> Option<Vec<u8>> {
        self.sequence += 1;
        let mut list = self.addressed(own);
        list.push_text(fields::SEQUENCE, format!("{:x}", self.sequence));
        self.finish(&mut list);
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        let bytes = self.encode(&list);
        self.kept.push_back((self.sequence, list, None));
        bytes
    }

    fn addressed(&self, mut list: FieldList) -> FieldList {
        if list.find(fields::DEST).is_some() {
            let to_peer = list.text(fields::DEST) == Some(self.peer.as_str());
            let uuid = if to_peer { self.peer_uuid } else { self.uuid };
            list.push_binary(fields::DEST_UUID, uuid);
        }
        list.push_text(fields::SRC, self.node.as_str());
        list.push_binary(fields::SRC_UUID, self.uuid);
        list
    }

    fn finish(&self, list: &mut FieldList) {
        list.push_text(fields::GENERATION, format!("{:x}", self.generation));
        list.push_text(fields::TIMESTAMP, format!("{:x}", self.unix_s.max(1)));
        list.push_text(fields::TTL, self.ttl.to_string());
    }

    fn encode(&self, list: &FieldList) -> Option<Vec<u8>> {
        wire::encode(list, Framing::Netstring, self.inner_auth, &self.keys).ok()
    }

    /// An unnumbered message to the peer.
    fn control(&self, kind: &str, own: &[(&str, String)]) -> Option<Vec<u8>> {
        let mut list = FieldList::new();
        list.push_text(fields::KIND, kind);
        list.push_text(fields::DEST, self.peer.as_str());
        for (name, value) in own {
            list.push_text(name, value.as_str());
        }
        let mut list = self.addressed(list);
        self.finish(&mut list);
        self.encode(&list)
    }

    /// Takes a datagram; what is to be looked at, and what is to be sent at once.
    pub(super) fn take(
        &mut self,
        now: Instant,
        bytes: &[u8],
        peer_is_dead: bool,
    ) -> (Option<Packet>, Vec<Vec<u8>>) {
        let mut out = Vec::new();
        let Some(list) = self.verified(bytes) else { return (None, out) };
        let Some(kind) = list.text(fields::KIND).map(str::to_owned) else { return (None, out) };
        let hex = |name| list.text(name).and_then(fields::parse_hex);
        if hex(fields::TIMESTAMP).is_none_or(|at| at == 0) {
            return (None, out);
        }
        let for_us = list.find(fields::DEST).is_none()
            || list.text(fields::DEST).is_some_and(|name| name.eq_ignore_ascii_case(&self.node));
        if kind.starts_with("NS_") {
            // Whatever its generation; a refusal is honoured by whoever hears it (§15, 5).
            if for_us || kind == NAK {
                self.take_control(now, &kind, &list, &mut out);
            }
            return (None, out);
        }
        let generation = hex(fields::GENERATION).unwrap_or(0);
        let Some(number) = hex(fields::SEQUENCE).filter(|number| *number > 0) else {
            return (None, out);
        };
        let is_status = kind == "status";
        let sender = self.sender(is_status, generation, number, peer_is_dead);
        let Some(sender) = sender.filter(|_| self.accept(now, number, &mut out)) else {
            return (None, out);
        };
        self.peer_uuid = list.uuid(fields::SRC_UUID).unwrap_or(self.peer_uuid);
        if is_status {
            // A late copy says nothing about the present (§5.4).
            if number <= self.heard.last_status {
                return (None, out);
            }
            self.heard.last_status = number;
        }
        (Some(Packet { kind, fields: list, sender, for_us }), out)
    }

    fn verified(&self, bytes: &[u8]) -> Option<FieldList> {
        let frame = wire::decode(bytes).ok()?;
        let signature = frame.signature.as_ref()?;
        self.keys.verify(signature, &frame.signed).ok()?;
        let from = frame.fields.text(fields::SRC)?;
        from.eq_ignore_ascii_case(&self.peer).then_some(frame.fields)
    }

    /// §5.3, 2 and 3; `None`: dropped.
    fn sender(
        &mut self,
        is_status: bool,
        generation: u64,
        number: u64,
        dead: bool,
    ) -> Option<Sender> {
        let heard = &mut self.heard;
        if generation < heard.generation {
            return None;
        }
        if !is_status {
            return Some(Sender::Same);
        }
        if generation > heard.generation {
            let first = heard.generation == 0;
            *heard = Heard { generation, ack_digit: heard.ack_digit, ..Heard::default() };
            return Some(if first { Sender::Same } else { Sender::Restarted });
        }
        match dead {
            true if number <= heard.last_status => None,
            true => Some(Sender::Returned),
            false => Some(Sender::Same),
        }
    }

    /// §5.3, 4 to 7: whether the number is taken.
    fn accept(&mut self, now: Instant, number: u64, out: &mut Vec<Vec<u8>>) -> bool {
        let Some(last) = self.heard.last else {
            self.heard.last = Some(number);
            return true;
        };
        if number <= last {
            let filled = self.heard.missing.remove(&number).is_some();
            if filled && self.heard.missing.is_empty() {
                let phase = (last + ACK_EVERY - self.heard.ack_digit) % ACK_EVERY;
                out.extend(last.checked_sub(phase).and_then(|fits| self.acknowledge(fits)));
            }
            return filled;
        }
        self.heard.last = Some(number);
        if number - last > GAP_MAX {
            self.heard.missing.clear();
        } else {
            let low = if self.repeat_ms < FIRST_REQUEST_MS * 2 { 0 } else { FIRST_REQUEST_MS };
            for lost in last + 1..number {
                let wait = Duration::from_millis(self.rng.between(low, self.repeat_ms));
                if self.heard.missing.len() < MISSING_MAX {
                    self.heard.missing.insert(lost, now + wait);
                }
            }
        }
        if self.heard.missing.is_empty() && number % ACK_EVERY == self.heard.ack_digit {
            out.extend(self.acknowledge(number));
        }
        true
    }

    fn acknowledge(&self, number: u64) -> Option<Vec<u8>> {
        self.control(ACK, &[(fields::ACK_SEQUENCE, format!("{number:x}"))])
    }

    fn take_control(&mut self, now: Instant, kind: &str, list: &FieldList, out: &mut Vec<Vec<u8>>) {
        let hex = |name| list.text(name).and_then(fields::parse_hex);
        let decimal = |name| list.text(name).and_then(fields::parse_decimal);
        match kind {
            ACK => {
                let number = hex(fields::ACK_SEQUENCE).unwrap_or(0);
                if number <= self.sequence {
                    self.acknowledged = self.acknowledged.max(number);
                }
            }
            NAK => {
                let gone = hex(fields::FIRST_SEQUENCE).unwrap_or(0);
                self.heard.missing.remove(&gone);
            }
            REXMIT => {
                let first = decimal(fields::FIRST_SEQUENCE).unwrap_or(u64::MAX);
                let last = decimal(fields::LAST_SEQUENCE).unwrap_or(0);
                let last = last.min(self.sequence).min(first.saturating_add(RESENT_MAX - 1));
                for number in first.max(self.acknowledged + 1)..=last {
                    out.extend(self.again(now, number));
                }
            }
            _ => {}
        }
    }

    /// The message of this number, or that it cannot be had. The newest is never found (§5.5).
    fn again(&mut self, now: Instant, number: u64) -> Option<Vec<u8>> {
        let newest = self.sequence;
        let pause = Duration::from_millis(self.repeat_ms).saturating_sub(RESEND_SLACK);
        let kept = self.kept.iter_mut().find(|(kept, ..)| *kept == number && number < newest);
        let Some((_, list, resent)) = kept else {
            return self.control(NAK, &[(fields::FIRST_SEQUENCE, format!("{number:x}"))]);
        };
        if resent.is_some_and(|at| now - at < pause) {
            return None;
        }
        *resent = Some(now);
        let list = list.clone();
        self.encode(&list)
    }

    /// Requests that are due.
    pub(super) fn requests(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let due = self.heard.missing.iter().filter(|(_, at)| **at <= now);
        let due: Vec<u64> = due.map(|(number, _)| *number).collect();
        let mut out = Vec::new();
        for number in due {
            let again = now + Duration::from_millis(self.repeat_ms.max(1));
            self.heard.missing.insert(number, again);
            let number = number.to_string();
            let range = [(fields::FIRST_SEQUENCE, number.clone()), (fields::LAST_SEQUENCE, number)];
            out.extend(self.control(REXMIT, &range));
        }
        out
    }

    /// When the next request is due.
    pub(super) fn next_request(&self) -> Option<Instant> {
        self.heard.missing.values().min().copied()
    }

    /// The peer is dead (§6.2): its generation and the number of its last status are kept.
    pub(super) fn forget_peer(&mut self) {
        let Heard { generation, last_status, ack_digit, .. } = self.heard;
        self.heard = Heard { generation, last_status, ack_digit, ..Heard::default() };
        self.acknowledged = 0;
    }
}
