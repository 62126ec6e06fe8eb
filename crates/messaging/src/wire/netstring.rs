//! `###` … `%%%` with a trailer: what 3.0.6 sends on every datagram medium.

use std::borrow::Cow;

use hb_config::settings::Framing;

use super::{Frame, SIGNATURE_MAX, Signature, classic, push_checked};
use crate::auth::Authenticator;
use crate::error::DecodeError;
use crate::fields::{AUTH, Bytes, FieldList, Value};

pub(super) const START: &[u8] = b"###\n";
const END: &[u8] = b"%%%\n";
/// Longest length prefix: five digits reach beyond any datagram.
const LENGTH_DIGITS_MAX: usize = 5;
/// Room for both marks and two signatures, each with what surrounds it.
const AROUND: usize = START.len() + END.len() + 2 * (SIGNATURE_MAX + 16);

/// `bytes` begins with [`START`].
pub(super) fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut fields = FieldList::new();
    let mut rest = &bytes[START.len()..];
    while !rest.starts_with(END) {
        if rest.is_empty() {
            return Err(DecodeError::End);
        }
        let (chunk, after) = split_chunk(rest)?;
        decode_field(&mut fields, chunk)?;
        rest = after;
    }
    rest = &rest[END.len()..];
    let signed = &bytes[..bytes.len() - rest.len()];
    let signature = if rest.is_empty() {
        None
    } else {
        let (text, after) = split_chunk(rest)?;
        if !after.is_empty() {
            return Err(DecodeError::Trailing);
        }
        Some(Signature::parse(text)?)
    };
    Ok(Frame { framing: Framing::Netstring, fields, signed: Cow::Borrowed(signed), signature })
}

/// `<length>:<bytes>,` → bytes and what follows.
fn split_chunk(rest: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let digits = rest.iter().take(LENGTH_DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || (digits > 1 && rest[0] == b'0') || rest.get(digits) != Some(&b':') {
        return Err(DecodeError::Field);
    }
    let length = rest[..digits].iter().fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
    let body = &rest[digits + 1..];
    if body.get(length) != Some(&b',') {
        return Err(DecodeError::Field);
    }
    Ok((&body[..length], &body[length + 1..]))
}

/// `(<type>)<name>=<value>`
fn decode_field(fields: &mut FieldList, chunk: &[u8]) -> Result<(), DecodeError> {
    let [b'(', kind, b')', body @ ..] = chunk else {
        return Err(DecodeError::Field);
    };
    let equals = body.iter().position(|byte| *byte == b'=').ok_or(DecodeError::Field)?;
    let (name, value) = (&body[..equals], Bytes::from_slice(&body[equals + 1..]));
    let value = match kind {
        b'0' => Value::Text(value),
        b'1' => Value::Binary(value),
        b'2'..=b'5' => return Err(DecodeError::UnsupportedType(kind - b'0')),
        _ => return Err(DecodeError::Field),
    };
    push_checked(fields, name, value)
}

pub(super) fn encode(fields: &FieldList, inner_auth: bool, keys: &Authenticator) -> Vec<u8> {
    let mut bytes = begin(fields);
    if inner_auth {
        let signature = keys.sign(&classic::canonical(fields));
        push_field(&mut bytes, b'0', AUTH, signature.as_bytes());
    }
    bytes.extend_from_slice(END);
    let signature = keys.sign(&bytes);
    push_chunk(&mut bytes, &[signature.as_bytes()]);
    bytes
}

/// Without the trailer.
pub(super) fn frame(fields: &FieldList) -> Vec<u8> {
    let mut bytes = begin(fields);
    bytes.extend_from_slice(END);
    bytes
}

/// The fields, and room for what comes after them.
fn begin(fields: &FieldList) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fields.room() + AROUND);
    bytes.extend_from_slice(START);
    for field in fields.iter().filter(|field| field.name != AUTH) {
        let (kind, value) = match &field.value {
            Value::Text(value) => (b'0', value),
            Value::Binary(value) => (b'1', value),
        };
        push_field(&mut bytes, kind, &field.name, value);
    }
    bytes
}

fn push_field(bytes: &mut Vec<u8>, kind: u8, name: &str, value: &[u8]) {
    push_chunk(bytes, &[&[b'(', kind, b')'], name.as_bytes(), b"=", value]);
}

/// Without a string of its own: a message has a score of lengths.
fn push_decimal(bytes: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_decimal(bytes, number / 10);
    }
    bytes.extend(u8::try_from(number % 10).map(|digit| b'0' + digit));
}

fn push_chunk(bytes: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    push_decimal(bytes, length);
    bytes.push(b':');
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes.push(b',');
}
