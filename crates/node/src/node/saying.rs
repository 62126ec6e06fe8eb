//! Carries what this node and its peer say of themselves on each `status` to where it belongs. It
//! decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::CompactString;
use hb_messaging::engine::{self as messaging, NodeView};
use hb_messaging::fields;
use hb_messaging::message::Extensions;
use hb_resource::group::Group;
use hb_resource::input::{self as resource, GroupClaim};
use hb_resource::operation::GroupKey;

use super::{Node, Turn};
use crate::effect::Effect;
use crate::extensions::Saying;
use crate::keys;
use crate::translate::{Translator, VERSION};

impl Node {
    /// Why this node could not run each of its groups that it could not run.
    pub(crate) fn unready_groups(&self) -> BTreeMap<GroupKey, String> {
        let why = |group: &Group| Some((group.key().to_owned(), group.unready()?.to_owned()));
        self.manager.groups().filter_map(why).collect()
    }

    /// What the peer says of itself has changed.
    pub(super) fn hear_saying(&mut self, extensions: &Extensions, turn: &mut Turn<'_>) {
        let native = self.translator.learn(extensions);
        self.peer_native = Some(native);
        self.peer_keys = extensions.get(fields::KEYS).map(|list| keys::read(list));
        self.peer_version = extensions.get(VERSION).cloned();
        self.feed_manager(resource::Input::PeerIsNative(native), turn);
        let known = |key: &str| self.profile.groups.iter().any(|group| group.key == key);
        let says = Saying::read(extensions, known);
        let before = std::mem::replace(&mut self.peer_says, says);
        self.note_hears();
        if let (Some(pause), Some(heard)) = (&mut self.pause, self.peer_says.hears_at_all()) {
            pause.hear(heard);
        }
        if self.peer_says.maintenance != before.maintenance {
            let input = resource::Input::PeerMaintenance(self.peer_says.maintenance);
            self.feed_manager(input, turn);
        }
        // A peer that does not say it, or not any more, is still the machine that it was.
        if !self.peer_says.ethernet.is_empty() && self.peer_says.ethernet != before.ethernet {
            self.rivals.peer_is(&self.peer_says.ethernet);
            turn.effects.push(Effect::PeerEthernet(self.peer_says.ethernet.clone()));
        }
        if self.peer_says.unready != before.unready {
            let input = resource::Input::PeerUnready(self.peer_says.unready.clone());
            self.feed_manager(input, turn);
        }
    }

    /// Takes note of since when the peer says what it says of each link.
    fn note_hears(&mut self) {
        let links = self.peer_view().map(|peer| peer.links).unwrap_or_default();
        let names = links.iter().map(|link| link.name.as_str());
        for index in 0..names.len() {
            let hears = self.peer_says.hears_on(names.clone(), index);
            self.hears.note(&index, hears, self.now);
        }
    }

    /// Has the peer told what has changed here. It is told at once when it is the first to know
    /// that it is heard again, of maintenance, in which it takes part, and that it was fenced and
    /// lives; everything else has time until the next heartbeat.
    pub(super) fn say_of_itself(&mut self, nodes: Vec<NodeView>, turn: &mut Turn<'_>) {
        let saying = self.saying(nodes);
        if saying == self.said {
            return;
        }
        let heard_again =
            self.said.hears_at_all() != Some(true) && saying.hears_at_all() == Some(true);
        let at_once = heard_again
            || saying.maintenance != self.said.maintenance
            || saying.fenced != self.said.fenced;
        let mut extensions = Translator::announcement();
        extensions.extend(saying.write());
        self.said = saying;
        self.feed_messaging(messaging::Input::Announce { extensions, at_once }, turn);
    }

    fn saying(&self, nodes: Vec<NodeView>) -> Saying {
        let peer = nodes.into_iter().find(|node| !node.ping && self.is_peer(&node.name));
        let generation = peer.as_ref().map_or(0, |peer| peer.generation);
        let hears = peer.map(|peer| {
            let links = peer.links.into_iter();
            links.map(|link| (link.name, link.up && link.failure.is_none())).collect()
        });
        let deaf = |links: &Vec<(CompactString, bool)>| links.iter().all(|(_, heard)| !heard);
        // A node that is heard says it in its messages.
        let owns = match hears.as_ref().is_some_and(deaf) {
            true => self.manager.groups().filter(|group| claims(group)).map(owned_key).collect(),
            false => BTreeSet::new(),
        };
        let owns_all = !owns.is_empty() && owns.len() == self.profile.groups.len();
        Saying {
            hears,
            owns: if owns_all { BTreeSet::new() } else { owns },
            owns_all,
            unready: self.unready_groups(),
            config: Arc::clone(&self.config),
            maintenance: self.manager.in_maintenance(),
            ethernet: self.ethernet.clone(),
            fenced: self.doubt.as_ref().and_then(|doubt| doubt.fenced(generation)),
        }
    }
}

fn owned_key(group: &Group) -> GroupKey {
    group.key().to_owned()
}

/// Whether the group is served here or about to be.
fn claims(group: &Group) -> bool {
    matches!(group.claim(), GroupClaim::Held | GroupClaim::Acquiring)
}
