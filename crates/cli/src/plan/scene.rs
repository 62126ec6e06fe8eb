//! The modelled world as both nodes are today: the same configuration, the same owners, the same
//! node and links missing. What cannot be modelled is said. Nothing of the machine is touched.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_config::settings::{Settings, Timing};
use hb_node::api::{GroupStatus, Request, StatusSnapshot, Verdict};
use hb_resource::input::{GroupClaim, Which};
use hb_sim::edge::Edge;
use hb_sim::world::World;

use super::times::Times;
use crate::status::age;

/// The machine of this node in the world.
pub(super) const HERE: usize = 0;
/// The machine of the other.
pub(super) const THERE: usize = 1;
/// Virtual time that the nodes get to settle, besides `initdead` and the times of their actions.
const PATIENCE: Duration = Duration::from_secs(300);
/// Any seed: the modelled network loses nothing, and no delay that is drawn decides anything.
const SEED: u64 = 1;

/// The world, and what was assumed.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) settings: Settings,
    /// Names of the machines.
    pub(super) names: [String; 2],
    pub(super) assumed: Vec<String>,
    /// What fails to start as it does today: machine, group, resource.
    failing: Vec<(usize, String, String)>,
}

impl Scene {
    /// Both nodes as `status` has them; without it as the configuration prefers them.
    ///
    /// # Errors
    /// When there is no other node, or the world does not come to that state.
    pub(super) fn set(
        settings: &Settings,
        status: Option<(&StatusSnapshot, Option<u64>)>,
        times: &Times,
    ) -> Result<Self, String> {
        let peer = settings.peer().ok_or("ha.cf names only this node: nothing can move")?.clone();
        let other = Settings { node: peer.clone(), ..settings.clone() };
        let mut world = World::new([settings.clone(), other], SEED);
        let mut edge = Edge::default();
        // Who is fenced stays off until somebody switches it on.
        edge.boots_after = None;
        world.edge = Some(edge);
        let names = [settings.node.to_string(), peer.to_string()];
        let mut scene = Self {
            world,
            settings: settings.clone(),
            names,
            assumed: Vec::new(),
            failing: Vec::new(),
        };
        scene.begin_with(status);
        scene.habits(times);
        if let Some((status, _)) = status {
            status.groups.iter().for_each(|group| scene.failed(group));
        }
        scene.world.start(HERE);
        scene.world.start(THERE);
        scene.settle("both nodes settle")?;
        match status {
            Some((status, _)) => scene.as_it_is(status)?,
            None => scene.assume("nothing is known of today: each group is where it prefers to be"),
        }
        scene.assume("the network delivers within 0.2 ms and loses nothing");
        if settings.native.fencing.is_some() {
            scene.assume("the fence device works and needs 0.5 s");
        }
        if settings.native.witness.is_some() {
            scene.assume("the witness answers within 5 ms");
        }
        Ok(scene)
    }

    fn assume(&mut self, text: impl Into<String>) {
        self.assumed.push(text.into());
    }

    fn begin_with(&mut self, status: Option<(&StatusSnapshot, Option<u64>)>) {
        match status {
            Some((_, Some(age_ms))) => {
                let age = age(age_ms);
                self.assume(format!("heartbeat does not run here: the state is {age} old"));
            }
            Some((status, None)) => {
                let differs = status.config.iter().filter(|part| part.same == Some(false));
                let parts: Vec<&str> = differs.map(|part| part.part.as_str()).collect();
                if parts.is_empty() {
                    self.assume("the other node has the same files as this one");
                } else {
                    let parts = parts.join(", ");
                    self.assume(format!(
                        "the other node has the files of this one, though {parts} differs"
                    ));
                }
            }
            None => {}
        }
    }

