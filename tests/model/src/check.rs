//! Runs a model: safety by stateright; the shortest counterexamples and "no reachable dead end" from
//! the same model's graph, the latter by walking backwards through the whole graph from the states in which
//! everything is served. What lies behind a bound is not claimed.

#![expect(clippy::disallowed_types, reason = "looked up, never iterated")]

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::faults::{Expect, Faults};
use crate::moves::Pair;
use crate::world::{Broken, Step, World};

/// S1.
pub const ONE_RUNNER: &str = "S1 never two runners";
/// S2.
pub const RELEASED_FIRST: &str = "S2 started only after release or death";
/// S3.
pub const ORDER: &str = "S3 order in a group";
/// S7.
pub const NOTHING_FOREIGN: &str = "S7 nothing foreign removed";
/// Assertions, overlapping steps, causeless transitions.
pub const INVARIANTS: &str = "invariants of the manager";
/// What stateright checks.
const SAFETY: [&str; 5] = [ONE_RUNNER, RELEASED_FIRST, ORDER, NOTHING_FOREIGN, INVARIANTS];
/// L2.
pub const NO_DEAD_END: &str = "L2 no reachable dead end";

impl Model for Pair {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        self.begin()
    }

    fn actions(&self, state: &World, actions: &mut Vec<Step>) {
        self.steps(state, actions);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        Some(self.next(last, &step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_RUNNER, |pair: &Self, world: &World| !pair.is_double(world)),
            Property::always(RELEASED_FIRST, |_: &Self, world: &World| {
                world.broken != Some(Broken::S2)
            }),
            Property::always(ORDER, |_: &Self, world: &World| world.broken != Some(Broken::S3)),
            Property::always(NOTHING_FOREIGN, |_: &Self, world: &World| {
                world.broken != Some(Broken::S7)
            }),
            Property::always(INVARIANTS, |_: &Self, world: &World| {
                !matches!(world.broken, Some(Broken::Invariant(_)))
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        self.is_within(world)
    }
}

/// How a property fared.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which.
    pub property: &'static str,
    /// What was expected.
    pub expect: Expect,
    /// The steps from the start to the state that violates it.
    pub counterexample: Option<Vec<(World, Step)>>,
}

impl Verdict {
    /// Whether it is as expected.
    pub fn is_as_expected(&self) -> bool {
        (self.expect == Expect::Holds) == self.counterexample.is_none()
    }

    /// In a word or two.
    pub fn words(&self) -> String {
        match (&self.counterexample, self.expect) {
            (None, Expect::Holds) => "holds".into(),
            (None, Expect::Violated) => "NO COUNTEREXAMPLE FOUND".into(),
            (Some(steps), Expect::Violated) => {
                format!("violated in {} steps, as it must", steps.len())
            }
            (Some(steps), Expect::Holds) => format!("VIOLATED in {} steps", steps.len()),
        }
    }
}

/// What a run of a model has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each property.
    pub verdicts: Vec<Verdict>,
    /// Different states.
    pub states: usize,
    /// Steps to the farthest of them.
    pub depth: usize,
    /// States that were not looked into, because of a bound.
    pub beyond: usize,
    /// Different states of a single node.
    pub sides: usize,
}

/// The properties that stateright finds violated, the states it has seen and the steps to the
/// farthest. `depth` 0: without a bound.
pub fn safety(
    faults: Faults,
    depth: usize,
    threads: usize,
) -> (BTreeSet<&'static str>, usize, usize) {
    let builder = Pair::new(faults).checker().threads(threads);
    // stateright counts states of a path; the first is at depth 1.
    let builder = if depth > 0 { builder.target_max_depth(depth + 1) } else { builder };
    let checker = builder.finish_when(HasDiscoveries::AllFailures).spawn_bfs().join();
    let violated = SAFETY.into_iter().filter(|name| checker.discovery(name).is_some());
    let reached = checker.max_depth().saturating_sub(1);
    (violated.collect(), checker.unique_state_count(), reached)
}

