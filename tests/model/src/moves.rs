//! What can happen in a state, and what becomes of it: the part that messaging, the doubt about a silent
//! peer (`hb_node`) and the machine play around the managers. Everything may take any time, as far as
//! the fault model does not say otherwise.

use hb_resource::input::{GroupClaim, Holdings, Input, PeerStatus, RequestId, Which};
use hb_resource::operation::{Action, Outcome};
use hb_resource::output::Timer;

use crate::faults::Faults;
use crate::legacy::{Job, Legacy};
use crate::setup::Setup;
use crate::side::{Book, Pending};
use crate::world::{Broken, Node, Packet, Power, Request, Step, World};

/// Who asked; an answer goes to nobody.
const REQUEST: RequestId = RequestId(1);

/// A pair without faults rests after fewer steps than this.
const SETTLE_MAX: usize = 500;

/// A fault model over two nodes.
pub struct Pair {
    /// What may happen.
    pub faults: Faults,
    /// The groups.
    pub setup: Setup,
    /// The states of single nodes.
    pub book: Book,
}

impl Pair {
    /// Two nodes under `faults`.
    pub fn new(faults: Faults) -> Self {
        let setup = Setup { groups: faults.groups, failback: faults.failback };
        Self { faults, setup, book: Book::new(setup) }
    }

    /// Both machines have just been switched on; the same when they have settled; and, where the
    /// model has that, one in which somebody has started the service `web` on node2 by hand.
    pub fn begin(&self) -> Vec<World> {
        let node = |number: usize, by_hand: u8| Node {
            power: Power::Booting,
            side: self.book.fresh(number),
            runs: 0,
            by_hand,
            knows: PeerStatus::Unknown,
            current: false,
            parted: false,
            fenced: false,
        };
        let world = |by_hand: u8| World {
            nodes: [node(0, 0), node(1, by_hand)],
            wire: [Vec::new(), Vec::new()],
            deaf: [false; 2],
            left: self.faults.budget,
            broken: None,
            split: false,
            legacy: self
                .faults
                .legacy
                .then(|| Legacy::begun(self.faults.failback, &mut Vec::new())),
        };
        let mut worlds = vec![world(0), self.settled(world(0))];
        if self.faults.by_hand {
            worlds.push(world(1 << self.setup.member("web")));
        }
        worlds
    }

    /// The same pair when it has come to rest, without any fault.
    fn settled(&self, mut world: World) -> World {
        let mut steps = Vec::new();
        for _ in 0..SETTLE_MAX {
            steps.clear();
            self.steps(&world, &mut steps);
            let by_itself = |step: &&Step| {
                matches!(
                    step,
                    Step::Hear(_)
                        | Step::Begin(_)
                        | Step::Deliver(_)
                        | Step::Script
                        | Step::Complete { fails: false, .. }
                )
            };
            let waits =
                |step: &&Step| matches!(step, Step::TakeTimer | Step::Fire(_, Timer::StartupWait));
            let Some(step) = steps.iter().find(by_itself).or_else(|| steps.iter().find(waits))
            else {
                break;
            };
            world = self.next(&world, step);
        }
        world
    }

    /// Whether more is on the way than the model looks at.
    pub fn is_within(&self, world: &World) -> bool {
        world.wire.iter().all(|wire| wire.len() <= self.faults.in_flight)
    }

