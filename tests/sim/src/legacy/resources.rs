//! §7 of the protocol description: who holds what. Variables have the names of its §7.1.

use std::time::Duration;

use hb_messaging::message::{AskStep, Body, Extensions, HoldWord, NodeStatus};
use hb_messaging::time::Instant;
use hb_node::effect::Level;
use hb_resource::input::Holdings;

use super::scripts::{Job, Then};
use super::{Leave, Legacy, Life};

/// `take_timer` (§7.1).
const TAKE_AFTER: Duration = Duration::from_secs(10);
/// Patience with a standby: for the answer, and for each step after it (§7.8).
const ANSWER_MAX: Duration = Duration::from_secs(10);
const STEP_MAX: Duration = Duration::from_secs(3_600);
/// A failback that cannot begin is looked at again (§7.7).
const FAILBACK_AGAIN: Duration = Duration::from_secs(1);

/// Phase (`state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Init,
    Starting,
    BothStarting,
    Received,
    Stable,
    Shutdown,
}

/// The standby dialogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standby {
    #[default]
    Not,
    Me,
    Other,
    Done,
}

/// §7.1
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    pub(super) state: State,
    /// What it stands for: booked before any script has run.
    pub(super) hold: Holdings,
    /// The same of the other node, as that one names it.
    pub(super) other_hold: Holdings,
    pub(super) other_stable: bool,
    pub(super) takeover: bool,
    pub(super) standby: Standby,
    pub(super) deadline: Option<Instant>,
    pub(super) need_failback: bool,
    pub(super) take_timer: Option<Instant>,
    /// `take_timer` is set once.
    pub(super) timed: bool,
    pub(super) failback_at: Option<Instant>,
}

fn word(sets: Holdings) -> HoldWord {
    match (sets.local, sets.foreign) {
        (false, false) => HoldWord::None,
        (true, false) => HoldWord::Local,
        (false, true) => HoldWord::Foreign,
        (true, true) => HoldWord::All,
    }
}

fn sets(word: HoldWord) -> Holdings {
    match word {
        HoldWord::None => Holdings::NONE,
        HoldWord::Local => Holdings::LOCAL,
        HoldWord::Foreign => Holdings::FOREIGN,
        HoldWord::All => Holdings::ALL,
    }
}

impl Legacy {
    /// Sends a message to all and hears its own copy of it.
    pub(super) fn say(&mut self, body: &Body) {
        self.send(body.to_fields());
        self.own_copy(body);
    }

    pub(super) fn say_resource(&mut self, stable: bool, info: Option<&str>) {
        let body = Body::Resource {
            hold: word(self.resources.hold),
            full: true,
            stable: Some(stable),
            info: info.map(str::to_owned),
            extensions: Extensions::new(),
        };
        self.say(&body);
    }

    fn say_holds(&mut self) {
        self.say_resource(self.resources.state == State::Stable, None);
    }

    pub(super) fn say_mach_down(&mut self) {
        let (hold, info) = (HoldWord::Foreign, Some("mach_down".to_owned()));
        let extensions = Extensions::new();
        self.say(&Body::Resource { hold, full: false, stable: None, info, extensions });
    }

    pub(super) fn say_step(&mut self, given: Holdings, step: AskStep) {
        let extensions = Extensions::new();
        self.say(&Body::AskResources { hold: word(given), step, extensions });
    }

    fn say_stonith(&mut self, result: &str) {
        let node = hb_config::settings::NodeName::new(&self.peer_name);
        self.say(&Body::Stonith { node, result: result.to_owned() });
    }

    /// `hb_standby` through the FIFO.
    pub(super) fn hb_standby(&mut self, given: Holdings) {
        if self.life == Life::Active {
            self.say_step(given, AskStep::Me);
        }
    }

    /// `hb_takeover` through the FIFO.
    pub(super) fn hb_takeover(&mut self, wanted: Holdings) {
        if self.life == Life::Active {
            self.say(&Body::HbTakeover { hold: word(wanted), extensions: Extensions::new() });
        }
    }

    /// A message of the other node. Before it is active it does not hear them (§7.2, 4).
    pub(super) fn heard(&mut self, body: &Body) {
        if !matches!(self.life, Life::Active | Life::Lingering(_) | Life::Closing(_)) {
            return;
        }
        match body {
            Body::Starting => self.other_starts(),
            Body::Resource { hold, full, stable, .. } => {
                self.resource_heard();
                self.other_holds(sets(*hold), *full, *stable);
            }
            Body::AskResources { hold, step, .. } => self.asked(sets(*hold), *step, false),
            // Its rc.d script calls hb_standby with the sets as this node names them (§9.3).
            Body::HbTakeover { hold, .. } => {
                self.jobs.push_back(Job::Standby(sets(*hold).seen_from_peer()));
                self.next_script();
            }
            Body::Shutdone => self.other_left(),
            Body::Stonith { .. } | Body::Other { .. } => {}
        }
    }

