//! Problems of links: broken here, silent, or one-way. Both nodes say what they hear, so that the
//! direction is known and the likely cause can be named.

use hb_messaging::engine::LinkView;
use hb_messaging::message::NodeStatus;
use hb_messaging::time::Instant;

use super::Finding;
use crate::api::Verdict;
use crate::snapshot::View;

/// Keepalives that a word of the peer must last before it is believed to name a direction: both
/// sides notice a cut cable within one of each other, and their words are a second old at most.
const KEEPALIVES: u64 = 2;

impl View<'_> {
    /// A link is only called down while the peer is heard otherwise, or when our own socket fails:
    /// a silent peer is one problem, not one for each link.
    pub(super) fn find_in_links(&self, now: Instant, found: &mut Vec<Finding>) {
        let Some(peer) = self.peer() else { return };
        let heard = matches!(peer.status, NodeStatus::Up | NodeStatus::Active);
        for (index, link) in peer.links.iter().enumerate() {
            let name = &link.name;
            let (id, text, hint) = if let Some(failure) = &link.failure {
                let text = format!("link {name} does not work here: {failure}");
                ("link_down", text, format!("ip link show {name}"))
            } else if !heard {
                continue;
            } else if link.up {
                if !self.is_deaf(index, now) {
                    continue;
                }
                self.one_way(link, false)
            } else if self.is_mute(link, index, now) {
                self.one_way(link, true)
            } else {
                let text = format!("nothing of {} arrives on link {name}", peer.name);
                let hint = format!("check cable, switch and firewall of {name} on both nodes");
                ("link_down", text, hint)
            };
            let (subject, verdict) = (name.to_string(), Verdict::Degraded);
            found.push(Finding { id, subject, text, hint, verdict });
        }
    }

    /// The peer is heard on this link and says that it does not hear us there.
    fn is_deaf(&self, index: usize, now: Instant) -> bool {
        self.peer_hears(index) == Some(false) && self.has_lasted(index, now)
    }

    /// The peer says that it hears us on this link, on which nothing of it has come for longer
    /// than it needs to notice a cut.
    fn is_mute(&self, link: &LinkView, index: usize, now: Instant) -> bool {
        let deadtime_ms = self.node.profile.timing.deadtime_ms;
        let long = link.heard_ms_ago.is_none_or(|ago| ago >= deadtime_ms.saturating_mul(2));
        long && self.peer_hears(index) == Some(true) && self.has_lasted(index, now)
    }

    fn has_lasted(&self, index: usize, now: Instant) -> bool {
        let keepalive_ms = self.node.profile.timing.keepalive_ms;
        self.node.hears.lasted_ms(&index, now) >= keepalive_ms.saturating_mul(KEEPALIVES)
    }

    /// `inbound`: nothing arrives here; otherwise nothing of ours arrives there.
    fn one_way(&self, link: &LinkView, inbound: bool) -> (&'static str, String, String) {
        let (name, peer, here) = (&link.name, self.peer_name(), &self.node.profile.node);
        let port = self.node.profile.ports.get(name.as_str()).copied().unwrap_or_default();
        let text = if inbound {
            format!("link {name} is one-way: {peer} hears us, but nothing of it arrives here")
        } else {
            format!("link {name} is one-way: {peer} does not hear us, though we hear it")
        };
        let (from, to) = if inbound { (peer, here.as_str()) } else { (here.as_str(), peer) };
        let hint = format!(
            "UDP {port} is dropped on its way out of {from} or into {to}: on both, \
             `nft list ruleset | grep {port}`"
        );
        ("link_one_way", text, hint)
    }
}