    /// Everything that can happen.
    pub fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_some() {
            return;
        }
        for node in [0, 1] {
            self.steps_of_wire(world, node, steps);
            self.steps_of_status(world, node, steps);
            self.steps_of_machine(world, node, steps);
            if world.is_legacy(node) {
                self.steps_of_legacy(world, steps);
            } else if world.speaks(node) {
                self.steps_of_side(world, node, steps);
            }
        }
        let deaf = world.deaf[0] || world.deaf[1];
        if deaf {
            steps.push(Step::Heal);
        } else if world.left.cuts > 0 {
            steps.push(Step::Cut);
            if self.faults.one_way {
                steps.extend([Step::Deafen(0), Step::Deafen(1)]);
            }
        }
    }

    fn steps_of_wire(&self, world: &World, node: usize, steps: &mut Vec<Step>) {
        let known = |packet: &Packet| {
            let me = &world.nodes[node];
            me.knows == PeerStatus::Active && (packet.old || me.current)
        };
        let wire = &world.wire[node];
        if !world.speaks(node) || world.deaf[node] {
            return;
        }
        let Some(first) = wire.first() else { return };
        if known(first) {
            steps.push(Step::Deliver(node));
            let second = wire.get(1).is_some_and(known);
            if world.left.losses > 0 {
                steps.push(Step::Lose(node));
                if second && wire[0] != wire[1] {
                    steps.push(Step::Overtake(node));
                }
            }
        }
    }

    fn steps_of_status(&self, world: &World, node: usize, steps: &mut Vec<Step>) {
        let me = &world.nodes[node];
        if !world.speaks(node) {
            return;
        }
        if world.hears(node) {
            let said = match world.nodes[1 - node].power {
                Power::Up => PeerStatus::Active,
                Power::Off | Power::Killed | Power::Booting | Power::Left => PeerStatus::Starting,
            };
            if !me.current || me.knows != said {
                steps.push(Step::Hear(node));
            }
        } else if !world.misses(node) && !self.comes_back_in_time(world, node) {
            steps.push(Step::Silence(node));
        }
        if me.power == Power::Booting && me.knows != PeerStatus::Unknown {
            steps.push(Step::Begin(node));
        }
        if self.faults.fencing && me.power == Power::Up && me.knows == PeerStatus::Lost {
            steps.push(if me.fenced { Step::Fenced(node) } else { Step::Fence(node) });
        }
    }

    /// A killed daemon is started again before its peer takes it for dead: what the supervisor and
    /// the guardian are for.
    fn comes_back_in_time(&self, world: &World, node: usize) -> bool {
        world.nodes[1 - node].power == Power::Killed && !self.faults.fencing
    }

    fn steps_of_machine(&self, world: &World, node: usize, steps: &mut Vec<Step>) {
        let power = world.nodes[node].power;
        if world.speaks(node) && world.left.crashes > 0 {
            if self.faults.power_off {
                steps.push(Step::PowerOff(node));
            }
            if self.faults.kill && !world.is_legacy(node) {
                steps.push(Step::Kill { node, done: true });
                let side = self.book.side(world.nodes[node].side);
                if side.pending.iter().any(changes) {
                    steps.push(Step::Kill { node, done: false });
                }
            }
        }
        if matches!(power, Power::Off | Power::Killed | Power::Left) {
            steps.push(Step::Boot(node));
        }
    }

    fn steps_of_side(&self, world: &World, node: usize, steps: &mut Vec<Step>) {
        let side = self.book.side(world.nodes[node].side);
        for (index, pending) in side.pending.iter().enumerate() {
            steps.push(Step::Complete { node, index, fails: false });
            if changes(pending) && world.left.failures > 0 {
                steps.push(Step::Complete { node, index, fails: true });
            }
        }
        for timer in &side.timers {
            if self.may_fire(world, timer) {
                steps.push(Step::Fire(node, timer.clone()));
            }
        }
        if world.nodes[node].power != Power::Up {
            return;
        }
        let claims = &self.book.view(world.nodes[node].side).claims;
        if claims.iter().any(|claim| matches!(claim, GroupClaim::Blocked)) {
            steps.push(Step::Ask(node, Request::Cleanup));
        }
        if world.left.requests > 0 {
            let requests = [Request::Standby, Request::Takeover, Request::Stop];
            steps.extend(requests.map(|request| Step::Ask(node, request)));
        }
    }

    /// Timers are shorter or longer than anything else, but for what beside a 3.0.6 node rests on
    /// time alone: its messages take less than 10 s, and so do its scripts.
    fn may_fire(&self, world: &World, timer: &Timer) -> bool {
        let patient =
            matches!(timer, Timer::StartupWait | Timer::StandbyAnswer | Timer::StandbyEnd);
        let Some(legacy) = &world.legacy else { return true };
        let idle = legacy.is_idle() || world.nodes[1].power != Power::Up;
        !patient || idle && world.wire.iter().all(Vec::is_empty)
    }

    fn steps_of_legacy(&self, world: &World, steps: &mut Vec<Step>) {
        let Some(legacy) = &world.legacy else { return };
        if world.nodes[1].power != Power::Up {
            return;
        }
        if legacy.job().is_some() {
            steps.push(Step::Script);
        }
        let quiet = world.wire.iter().all(Vec::is_empty);
        let at_rest = self.book.side(world.nodes[0].side).pending.is_empty();
        if quiet && at_rest && (legacy.waits() || legacy.clone().no_answer()) {
            steps.push(Step::TakeTimer);
        }
        if world.left.requests > 0 {
            steps.push(Step::Ask(1, Request::Standby));
            if legacy.is_settled() {
                steps.push(Step::Ask(1, Request::Stop));
            }
        }
    }

    /// What becomes of a step.
    pub fn next(&self, world: &World, step: &Step) -> World {
        let mut next = world.clone();
        match *step {
            Step::Deliver(node) => self.deliver(&mut next, node, 0),
            Step::Overtake(node) => {
                next.left.losses -= 1;
                self.deliver(&mut next, node, 1);
            }
            Step::Lose(node) => {
                next.left.losses -= 1;
                next.wire[node].remove(0);
            }
            Step::Complete { node, index, fails } => self.complete(&mut next, node, index, fails),
            Step::Fire(node, ref timer) => self.feed(&mut next, node, Input::Timer(timer.clone())),
            Step::Hear(node) => self.hear(&mut next, node),
            Step::Begin(node) => self.begin_to_decide(&mut next, node),
            Step::Silence(node) => self.silence(&mut next, node),
            Step::Cut | Step::Deafen(_) => {
                next.left.cuts -= 1;
                next.deaf = [*step != Step::Deafen(1), *step != Step::Deafen(0)];
            }
            Step::Heal => next.deaf = [false; 2],
            Step::PowerOff(node) => {
                next.left.crashes -= 1;
                self.switch_off(&mut next, node);
            }
            Step::Kill { node, done } => self.kill(&mut next, node, done),
            Step::Boot(node) => self.boot(&mut next, node),
            Step::Fence(node) => {
                next.nodes[node].fenced = true;
                self.switch_off(&mut next, 1 - node);
            }
            Step::Fenced(node) => {
                next.nodes[node].fenced = false;
                self.tell(&mut next, node, PeerStatus::Dead);
            }
            Step::Ask(node, request) => self.ask(&mut next, node, request),
            Step::Script => self.script(&mut next),
            Step::TakeTimer => self.with_legacy(&mut next, |legacy, said| {
                if !legacy.no_answer() {
                    legacy.timer(said);
                }
            }),
        }
        self.note_end_of_split(&mut next);
        next
    }

    fn deliver(&self, world: &mut World, node: usize, place: usize) {
        let message = self.book.message(world.wire[node].remove(place).message);
        if world.is_legacy(node) {
            return self.with_legacy(world, |legacy, said| legacy.hear(&message, said));
        }
        if matches!(message, hb_resource::input::PeerMessage::Shutdone) {
            world.nodes[node].parted = true;
        }
        self.feed(world, node, Input::Message(message));
    }

    fn complete(&self, world: &mut World, node: usize, index: usize, fails: bool) {
        let side = self.book.side(world.nodes[node].side);
        let pending = side.pending[index];
        let me = &mut world.nodes[node];
        let bit = 1_u8 << pending.member;
        if fails {
            world.left.failures -= 1;
        }
        let outcome = match pending.action {
            _ if pending.cancelled => Outcome::TimedOut,
            _ if fails => Outcome::Failed { code: Some(1), reason: String::new() },
            Action::Status if (me.runs | me.by_hand) & bit == 0 => Outcome::NotRunning,
            Action::Stop => {
                me.runs &= !bit;
                Outcome::Ok
            }
            Action::Status | Action::Start | Action::Announce | Action::Validate => Outcome::Ok,
        };
        self.feed(world, node, Input::Done { op: pending.op, outcome });
    }

    /// What messaging and the translation say when a peer is heard (`hb_messaging::engine`).
    fn hear(&self, world: &mut World, node: usize) {
        let up = world.nodes[1 - node].power == Power::Up;
        let said = if up { PeerStatus::Active } else { PeerStatus::Starting };
        let me = &mut world.nodes[node];
        let (before, current) = (me.knows, std::mem::replace(&mut me.current, true));
        let missed = matches!(before, PeerStatus::Dead | PeerStatus::Lost);
        me.parted = false;
        me.fenced &= !missed;
        me.knows = said;
        if !current {
            world.wire[node].retain(|packet| !packet.old);
        }
        if world.is_legacy(node) {
            if missed || !current {
                self.with_legacy(world, |legacy, _| legacy.other_restarted());
            }
            return;
        }
        if !current && before != PeerStatus::Unknown {
            self.feed(world, node, Input::PeerRestarted);
        }
        if !current {
            self.feed(world, node, Input::PeerIsNative(!self.faults.legacy));
        }
        self.feed(world, node, Input::Peer(said));
        // Messaging says so too when the first word of a new incarnation that is heard is `active`.
        if missed && (current || up) {
            self.feed(world, node, Input::PeerReturned);
        }
    }

    fn begin_to_decide(&self, world: &mut World, node: usize) {
        world.nodes[node].power = Power::Up;
        if !world.is_legacy(node) {
            let record = self.setup.record(world.nodes[node].runs);
            self.feed(world, node, Input::Left(record));
            return self.feed(world, node, Input::Started);
        }
        let missed = world.misses(node);
        let mut said = Vec::new();
        let mut legacy = Legacy::begun(self.faults.failback, &mut said);
        if missed {
            legacy.other_died();
        }
        world.legacy = Some(legacy);
        self.with_legacy(world, |_, out| out.append(&mut said));
    }

    /// What the two have said on wrong grounds has been heard, and has led to what it leads to.
    fn note_end_of_split(&self, world: &mut World) {
        let knows = |node: &Node| node.current && node.knows == PeerStatus::Active;
        let over = world.nodes.iter().all(knows)
            && world.wire.iter().all(Vec::is_empty)
            && !self.is_double(world);
        world.split &= !over;
    }

    /// The doubt about a silent peer: with fencing it stays until the peer was switched off.
    fn silence(&self, world: &mut World, node: usize) {
        // What was on the way is lost, or has been delivered.
        world.wire[node].clear();
        let sure = !self.faults.fencing || world.nodes[node].parted;
        let status = if sure { PeerStatus::Dead } else { PeerStatus::Lost };
        world.split |= !self.faults.fencing && world.speaks(1 - node);
        self.tell(world, node, status);
    }

    fn tell(&self, world: &mut World, node: usize, status: PeerStatus) {
        world.nodes[node].knows = status;
        if world.is_legacy(node) {
            if world.nodes[node].power == Power::Up {
                self.with_legacy(world, |legacy, _| legacy.other_died());
            }
            return;
        }
        self.feed(world, node, Input::Peer(status));
    }

    fn switch_off(&self, world: &mut World, node: usize) {
        world.wire[node].clear();
        let me = &mut world.nodes[node];
        (me.power, me.runs, me.by_hand, me.fenced) = (Power::Off, 0, 0, false);
        self.forget(world, node);
    }

    fn kill(&self, world: &mut World, node: usize, done: bool) {
        world.left.crashes -= 1;
        world.wire[node].clear();
        let side = self.book.side(world.nodes[node].side);
        let me = &mut world.nodes[node];
        for pending in &side.pending {
            let bit = 1_u8 << pending.member;
            if (pending.action == Action::Start && !done)
                || (pending.action == Action::Stop && done)
            {
                me.runs &= !bit;
            }
        }
        me.power = Power::Killed;
        self.forget(world, node);
    }

    /// A daemon that does not run knows nothing.
    fn forget(&self, world: &mut World, node: usize) {
        let me = &mut world.nodes[node];
        me.side = self.book.fresh(node);
        (me.knows, me.current, me.parted) = (PeerStatus::Unknown, false, false);
        if world.is_legacy(node) {
            world.legacy = Some(Legacy::begun(self.faults.failback, &mut Vec::new()));
        }
    }

    fn boot(&self, world: &mut World, node: usize) {
        world.nodes[node].power = Power::Booting;
        self.forget(world, node);
        world.nodes[1 - node].current = false;
        for packet in &mut world.wire[1 - node] {
            packet.old = true;
        }
    }

    fn ask(&self, world: &mut World, node: usize, request: Request) {
        if request != Request::Cleanup {
            world.left.requests -= 1;
        }
        if world.is_legacy(node) {
            return self.with_legacy(world, |legacy, said| match request {
                Request::Stop => legacy.stop(said),
                Request::Standby | Request::Takeover | Request::Cleanup => {
                    legacy.give(Holdings::ALL, said);
                }
            });
        }
        let which = Which::Sets(Holdings::ALL);
        let input = match request {
            Request::Standby => Input::Standby { request: REQUEST, which },
            Request::Takeover => Input::Takeover { request: REQUEST, which },
            Request::Stop => Input::Stop,
            Request::Cleanup => Input::Cleanup { request: REQUEST, group: None },
        };
        self.feed(world, node, input);
    }

    fn feed(&self, world: &mut World, node: usize, input: Input) {
        if world.broken.is_some() || !world.speaks(node) {
            return;
        }
        let (side, effects) = self.book.step(world.nodes[node].side, &input);
        world.nodes[node].side = side;
        for begun in &effects.begun {
            self.note_begun(world, node, begun);
        }
        for message in &effects.sent {
            send(world, node, *message);
        }
        if let Some(text) = &effects.broken {
            world.broken = Some(Broken::Invariant(text.clone()));
        }
        for (group, claim) in self.book.view(side).claims.iter().enumerate() {
            if *claim == GroupClaim::Held {
                self.take_charge(world, node, group);
            }
        }
        if effects.left {
            world.nodes[node].power = Power::Left;
            world.wire[node].clear();
            self.forget(world, node);
        }
    }

    /// What was started by hand is heartbeat's from the moment at which it starts the group.
    fn take_charge(&self, world: &mut World, node: usize, group: usize) {
        let me = &mut world.nodes[node];
        let taken = me.by_hand & self.setup.mask(group);
        me.by_hand &= !taken;
        me.runs |= taken;
    }

    fn note_begun(&self, world: &mut World, node: usize, begun: &Pending) {
        let group = self.setup.group_of(begun.member);
        let (mask, bit) = (self.setup.mask(group), 1_u8 << begun.member);
        let (below, above) = (mask & (bit - 1), mask & !(bit | (bit - 1)));
        let broken = match begun.action {
            Action::Start => {
                let there = world.nodes[1 - node].runs & mask != 0;
                let declared = world.nodes[node].knows == PeerStatus::Dead && !self.faults.fencing;
                self.take_charge(world, node, group);
                let runs = world.nodes[node].runs;
                world.nodes[node].runs |= bit;
                match () {
                    () if there && !declared && !world.split => Some(Broken::S2),
                    () if runs & below != below => Some(Broken::S3),
                    () => None,
                }
            }
            Action::Stop => {
                // Whoever loses a conflict falls silent first. The winner may have lost its power since
                // it said that it has it.
                let there = world.nodes[1 - node].runs & mask != 0 || world.split;
                let silences = there && self.setup.is_address(begun.member);
                let me = &world.nodes[node];
                match () {
                    () if me.by_hand & bit != 0 => Some(Broken::S7),
                    () if me.runs & above != 0 && !silences => Some(Broken::S3),
                    () => None,
                }
            }
            Action::Status | Action::Announce | Action::Validate => None,
        };
        world.broken = world.broken.take().or(broken);
    }

    fn with_legacy(
        &self,
        world: &mut World,
        step: impl FnOnce(&mut Legacy, &mut Vec<hb_resource::input::PeerMessage>),
    ) {
        let Some(legacy) = &mut world.legacy else { return };
        let mut said = Vec::new();
        step(legacy, &mut said);
        self.begin_script(world);
        for message in said {
            send(world, 1, self.book.message_number(&message));
        }
    }

    fn script(&self, world: &mut World) {
        let mut job = None;
        self.with_legacy(world, |legacy, said| job = legacy.script_done(said));
        if let Some(Job::Give(sets, then)) = job {
            world.nodes[1].runs &= !self.sets_mask(sets);
            if then == crate::legacy::Then::Shutdone {
                world.nodes[1].power = Power::Left;
                world.wire[1].clear();
                self.forget(world, 1);
            }
        }
        self.begin_script(world);
    }

    /// What the script that runs is starting counts as running.
    fn begin_script(&self, world: &mut World) {
        let job = world.legacy.as_ref().and_then(Legacy::job);
        if let Some(Job::Take(sets, _)) = job {
            world.nodes[1].runs |= self.sets_mask(sets);
        }
    }

    /// The members of sets as node2 names them: the second group prefers it.
    fn sets_mask(&self, sets: Holdings) -> u8 {
        let foreign = if sets.foreign { self.setup.mask(0) } else { 0 };
        foreign | if sets.local { self.setup.mask(1) } else { 0 }
    }

    /// Whether a step is the end of a fault, or what follows by itself: what may be relied on.
    pub fn is_progress(&self, world: &World, step: &Step) -> bool {
        match step {
            Step::Deliver(_)
            | Step::Fire(..)
            | Step::Hear(_)
            | Step::Begin(_)
            | Step::Silence(_)
            | Step::Heal
            | Step::Fence(_)
            | Step::Fenced(_)
            | Step::Script
            | Step::TakeTimer
            | Step::Ask(_, Request::Cleanup) => true,
            Step::Complete { fails, .. } => !fails,
            Step::Boot(node) => {
                let alone = matches!(world.nodes[1 - node].power, Power::Off | Power::Left);
                alone || world.nodes[*node].power == Power::Killed
            }
            Step::Overtake(_)
            | Step::Lose(_)
            | Step::Cut
            | Step::Deafen(_)
            | Step::PowerOff(_)
            | Step::Kill { .. }
            | Step::Ask(_, Request::Standby | Request::Takeover | Request::Stop) => false,
        }
    }

    /// Each group runs on exactly one node, whole, and its daemon says so.
    pub fn is_served(&self, world: &World) -> bool {
        (0..self.setup.groups).all(|group| {
            let mask = self.setup.mask(group);
            let runs = |node: usize| world.nodes[node].runs & mask;
            let owner = match (runs(0), runs(1)) {
                (0, there) if there == mask => 1,
                (here, 0) if here == mask => 0,
                _ => return false,
            };
            let node = &world.nodes[owner];
            let held = match &world.legacy {
                Some(legacy) if owner == 1 => legacy.is_idle(),
                _ => self.book.view(node.side).claims[group] == GroupClaim::Held,
            };
            node.power == Power::Up && held
        })
    }

    /// Whether a group runs on both.
    pub fn is_double(&self, world: &World) -> bool {
        let shared = |group: usize| {
            let mask = self.setup.mask(group);
            world.nodes.iter().all(|node| node.runs & mask != 0)
        };
        (0..self.setup.groups).any(shared)
    }
}

fn changes(pending: &Pending) -> bool {
    matches!(pending.action, Action::Start | Action::Stop)
}

/// Nobody hears what is said to a daemon that does not run, and nothing is repeated to a node that
/// has taken the sender for dead and does not hear it.
fn send(world: &mut World, from: usize, message: crate::side::MessageId) {
    let to = 1 - from;
    if world.speaks(to) && !(world.deaf[to] && world.misses(to)) {
        world.wire[to].push(Packet { message, old: false });
    }
}
