//! What two Twinbeat nodes say of themselves on each `status`, besides what never changes: which of
//! the other's links they hear, which groups they could not run, digests of their configuration,
//! and maintenance. Written and read here; nothing is decided. What cannot be read counts as not
//! said.
//!
//! A heartbeat that does not fit one Ethernet frame is lost wherever fragments are, so everything
//! here has a bound far below that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::CompactString;
use hb_messaging::message::Extensions;
use hb_resource::operation::GroupKey;
use serde::{Deserialize, Serialize};

/// `+LINK` or `-LINK` for each link of the sender in its order, separated by blanks: whether the
/// receiver's packets arrive there within its dead time.
pub(crate) const HEARS: &str = "x_hears";
/// `KEY WHY` for each group that the sender could not run, separated by tabs.
pub(crate) const UNREADY: &str = "x_unready";
/// `FILE:DIGEST` for each part of the configuration that must be the same, separated by blanks.
pub(crate) const CONFIG: &str = "x_config";
/// The groups that the sender has or is starting, separated by tabs, while it hears nothing of the
/// receiver and so cannot negotiate; `*` for all of haresources.
pub(crate) const OWNS: &str = "x_owns";
/// In [`OWNS`]: everything. No agent has this name.
const ALL: &str = "*";
/// `on` while the sender was told to keep its hands off.
pub(crate) const MAINTENANCE: &str = "x_maint";
/// Ethernet addresses of the interfaces of the sender's floating addresses, separated by blanks.
pub(crate) const ETHERNET: &str = "x_mac";
/// Decimal generation of the receiver that the sender has had fenced: who hears it, of itself, lives
/// although nobody counts on it any more.
pub(crate) const FENCED: &str = "x_fenced";
/// The value of [`MAINTENANCE`].
const ON: &str = "on";

/// Links that are told and read: nobody has more than a few.
const LINKS_MAX: usize = 8;
/// Bytes of all groups that could not be run: with the rest of a heartbeat, 16 keys among it, they
/// stay below the 1,472 bytes of one frame.
const UNREADY_MAX: usize = 320;
/// Bytes of the groups that it has, unless it has them all. What does not fit is not named, and then
/// both keep it until they hear each other.
const OWNS_MAX: usize = 320;
/// Bytes of one reason.
const REASON_MAX: usize = 120;
/// Parts of a configuration that are read: three files, and room for what comes.
const PARTS_MAX: usize = 8;
/// Ethernet addresses that are told and read: floating addresses are on one network, seldom on two.
const ETHERNET_MAX: usize = 4;
/// Bytes of one foreign word.
const WORD_MAX: usize = 40;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saying {
    /// Its links in its order, and whether the other node is heard on each.
    pub(crate) hears: Option<Vec<(CompactString, bool)>>,
    /// Groups that it could not run, and why.
    pub(crate) unready: BTreeMap<GroupKey, String>,
    /// Groups that it has, while it does not hear the other node.
    pub(crate) owns: BTreeSet<GroupKey>,
    /// Whether those are all of haresources.
    pub(crate) owns_all: bool,
    /// Digest of each part of its configuration.
    pub(crate) config: Arc<BTreeMap<String, String>>,
    /// It was told to keep its hands off.
    pub(crate) maintenance: bool,
    /// Ethernet addresses of its machine, `02:00:00:00:00:01`.
    pub(crate) ethernet: Vec<String>,
    /// The generation of the other node that it has had fenced, and no later one was heard of.
    pub(crate) fenced: Option<u64>,
}

impl Saying {
    /// As fields of `status`.
    pub(crate) fn write(&self) -> Extensions {
        let mut fields = Extensions::new();
        if let Some(hears) = &self.hears {
            let word = |(name, heard): &(CompactString, bool)| {
                format!("{}{name}", if *heard { '+' } else { '-' })
            };
            let words: Vec<String> = hears.iter().take(LINKS_MAX).map(word).collect();
            fields.insert(HEARS.to_owned(), words.join(" "));
        }
        if !self.unready.is_empty() {
            fields.insert(UNREADY.to_owned(), write_unready(&self.unready));
        }
        if self.owns_all {
            fields.insert(OWNS.to_owned(), ALL.to_owned());
        } else if !self.owns.is_empty() {
            fields.insert(OWNS.to_owned(), write_owns(&self.owns));
        }
        let parts: Vec<String> =
            self.config.iter().map(|(part, digest)| format!("{part}:{digest}")).collect();
        if !parts.is_empty() {
            fields.insert(CONFIG.to_owned(), parts.join(" "));
        }
        if self.maintenance {
            fields.insert(MAINTENANCE.to_owned(), ON.to_owned());
        }
        if !self.ethernet.is_empty() {
            let told: Vec<&str> =
                self.ethernet.iter().take(ETHERNET_MAX).map(String::as_str).collect();
            fields.insert(ETHERNET.to_owned(), told.join(" "));
        }
        if let Some(generation) = self.fenced {
            fields.insert(FENCED.to_owned(), generation.to_string());
        }
        fields
    }

