//! The standby dialogue of Heartbeat 3.0.6 (§7.8), from both sides: the giver asks, the taker
//! agrees, the giver releases, the taker acquires. Between two Twinbeat nodes it also moves single
//! groups, and its end is judged by what the groups are, not by what was promised. Who wants one to
//! begin is in `wishes`, what comes of a step that does not come in `patience`.

mod patience;

use super::failback::Due;
use super::*;
use crate::input::StandbyStep;

pub(super) use patience::ANSWER_WAIT;
use patience::BEGIN_WAIT;

/// What goes with the claims of a giver, as 3.0.6 says it.
pub(super) const GIVING: &str = "standby";

/// Where a dialogue stands. `which` is from this node's point of view on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Dialogue {
    None,
    /// Step 1 was sent.
    Asked(Giving),
    /// The peer agreed: releasing.
    Releasing(Giving),
    /// Released and said so; `true` once the peer said that it is done.
    Given(Giving, bool),
    /// An operator here wants groups of the peer; its first step is awaited.
    Wanting {
        request: RequestId,
        which: Which,
    },
    /// Agreed; the peer releases.
    Taking(Taking),
    /// The peer has released: acquiring.
    Acquiring(Taking),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Giving {
    which: Which,
    cause: Cause,
    /// A sentence for people.
    reason: String,
    request: Option<RequestId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Taking {
    which: Which,
    request: Option<RequestId>,
    /// Groups that were begun: each is tried once.
    tried: BTreeSet<usize>,
}

impl Dialogue {
    fn giving(&self) -> Option<&Giving> {
        match self {
            Self::Asked(giving) | Self::Releasing(giving) | Self::Given(giving, _) => Some(giving),
            Self::None | Self::Wanting { .. } | Self::Taking(_) | Self::Acquiring(_) => None,
        }
    }

    /// Why this node gives what it gives.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.giving().map(|giving| giving.cause)
    }

    fn which(&self) -> Option<&Which> {
        match self {
            Self::None | Self::Wanting { .. } => None,
            Self::Asked(giving) | Self::Releasing(giving) | Self::Given(giving, _) => {
                Some(&giving.which)
            }
            Self::Taking(taking) | Self::Acquiring(taking) => Some(&taking.which),
        }
    }

    fn request(&self) -> Option<RequestId> {
        match self {
            Self::None => None,
            Self::Wanting { request, .. } => Some(*request),
            Self::Asked(giving) | Self::Releasing(giving) | Self::Given(giving, _) => {
                giving.request
            }
            Self::Taking(taking) | Self::Acquiring(taking) => taking.request,
        }
    }

    /// Sentences for people, which no decision looks at.
    pub(super) fn forget_words(&mut self) {
        match self {
            Self::Asked(giving) | Self::Releasing(giving) | Self::Given(giving, _) => {
                giving.reason.clear();
            }
            Self::None | Self::Wanting { .. } | Self::Taking(_) | Self::Acquiring(_) => {}
        }
    }

    /// The word that goes with a `resource` message while this is under way.
    pub(super) fn info(&self) -> Option<&'static str> {
        self.giving().map(|_| GIVING)
    }
}

/// The same groups as the other node names them.
pub(super) fn seen_from_peer(which: &Which) -> Which {
    match which {
        Which::Sets(sets) => Which::Sets(sets.seen_from_peer()),
        Which::Group(key) => Which::Group(key.clone()),
    }
}

pub(super) fn words(which: &Which) -> String {
    match which {
        Which::Sets(sets) => format!("{} groups", sets.word()),
        Which::Group(key) => format!("group {key}"),
    }
}

impl Manager {
    /// Whether a dialogue under way decides about this group.
    pub(super) fn in_dialogue(&self, index: usize) -> bool {
        self.dialogue.which().is_some_and(|which| self.selected(which).contains(&index))
    }

