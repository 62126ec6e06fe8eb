//! Other hosts that claim addresses which this node holds, as the guard of the addresses hears them, and
//! which of them is the peer's machine. It remembers, for status; nothing is decided by it.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

/// How long a claim counts after it has ended. Of two machines that have an address each answers what
/// it hears of the other only now and then (RFC 5227, §2.4 (c)), so the end of one claim is as a rule
/// the beginning of the next.
const LINGER: Duration = Duration::from_secs(5);

/// One claim to a held address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    ethernet: String,
    /// `None` while it lasts.
    ended: Option<Instant>,
}

/// A host that claims an address which is held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rival<'a> {
    /// The address, as written in haresources.
    pub(crate) resource: &'a str,
    /// Its Ethernet address.
    pub(crate) ethernet: &'a str,
    /// It is the peer's machine.
    pub(crate) is_peer: bool,
}

/// All of them. Bounded by the addresses of haresources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rivals {
    claims: BTreeMap<(GroupKey, String), Claim>,
    /// Ethernet addresses of the peer's machine, as it has said.
    peer: Vec<String>,
}

impl Rivals {
    /// The peer has said which Ethernet addresses its machine has.
    pub(crate) fn peer_is(&mut self, ethernet: &[String]) {
        self.peer = ethernet.to_vec();
    }

    /// The guard says who claims an address, or that nobody does any more.
    pub(crate) fn note(
        &mut self,
        group: &str,
        resource: &str,
        ethernet: Option<String>,
        now: Instant,
    ) {
        let key = (group.to_owned(), resource.to_owned());
        match ethernet {
            Some(ethernet) => {
                self.claims.insert(key, Claim { ethernet, ended: None });
            }
            None => {
                if let Some(claim) = self.claims.get_mut(&key) {
                    claim.ended = Some(now);
                }
            }
        }
    }

    /// The peer speaks again: what its machine has it says itself.
    pub(crate) fn peer_speaks(&mut self) {
        self.claims.retain(|_, claim| !self.peer.contains(&claim.ethernet));
    }

    /// Those of one group, in the order of their addresses' names.
    pub(crate) fn of<'a>(
        &'a self,
        group: &'a str,
        now: Instant,
    ) -> impl Iterator<Item = Rival<'a>> + 'a {
        let counts = move |claim: &Claim| claim.ended.is_none_or(|ended| ended + LINGER > now);
        let of_group = self.claims.iter().filter(move |((key, _), _)| key == group);
        of_group.filter(move |(_, claim)| counts(claim)).map(|((_, resource), claim)| Rival {
            resource,
            ethernet: &claim.ethernet,
            is_peer: self.peer.contains(&claim.ethernet),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_claim_lasts_a_little_longer_than_it_is_heard() {
        let mut rivals = Rivals::default();
        rivals.peer_is(&["02:77:00:00:00:02".into()]);
        rivals.note("www", "10.0.0.50", Some("02:77:00:00:00:02".into()), at(1_000));
        rivals.note("www", "10.0.0.51", Some("02:77:00:00:00:ff".into()), at(1_000));
        let shown = |rivals: &Rivals, now| -> Vec<(String, bool)> {
            rivals.of("www", at(now)).map(|it| (it.resource.to_owned(), it.is_peer)).collect()
        };
        let both = [("10.0.0.50".to_owned(), true), ("10.0.0.51".to_owned(), false)];
        assert_eq!(shown(&rivals, 90_000), both);
        assert_eq!(rivals.of("db", at(1_000)).count(), 0);
        rivals.note("www", "10.0.0.50", None, at(11_000));
        rivals.note("www", "10.0.0.52", None, at(11_000));
        assert_eq!(shown(&rivals, 15_999), both);
        assert_eq!(shown(&rivals, 16_000), both[1..]);
        // Heard again before that, it was never over.
        rivals.note("www", "10.0.0.50", Some("02:77:00:00:00:02".into()), at(15_000));
        assert_eq!(shown(&rivals, 90_000), both);
        rivals.peer_speaks();
        assert_eq!(shown(&rivals, 90_000), both[1..], "a stranger's claim stays");
    }
}
