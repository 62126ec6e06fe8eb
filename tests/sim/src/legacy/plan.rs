//! The plan of a pair of which one node is Heartbeat 3.0.6, drawn from a seed: its pace, and a random
//! subset of faults. Agents fail and members die on the other node only: 3.0.6 does not look after
//! them, and may then leave a group unserved for ever. It judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, AutoFailback, Framing, GroupSpec};
use hb_config::settings::{Secret, Settings, Timing};
use hb_messaging::time::Instant;

use crate::beyond::Beyond;
use crate::faults::Fault;
use crate::plan::{Kind, Plan, groups, limit_actions, pause};
use crate::rng::Rng;
use crate::setup;
use crate::swarm::Swarm;

/// Of a thousand seeds, so many play such a pair.
const SHARE: u64 = 125;
/// Sets the generators of this part apart from those of the others.
const CHOICE_SALT: u64 = 0x6d69_7865_6420_3130;
const PLAN_SALT: u64 = 0x6865_6172_7462_6561;

/// Which machine of a plan is 3.0.6, and what the checker has to know besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The machine of the 3.0.6 node.
    pub(crate) legacy: usize,
}

/// Whether the plan of a number is that of a mixed pair.
pub(crate) fn is_mixed(number: u64) -> bool {
    Rng::new(number ^ CHOICE_SALT).chance(SHARE)
}

impl Plan {
    /// The plan of a mixed pair.
    pub(crate) fn mixed(number: u64) -> Self {
        let mut rng = Rng::new(number ^ PLAN_SALT);
        let legacy = usize::from(rng.chance(500));
        let groups = groups(&mut rng);
        let settings = settings(&groups, &mut rng);
        let timing = settings[0].timing;
        let mut plan = Self {
            seed: number,
            settings,
            faults: Vec::new(),
            calm: Instant::ZERO,
            agents_fail: false,
            partitions: false,
            slowest: Duration::from_millis(20),
            beyond: Beyond::default(),
            swarm: Swarm { any: true, drill: rng.chance(300), ..Swarm::default() },
            pair: Some(Pair { legacy }),
        };
        plan.begin(&timing, &mut rng);
        if rng.chance(300) {
            plan.slow_agents(&groups, &mut rng);
        }
        plan.add_mixed(&groups, &timing, &mut rng);
        plan.faults.retain(|(_, fault)| is_fair(fault, legacy));
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// Switches a random subset of kinds on; in one of six seeds none.
    fn add_mixed(&mut self, groups: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let all: [(bool, Kind); 10] = [
            (rng.chance(350), Self::crash),
            (rng.chance(200), Self::stand_still),
            (rng.chance(350), Self::partition),
            (rng.chance(250), Self::weather),
            (rng.chance(500), Self::command),
            (rng.chance(150), Self::fail_agent),
            (rng.chance(150), Self::die_here),
            (rng.chance(150), Self::bounce_one),
            (rng.chance(100), Self::suspend_one),
            (rng.chance(100), Self::fill_one_queue),
        ];
        let kinds: Vec<Kind> =
            all.into_iter().filter_map(|(on, kind)| on.then_some(kind)).collect();
        // The first negotiation takes ten seconds whatever the pace.
        let mut at = Instant::from_millis(rng.between(0, timing.initdead_ms + 20_000));
        if !kinds.is_empty() && rng.chance(850) {
            for _ in 0..rng.between(1, 10) {
                let kind = *rng.pick(&kinds);
                kind(self, at, groups, timing, rng);
                at = at + pause(timing, rng);
                if rng.chance(300) {
                    at = at + Duration::from_secs(rng.between(1, 30));
                }
            }
            // What is no fault of the world is a command; everything else is a reason for errors.
            let harmless = |(_, fault): &(Instant, Fault)| {
                matches!(fault, Fault::Start(_) | Fault::Slow(..) | Fault::Command(..))
            };
            self.partitions = !self.faults.iter().all(harmless);
            self.agents_fail = self.partitions;
        }
        self.calm = at + pause(timing, rng);
    }

    fn die_here(&mut self, at: Instant, groups: &[GroupSpec], _: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let group = rng.pick(groups);
        let text = rng.pick(&group.resources).text.clone();
        self.add(at, Fault::Die(machine, group.key.clone(), text));
    }

    fn bounce_one(&mut self, at: Instant, _: &[GroupSpec], _: &Timing, rng: &mut Rng) {
        let down = Duration::from_millis(*rng.pick(&[0, 10, 200, 1_000, 3_000]));
        self.add(at, Fault::Bounce(usize::from(rng.chance(500)), down));
    }

    fn suspend_one(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let end = at + pause(timing, rng);
        self.add(at, Fault::Suspend(machine));
        self.add(end, Fault::Resume(machine));
    }

    fn fill_one_queue(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let end = at + pause(timing, rng);
        self.add(at, Fault::SendErrors(machine, *rng.pick(&[50, 300, 900, 1_000])));
        self.add(end, Fault::SendErrors(machine, 0));
    }
}

/// What 3.0.6 has no answer to is not asked of it.
fn is_fair(fault: &Fault, legacy: usize) -> bool {
    if let Fault::FailStart(machine, ..)
    | Fault::FailStop(machine, ..)
    | Fault::Hang(machine, ..)
    | Fault::Die(machine, ..)
    | Fault::Socket(machine, ..) = fault
    {
        return *machine != legacy;
    }
    true
}

fn settings(groups: &[GroupSpec], rng: &mut Rng) -> [Settings; 2] {
    let keepalive_ms = *rng.pick(&[100, 200, 500, 1_000, 1_000, 2_000]);
    let deadtime_ms = keepalive_ms * rng.between(5, 12);
    let timing = Timing {
        keepalive_ms,
        deadtime_ms,
        warntime_ms: deadtime_ms / 2,
        initdead_ms: deadtime_ms * rng.between(1, 4),
        deadping_ms: deadtime_ms,
    };
    let auto_failback = *rng.pick(&[AutoFailback::On, AutoFailback::Off]);
    let framing = *rng.pick(&[Framing::Netstring, Framing::Classic]);
    let method = *rng.pick(&[AuthMethod::Crc, AuthMethod::Crc, AuthMethod::Md5, AuthMethod::Sha1]);
    let key = AuthKey { method, secret: Secret::new(b"key 1".to_vec()) };
    let keys = AuthKeys { active: 1, keys: BTreeMap::from([(1, key)]) };
    let one_link = rng.chance(400);
    let mut settings = setup::pair(timing, groups);
    for one in &mut settings {
        one.auto_failback = auto_failback;
        one.native.framing = framing;
        one.keys = keys.clone();
        limit_actions(one);
        if one_link {
            one.media.truncate(1);
        }
    }
    settings
}