    /// Begins a standby as the giver.
    pub(super) fn give(
        &mut self,
        which: Which,
        cause: Cause,
        reason: String,
        request: Option<RequestId>,
        out: &mut Vec<Output>,
    ) {
        let message = PeerMessage::AskResources { which: which.clone(), step: StandbyStep::Me };
        out.push(Output::Send(message));
        out.push(Output::SetTimer(Timer::StandbyAnswer, ANSWER_WAIT));
        self.peer.lapsed = None;
        self.dialogue = Dialogue::Asked(Giving { which, cause, reason, request });
    }

    pub(super) fn asked(&mut self, which: Which, step: StandbyStep, out: &mut Vec<Output>) {
        // The set is named from the giver's point of view.
        match step {
            StandbyStep::Me => self.asked_to_take(seen_from_peer(&which), out),
            StandbyStep::Other => self.agreed(&which, out),
            StandbyStep::Done => self.said_done(&which, out),
        }
    }

    fn asked_to_take(&mut self, which: Which, out: &mut Vec<Output>) {
        let ready = self.phase == Phase::Stable && !self.groups.iter().any(Group::in_transition);
        if !ready || self.hands_off() || self.selected_is_unknown(&which) {
            return;
        }
        let mut offered = None;
        let request = match &self.dialogue {
            Dialogue::None => None,
            Dialogue::Wanting { request, .. } => Some(*request),
            // Both go standby at once: the node whose name sorts first is the giver.
            // A 3.0.6 peer that asks has shut its ears to our question, so it is the giver.
            Dialogue::Asked(giving) => {
                let first = self.config.peer.as_ref().is_none_or(|peer| self.config.node < *peer);
                if first && self.peer.native {
                    return;
                }
                if giving.cause == Cause::Failback && !self.peer.native {
                    self.failback_due = self.failback_due.max(Some(Due::Back));
                }
                if giving.cause == Cause::Offered {
                    offered = Some(giving.which.clone());
                }
                let reason = format!("{} is going standby at the same moment", self.peer_name());
                if let Some(request) = giving.request {
                    out.push(Output::Answer(request, Answer::Refused { reason }));
                }
                None
            }
            Dialogue::Releasing(_)
            | Dialogue::Given(..)
            | Dialogue::Taking(_)
            | Dialogue::Acquiring(_) => return,
        };
        if self.peer.native {
            out.push(Output::CancelTimer(Timer::StandbyAnswer));
        } else {
            out.push(Output::SetTimer(Timer::StandbyAnswer, BEGIN_WAIT));
        }
        self.await_end(out);
        self.peer.stable = Some(false);
        self.peer.lapsed = None;
        let message =
            PeerMessage::AskResources { which: seen_from_peer(&which), step: StandbyStep::Other };
        self.dialogue = Dialogue::Taking(Taking { which, request, tried: BTreeSet::new() });
        if let Some(which) = offered {
            self.offer_later(&which);
        }
        out.push(Output::Send(message));
    }

    /// A group that only the peer's haresources has cannot be taken.
    fn selected_is_unknown(&self, which: &Which) -> bool {
        matches!(which, Which::Group(_)) && self.selected(which).is_empty()
    }

    /// Step 2: release, in reverse order within each group, all groups side by side.
    fn agreed(&mut self, which: &Which, out: &mut Vec<Output>) {
        let giving = match &self.dialogue {
            Dialogue::Asked(giving) if giving.which == *which => giving.clone(),
            Dialogue::Given(giving, false) if giving.which == *which && self.peer.native => {
                // It asks again: `done` was lost.
                return self.say_done(which.clone(), out);
            }
            Dialogue::None if self.peer.native && self.can_talk() => {
                // It agrees to what was given up here; that we have settled ends its part.
                return self.say(None, out);
            }
            Dialogue::None
            | Dialogue::Asked(_)
            | Dialogue::Releasing(_)
            | Dialogue::Given(..)
            | Dialogue::Wanting { .. }
            | Dialogue::Taking(_)
            | Dialogue::Acquiring(_) => return,
        };
        out.push(Output::CancelTimer(Timer::StandbyAnswer));
        self.await_end(out);
        self.dialogue = Dialogue::Releasing(giving.clone());
        self.peer.stable = Some(false);
        if let Which::Sets(sets) = giving.which {
            self.booked = self.booked.without(sets);
        }
        for index in self.selected(&giving.which) {
            self.release(index, giving.cause, &giving.reason, out);
        }
    }

