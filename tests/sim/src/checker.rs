//! Properties of a run, checked after every event. Names are those of the fault list: S1 to S3 for
//! safety, L1 for liveness, H1 for honesty. It changes nothing in the world.

use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::BuiltIn;
use hb_messaging::time::Instant;
use hb_node::effect::LogEvent;
use hb_resource::input::GroupClaim;
use hb_resource::operation::{Action, Operation};

use crate::evidence::Evidence;
use crate::legacy::Promised;
use crate::owners::Owners;
use crate::plan::Plan;
use crate::promises::Promises;
use crate::trace;
use crate::world::{Machine, News, UnderWay, World};

/// Problems that tell of past events, shown for a while.
const PAST: [&str; 4] = ["late_heartbeats", "bad_auth", "core_stalled", "resource_failed"];

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// Which property.
    pub property: &'static str,
    /// What was seen.
    pub text: String,
}

/// Watches one run.
#[derive(Clone, Debug)]
pub struct Checker {
    owners: Owners,
    /// Two owners that can talk for longer than this violate S1.
    pub overlap_max: Duration,
    /// How long after the last fault everything must be as it should be.
    pub converge_max: Duration,
    /// Between two looks at whether everything is as it should be.
    pub looks_every: Duration,
    /// Nothing is checked after each event; whether everything has come to rest is seen all the same.
    /// Beside 3.0.6 that depends on what was seen, so there it looks.
    pub looks_away: bool,
    /// Whether error lines may be logged.
    errors_allowed: bool,
    /// Every datagram arrives within this time while the nodes understand each other.
    prompt: Duration,
    deadtime: Duration,
    prompt_since: Option<Instant>,
    talking_since: Option<Instant>,
    /// In which directions packets passed last.
    passes: [bool; 2],
    /// For each group, since when both machines have it.
    overlap_since: Vec<Option<Instant>>,
    /// The longest overlap of owners that could talk, for the summary.
    pub overlap_seen: Duration,
    errors_seen: [usize; 2],
    promises: Promises,
    evidence: Evidence,
    /// What is promised beside 3.0.6, in place of everything else.
    mixed: Option<Promised>,
}

/// Being watched, restarted, tried again after a pause and being found ready again come one after
/// the other; so does what a power switch still does when faults have ceased.
fn beyond_max(plan: &Plan) -> Duration {
    let native = &plan.settings[0].native;
    let watched = (native.monitor.interval_ms + native.operations.status_timeout_ms) * 3;
    let ready = native.monitor.ready_interval_ms * 2;
    let edge = plan.beyond.edge.as_ref();
    let boots = edge.and_then(|edge| edge.boots_after).unwrap_or_default();
    let switches = edge.map_or(Duration::ZERO, |_| Duration::from_secs(10));
    Duration::from_millis(watched + ready + native.recovery.retry_ms * 2) + boots + switches
}

impl Checker {
    /// For a run of `plan`.
    ///
    /// Bounds. Noticing each other takes a deadtime at most (a heartbeat and lost datagrams asked
    /// for again); one node then stops every member of its groups one after the other, and an agent
    /// that hangs or fails uses up its limit with every repeat. A start under way is ended before.
    /// Converging adds the longest start-up and the delay before a failed group is offered, twice:
    /// there and back.
    pub fn new(plan: &Plan) -> Self {
        let settings = &plan.settings[0];
        let (operations, failure) = (settings.native.operations, settings.native.failure);
        let members = settings.groups.iter().map(|group| group.resources.len()).max().unwrap_or(1);
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let mut stop = plan.slowest;
        if plan.agents_fail {
            let tries = failure.stop_retries_max + 2;
            let limit = operations.start_timeout_ms.max(operations.stop_timeout_ms);
            stop = Duration::from_millis(limit + failure.stop_retry_delay_ms) * tries;
        }
        let deadtime = Duration::from_millis(settings.timing.deadtime_ms);
        let initdead = Duration::from_millis(settings.timing.initdead_ms);
        let transition = stop * members * 2 + Duration::from_millis(500);
        let offer = Duration::from_millis(failure.offer_delay_ms);
        let beyond = match plan.beyond.any {
            true => beyond_max(plan),
            false => Duration::ZERO,
        };
        // Until one node takes the other for dead, says so with its next heartbeat, and the other, which
        // is not heard, has waited as long.
        let keepalive = Duration::from_millis(settings.timing.keepalive_ms);
        let overlap_max = deadtime * 2 + keepalive * 2 + transition;
        let patience = deadtime.max(Duration::from_secs(12));
        let mixed = plan.pair.map(|pair| Promised::new(plan, pair, transition));
        let overlap_max = mixed.as_ref().map_or(overlap_max, Promised::overlap_max);
        Self {
            mixed,
            overlap_since: vec![None; settings.groups.len()],
            owners: Owners::new(settings.groups.iter().map(|group| group.key.clone()).collect()),
            overlap_max,
            converge_max: initdead * 2 + patience * 3 + (transition + offer) * 3 + beyond,
            looks_every: match plan.swarm.slow {
                true => Duration::from_millis(settings.timing.keepalive_ms / 2),
                false => Duration::from_millis(100),
            },
            looks_away: false,
            promises: Promises::new(plan, overlap_max),
            evidence: Evidence::new(plan),
            errors_allowed: plan.agents_fail || plan.partitions,
            prompt: Duration::from_millis(settings.timing.keepalive_ms / 2),
            deadtime,
            prompt_since: None,
            talking_since: None,
            passes: [false; 2],
            overlap_seen: Duration::ZERO,
            errors_seen: [0; 2],
        }
    }

