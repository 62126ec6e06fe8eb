//! The decision of Heartbeat's client `ipfail`: the node that reaches fewer ping nodes than its
//! peer gives its groups away (Heartbeat 3.0.6, §11.2 of the protocol description). It compares,
//! waits and says what to do; it moves nothing and knows no group.
//!
//! It differs from ipfail where that moves groups without need: the peer must be better for
//! [`Ipfail::patience`] without a break, an unsettled pair is waited for without sleeping, and
//! failback waits until the peer's network has been as good as ours for twice `deadping`.

use std::time::Duration;

use hb_config::settings::{AutoFailback, NodeName, Settings, Timing};
use hb_messaging::message::Body;
use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

use crate::effect::{Level, LogEvent};

/// Keepalives that ipfail waits (Heartbeat 3.0.6). Two nodes that lose one gateway notice it
/// within one interval of their echo requests of each other; the second is for the message.
const KEEPALIVES: u64 = 2;
/// Share of `deadping` that is waited at least. A gateway that drops some answers kills the ping
/// node at different moments on the two nodes; where answers are this unreliable, users raise
/// `deadping`.
const DEADPING_SHARE: u64 = 4;
/// Shortest wait: echo requests are never closer than 100 ms, however short the keepalive is.
const PATIENCE_MIN_MS: u64 = 250;
/// Multiple of `deadping` for which failback waits. A ping node that has gone counts for one
/// `deadping` more, so that less would take a flapping network for a good one.
const TRUST_DEADPINGS: u32 = 2;
/// After so long a question is asked again if nothing has moved since; the manager gives up one
/// without an answer after 10 s.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// How both ends of the dialogue call themselves.
const CLIENT: &str = "ipfail";

/// What the two ipfails say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// `num_ping_nodes`: the sender reaches so many ping nodes.
    Count(u32),
    /// `you_are_dead`: the sender reaches more than the receiver.
    YouAreDead,
    /// `abort_giveup`: both reach the same number.
    AbortGiveup,
    /// `hbapi-clstat st=join`: the sender's ipfail has begun and wants to hear a count.
    Join,
}

impl Word {
    /// What a message of the peer says, if it is one of ipfail's.
    pub(crate) fn read(body: &Body) -> Option<Self> {
        let Body::Other { kind, fields } = body else { return None };
        let field = |name: &str| {
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
        };
        if field("from_id") != Some(CLIENT) || field("to_id") != Some(CLIENT) {
            return None;
        }
        match kind.as_str() {
            "num_ping_nodes" => field("num_ping")?.parse().ok().map(Self::Count),
            "you_are_dead" => Some(Self::YouAreDead),
            "abort_giveup" => Some(Self::AbortGiveup),
            "hbapi-clstat" if field("st") == Some("join") => Some(Self::Join),
            _ => None,
        }
    }

    /// The message to `peer`, with the fields of 3.0.6 in its order.
    pub(crate) fn body(self, peer: &NodeName) -> Body {
        let count;
        let (kind, own): (_, &[(&str, &str)]) = match self {
            Self::Count(number) => {
                count = number.to_string();
                ("num_ping_nodes", &[("num_ping", &count), ("dest", peer.as_str())])
            }
            Self::YouAreDead => ("you_are_dead", &[("dest", peer.as_str())]),
            Self::AbortGiveup => ("abort_giveup", &[("dest", peer.as_str())]),
            Self::Join => ("hbapi-clstat", &[("st", "join")]),
        };
        let ids = [("from_id", CLIENT), ("to_id", CLIENT)];
        let info = [("info", "signon")];
        let info = if self == Self::Join { &info[..] } else { &[] };
        let fields = own.iter().chain(&ids).chain(info).chain(&[("client_gen", "0")]);
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Body::Other { kind: kind.to_owned(), fields: fields.map(text).collect() }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Say it to the peer.
    Send(Word),
    /// Give every group to the peer; why.
    GiveUp(String),
    /// Whether failback is held because the peer reaches fewer ping nodes.
    PeerIsWorse(bool),
    /// A line for the log.
    Log(LogEvent),
}

/// What the resource manager can say when a give-up is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Situation {
    /// Why nothing can move at this moment.
    pub(crate) obstacle: Option<String>,
    /// Since when the group that is held longest is held; `None` when none is.
    pub(crate) held_for: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The peer is better; it may not last.
    Waiting,
    /// It is time, but nothing can move, for this reason.
    Postponed(String),
    /// The manager was told at this moment.
    Asked(Instant),
}

