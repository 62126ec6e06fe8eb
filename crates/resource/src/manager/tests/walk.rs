//! Random walks: any order of deliveries, results, failures, deaths, partitions and commands.
//! Safety is checked at each step by the world; liveness after the faults cease.

use hb_config::settings::{AutoFailback, ResourceOptions};

use super::world::World;
use crate::input::{Evidence, GroupClaim, Holdings, Input, PeerStatus, RequestId, Which};
use crate::operation::Outcome;
use crate::output::Timer;

/// SplitMix64: one number after another from a seed, the same for ever.
struct Chance(u64);

impl Chance {
    fn next(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap_or_default()
    }
}

fn step(world: &mut World, chance: &mut Chance, requests: &mut u64) {
    let number = chance.next(2);
    world.exchange_status();
    match chance.next(48) {
        0..14 => {
            world.deliver(number);
        }
        14..28 => complete(world, number, chance),
        28..30 => fire(world, number, chance),
        30 => happen(world, number, chance),
        31..35 => command(world, number, chance, requests),
        35 => {
            if world.sides[number].alive {
                world.power_off(number);
                world.declare_dead(number);
            }
        }
        36 | 37 => {
            if !world.sides[number].alive || world.sides[number].has_left {
                world.boot(number);
            }
        }
        38 => {
            if world.connected && world.sides.iter().all(|side| side.alive && !side.has_left) {
                world.partition();
            }
        }
        40 | 41 => lose(world, number, chance),
        42 | 43 => doubt(world, number, chance),
        44 => maintain(world, number, true, requests),
        45 => maintain(world, number, false, requests),
        46 => unready(world, number, chance),
        47 => retire(world, number, chance),
        _ => {
            if !world.connected {
                world.heal();
            }
        }
    }
    world.restart_retired();
}

/// Something ends or goes away by itself, or comes back; the kernel may tell or not, and may be wrong.
fn happen(world: &mut World, number: usize, chance: &mut Chance) {
    if !world.sides[number].alive || world.sides[number].has_left {
        return;
    }
    let groups: Vec<(String, Vec<String>)> = world.sides[number]
        .manager
        .groups()
        .map(|group| {
            let texts = group.spec().resources.iter().map(|resource| resource.text.clone());
            (group.key().to_owned(), texts.collect())
        })
        .collect();
    let (group, texts) = &groups[chance.next(groups.len())];
    let resource = texts[chance.next(texts.len())].clone();
    if chance.next(3) > 0 {
        world.ends(number, &resource);
    }
    if chance.next(4) > 0 {
        let evidence = match world.sides[number].running.contains(&resource) {
            true => Evidence::ProcessEnded,
            false => Evidence::NothingLeft,
        };
        let (group, reason) = (group.clone(), "chance".to_owned());
        world.feed(number, Input::Look { group, resource, evidence, reason });
    }
}

/// Silence that is not taken for a death: a partition, or a machine that is gone.
fn lose(world: &mut World, number: usize, chance: &mut Chance) {
    if !world.connected || !world.sides.iter().all(|side| side.alive && !side.has_left) {
        return;
    }
    if chance.next(3) == 0 {
        world.power_off(number);
    } else {
        world.silence();
    }
    for side in [0, 1] {
        // One may notice nothing, and one may be sure.
        match chance.next(8) {
            0 => {}
            1 => world.feed(side, Input::Peer(PeerStatus::Dead)),
            _ => world.feed(side, Input::Peer(PeerStatus::Lost)),
        }
    }
}

/// A lost peer is known to be dead, or some groups may be taken all the same, or none any more.
fn doubt(world: &mut World, number: usize, chance: &mut Chance) {
    let gone = !world.connected || !world.sides[1 - number].alive;
    let known = world.sides[number].manager.peer.status;
    if !gone || !matches!(known, PeerStatus::Lost | PeerStatus::Dead) {
        return;
    }
    let input = match chance.next(4) {
        0 => Input::Peer(PeerStatus::Lost),
        1 => Input::MayTake([super::world::WEB.to_owned()].into()),
        2 => Input::MayTake([].into()),
        _ => Input::Peer(PeerStatus::Dead),
    };
    world.feed(number, input);
}

fn maintain(world: &mut World, number: usize, on: bool, requests: &mut u64) {
    *requests += 1;
    let request = RequestId(*requests);
    world.feed(number, Input::Maintenance { request, on, limit: None });
}

/// The files have changed; which groups run otherwise is chance. The next daemon has them all again.
fn retire(world: &mut World, number: usize, chance: &mut Chance) {
    if !world.sides[number].has_left {
        let keys = [super::world::WEB, super::world::MAIL].into_iter();
        let groups = keys.filter(|_| chance.next(2) == 0).map(str::to_owned).collect();
        world.feed(number, Input::Retire { groups });
    }
}

fn unready(world: &mut World, number: usize, chance: &mut Chance) {
    let keys = [super::world::WEB, super::world::MAIL].into_iter().filter(|_| chance.next(2) == 0);
    let why = keys.map(|key| (key.to_owned(), "chance".to_owned())).collect();
    world.feed(number, Input::PeerUnready(why));
}