    fn own_copy(&mut self, body: &Body) {
        match body {
            Body::Resource { hold, full, info, .. } => {
                self.resource_heard();
                let resources = &mut self.resources;
                resources.hold = updated(resources.hold, sets(*hold), *full);
                if info.as_deref() == Some("mach_down") {
                    resources.takeover = false;
                    resources.hold = resources.hold.with(Holdings::FOREIGN);
                    resources.need_failback = true;
                    resources.other_stable = true;
                }
                if info.as_deref() == Some("shutdown") {
                    resources.state = State::Shutdown;
                }
            }
            Body::AskResources { hold, step, .. } => self.asked(sets(*hold), *step, true),
            Body::Shutdone => self.life = Life::Lingering(self.now + super::LINGER),
            Body::Starting
            | Body::HbTakeover { .. }
            | Body::Stonith { .. }
            | Body::Other { .. } => {}
        }
    }

    /// §7.3
    fn other_starts(&mut self) {
        match self.resources.state {
            State::Init | State::BothStarting => return,
            State::Starting => self.resources.state = State::BothStarting,
            State::Received | State::Stable | State::Shutdown => {}
        }
        self.resources.other_stable = false;
        let state = self.resources.state;
        self.say_holds();
        // Its own copy of the answer has moved it on, and that is written over.
        self.resources.state = state;
    }

    /// §7.4, 1
    fn resource_heard(&mut self) {
        if matches!(self.resources.state, State::Starting | State::BothStarting) {
            self.resources.state = State::Received;
            if !std::mem::replace(&mut self.resources.timed, true) {
                self.resources.take_timer = Some(self.now + TAKE_AFTER);
            }
        }
    }

    /// §7.4, 2
    fn other_holds(&mut self, holds: Holdings, full: bool, stable: Option<bool>) {
        let resources = &mut self.resources;
        resources.other_hold = updated(resources.other_hold, holds, full);
        match stable {
            Some(true) if !resources.other_stable => {
                resources.other_stable = true;
                self.say_holds();
                self.check_failback();
            }
            Some(stable) => resources.other_stable = stable,
            None => {}
        }
        let begins = !matches!(self.resources.state, State::Stable | State::Shutdown);
        if begins && self.resources.other_stable {
            self.settle();
            self.check_failback();
        }
    }

    fn settle(&mut self) {
        self.acquire_local(true);
        self.resources.state = State::Stable;
        self.resources.take_timer = None;
        self.say_resource(true, None);
    }

    /// §7.5
    pub(super) fn recover(&mut self) {
        let resources = &mut self.resources;
        resources.standby = Standby::Not;
        resources.deadline = None;
        if resources.hold == Holdings::ALL {
            resources.other_stable = true;
        }
        if resources.state == State::Shutdown {
            return;
        }
        resources.need_failback = true;
        if !(self.peer.heard && resources.other_hold == Holdings::NONE) {
            self.say_stonith("n_stnth");
            return self.take_over();
        }
        self.say_stonith("unneeded");
        if self.resources.hold == Holdings::ALL {
            self.resources.other_stable = true;
            return;
        }
        if !self.resources.hold.local {
            self.acquire_local(false);
        }
        if !self.resources.hold.foreign {
            self.take_over();
        }
    }

    fn take_over(&mut self) {
        self.jobs.push_back(Job::Take(Holdings::FOREIGN, Then::MachDown));
        let resources = &mut self.resources;
        resources.hold = resources.hold.with(Holdings::FOREIGN);
        resources.other_hold = Holdings::NONE;
        resources.other_stable = true;
        resources.takeover = true;
        self.acquire_local(false);
        self.next_script();
    }

    /// §7.6
    fn acquire_local(&mut self, polite: bool) {
        let resources = &mut self.resources;
        if resources.state == State::Shutdown {
            return;
        }
        let held = resources.other_hold.foreign || resources.hold.local;
        if polite && held && resources.standby == Standby::Not {
            return;
        }
        resources.hold = resources.hold.with(Holdings::LOCAL);
        self.request_ours();
    }

    /// §7.7
    fn check_failback(&mut self) {
        self.resources.failback_at = None;
        let is_due = self.resources.need_failback
            && self.resources.hold.foreign
            && self.resources.state != State::Shutdown
            && self.fails_back();
        if !is_due {
            self.resources.need_failback = false;
        } else if self.may_give() {
            self.resources.need_failback = false;
            self.say_step(Holdings::FOREIGN, AskStep::Me);
        } else {
            self.resources.failback_at = Some(self.now + FAILBACK_AGAIN);
        }
    }

