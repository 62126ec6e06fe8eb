//! Bodies to and from their own fields, in the order of Heartbeat 3.0.6.

use std::borrow::Cow;

use hb_config::settings::NodeName;

use super::{AskStep, Body, Extensions, HoldWord};
use crate::error::PeerError;
use crate::fields::{self, FieldList};

/// Types that the engine speaks itself; they are never a [`Body`].
pub(crate) const STATUS: &str = "status";
pub(crate) const ASK_NODES: &str = "reqnodes";
pub(crate) const NODES: &str = "repnodes";
/// Prefix of unsequenced control messages.
pub(crate) const CONTROL_PREFIX: &str = "NS_";
pub(crate) const ACK: &str = "NS_ackmsg";
pub(crate) const REXMIT: &str = "NS_rexmit";
pub(crate) const NAK: &str = "NS_nak_rexmit";

const STARTING: &str = "starting";
pub(crate) const RESOURCE: &str = "resource";
const ASK_RESOURCES: &str = "ask_resources";
const HB_TAKEOVER: &str = "hb_takeover";
const SHUTDONE: &str = "shutdone";
const STONITH: &str = "stonith";

impl HoldWord {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local => "local",
            Self::Foreign => "foreign",
            Self::All => "all",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "local" => Some(Self::Local),
            "foreign" => Some(Self::Foreign),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

impl AskStep {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Other => "other",
            Self::Done => "done",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "me" => Some(Self::Me),
            "other" => Some(Self::Other),
            "done" => Some(Self::Done),
            _ => None,
        }
    }
}

impl Body {
    /// `t` of this body.
    pub fn kind(&self) -> &str {
        match self {
            Self::Starting => STARTING,
            Self::Resource { .. } => RESOURCE,
            Self::AskResources { .. } => ASK_RESOURCES,
            Self::HbTakeover { .. } => HB_TAKEOVER,
            Self::Shutdone => SHUTDONE,
            Self::Stonith { .. } => STONITH,
            Self::Other { kind, .. } => kind,
        }
    }

    /// `t` and the fields that belong to this type; the engine adds the common ones.
    pub fn to_fields(&self) -> FieldList {
        let mut list = FieldList::new();
        list.push_text(fields::KIND, self.kind());
        match self {
            Self::Starting => {}
            Self::Resource { hold, full, stable, info, extensions } => {
                list.push_text(fields::HOLD, hold.word());
                if *full {
                    list.push_text(fields::RESOURCE_TYPE, "full");
                }
                if let Some(stable) = stable {
                    list.push_text(fields::STABLE, if *stable { "1" } else { "0" });
                }
                if let Some(info) = info {
                    list.push_text(fields::INFO, info.as_str());
                }
                push_extensions(&mut list, extensions);
            }
            Self::AskResources { hold, step, extensions } => {
                list.push_text(fields::HOLD, hold.word());
                list.push_text(fields::INFO, step.word());
                push_extensions(&mut list, extensions);
            }
            Self::HbTakeover { hold, extensions } => {
                list.push_text(fields::HOLD, hold.word());
                push_extensions(&mut list, extensions);
            }
            Self::Shutdone => list.push_text(fields::STATUS, "dead"),
            Self::Stonith { node, result } => {
                list.push_text(fields::NODE, node.as_str());
                list.push_text(fields::RESULT, result.as_str());
            }
            Self::Other { fields, .. } => {
                for (name, value) in fields.iter().filter(|(name, _)| is_own(name)) {
                    list.push_text(name, value.as_str());
                }
            }
        }
        list
    }

