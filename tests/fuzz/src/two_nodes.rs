//! Two whole nodes that hear each other, in virtual time: datagrams are lost, late and overtake
//! each other, agents are slow and fail, operators type, daemons stop and start again, but there is
//! never a silence as long as the dead time. Then no resource may ever be started on one node while
//! it may run on the other (S1). It keeps its own books of what runs where.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hb_config::settings::Settings;
use hb_messaging::engine::LinkId;
use hb_messaging::time::Instant;
use hb_messaging::{fields, wire};
use hb_node::api::Request;
use hb_node::effect::Effect;
use hb_node::input::{ClientId, Input};
use hb_node::{Identity, Node};
use hb_resource::input::{Evidence, GroupClaim, Holdings, Which};
use hb_resource::operation::{Action, Operation, Outcome};

use crate::reader::Reader;
use crate::world;

/// Steps of the operators.
const STEPS_MAX: usize = 60;
/// Datagrams that may be lost in a row in one direction.
const LOST_MAX: u32 = 3;
/// For how long the newest heartbeats of one direction may be lost. The next one follows after at
/// most a keepalive of 200 ms and is 160 ms late: together that is less than the dead time of a
/// second. Nothing but a heartbeat shows that a node lives, also not an old one that is sent again.
const SILENT_MAX: Duration = Duration::from_millis(400);
/// What happens in one run: some minutes of heartbeats.
const EVENTS_MAX: usize = 12_000;
/// How long both settle before anything else happens, and after everything.
const SETTLING: Duration = Duration::from_secs(15);
/// How long a daemon that has left stays away.
const AWAY: Duration = Duration::from_millis(300);

/// Something that will happen.
#[derive(Debug)]
enum Coming {
    Datagram(LinkId, Vec<u8>),
    Ended(Arc<Operation>),
    Start,
}

/// One machine.
struct Machine {
    settings: &'static Settings,
    /// The daemon, and when it started: the zero of its own time.
    daemon: Option<(Node, Instant)>,
    generation: u64,
    /// What runs or may run, by group and text.
    runs: BTreeMap<(String, String), ()>,
    /// Datagrams lost in a row on the way to the other.
    lost: u32,
    /// The highest sequence number of a heartbeat, and when the newest at that time got through.
    newest: u64,
    heard: Instant,
}

struct World<'a> {
    machines: [Machine; 2],
    now: Instant,
    coming: BTreeMap<(Instant, u64), (usize, Coming)>,
    planned: u64,
    events: usize,
    clients: u64,
    /// Decides on losses, delays and agents; what is not decided goes well.
    noise: Reader<'a>,
}

/// A byte with the number of steps, the steps, then noise.
pub fn two_nodes(data: &[u8]) {
    let mut reader = Reader::new(data);
    let count = usize::from(reader.u8()) % STEPS_MAX;
    let steps: Vec<[u8; 2]> = (0..count).map(|_| [reader.u8(), reader.u8()]).collect();
    let mut world = World::new(Reader::new(reader.rest()));
    world.run(SETTLING);
    for step in steps {
        world.perform(step);
    }
    world.noise = Reader::new(&[]);
    world.run(SETTLING);
    world.check_claims();
}

impl<'a> World<'a> {
    fn new(noise: Reader<'a>) -> Self {
        let machine = |settings| Machine {
            settings,
            daemon: None,
            generation: 0,
            runs: BTreeMap::new(),
            lost: 0,
            newest: 0,
            heard: Instant::ZERO,
        };
        let mut world = Self {
            machines: world::pair().each_ref().map(machine),
            now: Instant::ZERO,
            coming: BTreeMap::new(),
            planned: 0,
            events: 0,
            clients: 0,
            noise,
        };
        world.plan(0, Duration::ZERO, Coming::Start);
        let later = world.noise.u8();
        world.plan(1, Duration::from_millis(u64::from(later) * 2), Coming::Start);
        world
    }

