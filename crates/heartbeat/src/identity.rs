//! What a node must keep over restarts: its generation and its UUID (I/O). A peer drops whatever
//! carries a generation below one that it has seen, so a wrong number makes a node deaf and mute.
#![expect(clippy::disallowed_methods, reason = "reads and writes the state directory")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hb_config::settings::{GenerationSource, NodeName, UuidSource};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

/// Heartbeat 3.0.6: 15 characters, right-aligned, and a line end.
const GENERATION_FILE: &str = "hb_generation";
/// Heartbeat 3.0.6: 16 raw bytes.
const UUID_FILE: &str = "hb_uuid";
/// Larger than both files; what is longer is neither.
const SIZE_MAX: usize = 64;

/// The next generation and what the operator must know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored<T> {
    /// To be used for this start.
    pub(crate) value: T,
    /// Why it is not what one would expect; for the log.
    pub(crate) problem: Option<String>,
}

/// Takes the next generation: read, add one, write back to the disk before it is used.
pub(crate) fn next_generation(dir: &Path, source: GenerationSource, unix_s: u64) -> Stored<u64> {
    let path = dir.join(GENERATION_FILE);
    let (mut value, mut problem) = match (read_generation(&path), source) {
        (Ok(Some(last)), GenerationSource::File) => (last.saturating_add(1), None),
        (Ok(Some(last)), GenerationSource::Time) => (unix_s.max(last.saturating_add(1)), None),
        // Heartbeat: a missing or empty file counts from the present time.
        (Ok(None), GenerationSource::File | GenerationSource::Time) => {
            (unix_s.saturating_add(1), None)
        }
        // Heartbeat falls back to 1 here, and its peers drop everything it says.
        (Err(error), GenerationSource::File | GenerationSource::Time) => {
            let text = format!(
                "{}: {error}: going on with the present time as generation; if the clock was ever \
                 ahead, the peer may drop our packets until it is restarted",
                path.display()
            );
            (unix_s.saturating_add(1), Some(text))
        }
    };
    if let Err(error) = replace(&path, format!("{value:>15}\n").as_bytes(), 0o644) {
        // The same number must not be used twice: time goes on even when the file does not.
        value = value.max(unix_s);
        problem = Some(format!(
            "{}: {error}: the generation of this start could not be kept; before the next start \
             make the directory writable",
            path.display()
        ));
    }
    Stored { value, problem }
}

/// This node's UUID, made at random at the first start.
pub(crate) fn uuid(dir: &Path, source: UuidSource, node: &NodeName) -> Stored<[u8; 16]> {
    match source {
        UuidSource::NodeName => Stored { value: uuid_of_name(node), problem: None },
        UuidSource::File => uuid_of_file(&dir.join(UUID_FILE), node),
    }
}

/// Random bytes for the delays of this run.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Delays need no secrecy: without randomness the process number still sets two nodes apart.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}

fn uuid_of_file(path: &Path, node: &NodeName) -> Stored<[u8; 16]> {
    let wrong = match fs::read(path) {
        Ok(bytes) => match <[u8; 16]>::try_from(bytes.as_slice()) {
            Ok(value) => return Stored { value, problem: None },
            Err(_) if bytes.is_empty() => None,
            Err(_) => Some(format!("holds {} bytes, not 16: a new one was made", bytes.len())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("{error}: a new one was made")),
    };
    let mut value = [0; 16];
    if SystemRandom::new().fill(&mut value).is_err() {
        value = uuid_of_name(node);
    }
    mark_random(&mut value);
    let wrong = match replace(path, &value, 0o600) {
        Ok(()) => wrong,
        Err(error) => Some(format!("{error}: this node will have another UUID at its next start")),
    };
    Stored { value, problem: wrong.map(|text| format!("{}: {text}", path.display())) }
}

fn uuid_of_name(node: &NodeName) -> [u8; 16] {
    let hash = digest::digest(&digest::SHA256, node.as_str().as_bytes());
    let mut value = [0; 16];
    for (to, from) in value.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    mark_random(&mut value);
    value
}

/// Version and variant bits of a random UUID (RFC 9562 §5.4).
fn mark_random(value: &mut [u8; 16]) {
    value[6] = (value[6] & 0x0f) | 0x40;
    value[8] = (value[8] & 0x3f) | 0x80;
}

/// `None` when the file is missing or empty.
fn read_generation(path: &Path) -> io::Result<Option<u64>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let unusable = || io::Error::new(io::ErrorKind::InvalidData, "it is not a decimal number");
    if bytes.len() > SIZE_MAX {
        return Err(unusable());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| unusable())
}

/// Replaces a file so that a power cut leaves the old content or the new one, never a part.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = PathBuf::from(path);
    temporary.set_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const UNIX_S: u64 = 1_795_219_200;

    #[test]
    fn generations_go_up() {
        let check = |content: Option<&str>, source, expect: u64, warns: bool| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(GENERATION_FILE);
            if let Some(content) = content {
                fs::write(&path, content).expect("writable");
            }
            let next = next_generation(dir.path(), source, UNIX_S);
            assert_eq!(next.value, expect, "{content:?}");
            assert_eq!(next.problem.is_some(), warns, "{content:?}: {:?}", next.problem);
            assert_eq!(fs::read_to_string(&path).expect("kept"), format!("{expect:>15}\n"));
        };
        check(Some("             41\n"), GenerationSource::File, 42, false);
        check(Some("41"), GenerationSource::File, 42, false);
        check(None, GenerationSource::File, UNIX_S + 1, false);
        check(Some(""), GenerationSource::File, UNIX_S + 1, false);
        check(Some("garbage\n"), GenerationSource::File, UNIX_S + 1, true);
        check(Some("-3\n"), GenerationSource::File, UNIX_S + 1, true);
        check(Some(&"1".repeat(200)), GenerationSource::File, UNIX_S + 1, true);
        check(Some("41\n"), GenerationSource::Time, UNIX_S, false);
        check(Some("9999999999\n"), GenerationSource::Time, 10_000_000_000, false);
        check(None, GenerationSource::Time, UNIX_S + 1, false);
    }

    #[test]
    fn a_generation_that_cannot_be_kept_is_not_used_twice() {
        let next = next_generation(Path::new("/proc/nowhere"), GenerationSource::File, UNIX_S);
        assert!(next.value >= UNIX_S);
        assert!(next.problem.expect("said").contains("could not be kept"));
    }

    #[test]
    fn the_uuid_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeName::new("node1");
        let first = uuid(dir.path(), UuidSource::File, &node);
        assert_eq!(first.problem, None);
        let path = dir.path().join(UUID_FILE);
        assert_eq!(fs::read(&path).expect("kept"), first.value);
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(uuid(dir.path(), UuidSource::File, &node).value, first.value);
    }

    #[test]
    fn a_damaged_uuid_is_replaced_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(UUID_FILE), b"short").expect("writable");
        let made = uuid(dir.path(), UuidSource::File, &NodeName::new("node1"));
        assert!(made.problem.expect("said").contains("holds 5 bytes"));
    }

    #[test]
    fn names_lead_to_stable_and_different_uuids() {
        let of = |name| uuid(Path::new("/"), UuidSource::NodeName, &NodeName::new(name)).value;
        assert_eq!(of("node1"), of("NODE1"));
        assert_ne!(of("node1"), of("node2"));
    }
}