    fn said_done(&mut self, which: &Which, out: &mut Vec<Output>) {
        match &self.dialogue {
            Dialogue::Given(giving, _) => {
                self.dialogue = Dialogue::Given(giving.clone(), true);
            }
            Dialogue::Taking(taking) => {
                let taking = taking.clone();
                self.acquire_after_done(taking);
            }
            // It began after all, only was not heard to: now it waits for an hour.
            Dialogue::None
                if self.peer.lapsed.as_ref() == Some(&seen_from_peer(which))
                    && self.phase == Phase::Stable
                    && !self.hands_off()
                    && self.can_talk() =>
            {
                let which = seen_from_peer(which);
                self.await_end(out);
                self.peer.stable = Some(false);
                self.peer.lapsed = None;
                self.acquire_after_done(Taking { which, request: None, tried: BTreeSet::new() });
            }
            // A giver that knows nothing of the end, or did not hear it, waits for the answer.
            // A 3.0.6 node says it after `shutdone` as well.
            Dialogue::None if self.peer.native && self.peer.gives && self.can_talk() => {
                self.say_done(which.clone(), out);
            }
            Dialogue::None
            | Dialogue::Asked(_)
            | Dialogue::Releasing(_)
            | Dialogue::Wanting { .. }
            | Dialogue::Acquiring(_) => {}
        }
    }

    fn acquire_after_done(&mut self, taking: Taking) {
        if let Which::Sets(sets) = taking.which {
            self.booked = self.booked.with(sets);
        }
        self.dialogue = Dialogue::Acquiring(taking);
    }

    /// Takes what the giver has let go. A Twinbeat giver's claims decide, for a message that says
    /// `released` may arrive after the one that says `done`.
    fn acquire_given(&mut self, taking: &mut Taking, out: &mut Vec<Output>) {
        let reason = format!("given by {}", self.peer_name());
        for index in self.selected(&taking.which) {
            if taking.tried.contains(&index) {
                continue;
            }
            let group = &self.groups[index];
            let free = !self.peer.native
                || matches!(
                    self.peer_claim(group.key()),
                    Some(GroupClaim::Released | GroupClaim::Failed)
                );
            let failed_on_both =
                group.has_failed() && self.peer_claim(group.key()) == Some(GroupClaim::Failed);
            if free && !group.is_wanted() && group.is_released() && !failed_on_both {
                taking.tried.insert(index);
                if self.peer_worse && !self.prefers_us(&self.groups[index]) {
                    self.due_home(Due::Pings);
                }
                self.acquire(index, Cause::Standby, &reason, out);
            }
        }
    }

    /// Advances the dialogue as far as the groups allow.
    pub(super) fn settle_dialogue(&mut self, out: &mut Vec<Output>) {
        match self.dialogue.clone() {
            Dialogue::None
            | Dialogue::Asked(_)
            | Dialogue::Wanting { .. }
            | Dialogue::Taking(_) => {}
            Dialogue::Releasing(giving) => self.settle_releasing(giving, out),
            Dialogue::Given(giving, done) => self.settle_given(&giving, done, out),
            Dialogue::Acquiring(taking) => self.settle_acquiring(taking, out),
        }
    }

    /// A Twinbeat peer is unsettled for as long as it takes part in a dialogue. One that says that
    /// it has settled has left it: it had thought this node dead for a while, unnoticed here.
    fn peer_gave_up(&self) -> bool {
        self.peer.native && self.peer.stable == Some(true)
    }

