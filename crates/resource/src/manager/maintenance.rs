//! Maintenance: an operator of either node wants hands off. Checks go on; nothing is started, stopped
//! or moved until it ends, and then everything follows at once from what is known by then.

use std::time::Duration;

use super::settle::Wish;
use super::*;

/// Who asked for maintenance.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Maintenance {
    /// This node was told so.
    pub here: bool,
    /// The peer says that it was told so. Stays true while the peer is away, so that what a daemon
    /// left running when it stopped in maintenance is not started twice.
    pub peer: bool,
}

impl Manager {
    /// Which nodes are in maintenance. While either is, nothing is moved on either.
    pub fn maintenance(&self) -> Maintenance {
        self.maintenance
    }

    /// This node was told to keep its hands off; to be said to the peer. Not true of a node whose
    /// peer is in maintenance: the two would keep each other in it.
    pub fn in_maintenance(&self) -> bool {
        self.maintenance.here
    }

    /// What would be done with a group if there were no maintenance, in words.
    pub fn would_do(&self, key: &str) -> Option<String> {
        if !self.hands_off() {
            return None;
        }
        let index = self.groups.iter().position(|group| group.key() == key)?;
        self.pending(index)
    }

    /// Nothing is to be moved.
    pub(super) fn hands_off(&self) -> bool {
        self.maintenance.here || self.maintenance.peer
    }

    /// Why nothing is moved, with the way out.
    pub(super) fn in_maintenance_words(&self) -> Option<String> {
        let peer = self.peer_name();
        match self.maintenance {
            Maintenance { here: true, .. } => {
                Some("this node is in maintenance: `hb maintenance off` first".into())
            }
            Maintenance { peer: true, .. } if self.peer_is_gone() => {
                Some(format!("{peer} is in maintenance and away: `hb maintenance off` here first"))
            }
            Maintenance { peer: true, .. } => {
                Some(format!("{peer} is in maintenance: `hb maintenance off` there first"))
            }
            Maintenance { here: false, peer: false } => None,
        }
    }

    /// The peer cannot end its maintenance itself.
    fn peer_is_gone(&self) -> bool {
        !matches!(self.peer.status, PeerStatus::Active | PeerStatus::Starting)
    }

    fn pending(&self, index: usize) -> Option<String> {
        let group = &self.groups[index];
        let settled = self.phase == Phase::Stable || self.is_lost();
        let wish = (settled && !group.is_probing()).then(|| self.wish(index)).flatten();
        match wish {
            Some(Wish::Acquire(_, reason)) => Some(format!("start it here: {reason}")),
            Some(Wish::Release(_, reason)) => Some(format!("stop it here: {reason}")),
            None => group.would_do().or_else(|| {
                let waits = self.is_lost() && !group.is_wanted() && group.is_released();
                waits
                    .then(|| format!("start it here once {} is known to be dead", self.peer_name()))
            }),
        }
    }

    pub(super) fn set_maintenance(
        &mut self,
        request: RequestId,
        on: bool,
        limit: Option<Duration>,
        out: &mut Vec<Output>,
    ) {
        let answer = if on { self.begin_maintenance(limit, out) } else { self.off(out) };
        out.push(Output::Answer(request, answer));
    }

    fn begin_maintenance(&mut self, limit: Option<Duration>, out: &mut Vec<Output>) -> Answer {
        if let Some(reason) = self.why_not_begin() {
            return Answer::Refused { reason };
        }
        self.maintenance.here = true;
        let ends = if let Some(limit) = limit {
            out.push(Output::SetTimer(Timer::MaintenanceEnd, limit));
            format!("for {} s", limit.as_secs())
        } else {
            out.push(Output::CancelTimer(Timer::MaintenanceEnd));
            "until `hb maintenance off`".to_owned()
        };
        let text = format!(
            "in maintenance {ends}: checks go on, nothing is started, stopped or moved on either node"
        );
        Answer::Done { text }
    }

