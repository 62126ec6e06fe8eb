//! How entries lie in a file: heads, frames, and finding the banks again. No file is opened here.

use hb_messaging::auth::digest64;
use thiserror::Error;

use super::{Entry, VERSION};

/// Banks of a file.
pub const BANKS: u64 = 2;
const MAGIC: &[u8; 8] = b"hb-rec\r\n";
/// Magic, version, size of a bank, number of the bank since the file began.
const HEAD: usize = 8 + 4 + 8 + 8;
/// Length and digest.
const FRAME: usize = 4 + 8;
/// No entry is longer; a snapshot has some hundred kB.
const ENTRY_MAX: usize = 64 * 1024 * 1024;

/// Why a recording cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// Not one of ours.
    #[error("this is no recording of heartbeat")]
    Foreign,
    /// Of another format.
    #[error("a recording of format {0}; this program reads format {VERSION}")]
    Version(u32),
    /// Changed or cut off after it was written.
    #[error("bank {bank} is damaged at byte {at}: {what}")]
    Damaged {
        /// Its number.
        bank: u64,
        /// From its beginning.
        at: usize,
        /// In words.
        what: String,
    },
}

/// The head of bank `number`.
pub fn head(number: u64, bank_size: u64) -> Vec<u8> {
    let parts: [&[u8]; 4] =
        [MAGIC, &VERSION.to_be_bytes(), &bank_size.to_be_bytes(), &number.to_be_bytes()];
    parts.concat()
}

/// Frames of one bank, in order. Each has a digest over all before it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Bytes used so far, the end mark included.
    pub used: u64,
    chain: u64,
}

impl Part {
    /// What follows this head.
    pub fn after(head: &[u8]) -> Self {
        Self { used: HEAD as u64, chain: digest64(head) }
    }

    /// The bytes that `entry` takes.
    pub fn length(entry: &[u8]) -> u64 {
        (FRAME + entry.len()) as u64
    }

    /// The frame of `entry`, with the end mark that the next frame overwrites.
    pub fn frame(&mut self, entry: &[u8]) -> Vec<u8> {
        let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        self.chain = link(self.chain, entry);
        self.used += Self::length(entry);
        [&length.to_be_bytes()[..], &self.chain.to_be_bytes(), entry, &[0; 4]].concat()
    }
}

fn link(chain: u64, entry: &[u8]) -> u64 {
    digest64(&[&chain.to_be_bytes(), entry].concat())
}

/// All entries of a file in the order in which they were written, up to the end or to the first damage.
///
/// # Errors
/// When it is no recording at all.
pub fn read(file: &[u8]) -> Result<(Vec<Entry>, Option<Damage>), Damage> {
    let first = Head::read(file)?;
    let second = usize::try_from(first.bank_size).ok().and_then(|at| file.get(at..));
    let second = second.filter(|bytes| bytes.starts_with(MAGIC));
    let mut banks = vec![(first, file)];
    if let Some(bytes) = second {
        banks.push((Head::read(bytes)?, bytes));
    }
    banks.sort_by_key(|(head, _)| head.number);
    let mut entries = Vec::new();
    for (head, bytes) in banks {
        let end = usize::try_from(head.bank_size).unwrap_or(usize::MAX).min(bytes.len());
        if let Err(damage) = read_bank(&head, &bytes[..end], &mut entries) {
            return Ok((entries, Some(damage)));
        }
    }
    Ok((entries, None))
}

struct Head {
    bank_size: u64,
    number: u64,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Damage::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(Damage::Foreign)?;
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let (bank_size, rest) = rest.split_first_chunk().ok_or(Damage::Foreign)?;
        let (number, _) = rest.split_first_chunk().ok_or(Damage::Foreign)?;
        Ok(Self { bank_size: u64::from_be_bytes(*bank_size), number: u64::from_be_bytes(*number) })
    }
}

fn read_bank(head: &Head, bytes: &[u8], entries: &mut Vec<Entry>) -> Result<(), Damage> {
    let mut part = Part::after(&bytes[..HEAD]);
    let mut at = HEAD;
    let damaged =
        |at, what: &str| Err(Damage::Damaged { bank: head.number, at, what: what.to_owned() });
    loop {
        let rest = &bytes[at..];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return damaged(at, "it ends without its end mark");
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(());
        }
        let Some((chain, rest)) = rest.split_first_chunk() else {
            return damaged(at, "it ends inside an entry");
        };
        let Some(entry) = rest.get(..length).filter(|_| length <= ENTRY_MAX) else {
            return damaged(at, "it ends inside an entry");
        };
        part.chain = link(part.chain, entry);
        if part.chain != u64::from_be_bytes(*chain) {
            return damaged(at, "an entry was changed after it was written");
        }
        match ciborium::from_reader(entry) {
            Ok(entry) => entries.push(entry),
            Err(error) => return damaged(at, &format!("not understood: {error}")),
        }
        at += FRAME + length;
    }
}
