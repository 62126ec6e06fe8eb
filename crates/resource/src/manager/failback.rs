//! `auto_failback on`: groups go home. Between two Twinbeat nodes each group waits until its preferred
//! node has been back, settled and ready for a while, longer after each return of the last hour, so
//! that a node that comes and goes does not take the service with it. A 3.0.6 peer gets its set at
//! once, as it expects.

use std::time::Duration;

use hb_config::settings::DayWindow;

use super::*;
use crate::group::in_words;

/// A failback that came to nothing is looked at again after this time.
pub(super) const FAILBACK_RETRY: Duration = Duration::from_secs(10);
/// Returns are forgotten when none has been added for this long, and no window is longer.
const HOUR: Duration = Duration::from_secs(3_600);
/// More doublings change nothing: 1 ms, 22 times doubled, is more than an hour.
const RETURNS_MAX: u8 = 23;

/// Why groups that are here are to go home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Due {
    /// It failed on the peer, which does not hold that against itself any more.
    Forgotten,
    /// The peer gave them, for it reached fewer ping nodes.
    Pings,
    /// The peer was away.
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Step {
    /// Something speaks against it.
    Waits,
    /// Nothing does; `Timer::FailbackStable` runs. Windows that began together end together.
    Window { batch: u16 },
    /// Nothing has for long enough.
    Over,
    /// The peer was asked.
    Going,
}

/// A group that shall go home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Home {
    why: Due,
    step: Step,
}

/// How far a group's way home is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailbackState {
    /// Its window runs; it goes when `Timer::FailbackStable` of the group is due.
    Window,
    /// Something speaks against it.
    Waits {
        /// What.
        reason: String,
    },
    /// Nothing speaks against it but the time of day.
    Shut {
        /// When it may go, of `[failback]` or of its group.
        window: DayWindow,
    },
    /// It goes as soon as nothing else is under way, or is going.
    Going,
}

impl FailbackState {
    /// Words for status.
    pub fn words(&self) -> String {
        match self {
            Self::Window => "in a stability window".into(),
            Self::Shut { window } => format!("at {}", window.begin()),
            Self::Waits { reason } => format!("waits: {reason}"),
            Self::Going => "going home".into(),
        }
    }
}

/// Groups with a time window, before the time of day is known.
pub(super) fn shut_at_first(config: &ManagerConfig) -> BTreeSet<GroupKey> {
    let keys = config.groups.iter().map(|group| &group.key);
    keys.filter(|key| config.policy.failback_window(key).is_some()).cloned().collect()
}

impl Manager {
    /// How far the way home is of a group that is held here, prefers the peer, and shall go there by
    /// itself.
    pub fn failback(&self, key: &str) -> Option<FailbackState> {
        let index = self.groups.iter().position(|group| group.key() == key)?;
        if self.prefers_us(&self.groups[index]) || !self.groups[index].is_wanted() {
            return None;
        }
        match (self.going_home.get(key).map(|home| home.step), self.failback_due) {
            (Some(Step::Window { .. } | Step::Over), _) if self.shut.contains(key) => {
                self.config.policy.failback_window(key).map(|window| FailbackState::Shut { window })
            }
            (Some(Step::Window { .. }), _) => Some(FailbackState::Window),
            (Some(Step::Over | Step::Going), _) => Some(FailbackState::Going),
            (None, Some(_)) if !self.goes_home(index) => None,
            (Some(Step::Waits), _) | (None, Some(_)) => {
                let reason = self.why_not_home(index);
                let soon = || format!("{} has not settled", self.peer_name());
                Some(FailbackState::Waits { reason: reason.unwrap_or_else(soon) })
            }
            (None, None) => None,
        }
    }

    /// Groups here that prefer the peer are due to go home, once it can take them.
    pub(super) fn due_home(&mut self, why: Due) {
        self.failback_due = self.failback_due.max(Some(why));
    }

    /// The peer was away; when it has settled, that counts as a return.
    pub(super) fn peer_was_away(&mut self) {
        self.peer.away = true;
        self.due_home(Due::Back);
    }

    /// The timer of a group's window ran out.
    pub(super) fn window_over(&mut self, key: &str, out: &mut Vec<Output>) {
        let Some(Home { step: Step::Window { batch: ended }, .. }) =
            self.going_home.get(key).copied()
        else {
            return;
        };
        for (other, home) in &mut self.going_home {
            if matches!(home.step, Step::Window { batch } if batch == ended) {
                home.step = Step::Over;
                out.push(Output::CancelTimer(Timer::FailbackStable(other.clone())));
            }
        }
    }

    /// This node stops, or the peer knows no windows.
    pub(super) fn end_windows(&mut self, out: &mut Vec<Output>) {
        for key in std::mem::take(&mut self.going_home).into_keys() {
            out.push(Output::CancelTimer(Timer::FailbackStable(key)));
            self.due_home(Due::Back);
        }
    }