/// All reachable states and the steps between them that may be relied on.
pub struct Graph {
    pair: Pair,
    /// Predecessor of each state on a shortest way, and which of its steps led here.
    from: Vec<(u32, u16)>,
    depth: Vec<u16>,
    /// `(to, from)` by steps that may be relied on.
    back: Vec<(u32, u32)>,
    served: Vec<u32>,
    beyond: Vec<u32>,
    /// The first state that violates each property of safety.
    broken: BTreeMap<&'static str, u32>,
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// No predecessor.
const START: u32 = u32::MAX;

impl Graph {
    /// Explores a model breadth first. `depth` 0: without a bound.
    pub fn explore(faults: Faults, depth: usize) -> Self {
        let pair = Pair::new(faults);
        let mut graph = Self {
            pair,
            from: Vec::new(),
            depth: Vec::new(),
            back: Vec::new(),
            served: Vec::new(),
            beyond: Vec::new(),
            broken: BTreeMap::new(),
        };
        let properties = graph.pair.properties();
        let mut numbers = HashMap::new();
        let mut queue = VecDeque::new();
        for world in graph.pair.begin() {
            let number = graph.note(&mut numbers, &world, (START, 0), 0).0;
            queue.push_back((number, world));
        }
        let mut steps = Vec::new();
        while let Some((number, world)) = queue.pop_front() {
            let here = graph.depth[number as usize];
            for property in &properties {
                if !(property.condition)(&graph.pair, &world) {
                    graph.broken.entry(property.name).or_insert(number);
                }
            }
            if graph.pair.is_served(&world) {
                graph.served.push(number);
            }
            if !graph.pair.is_within(&world) || (depth > 0 && usize::from(here) >= depth) {
                graph.beyond.push(number);
                continue;
            }
            steps.clear();
            graph.pair.steps(&world, &mut steps);
            for (index, step) in steps.iter().enumerate() {
                let next = graph.pair.next(&world, step);
                let index = u16::try_from(index).unwrap_or(u16::MAX);
                let (to, new) = graph.note(&mut numbers, &next, (number, index), here + 1);
                if graph.pair.is_progress(&world, step) {
                    graph.back.push((to, number));
                }
                if new {
                    queue.push_back((to, next));
                }
            }
        }
        graph
    }

    fn note(
        &mut self,
        numbers: &mut HashMap<u64, u32>,
        world: &World,
        from: (u32, u16),
        depth: u16,
    ) -> (u32, bool) {
        let next = u32::try_from(self.from.len()).unwrap_or(u32::MAX);
        let number = *numbers.entry(fingerprint(world)).or_insert(next);
        if number == next {
            self.from.push(from);
            self.depth.push(depth);
        }
        (number, number == next)
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.from.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// States that a bound kept from being looked into.
    pub fn beyond(&self) -> usize {
        self.beyond.len()
    }

    /// States in which everything is served.
    pub fn served(&self) -> usize {
        self.served.len()
    }

    /// Steps to the farthest state.
    pub fn depth(&self) -> usize {
        self.depth.last().copied().map_or(0, usize::from)
    }

    /// States of single nodes.
    pub fn sides(&self) -> usize {
        self.pair.book.len()
    }

    /// States from which no state is reachable in which everything is served, by steps that may be
    /// relied on. A state from which a bound is reached is given the benefit of the doubt.
    pub fn dead_ends(&self) -> Vec<u32> {
        let mut order = self.back.clone();
        order.sort_unstable();
        let mut good = vec![false; self.from.len()];
        let mut queue: Vec<u32> = self.served.iter().chain(&self.beyond).copied().collect();
        for number in &queue {
            good[*number as usize] = true;
        }
        while let Some(number) = queue.pop() {
            let first = order.partition_point(|(to, _)| *to < number);
            for (_, from) in order[first..].iter().take_while(|(to, _)| *to == number) {
                if !std::mem::replace(&mut good[*from as usize], true) {
                    queue.push(*from);
                }
            }
        }
        (0..).zip(good).filter(|(_, good)| !good).map(|(number, _)| number).collect()
    }

    /// The same states when nothing may be relied on: to see that dead ends are found.
    #[must_use]
    pub fn without_progress(mut self) -> Self {
        self.back.clear();
        self
    }

    /// States behind a bound in which not everything is served.
    pub fn beyond_unserved(&self) -> usize {
        self.beyond.iter().filter(|number| !self.served.contains(number)).count()
    }

    /// A shortest way to a state.
    pub fn way(&self, mut number: u32) -> Vec<(World, Step)> {
        let mut choices = Vec::new();
        while self.from[number as usize].0 != START {
            choices.push(self.from[number as usize].1);
            number = self.from[number as usize].0;
        }
        let starts = self.pair.begin();
        let Some(mut world) = starts.get(number as usize).cloned() else { return Vec::new() };
        let mut way = Vec::new();
        for choice in choices.into_iter().rev() {
            let mut steps = Vec::new();
            self.pair.steps(&world, &mut steps);
            let step = steps[usize::from(choice)].clone();
            let next = self.pair.next(&world, &step);
            way.push((world, step));
            world = next;
        }
        way
    }
}

/// Checks everything of a model.
pub fn check(faults: Faults, depth: usize, threads: usize) -> Report {
    let (violated, states, reached) = safety(faults, depth, threads);
    let graph = Graph::explore(faults, depth);
    let way = |number: &u32| graph.way(*number);
    let verdict = |property: &'static str| {
        let expect = if property == ONE_RUNNER { faults.one_runner } else { Expect::Holds };
        // stateright keeps a state that violates a property, not the nearest one.
        let first = graph.broken.get(property).map(way);
        let found = violated.contains(property).then(Vec::new);
        Verdict { property, expect, counterexample: first.or(found) }
    };
    let mut verdicts = SAFETY.map(verdict).to_vec();
    verdicts.push(Verdict {
        property: NO_DEAD_END,
        expect: Expect::Holds,
        counterexample: graph.dead_ends().first().map(way),
    });
    Report {
        verdicts,
        states: states.max(graph.len()),
        depth: reached.max(graph.depth()),
        beyond: graph.beyond(),
        sides: graph.sides(),
    }
}
