//! The files of both nodes, from what a scenario wants. Pure text.

use std::fmt::Write as _;

use hb_cli::lab;

/// The nodes; group `a` prefers the first, group `b` the second.
pub const NODES: [&str; 2] = ["node1", "node2"];
/// Names of the groups.
pub const GROUPS: [char; 2] = ['a', 'b'];
/// Host part of the first group's address; the next group has the next one.
const FLOATING_HOST: u8 = 100;

/// What the heartbeats go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `bcast` on the heartbeat network.
    Bcast,
    /// `ucast` on the heartbeat network.
    Ucast,
    /// `mcast` on the heartbeat network.
    Mcast,
    /// `bcast` on the heartbeat network and `ucast` on the public one.
    Both,
}

/// What a pair is configured to.
#[derive(Clone, Debug)]
pub struct Options {
    /// `auto_failback`
    pub failback: bool,
    /// 1 or 2.
    pub groups: usize,
    /// Links.
    pub media: Media,
    /// Method of authkeys.
    pub auth: &'static str,
    /// ms
    pub keepalive_ms: u64,
    /// ms
    pub deadtime_ms: u64,
    /// ms
    pub initdead_ms: u64,
    /// Further lines of ha.cf.
    pub extra: &'static str,
    /// Further lines of the ha.cf of each node.
    pub extra_on: [&'static str; 2],
}

impl Default for Options {
    /// One group that goes home, slow enough for a machine with other work.
    fn default() -> Self {
        Self {
            failback: true,
            groups: 1,
            media: Media::Bcast,
            auth: "sha1",
            keepalive_ms: 200,
            deadtime_ms: 1_500,
            initdead_ms: 3_000,
            extra: "",
            extra_on: [""; 2],
        }
    }
}

/// A file of a node: path, text, mode.
pub type File = (&'static str, String, u32);

impl Options {
    /// Names of the groups, in haresources order.
    pub fn group_names(&self) -> &'static [char] {
        GROUPS.get(..self.groups).unwrap_or(&GROUPS)
    }

    /// The files of the node of that index.
    pub fn files(&self, index: usize) -> Vec<File> {
        let key = if self.auth == "crc" { "" } else { " InteropKey" };
        vec![
            ("/etc/ha.d/ha.cf", self.ha_cf(index), 0o644),
            ("/etc/ha.d/haresources", self.haresources(), 0o644),
            ("/etc/ha.d/authkeys", format!("auth 1\n1 {}{key}\n", self.auth), 0o600),
            ("/etc/ha.d/resource.d/witness", WITNESS.to_owned(), 0o755),
        ]
    }

    fn ha_cf(&self, index: usize) -> String {
        let mut text = format!(
            "logfile /var/log/ha-log\nlogfacility none\nuse_logd no\nkeepalive {}ms\n\
             warntime {}ms\ndeadtime {}ms\ninitdead {}ms\nudpport 694\n",
            self.keepalive_ms,
            self.deadtime_ms / 2,
            self.deadtime_ms,
            self.initdead_ms,
        );
        let heartbeat = lab::HEARTBEAT;
        text += &match self.media {
            Media::Bcast => format!("bcast {heartbeat}\n"),
            Media::Ucast => ucast(heartbeat, lab::heartbeat_address),
            Media::Mcast => format!("mcast {heartbeat} 239.192.77.1 694 1 0\n"),
            Media::Both => {
                format!("bcast {heartbeat}\n{}", ucast(lab::PUBLIC, lab::public_address))
            }
        };
        let failback = if self.failback { "on" } else { "off" };
        let further = self.extra_on.get(index).copied().unwrap_or_default();
        let nodes = NODES.join(" ");
        text + &format!("auto_failback {failback}\nnode {nodes}\n{}{further}", self.extra)
    }

    fn haresources(&self) -> String {
        let mut text = String::new();
        for ((name, node), number) in self.group_names().iter().zip(NODES).zip(0..) {
            let address = floating(number);
            let (prefix, interface) = (lab::PREFIX, lab::PUBLIC);
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{node} IPaddr::{address}/{prefix}/{interface} witness::{name}");
        }
        text
    }
}

fn ucast(interface: &str, address: fn(usize) -> std::net::Ipv4Addr) -> String {
    (1..=NODES.len()).map(|number| format!("ucast {interface} {}\n", address(number))).collect()
}

/// The address of group number `index`, from 0.
pub fn floating(index: u8) -> std::net::Ipv4Addr {
    let [a, b, c, _] = lab::FLOATING.octets();
    std::net::Ipv4Addr::new(a, b, c, FLOATING_HOST + index)
}

/// Where the witness says that its group runs; the group's name follows.
pub const RUNNING: &str = "/run/witness-";
/// Where the witness notes each start and stop that changed something.
pub const WITNESS_LOG: &str = "/var/log/witness";

/// While this file is there, the witness takes a second to start and to stop.
pub const SLOW: &str = "/etc/ha.d/slow";

/// A resource that only notes when it ran, so that two nodes' times can be compared: they have the
/// same clock.
const WITNESS: &str = r#"#!/bin/sh
# usage: witness GROUP start|stop|status
running=/run/witness-$1
note() { echo "$(date +%s.%N) $1 $2" >>/var/log/witness; }
case $2 in
start)
  if [ ! -e "$running" ]; then
    note "$1" start
    if [ -e /etc/ha.d/slow ]; then sleep 1; fi
    : >"$running"
  fi
  ;;
stop)
  if [ -e "$running" ]; then
    if [ -e /etc/ha.d/slow ]; then sleep 1; fi
    rm "$running" && note "$1" stop
  fi
  ;;
status | monitor) if [ -e "$running" ]; then echo running; else echo stopped; exit 3; fi ;;
*) exit 2 ;;
esac
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_groups_have_their_node_and_address() {
        let options = Options { groups: 2, ..Options::default() };
        assert_eq!(
            options.haresources(),
            "node1 IPaddr::192.0.2.100/24/eth0 witness::a\n\
             node2 IPaddr::192.0.2.101/24/eth0 witness::b\n"
        );
        assert_eq!(floating(0), lab::FLOATING);
    }
}
