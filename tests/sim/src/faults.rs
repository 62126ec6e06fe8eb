//! What can be done to a world: faults of machines, network, agents and clocks, and what operators
//! type. It does them; when is `plan`'s business, and it judges nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_messaging::engine::LinkId;
use hb_node::api::Request;
use hb_node::input::Input;
use hb_resource::input::Evidence;

use crate::agents::{Checks, Habits};
use crate::edge::Switch;
use crate::network::Path;
use crate::trace;
use crate::troubles::{Keys, Stray};
use crate::world::World;

/// Something that is done to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The daemon of this machine starts, unless it runs.
    Start(usize),
    /// The daemon is killed, its resources stay.
    Kill(usize),
    /// The machine loses power.
    PowerOff(usize),
    /// Orderly stop of the daemon.
    Stop(usize),
    /// The daemon stands still.
    Halt(usize),
    /// And goes on.
    Resume(usize),
    /// Nothing passes from this machine to the other.
    CutFrom(usize),
    /// Nothing passes at all.
    CutAll,
    /// One link is dead in both directions.
    CutLink(usize),
    /// Every path passes everything at once.
    Heal,
    /// Every path that passes becomes like this.
    Weather(Path),
    /// Sockets of a link fail on one machine, or work again.
    Socket(usize, usize, bool),
    /// The gateway answers a machine, or not.
    Gateway(usize, bool),
    /// An operator commands.
    Command(usize, Request),
    /// The agent of a resource takes this long on a machine.
    Slow(usize, String, Duration),
    /// Its start fails, or no longer does.
    FailStart(usize, String, bool),
    /// Its stop fails unless escalated, or no longer does.
    FailStop(usize, String, bool),
    /// It hangs, or no longer does.
    Hang(usize, String, bool),
    /// It could not be started on a machine, as its validation says, or could again.
    Invalid(usize, String, bool),
    /// A member of a group ends by itself, if it runs and is watched.
    Die(usize, String, String),
    /// The kernel says that something has happened to a member; perhaps nothing has.
    Hint(usize, String, String),
    /// Checks of a resource say this on a machine.
    Checks(usize, String, Checks),
    /// The power switch that a machine uses behaves like this.
    Switch(usize, Switch),
    /// An operator of this machine has looked: the other is off, and says so if it is true.
    Confirm(usize),
    /// A machine reaches the witness, or not.
    Witness(usize, bool),
    /// The daemon is killed, its resources stay, and so much later it is started again.
    Bounce(usize, Duration),
    /// The machine is suspended: its clock stands still as well. `Resume` ends it.
    Suspend(usize),
    /// The clock on the wall is set forward or back, in seconds.
    Wall(usize, i64),
    /// The machine's clock counts so many microseconds in a second from here on.
    Drift(usize, u64),
    /// So many of a thousand sends fail at once (`ENOBUFS`).
    SendErrors(usize, u64),
    /// The files of a machine differ and are read again: its daemon is to start anew.
    Reload(usize),
    /// authkeys of a machine is changed and read again (`SIGHUP`).
    Rekey(usize, Keys),
    /// Somebody sends what the machine must not act on.
    Stray(usize, Stray),
    /// The agent says that it has started what it has not, or no longer does.
    LieStart(usize, String, bool),
    /// What the agent starts on a machine ends by itself so much later; `None`: no longer.
    DieAfter(usize, String, Option<Duration>),
    /// The second power switch that a machine uses behaves like this.
    Second(usize, Switch),
}

impl Fault {
    /// Does it.
    pub fn apply(&self, world: &mut World) {
        self.strike(world, None);
    }

    /// Does it, as the one at this position of its plan.
    pub(crate) fn strike(&self, world: &mut World, index: Option<usize>) {
        let machine = match self {
            Self::Start(machine)
            | Self::Kill(machine)
            | Self::PowerOff(machine)
            | Self::Stop(machine)
            | Self::Halt(machine)
            | Self::Resume(machine)
            | Self::CutFrom(machine)
            | Self::Socket(machine, ..)
            | Self::Gateway(machine, _)
            | Self::Command(machine, _)
            | Self::Slow(machine, ..)
            | Self::FailStart(machine, ..)
            | Self::FailStop(machine, ..)
            | Self::Hang(machine, ..)
            | Self::Invalid(machine, ..)
            | Self::Die(machine, ..)
            | Self::Hint(machine, ..)
            | Self::Checks(machine, ..)
            | Self::Switch(machine, _)
            | Self::Confirm(machine)
            | Self::Witness(machine, _)
            | Self::Bounce(machine, _)
            | Self::Suspend(machine)
            | Self::Wall(machine, _)
            | Self::Drift(machine, _)
            | Self::SendErrors(machine, _)
            | Self::Rekey(machine, _)
            | Self::Reload(machine)
            | Self::Stray(machine, _)
            | Self::LieStart(machine, ..)
            | Self::DieAfter(machine, ..)
            | Self::Second(machine, _) => *machine,
            Self::CutAll | Self::CutLink(_) | Self::Heal | Self::Weather(_) => 0,
        };
        let now = world.now();
        let number = index.map_or_else(|| "calm".to_owned(), |index| format!("#{index}"));
        world.trace.fault(now, machine, format_args!("{number} {self:?}"));
        world.counts.add("fault", &self.kind());
        world.faults_struck += 1;
        self.act(world);
    }

