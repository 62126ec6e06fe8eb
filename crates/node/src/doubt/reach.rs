//! The tie-break by ping nodes: when the peer falls silent, is it the peer that is gone or this node
//! that is cut off? It compares moments; it sends nothing and tells nobody.
//!
//! Heartbeat 3.0.6 takes over whatever its ping nodes say. Here a silence counts for the peer's only
//! when a ping node has answered at a moment at which a heartbeat of the peer was overdue. With no
//! such answer this node asks once more and waits:
//!
//! - The ping nodes fell silent together with the peer: this node is cut off, or so is everybody.
//!   Both nodes then hold, and what runs goes on, until an answer comes or an operator has confirmed
//!   that the peer is off. After an answer the peer gets time to be heard, for the network that
//!   brought it may bring the peer's heartbeats a moment later.
//! - None ever answered since the start, or they had been silent long before the peer: they tell
//!   nothing (a gateway that is dead, a machine that starts alone after a power cut). This node waits
//!   for `initdead` more and then goes on, saying so, so that a dead gateway cannot keep the only
//!   living node down.
//!
//! The same with a 3.0.6 peer: it decides for itself, and that this node holds is safe beside it.

use std::time::Duration;

use hb_config::settings::Timing;
use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

/// Heartbeats that must be overdue before an answer shows that the network worked without the peer:
/// one may be under way, one may be late.
const OVERDUE_KEEPALIVES: u32 = 2;
/// Ping nodes that fell silent this much before the peer did, in dead times, had a reason of their own.
const APART_DEADTIMES: u32 = 10;
/// And at least so much before.
const APART_MIN: Duration = Duration::from_secs(60);

/// What is known of a ping node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping {
    /// Its last answer; `None` when none came since the start.
    pub(crate) heard: Option<Instant>,
    /// Whether it counts as answering.
    pub(crate) answers: bool,
}

/// Where the question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// It is the peer that is gone, as far as ping nodes can tell.
    Clear,
    /// No answer shows it yet, and ping nodes that answered until now are asked once more, until `end`.
    Asking { since: Instant, end: Instant, until: Option<Instant> },
    /// They do not answer. `until`: then this node goes on without an answer.
    Cut { since: Instant, until: Option<Instant> },
    /// An answer came: the peer has this long to be heard. `at_once`: nobody was ever cut off.
    Back { until: Instant, at_once: bool },
    /// Waited long enough without an answer.
    WaitedOut,
}

/// The tie-break for one silence of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    stage: Stage,
    keepalive: Duration,
    deadtime: Duration,
}

impl Reach {
    /// The peer was last heard at `heard` (`None`: never) and counts as silent at `now`.
    pub(crate) fn begin(
        now: Instant,
        heard: Option<Instant>,
        pings: &[Ping],
        timing: &Timing,
    ) -> Self {
        let millis = Duration::from_millis;
        let (keepalive, deadtime) = (millis(timing.keepalive_ms), millis(timing.deadtime_ms));
        let overdue = heard.map(|heard| heard + keepalive * OVERDUE_KEEPALIVES);
        let shows = |ping: &Ping| match (ping.heard, overdue) {
            (Some(answer), Some(overdue)) => answer >= overdue,
            (Some(_), None) => ping.answers,
            (None, _) => false,
        };
        let stage = if pings.is_empty() || pings.iter().any(shows) {
            Stage::Clear
        } else {
            let last = pings.iter().filter_map(|ping| ping.heard).max();
            let apart = (deadtime * APART_DEADTIMES).max(APART_MIN);
            let together = match (last, heard) {
                (Some(last), Some(heard)) => last + apart >= heard,
                (Some(_), None) | (None, _) => false,
            };
            let until = (!together).then(|| now + millis(timing.initdead_ms));
            if pings.iter().any(|ping| ping.answers) {
                Stage::Asking { since: now, end: now + keepalive * OVERDUE_KEEPALIVES, until }
            } else {
                Stage::Cut { since: now, until }
            }
        };
        Self { stage, keepalive, deadtime }
    }

    /// What is known at `now`; whether it changed anything.
    pub(crate) fn look(&mut self, now: Instant, pings: &[Ping]) {
        match self.stage {
            Stage::Clear | Stage::WaitedOut => {}
            Stage::Asking { since, until, .. } | Stage::Cut { since, until } => {
                let answer = pings.iter().filter_map(|ping| ping.heard).max();
                if answer.is_some_and(|answer| answer > since) {
                    self.stage = self.answered(now, since);
                } else if until.is_some_and(|until| until <= now) {
                    self.stage = Stage::WaitedOut;
                } else if let Stage::Asking { end, .. } = self.stage
                    && end <= now
                {
                    self.stage = Stage::Cut { since, until };
                }
            }
            Stage::Back { until, .. } => {
                if until <= now {
                    self.stage = Stage::Clear;
                }
            }
        }
    }

    /// How long the peer has to be heard after an answer: links do not all return at one moment.
    /// An answer that comes at once shows that nothing was cut.
    fn answered(&self, now: Instant, since: Instant) -> Stage {
        let short = self.keepalive * OVERDUE_KEEPALIVES;
        let at_once = now - since < short;
        let trust = if at_once { short } else { self.deadtime };
        Stage::Back { until: now + trust, at_once }
    }

