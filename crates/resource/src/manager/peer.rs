//! What the peer's status changes and messages mean for this node. Nothing is started here: what
//! follows from the new knowledge is derived in `settle`.

use std::time::Duration;

use super::dialogue::GIVING;
use super::*;

/// Between two announcements of what a 3.0.6 peer still has. It announces too, four times a second
/// for five seconds; its switch may have to be won back any time until it lets go.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);
/// A 3.0.6 peer that gives everything up after a partition says so two seconds later, or when the
/// scripts that it runs have ended.
const CONTEST_PATIENCE: Duration = Duration::from_secs(10);

impl Manager {
    pub(super) fn peer_status(&mut self, status: PeerStatus, out: &mut Vec<Output>) {
        if self.peer.status == status {
            return;
        }
        if status == PeerStatus::Lost {
            self.note_ours();
        }
        let before = std::mem::replace(&mut self.peer.status, status);
        if before == PeerStatus::Lost {
            self.ours.clear();
            self.may_take.clear();
        }
        match status {
            PeerStatus::Dead => self.peer_dead(out),
            PeerStatus::Lost => self.peer_lost(out),
            PeerStatus::Unknown | PeerStatus::Starting => self.peer_begins(before, out),
            PeerStatus::Active => {
                if before != PeerStatus::Starting {
                    self.peer_begins(before, out);
                }
            }
        }
    }

    fn peer_dead(&mut self, out: &mut Vec<Output>) {
        let left = self.peer.left;
        self.end_contest(out);
        self.peer.forget();
        self.greeted = false;
        self.said = None;
        let reason = format!("{} died", self.peer_name());
        self.cancel_dialogue(&reason, out);
        if !left {
            self.peer_was_away();
            self.forget_failures(Cause::PeerDead, &reason, out);
        }
        self.say_not_taking_over("dead", out);
    }

    /// Silent, and nobody can say whether it runs what it had. What it said last is kept: nothing of
    /// that is started here.
    fn peer_lost(&mut self, out: &mut Vec<Output>) {
        self.end_contest(out);
        self.greeted = false;
        self.waited = false;
        self.said = None;
        self.peer_was_away();
        let reason = format!("{} is silent", self.peer_name());
        self.cancel_dialogue(&reason, out);
        self.say_not_taking_over("silent", out);
    }

    /// A peer that does not hear this node decides without it: what it said before is void. When it
    /// hears again it may not know that it did not, so it is asked.
    pub(super) fn unheard(&mut self, taken: Option<BTreeSet<GroupKey>>, out: &mut Vec<Output>) {
        let begins = self.unheard.is_none() && taken.is_some();
        let ends = self.unheard.is_some() && taken.is_none();
        self.unheard = taken;
        if begins {
            self.peer.forget();
        }
        if ends && self.can_talk() && (self.greeted || self.phase == Phase::Stable) {
            self.ask_again(out);
            self.say(None, out);
        }
    }

    /// The other node cannot help any more: what failed here is worth another try.
    fn forget_failures(&mut self, cause: Cause, reason: &str, out: &mut Vec<Output>) {
        for index in 0..self.groups.len() {
            if self.groups[index].has_failed() {
                self.with_group(index, out, |group, ctx| group.cleanup(cause, reason, ctx));
            }
        }
    }

    /// A new incarnation, or the first sign of one.
    fn peer_begins(&mut self, before: PeerStatus, out: &mut Vec<Output>) {
        self.end_contest(out);
        self.peer.forget();
        self.peer.left = false;
        self.peer.blocked.clear();
        self.greeted = false;
        self.said = None;
        if before == PeerStatus::Active {
            let reason = format!("{} restarted", self.peer_name());
            self.cancel_dialogue(&reason, out);
        }
    }

    /// A restart inside deadtime: no takeover, but everything it said is void.
    pub(super) fn peer_restarted(&mut self, out: &mut Vec<Output>) {
        self.peer_begins(PeerStatus::Active, out);
        self.peer_was_away();
    }

