//! What follows from what is known, derived afresh after each input: which groups this node
//! acquires or lets go, when it is settled, what it tells the peer.

use std::time::Duration;

use super::*;
use crate::input::StandbyStep;

/// With a 3.0.6 peer that starts at the same time, Heartbeat waits 10 s before it acquires (§7.4).
const STARTUP_WAIT: Duration = Duration::from_secs(10);
/// How long a node stays after `shutdone`, so that a lost one can be asked for again.
const LINGER: Duration = Duration::from_millis(300);
/// A 3.0.6 peer expects its partner to stay for a second (§7.12).
const LINGER_LEGACY: Duration = Duration::from_millis(1_500);

/// What is to be done with a group.
pub(super) enum Wish {
    Acquire(Cause, String),
    Release(Cause, String),
}

impl Manager {
    pub(super) fn settle(&mut self, out: &mut Vec<Output>) {
        if self.is_lost() {
            self.note_adopted();
        }
        match self.phase {
            Phase::Init | Phase::Stopped => return,
            Phase::Stopping => return self.settle_stop(out),
            Phase::Starting | Phase::BothStarting | Phase::ResourcesReceived => {
                self.settle_start(out);
                self.settle_early(out);
            }
            Phase::Stable => {}
        }
        self.settle_maintenance(out);
        if self.phase == Phase::Stable {
            self.settle_groups(out);
            let in_dialogue = self.dialogue != Dialogue::None;
            self.settle_dialogue(out);
            if in_dialogue && self.dialogue == Dialogue::None {
                // What nobody took in the end falls under the rules of possession again, and no
                // other input may follow that would look at it.
                self.settle_groups(out);
            }
            self.settle_offers(out);
            self.settle_failback(out);
        }
        self.settle_maintenance(out);
        self.settle_retire(out);
        self.tell_changes(out);
    }

    /// From `Started` to `Stable`.
    fn settle_start(&mut self, out: &mut Vec<Output>) {
        if self.probing() {
            return;
        }
        if self.is_alone() {
            self.booked = Holdings::ALL;
            return self.become_stable(out);
        }
        if self.is_lost() {
            return;
        }
        if self.peer.status == PeerStatus::Active && !self.greeted {
            self.greet(out);
        }
        let heard = match self.peer.native {
            true => self.peer.groups.is_some(),
            // A 3.0.6 peer that has settled has answered. One that starts with us waits for 10 s or
            // for us to settle; that it holds nothing is enough, because it has nothing to end. Any
            // other may be releasing what it does not hold any more, so that time must pass.
            false => self.peer.holdings.is_some_and(|held| {
                let begins = self.peer.fresh && held == Holdings::NONE;
                self.peer.stable == Some(true) || begins || self.waited
            }),
        };
        if heard {
            let taken = self.peer.holdings.is_some_and(|held| held.foreign);
            self.booked.local = !taken;
            self.become_stable(out);
        }
    }

    fn greet(&mut self, out: &mut Vec<Output>) {
        self.greeted = true;
        out.push(Output::Send(PeerMessage::Starting));
        self.say(None, out);
        out.push(Output::SetTimer(Timer::StartupWait, STARTUP_WAIT));
    }

    /// A Twinbeat peer has not answered: `starting` or the answer was lost for good.
    pub(super) fn greet_again(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Stable && self.greeted && self.can_talk() {
            self.greet(out);
        }
    }

    /// Before the negotiation ends: what was found running here is kept running as far as the peer
    /// does not have it, and what may be taken from a lost peer is.
    fn settle_early(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Stable || self.probing() {
            return;
        }
        for index in 0..self.groups.len() {
            let free = self.may_start(index);
            self.with_group(index, out, |group, ctx| group.hold_back(!free, ctx));
            if self.is_lost() || self.is_taken(index) {
                self.settle_group(index, out);
            }
        }
    }

    fn become_stable(&mut self, out: &mut Vec<Output>) {
        self.phase = Phase::Stable;
        out.push(Output::CancelTimer(Timer::StartupWait));
    }

