//! Groups that both nodes have, as seen from here: how long the nodes were apart before, since when
//! it is known, and who kept the group. It measures; the resource manager decides who lets go.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

/// A time in which the nodes did not hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Apart {
    /// Last word of the other before it.
    since: Instant,
    /// First word after it; `None` while it lasts.
    until: Option<Instant>,
    /// Unix time of its end, for display.
    unix_s: u64,
}

impl Apart {
    /// How long it lasted, or has lasted.
    pub(crate) fn lasted(&self, now: Instant) -> Duration {
        self.until.unwrap_or(now) - self.since
    }

    /// They hear each other again.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some()
    }

    /// Unix time of its beginning.
    pub(crate) fn begun_unix_s(&self, now: Instant) -> u64 {
        self.unix_s.saturating_sub(self.lasted(now).as_secs())
    }

    /// Unix time of its end.
    pub(crate) fn ended_unix_s(&self) -> u64 {
        self.unix_s
    }
}

/// Who has a group in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kept {
    /// This node.
    Here,
    /// The other.
    There,
    /// Not known: the other is not heard any more, or neither has it.
    Unknown,
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Both have it.
    Found {
        /// Which.
        group: GroupKey,
        /// How long they had been apart, if they had.
        apart: Option<Apart>,
    },
    /// One has let go.
    Ended(Ended),
}

/// How a split ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) group: GroupKey,
    /// How long they had been apart, if they had.
    pub(crate) apart: Option<Apart>,
    /// How long both had it while this node knew it.
    pub(crate) overlap: Duration,
    /// Who has it.
    pub(crate) kept: Kept,
    /// It was known before they heard each other again.
    pub(crate) seen_apart: bool,
}

/// What both nodes say of a group at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sides {
    /// Both serve it as far as is known.
    pub(crate) both: bool,
    /// This node's claim.
    pub(crate) here: GroupClaim,
    /// The other's; `None` when it is silent, has not said it again yet, or does not speak of single
    /// groups.
    pub(crate) there: Option<GroupClaim>,
    /// It is heard and speaks of single groups: what it has not said it is about to say.
    pub(crate) will_say: bool,
    /// It is silent, but its machine claims an address of the group, which this node serves.
    pub(crate) claimed: bool,
}

/// The last parting and the groups that both have: no more than haresources has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Splits {
    apart: Option<Apart>,
    both: BTreeMap<GroupKey, (Instant, Option<Apart>)>,
}

impl Splits {
    /// The other is taken for dead; its last word came at `heard`.
    pub(crate) fn part(&mut self, heard: Instant, unix_s: u64) {
        self.apart = Some(Apart { since: heard, until: None, unix_s });
    }

    /// It speaks again.
    pub(crate) fn meet(&mut self, now: Instant, unix_s: u64) {
        let noted = self.both.values_mut().filter_map(|(_, apart)| apart.as_mut());
        for apart in self.apart.iter_mut().chain(noted).filter(|apart| apart.until.is_none()) {
            apart.until = Some(now);
            apart.unix_s = unix_s;
        }
    }

    /// This node stood still for so long, and the other missed it.
    pub(crate) fn slept(&mut self, ms: u64, now: Instant, unix_s: u64) {
        // The time may not have been counted, and then lies before the zero of the clock.
        let since = Instant::from_millis(now.as_millis().saturating_sub(ms));
        self.apart = Some(Apart { since, until: Some(now), unix_s });
    }

    /// Takes note of who has a group.
    pub(crate) fn note(&mut self, group: &str, sides: Sides, now: Instant) -> Option<Change> {
        match self.both.get(group).copied() {
            None if sides.begins() => {
                let apart = self.apart;
                self.both.insert(group.to_owned(), (now, apart));
                Some(Change::Found { group: group.to_owned(), apart })
            }
            Some((known, apart)) if !sides.lasts() => {
                self.both.remove(group);
                let seen_apart =
                    apart.is_some_and(|apart| apart.until.is_none_or(|until| known < until));
                let (group, overlap, kept) = (group.to_owned(), now - known, sides.kept());
                Some(Change::Ended(Ended { group, apart, overlap, kept, seen_apart }))
            }
            None | Some(_) => None,
        }
    }

    /// Whether both nodes may serve a group at this moment.
    pub(crate) fn is_open(&self, group: &str) -> bool {
        self.both.contains_key(group)
    }

    /// How long the nodes had been apart when a group was found on both; `None` when it is not.
    pub(crate) fn apart_before(&self, group: &str) -> Option<Apart> {
        self.both.get(group).and_then(|(_, apart)| *apart)
    }
}

impl Sides {
    /// Who loses a group begins to release it in the moment in which it hears of the other, and so
    /// never shows both as held. No move between the nodes ever looks like this.
    fn begins(self) -> bool {
        let loses = |one, other| one == GroupClaim::Releasing && other == GroupClaim::Held;
        let lost = |there| loses(self.here, there) || loses(there, self.here);
        self.both || self.claimed || self.there.is_some_and(lost)
    }