    /// Both may hold everything. Neither restarts: both say what they hold, the conflict rule
    /// decides, and who keeps a group announces its addresses at once, because switches and
    /// neighbours may have learnt the other's.
    pub(super) fn peer_returned(&mut self, out: &mut Vec<Output>) {
        self.peer.forget();
        self.peer.left = false;
        self.peer.blocked.clear();
        self.peer_was_away();
        if self.phase == Phase::Stable {
            // Both were negotiated before they lost each other: nothing is negotiated again.
            self.greeted = true;
            for index in 0..self.groups.len() {
                // Of what both hold, this node keeps what prefers it; a 3.0.6 peer gives all up.
                if !self.peer.native || self.prefers_us(&self.groups[index]) {
                    self.with_group(index, out, Group::announce);
                }
            }
            self.note_contest(out);
            if self.can_talk() {
                self.ask_again(out);
                self.say(None, out);
            }
        }
    }

    /// A 3.0.6 peer says nothing of single groups, and until it has given everything up the network
    /// hears from it as well.
    fn note_contest(&mut self, out: &mut Vec<Output>) {
        if self.peer.native {
            return;
        }
        let wanted = self.groups.iter().filter(|group| group.is_wanted());
        let wanted: Vec<GroupKey> = wanted.map(|group| group.key().to_owned()).collect();
        self.contest(wanted, out);
    }

    fn contest(&mut self, keys: Vec<GroupKey>, out: &mut Vec<Output>) {
        let begins = self.contested.is_empty() && !keys.is_empty();
        self.contested.extend(keys);
        if begins {
            out.push(Output::SetTimer(Timer::AnnounceAgain, ANNOUNCE_PAUSE));
            out.push(Output::SetTimer(Timer::TakeContested, CONTEST_PATIENCE));
        }
    }

    /// A 3.0.6 peer that has settled says what it stands for. What is held here as well is contested;
    /// what it does not name, it has let go.
    fn judge_contest(&mut self, out: &mut Vec<Output>) {
        let both = |index: &usize| self.groups[*index].is_wanted() && self.legacy_has(*index);
        let both = (0..self.groups.len()).filter(both);
        let both: Vec<GroupKey> = both.map(|index| self.groups[index].key().to_owned()).collect();
        if both.is_empty() {
            self.end_contest(out);
        } else {
            self.contested.retain(|key| both.contains(key));
            self.contest(both, out);
        }
        let orphans = self.has_orphans();
        if !std::mem::replace(&mut self.peer.orphans, orphans) && orphans {
            out.push(Output::SetTimer(Timer::TakeContested, CONTEST_PATIENCE));
        }
    }

    /// Groups of nobody: this node had them, restarted within its dead time, and does not know it any
    /// more; the 3.0.6 peer, which they prefer, has settled without them (§15, 22). It may still be
    /// stopping them, so they are not simply started.
    fn has_orphans(&self) -> bool {
        let unheld = self.peer.holdings.is_some_and(|held| !held.local);
        let free =
            |group: &Group| !self.prefers_us(group) && !group.is_wanted() && !group.has_failed();
        unheld && self.groups.iter().any(free)
    }

    /// A 3.0.6 peer that had lost sight of this node gives everything up by itself (§7.9). One that had
    /// not, because only this node took it for dead, and one that took over at a late heartbeat (§6.2),
    /// keeps what both have for ever. It is asked to give it, as by an operator; this node goes on
    /// serving. So it is for what neither has: one that is in the middle of something does not answer.
    pub(super) fn take_contested(&mut self, out: &mut Vec<Output>) {
        let orphans = self.peer.orphans && self.has_orphans();
        if self.peer.native || self.contested.is_empty() && !orphans {
            self.peer.orphans = false;
            return;
        }
        let gives_up = self.peer.holdings == Some(Holdings::NONE) && !orphans;
        let busy = self.dialogue != Dialogue::None || self.groups.iter().any(Group::in_transition);
        if self.phase == Phase::Stable && self.can_talk() && !self.hands_off() && !busy && !gives_up
        {
            let held = |group: &&Group| group.is_wanted() && self.contested.contains(group.key());
            let held = self.groups.iter().filter(held);
            let begin = if orphans { Holdings::FOREIGN } else { Holdings::NONE };
            let sets = held.fold(begin, |sets, group| match self.prefers_us(group) {
                true => sets.with(Holdings::LOCAL),
                false => sets.with(Holdings::FOREIGN),
            });
            out.push(Output::Send(PeerMessage::HbTakeover { which: Which::Sets(sets) }));
            let text = format!(
                "{} is asked for its {} groups: both nodes serve them, or neither",
                self.peer_name(),
                sets.seen_from_peer().word()
            );
            out.push(Output::Alert { error: false, text });
        }
        out.push(Output::SetTimer(Timer::TakeContested, CONTEST_PATIENCE));
    }

