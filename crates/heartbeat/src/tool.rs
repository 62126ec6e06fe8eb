//! Where the program `hb` is, by which the daemon asks over the network (looks at files).

use std::path::{Path, PathBuf};

/// Name of the program.
const PROGRAM: &str = "hb";

/// Finds it: beside the program of this process, else in `path` (directories with `:` between them).
///
/// # Errors
/// It is in none of them; says so.
pub(crate) fn find(path: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    beside
        .into_iter()
        .chain(path.split(':').map(PathBuf::from))
        .map(|directory| directory.join(PROGRAM))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            format!("the program {PROGRAM} is neither beside the daemon nor in {path}: install it")
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes a file to be found")]
    use super::*;

    #[test]
    fn it_is_found_in_the_path_or_said_to_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("/nonexistent:{}", dir.path().display());
        // Beside the tests' own program there is none: those of cargo lie one directory higher.
        assert!(find(&path).unwrap_err().contains(&path));
        std::fs::write(dir.path().join(PROGRAM), "").unwrap();
        assert_eq!(find(&path), Ok(dir.path().join(PROGRAM)));
    }
}