    /// Until one has stopped all of it, both may serve it.
    fn lasts(self) -> bool {
        let may_run =
            |claim| matches!(claim, GroupClaim::Held | GroupClaim::Releasing | GroupClaim::Blocked);
        match self.there {
            Some(there) => may_run(self.here) && may_run(there),
            None => self.both || self.will_say || self.claimed,
        }
    }

    fn kept(self) -> Kept {
        match (self.here, self.there) {
            (GroupClaim::Held, Some(_)) => Kept::Here,
            (_, Some(GroupClaim::Held)) => Kept::There,
            (
                GroupClaim::Released
                | GroupClaim::Acquiring
                | GroupClaim::Held
                | GroupClaim::Releasing
                | GroupClaim::Failed
                | GroupClaim::Blocked,
                _,
            ) => Kept::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn the_overlap_lasts_until_one_side_has_stopped_everything() {
        let mut splits = Splits::default();
        splits.part(at(1_000), 50);
        splits.meet(at(11_200), 60);
        let mut note = |here, there, millis| {
            let both = here == GroupClaim::Held && there == Some(GroupClaim::Held);
            let sides = Sides { both, here, there, will_say: there.is_none(), claimed: false };
            splits.note("www", sides, at(millis))
        };
        use GroupClaim::{Held, Released, Releasing};
        assert_eq!(note(Held, Some(Released), 11_200), None);
        let Some(Change::Found { apart: Some(apart), .. }) = note(Held, Some(Held), 11_300) else {
            panic!("not found")
        };
        assert_eq!(apart.lasted(at(99_999)), Duration::from_millis(10_200));
        assert_eq!((apart.begun_unix_s(at(99_999)), apart.ended_unix_s()), (50, 60));
        assert_eq!(note(Held, Some(Held), 11_310), None);
        // It says everything anew when it hears this node again.
        assert_eq!(note(Held, None, 11_312), None);
        assert_eq!(note(Releasing, None, 11_313), None);
        assert_eq!(note(Held, Some(Releasing), 11_320), None);
        let overlap = Duration::from_millis(43);
        let group = "www".to_owned();
        let ended =
            Ended { group, apart: Some(apart), overlap, kept: Kept::Here, seen_apart: false };
        assert_eq!(note(Held, Some(Released), 11_343), Some(Change::Ended(ended)));
        assert_eq!(note(Held, Some(Released), 11_350), None);
    }

    #[test]
    fn who_kept_it_is_known_only_while_the_other_speaks() {
        let check = |here, there, expect| {
            let mut splits = Splits::default();
            let held = Some(GroupClaim::Held);
            let both = Sides {
                both: true,
                here: GroupClaim::Held,
                there: held,
                will_say: true,
                claimed: false,
            };
            splits.slept(5_000, at(100), 7);
            assert!(splits.note("www", both, at(100)).is_some());
            assert!(splits.apart_before("www").is_some());
            let sides = Sides { both: false, here, there, will_say: false, claimed: false };
            let after = splits.note("www", sides, at(150));
            let Some(Change::Ended(Ended { kept, .. })) = after else { panic!("{after:?}") };
            assert_eq!(kept, expect);
            assert!(splits.apart_before("www").is_none());
        };
        check(GroupClaim::Held, Some(GroupClaim::Released), Kept::Here);
        check(GroupClaim::Released, Some(GroupClaim::Held), Kept::There);
        check(GroupClaim::Held, None, Kept::Unknown);
        check(GroupClaim::Released, Some(GroupClaim::Failed), Kept::Unknown);
    }
    #[test]
    fn one_that_is_seen_while_they_are_apart_ends_once() {
        let mut splits = Splits::default();
        splits.part(at(1_000), 50);
        let mut sides = Sides {
            both: false,
            here: GroupClaim::Held,
            there: None,
            will_say: false,
            claimed: true,
        };
        assert!(matches!(splits.note("www", sides, at(4_000)), Some(Change::Found { .. })));
        assert_eq!(splits.note("www", sides, at(9_000)), None);
        splits.meet(at(11_000), 60);
        // The peer speaks, and has not said what it has.
        (sides.claimed, sides.will_say) = (false, true);
        assert_eq!(splits.note("www", sides, at(11_000)), None);
        sides.there = Some(GroupClaim::Released);
        let Some(Change::Ended(end)) = splits.note("www", sides, at(11_050)) else {
            panic!("it has ended")
        };
        assert_eq!((end.kept, end.seen_apart), (Kept::Here, true));
        assert_eq!(end.overlap, Duration::from_millis(7_050));
        let lasted = end.apart.map(|apart| apart.lasted(at(99_999)));
        assert_eq!(lasted, Some(Duration::from_secs(10)), "until they heard each other");
    }
}
