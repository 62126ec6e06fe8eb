//! The third part of a plan: the pace of the cluster, its keys, long quiet times, and a random
//! subset of the faults that the first two parts lack. Drawn from a generator of its own, so that
//! they keep their meaning. It judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, FenceDevice, Secret, Timing};
use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_resource::input::{Holdings, Which};

use crate::clock::TRUE_RATE;
use crate::edge::Switch;
use crate::faults::Fault;
use crate::plan::{Plan, pause, texts};
use crate::rng::Rng;
use crate::troubles::{Keys, Stray};

/// What the third part adds, as far as the checkers have to know.
#[derive(Clone, Debug, Default)]
pub struct Swarm {
    /// Whether there is one.
    pub any: bool,
    /// Heartbeats once in a second or two, as most pairs have it.
    pub slow: bool,
    /// Somebody sends what nobody should act on.
    pub strays: bool,
    /// What agents and checks say is not always true.
    pub lies: bool,
    /// At the end each node is asked to do the other's work.
    pub drill: bool,
    /// The life ends with a day on which nothing happens.
    pub day: bool,
}

/// Adds faults of one kind that begin at a moment.
type Kind = fn(&mut Plan, Instant, &mut Rng);

/// Sets the third part's generator apart from the others.
const SALT: u64 = 0x0073_7761_726d_2033;

impl Plan {
    /// All three parts of a seed.
    pub(crate) fn whole(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ SALT);
        let slow = rng.chance(650);
        let pace = slow.then(|| slow_pace(&mut rng));
        let mut plan = Self::both(seed, pace);
        plan.swarm = Swarm { any: true, slow, drill: rng.chance(300), ..Swarm::default() };
        let mismatch = rng.chance(60);
        plan.swarm.strays = rng.chance(200);
        let strong = mismatch || plan.swarm.strays;
        plan.sign(strong, &mut rng);
        plan.add_kinds(mismatch, &mut rng);
        if slow {
            plan.settle_down(&mut rng);
        }
        if rng.chance(600) {
            plan.rest(&mut rng);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        if rng.chance(50) {
            plan.make_peaceful();
        }
        plan.swarm.day = slow && rng.chance(if plan.is_plain() { 500 } else { 10 });
        plan
    }

    /// Leaves what is no fault: then nobody must be woken for it.
    fn make_peaceful(&mut self) {
        self.faults.retain(|(_, fault)| {
            matches!(
                fault,
                Fault::Start(_)
                    | Fault::Slow(..)
                    | Fault::Wall(..)
                    | Fault::Drift(..)
                    | Fault::Command(
                        _,
                        Request::Standby { .. }
                            | Request::Takeover { .. }
                            | Request::Cleanup { .. }
                    )
            )
        });
        (self.agents_fail, self.partitions) = (false, false);
    }

