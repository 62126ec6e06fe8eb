//! Who was heard when, on which link, and until when silence is tolerated. Pure book-keeping: the
//! engine decides when to look and what to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{AuthMethod, NodeName};
use serde::{Deserialize, Serialize};

use crate::echo::Way;
use crate::engine::{LinkId, LinkView, NodeView};
use crate::measure::{Intervals, LinkCounters};
use crate::message::{Extensions, NodeStatus};
use crate::order::Order;
use crate::random::Random;
use crate::sequence::Inbound;
use crate::time::Instant;

/// Shortest dead time that a peer may ask for (`dt`). A smaller value is a typing or unit mistake,
/// and obeying it would declare the peer dead between two heartbeats.
const DEADTIME_MIN: Duration = Duration::from_millis(10);
/// Longest dead time that a peer may ask for: beyond it the failover that it pays for is useless.
/// Heartbeat 3.0.6 itself asks for dead time + 30 s before it restarts.
const DEADTIME_MAX: Duration = Duration::from_secs(3_600);
/// How far behind the newest number a packet may be and still show that a slower link works.
const LINK_LAG_MAX: u64 = 250;
/// Packets over which the loss of a link is counted: enough to see one in fifty, and known after a
/// minute with a heartbeat each second.
const LOSS_WINDOW: u64 = 50;
/// Packets of the first window after which its share is told before it is full: one that was lost
/// shows as 5 %, which is what is known then.
const LOSS_FIRST: u64 = 20;

/// Silence since a moment. After this node itself stood still, the end is put off.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Silence {
    since: Instant,
    put_off: Option<Instant>,
}

impl Silence {
    pub(crate) fn since(at: Instant) -> Self {
        Self { since: at, put_off: None }
    }

    /// When it has lasted `limit`.
    pub(crate) fn deadline(self, limit: Duration) -> Instant {
        (self.since + limit).max(self.put_off.unwrap_or(Instant::ZERO))
    }

    /// Moves a deadline before `until` there: once for each silence, so that a node which is always
    /// late still comes to an end with it, and after each standstill that lasted `limit` by itself, since
    /// all that is known of the silence then may be this node's own.
    pub(crate) fn put_off(&mut self, limit: Duration, until: Instant, slept: Duration) {
        let first = self.put_off.is_none();
        if (first || slept >= limit) && self.deadline(limit) < until {
            self.put_off = Some(until);
        }
    }
}

/// One configured link, as this node sees it; several media on one interface are one link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LocalLink {
    pub(crate) name: String,
    pub(crate) media: Vec<LinkId>,
    /// Media whose sockets do not work.
    pub(crate) failures: BTreeMap<LinkId, String>,
    /// What became of what arrived here.
    #[serde(default)]
    pub(crate) counters: LinkCounters,
}

impl LocalLink {
    /// Links by name, in the order of their first medium.
    pub(crate) fn from_names(names: &[String]) -> Vec<Self> {
        let mut links: Vec<Self> = Vec::new();
        for (id, name) in (0..).map(LinkId).zip(names) {
            match links.iter_mut().find(|link| link.name == *name) {
                Some(link) => link.media.push(id),
                None => links.push(Self {
                    name: name.clone(),
                    media: vec![id],
                    failures: BTreeMap::new(),
                    counters: LinkCounters::default(),
                }),
            }
        }
        links
    }

    /// Whether no medium of it works.
    pub(crate) fn is_failed(&self) -> bool {
        self.failures.len() >= self.media.len()
    }
}

/// A link to one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PeerLink {
    pub(crate) up: bool,
    pub(crate) heard: Option<Instant>,
    pub(crate) silence: Silence,
    /// Highest sequence number that came on it in this session.
    sequence: u64,
    loss: Loss,
    /// The last heartbeat that came on it in this run of the peer.
    #[serde(default)]
    beat: Option<Instant>,
    #[serde(default)]
    pub(crate) intervals: Intervals,
    #[serde(default)]
    pub(crate) way: Way,
}

/// How many of the numbered packets came on a link. A sender puts each packet on every link under
/// one number, so the numbers that are missing were lost on this one.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Loss {
    /// Number before the first that counts.
    from: u64,
    got: u64,
    permille: Option<u16>,
    /// A whole window was counted before this one.
    #[serde(default)]
    is_whole: bool,
}

impl Loss {
    fn begin(from: u64, permille: Option<u16>) -> Self {
        Self { from, got: 0, permille, is_whole: false }
    }

