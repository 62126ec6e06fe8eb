//! Signing and verification with the keys of authkeys: crc, md5, sha1 as in Heartbeat 3.0.6, and
//! sha256. Works on bytes that `wire` names; never prints a key or an expected signature.

mod crc;
mod recorded;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Secret};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use ring::{digest, hmac as ring_hmac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;

use crate::error::AuthError;
use crate::wire::{SIGNATURE_MAX, Signature};

pub use crc::cksum;
pub use recorded::disguise;

/// All keys of authkeys, ready for use.
///
/// Each packet is verified with the key of the index that it names. 3.0.6 takes the key of its own
/// active index, which makes a rolling change of keys impossible.
///
/// What is serialised names indices, methods and fingerprints and no key; what is read again signs
/// and verifies with [stand-ins](Authenticator::stand_in).
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "recorded::Public", try_from = "recorded::Public")]
pub struct Authenticator {
    active: (u8, Key),
    keys: BTreeMap<u8, Key>,
    /// See [`Authenticator::key_list`].
    list: String,
}

/// Sets a fingerprint apart from every other digest of the same key.
const FINGERPRINT_LABEL: &[u8] = b"twinbeat key fingerprint 1\0";
/// Bytes of a fingerprint: enough to tell two keys apart, far too few to search for one.
const FINGERPRINT_BYTES: usize = 4;

/// Eight hex digits by which two nodes compare a key without saying it: the first bytes of SHA-256
/// over a label, the method and the key.
pub fn fingerprint(key: &AuthKey) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(FINGERPRINT_LABEL);
    context.update(key.method.word().as_bytes());
    context.update(b"\0");
    context.update(key.secret.expose());
    let digest = context.finish();
    hex(digest.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default())
}

/// Eight hex digits by which two nodes compare a text without sending it: the first bytes of its
/// SHA-256.
pub fn short_digest(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex(digest.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default())
}

/// The first eight bytes of SHA-256 over `bytes`: tells two recordings or two lists of effects apart.
pub fn digest64(bytes: &[u8]) -> u64 {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[derive(Clone)]
enum Key {
    Crc,
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(ring_hmac::Key),
}

impl Authenticator {
    /// `None` when the active index has no key.
    pub fn new(keys: &AuthKeys) -> Option<Self> {
        let prepared: BTreeMap<u8, Key> = keys
            .keys
            .iter()
            .map(|(index, key)| (*index, Key::new(key.method, &key.secret)))
            .collect();
        let active = (keys.active, prepared.get(&keys.active)?.clone());
        let list: Vec<String> = keys
            .keys
            .iter()
            .map(|(index, key)| {
                let signs = if *index == keys.active { ":active" } else { "" };
                format!("{index}:{}:{}{signs}", key.method.word(), fingerprint(key))
            })
            .collect();
        Some(Self { active, keys: prepared, list: list.join(" ") })
    }

    /// All keys as `INDEX:METHOD:FINGERPRINT`, separated by blanks, `:active` behind the one that
    /// signs.
    pub fn key_list(&self) -> &str {
        &self.list
    }

    /// Index and method of the key that signs.
    pub fn signing_key(&self) -> (u8, AuthMethod) {
        (self.active.0, self.active.1.method())
    }

    /// `<index> <token>` over `bytes`, with the active key.
    pub fn sign(&self, bytes: &[u8]) -> String {
        let (index, key) = &self.active;
        let mut text = String::with_capacity(SIGNATURE_MAX);
        // Writing into a string cannot fail.
        let _ = write!(text, "{index} ");
        key.push_token(bytes, &mut text);
        text
    }

    /// Checks `signature` over `bytes`; says which method vouches for them.
    pub fn verify(&self, signature: &Signature, bytes: &[u8]) -> Result<AuthMethod, AuthError> {
        let index = signature.index;
        let key = self.keys.get(&index).ok_or(AuthError::UnknownKey(index))?;
        if key.matches(&signature.token, bytes) {
            Ok(key.method())
        } else {
            Err(AuthError::Mismatch { index, method: key.method() })
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: BTreeMap<u8, &str> =
            self.keys.iter().map(|(index, key)| (*index, key.method().word())).collect();
        f.debug_struct("Authenticator")
            .field("active", &self.active.0)
            .field("methods", &methods)
            .finish()
    }
}

impl Key {
    fn new(method: AuthMethod, secret: &Secret) -> Self {
        let bytes = secret.expose();
        match method {
            AuthMethod::Crc => Self::Crc,
            AuthMethod::Md5 => Self::Md5(Hmac::new(&key_block(bytes, &Md5::digest(bytes)).into())),
            AuthMethod::Sha1 => {
                Self::Sha1(Hmac::new(&key_block(bytes, &Sha1::digest(bytes)).into()))
            }
            AuthMethod::Sha256 => Self::Sha256(ring_hmac::Key::new(ring_hmac::HMAC_SHA256, bytes)),
        }
    }

    fn method(&self) -> AuthMethod {
        match self {
            Self::Crc => AuthMethod::Crc,
            Self::Md5(_) => AuthMethod::Md5,
            Self::Sha1(_) => AuthMethod::Sha1,
            Self::Sha256(_) => AuthMethod::Sha256,
        }
    }

    fn token(&self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(SIGNATURE_MAX);
        self.push_token(bytes, &mut text);
        text
    }

    fn push_token(&self, bytes: &[u8], text: &mut String) {
        match self {
            // Heartbeat prints it with %lx: no leading zeros. Writing into a string cannot fail.
            Self::Crc => drop(write!(text, "{:x}", cksum(bytes))),
            Self::Md5(mac) => {
                push_hex(text, &mac.clone().chain_update(bytes).finalize().into_bytes());
            }
            Self::Sha1(mac) => {
                push_hex(text, &mac.clone().chain_update(bytes).finalize().into_bytes());
            }
            Self::Sha256(key) => push_hex(text, ring_hmac::sign(key, bytes).as_ref()),
        }
    }

    /// The HMACs compare in constant time. crc has no secret to protect.
    fn matches(&self, token: &str, bytes: &[u8]) -> bool {
        match self {
            Self::Crc => self.token(bytes) == token,
            Self::Md5(mac) => {
                let tag = unhex(token).unwrap_or_default();
                mac.clone().chain_update(bytes).verify_slice(&tag).is_ok()
            }
            Self::Sha1(mac) => {
                let tag = unhex(token).unwrap_or_default();
                mac.clone().chain_update(bytes).verify_slice(&tag).is_ok()
            }
            Self::Sha256(key) => {
                let tag = unhex(token).unwrap_or_default();
                ring_hmac::verify(key, bytes, &tag).is_ok()
            }
        }
    }
}

/// RFC 2104: a key longer than a block, which has 64 bytes for MD5 and SHA-1, is replaced by its
/// digest, and a shorter one padded with zeros.
fn key_block(secret: &[u8], digest: &[u8]) -> [u8; 64] {
    let mut block = [0; 64];
    let key = if secret.len() > block.len() { digest } else { secret };
    block[..key.len()].copy_from_slice(key);
    block
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

/// Lower-case digits only: a signature has one spelling.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests;
