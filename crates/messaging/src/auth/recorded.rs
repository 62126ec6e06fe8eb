//! Keys that are left out of a recording, and datagrams as if other keys had signed them. A replay
//! with the stand-ins comes to the same verdict on every datagram; nothing that it is given helps to
//! guess a key.

use std::collections::BTreeMap;

use hb_config::settings::{AuthMethod, Framing, Secret};
use serde::{Deserialize, Serialize};

use super::{Authenticator, Key};
use crate::fields::{AUTH, Value};
use crate::wire::{self, Signature};

/// The key that stands in for every real one. Anybody may know it.
const STAND_IN: &[u8] = b"stands in for a key in recordings";
/// Hex digits in a row that may be a signature, in a datagram that nobody can read.
const DIGITS_MIN: usize = 8;

/// What may be known of [`Authenticator`].
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Public {
    active: u8,
    methods: BTreeMap<u8, AuthMethod>,
    list: String,
}

impl From<Authenticator> for Public {
    fn from(keys: Authenticator) -> Self {
        let methods = keys.keys.iter().map(|(index, key)| (*index, key.method())).collect();
        Self { active: keys.active.0, methods, list: keys.list }
    }
}

impl TryFrom<Public> for Authenticator {
    type Error = &'static str;

    fn try_from(public: Public) -> Result<Self, Self::Error> {
        let stand_in = Secret::new(STAND_IN.to_vec());
        let key = |method: AuthMethod| Key::new(method, &stand_in);
        let methods = public.methods.into_iter();
        let keys: BTreeMap<u8, Key> = methods.map(|(index, method)| (index, key(method))).collect();
        let active = keys.get(&public.active).cloned().ok_or("no key of the active index")?;
        Ok(Self { active: (public.active, active), keys, list: public.list })
    }
}

impl Authenticator {
    /// The same indices, methods and fingerprints, with keys that are no secret.
    pub fn stand_in(&self) -> Self {
        // The active index has a key, here as there.
        Self::try_from(Public::from(self.clone())).unwrap_or_else(|_| self.clone())
    }
}

/// `bytes` as if the stand-ins had signed: what `keys` accept, [`Authenticator::stand_in`] accepts,
/// and what they refuse it refuses for the same reason. `change` is applied to the rest before it
/// is signed and must keep its length.
pub fn disguise(
    bytes: &[u8],
    keys: &Authenticator,
    stand_in: &Authenticator,
    change: impl Fn(&mut [u8]),
) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Ok(frame) = wire::decode(&bytes) else {
        blank_digits(&mut bytes);
        change(&mut bytes);
        return bytes;
    };
    let outer = frame.signature.clone();
    let accepted = outer.as_ref().is_some_and(|outer| keys.verify(outer, &frame.signed).is_ok());
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Binary(text) => text.to_vec(),
    };
    let inner = frame.fields.iter().filter(|field| field.name == AUTH);
    let mut inner: Vec<Vec<u8>> = inner.map(|field| text(&field.value)).collect();
    if frame.framing == Framing::Classic {
        // The last one is the signature itself.
        inner.pop();
    }
    drop(frame);
    change(&mut bytes);
    for text in &inner {
        sign_inner(&mut bytes, text, stand_in);
    }
    if let Some(outer) = outer {
        sign_outer(&mut bytes, &outer, accepted, stand_in);
    }
    bytes
}

/// The signature inside a netstring message is never looked at and covers all fields but itself.
fn sign_inner(bytes: &mut [u8], text: &[u8], stand_in: &Authenticator) {
    let Some(at) = find_last(bytes, &[AUTH.as_bytes(), b"=", text].concat()) else { return };
    let start = at + AUTH.len() + 1;
    let signed = wire::decode(bytes).map(|frame| wire::canonical(&frame.fields));
    let token = std::str::from_utf8(text).ok().and_then(|text| text.split_once(' '));
    let index = token.and_then(|(index, _)| index.parse::<u8>().ok());
    let key = index.and_then(|index| stand_in.keys.get(&index));
    let place = &mut bytes[start..start + text.len()];
    match (key, signed) {
        (Some(key), Ok(signed)) => {
            let new = format!("{} {}", index.unwrap_or(0), key.token(&signed));
            match new.len() == place.len() {
                true => place.copy_from_slice(new.as_bytes()),
                false => blank_digits(place),
            }
        }
        (_, _) => blank_digits(place),
    }
}

