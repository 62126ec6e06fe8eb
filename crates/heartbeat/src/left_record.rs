//! What this daemon has started and not stopped, in a file of the run directory, so that the one
//! after a kill knows what is its own. Written by helper threads, as the core waits for no disk; what
//! follows from the record is decided by the core (I/O).
#![expect(clippy::disallowed_methods, reason = "reads and writes one file of the run directory")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_resource::exec::thread;
use hb_resource::exec::watch::Snapshot;
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::timeout;

use crate::watch::Owner;

/// Name of the file in the run directory.
pub(crate) const FILE: &str = "started.json";
/// Largest file that is read: thousands of resources.
const BYTES_MAX: u64 = 1 << 20;
/// A start waits no longer than this for its line: a run directory that hangs must not cost the
/// service. The run directory is in memory, so that this is never seen.
const WRITE_MAX: Duration = Duration::from_millis(100);

/// The present contents. Clones are one record.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    contents: Arc<Mutex<Contents>>,
    /// The number of the newest change.
    changed: Sender<u64>,
    /// The number of the last change that is in the file, or could not be written.
    written: Receiver<u64>,
}

#[derive(Debug, Default)]
struct Contents {
    resources: BTreeSet<Owner>,
    changes: u64,
}

impl Left {
    /// Takes what the file says of `owners`, and keeps the file up to date from then on. Needs a
    /// tokio runtime.
    pub(crate) fn open(file: PathBuf, owners: &BTreeSet<Owner>) -> Self {
        let mut resources = read(&file).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %file.display(), %error, "what was started is not known");
            }
            BTreeSet::new()
        });
        resources.retain(|owner| owners.contains(owner));
        let (changed, changes) = watch::channel(0);
        let (done, written) = watch::channel(0);
        let contents = Arc::new(Mutex::new(Contents { resources, changes: 0 }));
        tokio::spawn(write_changes(Arc::clone(&contents), file, changes, done));
        Self { contents, changed, written }
    }

    /// Everything that was started and not stopped.
    pub(crate) fn all(&self) -> BTreeSet<Owner> {
        lock(&self.contents).resources.clone()
    }

    /// The resource is about to be started, or is watched over as one of ours.
    pub(crate) fn insert(&self, owner: &Owner) {
        if !lock(&self.contents).resources.contains(owner) {
            self.change(|resources| resources.insert(owner.clone()));
        }
    }

    /// The resource was stopped.
    pub(crate) fn remove(&self, owner: &Owner) {
        self.change(|resources| resources.remove(owner));
    }

    /// Waits until every change so far is in the file, [`WRITE_MAX`] at most.
    pub(crate) async fn written(&self) {
        let newest = lock(&self.contents).changes;
        let mut written = self.written.clone();
        // Fails when the runtime ends.
        let _ = timeout(WRITE_MAX, written.wait_for(|number| *number >= newest)).await;
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Owner>) -> bool) {
        let mut contents = lock(&self.contents);
        if change(&mut contents.resources) {
            contents.changes += 1;
            self.changed.send_replace(contents.changes);
        }
    }
}

/// Several changes in one moment are one write.
async fn write_changes(
    contents: Arc<Mutex<Contents>>,
    file: PathBuf,
    mut changes: Receiver<u64>,
    done: Sender<u64>,
) {
    while changes.changed().await.is_ok() {
        let (resources, number) = {
            let contents = lock(&contents);
            let all = contents.resources.iter();
            let all = all.map(|(group, text)| (group.clone(), text.clone(), Vec::new()));
            (all.collect(), contents.changes)
        };
        let target = file.clone();
        let written = thread::run(move || write(&target, Snapshot::new(resources))).await;
        if let Err(error) = written.and_then(|result| result) {
            tracing::warn!(file = %file.display(), %error, "what is started cannot be written down");
        }
        done.send_replace(number);
    }
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(file: &Path) -> io::Result<BTreeSet<Owner>> {
    let mut text = String::new();
    File::open(file)?.take(BYTES_MAX).read_to_string(&mut text)?;
    let snapshot: Snapshot = serde_json::from_str(&text)?;
    if !snapshot.is_of_this_boot() {
        return Ok(BTreeSet::new());
    }
    Ok(snapshot.resources.into_iter().map(|(group, text, _)| (group, text)).collect())
}

/// A reader sees the old or the new contents, nothing between.
fn write(file: &Path, snapshot: Snapshot) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, serde_json::to_vec(&snapshot)?)?;
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str) -> Owner {
        ("db".to_owned(), text.to_owned())
    }

    fn texts(left: &Left) -> Vec<String> {
        left.all().into_iter().map(|(_, text)| text).collect()
    }

    #[tokio::test]
    async fn the_next_daemon_knows_what_was_started_and_not_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let owners: BTreeSet<Owner> = ["db", "mount", "mail"].map(owner).into();
        let left = Left::open(file.clone(), &owners);
        assert!(texts(&left).is_empty());
        for text in ["db", "mount", "mail"] {
            left.insert(&owner(text));
        }
        left.remove(&owner("mail"));
        left.written().await;
        assert_eq!(texts(&Left::open(file.clone(), &owners)), ["db", "mount"]);
        // What haresources does not have any more is nobody's.
        assert_eq!(texts(&Left::open(file.clone(), &[owner("db")].into())), ["db"]);
        // Numbers and resources of an earlier boot mean nothing.
        let text = fs::read_to_string(&file).unwrap();
        let boot = serde_json::from_str::<Snapshot>(&text).unwrap().boot;
        fs::write(&file, text.replace(&boot, "another")).unwrap();
        assert!(texts(&Left::open(file, &owners)).is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_holds_nobody_up_for_ever() {
        let left = Left::open("/proc/none/started.json".into(), &BTreeSet::new());
        left.insert(&owner("db"));
        left.written().await;
        assert_eq!(texts(&left), ["db"]);
    }
}
