//! One run: carries out a plan, lets the checker look after every event, lets the world calm down
//! and looks once more.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::api::{Request, Response};
use hb_resource::input::{Holdings, Which};

use crate::agents::Checks;
use crate::checker::{Checker, Violation};
use crate::clock::TRUE_RATE;
use crate::counts::Counts;
use crate::day;
use crate::edge::Switch;
use crate::faults::Fault;
use crate::network::Path;
use crate::plan::{Plan, Seed};
use crate::trace;
use crate::troubles::Keys;
use crate::world::World;

/// After this time a failback that came to nothing has been tried again: ten seconds for the answer
/// and ten until the next look.
const FAILBACK_MAX: Duration = Duration::from_secs(22);

/// A slow pair looks at its wall clock as often as it sends heartbeats.
const SLOW_ENVIRONMENT: Duration = Duration::from_secs(2);

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Number of events.
    pub events: u64,
    /// Whether it was a pair of the slow pace.
    pub slow: bool,
    /// Virtual time at the end.
    pub ended: Instant,
    /// The longest time for which two owners could talk.
    pub overlap: Duration,
    /// How long it took from the last fault until everything was well.
    pub converged: Option<Duration>,
    /// One line for each event, if they were asked for.
    pub lines: Vec<String>,
    /// How often what happened.
    pub counts: Counts,
}

/// What of a seed's plan is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Only the faults at these positions; `None`: all.
    pub only: Option<BTreeSet<usize>>,
    /// Faults cease at this moment, if that is sooner than the plan's.
    pub calm: Option<Instant>,
    /// The run ends at this moment at the latest.
    pub until: Option<Instant>,
    /// The run ends when faults cease: only what must hold under any fault is looked at.
    pub safety_only: bool,
}

/// Carries out the run of `seed`, up to `until` at most.
pub fn run(seed: Seed, until: Option<Instant>, keep_lines: bool) -> Report {
    let watching = if keep_lines { Watching::Lines } else { Watching::Checks };
    carry(seed, &Cut { until, ..Cut::default() }, watching)
}

/// What a run is looked at for. What happens in it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// Every property, and its lines are kept.
    Lines,
    /// Every property.
    Checks,
    /// That it comes to rest.
    Nothing,
}

/// Carries out what `cut` leaves of the run of `seed`.
pub fn carry(seed: Seed, cut: &Cut, watching: Watching) -> Report {
    let mut plan = Plan::new(seed);
    plan.calm = cut.calm.map_or(plan.calm, |calm| calm.min(plan.calm));
    let mut world = World::new(plan.settings.clone(), seed.number ^ 0x5eed);
    world.terse = true;
    world.records = plan.swarm.strays;
    if plan.swarm.slow {
        world.environment_every = SLOW_ENVIRONMENT;
    }
    world.edge = plan.beyond.edge.clone();
    if let Some(pair) = plan.pair {
        world.machines[pair.legacy].is_legacy = true;
    }
    world.counts.add("pair", if plan.pair.is_some() { "with 3.0.6" } else { "both ours" });
    for machine in &mut world.machines {
        machine.agents.warm = plan.beyond.warm.clone();
    }
    if watching == Watching::Lines {
        world.trace.keep_lines();
    }
    let mut checker = Checker::new(&plan);
    checker.looks_away = watching == Watching::Nothing;
    let mut converged = None;
    let result = carry_out(&plan, cut, &mut world, &mut checker, &mut converged);
    Report {
        violation: result.err(),
        hash: world.trace.hash(),
        events: world.trace.events,
        slow: plan.swarm.slow,
        ended: world.now(),
        overlap: checker.overlap_seen,
        converged,
        lines: world.trace.lines().to_vec(),
        counts: std::mem::take(&mut world.counts),
    }
}

