//! The configuration directory as settings, or as the diagnostics that say why not (I/O). Which
//! findings are errors is decided by hb-config.
#![expect(clippy::disallowed_methods, reason = "looks for log files in a ha.cf that is not valid")]

use std::fs;
use std::path::Path;

use hb_config::settings::{Logging, NodeName, Settings};
use hb_node::effect::Level;

use crate::exit::Fatal;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What it means.
    pub(crate) settings: Settings,
    /// Warnings drawn for people; empty when there are none.
    pub(crate) notes: String,
    /// The same as lines for the log.
    pub(crate) lines: Vec<(Level, String)>,
}

/// Reads and checks the files of `dir` for `node`.
///
/// # Errors
/// `Config` with the drawn diagnostics when the files cannot be used.
pub(crate) fn load(dir: &Path, node: &NodeName) -> Result<Loaded, Fatal> {
    todo!()
}

/// Where an invalid ha.cf would have us log: the reason should lie where the operator looks.
pub(crate) fn logging_of(dir: &Path) -> Logging {
    let text = fs::read_to_string(dir.join("ha.cf")).unwrap_or_default();
    let last = |name: &str| {
        let mut lines = text.lines().rev().map(str::split_ascii_whitespace);
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next())?)
    };
    Logging {
        logfile: last("logfile").map(String::from),
        debugfile: last("debugfile").map(String::from),
        ..Logging::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    #[test]
    fn log_files_are_found_in_a_file_that_is_not_valid() {
        let dir = TestDir::new("logging-of");
        assert_eq!(logging_of(dir.path()), Logging::default());
        let text = "nonsense 1\nlogfile /a\n# logfile /c\n  logfile\t/b\ndebugfile\n";
        fs::write(dir.path().join("ha.cf"), text).expect("writable");
        let logging = logging_of(dir.path());
        assert_eq!(logging.logfile.as_deref(), Some("/b"));
        assert_eq!(logging.debugfile, None);
    }
}