    /// What it is called in the table of counts.
    fn kind(&self) -> String {
        let words = format!("{self:?}");
        let word = |text: &str| -> String {
            text.chars().take_while(|letter| letter.is_ascii_alphabetic()).collect()
        };
        let detail = if let Self::Command(_, request) = self {
            word(&format!("{request:?}"))
        } else if let Self::Checks(_, _, checks) = self {
            word(&format!("{checks:?}"))
        } else if let Self::Switch(_, switch) | Self::Second(_, switch) = self {
            word(&format!("{switch:?}"))
        } else if let Self::Rekey(_, keys) = self {
            word(&format!("{keys:?}"))
        } else if let Self::Stray(_, stray) = self {
            word(&format!("{stray:?}"))
        } else {
            return word(&words);
        };
        format!("{} {detail}", word(&words))
    }

    fn act(&self, world: &mut World) {
        match self {
            Self::Start(machine) => world.start(*machine),
            Self::Kill(machine) => world.kill(*machine),
            Self::PowerOff(machine) => world.power_off(*machine),
            Self::Stop(machine) => world.feed(*machine, Input::Shutdown),
            Self::Halt(machine) => world.halt(*machine),
            Self::Resume(machine) => world.resume(*machine),
            Self::CutFrom(machine) => {
                for link in 0..world.network.links() {
                    world.network.path_mut(*machine, link).up = false;
                }
            }
            Self::CutAll => world.network.each(|path| path.up = false),
            Self::CutLink(link) => {
                if *link < world.network.links() {
                    (0..2).for_each(|machine| world.network.path_mut(machine, *link).up = false);
                }
            }
            Self::Heal => world.network.each(|path| path.up = true),
            Self::Weather(weather) => world.network.each(|path| {
                let up = path.up;
                *path = *weather;
                path.up = up;
            }),
            Self::Socket(machine, link, works) => {
                let link = LinkId(u16::try_from(*link).unwrap_or(0));
                let failure = (!works).then(|| "Network is down".to_owned());
                world.feed(*machine, Input::Link { link, failure });
            }
            Self::Gateway(machine, answers) => world.network.gateway[*machine] = *answers,
            Self::Command(machine, request) => {
                world.request(*machine, request.clone());
            }
            Self::Slow(machine, text, _)
            | Self::FailStart(machine, text, _)
            | Self::FailStop(machine, text, _)
            | Self::Hang(machine, text, _)
            | Self::Invalid(machine, text, _)
            | Self::Checks(machine, text, _)
            | Self::LieStart(machine, text, _)
            | Self::DieAfter(machine, text, _) => {
                world.machines[*machine].agents.change(text, |habits| self.teach(habits));
            }
            Self::Die(machine, group, text) => die(world, *machine, group, text),
            Self::Hint(machine, group, text) => {
                let reason = "its process has ended".to_owned();
                let (group, resource) = (group.clone(), text.clone());
                let evidence = Evidence::ProcessEnded;
                world.feed(*machine, Input::Look { group, resource, evidence, reason });
            }
            Self::Switch(machine, switch) => {
                if let Some(edge) = &mut world.edge {
                    edge.switch[*machine] = *switch;
                }
            }
            Self::Confirm(machine) => {
                if world.machines[1 - machine].is_off() {
                    let node = trace::name(1 - machine);
                    world.request(*machine, Request::FenceConfirm { node });
                    world.counts.add("fault", "Confirm (it is off)");
                }
            }
            Self::Witness(machine, reaches) => {
                if let Some(edge) = &mut world.edge {
                    edge.reaches_witness[*machine] = *reaches;
                }
            }
            Self::Bounce(machine, down) => world.bounce(*machine, *down),
            Self::Suspend(machine) => world.suspend(*machine),
            Self::Wall(machine, by) => world.machines[*machine].clock.wall_off_s += by,
            Self::Drift(machine, rate) => world.drift(*machine, *rate),
            Self::SendErrors(machine, share) => world.network.send_errors[*machine] = *share,
            Self::Reload(machine) => {
                world.feed(*machine, Input::Reload { release: BTreeSet::new() });
            }
            Self::Rekey(machine, keys) => world.rekey(*machine, *keys),
            Self::Stray(machine, stray) => world.stray(*machine, *stray),
            Self::Second(machine, switch) => {
                if let Some(edge) = &mut world.edge {
                    edge.second[*machine] = *switch;
                }
            }
        }
    }

    /// An agent's habits change.
    fn teach(&self, habits: &mut Habits) {
        if let Self::Slow(_, _, takes) = self {
            (habits.start, habits.stop) = (*takes, *takes);
        } else if let Self::FailStart(_, _, fails) = self {
            habits.start_fails = *fails;
        } else if let Self::FailStop(_, _, fails) = self {
            habits.stop_fails = *fails;
        } else if let Self::Hang(_, _, hangs) = self {
            habits.hangs = *hangs;
        } else if let Self::Invalid(_, _, invalid) = self {
            habits.invalid = *invalid;
        } else if let Self::Checks(_, _, checks) = self {
            habits.checks = *checks;
        } else if let Self::LieStart(_, _, lies) = self {
            habits.start_lies = *lies;
        } else if let Self::DieAfter(_, _, after) = self {
            habits.dies_after = *after;
        }
    }
}

/// A script that ends before its status has ever said that it runs is not watched, by design; that
/// is no fault of this world.
pub(crate) fn die(world: &mut World, machine: usize, group: &str, text: &str) {
    let agents = &mut world.machines[machine].agents;
    let watched = agents.is_proved(group, text) || text.parse::<std::net::IpAddr>().is_ok();
    if watched && agents.crash(group, text) {
        world.counts.add("fault", "Die (it ran)");
    }
}
