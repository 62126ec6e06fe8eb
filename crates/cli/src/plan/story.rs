//! What happens in the modelled world from the event on: who says what when, which actions run, who
//! serves each group and for how long nobody does. It watches; the nodes decide.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_node::effect::{Level, LogEvent};
use hb_resource::input::{GroupClaim, Holdings, Which};
use hb_resource::operation::{Action, OpId};
use hb_sim::world::News;
use serde::Serialize;

use super::What;
use super::scene::{HERE, Scene, THERE, claim, is_settled};

/// Log lines of level information that are part of the story.
const TOLD: [&str; 5] =
    ["link_status", "standby_asked", "takeover_complete", "node_status", "fence_started"];
/// Longest time that is told: agents that hang are ended long before.
const LIMIT: Duration = Duration::from_secs(3 * 3_600);
/// After so much quiet, and some dead times, nothing more will come of it.
const QUIET: Duration = Duration::from_secs(5);
/// Events that are told; more is a flood that no person reads.
const EVENTS_MAX: usize = 500;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Event {
    /// Milliseconds after the beginning, in thousandths.
    pub(super) at_us: u64,
    /// Who says it; `None`: the cause of all.
    pub(super) node: Option<String>,
    /// In words.
    pub(super) text: String,
}

/// An action on a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bar {
    pub(super) node: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) action: String,
    pub(super) from_us: u64,
    /// `None`: it had not ended.
    pub(super) to_us: Option<u64>,
    #[serde(skip)]
    key: (usize, OpId),
}

/// A time in which a node serves a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Served {
    pub(super) node: String,
    pub(super) from_us: u64,
    /// `None`: to the end.
    pub(super) to_us: Option<u64>,
}

/// What becomes of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Group {
    pub(super) key: String,
    /// Who served it before.
    pub(super) began_on: Option<String>,
    /// Who serves it in the end.
    pub(super) ends_on: Option<String>,
    /// Milliseconds in which nobody serves it.
    pub(super) outage_ms: u64,
    pub(super) served: Vec<Served>,
}

/// The whole plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Story {
    /// Schema version.
    pub(super) v: u32,
    /// What happens, in words.
    pub(super) what: String,
    pub(super) nodes: [String; 2],
    pub(super) assumed: Vec<String>,
    pub(super) events: Vec<Event>,
    pub(super) actions: Vec<Bar>,
    pub(super) groups: Vec<Group>,
    /// Length of the story in microseconds: up to the last change.
    pub(super) length_us: u64,
}

/// Lets it happen and watches until nothing more comes.
///
/// # Errors
/// When there is no such group, node or link.
pub(super) fn play(scene: Scene, what: &What) -> Result<Story, String> {
    let mut stage = Stage::new(scene, what);
    stage.begin(what)?;
    stage.watch();
    Ok(stage.end())
}

struct Stage {
    scene: Scene,
    story: Story,
    begun: Instant,
    changed: Instant,
    /// Log lines that were looked at, by machine.
    seen: [usize; 2],
}

impl Stage {
    fn new(mut scene: Scene, what: &What) -> Self {
        scene.world.news.clear();
        let begun = scene.world.now();
        let seen = [HERE, THERE].map(|machine| scene.world.machines[machine].logs.len());
        let groups = scene.settings.groups.iter().map(|spec| Group {
            key: spec.key.clone(),
            began_on: None,
            ends_on: None,
            outage_ms: 0,
            served: Vec::new(),
        });
        let story = Story {
            v: 1,
            what: what.words(),
            nodes: scene.names.clone(),
            assumed: scene.assumed.clone(),
            events: Vec::new(),
            actions: Vec::new(),
            groups: groups.collect(),
            length_us: 0,
        };
        let mut stage = Self { scene, story, begun, changed: begun, seen };
        stage.note_owners();
        for group in &mut stage.story.groups {
            group.began_on = group.served.first().map(|served| served.node.clone());
        }
        stage
    }

