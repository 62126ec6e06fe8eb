//! Fencing: which device is asked to do what and when, until the peer is off for certain or it has
//! failed. Pure; the edge drives the devices. Whether the peer is to be fenced at all is decided in
//! `doubt`, and what a failure means for a group by hb.toml.
//!
//! - Levels are tried in ascending order. The devices of one level are asked one after the other and
//!   must all succeed; a device that fails is tried again `retries_max` times, then the next level.
//! - When all levels have failed, everything begins again after a pause that grows.
//! - A node that has not verified the peer since its start does not fence it: it may have been fenced
//!   itself, and would shoot the survivor. It waits for an operator's word.
//! - Two nodes that shoot at each other must not both hit: who holds nothing waits, and of two in the
//!   same position the one that ha.cf names first goes first.
//! - At most `per_hour_max` rounds in an hour in which a device may have acted. A device that says
//!   that it failed or could not be run has not acted; one that was killed at its limit may have.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hb_config::settings::{self, NodeName};
use hb_messaging::time::Instant;
use hb_resource::operation::Outcome;
use serde::{Deserialize, Serialize};

use crate::activity::short;
use crate::api::FencingStatus;
use crate::effect::{Effect, FenceAction, Level, LogEvent};

/// First pause after a failed round; it doubles with each, for the network to a power switch often
/// returns within seconds.
const PAUSE_MIN: Duration = Duration::from_secs(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// What `per_hour_max` counts over.
const HOUR: Duration = Duration::from_secs(3_600);
/// How long after its limit an answer of the edge is waited for. It kills what does not end, and
/// answers then; without this, one lost answer would hold a takeover for ever.
const ANSWER_GRACE: Duration = Duration::from_secs(30);

/// Who this node is in a mutual shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// It runs groups.
    pub(crate) owner: bool,
    /// ha.cf names it before the peer.
    pub(crate) first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Idle,
    /// The peer was never verified since the start of this node.
    Unseen,
    /// The other node goes first.
    Waiting {
        until: Instant,
    },
    Running(Run),
    /// A round has failed; the next one.
    Failed {
        again: Instant,
    },
    /// Too many within an hour; the next one.
    Refused {
        again: Instant,
    },
    Fenced,
}

/// One attempt by one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// Index into `levels`.
    level: usize,
    /// Index into the devices of the level.
    place: usize,
    /// Attempts of this device before this one.
    tries: u32,
    attempt: u64,
    begun: Instant,
    /// When an answer counts as lost.
    until: Instant,
    /// A device of this round may have acted: it was counted.
    counted: bool,
}

/// `hb fence test`: devices that have not answered, by attempt, and what the others said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Test<C> {
    client: C,
    open: BTreeMap<u64, usize>,
    answers: BTreeMap<usize, Outcome>,
    until: Instant,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tested<C> {
    pub(crate) client: C,
    /// Whether every device works.
    pub(crate) ok: bool,
    /// A line for each.
    pub(crate) text: String,
}

/// Fencing of the peer. `C` identifies who asked for a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fencing<C> {
    config: settings::Fencing,
    peer: NodeName,
    /// Indices of the devices that can fence the peer, by level.
    levels: Vec<Vec<usize>>,
    state: State,
    last_attempt: u64,
    /// Rounds within the last hour in which a device may have acted: no round begins with
    /// `per_hour_max` of them, and each adds one, or two with a late answer.
    acted: VecDeque<Instant>,
    /// Failed rounds since the last success.
    failures: u32,
    last: Option<String>,
    test: Option<Test<C>>,
    /// The last device of a round that was given up has not answered: its success still counts.
    late: Option<u64>,
}

impl<C: Copy> Fencing<C> {
    pub(crate) fn new(config: settings::Fencing, peer: NodeName) -> Self {
        let mut levels: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (index, device) in config.devices.iter().enumerate() {
            if device.target.as_ref().is_none_or(|target| *target == peer) {
                levels.entry(device.level).or_default().push(index);
            }
        }
        Self {
            config,
            peer,
            levels: levels.into_values().collect(),
            state: State::Idle,
            last_attempt: 0,
            acted: VecDeque::new(),
            failures: 0,
            last: None,
            test: None,
            late: None,
        }
    }

