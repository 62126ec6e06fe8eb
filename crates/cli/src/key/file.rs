//! authkeys, edited line by line so that comments stay, and replaced in one go. No key enters a
//! message (I/O).
#![expect(clippy::disallowed_methods, reason = "reads and replaces authkeys")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hb_config::Severity;
use hb_config::authkeys;
use hb_config::settings::{AuthKeys, AuthMethod};
use hb_config::source::SourceFile;

/// Keys are numbered from 0; 0 is left to those who write it by hand.
const INDEXES: std::ops::RangeInclusive<u8> = 1..=15;
/// Random bytes of a key.
const KEY_BYTES: usize = 32;
const KEYS_MODE: u32 = 0o600;

/// The file of this node.
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// # Errors
    /// When there is no authkeys in `dir`, or it is not valid.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        let path = dir.join("authkeys");
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file = Self { path };
        file.keys()?;
        Ok(file)
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// # Errors
    /// When the file cannot be read or has an error.
    pub(super) fn keys(&self) -> Result<AuthKeys, String> {
        parse(&self.text()?).map_err(|error| format!("{}: {error}", self.shown()))
    }

    /// Makes a key under the lowest free number, which is returned.
    ///
    /// # Errors
    /// When a rotation was left unfinished, or the file cannot be replaced.
    pub(super) fn make(&self, method: AuthMethod) -> Result<u8, String> {
        let keys = self.keys()?;
        if keys.keys.len() > 1 {
            let others = keys.keys.keys().filter(|index| **index != keys.active);
            let others: Vec<String> = others.map(u8::to_string).collect();
            return Err(format!(
                "authkeys has more than one key: go on with one of them (`hb key rotate --to N`, \
                 N is {} or {}), or remove the line that is not needed",
                others.join(", "),
                keys.active
            ));
        }
        let index = INDEXES.into_iter().find(|index| !keys.keys.contains_key(index));
        let index = index.ok_or("all numbers are in use")?;
        let mut bytes = [0; KEY_BYTES];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|error| format!("/dev/urandom: {error}"))?;
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.replace(&with_line(&self.text()?, &format!("{index} {} {secret}", method.word())))?;
        Ok(index)
    }

    /// Adds the key that `line` holds and returns its number.
    ///
    /// # Errors
    /// When `line` is no key line, its number is taken by another key, or the file cannot be
    /// replaced.
    pub(super) fn add(&self, line: &str) -> Result<u8, String> {
        let line = line.trim();
        let number = line.split_whitespace().next().unwrap_or_default();
        let added = parse(&format!("auth {number}\n{line}\n"))
            .ok()
            .filter(|keys| keys.keys.len() == 1 && !line.contains('\n'))
            .ok_or("standard input must have one line `N METHOD KEY`")?;
        let index = added.active;
        let present = self.keys()?.keys.get(&index).cloned();
        match (present, added.keys.get(&index)) {
            (Some(present), Some(new)) if present == *new => Ok(index),
            (Some(_), _) => Err(format!("authkeys has another key {index} already")),
            (None, _) => {
                self.replace(&with_line(&self.text()?, line))?;
                Ok(index)
            }
        }
    }

    /// Makes key `index` the one that signs.
    ///
    /// # Errors
    /// When the file has no such key or cannot be replaced.
    pub(super) fn activate(&self, index: u8) -> Result<(), String> {
        self.replace(&activated(&self.text()?, index))
    }

    /// Leaves only key `index`.
    ///
    /// # Errors
    /// When another key signs, or the file cannot be replaced.
    pub(super) fn drop_others(&self, index: u8) -> Result<(), String> {
        self.replace(&without_others(&self.text()?, index))
    }

    fn text(&self) -> Result<String, String> {
        fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.shown()))
    }

    /// A power cut leaves the former file or this one. A text that is not valid is not written.
    fn replace(&self, text: &str) -> Result<(), String> {
        parse(text).map_err(|error| format!("{} is not changed: {error}", self.shown()))?;
        let next = self.path.with_extension("next");
        let written = (|| {
            let _ = fs::remove_file(&next);
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(KEYS_MODE).open(&next)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            match self.path.parent() {
                Some(dir) => File::open(dir)?.sync_all(),
                None => Ok(()),
            }
        })();
        written.map_err(|error: std::io::Error| format!("{}: {error}", self.shown()))
    }
}

