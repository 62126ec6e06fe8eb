//! Wire messages ↔ messages of the resource manager: the only place that knows both vocabularies.
//! It decides nothing about resources, and it trusts no `x_*` field: what cannot be read is
//! reported and left out, and a message whose meaning would change without it is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hb_config::settings::{NodeName, Settings};
use hb_messaging::message::{AskStep, Body, Extensions, HoldWord};
use hb_resource::input::{GroupClaim, Holdings, PeerMessage, StandbyStep, Which};
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

/// On `status`: comma-separated capabilities.
pub const CAPABILITIES: &str = "x_cap";
/// On `status`: product version.
pub const VERSION: &str = "x_version";
/// On `resource`: `claim key claim key …`, separated by single blanks. Keys hold no blanks
/// because haresources separates words by them.
pub const GROUPS: &str = "x_groups";
/// On `ask_resources` and `hb_takeover`: the one group that is meant.
pub const GROUP: &str = "x_group";
/// The capability of `x_groups` and `x_group`.
pub const CAPABILITY_GROUPS: &str = "groups";

/// A message of the peer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// For the manager.
    Message {
        /// What it says.
        message: PeerMessage,
        /// What had to be left out, in words for the log.
        warning: Option<String>,
    },
    /// Means nothing to the manager.
    Ignored,
    /// Cannot be acted on safely; why.
    Refused(String),
}

/// Translates in both directions between this node and its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translator {
    node: NodeName,
    /// Preferred node of each group.
    groups: BTreeMap<GroupKey, NodeName>,
    /// Whether the peer announced [`CAPABILITY_GROUPS`].
    native: bool,
    /// Who gives in the standby dialogue that was last begun: decides which word stands beside
    /// `x_group`.
    giver_is_us: bool,
}

impl Translator {
    /// For this node and its haresources.
    pub fn new(settings: &Settings) -> Self {
        Self {
            node: settings.node.clone(),
            groups: settings
                .groups
                .iter()
                .map(|group| (group.key.clone(), group.preferred.clone()))
                .collect(),
            native: false,
            giver_is_us: true,
        }
    }

    /// What this node says of itself on each `status`.
    pub fn announcement() -> Extensions {
        Extensions::from([
            (CAPABILITIES.to_owned(), CAPABILITY_GROUPS.to_owned()),
            (VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ])
    }

    /// Takes note of what the peer says of itself; returns whether it understands groups.
    pub fn learn(&mut self, extensions: &Extensions) -> bool {
        self.native = extensions
            .get(CAPABILITIES)
            .is_some_and(|list| list.split(',').any(|word| word.trim() == CAPABILITY_GROUPS));
        self.native
    }

    /// What the manager says, for the wire. `None` when the peer could not understand it: a single
    /// group means nothing to a node that knows only the two sets.
    pub fn outgoing(&mut self, message: PeerMessage) -> Option<Body> {
        Some(match message {
            PeerMessage::Starting => Body::Starting,
            PeerMessage::Resources { holdings, full, stable, info, groups } => Body::Resource {
                hold: word_of(holdings),
                full,
                stable,
                info,
                extensions: groups
                    .filter(|_| self.native)
                    .map(|groups| Extensions::from([(GROUPS.to_owned(), write_groups(&groups))]))
                    .unwrap_or_default(),
            },
            PeerMessage::AskResources { which, step } => {
                self.note_giver(step, true);
                let giver_is_us = self.giver_is_us;
                let (hold, extensions) = self.write_which(which, giver_is_us)?;
                Body::AskResources { hold, step: step_word(step), extensions }
            }
            // Heartbeat 3.0.6: the word is from the sender's point of view, that of the taker.
            PeerMessage::HbTakeover { which } => {
                let (hold, extensions) = self.write_which(which, true)?;
                Body::HbTakeover { hold, extensions }
            }
            PeerMessage::Shutdone => Body::Shutdone,
        })
    }

    /// What the peer says, for the manager.
    pub fn incoming(&mut self, body: Body) -> Incoming {
        let message = match body {
            Body::Starting => PeerMessage::Starting,
            Body::Resource { hold, full, stable, info, extensions } => {
                let complete = stable == Some(true);
                let (groups, warning) = self.read_groups(&extensions, complete);
                let holdings = holdings_of(hold);
                let message = PeerMessage::Resources { holdings, full, stable, info, groups };
                return Incoming::Message { message, warning };
            }
            Body::AskResources { hold, step, extensions } => {
                let step = step_of(step);
                match self.read_which(hold, &extensions) {
                    Ok(which) => {
                        self.note_giver(step, false);
                        PeerMessage::AskResources { which, step }
                    }
                    Err(reason) => return Incoming::Refused(reason),
                }
            }
            Body::HbTakeover { hold, extensions } => match self.read_which(hold, &extensions) {
                Ok(which) => PeerMessage::HbTakeover { which },
                Err(reason) => return Incoming::Refused(reason),
            },
            Body::Shutdone => PeerMessage::Shutdone,
            Body::Stonith { .. } | Body::Other { .. } => return Incoming::Ignored,
        };
        Incoming::Message { message, warning: None }
    }

    /// The giver says `me`, the taker `other`; both say `done`.
    fn note_giver(&mut self, step: StandbyStep, said_by_us: bool) {
        match step {
            StandbyStep::Me => self.giver_is_us = said_by_us,
            StandbyStep::Other => self.giver_is_us = !said_by_us,
            StandbyStep::Done => {}
        }
    }

    /// The word of a set and, for a single group, the field that names it beside the word of the
    /// set that contains it, seen from this node or from the peer.
    fn write_which(&self, which: Which, seen_from_us: bool) -> Option<(HoldWord, Extensions)> {
        match which {
            Which::Sets(sets) => Some((word_of(sets), Extensions::new())),
            Which::Group(_) if !self.native => None,
            Which::Group(key) => {
                let prefers_us = self.groups.get(&key).is_some_and(|node| *node == self.node);
                let word =
                    if prefers_us == seen_from_us { HoldWord::Local } else { HoldWord::Foreign };
                Some((word, Extensions::from([(GROUP.to_owned(), key)])))
            }
        }
    }

    /// A message that names a group which cannot be read must not be taken for one that means the
    /// whole set: it is refused.
    fn read_which(&self, hold: HoldWord, extensions: &Extensions) -> Result<Which, String> {
        let Some(key) = extensions.get(GROUP) else {
            return Ok(Which::Sets(holdings_of(hold)));
        };
        if !self.native {
            return Err(format!("{GROUP} from a node that did not announce it"));
        }
        if !self.groups.contains_key(key) {
            return Err(format!("group {} is not in haresources here", shown(key)));
        }
        Ok(Which::Group(key.clone()))
    }

    /// `None` and a warning when the field cannot be read. A peer with other groups than ours is
    /// understood as far as both have them; one that has settled says something of each.
    fn read_groups(
        &self,
        extensions: &Extensions,
        complete: bool,
    ) -> (Option<BTreeMap<GroupKey, GroupClaim>>, Option<String>) {
        let Some(text) = extensions.get(GROUPS).filter(|_| self.native) else {
            return (None, None);
        };
        let mut known = BTreeMap::new();
        let mut unknown = None;
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let (Some(claim), Some(key)) = (GroupClaim::from_word(word), words.next()) else {
                return (None, Some(format!("unreadable {GROUPS}: {}", shown(text))));
            };
            if !self.groups.contains_key(key) {
                unknown = Some(format!("the peer has a group {} that is not here", shown(key)));
            } else if known.insert(key.to_owned(), claim).is_some() {
                return (None, Some(format!("{GROUPS} names {} twice", shown(key))));
            }
        }
        let missing = self.groups.keys().find(|key| complete && !known.contains_key(*key));
        let missing = missing.map(|key| format!("the peer has no group {}", shown(key)));
        (Some(known), unknown.or(missing))
    }
}

