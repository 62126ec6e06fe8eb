//! The list of keys that nodes announce to each other, read. Fingerprints only: no key comes near.

use crate::api::KeyStatus;

/// Keys are numbered 0 to 15, so a longer list is none.
const KEYS_MAX: usize = 16;
/// Longest word of a list; a fingerprint has eight digits, a method six letters at most.
const WORD_MAX: usize = 40;

/// Reads `INDEX:METHOD:FINGERPRINT[:active]`, separated by blanks. What is not such a word is left
/// out: it comes from a version that says more.
pub(crate) fn read(list: &str) -> Vec<KeyStatus> {
    list.split(' ').take(KEYS_MAX).filter_map(read_one).collect()
}

/// The key of the list that signs.
pub(crate) fn signing(list: &str) -> Option<KeyStatus> {
    list.split(' ').find(|word| word.ends_with(":active")).and_then(read_one)
}

fn read_one(word: &str) -> Option<KeyStatus> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let parts: Vec<&str> = word.split(':').collect();
    let (index, method, fingerprint, active) = match parts.as_slice() {
        [index, method, fingerprint] => (index, method, fingerprint, false),
        [index, method, fingerprint, "active"] => (index, method, fingerprint, true),
        [..] => return None,
    };
    let index = index.parse().ok().filter(|index| usize::from(*index) < KEYS_MAX)?;
    if word.len() > WORD_MAX || !plain(method) || !plain(fingerprint) {
        return None;
    }
    let (method, fingerprint) = ((*method).to_owned(), (*fingerprint).to_owned());
    Some(KeyStatus { index, method, fingerprint, active })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_far_as_they_are_understood() {
        let check = |list: &str, expect: &[(u8, &str, &str, bool)]| {
            let read = read(list);
            let read: Vec<_> = read
                .iter()
                .map(|key| (key.index, key.method.as_str(), key.fingerprint.as_str(), key.active))
                .collect();
            assert_eq!(read, expect, "{list:?}");
        };
        check("1:sha1:0a1b2c3d:active", &[(1, "sha1", "0a1b2c3d", true)]);
        check(
            "1:sha1:0a1b2c3d 2:sha256:ffffffff:active",
            &[(1, "sha1", "0a1b2c3d", false), (2, "sha256", "ffffffff", true)],
        );
        check("", &[]);
        check("1:sha1 x:sha1:00 16:sha1:00 1:sha1:00:later 1::00 1:sh\x1b:00", &[]);
        check(&format!("1:sha1:{}", "0".repeat(WORD_MAX)), &[]);
        assert_eq!(super::read(&"1:sha1:00 ".repeat(100)).len(), KEYS_MAX);
    }
}
