//! Both framings: any bytes are refused or decoded within bounds, and what is decoded survives
//! being encoded again. Signatures are `auth`'s subject.

use hb_config::settings::Framing;
use hb_messaging::error::EncodeError;
use hb_messaging::fields::{self, FieldList, Value};
use hb_messaging::wire::{self, DATAGRAM_MAX, FIELDS_MAX, Frame, SEND_MAX};

use crate::world;

/// Stands for a line feed in the classic framing, and so cannot be told from one.
const ESCAPED_LINE_FEED: u8 = 0x13;

/// `###` … `%%%`.
pub fn wire_netstring(data: &[u8]) {
    decode(data, Framing::Netstring);
}

/// `>>>` … `<<<`.
pub fn wire_classic(data: &[u8]) {
    decode(data, Framing::Classic);
}

fn decode(data: &[u8], framing: Framing) {
    let decoded = wire::decode(data);
    assert_eq!(decoded, wire::decode(data), "decoding is a function");
    let Ok(frame) = decoded else { return };
    assert!(data.len() <= DATAGRAM_MAX, "longer than a datagram: {}", data.len());
    check_bounds(&frame, data.len());
    if frame.framing == framing {
        let fields = unsigned(&frame.fields);
        check_again(&fields, framing);
        let other = match framing {
            Framing::Netstring => Framing::Classic,
            Framing::Classic => Framing::Netstring,
        };
        if !holds(&fields, ESCAPED_LINE_FEED) {
            check_again(&fields, other);
        }
    }
}

/// Memory is bounded by the datagram.
fn check_bounds(frame: &Frame<'_>, length: usize) {
    assert!(frame.fields.len() <= FIELDS_MAX, "{} fields", frame.fields.len());
    let size = |value: &Value| match value {
        Value::Text(bytes) | Value::Binary(bytes) => bytes.len(),
    };
    let kept: usize = frame.fields.iter().map(|field| field.name.len() + size(&field.value)).sum();
    assert!(kept <= length, "{kept} bytes kept of {length}");
    assert!(frame.signed.len() <= length, "{} bytes signed of {length}", frame.signed.len());
    for field in frame.fields.iter() {
        assert!(fields::is_field_name(field.name.as_bytes()), "{:?}", field.name);
        let nul = matches!(&field.value, Value::Text(bytes) if bytes.contains(&0));
        assert!(!nul, "NUL in {}", field.name);
    }
    if let Some(signature) = &frame.signature {
        assert!(signature.index <= 15 && (1..=64 + 3).contains(&signature.token.len()));
    }
}

/// What was decoded is encoded, signed and decoded to the same.
fn check_again(fields: &FieldList, framing: Framing) {
    let keys = world::authenticator(1);
    for inner_auth in [false, true] {
        let bytes = match wire::encode(fields, framing, inner_auth, keys) {
            Ok(bytes) => bytes,
            // Our own limits are narrower than what is understood.
            Err(error) => return assert_eq!(error, EncodeError::TooLarge),
        };
        assert!(bytes.len() <= SEND_MAX);
        let frame = wire::decode(&bytes).expect("what is encoded can be decoded");
        assert_eq!(frame.framing, framing);
        assert_eq!(&unsigned(&frame.fields), fields, "in {framing:?}");
        let signature = frame.signature.as_ref().expect("it was signed");
        keys.verify(signature, &frame.signed).expect("with this key");
    }
}

/// All but the signature.
fn unsigned(list: &FieldList) -> FieldList {
    let mut fields = FieldList::new();
    list.iter().filter(|field| field.name != fields::AUTH).for_each(|it| fields.push(it.clone()));
    fields
}

fn holds(list: &FieldList, byte: u8) -> bool {
    list.iter().any(|field| matches!(&field.value, Value::Text(bytes) if bytes.contains(&byte)))
}
