//! What stands beside the two machines: power switches, a witness, and a service manager that starts
//! what was reset. Modelled with the faults that the real ones have; it judges nothing.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::effect::{Effect, FenceAction};
use hb_node::input::{Input, WitnessAnswer};
use hb_resource::operation::Outcome;

use crate::trace;
use crate::world::{Coming, News, World};

/// How a power switch behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It works, in this time.
    Works(Duration),
    /// It says at once that it failed, and has done nothing.
    Fails,
    /// It does nothing and is ended at its limit.
    Hangs,
    /// It does its work and is ended at its limit before it says so.
    ActsAndHangs,
    /// Its program is not there.
    Missing,
    /// It says that it has worked and has done nothing.
    Lies,
    /// It switches both machines off, in this time.
    ShootsBoth(Duration),
}

/// How an attempt will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    acts: bool,
    says: Switch,
}

/// Everything beside the machines.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The switch that each machine uses against the other.
    pub switch: [Switch; 2],
    /// The second one, where two are configured.
    pub second: [Switch; 2],
    /// How long a machine that was reset takes to boot; `None`: somebody must switch it on.
    pub boots_after: Option<Duration>,
    /// Whether each machine reaches the witness.
    pub reaches_witness: [bool; 2],
    /// The time of a question to the witness.
    pub witness_takes: Duration,
    /// The lease: its owner, and when it ends.
    lease: Option<(usize, Instant)>,
    /// When a machine was switched off by the other.
    pub resets: Vec<(Instant, usize)>,
    /// Attempts that may have acted: who, which start of its daemon, when.
    pub acted: Vec<(usize, u64, Instant)>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            switch: [Switch::Works(Duration::from_millis(500)); 2],
            second: [Switch::Works(Duration::from_millis(500)); 2],
            boots_after: Some(Duration::from_secs(5)),
            reaches_witness: [true; 2],
            witness_takes: Duration::from_millis(5),
            lease: None,
            resets: Vec::new(),
            acted: Vec::new(),
        }
    }
}

impl World {
    /// A daemon wants something of what stands beside it. Without an edge a test plays it.
    pub(crate) fn ask(&mut self, machine: usize, effect: Effect) {
        let Some(edge) = &self.edge else {
            self.machines[machine].asked.push(effect);
            return;
        };
        let generation = self.machines[machine].generation;
        if let Effect::Fence { attempt, action, timeout, device, .. } = effect {
            let says = if device == 0 { edge.switch[machine] } else { edge.second[machine] };
            let (after, acts) = match says {
                Switch::Works(takes) | Switch::ShootsBoth(takes) => {
                    (takes.min(timeout), takes <= timeout)
                }
                Switch::Lies => (Duration::from_millis(10), false),
                Switch::Fails | Switch::Missing => (Duration::from_millis(10), false),
                Switch::Hangs => (timeout, false),
                Switch::ActsAndHangs => (timeout, true),
            };
            let acts = acts && action == FenceAction::Fence;
            self.news.push(News::Fence { machine });
            let ending = Ending { acts, says };
            self.plan(after, Coming::Fenced { by: machine, generation, attempt, ending });
        } else if let Effect::Witness { question, acquire } = effect {
            let takes = edge.witness_takes;
            self.plan(takes, Coming::Witness { machine, generation, question, acquire });
        } else if matches!(effect, Effect::LetWatchdogBite { .. }) {
            self.counts.add("edge", "watchdog");
            self.reset(machine);
        }
    }

    /// An attempt of a switch ends. It has acted even when nobody waits for its word any more.
    pub(crate) fn fenced(&mut self, by: usize, generation: u64, attempt: u64, ending: Ending) {
        let now = self.now();
        let failed = || Outcome::Failed { code: Some(1), reason: "no answer".to_owned() };
        let (word, outcome) = match ending.says {
            Switch::Works(_) if ending.acts => ("fence ok", Outcome::Ok),
            Switch::ShootsBoth(_) if ending.acts => ("fence shot both", Outcome::Ok),
            Switch::Works(_) | Switch::ShootsBoth(_) => ("fence too slow", Outcome::TimedOut),
            Switch::Lies => ("fence lied", Outcome::Ok),
            Switch::Fails => ("fence failed", failed()),
            Switch::Hangs => ("fence hung", Outcome::TimedOut),
            Switch::ActsAndHangs => ("fence acted, hung", Outcome::TimedOut),
            Switch::Missing => {
                let reason = "no such program".to_owned();
                ("fence missing", Outcome::CouldNotRun { reason })
            }
        };
        self.counts.add("edge", word);
        if let Some(edge) = &mut self.edge {
            if matches!(outcome, Outcome::Ok | Outcome::TimedOut) {
                edge.acted.push((by, generation, now));
            }
            if ending.acts {
                edge.resets.push((now, 1 - by));
            }
        }
        if ending.acts {
            let name = trace::name(1 - by);
            self.trace.line(now, by, format_args!("fence device switches {name} off"));
            self.reset(1 - by);
        }
        if ending.acts && matches!(ending.says, Switch::ShootsBoth(_)) {
            self.reset(by);
        }
        if self.runs(by, generation) {
            self.feed(by, Input::Fenced { attempt, outcome });
        }
    }

    /// Power off, and on again as its service manager will have it.
    fn reset(&mut self, machine: usize) {
        self.power_off(machine);
        if let Some(after) = self.edge.as_ref().and_then(|edge| edge.boots_after) {
            self.plan(after, Coming::Boot { machine });
        }
    }

    /// The witness is asked, and answers at the same moment.
    pub(crate) fn witness(
        &mut self,
        machine: usize,
        generation: u64,
        question: u64,
        acquire: bool,
    ) {
        let now = self.now();
        let lease_ms = self.machines[machine].settings.native.witness.as_ref();
        let length = Duration::from_millis(lease_ms.map_or(0, |witness| witness.lease_ms));
        let Some(edge) = &mut self.edge else { return };
        edge.lease = edge.lease.filter(|(_, until)| *until > now);
        let (word, answer) = if !edge.reaches_witness[machine] {
            let reason = "no route".to_owned();
            ("witness unreachable", WitnessAnswer::Unreachable { reason })
        } else if edge.lease.is_some_and(|(owner, _)| owner != machine) {
            ("witness refused", WitnessAnswer::Refused)
        } else {
            edge.lease = acquire.then_some((machine, now + length));
            let word = if acquire { "witness granted" } else { "witness given back" };
            (word, WitnessAnswer::Granted)
        };
        self.counts.add("edge", word);
        if acquire && self.runs(machine, generation) {
            self.feed(machine, Input::Witness { question, answer });
        }
    }
}
