//! Heartbeats through a cable that loses, repeats, mangles, delays and reorders them: what `tc netem`
//! does, for kernels without it. The cable is a thread between the lab's two ends of it; the nodes,
//! their kernels and their sockets are real.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hb_cli::lab::HEARTBEAT;
use hb_netns::files::{NODES, Setup, ucast};
use hb_netns::pair::{Pair, active_on};
use hb_netns::runner::Case;
use hb_node::api::StatusSnapshot;
use hb_sim::rng::Rng;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

pub(crate) const CASES: &[Case] =
    &[Case { name: "bad_weather_moves_nothing", run: bad_weather_moves_nothing }];

/// A frame of the lab, and room to spare.
const FRAME_MAX: usize = 4_096;
/// Frames that are under way at a time; more are lost, as in a switch.
const UNDER_WAY_MAX: usize = 10_000;
/// How often the end is looked at.
const LOOK: u16 = 20;
/// Offsets in a frame: EtherType, IPv4 protocol, UDP checksum, UDP payload.
const ETHERTYPE: usize = 12;
const PROTOCOL: usize = 23;
const CHECKSUM: usize = 40;
const PAYLOAD: usize = 42;

/// What becomes of UDP packets, each way; everything else passes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sky {
    /// Of a thousand.
    pub(crate) lost: u64,
    /// Of a thousand.
    pub(crate) doubled: u64,
    /// Of a thousand: one bit of the payload is turned.
    pub(crate) mangled: u64,
    /// Each takes this long.
    pub(crate) delay: Duration,
    /// And up to this much more, so that some overtake others.
    pub(crate) jitter: Duration,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) mangled: u64,
    pub(crate) overtook: u64,
}

/// The heartbeat cable under such a sky, until it ends.
pub(crate) struct Weather {
    end: Arc<AtomicBool>,
    cable: JoinHandle<io::Result<Seen>>,
}

impl Weather {
    /// From here on frames of the heartbeat network go through the thread, and not through the bridge.
    pub(crate) fn begin(pair: &Pair, sky: Sky) -> Self {
        let ends = NODES.map(|node| pair.lab.lab_end(node, HEARTBEAT).expect("a cable"));
        let ends = [0, 1].map(|at| open(&ends[at]).expect("a packet socket"));
        let end = Arc::new(AtomicBool::new(false));
        let cable = {
            let end = Arc::clone(&end);
            thread::spawn(move || Cable::new(ends, sky).carry(&end))
        };
        // Some frames go both ways for a moment, so there is no gap.
        NODES.into_iter().for_each(|node| pair.lab.mute(node, HEARTBEAT).expect("a cable"));
        Self { end, cable }
    }

    /// The bridge carries them again.
    pub(crate) fn end(self, pair: &Pair) -> Seen {
        NODES.into_iter().for_each(|node| pair.lab.mend(node, HEARTBEAT).expect("a cable"));
        self.end.store(true, Ordering::Relaxed);
        self.cable.join().expect("its thread").expect("its sockets")
    }
}

/// A socket that sees every frame at `interface`.
fn open(interface: &str) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, Some(SockProtocol::EthAll))?;
    let of_interface = |address: nix::ifaddrs::InterfaceAddress| {
        let link: Option<LinkAddr> = address.address?.as_link_addr().copied();
        link.filter(|_| address.interface_name == interface)
    };
    let address = getifaddrs()?.find_map(of_interface).ok_or(io::ErrorKind::NotFound)?;
    bind(socket.as_raw_fd(), &address)?;
    // What came from any interface before it was bound to one.
    while receive(&socket)?.is_some() {}
    Ok(socket)
}

fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut frame = vec![0; FRAME_MAX];
    match recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
        Ok(length) => {
            frame.truncate(length);
            Ok(Some(frame))
        }
        Err(Errno::EAGAIN | Errno::ENETDOWN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A frame under way: when it arrives, its number, to which end.
type UnderWay = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Cable {
    ends: [OwnedFd; 2],
    sky: Sky,
    rng: Rng,
    under_way: BinaryHeap<UnderWay>,
    number: u64,
    /// Highest number that has arrived at each end.
    arrived: [u64; 2],
    seen: Seen,
}

impl Cable {
    fn new(ends: [OwnedFd; 2], sky: Sky) -> Self {
        let (rng, under_way) = (Rng::new(1), BinaryHeap::new());
        Self { ends, sky, rng, under_way, number: 0, arrived: [0; 2], seen: Seen::default() }
    }

    fn carry(mut self, end: &AtomicBool) -> io::Result<Seen> {
        while !end.load(Ordering::Relaxed) {
            let next =
                self.under_way.peek().map(|Reverse((at, ..))| at.duration_since(Instant::now()));
            let wait = next.map_or(LOOK, |wait| u16::try_from(wait.as_millis()).unwrap_or(LOOK));
            let [one, other] = self.ends.each_ref().map(|end| end.as_fd());
            let mut ready =
                [PollFd::new(one, PollFlags::POLLIN), PollFd::new(other, PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(wait.min(LOOK)))?;
            for from in [0, 1] {
                while let Some(frame) = receive(&self.ends[from])? {
                    self.take(1 - from, frame);
                }
            }
            self.deliver();
        }
        Ok(self.seen)
    }

    /// A frame on its way to end `to`.
    fn take(&mut self, to: usize, mut frame: Vec<u8>) {
        let is_udp = frame.len() > PAYLOAD
            && frame[ETHERTYPE..ETHERTYPE + 2] == [0x08, 0x00]
            && frame[PROTOCOL] == 17;
        if !is_udp {
            return self.send_at(Duration::ZERO, to, frame);
        }
        // The sending kernel leaves it to a network card that is not there. 0: none.
        frame[CHECKSUM..CHECKSUM + 2].fill(0);
        if self.rng.chance(self.sky.lost) {
            self.seen.lost += 1;
            return;
        }
        if self.rng.chance(self.sky.mangled) {
            self.seen.mangled += 1;
            let at = self.rng.between(PAYLOAD as u64, frame.len() as u64 - 1);
            frame[at as usize] ^= 1 << self.rng.between(0, 7);
        }
        if self.rng.chance(self.sky.doubled) {
            self.seen.doubled += 1;
            let delay = self.delay();
            self.send_at(delay, to, frame.clone());
        }
        let delay = self.delay();
        self.send_at(delay, to, frame);
    }

    fn delay(&mut self) -> Duration {
        let jitter = u64::try_from(self.sky.jitter.as_micros()).unwrap_or(u64::MAX);
        self.sky.delay + Duration::from_micros(self.rng.between(0, jitter))
    }

    fn send_at(&mut self, after: Duration, to: usize, frame: Vec<u8>) {
        if self.under_way.len() < UNDER_WAY_MAX {
            self.number += 1;
            self.under_way.push(Reverse((Instant::now() + after, self.number, to, frame)));
        }
    }

    fn deliver(&mut self) {
        while let Some(Reverse((at, ..))) = self.under_way.peek()
            && *at <= Instant::now()
            && let Some(Reverse((_, number, to, frame))) = self.under_way.pop()
        {
            self.seen.overtook += u64::from(number < self.arrived[to]);
            self.arrived[to] = self.arrived[to].max(number);
            // A cable whose other end is not there loses it.
            let _ = send(self.ends[to].as_raw_fd(), &frame, MsgFlags::empty());
        }
    }
}

/// The end of the last move may be on its way for some rounds, and until it is heard a node refuses.
fn move_by(pair: &Pair, verb: &str) {
    for _ in 0..50 {
        let ran = pair.run("node1", &["hb", verb]);
        if ran.code == 0 {
            return;
        }
        assert!(ran.err.contains("under way"), "hb {verb}: {ran}");
        thread::sleep(Duration::from_millis(100));
    }
    panic!("hb {verb} is refused for ever");
}

/// One packet in ten is lost, one mangled, one doubled, and they overtake each other: nothing moves
/// but what operators move, and that arrives.
fn bad_weather_moves_nothing() {
    let pair = Pair::running(Setup { media: ucast(HEARTBEAT), ..Setup::web() });
    let traffic = pair.traffic();
    traffic.wait_served("node1");
    let begin = Instant::now();
    let sky = Sky {
        lost: 100,
        doubled: 100,
        mangled: 100,
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(20),
    };
    let weather = Weather::begin(&pair, sky);
    for node in NODES {
        pair.wait(node, "the weather is felt", |s| {
            let counters = &s.counters;
            counters.rexmit_requested > 3
                && counters.rexmit_sent > 0
                && counters.duplicate > 3
                && counters.bad_auth + counters.malformed > 3
        });
    }
    traffic.assert_unbroken(begin, Some("node1"));
    let is_on = |node: &'static str| {
        move |s: &StatusSnapshot| active_on(s) == Some(node) && s.this_node.status == "active"
    };
    for (verb, owner) in [("standby", "node2"), ("takeover", "node1"), ("standby", "node2")] {
        move_by(&pair, verb);
        traffic.wait_served(owner);
        NODES.into_iter().for_each(|node| drop(pair.wait(node, "both know it", is_on(owner))));
        assert_eq!(pair.owners("192.0.2.100"), [owner]);
    }
    let seen = weather.end(&pair);
    assert!(
        [seen.lost, seen.doubled, seen.mangled, seen.overtook].iter().all(|n| *n > 0),
        "{seen:?}"
    );
    for node in NODES {
        let log = pair.log(node);
        assert!(!log.contains(" is dead") && !log.contains("ERROR"), "{log}");
    }
}
