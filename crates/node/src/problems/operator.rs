//! Problems that an operator made or must solve: maintenance, fencing that does not work, resources
//! that failed or cannot be watched.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_resource::group::ResourceState;
use hb_resource::operation::Outcome;

use super::Finding;
use crate::activity::short;
use crate::api::{MaintenanceStatus, Verdict};
use crate::snapshot::View;

impl View<'_> {
    pub(super) fn find_maintenance(&self, now: Instant, found: &mut Vec<Finding>) {
        let Some(text) = self.maintenance_words(now) else { return };
        let there = self.node.maintenance(now).is_some_and(|state| !state.here);
        let place = if there && self.peer_lives() { self.peer_name() } else { "" };
        let on = if place.is_empty() { String::new() } else { format!(" on {place}") };
        found.push(Finding {
            id: "maintenance",
            subject: String::new(),
            text,
            hint: format!("when the work is done: hb maintenance off{on}"),
            verdict: Verdict::Degraded,
        });
    }

    /// Who is in maintenance and until when; `None` when nobody is.
    pub(crate) fn maintenance_words(&self, now: Instant) -> Option<String> {
        let MaintenanceStatus { here, peer, ends_in_ms } = self.node.maintenance(now)?;
        let (this, other) = (&self.node.profile.node, self.peer_name());
        let who = match (here, peer) {
            (true, true) => format!("{this} and {other} are in maintenance"),
            (true, false) => format!("{this} is in maintenance"),
            (false, _) if self.peer_lives() => format!("{other} is in maintenance"),
            (false, _) => format!("{other} was in maintenance when it was heard last"),
        };
        let until = match ends_in_ms {
            Some(ms) if !peer => {
                format!("it ends by itself in {}", short(Duration::from_millis(ms)))
            }
            Some(_) | None => "it is ended".to_owned(),
        };
        Some(format!("{who}: nothing is started, stopped or moved until {until}"))
    }

    /// Fencing that has failed. What it means for the groups is told as `peer_lost`.
    pub(super) fn find_fencing(&self, found: &mut Vec<Finding>) {
        let Some((state, last)) = self.fencing_trouble() else { return };
        found.push(Finding {
            id: "fencing_failed",
            subject: String::new(),
            text: format!("fencing {state}: {last}"),
            hint: "hb fence test; if the other node is off for certain: hb fence confirm NODE"
                .to_owned(),
            verdict: Verdict::Degraded,
        });
    }

    /// The state of fencing and what happened last, when it does not work.
    pub(crate) fn fencing_trouble(&self) -> Option<(String, String)> {
        let status = self.node.doubt.as_ref()?.fencing_status(self.node.now)?;
        let broken = matches!(status.state.as_str(), "failed" | "refused");
        broken.then(|| (status.state, status.last.unwrap_or_else(|| "no reason is known".into())))
    }

    /// Failures that were mended in place are notes: the service runs. Once they cannot be mended,
    /// the group has failed or moved, which is told as that.
    pub(super) fn find_in_members(&self, found: &mut Vec<Finding>) {
        for group in self.node.manager.groups() {
            let members = group.spec().resources.iter().zip(group.members());
            for (resource, member) in members {
                let (key, name) = (group.key(), &resource.text);
                let mut add = |id, text: String, hint: String, verdict| {
                    let subject = format!("{key} {name}");
                    found.push(Finding { id, subject, text, hint, verdict });
                };
                if member.failures() > 0 {
                    let last = self.node.activity.failed(key, name).unwrap_or_default();
                    let count = member.failures();
                    let times = if count == 1 { "time" } else { "times" };
                    let text = format!("{name} has failed {count} {times} of late{last}");
                    let hint = format!("read its log; forget it: hb cleanup {key}");
                    add("resource_failed", text, hint, Verdict::Healthy);
                }
                if member.state != ResourceState::Running {
                    continue;
                }
                if let Some(Outcome::CouldNotRun { reason }) = &member.checked {
                    let text = format!("{name} runs, and its check cannot be run: {reason}");
                    let hint = "mend the agent, or switch its check off in hb.toml".to_owned();
                    add("monitor_unusable", text, hint, Verdict::Degraded);
                } else if member.has_useless_status() {
                    let text =
                        format!("{name} was started, and its status never says that it runs");
                    let hint = "its agent cannot tell: correct it, or switch its check off in \
                                hb.toml"
                        .to_owned();
                    add("monitor_unusable", text, hint, Verdict::Healthy);
                }
            }
        }
    }
}
