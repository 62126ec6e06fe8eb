//! Properties of watching, fencing, the witness and maintenance, checked after every event beside
//! those of `checker`. Names are those of the fault list. It changes nothing in the world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::input::GroupClaim;
use hb_resource::manager::{Maintenance, Phase};
use hb_resource::operation::Action;

use crate::agents::Resource;
use crate::checker::Violation;
use crate::owners::Owners;
use crate::plan::Plan;
use crate::trace;
use crate::world::{Machine, News, UnderWay, World};

/// Nothing that is due takes longer than this to be begun.
const SLACK: Duration = Duration::from_secs(1);
/// How long a lost question to the witness is waited for, beyond its limit.
const WITNESS_GRACE: Duration = Duration::from_secs(5);
/// Between two looks at whether a machine is in maintenance.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
/// What `per_hour_max` counts over.
const HOUR: Duration = Duration::from_secs(3_600);

/// Watches one run.
#[derive(Clone, Debug)]
pub struct Promises {
    fenced: bool,
    witnessed: bool,
    maintenance: bool,
    /// Members that died are noticed within this time; `None`: checks are not to be relied on.
    notice_max: Option<Duration>,
    /// Two owners that reach the witness last no longer than this.
    witness_max: Duration,
    fences_max: usize,
    /// Machines that are in maintenance and have come to rest in it.
    rests: [bool; 2],
    /// Machines that are in maintenance, as seen last.
    on: [bool; 2],
    looks_again: Instant,
    /// Commands about maintenance so far: each may have begun another one.
    commands: u64,
    /// Since when an awake node could know of what died there; `None` while it sleeps, or starts or
    /// stops it.
    died: BTreeMap<(usize, Resource), Option<Instant>>,
    /// For each group, since when both have it although both reach the witness.
    both_since: Vec<Option<Instant>>,
    /// Attempts to fence that were counted so far.
    fences_seen: usize,
}

impl Promises {
    /// For a run of `plan`; `overlap_max` bounds the overlap of two owners that can talk.
    pub fn new(plan: &Plan, overlap_max: Duration) -> Self {
        let native = &plan.settings[0].native;
        let millis = Duration::from_millis;
        let watched = millis(native.monitor.interval_ms + native.operations.status_timeout_ms);
        let witness = native.witness.as_ref().map_or((0, 0), |one| (one.lease_ms, one.timeout_ms));
        let (lease, timeout) = (millis(witness.0), millis(witness.1));
        let fences = native.fencing.as_ref().map_or(0, |fencing| {
            // A round counts once, with all its attempts; a late answer adds one.
            let attempts = fencing.devices.iter().map(|device| device.retries_max + 1);
            fencing.per_hour_max * attempts.sum::<u32>() + 1
        });
        Self {
            fenced: plan.beyond.fenced,
            witnessed: plan.beyond.witnessed,
            maintenance: plan.beyond.maintenance,
            notice_max: (!plan.beyond.checks).then_some(watched + SLACK),
            witness_max: overlap_max + lease * 3 + timeout + WITNESS_GRACE,
            fences_max: usize::try_from(fences).unwrap_or(usize::MAX),
            rests: [false; 2],
            on: [false; 2],
            looks_again: Instant::ZERO,
            commands: 0,
            died: BTreeMap::new(),
            both_since: vec![None; plan.settings[0].groups.len()],
            fences_seen: 0,
        }
    }

