//! What goes wrong in a run, drawn from its seed: settings, a timeline of faults and commands, and
//! the moment from which nothing goes wrong any more. It judges nothing.

use std::fmt;
use std::time::Duration;

use hb_config::settings::{AutoFailback, Framing, GroupSpec, PingKind, PingTarget, Settings};
use hb_config::settings::{NodeName, Timing};
use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_resource::input::{Holdings, Which};

use crate::beyond::Beyond;
use crate::faults::Fault;
use crate::legacy::{Pair, is_mixed};
use crate::network::Path;
use crate::rng::Rng;
use crate::setup;
use crate::swarm::Swarm;

/// A run before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What each node reads.
    pub settings: [Settings; 2],
    /// In order of time.
    pub faults: Vec<(Instant, Fault)>,
    /// From here on everything works again and nobody commands.
    pub calm: Instant,
    /// Whether agents fail at some time.
    pub agents_fail: bool,
    /// Whether the nodes lose sight of each other at some time, so that both may serve.
    pub partitions: bool,
    /// The longest that an agent takes when it works.
    pub slowest: Duration,
    /// The second part.
    pub beyond: Beyond,
    /// The third part.
    pub swarm: Swarm,
    /// Which node is Heartbeat 3.0.6; `None`: neither is.
    pub(crate) pair: Option<Pair>,
}

/// How much of a number's plan is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The first part.
    Base,
    /// Without the third part.
    Beyond,
    /// All of it.
    Whole,
    /// The plan of a pair of which one node is Heartbeat 3.0.6, whatever the number means otherwise.
    Mixed,
}

/// Names a plan. `17`, or with a letter in front what the number meant before parts were added:
/// `b17` for the first part alone, `c17` for the first two. `m17` is its plan of a mixed pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    /// The number.
    pub number: u64,
    /// How much of it.
    pub scope: Scope,
}

impl Seed {
    /// The whole plan of a number.
    pub fn new(number: u64) -> Self {
        Self { number, scope: Scope::Whole }
    }

    /// Reads what `Display` writes.
    pub fn read(text: &str) -> Option<Self> {
        let (scope, digits) = match text.split_at_checked(1)? {
            ("b", digits) => (Scope::Base, digits),
            ("c", digits) => (Scope::Beyond, digits),
            ("m", digits) => (Scope::Mixed, digits),
            _ => (Scope::Whole, text),
        };
        Some(Self { number: digits.parse().ok()?, scope })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.scope {
            Scope::Base => "b",
            Scope::Beyond => "c",
            Scope::Whole => "",
            Scope::Mixed => "m",
        };
        write!(f, "{letter}{}", self.number)
    }
}

/// Adds faults of one kind that begin at a moment.
pub(crate) type Kind = fn(&mut Plan, Instant, &[GroupSpec], &Timing, &mut Rng);