    /// The rules of possession. A dialogue under way has its own say about its groups.
    fn settle_groups(&mut self, out: &mut Vec<Output>) {
        if self.hands_off() {
            // Nothing is taken over, not even in words.
        } else if self.is_alone() {
            self.booked = Holdings::ALL;
        } else if self.has_no_foreign() && self.peer.holdings.is_some_and(|held| held.local) {
            // Both stood for it while they did not hear each other.
            self.booked.foreign = false;
        }
        for index in 0..self.groups.len() {
            if self.groups[index].is_probing() {
                continue;
            }
            let free = self.may_start(index);
            self.with_group(index, out, |group, ctx| group.hold_back(!free, ctx));
            self.settle_group(index, out);
        }
    }

    fn settle_group(&mut self, index: usize, out: &mut Vec<Output>) {
        if self.hands_off() {
            return;
        }
        match self.wish(index) {
            None => {}
            Some(Wish::Acquire(cause, reason)) => {
                if self.is_lost() {
                    self.ours.insert(self.groups[index].key().to_owned());
                }
                self.acquire(index, cause, &reason, out);
            }
            Some(Wish::Release(cause, reason)) => self.release(index, cause, &reason, out),
        }
    }

    /// What the rules of possession want for a group at this moment.
    pub(super) fn wish(&self, index: usize) -> Option<Wish> {
        if self.is_taken(index) {
            let peer = self.peer_name();
            let reason = format!("{peer} does not hear this node and has taken it over");
            return self.groups[index]
                .is_wanted()
                .then_some(Wish::Release(Cause::Conflict, reason));
        }
        if self.is_retiring(index) {
            None
        } else if self.is_alone() {
            self.wish_alone(index)
        } else if self.is_lost() {
            self.wish_lost(index)
        } else if self.peer.native {
            self.wish_native(index)
        } else {
            self.wish_legacy(index)
        }
    }

    /// Whether no group prefers the peer.
    pub(super) fn has_no_foreign(&self) -> bool {
        self.groups.iter().all(|group| self.prefers_us(group))
    }

    /// S2: nothing is started while the peer may run it. A 3.0.6 peer says less; after a healed
    /// partition it gives everything up by itself.
    fn may_start(&self, index: usize) -> bool {
        let claim = self.peer_claim(self.groups[index].key());
        if self.unheard.is_some() && self.can_talk() {
            return false;
        }
        if self.is_lost() {
            let key = self.groups[index].key();
            return self.ours.contains(key) || self.may_take.contains(key);
        }
        // Before the negotiation it is not even known what kind of peer there is.
        let unknown = self.groups[index].is_in_part()
            && (self.phase != Phase::Stable || self.legacy_has(index));
        self.is_alone()
            || (!self.peer.native && !unknown)
            || matches!(claim, Some(GroupClaim::Released | GroupClaim::Failed))
    }

    /// A 3.0.6 peer stands for the set of this group, or has not said.
    pub(super) fn legacy_has(&self, index: usize) -> bool {
        let ours = self.prefers_us(&self.groups[index]);
        self.peer.holdings.is_none_or(|held| if ours { held.foreign } else { held.local })
    }

    /// A peer that does not hear this node has it, and can only keep it.
    fn is_taken(&self, index: usize) -> bool {
        let taken = self.unheard.as_ref().filter(|_| self.can_talk());
        taken.is_some_and(|taken| taken.contains(self.groups[index].key()))
    }

    fn wish_alone(&self, index: usize) -> Option<Wish> {
        let group = &self.groups[index];
        let stuck_there = self.peer.blocked.contains(group.key());
        if group.is_wanted() || group.has_failed() || stuck_there {
            return None;
        }
        let peer = self.peer_name();
        let (cause, reason) = if self.config.peer.is_none() {
            (Cause::Startup, "this node is alone in ha.cf".to_owned())
        } else if self.peer.left {
            (Cause::PeerLeft, format!("{peer} stopped and released it"))
        } else {
            (Cause::PeerDead, format!("{peer} is dead"))
        };
        Some(Wish::Acquire(cause, reason))
    }