    /// To be called after every event of the world.
    pub fn check(&mut self, world: &mut World) -> Result<(), Violation> {
        if let Some(mixed) = &mut self.mixed {
            return mixed.check(world, &mut self.overlap_seen);
        }
        if self.looks_away {
            world.news.clear();
            return Ok(());
        }
        let understand = self.note_understanding(world);
        self.owners.look(world);
        let mut news = std::mem::take(&mut world.news);
        self.promises.check(world, &self.owners, &news)?;
        self.evidence.check(world, &news)?;
        for one in &news {
            if let News::Begun { machine, run } = one {
                check_order(world, *machine, run)?;
                if understand {
                    check_start(world, *machine, run)?;
                }
            }
        }
        news.clear();
        world.news = news;
        self.check_owners(world)?;
        self.check_errors(world)
    }

    /// Whether what the nodes know of each other is fresh: for two deadtimes both were awake and
    /// everything arrived in time. Before that, one may think the other dead unnoticed, or the
    /// last word of the other may still be under way.
    fn note_understanding(&mut self, world: &World) -> bool {
        let awake = world.machines.iter().all(Machine::is_awake);
        if !awake || world.keys_apart || !world.network.is_prompt(self.prompt) {
            self.prompt_since = None;
            return false;
        }
        let since = *self.prompt_since.get_or_insert(world.now());
        world.now() - since >= self.deadtime * 2
    }

    /// S1: never two owners, while packets pass in at least one direction, for longer than the bound:
    /// whoever hears can let go. The bound begins anew when the direction changes.
    fn check_owners(&mut self, world: &World) -> Result<(), Violation> {
        let now = world.now();
        let passes = world.network.passes();
        let talks = passes.contains(&true)
            && !world.keys_apart
            && world.machines.iter().all(Machine::is_awake);
        if std::mem::replace(&mut self.passes, passes) != passes {
            self.talking_since = None;
        }
        if !talks || self.promises.is_in_maintenance() {
            // Hands off: what both run stays on both.
            self.talking_since = None;
        } else if self.talking_since.is_none() {
            self.talking_since = Some(now);
        }
        if !self.owners.any_both() {
            self.overlap_since.fill(None);
            return Ok(());
        }
        for (index, group) in self.owners.groups().iter().enumerate() {
            if !self.owners.both(index) {
                self.overlap_since[index] = None;
                continue;
            }
            let since = *self.overlap_since[index].get_or_insert(now);
            let Some(talking) = self.talking_since else { continue };
            let lasted = now - since.max(talking);
            self.overlap_seen = self.overlap_seen.max(lasted);
            if lasted > self.overlap_max {
                let text = format!("group {group} runs on both nodes for {lasted:?}");
                return Err(Violation { at: now, property: "S1 one owner", text });
            }
        }
        Ok(())
    }

    /// Nobody is woken for nothing.
    fn check_errors(&mut self, world: &World) -> Result<(), Violation> {
        for (machine, seen) in self.errors_seen.iter_mut().enumerate() {
            let logs = &world.machines[machine].logs;
            let new = &logs[(*seen).min(logs.len())..];
            *seen = logs.len();
            if self.errors_allowed || new.is_empty() {
                continue;
            }
            // A node that was never switched on is worth a page.
            let alone = world.machines[1 - machine].generation == 0;
            let is_error = |line: &&_| is_error(line) && !alone;
            if let Some(line) = new.iter().find(is_error) {
                let text = format!("{} logs an error: {}", trace::name(machine), line.text);
                return Err(Violation { at: world.now(), property: "no error", text });
            }
        }
        Ok(())
    }

