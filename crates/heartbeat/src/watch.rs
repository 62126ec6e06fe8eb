//! Watches the processes of resources: one task for each resource that runs, which sleeps until the
//! kernel says that a process has ended. That becomes a hint, and the core checks the resource. How
//! processes are found is in `hb_resource::exec::watch`; what systemd says of units is heard in `units`.

mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::{AgentSpec, GroupSpec, ResourceSpec, Settings};
use hb_resource::exec::Runner;
use hb_resource::exec::watch::{Found, Search, Ticks, WATCHED_MAX, Watched};
use hb_resource::input::Evidence;
use hb_resource::operation::{GroupKey, Operation};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::hint::{Budget, Hint, HintSender};
use crate::watch_record::Record;
use units::Units;

/// Whose processes: group and resource as written in haresources.
pub(crate) type Owner = (GroupKey, String);

/// Daemons fork late: after a start the processes are looked for once more.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// A check has said that the resource runs, but its processes have ended and no others are there:
/// it may have been asked too early. It is hinted at again after these pauses.
const DOUBTS: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(500)];
/// Limit of the question to systemd which processes a unit has.
const UNIT_TIME: Duration = Duration::from_secs(5);

/// All watches of this node.
#[derive(Debug)]
pub(crate) struct Watches {
    runner: Runner,
    hints: HintSender,
    record: Record,
    watched: BTreeMap<Owner, Watch>,
    units: Units,
}

/// One task; it ends with this.
#[derive(Debug)]
struct Watch {
    checked: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watches {
    /// Reads what the daemon before this one has watched; needs a tokio runtime.
    pub(crate) fn open(
        settings: &Settings,
        runner: Runner,
        file: PathBuf,
        hints: HintSender,
    ) -> Self {
        let record = Record::open(file, &owners(settings));
        let units = Units::open(settings, &hints);
        Self { runner, hints, record, watched: BTreeMap::new(), units }
    }

    /// The resource is about to be started or stopped: its processes may end.
    pub(crate) fn end(&mut self, operation: &Operation) {
        self.watched.remove(&owner(operation));
        self.units.leave(operation);
    }

    /// The resource was stopped. Until then its processes stay written down: the daemon may be killed
    /// before the stop has ended.
    pub(crate) fn stopped(&self, operation: &Operation) {
        self.record.set(&owner(operation), Vec::new());
    }

    /// The resource was started, by an operation that began at `since`.
    pub(crate) fn started(&mut self, operation: &Operation, since: Ticks) {
        self.begin(operation, Vec::new(), Some(since));
    }

    /// A check has said that the resource runs.
    pub(crate) fn runs(&mut self, operation: &Operation) {
        let owner = owner(operation);
        match self.watched.get(&owner) {
            Some(watch) => watch.checked.notify_one(),
            None => {
                let known = self.record.get(&owner);
                self.begin(operation, known, None);
            }
        }
    }

    fn begin(&mut self, operation: &Operation, known: Vec<Watched>, since: Option<Ticks>) {
        self.units.hear(operation);
        let checked = Arc::new(Notify::new());
        let watcher = self.watcher(operation, known, since);
        let task = tokio::spawn(watcher.run(Arc::clone(&checked))).abort_handle();
        self.watched.insert(owner(operation), Watch { checked, task });
    }

    fn watcher(&self, operation: &Operation, known: Vec<Watched>, since: Option<Ticks>) -> Watcher {
        Watcher {
            owner: owner(operation),
            resource: operation.resource.clone(),
            runner: self.runner.clone(),
            hints: self.hints.clone(),
            record: self.record.clone(),
            names: known.iter().map(|one| one.name.clone()).collect(),
            known,
            since,
            looked: Ticks::now(),
            sessions: BTreeSet::new(),
            watched: Vec::new(),
            deaths: JoinSet::new(),
            last_death: String::new(),
            is_in_doubt: false,
            doubts: 0,
            budget: Budget::default(),
        }
    }
}

/// Every resource of haresources.
pub(crate) fn owners(settings: &Settings) -> BTreeSet<Owner> {
    let of = |group: &GroupSpec| {
        let texts = group.resources.iter().map(|one| one.text.clone());
        texts.map(|text| (group.key.clone(), text)).collect::<Vec<_>>()
    };
    settings.groups.iter().flat_map(of).collect()
}

/// Whose processes an operation is about.
pub(crate) fn owner(operation: &Operation) -> Owner {
    (operation.group.clone(), operation.resource.text.clone())
}

/// The task of one resource.
#[derive(Debug)]
struct Watcher {
    owner: Owner,
    resource: ResourceSpec,
    runner: Runner,
    hints: HintSender,
    record: Record,
    /// From the daemon before this one; taken by the first look.
    known: Vec<Watched>,
    /// Names of all that were watched: after a restart by somebody else, only daemons of these
    /// names can be meant.
    names: BTreeSet<String>,
    /// When the start began, where it is this daemon that has started it.
    since: Option<Ticks>,
    /// When the last look began.
    looked: Ticks,
    /// Sessions of daemons that are its own for certain.
    sessions: BTreeSet<i32>,
    /// Processes whose end is awaited in `deaths`.
    watched: Vec<Watched>,
    deaths: JoinSet<Watched>,
    /// What was said of the last death.
    last_death: String,
    /// A process has ended and no check has been seen since.
    is_in_doubt: bool,
    /// Checks in a row that said "runs" while nothing was to be found.
    doubts: usize,
    budget: Budget,
}

impl Watcher {
    /// Until it is aborted.
    async fn run(mut self, checked: Arc<Notify>) {
        self.look(self.since, false).await;
        if self.since.is_some() {
            self.deaths_for(SECOND_LOOK).await;
            self.look(self.since, false).await;
            self.prove().await;
        }
        loop {
            tokio::select! {
                Some(Ok(dead)) = self.deaths.join_next() => {
                    self.died(&dead);
                    self.prove().await;
                }
                () = checked.notified() => {
                    if self.is_in_doubt {
                        self.settle().await;
                    }
                }
            }
        }
    }

