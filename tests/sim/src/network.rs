//! The modelled network: links between two machines with loss, delay, jitter, duplication and
//! cuts in either direction, and a gateway that answers pings.

use std::time::Duration;

use crate::rng::Rng;

/// One direction of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Whether anything passes.
    pub up: bool,
    /// Datagrams lost, of a thousand.
    pub loss: u64,
    /// Datagrams that arrive twice, of a thousand.
    pub duplicates: u64,
    /// Datagrams with one bit flipped, of a thousand.
    pub corrupted: u64,
    /// Shortest time under way.
    pub delay: Duration,
    /// Up to this much more: reorders when it is longer than the distance of two datagrams.
    pub jitter: Duration,
}

impl Path {
    /// A quiet local network.
    pub const GOOD: Self = Self {
        up: true,
        loss: 0,
        duplicates: 0,
        corrupted: 0,
        delay: Duration::from_micros(100),
        jitter: Duration::from_micros(50),
    };
}

/// More loss than this, in thousandths, and a heartbeat may well fail to arrive within deadtime.
const LOSS_MAX: u64 = 300;

impl Path {
    /// Whether heartbeats arrive within deadtime.
    fn passes(&self) -> bool {
        self.up && self.loss <= LOSS_MAX
    }
}

/// The paths from one machine to the other, for each link.
#[derive(Clone, Debug)]
pub struct Network {
    /// `paths[from][link]`
    paths: [Vec<Path>; 2],
    /// Whether each machine reaches the gateway.
    pub gateway: [bool; 2],
    /// Sends of each machine that fail at once, of a thousand: its queue is full.
    pub send_errors: [u64; 2],
}

/// A datagram that will arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Time under way.
    pub after: Duration,
    /// A bit of it is flipped.
    pub flip: Option<u64>,
}

impl Network {
    /// `links` good links.
    pub fn new(links: usize) -> Self {
        let paths = [vec![Path::GOOD; links], vec![Path::GOOD; links]];
        Self { paths, gateway: [true; 2], send_errors: [0; 2] }
    }

    /// How many links there are.
    pub fn links(&self) -> usize {
        self.paths[0].len()
    }

    /// The path of `link` that leaves machine `from`.
    pub fn path(&self, from: usize, link: usize) -> &Path {
        &self.paths[from][link]
    }

    /// The same, to change it.
    pub fn path_mut(&mut self, from: usize, link: usize) -> &mut Path {
        &mut self.paths[from][link]
    }

    /// Changes every path.
    pub fn each(&mut self, mut change: impl FnMut(&mut Path)) {
        self.paths.iter_mut().flatten().for_each(&mut change);
    }

    /// Whether datagrams pass in both directions, over whichever links, and few are lost.
    pub fn connects(&self) -> bool {
        self.passes() == [true; 2]
    }

    /// The directions, by their sender, in which few datagrams are lost on some link.
    pub fn passes(&self) -> [bool; 2] {
        [0, 1].map(|from| {
            self.send_errors[from] <= LOSS_MAX && self.paths[from].iter().any(Path::passes)
        })
    }

    /// Whether, in each direction, some link passes everything within `limit`.
    pub fn is_prompt(&self, limit: Duration) -> bool {
        let prompt = |path: &Path| {
            path.up && path.loss == 0 && path.corrupted == 0 && path.delay + path.jitter <= limit
        };
        self.send_errors == [0; 2] && self.paths.iter().all(|paths| paths.iter().any(prompt))
    }

    /// When, and how often, a datagram that machine `from` sends on `link` arrives.
    pub fn send(&self, from: usize, link: usize, rng: &mut Rng) -> [Option<Arrival>; 2] {
        let mut arrivals = [None, None];
        let Some(path) = self.paths[from].get(link).filter(|path| path.up) else {
            return arrivals;
        };
        let fails = self.send_errors[from];
        if fails > 0 && rng.chance(fails) {
            return arrivals;
        }
        let copies = if rng.chance(path.duplicates) { 2 } else { 1 };
        for arrival in arrivals.iter_mut().take(copies) {
            if rng.chance(path.loss) {
                continue;
            }
            let jitter = u64::try_from(path.jitter.as_micros()).unwrap_or(u64::MAX);
            let after = path.delay + Duration::from_micros(rng.between(0, jitter));
            let flip = rng.chance(path.corrupted).then(|| rng.next_u64());
            *arrival = Some(Arrival { after, flip });
        }
        arrivals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_one_way() {
        let mut network = Network::new(1);
        let mut rng = Rng::new(1);
        network.path_mut(0, 0).up = false;
        let mut count = |from| network.send(from, 0, &mut rng).iter().flatten().count();
        assert_eq!((count(0), count(1)), (0, 1));
        assert!(!network.connects());
        assert_eq!(network.passes(), [false, true]);
    }

    #[test]
    fn loss_and_duplication_come_in_the_stated_share() {
        let mut network = Network::new(1);
        network.path_mut(0, 0).loss = 250;
        network.path_mut(1, 0).duplicates = 500;
        let mut rng = Rng::new(9);
        let mut once = |from| network.send(from, 0, &mut rng).iter().flatten().count();
        let mut count = |from| (0..10_000).map(|_| once(from)).sum::<usize>();
        assert!((7_300..7_700).contains(&count(0)));
        assert!((14_700..15_300).contains(&count(1)));
    }

    #[test]
    fn either_link_connects() {
        let mut network = Network::new(2);
        network.path_mut(0, 0).up = false;
        network.path_mut(1, 1).up = false;
        assert!(network.connects());
    }
}