    /// To be called after every event, with what agents did.
    pub fn check(
        &mut self,
        world: &World,
        owners: &Owners,
        news: &[News],
    ) -> Result<(), Violation> {
        let resting = self.rests;
        self.note_maintenance(world, news);
        for one in news {
            match one {
                News::Begun { machine, run } => {
                    one_at_a_time(world, *machine, run)?;
                    hands_off(world, *machine, run, resting[*machine] && self.rests[*machine])?;
                    if self.fenced {
                        fenced_before(world, *machine, run)?;
                    }
                }
                News::BadCancel { machine, run } => {
                    let text = format!(
                        "{} wants {} of {} ended",
                        trace::name(*machine),
                        run.operation.action.word(),
                        run.operation.resource.text
                    );
                    return fail(world, "S3 only checks are cancelled", text);
                }
                News::Fence { machine } => self.check_fence(world, *machine, resting[*machine])?,
                News::Ended { .. } | News::Woke { .. } | News::Acted { .. } => {}
            }
        }
        self.check_fences(world)?;
        self.check_witness(world, owners)?;
        self.check_noticed(world)
    }

    /// Whether either machine says that nothing is to be moved, or said so a moment ago.
    pub fn is_in_maintenance(&self) -> bool {
        self.on[0] || self.on[1]
    }

    /// Looks when something begins, and from time to time.
    fn note_maintenance(&mut self, world: &World, news: &[News]) {
        if !self.maintenance || (news.is_empty() && world.now() < self.looks_again) {
            return;
        }
        self.looks_again = world.now() + LOOKS_EVERY;
        let commands = world.counts.of("fault", "Command Maintenance");
        if commands == 0 {
            return;
        }
        if std::mem::replace(&mut self.commands, commands) != commands {
            self.rests = [false; 2];
        }
        for machine in 0..2 {
            let Some(resources) = world.resources(machine) else {
                (self.rests[machine], self.on[machine]) = (false, false);
                continue;
            };
            let Maintenance { here, peer } = resources.maintenance();
            let rests = resources.rscstatus() != "transition" && resources.phase() == Phase::Stable;
            let on = here || peer;
            self.on[machine] = on;
            self.rests[machine] = on && (self.rests[machine] || rests);
        }
    }

    /// S6: nobody is shot who was not to be, or while hands are off. `rested`: they were before this
    /// event, in which a node that wakes may have been told so after all that waited besides.
    fn check_fence(&self, world: &World, machine: usize, rested: bool) -> Result<(), Violation> {
        let name = trace::name(machine);
        if world.machines[machine].settings.native.fencing.is_none() {
            return fail(world, "S6 policy", format!("{name} fences without being told to"));
        }
        if rested && self.rests[machine] {
            return fail(world, "S6 maintenance", format!("{name} fences in maintenance"));
        }
        Ok(())
    }

    /// S6: one start of a daemon does not shoot more often than it may.
    fn check_fences(&mut self, world: &World) -> Result<(), Violation> {
        let Some(edge) = &world.edge else { return Ok(()) };
        if self.fences_seen == edge.acted.len() {
            return Ok(());
        }
        self.fences_seen = edge.acted.len();
        for machine in 0..2 {
            let generation = world.machines[machine].generation;
            let counts = |(by, of, at): &&(usize, u64, Instant)| {
                *by == machine && *of == generation && world.now() - *at < HOUR
            };
            let count = edge.acted.iter().filter(counts).count();
            if count > self.fences_max {
                let text = format!("{} has fenced {count} times", trace::name(machine));
                return fail(world, "S6 fences within an hour", text);
            }
        }
        Ok(())
    }

    /// S1 with a witness: who is refused lets go, so two owners that reach it do not last, whether or
    /// not they can talk.
    fn check_witness(&mut self, world: &World, owners: &Owners) -> Result<(), Violation> {
        if !self.witnessed {
            return Ok(());
        }
        if !owners.any_both() {
            self.both_since.fill(None);
            return Ok(());
        }
        let reach = world.edge.as_ref().is_some_and(|edge| edge.reaches_witness == [true; 2]);
        let awake = world.machines.iter().all(Machine::is_awake);
        let outside = world.network.gateway == [true; 2];
        let in_maintenance = self.is_in_maintenance();
        for (index, group) in owners.groups().iter().enumerate() {
            if !owners.both(index) || !reach || !awake || !outside || in_maintenance {
                self.both_since[index] = None;
                continue;
            }
            let since = *self.both_since[index].get_or_insert(world.now());
            if world.now() - since > self.witness_max {
                let text = format!("group {group} runs on both for {:?}", world.now() - since);
                return fail(world, "S1 witness", text);
            }
        }
        Ok(())
    }

