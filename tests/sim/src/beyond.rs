//! The second half of a plan: what watching, recovery, fencing, the witness and maintenance are for.
//! Drawn from a generator of its own, so that the first half of a seed keeps its meaning. It judges
//! nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use hb_config::settings::{
    Failback, FenceDevice, FenceFailure, FenceKind, Fencing, GroupSpec, NodeName, PingKind,
    PingTarget, ResourceOptions, Witness, WitnessKind,
};
use hb_config::settings::{Settings, Timing};
use hb_messaging::time::Instant;
use hb_node::api::Request;
use hb_resource::input::{Holdings, Which};

use crate::agents::Checks;
use crate::edge::{Edge, Switch};
use crate::faults::Fault;
use crate::plan::{Plan, pause, texts};
use crate::rng::Rng;
use crate::setup;

/// What the second half adds, as far as the checker has to know.
#[derive(Clone, Debug, Default)]
pub struct Beyond {
    /// Whether it adds anything.
    pub any: bool,
    /// What stands beside the machines; `None`: nothing does.
    pub edge: Option<Edge>,
    /// Texts of members that run on both nodes.
    pub warm: BTreeSet<String>,
    /// Members die.
    pub deaths: bool,
    /// Checks hang, lie, fail or cannot be run.
    pub checks: bool,
    /// Operators switch maintenance on and off.
    pub maintenance: bool,
    /// A node that does not know the other to be off never takes anything from it.
    pub fenced: bool,
    /// A witness decides, and no operator overrules it.
    pub witnessed: bool,
}

/// Adds faults of one kind that begin at a moment.
type Kind = fn(&mut Plan, Instant, &[GroupSpec], &Timing, &mut Rng);

impl Plan {
    /// Adds the second half of the seed's plan; one seed in five has none.
    pub(crate) fn go_beyond(&mut self) {
        let mut rng = Rng::new(self.seed ^ 0x7477_696e_6265_6174);
        if rng.chance(200) {
            return;
        }
        let [deaths, checks, maintenance, gateway, unready, storms] =
            [600, 250, 250, 200, 100, 250].map(|permille| rng.chance(permille));
        let (fencing, witness) = (rng.chance(350), rng.chance(200));
        let groups = self.settings[0].groups.clone();
        self.beyond = Beyond { any: true, deaths, checks, maintenance, ..Beyond::default() };
        self.watch_closely(&groups, &mut rng);
        if fencing || witness {
            self.stand_beside(fencing, witness && !fencing, &mut rng);
        }
        if gateway {
            self.add_ping();
        }
        let mut kinds: Vec<Kind> = Vec::new();
        let edge = self.beyond.edge.is_some();
        let all: [(bool, Kind); 8] = [
            (deaths, Self::die),
            (checks, Self::mislead),
            (maintenance, Self::maintain),
            (gateway, Self::lose_gateway),
            (unready, Self::spoil),
            (storms, Self::storm),
            (fencing, Self::break_switch),
            (witness && edge, Self::lose_witness),
        ];
        kinds.extend(all.into_iter().filter_map(|(on, kind)| on.then_some(kind)));
        self.fill(&kinds, &groups, &mut rng);
        self.agents_fail = true;
    }

    fn fill(&mut self, kinds: &[Kind], groups: &[GroupSpec], rng: &mut Rng) {
        if kinds.is_empty() {
            return;
        }
        let timing = self.settings[0].timing;
        let mut at = Instant::from_millis(rng.between(0, timing.initdead_ms * 3));
        for _ in 0..rng.between(1, 12) {
            let kind = *rng.pick(kinds);
            kind(self, at, groups, &timing, rng);
            at = at + pause(&timing, rng);
        }
        self.calm = self.calm.max(at + pause(&timing, rng));
        let edge = self.beyond.edge.is_some();
        if edge {
            // Both machines may be cut apart at any moment: it is what the edge is there for.
            for _ in 0..rng.between(1, 3) {
                let at = Instant::from_micros(rng.between(0, self.calm.as_micros()));
                self.partition(at, groups, &timing, rng);
            }
        }
    }