fn complete(world: &mut World, number: usize, chance: &mut Chance) {
    let pending = world.sides[number].pending.len();
    if pending == 0 {
        return;
    }
    let index = chance.next(pending);
    let operation = &world.sides[number].pending[index];
    let key = (operation.resource.text.clone(), operation.action);
    if chance.next(12) == 0 {
        let outcome = match chance.next(3) {
            0 => Outcome::TimedOut,
            1 => Outcome::CouldNotRun { reason: "chance".into() },
            _ => Outcome::Failed { code: Some(1), reason: "chance".into() },
        };
        world.sides[number].faults.insert(key, outcome);
    } else {
        world.sides[number].faults.remove(&key);
    }
    world.complete(number, index);
}

fn fire(world: &mut World, number: usize, chance: &mut Chance) {
    let timers: Vec<Timer> = world.sides[number].timers.iter().cloned().collect();
    if !timers.is_empty() && world.sides[number].alive && !world.sides[number].has_left {
        world.fire(number, &timers[chance.next(timers.len())].clone());
        if world.sides[number].has_left {
            world.sides[number].alive = false;
            world.declare_dead(number);
        }
    }
}

fn command(world: &mut World, number: usize, chance: &mut Chance, requests: &mut u64) {
    if !world.sides[number].alive {
        return;
    }
    *requests += 1;
    let request = RequestId(*requests);
    let which = match chance.next(4) {
        0 => Which::Sets(Holdings::ALL),
        1 => Which::Sets(Holdings::LOCAL),
        2 => Which::Sets(Holdings::FOREIGN),
        _ => Which::Group(super::world::WEB.into()),
    };
    let input = match chance.next(8) {
        0..4 => Input::Standby { request, which },
        4..6 => Input::Takeover { request, which },
        6 => Input::Cleanup { request, group: None },
        _ => Input::Stop,
    };
    world.feed(number, input);
}

/// Faults end: both nodes are up and talk, agents work, operators forgive. Everything is served
/// once, and nothing is under way.
fn calm(world: &mut World, chance: &mut Chance, requests: &mut u64) {
    for side in &mut world.sides {
        side.faults.clear();
    }
    if !world.connected {
        world.heal();
    }
    for number in [0, 1] {
        world.feed(number, Input::PeerUnready([].into()));
    }
    world.restart_retired();
    for _ in 0..40 {
        for number in [0, 1] {
            maintain(world, number, false, requests);
        }
        world.exchange_status();
        world.rest();
        world.restart_retired();
        for number in [0, 1] {
            if !world.sides[number].alive || world.sides[number].has_left {
                world.boot(number);
                world.rest();
            }
            fire(world, number, chance);
        }
    }
    for number in [0, 1] {
        if !world.sides[number].alive || world.sides[number].has_left {
            world.boot(number);
        }
        *requests += 1;
        let request = RequestId(*requests);
        world.feed(number, Input::Cleanup { request, group: None });
        world.rest();
    }
}

/// Every check that is due is made.
fn check_all(world: &mut World) {
    for number in [0, 1] {
        let timers: Vec<Timer> = world.sides[number].timers.iter().cloned().collect();
        for timer in timers.iter().filter(|timer| matches!(timer, Timer::Monitor(..))) {
            if world.sides[number].timers.contains(timer) {
                world.fire(number, timer);
                world.rest();
            }
        }
    }
}

/// H1: what is said to be held runs, or its check is known to be of no use.
fn assert_honest(world: &World, seed: u64) {
    for side in world.sides.iter().filter(|side| side.alive) {
        for group in side.manager.groups().filter(|group| group.claim() == GroupClaim::Held) {
            for (spec, member) in group.spec().resources.iter().zip(group.members()) {
                let runs = side.running.contains(&spec.text) || member.has_useless_status();
                let doubted = member.checked.as_ref().is_some_and(|last| *last != Outcome::Ok);
                assert!(runs || doubted, "H1: seed {seed}: {} does not run", spec.text);
            }
        }
    }
}

fn walk(seed: u64, failback: AutoFailback, verbose: bool) {
    // One in four with a service that runs on both nodes.
    let warm = seed % 8 < 2;
    let mut chance = Chance(seed);
    let mut requests = 0;
    let mut world = World::new(failback);
    if chance.next(2) == 0 {
        world.policy.failback.stable_for_ms = Some(1_000);
    }
    world.verbose = verbose;
    world.policy.recovery.restarts_max = [3, 0, 1][usize::try_from(seed % 3).unwrap_or_default()];
    if warm {
        let options = ResourceOptions { warm: true, ..ResourceOptions::default() };
        world.policy.resources.insert("nginx".into(), options);
    }
    world.boot(0);
    world.boot(1);
    for _ in 0..400 {
        step(&mut world, &mut chance, &mut requests);
    }
    calm(&mut world, &mut chance, &mut requests);
    // What ended unnoticed is found, and may have failed too often by then.
    check_all(&mut world);
    calm(&mut world, &mut chance, &mut requests);
    assert_honest(&world, seed);
    let owners = world.owners();
    let served = !owners.contains(['-', '*']);
    let stable = world.sides.iter().all(|side| side.manager.is_stable());
    assert!(served && stable, "L1/L2: seed {seed} {failback:?}: owners {owners}, stable {stable}");
}

#[test]
fn every_walk_is_safe_and_ends_served() {
    for seed in 0..2_000 {
        let failback = if seed % 2 == 0 { AutoFailback::On } else { AutoFailback::Off };
        let run = std::panic::catch_unwind(|| walk(seed, failback, false));
        if run.is_err() {
            walk(seed, failback, true);
        }
    }
}