/// Foreign text for a log line: escaped and cut.
fn shown(text: &str) -> String {
    /// Longer than any key that a person writes.
    const SHOWN_MAX: usize = 80;
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

fn write_groups(groups: &BTreeMap<GroupKey, GroupClaim>) -> String {
    let mut text = String::new();
    for (key, claim) in groups {
        let blank = if text.is_empty() { "" } else { " " };
        // Writing into a string cannot fail.
        let _ = write!(text, "{blank}{} {key}", claim.word());
    }
    text
}

fn word_of(holdings: Holdings) -> HoldWord {
    match (holdings.local, holdings.foreign) {
        (false, false) => HoldWord::None,
        (true, false) => HoldWord::Local,
        (false, true) => HoldWord::Foreign,
        (true, true) => HoldWord::All,
    }
}

fn holdings_of(word: HoldWord) -> Holdings {
    match word {
        HoldWord::None => Holdings::NONE,
        HoldWord::Local => Holdings::LOCAL,
        HoldWord::Foreign => Holdings::FOREIGN,
        HoldWord::All => Holdings::ALL,
    }
}

fn step_word(step: StandbyStep) -> AskStep {
    match step {
        StandbyStep::Me => AskStep::Me,
        StandbyStep::Other => AskStep::Other,
        StandbyStep::Done => AskStep::Done,
    }
}

fn step_of(word: AskStep) -> StandbyStep {
    match word {
        AskStep::Me => StandbyStep::Me,
        AskStep::Other => StandbyStep::Other,
        AskStep::Done => StandbyStep::Done,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn translator(node: &str, native: bool) -> Translator {
        let groups = [("www", "node1"), ("db", "node2")];
        Translator {
            node: NodeName::new(node),
            groups: groups.map(|(key, node)| (key.into(), NodeName::new(node))).into(),
            native,
            giver_is_us: true,
        }
    }

    fn resource(field: &str) -> Body {
        Body::Resource {
            hold: HoldWord::Local,
            full: true,
            stable: Some(true),
            info: None,
            extensions: Extensions::from([(GROUPS.into(), field.into())]),
        }
    }

    /// The claims that are understood and whether there is a warning.
    fn read(native: bool, field: &str) -> (Option<String>, bool) {
        let incoming = translator("node1", native).incoming(resource(field));
        let Incoming::Message { message: PeerMessage::Resources { groups, .. }, warning } =
            incoming
        else {
            panic!("{incoming:?}")
        };
        (groups.map(|groups| write_groups(&groups)), warning.is_some())
    }

    #[test]
    fn groups_are_read_as_far_as_both_have_them() {
        let check = |field: &str, expect: Option<&str>, warned: bool| {
            assert_eq!(read(true, field), (expect.map(Into::into), warned), "{field:?}");
        };
        check("held www released db", Some("released db held www"), false);
        check("held www", Some("held www"), true);
        check("", Some(""), true);
        check("held www released db blocked mail", Some("released db held www"), true);
        check("held www failed", None, true);
        check("held www held www", None, true);
        check("gone www released db", None, true);
        check("held", None, true);
    }

    #[test]
    fn nothing_of_our_own_is_used_before_the_peer_announced_it() {
        assert_eq!(read(false, "held www released db"), (None, false));
        let mut legacy = translator("node1", false);
        let claims = BTreeMap::from([("www".to_owned(), GroupClaim::Held)]);
        let message = PeerMessage::Resources {
            holdings: Holdings::LOCAL,
            full: true,
            stable: Some(true),
            info: Some("req_our_resources()".into()),
            groups: Some(claims),
        };
        let Some(Body::Resource { extensions, info, .. }) = legacy.outgoing(message) else {
            panic!("a resource message")
        };
        assert!(extensions.is_empty());
        assert_eq!(info.as_deref(), Some("req_our_resources()"));
        let which = Which::Group("www".into());
        assert_eq!(legacy.outgoing(PeerMessage::HbTakeover { which }), None);
    }

    #[test]
    fn capabilities_are_found_in_a_list_and_unlearned() {
        let mut translator = translator("node1", false);
        let mut check = |list: Option<&str>, expect: bool| {
            let extensions = list.map(|list| (CAPABILITIES.to_owned(), list.to_owned()));
            assert_eq!(translator.learn(&extensions.into_iter().collect()), expect, "{list:?}");
        };
        check(Some("groups"), true);
        check(Some("pause, groups,digest"), true);
        check(Some("groupsx"), false);
        check(None, false);
        check(Some(&Translator::announcement()[CAPABILITIES]), true);
    }

    #[test]
    fn the_word_beside_a_group_is_the_givers() {
        // www prefers node1. node2 gives it: from there it is foreign in every step.
        let (mut giver, mut taker) = (translator("node2", true), translator("node1", true));
        let steps = [
            (StandbyStep::Me, true),
            (StandbyStep::Other, false),
            (StandbyStep::Done, true),
            (StandbyStep::Done, false),
        ];
        for (step, by_giver) in steps {
            let message = PeerMessage::AskResources { which: Which::Group("www".into()), step };
            let (from, to) =
                if by_giver { (&mut giver, &mut taker) } else { (&mut taker, &mut giver) };
            let body = from.outgoing(message.clone()).expect("both are native");
            assert!(
                matches!(body, Body::AskResources { hold: HoldWord::Foreign, .. }),
                "{step:?} {body:?}"
            );
            assert_eq!(to.incoming(body), Incoming::Message { message, warning: None });
        }
    }

    #[test]
    fn a_group_that_cannot_be_read_is_never_taken_for_its_set() {
        let body = |key: &str| Body::AskResources {
            hold: HoldWord::All,
            step: AskStep::Me,
            extensions: Extensions::from([(GROUP.into(), key.into())]),
        };
        let refused = |native: bool, key: &str| {
            matches!(translator("node1", native).incoming(body(key)), Incoming::Refused(_))
        };
        assert!(refused(true, "mail"));
        assert!(refused(true, ""));
        assert!(refused(false, "www"));
        assert!(!refused(true, "www"));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_our_fields_is_survived(groups in ".{0,200}", group in ".{0,40}") {
            let mut translator = translator("node1", true);
            translator.incoming(resource(&groups));
            let extensions = Extensions::from([(GROUP.into(), group)]);
            let hold = HoldWord::All;
            translator.incoming(Body::HbTakeover { hold, extensions });
        }

        #[test]
        fn resources_come_back_as_they_went(
            claims in prop::collection::btree_map(
                prop::sample::select(vec!["www".to_owned(), "db".to_owned()]),
                prop::sample::select(vec![
                    GroupClaim::Released, GroupClaim::Acquiring, GroupClaim::Held,
                    GroupClaim::Releasing, GroupClaim::Failed, GroupClaim::Blocked,
                ]),
                2..=2,
            ),
            local: bool, foreign: bool, full: bool, stable: Option<bool>,
        ) {
            let message = PeerMessage::Resources {
                holdings: Holdings { local, foreign },
                full,
                stable,
                info: None,
                groups: Some(claims),
            };
            let body = translator("node1", true).outgoing(message.clone()).expect("a body");
            prop_assert_eq!(
                translator("node2", true).incoming(body),
                Incoming::Message { message, warning: None }
            );
        }
    }
}
