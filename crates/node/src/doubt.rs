//! Everything that speaks against taking the peer's silence for its death (`docs/decisions/0008`).
//! Messaging says that the peer is silent; the manager is told `Dead` only when nothing is left here,
//! and `Lost` until then. Pure: facts in, steps out; it knows no group and sends nothing.
//!
//! The order matters. Cheap evidence comes first, because a node that is cut off, or whose keys
//! differ, must neither claim the witness nor shoot a healthy peer:
//!
//! 1. *Maintenance.* Nothing moves.
//! 2. *Packets that cannot be verified*, in the peer's name, within its dead time (key mismatch).
//!    Anybody can forge them. While this node has never verified the peer in this run they hold for as
//!    long as they arrive: two nodes with different keys are both alive, and the error of a minute must
//!    not end with two owners at night. Once the peer was verified they hold only together with
//!    answers of its machine ([`machine`]), so that nobody keeps a takeover from happening by sending
//!    in the name of a node that has died. An operator's word ends it (`hb fence confirm`).
//! 3. *Ping nodes* ([`reach`]).
//! 4. *The witness*, when one is configured: it must have given this node the right.
//! 5. *Fencing*, when it is configured: it must have succeeded.
//!
//! What ends all of it at once: the peer is heard, it has left in order, it was fenced after its last
//! packet, or an operator has confirmed that it is off. Once the peer was taken for dead only the
//! witness can bring the doubt back, by giving its right to the peer or by not renewing the lease.
//!
//! A peer that speaks under the generation that was fenced shows that the fence device lies: nothing
//! is taken from it, started beside it or believed of it until it has restarted, but that it has
//! released everything. It is told, and does so at once (`docs/decisions/0021`).

use std::collections::BTreeSet;
use std::time::Duration;

use hb_config::settings::{FenceFailure, NodeName, Settings, Timing};
use hb_messaging::engine::PingId;
use hb_messaging::time::Instant;
use hb_resource::input::PeerStatus;
use hb_resource::operation::{GroupKey, Outcome};
use serde::{Deserialize, Serialize};

pub(crate) use self::hold::Hold;
use self::machine::Machine;
use self::reach::{Ping, Reach};
use crate::api::{FencingStatus, Response};
use crate::effect::{Effect, Level, LogEvent};
use crate::fencing::{Fencing, Tested, Weight};
use crate::input::{ClientId, WitnessAnswer};
use crate::witness::Right;

mod hold;
mod machine;
pub(crate) mod reach;

/// A node that holds nothing leaves the owner so many keepalives to ask the witness first: both
/// notice a partition within one of each other.
const WITNESS_KEEPALIVES: u32 = 2;
/// And at least so long, for the time that a question takes.
const WITNESS_DELAY_MIN: Duration = Duration::from_millis(200);
/// Dead times for which a node must be isolated before it ends itself (`suicide_when_isolated`).
const SUICIDE_DEADTIMES: u32 = 2;

/// What is known at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Last verified packet of the peer.
    pub(crate) heard: Option<Instant>,
    /// Generation of the peer; 0 when it was never verified.
    pub(crate) generation: u64,
    /// Last packet in its name that could not be verified, and the link.
    pub(crate) unverified: Option<(Instant, String)>,
    /// Ping nodes.
    pub(crate) pings: Vec<Ping>,
    /// Either node is in maintenance.
    pub(crate) maintenance: bool,
    /// This node runs groups, or parts of them.
    pub(crate) owner: bool,
    /// This node is leaving.
    pub(crate) stopping: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell the manager.
    Tell(PeerStatus),
    /// Tell the manager which groups may be started although the peer is lost.
    MayTake(BTreeSet<GroupKey>),
    /// Ask the ping nodes at once.
    AskPings,
    /// As it is.
    Effect(Effect),
    /// The peer has the right to go on alone: release everything, leave, come back as a new node.
    Yield(String),
    /// Let the watchdog reset this machine.
    Bite(String),
}

/// One silence of the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Silence {
    since: Instant,
    reach: Reach,
    /// Nothing spoke against its death any more.
    judged: bool,
    hold: Option<Hold>,
    /// When packets that cannot be verified stop to count.
    recheck: Option<Instant>,
}

/// The generation that a fence has ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fenced {
    generation: u64,
    at: Instant,
}

