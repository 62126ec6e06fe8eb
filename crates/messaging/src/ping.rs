//! Liveness of ping nodes and ping groups: when to send an echo request, which answers count, when
//! silence means dead. The payload of requests and replies belongs to `net`.

use std::time::Duration;

use hb_config::settings::{NodeName, Timing};
use serde::{Deserialize, Serialize};

use crate::engine::{LinkView, NodeView};
use crate::liveness::{Silence, millis_since};
use crate::message::NodeStatus;
use crate::time::Instant;

/// Shortest distance between two requests to one target. Routers limit the rate of their ICMP
/// answers (RFC 1812 §4.3.2.8), and a limited router would look dead.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Answers to so many of the last requests count. Older ones are late or replayed.
const RECENT: u16 = 16;

/// One ping node or group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PingNode {
    pub(crate) name: NodeName,
    pub(crate) status: NodeStatus,
    pub(crate) silence: Silence,
    heard: Option<Instant>,
    interval: Duration,
    dead_after: Duration,
    first_answer_within: Duration,
    next_echo: Instant,
    /// Requests sent; the low 16 bits are the last sequence number.
    sent: u64,
}

impl PingNode {
    pub(crate) fn new(name: NodeName, timing: &Timing) -> Self {
        let interval = Duration::from_millis(timing.keepalive_ms).max(INTERVAL_MIN);
        // With times below the shortest interval, one lost answer must not kill the node.
        let dead_after = Duration::from_millis(timing.deadping_ms).max(interval * 5 / 2);
        let initdead = Duration::from_millis(timing.initdead_ms);
        Self {
            name,
            status: NodeStatus::Init,
            silence: Silence::since(Instant::ZERO),
            heard: None,
            interval,
            dead_after,
            first_answer_within: dead_after.min(initdead),
            next_echo: Instant::ZERO,
            sent: 0,
        }
    }

    /// Begins to ask.
    pub(crate) fn start(&mut self, now: Instant) {
        self.silence = Silence::since(now);
        self.next_echo = now;
    }

    /// Silence that is tolerated. Before the first answer it is deadping, never initdead: 3.0.6
    /// lets a gateway that does not answer delay the start of a healthy node up to initdead.
    pub(crate) fn limit(&self) -> Duration {
        if self.status == NodeStatus::Init { self.first_answer_within } else { self.dead_after }
    }

    /// When it dies; `None` when it is dead.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.status != NodeStatus::Dead).then(|| self.silence.deadline(self.limit()))
    }

    pub(crate) fn next_echo(&self) -> Instant {
        self.next_echo
    }

    /// The next request is due at once; the rhythm goes on from here.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next_echo = self.next_echo.min(now);
    }

    /// Sequence number of the request that is due at `now`.
    pub(crate) fn take_echo(&mut self, now: Instant) -> Option<u16> {
        if self.next_echo > now {
            return None;
        }
        // After a pause the rhythm begins again; there is no burst of what was left out.
        let next = self.next_echo + self.interval;
        self.next_echo = if next > now { next } else { now + self.interval };
        self.sent += 1;
        Some(self.sent as u16)
    }

    /// Whether the answer counts; books it.
    pub(crate) fn hear(&mut self, now: Instant, sequence: u16) -> bool {
        let age = (self.sent as u16).wrapping_sub(sequence);
        if age >= RECENT || u64::from(age) >= self.sent {
            return false;
        }
        self.heard = Some(now);
        self.silence = Silence::since(now);
        true
    }

    pub(crate) fn view(&self, now: Instant) -> NodeView {
        let heard_ms_ago = millis_since(now, self.heard);
        let link = LinkView {
            name: self.name.as_str().into(),
            up: self.status == NodeStatus::Ping,
            heard_ms_ago,
            failure: None,
            loss_permille: None,
        };
        NodeView {
            name: self.name.clone(),
            ping: true,
            status: self.status,
            heard_ms_ago,
            generation: 0,
            links: vec![link],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(keepalive_ms: u64, deadping_ms: u64) -> PingNode {
        let timing = Timing {
            keepalive_ms,
            deadtime_ms: 10 * keepalive_ms,
            warntime_ms: 5 * keepalive_ms,
            initdead_ms: 20_000,
            deadping_ms,
        };
        let mut node = PingNode::new(NodeName::new("10.0.0.1"), &timing);
        node.start(Instant::ZERO);
        node
    }

    fn echoes(node: &mut PingNode, millis: impl Iterator<Item = u64>) -> Vec<u64> {
        millis.filter(|at| node.take_echo(Instant::from_millis(*at)).is_some()).collect()
    }

    #[test]
    fn requests_keep_their_distance() {
        assert_eq!(echoes(&mut node(1_000, 10_000), 0..3_000), [0, 1_000, 2_000]);
        assert_eq!(echoes(&mut node(10, 40), 0..250), [0, 100, 200]);
        assert_eq!(echoes(&mut node(100, 400), [0, 950, 951, 1_050].into_iter()), [0, 950, 1_050]);
    }

    #[test]
    fn only_answers_to_recent_requests_count() {
        let mut node = node(100, 400);
        assert!(!node.hear(Instant::ZERO, 0) && !node.hear(Instant::ZERO, 1), "nothing was asked");
        let sent: Vec<u16> =
            (0..20).filter_map(|n| node.take_echo(Instant::from_millis(n * 100))).collect();
        assert_eq!((sent[0], sent[19]), (1, 20));
        let now = Instant::from_millis(2_000);
        for (sequence, counts) in [(20, true), (5, true), (4, false), (21, false), (65_535, false)]
        {
            assert_eq!(node.hear(now, sequence), counts, "{sequence}");
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut node = node(100, 400);
        node.sent = 65_534;
        let mut take = |millis| node.take_echo(Instant::from_millis(millis));
        assert_eq!((take(0), take(100), take(200)), (Some(65_535), Some(0), Some(1)));
        assert!(node.hear(Instant::from_millis(201), 65_535));
    }

    #[test]
    fn dead_times_below_the_request_rate_are_stretched() {
        let limit = |keepalive, deadping| {
            let mut node = node(keepalive, deadping);
            node.status = NodeStatus::Ping;
            node.limit()
        };
        assert_eq!(limit(10, 40), Duration::from_millis(250));
        assert_eq!(limit(1_000, 10_000), Duration::from_millis(10_000));
        assert_eq!(node(1_000, 60_000).limit(), Duration::from_millis(20_000), "initdead");
    }
}
