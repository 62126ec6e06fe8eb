//! The worked examples byte for byte, what is refused, and properties over arbitrary bytes.

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Secret};
use proptest::prelude::*;

use super::*;
use crate::fields::Field;

fn keys(method: AuthMethod, secret: &str) -> Authenticator {
    let key = AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) };
    Authenticator::new(&AuthKeys { active: 1, keys: [(1, key)].into() }).expect("active key")
}

fn example() -> FieldList {
    let mut list = FieldList::new();
    for (name, value) in
        [("t", "status"), ("st", "active"), ("dt", "7530"), ("protocol", "1"), ("src", "node1")]
    {
        list.push_text(name, value);
    }
    list.push_binary("srcuuid", *b"\x00\x11\"3DUfw\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
    for (name, value) in [
        ("seq", "1f"),
        ("hg", "5f5e100"),
        ("ts", "65a0bc00"),
        ("ld", "0.00 0.01 0.05 1/123 4567"),
        ("ttl", "3"),
    ] {
        list.push_text(name, value);
    }
    list
}

const CLASSIC: &[u8] = b">>>\nt=status\nst=active\ndt=7530\nprotocol=1\nsrc=node1\n\
    (1)srcuuid=ABEiM0RVZneImaq7zN3u/w==\nseq=1f\nhg=5f5e100\nts=65a0bc00\n\
    ld=0.00 0.01 0.05 1/123 4567\nttl=3\n\
    auth=1 d806d19f9677de79a854dd0802441c4c7f8ac563\n<<<\n\0";

const NETSTRING: &[u8] = b"###\n11:(0)t=status,12:(0)st=active,10:(0)dt=7530,13:(0)protocol=1,\
    12:(0)src=node1,27:(1)srcuuid=\x00\x11\"3DUfw\x88\x99\xaa\xbb\xcc\xdd\xee\xff,9:(0)seq=1f,\
    13:(0)hg=5f5e100,14:(0)ts=65a0bc00,31:(0)ld=0.00 0.01 0.05 1/123 4567,8:(0)ttl=3,\
    50:(0)auth=1 d806d19f9677de79a854dd0802441c4c7f8ac563,%%%\n\
    42:1 ecc3229ead90f79c6eb291a7628896137b10d17b,";

#[test]
fn worked_examples_are_reproduced_byte_for_byte() {
    let sha1 = keys(AuthMethod::Sha1, "SecretKey");
    assert_eq!(encode(&example(), Framing::Classic, true, &sha1).as_deref(), Ok(CLASSIC));
    assert_eq!(encode(&example(), Framing::Netstring, true, &sha1).as_deref(), Ok(NETSTRING));
}

#[test]
fn trailers_and_sizes_of_the_worked_examples() {
    let long = "K".repeat(65);
    for (method, secret, with_inner, without_inner, sizes) in [
        (AuthMethod::Crc, "", "8b8b8a68", "8687a150", (174, 246, 224)),
        (
            AuthMethod::Md5,
            "SecretKey",
            "2b6c494fe659aa48e76b02d6b2a7cf74",
            "b4d007a8406e3f4d4056b2a71c6d5d22",
            (198, 294, 248),
        ),
        (
            AuthMethod::Sha1,
            "SecretKey",
            "ecc3229ead90f79c6eb291a7628896137b10d17b",
            "306a35a5d4322780ceba53867250c27766b63a75",
            (206, 310, 256),
        ),
        (
            AuthMethod::Md5,
            long.as_str(),
            "8921bfee6f13874031cc6935839aab05",
            "d3b7c75a7873e6bab10b13be2f71fcca",
            (198, 294, 248),
        ),
        (
            AuthMethod::Sha1,
            long.as_str(),
            "6106be6de03d92fd34af3d693c7214232c545d0a",
            "132eb70728236f0d0faae347d7d3bbb632821921",
            (206, 310, 256),
        ),
    ] {
        let keys = keys(method, secret);
        let made = |framing, inner| encode(&example(), framing, inner, &keys).expect("encodes");
        let (inner, plain) = (made(Framing::Netstring, true), made(Framing::Netstring, false));
        assert_eq!((made(Framing::Classic, true).len(), inner.len(), plain.len()), sizes);
        for (bytes, token) in [(inner, with_inner), (plain, without_inner)] {
            let frame = decode(&bytes).expect("decodes");
            let signature = frame.signature.expect("signed");
            assert_eq!((signature.index, signature.token.as_str()), (1, token));
            assert_eq!(keys.verify(&signature, &frame.signed), Ok(method));
        }
    }
}

#[test]
fn both_framings_decode_to_the_same_fields() {
    let strip = |bytes: &[u8]| {
        let frame = decode(bytes).expect("decodes");
        frame.fields.iter().filter(|field| field.name != "auth").cloned().collect::<Vec<Field>>()
    };
    let wanted: Vec<Field> = example().iter().cloned().collect();
    assert_eq!(strip(CLASSIC), wanted);
    assert_eq!(strip(NETSTRING), wanted);
    assert_eq!(strip(&CLASSIC[..CLASSIC.len() - 1]), wanted, "the NUL may be missing");
}

#[test]
fn line_feeds_empty_values_and_binary_fields() {
    let mut list = FieldList::new();
    list.push_text("x", "a\nb");
    list.push_text("e", "");
    list.push_binary("b", (0..16).collect::<Vec<u8>>());
    assert_eq!(canonical(&list), b"x=a\x13b\ne=\n(1)b=AAECAwQFBgcICQoLDA0ODw==\n");
    let keys = keys(AuthMethod::Crc, "");
    let netstring = encode(&list, Framing::Netstring, false, &keys).expect("encodes");
    assert!(netstring.starts_with(b"###\n8:(0)x=a\nb,5:(0)e=,"));
    for framing in [Framing::Netstring, Framing::Classic] {
        let bytes = encode(&list, framing, false, &keys).expect("encodes");
        let frame = decode(&bytes).expect("decodes");
        assert_eq!(frame.fields.text("x"), Some("a\nb"));
        assert_eq!(frame.fields.text("e"), Some(""));
        assert_eq!(frame.fields.uuid("b").map(|uuid| uuid[15]), Some(15));
    }
}

#[test]
fn blank_lines_are_signed_in_canonical_form() {
    let text = b">>>\n\n\nt=a\n\nauth=1 0\n<<<\n";
    assert_eq!(decode(text).expect("decodes").signed, &b"t=a\n"[..]);
}

#[test]
fn the_last_auth_field_signs_a_classic_message() {
    let frame = decode(b">>>\nauth=1 aa\nt=a\nauth=2 bb\n<<<\n").expect("decodes");
    assert_eq!(frame.signature, Some(Signature { index: 2, token: "bb".to_owned() }));
}

#[test]
fn what_is_refused() {
    let long_name = format!(">>>\n{}=1\n<<<\n", "n".repeat(65));
    let many = format!(">>>\n{}<<<\n", "a=1\n".repeat(FIELDS_MAX + 1));
    let cases: [(&[u8], DecodeError); 36] = [
        (b"", DecodeError::Start),
        (b"###", DecodeError::Start),
        (b"garbage", DecodeError::Start),
        (&[b'#'; DATAGRAM_MAX + 1], DecodeError::TooLong),
        (b"###\n", DecodeError::End),
        (b"###\n5:(0)t=,", DecodeError::End),
        (b"###\n5:(0)t=,%%%", DecodeError::Field),
        (b"###\n05:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n+5:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n-1:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n5(0)t=,%%%\n", DecodeError::Field),
        (b"###\n6:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n4:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n99999:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n000005:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n99999999999999999999:(0)t=,%%%\n", DecodeError::Field),
        (b"###\n0:,%%%\n", DecodeError::Field),
        (b"###\n3:(0),%%%\n", DecodeError::Field),
        (b"###\n4:(0)t,%%%\n", DecodeError::Field),
        (b"###\n4:(0)=,%%%\n", DecodeError::Name),
        (b"###\n5:(9)t=,%%%\n", DecodeError::Field),
        (b"###\n5:(2)t=,%%%\n", DecodeError::UnsupportedType(2)),
        (b"###\n5:(5)t=,%%%\n", DecodeError::UnsupportedType(5)),
        (b"###\n6:(0)t=\0,%%%\n", DecodeError::Value),
        (b"###\n5:(0)t=,%%%\n4:1 aa,x", DecodeError::Trailing),
        (b"###\n5:(0)t=,%%%\n4:x aa,", DecodeError::Signature),
        (b"###\n5:(0)t=,%%%\n5:16 aa,", DecodeError::Signature),
        (b"###\n5:(0)t=,%%%\n4:1 AA,", DecodeError::Signature),
        (b">>>\nt=a\n", DecodeError::End),
        (b">>>\nt=a\n<<<\nx", DecodeError::Trailing),
        (b">>>\nno equals\n<<<\n", DecodeError::Field),
        (b">>>\n(3)l=3:abc,\n<<<\n", DecodeError::UnsupportedType(3)),
        (b">>>\n(1)b=A\n<<<\n", DecodeError::Value),
        (long_name.as_bytes(), DecodeError::Name),
        (many.as_bytes(), DecodeError::TooManyFields),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(error), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_cannot_be_sent() {
    let keys = keys(AuthMethod::Crc, "");
    let check = |name: &str, value: Vec<u8>, error| {
        let mut list = FieldList::new();
        list.push_text(name, value);
        for framing in [Framing::Netstring, Framing::Classic] {
            assert_eq!(encode(&list, framing, true, &keys), Err(error), "{name}");
        }
    };
    check("a=b", vec![b'x'], EncodeError::Name);
    check("a", vec![0], EncodeError::Value);
    check("a", vec![b'x'; SEND_MAX], EncodeError::TooLarge);
    let mut list = FieldList::new();
    (0..FIELDS_MAX).for_each(|_| list.push_text("a", "1"));
    assert_eq!(encode(&list, Framing::Netstring, true, &keys), Err(EncodeError::TooLarge));
}

fn any_fields() -> impl Strategy<Value = FieldList> {
    let text = proptest::collection::vec(1_u8.., 0..30)
        // A raw 0x13 means a line feed in classic form; only that one byte does not survive.
        .prop_map(|bytes| Value::Text(bytes.into_iter().filter(|b| *b != 0x13).collect()));
    let binary =
        proptest::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| Value::Binary(bytes.into()));
    let field = ("[a-zA-Z_%#<>:,][a-zA-Z0-9_%#<>:,()]{0,10}", prop_oneof![text, binary])
        .prop_filter("auth is the codec's own", |(name, _)| name != "auth")
        .prop_map(|(name, value)| Field { name: name.into(), value });
    proptest::collection::vec(field, 0..12).prop_map(|fields| {
        let mut list = FieldList::new();
        fields.into_iter().for_each(|field| list.push(field));
        list
    })
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![Just(NETSTRING.to_vec()), Just(CLASSIC.to_vec())];
    (base, proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), 0_usize..3)
        .prop_map(|(mut bytes, changes, cut)| {
            for (position, byte) in changes {
                let position = position.index(bytes.len());
                bytes[position] = byte;
            }
            bytes.truncate(bytes.len() - cut);
            bytes
        })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes(list in any_fields(), inner in any::<bool>()) {
        let keys = keys(AuthMethod::Sha256, "k");
        for framing in [Framing::Netstring, Framing::Classic] {
            let bytes = encode(&list, framing, inner, &keys).expect("encodes");
            let frame = decode(&bytes).expect("decodes");
            let fields: Vec<&Field> = frame.fields.iter().filter(|f| f.name != "auth").collect();
            prop_assert_eq!(fields, list.iter().collect::<Vec<_>>());
            let signature = frame.signature.expect("signed");
            prop_assert_eq!(keys.verify(&signature, &frame.signed), Ok(AuthMethod::Sha256));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), classic in any::<bool>()) {
        let mut framed = if classic { b">>>\n".to_vec() } else { b"###\n".to_vec() };
        framed.extend_from_slice(&bytes);
        for bytes in [bytes, framed] {
            if let Ok(frame) = decode(&bytes) {
                prop_assert!(frame.fields.len() <= FIELDS_MAX);
            }
        }
    }

    #[test]
    fn a_changed_datagram_never_verifies_with_other_content(bytes in mutated()) {
        if let Ok(frame) = decode(&bytes) {
            let keys = keys(AuthMethod::Sha1, "SecretKey");
            let verified = frame.signature
                .is_some_and(|signature| keys.verify(&signature, &frame.signed).is_ok());
            let text = canonical(&frame.fields);
            prop_assert!(!verified || text == canonical(&example()));
        }
    }
}

#[test]
fn unsigned_messages_are_those_of_the_local_socket() {
    let mut list = FieldList::new();
    for (name, value) in [("t", "hbapi-resp"), ("reqtype", "signon"), ("result", "OK")] {
        list.push_text(name, value);
    }
    let bytes = encode_unsigned(&list).expect("it fits");
    assert_eq!(bytes, b">>>\nt=hbapi-resp\nreqtype=signon\nresult=OK\n<<<\n\0");
    let frame = decode(&bytes).expect("ours");
    assert_eq!((frame.fields, frame.signature), (list, None));
    let mut bad = FieldList::new();
    bad.push_text("a=b", "c");
    assert_eq!(encode_unsigned(&bad), Err(EncodeError::Name));
}