    /// The event that the plan is about.
    fn begin(&mut self, what: &What) -> Result<(), String> {
        let which = |key: &Option<String>| -> Result<Which, String> {
            match key {
                None => Ok(Which::Sets(Holdings::ALL)),
                Some(key) => self.key(key).map(Which::Group),
            }
        };
        let mut asked = None;
        match what {
            What::Standby(key) => {
                let request = Request::Standby { which: which(key)? };
                asked = Some(self.scene.world.request(HERE, request));
            }
            What::Takeover(key) => {
                let request = Request::Takeover { which: which(key)? };
                asked = Some(self.scene.world.request(HERE, request));
            }
            What::Dies(node) => {
                let names = &self.scene.names;
                let machine = names.iter().position(|name| name.eq_ignore_ascii_case(node));
                let machine = machine
                    .ok_or_else(|| format!("no node {node}: there are {}", names.join(" and ")))?;
                self.scene.world.power_off(machine);
            }
            What::Cut(link) => self.cut(link)?,
            What::Maintenance(on) => {
                let request = Request::Maintenance { on: *on, limit_ms: None };
                asked = Some(self.scene.world.request(HERE, request));
            }
            What::Cleanup(key) => {
                let group = key.as_deref().map(|key| self.key(key)).transpose()?;
                self.scene.mend(HERE, group.as_deref());
                self.story.assumed.clone_from(&self.scene.assumed);
                asked = Some(self.scene.world.request(HERE, Request::Cleanup { group }));
            }
            What::Reload => return Err("a reload is not played".to_owned()),
        }
        self.story.events.push(Event { at_us: 0, node: None, text: what.words() });
        self.look();
        if let Some(hb_node::api::Response::Error { text }) =
            asked.and_then(|client| self.scene.world.reply(client))
        {
            let (node, text) = (Some(self.scene.names[HERE].clone()), format!("refused: {text}"));
            self.story.events.push(Event { at_us: 0, node, text });
        }
        Ok(())
    }

    /// A group by its key, or by a part that only one has.
    fn key(&self, wanted: &str) -> Result<String, String> {
        let groups = &self.scene.settings.groups;
        let keys: Vec<&str> = groups.iter().map(|spec| spec.key.as_str()).collect();
        let near: Vec<&str> = keys.iter().copied().filter(|key| key.contains(wanted)).collect();
        match (keys.contains(&wanted), near.as_slice()) {
            (true, _) => Ok(wanted.to_owned()),
            (false, [key]) => Ok((*key).to_owned()),
            (false, _) => Err(format!("no group {wanted}: haresources has {}", keys.join(", "))),
        }
    }

    fn cut(&mut self, link: &str) -> Result<(), String> {
        let media = &self.scene.settings.media;
        let names: Vec<String> = media.iter().map(|medium| medium.interface().to_owned()).collect();
        let found: Vec<usize> = (0..names.len()).filter(|index| names[*index] == link).collect();
        if found.is_empty() {
            return Err(format!("no heartbeat link {link}: ha.cf has {}", names.join(", ")));
        }
        found.into_iter().for_each(|index| self.scene.cut(index));
        Ok(())
    }

    fn watch(&mut self) {
        let deadtime = Duration::from_millis(self.scene.settings.timing.deadtime_ms);
        let until = self.begun + LIMIT;
        while self.scene.world.step(until) {
            self.look();
            let quiet = self.scene.world.now() - self.changed;
            let settled = || [HERE, THERE].into_iter().all(|m| is_settled(&self.scene.world, m));
            if quiet > deadtime * 2 + QUIET && settled() {
                return;
            }
        }
    }

