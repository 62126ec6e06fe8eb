//! Two lines of the log that scripts wait for: the end of the first negotiation and of a takeover.

use hb_resource::group::Group;
use hb_resource::input::GroupClaim;

use super::{Node, Turn};
use crate::effect::{Level, LogEvent};
use crate::report;

impl Node {
    pub(super) fn groups_held(&self) -> usize {
        let held = |group: &&Group| group.claim() == GroupClaim::Held;
        self.manager.groups().filter(held).count()
    }

    /// Says what has ended.
    pub(super) fn note_milestones(&mut self, turn: &mut Turn<'_>) {
        if !self.active || !self.manager.is_stable() {
            return;
        }
        if !self.settled_once {
            self.settled_once = true;
            let text = "Initial resource acquisition complete";
            turn.log(
                LogEvent::new(Level::Info, "initial_acquisition", text)
                    .with("to", self.manager.rscstatus()),
            );
        }
        if let Some((peer, since, held)) = self.takeover.take()
            && self.groups_held() > held
        {
            let text = format!("mach_down takeover complete for node {peer}.");
            turn.log(
                LogEvent::new(Level::Info, "takeover_complete", text)
                    .with("peer", peer)
                    .with("elapsed_ms", report::millis(self.now - since)),
            );
        }
    }
}
