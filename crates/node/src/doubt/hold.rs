//! What speaks against taking the peer's silence for its death, in words. It decides nothing.

use std::borrow::Cow;

use hb_config::settings::NodeName;
use serde::{Deserialize, Serialize};

/// Something that speaks against the peer's death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// Stable word.
    pub(crate) id: Cow<'static, str>,
    /// What, in words.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// An answer that is due any moment will most likely end it: worth a line, and nobody's night.
    #[serde(default)]
    pub(crate) passing: bool,
}

impl Hold {
    fn new(id: &'static str, text: String, hint: String) -> Self {
        Self { id: id.into(), text, hint, passing: false }
    }

    pub(super) fn maintenance() -> Self {
        let hint = "when the work is done: hb maintenance off".to_owned();
        Self::new("maintenance", "maintenance: nothing is moved".to_owned(), hint)
    }

    /// `machine`: what its machine says, as the end of a clause.
    pub(super) fn unverified(peer: &NodeName, link: &str, machine: &str) -> Self {
        let text = format!(
            "packets of {peer} arrive on {link} and cannot be verified{machine} (key mismatch?)"
        );
        let hint = format!(
            "make authkeys the same on both nodes; if {peer} is off and somebody else sends in its \
             name: hb fence confirm {peer}"
        );
        Self::new("unverified", text, hint)
    }

    pub(super) fn isolated(peer: &NodeName, text: String, passing: bool) -> Self {
        let hint = format!(
            "check this node's network; if {peer} is off for certain: hb fence confirm {peer}"
        );
        Self { passing, ..Self::new("isolated", text, hint) }
    }

    pub(super) fn witness(peer: &NodeName, words: &str) -> Self {
        let hint =
            format!("check the witness; if {peer} is off for certain: hb fence confirm {peer}");
        Self::new("witness", format!("the witness: {words}"), hint)
    }

    pub(super) fn fencing(peer: &NodeName, text: String) -> Self {
        let hint =
            format!("hb fence status; when {peer} is off for certain: hb fence confirm {peer}");
        Self::new("fencing", text, hint)
    }
}
