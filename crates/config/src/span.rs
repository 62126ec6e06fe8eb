//! Where a value stands: file, byte range, and a value together with its place. It knows nothing
//! of the files' contents; [`crate::source`] turns offsets into lines and columns.

use std::fmt;

use serde::Serialize;

/// Which of the four files a span points into. The order is the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileId {
    /// `ha.cf`
    HaCf,
    /// `haresources`
    HaResources,
    /// `authkeys`
    AuthKeys,
    /// `hb.toml`
    Native,
}

impl FileId {
    /// All files, in the order of reports.
    pub const ALL: [Self; 4] = [Self::HaCf, Self::HaResources, Self::AuthKeys, Self::Native];

    /// The file's name inside the configuration directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::HaCf => "ha.cf",
            Self::HaResources => "haresources",
            Self::AuthKeys => "authkeys",
            Self::Native => "hb.toml",
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// A range of bytes in [`crate::source::SourceFile::text`]; `start <= end <= text.len()`, both on
/// character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A span of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self { file, start, end: end.max(start) }
    }

    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.file, self.start, other.end)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value` at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}
