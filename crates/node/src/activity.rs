//! What is being done to each resource and how the last operations on it ended, for status. It
//! remembers; the resource manager decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::operation::{Action, GroupKey, IN_USE_BY_PEER, OpId, Operation, Outcome};
use serde::{Deserialize, Serialize};

use crate::report::millis;

/// From here on an operation is shown as hanging: longer than services take to start or stop on
/// most machines, shorter than the patience of whoever looks at status.
pub(crate) const HUNG: Duration = Duration::from_secs(10);

/// How operations on one member ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The last one.
    last: (Action, Outcome),
    /// What went wrong since it last worked. What is done after a failure, such as stopping the
    /// rest, does not hide it.
    failure: Option<(Action, Outcome)>,
    /// What went wrong last, though it works again.
    mended: Option<(Action, Outcome)>,
    /// When it was last found out whether it runs.
    checked: Option<Instant>,
    /// The silent peer's machine answered for the address, and nobody has found since that it does
    /// not.
    #[serde(default)]
    claimed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UnderWay {
    operation: Arc<Operation>,
    begun: Instant,
    cancelled: bool,
}

/// Everything that is done to resources here. Bounded by the members of haresources and by the
/// operations that the manager has under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Activity {
    under_way: BTreeMap<OpId, UnderWay>,
    /// By group, and by the text in haresources.
    records: BTreeMap<GroupKey, BTreeMap<String, Record>>,
}

impl Activity {
    pub(crate) fn begin(&mut self, operation: &Arc<Operation>, now: Instant) {
        let operation = Arc::clone(operation);
        let under_way = UnderWay { operation, begun: now, cancelled: false };
        self.under_way.insert(under_way.operation.id, under_way);
    }

    /// The operation is in the way of another: how it ends says nothing of the resource. Whether it
    /// is under way: the manager, which a pause tells nothing, may not know yet that it has ended.
    #[must_use]
    pub(crate) fn cancel(&mut self, op: OpId) -> bool {
        let under_way = self.under_way.get_mut(&op);
        under_way.map(|under_way| under_way.cancelled = true).is_some()
    }

    /// Whether an operation under way was cancelled.
    pub(crate) fn is_cancelled(&self, op: OpId) -> bool {
        self.under_way.get(&op).is_some_and(|under_way| under_way.cancelled)
    }

    /// The operation that ended and how long it took; `None` when it is not under way.
    pub(crate) fn end(
        &mut self,
        op: OpId,
        outcome: &Outcome,
        now: Instant,
    ) -> Option<(Arc<Operation>, Duration)> {
        let UnderWay { operation, begun, cancelled } = self.under_way.remove(&op)?;
        if !cancelled {
            self.record(&operation, outcome, now);
        }
        Some((operation, now - begun))
    }

    fn record(&mut self, operation: &Operation, outcome: &Outcome, now: Instant) {
        let changes = match operation.action {
            Action::Start | Action::Stop => true,
            Action::Status => false,
            // Neither says how the resource is.
            Action::Announce | Action::Validate => return,
        };
        let before = self.record_of(&operation.group, &operation.resource.text);
        let happened = (operation.action, outcome.clone());
        let could_look = !matches!(outcome, Outcome::CouldNotRun { .. } | Outcome::TimedOut);
        // Looked at beside a start or stop, not running is an everyday answer.
        let expected = !changes && !operation.monitor && *outcome == Outcome::NotRunning;
        let works = *outcome == Outcome::Ok && operation.action != Action::Stop;
        let bad = !expected && *outcome != Outcome::Ok;
        let former = before.and_then(|record| record.failure.clone());
        let failure = match (works, bad) {
            (true, _) => None,
            (false, true) => Some(happened.clone()),
            (false, false) => former,
        };
        let known = before.and_then(|record| record.mended.clone());
        let mended = failure.clone().or(known);
        let looked = operation.action == Action::Status && could_look;
        let known = before.and_then(|record| record.checked);
        let checked = if looked { Some(now) } else { known };
        let was_claimed = before.is_some_and(|record| record.claimed);
        let claimed = is_claimed(operation, outcome, was_claimed);
        let record = Record { last: happened, failure, mended, checked, claimed };
        let members = self.records.get_mut(&operation.group);
        if let Some(known) = members.and_then(|members| members.get_mut(&operation.resource.text)) {
            *known = record;
        } else {
            let members = self.records.entry(operation.group.clone()).or_default();
            members.insert(operation.resource.text.clone(), record);
        }
    }

