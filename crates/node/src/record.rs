//! The recording of a node: its beginning, every input with its time, and a digest of the effects.
//! Format and replay; pure. Who writes the file is the daemon (`record.rs` there), who reads it
//! `hb-sim replay`.
//!
//! A file has two banks of equal size, each a head and frames behind each other. A bank begins with
//! the node as it is, so that it can be replayed without the other, which the writer overwrites in
//! turn. Nothing in it is a key: [`Recorder`] disguises datagrams as if stand-ins had signed them and
//! covers passwords.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hb_config::settings::{AgentSpec, Settings};
use hb_messaging::auth::{Authenticator, digest64, disguise};
use hb_messaging::engine::LinkId;
use hb_messaging::fields::as_bytes;
use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

use crate::api::HistoryEntry;
use crate::effect::Effect;
use crate::equal;
use crate::input::Input;
use crate::node::{Identity, Node};

mod bank;
mod replay;
#[cfg(test)]
mod tests;

pub use bank::{BANKS, Damage, Part, head, read};
pub use replay::{Difference, Replay, Step, renew};

/// Format of what is written; another one is not read.
pub const VERSION: u32 = 1;
/// Shorter passwords are not looked for: they would be found in everything.
const SECRET_MIN: usize = 4;
/// Parts of the names of parameters that are passwords, as `hb check` covers them.
const SECRET_NAMES: [&str; 4] = ["passw", "secret", "token", "community"];

/// One frame of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// The daemon starts.
    Start {
        /// Version of the product.
        version: String,
        /// What it read, without keys and passwords.
        settings: Box<Settings>,
        /// What else it was given.
        identity: Identity,
        /// The keys, by fingerprint.
        keys: Box<Authenticator>,
        /// Digests of the configuration, with what is left out here.
        config: BTreeMap<String, String>,
        /// The history that was kept before.
        kept: Vec<HistoryEntry>,
    },
    /// The node as it is: the beginning of a bank, and whenever something is missing before.
    Snapshot {
        /// Version of the product.
        version: String,
        /// Inputs that were not recorded before it, because the disk was too slow.
        lost: u64,
        /// Whether the replay of everything before leads to exactly this node. Not after a loss, nor
        /// after a change of keys.
        continues: bool,
        /// Whole, without keys and passwords.
        node: Box<Node>,
    },
    /// A datagram, disguised.
    #[serde(rename = "d")]
    Datagram {
        /// When, on the daemon's own clock.
        #[serde(rename = "t")]
        at: Instant,
        /// On which link.
        #[serde(rename = "l")]
        link: LinkId,
        /// As if the stand-ins had signed it.
        #[serde(rename = "b", with = "as_bytes")]
        bytes: Vec<u8>,
        /// Digest of the effects.
        #[serde(rename = "e")]
        effects: u64,
    },
    /// Any other input.
    #[serde(rename = "i")]
    Step {
        /// When, on the daemon's own clock.
        #[serde(rename = "t")]
        at: Instant,
        /// What.
        #[serde(rename = "i")]
        input: Input,
        /// Digest of the effects.
        #[serde(rename = "e")]
        effects: u64,
    },
}

/// Turns what happens to a node into entries without secrets.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Passwords, the longest first.
    secrets: Vec<Vec<u8>>,
    version: String,
}

impl Recorder {
    /// For a node with these settings, of this version of the product.
    pub fn new(settings: &Settings, version: &str) -> Self {
        let mut secrets: BTreeSet<Vec<u8>> = BTreeSet::new();
        secrets.extend(settings.keys.keys.values().map(|key| key.secret.expose().to_vec()));
        let devices = settings.native.fencing.iter().flat_map(|fencing| &fencing.devices);
        for (name, value) in devices.flat_map(|device| &device.parameters) {
            if is_secret(name) {
                secrets.insert(value.expose().to_vec());
            }
        }
        for resource in settings.groups.iter().flat_map(|group| &group.resources) {
            let pairs: Vec<(&str, &str)> = match &resource.agent {
                AgentSpec::Ocf { parameters, .. } => {
                    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
                }
                AgentSpec::Script { args, .. } => {
                    args.iter().filter_map(|word| word.split_once('=')).collect()
                }
                AgentSpec::Systemd { .. } => Vec::new(),
            };
            let hidden = pairs.into_iter().filter(|(name, _)| is_secret(name));
            secrets.extend(hidden.map(|(_, value)| value.as_bytes().to_vec()));
        }
        let mut secrets: Vec<_> =
            secrets.into_iter().filter(|secret| secret.len() >= SECRET_MIN).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, version: version.to_owned() }
    }

    /// The daemon starts with a new node; `keys` are that node's.
    pub fn start(
        &self,
        settings: &Settings,
        identity: Identity,
        keys: &Authenticator,
        kept: Vec<HistoryEntry>,
    ) -> Vec<u8> {
        self.encode(&Entry::Start {
            version: self.version.clone(),
            settings: Box::new(settings.clone()),
            identity,
            keys: Box::new(keys.clone()),
            config: equal::digests(settings),
            kept,
        })
    }

    /// The node as it is.
    pub fn snapshot(&self, node: Box<Node>, lost: u64, continues: bool) -> Vec<u8> {
        self.encode(&Entry::Snapshot { version: self.version.clone(), lost, continues, node })
    }

    /// An input with what it led to; `keys` are those of the node that took it.
    pub fn step(
        &self,
        at: Instant,
        input: Input,
        effects: Vec<Effect>,
        keys: &Authenticator,
        stand_in: &Authenticator,
    ) -> Vec<u8> {
        let hide = |bytes: &[u8]| disguise(bytes, keys, stand_in, |bytes| self.cover(bytes));
        let mut effects = effects;
        for effect in &mut effects {
            if let Effect::Transmit { bytes, .. } = effect {
                *bytes = Arc::from(hide(bytes));
            }
        }
        let effects = digest64(&self.encode(&effects));
        self.encode(&if let Input::Datagram { link, bytes } = input {
            Entry::Datagram { at, link, bytes: hide(&bytes), effects }
        } else {
            Entry::Step { at, input, effects }
        })
    }

    fn encode<T: Serialize>(&self, value: &T) -> Vec<u8> {
        let mut bytes = encode(value);
        self.cover(&mut bytes);
        bytes
    }

    /// Passwords become stars of the same length, so that whatever counts bytes still fits.
    fn cover(&self, bytes: &mut [u8]) {
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(at) = find(&bytes[from..], secret) {
                bytes[from + at..from + at + secret.len()].fill(b'*');
                from += at + secret.len();
            }
        }
    }
}

impl Node {
    /// The keys in force, for whoever disguises datagrams before they are recorded.
    pub fn authenticator(&self) -> &Authenticator {
        self.messaging.authenticator()
    }

    /// A node that has begun with these keys and digests, for a replay: `settings` are without secrets.
    pub(crate) fn recorded(
        settings: &Settings,
        identity: Identity,
        keys: Authenticator,
        config: BTreeMap<String, String>,
    ) -> Self {
        let mut node = Self::new(settings, identity);
        node.messaging.replace_keys(keys);
        node.config = config.into();
        node
    }
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| lower.contains(part))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len().max(1)).position(|window| window == part)
}

/// CBOR (RFC 8949). Our own types always serialise, into memory.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    match ciborium::into_writer(value, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// What a list of effects is known by.
fn digest(effects: &[Effect]) -> u64 {
    digest64(&encode(&effects))
}
