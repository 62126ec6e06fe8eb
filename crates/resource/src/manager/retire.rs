//! Before the daemon starts anew with another configuration: groups that run otherwise by then are
//! released, everything else comes to rest, and nothing is started any more. What stays up is adopted
//! by the next daemon, as after a crash. What differs between the configurations is not its business.

use super::*;

impl Manager {
    /// The daemon is to start anew; `groups` must not run any more by then.
    pub(super) fn retire(&mut self, groups: BTreeSet<GroupKey>, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            let reason = "this node stops".to_owned();
            return out.push(Output::Retired(Err(reason)));
        }
        let up = |group: &&Group| groups.contains(group.key()) && group.is_wanted();
        if let Some(why) = self.in_maintenance_words()
            && let Some(group) = self.groups.iter().find(up)
        {
            let reason = format!("group {} would be stopped, and {why}", group.key());
            return out.push(Output::Retired(Err(reason)));
        }
        self.retiring = Some(groups);
    }

    /// Whether the group is released for good.
    pub(super) fn is_retiring(&self, index: usize) -> bool {
        let key = self.groups[index].key();
        self.retiring.as_ref().is_some_and(|keys| keys.contains(key))
    }

    pub(super) fn settle_retire(&mut self, out: &mut Vec<Output>) {
        // A move under way ends first.
        if self.retiring.is_none() || self.dialogue != Dialogue::None {
            return;
        }
        for index in 0..self.groups.len() {
            if self.is_retiring(index) && !self.groups[index].is_probing() {
                let reason = "the configuration is about to change";
                self.release(index, Cause::Reload, reason, out);
            }
        }
        let moves = |group: &Group| group.in_transition() || group.is_probing() || group.is_busy();
        if self.groups.iter().any(moves) {
            return;
        }
        let stuck = (0..self.groups.len())
            .find(|index| self.is_retiring(*index) && !self.groups[*index].is_released());
        let result = match stuck {
            None => Ok(()),
            Some(index) => {
                self.retiring = None;
                let key = self.groups[index].key();
                Err(format!("group {key} cannot be stopped: see `hb status`, then `hb cleanup`"))
            }
        };
        out.push(Output::Retired(result));
    }
}
