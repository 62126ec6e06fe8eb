//! The fault models: what may go wrong in each, how often, and which properties are promised in it.

use crate::world::Budget;

/// What a property is expected to do in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It holds.
    Holds,
    /// No two nodes can hold it; a counterexample is found.
    Violated,
}

/// A fault model.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static str,
    /// Groups: one of two members that prefers node1, and one of one member that prefers node2.
    pub groups: usize,
    /// `auto_failback on`
    pub failback: bool,
    /// A silent peer is lost until a device has switched it off.
    pub fencing: bool,
    /// Links may be cut in one direction only.
    pub one_way: bool,
    /// Machines lose power.
    pub power_off: bool,
    /// Daemons are killed, with their resources up.
    pub kill: bool,
    /// node2 is a 3.0.6 node.
    pub legacy: bool,
    /// Somebody may have started a service by hand.
    pub by_hand: bool,
    /// How much may happen.
    pub budget: Budget,
    /// Messages on the way to one node; states with more are not looked into.
    pub in_flight: usize,
    /// Steps from the start; 0: all.
    pub depth: usize,
    /// Whether never two runners is promised.
    pub one_runner: Expect,
}

/// Nothing at all may go wrong.
const NONE: Budget = Budget { crashes: 0, cuts: 0, losses: 0, failures: 0, requests: 0 };

/// All models.
pub const MODELS: [Faults; 5] = [
    Faults {
        name: "no-partition",
        about: "machines lose power, agents fail, messages are lost, operators ask; links hold",
        groups: 1,
        failback: true,
        fencing: false,
        one_way: false,
        power_off: true,
        kill: false,
        legacy: false,
        by_hand: true,
        budget: Budget { crashes: 1, losses: 1, failures: 1, requests: 1, ..NONE },
        in_flight: 5,
        depth: 0,
        one_runner: Expect::Holds,
    },
    Faults {
        name: "partition",
        about: "all links are cut, and nothing fences or decides",
        groups: 1,
        failback: true,
        fencing: false,
        one_way: true,
        power_off: true,
        kill: false,
        legacy: false,
        by_hand: false,
        budget: Budget { cuts: 1, requests: 1, crashes: 1, ..NONE },
        in_flight: 5,
        depth: 0,
        one_runner: Expect::Violated,
    },
    Faults {
        name: "partition-fencing",
        about: "all links are cut; a silent peer is switched off before anything is taken",
        groups: 1,
        failback: true,
        fencing: true,
        one_way: true,
        power_off: true,
        kill: true,
        legacy: false,
        by_hand: false,
        budget: Budget { cuts: 1, crashes: 1, ..NONE },
        in_flight: 5,
        depth: 0,
        one_runner: Expect::Holds,
    },
    Faults {
        name: "crash-adopt",
        about: "daemons are killed and come back within the dead time; what they had started runs on",
        groups: 1,
        failback: true,
        fencing: false,
        one_way: false,
        power_off: false,
        kill: true,
        legacy: false,
        by_hand: true,
        budget: Budget { crashes: 2, requests: 1, ..NONE },
        in_flight: 5,
        depth: 0,
        one_runner: Expect::Holds,
    },
    Faults {
        name: "legacy",
        about: "node2 runs Heartbeat 3.0.6; machines lose power, operators ask on both",
        groups: 2,
        failback: true,
        fencing: false,
        one_way: false,
        power_off: true,
        kill: false,
        legacy: true,
        by_hand: false,
        budget: Budget { crashes: 1, requests: 1, ..NONE },
        in_flight: 5,
        depth: 0,
        one_runner: Expect::Holds,
    },
];
