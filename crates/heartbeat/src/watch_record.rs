//! What is watched, in a file of the run directory: a daemon that was killed and is back finds the
//! processes of its services again, also those that have written over everything that marks them.
//! Written by a helper thread, as the core waits for no disk (I/O).
#![expect(clippy::disallowed_methods, reason = "reads and writes one file of the run directory")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hb_resource::exec::thread;
use hb_resource::exec::watch::{Snapshot, Watched};
use tokio::sync::Notify;

use crate::watch::Owner;

/// Name of the file in the run directory.
pub(crate) const FILE: &str = "watched.json";
/// Largest file that is read: thousands of resources.
const BYTES_MAX: u64 = 1 << 20;

type Processes = BTreeMap<Owner, Vec<Watched>>;

/// The present contents. Clones are one record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    processes: Arc<Mutex<Processes>>,
    changed: Arc<Notify>,
}

impl Record {
    /// Takes what the file says of `owners`, and keeps the file up to date from then on.
    pub(crate) fn open(file: PathBuf, owners: &BTreeSet<Owner>) -> Self {
        let mut processes = read(&file).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %file.display(), %error, "what was watched is not known");
            }
            Processes::new()
        });
        processes.retain(|owner, _| owners.contains(owner));
        let this =
            Self { processes: Arc::new(Mutex::new(processes)), changed: Arc::new(Notify::new()) };
        tokio::spawn(this.clone().write_changes(file));
        this
    }

    /// The processes of `owner`.
    pub(crate) fn get(&self, owner: &Owner) -> Vec<Watched> {
        self.lock().get(owner).cloned().unwrap_or_default()
    }

    /// Replaces the processes of `owner`.
    pub(crate) fn set(&self, owner: &Owner, processes: Vec<Watched>) {
        let mut all = self.lock();
        let before = match processes.is_empty() {
            true => all.remove(owner),
            false => all.insert(owner.clone(), processes),
        };
        if before.as_ref() != all.get(owner) {
            self.changed.notify_one();
        }
    }

    /// Several changes in one moment are one write.
    async fn write_changes(self, file: PathBuf) {
        loop {
            self.changed.notified().await;
            let snapshot: Vec<_> = self
                .lock()
                .iter()
                .map(|((group, resource), list)| (group.clone(), resource.clone(), list.clone()))
                .collect();
            let target = file.clone();
            let written = thread::run(move || write(&target, Snapshot::new(snapshot))).await;
            if let Err(error) = written.and_then(|result| result) {
                tracing::warn!(file = %file.display(), %error, "what is watched cannot be kept");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> io::Result<Processes> {
    let mut text = String::new();
    File::open(file)?.take(BYTES_MAX).read_to_string(&mut text)?;
    let snapshot: Snapshot = serde_json::from_str(&text)?;
    if !snapshot.is_of_this_boot() {
        return Ok(Processes::new());
    }
    let entry = |(group, resource, list)| ((group, resource), list);
    Ok(snapshot.resources.into_iter().map(entry).collect())
}

/// A reader sees the old or the new contents, nothing between.
fn write(file: &Path, snapshot: Snapshot) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, serde_json::to_vec(&snapshot)?)?;
    fs::rename(beside, file)
}