    /// L1 and H1, at the end of a run: each group runs on exactly one node, whole; both nodes know
    /// it, agree, and find nothing wrong.
    pub fn check_end(&self, world: &World) -> Result<(), Violation> {
        if let Some(mixed) = &self.mixed {
            return mixed.check_end(world);
        }
        let fail = |property, text| Err(Violation { at: world.now(), property, text });
        let status = [world.status(0), world.status(1)];
        for group in self.owners.groups() {
            let owners: Vec<usize> = (0..2)
                .filter(|machine| world.machines[*machine].agents.runs_any_of(group))
                .collect();
            let &[owner] = owners.as_slice() else {
                let names: Vec<String> = owners.iter().map(|owner| trace::name(*owner)).collect();
                return fail("L1 one owner", format!("group {group} runs on {names:?}"));
            };
            if !world.machines[owner].serves(group) {
                return fail("L1 whole", format!("group {group} runs only in part"));
            }
            for machine in 0..2 {
                let Some(status) = &status[machine] else {
                    return fail("L1 up", format!("{} does not run", trace::name(machine)));
                };
                let shown = status.groups.iter().find(|shown| shown.key == *group);
                let on = shown.and_then(|shown| shown.active_on.clone());
                if on.as_deref() != Some(trace::name(owner).as_str()) {
                    let who = trace::name(machine);
                    return fail("H1 honest", format!("{who} says that {group} is on {on:?}"));
                }
            }
        }
        for machine in 0..2 {
            let Some(status) = &status[machine] else { continue };
            let peer_settled = status.peer.as_ref().is_some_and(|peer| peer.stable == Some(true));
            let this = &status.this_node;
            let settled = this.status == "active" && this.rscstatus != "transition" && peer_settled;
            let others: Vec<&str> = status
                .problems
                .iter()
                .map(|problem| problem.id.as_str())
                .filter(|id| !PAST.contains(id))
                .collect();
            if !others.is_empty() || !settled {
                let who = trace::name(machine);
                let state = if settled { "settled" } else { "unsettled" };
                let text = format!("{who} is {state}, {:?} with {others:?}", status.verdict);
                return fail("L1 healthy", text);
            }
        }
        Ok(())
    }

    /// How much longer than `converge_max` it may take, as things stand.
    pub(crate) fn more_patience(&self, world: &World) -> Duration {
        self.mixed.as_ref().map_or(Duration::ZERO, |mixed| mixed.more_patience(world))
    }

    /// Whether a 3.0.6 node refuses whatever is asked of it.
    pub(crate) fn is_refused(&self, world: &World) -> bool {
        self.mixed.as_ref().is_some_and(|mixed| mixed.is_misled(world))
    }

    /// Faults have ceased: operators put right what no node can.
    pub(crate) fn tidy(&self, world: &mut World) {
        if let Some(mixed) = &self.mixed {
            mixed.tidy(world);
        }
    }

    /// Whether everything is as it should be. Status is dear: what agents did is looked at first.
    pub fn has_converged(&self, world: &World) -> bool {
        let served = |group: &String| {
            let runs = world.machines.each_ref().map(|machine| machine.agents.runs_any_of(group));
            runs[0] != runs[1]
        };
        self.owners.groups().iter().all(served) && self.check_end(world).is_ok()
    }
}

pub(crate) fn is_error(line: &LogEvent) -> bool {
    // Two owners after a partition are what this world is about; how long they last is S1.
    line.level == hb_node::effect::Level::Error && line.event != "split"
}

/// S2, while the nodes understand each other: a group is not started while the peer, not declared dead, may still run parts of it.
fn check_start(world: &World, machine: usize, run: &UnderWay) -> Result<(), Violation> {
    let group = &run.operation.group;
    let other = &world.machines[1 - machine];
    if run.operation.action != Action::Start || !other.agents.runs_any_of(group) {
        return Ok(());
    }
    if other.agents.warm.contains(&run.operation.resource.text) {
        return Ok(());
    }
    let Some(status) = world.status(machine) else { return Ok(()) };
    // A group that runs here in part is an acquisition that began when it was allowed, or one
    // that is adopted: S1 bounds how long it may go on.
    let here = status.groups.iter().find(|shown| shown.key == *group);
    let partly = here.is_some_and(|shown| {
        let running = shown.resources.iter().filter(|resource| resource.state == "running");
        running.count() > 0
    });
    let dead = status.peer.is_none_or(|peer| peer.status == "dead");
    // Of a node that its fence device has lied about nothing is believed.
    let distrusted = || world.machines[machine].logs.iter().any(is_distrust);
    if dead || partly || distrusted() {
        return Ok(());
    }
    let text = format!(
        "{} starts {} while {} runs parts of {group}",
        trace::name(machine),
        run.operation.resource.text,
        trace::name(1 - machine)
    );
    Err(Violation { at: world.now(), property: "S2 released before started", text })
}