    fn settle_releasing(&mut self, giving: Giving, out: &mut Vec<Output>) {
        let chosen = self.selected(&giving.which);
        if chosen.iter().any(|index| self.groups[*index].in_transition()) {
            return;
        }
        let blocked = |index: &usize| self.groups[*index].claim() == GroupClaim::Blocked;
        if !self.peer.native && chosen.iter().any(blocked) {
            // A 3.0.6 taker starts everything on `done`, so it never hears it.
            let reason = "a resource could not be stopped; see `hb status`".to_owned();
            self.end_dialogue(Some(Answer::Failed { reason }), out);
            return;
        }
        let which = giving.which.clone();
        self.dialogue = Dialogue::Given(giving, false);
        self.say_done(which, out);
    }

    fn settle_given(&mut self, giving: &Giving, done: bool, out: &mut Vec<Output>) {
        let chosen = self.selected(&giving.which);
        let arrived = |index: &usize| {
            let claim = self.peer_claim(self.groups[*index].key());
            !self.peer.native
                || self.groups[*index].claim() == GroupClaim::Blocked
                || matches!(
                    claim,
                    Some(GroupClaim::Held | GroupClaim::Failed | GroupClaim::Blocked)
                )
        };
        let chosen: Vec<(usize, bool)> =
            chosen.into_iter().map(|index| (index, arrived(&index))).collect();
        // Without its `done` the peer may still be about to start what was given.
        let over = self.peer_gave_up() || chosen.iter().all(|(_, arrived)| *arrived);
        if !done || !over {
            return;
        }
        let mut trouble = Vec::new();
        for (index, arrived) in chosen {
            let key = self.groups[index].key().to_owned();
            if self.groups[index].claim() == GroupClaim::Blocked {
                trouble.push(format!("{key} could not be stopped here"));
            } else if self.peer_claim(&key) == Some(GroupClaim::Failed) {
                trouble.push(self.taken_back(index, &key, out));
            } else if self.peer_claim(&key) == Some(GroupClaim::Blocked) {
                trouble.push(format!("{key} is blocked on {}", self.peer_name()));
            } else if !arrived {
                trouble.push(format!("{} did not take {key}", self.peer_name()));
            }
        }
        let answer = if trouble.is_empty() {
            let text =
                format!("{} has {}", self.peer_name(), words(&seen_from_peer(&giving.which)));
            Answer::Done { text }
        } else {
            Answer::Failed { reason: trouble.join("; ") }
        };
        self.end_dialogue(Some(answer), out);
        self.ask_back(&giving.which, out);
    }

    /// Asks for the groups that the peer failed to start and that prefer it. They are not simply
    /// started again: the peer may try them at any moment, and only a dialogue keeps it from that.
    pub(super) fn ask_back(&mut self, which: &Which, out: &mut Vec<Output>) {
        let lost = |index: &usize| {
            let group = &self.groups[*index];
            !self.prefers_us(group)
                && !group.has_failed()
                && !group.is_wanted()
                && self.peer_claim(group.key()) == Some(GroupClaim::Failed)
        };
        let keys: Vec<String> = self
            .selected(which)
            .into_iter()
            .filter(lost)
            .map(|index| self.groups[index].key().to_owned())
            .collect();
        if keys.is_empty() || !self.can_talk() || !matches!(self.dialogue, Dialogue::None) {
            return;
        }
        self.tell_changes(out);
        for key in keys {
            out.push(Output::Send(PeerMessage::HbTakeover { which: Which::Group(key) }));
        }
    }

    /// The peer could not start it: here it ran.
    fn taken_back(&mut self, index: usize, key: &str, out: &mut Vec<Output>) -> String {
        let peer = self.peer_name().to_owned();
        if self.groups[index].has_failed() {
            let text = format!(
                "group {key} failed to start on both nodes and is not served. Mend it, then \
                 `hb cleanup {key}`"
            );
            out.push(Output::Alert { error: true, text });
            return format!("{key} failed to start on both nodes");
        }
        if self.prefers_us(&self.groups[index]) {
            self.acquire(index, Cause::TakenBack, &format!("{peer} could not start it"), out);
        }
        format!("{key} failed to start on {peer} and was taken back")
    }

