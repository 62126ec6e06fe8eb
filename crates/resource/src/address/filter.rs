//! The kernel's filter before a listening packet socket: only frames that speak of certain addresses
//! wake anybody, however many others pass. Pure: builds classic BPF (linux/filter.h).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::frames::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEXT_HEADER_ICMPV6};

/// Above this number of addresses the filter passes all frames of their kind: jumps reach 255 steps.
const ADDRESSES_MAX: usize = 100;

/// Operation codes: load a word or byte of the frame, jump if equal, return.
const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// One step: code, steps to skip if equal, steps to skip if not, operand.
pub(super) type Step = (u16, u8, u8, u32);

/// Which frames a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speech {
    /// ARP.
    Arp,
    /// Neighbour solicitations and advertisements.
    Neighbour,
}

impl Speech {
    /// What hosts use to speak of `ip`.
    pub(super) fn about(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Arp } else { Self::Neighbour }
    }
}

/// What a step does once all steps are known.
#[derive(Clone, Copy)]
enum Draft {
    Load(u16, u32),
    /// Accepts if equal, else goes on.
    Accept(u32),
    /// Goes on if equal, else rejects.
    Require(u32),
    /// Skips the next step if equal.
    Skip(u32),
    /// Accepts.
    Pass,
}

/// The program that passes what `speech` says of `addresses`. Frames begin behind the link-layer
/// header. IPv6 addresses are told apart by their last word; the reader looks again.
pub(super) fn program(speech: Speech, addresses: &BTreeSet<IpAddr>) -> Vec<Step> {
    let words: BTreeSet<u32> = addresses
        .iter()
        .filter(|ip| Speech::about(**ip) == speech)
        .map(|ip| last_word(*ip))
        .collect();
    let mut drafts = Vec::new();
    match speech {
        Speech::Arp => {
            // Sender's address, or for a probe, which has none, the target's.
            drafts.push(Draft::Load(LOAD_WORD, 14));
            accept_any(&words, &mut drafts);
            drafts.push(Draft::Require(0));
            drafts.push(Draft::Load(LOAD_WORD, 24));
            accept_any(&words, &mut drafts);
        }
        Speech::Neighbour => {
            drafts.push(Draft::Load(LOAD_BYTE, 6));
            drafts.push(Draft::Require(u32::from(NEXT_HEADER_ICMPV6)));
            drafts.push(Draft::Load(LOAD_BYTE, 40));
            drafts.push(Draft::Skip(u32::from(NEIGHBOUR_SOLICITATION)));
            drafts.push(Draft::Require(u32::from(NEIGHBOUR_ADVERTISEMENT)));
            drafts.push(Draft::Load(LOAD_WORD, 60));
            accept_any(&words, &mut drafts);
        }
    }
    assemble(&drafts)
}

fn last_word(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip),
        IpAddr::V6(ip) => (u128::from(ip) & u128::from(u32::MAX)) as u32,
    }
}

fn accept_any(words: &BTreeSet<u32>, drafts: &mut Vec<Draft>) {
    if words.len() > ADDRESSES_MAX {
        drafts.push(Draft::Pass);
    } else {
        drafts.extend(words.iter().copied().map(Draft::Accept));
    }
}

/// Two last steps follow the drafts: the one rejects, the other accepts.
fn assemble(drafts: &[Draft]) -> Vec<Step> {
    let reject = drafts.len();
    let accept = reject + 1;
    // In range: at most 2 × ADDRESSES_MAX + 6 steps.
    let to = |target: usize, here: usize| u8::try_from(target - here - 1).unwrap_or(u8::MAX);
    let mut steps: Vec<Step> = drafts
        .iter()
        .enumerate()
        .map(|(here, draft)| match *draft {
            Draft::Load(code, offset) => (code, 0, 0, offset),
            Draft::Accept(word) => (JUMP_EQUAL, to(accept, here), 0, word),
            Draft::Require(word) => (JUMP_EQUAL, 0, to(reject, here), word),
            Draft::Skip(word) => (JUMP_EQUAL, 1, 0, word),
            Draft::Pass => (RETURN, 0, 0, u32::MAX),
        })
        .collect();
    steps.push((RETURN, 0, 0, 0));
    steps.push((RETURN, 0, 0, u32::MAX));
    steps
}

#[cfg(test)]
mod tests {
    use super::super::frames;
    use super::*;

    const MAC: frames::Ethernet = [2, 0, 0, 0, 0, 1];

    /// Runs a program as the kernel does: a load beyond the end rejects.
    fn passes(program: &[Step], frame: &[u8]) -> bool {
        let (mut at, mut register) = (0, 0);
        loop {
            let (code, equal, other, operand) = program[at];
            let offset = operand as usize;
            let word = match code {
                LOAD_WORD => frame.get(offset..offset + 4),
                LOAD_BYTE => frame.get(offset..=offset),
                JUMP_EQUAL => {
                    at += 1 + usize::from(if register == operand { equal } else { other });
                    continue;
                }
                RETURN => return operand > 0,
                unknown => panic!("{unknown}"),
            };
            let Some(bytes) = word else { return false };
            register = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            at += 1;
        }
    }

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn only_frames_about_these_addresses_pass() {
        let wanted = set(&["10.0.0.50", "10.0.0.51", "fd00::50", "fd00::51"]);
        for (ip, expect) in [
            ("10.0.0.50", true),
            ("10.0.0.51", true),
            ("10.0.0.52", false),
            ("0.0.0.0", false),
            ("fd00::50", true),
            ("fd00::51", true),
            ("fd00::52", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            let program = program(Speech::about(ip), &wanted);
            let mut spoken = frames::announcement(ip, MAC, false);
            spoken.push(frames::probe(ip, MAC));
            for frame in spoken {
                assert_eq!(passes(&program, &frame.payload), expect, "{ip} {frame:02x?}");
            }
            assert!(!passes(&program, &[0; 8]));
        }
    }

    #[test]
    fn other_packets_of_ipv6_do_not_pass() {
        let program = program(Speech::Neighbour, &set(&["fd00::50"]));
        let good = frames::probe("fd00::50".parse().unwrap(), MAC).payload;
        for (at, value) in [(6, 6), (40, 134), (40, 137)] {
            let mut packet = good.clone();
            packet[at] = value;
            assert!(!passes(&program, &packet), "{at} {value}");
        }
    }

    #[test]
    fn no_address_passes_nothing_and_very_many_pass_all() {
        let frame = frames::announcement("10.0.0.50".parse().unwrap(), MAC, false).remove(0);
        assert!(!passes(&program(Speech::Arp, &set(&[])), &frame.payload));
        assert!(!passes(&program(Speech::Arp, &set(&["fd00::50"])), &frame.payload));
        for (count, others_pass) in [(ADDRESSES_MAX, false), (ADDRESSES_MAX + 1, true)] {
            let many: BTreeSet<IpAddr> =
                (0..count).map(|low| IpAddr::from([10, 1, 0, low as u8])).collect();
            let program = program(Speech::Arp, &many);
            assert_eq!(passes(&program, &frame.payload), others_pass);
            for ip in many {
                let frame = frames::probe(ip, MAC);
                assert!(passes(&program, &frame.payload), "{ip}");
            }
        }
    }
}
