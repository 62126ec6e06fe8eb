//! Takes note of what lasts over time, for the ages in status, the lines that scripts wait for, and
//! what the service manager shows. It decides nothing.

use hb_resource::group::Group;
use hb_resource::input as resource;

use super::{Node, Turn};
use crate::effect::{Effect, Level, LogEvent};
use crate::report;

impl Node {
    pub(super) fn groups_held(&self) -> usize {
        let held = |group: &&Group| group.claim() == resource::GroupClaim::Held;
        self.manager.groups().filter(held).count()
    }

    /// Takes note of what the manager shows, for the ages in status. Returns whether anything changed.
    pub(super) fn note_states(&mut self) -> bool {
        let mut changed = false;
        for (number, group) in self.manager.groups().enumerate() {
            changed |= self.claims.note(group.key(), group.claim(), self.now);
            for (index, member) in group.members().iter().enumerate() {
                changed |= self.members.note(&(number, index), member.state, self.now);
            }
        }
        changed
    }

    /// Two lines that scripts wait for: the end of the first negotiation and of a takeover.
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

    /// Brings up to date what lasts over time, and tells the service manager when its line changed.
    pub(super) fn refresh(&mut self, turn: &mut Turn<'_>) {
        let nodes = self.messaging.nodes(self.now);
        let view = self.view_of(&nodes);
        let problems = view.problems(self.now);
        let summary = view.summary(&problems);
        let verdict = view.verdict(&problems);
        self.verdict.note(&(), verdict, self.now);
        self.watch.remember(&problems, self.now);
        if self.active && self.notified.as_ref() != Some(&summary) {
            self.notified = Some(summary.clone());
            turn.effects.push(Effect::Notify { status: summary });
        }
        self.note_splits(&nodes, turn);
        self.say_of_itself(nodes, turn);
    }
}
