//! authkeys: Heartbeat's grammar, and that no key is ever said.

use proptest::prelude::*;

use super::*;
use crate::settings::AuthMethod::{Crc, Md5, Sha1, Sha256};

const LONG: &str = "0123456789abcdef";

fn codes(bytes: &[u8], mode: Option<u32>) -> Vec<Code> {
    let (_, found) = parse(&SourceFile::from_bytes("authkeys", bytes, mode));
    found.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn heartbeats_grammar() {
    let check = |text: &str, active: u8, expect: &[(u8, AuthMethod, &[u8])]| {
        let (keys, _) = parse(&SourceFile::from_text("authkeys", text));
        let keys = keys.unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(keys.active, active, "{text:?}");
        let found: Vec<_> = keys
            .keys
            .iter()
            .map(|(index, key)| (*index, key.method, key.secret.expose()))
            .collect();
        assert_eq!(found, expect, "{text:?}");
    };
    check("auth 1\n1 sha1 key\n", 1, &[(1, Sha1, b"key")]);
    check("##\nauth 1\n1 md5 key  -\n##\n", 1, &[(1, Md5, b"key")]);
    check(" \t\x0cauth 1\n\t1 crc\r\n", 1, &[(1, Crc, b"")]);
    check("auth 1\n1 sha1 #key\n", 1, &[(1, Sha1, b"#key")]);
    check("auth 1\n1 sha1 key rest\n", 1, &[(1, Sha1, b"key")]);
    check("auth 2\n1 crc\n2 sha256 key\n", 2, &[(1, Crc, b""), (2, Sha256, b"key")]);
    check("auth 1\n1 sha1 a\n1 md5 b\n", 1, &[(1, Md5, b"b")]);
    check("auth 0\n0 sha1 a\n15 sha1 b\n", 0, &[(0, Sha1, b"a"), (15, Sha1, b"b")]);
    check("auth 1\nauth 2\n1 sha1 a\n2 sha1 b\n", 2, &[(1, Sha1, b"a"), (2, Sha1, b"b")]);
    check("auth 1\n1 sha1 a\u{3000}b\n", 1, &[(1, Sha1, "a\u{3000}b".as_bytes())]);
}

#[test]
fn a_key_may_be_any_bytes() {
    let (keys, found) =
        parse(&SourceFile::from_bytes("k", b"auth 1\n1 sha1 \xff\xfe\x01\xd6\n", None));
    assert_eq!(keys.unwrap().keys[&1].secret.expose(), b"\xff\xfe\x01\xd6");
    assert!(found.iter().all(|it| it.code == Code::ShortKey), "{found:?}");
}

#[test]
fn findings() {
    let check = |text: &str, expect: &[Code]| {
        assert_eq!(codes(text.replace("LONG", LONG).as_bytes(), None), expect, "{text:?}");
    };
    check("auth 1\n1 sha1 LONG\n", &[]);
    check("", &[Code::MissingAuth]);
    check("1 sha1 LONG\n", &[Code::MissingAuth]);
    check("auth\n1 sha1 LONG\n", &[Code::InvalidAuthLine]);
    check("auth 16\n1 sha1 LONG\n", &[Code::InvalidAuthLine]);
    check("auth -1\n1 sha1 LONG\n", &[Code::InvalidAuthLine]);
    check("authentication 1\n1 sha1 LONG\n", &[Code::InvalidAuthLine]);
    check("auth 2\n1 sha1 LONG\n", &[Code::AuthKeyMissing]);
    check("1 sha1 LONG\nauth 1\n", &[Code::AuthAfterKey]);
    check("auth 1\n1 sha1\n", &[Code::KeyMissing]);
    check("auth 1\n1 crc LONG\n", &[Code::KeyForCrc]);
    check("auth 1\n1 SHA1 LONG\n", &[Code::UnknownMethod]);
    check("auth 1\n1\n", &[Code::InvalidKeyLine]);
    check("auth 1\n1 sha1 LONG\n99 sha1 LONG\n", &[Code::InvalidKeyLine]);
    check("auth 1\n1 crc\n", &[Code::NoProtection]);
    check("auth 1\n1 sha1 short\n", &[Code::ShortKey]);
    check("auth 1\n1 md5 d41d8cd98f00b204e9800998ecf8427e\n", &[Code::WellKnownKey]);
    check("auth 1\n1 sha1 LONG -\n", &[Code::TextAfterKey]);
    check("auth 1\n1 sha256 LONG\n", &[Code::OnlyTwinbeatMethod]);
    check("auth 1\n1 sha1 LONG\n1 sha1 LONG\n", &[Code::RepeatedIndex]);
}

#[test]
fn modes() {
    let text = format!("auth 1\n1 sha1 {LONG}\n");
    for mode in [0o600, 0o400, 0o700, 0o710, 0o711] {
        assert_eq!(codes(text.as_bytes(), Some(mode)), [], "{mode:o}");
    }
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o666] {
        assert_eq!(codes(text.as_bytes(), Some(mode)), [Code::KeysReadable], "{mode:o}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_labels_lie_inside(bytes: Vec<u8>) {
        let source = SourceFile::from_bytes("authkeys", &bytes, None);
        for found in parse(&source).1 {
            for label in &found.labels {
                prop_assert!(source.text().get(label.span.start..label.span.end).is_some());
            }
        }
    }
}
