//! One finding of the doctor and what all of them mean together. Plain data.

use serde::Serialize;

/// What a finding asks for, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// The service or a takeover fails, or both nodes will do the same work.
    Problem,
    /// It works, but not in every case.
    Warning,
    /// Worth knowing; nothing to do.
    Note,
    /// Looked at, and as it should be.
    Ok,
}

impl Level {
    /// The word on the screen.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// What is looked at together: the words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Area {
    /// Interfaces, names, the port, the firewall.
    Links,
    /// The programs that start and stop resources.
    Agents,
    /// What starts when the machine does.
    Boot,
    /// The daemon's process, its files, the kernel, other managers of addresses.
    System,
}

impl Area {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Links, Self::Agents, Self::Boot, Self::System];

    /// The word on the screen.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Agents => "agents",
            Self::Boot => "boot",
            Self::System => "system",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) area: Area,
    pub(crate) level: Level,
    /// Stable name, for programs.
    pub(crate) id: &'static str,
    /// What it is about: an interface, a resource, a file.
    pub(crate) subject: String,
    /// One sentence without a final stop.
    pub(crate) text: String,
    /// Why it matters; empty where the text says it.
    pub(crate) why: String,
    /// What to do or to write, most useful first.
    pub(crate) cure: Vec<String>,
}

impl Finding {
    fn new(area: Area, level: Level, id: &'static str, text: impl Into<String>) -> Self {
        let (subject, why) = (String::new(), String::new());
        Self { area, level, id, subject, text: text.into(), why, cure: Vec::new() }
    }

    pub(super) fn problem(area: Area, id: &'static str, text: impl Into<String>) -> Self {
        Self::new(area, Level::Problem, id, text)
    }

    pub(super) fn warning(area: Area, id: &'static str, text: impl Into<String>) -> Self {
        Self::new(area, Level::Warning, id, text)
    }

    pub(super) fn note(area: Area, id: &'static str, text: impl Into<String>) -> Self {
        Self::new(area, Level::Note, id, text)
    }

    pub(super) fn ok(area: Area, id: &'static str, text: impl Into<String>) -> Self {
        Self::new(area, Level::Ok, id, text)
    }

    #[must_use]
    pub(super) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    #[must_use]
    pub(super) fn why(mut self, text: impl Into<String>) -> Self {
        self.why = text.into();
        self
    }

    #[must_use]
    pub(super) fn cure(mut self, text: impl Into<String>) -> Self {
        self.cure.push(text.into());
        self
    }
}

/// The most urgent level among `findings`.
pub(crate) fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).min().unwrap_or(Level::Ok)
}
