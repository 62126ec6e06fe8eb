//! Heartbeat's ordered field list and the names of its fields and message types. Knows nothing of
//! framing (`wire`) and nothing of what a message means (`message`, `engine`).

use std::borrow::Cow;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub mod as_bytes;

/// `t`: message type, at most [`KIND_MAX`] characters.
pub const KIND: &str = "t";
/// `st`: status word of a node.
pub const STATUS: &str = "st";
/// `dt`: hex milliseconds after which the sender wants to be declared dead.
pub const DEADTIME: &str = "dt";
/// `protocol`: decimal; its presence says that the sender takes part in acknowledgements.
pub const PROTOCOL: &str = "protocol";
/// `dest`: destination node; absent for all.
pub const DEST: &str = "dest";
/// `destuuid`: UUID of the destination, 16 zero bytes when the sender does not know it.
pub const DEST_UUID: &str = "destuuid";
/// `src`: sending node.
pub const SRC: &str = "src";
/// `srcuuid`: UUID of the sending node.
pub const SRC_UUID: &str = "srcuuid";
/// `seq`: hex sequence number, from 1 in each generation; absent on `NS_*` types.
pub const SEQUENCE: &str = "seq";
/// `hg`: hex generation (incarnation) of the sender.
pub const GENERATION: &str = "hg";
/// `ts`: hex Unix time of the sender, never 0.
pub const TIMESTAMP: &str = "ts";
/// `ld`: first line of the sender's `/proc/loadavg`; absent on `NS_*` types.
pub const LOAD: &str = "ld";
/// `ttl`: decimal hop limit, never looked at by Heartbeat 3.0.6.
pub const TTL: &str = "ttl";
/// `auth`: key index and signature over the canonical text.
pub const AUTH: &str = "auth";
/// `firstseq`: decimal in `NS_rexmit`, hex in `NS_nak_rexmit`.
pub const FIRST_SEQUENCE: &str = "firstseq";
/// `lastseq`: decimal.
pub const LAST_SEQUENCE: &str = "lastseq";
/// `ackseq`: hex.
pub const ACK_SEQUENCE: &str = "ackseq";
/// `rsc_hold`: `none`, `local`, `foreign`, `all`.
pub const HOLD: &str = "rsc_hold";
/// `rtype`: `full` replaces what was known.
pub const RESOURCE_TYPE: &str = "rtype";
/// `isstable`: `1` or `0`.
pub const STABLE: &str = "isstable";
/// `info`: comment, or a step of the standby dialogue.
pub const INFO: &str = "info";
/// `node`: the node that a report is about.
pub const NODE: &str = "node";
/// `result`: result of fencing.
pub const RESULT: &str = "result";
/// `nodelist`: member names, each followed by a blank.
pub const NODE_LIST: &str = "nodelist";
/// `delnodelist`: removed members, a single blank for none.
pub const DELETED_LIST: &str = "delnodelist";
/// Prefix of Twinbeat's own fields, which 3.0.6 ignores.
pub const EXTENSION_PREFIX: &str = "x_";
/// `x_after`: hex sequence number of the sender's previous message for the resource layer, so that
/// a receiver need not wait for a lost `status` (see `order`).
pub const AFTER: &str = "x_after";
/// `x_for` on `resource`: hex generation of the receiver as the sender knew it, 0 before it was heard.
/// What was said to an earlier start of the receiver may have been overtaken by what that one did.
pub const FOR: &str = "x_for";
/// `x_echo` on `status`: the receiver's last heartbeat on each link and how long ago it came (see
/// `echo`).
pub const ECHO: &str = "x_echo";
/// `x_keys` on `status`: the keys that the sender accepts and the one that it signs with, by
/// fingerprint (see `auth`).
pub const KEYS: &str = "x_keys";
/// `x_stopping=1` on `status`: the sender is stopping in order.
pub const STOPPING: &str = "x_stopping";

/// Fields that the engine adds to every message and that bodies never carry.
pub const COMMON: [&str; 9] =
    [DEST_UUID, SRC, SRC_UUID, SEQUENCE, GENERATION, TIMESTAMP, LOAD, TTL, AUTH];

/// Longest message type (Heartbeat 3.0.6: 31 characters and a NUL).
pub const KIND_MAX: usize = 31;
/// Longest field name. The longest in use is `delnodelist`; the rest is room for extensions.
pub const NAME_MAX: usize = 64;

/// What a field holds. Heartbeat's nested, list and compressed types never occur in its
/// resource-file mode and are refused on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Type 0: bytes without NUL, usually ASCII.
    Text(#[serde(with = "as_bytes")] Bytes),
    /// Type 1: any bytes; used for UUIDs.
    Binary(#[serde(with = "as_bytes")] Bytes),
}

/// The bytes of a value. Most are shorter than this and need no memory of their own.
pub type Bytes = SmallVec<[u8; 24]>;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Printable ASCII without `=`, not beginning with `(`.
    pub name: CompactString,
    /// Value.
    pub value: Value,
}

/// Room for the fields of a `status`, Twinbeat's own included.
const USUAL: usize = 20;

/// Fields in the order of the wire. A name may occur twice; look-ups find the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldList(Vec<Field>);

impl FieldList {
    /// No fields.
    pub fn new() -> Self {
        Self(Vec::with_capacity(USUAL))
    }

