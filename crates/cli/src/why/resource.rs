//! Why a resource is in its state: what was done to it, how it ended, what failed. Values in, words
//! out.

use hb_node::api::{EntryKind, GroupStatus, HistoryEntry, ResourceStatus};

use super::{Answer, View};
use crate::history::line::span;
use crate::status::age;

/// Entries in which it plays a part that are told.
const EARLIER: usize = 3;

impl View<'_> {
    pub(super) fn resource(&self, group: &GroupStatus, member: &ResourceStatus) -> Answer {
        let name = &member.text;
        let this = &self.status.this_node.name;
        let mut answer = Answer::new(name, format!("{name} is {} on {this}.", member.state));
        answer.add("since", age(member.since_ms));
        let active = group.active_on.as_deref().unwrap_or("no node");
        answer.add("why", format!("it belongs to group {}, which is on {active}", group.key));
        answer.add("why", group.reason.clone());
        answer.maybe("last", member.last.clone());
        answer.maybe("checked", member.checked_ms_ago.map(|ms| format!("{} ago", age(ms))));
        answer.maybe("under way", member.under_way.clone());
        if member.failures > 0 {
            let count = member.failures;
            answer.add("failures", format!("{count} within the window of [recovery] in hb.toml"));
        }
        for entry in self.last(EARLIER, |entry| concerns(entry, group, name)) {
            answer.add("before", self.told(entry));
            let steps = entry.steps.iter().filter(|step| step.resource == *name);
            for step in steps {
                let (action, ms, outcome) = (&step.action, span(step.ms), &step.outcome);
                answer.add("before", format!("  {action} in {ms}: {outcome}"));
            }
        }
        if member.failures > 0 || member.state == "failed" {
            answer.add("do", format!("mend the cause, then: hb cleanup '{}'", group.key));
        }
        answer
    }
}

/// It failed, or was started or stopped.
fn concerns(entry: &HistoryEntry, group: &GroupStatus, name: &str) -> bool {
    let failed = entry.kind == EntryKind::Failure && entry.subject.as_deref() == Some(name);
    let done = entry.steps.iter().any(|step| step.resource == name);
    entry.group == group.key && (failed || done)
}