/// The keys of `text`, or its first error, which holds no key.
fn parse(text: &str) -> Result<AuthKeys, String> {
    let source = SourceFile::from_bytes("authkeys", text.as_bytes(), None);
    let (keys, found) = authkeys::parse(&source);
    let error = found.iter().find(|it| it.severity == Severity::Error);
    match (error, keys) {
        (None, Some(keys)) => Ok(keys),
        (Some(error), _) => Err(error.message.clone()),
        (None, None) => Err("it has no key".to_owned()),
    }
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}\n")
}

fn activated(text: &str, index: u8) -> String {
    let auth = |line: &str| line.trim_start().starts_with('a');
    let line = |line: &str| match auth(line) {
        true => format!("auth {index}\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn without_others(text: &str, index: u8) -> String {
    let other = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.parse::<u8>().is_ok_and(|number| number != index)
    };
    text.lines().filter(|line| !other(line)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("authkeys"), text).unwrap();
            Self(dir)
        }

        fn text(&self) -> String {
            fs::read_to_string(self.0.path().join("authkeys")).unwrap()
        }
    }

    const OLD: &str = "# ours\nauth 1\n1 sha1 a-key-of-some-length";

    #[test]
    fn a_rotation_step_by_step() {
        let dir = Dir::new(OLD);
        let file = KeyFile::open(dir.0.path()).unwrap();
        assert_eq!(file.make(AuthMethod::Sha256), Ok(2));
        let text = dir.text();
        assert!(text.starts_with(&format!("{OLD}\n2 sha256 ")), "{text}");
        let key = text.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert_eq!(key.len(), 2 * KEY_BYTES);
        let mode = fs::metadata(dir.0.path().join("authkeys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, KEYS_MODE);
        assert_eq!(file.keys().unwrap().active, 1);
        file.activate(2).unwrap();
        assert_eq!(
            dir.text(),
            format!("# ours\nauth 2\n1 sha1 a-key-of-some-length\n2 sha256 {key}\n")
        );
        file.drop_others(2).unwrap();
        assert_eq!(dir.text(), format!("# ours\nauth 2\n2 sha256 {key}\n"));
        assert_eq!(file.make(AuthMethod::Sha256), Ok(1));
    }

    #[test]
    fn two_keys_are_never_alike() {
        let made = || {
            let dir = Dir::new(OLD);
            KeyFile::open(dir.0.path()).unwrap().make(AuthMethod::Sha1).unwrap();
            dir.text()
        };
        assert_ne!(made(), made());
    }

    #[test]
    fn an_unfinished_rotation_is_not_begun_again() {
        let text = format!("{OLD}\n2 sha256 another-key-of-some-length\n");
        let dir = Dir::new(&text);
        let error = KeyFile::open(dir.0.path()).unwrap().make(AuthMethod::Sha256).unwrap_err();
        assert!(error.contains("--to N") && error.contains("N is 2 or 1"), "{error}");
        assert_eq!(dir.text(), text);
    }

    #[test]
    fn only_one_whole_key_line_is_added() {
        let check = |line: &str, expect: Result<u8, &str>| {
            let dir = Dir::new(OLD);
            let result = KeyFile::open(dir.0.path()).unwrap().add(line);
            match expect {
                Ok(index) => assert_eq!(result, Ok(index), "{line:?}"),
                Err(part) => {
                    let error = result.unwrap_err();
                    assert!(error.contains(part), "{line:?}: {error}");
                    assert!(!error.contains("secret"), "{error}");
                    assert_eq!(dir.text(), OLD);
                }
            }
        };
        check("2 sha256 secret-of-some-length\n", Ok(2));
        check("1 sha1 a-key-of-some-length\n", Ok(1));
        check("1 sha1 secret-of-some-length\n", Err("another key 1"));
        check("", Err("one line"));
        check("2 sha1 secret-a\n3 sha1 secret-b\n", Err("one line"));
        check("2 sha512 secret-of-some-length\n", Err("one line"));
        check("2 sha256\n", Err("one line"));
        check("auth 1\n", Err("one line"));
    }

    #[test]
    fn a_file_that_would_be_invalid_is_not_written() {
        let dir = Dir::new(OLD);
        let file = KeyFile::open(dir.0.path()).unwrap();
        assert!(file.activate(7).is_err());
        assert!(file.drop_others(2).is_err());
        assert_eq!(dir.text(), OLD);
    }
}
