//! What the package `heartbeat` needs in a node of the lab, its commands, and its log. I/O: looks for
//! the package. Its programs and scripts are copied and run as they are, unread.

use std::collections::BTreeSet;
use std::path::Path;

use crate::files::NODES;

/// The daemon.
pub const DAEMON: &str = "/usr/libexec/heartbeat/heartbeat";
/// Folder of `hb_standby` and `hb_takeover`.
pub const SCRIPTS: &str = "/usr/share/heartbeat";
/// Asks the daemon.
pub const CL_STATUS: &str = "/usr/bin/cl_status";
/// What shows that resource-agents is there, whose agents move the addresses.
const AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2";
/// Where the daemon logs.
pub const LOG: &str = "/var/log/ha-log";

/// What the package's files for tmpfiles.d and its installation make: folders, and the skeleton
/// of /etc/ha.d. The machine's own files are below /.host in a node.
pub const PREPARE: &str = "\
set -e
[ -e /etc/ha.d/harc ] || cp -a /.host/etc/ha.d/. /etc/ha.d/
[ -d /var/lib/heartbeat/cores ] || cp -a /.host/var/lib/heartbeat/. /var/lib/heartbeat/
mkdir -p /run/lock/subsys /run/resource-agents /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd
chown -R hacluster:haclient /run/heartbeat
chmod 750 /run/heartbeat /run/heartbeat/*
chmod 1755 /run/resource-agents";

/// The packages that are missing.
pub fn missing() -> Option<String> {
    let packages = [(DAEMON, "heartbeat"), (AGENT, "resource-agents")];
    let missing: Vec<&str> =
        packages.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, p)| *p).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(" ")))
}

/// What the genuine `node` says of each standby that was asked of it: that it wants to, or ignores it.
pub fn standby_said<'a>(node: &str, log: &'a str) -> Vec<&'a str> {
    let wants = format!(": {node} wants to go standby");
    let ignored = [
        format!("standby message [me] from {node} ignored"),
        format!("Standby in progress- new request from {node} ignored"),
    ];
    let is_said = |line: &&str| {
        line.contains(&wants) || ignored.iter().any(|words| line.contains(words.as_str()))
    };
    log.lines().filter(is_said).collect()
}

/// The complaints in the log of `node`, without what differs from run to run: only lines of these
/// levels, from the level on, each number as `#`, its name as `me` and the other's as `peer`.
pub fn complaints(node: &str, log: &str) -> BTreeSet<String> {
    let levels = ["ERROR: ", "CRIT: "];
    let mut found = BTreeSet::new();
    for line in log.lines() {
        let from = levels.iter().find_map(|level| line.find(level));
        if let Some(text) = from.and_then(|at| line.get(at..)) {
            found.insert(general(node, text));
        }
    }
    found
}

fn general(node: &str, line: &str) -> String {
    let mut line = line.replace(node, "me");
    for other in NODES {
        line = line.replace(other, "peer");
    }
    let mut text = String::new();
    for c in line.trim_end().chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            _ => text.push(c),
        }
    }
    text
}

/// Complaints that two genuine nodes, or one alone, were seen to log: on each line the beginning of
/// the scenario's name, or `*`, and the complaint, of which a `*` at its end stands for any rest. Lines that begin with `#` tell which run showed it.
const REFERENCE: &str = include_str!("reference-complaints.txt");

/// The complaints of `node` that no reference pair has logged in this scenario.
pub fn unusual(scenario: &str, node: &str, log: &str) -> BTreeSet<String> {
    let usual: Vec<&str> = REFERENCE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| *name == "*" || scenario.starts_with(name))
        .map(|(_, complaint)| complaint)
        .collect();
    let is_usual = |line: &str| {
        usual.iter().any(|usual| match usual.strip_suffix('*') {
            Some(begin) => line.starts_with(begin),
            None => line == *usual,
        })
    };
    complaints(node, log).into_iter().filter(|line| !is_usual(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standby_is_accepted_or_ignored() {
        let log = "node2 heartbeat: [180]: info: node2 wants to go standby [all]\n\
                   node2 heartbeat: [180]: info: node1 wants to go standby [all]\n\
                   node2 heartbeat: [180]: WARN: standby message [other] from node1 ignored.  Other side is in flux.\n\
                   node2 heartbeat: [180]: WARN: standby message [me] from node2 ignored.  Other side is in flux.\n\
                   node2 heartbeat: [180]: WARN: Standby in progress- new request from node2 ignored [3597 seconds left]\n";
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(standby_said("node2", log), [lines[0], lines[3], lines[4]]);
        assert_eq!(standby_said("node1", log), [lines[1]]);
    }

    #[test]
    fn complaints_are_general() {
        let log = "node1 heartbeat: [12]: info: fine\n\
                   node1 heartbeat: [12]: ERROR: 3 packets of node2 lost at 17:01\n\
                   node1 heartbeat: [14]: ERROR: 44 packets of node1 lost at 9:00\n\
                   heartbeat[1]: 2026/01/01 CRIT: late\n";
        let expect = [
            "CRIT: late",
            "ERROR: # packets of me lost at #:#",
            "ERROR: # packets of peer lost at #:#",
        ];
        assert_eq!(complaints("node1", log), expect.map(str::to_owned).into());
    }
}
