//! Properties of what a node acts on and of what it says, checked after every event beside those
//! of `checker` and `promises`: S4, S5, S7, L3, H1, H2. Names are those of the fault list. It
//! changes nothing in the world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::api::{HistoryEntry, StatusSnapshot};
use hb_node::effect::LogEvent;
use hb_resource::input::GroupClaim;
use hb_resource::operation::{Action, Outcome};

use crate::agents::Checks;
use crate::checker::Violation;
use crate::plan::Plan;
use crate::trace;
use crate::world::{Machine, News, UnderWay, World};

/// A node that woke waits so many keepalives for the peer's word.
const PATIENCE_KEEPALIVES: u32 = 2;
/// A label counts whole milliseconds.
const LABEL_SLACK_MS: u64 = 2;
/// Acquisitions of one group that nobody need have caused: its start, and a way home.
const MOVES_FREE: u64 = 6;
/// Acquisitions of one group for each fault or command: there, back, and home.
const MOVES_EACH: u64 = 4;

/// Watches one run.
#[derive(Clone, Debug)]
pub struct Evidence {
    keepalive: Duration,
    deadtime: Duration,
    retry: Duration,
    /// What checks say is not always true.
    misled: bool,
    /// Machines that woke, until they have fresh evidence: when.
    woke: [Option<Instant>; 2],
    /// Groups of which this start of a daemon has begun or found something: machine, generation.
    touched: BTreeSet<(usize, u64, String)>,
    /// Lines and moves seen so far, and the start of the daemon that wrote the last ones.
    seen: [Seen; 2],
    /// The last state of each group that a line told of.
    told: BTreeMap<(usize, String), String>,
    moves: BTreeMap<String, u64>,
    /// When status is looked at again.
    looks_again: Instant,
    looks_every: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    lines: usize,
    moves: usize,
    generation: u64,
}

