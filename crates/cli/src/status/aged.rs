//! Makes a snapshot older: what was kept a while ago is shown with its age at this moment, so that
//! no claim is older than its label. Values in, values out.

use hb_node::api::StatusSnapshot;

/// The snapshot with `ms` added to every age in it.
pub(crate) fn aged(mut snapshot: StatusSnapshot, ms: u64) -> StatusSnapshot {
    let add = |age: &mut u64| *age = age.saturating_add(ms);
    let add_to = |age: &mut Option<u64>| *age = age.map(|age| age.saturating_add(ms));
    add(&mut snapshot.verdict_since_ms);
    snapshot.problems.iter_mut().for_each(|problem| add(&mut problem.since_ms));
    if let Some(maintenance) = &mut snapshot.maintenance {
        maintenance.ends_in_ms = maintenance.ends_in_ms.map(|left| left.saturating_sub(ms));
    }
    if let Some(peer) = &mut snapshot.peer {
        add_to(&mut peer.heard_ms_ago);
        peer.links.iter_mut().for_each(|link| add_to(&mut link.heard_ms_ago));
    }
    snapshot.pings.iter_mut().for_each(|ping| add_to(&mut ping.heard_ms_ago));
    for group in &mut snapshot.groups {
        add(&mut group.since_ms);
        for resource in &mut group.resources {
            add(&mut resource.since_ms);
            add_to(&mut resource.checked_ms_ago);
            // What was under way has ended by now, one way or the other.
            resource.under_way = None;
        }
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn nothing_is_shown_younger_than_it_is() {
        let before = testing::snapshot();
        let after = aged(before.clone(), 60_000);
        let heard = |snapshot: &StatusSnapshot| snapshot.peer.as_ref().unwrap().heard_ms_ago;
        assert_eq!(heard(&after), heard(&before).map(|ms| ms + 60_000));
        assert_eq!(after.problems[0].since_ms, before.problems[0].since_ms + 60_000);
        let text = serde_json::to_string(&after).expect("serialises");
        let young = ["\"heard_ms_ago\":90", "\"since_ms\":7100", "\"heard_ms_ago\":8400"];
        assert!(young.iter().all(|mark| !text.contains(mark)), "{text}");
        assert_eq!(after.uptime_ms, before.uptime_ms, "it ran no longer than that");
    }
}