    fn record_of(&self, group: &str, resource: &str) -> Option<&Record> {
        self.records.get(group)?.get(resource)
    }

    /// The last operation on a member in words, after what went wrong before it.
    pub(crate) fn last(&self, group: &str, resource: &str) -> Option<String> {
        let record = self.record_of(group, resource)?;
        let words = |(action, outcome): &(Action, Outcome)| {
            format!("{} {}", action.word(), outcome.describe())
        };
        let last = words(&record.last);
        Some(match &record.failure {
            Some(failure) if *failure != record.last => format!("{}; then {last}", words(failure)),
            Some(_) | None => last,
        })
    }

    /// What went wrong with a member last, in words to be added: `: status not running`.
    pub(crate) fn failed(&self, group: &str, resource: &str) -> Option<String> {
        let record = self.record_of(group, resource)?;
        let (action, outcome) = record.mended.as_ref()?;
        Some(format!(": {} {}", action.word(), outcome.describe()))
    }

    /// The address of a group for which the silent peer's machine answers, as far as is known.
    pub(crate) fn claimed_by_peer(&self, group: &str) -> Option<&str> {
        let mut records = self.records.get(group)?.iter();
        records.find(|(_, record)| record.claimed).map(|(resource, _)| resource.as_str())
    }

    /// Milliseconds since it was last found out whether a member runs.
    pub(crate) fn checked_ms_ago(&self, group: &str, resource: &str, now: Instant) -> Option<u64> {
        let record = self.record_of(group, resource)?;
        record.checked.map(|at| millis(now - at))
    }

    /// The operation under way on a member, in words; of a check and a change the change.
    pub(crate) fn under_way(&self, group: &str, resource: &str, now: Instant) -> Option<String> {
        let of = |under_way: &&UnderWay| {
            let operation = &under_way.operation;
            operation.group == group && operation.resource.text == resource
        };
        let found = self.under_way.values().filter(of).min_by_key(|under_way| {
            let operation = &under_way.operation;
            (operation.monitor, operation.action == Action::Validate, operation.id)
        });
        found.map(|under_way| under_way.words(now))
    }

    /// Operations that have taken longer than [`HUNG`], each with words.
    pub(crate) fn hung(&self, now: Instant) -> impl Iterator<Item = (&Operation, String)> {
        let hung = self.under_way.values().filter(move |under_way| now - under_way.begun >= HUNG);
        hung.map(move |under_way| (&*under_way.operation, under_way.words(now)))
    }
}

/// Whether the silent peer's machine still counts as answering for an address, once this operation
/// has ended. One that was asked for without an answer is free; one that is taken unasked may not be.
fn is_claimed(operation: &Operation, outcome: &Outcome, before: bool) -> bool {
    match (operation.action, outcome) {
        (Action::Start, Outcome::Failed { code: Some(IN_USE_BY_PEER), .. }) => true,
        (Action::Start, Outcome::Ok) => before && !operation.probe,
        (Action::Stop, Outcome::Ok) => false,
        (
            Action::Start | Action::Stop | Action::Status | Action::Announce | Action::Validate,
            _,
        ) => before,
    }
}

impl UnderWay {
    /// `stop: under way for 12 s, limit 60 s`
    fn words(&self, now: Instant) -> String {
        let Operation { action, monitor, kill, timeout, .. } = &*self.operation;
        let what = if *monitor { "check" } else { action.word() };
        let how = if *kill { " with KILL" } else { "" };
        let (lasted, limit) = (short(now - self.begun), short(*timeout));
        format!("{what}{how}: under way for {lasted}, limit {limit}")
    }
}