impl Stage {
    /// Nothing was asked yet.
    fn is_open(&self) -> bool {
        match self {
            Self::Waiting | Self::Postponed(_) => true,
            Self::Asked(_) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    stage: Stage,
    due: Instant,
}

/// The comparison of this node with its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ipfail {
    node: NodeName,
    peer: NodeName,
    /// Configured ping nodes.
    total: usize,
    /// Ping nodes that answer this node.
    own: u32,
    /// What the peer said or let be concluded; `None` while it is not there or never said.
    theirs: Option<u32>,
    /// Both nodes are fully started: messages reach the other.
    talking: bool,
    pending: Option<Pending>,
    /// The manager was told that the peer is worse.
    peer_worse: bool,
    /// When failback is free again.
    free: Option<Instant>,
    patience: Duration,
    /// How long the peer must be no worse before anything goes home to it.
    trust: Duration,
}

impl Ipfail {
    /// `None` when ha.cf does not run ipfail, names no peer, or has the legacy mode, which
    /// Heartbeat's ipfail refuses as well.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        if !settings.ipfail || settings.auto_failback == AutoFailback::Legacy {
            return None;
        }
        Some(Self {
            node: settings.node.clone(),
            peer: settings.peer()?.clone(),
            total: settings.pings.len(),
            own: 0,
            theirs: None,
            talking: false,
            pending: None,
            peer_worse: false,
            free: None,
            patience: Self::patience(&settings.timing),
            trust: Duration::from_millis(settings.timing.deadping_ms) * TRUST_DEADPINGS,
        })
    }

    /// How long the peer must be strictly better without a break: 2 × keepalive as in 3.0.6, and
    /// at least a quarter of deadping.
    fn patience(timing: &Timing) -> Duration {
        let keepalives = timing.keepalive_ms.saturating_mul(KEEPALIVES);
        let wait = keepalives.max(timing.deadping_ms / DEADPING_SHARE).max(PATIENCE_MIN_MS);
        Duration::from_millis(wait)
    }

    /// When [`Self::tick`] is to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.pending.as_ref().map(|pending| pending.due), self.free].into_iter().flatten().min()
    }

    pub(crate) fn peer(&self) -> &NodeName {
        &self.peer
    }

    /// Whether messages reach the peer from here on. The peer's word counts as long as they do.
    pub(crate) fn talk(&mut self, now: Instant, talking: bool) -> Vec<Step> {
        self.talking = talking;
        self.theirs = None;
        let mut steps = self.compare(now);
        if talking {
            steps.extend([Step::Send(Word::Count(self.own)), Step::Send(Word::Join)]);
        }
        steps
    }

    /// So many ping nodes answer this node.
    pub(crate) fn count(&mut self, now: Instant, own: u32) -> Vec<Step> {
        if self.own == own {
            return Vec::new();
        }
        self.own = own;
        let mut steps = self.compare(now);
        if self.talking {
            steps.push(Step::Send(Word::Count(own)));
        }
        steps
    }

    /// The peer's ipfail says something.
    pub(crate) fn hear(&mut self, now: Instant, word: Word) -> Vec<Step> {
        if !self.talking {
            return Vec::new();
        }
        let answer = match word {
            Word::Count(theirs) => {
                self.theirs = Some(theirs);
                match self.own.cmp(&theirs) {
                    std::cmp::Ordering::Greater => Some(Word::YouAreDead),
                    std::cmp::Ordering::Equal => Some(Word::AbortGiveup),
                    std::cmp::Ordering::Less => None,
                }
            }
            Word::YouAreDead => {
                let least = self.own.saturating_add(1);
                self.theirs = Some(self.theirs.map_or(least, |theirs| theirs.max(least)));
                None
            }
            Word::AbortGiveup => {
                self.theirs = Some(self.own);
                None
            }
            Word::Join => Some(Word::Count(self.own)),
        };
        let mut steps = self.compare(now);
        steps.extend(answer.map(Step::Send));
        steps
    }

    /// Something is due.
    pub(crate) fn tick(&mut self, now: Instant, situation: &Situation) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.free.take_if(|free| *free <= now).is_some() {
            self.peer_worse = false;
            steps.push(Step::PeerIsWorse(false));
        }
        if let Some(pending) = self.pending.take_if(|pending| pending.due <= now) {
            self.proceed(now, pending.stage, situation, &mut steps);
        }
        steps
    }

    /// What lies between this node and a give-up; `None` when none is pending.
    pub(crate) fn problem(&self) -> Option<String> {
        let pending = self.pending.as_ref()?;
        let reason = self.reason();
        Some(match &pending.stage {
            Stage::Waiting => format!("{reason}; all groups go there if this lasts"),
            Stage::Postponed(why) => format!("{reason}; the handover is postponed: {why}"),
            Stage::Asked(_) => format!("{reason}; {} was asked to take all groups", self.peer),
        })
    }

    fn reason(&self) -> String {
        let Self { node, peer, own, total, .. } = self;
        let theirs = self.theirs.unwrap_or_default();
        format!("{node} reaches {own} of {total} ping nodes, {peer} reaches {theirs}")
    }

    /// Begins or ends what follows from the numbers.
    fn compare(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let theirs = self.theirs.filter(|_| self.talking);
        if theirs.is_some_and(|theirs| theirs > self.own) {
            if self.pending.is_none() {
                let due = now + self.patience;
                self.pending = Some(Pending { stage: Stage::Waiting, due });
                let wait = self.patience.as_millis();
                let text = format!("{}: Delayed giveup in {wait} ms", self.reason());
                steps.push(Step::Log(LogEvent::new(Level::Warn, "ipfail_pending", text)));
            }
        } else if self.pending.take().is_some_and(|pending| pending.stage.is_open()) {
            let peer = &self.peer;
            let text = format!("{peer} reaches no more ping nodes than this node: giveup aborted");
            steps.push(Step::Log(LogEvent::new(Level::Info, "ipfail_aborted", text)));
        }
        steps.extend(self.judge_peer(now, theirs));
        steps
    }

    /// Failback is held at once, and freed when the peer's network can be relied on again or the
    /// peer is gone, so that there is nobody to fail back to.
    fn judge_peer(&mut self, now: Instant, theirs: Option<u32>) -> Option<Step> {
        let worse = theirs.is_some_and(|theirs| theirs < self.own);
        if worse {
            self.free = None;
        } else if self.peer_worse && self.talking {
            self.free.get_or_insert(now + self.trust);
            return None;
        } else {
            self.free = None;
        }
        let changed = worse != self.peer_worse;
        self.peer_worse = worse;
        changed.then_some(Step::PeerIsWorse(worse))
    }

    /// A give-up is due in this stage.
    fn proceed(
        &mut self,
        now: Instant,
        stage: Stage,
        situation: &Situation,
        steps: &mut Vec<Step>,
    ) {
        if let Some(why) = &situation.obstacle {
            if stage == Stage::Waiting {
                let text = format!("{}: giveup postponed: {why}", self.reason());
                steps.push(Step::Log(LogEvent::new(Level::Info, "ipfail_postponed", text)));
            }
            let stage = match stage {
                Stage::Waiting | Stage::Postponed(_) => Stage::Postponed(why.clone()),
                Stage::Asked(at) => Stage::Asked(at),
            };
            self.pending = Some(Pending { stage, due: now + self.patience });
            return;
        }
        let Some(held_for) = situation.held_for else { return };
        match stage {
            // It moved and came back, because the peer could not run it or an operator wants it
            // here: once is enough.
            Stage::Asked(at) if held_for < now - at => {}
            Stage::Waiting | Stage::Postponed(_) | Stage::Asked(_) => {
                steps.push(Step::GiveUp(self.reason()));
                self.pending = Some(Pending { stage: Stage::Asked(now), due: now + ASK_AGAIN });
            }
        }
    }
}

#[cfg(test)]
mod tests;
