//! When the last status is worth keeping for the time in which the daemon cannot be asked: on each
//! change that people would notice, and now and then, so that its age says something. Decides only;
//! the writer of the log writes.

use hb_node::api::{SavedStatus, StatusSnapshot};

/// Milliseconds between two writes on change: a flapping link must not wear out a disk.
const CHANGED_MS: u64 = 2_000;
/// Milliseconds after which it is written although nothing has changed: a page of a disk each five
/// minutes, and nobody who reads it is misled by more.
const UNCHANGED_MS: u64 = 300_000;

/// What was kept last.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastStatus {
    kept: Option<(String, u64)>,
}

impl LastStatus {
    /// The text to be written, if one is due at `unix_ms`. `is_last`: the daemon leaves.
    pub(crate) fn due(
        &mut self,
        status: StatusSnapshot,
        unix_ms: u64,
        is_last: bool,
    ) -> Option<String> {
        let mark = mark(&status);
        let due = match &self.kept {
            None => true,
            // The wall clock may go back: that is a change too.
            Some((kept, at)) => {
                let passed = unix_ms.checked_sub(*at).unwrap_or(UNCHANGED_MS);
                passed >= UNCHANGED_MS || (passed >= CHANGED_MS && *kept != mark)
            }
        };
        if !due && !is_last {
            return None;
        }
        self.kept = Some((mark, unix_ms));
        let saved = SavedStatus { saved_unix_ms: unix_ms, is_last, status };
        serde_json::to_string(&saved).ok()
    }
}

/// What people would notice of a status: no ages and no counters.
fn mark(status: &StatusSnapshot) -> String {
    let problems = status.problems.iter().map(|problem| (&problem.id, &problem.text));
    let groups = status.groups.iter().map(|group| {
        let members = group.resources.iter().map(|member| &member.state);
        (group.here, group.peer, &group.active_on, members.collect::<Vec<_>>())
    });
    let peer = status.peer.as_ref().map(|peer| {
        let links = peer.links.iter().map(|link| (link.up, link.peer_hears));
        (&peer.status, links.collect::<Vec<_>>())
    });
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        status.verdict,
        status.this_node.status,
        peer,
        groups.collect::<Vec<_>>(),
        problems.collect::<Vec<_>>(),
        status.maintenance.as_ref().map(|it| (it.here, it.peer)),
        status.last_move.as_ref().map(|entry| (entry.number, entry.outage_ms)),
    )
}

#[cfg(test)]
mod tests {
    use hb_config::Files;
    use hb_config::settings::NodeName;
    use hb_config::span::FileId;
    use hb_messaging::time::Instant;
    use hb_node::{Identity, Node};

    use super::*;

    fn status() -> StatusSnapshot {
        let mut files = Files::missing_in("/etc/ha.d");
        let ha_cf = "node node1 node2\nucast lo 127.0.0.1\nauto_failback off\n";
        files.set(FileId::HaCf, ha_cf.as_bytes(), Some(0o644));
        files.set(FileId::HaResources, b"node1 nginx\n", Some(0o644));
        files.set(FileId::AuthKeys, b"auth 1\n1 sha1 0123456789abcdef0123\n", Some(0o600));
        let loaded = hb_config::load(&files, Some(&NodeName::new("node1")));
        let identity = Identity { uuid: [1; 16], generation: 1, seed: 1 };
        Node::new(&loaded.settings.expect("valid"), identity).status(Instant::ZERO)
    }

    #[test]
    fn it_is_kept_on_change_at_a_bounded_rate() {
        let mut last = LastStatus::default();
        let mut due = |what: &str, at, is_last| {
            let mut status = status();
            status.this_node.status = what.into();
            status.uptime_ms = at;
            last.due(status, at, is_last).is_some()
        };
        assert!(due("up", 10_000, false), "the first one");
        assert!(!due("up", 15_000, false), "nothing has changed");
        assert!(due("active", 15_000, false));
        assert!(!due("up", 16_999, false), "too soon");
        assert!(due("up", 17_000, false));
        assert!(!due("up", 316_999, false));
        assert!(due("up", 317_000, false), "to say that it still holds");
        assert!(due("up", 317_001, true), "the last one");
        assert!(due("up", 5_000, false), "the clock went back");
    }
}