    /// What failed here since the peer fell silent may be tried again here; anything else only when
    /// fencing has failed and hb.toml lets the group go on without it.
    fn wish_lost(&self, index: usize) -> Option<Wish> {
        let group = &self.groups[index];
        let peer = self.peer_name();
        if group.is_in_part() && group.is_wanted() && !self.may_start(index) {
            let reason = format!("only parts of it run here, and {peer} is silent and may have it");
            return Some(Wish::Release(Cause::Conflict, reason));
        }
        if group.is_wanted() || group.has_failed() || !group.is_released() {
            return None;
        }
        if self.ours.contains(group.key()) {
            let reason = format!("it ran here when {peer} fell silent");
            return Some(Wish::Acquire(Cause::Retry, reason));
        }
        self.may_take.contains(group.key()).then(|| {
            let reason = format!(
                "{peer} is silent and could not be made sure to be off; hb.toml takes this group \
                 over all the same"
            );
            Wish::Acquire(Cause::PeerDead, reason)
        })
    }

    /// Of what is here at the loss of the peer, that which it does not have as well.
    pub(super) fn note_ours(&mut self) {
        let own = |index: &usize| {
            let group = &self.groups[*index];
            let free = self.may_start(*index) || group.claim() == GroupClaim::Held;
            group.is_wanted() && free
        };
        let keys = (0..self.groups.len()).filter(own);
        self.ours = keys.map(|index| self.groups[index].key().to_owned()).collect();
    }

    /// What was found running here is ours as well.
    fn note_adopted(&mut self) {
        let held = self.groups.iter().filter(|group| group.claim() == GroupClaim::Held);
        self.ours.extend(held.map(|group| group.key().to_owned()));
    }

    fn wish_native(&self, index: usize) -> Option<Wish> {
        let group = &self.groups[index];
        match self.peer_claim(group.key())? {
            claim @ (GroupClaim::Held | GroupClaim::Acquiring) => {
                if group.is_wanted() && !self.wins_conflict(index) {
                    let served = claim == GroupClaim::Held && group.claim() != GroupClaim::Held;
                    let why = if served { "serves it already" } else { "has it too" };
                    let reason = format!("{} {why} and keeps it", self.peer_name());
                    return Some(Wish::Release(Cause::Conflict, reason));
                }
                None
            }
            GroupClaim::Released | GroupClaim::Failed => {
                let free = !group.is_wanted() && !group.has_failed() && group.is_released();
                if free && self.prefers_us(group) && !self.in_dialogue(index) {
                    return Some(Wish::Acquire(Cause::Startup, self.at_home()));
                }
                None
            }
            GroupClaim::Blocked if group.is_in_part() && group.is_wanted() => {
                let reason =
                    format!("only parts of it run here, and parts on {}", self.peer_name());
                Some(Wish::Release(Cause::Conflict, reason))
            }
            GroupClaim::Releasing | GroupClaim::Blocked => None,
        }
    }

    fn at_home(&self) -> String {
        format!("it prefers this node and {} does not hold it", self.peer_name())
    }

    /// A 3.0.6 peer says sets. Its `foreign` is what prefers this node.
    fn wish_legacy(&self, index: usize) -> Option<Wish> {
        let group = &self.groups[index];
        if group.is_in_part() && group.is_wanted() && self.legacy_has(index) {
            let reason = format!("only parts of it run here, and {} has it", self.peer_name());
            return Some(Wish::Release(Cause::Conflict, reason));
        }
        let entitled = self.prefers_us(group)
            && self.booked.local
            && self.peer.holdings.is_some_and(|held| !held.foreign);
        let free = !group.is_wanted() && !group.has_failed() && !self.in_dialogue(index);
        (entitled && free).then(|| Wish::Acquire(Cause::Startup, self.at_home()))
    }

