//! The committed inputs of each target, read from `corpus/NAME/` (I/O).
#![expect(clippy::disallowed_methods, reason = "reads the corpus of the tests")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its file name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The inputs of one target.
#[derive(Clone, Debug)]
pub struct Corpus(Vec<Input>);

impl Corpus {
    /// Where the inputs of all targets are.
    pub fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
    }

    /// The inputs of the target `name`, in the order of their names.
    ///
    /// # Errors
    /// When its directory or a file in it cannot be read.
    pub fn read(name: &str) -> io::Result<Self> {
        let mut inputs = Vec::new();
        for entry in fs::read_dir(Self::root().join(name))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            inputs.push(Input { name, bytes: fs::read(entry.path())? });
        }
        inputs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self(inputs))
    }

    /// Its inputs.
    pub fn inputs(&self) -> &[Input] {
        &self.0
    }

    /// The names of all corpora, whether they have a target or not.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names() -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(Self::root())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}
