//! Who wants groups to move, and why they cannot: operators here and there, ping nodes, failed
//! groups. What was granted is carried out in `dialogue`.

use super::dialogue::{ANSWER_WAIT, seen_from_peer, words};
use super::failback::FAILBACK_RETRY;
use super::*;

impl Manager {
    pub(super) fn standby(&mut self, request: RequestId, which: Which, out: &mut Vec<Output>) {
        if let Some(reason) = self.cannot_move(&which) {
            out.push(Output::Answer(request, Answer::Refused { reason }));
            return;
        }
        let holds = match &which {
            Which::Sets(sets) => self.holdings().intersects(*sets),
            Which::Group(_) => {
                self.selected(&which).iter().any(|index| self.groups[*index].is_wanted())
            }
        };
        if !holds {
            let text = format!("nothing to do: this node holds no {}", words(&which));
            out.push(Output::Answer(request, Answer::Done { text }));
            return;
        }
        if let Some(why) = self.not_ready_there(&which) {
            let reason = format!("{why}. Mend it there first");
            out.push(Output::Answer(request, Answer::Refused { reason }));
            return;
        }
        let reason = format!("given to {} by an operator", self.peer_name());
        self.give(which, Cause::Standby, reason, Some(request), out);
    }

    pub(super) fn takeover(&mut self, request: RequestId, which: Which, out: &mut Vec<Output>) {
        if let Some(reason) = self.cannot_move(&which) {
            out.push(Output::Answer(request, Answer::Refused { reason }));
            return;
        }
        let there = seen_from_peer(&which);
        let holds = match (&there, &self.peer.groups) {
            (_, Some(claims)) => self.selected(&which).iter().any(|index| {
                let claim = claims.get(self.groups[*index].key());
                matches!(claim, Some(GroupClaim::Held | GroupClaim::Acquiring))
            }),
            (Which::Sets(sets), None) => {
                self.peer.holdings.unwrap_or(Holdings::ALL).intersects(*sets)
            }
            (Which::Group(_), None) => true,
        };
        if !holds {
            let text = format!("nothing to do: {} holds no {}", self.peer_name(), words(&there));
            out.push(Output::Answer(request, Answer::Done { text }));
            return;
        }
        if let Some(why) = self.not_ready_here(&which) {
            let reason = format!("{why}. Mend it here first");
            out.push(Output::Answer(request, Answer::Refused { reason }));
            return;
        }
        out.push(Output::Send(PeerMessage::HbTakeover { which: which.clone() }));
        out.push(Output::SetTimer(Timer::StandbyAnswer, ANSWER_WAIT));
        self.dialogue = Dialogue::Wanting { request, which };
    }

    /// Why nothing can move between the nodes at this moment, with the way out.
    pub(super) fn cannot_move(&self, which: &Which) -> Option<String> {
        let peer = self.peer_name();
        if self.config.peer.is_none() {
            return Some("ha.cf names no other node".into());
        }
        if self.is_alone() || self.peer.status == PeerStatus::Unknown {
            return Some(format!(
                "No reply to standby request: {peer} is not there. Start heartbeat on {peer} first"
            ));
        }
        if self.peer.status == PeerStatus::Lost && !self.peer.left {
            return Some(format!(
                "No reply to standby request: {peer} is silent and may still run everything. See \
                 `hb status` for what speaks against its death"
            ));
        }
        if let Some(reason) = self.in_maintenance_words() {
            return Some(reason);
        }
        if self.retiring.is_some() {
            return Some("the configuration is being reloaded; try again in a moment".into());
        }
        if self.phase != Phase::Stable || self.peer.status != PeerStatus::Active {
            return Some(format!(
                "the nodes have not settled yet (this node is {}); try again in a moment",
                self.phase.word()
            ));
        }
        if !matches!(self.dialogue, Dialogue::None) {
            return Some("a standby or takeover is under way; wait for its end".into());
        }
        if !self.is_stable() || self.peer.stable == Some(false) {
            return Some("a transition is under way (resources in flux); wait for its end".into());
        }
        if let Which::Group(key) = which {
            if self.selected(which).is_empty() {
                return Some(self.unknown_group(Some(key)));
            }
            if !self.peer.native {
                return Some(format!(
                    "{peer} runs Heartbeat 3, which moves only all, local or foreign groups"
                ));
            }
        }
        None
    }

    /// The peer reaches more ping nodes.
    pub(super) fn give_up(&mut self, reason: String, out: &mut Vec<Output>) {
        let which = Which::Sets(Holdings::ALL);
        if self.why_not_give().is_some() {
            return;
        }
        self.give(which, Cause::PingNodes, reason, None, out);
    }

    /// The peer's operator wants groups from here.
    pub(super) fn takeover_wanted(&mut self, which: Which, out: &mut Vec<Output>) {
        let which = seen_from_peer(&which);
        if self.cannot_move(&which).is_none() {
            let reason = format!("{} wants it", self.peer_name());
            self.give(which, Cause::Takeover, reason, None, out);
        }
    }

    /// Why the peer could not run the group, as it says.
    pub(super) fn unready_there(&self, index: usize) -> Option<String> {
        let key = self.groups[index].key();
        let why = self.peer_unready.get(key).filter(|_| self.peer.native)?;
        Some(format!("{} is not ready for {key}: {why}", self.peer_name()))
    }

    /// The first of the groups in `which` that are here, or failed here, and could not run there.
    pub(super) fn not_ready_there(&self, which: &Which) -> Option<String> {
        let here = |group: &Group| group.is_wanted() || group.has_failed();
        let mut chosen = self.selected(which).into_iter();
        chosen.find_map(|index| self.unready_there(index).filter(|_| here(&self.groups[index])))
    }

    /// The first of the groups in `which` that are not here and could not run here.
    fn not_ready_here(&self, which: &Which) -> Option<String> {
        let mut chosen = self.selected(which).into_iter().map(|index| &self.groups[index]);
        chosen.find_map(|group| {
            let why = group.unready().filter(|_| !group.is_wanted())?;
            Some(format!("this node is not ready for {}: {why}", group.key()))
        })
    }

    /// A failed group is offered to the peer, when that may help.
    pub(super) fn offer(&mut self, key: &str, out: &mut Vec<Output>) {
        let Some(index) = self.groups.iter().position(|group| group.key() == key) else { return };
        let claim = self.peer_claim(key);
        let served = matches!(claim, Some(GroupClaim::Held | GroupClaim::Acquiring));
        // Once a lost peer is back and has settled, it is offered again.
        let away = self.is_alone() || self.is_lost();
        if !self.groups[index].has_failed() || away || served {
            return;
        }
        if claim == Some(GroupClaim::Failed) {
            let text = format!(
                "group {key} failed to start on both nodes and is not served. Mend it, then \
                 `hb cleanup {key}`"
            );
            out.push(Output::Alert { error: true, text });
            return;
        }
        let which = match (self.peer.native, self.prefers_us(&self.groups[index])) {
            (true, _) => Which::Group(key.to_owned()),
            (false, true) => Which::Sets(Holdings::LOCAL),
            (false, false) => Which::Sets(Holdings::FOREIGN),
        };
        if self.cannot_move(&which).or_else(|| self.not_ready_there(&which)).is_some() {
            out.push(Output::SetTimer(Timer::OfferGroup(key.to_owned()), FAILBACK_RETRY));
            return;
        }
        let reason = format!("given to {}, for {key} failed here", self.peer_name());
        self.give(which, Cause::Offered, reason, None, out);
    }
}