    fn perform(&mut self, [code, detail]: [u8; 2]) {
        let machine = usize::from(code & 1);
        match code >> 1 & 0x0f {
            0..=4 => self.run(Duration::from_millis(u64::from(detail) * 8)),
            5..=6 => self.run(Duration::from_millis(u64::from(detail) * 64)),
            7..=8 => self.ask(machine, Request::Standby { which: self.which(detail) }),
            9..=10 => self.ask(machine, Request::Takeover { which: self.which(detail) }),
            11 => self.ask(machine, Request::Cleanup { group: None }),
            12 => self.feed(machine, Input::Shutdown),
            13 => self.die(machine, detail),
            14 => {
                let on = detail & 1 == 1;
                self.ask(machine, Request::Maintenance { on, limit_ms: Some(3_000) });
            }
            _ => {
                self.ask(0, Request::Standby { which: self.which(detail) });
                self.ask(1, Request::Takeover { which: self.which(detail >> 4) });
            }
        }
    }

    fn which(&self, detail: u8) -> Which {
        let groups = &self.machines[0].settings.groups;
        match usize::from(detail & 7) {
            0 => Which::Sets(Holdings::ALL),
            1 => Which::Sets(Holdings::LOCAL),
            2 => Which::Sets(Holdings::FOREIGN),
            other => Which::Group(groups[other % groups.len()].key.clone()),
        }
    }

    fn ask(&mut self, machine: usize, request: Request) {
        self.clients += 1;
        self.feed(machine, Input::Request { client: ClientId(self.clients), request });
    }

    /// A resource dies, and the kernel says so.
    fn die(&mut self, machine: usize, detail: u8) {
        let runs = &mut self.machines[machine].runs;
        let Some(key) = runs.keys().nth(usize::from(detail) % runs.len().max(1)).cloned() else {
            return;
        };
        runs.remove(&key);
        let (group, resource) = key;
        let (evidence, reason) = (Evidence::ProcessEnded, "it has ended".into());
        self.feed(machine, Input::Look { group, resource, evidence, reason });
    }

    fn plan(&mut self, machine: usize, after: Duration, coming: Coming) {
        self.planned += 1;
        self.coming.insert((self.now + after, self.planned), (machine, coming));
    }

