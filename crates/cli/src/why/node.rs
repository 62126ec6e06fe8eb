//! Why a node is taken for what status says. Values in, words out.

use hb_node::api::{HistoryEntry, PeerNode};

use super::{Answer, View};
use crate::status::age;

/// Entries about it that are told.
const EARLIER: usize = 4;

impl View<'_> {
    pub(super) fn is_node(&self, name: &str) -> bool {
        self.status.members.iter().any(|member| member.eq_ignore_ascii_case(name))
    }

    pub(super) fn node(&self, name: &str) -> Answer {
        let this = &self.status.this_node;
        let peer = self.status.peer.as_ref().filter(|peer| peer.name.eq_ignore_ascii_case(name));
        let mut answer = match peer {
            Some(peer) => self.peer(peer),
            None => {
                let status = &this.status;
                let mut answer = Answer::new(&this.name, format!("{} is {status}.", this.name));
                answer.add("since", format!("it runs for {}", age(self.status.uptime_ms)));
                answer.add("why", "it is this node: it answers");
                answer
            }
        };
        let subject = answer.subject.clone();
        let about = |entry: &HistoryEntry| {
            entry.group.is_empty() && entry.subject.as_deref() == Some(subject.as_str())
        };
        for entry in self.last(EARLIER, about) {
            answer.add("before", self.told(entry));
        }
        let groups = self.status.groups.iter();
        let here: Vec<&str> = groups
            .filter(|group| group.active_on.as_deref() == Some(subject.as_str()))
            .map(|group| group.key.as_str())
            .collect();
        let serves = if here.is_empty() { "nothing".to_owned() } else { here.join(", ") };
        answer.add("serves", serves);
        let problems = self.status.problems.iter();
        for problem in problems.filter(|problem| problem.text.contains(&subject)) {
            answer.add("because", format!("{} (for {})", problem.text, age(problem.since_ms)));
            if !problem.hint.is_empty() {
                answer.add("do", problem.hint.clone());
            }
        }
        answer
    }

    fn peer(&self, peer: &PeerNode) -> Answer {
        let name = &peer.name;
        let mut answer =
            Answer::new(name, format!("{name} is {}, as this node sees it.", peer.status));
        let dead = crate::history::line::span(self.status.timing.deadtime_ms);
        answer.add(
            "why",
            match peer.heard_ms_ago {
                Some(ms) => format!(
                    "its last packet came {} ago; it counts as silent after {dead}",
                    age(ms)
                ),
                None => "nothing was heard of it since this node started".to_owned(),
            },
        );
        for link in &peer.links {
            let here = match (&link.failure, link.up, link.heard_ms_ago) {
                (Some(failure), _, _) => format!("does not work here: {failure}"),
                (None, true, _) => "its packets arrive".to_owned(),
                (None, false, Some(ms)) => format!("nothing arrives for {}", age(ms)),
                (None, false, None) => "nothing ever arrived".to_owned(),
            };
            let there = match link.peer_hears {
                Some(true) => "ours arrive there",
                Some(false) => "ours do NOT arrive there",
                None => "whether ours arrive there is not known",
            };
            answer.add("links", format!("{}: {here}; {there}", link.name));
        }
        for ping in &self.status.pings {
            let word = if ping.status == "ping" { "answers this node" } else { "does not answer" };
            answer.add("ping", format!("{} {word}", ping.name));
        }
        answer
    }
}
