//! Heartbeat 3.0.6 as a peer: its state machine in brief, after `heartbeat-3.0.6` §7 of the protocol
//! description. Messages in, messages out; scripts are jobs that take a group as a whole. It has no
//! monitoring and no repair, as the original.

use std::collections::BTreeMap;

use hb_resource::input::{Holdings, PeerMessage, StandbyStep, Which};

/// §7.1, `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    Starting,
    BothStarting,
    Received,
    Stable,
    Shutdown,
}

/// §7.1, `standby`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Standby {
    Not,
    /// It has asked.
    Asked(Holdings),
    /// It gives.
    Me(Holdings),
    /// It takes; the set from the giver's point of view.
    Other(Holdings),
    /// The giver has said `done`, or it has.
    Done,
}

/// A script under way or waiting; one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Start these sets, its own point of view; then say so.
    Take(Holdings, Then),
    /// Stop these sets; then say so.
    Give(Holdings, Then),
}

/// What is said at the end of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Then {
    /// `resource` with what it holds, stable.
    Holds,
    /// `mach_down`: it holds the foreign set.
    MachDown,
    /// `ask_resources … done` with this set.
    Done(Holdings),
    /// `shutdone`
    Shutdone,
}

/// A 3.0.6 node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Legacy {
    phase: Phase,
    hold: Holdings,
    other: Holdings,
    other_stable: bool,
    standby: Standby,
    need_failback: bool,
    failback: bool,
    takeover: bool,
    /// `take_timer` runs.
    timer: bool,
    timed: bool,
    /// The first one runs.
    jobs: Vec<Job>,
}

/// What it says, in order.
type Said = Vec<PeerMessage>;

impl Legacy {
    /// One that has just become active and has said `starting`.
    pub fn begun(failback: bool, said: &mut Said) -> Self {
        said.push(PeerMessage::Starting);
        Self {
            phase: Phase::Starting,
            hold: Holdings::NONE,
            other: Holdings::NONE,
            other_stable: false,
            standby: Standby::Not,
            need_failback: false,
            failback,
            takeover: false,
            timer: false,
            timed: false,
            jobs: Vec::new(),
        }
    }

    /// The script that runs.
    pub fn job(&self) -> Option<Job> {
        self.jobs.first().copied()
    }

    /// Whether the 10 s run.
    pub fn waits(&self) -> bool {
        self.timer && self.phase == Phase::Received
    }

    /// Whether it may be told to stop (§7.9, "settled").
    pub fn is_settled(&self) -> bool {
        let standby = self.standby == Standby::Not;
        self.phase == Phase::Stable
            && self.other_stable
            && standby
            && !self.takeover
            && self.jobs.is_empty()
    }

