//! What is promised beside a Heartbeat 3.0.6 node, checked after every event; names are those of the
//! fault list. Only our node is judged. It changes nothing in the world, but for [`tidy`], which is
//! an operator.
//!
//! 3.0.6 forgets what it runs when its daemon dies and is started again, and nothing makes it let go:
//! what an earlier start of it has left running belongs to nobody and is not counted (§15, 6).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_resource::operation::{Action, Outcome};

use super::{Legacy, Pair};
use crate::agents::{Resource, resource_of};
use crate::checker::{Violation, check_order, is_error};
use crate::evidence::Evidence;
use crate::faults::Fault;
use crate::owners::Owners;
use crate::plan::Plan;
use crate::promises::Promises;
use crate::trace;
use crate::world::{Machine, News, UnderWay, World};

/// Problems that are none beside 3.0.6, or that tell of past events.
const TOLERATED: [&str; 4] = ["late_heartbeats", "bad_auth", "core_stalled", "resource_failed"];
/// From a healed partition until 3.0.6 has begun to give everything up: two seconds, the looks at its
/// clock, and the scripts that it has to end before.
const HEALS_WITHIN: Duration = Duration::from_secs(5);
/// A standby that nobody answers is over after that (§7.8).
const DIALOGUE: Duration = Duration::from_secs(10);
/// One that stops half-way is over after that (§7.8).
const STUCK_DIALOGUE: Duration = Duration::from_secs(3_600);
/// From its start to its first acquisition, beside another that starts (§7.4).
const TAKE_TIMER: Duration = Duration::from_secs(11);
/// What people command explains what follows within this time.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// Watches one run of a mixed pair.
#[derive(Clone, Debug)]
pub(crate) struct Promised {
    legacy: usize,
    owners: Owners,
    promises: Promises,
    evidence: Evidence,
    overlap_max: Duration,
    deadtime: Duration,
    prompt: Duration,
    errors_allowed: bool,
    agents_fail: bool,
    /// Faults of the plan that tell our node to leave or to start anew.
    leaves: Vec<Instant>,
    /// When people command something.
    commands: Vec<Instant>,
    /// The start of 3.0.6's daemon that touched a resource last.
    touched: BTreeMap<Resource, u64>,
    talking_since: Option<Instant>,
    prompt_since: Option<Instant>,
    overlap_since: Vec<Option<Instant>>,
    errors_seen: usize,
}

impl Promised {
    /// For a run of `plan`, in which an action takes up to `transition` in all.
    pub(crate) fn new(plan: &Plan, pair: Pair, transition: Duration) -> Self {
        let settings = &plan.settings[1 - pair.legacy];
        let millis = Duration::from_millis;
        let deadtime = millis(settings.timing.deadtime_ms);
        let groups: Vec<String> = settings.groups.iter().map(|group| group.key.clone()).collect();
        let many = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let overlap_max = deadtime * 2 + HEALS_WITHIN + DIALOGUE + transition * many * 2;
        let is_ours = |machine: &usize| *machine != pair.legacy;
        let moments = |wanted: &dyn Fn(&Fault) -> bool| {
            let faults = plan.faults.iter().filter(|(_, fault)| wanted(fault));
            faults.map(|(at, _)| *at).collect()
        };
        Self {
            legacy: pair.legacy,
            overlap_since: vec![None; groups.len()],
            owners: Owners::new(groups),
            promises: Promises::new(plan, overlap_max),
            evidence: Evidence::new(plan),
            overlap_max,
            deadtime,
            prompt: millis(settings.timing.keepalive_ms / 2),
            errors_allowed: plan.partitions || plan.agents_fail,
            agents_fail: plan.agents_fail,
            leaves: moments(&|fault| {
                matches!(fault, Fault::Stop(machine) | Fault::Command(machine, Request::Stop)
                    if is_ours(machine))
            }),
            commands: moments(&|fault| matches!(fault, Fault::Command(..))),
            touched: BTreeMap::new(),
            talking_since: None,
            prompt_since: None,
            errors_seen: 0,
        }
    }

