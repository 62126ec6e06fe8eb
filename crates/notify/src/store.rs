//! What survives a restart, in the state directory: the state of the incidents, the messages that
//! wait, and the numbers for `hb notify status` and the metrics. A message is on the disk before it is
//! sent and goes when it was accepted.
#![expect(clippy::disallowed_methods, reason = "edge: files of the state directory")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::incident::State;
use crate::message::Message;

/// The numbers, for other programs.
pub const NUMBERS: &str = "notify.json";
const STATE: &str = "state.json";
const OUTBOX: &str = "outbox";
const LOCK: &str = "lock";
/// Longest file that is read back; a message is far below.
const FILE_MAX: u64 = 4 << 20;
/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 300;

/// `notify.json`: what `hb notify status` and the metric `hb_notify_failures_total` read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Version of this file, 1.
    pub v: u32,
    /// Messages that a channel accepted, since the directory was made.
    pub sent: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Messages that could not be kept or were refused for a day.
    pub dropped: u64,
    /// Messages that wait, over all channels.
    pub queue: u64,
    /// Unix time in ms of the last change.
    pub unix_ms: u64,
    /// Each channel.
    pub channels: BTreeMap<String, ChannelNumbers>,
}

/// One channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelNumbers {
    /// Accepted.
    pub sent: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Dropped.
    pub dropped: u64,
    /// Of those, how many the next message has to speak of.
    pub untold: u64,
    /// Waiting.
    pub queue: u64,
    /// Unix time in ms of the last that was accepted.
    pub sent_unix_ms: Option<u64>,
    /// Why the last try failed; `None` when it did not.
    pub error: Option<String>,
    /// Unix time in ms of that.
    pub error_unix_ms: Option<u64>,
}

impl Numbers {
    /// The numbers of `channel`, changed, and the totals with it.
    pub fn change(&mut self, channel: &str, now_ms: u64, f: impl FnOnce(&mut ChannelNumbers)) {
        let own = self.channels.entry(channel.to_owned()).or_default();
        let before = own.clone();
        f(own);
        own.error = own.error.take().map(|text| crate::message::line(&text, REASON_MAX));
        self.sent += own.sent - before.sent.min(own.sent);
        self.failures += own.failures - before.failures.min(own.failures);
        self.dropped += own.dropped - before.dropped.min(own.dropped);
        self.touch(now_ms);
    }

    /// Without `channel`, which is set no more; the totals keep what it has done.
    pub fn forget(&mut self, channel: &str, now_ms: u64) {
        self.channels.remove(channel);
        self.touch(now_ms);
    }

    fn touch(&mut self, now_ms: u64) {
        self.queue = self.channels.values().map(|it| it.queue).sum();
        self.unix_ms = now_ms;
        self.v = 1;
    }
}

/// The state directory, held by one process.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Store {
    /// Opens `dir`, which must exist.
    ///
    /// # Errors
    /// When it cannot be written, or another process has it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir.join(OUTBOX))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join(LOCK))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            let text = format!("another hb-notify uses {} ({errno})", dir.display());
            io::Error::new(io::ErrorKind::WouldBlock, text)
        })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The state of the incidents; a fresh one when there is none, with what is wrong with the old.
    pub fn state(&self) -> (State, Option<String>) {
        let path = self.dir.join(STATE);
        match read::<State>(&path) {
            Ok(state) => (state.unwrap_or_default(), None),
            Err(error) => {
                // Kept for people: what stood there may tell why.
                let _ = fs::rename(&path, self.dir.join("state.json.broken"));
                (State::default(), Some(error.to_string()))
            }
        }
    }

    /// Keeps the state.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save_state(&self, state: &State) -> io::Result<()> {
        write(&self.dir, STATE, state, 0o600, true)
    }

    /// The numbers as they were left.
    pub fn numbers(&self) -> Numbers {
        numbers(&self.dir).ok().flatten().unwrap_or_default()
    }

    /// Keeps the numbers, readable by all: there is nothing secret in them.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save_numbers(&self, numbers: &Numbers) -> io::Result<()> {
        write(&self.dir, NUMBERS, numbers, 0o644, false)
    }

    /// The messages that wait for `channel`, in order. What cannot be read is removed and told.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn waiting(&self, channel: &str) -> io::Result<(Vec<Message>, Vec<String>)> {
        let dir = self.outbox(channel);
        fs::create_dir_all(&dir)?;
        let mut found = Vec::new();
        let mut broken = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            match read::<Message>(&path) {
                Ok(Some(message)) => found.push(message),
                Ok(None) => {}
                Err(error) => {
                    broken.push(format!("{}: {error}", path.display()));
                    fs::remove_file(&path)?;
                }
            }
        }
        found.sort_by_key(|message| message.seq);
        Ok((found, broken))
    }

    /// Removes what waits for channels that there are no more; how many messages that were.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn forget_others(&self, channels: &[&str]) -> io::Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(self.dir.join(OUTBOX))? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| channels.contains(&name)) {
                count += fs::read_dir(entry.path())?.count() as u64;
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(count)
    }

    /// Removes what waits for `channel`; how many messages that were.
    ///
    /// # Errors
    /// When the disk does not allow it.
    pub fn forget_channel(&self, channel: &str) -> io::Result<u64> {
        let dir = self.outbox(channel);
        let count = match fs::read_dir(&dir) {
            Ok(entries) => entries.count() as u64,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        fs::remove_dir_all(dir)?;
        Ok(count)
    }

    /// Keeps a message for `channel`.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn add(&self, channel: &str, message: &Message) -> io::Result<()> {
        let dir = self.outbox(channel);
        fs::create_dir_all(&dir)?;
        write(&dir, &name(message.seq), message, 0o600, true)
    }

    /// Forgets a message. One that is not there is forgotten already.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn remove(&self, channel: &str, seq: u64) -> io::Result<()> {
        match fs::remove_file(self.outbox(channel).join(name(seq))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => File::open(self.outbox(channel))?.sync_all(),
        }
    }

    fn outbox(&self, channel: &str) -> PathBuf {
        self.dir.join(OUTBOX).join(channel)
    }
}

