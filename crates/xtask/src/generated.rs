//! Files that are made from tables of the code: written, and found when they are older than their
//! table or left over. What is in them is said by the module of each kind.
#![expect(clippy::disallowed_methods, reason = "reads and writes generated files")]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Below the top of the workspace, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Files of one kind and the task that writes them.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// `cargo xtask TASK`.
    pub(crate) task: &'static str,
    /// Folders that hold nothing else: whatever more is there is left over.
    pub(crate) folders: &'static [&'static str],
    /// The files.
    pub(crate) pages: Vec<Page>,
}

impl Set {
    /// Writes all files and removes what is left over.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        for page in &self.pages {
            let path = root.join(&page.path);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, &page.text)?;
        }
        for path in self.leftovers(root) {
            std::fs::remove_file(root.join(path))?;
        }
        Ok(())
    }

    /// Files that do not say what the tables say, or that no table makes.
    pub(crate) fn stale(&self, root: &Path) -> Vec<String> {
        let task = self.task;
        let old = self.pages.iter().filter(|page| {
            !std::fs::read_to_string(root.join(&page.path)).is_ok_and(|text| text == page.text)
        });
        let old = old.map(|page| format!("{}: not as its table: `cargo xtask {task}`", page.path));
        let left = self.leftovers(root);
        let left = left.iter().map(|path| format!("{path}: left over: `cargo xtask {task}`"));
        old.chain(left).collect()
    }

    fn leftovers(&self, root: &Path) -> Vec<String> {
        let known: BTreeSet<&str> = self.pages.iter().map(|page| page.path.as_str()).collect();
        let mut left = Vec::new();
        for folder in self.folders {
            let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
            let files = entries.flatten().filter(|entry| entry.path().is_file());
            let names = files.map(|entry| format!("{folder}/{}", entry.file_name().display()));
            left.extend(names.filter(|path| !known.contains(path.as_str())));
        }
        left.sort();
        left
    }
}
