//! The round trip of each link, measured with the heartbeats that go out anyhow: `x_echo` on `status`
//! says which heartbeat of the other node came last on each link and how long ago. Both times that
//! are compared are this node's own; the other node only tells how long it waited. Pure arithmetic
//! and text; what cannot be true is ignored.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::fields::parse_hex;
use crate::time::Instant;

/// Links that are told and read: nobody has more than a few.
pub(crate) const LINKS_MAX: usize = 8;
/// Bytes of the field; of longer names fewer fit.
pub(crate) const ECHO_MAX: usize = 240;
/// Longest wait that is told: an answer to something older says nothing of the present.
const HELD_MAX: Duration = Duration::from_secs(60);
/// Longest round trip that is believed. Two nodes this far apart are no pair.
const RTT_MAX: Duration = Duration::from_secs(10);
/// Heartbeats whose time is kept: with the shortest sensible keepalive of 10 ms more than a second.
const SENT_MAX: usize = 128;
/// Weight of one sample, as TCP smooths (RFC 6298, §2: alpha = 1/8).
const SMOOTHING: u64 = 8;

/// When this node sent its last heartbeats, by number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SentTimes(VecDeque<(u64, Instant)>);

impl SentTimes {
    /// Numbers and times only grow.
    pub(crate) fn push(&mut self, sequence: u64, now: Instant) {
        if self.0.len() == SENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((sequence, now));
    }

    fn find(&self, sequence: u64) -> Option<Instant> {
        let index = self.0.binary_search_by_key(&sequence, |(number, _)| *number).ok()?;
        self.0.get(index).map(|(_, at)| *at)
    }
}

/// What a field says of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echoed {
    /// A round trip.
    Trip(Duration),
    /// The other node hears nothing of this one there.
    Unheard,
    /// Nothing that can be true.
    Nonsense,
}

/// What is measured of the way over one link.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Way {
    /// The newest heartbeat that came on it at its own time, and when.
    last: Option<(u64, Instant)>,
    smoothed_us: Option<u64>,
}

impl Way {
    /// Heartbeat `sequence` of the other node came at `now`.
    pub(crate) fn hear(&mut self, sequence: u64, now: Instant) {
        self.last = Some((sequence, now));
    }

    /// Takes what the other node says.
    pub(crate) fn take(&mut self, echoed: Echoed) {
        match echoed {
            Echoed::Trip(rtt) => self.smooth(rtt),
            Echoed::Unheard => self.smoothed_us = None,
            Echoed::Nonsense => {}
        }
    }

    fn smooth(&mut self, rtt: Duration) {
        let sample = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
        self.smoothed_us = Some(match self.smoothed_us {
            None => sample,
            Some(known) => (known * (SMOOTHING - 1) + sample + SMOOTHING / 2) / SMOOTHING,
        });
    }

    /// Smoothed round trip in µs.
    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.smoothed_us
    }

    /// The newest heartbeat and how long ago it came.
    fn held(&self, now: Instant) -> Option<(u64, Duration)> {
        let (sequence, at) = self.last?;
        Some((sequence, now.since(at))).filter(|(_, held)| *held <= HELD_MAX)
    }
}

/// The field's value: `NAME:SEQ.HELD` for each link of the sender in its order, separated by blanks;
/// SEQ is the number of the receiver's last heartbeat there and HELD the µs since then, both hex;
/// `NAME:-` where there is none. `None` when there is nothing to tell.
pub(crate) fn write<'a>(
    ways: impl Iterator<Item = (&'a str, &'a Way)>,
    now: Instant,
) -> Option<String> {
    let (mut text, mut tells) = (String::new(), false);
    for (name, way) in ways.take(LINKS_MAX) {
        let (before, held) = (text.len(), way.held(now));
        if before > 0 {
            text.push(' ');
        }
        // Writing into a string cannot fail.
        let _ = match held {
            Some((sequence, held)) => write!(text, "{name}:{sequence:x}.{:x}", held.as_micros()),
            None => write!(text, "{name}:-"),
        };
        if text.len() > ECHO_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            text.truncate(before);
            break;
        }
        tells |= held.is_some();
    }
    tells.then_some(text)
}

/// What the field says of this node's link `index` of `names`, on which it came at `now`. Links are matched by name where the other node has all names of this one,
/// else by position.
pub(crate) fn read(
    text: &str,
    names: &[&str],
    index: usize,
    sent: &SentTimes,
    now: Instant,
) -> Echoed {
    match word_for(text, names, index) {
        Some("-") => Echoed::Unheard,
        Some(word) => trip(word, sent, now).map_or(Echoed::Nonsense, Echoed::Trip),
        None => Echoed::Nonsense,
    }
}