    pub(super) fn settle_failback(&mut self, out: &mut Vec<Output>) {
        if !self.peer.native || self.has_no_foreign() {
            self.end_windows(out);
            return self.failback_by_sets(out);
        }
        let settled = self.can_talk() && self.peer.stable == Some(true);
        if settled {
            self.note_return(out);
            self.note_due();
        }
        // What a dialogue has to do with it is seen at its end.
        if self.dialogue == Dialogue::None {
            self.settle_windows(settled, out);
            self.send_home(out);
        }
    }

    /// Everything that prefers the peer, in one dialogue, as soon as both have settled.
    fn failback_by_sets(&mut self, out: &mut Vec<Output>) {
        let Some(why) = self.failback_due else { return };
        if self.is_alone()
            || self.hands_off()
            || self.peer_worse
            || !self.is_stable()
            || self.peer.stable != Some(true)
            || !self.can_talk()
        {
            return;
        }
        let sets = Which::Sets(Holdings::FOREIGN);
        // A 3.0.6 peer takes all or nothing.
        if self.selected(&sets).iter().any(|index| self.is_shut(*index)) {
            return;
        }
        self.failback_due = None;
        self.note_return(out);
        if self.config.auto_failback != AutoFailback::On {
            return;
        }
        let any = self.selected(&sets).iter().any(|index| self.groups[*index].is_wanted());
        // A set without groups goes home in words alone, as with Heartbeat.
        if any || self.booked.foreign {
            let reason = self.reason_home(why, 0);
            self.give(sets, Cause::Failback, reason, None, out);
        }
    }