    fn at_us(&self) -> u64 {
        u64::try_from((self.scene.world.now() - self.begun).as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes in what is new.
    fn look(&mut self) {
        let mut changed = self.note_actions();
        for machine in [HERE, THERE] {
            let logs = &self.scene.world.machines[machine].logs;
            let fresh: Vec<LogEvent> = logs.iter().skip(self.seen[machine]).cloned().collect();
            self.seen[machine] = logs.len();
            changed |= !fresh.is_empty();
            for line in fresh.into_iter().filter(is_told) {
                if self.story.events.len() < EVENTS_MAX {
                    let (at_us, node) = (self.at_us(), Some(self.scene.names[machine].clone()));
                    let text = line.text.lines().next().unwrap_or_default().to_owned();
                    self.changed = self.scene.world.now();
                    self.story.events.push(Event { at_us, node, text });
                }
            }
        }
        if changed || self.at_us() == 0 {
            self.note_owners();
        }
    }

    /// Starts and stops that began and ended.
    fn note_actions(&mut self) -> bool {
        let news = std::mem::take(&mut self.scene.world.news);
        let at_us = self.at_us();
        for news in &news {
            match news {
                News::Begun { machine, run } => {
                    let operation = &run.operation;
                    if !matches!(operation.action, Action::Start | Action::Stop) {
                        continue;
                    }
                    self.changed = self.scene.world.now();
                    self.story.actions.push(Bar {
                        node: self.scene.names[*machine].clone(),
                        group: operation.group.clone(),
                        resource: operation.resource.text.clone(),
                        action: operation.action.word().to_owned(),
                        from_us: at_us,
                        to_us: None,
                        key: (*machine, operation.id),
                    });
                }
                News::Ended { machine, run, .. } => {
                    let key = (*machine, run.operation.id);
                    let open = |bar: &&mut Bar| bar.key == key && bar.to_us.is_none();
                    if let Some(bar) = self.story.actions.iter_mut().find(open) {
                        bar.to_us = Some(at_us);
                        self.changed = self.scene.world.now();
                    }
                }
                News::Woke { .. }
                | News::Acted { .. }
                | News::BadCancel { .. }
                | News::Fence { .. } => {}
            }
        }
        !news.is_empty()
    }

    /// Who serves each group at this moment.
    fn note_owners(&mut self) {
        let at_us = self.at_us();
        for group in &mut self.story.groups {
            for machine in [HERE, THERE] {
                let held = claim(&self.scene.world, machine, &group.key) == Some(GroupClaim::Held);
                let name = &self.scene.names[machine];
                let open =
                    group.served.iter_mut().find(|it| it.node == *name && it.to_us.is_none());
                match (held, open) {
                    (true, None) => {
                        let node = name.clone();
                        group.served.push(Served { node, from_us: at_us, to_us: None });
                        self.changed = self.scene.world.now();
                    }
                    (false, Some(served)) => {
                        served.to_us = Some(at_us);
                        self.changed = self.scene.world.now();
                    }
                    (true, Some(_)) | (false, None) => {}
                }
            }
        }
    }

    fn end(mut self) -> Story {
        self.note_owners();
        let length = self.changed - self.begun;
        self.story.length_us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let end = self.at_us();
        for group in &mut self.story.groups {
            let last = group.served.iter().find(|served| served.to_us.is_none());
            group.ends_on = last.map(|served| served.node.clone());
            group.outage_ms = outage_us(&group.served, end) / 1_000;
        }
        self.story
    }
}

/// Microseconds between the first moment at which somebody serves and the end in which nobody does.
fn outage_us(served: &[Served], end: u64) -> u64 {
    let mut spans: Vec<(u64, u64)> =
        served.iter().map(|it| (it.from_us, it.to_us.unwrap_or(end))).collect();
    spans.sort_unstable();
    let mut outage = 0;
    let mut reached = spans.first().map_or(0, |(from, _)| *from);
    for (from, to) in spans {
        outage += from.saturating_sub(reached);
        reached = reached.max(to);
    }
    outage + end.saturating_sub(reached)
}

/// Not the lines that only say what an action or a group did: those are told as actions.
fn is_told(line: &LogEvent) -> bool {
    match line.level {
        Level::Warn | Level::Error => line.event != "operation_ended",
        Level::Info => TOLD.contains(&line.event.as_str()) || line.event == "group_changed",
        Level::Debug => false,
    }
}