    /// What the fields of a peer's `status` say. `known` tells groups of haresources from others.
    pub(crate) fn read(fields: &Extensions, known: impl Fn(&str) -> bool) -> Self {
        let owns = fields.get(OWNS).map(String::as_str).unwrap_or_default();
        Self {
            owns: match owns {
                "" | ALL => BTreeSet::new(),
                keys => keys.split('\t').filter(|key| known(key)).map(str::to_owned).collect(),
            },
            owns_all: owns == ALL,
            hears: fields.get(HEARS).and_then(|text| read_hears(text)),
            unready: fields.get(UNREADY).map(|text| read_unready(text, known)).unwrap_or_default(),
            config: fields.get(CONFIG).map(|text| read_config(text).into()).unwrap_or_default(),
            maintenance: fields.get(MAINTENANCE).is_some_and(|word| word == ON),
            ethernet: fields.get(ETHERNET).map(|text| read_ethernet(text)).unwrap_or_default(),
            fenced: fields.get(FENCED).and_then(|text| text.parse().ok()),
        }
    }

    /// Whether the speaker hears the other node on any link; `None` when it has not said so.
    pub(crate) fn hears_at_all(&self) -> Option<bool> {
        self.hears.as_ref().map(|links| links.iter().any(|(_, heard)| *heard))
    }

    /// Whether the speaker hears the other node on link `index` of the other node's `names`: by
    /// name where both have the same names, else by position, as with two kinds of network cards.
    pub(crate) fn hears_on<'a>(
        &self,
        mut names: impl ExactSizeIterator<Item = &'a str> + Clone,
        index: usize,
    ) -> Option<bool> {
        let said = self.hears.as_ref()?;
        let find = |name: &str| said.iter().find(|(link, _)| link == name).map(|(_, heard)| *heard);
        if names.clone().all(|name| find(name).is_some()) {
            return names.nth(index).and_then(find);
        }
        if said.len() != names.len() {
            return None;
        }
        said.get(index).map(|(_, heard)| *heard)
    }
}

/// Each group gets its share of the room. A group for which nothing is left is not named: that it
/// cannot run is then found out by trying.
fn write_unready(unready: &BTreeMap<GroupKey, String>) -> String {
    let share = UNREADY_MAX / unready.len().max(1);
    let mut text = String::new();
    for (key, why) in unready {
        let room = share.saturating_sub(key.len() + 2).min(REASON_MAX);
        let entry = format!("{key} {}", cut(&plain(why), room));
        let tab = if text.is_empty() { "" } else { "\t" };
        if text.len() + tab.len() + entry.len() > UNREADY_MAX {
            break;
        }
        text.push_str(tab);
        text.push_str(&entry);
    }
    text
}

fn write_owns(owns: &BTreeSet<GroupKey>) -> String {
    let mut text = String::new();
    for key in owns {
        if text.len() + key.len() < OWNS_MAX {
            text.push_str(if text.is_empty() { "" } else { "\t" });
            text.push_str(key);
        }
    }
    text
}

fn read_hears(text: &str) -> Option<Vec<(CompactString, bool)>> {
    let mut links = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()).take(LINKS_MAX) {
        let heard = match word.as_bytes().first()? {
            b'+' => true,
            b'-' => false,
            _ => return None,
        };
        let name = word.get(1..).filter(|name| !name.is_empty() && name.len() <= WORD_MAX)?;
        links.push((plain(name).into(), heard));
    }
    Some(links)
}

fn read_unready(text: &str, known: impl Fn(&str) -> bool) -> BTreeMap<GroupKey, String> {
    let entries = text.split('\t').filter_map(|entry| entry.split_once(' '));
    entries
        .filter(|(key, _)| known(key))
        .map(|(key, why)| (key.to_owned(), cut(&plain(why), REASON_MAX)))
        .collect()
}

fn read_config(text: &str) -> BTreeMap<String, String> {
    let sound = |word: &str| {
        !word.is_empty() && word.len() <= WORD_MAX && word.bytes().all(|b| b.is_ascii_graphic())
    };
    let parts = text.split(' ').take(PARTS_MAX).filter_map(|word| word.split_once(':'));
    parts
        .filter(|(part, digest)| sound(part) && sound(digest))
        .map(|(part, digest)| (part.to_owned(), digest.to_owned()))
        .collect()
}

fn read_ethernet(text: &str) -> Vec<String> {
    let sound = |word: &&str| {
        let pairs: Vec<&str> = word.split(':').collect();
        let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
        pairs.len() == 6 && pairs.iter().all(hex)
    };
    let words = text.split(' ').filter(sound).take(ETHERNET_MAX);
    words.map(str::to_ascii_lowercase).collect()
}

/// Without what would end a field or an entry, or forge a line of a log.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `max` bytes, the last three of them an ellipsis when something was left out.
fn cut(text: &str, max: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(ELLIPSIS.len_utf8());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push(ELLIPSIS);
    short
}

#[cfg(test)]
mod tests;