    /// How long each agent takes on both nodes.
    fn habits(&mut self, times: &Times) {
        let groups = self.settings.groups.clone();
        let mut told = BTreeSet::new();
        for resource in groups.iter().flat_map(|group| &group.resources) {
            let [start, stop, status] =
                ["start", "stop", "status"].map(|action| times.of(resource, action));
            for machine in &mut self.world.machines {
                machine.agents.change(&resource.text, |habits| {
                    habits.start = start.lasts;
                    habits.stop = stop.lasts;
                    habits.status = status.lasts;
                });
            }
            if told.insert(resource.text.clone()) {
                let text = &resource.text;
                self.assume(format!("{text}: start {}, stop {}", start.words(), stop.words()));
            }
        }
    }

    fn settle(&mut self, what: &str) -> Result<(), String> {
        let initdead = Duration::from_millis(self.settings.timing.initdead_ms);
        let settled = |world: &World| (0..2).all(|machine| is_settled(world, machine));
        let took = self.world.run_until(PATIENCE + initdead * 2, settled);
        took.map(|_| ()).ok_or_else(|| format!("the plan comes to no end: {what}"))
    }

    /// Brings the world to today's state, one thing after the other.
    fn as_it_is(&mut self, status: &StatusSnapshot) -> Result<(), String> {
        for group in &status.groups {
            self.unready(group)?;
        }
        for group in &status.groups {
            self.try_where_it_failed(group)?;
            self.place(group)?;
        }
        if let Some(peer) = &status.peer {
            for (index, link) in peer.links.iter().enumerate() {
                // A dead node is silent on every link.
                if !link.up && peer.status == "active" && index < self.world.network.links() {
                    self.cut(index);
                    self.assume(format!("{} carries nothing, as today", link.name));
                }
            }
            if peer.status != "active" {
                self.world.power_off(THERE);
                let Timing { deadtime_ms, .. } = self.settings.timing;
                self.world.run(Duration::from_millis(deadtime_ms * 2));
                let text = format!("{} is {}, as today", peer.name, peer.status);
                self.assume(text);
                self.settle("this node takes over")?;
            }
        }
        let answers = status.pings.iter().any(|ping| ping.status == "ping");
        if !status.pings.is_empty() && !answers {
            self.world.network.gateway[HERE] = false;
            self.assume("no ping node answers this node, as today");
        }
        for (machine, on) in
            status.maintenance.iter().flat_map(|it| [(HERE, it.here), (THERE, it.peer)])
        {
            if on {
                self.world.request(machine, Request::Maintenance { on, limit_ms: None });
                self.assume(format!("{} is in maintenance, as today", self.names[machine]));
            }
        }
        // Links and maintenance are told.
        self.world.run(Duration::from_millis(self.settings.timing.deadtime_ms * 2));
        Ok(())
    }

    /// A group that has failed on a node cannot be started there.
    fn failed(&mut self, group: &GroupStatus) {
        for (machine, claim) in [(HERE, Some(group.here)), (THERE, group.peer)] {
            let spec = self.settings.groups.iter().find(|spec| spec.key == group.key);
            let Some(spec) = spec.filter(|_| claim == Some(GroupClaim::Failed)) else { continue };
            let has_failed = |text: &str| {
                let mut members = group.resources.iter().filter(|member| member.text == text);
                members.any(|it| it.last.as_deref().is_some_and(|last| last.contains("failed")))
            };
            let member = spec.resources.iter().find(|it| machine == HERE && has_failed(&it.text));
            let Some(member) = member.or(spec.resources.last()) else { continue };
            self.world.machines[machine]
                .agents
                .change(&member.text, |habits| habits.start_fails = true);
            self.failing.push((machine, group.key.clone(), member.text.clone()));
            let text =
                format!("{} fails to start on {}, as today", member.text, self.names[machine]);
            self.assumed.push(text);
        }
    }