    /// Reads the body of a message of type `kind` that is not the engine's own.
    ///
    /// # Errors
    /// A field that decides what the message means is missing or holds an unknown word.
    pub fn from_fields(kind: &str, list: &FieldList) -> Result<Self, PeerError> {
        let hold = || {
            let word = list.text(fields::HOLD).and_then(HoldWord::from_word);
            word.ok_or(PeerError::Field(fields::HOLD))
        };
        let own_text = |name| list.text(name).map(str::to_owned);
        let body = match kind {
            STARTING => Self::Starting,
            RESOURCE => Self::Resource {
                hold: hold()?,
                full: list.text(fields::RESOURCE_TYPE) == Some("full"),
                stable: list.text(fields::STABLE).map(|word| word == "1"),
                info: own_text(fields::INFO),
                extensions: extensions(list),
            },
            ASK_RESOURCES => {
                let step = list.text(fields::INFO).and_then(AskStep::from_word);
                let step = step.ok_or(PeerError::Field(fields::INFO))?;
                Self::AskResources { hold: hold()?, step, extensions: extensions(list) }
            }
            // Heartbeat's hb_standby script takes `failback` for `foreign`.
            HB_TAKEOVER if list.text(fields::HOLD) == Some("failback") => {
                Self::HbTakeover { hold: HoldWord::Foreign, extensions: extensions(list) }
            }
            HB_TAKEOVER => Self::HbTakeover { hold: hold()?, extensions: extensions(list) },
            SHUTDONE => Self::Shutdone,
            STONITH => Self::Stonith {
                node: NodeName::new(list.text(fields::NODE).ok_or(PeerError::Field(fields::NODE))?),
                result: own_text(fields::RESULT).ok_or(PeerError::Field(fields::RESULT))?,
            },
            other => Self::Other { kind: other.to_owned(), fields: own_fields(list) },
        };
        Ok(body)
    }
}

/// Fields that differ from message to message and that the engine reads itself.
fn is_passing(name: &str) -> bool {
    [fields::AFTER, fields::FOR, fields::ECHO].contains(&name)
}

/// `x_*` fields other than the engine's own `x_after`, `x_for` and `x_echo`.
pub(crate) fn extensions(list: &FieldList) -> Extensions {
    extension_fields(list).map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

/// Whether [`extensions`] of `list` are these: what each heartbeat is asked.
pub(crate) fn has_extensions(list: &FieldList, known: &Extensions) -> bool {
    let mut count = 0;
    // Both are in the order of the names, but for what the engine adds behind them.
    let mut in_order = known.iter();
    let same = extension_fields(list).all(|(name, value)| {
        count += 1;
        match in_order.next() {
            Some((known, text)) if known == name => *text == value,
            Some(_) | None => known.get(name).is_some_and(|text| *text == value),
        }
    });
    same && count == known.len()
}

fn extension_fields(list: &FieldList) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let extends = |name: &str| name.starts_with(fields::EXTENSION_PREFIX) && !is_passing(name);
    list.texts().filter(move |(name, _)| extends(name))
}

/// Appends the entries that are named as extensions must be; the engine's own names are left out.
pub(crate) fn push_extensions(list: &mut FieldList, extensions: &Extensions) {
    for (name, value) in extensions {
        if name.starts_with(fields::EXTENSION_PREFIX) && !is_passing(name) {
            list.push_text(name, value.as_str());
        }
    }
}