    /// Waits for `time`, in which a death is told at once.
    async fn deaths_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                Some(Ok(dead)) = self.deaths.join_next() => self.died(&dead),
                () = sleep_until(end) => return,
            }
        }
    }

    /// Looks for processes and takes hold of those that are not watched yet.
    async fn look(&mut self, since: Option<Ticks>, only_known_names: bool) {
        let began = Ticks::now();
        let known = std::mem::take(&mut self.known);
        let names =
            if only_known_names { self.names.iter().cloned().collect() } else { Vec::new() };
        let search = Search {
            group: self.owner.0.clone(),
            resource: self.resource.clone(),
            known: known.iter().chain(&self.watched).cloned().collect(),
            since,
            names,
            sessions: self.sessions.iter().copied().collect(),
        };
        let Found { top: found, sessions } = self.runner.find(search, UNIT_TIME).await;
        self.looked = began;
        // Ended while no daemon was there to see it, or since the check.
        let is_found = |one: &Watched| found.iter().any(|other| other.is(one));
        for process in known.iter().filter(|one| !is_found(one) && has_ended(one)) {
            self.died(process);
        }
        for process in found {
            if self.names.len() < WATCHED_MAX {
                self.names.insert(process.name.clone());
            }
            // A daemon may have been found before it was what it is now.
            if let Some(one) = self.watched.iter_mut().find(|one| one.is(&process)) {
                one.name = process.name;
            } else if self.watched.len() < WATCHED_MAX {
                self.grip(process);
            }
        }
        if self.sessions.len() < WATCHED_MAX {
            self.sessions.extend(sessions);
        }
        self.record.set(&self.owner, self.watched.clone());
    }

    fn grip(&mut self, process: Watched) {
        match process.grip() {
            Ok(grip) => {
                self.watched.push(process.clone());
                self.deaths.spawn(async move {
                    grip.ended().await;
                    process
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.died(&process),
            Err(error) => {
                tracing::warn!(pid = process.pid, %error, "a process cannot be watched");
            }
        }
    }

    fn died(&mut self, process: &Watched) {
        let held = self.watched.iter().position(|one| one.is(process));
        let Watched { pid, name, .. } =
            held.map_or_else(|| process.clone(), |at| self.watched.remove(at));
        self.record.set(&self.owner, self.watched.clone());
        self.is_in_doubt = true;
        self.last_death = format!("process {pid} ({name}) ended");
        self.hint(Evidence::ProcessEnded, self.last_death.clone());
    }

    /// The last process that was watched may have been the service itself. That is said only when there
    /// was a daemon of it: a helper that a script leaves in the background ends one day, and means
    /// nothing by it, nor does what happened to be started beside it.
    async fn prove(&mut self) {
        let is_script = matches!(self.resource.agent, AgentSpec::Script { .. });
        if !is_script || self.sessions.is_empty() || !self.watched.is_empty() {
            return;
        }
        // All since the start: what a process on top has left behind is older than its end.
        if let Some(since) = self.since {
            self.look(Some(since), true).await;
            if self.watched.is_empty() {
                let reason = format!("{}, and nothing of it is left", self.last_death);
                self.hint(Evidence::NothingLeft, reason);
            }
        }
    }

    /// After a death a check has said that the resource runs: somebody has restarted it, or what
    /// ended was not the service, or the check came too early.
    async fn settle(&mut self) {
        self.is_in_doubt = false;
        self.look(Some(self.looked), true).await;
        if !self.watched.is_empty() {
            self.doubts = 0;
            return;
        }
        if let Some(pause) = DOUBTS.get(self.doubts) {
            self.doubts += 1;
            self.is_in_doubt = true;
            sleep(*pause).await;
            let reason = "it is said to run, but no process of it is to be found";
            self.hint(Evidence::ProcessEnded, reason.into());
        }
    }

    fn hint(&mut self, evidence: Evidence, reason: String) {
        if !self.budget.allows(Instant::now()) {
            tracing::debug!(resource = self.owner.1, reason, "one hint too many: left out");
            return;
        }
        let (group, resource) = self.owner.clone();
        self.hints.send(Hint { group, resource, evidence, reason });
    }
}

fn has_ended(process: &Watched) -> bool {
    process.grip().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests;
