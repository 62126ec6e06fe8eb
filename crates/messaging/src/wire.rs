//! Heartbeat's two framings as bytes: strict, bounded decoding and byte-exact encoding. Says what
//! was signed, but does not judge the signature (`auth`) and gives no meaning to fields (`message`).
//!
//! Both decoders run in one pass over the datagram, before authentication, on any bytes at all:
//! memory is bounded by the datagram and no input panics.

mod base64;
mod classic;
mod netstring;

use std::borrow::Cow;

use hb_config::settings::Framing;

use crate::auth::Authenticator;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{self, FieldList, Value};

/// Longest datagram that is looked at: UDP cannot carry more.
pub const DATAGRAM_MAX: usize = 65_535;
/// Longest datagram that is sent: 65 535 less the IPv4 and UDP headers.
pub const SEND_MAX: usize = 65_507;
/// Most fields in a message. Heartbeat's own messages have at most 17.
pub const FIELDS_MAX: usize = 128;
/// Longest signature text: index, blank and 64 hex digits of sha256.
pub(crate) const SIGNATURE_MAX: usize = 3 + 64;
/// Highest key index in authkeys.
const KEY_INDEX_MAX: u8 = 15;

/// A decoded, unverified message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which framing it came in.
    pub framing: Framing,
    /// All fields in order, `auth` included.
    pub fields: FieldList,
    /// The bytes that the signature covers.
    pub signed: Cow<'a, [u8]>,
    /// Key index and token; `None` when it is unsigned.
    pub signature: Option<Signature>,
}

/// The text `<index> <token>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Key index, 0..=15.
    pub index: u8,
    /// Lower-case hex digits.
    pub token: String,
}

impl Signature {
    fn parse(text: &[u8]) -> Result<Self, DecodeError> {
        Self::split(text).ok_or(DecodeError::Signature)
    }

    fn split(text: &[u8]) -> Option<Self> {
        if text.len() > SIGNATURE_MAX {
            return None;
        }
        let (index, token) = std::str::from_utf8(text).ok()?.split_once(' ')?;
        let index = u8::try_from(fields::parse_decimal(index)?).ok()?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let valid = index <= KEY_INDEX_MAX && !token.is_empty() && token.bytes().all(hex);
        valid.then(|| Self { index, token: token.to_owned() })
    }
}

/// Splits a datagram into fields. The first four bytes choose the framing.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    if bytes.len() > DATAGRAM_MAX {
        return Err(DecodeError::TooLong);
    }
    if bytes.starts_with(netstring::START) {
        netstring::decode(bytes)
    } else if bytes.starts_with(classic::START) {
        classic::decode(bytes)
    } else {
        Err(DecodeError::Start)
    }
}

/// Frames and signs. `fields` without `auth`; with `inner_auth`, a netstring message carries it
/// besides the trailer, as 3.0.6 does with `msgfmt classic`.
pub fn encode(
    fields: &FieldList,
    framing: Framing,
    inner_auth: bool,
    keys: &Authenticator,
) -> Result<Vec<u8>, EncodeError> {
    check_encodable(fields)?;
    let bytes = match framing {
        Framing::Netstring => netstring::encode(fields, inner_auth, keys),
        Framing::Classic => classic::encode(fields, keys),
    };
    if bytes.len() > SEND_MAX { Err(EncodeError::TooLarge) } else { Ok(bytes) }
}

/// A classic message without a signature, with its final NUL: what Heartbeat's local sockets carry,
/// where the kernel vouches for the sender. [`decode`] reads it.
///
/// # Errors
/// When a name or value cannot be framed, or it is all too much.
pub fn encode_unsigned(fields: &FieldList) -> Result<Vec<u8>, EncodeError> {
    check_encodable(fields)?;
    let bytes = classic::frame(&canonical(fields), b"");
    if bytes.len() > SEND_MAX { Err(EncodeError::TooLarge) } else { Ok(bytes) }
}

/// A netstring message without its trailer, which keeps every byte of every value. [`decode`] reads it.
///
/// # Errors
/// When a name or value cannot be framed.
pub(crate) fn frame_unsigned(fields: &FieldList) -> Result<Vec<u8>, EncodeError> {
    check_encodable(fields)?;
    Ok(netstring::frame(fields))
}

/// The text under an `auth` field: all fields but `auth` as lines, without the frame marks.
pub fn canonical(fields: &FieldList) -> Vec<u8> {
    classic::canonical(fields)
}

fn check_encodable(list: &FieldList) -> Result<(), EncodeError> {
    if list.len() >= FIELDS_MAX {
        return Err(EncodeError::TooLarge);
    }
    for field in list.iter() {
        if !fields::is_field_name(field.name.as_bytes()) {
            return Err(EncodeError::Name);
        }
        match &field.value {
            Value::Text(bytes) if bytes.contains(&0) => return Err(EncodeError::Value),
            Value::Text(_) | Value::Binary(_) => {}
        }
    }
    Ok(())
}

/// Adds a checked field to a list that is being decoded.
fn push_checked(list: &mut FieldList, name: &[u8], value: Value) -> Result<(), DecodeError> {
    if list.len() >= FIELDS_MAX {
        return Err(DecodeError::TooManyFields);
    }
    if !fields::is_field_name(name) {
        return Err(DecodeError::Name);
    }
    match &value {
        Value::Text(bytes) if bytes.contains(&0) => return Err(DecodeError::Value),
        Value::Text(_) | Value::Binary(_) => {}
    }
    let name = std::str::from_utf8(name).map_err(|_| DecodeError::Name)?;
    list.push(fields::Field { name: name.into(), value });
    Ok(())
}

#[cfg(test)]
mod tests;
