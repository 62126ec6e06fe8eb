//! The guard of a drill: whether it must be ended at once. Values in, a decision out.

use hb_node::api::Verdict;

use crate::history::line::span;
use crate::probe::watch::Gauge;

/// Why a drill is ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// The service is or was away for longer than is allowed.
    Outage(String),
    /// Both nodes serve a group.
    Split(String),
}

impl Trip {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Outage(text) | Self::Split(text) => text,
        }
    }
}

/// What one observer sees at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View<'a> {
    pub(super) node: &'a str,
    /// In the order of the targets; empty when what it measures says nothing of the service.
    pub(super) gauges: &'a [Gauge],
    /// The verdict of its daemon; `None`: it does not answer.
    pub(super) verdict: Option<Verdict>,
}

/// Whether the drill must be ended. `split_expected`: a frozen node that wakes still has what the
/// other one took, until one of both lets go.
pub(super) fn judge(views: &[View<'_>], max_outage_ms: u64, split_expected: bool) -> Option<Trip> {
    let limit_us = max_outage_ms.saturating_mul(1_000);
    for view in views {
        let node = view.node;
        if view.verdict == Some(Verdict::Split) && !split_expected {
            return Some(Trip::Split(format!("{node} says that both nodes serve a group")));
        }
        let longest = view.gauges.iter().map(|gauge| gauge.silent_us.max(gauge.max_us)).max();
        if let Some(us) = longest.filter(|us| *us > limit_us) {
            let (was, max) = (span(us / 1_000), span(max_outage_ms));
            let text = format!("seen from {node} the service was away for {was}: more than {max}");
            return Some(Trip::Outage(text));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let check = |silent_ms: u64, max_ms: u64, verdict, split_expected, expect: Option<&str>| {
            let gauge = Gauge { silent_us: silent_ms * 1_000, steady: 0, max_us: max_ms * 1_000 };
            let views = [
                View { node: "a", gauges: &[], verdict: None },
                View { node: "b", gauges: &[Gauge::default(), gauge], verdict },
            ];
            let trip = judge(&views, 5_000, split_expected).map(|trip| match trip {
                Trip::Outage(_) => "outage",
                Trip::Split(_) => "split",
            });
            assert_eq!(trip, expect, "{silent_ms} {max_ms} {verdict:?} {split_expected}");
        };
        check(0, 0, None, false, None);
        check(5_000, 5_000, Some(Verdict::Transition), false, None);
        check(5_001, 0, None, false, Some("outage"));
        check(0, 5_001, None, false, Some("outage"));
        check(0, 0, Some(Verdict::Down), false, None);
        check(0, 0, Some(Verdict::Split), false, Some("split"));
        check(0, 0, Some(Verdict::Split), true, None);
        check(6_000, 0, Some(Verdict::Split), true, Some("outage"));
    }

    #[test]
    fn an_observer_that_cannot_judge_is_not_asked() {
        let blind = View { node: "a", gauges: &[], verdict: Some(Verdict::Healthy) };
        assert_eq!(judge(&[blind], 0, false), None);
    }
}
