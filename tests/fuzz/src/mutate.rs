//! A plain mutator: changes inputs of the corpus at random, without knowledge of what they reach.
//! It finds less than libFuzzer, but needs nothing but the stable compiler. Same seed, same inputs.

use crate::Target;
use crate::corpus::Corpus;

/// Changes to one input.
const CHANGES_MAX: u64 = 6;

/// Xorshift64*: a seed in, the same numbers out, on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Any seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from((self.next_u64() >> 16) % limit).unwrap_or(0)
    }
}

/// Makes inputs for one target.
#[derive(Clone, Debug)]
pub struct Mutator<'a> {
    corpus: &'a Corpus,
    max_len: usize,
    rng: Rng,
}

impl<'a> Mutator<'a> {
    /// From what the corpus of `target` holds.
    pub fn new(target: &Target, corpus: &'a Corpus, seed: u64) -> Self {
        Self { corpus, max_len: target.max_len, rng: Rng::new(seed) }
    }

    /// The next input.
    pub fn make(&mut self) -> Vec<u8> {
        let mut bytes = self.any_of_corpus().to_vec();
        for _ in 0..=self.rng.next_u64() % CHANGES_MAX {
            self.change(&mut bytes);
        }
        bytes.truncate(self.max_len);
        bytes
    }

    fn any_of_corpus(&mut self) -> &'a [u8] {
        let at = self.rng.below(self.corpus.inputs().len());
        self.corpus.inputs().get(at).map_or(&[], |input| &input.bytes)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        /// Bytes that mean something to some parser.
        const WORTH_TRYING: [u8; 16] = [
            0, 1, 0x7f, 0x80, 0xff, b'\n', b'\r', b'\t', b' ', b'#', b'=', b':', b'/', b'"', b'{',
            0x13,
        ];
        let at = self.rng.below(bytes.len() + 1);
        let place = self.rng.below(bytes.len());
        match self.rng.below(9) {
            0 => {
                let bit = 1 << self.rng.below(8);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bit;
                }
            }
            1 => {
                let value = self.rng.next_u64().to_le_bytes()[2];
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value;
                }
            }
            2 => {
                let value = WORTH_TRYING[self.rng.below(WORTH_TRYING.len())];
                bytes.insert(at, value);
            }
            3 => {
                let end = (place + 1 + self.rng.below(16)).min(bytes.len());
                bytes.drain(place.min(end)..end);
            }
            4 => {
                let end = (place + 1 + self.rng.below(32)).min(bytes.len());
                let again = bytes[place.min(end)..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let other = self.any_of_corpus();
                let start = self.rng.below(other.len());
                let end = (start + 1 + self.rng.below(64)).min(other.len());
                bytes.splice(at..at, other[start.min(end)..end].iter().copied());
            }
            6 => {
                let other = self.any_of_corpus();
                let start = self.rng.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[start..]);
            }
            7 => {
                let delta = u8::try_from(self.rng.below(35)).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = byte.wrapping_add(delta).wrapping_sub(17);
                }
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
}
