//! What concerns single groups between the rules of possession: hints and timers that go to a group,
//! and when a group that failed here is tried again here although nobody asked for it.

use super::*;
use crate::input::Evidence;

impl Manager {
    /// Hands an input to the group with this key, if there is one.
    pub(super) fn with_key(
        &mut self,
        key: &str,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Group, &mut Context<'_>),
    ) {
        if let Some(index) = self.groups.iter().position(|group| group.key() == key) {
            self.with_group(index, out, step);
        }
    }

    pub(super) fn look(
        &mut self,
        key: &str,
        resource: &str,
        evidence: Evidence,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        self.with_key(key, out, |group, ctx| group.look(resource, evidence, reason, ctx));
    }

    /// What follows for each group by itself, after what this node shall have is decided.
    pub(super) fn tend(&mut self, out: &mut Vec<Output>) {
        let settled = self.phase == Phase::Stable;
        for index in 0..self.groups.len() {
            let pause = self.why_pause(index);
            self.with_group(index, out, |group, ctx| {
                match pause {
                    Some(why) => group.pause(&why, ctx),
                    None => group.offer_after_pause(ctx),
                }
                group.tend(settled, ctx);
            });
        }
    }

    /// Why a group that failed here is tried again here after a pause and not given to the peer.
    fn why_pause(&self, index: usize) -> Option<String> {
        let group = &self.groups[index];
        let stuck_there = self.peer.blocked.contains(group.key());
        let settled = self.phase == Phase::Stable && !self.in_dialogue(index);
        if !settled || self.hands_off() || !group.has_failed() || stuck_there {
            return None;
        }
        let here = &self.config.node;
        if self.config.peer.is_none() {
            return Some(format!("there is no other node: staying on {here}"));
        }
        if self.is_alone() {
            return Some(format!("{} is not there: staying on {here}", self.peer_name()));
        }
        if self.is_lost() {
            let ours = self.ours.contains(group.key());
            return ours.then(|| format!("{} is silent: staying on {here}", self.peer_name()));
        }
        // The peer begins it by itself only when it prefers it.
        if self.can_talk()
            && self.prefers_us(group)
            && let Some(why) = self.unready_there(index)
        {
            let free = matches!(
                self.peer_claim(group.key()),
                Some(GroupClaim::Released | GroupClaim::Failed)
            );
            return free.then(|| format!("{why}: staying on {here}"));
        }
        let both = self.can_talk() && self.peer_claim(group.key()) == Some(GroupClaim::Failed);
        (both && self.prefers_us(group)).then(|| format!("failed on both nodes: staying on {here}"))
    }

    /// The pause is over. Nobody else begins it meanwhile: this node is alone, or the peer has
    /// failed as well and does not prefer it.
    pub(super) fn retry(&mut self, key: &str, out: &mut Vec<Output>) {
        let Some(index) = self.groups.iter().position(|group| group.key() == key) else { return };
        let why = self.why_pause(index);
        let due = self.with_group(index, out, |group, _| group.end_of_pause());
        if let (true, Some(why)) = (due, why) {
            let pause = crate::group::in_words(self.config.policy.recovery.retry_ms);
            let reason = format!("{why}, and {pause} have passed since it failed");
            self.acquire(index, Cause::Retry, &reason, out);
        }
    }

    /// The window of a member's failures is over.
    pub(super) fn forget_member(&mut self, key: &str, member: usize, out: &mut Vec<Output>) {
        let Some(index) = self.groups.iter().position(|group| group.key() == key) else { return };
        let elsewhere = match self.peer_claim(key) {
            Some(GroupClaim::Held) => true,
            // The preferred node tries again and again; it may be the one that cannot, and once per
            // window it may offer the group here.
            Some(GroupClaim::Failed) => self.can_talk() && !self.prefers_us(&self.groups[index]),
            Some(
                GroupClaim::Released
                | GroupClaim::Acquiring
                | GroupClaim::Releasing
                | GroupClaim::Blocked,
            ) => false,
            // A 3.0.6 peer says only which sets it holds.
            None => self.can_talk() && !self.peer.native && self.peer.stable == Some(true),
        };
        self.with_group(index, out, |group, ctx| group.forget_failures(member, elsewhere, ctx));
    }
}
