//! Everything that happens because time passes: heartbeats, deaths, requests, patience.

use std::time::Duration;

use super::messaging::{Messaging, Phase};
use super::status::node_status;
use super::{Event, Output, PingId};
use crate::echo::Way;
use crate::liveness::{Peer, PeerLink, whole_millis};
use crate::message::NodeStatus;
use crate::time::Instant;

/// After this node stood still, deaths that are due wait for so many keepalives: long enough to
/// hear every living peer once, short enough not to matter for a failover.
const GRACE_KEEPALIVES: u32 = 2;

impl Messaging {
    /// When `Input::Timeout` is due; `None` before `Start`.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Idle {
            return None;
        }
        // Asked several times for each input: a plain loop.
        let mut soonest = self.next_keepalive;
        let mut look = |at: Option<Instant>| soonest = soonest.min(at.unwrap_or(soonest));
        match self.phase {
            Phase::Asking { next, .. } => look(Some(next)),
            Phase::Idle | Phase::Waiting | Phase::Active => {}
        }
        for peer in &self.peers {
            look(self.peer_deadline(peer));
            peer.links.iter().for_each(|link| look(link_deadline(peer, link)));
            look(peer.inbound.next_request().filter(|_| peer.is_alive()));
            look(peer.order.next_timeout());
        }
        for ping in &self.pings {
            look(ping.deadline());
            look(Some(ping.next_echo()));
        }
        Some(soonest)
    }

    pub(super) fn timeout(&mut self, outputs: &mut Vec<Output>) {
        let Some(due) = self.next_timeout().filter(|due| *due <= self.now) else { return };
        let late = self.now.since(due);
        if late > self.times.keepalive {
            self.put_deaths_off(self.times.keepalive * GRACE_KEEPALIVES, late);
        }
        // Our own heartbeat goes first: the peer's patience is running.
        self.send_keepalive(outputs);
        self.bury_pings(outputs);
        while let Some(peer) = self.overdue_peer() {
            self.bury_silent(peer, outputs);
        }
        self.drop_links(outputs);
        self.send_echoes(outputs);
        self.request_missing(outputs);
        self.ask_again(outputs);
        for index in 0..self.peers.len() {
            self.deliver_ready(index, outputs);
        }
    }

    /// This timer is late, so this node did not run: it may have heartbeats in its sockets, and
    /// the silence it measured is its own. What is due soon waits for fresh evidence; after a
    /// second pause within the same silence only if that one was as long as the peer's dead time.
    pub(super) fn put_deaths_off(&mut self, grace: Duration, slept: Duration) {
        self.blind_until = self.now + self.times.keepalive;
        let until = self.now + grace;
        let limits: Vec<Duration> = self.peers.iter().map(|peer| self.limit(peer)).collect();
        for (peer, limit) in self.peers.iter_mut().zip(limits) {
            peer.silence.put_off(limit, until, slept);
            let deadtime = peer.deadtime;
            for link in &mut peer.links {
                link.silence.put_off(deadtime, until, slept);
            }
        }
        for ping in &mut self.pings {
            let limit = ping.limit();
            ping.silence.put_off(limit, until, slept);
        }
    }

    /// Whether this node does not run, its own heartbeat being overdue, or has not run until a moment
    /// ago: what waited in its sockets meanwhile came at times that nobody knows.
    pub(super) fn is_blind(&self) -> bool {
        self.next_keepalive + self.times.keepalive < self.now || self.now < self.blind_until
    }

    fn send_keepalive(&mut self, outputs: &mut Vec<Output>) {
        if self.next_keepalive > self.now {
            return;
        }
        // After a pause the rhythm begins again; there is no burst of what was left out.
        let next = self.next_keepalive + self.times.keepalive;
        self.next_keepalive = if next > self.now { next } else { self.now + self.times.keepalive };
        self.send_status(self.local_status(), outputs);
        self.advance_start(outputs);
    }

    /// Silence that is tolerated: its own dead time once everybody is known, initdead before.
    fn limit(&self, peer: &Peer) -> Duration {
        let settled = match self.phase {
            Phase::Idle | Phase::Waiting => false,
            Phase::Asking { .. } | Phase::Active => true,
        };
        match peer.heartbeat {
            Some(_) if settled => peer.deadtime,
            Some(last) => peer.deadtime.max((self.started + self.times.initdead).since(last)),
            None => self.times.initdead,
        }
    }

    fn peer_deadline(&self, peer: &Peer) -> Option<Instant> {
        (peer.status != NodeStatus::Dead).then(|| peer.silence.deadline(self.limit(peer)))
    }

    /// Each death can end the start-up and with it the patience with others: look again after it.
    fn overdue_peer(&self) -> Option<usize> {
        self.peers
            .iter()
            .position(|peer| self.peer_deadline(peer).is_some_and(|deadline| deadline <= self.now))
    }

    fn bury_silent(&mut self, index: usize, outputs: &mut Vec<Output>) {
        let peer = &self.peers[index];
        let cause = match peer.heartbeat {
            Some(last) => {
                let silent = whole_millis(self.now.since(last));
                let limit = whole_millis(self.limit(peer));
                format!("no heartbeat for {silent} ms (its dead time is {limit} ms)")
            }
            None => {
                let limit = whole_millis(self.times.initdead);
                format!("nothing heard since the start (initdead is {limit} ms)")
            }
        };
        self.bury(index, &cause, outputs);
    }

    fn drop_links(&mut self, outputs: &mut Vec<Output>) {
        for peer in &mut self.peers {
            let deadlines: Vec<Option<Instant>> =
                peer.links.iter().map(|link| link_deadline(peer, link)).collect();
            for ((link, local), deadline) in peer.links.iter_mut().zip(&self.links).zip(deadlines) {
                if deadline.is_none_or(|deadline| deadline > self.now) {
                    continue;
                }
                link.up = false;
                link.way = Way::default();
                let limit = whole_millis(peer.deadtime);
                outputs.push(Output::Event(Event::LinkStatus {
                    node: peer.name.clone(),
                    link: local.name.clone(),
                    up: false,
                    cause: format!("no packet of it for {limit} ms"),
                }));
            }
        }
    }

    fn bury_pings(&mut self, outputs: &mut Vec<Output>) {
        for ping in &mut self.pings {
            if ping.deadline().is_none_or(|deadline| deadline > self.now) {
                continue;
            }
            let cause = format!("no answer for {} ms", whole_millis(ping.limit()));
            let from = std::mem::replace(&mut ping.status, NodeStatus::Dead);
            outputs.push(node_status(&ping.name, from, NodeStatus::Dead, &cause));
            if from == NodeStatus::Ping {
                outputs.push(Output::Event(Event::LinkStatus {
                    node: ping.name.clone(),
                    link: ping.name.as_str().to_owned(),
                    up: false,
                    cause,
                }));
            }
        }
        self.advance_start(outputs);
    }

    pub(super) fn ask_pings(&mut self, outputs: &mut Vec<Output>) {
        if self.phase == Phase::Idle {
            return;
        }
        for ping in &mut self.pings {
            ping.hurry(self.now);
        }
        self.send_echoes(outputs);
    }

    pub(super) fn send_echoes(&mut self, outputs: &mut Vec<Output>) {
        for (id, ping) in (0..).map(PingId).zip(&mut self.pings) {
            if let Some(sequence) = ping.take_echo(self.now) {
                outputs.push(Output::Echo { ping: id, sequence });
            }
        }
    }

    fn request_missing(&mut self, outputs: &mut Vec<Output>) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if !peer.is_alive() {
                continue;
            }
            for sequence in peer.inbound.due_requests(self.now, self.rexmit_delay) {
                self.send_rexmit_request(index, sequence, outputs);
            }
        }
    }
}

/// When a link that is up goes down.
fn link_deadline(peer: &Peer, link: &PeerLink) -> Option<Instant> {
    link.up.then(|| link.silence.deadline(peer.deadtime))
}
