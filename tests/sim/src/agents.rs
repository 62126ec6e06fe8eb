//! Modelled resource agents: what runs on a machine, how long actions take and how they fail.
//! A resource counts as running from the begin of its start to the end of its stop, because that
//! is how long it may do harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_resource::operation::{Action, IN_USE_BY_PEER, Operation, Outcome};

/// A resource of one machine: group and text.
pub type Resource = (String, String);

/// How one agent behaves on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Time of `start`.
    pub start: Duration,
    /// Time of `stop`.
    pub stop: Duration,
    /// Time of `status` and `announce`.
    pub status: Duration,
    /// `start` fails.
    pub start_fails: bool,
    /// The machine of the peer answers for it: a `start` that asks first fails.
    pub is_peers: bool,
    /// `start` says that it has worked and has done nothing.
    pub start_lies: bool,
    /// What was started ends by itself so much later.
    pub dies_after: Option<Duration>,
    /// `stop` fails unless it is escalated.
    pub stop_fails: bool,
    /// `stop` fails even when it is escalated.
    pub unstoppable: bool,
    /// `start` and `stop` hang until the operation's limit.
    pub hangs: bool,
    /// `validate` fails.
    pub invalid: bool,
    /// What its checks say.
    pub checks: Checks,
}

/// What the checks of something that runs say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// The truth.
    #[default]
    Honest,
    /// Nothing, until they are ended.
    Hang,
    /// That it runs, whether or not it does.
    Lie,
    /// That it is broken, whether or not it is.
    Fail,
    /// Nothing: they cannot be run.
    Missing,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(20),
            stop: Duration::from_millis(20),
            status: Duration::from_millis(2),
            start_fails: false,
            is_peers: false,
            start_lies: false,
            dies_after: None,
            stop_fails: false,
            unstoppable: false,
            hangs: false,
            invalid: false,
            checks: Checks::Honest,
        }
    }
}

/// The agents of one machine.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    /// Habits that differ from the default, by the resource's text.
    pub habits: BTreeMap<String, Habits>,
    /// Resources that run on both nodes by intent, by text.
    pub warm: BTreeSet<String>,
    /// What may be running.
    running: BTreeSet<Resource>,
    /// Grows whenever `running` or `died` changes, so that whoever looks need not compare.
    version: u64,
    /// What a check has found running since its last start. A script whose status has never said
    /// that it runs is not believed when it says that it does not.
    proved: BTreeSet<Resource>,
    /// What ended by itself, and no agent has been told or has found out so far.
    died: BTreeSet<Resource>,
    /// Starts and stops that were carried out, in order, for tests.
    pub log: Vec<(Action, Resource)>,
}

impl Agents {
    /// How the agent of `text` behaves.
    pub fn habits_of(&self, text: &str) -> Habits {
        self.habits.get(text).copied().unwrap_or_default()
    }

    /// Changes how the agent of `text` behaves.
    pub fn change(&mut self, text: &str, change: impl FnOnce(&mut Habits)) {
        change(self.habits.entry(text.to_owned()).or_default());
    }

    /// An operation begins; how long it will take.
    pub fn begin(&mut self, operation: &Operation) -> Duration {
        let habits = self.habits_of(&operation.resource.text);
        let natural = match operation.action {
            Action::Start => {
                let resource = resource_of(operation);
                self.log.push((Action::Start, resource.clone()));
                self.proved.remove(&resource);
                self.died.remove(&resource);
                self.running.insert(resource);
                self.version += 1;
                habits.start
            }
            Action::Stop => {
                self.log.push((Action::Stop, resource_of(operation)));
                habits.stop
            }
            Action::Status | Action::Announce | Action::Validate => habits.status,
        };
        let hangs = match operation.action {
            Action::Start | Action::Stop => habits.hangs,
            Action::Status => operation.monitor && habits.checks == Checks::Hang,
            Action::Announce | Action::Validate => false,
        };
        if hangs { operation.timeout } else { natural.min(operation.timeout) }
    }