fn own_fields(list: &FieldList) -> Vec<(String, String)> {
    let own = list.texts().filter(|(name, _)| is_own(name));
    own.map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

fn is_own(name: &str) -> bool {
    name != fields::KIND && name != fields::AFTER && !fields::COMMON.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> FieldList {
        let mut list = FieldList::new();
        pairs.iter().for_each(|(name, value)| list.push_text(name, *value));
        list
    }

    fn resource(hold: HoldWord, full: bool, stable: Option<bool>, info: Option<&str>) -> Body {
        let info = info.map(str::to_owned);
        Body::Resource { hold, full, stable, info, extensions: Extensions::new() }
    }

    #[test]
    fn bodies_and_their_fields_in_order() {
        fn check(body: Body, pairs: &[(&str, &str)]) {
            assert_eq!(body.to_fields(), list(pairs));
            assert_eq!(Body::from_fields(pairs[0].1, &list(pairs)), Ok(body));
        }
        check(Body::Starting, &[("t", "starting")]);
        check(
            resource(HoldWord::All, true, Some(true), Some("shutdown")),
            &[
                ("t", "resource"),
                ("rsc_hold", "all"),
                ("rtype", "full"),
                ("isstable", "1"),
                ("info", "shutdown"),
            ],
        );
        check(
            resource(HoldWord::Foreign, false, None, Some("mach_down")),
            &[("t", "resource"), ("rsc_hold", "foreign"), ("info", "mach_down")],
        );
        for (step, word) in
            [(AskStep::Me, "me"), (AskStep::Other, "other"), (AskStep::Done, "done")]
        {
            let extensions = Extensions::from([("x_a".to_owned(), "1".to_owned())]);
            check(
                Body::AskResources { hold: HoldWord::Local, step, extensions },
                &[("t", "ask_resources"), ("rsc_hold", "local"), ("info", word), ("x_a", "1")],
            );
        }
        check(Body::Shutdone, &[("t", "shutdone"), ("st", "dead")]);
        check(
            Body::Stonith { node: NodeName::new("node2"), result: "n_stnth".to_owned() },
            &[("t", "stonith"), ("node", "node2"), ("result", "n_stnth")],
        );
        check(
            Body::Other {
                kind: "num_ping_nodes".to_owned(),
                fields: vec![
                    ("num_ping".to_owned(), "1".to_owned()),
                    ("dest".to_owned(), "node2".to_owned()),
                ],
            },
            &[("t", "num_ping_nodes"), ("num_ping", "1"), ("dest", "node2")],
        );
    }

    #[test]
    fn failback_arrives_as_foreign() {
        let message = list(&[("t", "hb_takeover"), ("rsc_hold", "failback")]);
        let foreign = Body::HbTakeover { hold: HoldWord::Foreign, extensions: Extensions::new() };
        assert_eq!(Body::from_fields("hb_takeover", &message), Ok(foreign));
    }

    #[test]
    fn an_unknown_stability_is_unstable() {
        let message = list(&[("t", "resource"), ("rsc_hold", "none"), ("isstable", "yes")]);
        let unstable = resource(HoldWord::None, false, Some(false), None);
        assert_eq!(Body::from_fields("resource", &message), Ok(unstable));
    }

    #[test]
    fn words_that_decide_are_mandatory() {
        fn check(pairs: &[(&str, &str)], field: &'static str) {
            let body = Body::from_fields(pairs[0].1, &list(pairs));
            assert_eq!(body, Err(PeerError::Field(field)));
        }
        check(&[("t", "resource")], "rsc_hold");
        check(&[("t", "resource"), ("rsc_hold", "ALL")], "rsc_hold");
        check(&[("t", "resource"), ("rsc_hold", "failback")], "rsc_hold");
        check(&[("t", "ask_resources"), ("rsc_hold", "all")], "info");
        check(&[("t", "ask_resources"), ("rsc_hold", "all"), ("info", "them")], "info");
        check(&[("t", "hb_takeover")], "rsc_hold");
        check(&[("t", "stonith"), ("result", "OK")], "node");
        check(&[("t", "stonith"), ("node", "a")], "result");
    }

    #[test]
    fn common_fields_never_come_from_or_reach_a_body() {
        let body = Body::Other {
            kind: "x".to_owned(),
            fields: ["src", "seq", "auth", "x_after", "keep"]
                .map(|name| (name.to_owned(), "1".to_owned()))
                .to_vec(),
        };
        assert_eq!(body.to_fields(), list(&[("t", "x"), ("keep", "1")]));
        let received = list(&[("t", "x"), ("src", "a"), ("ttl", "3"), ("keep", "1"), ("hg", "2")]);
        let kept = vec![("keep".to_owned(), "1".to_owned())];
        assert_eq!(
            Body::from_fields("x", &received),
            Ok(Body::Other { kind: "x".to_owned(), fields: kept })
        );
    }
}