/// A duration for people: `40 ms`, `12 s`, `5 min`.
pub(crate) fn short(duration: Duration) -> String {
    let millis = millis(duration);
    match millis {
        0..=999 => format!("{millis} ms"),
        1_000..=9_999 if millis % 1_000 >= 100 => {
            format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
        }
        1_000..=299_999 => format!("{} s", millis / 1_000),
        _ => format!("{} min", millis / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use hb_config::settings::{AgentSpec, ResourceSpec};

    use super::*;

    fn shared(id: u64, action: Action, monitor: bool) -> Arc<Operation> {
        Arc::new(operation(id, action, monitor))
    }

    fn operation(id: u64, action: Action, monitor: bool) -> Operation {
        let agent = AgentSpec::Script { name: "nginx".into(), args: Vec::new() };
        Operation {
            id: OpId(id),
            group: "www".into(),
            resource: ResourceSpec { text: "nginx".into(), agent, built_in: None },
            action,
            timeout: Duration::from_secs(60),
            kill: false,
            monitor,
            probe: false,
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn failed() -> Outcome {
        Outcome::Failed { code: Some(1), reason: "no disk".into() }
    }

    #[test]
    fn a_failure_is_told_until_it_works_again() {
        let check = |done: &[(Action, bool, Outcome)], expect: &str| {
            let mut activity = Activity::default();
            for (id, (action, monitor, outcome)) in (0..).zip(done) {
                activity.begin(&shared(id, *action, *monitor), at(0));
                assert!(activity.end(OpId(id), outcome, at(5)).is_some());
            }
            assert_eq!(activity.last("www", "nginx").as_deref(), Some(expect));
        };
        let ok = || Outcome::Ok;
        let (start, stop, status) = (Action::Start, Action::Stop, Action::Status);
        check(&[(start, false, ok())], "start ok");
        check(&[(start, false, failed())], "start failed with exit code 1: no disk");
        check(
            &[(start, false, failed()), (stop, false, ok())],
            "start failed with exit code 1: no disk; then stop ok",
        );
        check(&[(start, false, failed()), (stop, false, ok()), (start, false, ok())], "start ok");
        check(&[(status, false, Outcome::NotRunning)], "status not running");
        check(
            &[(status, true, Outcome::NotRunning), (stop, false, ok())],
            "status not running; then stop ok",
        );
        check(&[(start, false, failed()), (status, true, ok())], "status ok");
        check(&[(start, false, ok()), (Action::Announce, false, failed())], "start ok");
    }

    #[test]
    fn only_what_is_under_way_is_cancelled() {
        let mut activity = Activity::default();
        activity.begin(&shared(1, Action::Status, true), at(0));
        assert!(activity.cancel(OpId(1)));
        assert!(activity.end(OpId(1), &failed(), at(5)).is_some());
        assert_eq!(activity.last("www", "nginx"), None);
        assert!(!activity.cancel(OpId(1)), "its end is held back from the manager");
    }

    #[test]
    fn a_check_that_could_not_be_run_has_checked_nothing() {
        let mut activity = Activity::default();
        for (id, outcome) in [(1, Outcome::Ok), (2, Outcome::TimedOut)] {
            activity.begin(&shared(id, Action::Status, true), at(id * 100));
            activity.end(OpId(id), &outcome, at(id * 100));
        }
        assert_eq!(activity.checked_ms_ago("www", "nginx", at(250)), Some(150));
        assert_eq!(activity.checked_ms_ago("www", "other", at(250)), None);
    }

    #[test]
    fn what_hangs_is_named_with_its_limit() {
        let mut activity = Activity::default();
        activity.begin(&shared(1, Action::Status, true), at(0));
        activity.begin(&shared(2, Action::Stop, false), at(0));
        assert_eq!(activity.hung(at(9_999)).count(), 0);
        let hung: Vec<String> = activity.hung(at(12_000)).map(|(_, words)| words).collect();
        assert_eq!(
            hung,
            ["check: under way for 12 s, limit 60 s", "stop: under way for 12 s, limit 60 s"]
        );
        assert_eq!(
            activity.under_way("www", "nginx", at(1_500)).as_deref(),
            Some("stop: under way for 1.5 s, limit 60 s")
        );
        assert_eq!(activity.end(OpId(9), &Outcome::Ok, at(0)), None);
        activity.end(OpId(2), &Outcome::Ok, at(13_000));
        assert_eq!(activity.hung(at(13_000)).count(), 1);
    }

    #[test]
    fn durations_are_short() {
        for (millis, expect) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_500, "1.5 s"),
            (12_400, "12 s"),
            (299_999, "299 s"),
            (300_000, "5 min"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), expect);
        }
    }
}
