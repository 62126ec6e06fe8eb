//! What the peer might send: messages with the right signature and any content, and forgeries. It
//! keeps the peer's generation and sequence, so that most of what it makes is accepted.

use hb_config::settings::{Framing, Settings};
use hb_messaging::engine::LinkId;
use hb_messaging::fields::{self, FieldList};
use hb_messaging::wire;
use hb_node::input::Input;
use hb_node::translate::{CAPABILITIES, CAPABILITY_GROUPS, GROUP, GROUPS, VERSION};

use crate::reader::Reader;
use crate::world;

/// Types, by a byte; what lies behind the last one is `status`. Add at the end.
const KINDS: [&str; 18] = [
    "status",
    "starting",
    "resource",
    "ask_resources",
    "hb_takeover",
    "shutdone",
    "reqnodes",
    "repnodes",
    "NS_ackmsg",
    "NS_rexmit",
    "NS_nak_rexmit",
    "stonith",
    "num_ping_nodes",
    "you_are_dead",
    "abort_giveup",
    "hbapi-clstat",
    "ip-request",
    "no_such_type",
];
/// Longest list of types there can be without a change of meaning.
const KINDS_MAX: u8 = 32;
/// Names of the fields that may be added to any message.
const NAMES: [&str; 16] = [
    "st",
    "info",
    "rsc_hold",
    "isstable",
    "rtype",
    "dest",
    "destuuid",
    "firstseq",
    "lastseq",
    "ackseq",
    "node",
    "result",
    GROUPS,
    GROUP,
    fields::AFTER,
    fields::KEYS,
];
/// Fields of Twinbeat that may be on a `status`, by a byte. Add at the end.
const STATUS_NAMES: [&str; 8] = [
    fields::KEYS,
    fields::STOPPING,
    "x_unready",
    "x_config",
    "x_maint",
    "x_hears",
    GROUPS,
    VERSION,
];
/// What stands in them, or anything else.
const STATUS_VALUES: [&str; 8] = [
    "1",
    "0",
    "",
    "192.0.2.1/24/eth2 no agent",
    "+eth0 -eth1",
    "single no\tx y",
    "ha.cf:0123ab",
    "on",
];
const HOLDS: [&str; 6] = ["none", "local", "foreign", "all", "failback", "some"];
const CLAIMS: [&str; 7] =
    ["released", "acquiring", "held", "releasing", "failed", "blocked", "gone"];
/// The key that signs where nothing else is said: that of `world`.
const KEY: u8 = 1;

/// The other node, or whoever has its key.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    there: bool,
    groups: Vec<String>,
    generation: u64,
    sequence: u64,
}

/// A byte of a message: what is as it should be, and what is not.
#[derive(Clone, Copy)]
struct Oddities(u8);

impl Oddities {
    fn has(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }
}

impl Peer {
    pub(super) fn new(settings: &Settings) -> Self {
        let groups = settings.groups.iter().map(|group| group.key.clone()).collect();
        Self { there: settings.nodes.len() > 1, groups, generation: 3, sequence: 0 }
    }

    /// What a Twinbeat peer says of itself when all is well; `None` where there is no peer.
    pub(super) fn alive(&mut self) -> Option<Input> {
        if !self.there {
            return None;
        }
        self.sequence += 1;
        let mut list = FieldList::new();
        self.push_status(&mut list, "active", true);
        self.push_common(&mut list, "node2", Some(self.sequence), Some(self.generation));
        let keys = world::authenticator(KEY);
        let bytes = wire::encode(&list, Framing::Netstring, true, keys).ok()?;
        Some(Input::Datagram { link: LinkId(0), bytes })
    }

    /// A message with a good signature; `None` when it cannot be put on the wire.
    pub(super) fn message(&mut self, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        let (odd, list) = self.fields(reader);
        let framing = if odd.has(2) { Framing::Classic } else { Framing::Netstring };
        let index = if odd.has(5) { *reader.pick(&world::KEY_INDICES) } else { KEY };
        wire::encode(&list, framing, odd.has(7), world::authenticator(index)).ok()
    }