/// What kinds of faults a run has. Few at a time show more than all at once.
#[derive(Clone, Copy, Debug)]
struct Mood {
    crashes: bool,
    halts: bool,
    partitions: bool,
    weather: bool,
    commands: bool,
    slow_agents: bool,
    failing_agents: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: Seed) -> Self {
        match seed.scope {
            Scope::Base => Self::base(seed.number, None),
            Scope::Beyond => Self::both(seed.number, None),
            Scope::Whole if is_mixed(seed.number) => Self::mixed(seed.number),
            Scope::Whole => Self::whole(seed.number),
            Scope::Mixed => Self::mixed(seed.number),
        }
    }

    /// The first two parts, at a given pace or at one of their own.
    pub(crate) fn both(seed: u64, pace: Option<Timing>) -> Self {
        let mut plan = Self::base(seed, pace);
        plan.go_beyond();
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn base(seed: u64, pace: Option<Timing>) -> Self {
        let mut rng = Rng::new(seed);
        let mood = Mood {
            crashes: rng.chance(600),
            halts: rng.chance(250),
            partitions: rng.chance(350),
            weather: rng.chance(400),
            commands: rng.chance(600),
            slow_agents: rng.chance(400),
            failing_agents: rng.chance(300),
        };
        let groups = groups(&mut rng);
        let mut settings = settings(&groups, &mut rng);
        for one in &mut settings {
            one.timing = pace.unwrap_or(one.timing);
        }
        let timing = settings[0].timing;
        let mut plan = Self {
            seed,
            settings,
            faults: Vec::new(),
            calm: Instant::ZERO,
            agents_fail: mood.failing_agents,
            partitions: mood.partitions || mood.weather || mood.halts,
            slowest: Duration::from_millis(20),
            beyond: Beyond::default(),
            swarm: Swarm::default(),
            pair: None,
        };
        plan.begin(&timing, &mut rng);
        plan.agents(&groups, mood, &mut rng);
        plan.timeline(&groups, mood, &timing, &mut rng);
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    pub(crate) fn add(&mut self, at: Instant, fault: Fault) {
        self.faults.push((at, fault));
    }

    /// Mostly both start at nearly the same time; sometimes one is late or never comes.
    pub(crate) fn begin(&mut self, timing: &Timing, rng: &mut Rng) {
        let span = *rng.pick(&[0, timing.keepalive_ms, timing.deadtime_ms, timing.initdead_ms * 2]);
        for machine in 0..2 {
            let at = Instant::from_micros(rng.between(0, span * 1_000));
            self.add(at, Fault::Start(machine));
        }
    }

    fn agents(&mut self, groups: &[GroupSpec], mood: Mood, rng: &mut Rng) {
        if mood.slow_agents {
            self.slow_agents(groups, rng);
        }
    }

    pub(crate) fn slow_agents(&mut self, groups: &[GroupSpec], rng: &mut Rng) {
        for text in texts(groups) {
            for machine in 0..2 {
                let takes = Duration::from_millis(rng.between(1, 1_500));
                self.slowest = self.slowest.max(takes);
                self.add(Instant::ZERO, Fault::Slow(machine, text.clone(), takes));
            }
        }
    }

    fn timeline(&mut self, groups: &[GroupSpec], mood: Mood, timing: &Timing, rng: &mut Rng) {
        let mut at = Instant::from_millis(rng.between(0, timing.initdead_ms * 3));
        for _ in 0..rng.between(1, 12) {
            let mut kinds: Vec<Kind> = vec![];
            if mood.crashes {
                kinds.push(Self::crash);
            }
            if mood.halts {
                kinds.push(Self::stand_still);
            }
            if mood.partitions {
                kinds.push(Self::partition);
            }
            if mood.weather {
                kinds.push(Self::weather);
            }
            if mood.commands {
                kinds.push(Self::command);
            }
            if mood.failing_agents {
                kinds.push(Self::fail_agent);
            }
            if kinds.is_empty() {
                break;
            }
            let kind = *rng.pick(&kinds);
            kind(self, at, groups, timing, rng);
            at = at + pause(timing, rng);
        }
        self.calm = at + pause(timing, rng);
    }

    /// A machine goes, one way or another, and usually comes back.
    pub(crate) fn crash(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let fault = match rng.between(0, 3) {
            0 => Fault::Kill(machine),
            1 => Fault::Stop(machine),
            _ => Fault::PowerOff(machine),
        };
        self.add(at, fault);
        if rng.chance(850) {
            self.add(at + pause(timing, rng), Fault::Start(machine));
        }
    }

    /// Longer than a deadtime, it is a partition for whoever stands still.
    pub(crate) fn stand_still(
        &mut self,
        at: Instant,
        _: &[GroupSpec],
        timing: &Timing,
        rng: &mut Rng,
    ) {
        let machine = usize::from(rng.chance(500));
        self.add(at, Fault::Halt(machine));
        self.add(at + pause(timing, rng), Fault::Resume(machine));
    }

    pub(crate) fn partition(
        &mut self,
        at: Instant,
        _: &[GroupSpec],
        timing: &Timing,
        rng: &mut Rng,
    ) {
        let machine = usize::from(rng.chance(500));
        let fault = match rng.between(0, 4) {
            0 => Fault::CutFrom(machine),
            1 => Fault::CutLink(usize::from(rng.chance(500))),
            2 => Fault::Socket(machine, usize::from(rng.chance(500)), false),
            _ => Fault::CutAll,
        };
        let end = at + pause(timing, rng);
        if let Fault::Socket(machine, link, _) = fault {
            self.add(end, Fault::Socket(machine, link, true));
        }
        self.add(at, fault);
        self.add(end, Fault::Heal);
    }

    pub(crate) fn weather(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let keepalive_us = timing.keepalive_ms * 1_000;
        let path = Path {
            up: true,
            loss: *rng.pick(&[0, 10, 100, 300, 600]),
            duplicates: *rng.pick(&[0, 0, 50, 500]),
            corrupted: *rng.pick(&[0, 0, 0, 20]),
            delay: Duration::from_micros(rng.between(50, keepalive_us)),
            jitter: Duration::from_micros(rng.between(0, keepalive_us * 2)),
        };
        self.add(at, Fault::Weather(path));
        self.add(at + pause(timing, rng), Fault::Weather(Path::GOOD));
    }

    pub(crate) fn command(&mut self, at: Instant, groups: &[GroupSpec], _: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let which = if rng.chance(250) {
            Which::Group(rng.pick(groups).key.clone())
        } else {
            Which::Sets(*rng.pick(&[Holdings::ALL, Holdings::LOCAL, Holdings::FOREIGN]))
        };
        let request = match rng.between(0, 4) {
            0 | 1 => Request::Takeover { which },
            2 | 3 => Request::Standby { which },
            _ => Request::Cleanup { group: None },
        };
        self.add(at, Fault::Command(machine, request));
    }

    pub(crate) fn fail_agent(
        &mut self,
        at: Instant,
        groups: &[GroupSpec],
        timing: &Timing,
        rng: &mut Rng,
    ) {
        let machine = usize::from(rng.chance(500));
        let text = rng.pick(&texts(groups)).clone();
        let fault: fn(usize, String, bool) -> Fault = match rng.between(0, 3) {
            0 => Fault::FailStop,
            1 => Fault::Hang,
            _ => Fault::FailStart,
        };
        self.add(at, fault(machine, text.clone(), true));
        self.add(at + pause(timing, rng), fault(machine, text, false));
    }
}

/// Short, about a deadtime, or long: the interesting lengths.
pub(crate) fn pause(timing: &Timing, rng: &mut Rng) -> Duration {
    let longest = *rng.pick(&[
        timing.keepalive_ms,
        timing.deadtime_ms,
        timing.deadtime_ms * 2,
        timing.deadtime_ms * 8,
    ]);
    Duration::from_micros(rng.between(0, longest * 1_000))
}

pub(crate) fn texts(groups: &[GroupSpec]) -> Vec<String> {
    let resources = groups.iter().flat_map(|group| &group.resources);
    resources.map(|resource| resource.text.clone()).collect()
}

pub(crate) fn groups(rng: &mut Rng) -> Vec<GroupSpec> {
    const NAMES: [&[&str]; 4] =
        [&["10.0.0.7", "nginx", "10.0.0.8"], &["db", "mount"], &["mail"], &["10.0.0.9"]];
    let count = usize::try_from(rng.between(1, 4)).unwrap_or(1);
    NAMES[..count]
        .iter()
        .map(|names| setup::group(rng.pick::<&str>(&setup::NODES), names))
        .collect()
}

/// Short limits, so that what hangs ends within the run.
pub(crate) fn limit_actions(settings: &mut Settings) {
    settings.native.failure.offer_delay_ms = 2_000;
    settings.native.failure.stop_retries_max = 2;
    settings.native.failure.stop_retry_delay_ms = 200;
    settings.native.operations.start_timeout_ms = 3_000;
    settings.native.operations.stop_timeout_ms = 3_000;
    settings.native.operations.status_timeout_ms = 1_000;
}

fn settings(groups: &[GroupSpec], rng: &mut Rng) -> [Settings; 2] {
    let keepalive_ms = *rng.pick(&[50, 100, 200, 200, 500, 500, 1_000]);
    let deadtime_ms = keepalive_ms * rng.between(3, 10);
    let timing = Timing {
        keepalive_ms,
        deadtime_ms,
        warntime_ms: deadtime_ms / 2,
        initdead_ms: deadtime_ms * rng.between(1, 4),
        deadping_ms: deadtime_ms,
    };
    let auto_failback = *rng.pick(&[AutoFailback::On, AutoFailback::On, AutoFailback::Off]);
    let framing = *rng.pick(&[Framing::Netstring, Framing::Netstring, Framing::Classic]);
    let gateway = rng.chance(300);
    let mut settings = setup::pair(timing, groups);
    for one in &mut settings {
        one.auto_failback = auto_failback;
        one.native.framing = framing;
        limit_actions(one);
        if gateway {
            one.ipfail = true;
            one.pings = vec![PingTarget {
                name: NodeName::new("10.0.0.1"),
                hosts: vec!["10.0.0.1".to_owned()],
                kind: PingKind::Ping,
            }];
        }
    }
    settings
}