    /// Packet `sequence` came; numbers only grow.
    fn count(&mut self, sequence: u64) {
        self.got += 1;
        let sent = sequence.saturating_sub(self.from);
        if sent >= LOSS_WINDOW {
            *self = Self { is_whole: true, ..Self::begin(sequence, self.share(sent)) };
        } else if sent >= LOSS_FIRST && !self.is_whole {
            self.permille = self.share(sent);
        }
    }

    fn share(&self, sent: u64) -> Option<u16> {
        let lost = sent.saturating_sub(self.got).saturating_mul(1_000) / sent.max(1);
        u16::try_from(lost).ok()
    }
}

impl PeerLink {
    fn new() -> Self {
        let silence = Silence::since(Instant::ZERO);
        Self {
            up: false,
            heard: None,
            silence,
            sequence: 0,
            loss: Loss::default(),
            beat: None,
            intervals: Intervals::default(),
            way: Way::default(),
        }
    }

    /// Whether message `sequence` shows that the link works, when `newest` is the newest one known.
    /// Each number counts once for each link, so that a link with a longer way is not taken for
    /// dead (3.0.6 drops what is older than the newest packet) and a repeated packet shows nothing.
    pub(crate) fn is_news(&self, sequence: u64, newest: u64) -> bool {
        sequence > self.sequence && sequence.saturating_add(LINK_LAG_MAX) >= newest
    }

    pub(crate) fn hear(&mut self, now: Instant, sequence: u64) {
        self.heard = Some(now);
        self.silence = Silence::since(now);
        if self.sequence == 0 {
            self.loss = Loss::begin(sequence, None);
        } else {
            self.loss.count(sequence);
        }
        self.sequence = sequence;
    }

    /// A heartbeat came on it. `counts`: this node was there to see when.
    pub(crate) fn beat(&mut self, now: Instant, deadtime: Duration, counts: bool) {
        if let Some(last) = self.beat.replace(now).filter(|_| counts) {
            self.intervals.observe(whole_micros(now.since(last)), whole_micros(deadtime));
        }
    }
}

/// Another member of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) status: NodeStatus,
    /// Last accepted packet.
    pub(crate) heard: Option<Instant>,
    /// Last accepted `status`.
    pub(crate) heartbeat: Option<Instant>,
    pub(crate) silence: Silence,
    /// Its own `dt`, at first this node's dead time.
    pub(crate) deadtime: Duration,
    /// Whether its `status` carries `protocol`.
    pub(crate) acknowledges: bool,
    /// Strongest method that ever signed an accepted packet of it.
    pub(crate) strongest: Option<AuthMethod>,
    /// `x_*` fields of its last `status`.
    pub(crate) extensions: Option<Extensions>,
    pub(crate) inbound: Inbound,
    pub(crate) order: Order,
    /// In the order of the local links.
    pub(crate) links: Vec<PeerLink>,
    /// How far apart its heartbeats came, on whichever link each came first.
    #[serde(default)]
    pub(crate) intervals: Intervals,
}

impl Peer {
    pub(crate) fn new(
        name: NodeName,
        links: usize,
        deadtime: Duration,
        random: &mut Random,
    ) -> Self {
        Self {
            name,
            uuid: None,
            status: NodeStatus::Init,
            heard: None,
            heartbeat: None,
            silence: Silence::since(Instant::ZERO),
            deadtime,
            acknowledges: false,
            strongest: None,
            extensions: None,
            inbound: Inbound::new(random),
            order: Order::default(),
            links: (0..links).map(|_| PeerLink::new()).collect(),
            intervals: Intervals::default(),
        }
    }

    /// Whether it delivers messages in the order in which they were sent, as Twinbeat does, and not
    /// as they arrive.
    pub(crate) fn puts_in_order(&self) -> bool {
        self.extensions.as_ref().is_some_and(|extensions| !extensions.is_empty())
    }

    /// Whether it runs as far as is known.
    pub(crate) fn is_alive(&self) -> bool {
        match self.status {
            NodeStatus::Up | NodeStatus::Active => true,
            NodeStatus::Init | NodeStatus::Dead | NodeStatus::Ping => false,
        }
    }

    /// Takes over the dead time that it asks for, if that is sane.
    pub(crate) fn adopt_deadtime(&mut self, millis: Option<u64>) {
        let asked = millis.map(Duration::from_millis);
        if let Some(asked) = asked.filter(|asked| (DEADTIME_MIN..=DEADTIME_MAX).contains(asked)) {
            self.deadtime = asked;
        }
    }

    /// Its numbers begin again; links count from the start too.
    pub(crate) fn begin_session(&mut self) {
        self.order.clear();
        for link in &mut self.links {
            link.sequence = 0;
        }
    }

