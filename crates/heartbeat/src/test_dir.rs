//! A directory for one test, removed at its end. Tests only.
#![expect(clippy::disallowed_methods, reason = "tests of file handling need files")]

use std::fs;
use std::path::{Path, PathBuf};

/// A fresh directory below the system's temporary one.
#[derive(Debug)]
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    /// `name` must differ between the tests of one program.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hb-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
