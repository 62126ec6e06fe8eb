//! Modelled resource agents: what runs on a machine, how long actions take and how they fail.
//! A resource counts as running from the begin of its start to the end of its stop, because that
//! is how long it may do harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_resource::operation::{Action, Operation, Outcome};

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
    /// `stop` fails unless it is escalated.
    pub stop_fails: bool,
    /// `stop` fails even when it is escalated.
    pub unstoppable: bool,
    /// `start` and `stop` hang until the operation's limit.
    pub hangs: bool,
    /// `validate` fails.
    pub invalid: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(20),
            stop: Duration::from_millis(20),
            status: Duration::from_millis(2),
            start_fails: false,
            stop_fails: false,
            unstoppable: false,
            hangs: false,
            invalid: false,
        }
    }
}

/// The agents of one machine.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    /// Habits that differ from the default, by the resource's text.
    pub habits: BTreeMap<String, Habits>,
    /// What may be running.
    running: BTreeSet<Resource>,
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
        let resource = resource_of(operation);
        let natural = match operation.action {
            Action::Start => {
                self.log.push((Action::Start, resource.clone()));
                self.running.insert(resource);
                habits.start
            }
            Action::Stop => {
                self.log.push((Action::Stop, resource));
                habits.stop
            }
            Action::Status | Action::Announce | Action::Validate => habits.status,
        };
        let hangs = habits.hangs && matches!(operation.action, Action::Start | Action::Stop);
        if hangs { operation.timeout } else { natural.min(operation.timeout) }
    }

    /// The operation ends: what changed on the machine, and how it ended.
    pub fn end(&mut self, operation: &Operation) -> Outcome {
        let habits = self.habits_of(&operation.resource.text);
        let resource = resource_of(operation);
        let failed = |reason: &str| Outcome::Failed { code: Some(1), reason: reason.to_owned() };
        match operation.action {
            Action::Status if self.running.contains(&resource) => Outcome::Ok,
            Action::Status => Outcome::NotRunning,
            Action::Validate if habits.invalid => failed("its configuration is not valid"),
            Action::Announce | Action::Validate => Outcome::Ok,
            Action::Start => {
                if habits.hangs || habits.start > operation.timeout {
                    return Outcome::TimedOut;
                }
                if habits.start_fails {
                    self.running.remove(&resource);
                    return failed("will not start");
                }
                Outcome::Ok
            }
            Action::Stop => {
                let defies =
                    habits.unstoppable || (!operation.kill && (habits.stop_fails || habits.hangs));
                if defies {
                    return if habits.hangs { Outcome::TimedOut } else { failed("will not stop") };
                }
                self.running.remove(&resource);
                Outcome::Ok
            }
        }
    }

    /// The resource dies by itself.
    pub fn crash(&mut self, group: &str, text: &str) {
        self.running.remove(&(group.to_owned(), text.to_owned()));
    }

    /// Whether the resource may be running.
    pub fn runs(&self, group: &str, text: &str) -> bool {
        self.running.contains(&(group.to_owned(), text.to_owned()))
    }

    /// Whether any part of the group may be running.
    pub fn runs_any_of(&self, group: &str) -> bool {
        self.running.iter().any(|(of, _)| of == group)
    }

    /// The machine lost power.
    pub fn power_off(&mut self) {
        self.running.clear();
    }
}

/// What an operation acts on.
pub fn resource_of(operation: &Operation) -> Resource {
    (operation.group.clone(), operation.resource.text.clone())
}