/// The numbers below `dir`, without opening it; `None` when there are none.
///
/// # Errors
/// When they cannot be read.
pub fn numbers(dir: &Path) -> io::Result<Option<Numbers>> {
    read(&dir.join(NUMBERS))
}

fn name(seq: u64) -> String {
    format!("{seq:020}.json")
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::metadata(path) {
        Ok(it) if it.len() > FILE_MAX => return Err(io::Error::other("it is too long")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    // What a crash left half written has another name.
    if path.extension().is_some_and(|end| end == "part") {
        fs::remove_file(path)?;
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

/// Whole or not at all, also after a power cut when `durable`.
fn write<T: Serialize>(
    dir: &Path,
    name: &str,
    value: &T,
    mode: u32,
    durable: bool,
) -> io::Result<()> {
    let part = dir.join(format!("{name}.part"));
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&part)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&part, dir.join(name))?;
    if durable {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Phase;
    use crate::testing::message;

    #[test]
    fn messages_are_kept_in_order_until_they_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        {
            let store = Store::open(dir.path()).expect("a store");
            for seq in [10, 9, 100] {
                store.add("mail-1", &message(seq, Phase::Begin)).expect("kept");
            }
            store.add("mail-1", &message(9, Phase::Resolved)).expect("the same number again");
            store.remove("mail-1", 10).expect("removed");
            store.remove("mail-1", 10).expect("removed already");
            assert!(Store::open(dir.path()).is_err(), "one process at a time");
        }
        fs::write(dir.path().join("outbox/mail-1/x.json"), "{").expect("a torn file");
        fs::write(dir.path().join("outbox/mail-1/00000000000000000011.json.part"), "{").expect("…");
        let store = Store::open(dir.path()).expect("a store");
        let (waiting, broken) = store.waiting("mail-1").expect("readable");
        let seen: Vec<_> = waiting.iter().map(|it| (it.seq, it.phase)).collect();
        assert_eq!(seen, [(9, Phase::Resolved), (100, Phase::Begin)]);
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert_eq!(store.forget_channel("nobody").expect("readable"), 0);
        store.add("gone", &message(1, Phase::Begin)).expect("kept");
        assert_eq!(store.forget_channel("gone").expect("readable"), 1);
        assert_eq!(store.forget_others(&["mail-1"]).expect("readable"), 0);
        assert_eq!(store.forget_others(&[]).expect("readable"), 2);
    }

    #[test]
    fn a_broken_state_is_put_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("a store");
        assert_eq!(store.state(), (State::default(), None));
        let state = State { seq: 7, ..State::default() };
        store.save_state(&state).expect("kept");
        assert_eq!(store.state(), (state, None));
        fs::write(dir.path().join("state.json"), "{").expect("a torn file");
        let (state, error) = store.state();
        assert_eq!((state, error.is_some()), (State::default(), true));
        assert!(dir.path().join("state.json.broken").exists());
    }

    #[test]
    fn totals_follow_the_channels() {
        let mut numbers = Numbers::default();
        numbers.change("a", 5, |it| {
            it.sent += 1;
            it.queue = 2;
        });
        numbers.change("b", 6, |it| {
            it.failures += 1;
            it.queue = 1;
            it.error = Some("a\nb".into());
        });
        numbers.change("b", 7, |it| it.dropped += 3);
        assert_eq!((numbers.sent, numbers.failures, numbers.dropped, numbers.queue), (1, 1, 3, 3));
        assert_eq!(numbers.channels["b"].error.as_deref(), Some("a b"));
        numbers.forget("b", 8);
        assert_eq!((numbers.failures, numbers.queue, numbers.unix_ms), (1, 2, 8));
        assert!(!numbers.channels.contains_key("b"));
    }
}
