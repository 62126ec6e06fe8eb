//! Heartbeat's words for what a snapshot shows: one place for `cl_status` of `hb` and for the socket
//! that Debian's own `cl_status` asks. It reads a snapshot and knows nothing of either.

use crate::api::{LinkStatus, StatusSnapshot};

/// Directives of which Heartbeat 3.0.6 tells no value.
const LISTS: [&str; 5] = ["node", "bcast", "ping", "respawn", "ucast"];
/// What Heartbeat 3.0.6 tells of directives that ha.cf does not have, as its `cl_status hbparameter`
/// printed it.
const DEFAULTS: [(&str, &str); 23] = [
    ("autojoin", "none"),
    ("baud", "19200"),
    ("cluster", "linux-ha"),
    ("compression", "zlib"),
    ("compression_threshold", "2"),
    ("conn_logd_time", "60"),
    ("coredumps", "true"),
    ("crm", "false"),
    ("debug", "0"),
    ("enable_config_writes", "on"),
    ("hbgenmethod", "file"),
    ("hopfudge", "1"),
    ("log_badpack", "true"),
    ("max_rexmit_delay", "250"),
    ("memreserve", "6500"),
    ("msgfmt", "classic"),
    ("pacemaker", "false"),
    ("realtime", "true"),
    ("record_config_changes", "on"),
    ("record_pengine_inputs", "on"),
    ("syslogmsgfmt", "true"),
    ("traditional_compression", "no"),
    ("uuidfrom", "file"),
];

impl StatusSnapshot {
    /// Which Heartbeat it behaves as, and what it is: `cl_status hbstatus -v`.
    pub fn heartbeat_version(&self) -> String {
        format!("3.0.6 (Twinbeat {})", self.version)
    }

    /// The value of a directive as Heartbeat 3.0.6 tells it: as ha.cf has it, or its default; `None`
    /// for those that may stand there several times.
    pub fn parameter(&self, name: &str) -> Option<String> {
        if name == "hbversion" {
            return Some(self.heartbeat_version());
        }
        if LISTS.contains(&name) {
            return None;
        }
        let default = || DEFAULTS.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        self.parameters.get(name).map(String::as_str).or_else(default).map(str::to_owned)
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

    /// Whether a program of that name is part of the daemon on `node`, or known to be signed on there.
    pub fn has_client(&self, node: &str, name: &str) -> bool {
        if same(&self.this_node.name, node) {
            return self.this_node.clients.contains(name);
        }
        self.peer.iter().any(|peer| same(&peer.name, node) && peer.clients.contains(name))
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
