//! A reload: the resource manager comes to rest, then this node ends without a word to the peer, and
//! its successor adopts what runs, as after a crash. It decides nothing about resources.

use std::collections::BTreeSet;

use hb_resource::input as resource;
use hb_resource::operation::GroupKey;
use hb_resource::output::Timer;

use super::{Node, Turn};
use crate::effect::{Effect, Level, LogEvent, RestartedMaintenance};

impl Node {
    pub(super) fn reload(&mut self, release: BTreeSet<GroupKey>, turn: &mut Turn<'_>) {
        let text = "Configuration changed: starting anew with it as soon as nothing moves";
        turn.log(LogEvent::new(Level::Info, "reload", text));
        self.feed_manager(resource::Input::Retire { groups: release }, turn);
    }

    pub(super) fn retired(&mut self, result: Result<(), String>, turn: &mut Turn<'_>) {
        match result {
            Err(reason) => turn.effects.push(Effect::KeepConfiguration { reason }),
            Ok(()) if self.stopping || self.leaves => {}
            Ok(()) => {
                let left = self.timers.due(&Timer::MaintenanceEnd).map(|at| at.since(self.now));
                let maintenance =
                    self.manager.in_maintenance().then_some(RestartedMaintenance { left });
                self.end_requests("the daemon started anew before this was done", turn);
                self.last = Effect::Restart { maintenance };
                self.tell_stop(turn);
                self.leaves = true;
            }
        }
    }
}
