//! `hb status --plain`: one `key value` line for each fact, in a fixed order. Keys are stable: they
//! may be added, and none changes its meaning. What is not known is `unknown`. Values in, text out.

use std::fmt::Display;

use hb_node::api::{GroupStatus, LinkStatus, StatusSnapshot};

use super::{Known, forms};

/// Lines so far.
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: impl Display) {
        let value = value.to_string().replace(['\n', '\r'], " ");
        self.0 += &format!("{key} {value}\n");
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.add(key, value),
            None => self.add(key, "unknown"),
        }
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// All lines.
pub(super) fn plain(known: &Known) -> String {
    let mut out = Lines(String::new());
    out.add("daemon", if known.down.is_some() { "down" } else { "running" });
    if let Some(down) = &known.down {
        out.add("error", &down.error);
        if known.snapshot.is_some() {
            out.add("age_s", down.age_ms / 1_000);
        }
    }
    if let Some(snapshot) = &known.snapshot {
        out.pair(snapshot);
        out.nodes(snapshot);
        snapshot.groups.iter().for_each(|group| out.group(group));
        out.last_move(snapshot);
    }
    out.0
}

impl Lines {
    fn pair(&mut self, snapshot: &StatusSnapshot) {
        self.add("cluster", &snapshot.cluster);
        self.add("version", &snapshot.version);
        self.add("verdict", forms::word_of(snapshot.verdict));
        self.add("verdict_since_s", snapshot.verdict_since_ms / 1_000);
        self.add("failover_ready", yes(snapshot.failover_ready));
        for (number, why) in (1..).zip(&snapshot.unready) {
            self.add(&format!("unready.{number}"), why);
        }
        for (number, problem) in (1..).zip(&snapshot.problems) {
            self.add(&format!("problem.{number}.id"), &problem.id);
            self.add(&format!("problem.{number}.since_s"), problem.since_ms / 1_000);
            self.add(&format!("problem.{number}.text"), &problem.text);
            self.add(&format!("problem.{number}.do"), &problem.hint);
        }
        if let Some(maintenance) = &snapshot.maintenance {
            self.add("maintenance.here", yes(maintenance.here));
            self.add("maintenance.peer", yes(maintenance.peer));
        }
        if let Some(fencing) = &snapshot.fencing {
            self.add("fencing", &fencing.state);
        }
        if let Some(witness) = &snapshot.witness {
            self.add("witness", witness);
        }
        for part in &snapshot.config {
            let word = part.same.map(|same| if same { "same" } else { "differs" });
            self.maybe(&format!("config.{}", part.part), word);
        }
    }

    fn nodes(&mut self, snapshot: &StatusSnapshot) {
        let this = &snapshot.this_node;
        self.add("this_node", &this.name);
        self.add("this_node.status", &this.status);
        self.add("this_node.holds", &this.rscstatus);
        self.add("this_node.uptime_s", snapshot.uptime_ms / 1_000);
        self.add("this_node.key", &this.key);
        if let Some(peer) = &snapshot.peer {
            self.add("peer", &peer.name);
            self.add("peer.status", &peer.status);
            self.maybe("peer.heard_ms", peer.heard_ms_ago);
            self.maybe("peer.holds", peer.holdings.as_ref());
            peer.links.iter().for_each(|link| self.link(link));
        }
        for ping in &snapshot.pings {
            self.add(&format!("ping.{}", ping.name), &ping.status);
        }
    }

    fn link(&mut self, link: &LinkStatus) {
        let key = |what: &str| format!("link.{}.{what}", link.name);
        self.add(&key("hears"), yes(link.up));
        self.maybe(&key("peer_hears"), link.peer_hears.map(yes));
        self.maybe(&key("heard_ms"), link.heard_ms_ago);
        self.maybe(&key("loss_permille"), link.loss_permille);
        self.maybe(&key("rtt_us"), link.rtt_us);
        if let Some(failure) = &link.failure {
            self.add(&key("failure"), failure);
        }
    }

    fn group(&mut self, group: &GroupStatus) {
        let key = |what: &str| format!("group.{}.{what}", group.key);
        self.maybe(&key("active_on"), group.active_on.as_ref());
        self.add(&key("prefers"), &group.prefers);
        self.add(&key("here"), group.here.word());
        self.maybe(&key("peer"), group.peer.map(|claim| claim.word()));
        self.add(&key("since_s"), group.since_ms / 1_000);
        self.add(&key("reason"), &group.reason);
        let whys = [
            ("unready_here", &group.unready_here),
            ("unready_peer", &group.unready_peer),
            ("failback", &group.failback),
            ("would_do", &group.would_do),
        ];
        for (what, why) in whys {
            if let Some(why) = why {
                self.add(&key(what), why);
            }
        }
        for (number, resource) in (1..).zip(&group.resources) {
            let key = |what: &str| format!("group.{}.resource.{number}.{what}", group.key);
            self.add(&key("text"), &resource.text);
            self.add(&key("state"), &resource.state);
            self.add(&key("failures"), resource.failures);
            if let Some(ms) = resource.checked_ms_ago {
                self.add(&key("checked_ms"), ms);
            }
        }
    }

    fn last_move(&mut self, snapshot: &StatusSnapshot) {
        let Some(last) = &snapshot.last_move else { return };
        self.add("last_move.number", last.number);
        self.add("last_move.unix_ms", last.at_ms());
        self.add("last_move.group", &last.group);
        self.add("last_move.what", &last.what);
        self.maybe("last_move.from", last.from.as_ref());
        self.maybe("last_move.to", last.to.as_ref());
        self.add("last_move.cause", &last.cause);
        self.maybe("last_move.by", last.by.as_ref());
        self.maybe("last_move.outage_ms", last.outage_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_fact_has_its_line() {
        let known = Known { snapshot: Some(testing::snapshot()), down: None };
        insta::assert_snapshot!("plain", plain(&known));
    }

    #[test]
    fn a_key_stands_once_and_a_line_has_two_parts() {
        let mut snapshot = testing::snapshot();
        snapshot.problems[0].text = "two\nlines".into();
        let text = plain(&Known { snapshot: Some(snapshot), down: None });
        let keys: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        let once: std::collections::BTreeSet<&str> = keys.iter().copied().collect();
        assert_eq!(keys.len(), once.len(), "{text}");
        assert!(text.contains("problem.1.text two lines\n"), "{text}");
    }
}