    /// The peer must be off before anything is taken from it. Called as often as one likes.
    pub(crate) fn want(&mut self, now: Instant, seen: bool, weight: Weight, out: &mut Vec<Effect>) {
        match self.state {
            State::Idle | State::Unseen if seen => {
                let delay = self.delay(weight);
                self.state = State::Waiting { until: now + delay };
                if !delay.is_zero() {
                    let text = format!(
                        "{} is fenced in {} ms: the other node goes first if it lives",
                        self.peer,
                        delay.as_millis()
                    );
                    out.push(log(Level::Warn, "fence_waiting", text));
                }
                self.tick(now, out);
            }
            State::Idle => {
                self.state = State::Unseen;
                let text = format!(
                    "{0} was not heard since this node started, and is not fenced for that: make \
                     sure that it is off, then: hb fence confirm {0}",
                    self.peer
                );
                out.push(log(Level::Error, "fence_unseen", text));
            }
            State::Unseen
            | State::Waiting { .. }
            | State::Running(_)
            | State::Failed { .. }
            | State::Refused { .. }
            | State::Fenced => self.tick(now, out),
        }
    }

    fn delay(&self, weight: Weight) -> Duration {
        let delay = Duration::from_millis(self.config.delay_ms);
        match (weight.owner, weight.first) {
            (true, true) => Duration::ZERO,
            (true, false) => delay / 2,
            (false, true) => delay,
            (false, false) => delay * 3 / 2,
        }
    }

    /// Nothing is to be fenced any more: the peer was heard, or something else speaks against its
    /// death. A device that works goes on; its answer still counts as what it is.
    pub(crate) fn stop(&mut self, out: &mut Vec<Effect>) {
        let text = match self.state {
            State::Idle | State::Unseen | State::Fenced => None,
            State::Waiting { .. } | State::Failed { .. } | State::Refused { .. } => {
                Some(format!("{} is not fenced any more", self.peer))
            }
            State::Running(_) => Some(format!(
                "{} is not fenced any more; the device that was asked may still act",
                self.peer
            )),
        };
        out.extend(text.map(|text| log(Level::Warn, "fence_stopped", text)));
        if let State::Running(run) = self.state {
            let devices = self.levels.get(run.level).map_or(0, Vec::len);
            self.late = (run.place + 1 == devices).then_some(run.attempt);
        }
        self.state = State::Idle;
        self.failures = 0;
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        match self.state {
            State::Waiting { until: at }
            | State::Failed { again: at }
            | State::Refused { again: at }
                if at <= now =>
            {
                self.begin_round(now, out);
            }
            State::Running(run) if run.until <= now => {
                self.judge(now, run, &Outcome::TimedOut, out);
            }
            State::Idle
            | State::Unseen
            | State::Waiting { .. }
            | State::Running(_)
            | State::Failed { .. }
            | State::Refused { .. }
            | State::Fenced => {}
        }
    }