    /// The cause of failures on a machine is mended.
    pub(super) fn mend(&mut self, machine: usize, group: Option<&str>) {
        for (_, _, resource) in self
            .failing
            .iter()
            .filter(|(at, key, _)| *at == machine && group.is_none_or(|group| group == key))
        {
            let agents = &mut self.world.machines[machine].agents;
            agents.change(resource, |habits| habits.start_fails = false);
            let name = &self.names[machine];
            self.assumed.push(format!("the cause is mended: {resource} can be started on {name}"));
        }
    }

    /// Has a node fail that would not have tried a group by itself.
    fn try_where_it_failed(&mut self, group: &GroupStatus) -> Result<(), String> {
        let key = &group.key;
        let failing: Vec<usize> =
            self.failing.iter().filter(|(_, of, _)| of == key).map(|(at, ..)| *at).collect();
        for machine in failing {
            if claim(&self.world, machine, key) == Some(GroupClaim::Released)
                && self.holds(1 - machine, key)
            {
                let which = Which::Group(key.clone());
                self.world.request(1 - machine, Request::Standby { which });
                self.world.run(Duration::from_millis(self.settings.timing.deadtime_ms));
                self.settle("a group fails where it has failed")?;
            }
        }
        Ok(())
    }

    /// A group that a node could not run fails its validation there.
    fn unready(&mut self, group: &GroupStatus) -> Result<(), String> {
        for (machine, why) in [(HERE, &group.unready_here), (THERE, &group.unready_peer)] {
            let Some(why) = why else { continue };
            let spec = self.settings.groups.iter().find(|spec| spec.key == group.key);
            let Some(member) = spec.and_then(|spec| {
                let named = spec.resources.iter().find(|member| why.contains(&member.text));
                named.or(spec.resources.last())
            }) else {
                continue;
            };
            self.world.machines[machine].agents.change(&member.text, |habits| {
                habits.invalid = true;
                habits.start_fails = true;
            });
            let name = &self.names[machine];
            let text = format!("{} could not be started on {name}, as today: {why}", member.text);
            self.assume(text);
        }
        Ok(())
    }

    /// Has a group move to where it is today.
    fn place(&mut self, group: &GroupStatus) -> Result<(), String> {
        let key = &group.key;
        if !self.settings.groups.iter().any(|spec| spec.key == *key) {
            self.assume(format!("{key} is not in haresources any more and is left out"));
            return Ok(());
        }
        let is_failed = self.failing.iter().any(|(_, of, _)| of == key);
        let Some(active) = &group.active_on else {
            if is_failed {
                return Ok(());
            }
            self.assume(format!("{key} is served by nobody today; it is planned as if it were"));
            return Ok(());
        };
        let Some(target) = self.names.iter().position(|name| name == active) else { return Ok(()) };
        if self.holds(target, key) {
            return Ok(());
        }
        let source = 1 - target;
        self.world.request(source, Request::Standby { which: Which::Group(key.clone()) });
        let arrived = |world: &World| claim(world, target, key) == Some(GroupClaim::Held);
        if self.world.run_until(PATIENCE, arrived).is_none() {
            self.assume(format!("{key} is on {active} today, which the plan cannot bring about"));
        }
        self.settle("a group is moved to where it is today")
    }

    pub(super) fn holds(&self, machine: usize, key: &str) -> bool {
        claim(&self.world, machine, key) == Some(GroupClaim::Held)
    }

    /// Nothing passes on a link, in either direction.
    pub(super) fn cut(&mut self, link: usize) {
        for machine in [HERE, THERE] {
            self.world.network.path_mut(machine, link).up = false;
        }
    }
}

/// What a machine says of a group; `None` when its daemon is down.
pub(super) fn claim(world: &World, machine: usize, key: &str) -> Option<GroupClaim> {
    let status = world.status(machine)?;
    status.groups.iter().find(|group| group.key == key).map(|group| group.here)
}

/// No transition is under way as far as its daemon knows; a machine without one is at rest.
pub(super) fn is_settled(world: &World, machine: usize) -> bool {
    world.status(machine).is_none_or(|status| {
        status.verdict != Verdict::Transition && status.this_node.phase == "stable"
    })
}
