//! One finding of the scan and what all of them mean together. Plain data.

use serde::Serialize;

/// What a finding asks for. The order is that of the report, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Weight {
    /// Must be changed before the first node is replaced.
    Change,
    /// Works, but the operator has to know or do something.
    Remark,
    /// Worth knowing; nothing to do.
    Note,
}

impl Weight {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Remark => "remark",
            Self::Note => "note",
        }
    }
}

/// One thing that the scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    /// Stable name, for programs.
    pub(super) id: String,
    /// File, with the line where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// One sentence without a final stop.
    pub(super) text: String,
    /// What to do, most useful first; for a note, why nothing is to be done.
    pub(super) cure: Vec<String>,
}

impl Finding {
    pub(super) fn new(weight: Weight, id: &str, text: impl Into<String>) -> Self {
        Self { weight, id: id.to_owned(), place: None, text: text.into(), cure: Vec::new() }
    }

    #[must_use]
    pub(super) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    #[must_use]
    pub(super) fn cure(mut self, text: impl Into<String>) -> Self {
        self.cure.push(text.into());
        self
    }
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Readiness {
    /// Nothing but notes.
    Ready,
    /// Nothing must be changed.
    Remarks,
    /// Something must be changed first.
    NotYet,
}

impl Readiness {
    pub(super) fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.weight).min() {
            Some(Weight::Change) => Self::NotYet,
            Some(Weight::Remark) => Self::Remarks,
            Some(Weight::Note) | None => Self::Ready,
        }
    }
}