fn carry_out(
    plan: &Plan,
    cut: &Cut,
    world: &mut World,
    checker: &mut Checker,
    converged: &mut Option<Duration>,
) -> Result<(), Violation> {
    let end = cut.until.unwrap_or(Instant::from_micros(u64::MAX));
    let is_left = |index: usize| cut.only.as_ref().is_none_or(|only| only.contains(&index));
    for (index, (at, fault)) in plan.faults.iter().enumerate().filter(|(index, _)| is_left(*index))
    {
        advance(world, checker, (*at).min(plan.calm).min(end))?;
        if world.now() >= end {
            return Ok(());
        }
        if *at <= plan.calm {
            fault.strike(world, Some(index));
            checker.check(world)?;
        }
    }
    advance(world, checker, plan.calm.min(end))?;
    if cut.safety_only || world.now() >= end {
        return Ok(());
    }
    calm_down(plan, world);
    checker.tidy(world);
    checker.check(world)?;
    let begun = world.now();
    converge(world, checker, end)?;
    *converged = Some(world.now() - begun);
    // A failback that the other node did not answer is tried again.
    advance(world, checker, (world.now() + FAILBACK_MAX).min(end))?;
    converge(world, checker, end)?;
    if world.now() >= end {
        return Ok(());
    }
    rest(world, checker, end)?;
    if checker.is_refused(world) {
        world.counts.add("3.0.6", "was overtaken by a word of ours, and refuses");
        return Ok(());
    }
    if plan.swarm.drill {
        drill(world, checker, end)?;
    }
    if plan.swarm.day && world.now() < end { day::pass(world, checker, end) } else { Ok(()) }
}

/// What has come to rest stays at rest, but for what was announced.
fn rest(world: &mut World, checker: &mut Checker, end: Instant) -> Result<(), Violation> {
    let announced = announced(world);
    let before = moves(world, &announced);
    advance(world, checker, (world.now() + checker.overlap_max).min(end))?;
    if world.now() >= end {
        return Ok(());
    }
    // What was announced may be on its way at this very moment.
    match announced.is_empty() {
        true => checker.check_end(world)?,
        false => converge(world, checker, end)?,
    }
    if world.now() >= end {
        return Ok(());
    }
    let later = moves(world, &announced);
    if later == before {
        return Ok(());
    }
    let text = format!("{} groups moved although nothing happened", later - before);
    Err(Violation { at: world.now(), property: "L3 rest", text })
}

/// L2: wherever a run has led, it was no dead end: each node in turn is told to give everything to
/// the other, and then everything is as it should be again. A 3.0.6 node answers nobody: the other is
/// told to take it.
fn drill(world: &mut World, checker: &mut Checker, end: Instant) -> Result<(), Violation> {
    for machine in 0..2 {
        let which = Which::Sets(Holdings::ALL);
        let client = match world.machines[machine].is_legacy {
            true => world.request(1 - machine, Request::Takeover { which }),
            false => world.request(machine, Request::Standby { which }),
        };
        let patience = checker.converge_max + checker.more_patience(world);
        let limit = (world.now() + patience).min(end);
        while world.reply(client).is_none() && world.now() < limit {
            advance(world, checker, (world.now() + checker.looks_every).min(limit))?;
        }
        if world.now() >= end {
            return Ok(());
        }
        let answer = match world.reply(client) {
            Some(Response::Done { .. }) => None,
            Some(other) => Some(format!("{other:?}")),
            None => Some("no answer".to_owned()),
        };
        if let Some(answer) = answer {
            let text = format!("standby on {}: {answer}", trace::name(machine));
            return Err(Violation { at: world.now(), property: "L2 no dead end", text });
        }
        converge(world, checker, end)?;
        world.counts.add("edge", "drill: standby done");
    }
    Ok(())
}

/// Groups of which a node says that they will go home.
pub(crate) fn announced(world: &World) -> BTreeSet<String> {
    let status = (0..2).filter_map(|machine| world.status(machine));
    let groups = status.flat_map(|status| status.groups);
    groups.filter(|group| group.failback.is_some()).map(|group| group.key).collect()
}

/// Moves so far of groups other than these; what completes an earlier one is none.
pub(crate) fn moves(world: &World, except: &BTreeSet<String>) -> usize {
    let entries = world.machines.iter().flat_map(|machine| &machine.history);
    let moves = entries.filter(|entry| entry.is_move() && !entry.amends);
    moves.filter(|entry| !except.contains(&entry.group)).count()
}

/// Waits until everything is as it should be, at most as long as the checker allows.
pub(crate) fn converge(
    world: &mut World,
    checker: &mut Checker,
    end: Instant,
) -> Result<(), Violation> {
    let patience = checker.converge_max + checker.more_patience(world);
    let limit = (world.now() + patience).min(end);
    while !checker.has_converged(world) && world.now() < limit {
        restart(world);
        advance(world, checker, (world.now() + checker.looks_every).min(limit))?;
    }
    if world.now() >= end { Ok(()) } else { checker.check_end(world) }
}

pub(crate) fn advance(
    world: &mut World,
    checker: &mut Checker,
    until: Instant,
) -> Result<(), Violation> {
    while world.step(until) {
        checker.check(world)?;
    }
    Ok(())
}