    /// Says what changed, once per change, after everything that must happen before it is said.
    pub(super) fn tell_changes(&mut self, out: &mut Vec<Output>) {
        let begun = self.greeted || self.phase == Phase::Stable;
        if begun && self.can_talk() && !self.probing() && !self.has_said_all() {
            self.say(self.dialogue.info(), out);
        }
    }

    /// Sends what this node holds, whether it changed or not.
    pub(super) fn say(&mut self, info: Option<&str>, out: &mut Vec<Output>) {
        let said = self.to_say();
        let (holdings, stable, groups) = said.clone();
        self.said = Some(said);
        out.push(Output::Send(PeerMessage::Resources {
            holdings,
            full: true,
            stable,
            info: info.map(str::to_owned),
            groups,
        }));
    }

    fn to_say(&self) -> Said {
        let (holdings, stable) = self.sets_to_say();
        let owned = |(key, claim): (&str, GroupClaim)| (key.to_owned(), claim);
        let groups = self.peer.native.then(|| self.claims_to_say().map(owned).collect());
        (holdings, stable, groups)
    }

    /// Whether what there is to say was said last. Asked after each input, so nothing is copied.
    fn has_said_all(&self) -> bool {
        let Some((holdings, stable, groups)) = &self.said else { return false };
        let same_groups = match (groups, self.peer.native) {
            (Some(said), true) => {
                let is_said = |(key, claim): (&str, GroupClaim)| said.get(key) == Some(&claim);
                self.claims_to_say().count() == said.len() && self.claims_to_say().all(is_said)
            }
            (None, false) => true,
            (Some(_), false) | (None, true) => false,
        };
        same_groups && self.sets_to_say() == (*holdings, *stable)
    }

    fn claims_to_say(&self) -> impl Iterator<Item = (&str, GroupClaim)> {
        let known = self.groups.iter().filter(|group| !group.is_probing());
        known.map(|group| (group.key(), group.claim()))
    }

    fn sets_to_say(&self) -> (Holdings, Option<bool>) {
        let stopping =
            matches!(self.phase, Phase::Stopping | Phase::Stopped) && !self.leaves_running;
        // Heartbeat says `none` as soon as it begins to stop; only `shutdone` means released.
        let holdings = if stopping { Holdings::NONE } else { self.holdings() };
        let stable = self.is_stable() || self.only_wants();
        (holdings, Some(stable))
    }

    /// Every group at rest: tell the peer, linger, leave.
    fn settle_stop(&mut self, out: &mut Vec<Output>) {
        if self.leaves_running {
            return self.settle_leave(out);
        }
        for index in 0..self.groups.len() {
            // A group that was still being looked at may have turned out to run here.
            if !self.groups[index].is_probing() {
                self.release(index, Cause::Shutdown, "this node stops", out);
            }
        }
        if self.groups.iter().any(|group| group.in_transition() || group.is_busy()) {
            return self.tell_changes(out);
        }
        self.tell_changes(out);
        self.phase = Phase::Stopped;
        let stuck = self.groups.iter().any(|group| group.claim() == GroupClaim::Blocked);
        let talk = self.can_talk();
        // A 3.0.6 peer takes `shutdone` as leave to start everything, so it is not said while
        // something may still run here. A Twinbeat peer knows which group is blocked.
        if talk && (self.peer.native || !stuck) {
            out.push(Output::Send(PeerMessage::Shutdone));
        }
        let linger = match (talk, self.peer.native) {
            (true, true) => LINGER,
            (true, false) => LINGER_LEGACY,
            (false, _) => Duration::ZERO,
        };
        out.push(Output::SetTimer(Timer::Linger, linger));
    }

    /// The step that ends a side's part, said after the claims that belong to it. A 3.0.6 peer believes
    /// what arrives last, so it is not told again that a transition is under way: that may overtake
    /// the word that it has ended.
    pub(super) fn say_done(&mut self, which: Which, out: &mut Vec<Output>) {
        match self.peer.native {
            true => self.say(self.dialogue.info(), out),
            false => self.tell_changes(out),
        }
        out.push(Output::Send(PeerMessage::AskResources { which, step: StandbyStep::Done }));
    }
}