    fn each(&mut self, change: impl Fn(&mut Settings)) {
        self.settings.iter_mut().for_each(change);
    }

    fn watch_closely(&mut self, groups: &[GroupSpec], rng: &mut Rng) {
        let interval_ms = *rng.pick(&[300, 1_000, 5_000]);
        let restarts_max = *rng.pick(&[0, 1, 3]);
        let window_ms = *rng.pick(&[5_000, 60_000]);
        let stable_for_ms = *rng.pick(&[None, Some(0), Some(3_000)]);
        let scripts = |text: &&String| text.parse::<std::net::IpAddr>().is_err();
        let names = texts(groups);
        let warm = rng.chance(250);
        for text in names.iter().filter(scripts).filter(|_| warm) {
            // A group's key names what moves.
            if rng.chance(500) && !groups.iter().any(|group| group.key == *text) {
                self.beyond.warm.insert(text.clone());
            }
        }
        let options = ResourceOptions { warm: true, ..ResourceOptions::default() };
        let warm: Vec<String> = self.beyond.warm.iter().cloned().collect();
        self.each(|one| {
            one.native.monitor.interval_ms = interval_ms;
            one.native.monitor.ready_interval_ms = 4_000;
            one.native.recovery.restarts_max = restarts_max;
            one.native.recovery.window_ms = window_ms;
            one.native.recovery.retry_ms = 5_000;
            one.native.failback = Failback { stable_for_ms, window: None };
            let warm = warm.iter().map(|text| (text.clone(), options.clone()));
            one.native.resources.extend(warm);
        });
    }

    fn stand_beside(&mut self, fencing: bool, witness: bool, rng: &mut Rng) {
        let boots_after = *rng.pick(&[None, Some(2_000), Some(20_000)]);
        let mut edge = Edge::default();
        edge.boots_after = boots_after.map(Duration::from_millis);
        self.beyond.edge = Some(edge);
        // A partition is a reason for errors, and its end for two owners.
        self.partitions = true;
        if fencing {
            let on_failure = *rng.pick(&[FenceFailure::Wait, FenceFailure::Takeover]);
            self.beyond.fenced = on_failure == FenceFailure::Wait;
            let fencing = Fencing {
                devices: vec![device(rng)],
                delay_ms: *rng.pick(&[1_000, 2_000]),
                on_failure,
                ..Fencing::default()
            };
            self.each(|one| one.native.fencing = Some(fencing.clone()));
        }
        if witness {
            self.beyond.witnessed = true;
            let lease_ms = self.settings[0].timing.deadtime_ms * 3 / 4;
            let kind = WitnessKind::File { path: "/mnt/witness".to_owned() };
            let witness = Witness { kind, lease_ms, timeout_ms: lease_ms / 4 };
            self.each(|one| one.native.witness = Some(witness.clone()));
        }
    }

    fn add_ping(&mut self) {
        self.each(|one| {
            let name = "10.0.0.1";
            one.pings = vec![PingTarget {
                name: NodeName::new(name),
                hosts: vec![name.to_owned()],
                kind: PingKind::Ping,
            }];
        });
    }

    /// A process ends or an address is removed by hand; the kernel may say so, sooner or later.
    fn die(&mut self, at: Instant, groups: &[GroupSpec], _: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let group = rng.pick(groups);
        let text = rng.pick(&group.resources).text.clone();
        let hint = Duration::from_millis(rng.between(0, 200));
        match rng.between(0, 5) {
            0 => {}
            1 | 2 => {
                self.add(at, Fault::Die(machine, group.key.clone(), text));
                return;
            }
            _ => self.add(at, Fault::Die(machine, group.key.clone(), text.clone())),
        }
        self.add(at + hint, Fault::Hint(machine, group.key.clone(), text));
    }