    /// Lets everything happen up to `duration` from here, what was planned before what is due.
    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.events < EVENTS_MAX {
            let planned = self.coming.keys().next().map(|(at, _)| *at);
            let due = [0, 1].map(|machine| self.machines[machine].next_timeout());
            let all = due.into_iter().flatten().chain(planned);
            let Some(next) = all.min().filter(|at| *at <= until) else { break };
            self.events += 1;
            self.now = self.now.max(next);
            if planned.is_some_and(|at| at <= next) {
                if let Some((_, (machine, coming))) = self.coming.pop_first() {
                    self.happen(machine, coming);
                }
            } else if let Some(machine) = due.iter().position(|at| *at == Some(next)) {
                self.feed(machine, Input::Timeout);
            }
        }
        self.now = until;
    }

    fn happen(&mut self, machine: usize, coming: Coming) {
        match coming {
            Coming::Datagram(link, bytes) => self.feed(machine, Input::Datagram { link, bytes }),
            Coming::Ended(operation) => {
                let outcome = self.end(machine, &operation);
                self.feed(machine, Input::Done { op: operation.id, outcome });
            }
            Coming::Start => self.start(machine),
        }
    }

    fn start(&mut self, machine: usize) {
        let now = self.now;
        let this = &mut self.machines[machine];
        this.generation += 1;
        (this.newest, this.heard) = (0, now);
        let uuid = [u8::try_from(machine).unwrap_or(0) + 1; 16];
        let identity = Identity { uuid, generation: this.generation, seed: this.generation };
        this.daemon = Some((Node::new(this.settings, identity), now));
        let load = "0.00 0.00 0.00 1/1 1".to_owned();
        self.feed(machine, Input::Environment { unix_s: 1_767_225_600, load });
        self.feed(machine, Input::Start);
    }

    fn feed(&mut self, machine: usize, input: Input) {
        let now = self.now;
        let Some((node, started)) = &mut self.machines[machine].daemon else { return };
        let mut effects = Vec::new();
        node.handle(Instant::ZERO + (now - *started), input, &mut effects);
        for effect in effects {
            self.act(machine, effect);
        }
    }

    fn act(&mut self, machine: usize, effect: Effect) {
        match effect {
            Effect::Transmit { link, bytes } => self.send(machine, link, &bytes),
            Effect::Run(operation) => {
                if operation.action == Action::Start {
                    self.check_start(machine, &operation);
                    let key = (operation.group.clone(), operation.resource.text.clone());
                    self.machines[machine].runs.insert(key, ());
                }
                let takes = Duration::from_millis(1 + 20 * u64::from(self.noise.u8() & 0x1f));
                self.plan(machine, takes, Coming::Ended(operation));
            }
            Effect::Exit { .. } => {
                self.machines[machine].daemon = None;
                let of_daemon = |machine_of: usize, coming: &Coming| {
                    machine_of == machine && matches!(coming, Coming::Ended(_))
                };
                self.coming.retain(|_, (of, coming)| !of_daemon(*of, coming));
                self.plan(machine, AWAY, Coming::Start);
            }
            Effect::Echo { .. }
            | Effect::Cancel(_)
            | Effect::Fence { .. }
            | Effect::Witness { .. }
            | Effect::PeerAddress { .. }
            | Effect::PeerEthernet(_)
            | Effect::Alive
            | Effect::LetWatchdogBite { .. }
            | Effect::Restart { .. }
            | Effect::KeepConfiguration { .. }
            | Effect::Reply { .. }
            | Effect::Log(_)
            | Effect::History(_)
            | Effect::Notify { .. } => {}
        }
    }

    fn send(&mut self, machine: usize, link: LinkId, bytes: &[u8]) {
        let noise = self.noise.u8();
        let this = &mut self.machines[machine];
        let beats = sequence_of_heartbeat(bytes).is_some_and(|sequence| {
            let newest = sequence >= this.newest;
            this.newest = this.newest.max(sequence);
            newest
        });
        let silent = beats && self.now - this.heard >= SILENT_MAX;
        if noise & 3 == 3 && this.lost < LOST_MAX && !silent {
            this.lost += 1;
            return;
        }
        this.lost = 0;
        if beats {
            this.heard = self.now;
        }
        let late = Duration::from_micros(300 + 2_500 * u64::from(noise >> 2));
        self.plan(1 - machine, late, Coming::Datagram(link, bytes.to_vec()));
    }

    /// S1: nothing of a group is started here while anything of it may run there.
    fn check_start(&self, machine: usize, operation: &Operation) {
        let there = &self.machines[1 - machine].runs;
        let other = there.keys().find(|(group, _)| *group == operation.group);
        assert!(
            other.is_none(),
            "S1: {:?} is started while {other:?} runs there",
            operation.resource
        );
    }

    /// How an agent ends, and what runs afterwards.
    fn end(&mut self, machine: usize, operation: &Operation) -> Outcome {
        let key = (operation.group.clone(), operation.resource.text.clone());
        // An agent that may kill does stop what it shall.
        let fails = self.noise.u8() >= 0xf0 && !operation.kill;
        let failed = || Outcome::Failed { code: Some(1), reason: String::new() };
        let runs = &mut self.machines[machine].runs;
        match operation.action {
            Action::Start if fails => {
                runs.remove(&key);
                failed()
            }
            Action::Stop if fails => failed(),
            Action::Stop => {
                runs.remove(&key);
                Outcome::Ok
            }
            Action::Status if !runs.contains_key(&key) => Outcome::NotRunning,
            Action::Status | Action::Start | Action::Announce | Action::Validate => Outcome::Ok,
        }
    }

    /// Both have had the time to settle.
    fn check_claims(&self) {
        let held = |machine: &Machine| -> Vec<String> {
            let Some((node, started)) = &machine.daemon else { return Vec::new() };
            let snapshot = node.status(Instant::ZERO + (self.now - *started));
            let held = snapshot.groups.into_iter().filter(|it| it.here == GroupClaim::Held);
            held.map(|group| group.key).collect()
        };
        let [here, there] = self.machines.each_ref().map(held);
        let both: Vec<_> = here.iter().filter(|key| there.contains(key)).collect();
        assert!(both.is_empty(), "S1: {both:?} on both nodes");
    }
}

impl Machine {
    fn next_timeout(&self) -> Option<Instant> {
        let (node, started) = self.daemon.as_ref()?;
        let due = node.next_timeout()?;
        Some(*started + (due - Instant::ZERO))
    }
}

/// The sequence number of a `status`; `None` for all else.
fn sequence_of_heartbeat(bytes: &[u8]) -> Option<u64> {
    let frame = wire::decode(bytes).ok()?;
    let sequence = frame.fields.text(fields::SEQUENCE)?;
    let beats = frame.fields.text(fields::KIND) == Some("status");
    beats.then(|| u64::from_str_radix(sequence, 16).ok())?
}
