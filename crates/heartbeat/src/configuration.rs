//! The configuration directory as settings, or as the diagnostics that say why not (I/O). Which
//! findings are errors is decided by hb-config.

use std::path::Path;

use hb_config::dir::read_dir;
use hb_config::ha_cf;
use hb_config::render::{Style, human};
use hb_config::settings::{Logging, NodeName, Settings};
use hb_config::{Diagnostic, Severity};
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
    let files = read_dir(dir).map_err(Fatal::path("read", dir))?;
    let loaded = hb_config::load(&files, Some(node));
    let rendered = human(&files, &loaded.diagnostics, Style::default());
    let lines = loaded.diagnostics.iter().map(|found| (level(found), found.to_line(&files)));
    let lines: Vec<_> = lines.collect();
    match loaded.settings {
        Some(settings) => Ok(Loaded { settings, notes: rendered, lines }),
        None => Err(Fatal::Config { rendered, lines }),
    }
}

/// Where an invalid ha.cf would have us log: the reason should lie where the operator looks.
pub(crate) fn logging_of(dir: &Path) -> Logging {
    let Ok(files) = read_dir(dir) else { return Logging::default() };
    let parsed = files.ha_cf.source().map(|source| ha_cf::parse(source).0.logging);
    parsed.unwrap_or_default()
}

fn level(found: &Diagnostic) -> Level {
    match found.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warn,
        Severity::Note => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes a file to be read")]
    use std::fs;

    use super::*;

    #[test]
    fn log_files_are_found_in_a_file_that_is_not_valid() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(logging_of(dir.path()), Logging::default());
        let text = "nonsense 1\nlogfile /a\n# logfile /c\n  logfile\t/b\ndebugfile\n";
        fs::write(dir.path().join("ha.cf"), text).expect("writable");
        let logging = logging_of(dir.path());
        assert_eq!(logging.logfile.as_deref(), Some("/b"));
        assert_eq!(logging.debugfile, None);
    }
}
