//! Signatures: nothing is accepted that was not signed with the key of its index, and nothing that
//! was changed on the way, be it by a bit.

use hb_config::settings::Framing;
use hb_messaging::auth::Authenticator;
use hb_messaging::fields::FieldList;
use hb_messaging::wire;

use crate::reader::Reader;
use crate::world;

/// Bits that are flipped for each input.
const FLIPS_MAX: usize = 8;
/// Fields of a message that is made here.
const FIELDS_MAX: u8 = 12;

/// Any datagram is verified, then a message made from the input is signed and damaged.
pub fn auth(data: &[u8]) {
    let mut reader = Reader::new(data);
    let index = *reader.pick(&world::KEY_INDICES);
    let keys = world::authenticator(index);
    refuse_what_is_not_signed(data, keys);
    let framing = if reader.flag() { Framing::Classic } else { Framing::Netstring };
    let inner_auth = reader.flag();
    let flips: Vec<u16> = (0..reader.u8() as usize % FLIPS_MAX).map(|_| reader.u16()).collect();
    let fields = message(&mut reader);
    let Ok(bytes) = wire::encode(&fields, framing, inner_auth, keys) else { return };
    assert!(is_accepted(&bytes, keys), "signed here");
    let others = world::KEY_INDICES.iter().filter(|other| **other != index);
    for other in others.map(|other| world::stranger(*other)) {
        assert!(!is_accepted(&bytes, other), "accepted without the key {index}");
    }
    for flip in flips {
        let mut damaged = bytes.clone();
        let bit = usize::from(flip) % (damaged.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_accepted(&damaged, keys), "bit {bit} of {:?}", bytes.escape_ascii());
    }
    refuse_what_is_not_signed(reader.rest(), keys);
}

fn is_accepted(bytes: &[u8], keys: &Authenticator) -> bool {
    let Ok(frame) = wire::decode(bytes) else { return false };
    frame.signature.is_some_and(|signature| keys.verify(&signature, &frame.signed).is_ok())
}

/// Only what the holder of that very key would have written is accepted.
fn refuse_what_is_not_signed(datagram: &[u8], keys: &Authenticator) {
    let Ok(frame) = wire::decode(datagram) else { return };
    let Some(signature) = frame.signature else { return };
    match keys.verify(&signature, &frame.signed) {
        Ok(_) => {
            let signer = world::authenticator(signature.index);
            let written = format!("{} {}", signature.index, signature.token);
            assert_eq!(signer.sign(&frame.signed), written);
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(!world::KEYS.iter().any(|(_, secret)| shown.contains(secret)), "{shown}");
        }
    }
}

fn message(reader: &mut Reader<'_>) -> FieldList {
    const NAMES: [&str; 8] = ["t", "src", "seq", "hg", "st", "info", "x_groups", "srcuuid"];
    let mut fields = FieldList::new();
    for _ in 0..reader.u8() % FIELDS_MAX {
        let name = *reader.pick(&NAMES);
        let binary = reader.flag();
        let bytes = reader.chunk();
        match binary {
            true => fields.push_binary(name, bytes),
            false => fields.push_text(name, bytes),
        }
    }
    fields
}
