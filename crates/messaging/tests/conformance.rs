//! Datagrams captured from Heartbeat 3.0.6: each decodes, verifies and encodes to the same bytes.

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Framing, Secret};
use hb_messaging::auth::Authenticator;
use hb_messaging::fields::FieldList;
use hb_messaging::message::Body;
use hb_messaging::wire::{self, Signature};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/vectors.jsonl");

struct Vector {
    name: String,
    inner_auth: bool,
    method: AuthMethod,
    keys: Authenticator,
    from: String,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    VECTORS.lines().map(|line| vector(&serde_json::from_str(line).expect("JSON"))).collect()
}

fn vector(value: &Value) -> Vector {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let method = match text("method").as_str() {
        "crc" => AuthMethod::Crc,
        "md5" => AuthMethod::Md5,
        "sha1" => AuthMethod::Sha1,
        other => panic!("unknown method {other}"),
    };
    let index = u8::try_from(value["index"].as_u64().expect("index")).expect("small");
    let key = AuthKey { method, secret: Secret::new(text("key").into_bytes()) };
    let keys = AuthKeys { active: index, keys: [(index, key)].into() };
    Vector {
        name: text("name"),
        inner_auth: text("msgfmt") == "classic",
        method,
        keys: Authenticator::new(&keys).expect("active key"),
        from: text("from"),
        bytes: unhex(&text("hex")),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(pair).collect()
}

fn without_auth(fields: &FieldList) -> FieldList {
    let mut list = FieldList::new();
    fields.iter().filter(|field| field.name != "auth").for_each(|field| list.push(field.clone()));
    list
}

#[test]
fn every_captured_datagram_verifies_and_encodes_to_itself() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 303);
    for vector in vectors {
        let name = &vector.name;
        let frame = wire::decode(&vector.bytes).expect(name);
        let signature = frame.signature.as_ref().expect(name);
        assert_eq!(vector.keys.verify(signature, &frame.signed), Ok(vector.method), "{name}");
        assert_eq!(frame.fields.text("src"), Some(vector.from.as_str()), "{name}");
        let fields = without_auth(&frame.fields);
        let again = wire::encode(&fields, Framing::Netstring, vector.inner_auth, &vector.keys);
        assert_eq!(again.as_deref(), Ok(vector.bytes.as_slice()), "{name}");
    }
}

#[test]
fn every_inner_signature_is_over_the_classic_text() {
    let mut inner = 0;
    for vector in vectors() {
        let frame = wire::decode(&vector.bytes).expect(&vector.name);
        assert_eq!(frame.fields.find("auth").is_some(), vector.inner_auth, "{}", vector.name);
        let Some((index, token)) = frame.fields.text("auth").and_then(|text| text.split_once(' '))
        else {
            continue;
        };
        inner += 1;
        let signature = Signature { index: index.parse().expect("index"), token: token.to_owned() };
        let text = wire::canonical(&frame.fields);
        assert_eq!(vector.keys.verify(&signature, &text), Ok(vector.method), "{}", vector.name);
    }
    assert!(inner > 100, "{inner}");
}

#[test]
fn every_captured_message_survives_the_classic_framing() {
    for vector in vectors() {
        let frame = wire::decode(&vector.bytes).expect(&vector.name);
        let fields = without_auth(&frame.fields);
        let bytes = wire::encode(&fields, Framing::Classic, false, &vector.keys).expect("encodes");
        let classic = wire::decode(&bytes).expect("decodes");
        let signature = classic.signature.as_ref().expect("signed");
        assert_eq!(vector.keys.verify(signature, &classic.signed), Ok(vector.method));
        assert_eq!(without_auth(&classic.fields), fields, "{}", vector.name);
    }
}

#[test]
fn every_captured_body_is_understood_and_keeps_its_fields() {
    for vector in vectors() {
        let frame = wire::decode(&vector.bytes).expect(&vector.name);
        let kind = frame.fields.text("t").expect("t");
        let own = ["status", "reqnodes", "repnodes"].contains(&kind) || kind.starts_with("NS_");
        if own {
            continue;
        }
        let body = Body::from_fields(kind, &frame.fields).expect(&vector.name);
        let made = body.to_fields();
        let common = ["src", "seq", "hg", "ts", "ld", "ttl", "auth"];
        let sent: Vec<_> =
            frame.fields.texts().filter(|(name, _)| !common.contains(name)).collect();
        assert_eq!(made.texts().collect::<Vec<_>>(), sent, "{}", vector.name);
    }
}

#[test]
fn no_captured_datagram_verifies_when_it_is_cut_or_changed() {
    for vector in vectors().iter().step_by(7) {
        for end in 0..vector.bytes.len() {
            let cut = wire::decode(&vector.bytes[..end]);
            let accepted = cut.ok().and_then(|frame| frame.signature);
            assert_eq!(accepted, None, "{} cut at {end}", vector.name);
        }
        for position in 0..vector.bytes.len() {
            let mut bytes = vector.bytes.clone();
            bytes[position] ^= 1;
            let verified = wire::decode(&bytes).is_ok_and(|frame| {
                frame
                    .signature
                    .is_some_and(|signature| vector.keys.verify(&signature, &frame.signed).is_ok())
            });
            assert!(!verified, "{} changed at {position}", vector.name);
        }
    }
}