    /// It runs anew: what was heard before is no beginning of an interval.
    pub(crate) fn begin_run(&mut self) {
        for link in &mut self.links {
            link.beat = None;
            link.way = Way::default();
        }
    }

    pub(crate) fn view(&self, now: Instant, links: &[LocalLink]) -> NodeView {
        let link_view = |(local, link): (&LocalLink, &PeerLink)| LinkView {
            name: local.name.as_str().into(),
            up: link.up,
            heard_ms_ago: millis_since(now, link.heard),
            failure: local.failures.values().next().cloned(),
            loss_permille: link.loss.permille,
        };
        NodeView {
            name: self.name.clone(),
            ping: false,
            status: self.status,
            heard_ms_ago: millis_since(now, self.heard),
            generation: self.inbound.generation,
            links: links.iter().zip(&self.links).map(link_view).collect(),
        }
    }
}

/// Whole milliseconds from `then` to `now`.
pub(crate) fn millis_since(now: Instant, then: Option<Instant>) -> Option<u64> {
    then.map(|then| whole_millis(now.since(then)))
}

/// Whole microseconds.
pub(crate) fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whole milliseconds, for events and log texts.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        let mut random = Random::new(1);
        Peer::new(NodeName::new("node2"), 1, Duration::from_secs(30), &mut random)
    }

    #[test]
    fn loss_is_the_share_of_missing_numbers() {
        let check = |heard: &mut dyn Iterator<Item = u64>, expect: Option<u16>| {
            let mut link = PeerLink::new();
            heard.for_each(|sequence| link.hear(Instant::ZERO, sequence));
            assert_eq!(link.loss.permille, expect);
        };
        check(&mut (100..120), None);
        check(&mut (100..121), Some(0));
        check(&mut (100..121).filter(|number| *number != 110), Some(50));
        check(&mut (100..149).filter(|number| *number != 110), Some(20));
        check(&mut (100..151), Some(0));
        check(&mut (100..151).filter(|number| number % 5 != 1), Some(200));
        // What came later counts for itself, and a long cut is one window.
        check(&mut (100..151).filter(|number| number % 5 != 1).chain(151..201), Some(0));
        check(&mut (100..151).chain([1_150]), Some(999));
    }

    #[test]
    fn a_silence_is_put_off_once_and_after_each_long_standstill() {
        let (limit, short) = (Duration::from_millis(40), Duration::from_millis(39));
        let mut silence = Silence::since(Instant::from_millis(100));
        silence.put_off(limit, Instant::from_millis(130), short);
        assert_eq!(silence.deadline(limit), Instant::from_millis(140), "not moved back");
        silence.put_off(limit, Instant::from_millis(160), short);
        silence.put_off(limit, Instant::from_millis(190), short);
        assert_eq!(silence.deadline(limit), Instant::from_millis(160));
        assert_eq!(silence.deadline(limit * 2), Instant::from_millis(180));
        silence.put_off(limit, Instant::from_millis(220), limit);
        assert_eq!(silence.deadline(limit), Instant::from_millis(220));
    }

    #[test]
    fn dead_times_beyond_reason_are_not_adopted() {
        for (asked, adopted) in [
            (None, 30_000),
            (Some(0), 30_000),
            (Some(9), 30_000),
            (Some(10), 10),
            (Some(40), 40),
            (Some(3_600_000), 3_600_000),
            (Some(3_600_001), 30_000),
            (Some(u64::MAX), 30_000),
        ] {
            let mut peer = peer();
            peer.adopt_deadtime(asked);
            assert_eq!(peer.deadtime, Duration::from_millis(adopted), "{asked:?}");
        }
    }

    #[test]
    fn a_slower_link_is_heard_and_a_repeated_packet_is_not() {
        let mut link = PeerLink::new();
        assert!(link.is_news(7, 9));
        link.hear(Instant::from_millis(1), 7);
        assert!(!link.is_news(7, 9));
        assert!(!link.is_news(6, 9));
        assert!(link.is_news(8, 9));
        assert!(!link.is_news(8, 300));
    }

    #[test]
    fn media_of_one_interface_are_one_link() {
        let names = ["eth1", "eth0", "eth1"].map(str::to_owned);
        let mut links = LocalLink::from_names(&names);
        assert_eq!(links.len(), 2);
        assert_eq!((&*links[0].name, &*links[0].media), ("eth1", &[LinkId(0), LinkId(2)][..]));
        links[0].failures.insert(LinkId(2), "gone".to_owned());
        assert!(!links[0].is_failed());
        links[0].failures.insert(LinkId(0), "gone".to_owned());
        assert!(links[0].is_failed());
    }
}
