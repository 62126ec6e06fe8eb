//! What is known of one member of a group on this node: whether it runs, how it is watched, how often
//! it has failed. Values and their small changes; what follows from them is in `group`.

use hb_config::settings::{AgentSpec, BuiltIn, ResourceSpec};
use serde::{Deserialize, Serialize};

use crate::input::Evidence;
use crate::operation::{Action, OpId, Outcome};

/// What is known of one member on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceState {
    /// Not looked at yet.
    Unknown,
    /// Does not run here.
    Stopped,
    /// `start` is under way.
    Starting,
    /// Runs here.
    Running,
    /// `stop` is under way.
    Stopping,
    /// `start` or `stop` failed: it may run in part.
    Failed,
}

impl ResourceState {
    /// The word in status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// When the next check of a member is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Watch {
    /// Not at all, or one is under way.
    Off,
    /// When `Timer::Monitor` fires.
    Waiting,
    /// As soon as nothing else is done to the member.
    Due,
}

/// What is under way in a member's own slot, beside the steps of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Beside {
    pub(super) id: OpId,
    pub(super) action: Action,
    /// It may be cancelled, and changes nothing.
    pub(super) check: bool,
    /// Its result counts for nothing.
    pub(super) cancelled: bool,
}

/// Checks of a script that has never said that it runs, before its status is taken for useless:
/// one directly after its start and one an interval later, for what takes a moment to come up.
const DOUBTS_MAX: u8 = 2;

/// One resource of the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its state.
    pub state: ResourceState,
    /// How its last start, stop or first look ended.
    pub last: Option<Outcome>,
    /// How its last check while it ran ended.
    pub checked: Option<Outcome>,
    pub(super) warm: bool,
    /// A daemon before this one has started it and has not stopped it since, as its record says.
    pub(super) left: bool,
    pub(super) watch: Watch,
    pub(super) beside: Option<Beside>,
    /// Its next check is due sooner than others.
    pub(super) soon: bool,
    /// What was said to have happened, until the check has told.
    pub(super) hint: Option<String>,
    /// Within the window; stops growing one above the limit.
    pub(super) failures: u32,
    /// Checks in a row that did not end in time.
    pub(super) timeouts: u32,
    /// Its check could not be run, and that was said.
    pub(super) cannot_check: bool,
    /// The edge has proved that nothing of it is left ([`Evidence::NothingLeft`]), and no check has said
    /// since what is to be made of it.
    #[serde(default)]
    pub(super) gone: bool,
    /// A status has said that it runs: its status can be believed when it says that it does not.
    proven: bool,
    /// Checks since its start that were not good, while it is not proven.
    doubts: u8,
    /// That its status is of no use was said.
    pub(super) told_useless: bool,
    /// It failed while nothing may be done about it: what is to be said of it.
    pub(super) suspect: Option<Outcome>,
    /// Why it could not be started here.
    pub(super) unready: Option<String>,
}

impl Member {
    pub(super) fn new(warm: bool) -> Self {
        Self {
            state: ResourceState::Unknown,
            last: None,
            checked: None,
            warm,
            left: false,
            watch: Watch::Off,
            beside: None,
            soon: false,
            hint: None,
            failures: 0,
            timeouts: 0,
            cannot_check: false,
            gone: false,
            proven: false,
            doubts: 0,
            told_useless: false,
            suspect: None,
            unready: None,
        }
    }

    /// Failures within the window of `[recovery]`; stops growing one above the limit.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether checks of it are made at this time.
    pub fn is_watched(&self) -> bool {
        self.watch != Watch::Off || self.is_checked_now()
    }

    /// Whether its agent cannot tell whether it runs, which was found out after its start.
    pub fn has_useless_status(&self) -> bool {
        self.doubts >= DOUBTS_MAX
    }

    /// Whether it runs on both nodes (`warm` in hb.toml).
    pub fn is_warm(&self) -> bool {
        self.warm
    }

    /// A check whose result will count.
    pub(super) fn is_checked_now(&self) -> bool {
        self.beside.is_some_and(|op| op.action == Action::Status && op.check && !op.cancelled)
    }

    /// It was started: what was known of its checks is void.
    pub(super) fn started(&mut self, script: bool) {
        self.state = ResourceState::Running;
        self.timeouts = 0;
        self.doubts = 0;
        self.suspect = None;
        self.unready = None;
        self.checked = None;
        self.hint = None;
        self.gone = false;
        self.watch = match script && !self.proven {
            true => Watch::Due,
            false => Watch::Off,
        };
    }

    /// Its status said that it runs.
    pub(super) fn proved(&mut self) {
        self.proven = true;
        self.doubts = 0;
        self.timeouts = 0;
        self.suspect = None;
        self.hint = None;
        self.gone = false;
    }

    /// Something is said to have happened: whether that alone would do, should its check say no more
    /// than ever.
    pub(super) fn take_evidence(&mut self, evidence: Evidence, script: bool) {
        match evidence {
            Evidence::NothingLeft => self.gone |= script && !self.proven,
            Evidence::ProcessEnded | Evidence::UnitInactive | Evidence::Network => {}
        }
    }

    /// A script's check was not good: whether that is no more than a reason to doubt the script.
    pub(super) fn doubt(&mut self, script: bool) -> bool {
        let doubtful = script && !self.proven;
        if doubtful {
            self.doubts = self.doubts.saturating_add(1).min(DOUBTS_MAX);
        }
        doubtful
    }

    /// Forgets everything that was held against it.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.timeouts = 0;
        self.doubts = 0;
        self.cannot_check = false;
        self.told_useless = false;
    }
}

/// A script of init.d or resource.d: it need not know `status`, as OCF agents and units must.
pub(super) fn is_script(spec: &ResourceSpec) -> bool {
    spec.built_in.is_none() && matches!(spec.agent, AgentSpec::Script { .. })
}

/// A floating address that this node sets itself.
pub(super) fn is_address(spec: &ResourceSpec) -> bool {
    matches!(spec.built_in, Some(BuiltIn::Address(_)))
}