/// The state of doubt about the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doubt {
    peer: NodeName,
    timing: Timing,
    first: bool,
    /// Groups that go on when a fence has failed.
    takeover: BTreeSet<GroupKey>,
    suicide: bool,
    fencing: Option<Fencing<ClientId>>,
    right: Option<Right>,
    machine: Machine,
    silence: Option<Silence>,
    /// The peer said that it has released everything and leaves.
    left: bool,
    /// An operator has confirmed that it is off.
    confirmed: bool,
    fenced: Option<Fenced>,
    /// It speaks although it was fenced.
    distrusted: bool,
    /// What the manager was told last of a silent peer.
    told: Option<PeerStatus>,
    may_take: bool,
    stepped_down: bool,
}

impl Doubt {
    /// `None` when there is no peer.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        let peer = settings.peer()?.clone();
        let native = &settings.native;
        let on_failure = |key: &str| {
            let own = native.groups.get(key).and_then(|options| options.on_fence_failure);
            own.or(native.fencing.as_ref().map(|fencing| fencing.on_failure))
        };
        let keys = settings.groups.iter().map(|group| group.key.clone());
        Some(Self {
            first: settings.nodes.first() == Some(&settings.node),
            timing: settings.timing,
            takeover: keys.filter(|key| on_failure(key) == Some(FenceFailure::Takeover)).collect(),
            suicide: native.watchdog.as_ref().is_some_and(|dog| dog.suicide_when_isolated),
            fencing: native.fencing.clone().map(|config| Fencing::new(config, peer.clone())),
            right: native.witness.as_ref().map(Right::new),
            machine: Machine::new(Duration::from_millis(settings.timing.deadtime_ms)),
            peer,
            silence: None,
            left: false,
            confirmed: false,
            fenced: None,
            distrusted: false,
            told: None,
            may_take: false,
            stepped_down: false,
        })
    }

    /// The peer is silent for its dead time, or never spoke within `initdead`.
    pub(crate) fn silent(&mut self, now: Instant, facts: &Facts) -> Vec<Step> {
        let mut steps = Vec::new();
        let reach = Reach::begin(now, facts.heard, &facts.pings, &self.timing);
        if reach.doubt(now).is_some() {
            steps.push(Step::AskPings);
        }
        self.distrusted = false;
        self.told = None;
        self.machine.begin();
        self.silence =
            Some(Silence { since: now, reach, judged: false, hold: None, recheck: None });
        steps.extend(self.weigh(now, facts));
        steps
    }

    /// The peer speaks, under this generation. `false`: it was fenced, and nothing that it says is
    /// to be believed; the manager is told so here.
    pub(crate) fn heard(&mut self, generation: u64) -> (bool, Vec<Step>) {
        let mut effects = Vec::new();
        if self.silence.take().is_some() || self.left || self.confirmed {
            if let Some(fencing) = &mut self.fencing {
                fencing.stop(&mut effects);
            }
            if let Some(right) = &mut self.right {
                right.give_back(&mut effects);
            }
        }
        (self.left, self.confirmed, self.told) = (false, false, None);
        let mut steps: Vec<Step> = effects.into_iter().map(Step::Effect).collect();
        if std::mem::take(&mut self.may_take) {
            steps.push(Step::MayTake(BTreeSet::new()));
        }
        let lies = self.fenced(generation).is_some();
        if lies && !self.distrusted {
            let text = format!(
                "{0} was fenced and speaks all the same (generation {generation}): its fence device \
                 does not do what it says. Nothing is taken from {0} or given to it until it has \
                 restarted",
                self.peer
            );
            steps.push(log(Level::Error, "fenced_node_speaks", text));
            steps.push(Step::Tell(PeerStatus::Lost));
        }
        self.distrusted = lies;
        (!lies, steps)
    }

    /// The peer's `generation`, when it was fenced.
    pub(crate) fn fenced(&self, generation: u64) -> Option<u64> {
        self.fenced.map(|fenced| fenced.generation).filter(|fenced| *fenced == generation)
    }

    /// Whether nothing that the peer says is to be believed.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    /// The peer has released everything and leaves in order.
    pub(crate) fn left(&mut self) {
        self.left = true;
    }

    /// Judges what is known. Called after each input while the peer is silent.
    pub(crate) fn weigh(&mut self, now: Instant, facts: &Facts) -> Vec<Step> {
        let Some(mut silence) = self.silence.take() else { return Vec::new() };
        let mut steps = Vec::new();
        silence.reach.look(now, &facts.pings);
        silence.recheck = facts.unverified.as_ref().map(|(at, _)| *at + self.deadtime());
        self.ask_machine(now, facts, &silence, &mut steps);
        let hold = self.find_hold(now, facts, &silence, &mut steps);
        self.tell(hold, &mut silence, &mut steps);
        self.tell_may_take(&silence, &mut steps);
        self.end_myself(now, facts, &silence, &mut steps);
        self.silence = Some(silence);
        steps
    }

    /// Whether the peer is silent, so that [`Self::weigh`] is to be called.
    pub(crate) fn is_silent(&self) -> bool {
        self.silence.is_some()
    }

    /// The first thing that speaks against the peer's death. What comes after it is not begun.
    fn find_hold(
        &mut self,
        now: Instant,
        facts: &Facts,
        silence: &Silence,
        steps: &mut Vec<Step>,
    ) -> Option<Hold> {
        let is_certain = self.is_certain(facts);
        let early = if is_certain || silence.judged {
            None
        } else {
            self.early_hold(now, facts, &silence.reach)
        };
        let mut effects = Vec::new();
        let hold = match early {
            Some(hold) => {
                if let Some(fencing) = &mut self.fencing {
                    fencing.stop(&mut effects);
                }
                Some(hold)
            }
            None => {
                let witness = self.ask_witness(now, facts, is_certain, &mut effects);
                let fence = match &witness {
                    None if !is_certain && !silence.judged => self.fence(now, facts, &mut effects),
                    None | Some(_) => None,
                };
                witness.or(fence)
            }
        };
        steps.extend(effects.into_iter().map(Step::Effect));
        hold
    }

    /// The link on which packets in the peer's name arrive that cannot be verified.
    fn unverified_on<'a>(&self, now: Instant, facts: &'a Facts) -> Option<&'a str> {
        let (at, link) = facts.unverified.as_ref()?;
        (*at + self.deadtime() > now).then_some(link)
    }

    fn ask_machine(
        &mut self,
        now: Instant,
        facts: &Facts,
        silence: &Silence,
        steps: &mut Vec<Step>,
    ) {
        let matters = facts.generation > 0 && !silence.judged && !self.is_certain(facts);
        if matters
            && self.unverified_on(now, facts).is_some()
            && let Some(sequence) = self.machine.ask(now)
        {
            steps.push(Step::Effect(Effect::Echo { ping: PingId::PEER, sequence }));
        }
    }

    /// The peer's machine has answered `Effect::Echo` to `PingId::PEER`.
    pub(crate) fn machine_answered(&mut self, now: Instant, sequence: u16) {
        self.machine.answer(now, sequence);
    }

    fn lease(&self) -> Duration {
        self.right.as_ref().map_or(Duration::ZERO, Right::lease)
    }

    fn deadtime(&self) -> Duration {
        Duration::from_millis(self.timing.deadtime_ms)
    }

    /// Nothing can speak against it.
    fn is_certain(&self, facts: &Facts) -> bool {
        let is_fenced = self.fenced.is_some_and(|fenced| {
            fenced.generation == facts.generation
                && facts.heard.is_none_or(|heard| heard <= fenced.at)
        });
        self.left || self.confirmed || is_fenced
    }

    fn early_hold(&self, now: Instant, facts: &Facts, reach: &Reach) -> Option<Hold> {
        let peer = &self.peer;
        if facts.maintenance {
            return Some(Hold::maintenance());
        }
        let machine = if facts.generation == 0 {
            Some("")
        } else if self.machine.lives(now) {
            Some(", and its machine answers")
        } else {
            self.machine.is_asked(now).then_some("; its machine is asked")
        };
        if let Some(link) = self.unverified_on(now, facts)
            && let Some(machine) = machine
        {
            return Some(Hold::unverified(peer, link, machine));
        }
        reach.doubt(now).map(|text| Hold::isolated(peer, text, reach.is_passing()))
    }

    /// `is_certain`: the right is taken so that nobody else gets it, but nothing waits for it.
    fn ask_witness(
        &mut self,
        now: Instant,
        facts: &Facts,
        is_certain: bool,
        effects: &mut Vec<Effect>,
    ) -> Option<Hold> {
        let right = self.right.as_mut()?;
        let keepalive = Duration::from_millis(self.timing.keepalive_ms);
        let delay = if facts.owner || is_certain {
            Duration::ZERO
        } else {
            (keepalive * WITNESS_KEEPALIVES).max(WITNESS_DELAY_MIN)
        };
        right.want(now, delay, effects);
        if is_certain || right.is_granted(now) {
            return None;
        }
        Some(Hold::witness(&self.peer, &right.words()))
    }

    fn fence(&mut self, now: Instant, facts: &Facts, effects: &mut Vec<Effect>) -> Option<Hold> {
        let fencing = self.fencing.as_mut()?;
        let weight = Weight { owner: facts.owner, first: self.first };
        fencing.want(now, facts.generation > 0, weight, effects);
        Some(Hold::fencing(&self.peer, fencing.doubt()))
    }

    /// Tells the manager, and people when the reason is another one.
    fn tell(&mut self, hold: Option<Hold>, silence: &mut Silence, steps: &mut Vec<Step>) {
        let peer = &self.peer;
        let kind = |hold: &Option<Hold>| hold.as_ref().map(|hold| (hold.id.clone(), hold.passing));
        if kind(&hold) != kind(&silence.hold)
            && let Some(hold) = &hold
        {
            let text = format!("{peer} is silent, not taken for dead: {}", hold.text);
            let level = if hold.passing { Level::Warn } else { Level::Error };
            let line = LogEvent::new(level, "peer_lost", text);
            steps.push(Step::Effect(Effect::Log(line.with("cause", &hold.id))));
        }
        if hold.is_none() && !silence.judged {
            silence.judged = true;
            if silence.reach.waited_out() {
                let text = format!(
                    "{peer} is taken for dead although no ping node answers: if this node is the \
                     one that is cut off, both nodes may now run the same groups"
                );
                steps.push(log(Level::Error, "alone_without_pings", text));
            }
        }
        let status = if hold.is_none() { PeerStatus::Dead } else { PeerStatus::Lost };
        silence.hold = hold;
        if self.told.replace(status) != Some(status) {
            steps.push(Step::Tell(status));
        }
    }

    fn tell_may_take(&mut self, silence: &Silence, steps: &mut Vec<Step>) {
        let fencing = silence.hold.as_ref().is_some_and(|hold| hold.id == "fencing");
        let failed = self.fencing.as_ref().is_some_and(Fencing::has_failed);
        let may_take = fencing && failed && !self.takeover.is_empty();
        if may_take != self.may_take {
            self.may_take = may_take;
            let groups = if may_take { self.takeover.clone() } else { BTreeSet::new() };
            steps.push(Step::MayTake(groups));
        }
    }

    /// A node that must not go on: the peer was given the right, or it hears nobody at all.
    fn end_myself(
        &mut self,
        now: Instant,
        facts: &Facts,
        silence: &Silence,
        steps: &mut Vec<Step>,
    ) {
        if facts.maintenance || facts.stopping || !facts.owner {
            return;
        }
        let is_certain = self.is_certain(facts);
        let refused_for = self.right.as_ref().and_then(|right| right.refused_for(now));
        // A peer that has just left may not have given its last lease back: that one runs out.
        let patience = if is_certain { self.lease() } else { Duration::ZERO };
        if refused_for.is_some_and(|lasted| lasted >= patience) && !self.stepped_down {
            self.stepped_down = true;
            let text = format!(
                "the witness has given {} the right to go on alone: everything is released here",
                self.peer
            );
            steps.push(Step::Yield(text));
        }
        let limit = self.deadtime() * SUICIDE_DEADTIMES;
        let isolated = silence.reach.isolated_since().is_some_and(|since| since + limit <= now);
        // A node that never saw its peer or a ping node would reset itself at every start.
        if self.suicide && isolated && !is_certain && facts.generation > 0 {
            let text = format!(
                "this node hears neither {} nor any ping node (suicide_when_isolated)",
                self.peer
            );
            steps.push(Step::Bite(text));
        }
    }

    /// When [`Self::weigh`] or [`Self::end_test`] may have something new to say by itself. What is
    /// due at `now` was looked at by then.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let limit = self.deadtime() * SUICIDE_DEADTIMES;
        let silence = self.silence.as_ref();
        let isolated = silence.filter(|_| self.suicide).and_then(|at| at.reach.isolated_since());
        let dues = [
            silence.and_then(|silence| silence.reach.due()),
            silence.and_then(|silence| silence.recheck),
            silence.filter(|silence| !silence.judged).and_then(|_| self.machine.due()),
            isolated.map(|since| since + limit),
            self.fencing.as_ref().and_then(Fencing::due),
            self.right.as_ref().filter(|_| silence.is_some()).and_then(Right::due),
        ];
        dues.into_iter().flatten().filter(|due| *due > now).min()
    }

    /// A fence device has answered.
    pub(crate) fn fence_answer(
        &mut self,
        now: Instant,
        attempt: u64,
        outcome: &Outcome,
        facts: &Facts,
    ) -> Vec<Step> {
        let mut effects = Vec::new();
        let Some(fencing) = &mut self.fencing else { return Vec::new() };
        if !fencing.take_test_answer(attempt, outcome)
            && fencing.answer(now, attempt, outcome, &mut effects)
        {
            self.fenced = Some(Fenced { generation: facts.generation, at: now });
        }
        effects.into_iter().map(Step::Effect).collect()
    }

    /// The witness has answered.
    pub(crate) fn witness_answer(
        &mut self,
        now: Instant,
        question: u64,
        answer: WitnessAnswer,
    ) -> Vec<Step> {
        let mut effects = Vec::new();
        if let Some(right) = &mut self.right {
            right.answer(now, question, answer, &mut effects);
        }
        effects.into_iter().map(Step::Effect).collect()
    }

    /// An operator says that `node` is off.
    ///
    /// # Errors
    /// Why that is not taken.
    pub(crate) fn confirm(&mut self, node: &str, alive: bool) -> Result<String, String> {
        let peer = &self.peer;
        if NodeName::new(node) != *peer {
            return Err(format!("{node} is not the other node of this pair: that is {peer}"));
        }
        if alive {
            return Err(format!("{peer} is not off: it is heard at this moment"));
        }
        if self.silence.as_ref().is_some_and(|silence| silence.hold.is_none()) {
            return Ok(format!("{peer} is taken for dead already"));
        }
        self.confirmed = true;
        if let Some(fencing) = &mut self.fencing {
            fencing.confirm();
        }
        Ok(if self.silence.is_some() {
            format!("{peer} is taken for dead")
        } else {
            format!("{peer} is taken for dead as soon as initdead is over")
        })
    }

    /// `hb fence test`.
    ///
    /// # Errors
    /// Why there is no test.
    pub(crate) fn test(&mut self, now: Instant, client: ClientId) -> Result<Vec<Step>, String> {
        let Some(fencing) = &mut self.fencing else {
            return Err("fencing is not configured (hb.toml, [fencing])".to_owned());
        };
        let mut effects = Vec::new();
        if !fencing.test(now, client, &mut effects) {
            return Err("a test is under way: wait for its end".to_owned());
        }
        Ok(effects.into_iter().map(Step::Effect).collect())
    }

    /// The answer to `hb fence test`, when it is complete.
    pub(crate) fn end_test(&mut self, now: Instant) -> Option<Effect> {
        let tested = self.fencing.as_mut()?.end_test(now)?;
        let Tested { client, ok, text } = tested;
        let response = if ok { Response::Done { text } } else { Response::Error { text } };
        Some(Effect::Reply { client, response })
    }

    /// What speaks against the peer's death at this moment, while it is silent.
    pub(crate) fn hold(&self) -> Option<&Hold> {
        self.silence.as_ref()?.hold.as_ref()
    }

    /// Fencing for status; `None` when it is not configured.
    pub(crate) fn fencing_status(&self, now: Instant) -> Option<FencingStatus> {
        self.fencing.as_ref().map(|fencing| fencing.status(self.confirmed, now))
    }

    /// What the witness said last; `None` when none is configured.
    pub(crate) fn witness_words(&self) -> Option<String> {
        self.right.as_ref().map(Right::words)
    }
}

fn log(level: Level, event: &str, text: String) -> Step {
    Step::Effect(Effect::Log(LogEvent::new(level, event, text)))
}

#[cfg(test)]
mod tests;
