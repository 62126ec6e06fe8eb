//! The one-way cut, seen from the node that hears and is not heard: the other one takes it for dead
//! and takes its groups, and only this one can know. Pure: it compares moments and tells nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

/// Since when the peer says that it hears nothing of this node, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unheard {
    since: Option<Instant>,
    /// What the manager knows: groups that the peer has taken; `None`: this node is heard.
    told: Option<BTreeSet<GroupKey>>,
}

impl Unheard {
    /// What the peer says at this moment: `deaf` when it speaks and hears this node on no link.
    pub(crate) fn note(&mut self, now: Instant, deaf: bool) {
        match deaf {
            true => self.since = self.since.or(Some(now)),
            false => self.since = None,
        }
    }

    /// The peer has restarted or is back: what it does not hear yet says nothing.
    pub(crate) fn begin_again(&mut self) {
        self.since = None;
    }

    /// When it counts. After a cut that heals in both directions one node is the first to hear the
    /// other; it must not let go because the other has not heard it for a moment.
    pub(crate) fn due(&self, patience: Duration) -> Option<Instant> {
        self.since.filter(|_| self.told.is_none()).map(|since| since + patience)
    }

    /// What the manager is to be told, when that is something else than before. `owns`: what the
    /// peer says that it has.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        patience: Duration,
        owns: &BTreeSet<GroupKey>,
    ) -> Option<Option<BTreeSet<GroupKey>>> {
        let lasts = self.since.is_some_and(|since| since + patience <= now);
        let tell = lasts.then(|| owns.clone());
        (self.told != tell).then(|| {
            self.told.clone_from(&tell);
            tell
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_deaf_peer_counts_after_the_dead_time_and_only_while_it_lasts() {
        let owns: BTreeSet<GroupKey> = ["db".to_owned()].into();
        let mut unheard = Unheard::default();
        let judge = |unheard: &mut Unheard, now| unheard.judge(at(now), PATIENCE, &owns);
        unheard.note(at(100), true);
        assert_eq!((judge(&mut unheard, 100), unheard.due(PATIENCE)), (None, Some(at(600))));
        unheard.note(at(300), true);
        assert_eq!(judge(&mut unheard, 599), None);
        assert_eq!(judge(&mut unheard, 600), Some(Some(owns.clone())));
        assert_eq!((judge(&mut unheard, 700), unheard.due(PATIENCE)), (None, None));
        unheard.note(at(800), false);
        assert_eq!(judge(&mut unheard, 800), Some(None));
        // It begins anew, also with a peer that has restarted meanwhile.
        unheard.note(at(900), true);
        unheard.begin_again();
        unheard.note(at(1_000), true);
        assert_eq!(unheard.due(PATIENCE), Some(at(1_500)));
    }
}
