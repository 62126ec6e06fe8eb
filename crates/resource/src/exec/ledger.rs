//! Agents that run now, on disk: when the daemon is killed, the one after it ends them before it
//! looks at resources, for an agent that still stops a service would make a lie of what is seen. It
//! does I/O, on helper threads only.
//!
//! One small file for each agent, named by number and start time, which together name a process
//! until the machine restarts. An agent has its own process group; a service that it left behind
//! may be in that group, so the group counts only as long as the agent itself, its leader, lives.
#![expect(clippy::disallowed_methods, reason = "edge: keeps files of running agents")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::leftovers::kill_group;
use super::proc::{self, Process};

/// Files that are looked at: far more agents than a node ever runs at once.
const FILES_MAX: usize = 4096;

/// Where running agents are written down; nowhere without a directory. Clones are one ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    boot: String,
    /// Files of agents that have ended. They are removed when the next agent starts, on its helper
    /// thread, so there are never more than agents at one moment.
    ended: Mutex<Vec<PathBuf>>,
}

/// A line of the ledger, for as long as the agent runs.
#[derive(Debug)]
pub(super) struct Entry {
    ledger: Arc<Inner>,
    file: PathBuf,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let file = std::mem::take(&mut self.file);
        self.ledger.ended.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }
}

impl Ledger {
    /// Reads which boot of the machine this is; makes nothing.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self(directory.map(|directory| {
            Arc::new(Inner { directory, boot: proc::boot_id(), ended: Mutex::default() })
        }))
    }

    /// Writes down the agent `pid`, which leads its process group. What cannot be written down is
    /// only not ended by the next daemon.
    pub(super) fn enter(&self, pid: i32) -> Option<Entry> {
        let ledger = self.0.as_ref()?;
        let ended =
            std::mem::take(&mut *ledger.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for file in ended {
            let _ = fs::remove_file(file);
        }
        let start = proc::process(pid)?.start;
        let file = ledger.directory.join(format!("{pid}-{start}"));
        let written = fs::create_dir_all(&ledger.directory)
            .and_then(|()| fs::write(&file, ledger.boot.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "a running agent cannot be written down");
        }
        Some(Entry { ledger: Arc::clone(ledger), file })
    }

    /// Agents of an earlier daemon that still run. All files are removed.
    pub(super) fn left(&self) -> Vec<Process> {
        let Some(ledger) = &self.0 else { return Vec::new() };
        let Ok(entries) = fs::read_dir(&ledger.directory) else { return Vec::new() };
        let mut left = Vec::new();
        for entry in entries.flatten().take(FILES_MAX) {
            let path = entry.path();
            left.extend(same_process(&path, &ledger.boot));
            let _ = fs::remove_file(path);
        }
        left
    }
}

/// The process that `file` names, if it still is that one and leads its group.
fn same_process(file: &Path, boot: &str) -> Option<Process> {
    let (pid, start) = file.file_name()?.to_str()?.split_once('-')?;
    let (pid, start): (i32, u64) = (pid.parse().ok()?, start.parse().ok()?);
    if fs::read(file).ok()? != boot.as_bytes() {
        return None;
    }
    let now = proc::process(pid)?;
    (now.start == start && now.group == pid && now.is_alive()).then_some(now)
}

/// Kills `agents` with their groups and waits for their end, each at most as long as the kernel
/// may take for it.
pub(super) async fn end(agents: &[Process]) {
    for agent in agents {
        tracing::warn!(pid = agent.pid, "killed an agent of the daemon before this one");
        kill_group(agent.pid).await;
    }
}
