//! `>>>` … `<<<`: one `name=value` line per field, signed by an `auth` field over the canonical text.

use std::borrow::Cow;

use hb_config::settings::Framing;

use super::{Frame, Signature, base64, push_checked};
use crate::auth::Authenticator;
use crate::error::DecodeError;
use crate::fields::{AUTH, Bytes, FieldList, Value};

pub(super) const START: &[u8] = b">>>\n";
const END: &[u8] = b"<<<\n";
/// Stands for a line feed inside a value (Heartbeat 3.0.6).
const ESCAPED_LINE_FEED: u8 = 0x13;

/// `bytes` begins with [`START`].
pub(super) fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut fields = FieldList::new();
    let mut rest = &bytes[START.len()..];
    while !rest.starts_with(END) {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(DecodeError::End)?;
        if end > 0 {
            decode_line(&mut fields, &rest[..end])?;
        }
        rest = &rest[end + 1..];
    }
    // 3.0.6 counts one NUL into the datagram; anything else has no business here.
    if rest[END.len()..].iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Trailing);
    }
    let signed = canonical(&fields);
    let signature = signature(&fields)?;
    Ok(Frame { framing: Framing::Classic, fields, signed: Cow::Owned(signed), signature })
}

/// Classic verification takes the last `auth` field (Heartbeat 3.0.6).
fn signature(fields: &FieldList) -> Result<Option<Signature>, DecodeError> {
    match fields.iter().rev().find(|field| field.name == AUTH).map(|field| &field.value) {
        None => Ok(None),
        Some(Value::Text(text)) => Signature::parse(text).map(Some),
        Some(Value::Binary(_)) => Err(DecodeError::Signature),
    }
}

/// `name=value` or `(<type>)name=value`, without the line feed.
fn decode_line(fields: &mut FieldList, line: &[u8]) -> Result<(), DecodeError> {
    let (kind, body) = match line {
        [b'(', kind @ b'1'..=b'5', b')', body @ ..] => (kind - b'0', body),
        [b'(', ..] => return Err(DecodeError::Field),
        body => (0, body),
    };
    let equals = body.iter().position(|byte| *byte == b'=').ok_or(DecodeError::Field)?;
    let (name, text) = (&body[..equals], &body[equals + 1..]);
    let value = match kind {
        0 => Value::Text(unescape(text)),
        1 => Value::Binary(base64::decode(text).ok_or(DecodeError::Value)?.into()),
        other => return Err(DecodeError::UnsupportedType(other)),
    };
    push_checked(fields, name, value)
}

pub(super) fn encode(fields: &FieldList, keys: &Authenticator) -> Vec<u8> {
    let text = canonical(fields);
    frame(&text, format!("{AUTH}={}\n", keys.sign(&text)).as_bytes())
}

/// The frame marks around `text` and the line of its signature, if any.
pub(super) fn frame(text: &[u8], signature: &[u8]) -> Vec<u8> {
    [START, text, signature, END, &[0]].concat()
}

pub(super) fn canonical(fields: &FieldList) -> Vec<u8> {
    let mut text = Vec::with_capacity(fields.room());
    for field in fields.iter().filter(|field| field.name != AUTH) {
        if let Value::Binary(_) = &field.value {
            text.extend_from_slice(b"(1)");
        }
        text.extend_from_slice(field.name.as_bytes());
        text.push(b'=');
        match &field.value {
            Value::Text(bytes) => push_escaped(&mut text, bytes),
            Value::Binary(bytes) => text.extend_from_slice(&base64::encode(bytes)),
        }
        text.push(b'\n');
    }
    text
}

fn unescape(text: &[u8]) -> Bytes {
    let mut bytes = Bytes::from_slice(text);
    replace(&mut bytes, ESCAPED_LINE_FEED, b'\n');
    bytes
}

fn push_escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    let begin = text.len();
    text.extend_from_slice(bytes);
    replace(&mut text[begin..], b'\n', ESCAPED_LINE_FEED);
}

/// Nearly every value has nothing to replace.
fn replace(bytes: &mut [u8], from: u8, to: u8) {
    if bytes.contains(&from) {
        bytes.iter_mut().filter(|byte| **byte == from).for_each(|byte| *byte = to);
    }
}
