//! Tokens against the worked examples of the protocol description, and what must not verify.

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Secret};

use super::*;

fn keys(active: u8, list: &[(u8, AuthMethod, &str)]) -> AuthKeys {
    let key = |(index, method, secret): &(u8, AuthMethod, &str)| {
        (*index, AuthKey { method: *method, secret: Secret::new(secret.as_bytes().to_vec()) })
    };
    AuthKeys { active, keys: list.iter().map(key).collect() }
}

fn authenticator(active: u8, list: &[(u8, AuthMethod, &str)]) -> Authenticator {
    Authenticator::new(&keys(active, list)).expect("active key present")
}

fn signature(index: u8, token: &str) -> Signature {
    Signature { index, token: token.to_owned() }
}

const TEXT: &[u8] = b"t=status\nst=active\ndt=7530\nprotocol=1\nsrc=node1\n\
    (1)srcuuid=ABEiM0RVZneImaq7zN3u/w==\nseq=1f\nhg=5f5e100\nts=65a0bc00\n\
    ld=0.00 0.01 0.05 1/123 4567\nttl=3\n";

#[test]
fn tokens_of_the_worked_examples() {
    let long = "K".repeat(65);
    for (method, secret, token) in [
        (AuthMethod::Crc, "", "d61957a6"),
        (AuthMethod::Md5, "SecretKey", "9ddd15d03ccda25be35a78107c0912fd"),
        (AuthMethod::Sha1, "SecretKey", "d806d19f9677de79a854dd0802441c4c7f8ac563"),
        (AuthMethod::Md5, long.as_str(), "1188d3016fac046c41481bb229c4dbb1"),
        (AuthMethod::Sha1, long.as_str(), "63e763838ff0d55d5e289d9fbc38e56fb4747205"),
    ] {
        let keys = authenticator(1, &[(1, method, secret)]);
        assert_eq!(keys.sign(TEXT), format!("1 {token}"));
        assert_eq!(keys.verify(&signature(1, token), TEXT), Ok(method));
    }
}

/// RFC 4231, test case 2.
#[test]
fn sha256_is_a_genuine_hmac() {
    let keys = authenticator(0, &[(0, AuthMethod::Sha256, "Jefe")]);
    assert_eq!(
        keys.sign(b"what do ya want for nothing?"),
        "0 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn crc_is_printed_without_leading_zeros() {
    assert_eq!(authenticator(1, &[(1, AuthMethod::Crc, "")]).sign(b"m38"), "1 a9d46b2");
}

#[test]
fn each_index_verifies_with_its_own_key() {
    let list =
        [(1, AuthMethod::Sha1, "one"), (2, AuthMethod::Sha1, "two"), (3, AuthMethod::Crc, "")];
    let keys = authenticator(1, &list);
    let others = authenticator(2, &list);
    let token = others.sign(TEXT).split_off(2);
    assert_eq!(keys.verify(&signature(2, &token), TEXT), Ok(AuthMethod::Sha1));
    let mismatch = |index, method| Err(AuthError::Mismatch { index, method });
    assert_eq!(keys.verify(&signature(1, &token), TEXT), mismatch(1, AuthMethod::Sha1));
    assert_eq!(keys.verify(&signature(3, &token), TEXT), mismatch(3, AuthMethod::Crc));
    assert_eq!(keys.verify(&signature(4, &token), TEXT), Err(AuthError::UnknownKey(4)));
}

#[test]
fn changed_shortened_and_respelled_tokens_do_not_verify() {
    for method in [AuthMethod::Crc, AuthMethod::Md5, AuthMethod::Sha1, AuthMethod::Sha256] {
        let keys = authenticator(1, &[(1, method, "k")]);
        let token = keys.sign(TEXT).split_off(2);
        assert!(keys.verify(&signature(1, &token), TEXT).is_ok());
        assert!(keys.verify(&signature(1, &token), &TEXT[1..]).is_err());
        for wrong in [
            String::new(),
            token[..token.len() - 1].to_owned(),
            token[2..].to_owned(),
            format!("{token}00"),
            format!("0{token}"),
            token.to_uppercase(),
        ] {
            assert!(keys.verify(&signature(1, &wrong), TEXT).is_err(), "{method:?} {wrong}");
        }
    }
}

#[test]
fn no_secret_and_no_token_is_shown() {
    let keys = authenticator(1, &[(1, AuthMethod::Sha1, "hush"), (2, AuthMethod::Md5, "hush")]);
    let shown = format!("{keys:?}");
    assert_eq!(shown, r#"Authenticator { active: 1, methods: {1: "sha1", 2: "md5"} }"#);
    let error = keys.verify(&signature(1, "00"), TEXT).expect_err("wrong token");
    assert_eq!(error.to_string(), "signature of key 1 (sha1) does not match");
}

#[test]
fn an_active_index_without_key_is_refused() {
    assert!(Authenticator::new(&keys(2, &[(1, AuthMethod::Crc, "")])).is_none());
}

#[test]
fn fingerprints_tell_keys_apart_and_nothing_else() {
    let of = |method, secret: &str| {
        fingerprint(&AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) })
    };
    // SHA-256 over the label, `sha1`, a NUL and the key, by sha256sum.
    assert_eq!(of(AuthMethod::Sha1, "hush"), "b694c9c1");
    assert_ne!(of(AuthMethod::Sha1, "hush"), of(AuthMethod::Sha1, "hush!"));
    assert_ne!(of(AuthMethod::Sha1, "hush"), of(AuthMethod::Sha256, "hush"));
    let keys = authenticator(2, &[(1, AuthMethod::Crc, ""), (2, AuthMethod::Sha1, "hush")]);
    let crc = of(AuthMethod::Crc, "");
    assert_eq!(keys.key_list(), format!("1:crc:{crc} 2:sha1:b694c9c1:active"));
}

#[test]
fn a_short_digest_is_the_beginning_of_sha_256() {
    // By sha256sum.
    assert_eq!(short_digest("abc"), "ba7816bf");
    assert_ne!(short_digest("abc"), short_digest("abd"));
}