    /// Mostly with crc, which costs nothing and tells a flipped bit as well as the others.
    /// It keeps no secret either, so forgery takes another one.
    fn sign(&mut self, strong: bool, rng: &mut Rng) {
        let method = match rng.between(0, 9) {
            0 => AuthMethod::Md5,
            1 => AuthMethod::Sha256,
            2 => AuthMethod::Sha1,
            _ if strong => AuthMethod::Sha1,
            _ => AuthMethod::Crc,
        };
        let key =
            |secret: &str| AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) };
        let both = BTreeMap::from([(1, key("key 1")), (2, key("key 2"))]);
        let keys = AuthKeys { active: 1, keys: both };
        let inner_auth = rng.chance(200);
        for one in &mut self.settings {
            one.inner_auth = inner_auth;
            one.keys = keys.clone();
        }
    }

    /// Switches a random subset of kinds on and spreads them over the run.
    fn add_kinds(&mut self, mismatch: bool, rng: &mut Rng) {
        let fencing = self.settings[0].native.fencing.is_some();
        if fencing && rng.chance(400) {
            self.add_level(rng);
        }
        let all: [(bool, Kind); 16] = [
            (rng.chance(200), Self::bounce),
            (rng.chance(150), Self::suspend),
            (rng.chance(200), Self::set_wall),
            (rng.chance(200), Self::drift),
            (rng.chance(200), Self::fill_queue),
            (rng.chance(150), Self::rotate_keys),
            (mismatch, Self::mismatch),
            (self.swarm.strays, Self::send_stray),
            (rng.chance(100), Self::lie),
            (rng.chance(150), Self::die_later),
            (rng.chance(150), Self::stop_by_hand),
            (rng.chance(150), Self::strike_both),
            (rng.chance(80), Self::reboot_again_and_again),
            (rng.chance(200), Self::type_at_the_worst_moment),
            (fencing && rng.chance(250), Self::shoot_both),
            (fencing && rng.chance(150), Self::lie_about_fencing),
        ];
        let kinds: Vec<Kind> =
            all.into_iter().filter_map(|(on, kind)| on.then_some(kind)).collect();
        if kinds.is_empty() {
            return;
        }
        let timing = self.settings[0].timing;
        let mut at = Instant::from_millis(rng.between(0, timing.initdead_ms * 3));
        for _ in 0..rng.between(1, 10) {
            let kind = *rng.pick(&kinds);
            kind(self, at, rng);
            at = at + pause(&timing, rng);
        }
        self.calm = self.calm.max(at + pause(&timing, rng));
        // Nearly every one of them is a reason for errors, and many for two owners.
        (self.agents_fail, self.partitions) = (true, true);
    }

    fn later(&self, at: Instant, rng: &mut Rng) -> Instant {
        at + pause(&self.settings[0].timing, rng)
    }

    fn bounce(&mut self, at: Instant, rng: &mut Rng) {
        let down = Duration::from_millis(*rng.pick(&[0, 10, 200, 1_000, 3_000]));
        self.add(at, Fault::Bounce(machine(rng), down));
    }

    fn suspend(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let end = self.later(at, rng);
        self.add(at, Fault::Suspend(machine));
        self.add(end, Fault::Resume(machine));
    }

    fn set_wall(&mut self, at: Instant, rng: &mut Rng) {
        let by = *rng.pick(&[1, -1, 3_600, -3_600, 86_400 * 400, -86_400 * 400]);
        self.add(at, Fault::Wall(machine(rng), by));
    }

    /// Up to a thousandth: ten times what a bad crystal does.
    fn drift(&mut self, at: Instant, rng: &mut Rng) {
        let rate = rng.between(TRUE_RATE - 1_000, TRUE_RATE + 1_000);
        self.add(at, Fault::Drift(machine(rng), rate));
    }

    fn fill_queue(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let end = self.later(at, rng);
        self.add(at, Fault::SendErrors(machine, *rng.pick(&[50, 300, 900, 1_000])));
        self.add(end, Fault::SendErrors(machine, 0));
    }

    /// First on one node, a while later on the other.
    fn rotate_keys(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let keys = *rng.pick(&[Keys::First, Keys::Second]);
        let then = self.later(at, rng);
        self.add(at, Fault::Rekey(machine, keys));
        self.add(then, Fault::Rekey(1 - machine, keys));
    }

    fn mismatch(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let end = self.later(at, rng);
        self.add(at, Fault::Rekey(machine, Keys::Other));
        self.add(end, Fault::Rekey(machine, Keys::First));
    }

    fn send_stray(&mut self, at: Instant, rng: &mut Rng) {
        let stray = *rng.pick(&[Stray::Replay, Stray::Replay, Stray::Forged, Stray::Foreign]);
        self.add(at, Fault::Stray(machine(rng), stray));
    }

    /// Only about addresses: a script whose status has never said that it runs is not believed when
    /// it says that it does not, by design.
    fn lie(&mut self, at: Instant, rng: &mut Rng) {
        let texts = texts(&self.settings[0].groups);
        let texts: Vec<&String> = texts.iter().filter(|text| is_address(text)).collect();
        if texts.is_empty() {
            return;
        }
        self.swarm.lies = true;
        self.beyond.checks = true;
        let (machine, text) = (machine(rng), rng.pick(&texts).to_string());
        let end = self.later(at, rng);
        self.add(at, Fault::LieStart(machine, text.clone(), true));
        self.add(end, Fault::LieStart(machine, text, false));
    }

    fn die_later(&mut self, at: Instant, rng: &mut Rng) {
        let (machine, text) = (machine(rng), rng.pick(&texts(&self.settings[0].groups)).clone());
        let after = Duration::from_millis(*rng.pick(&[500, 15_000, 120_000]));
        let end = self.later(at, rng);
        self.add(at, Fault::DieAfter(machine, text.clone(), Some(after)));
        self.add(end, Fault::DieAfter(machine, text, None));
    }

    fn stop_by_hand(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let again = self.later(at, rng);
        self.add(at, Fault::Command(machine, Request::Stop));
        self.add(again, Fault::Start(machine));
    }

    /// The same on both machines, nearly at once.
    fn strike_both(&mut self, at: Instant, rng: &mut Rng) {
        let fault: fn(usize) -> Fault = match rng.between(0, 4) {
            0 => Fault::Kill,
            1 => Fault::PowerOff,
            2 => |machine| Fault::Command(machine, Request::Stop),
            3 => |machine| {
                Fault::Command(machine, Request::Standby { which: Which::Sets(Holdings::ALL) })
            },
            _ => |machine| {
                Fault::Command(machine, Request::Takeover { which: Which::Sets(Holdings::ALL) })
            },
        };
        let second = at + Duration::from_micros(rng.between(0, 300_000));
        self.add(at, fault(0));
        self.add(second, fault(1));
        for machine in 0..2 {
            let again = self.later(second, rng);
            self.add(again, Fault::Start(machine));
        }
    }

    fn reboot_again_and_again(&mut self, at: Instant, rng: &mut Rng) {
        let machine = machine(rng);
        let every = Duration::from_millis(self.settings[0].timing.deadtime_ms * rng.between(1, 4));
        let mut at = at;
        for _ in 0..rng.between(2, 5) {
            self.add(at, Fault::PowerOff(machine));
            self.add(at + every / 3, Fault::Start(machine));
            at = at + every;
        }
    }

    /// Right after something else, whatever it is.
    fn type_at_the_worst_moment(&mut self, _: Instant, rng: &mut Rng) {
        let after = rng.pick(&self.faults).0;
        let at = after + Duration::from_micros(rng.between(0, 2_000_000));
        let group = rng.pick(&self.settings[0].groups).key.clone();
        let which = match rng.between(0, 1) {
            0 => Which::Group(group),
            _ => Which::Sets(*rng.pick(&[Holdings::ALL, Holdings::LOCAL, Holdings::FOREIGN])),
        };
        let machine = machine(rng);
        let fault = match rng.between(0, 5) {
            0 | 1 => Fault::Command(machine, Request::Standby { which }),
            2 | 3 => Fault::Command(machine, Request::Takeover { which }),
            4 => Fault::Reload(machine),
            _ => Fault::Command(machine, Request::Stop),
        };
        self.add(at, fault);
    }

    fn shoot_both(&mut self, at: Instant, rng: &mut Rng) {
        let both = Switch::ShootsBoth(Duration::from_millis(500));
        self.break_either(at, both, rng);
    }

    /// Who is told that the other is off may take its groups: only how long both have them is bounded.
    fn lie_about_fencing(&mut self, at: Instant, rng: &mut Rng) {
        self.beyond.fenced = false;
        self.break_either(at, Switch::Lies, rng);
    }

    fn break_either(&mut self, at: Instant, switch: Switch, rng: &mut Rng) {
        let fault = *rng.pick(&[Fault::Switch as fn(usize, Switch) -> Fault, Fault::Second]);
        let machine = machine(rng);
        let end = self.later(at, rng);
        self.add(at, fault(machine, switch));
        self.add(end, fault(machine, Switch::Works(Duration::from_millis(500))));
    }

    /// A second device: of another level, or of the same.
    fn add_level(&mut self, rng: &mut Rng) {
        let level = *rng.pick(&[1, 2]);
        for one in &mut self.settings {
            if let Some(fencing) = &mut one.native.fencing
                && let Some(first) = fencing.devices.first().cloned()
            {
                let name = "second".to_owned();
                fencing.devices.push(FenceDevice { name, level, ..first });
            }
        }
    }

    /// What belongs to a cluster of that pace: the product's own intervals, and often one link.
    fn settle_down(&mut self, rng: &mut Rng) {
        let one_link = rng.chance(500);
        for one in &mut self.settings {
            one.native.monitor.interval_ms = 10_000;
            one.native.monitor.ready_interval_ms = 60_000;
            one.native.recovery.retry_ms = 60_000;
            if one_link {
                one.media.truncate(1);
            }
        }
    }

    /// As most pairs are: Heartbeat's own pace, one link, nobody to ask.
    fn is_plain(&self) -> bool {
        let settings = &self.settings[0];
        let pace = settings.timing.keepalive_ms == 2_000;
        pace && settings.media.len() == 1 && settings.native.witness.is_none()
    }

    /// Nothing happens for a long time, once or twice: what is counted over minutes and hours.
    fn rest(&mut self, rng: &mut Rng) {
        let deadtime_ms = self.settings[0].timing.deadtime_ms;
        for _ in 0..rng.between(1, 2) {
            let begin = Instant::from_micros(rng.between(0, self.calm.as_micros()));
            let length = Duration::from_millis(rng.between(deadtime_ms * 10, deadtime_ms * 200));
            for (at, _) in &mut self.faults {
                if *at > begin {
                    *at = *at + length;
                }
            }
            self.calm = self.calm + length;
        }
    }
}

fn machine(rng: &mut Rng) -> usize {
    usize::from(rng.chance(500))
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Heartbeat's own examples: 1 or 2 seconds, dead after 10 to 30.
fn slow_pace(rng: &mut Rng) -> Timing {
    let keepalive_ms = *rng.pick(&[1_000, 2_000, 2_000]);
    let deadtime_ms = *rng.pick(&[10_000, 15_000, 30_000]);
    Timing {
        keepalive_ms,
        deadtime_ms,
        warntime_ms: deadtime_ms / 2,
        initdead_ms: deadtime_ms * rng.between(1, 4),
        deadping_ms: deadtime_ms,
    }
}
