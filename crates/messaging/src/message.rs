//! Typed message bodies over Heartbeat's ordered field lists. What every message carries besides
//! (`src`, `seq`, `hg`, `ts`, `ttl` …) is added and checked by the engine, not here.

use std::collections::BTreeMap;

use hb_config::settings::NodeName;
use serde::{Deserialize, Serialize};

pub(crate) mod codec;

/// Twinbeat's own fields (`x_*`), which 3.0.6 ignores. Keys include the `x_` prefix.
pub type Extensions = BTreeMap<String, String>;

/// The words of `rsc_hold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldWord {
    /// No group.
    None,
    /// Groups that prefer the node that speaks.
    Local,
    /// All other groups.
    Foreign,
    /// Every group.
    All,
}

/// The `info` words of `ask_resources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AskStep {
    /// The giver asks to go standby.
    Me,
    /// The taker agrees.
    Other,
    /// A side has finished its part.
    Done,
}

/// The status words of a node (`st`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Nothing heard yet, or the very first packet of a start.
    Init,
    /// Runs; has not settled with its peers.
    Up,
    /// Fully started.
    Active,
    /// Silent for its dead time, or said so itself.
    Dead,
    /// A ping node that answers.
    Ping,
}

impl NodeStatus {
    /// The word on the wire and in `cl_status nodestatus`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Up => "up",
            Self::Active => "active",
            Self::Dead => "dead",
            Self::Ping => "ping",
        }
    }
}

/// Messages that leave the messaging engine for the rest of the node, or enter it to be sent.
/// `status`, `NS_*`, `reqnodes` and `repnodes` never appear: the engine answers them itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// `starting`
    Starting,
    /// `resource`
    Resource {
        /// `rsc_hold`
        hold: HoldWord,
        /// `rtype=full`: replaces what was known; otherwise adds to it.
        full: bool,
        /// `isstable`; `None` when the field is absent.
        stable: Option<bool>,
        /// `info`
        info: Option<String>,
        /// `x_*`
        extensions: Extensions,
    },
    /// `ask_resources`; `rsc_hold` is from the giver's point of view in all steps.
    AskResources {
        /// `rsc_hold`
        hold: HoldWord,
        /// `info`
        step: AskStep,
        /// `x_*`
        extensions: Extensions,
    },
    /// `hb_takeover`
    HbTakeover {
        /// `rsc_hold`; the word `failback` arrives as `Foreign`.
        hold: HoldWord,
        /// `x_*`
        extensions: Extensions,
    },
    /// `shutdone`
    Shutdone,
    /// `stonith`
    Stonith {
        /// `node`
        node: NodeName,
        /// `result`: `OK`, `bad`, `badhost`, `n_stnth` or `unneeded`.
        result: String,
    },
    /// Any other type, kept with its own fields in order so that nothing is lost.
    Other {
        /// `t`
        kind: String,
        /// String fields other than the common ones.
        fields: Vec<(String, String)>,
    },
}