    /// L1: what died while it was served is noticed within the interval of its checks.
    fn check_noticed(&mut self, world: &World) -> Result<(), Violation> {
        let Some(limit) = self.notice_max else { return Ok(()) };
        if self.died.is_empty() && world.machines.iter().all(|this| this.agents.died().len() == 0) {
            return Ok(());
        }
        let now = world.now();
        let died = |machine: usize| {
            let agents = &world.machines[machine].agents;
            agents.died().cloned().map(move |resource| (machine, resource))
        };
        let present: Vec<(usize, Resource)> = died(0).chain(died(1)).collect();
        self.died.retain(|key, _| present.contains(key));
        for (machine, resource) in present {
            let key = (machine, resource.clone());
            // What dies within its start or stop is looked at after that.
            let changes = |run: &Arc<UnderWay>| {
                let operation = &run.operation;
                matches!(operation.action, Action::Start | Action::Stop)
                    && (&operation.group, &operation.resource.text) == (&resource.0, &resource.1)
            };
            let this = &world.machines[machine];
            if !this.is_awake() || this.under_way.iter().any(changes) {
                self.died.insert(key, None);
                continue;
            }
            let since = *self.died.entry(key.clone()).or_default().get_or_insert(now);
            if now - since <= limit {
                continue;
            }
            if is_served(world, machine, &resource) {
                let (group, text) = resource;
                let text = format!(
                    "{text} of {group} died on {} {:?} ago and is shown as running",
                    trace::name(machine),
                    now - since
                );
                return fail(world, "L1 noticed", text);
            }
            self.died.insert(key, Some(now));
        }
        Ok(())
    }
}

fn fail(world: &World, property: &'static str, text: String) -> Result<(), Violation> {
    Err(Violation { at: world.now(), property, text })
}

fn is_served(world: &World, machine: usize, (group, text): &Resource) -> bool {
    let Some(status) = world.status(machine) else { return false };
    let shown = status.groups.iter().find(|shown| shown.key == *group);
    shown.is_some_and(|shown| {
        let runs = |resource: &hb_node::api::ResourceStatus| {
            resource.text == *text && resource.state == "running" && resource.under_way.is_none()
        };
        shown.here == GroupClaim::Held && shown.resources.iter().any(runs)
    })
}

/// S3: a member is never acted on by two agents of one daemon, checks included.
fn one_at_a_time(world: &World, machine: usize, run: &Arc<UnderWay>) -> Result<(), Violation> {
    let same = |other: &&Arc<UnderWay>| {
        !Arc::ptr_eq(other, run)
            && other.generation == run.generation
            && other.operation.group == run.operation.group
            && other.operation.resource.text == run.operation.resource.text
    };
    let Some(other) = world.machines[machine].under_way.iter().find(same) else { return Ok(()) };
    let text = format!(
        "{} begins {} of {} while its {} runs",
        trace::name(machine),
        run.operation.action.word(),
        run.operation.resource.text,
        other.operation.action.word()
    );
    fail(world, "S3 one at a time", text)
}

/// In maintenance nothing is started or stopped once everything has come to rest.
fn hands_off(world: &World, machine: usize, run: &UnderWay, rests: bool) -> Result<(), Violation> {
    let changes = matches!(run.operation.action, Action::Start | Action::Stop);
    if !changes || !rests {
        return Ok(());
    }
    let text = format!(
        "{} begins {} of {} in maintenance",
        trace::name(machine),
        run.operation.action.word(),
        run.operation.resource.text
    );
    fail(world, "S7 hands off", text)
}