    /// When [`Self::look`] changes something by itself.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Clear | Stage::WaitedOut => None,
            Stage::Asking { end, until, .. } => Some(until.map_or(end, |until| until.min(end))),
            Stage::Cut { until, .. } => until,
            Stage::Back { until, .. } => Some(until),
        }
    }

    /// Why the silence may be this node's own; `None` when nothing says so.
    pub(crate) fn doubt(&self, now: Instant) -> Option<String> {
        match self.stage {
            Stage::Clear | Stage::WaitedOut => None,
            Stage::Asking { .. } => {
                Some("no ping node has answered since: they are asked once more".into())
            }
            Stage::Cut { until: None, .. } => {
                Some("no ping node answers either: this node may be the one that is cut off".into())
            }
            Stage::Cut { until: Some(until), .. } => {
                let left = (until - now).as_millis();
                Some(format!(
                    "no ping node answers, which may have another reason: {left} ms more, then \
                     this node goes on alone"
                ))
            }
            Stage::Back { .. } => {
                Some("a ping node has just answered again: the other node may follow".into())
            }
        }
    }

    /// Nothing says yet that this node is cut off: the next answer is not due.
    pub(crate) fn is_passing(&self) -> bool {
        match self.stage {
            Stage::Asking { .. } | Stage::Back { at_once: true, .. } => true,
            Stage::Clear
            | Stage::Cut { .. }
            | Stage::Back { at_once: false, .. }
            | Stage::WaitedOut => false,
        }
    }

    /// This node goes on although no ping node has answered.
    pub(crate) fn waited_out(&self) -> bool {
        self.stage == Stage::WaitedOut
    }

    /// Since when this node hears nobody at all, no ping node that answered before either.
    pub(crate) fn isolated_since(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asking { since, until: None, .. } | Stage::Cut { since, until: None } => {
                Some(since)
            }
            Stage::Asking { until: Some(_), .. }
            | Stage::Cut { until: Some(_), .. }
            | Stage::Clear
            | Stage::Back { .. }
            | Stage::WaitedOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        keepalive_ms: 100,
        deadtime_ms: 500,
        warntime_ms: 250,
        initdead_ms: 2_000,
        deadping_ms: 500,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn ping(heard: u64) -> Ping {
        Ping { heard: (heard > 0).then(|| at(heard)), answers: heard > 0 }
    }

    fn begin(now: u64, heard: u64, pings: &[Ping]) -> Reach {
        Reach::begin(at(now), (heard > 0).then(|| at(heard)), pings, &TIMING)
    }

    #[test]
    fn an_answer_counts_when_the_peer_was_overdue() {
        let check = |heard, pings: &[Ping], clear| {
            let reach = begin(100_500, heard, pings);
            assert_eq!(reach.doubt(at(100_500)).is_none(), clear, "{heard} {pings:?}");
        };
        check(100_000, &[], true);
        check(100_000, &[ping(100_400)], true);
        check(100_000, &[ping(100_200)], true);
        // It may have come before the cut that silenced the peer.
        check(100_000, &[ping(100_199)], false);
        check(100_000, &[ping(99_950)], false);
        check(100_000, &[ping(99_950), ping(100_400)], true);
        check(100_000, &[ping(0)], false);
        check(0, &[ping(100_400)], true);
        check(0, &[ping(0)], false);
    }

    #[test]
    fn cut_off_together_with_the_peer_is_waited_out_by_nothing_but_an_answer() {
        let mut reach = begin(100_500, 100_000, &[ping(99_990)]);
        assert_eq!(reach.isolated_since(), Some(at(100_500)));
        assert!(reach.is_passing() && reach.due() == Some(at(100_700)));
        reach.look(at(100_700), &[ping(99_990)]);
        assert!(!reach.is_passing() && reach.due().is_none());
        assert_eq!(reach.isolated_since(), Some(at(100_500)));
        reach.look(at(4_000_000), &[ping(99_990)]);
        assert!(reach.doubt(at(4_000_000)).is_some());
        reach.look(at(4_000_001), &[ping(4_000_001)]);
        assert_eq!(reach.due(), Some(at(4_000_501)), "the peer has a dead time to be heard");
        assert!(reach.doubt(at(4_000_001)).is_some() && !reach.is_passing());
        reach.look(at(4_000_501), &[ping(4_000_001)]);
        assert!(reach.doubt(at(4_000_501)).is_none() && !reach.waited_out());
    }

    #[test]
    fn a_quick_answer_costs_little() {
        let mut reach = begin(100_500, 100_000, &[ping(100_150)]);
        reach.look(at(100_501), &[ping(100_501)]);
        assert_eq!(reach.due(), Some(at(100_701)));
        assert!(reach.is_passing(), "nobody is woken for an answer that was under way");
    }

    #[test]
    fn a_gateway_that_is_dead_keeps_nobody_down() {
        // Never answered; answered long before; at a start without the peer.
        for (heard, answer) in [(100_000, 0), (100_000, 39_999), (0, 0)] {
            let silent = Ping { answers: false, ..ping(answer) };
            let mut reach = begin(100_500, heard, &[silent]);
            assert_eq!((reach.due(), reach.isolated_since()), (Some(at(102_500)), None));
            reach.look(at(102_499), &[ping(answer)]);
            assert!(reach.doubt(at(102_499)).is_some());
            reach.look(at(102_500), &[ping(answer)]);
            assert!(reach.doubt(at(102_500)).is_none() && reach.waited_out());
        }
    }
}
