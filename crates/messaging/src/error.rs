//! What can be wrong with a datagram, sorted by whose fault it is. No text ever holds a key, an
//! expected signature or the datagram itself: 3.0.6 logs all three for each bad packet.

use hb_config::settings::AuthMethod;

/// A datagram that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any datagram.
    #[error("malformed: longer than a datagram")]
    TooLong,
    /// Begins with neither `###` nor `>>>`.
    #[error("malformed: no start mark")]
    Start,
    /// The end mark is missing.
    #[error("malformed: no end mark")]
    End,
    /// Bytes after the end of the message.
    #[error("malformed: bytes after the end")]
    Trailing,
    /// A length, a separator or a type marker is wrong.
    #[error("malformed: broken field")]
    Field,
    /// A field name is empty, too long or has forbidden characters.
    #[error("malformed: bad field name")]
    Name,
    /// A string value holds NUL, or base64 is not canonical.
    #[error("malformed: bad field value")]
    Value,
    /// More fields than any message has.
    #[error("malformed: too many fields")]
    TooManyFields,
    /// The signature is not `<index> <token>`.
    #[error("malformed: bad signature text")]
    Signature,
    /// Nested, list and compressed fields (types 2 to 5).
    #[error("unsupported: field type {0}")]
    UnsupportedType(u8),
}

/// A message that cannot be put on the wire: our own fault, never the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A name that does not fit both framings.
    #[error("field name not allowed on the wire")]
    Name,
    /// A string with NUL.
    #[error("string field with NUL")]
    Value,
    /// Too many fields or too many bytes for a datagram.
    #[error("message too large for a datagram")]
    TooLarge,
}

/// A message whose signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No signature.
    #[error("unsigned")]
    Unsigned,
    /// Signed with an index that authkeys does not have.
    #[error("unknown key index {0}")]
    UnknownKey(u8),
    /// The signature does not match.
    #[error("signature of key {index} ({}) does not match", method.word())]
    Mismatch {
        /// Index named in the packet.
        index: u8,
        /// Method of that index here.
        method: AuthMethod,
    },
}

/// A verified message that says something impossible: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// A mandatory field is missing or unreadable.
    #[error("malformed: field {0} missing or bad")]
    Field(&'static str),
}