    /// Appends a string field.
    pub fn push_text(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = Value::Text(Bytes::from_slice(value.as_ref()));
        self.push(Field { name: name.into(), value });
    }

    /// Appends a string field that holds a number in hex, as in `seq`, `hg`, `ts`, `dt` and `ackseq`.
    pub fn push_hex(&mut self, name: &str, number: u64) {
        // Not by `format!`: a heartbeat has five of them.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 16];
        let length = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1) as usize;
        for (place, digit) in text[..length].iter_mut().rev().enumerate() {
            *digit = DIGITS[(number >> (4 * place)) as usize & 0xf];
        }
        self.push_text(name, &text[..length]);
    }

    /// Appends a binary field.
    pub fn push_binary(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = Value::Binary(Bytes::from_slice(value.as_ref()));
        self.push(Field { name: name.into(), value });
    }

    /// Appends a field.
    pub fn push(&mut self, field: Field) {
        self.0.push(field);
    }

    /// Takes all fields of that name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|field| field.name != name);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that the fields take in either framing, at most: names, values and what surrounds them.
    pub fn room(&self) -> usize {
        // `(0)=` and a line end, or three lengths of up to four digits with `:` and `,`.
        const AROUND: usize = 16;
        let value = |value: &Value| match value {
            Value::Text(bytes) => bytes.len(),
            // Base64 in the classic framing.
            Value::Binary(bytes) => bytes.len() * 4 / 3 + 4,
        };
        self.0.iter().map(|field| field.name.len() + value(&field.value) + AROUND).sum()
    }

    /// All fields in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.0.iter()
    }

    /// All string fields in order; bytes that are not UTF-8 are replaced.
    pub fn texts(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.0.iter().filter_map(|field| match &field.value {
            Value::Text(bytes) => Some((field.name.as_str(), String::from_utf8_lossy(bytes))),
            Value::Binary(_) => None,
        })
    }

    /// The first field of that name when it is a string of valid UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.find(name)?.value {
            Value::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Value::Binary(_) => None,
        }
    }

    /// The first field of that name when it is a UUID.
    pub fn uuid(&self, name: &str) -> Option<[u8; 16]> {
        match &self.find(name)?.value {
            Value::Text(_) => None,
            Value::Binary(bytes) => bytes.as_slice().try_into().ok(),
        }
    }

    /// The first field of that name.
    pub fn find(&self, name: &str) -> Option<&Field> {
        // Names are short and few of one length begin alike: this spares nearly every comparison.
        let (length, first) = (name.len(), name.as_bytes().first());
        let is_meant = |field: &&Field| {
            let own = field.name.as_bytes();
            own.len() == length && own.first() == first && own == name.as_bytes()
        };
        self.0.iter().find(is_meant)
    }
}

/// Whether `name` can stand in both framings: printable ASCII without `=`, not beginning with the
/// `(` of a type marker, 1 to [`NAME_MAX`] bytes.
pub fn is_field_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name[0] != b'('
        && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'=')
}

/// Hex number as in `seq`, `hg`, `ts`, `dt`, `ackseq`: 1 to 16 digits, no sign, no `0x`.
pub fn parse_hex(text: &str) -> Option<u64> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits_only || !(1..=16).contains(&text.len()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// Decimal number as in `firstseq` of `NS_rexmit`: digits only.
pub fn parse_decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_hex() {
        for number in [0, 1, 9, 15, 16, 0x1a5f, u64::from(u32::MAX), 1 << 60, u64::MAX] {
            let mut list = FieldList::new();
            list.push_hex("seq", number);
            assert_eq!(list.text("seq"), Some(format!("{number:x}").as_str()));
        }
    }

    #[test]
    fn numbers_are_strict() {
        fn check(text: &str, hex: Option<u64>, decimal: Option<u64>) {
            assert_eq!(parse_hex(text), hex, "hex {text:?}");
            assert_eq!(parse_decimal(text), decimal, "decimal {text:?}");
        }
        check("10", Some(16), Some(10));
        check("fF", Some(255), None);
        check("ffffffffffffffff", Some(u64::MAX), None);
        check("00000000000000001", None, Some(1));
        check("99999999999999999999", None, None);
        for text in ["", "+1", "-1", " 1", "0x1", "1 ", "١"] {
            check(text, None, None);
        }
    }

    #[test]
    fn first_of_a_name_wins_and_types_are_told_apart() {
        let mut list = FieldList::new();
        list.push_text("a", "1");
        list.push_text("a", "2");
        list.push_binary("b", [7; 16]);
        list.push_text("c", [0xff]);
        assert_eq!(list.text("a"), Some("1"));
        assert_eq!((list.text("b"), list.uuid("b")), (None, Some([7; 16])));
        assert_eq!((list.text("c"), list.uuid("a")), (None, None));
        assert_eq!(list.texts().count(), 3);
    }

    #[test]
    fn names_fit_both_framings() {
        for (name, valid) in
            [("t", true), ("x_groups", true), ("", false), ("a=b", false), ("(1)a", false)]
        {
            assert_eq!(is_field_name(name.as_bytes()), valid, "{name:?}");
        }
        assert!(!is_field_name(b"a b") && !is_field_name(b"a\n") && !is_field_name(&[0xe4]));
        assert!(is_field_name(&[b'n'; NAME_MAX]) && !is_field_name(&[b'n'; NAME_MAX + 1]));
    }
}