    /// What only somebody without a key would send.
    pub(super) fn forgery(&mut self, code: u8, reader: &mut Reader<'_>) -> Vec<u8> {
        let before = self.clone();
        let (odd, list) = self.fields(reader);
        // The peer has not said it.
        *self = before;
        let framing = if odd.has(2) { Framing::Classic } else { Framing::Netstring };
        let unsigned = || wire::encode_unsigned(&list).unwrap_or_default();
        if code & 3 == 0 {
            return unsigned();
        }
        let keys = world::stranger(code & 3);
        wire::encode(&list, framing, odd.has(7), keys).unwrap_or_else(|_| unsigned())
    }

    fn fields(&mut self, reader: &mut Reader<'_>) -> (Oddities, FieldList) {
        let odd = Oddities(reader.u8());
        let kind = KINDS.get(usize::from(reader.u8() % KINDS_MAX)).copied().unwrap_or("status");
        let mut list = FieldList::new();
        self.push_body(&mut list, kind, odd.has(6), reader);
        if odd.has(3) {
            push_extra(&mut list, reader);
        }
        let generation =
            if odd.has(1) { self.odd_generation(reader) } else { Some(self.generation) };
        let sequence = if odd.has(0) { self.odd_sequence(reader) } else { self.next(kind) };
        let source = if odd.has(4) {
            *reader.pick(&["NODE2", "node1", "stranger", "10.0.0.254", ""])
        } else {
            "node2"
        };
        self.push_common(&mut list, source, sequence, generation);
        (odd, list)
    }

    fn next(&mut self, kind: &str) -> Option<u64> {
        if kind.starts_with("NS_") {
            return None;
        }
        self.sequence += 1;
        Some(self.sequence)
    }

    fn odd_sequence(&mut self, reader: &mut Reader<'_>) -> Option<u64> {
        match reader.u8() % 8 {
            0 => Some(self.sequence),
            1..=3 => {
                self.sequence = self.sequence.saturating_add(1 + u64::from(reader.u8()));
                Some(self.sequence)
            }
            4 => {
                self.sequence = self.sequence.saturating_sub(u64::from(reader.u8()));
                Some(self.sequence)
            }
            5 => Some(reader.u64()),
            6 => Some(u64::MAX),
            _ => None,
        }
    }

    fn odd_generation(&mut self, reader: &mut Reader<'_>) -> Option<u64> {
        match reader.u8() % 8 {
            0..=2 => {
                self.generation = self.generation.saturating_add(1);
                self.sequence = 0;
                Some(self.generation)
            }
            3 => Some(self.generation.saturating_sub(1)),
            4 => Some(u64::MAX),
            5 => Some(0),
            6 => Some(reader.u64()),
            _ => None,
        }
    }