    fn may_give(&self) -> bool {
        let resources = &self.resources;
        let free = resources.standby == Standby::Not && resources.deadline.is_none();
        free && resources.other_stable && resources.state == State::Stable
    }

    /// §7.8; `given` from the giver's point of view.
    fn asked(&mut self, given: Holdings, step: AskStep, own: bool) {
        match (step, own, self.resources.standby) {
            (AskStep::Me, true, _) if self.may_give() => self.await_step(Standby::Me, ANSWER_MAX),
            (AskStep::Me, false, _) if self.may_give() => {
                self.await_step(Standby::Other, STEP_MAX);
                self.say_step(given, AskStep::Other);
            }
            (AskStep::Other, false, Standby::Me) => {
                self.await_step(Standby::Me, STEP_MAX);
                self.resources.hold = self.resources.hold.without(given);
                self.say_resource(false, Some("standby"));
                self.jobs.push_back(Job::Give(given, Then::Done(given)));
                self.next_script();
            }
            (AskStep::Done, true, Standby::Me) => {
                self.resources.standby = Standby::Done;
                self.resources.hold = self.resources.hold.without(given);
            }
            (AskStep::Done, false, Standby::Other) => {
                self.resources.standby = Standby::Done;
                let taken = given.seen_from_peer();
                self.jobs.push_back(Job::Take(taken, Then::Done(given)));
                self.next_script();
            }
            (AskStep::Done, true, Standby::Done) => {
                self.resources.hold = self.resources.hold.with(given.seen_from_peer());
                self.end_standby();
            }
            (AskStep::Done, false, Standby::Done) => self.end_standby(),
            (AskStep::Other, true, _) => {}
            (AskStep::Me | AskStep::Other | AskStep::Done, ..) => {
                self.log(Level::Info, format!("ignores standby {}", step.word()));
            }
        }
    }

    fn await_step(&mut self, standby: Standby, patience: Duration) {
        self.resources.standby = standby;
        self.resources.deadline = Some(self.now + patience);
        self.resources.other_stable = false;
    }

    fn end_standby(&mut self) {
        self.resources.standby = Standby::Not;
        self.resources.deadline = None;
        if self.resources.state != State::Shutdown {
            self.say_resource(true, None);
        }
    }

    /// §7.9, the receiver of `shutdone`: a needless acquisition, then a takeover without fencing.
    fn other_left(&mut self) {
        if self.resources.state == State::Shutdown {
            return;
        }
        self.resources.other_stable = true;
        self.resources.other_hold = Holdings::NONE;
        let hold = self.resources.hold;
        if hold == Holdings::ALL {
            return;
        }
        self.resources.standby = Standby::Done;
        let missing = Holdings::ALL.without(hold);
        self.jobs.push_back(Job::Take(missing.seen_from_peer(), Then::Done(missing)));
        self.take_over();
    }

    /// No script runs and no dialogue is under way.
    pub(super) fn is_idle(&self) -> bool {
        let resources = &self.resources;
        !resources.takeover
            && resources.standby == Standby::Not
            && resources.deadline.is_none()
            && self.jobs.is_empty()
            && self.running.is_none()
            && self.requests.is_empty()
    }

    /// What has a time in this chapter.
    pub(super) fn check_resources(&mut self) {
        if self.resources.deadline.is_some_and(|at| self.now >= at) {
            self.log(Level::Warn, "no reply to standby request");
            self.resources.standby = Standby::Not;
            self.resources.deadline = None;
            self.resources.other_stable = true;
        }
        let over = self.resources.take_timer.is_some_and(|at| self.now >= at);
        if over && self.resources.state == State::Received {
            self.settle();
        }
        if self.resources.failback_at.is_some_and(|at| self.now >= at) {
            self.check_failback();
        }
        let state = self.resources.state;
        let may_leave = matches!(state, State::Stable | State::Init) && self.life == Life::Active;
        let settled = self.is_idle() && self.resources.other_stable;
        if self.leave.is_some() && may_leave && settled {
            self.give_everything_up();
        }
    }

    /// §7.9
    fn give_everything_up(&mut self) {
        let why = if self.leave == Some(Leave::Restart) { "restarts" } else { "stops" };
        self.log(Level::Info, format!("gives everything up and {why}"));
        self.send_status(NodeStatus::Active, Duration::ZERO);
        self.resources.hold = Holdings::NONE;
        self.say_resource(false, Some("shutdown"));
        self.jobs.push_back(Job::Give(Holdings::ALL, Then::Shutdone));
        self.next_script();
    }
}

/// The rule at the head of §7.4.
fn updated(known: Holdings, said: Holdings, full: bool) -> Holdings {
    match (full, said) {
        (true, _) | (false, Holdings::NONE) => said,
        (false, _) => known.with(said),
    }
}