/// A node that a fence device claimed to have switched off is not trusted before it restarts.
fn is_distrust(line: &LogEvent) -> bool {
    line.text.contains("until it has restarted")
}

/// S3: inside a group starts go left to right, stops right to left, one at a time. The loser of a
/// conflict takes its addresses from the network before that, beside whatever is under way.
pub(crate) fn check_order(
    world: &World,
    machine: usize,
    run: &Arc<UnderWay>,
) -> Result<(), Violation> {
    let this = &world.machines[machine];
    let UnderWay { operation, generation } = run.as_ref();
    let warm = |operation: &Operation| this.agents.warm.contains(&operation.resource.text);
    let changes = |operation: &Operation| {
        matches!(operation.action, Action::Start | Action::Stop) && !warm(operation)
    };
    if !changes(operation) {
        return Ok(());
    }
    let group = &operation.group;
    if operation.action == Action::Stop && is_address(operation) && loses(world, machine, group) {
        return Ok(());
    }
    let fail = |text| Err(Violation { at: world.now(), property: "S3 order", text });
    let others: Vec<&Arc<UnderWay>> = this
        .under_way
        .iter()
        .filter(|other| {
            let silenced = other.operation.action == Action::Stop && is_address(&other.operation);
            let silenced = silenced && loses(world, machine, group);
            let same = other.operation.group == *group && !Arc::ptr_eq(other, run);
            same && changes(&other.operation) && !silenced
        })
        .collect();
    if others.iter().any(|other| other.generation != *generation) {
        // An agent of a daemon that was killed still runs: nobody can know.
        return Ok(());
    }
    if let Some(other) = others.first() {
        return fail(format!(
            "{} begins {} {} while {} {} runs",
            trace::name(machine),
            operation.resource.text,
            operation.action.word(),
            other.operation.resource.text,
            other.operation.action.word()
        ));
    }
    let Some(spec) = this.settings.groups.iter().find(|spec| spec.key == *group) else {
        return Ok(());
    };
    let index = spec.resources.iter().position(|resource| *resource == operation.resource);
    let Some(index) = index else { return Ok(()) };
    let text = |at: usize| &spec.resources[at].text;
    // What died a moment ago has not been noticed.
    let runs = |at: usize| this.agents.seems_to_run(group, text(at));
    // An address that went away is put back alone; nothing else is started beside what runs.
    let stays =
        |at: usize| this.agents.runs(group, text(at)) && !this.agents.warm.contains(text(at));
    let wrong = match operation.action {
        Action::Start => (0..index).find(|at| !runs(*at)),
        Action::Stop => (index + 1..spec.resources.len()).find(|at| stays(*at)),
        Action::Status | Action::Announce | Action::Validate => None,
    };
    match wrong {
        None => Ok(()),
        Some(at) => fail(format!(
            "{} begins {} {} although {} {}",
            trace::name(machine),
            operation.resource.text,
            operation.action.word(),
            spec.resources[at].text,
            if operation.action == Action::Start { "does not run" } else { "still runs" }
        )),
    }
}

fn is_address(operation: &Operation) -> bool {
    matches!(operation.resource.built_in, Some(BuiltIn::Address(_)))
}

/// Whether the daemon of `machine` releases the group because the other one has it and keeps it.
fn loses(world: &World, machine: usize, group: &str) -> bool {
    let lines = world.machines[machine].logs.iter().rev();
    let changes =
        lines.filter(|line| line.event == "group_changed" && line.field("group") == Some(group));
    // One event may lead to another change before anybody looks.
    changes.take(2).any(|line| line.field("cause") == Some("conflict"))
}

/// Whether a node of the world says that a group is blocked.
pub fn is_blocked_somewhere(world: &World, group: &str) -> bool {
    (0..2).filter_map(|machine| world.status(machine)).any(|status| {
        let shown = status.groups.iter().find(|shown| shown.key == group);
        shown.is_some_and(|shown| shown.here == GroupClaim::Blocked)
    })
}

#[cfg(test)]
mod tests;