    fn note_return(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.peer.away) {
            return;
        }
        let foreign = self.selected(&Which::Sets(Holdings::FOREIGN));
        let waits = |index: &usize| {
            self.goes_home(*index) && self.base_window(self.groups[*index].key()) > 0
        };
        if foreign.iter().any(waits) {
            self.returns = (self.returns + 1).min(RETURNS_MAX);
            out.push(Output::SetTimer(Timer::ForgetReturns, HOUR));
        }
    }

    /// What failed there and came here does not count there any more: it goes home as after a return.
    /// That counts as one, too: a group that fails there again and again goes home ever more
    /// rarely.
    pub(super) fn note_forgotten(
        &mut self,
        before: &BTreeMap<GroupKey, GroupClaim>,
        out: &mut Vec<Output>,
    ) {
        let forgotten = |index: &usize| {
            let group = &self.groups[*index];
            let was = before.get(group.key()) == Some(&GroupClaim::Failed);
            let is_good = self.peer_claim(group.key()) == Some(GroupClaim::Released);
            was && is_good && group.is_wanted() && self.goes_home(*index)
        };
        let mut due = self.selected(&Which::Sets(Holdings::FOREIGN));
        due.retain(forgotten);
        if due.is_empty() {
            return;
        }
        for index in due {
            let fresh = Home { why: Due::Forgotten, step: Step::Waits };
            self.going_home.entry(self.groups[index].key().to_owned()).or_insert(fresh);
        }
        self.returns = (self.returns + 1).min(RETURNS_MAX);
        out.push(Output::SetTimer(Timer::ForgetReturns, HOUR));
    }

    fn note_due(&mut self) {
        let Some(why) = self.failback_due.take() else { return };
        for index in self.selected(&Which::Sets(Holdings::FOREIGN)) {
            if self.goes_home(index) {
                let fresh = Home { why, step: Step::Waits };
                let home =
                    self.going_home.entry(self.groups[index].key().to_owned()).or_insert(fresh);
                home.why = home.why.max(why);
            }
        }
    }

    /// Whether the configuration says so.
    fn goes_home(&self, index: usize) -> bool {
        let own = self.config.policy.groups.get(self.groups[index].key());
        own.and_then(|options| options.auto_failback)
            .unwrap_or(self.config.auto_failback == AutoFailback::On)
    }

    /// Whether the time of day keeps it here.
    fn is_shut(&self, index: usize) -> bool {
        self.shut.contains(self.groups[index].key())
    }

    fn base_window(&self, key: &str) -> u64 {
        let policy = &self.config.policy;
        let own = policy.groups.get(key).and_then(|options| options.stable_for_ms);
        own.or(policy.failback.stable_for_ms)
            .unwrap_or_else(|| policy.deadtime_ms.saturating_mul(2))
    }

    /// How long the peer must have been back for this group, in ms.
    fn window(&self, key: &str, why: Due) -> u64 {
        let mut base = self.base_window(key);
        if why == Due::Forgotten && self.returns > 1 {
            // Soon after the last one it may well fail again.
            base = base.max(self.config.policy.recovery.window_ms);
        }
        let doubled = 1_u64 << self.returns.saturating_sub(1).min(RETURNS_MAX);
        let hour = u64::try_from(HOUR.as_millis()).unwrap_or(u64::MAX);
        base.saturating_mul(doubled).min(hour.max(base))
    }

    /// What speaks against giving a group to the peer it prefers.
    fn why_not_home(&self, index: usize) -> Option<String> {
        let peer = self.peer_name();
        if let Some(reason) = self.in_maintenance_words() {
            return Some(reason);
        }
        if !self.can_talk() {
            return Some(format!("{peer} is not there"));
        }
        if self.peer_worse {
            return Some(format!("{peer} reaches fewer ping nodes"));
        }
        let claim = match self.peer_claim(self.groups[index].key()) {
            Some(GroupClaim::Released) => None,
            Some(GroupClaim::Failed) => Some(format!("it failed on {peer}")),
            Some(claim) => Some(format!("{peer} says that it is {} there", claim.word())),
            None => Some(format!("{peer} has not said what it holds")),
        };
        claim.or_else(|| self.unready_there(index))
    }

    /// Begins, breaks and drops windows.
    fn settle_windows(&mut self, settled: bool, out: &mut Vec<Output>) {
        let mut begun: BTreeMap<Duration, u16> = BTreeMap::new();
        for index in self.selected(&Which::Sets(Holdings::FOREIGN)) {
            let key = self.groups[index].key().to_owned();
            let Some(home) = self.going_home.get(&key).copied() else { continue };
            let timer = Timer::FailbackStable(key.clone());
            if !self.groups[index].is_wanted() {
                // It went, or has never come.
                if settled || home.step == Step::Going {
                    self.going_home.remove(&key);
                    out.push(Output::CancelTimer(timer));
                }
                continue;
            }
            let free = self.why_not_home(index).is_none();
            let window = Duration::from_millis(self.window(&key, home.why));
            let step = match home.step {
                // A move that ends leaves the peer unsettled for a moment.
                Step::Over if free => Step::Over,
                Step::Window { batch } if free && settled => Step::Window { batch },
                Step::Waits if free && settled && window.is_zero() => Step::Over,
                Step::Waits if free && settled => self.begin(&timer, window, &mut begun, out),
                // It was asked, and did not answer.
                Step::Going if free && settled => {
                    self.begin(&timer, window.max(FAILBACK_RETRY), &mut begun, out)
                }
                Step::Waits | Step::Going => Step::Waits,
                Step::Over | Step::Window { .. } => {
                    out.push(Output::CancelTimer(timer));
                    Step::Waits
                }
            };
            self.going_home.insert(key, Home { step, ..home });
        }
    }

    fn begin(
        &self,
        timer: &Timer,
        window: Duration,
        begun: &mut BTreeMap<Duration, u16>,
        out: &mut Vec<Output>,
    ) -> Step {
        out.push(Output::SetTimer(timer.clone(), window));
        let taken = |batch: &u16| {
            let earlier = |home: &Home| home.step == Step::Window { batch: *batch };
            self.going_home.values().any(earlier) || begun.values().any(|other| other == batch)
        };
        let batch = match begun.get(&window) {
            Some(batch) => *batch,
            None => (0..u16::MAX).find(|batch| !taken(batch)).unwrap_or(u16::MAX),
        };
        begun.insert(window, batch);
        Step::Window { batch }
    }

    /// Gives what has waited long enough: in one dialogue when that is all there is, otherwise one
    /// group after the other.
    fn send_home(&mut self, out: &mut Vec<Output>) {
        if !self.is_stable() || self.peer.stable != Some(true) {
            return;
        }
        let over = |index: &usize| {
            let home = self.going_home.get(self.groups[*index].key());
            home.is_some_and(|home| home.step == Step::Over) && !self.is_shut(*index)
        };
        let mut here = self.selected(&Which::Sets(Holdings::FOREIGN));
        here.retain(|index| self.groups[*index].is_wanted());
        let Some(first) = here.iter().copied().find(over) else { return };
        let which = if here.iter().all(over) {
            Which::Sets(Holdings::FOREIGN)
        } else {
            here = vec![first];
            Which::Group(self.groups[first].key().to_owned())
        };
        let mut reason = String::new();
        for index in here {
            let key = self.groups[index].key().to_owned();
            if let Some(home) = self.going_home.get_mut(&key) {
                home.step = Step::Going;
                let why = home.why;
                reason = self.reason_home(why, self.window(&key, why));
            }
        }
        self.give(which, Cause::Failback, reason, None, out);
    }

    fn reason_home(&self, why: Due, window_ms: u64) -> String {
        let peer = self.peer_name();
        let since = in_words(window_ms);
        match (why, window_ms) {
            (Due::Forgotten, _) => format!(
                "its failure on {peer} does not count any more, {peer} has been ready for {since} \
                 and it prefers that node"
            ),
            (Due::Back, 0) => format!("{peer} is back and it prefers that node"),
            (Due::Pings, 0) => {
                format!("{peer} reaches as many ping nodes again and it prefers that node")
            }
            (Due::Back, _) => {
                format!("{peer} has been back and ready for {since} and it prefers that node")
            }
            (Due::Pings, _) => format!(
                "{peer} has reached as many ping nodes again and been ready for {since}, and it \
                 prefers that node"
            ),
        }
    }
}
