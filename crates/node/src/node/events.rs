//! Carries what messaging noticed to whoever must know: the log, the memories, the resource manager. It
//! decides nothing.

use hb_messaging::engine::{Event, LinkId};
use hb_messaging::message::Body;
use hb_resource::input as resource;

use super::{Node, Turn};
use crate::effect::Effect;
use crate::report;

impl Node {
    pub(super) fn take_event(&mut self, event: Event, turn: &mut Turn<'_>) {
        turn.changed = true;
        turn.log(report::event(&event));
        self.watch.note(&event, self.now, self.messaging.counters().bad_auth);
        match event {
            Event::Active => {
                self.active = true;
                // Before anything is said of resources, so that failback to a worse node is held.
                self.greet_ipfail(turn);
                self.feed_manager(resource::Input::Started, turn);
            }
            Event::NodeStatus { node, from, to, .. } => {
                self.note_reach(&node, to, turn);
                self.note_parting(&node, from, to);
                if self.is_peer(&node) {
                    self.note_presence(to, turn);
                    self.take_peer_status(to, turn);
                }
            }
            Event::PeerRestarted { node, generation } => {
                if self.is_peer(&node) {
                    self.tell_restart(generation, turn);
                    self.greet_ipfail(turn);
                    self.trust_again(turn);
                    self.unheard.begin_again();
                    self.feed_manager(resource::Input::PeerRestarted, turn);
                }
            }
            Event::ReturnedAfterPartition { node } => {
                if self.is_peer(&node) && !self.is_distrusted() {
                    self.unheard.begin_again();
                    self.feed_manager(resource::Input::PeerReturned, turn);
                }
            }
            Event::PeerExtensions { node, extensions } => {
                if self.is_peer(&node) {
                    self.hear_saying(&extensions, turn);
                }
            }
            Event::Received { from, body } => {
                // That it has released everything can be taken from anybody: it is what was wanted.
                let counts = !self.is_distrusted() || matches!(body, Body::Shutdone);
                if self.is_peer(&from) && counts {
                    self.take_message(&from, body, turn);
                }
            }
            Event::LinkStatus { node, link, up, .. } => {
                if up && self.is_peer(&node) {
                    let links = (0..).map(LinkId).zip(&self.profile.links);
                    let link = links.into_iter().find(|(_, name)| **name == link);
                    turn.effects.extend(link.map(|(link, _)| Effect::PeerAddress { link }));
                }
            }
            Event::LateHeartbeat { .. } | Event::Refused { .. } => {}
        }
    }
}