    /// It has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.standby == Standby::Not
    }

    fn say(&self, said: &mut Said, info: Option<&str>) {
        said.push(PeerMessage::Resources {
            holdings: self.hold,
            full: true,
            stable: Some(self.phase == Phase::Stable),
            info: info.map(str::to_owned),
            groups: None,
        });
    }

    /// Its own copy, or the other's, of a `resource` message reached it (§7.4, 1).
    fn received(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::BothStarting) {
            self.phase = Phase::Received;
            self.timer |= !std::mem::replace(&mut self.timed, true);
        }
    }

    /// A message of the other.
    pub fn hear(&mut self, message: &PeerMessage, said: &mut Said) {
        match message {
            PeerMessage::Starting => self.starting(said),
            PeerMessage::Resources { holdings, full, stable, .. } => {
                self.resources(*holdings, *full, *stable, said);
            }
            PeerMessage::AskResources { which: Which::Sets(sets), step } => {
                self.asked(*sets, *step, said);
            }
            PeerMessage::HbTakeover { which: Which::Sets(sets) } => {
                self.give(sets.seen_from_peer(), said);
            }
            // It does not know single groups, and is never asked about one.
            PeerMessage::AskResources { .. } | PeerMessage::HbTakeover { .. } => {}
            PeerMessage::Shutdone => self.other_left(),
        }
    }

    /// §7.3
    fn starting(&mut self, said: &mut Said) {
        match self.phase {
            Phase::Starting => {
                // Its own copy of the answer arms the timer.
                self.received();
                self.phase = Phase::BothStarting;
            }
            Phase::BothStarting => return,
            Phase::Received | Phase::Stable | Phase::Shutdown => {}
        }
        self.other_stable = false;
        self.say(said, None);
    }

    /// §7.4
    fn resources(&mut self, holdings: Holdings, full: bool, stable: Option<bool>, said: &mut Said) {
        self.received();
        self.other = match (full, holdings) {
            (true, _) | (false, Holdings::NONE) => holdings,
            (false, _) => self.other.with(holdings),
        };
        let before = self.other_stable;
        self.other_stable = stable.unwrap_or(before);
        if stable == Some(true) && !before {
            self.say(said, None);
            self.check_failback(said);
        }
        if self.phase == Phase::Received && self.other_stable {
            self.settle(said);
        }
    }

    fn settle(&mut self, said: &mut Said) {
        self.timer = false;
        self.acquire_local(true);
        self.phase = Phase::Stable;
        self.say(said, None);
        self.check_failback(said);
    }

    /// `take_timer` is over.
    pub fn timer(&mut self, said: &mut Said) {
        self.settle(said);
    }

    /// §7.6
    fn acquire_local(&mut self, polite: bool) {
        if self.phase == Phase::Shutdown {
            return;
        }
        let had = self.other.foreign || self.hold.local;
        if polite && had && self.standby == Standby::Not {
            return;
        }
        self.hold.local = true;
        self.jobs.push(Job::Take(Holdings::LOCAL, Then::Holds));
    }

    /// §7.7; "again in 1 s" is whenever a message or the end of a script lets it look.
    fn check_failback(&mut self, said: &mut Said) {
        if !self.need_failback {
            return;
        }
        if !self.failback || !self.hold.foreign || self.phase == Phase::Shutdown {
            self.need_failback = false;
            return;
        }
        if self.standby == Standby::Not && self.other_stable && self.phase == Phase::Stable {
            self.need_failback = false;
            self.give(Holdings::FOREIGN, said);
        }
    }

    /// Begins a standby (§7.8, 1), `hb_standby` too.
    pub fn give(&mut self, sets: Holdings, said: &mut Said) {
        if self.standby == Standby::Not && self.other_stable && self.phase == Phase::Stable {
            self.standby = Standby::Asked(sets);
            self.other_stable = false;
            let which = Which::Sets(sets);
            said.push(PeerMessage::AskResources { which, step: StandbyStep::Me });
        }
    }

    /// §7.8
    fn asked(&mut self, sets: Holdings, step: StandbyStep, said: &mut Said) {
        let which = Which::Sets(sets);
        match (step, self.standby) {
            (StandbyStep::Me, Standby::Not) if self.other_stable && self.phase == Phase::Stable => {
                self.standby = Standby::Other(sets);
                self.other_stable = false;
                said.push(PeerMessage::AskResources { which, step: StandbyStep::Other });
            }
            (StandbyStep::Other, Standby::Asked(given)) if given == sets => {
                self.standby = Standby::Me(sets);
                self.hold = self.hold.without(sets);
                said.push(PeerMessage::Resources {
                    holdings: self.hold,
                    full: true,
                    stable: Some(false),
                    info: Some("standby".into()),
                    groups: None,
                });
                self.jobs.push(Job::Give(sets, Then::Done(sets)));
            }
            (StandbyStep::Done, Standby::Other(given)) => {
                self.standby = Standby::Done;
                self.jobs.push(Job::Take(given.seen_from_peer(), Then::Done(given)));
            }
            (StandbyStep::Done, Standby::Done) => self.end_standby(said),
            (StandbyStep::Me | StandbyStep::Other | StandbyStep::Done, _) => {}
        }
    }

    fn end_standby(&mut self, said: &mut Said) {
        self.standby = Standby::Not;
        self.say(said, None);
        self.check_failback(said);
    }

    /// Nobody answered within 10 s.
    pub fn no_answer(&mut self) -> bool {
        let asked = matches!(self.standby, Standby::Asked(_));
        if asked {
            self.standby = Standby::Not;
            self.other_stable = true;
        }
        asked
    }

    /// The script that runs has ended.
    pub fn script_done(&mut self, said: &mut Said) -> Option<Job> {
        if self.jobs.is_empty() {
            return None;
        }
        let job = self.jobs.remove(0);
        let (Job::Take(_, then) | Job::Give(_, then)) = job;
        match then {
            Then::Holds => {
                // §7.6: the word is `isstable=1`, whatever the state.
                said.push(PeerMessage::Resources {
                    holdings: self.hold,
                    full: true,
                    stable: Some(true),
                    info: Some("req_our_resources()".into()),
                    groups: None,
                });
            }
            Then::MachDown => {
                self.takeover = false;
                self.need_failback = true;
                said.push(PeerMessage::Resources {
                    holdings: Holdings::FOREIGN,
                    full: false,
                    stable: None,
                    info: Some("mach_down".into()),
                    groups: None,
                });
            }
            Then::Done(sets) => {
                let which = Which::Sets(sets);
                said.push(PeerMessage::AskResources { which, step: StandbyStep::Done });
                match self.standby {
                    Standby::Me(_) => self.standby = Standby::Done,
                    // Its own copy of the fourth step.
                    Standby::Done => {
                        self.hold = self.hold.with(sets.seen_from_peer());
                        self.end_standby(said);
                    }
                    Standby::Not | Standby::Asked(_) | Standby::Other(_) => {}
                }
            }
            Then::Shutdone => said.push(PeerMessage::Shutdone),
        }
        Some(job)
    }

    /// §7.5: the other is dead.
    pub fn other_died(&mut self) {
        self.standby = Standby::Not;
        if self.phase != Phase::Shutdown {
            self.need_failback = true;
            let all = self.hold == Holdings::ALL && self.other == Holdings::NONE;
            if !all {
                self.take_over();
            }
            self.other_stable = true;
            self.settle_alone();
        }
    }

    fn settle_alone(&mut self) {
        self.phase = Phase::Stable;
        self.timer = false;
    }

    fn take_over(&mut self) {
        let had_local = self.hold.local;
        self.hold.foreign = true;
        self.other = Holdings::NONE;
        self.takeover = true;
        self.jobs.push(Job::Take(Holdings::FOREIGN, Then::MachDown));
        if !had_local {
            self.acquire_local(false);
        }
    }

    /// §7.9, receiver of `shutdone`. The needless `done` on the wire is left out.
    fn other_left(&mut self) {
        if self.phase == Phase::Shutdown {
            return;
        }
        self.other_stable = true;
        self.other = Holdings::NONE;
        self.standby = Standby::Not;
        if self.hold != Holdings::ALL {
            self.take_over();
        }
    }

    /// §7.9, `heartbeat -k`.
    pub fn stop(&mut self, said: &mut Said) {
        self.phase = Phase::Shutdown;
        self.hold = Holdings::NONE;
        self.jobs.push(Job::Give(Holdings::ALL, Then::Shutdone));
        said.push(PeerMessage::Resources {
            holdings: Holdings::NONE,
            full: true,
            stable: Some(false),
            info: Some("shutdown".into()),
            groups: None,
        });
    }

    /// A new incarnation of the other was heard: what was known of it is void.
    pub fn other_restarted(&mut self) {
        self.other_stable = false;
    }

    /// For traces.
    pub fn words(&self) -> String {
        let facts = BTreeMap::from([("holds", self.hold.word()), ("other", self.other.word())]);
        format!("{:?} {facts:?} {:?}", self.phase, self.standby)
    }
}