    /// Two owners that can talk are tolerated for so long.
    pub(crate) fn overlap_max(&self) -> Duration {
        self.overlap_max
    }

    /// 3.0.6 needs so much longer than ours to come to rest: it restarts after a partition, waits for
    /// ten seconds whatever the pace, and waits for an hour for a step that will never come.
    pub(crate) fn more_patience(&self, world: &World) -> Duration {
        let stuck = self.model(world).is_some_and(Legacy::is_in_dialogue);
        let usual = self.deadtime * 4 + HEALS_WITHIN + TAKE_TIMER + DIALOGUE * 3;
        if stuck { usual + STUCK_DIALOGUE } else { usual }
    }

    /// A `resource` message that was overtaken by the next one has made 3.0.6 believe that a transition
    /// of ours has not ended: it believes what arrives last, and hears the truth with the next change.
    pub(crate) fn is_misled(&self, world: &World) -> bool {
        self.model(world).is_some_and(Legacy::takes_other_for_unstable)
    }

    fn model<'a>(&self, world: &'a World) -> Option<&'a Legacy> {
        world.machines[self.legacy].daemon.as_ref()?.node.legacy()
    }

    /// To be called after every event; the longest overlap of owners that could talk is noted.
    pub(crate) fn check(
        &mut self,
        world: &mut World,
        overlap_seen: &mut Duration,
    ) -> Result<(), Violation> {
        let understand = self.note_understanding(world);
        self.owners.look(world);
        let mut news = std::mem::take(&mut world.news);
        self.note_touched(&news);
        news.retain(|one| self.is_about_ours(one));
        self.promises.check(world, &self.owners, &news)?;
        self.evidence.check(world, &news)?;
        for one in &news {
            if let News::Begun { machine, run } = one {
                check_order(world, *machine, run)?;
                if understand {
                    self.check_start(world, run)?;
                }
                self.check_kept(world, run)?;
            }
        }
        news.clear();
        world.news = news;
        self.check_owners(world, overlap_seen)?;
        self.check_stays(world)?;
        self.check_errors(world)
    }

    fn is_about_ours(&self, news: &News) -> bool {
        match news {
            News::Begun { machine, .. }
            | News::Ended { machine, .. }
            | News::BadCancel { machine, .. }
            | News::Woke { machine, .. }
            | News::Acted { machine, .. }
            | News::Fence { machine } => *machine != self.legacy,
        }
    }

    /// What 3.0.6 has started or found running is its own.
    fn note_touched(&mut self, news: &[News]) {
        for one in news {
            let (machine, run) = match one {
                News::Begun { machine, run } if run.operation.action == Action::Start => {
                    (machine, run)
                }
                News::Ended { machine, run, outcome: Outcome::Ok }
                    if run.operation.action == Action::Status =>
                {
                    (machine, run)
                }
                News::Begun { .. }
                | News::Ended { .. }
                | News::BadCancel { .. }
                | News::Woke { .. }
                | News::Acted { .. }
                | News::Fence { .. } => continue,
            };
            if *machine == self.legacy {
                self.touched.insert(resource_of(&run.operation), run.generation);
            }
        }
    }

    /// Whether the 3.0.6 daemon that runs has any of the group running.
    fn legacy_runs(&self, world: &World, group: &str) -> bool {
        let machine = &world.machines[self.legacy];
        let own = |(of, text): &Resource| of == group && machine.agents.runs(group, text);
        machine.daemon.is_some()
            && self
                .touched
                .iter()
                .any(|(resource, generation)| *generation == machine.generation && own(resource))
    }

    /// As between two of ours: for two deadtimes everything arrived in time.
    fn note_understanding(&mut self, world: &World) -> bool {
        let awake = world.machines.iter().all(Machine::is_awake);
        if !awake || !world.network.is_prompt(self.prompt) {
            self.prompt_since = None;
            return false;
        }
        let since = *self.prompt_since.get_or_insert(world.now());
        world.now() - since >= self.deadtime * 2
    }

    /// S1: two owners that can talk do not last.
    fn check_owners(
        &mut self,
        world: &World,
        overlap_seen: &mut Duration,
    ) -> Result<(), Violation> {
        let now = world.now();
        let awake = world.machines.iter().all(Machine::is_awake);
        if !awake || !world.network.connects() {
            self.talking_since = None;
        } else if self.talking_since.is_none() {
            self.talking_since = Some(now);
        }
        if !self.owners.any_both() {
            self.overlap_since.fill(None);
            return Ok(());
        }
        for index in 0..self.overlap_since.len() {
            let group = self.owners.groups()[index].clone();
            if !self.owners.both(index) || !self.legacy_runs(world, &group) {
                self.overlap_since[index] = None;
                continue;
            }
            let since = *self.overlap_since[index].get_or_insert(now);
            let Some(talking) = self.talking_since else { continue };
            let lasted = now - since.max(talking);
            *overlap_seen = lasted.max(*overlap_seen);
            if lasted > self.overlap_max {
                let text = format!("group {group} runs on both nodes for {lasted:?}");
                return fail(world, "S1 one owner", text);
            }
        }
        Ok(())
    }

    /// S2, while they understand each other: ours does not start what 3.0.6 runs and has not lost.
    fn check_start(&self, world: &World, run: &UnderWay) -> Result<(), Violation> {
        let group = &run.operation.group;
        if run.operation.action != Action::Start || !self.legacy_runs(world, group) {
            return Ok(());
        }
        let ours = 1 - self.legacy;
        let Some(status) = world.status(ours) else { return Ok(()) };
        let here = status.groups.iter().find(|shown| shown.key == *group);
        let partly = here.is_some_and(|shown| {
            shown.resources.iter().any(|resource| resource.state == "running")
        });
        let dead = status.peer.is_none_or(|peer| peer.status == "dead");
        // What died here in the meantime is started again: ours keeps what the other gives up, or is
        // asked for after a while.
        let gives_up = self.model(world).is_some_and(Legacy::is_restarting);
        let again = here.is_some_and(|shown| shown.reason.contains("restarting here"));
        // An acquisition that began while it counted as dead goes on when the last stop has ended: S1
        // bounds how long both serve.
        let begun = here.is_some_and(|shown| shown.reason.ends_with(" is dead"));
        if dead || partly || gives_up || again || begun {
            return Ok(());
        }
        let text = format!(
            "{} starts {} while {} runs parts of {group}",
            trace::name(ours),
            run.operation.resource.text,
            trace::name(self.legacy)
        );
        fail(world, "S2 released before started", text)
    }

    /// §7.12, 11: while 3.0.6 gives everything up after a partition, ours keeps what it serves.
    fn check_kept(&self, world: &World, run: &UnderWay) -> Result<(), Violation> {
        let gives_up = self.model(world).is_some_and(Legacy::is_restarting);
        let now = world.now();
        let told =
            |moments: &[Instant]| moments.iter().any(|at| *at <= now && now - *at < COMMAND_MAX);
        let explained = self.agents_fail || told(&self.commands) || told(&self.leaves);
        if run.operation.action != Action::Stop || !gives_up || explained {
            return Ok(());
        }
        let ours = trace::name(1 - self.legacy);
        let text = format!("{ours} stops {} beside a partition's end", run.operation.resource.text);
        fail(world, "S7 keeps at a heal", text)
    }

    /// Ours leaves only when it is told to.
    fn check_stays(&self, world: &World) -> Result<(), Violation> {
        let ours = &world.machines[1 - self.legacy];
        let told = self.leaves.iter().any(|at| *at <= world.now());
        match ours.exit {
            Some(code) if code != 0 || !told => {
                let text = format!("{} leaves with {code}", trace::name(1 - self.legacy));
                fail(world, "never restarts", text)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Nobody is woken for nothing.
    fn check_errors(&mut self, world: &World) -> Result<(), Violation> {
        let logs = &world.machines[1 - self.legacy].logs;
        let seen = std::mem::replace(&mut self.errors_seen, logs.len());
        // A node that was never switched on is worth a page.
        if self.errors_allowed || world.machines[self.legacy].generation == 0 {
            return Ok(());
        }
        match logs[seen.min(logs.len())..].iter().find(|line| is_error(line)) {
            None => Ok(()),
            Some(line) => {
                let text = format!("{} logs an error: {}", trace::name(1 - self.legacy), line.text);
                fail(world, "no error", text)
            }
        }
    }

    /// L1 and H1 at the end of a run: each group runs whole on exactly one node, ours knows it and
    /// has nothing to complain about, and both have come to rest.
    pub(crate) fn check_end(&self, world: &World) -> Result<(), Violation> {
        let ours = 1 - self.legacy;
        let Some(status) = world.status(ours) else {
            return fail(world, "L1 up", format!("{} does not run", trace::name(ours)));
        };
        for group in self.owners.groups() {
            let owners: Vec<usize> = (0..2)
                .filter(|machine| world.machines[*machine].agents.runs_any_of(group))
                .collect();
            let &[owner] = owners.as_slice() else {
                let names: Vec<String> = owners.iter().map(|owner| trace::name(*owner)).collect();
                return fail(world, "L1 one owner", format!("group {group} runs on {names:?}"));
            };
            if !world.machines[owner].serves(group) {
                return fail(world, "L1 whole", format!("group {group} runs only in part"));
            }
            let shown = status.groups.iter().find(|shown| shown.key == *group);
            let on = shown.and_then(|shown| shown.active_on.clone());
            if on.as_deref() != Some(trace::name(owner).as_str()) {
                let who = trace::name(ours);
                return fail(world, "H1 honest", format!("{who} says that {group} is on {on:?}"));
            }
        }
        let others: Vec<&str> = status.problems.iter().map(|problem| problem.id.as_str()).collect();
        let others: BTreeSet<&str> =
            others.into_iter().filter(|id| !TOLERATED.contains(id)).collect();
        let settled = status.peer.as_ref().is_some_and(|peer| peer.stable == Some(true))
            && status.this_node.status == "active"
            && status.this_node.rscstatus != "transition";
        let rests = self.model(world).is_some_and(Legacy::is_settled);
        if !others.is_empty() || !settled || !rests {
            let text = format!("ours settled: {settled}, 3.0.6: {rests}, problems {others:?}");
            return fail(world, "L1 healthy", text);
        }
        Ok(())
    }

    /// What an operator does after a 3.0.6 daemon was killed: what it left running, and the one that
    /// runs does not know of, is stopped by hand.
    pub(crate) fn tidy(&self, world: &mut World) {
        let machine = &mut world.machines[self.legacy];
        for group in self.owners.groups() {
            let spec = machine.settings.groups.iter().find(|spec| spec.key == *group);
            let texts = spec.into_iter().flat_map(|spec| &spec.resources);
            let texts: Vec<String> = texts.map(|resource| resource.text.clone()).collect();
            for text in texts {
                let known = self.touched.get(&(group.clone(), text.clone()));
                if known != Some(&machine.generation) && machine.agents.runs(group, &text) {
                    machine.agents.remove(group, &text);
                    world.counts.add("edge", "3.0.6: left running, stopped by hand");
                }
            }
        }
    }
}

fn fail(world: &World, property: &'static str, text: String) -> Result<(), Violation> {
    Err(Violation { at: world.now(), property, text })
}
