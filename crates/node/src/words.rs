//! Heartbeat's words for what a snapshot shows: one place for `cl_status` of `hb` and for the socket
//! that Debian's own `cl_status` asks. It reads a snapshot and knows nothing of either.

use crate::api::{LinkStatus, StatusSnapshot};

impl StatusSnapshot {
    /// Which Heartbeat it behaves as, and what it is: `cl_status hbstatus -v`.
    pub fn heartbeat_version(&self) -> String {
        format!("3.0.6 (Twinbeat {})", self.version)
    }

    /// `normal` or `ping`; `None` for a name that ha.cf does not have. Case does not matter.
    pub fn node_type(&self, node: &str) -> Option<&'static str> {
        if self.members.iter().any(|name| same(name, node)) {
            Some("normal")
        } else if self.pings.iter().any(|ping| same(&ping.name, node)) {
            Some("ping")
        } else {
            None
        }
    }

    /// `init`, `up`, `active`, `dead` or `ping`; `None` for a name that ha.cf does not have.
    pub fn node_status(&self, node: &str) -> Option<&str> {
        if same(&self.this_node.name, node) {
            // Heartbeat knows no word for a node that stops: it says `active` until it is gone.
            return Some(match self.this_node.status.as_str() {
                "stopping" => "active",
                word => word,
            });
        }
        let peer = self.peer.iter().find(|peer| same(&peer.name, node));
        let ping = self.pings.iter().find(|ping| same(&ping.name, node));
        peer.map(|peer| peer.status.as_str()).or_else(|| ping.map(|ping| ping.status.as_str()))
    }

    /// Links to a node and whether each is up, in the order of ha.cf. This node's own links count
    /// as up when their sockets work; a ping node has one that is called as it is.
    pub fn node_links(&self, node: &str) -> Vec<(&str, bool)> {
        if let Some(ping) = self.pings.iter().find(|ping| same(&ping.name, node)) {
            return vec![(&ping.name, ping.status == "ping")];
        }
        let Some(peer) = &self.peer else { return Vec::new() };
        let is_peer = same(&peer.name, node);
        if !is_peer && !same(&self.this_node.name, node) {
            return Vec::new();
        }
        let up = |link: &LinkStatus| if is_peer { link.up } else { link.failure.is_none() };
        peer.links.iter().map(|link| (link.name.as_str(), up(link))).collect()
    }
}

/// `up` or `dead`.
pub fn link_word(up: bool) -> &'static str {
    if up { "up" } else { "dead" }
}

fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}