    /// The same number twice: nothing has begun to run, stopped or died between.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The operation ends: what changed on the machine, and how it ended.
    pub fn end(&mut self, operation: &Operation) -> Outcome {
        let habits = self.habits_of(&operation.resource.text);
        let failed = |reason: &str| Outcome::Failed { code: Some(1), reason: reason.to_owned() };
        match operation.action {
            Action::Status => self.status(operation, habits.checks),
            Action::Validate if habits.invalid => failed("its configuration is not valid"),
            Action::Announce | Action::Validate => Outcome::Ok,
            Action::Start => {
                let resource = resource_of(operation);
                if habits.hangs || habits.start > operation.timeout {
                    return Outcome::TimedOut;
                }
                if habits.is_peers && operation.probe {
                    self.running.remove(&resource);
                    self.version += 1;
                    let reason = "it is in use by 02:00:00:00:00:01 on eth0".to_owned();
                    return Outcome::Failed { code: Some(IN_USE_BY_PEER), reason };
                }
                if habits.start_fails {
                    self.running.remove(&resource);
                    self.version += 1;
                    return failed("will not start");
                }
                if habits.start_lies {
                    self.crash(&resource.0, &resource.1);
                }
                Outcome::Ok
            }
            Action::Stop => {
                let resource = resource_of(operation);
                let defies =
                    habits.unstoppable || (!operation.kill && (habits.stop_fails || habits.hangs));
                if defies {
                    return if habits.hangs { Outcome::TimedOut } else { failed("will not stop") };
                }
                self.running.remove(&resource);
                self.died.remove(&resource);
                self.version += 1;
                Outcome::Ok
            }
        }
    }

    fn status(&mut self, operation: &Operation, checks: Checks) -> Outcome {
        let resource = resource_of(operation);
        let runs = self.running.contains(&resource);
        match checks {
            Checks::Hang if operation.monitor => return Outcome::TimedOut,
            Checks::Lie if operation.monitor => return Outcome::Ok,
            Checks::Fail if operation.monitor => {
                let reason = "does not answer".to_owned();
                return Outcome::Failed { code: Some(1), reason };
            }
            Checks::Missing if operation.monitor => {
                return Outcome::CouldNotRun { reason: "no memory".to_owned() };
            }
            Checks::Honest | Checks::Hang | Checks::Lie | Checks::Fail | Checks::Missing => {}
        }
        if runs {
            self.proved.insert(resource);
            return Outcome::Ok;
        }
        if self.died.remove(&resource) {
            self.version += 1;
        }
        Outcome::NotRunning
    }

    /// The resource dies by itself; whether it ran.
    pub fn crash(&mut self, group: &str, text: &str) -> bool {
        let resource = (group.to_owned(), text.to_owned());
        let ran = self.running.remove(&resource);
        if ran {
            self.version += 1;
            self.died.insert(resource);
        }
        ran
    }

    /// Somebody stops the resource by hand, and nobody has to notice.
    pub fn remove(&mut self, group: &str, text: &str) {
        let resource = (group.to_owned(), text.to_owned());
        self.running.remove(&resource);
        self.died.remove(&resource);
        self.version += 1;
    }

    /// Whether a check has found it running since its last start.
    pub fn is_proved(&self, group: &str, text: &str) -> bool {
        self.proved.contains(&(group.to_owned(), text.to_owned()))
    }

    /// What ended by itself and was not noticed so far.
    pub fn died(&self) -> impl ExactSizeIterator<Item = &Resource> {
        self.died.iter()
    }

    /// Whether it runs as far as anybody can know.
    pub fn seems_to_run(&self, group: &str, text: &str) -> bool {
        let resource = (group.to_owned(), text.to_owned());
        self.running.contains(&resource) || self.died.contains(&resource)
    }

    /// Whether the resource may be running.
    pub fn runs(&self, group: &str, text: &str) -> bool {
        self.running.contains(&(group.to_owned(), text.to_owned()))
    }

    /// Whether any part of the group may be running that must not run twice.
    pub fn runs_any_of(&self, group: &str) -> bool {
        self.running.iter().any(|(of, text)| of == group && !self.warm.contains(text))
    }

    /// The machine lost power.
    pub fn power_off(&mut self) {
        self.version += 1;
        self.running.clear();
        self.proved.clear();
        self.died.clear();
    }
}

/// What an operation acts on.
pub fn resource_of(operation: &Operation) -> Resource {
    (operation.group.clone(), operation.resource.text.clone())
}
