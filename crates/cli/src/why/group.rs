//! Why a group is where it is, why not elsewhere, and whether it goes home. Values in, words out.

use hb_config::settings::AutoFailback;
use hb_node::api::{GroupStatus, HistoryEntry};
use hb_resource::input::GroupClaim;

use super::{Answer, View};
use crate::history::line::{outage, span};
use crate::status::age;

/// Earlier moves that are told.
const EARLIER: usize = 3;

impl View<'_> {
    pub(super) fn group(&self, group: &GroupStatus) -> Answer {
        let key = &group.key;
        let headline = match &group.active_on {
            Some(node) => format!("{key} is on {node}."),
            None => format!("{key} is served by no node, as far as is known here."),
        };
        let mut answer = Answer::new(key, headline);
        let claim = group.here.word();
        let this = &self.status.this_node.name;
        answer.add("since", format!("on {this} it has been {claim} for {}", age(group.since_ms)));
        let moves = self.last(EARLIER + 1, |it| it.is_move() && it.group == *key);
        self.why_here(group, moves.first().copied(), &mut answer);
        for entry in moves.iter().skip(1) {
            answer.add("before", self.told(entry));
        }
        self.why_not_there(group, &mut answer);
        answer.add("failback", self.failback_words(group));
        self.next(group, moves.first().copied(), &mut answer);
        self.what_to_do(group, &mut answer);
        answer
    }

    fn why_here(&self, group: &GroupStatus, last: Option<&HistoryEntry>, answer: &mut Answer) {
        let why = if group.active_on.is_some() { "why here" } else { "why not" };
        match last {
            Some(entry) => {
                answer.add(why, format!("{} ({})", entry.reason, entry.cause));
                answer.add("last move", self.told(entry));
                if let Some(outage) = outage(entry) {
                    let from = entry.outage_since.map(|since| since.words()).unwrap_or_default();
                    answer.add("outage", format!("{outage}, counted from {from}"));
                }
            }
            None => answer.add(why, format!("{} (no move is kept in the history)", group.reason)),
        }
        if last.is_some_and(|entry| entry.reason != group.reason) {
            answer.add(why, format!("at this moment: {}", group.reason));
        }
    }

    /// What keeps it from the node that does not have it.
    fn why_not_there(&self, group: &GroupStatus, answer: &mut Answer) {
        let status = self.status;
        let this = &status.this_node.name;
        let peer = status.peer.as_ref();
        let is_here = group.active_on.as_ref() == Some(this);
        if !is_here {
            let why = group.unready_here.clone().or_else(|| match group.here {
                GroupClaim::Failed => Some(format!("it failed here: {}", group.reason)),
                GroupClaim::Blocked => Some(format!("it could not be stopped: {}", group.reason)),
                GroupClaim::Released
                | GroupClaim::Acquiring
                | GroupClaim::Held
                | GroupClaim::Releasing => None,
            });
            let text = match (why, &group.active_on) {
                (Some(why), _) => format!("{this}: {why}"),
                (None, Some(active)) => format!("{this}: could run it, and {active} has it"),
                (None, None) => {
                    format!("{this}: could run it; see what speaks against it in `hb why`")
                }
            };
            answer.add("why not there", text);
        }
        let Some(peer) = peer.filter(|peer| group.active_on.as_ref() != Some(&peer.name)) else {
            return;
        };
        let name = &peer.name;
        let text = match (peer.status.as_str(), &group.unready_peer, group.peer) {
            ("active", Some(why), _) => format!("{name}: could not run it: {why}"),
            ("active", None, Some(GroupClaim::Failed)) => format!("{name}: it failed there"),
            ("active", None, Some(GroupClaim::Blocked)) => {
                format!("{name}: it could not be stopped there")
            }
            ("active", None, Some(_)) => match is_here {
                true => format!("{name}: could run it, and {this} has it"),
                false => format!("{name}: could run it"),
            },
            ("active", None, None) => format!("{name}: does not tell of single groups"),
            (word, _, _) => format!("{name}: is {word}"),
        };
        answer.add("why not there", text);
    }

    /// Whether and when it goes to the node that it prefers.
    pub(super) fn failback_words(&self, group: &GroupStatus) -> String {
        let prefers = &group.prefers;
        if group.active_on.as_ref() == Some(prefers) {
            return format!("nothing to do: it prefers {prefers} and is there");
        }
        if let Some(words) = &group.failback {
            return format!("to {prefers}: {words}");
        }
        match self.status.auto_failback {
            AutoFailback::On => format!(
                "not now: it prefers {prefers}, and goes there when {prefers} comes back, not after \
                 an operator has moved it away"
            ),
            AutoFailback::Off => {
                format!(
                    "off: it prefers {prefers} and stays where it is until an operator moves it"
                )
            }
            AutoFailback::Legacy => {
                format!("legacy, which acts as off: it prefers {prefers} and stays where it is")
            }
        }
    }

    /// What would happen next, and how long it would take as far as was measured.
    fn next(&self, group: &GroupStatus, last: Option<&HistoryEntry>, answer: &mut Answer) {
        let status = self.status;
        let Some(active) = &group.active_on else { return };
        let is_here = *active == status.this_node.name;
        let unready = if is_here { &group.unready_peer } else { &group.unready_here };
        let peer = status.peer.as_ref();
        let heir = match is_here {
            true => peer.filter(|peer| peer.status == "active").map(|peer| peer.name.clone()),
            false => Some(status.this_node.name.clone()),
        };
        let took = last
            .and_then(|entry| entry.start_ms)
            .map(|ms| format!(", and then start it (it took {} last time)", span(ms)));
        let text = match (heir, unready) {
            (Some(_), Some(why)) => format!("if {active} dies it would NOT be served: {why}"),
            (Some(heir), None) => format!(
                "if {active} dies: {heir} would take it after {} of silence{}",
                span(status.timing.deadtime_ms),
                took.unwrap_or_default()
            ),
            (None, _) => format!("if {active} dies it would NOT be served: no other node is there"),
        };
        answer.add("next", text);
        if status.maintenance.is_some() {
            let would = group.would_do.clone().unwrap_or_else(|| "nothing".to_owned());
            answer.add("next", format!("maintenance is on; without it would be done: {would}"));
        }
    }

    fn what_to_do(&self, group: &GroupStatus, answer: &mut Answer) {
        let key = &group.key;
        let about = self.status.problems.iter().filter(|problem| problem.text.contains(key));
        let hints: Vec<String> =
            about.map(|it| it.hint.clone()).filter(|hint| !hint.is_empty()).collect();
        if !hints.is_empty() {
            hints.into_iter().for_each(|hint| answer.add("do", hint));
            return;
        }
        match &group.active_on {
            Some(active) if self.status.failover_ready => answer
                .add("do", format!("nothing; to move it, on {active}: hb standby --group '{key}'")),
            Some(_) => answer.add("do", "nothing for the group; hb why tells what is not ready"),
            None => answer.add("do", "hb status shows what is wrong; then: hb cleanup"),
        }
    }

    pub(super) fn failback(&self) -> Answer {
        let mode = match self.status.auto_failback {
            AutoFailback::On => "on",
            AutoFailback::Off => "off",
            AutoFailback::Legacy => "legacy, which acts as off",
        };
        let mut answer = Answer::new("failback", format!("auto_failback is {mode}."));
        for group in &self.status.groups {
            answer.add("group", format!("{}: {}", group.key, self.failback_words(group)));
        }
        for entry in self.last(EARLIER, |entry| entry.cause == "failback") {
            answer.add("before", self.told(entry));
        }
        answer
    }
}