    /// When [`Self::tick`] or [`Self::end_test`] does something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let own = match self.state {
            State::Waiting { until: at }
            | State::Failed { again: at }
            | State::Refused { again: at } => Some(at),
            State::Running(run) => Some(run.until),
            State::Idle | State::Unseen | State::Fenced => None,
        };
        let test = self.test.as_ref().map(|test| test.until);
        [own, test].into_iter().flatten().min()
    }

    fn begin_round(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.forget(now);
        let max = usize::try_from(self.config.per_hour_max).unwrap_or(usize::MAX);
        if self.acted.len() >= max {
            let again = self.acted.front().map_or(now + HOUR, |oldest| *oldest + HOUR);
            if !matches!(self.state, State::Refused { .. }) {
                let text = format!(
                    "FENCING FAILED: {0} was fenced {1} times within an hour and that is the limit; \
                     make sure that it is off, then: hb fence confirm {0}",
                    self.peer,
                    self.acted.len()
                );
                self.last = Some(text.clone());
                out.push(log(Level::Error, "fence_refused", text));
            }
            self.state = State::Refused { again };
            return;
        }
        if self.levels.is_empty() {
            return self.fail(now, "no device fences it", out);
        }
        self.ask(now, Place { level: 0, place: 0, tries: 0, counted: false }, out);
    }

    /// A device may have acted.
    fn count(&mut self, now: Instant) {
        self.forget(now);
        self.acted.push_back(now);
    }

    fn forget(&mut self, now: Instant) {
        while self.acted.front().is_some_and(|at| now - *at >= HOUR) {
            self.acted.pop_front();
        }
    }

    fn ask(&mut self, now: Instant, at: Place, out: &mut Vec<Effect>) {
        let Place { level, place, tries, counted } = at;
        let Some(index) = self.levels.get(level).and_then(|level| level.get(place)).copied() else {
            return self.fail(now, "no device is left", out);
        };
        let Some(device) = self.config.devices.get(index) else { return };
        let timeout = Duration::from_millis(device.timeout_ms);
        let text = format!("{} is fenced by {} (level {})", self.peer, device.name, device.level);
        self.last_attempt += 1;
        let attempt = self.last_attempt;
        let until = now + timeout + ANSWER_GRACE;
        self.state =
            State::Running(Run { level, place, tries, attempt, begun: now, until, counted });
        out.push(log(Level::Warn, "fence_started", text));
        out.push(Effect::Fence {
            attempt,
            target: self.peer.clone(),
            device: index,
            action: FenceAction::Fence,
            timeout,
        });
    }

    /// A device has answered. `true`: the peer is off for certain, whether or not that is wanted
    /// any more.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        attempt: u64,
        outcome: &Outcome,
        out: &mut Vec<Effect>,
    ) -> bool {
        match self.state {
            State::Running(run) if run.attempt == attempt => self.judge(now, run, outcome, out),
            State::Idle
            | State::Unseen
            | State::Waiting { .. }
            | State::Running(_)
            | State::Failed { .. }
            | State::Refused { .. }
            | State::Fenced => {
                // Of a round that was given up. That the peer is off it proves when it was the round's
                // last device: one of several proves nothing.
                if may_have_acted(outcome) {
                    self.count(now);
                }
                let text = format!("late answer of a fence device: {}", outcome.describe());
                out.push(log(Level::Warn, "fence_late", text));
                *outcome == Outcome::Ok && self.late.take() == Some(attempt)
            }
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        mut run: Run,
        outcome: &Outcome,
        out: &mut Vec<Effect>,
    ) -> bool {
        let device = self.device(run.level, run.place);
        let name = device.map_or_else(String::new, |device| device.name.clone());
        let retries_max = device.map_or(0, |device| device.retries_max);
        if may_have_acted(outcome) && !run.counted {
            run.counted = true;
            self.count(now);
        }
        let Run { level, place, tries, counted, .. } = run;
        if *outcome == Outcome::Ok {
            if self.levels.get(level).is_some_and(|devices| place + 1 < devices.len()) {
                self.ask(now, Place { level, place: place + 1, tries: 0, counted }, out);
                return false;
            }
            let took = (now - run.begun).as_millis();
            let text = format!("{} was fenced by {name} ({took} ms)", self.peer);
            self.last = Some(text.clone());
            self.failures = 0;
            self.state = State::Fenced;
            out.push(log(Level::Warn, "fenced", text));
            return true;
        }
        let text = format!("{name} did not fence {}: {}", self.peer, outcome.describe());
        self.last = Some(text.clone());
        out.push(log(Level::Error, "fence_attempt_failed", text));
        if tries < retries_max {
            self.ask(now, Place { level, place, tries: tries + 1, counted }, out);
        } else if level + 1 < self.levels.len() {
            self.ask(now, Place { level: level + 1, place: 0, tries: 0, counted }, out);
        } else {
            let reason = self.last.clone().unwrap_or_default();
            self.fail(now, &reason, out);
        }
        false
    }

    fn device(&self, level: usize, place: usize) -> Option<&settings::FenceDevice> {
        let index = *self.levels.get(level)?.get(place)?;
        self.config.devices.get(index)
    }

    fn fail(&mut self, now: Instant, reason: &str, out: &mut Vec<Effect>) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Failed { again: now + pause };
        let text = format!(
            "FENCING FAILED: {reason}; tried again in {1} s; make sure that {0} is off, then: hb \
             fence confirm {0}",
            self.peer,
            pause.as_secs()
        );
        self.last = Some(text.clone());
        out.push(log(Level::Error, "fencing_failed", text));
    }

    /// The peer is off: an operator says so.
    pub(crate) fn confirm(&mut self) {
        self.state = State::Idle;
        self.failures = 0;
        self.last = Some(format!("an operator has confirmed that {} is off", self.peer));
    }

    /// Whether what hb.toml says of a failed fence holds: it was tried and failed, or must not be
    /// tried.
    pub(crate) fn has_failed(&self) -> bool {
        match self.state {
            State::Failed { .. } | State::Refused { .. } | State::Unseen => true,
            // Failed, and being tried again.
            State::Running(_) => self.failures > 0,
            State::Idle | State::Waiting { .. } | State::Fenced => false,
        }
    }

    /// Why the peer is not known to be off, in words.
    pub(crate) fn doubt(&self) -> String {
        let peer = &self.peer;
        match self.state {
            State::Idle | State::Fenced => format!("{peer} is not fenced yet"),
            State::Unseen => {
                format!("{peer} was not heard since this node started, and is not fenced for that")
            }
            State::Waiting { .. } => "the other node goes first if it lives".to_owned(),
            State::Running(run) => {
                let name = self.device(run.level, run.place).map_or("", |device| &device.name);
                let again = if self.failures > 0 { " again; FENCING FAILED before" } else { "" };
                format!("it is being fenced by {name}{again}")
            }
            State::Failed { .. } | State::Refused { .. } => {
                self.last.clone().unwrap_or_else(|| "FENCING FAILED".to_owned())
            }
        }
    }

    /// For status. `confirmed`: an operator's word stands.
    pub(crate) fn status(&self, confirmed: bool, now: Instant) -> FencingStatus {
        let state = match self.state {
            _ if confirmed => "confirmed",
            State::Idle => "idle",
            State::Unseen | State::Waiting { .. } => "waiting",
            State::Running(_) => "fencing",
            State::Failed { .. } => "failed",
            State::Refused { .. } => "refused",
            State::Fenced => "fenced",
        };
        let devices = self.config.devices.iter().map(|device| device.name.clone()).collect();
        let last = match self.state {
            State::Running(run) if !confirmed => Some(self.under_way(run, now)),
            State::Idle
            | State::Unseen
            | State::Waiting { .. }
            | State::Running(_)
            | State::Failed { .. }
            | State::Refused { .. }
            | State::Fenced => self.last.clone(),
        };
        FencingStatus { devices, state: state.to_owned(), last }
    }

    /// Which device is at it, since when, and until when it may.
    fn under_way(&self, run: Run, now: Instant) -> String {
        let name = self.device(run.level, run.place).map_or("", |device| &device.name);
        let (since, limit) = (short(now - run.begun.min(now)), short(run.until - run.begun));
        let failed = self.last.as_ref().filter(|_| self.failures > 0);
        let before = failed.map(|last| format!("; {last}")).unwrap_or_default();
        format!("{name} for {since}, given up after {limit}{before}")
    }

    /// Asks every device whether it works. `false` when a test is under way.
    pub(crate) fn test(&mut self, now: Instant, client: C, out: &mut Vec<Effect>) -> bool {
        if self.test.is_some() {
            return false;
        }
        let mut test = Test { client, open: BTreeMap::new(), answers: BTreeMap::new(), until: now };
        for (index, device) in self.config.devices.iter().enumerate() {
            let timeout = Duration::from_millis(device.timeout_ms);
            self.last_attempt += 1;
            test.open.insert(self.last_attempt, index);
            test.until = test.until.max(now + timeout + ANSWER_GRACE);
            out.push(Effect::Fence {
                attempt: self.last_attempt,
                target: device.target.clone().unwrap_or_else(|| self.peer.clone()),
                device: index,
                action: FenceAction::Status,
                timeout,
            });
        }
        self.test = Some(test);
        true
    }

    /// Whether this attempt belongs to the test; books its answer.
    pub(crate) fn take_test_answer(&mut self, attempt: u64, outcome: &Outcome) -> bool {
        let Some(test) = &mut self.test else { return false };
        let Some(device) = test.open.remove(&attempt) else { return false };
        test.answers.insert(device, outcome.clone());
        true
    }

    /// The result of the test when every device has answered or its time is over.
    pub(crate) fn end_test(&mut self, now: Instant) -> Option<Tested<C>> {
        let is_over = |test: &mut Test<C>| test.open.is_empty() || test.until <= now;
        let test = self.test.take_if(is_over)?;
        let lines = self.config.devices.iter().enumerate().map(|(index, device)| {
            let answer = test.answers.get(&index).unwrap_or(&Outcome::TimedOut);
            format!("{}: {}", device.name, answer.describe())
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let works = |index: usize| test.answers.get(&index) == Some(&Outcome::Ok);
        let ok = (0..self.config.devices.len()).all(works);
        Some(Tested { client: test.client, ok, text })
    }
}

/// Whether the peer may be off after this answer. What a killed device did is not known.
fn may_have_acted(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok | Outcome::TimedOut => true,
        Outcome::NotRunning | Outcome::Failed { .. } | Outcome::CouldNotRun { .. } => false,
    }
}

/// The next attempt of a round.
struct Place {
    level: usize,
    place: usize,
    tries: u32,
    counted: bool,
}

fn log(level: Level, event: &str, text: String) -> Effect {
    Effect::Log(LogEvent::new(level, event, text))
}

#[cfg(test)]
mod tests;