fn sign_outer(bytes: &mut [u8], outer: &Signature, accepted: bool, stand_in: &Authenticator) {
    let key = stand_in.keys.get(&outer.index);
    let Some(key) = key.filter(|key| key.method() != AuthMethod::Crc) else {
        // No key was used, or none that exists here.
        if key.is_none() {
            blank_last(bytes, &outer.token);
        }
        return;
    };
    let signed = wire::decode(bytes).map(|frame| frame.signed.into_owned()).unwrap_or_default();
    let token = key.token(&signed);
    match find_last(bytes, outer.token.as_bytes()) {
        Some(at) if accepted && token.len() == outer.token.len() => {
            bytes[at..at + token.len()].copy_from_slice(token.as_bytes());
        }
        Some(_) | None => blank_last(bytes, &outer.token),
    }
}

fn blank_last(bytes: &mut [u8], token: &str) {
    if let Some(at) = find_last(bytes, token.as_bytes()) {
        bytes[at..at + token.len()].fill(b'0');
    }
}

fn find_last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len().max(1)).rposition(|window| window == part)
}

/// Every run of digits that may be a part of a signature.
fn blank_digits(bytes: &mut [u8]) {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    for run in bytes.chunk_by_mut(|left, right| is_digit(left) == is_digit(right)) {
        if run.len() >= DIGITS_MIN && run.iter().all(is_digit) {
            run.fill(b'0');
        }
    }
}

#[cfg(test)]
mod tests {
    use hb_config::settings::{AuthKey, AuthKeys};

    use super::*;
    use crate::fields::FieldList;

    fn keys(secret: &str) -> Authenticator {
        let key = |method| AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) };
        let methods = [AuthMethod::Crc, AuthMethod::Md5, AuthMethod::Sha1, AuthMethod::Sha256];
        let keys = (1..).zip(methods.map(key)).collect();
        Authenticator::new(&AuthKeys { active: 3, keys }).unwrap()
    }

    fn with_active(keys: &Authenticator, index: u8) -> Authenticator {
        Authenticator { active: (index, keys.keys[&index].clone()), ..keys.clone() }
    }

    fn verdict(bytes: &[u8], keys: &Authenticator) -> String {
        match wire::decode(bytes) {
            Ok(frame) => format!(
                "{:?}",
                frame.signature.map(|signature| keys.verify(&signature, &frame.signed))
            ),
            Err(error) => format!("{error:?}"),
        }
    }

    fn same(bytes: &[u8], real: &Authenticator) -> Vec<u8> {
        let stand_in = real.stand_in();
        let disguised = disguise(bytes, real, &stand_in, |_| {});
        assert_eq!(verdict(bytes, real), verdict(&disguised, &stand_in), "{bytes:?}");
        assert_eq!(bytes.len(), disguised.len());
        disguised
    }

    #[test]
    fn the_stand_ins_come_to_the_same_verdict() {
        let (real, other) = (keys("the real key"), keys("another key"));
        let mut fields = FieldList::new();
        fields.push_text("t", "status");
        fields.push_text("src", "node1");
        for framing in [Framing::Netstring, Framing::Classic] {
            for inner in [false, true] {
                for index in 1..=4 {
                    let signer = with_active(&real, index);
                    let bytes = wire::encode(&fields, framing, inner, &signer).unwrap();
                    let disguised = same(&bytes, &real);
                    // What this node sends is what its stand-in would send.
                    let expect = wire::encode(&fields, framing, inner, &signer.stand_in()).unwrap();
                    assert_eq!(disguised, expect, "{framing:?} {inner} {index}");
                    let bytes = wire::encode(&fields, framing, inner, &with_active(&other, index));
                    same(&bytes.unwrap(), &real);
                }
                let unknown = Authenticator { active: (9, real.active.1.clone()), ..real.clone() };
                same(&wire::encode(&fields, framing, inner, &unknown).unwrap(), &real);
            }
        }
    }

    #[test]
    fn no_signature_of_a_real_key_is_left() {
        let real = keys("the real key");
        let mut fields = FieldList::new();
        fields.push_text("t", "status");
        let bytes = wire::encode(&fields, Framing::Netstring, true, &real).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let token = text.rsplit(' ').next().unwrap().trim_end_matches(',').to_owned();
        for length in 0..=bytes.len() {
            let shown = String::from_utf8(same(&bytes[..length], &real)).unwrap();
            assert!(!shown.contains(&token[..DIGITS_MIN.min(length)]) || length < 40, "{shown}");
        }
    }

    #[test]
    fn what_is_serialised_holds_no_key() {
        let real = keys("the real key");
        let text = serde_json::to_string(&real).unwrap();
        assert!(!text.contains("the real key"), "{text}");
        let again: Authenticator = serde_json::from_str(&text).unwrap();
        assert_eq!(again.key_list(), real.key_list());
        assert_eq!(again.signing_key(), real.signing_key());
        assert!(
            serde_json::from_str::<Authenticator>(&text.replace("\"active\":3", "\"active\":7"))
                .is_err()
        );
    }
}