    fn mislead(&mut self, at: Instant, groups: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let text = rng.pick(&texts(groups)).clone();
        let checks = *rng.pick(&[Checks::Hang, Checks::Lie, Checks::Fail, Checks::Missing]);
        self.add(at, Fault::Checks(machine, text.clone(), checks));
        self.add(at + pause(timing, rng), Fault::Checks(machine, text, Checks::Honest));
    }

    /// For a while, with an end of its own or forgotten.
    fn maintain(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let limit_ms = rng.chance(300).then(|| rng.between(100, timing.deadtime_ms * 4));
        self.add(at, Fault::Command(machine, Request::Maintenance { on: true, limit_ms }));
        if rng.chance(700) {
            let who = if rng.chance(800) { machine } else { 1 - machine };
            let off = Request::Maintenance { on: false, limit_ms: None };
            self.add(at + pause(timing, rng), Fault::Command(who, off));
        }
    }

    fn lose_gateway(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let end = at + pause(timing, rng);
        let both = rng.chance(300);
        let machine = usize::from(rng.chance(500));
        for other in (0..2).filter(|other| both || *other == machine) {
            self.add(at, Fault::Gateway(other, false));
            self.add(end, Fault::Gateway(other, true));
        }
    }

    fn spoil(&mut self, at: Instant, groups: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        let text = rng.pick(&texts(groups)).clone();
        self.add(at, Fault::Invalid(machine, text.clone(), true));
        self.add(at + pause(timing, rng) * 4, Fault::Invalid(machine, text, false));
    }

    /// Operators type at the worst moment: right after something else has begun.
    fn storm(&mut self, at: Instant, groups: &[GroupSpec], _: &Timing, rng: &mut Rng) {
        let mut at = self.faults.last().map_or(at, |(last, _)| *last);
        for _ in 0..rng.between(1, 4) {
            at = at + Duration::from_millis(rng.between(0, 300));
            let group = rng.pick(groups).key.clone();
            let which = match rng.between(0, 3) {
                0 => Which::Group(group.clone()),
                1 => Which::Sets(Holdings::LOCAL),
                2 => Which::Sets(Holdings::FOREIGN),
                _ => Which::Sets(Holdings::ALL),
            };
            let request = match rng.between(0, 2) {
                0 => Request::Standby { which },
                1 => Request::Takeover { which },
                _ => Request::Cleanup { group: Some(group) },
            };
            self.add(at, Fault::Command(usize::from(rng.chance(500)), request));
        }
    }

    fn break_switch(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let works = Switch::Works(Duration::from_millis(*rng.pick(&[100, 800, 2_500, 4_000])));
        let broken = *rng.pick(&[
            works,
            works,
            Switch::Fails,
            Switch::Hangs,
            Switch::ActsAndHangs,
            Switch::Missing,
        ]);
        let machine = usize::from(rng.chance(500));
        self.add(at, Fault::Switch(machine, broken));
        if rng.chance(500) {
            self.add(at + pause(timing, rng) * 2, Fault::Confirm(machine));
        }
        self.add(at + pause(timing, rng) * 4, Fault::Switch(machine, works));
    }

    fn lose_witness(&mut self, at: Instant, _: &[GroupSpec], timing: &Timing, rng: &mut Rng) {
        let machine = usize::from(rng.chance(500));
        self.add(at, Fault::Witness(machine, false));
        self.add(at + pause(timing, rng), Fault::Witness(machine, true));
    }
}

fn device(rng: &mut Rng) -> FenceDevice {
    FenceDevice {
        name: "switch".to_owned(),
        target: None,
        level: 1,
        kind: FenceKind::Agent { program: "fence_switch".to_owned() },
        parameters: setup::no_parameters(),
        timeout_ms: 3_000,
        retries_max: u32::from(rng.chance(500)),
    }
}