/// Faults cease: the network is good, agents work, both daemons run, and an operator has failed
/// groups tried again.
fn calm_down(plan: &Plan, world: &mut World) {
    world.forget_deaths();
    Fault::Heal.apply(world);
    Fault::Weather(Path::GOOD).apply(world);
    let resources = plan.settings[0].groups.iter().flat_map(|group| &group.resources);
    for text in resources.map(|resource| &resource.text) {
        for machine in 0..2 {
            world.machines[machine].agents.change(text, |habits| {
                habits.start_fails = false;
                habits.start_lies = false;
                habits.dies_after = None;
                habits.stop_fails = false;
                habits.hangs = false;
                habits.invalid = false;
                habits.checks = Checks::Honest;
            });
        }
    }
    for machine in 0..2 {
        Fault::Resume(machine).apply(world);
        for link in 0..world.network.links() {
            if world.machines[machine].daemon.is_some() {
                Fault::Socket(machine, link, true).apply(world);
            }
        }
        Fault::Gateway(machine, true).apply(world);
        Fault::Switch(machine, Switch::Works(Duration::from_millis(500))).apply(world);
        if plan.swarm.any {
            Fault::Second(machine, Switch::Works(Duration::from_millis(500))).apply(world);
            Fault::SendErrors(machine, 0).apply(world);
            Fault::Rekey(machine, Keys::First).apply(world);
            Fault::Drift(machine, TRUE_RATE).apply(world);
        }
        Fault::Witness(machine, true).apply(world);
    }
    restart(world);
    if plan.beyond.maintenance {
        for machine in 0..2 {
            let off = Request::Maintenance { on: false, limit_ms: None };
            Fault::Command(machine, off).apply(world);
        }
    }
    if plan.agents_fail {
        for machine in 0..2 {
            Fault::Command(machine, Request::Cleanup { group: None }).apply(world);
        }
    }
}

/// A supervisor starts a daemon that has left.
fn restart(world: &mut World) {
    for machine in 0..2 {
        if world.machines[machine].daemon.is_none() {
            world.start(machine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seed: Seed) {
        look(seed, &Cut::default(), "");
    }

    fn look(seed: Seed, cut: &Cut, options: &str) {
        let report = carry(seed, cut, Watching::Checks);
        let replay = format!("replay: cargo run -p hb-sim --release -- --seed {seed}{options}");
        assert_eq!(report.violation, None, "{replay}");
    }

    /// A line of `seeds.txt`.
    fn check_kept(word: &str) {
        let seed = |word| Seed::read(word).expect("a seed");
        let Some(number) = word.strip_prefix('s') else { return check(seed(word)) };
        let calm = Some(Instant::ZERO + Duration::from_secs(100));
        let cut = Cut { calm, safety_only: true, ..Cut::default() };
        look(seed(number), &cut, " --mode safety --calm 100");
    }

    #[test]
    fn seeds_hold_every_property() {
        (1..=12).map(Seed::new).for_each(check);
    }

    #[test]
    fn a_node_that_cannot_give_is_a_dead_end() {
        let plan = Plan::new(Seed::new(1));
        let mut world = World::new(plan.settings.clone(), 1);
        let mut checker = Checker::new(&plan);
        world.start(0);
        world.run(Duration::from_secs(600));
        let end = Instant::from_micros(u64::MAX);
        let found = drill(&mut world, &mut checker, end).expect_err("there is nobody to give to");
        assert_eq!(found.property, "L2 no dead end");
    }

    #[test]
    fn seeds_that_failed_once_hold_every_property() {
        let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
        let seeds = lines.filter_map(|line| line.split_whitespace().next());
        let seeds: Vec<&str> = seeds.collect();
        assert!(!seeds.is_empty());
        seeds.into_iter().for_each(check_kept);
    }

    #[test]
    fn a_run_depends_on_its_seed_and_nothing_else() {
        let all = [Watching::Checks, Watching::Lines, Watching::Nothing];
        let of = |seed| all.map(|watching| carry(seed, &Cut::default(), watching).hash);
        // One of them beside 3.0.6.
        let hashes: Vec<[u64; 3]> = [1, 2, 19].map(Seed::new).map(of).to_vec();
        let same = |hashes: &[u64; 3]| hashes.iter().all(|hash| *hash == hashes[0]);
        assert!(hashes.iter().all(same), "{hashes:x?}");
        assert_ne!(hashes[0], hashes[1]);
    }
}
