//! The list of keys that nodes announce to each other, read. Fingerprints only: no key comes near.

use crate::api::KeyStatus;

/// Keys are numbered 0 to 15, so a longer list is none.
const KEYS_MAX: usize = 16;
/// Longest word of a list; a fingerprint has eight digits, a method six letters at most.
const WORD_MAX: usize = 40;

/// Reads `INDEX:METHOD:FINGERPRINT[:active]`, separated by blanks. What is not such a word is left
/// out: it comes from a version that says more.
pub(crate) fn read(list: &str) -> Vec<KeyStatus> {
    list.split(' ').take(KEYS_MAX).filter_map(Word::read).map(KeyStatus::from).collect()
}

/// The key of the list that signs.
pub(crate) fn signing(list: &str) -> Option<Word<'_>> {
    list.split(' ').find(|word| word.ends_with(":active")).and_then(Word::read)
}

/// One word of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    index: u8,
    method: &'a str,
    fingerprint: &'a str,
    active: bool,
}

impl<'a> Word<'a> {
    fn read(word: &'a str) -> Option<Self> {
        let plain =
            |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let mut parts = word.split(':');
        let index = parts.next()?.parse().ok().filter(|index| usize::from(*index) < KEYS_MAX)?;
        let (method, fingerprint) = (parts.next().filter(plain)?, parts.next().filter(plain)?);
        let active = match (parts.next(), parts.next()) {
            (None, _) => false,
            (Some("active"), None) => true,
            (Some(_), _) => return None,
        };
        (word.len() <= WORD_MAX).then_some(Self { index, method, fingerprint, active })
    }

    /// Whether both are the same key under the same index.
    pub(crate) fn is(&self, key: &KeyStatus) -> bool {
        (self.index, self.method, self.fingerprint)
            == (key.index, key.method.as_str(), key.fingerprint.as_str())
    }
}

impl From<Word<'_>> for KeyStatus {
    fn from(word: Word<'_>) -> Self {
        let Word { index, method, fingerprint, active } = word;
        Self { index, method: method.to_owned(), fingerprint: fingerprint.to_owned(), active }
    }
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