    fn push_body(&self, list: &mut FieldList, kind: &str, native: bool, reader: &mut Reader<'_>) {
        if kind == "status" {
            let word = *reader.pick(&["active", "up", "init", "dead", "active", "ping", "odd", ""]);
            self.push_status(list, word, native);
            let marks = if native { reader.u8() } else { 0 };
            // Most heartbeats carry nothing else.
            for _ in 0..marks.saturating_sub(0xf8) {
                let name = *reader.pick(&STATUS_NAMES);
                let value = reader.u8();
                let known = STATUS_VALUES.get(usize::from(value)).map(|it| (*it).to_owned());
                list.push_text(name, known.unwrap_or_else(|| reader.text().replace('\0', "")));
            }
            return;
        }
        list.push_text(fields::KIND, kind);
        match kind {
            "resource" => {
                list.push_text(fields::HOLD, *reader.pick(&HOLDS));
                let flags = reader.u8();
                if flags & 1 != 0 {
                    list.push_text(fields::RESOURCE_TYPE, "full");
                }
                if flags & 2 != 0 {
                    list.push_text(fields::STABLE, if flags & 4 != 0 { "1" } else { "0" });
                }
                if flags & 8 != 0 {
                    let words = ["standby", "mach_down", "shutdown", "req_our_resources()"];
                    list.push_text(fields::INFO, *reader.pick(&words));
                }
                if native {
                    list.push_text(GROUPS, self.claims(reader));
                }
            }
            "ask_resources" => {
                list.push_text(fields::HOLD, *reader.pick(&HOLDS));
                list.push_text(fields::INFO, *reader.pick(&["me", "other", "done", "odd"]));
                if native {
                    list.push_text(GROUP, self.group(reader));
                }
            }
            "hb_takeover" => {
                list.push_text(fields::HOLD, *reader.pick(&HOLDS));
                if native {
                    list.push_text(GROUP, self.group(reader));
                }
            }
            "shutdone" => list.push_text(fields::STATUS, "dead"),
            "repnodes" => list.push_text(fields::NODE_LIST, "node1 node2 "),
            "NS_ackmsg" => list.push_text(fields::ACK_SEQUENCE, format!("{:x}", reader.u16())),
            "NS_rexmit" | "NS_nak_rexmit" => {
                list.push_text(fields::FIRST_SEQUENCE, reader.u8().to_string());
                list.push_text(fields::LAST_SEQUENCE, reader.u16().to_string());
            }
            "stonith" => {
                list.push_text(fields::NODE, *reader.pick(&world::NODES));
                list.push_text(fields::RESULT, *reader.pick(&["OK", "bad", "unneeded", "odd"]));
            }
            "num_ping_nodes" => list.push_text("num_ping", reader.u8().to_string()),
            "hbapi-clstat" => list.push_text(fields::STATUS, "join"),
            _ => {}
        }
        if ["num_ping_nodes", "you_are_dead", "abort_giveup", "hbapi-clstat"].contains(&kind) {
            list.push_text("from_id", "ipfail");
            list.push_text("to_id", "ipfail");
        }
    }

    fn push_status(&self, list: &mut FieldList, word: &str, native: bool) {
        list.push_text(fields::KIND, "status");
        list.push_text(fields::STATUS, word);
        list.push_text(fields::DEADTIME, "3e8");
        list.push_text("protocol", "1");
        if native {
            list.push_text(CAPABILITIES, CAPABILITY_GROUPS);
            list.push_text(VERSION, "0.1.0");
        }
    }

    fn push_common(
        &self,
        list: &mut FieldList,
        source: &str,
        sequence: Option<u64>,
        generation: Option<u64>,
    ) {
        list.push_text(fields::SRC, source);
        list.push_binary(fields::SRC_UUID, [2; 16]);
        if let Some(sequence) = sequence {
            list.push_text(fields::SEQUENCE, format!("{sequence:x}"));
        }
        if let Some(generation) = generation {
            list.push_text(fields::GENERATION, format!("{generation:x}"));
        }
        list.push_text(fields::TIMESTAMP, "6b00c5a4");
        list.push_text(fields::LOAD, "0.00 0.00 0.00 1/1 1");
        list.push_text(fields::TTL, "3");
    }

    fn group(&self, reader: &mut Reader<'_>) -> String {
        let at = usize::from(reader.u8());
        self.groups.get(at).cloned().unwrap_or_else(|| "no such group".into())
    }

    /// A claim for each group, sometimes one too few or too many.
    fn claims(&self, reader: &mut Reader<'_>) -> String {
        let count = match reader.u8() % 8 {
            0 => 0,
            1 => 1,
            2 => self.groups.len() + 1,
            _ => self.groups.len(),
        };
        let key = |at: usize| self.groups.get(at).map_or("no-such-group", String::as_str);
        let claims = (0..count).map(|at| format!("{} {}", reader.pick(&CLAIMS), key(at)));
        claims.collect::<Vec<_>>().join(" ")
    }
}

/// Up to three fields of known names with anything in them.
fn push_extra(list: &mut FieldList, reader: &mut Reader<'_>) {
    for _ in 0..=reader.u8() % 3 {
        let name = *reader.pick(&NAMES);
        let bytes = reader.chunk().to_vec();
        list.push_text(name, bytes.into_iter().filter(|byte| *byte != 0).collect::<Vec<u8>>());
    }
}