    pub(super) fn announce_contested(&mut self, out: &mut Vec<Output>) {
        for index in 0..self.groups.len() {
            if self.contested.contains(self.groups[index].key()) {
                self.with_group(index, out, Group::announce);
            }
        }
        if !self.peer.native && !self.contested.is_empty() {
            out.push(Output::SetTimer(Timer::AnnounceAgain, ANNOUNCE_PAUSE));
        }
    }

    /// A 3.0.6 peer has let go, or is gone: what it told the network last is put right.
    fn end_contest(&mut self, out: &mut Vec<Output>) {
        if self.peer.native || self.contested.is_empty() {
            return;
        }
        self.announce_contested(out);
        self.contested.clear();
        self.peer.orphans = false;
        out.push(Output::CancelTimer(Timer::AnnounceAgain));
        out.push(Output::CancelTimer(Timer::TakeContested));
    }

    /// Everything that the peer said is forgotten. It may not have noticed that it was away, and
    /// then has no reason to say it again: `starting` makes it. A 3.0.6 peer restarts anyway.
    fn ask_again(&mut self, out: &mut Vec<Output>) {
        if self.peer.native {
            out.push(Output::Send(PeerMessage::Starting));
        }
    }

    pub(super) fn message(&mut self, message: PeerMessage, out: &mut Vec<Output>) {
        match message {
            PeerMessage::Starting => self.peer_starting(out),
            PeerMessage::Resources { holdings, full, stable, info, groups } => {
                self.peer.gives = info.as_deref() == Some(GIVING);
                if self.peer.gives {
                    self.giver_begins(out);
                }
                // That a 3.0.6 node holds nothing says, from here on, only that it releases.
                self.peer.fresh &= info.as_deref() != Some("shutdown");
                self.peer_resources(holdings, full, stable, groups, out);
            }
            PeerMessage::AskResources { which, step } => self.asked(which, step, out),
            PeerMessage::HbTakeover { which } => self.takeover_wanted(which, out),
            PeerMessage::Shutdone => self.peer_left(out),
        }
    }

    /// Heartbeat 3.0.6 §7.3: the answer is what we hold, in whichever state we are.
    fn peer_starting(&mut self, out: &mut Vec<Output>) {
        self.peer.forget();
        self.peer.left = false;
        self.peer.fresh = true;
        self.peer.stable = Some(false);
        if self.phase == Phase::Starting {
            self.phase = Phase::BothStarting;
        }
        if !matches!(self.phase, Phase::Init | Phase::Stopping | Phase::Stopped) {
            self.say(None, out);
        }
    }