/// S2 with fencing: a group is not begun while any part of it runs on the other machine, whatever
/// this node thinks of the other.
fn fenced_before(world: &World, machine: usize, run: &UnderWay) -> Result<(), Violation> {
    let operation = &run.operation;
    let (this, other) = (&world.machines[machine].agents, &world.machines[1 - machine].agents);
    let spec = world.machines[machine].settings.groups.iter();
    let spec = spec.filter(|spec| spec.key == operation.group);
    // What runs here in part is put right: S1 bounds how long both may have it.
    let partly = spec.flat_map(|spec| &spec.resources).any(|resource| {
        *resource != operation.resource
            && !this.warm.contains(&resource.text)
            && this.runs(&operation.group, &resource.text)
    });
    let warm = this.warm.contains(&operation.resource.text);
    if operation.action != Action::Start || warm || partly || !other.runs_any_of(&operation.group) {
        return Ok(());
    }
    let text = format!(
        "{} starts {} while parts of {} run on the other machine, which is not off",
        trace::name(machine),
        operation.resource.text,
        operation.group
    );
    fail(world, "S2 fenced before started", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Seed;
    use crate::setup::group;
    use crate::testing::{begin, served};

    /// All properties, with checks after every event for `seconds`.
    fn check(world: &mut World, promises: &mut Promises, seconds: u64) -> Option<&'static str> {
        let until = world.now() + Duration::from_secs(seconds);
        let mut owners = Owners::new(vec!["www".to_owned()]);
        loop {
            owners.look(world);
            let news = std::mem::take(&mut world.news);
            if let Err(violation) = promises.check(world, &owners, &news) {
                return Some(violation.property);
            }
            if !world.step(until) {
                return None;
            }
        }
    }

    fn promises() -> Promises {
        let mut plan = Plan::new(Seed { number: 1, scope: crate::plan::Scope::Base });
        plan.settings[0].groups = vec![group("node1", &["www", "nginx"])];
        plan.settings[0].native.monitor.interval_ms = 10_000;
        Promises::new(&plan, Duration::from_secs(5))
    }

    #[test]
    fn a_start_beside_a_machine_that_is_not_off_is_seen() {
        let (mut world, mut promises) = (served(), promises());
        promises.fenced = true;
        assert_eq!(check(&mut world, &mut promises, 1), None);
        begin(&mut world, 1, 0, Action::Start);
        assert_eq!(check(&mut world, &mut promises, 1), Some("S2 fenced before started"));
    }

    #[test]
    fn a_stop_in_maintenance_is_seen() {
        let (mut world, mut promises) = (served(), promises());
        promises.maintenance = true;
        let on = hb_node::api::Request::Maintenance { on: true, limit_ms: None };
        crate::faults::Fault::Command(0, on).apply(&mut world);
        assert_eq!(check(&mut world, &mut promises, 2), None);
        assert!(promises.is_in_maintenance());
        begin(&mut world, 0, 0, Action::Stop);
        assert_eq!(check(&mut world, &mut promises, 1), Some("S7 hands off"));
    }

    #[test]
    fn two_agents_on_one_member_are_seen() {
        let (mut world, mut promises) = (served(), promises());
        begin(&mut world, 0, 0, Action::Status);
        assert_eq!(check(&mut world, &mut promises, 0), None);
        begin(&mut world, 0, 0, Action::Start);
        assert_eq!(check(&mut world, &mut promises, 0), Some("S3 one at a time"));
    }

    #[test]
    fn a_death_that_nobody_notices_is_seen() {
        let (mut world, mut promises) = (served(), promises());
        world.machines[0]
            .agents
            .change("nginx", |habits| habits.checks = crate::agents::Checks::Lie);
        world.machines[0].agents.crash("www", "nginx");
        assert_eq!(check(&mut world, &mut promises, 60), Some("L1 noticed"));
    }

    #[test]
    fn a_fence_that_nobody_configured_is_seen() {
        let (mut world, mut promises) = (served(), promises());
        world.news.push(News::Fence { machine: 0 });
        assert_eq!(check(&mut world, &mut promises, 0), Some("S6 policy"));
    }
}