    fn why_not_begin(&self) -> Option<String> {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            return Some("this node stops".into());
        }
        let moves = |group: &Group| {
            group.in_transition() && !group.is_probing() && !self.frozen.contains(group.key())
        };
        if self.dialogue != Dialogue::None || self.groups.iter().any(moves) {
            return Some("a transition is under way (resources in flux); wait for its end".into());
        }
        None
    }

    fn off(&mut self, out: &mut Vec<Output>) -> Answer {
        let peer = self.peer_name().to_owned();
        if !self.hands_off() {
            return Answer::Done { text: "nothing to do: there is no maintenance".into() };
        }
        if !self.maintenance.here && !self.peer_is_gone() {
            let reason =
                format!("{peer} is in maintenance, not this node: `hb maintenance off` there");
            return Answer::Refused { reason };
        }
        self.maintenance.here = false;
        // Nobody else could end it.
        self.maintenance.peer &= !self.peer_is_gone();
        out.push(Output::CancelTimer(Timer::MaintenanceEnd));
        if self.hands_off() {
            let text = format!("off here; {peer} is in maintenance too, so still nothing is moved");
            return Answer::Done { text };
        }
        Answer::Done { text: self.end_maintenance("an operator ended it", out) }
    }

    /// Its limit ran out.
    pub(super) fn maintenance_over(&mut self, out: &mut Vec<Output>) {
        if std::mem::take(&mut self.maintenance.here) && !self.hands_off() {
            self.end_maintenance("its time is over", out);
        }
    }

    pub(super) fn peer_maintenance(&mut self, on: bool, out: &mut Vec<Output>) {
        let before = std::mem::replace(&mut self.maintenance.peer, on);
        if on && !before {
            let reason = format!("{} is in maintenance", self.peer_name());
            self.cancel_question(&reason, out);
        }
        if before && !self.hands_off() {
            let how = format!("{} ended it", self.peer_name());
            self.end_maintenance(&how, out);
        }
    }

    pub(super) fn peer_is_native(&mut self, native: bool, out: &mut Vec<Output>) {
        self.peer.native = native;
        if !native {
            // Heartbeat 3 knows no maintenance.
            self.peer_maintenance(false, out);
        }
    }

    /// Says what is about to be done; `settle` does it.
    fn end_maintenance(&mut self, how: &str, out: &mut Vec<Output>) -> String {
        let mut todo = Vec::new();
        for index in 0..self.groups.len() {
            if let Some(what) = self.pending(index) {
                todo.push(format!("{}: {what}", self.groups[index].key()));
            }
        }
        let todo = if todo.is_empty() { "nothing is to be done".into() } else { todo.join("; ") };
        let text = format!("maintenance has ended ({how}): {todo}");
        out.push(Output::Alert { error: false, text: text.clone() });
        self.offer_again(out);
        if self.phase == Phase::Stable && self.peer.native && self.can_talk() {
            // Who keeps what both have has not answered to the other's claim so far.
            self.say(None, out);
        }
        text
    }

    /// Freezes each group as soon as it has come to rest. What goes wrong with it later does not
    /// thaw it.
    pub(super) fn settle_maintenance(&mut self, out: &mut Vec<Output>) {
        let hands_off = self.hands_off();
        if !hands_off && self.frozen.is_empty() {
            return;
        }
        for index in 0..self.groups.len() {
            let group = &self.groups[index];
            let key = group.key().to_owned();
            let at_rest = group.is_probing() || !group.in_transition();
            let freeze =
                hands_off && (self.frozen.contains(&key) || (at_rest && !self.in_dialogue(index)));
            if freeze == self.frozen.contains(&key) {
                continue;
            }
            if freeze {
                self.frozen.insert(key);
            } else {
                self.frozen.remove(&key);
            }
            self.with_group(index, out, |group, ctx| group.set_maintenance(freeze, ctx));
        }
    }

    /// The peer has gone while hands are off.
    pub(super) fn say_not_taking_over(&self, what: &str, out: &mut Vec<Output>) {
        if !self.hands_off() || self.phase != Phase::Stable {
            return;
        }
        let idle = |group: &&Group| !group.is_wanted();
        let keys: Vec<&str> = self.groups.iter().filter(idle).map(Group::key).collect();
        if keys.is_empty() {
            return;
        }
        let peer = self.peer_name();
        let who = if self.maintenance.peer { peer } else { "this node" };
        let text = format!(
            "{peer} is {what} and {who} is in maintenance: not taking over {}. `hb maintenance off` \
             here when it shall be",
            keys.join(" ")
        );
        out.push(Output::Alert { error: false, text });
    }

    /// This node stops in maintenance. Its resources stay up, and the peer, which knows of the
    /// maintenance, leaves them alone: it is told neither `shutdown` nor `shutdone`. A 3.0.6 peer
    /// knows nothing of it and would start them too, so beside one everything is released in order;
    /// `false` then.
    pub(super) fn leave_running(&mut self, out: &mut Vec<Output>) -> bool {
        let present = !self.is_alone() && self.peer.status != PeerStatus::Unknown;
        if present && !self.peer.native {
            let text = format!(
                "stopping in maintenance: {} does not know maintenance and would start everything \
                 too, so it is released in order",
                self.peer_name()
            );
            out.push(Output::Alert { error: false, text });
            self.maintenance = Maintenance::default();
            out.push(Output::CancelTimer(Timer::MaintenanceEnd));
            self.settle_maintenance(out);
            return false;
        }
        self.leaves_running = true;
        for index in 0..self.groups.len() {
            self.frozen.insert(self.groups[index].key().to_owned());
            self.with_group(index, out, |group, ctx| group.set_maintenance(true, ctx));
        }
        let up = |group: &&Group| group.is_wanted();
        let keys: Vec<&str> = self.groups.iter().filter(up).map(Group::key).collect();
        let keys = if keys.is_empty() { "nothing".into() } else { keys.join(" ") };
        let text = format!("stopping in maintenance: left running here: {keys}");
        out.push(Output::Alert { error: false, text });
        true
    }

    /// An agent that is at work may end; what follows from its result waits for the next daemon.
    pub(super) fn settle_leave(&mut self, out: &mut Vec<Output>) {
        if self.groups.iter().all(|group| group.operation_under_way().is_none()) {
            self.phase = Phase::Stopped;
            out.push(Output::SetTimer(Timer::Linger, Duration::ZERO));
        }
    }
}