    fn peer_resources(
        &mut self,
        holdings: Holdings,
        full: bool,
        stable: Option<bool>,
        groups: Option<BTreeMap<GroupKey, GroupClaim>>,
        out: &mut Vec<Output>,
    ) {
        let asked = self.greeted || self.phase == Phase::Stable;
        if !asked && !matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            // Said to an earlier incarnation of this node; the answer to `starting` comes after it.
            return;
        }
        let known = self.peer.holdings.unwrap_or_default();
        self.peer.holdings = Some(match (full, holdings) {
            (true, _) | (false, Holdings::NONE) => holdings,
            (false, _) => known.with(holdings),
        });
        let mut before = BTreeMap::new();
        if self.peer.native && groups.is_some() {
            before = std::mem::replace(&mut self.peer.groups, groups).unwrap_or_default();
        }
        if matches!(self.phase, Phase::Starting | Phase::BothStarting) && !self.probing() {
            self.phase = Phase::ResourcesReceived;
        }
        let settled = stable == Some(true) && self.peer.stable != Some(true);
        self.peer.stable = stable.or(self.peer.stable);
        if stable == Some(true) && !self.peer.native && self.phase == Phase::Stable {
            self.legacy_stands(settled, out);
        }
        if settled {
            self.giver_settled(out);
            self.offer_again(out);
        }
        self.note_forgotten(&before, out);
        self.note_conflicts(&before, out);
    }

    /// A 3.0.6 peer has settled, or says once more that it has.
    fn legacy_stands(&mut self, settled: bool, out: &mut Vec<Output>) {
        let moves = self.dialogue != Dialogue::None;
        let held = self.peer.holdings.unwrap_or(Holdings::ALL);
        if std::mem::take(&mut self.peer.fresh) && !held.foreign && !moves && !self.hands_off() {
            // It has begun anew, and what it had of ours before belongs to nobody.
            self.booked.local = true;
        }
        if !moves && !self.hands_off() {
            self.judge_contest(out);
        }
        if settled {
            // Heartbeat 3.0.6 §7.4: who learns that the other has settled says what it holds.
            self.say(None, out);
        }
    }

    /// What failed here while the peer was away can be offered once it has settled.
    pub(super) fn offer_again(&mut self, out: &mut Vec<Output>) {
        let delay = Duration::from_millis(self.config.failure.offer_delay_ms);
        for group in self.groups.iter().filter(|group| group.has_failed()) {
            out.push(Output::SetTimer(Timer::OfferGroup(group.key().to_owned()), delay));
        }
    }

    /// The peer claims what is held here. Who keeps it says so once more, for the peer may not
    /// know that it was thought dead; who loses it releases it in `settle`. The loser takes its
    /// addresses away first of all, so who keeps it announces them in that moment, and once more when
    /// all of it has stopped there.
    fn note_conflicts(&mut self, before: &BTreeMap<GroupKey, GroupClaim>, out: &mut Vec<Output>) {
        if !self.peer.native {
            return;
        }
        let mut kept = false;
        for index in 0..self.groups.len() {
            let key = self.groups[index].key().to_owned();
            let claim = self.peer_claim(&key);
            let claimed = matches!(claim, Some(GroupClaim::Held | GroupClaim::Acquiring));
            let releases = claim == Some(GroupClaim::Releasing);
            let lets_go = match releases {
                true => before.get(&key) != claim.as_ref() && self.contested.contains(&key),
                false => !claimed && self.contested.remove(&key),
            };
            if claimed && self.groups[index].is_wanted() && self.wins_conflict(index) {
                kept = true;
                self.contested.insert(key);
            } else if lets_go {
                self.with_group(index, out, Group::announce);
            }
        }
        // In maintenance neither lets go, and each may win one group: they would answer for ever.
        if kept && self.can_talk() && !self.hands_off() {
            self.say(None, out);
        }
    }

    /// Who keeps a group that both have. What serves stays before what is only being started; of
    /// two alike the preferred node's. Both sides know the rule, so both come to the same answer.
    pub(super) fn wins_conflict(&self, index: usize) -> bool {
        let group = &self.groups[index];
        let held_here = group.claim() == GroupClaim::Held;
        let held_there = self.peer_claim(group.key()) == Some(GroupClaim::Held);
        match (held_here, held_there) {
            (true, false) => true,
            (false, true) => false,
            (true, true) | (false, false) => self.prefers_us(group),
        }
    }

    pub(super) fn probing(&self) -> bool {
        self.groups.iter().any(Group::is_probing)
    }

    fn peer_left(&mut self, out: &mut Vec<Output>) {
        self.end_contest(out);
        self.peer.left = true;
        self.greeted = false;
        self.peer_was_away();
        let blocked = |claims: &BTreeMap<GroupKey, GroupClaim>| {
            let stuck = claims.iter().filter(|(_, claim)| **claim == GroupClaim::Blocked);
            stuck.map(|(key, _)| key.clone()).collect()
        };
        self.peer.blocked = self.peer.groups.as_ref().map(blocked).unwrap_or_default();
        if !self.peer.blocked.is_empty() {
            let keys: Vec<&str> = self.peer.blocked.iter().map(String::as_str).collect();
            let text = format!(
                "{} stopped without being able to stop {}; not taken over. See to it there, then \
                 `hb cleanup` here",
                self.peer_name(),
                keys.join(" ")
            );
            out.push(Output::Alert { error: true, text });
        }
        let reason = format!("{} stopped", self.peer_name());
        self.cancel_dialogue(&reason, out);
        self.peer.forget();
        self.forget_failures(Cause::PeerLeft, &reason, out);
        self.say_not_taking_over("stopped", out);
    }
}