fn word_for<'a>(text: &'a str, names: &[&str], index: usize) -> Option<&'a str> {
    let entries = text.split(' ').take(LINKS_MAX).map(|entry| entry.rsplit_once(':'));
    let entries: SmallVec<[(&str, &str); LINKS_MAX]> = entries.collect::<Option<_>>()?;
    let find = |name: &str| entries.iter().find(|(link, _)| *link == name).map(|(_, word)| *word);
    if names.iter().all(|name| find(name).is_some()) {
        find(names.get(index)?)
    } else if entries.len() == names.len() {
        entries.get(index).map(|(_, word)| *word)
    } else {
        None
    }
}

fn trip(word: &str, sent: &SentTimes, now: Instant) -> Option<Duration> {
    let (sequence, held) = word.split_once('.')?;
    let at = sent.find(parse_hex(sequence)?)?;
    let rtt = now.since(at).checked_sub(Duration::from_micros(parse_hex(held)?))?;
    (rtt <= RTT_MAX).then_some(rtt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn way(sequence: u64, micros: u64) -> Way {
        let mut way = Way::default();
        way.hear(sequence, at(micros));
        way
    }

    fn sent() -> SentTimes {
        let mut sent = SentTimes::default();
        (1..=300).for_each(|number| sent.push(number, at(number * 1_000_000)));
        sent
    }

    #[test]
    fn each_link_says_what_it_heard_last() {
        let check = |ways: &[(&str, Way)], expect: Option<&str>| {
            let ways = ways.iter().map(|(name, way)| (*name, way));
            assert_eq!(write(ways, at(90_000_000)).as_deref(), expect);
        };
        check(&[], None);
        check(&[("eth0", Way::default())], None);
        check(&[("eth0", way(0x1a3, 89_999_000))], Some("eth0:1a3.3e8"));
        check(
            &[("eth0", Way::default()), ("eth0.7", way(9, 90_000_000))],
            Some("eth0:- eth0.7:9.0"),
        );
        check(&[("eth0", way(9, 29_999_999))], None);
        let long = "x".repeat(100);
        let many = [(long.as_str(), way(9, 90_000_000)); 5];
        let text = write(many.iter().map(|(name, way)| (*name, way)), at(90_000_000));
        assert_eq!(text.map(|text| text.split(' ').count()), Some(2));
    }

    #[test]
    fn a_round_trip_is_what_is_left_when_the_wait_is_taken_away() {
        let now = at(300_900_400);
        let trip = |micros| Echoed::Trip(Duration::from_micros(micros));
        let check = |text: &str, names: &[&str], index: usize, expect: Echoed| {
            let found = read(text, names, index, &sent(), now);
            assert_eq!(found, expect, "{text:?} {names:?} {index}");
        };
        // Number 300 (hex 12c) was sent 900,400 µs ago, and 900,000 (dbba0) were waited.
        check("eth0:12c.dbba0", &["eth0"], 0, trip(400));
        check("eth0:12c.dbd30", &["eth0"], 0, trip(0));
        check("eth1:- eth0:12c.dbba0", &["eth0", "eth1"], 0, trip(400));
        check("eth1:- eth0:12c.dbba0", &["eth0", "eth1"], 1, Echoed::Unheard);
        check("eno1:- eno2:12c.dbba0", &["eth0", "eth1"], 1, trip(400));
        check("eno2:12c.dbba0", &["eth0", "eth1"], 1, Echoed::Nonsense);
        check("eth0.7:12c.dbba0", &["eth0.7"], 0, trip(400));
    }

    #[test]
    fn what_cannot_be_true_is_ignored() {
        for text in [
            "",
            "-",
            "eth0",
            "eth0:",
            "eth0:12c",
            "eth0:12c.",
            "eth0:.0",
            "eth0:+12c.0",
            "eth0:12c.-1",
            // Waited for longer than it was under way; never sent; forgotten; later than believed.
            "eth0:12c.dbd31",
            "eth0:12c.ffffffffffffffff",
            "eth0:12d.0",
            "eth0:0.0",
            "eth0:1.0",
            "eth0:122.0",
        ] {
            let found = read(text, &["eth0"], 0, &sent(), at(300_900_400));
            assert_eq!(found, Echoed::Nonsense, "{text:?}");
        }
    }

    #[test]
    fn one_slow_answer_moves_the_mean_by_an_eighth() {
        let mut way = Way::default();
        assert_eq!(way.rtt_us(), None);
        let trip = |micros| Echoed::Trip(Duration::from_micros(micros));
        way.take(trip(400));
        assert_eq!(way.rtt_us(), Some(400));
        way.take(trip(8_400));
        way.take(Echoed::Nonsense);
        assert_eq!(way.rtt_us(), Some(1_400));
        (0..100).for_each(|_| way.take(trip(400)));
        assert!(way.rtt_us().is_some_and(|rtt| (400..=404).contains(&rtt)), "{way:?}");
        way.take(Echoed::Unheard);
        assert_eq!(way.rtt_us(), None);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_says_is_survived(text in "[a-z0-9:. -]{0,80}", index in 0..3_usize) {
            let found = read(&text, &["a", "b"], index, &sent(), at(400_000_000));
            prop_assert!(!matches!(found, Echoed::Trip(rtt) if rtt > RTT_MAX));
        }
    }
}