impl Evidence {
    /// For a run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let timing = plan.settings[0].timing;
        let deadtime = Duration::from_millis(timing.deadtime_ms);
        let native = &plan.settings[0].native;
        let retry = native.recovery.retry_ms.min(native.monitor.interval_ms * 2).max(1);
        Self {
            keepalive: Duration::from_millis(timing.keepalive_ms),
            deadtime,
            retry: Duration::from_millis(retry),
            misled: plan.beyond.checks || plan.swarm.lies,
            woke: [None; 2],
            touched: BTreeSet::new(),
            seen: [Seen::default(); 2],
            told: BTreeMap::new(),
            moves: BTreeMap::new(),
            looks_again: Instant::ZERO,
            looks_every: deadtime * 3,
        }
    }

    /// To be called after every event, with what agents did.
    pub fn check(&mut self, world: &World, news: &[News]) -> Result<(), Violation> {
        self.check_lines(world)?;
        self.check_moves(world)?;
        for one in news {
            match one {
                News::Acted { machine, stray, did } => {
                    let text = format!("{} on {stray:?}: {did}", trace::name(*machine));
                    return fail(world, "S4 no action on strays", text);
                }
                News::Woke { machine, slept } => self.note_waking(world, *machine, *slept),
                News::Begun { machine, run } => {
                    self.check_fresh(world, *machine, run)?;
                    self.check_own(world, *machine, run)?;
                }
                News::Ended { machine, run, outcome } => {
                    if run.operation.action == Action::Status && *outcome != Outcome::NotRunning {
                        self.touch(*machine, run);
                    }
                }
                News::BadCancel { .. } | News::Fence { .. } => {}
            }
        }
        if world.now() >= self.looks_again {
            self.looks_again = world.now() + self.looks_every;
            self.check_status(world)?;
        }
        Ok(())
    }

    fn touch(&mut self, machine: usize, run: &UnderWay) {
        let group = run.operation.group.clone();
        self.touched.insert((machine, run.generation, group));
    }

    /// The peer has gone on without a node that stood still for longer than its dead time.
    fn note_waking(&mut self, world: &World, machine: usize, slept: Duration) {
        if slept >= self.deadtime + self.keepalive {
            self.woke[machine] = Some(world.now());
        }
    }

    /// S5: until it has heard something that was said after it woke, or has waited for it, a node
    /// that slept through its own death starts nothing and announces nothing.
    fn check_fresh(
        &mut self,
        world: &World,
        machine: usize,
        run: &UnderWay,
    ) -> Result<(), Violation> {
        let Some(since) = self.woke[machine] else { return Ok(()) };
        let this = &world.machines[machine];
        let fresh = this.heard.is_some_and(|(sent, _)| sent >= since);
        // Its clock may run a little fast.
        let patience = self.keepalive * PATIENCE_KEEPALIVES * 99 / 100;
        if fresh || world.now() - since >= patience || !this.is_awake() {
            self.woke[machine] = None;
            return Ok(());
        }
        match run.operation.action {
            Action::Stop | Action::Status | Action::Validate => Ok(()),
            Action::Start | Action::Announce => {
                let text = format!(
                    "{} woke {:?} ago and begins {} of {}",
                    trace::name(machine),
                    world.now() - since,
                    run.operation.action.word(),
                    run.operation.resource.text
                );
                fail(world, "S5 fresh evidence", text)
            }
        }
    }

    /// S7: a group is stopped only by a daemon that has started it or found it running.
    fn check_own(
        &mut self,
        world: &World,
        machine: usize,
        run: &UnderWay,
    ) -> Result<(), Violation> {
        match run.operation.action {
            Action::Start => self.touch(machine, run),
            Action::Stop => {
                let group = &run.operation.group;
                // What an earlier daemon has started is its own, too.
                let left = world.machines[machine].left.iter().any(|(of, _)| of == group);
                if !left && !self.touched.contains(&(machine, run.generation, group.clone())) {
                    let text = format!(
                        "{} stops {} of {group}, which it has neither started nor found",
                        trace::name(machine),
                        run.operation.resource.text
                    );
                    return fail(world, "S7 only its own", text);
                }
            }
            Action::Status | Action::Announce | Action::Validate => {}
        }
        Ok(())
    }

    /// H2: each transition of a group is told once, with its cause: the lines form a chain.
    fn check_lines(&mut self, world: &World) -> Result<(), Violation> {
        for (machine, this) in world.machines.iter().enumerate() {
            let seen = &mut self.seen[machine];
            if seen.generation != this.generation {
                seen.generation = this.generation;
                self.told.retain(|(of, _), _| *of != machine);
            }
            let begin = std::mem::replace(&mut seen.lines, this.logs.len());
            for line in &this.logs[begin.min(this.logs.len())..] {
                self.check_line(world, machine, line)?;
            }
        }
        Ok(())
    }

    fn check_line(
        &mut self,
        world: &World,
        machine: usize,
        line: &LogEvent,
    ) -> Result<(), Violation> {
        if line.event != "group_changed" {
            return Ok(());
        }
        let value = |name: &str| {
            let field = line.fields.iter().find(|(field, _)| field == name);
            field.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let (group, from, to, cause) = (value("group"), value("from"), value("to"), value("cause"));
        let who = trace::name(machine);
        if cause.is_empty() {
            return fail(world, "H2 one cause", format!("{who}: {} has no cause", line.text));
        }
        let before = self.told.insert((machine, group.to_owned()), to.to_owned());
        match before {
            Some(before) if before != from => {
                let text = format!("{who} left {group} {before}, and then: {}", line.text);
                fail(world, "H2 every transition", text)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// L3: groups do not wander: each move has something that may have caused it, or a retry.
    fn check_moves(&mut self, world: &World) -> Result<(), Violation> {
        for (machine, this) in world.machines.iter().enumerate() {
            let begin = std::mem::replace(&mut self.seen[machine].moves, this.history.len());
            let new = &this.history[begin.min(this.history.len())..];
            let is_new = |entry: &&HistoryEntry| entry.is_move() && !entry.amends;
            for entry in new.iter().filter(is_new).filter(|entry| entry.what == "acquired") {
                let moves = self.moves.entry(entry.group.clone()).or_default();
                *moves += 1;
                let elapsed = (world.now() - Instant::ZERO).as_millis() / self.retry.as_millis();
                let retries = u64::try_from(elapsed).unwrap_or(u64::MAX);
                let limit = MOVES_FREE + world.faults_struck * MOVES_EACH + retries;
                if *moves > limit {
                    let text = format!("{} was acquired {moves} times", entry.group);
                    return fail(world, "L3 moves", text);
                }
            }
        }
        Ok(())
    }

    /// H1: what status shows is true, or is older than it says nowhere.
    fn check_status(&self, world: &World) -> Result<(), Violation> {
        for machine in 0..2 {
            if !world.machines[machine].is_awake() {
                continue;
            }
            let Some(status) = world.status(machine) else { continue };
            check_age(world, machine, &status)?;
            self.check_shown(world, machine, &status)?;
        }
        Ok(())
    }

    fn check_shown(
        &self,
        world: &World,
        machine: usize,
        status: &StatusSnapshot,
    ) -> Result<(), Violation> {
        let this = &world.machines[machine];
        let who = trace::name(machine);
        let peer_dead = status.peer.as_ref().is_some_and(|peer| peer.status == "dead");
        for group in &status.groups {
            let key = (machine, group.key.clone());
            if let Some(told) = self.told.get(&key)
                && told != group.here.word()
            {
                let text = format!("{who} shows {} {}, told {told}", group.key, group.here.word());
                return fail(world, "H2 no silent transition", text);
            }
            if peer_dead && group.active_on.as_deref() == Some(&trace::name(1 - machine)) {
                let text = format!("{who} shows {} on a node that it holds for dead", group.key);
                return fail(world, "H1 unknown is unknown", text);
            }
            // In maintenance what is gone is told as a problem, and its state stays what it was.
            let hands_off = status.maintenance.is_some();
            if self.misled || hands_off || group.here != GroupClaim::Held {
                continue;
            }
            if let Some(text) = shown_and_not_running(this, group) {
                let text = format!("{who} shows {text} of {} as running", group.key);
                return fail(world, "H1 shows what runs", text);
            }
        }
        Ok(())
    }
}

fn shown_and_not_running(this: &Machine, group: &hb_node::api::GroupStatus) -> Option<String> {
    let shown = group.resources.iter();
    let shown = shown.filter(|one| one.state == "running" && one.under_way.is_none());
    // A script whose status has never said that it runs is not believed when it says that it does not.
    let believed = |text: &str| {
        this.agents.is_proved(&group.key, text) || text.parse::<std::net::IpAddr>().is_ok()
    };
    let honest = |text: &str| this.agents.habits_of(text).checks == Checks::Honest;
    let mut shown = shown.filter(|one| honest(&one.text) && believed(&one.text));
    let missing = shown.find(|one| !this.agents.seems_to_run(&group.key, &one.text));
    missing.map(|one| one.text.clone())
}

/// H1: the age of what the peer said is not less than the time since anything of it came.
fn check_age(world: &World, machine: usize, status: &StatusSnapshot) -> Result<(), Violation> {
    let label = status.peer.as_ref().and_then(|peer| peer.heard_ms_ago);
    let (Some(label), Some((_, at))) = (label, world.machines[machine].heard) else {
        return Ok(());
    };
    // By its own clock: it does not count while the machine sleeps.
    let clock = &world.machines[machine].clock;
    let truth = (clock.local(world.now()) - at).as_millis();
    let truth = u64::try_from(truth).unwrap_or(u64::MAX);
    if label + LABEL_SLACK_MS >= truth {
        return Ok(());
    }
    let text = format!("{} heard the peer {truth} ms ago and says {label}", trace::name(machine));
    fail(world, "H1 age", text)
}

fn fail(world: &World, property: &'static str, text: String) -> Result<(), Violation> {
    Err(Violation { at: world.now(), property, text })
}

#[cfg(test)]
mod tests;