    fn settle_acquiring(&mut self, mut taking: Taking, out: &mut Vec<Output>) {
        self.acquire_given(&mut taking, out);
        self.dialogue = Dialogue::Acquiring(taking.clone());
        let chosen = self.selected(&taking.which);
        let open = |index: &usize| {
            let group = &self.groups[*index];
            let there = self.peer_claim(group.key());
            let awaited = self.peer.native
                && !self.peer_gave_up()
                && !group.is_wanted()
                && !group.has_failed()
                && !taking.tried.contains(index)
                && there != Some(GroupClaim::Blocked);
            group.in_transition() || awaited
        };
        if chosen.iter().any(open) {
            return;
        }
        let failed: Vec<&str> = chosen
            .iter()
            .map(|index| &self.groups[*index])
            .filter(|group| group.claim() != GroupClaim::Held)
            .map(Group::key)
            .collect();
        let answer = if failed.is_empty() {
            Answer::Done { text: format!("this node has {}", words(&taking.which)) }
        } else {
            Answer::Failed { reason: format!("not acquired here: {}", failed.join(" ")) }
        };
        self.say_done(seen_from_peer(&taking.which), out);
        self.end_dialogue(Some(answer), out);
    }

    fn leave_dialogue(&mut self, out: &mut Vec<Output>) -> Dialogue {
        out.push(Output::CancelTimer(Timer::StandbyAnswer));
        out.push(Output::CancelTimer(Timer::StandbyEnd));
        std::mem::replace(&mut self.dialogue, Dialogue::None)
    }

    /// Ends a dialogue. With a 3.0.6 peer both sides then say what they hold (§7.8, step 4).
    fn end_dialogue(&mut self, answer: Option<Answer>, out: &mut Vec<Output>) {
        let dialogue = self.leave_dialogue(out);
        if let (Some(request), Some(answer)) = (dialogue.request(), answer) {
            out.push(Output::Answer(request, answer));
        }
        if !self.peer.native && self.can_talk() {
            self.say(None, out);
        }
    }

    /// The peer died, left, restarted, or this node stops: what was half done follows from the
    /// rules of possession.
    pub(super) fn cancel_dialogue(&mut self, why: &str, out: &mut Vec<Output>) {
        if let Some(giving) = self.dialogue.giving()
            && giving.cause == Cause::Failback
            && !self.peer.native
        {
            self.due_home(Due::Back);
        }
        if self.dialogue == Dialogue::None {
            return;
        }
        let dialogue = self.leave_dialogue(out);
        if let Some(request) = dialogue.request() {
            let reason = format!("ended early: {why}");
            out.push(Output::Answer(request, Answer::Failed { reason }));
        }
    }

    /// The peer went into maintenance. What it has agreed to goes on; what it has not will not be.
    pub(super) fn cancel_question(&mut self, why: &str, out: &mut Vec<Output>) {
        match self.dialogue {
            Dialogue::Asked(_) | Dialogue::Wanting { .. } => self.cancel_dialogue(why, out),
            Dialogue::None
            | Dialogue::Releasing(_)
            | Dialogue::Given(..)
            | Dialogue::Taking(_)
            | Dialogue::Acquiring(_) => {}
        }
    }

    /// A giver that says that it has settled is not giving any more.
    pub(super) fn giver_settled(&mut self, out: &mut Vec<Output>) {
        if let (Dialogue::Taking(_), true) = (&self.dialogue, self.peer.native) {
            let reason = format!("{} gave up its standby", self.peer_name());
            self.end_dialogue(Some(Answer::Failed { reason }), out);
        }
    }
}
