//! What a drill does to a node and how it is undone: values, as they stand in the file that survives
//! the command. Doing it is `helper`'s business.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// File below the run directory that stands for a drill under way.
pub(super) const LEDGER_FILE: &str = "drill.json";
/// nftables table of a cut link; it holds nothing else.
pub(super) const TABLE: &str = "hb_drill";

/// What is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A planned move: the group, or all, go to the other node
    Standby,
    /// heartbeat is stopped in order on this node, and started again
    Stop,
    /// heartbeat is killed on this node; it must be back at once and adopt what runs
    Kill,
    /// heartbeat stands still on this node for longer than its dead time, and wakes
    Freeze,
    /// One heartbeat link carries nothing any more
    Cut,
}

impl Kind {
    /// The word on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Cut => "cut",
        }
    }
}

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub(super) started: u64,
}

/// How heartbeat is started on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// By systemd.
    Unit(String),
    /// With this command line.
    Program {
        /// The program and its arguments.
        argv: Vec<String>,
        /// It stays in the foreground.
        foreground: bool,
    },
}

impl Start {
    /// As a person would write it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unit(unit) => format!("systemctl start {unit}"),
            Self::Program { argv, .. } => argv.join(" "),
        }
    }
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    /// Groups change sides.
    Move {
        /// One group, or all.
        group: Option<String>,
        /// This node gives; else it gets.
        give: bool,
    },
    /// The daemon is stopped in order.
    Stop(Start),
    /// The daemon is killed.
    Kill(Process, Start),
    /// The daemon stands still.
    Freeze(Process),
    /// What heartbeat sends and receives on a link is dropped.
    Cut {
        /// Interface.
        link: String,
        /// UDP ports of its media.
        ports: Vec<u16>,
    },
}

/// A drill under way, for whoever must undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// Version of this file.
    pub(super) v: u32,
    /// Who began it.
    pub(super) by: String,
    /// Unix time in milliseconds at which it began.
    pub(super) begun_unix_ms: u64,
    /// The fault is undone after so many milliseconds at the latest.
    pub(super) limit_ms: u64,
    /// This node.
    pub(super) node: String,
    /// Directory of the daemon's sockets.
    pub(super) run_dir: PathBuf,
    /// Where each group was.
    pub(super) home: BTreeMap<String, String>,
    /// Groups that moved are brought back.
    pub(super) back: bool,
    pub(super) fault: Fault,
}

impl Fault {
    /// The rules of a cut link. The ports leave their set by themselves after `limit_ms`, so that the
    /// kernel undoes it even when nobody is left to do so.
    pub(super) fn rules(link: &str, ports: &[u16], limit_ms: u64) -> String {
        let seconds = limit_ms.div_ceil(1_000).max(1);
        let ports: Vec<String> =
            ports.iter().map(|port| format!("{port} timeout {seconds}s")).collect();
        let ports = ports.join(", ");
        format!(
            "add table inet {TABLE}\n\
             delete table inet {TABLE}\n\
             table inet {TABLE} {{\n\
             \x20 set ports {{ type inet_service; flags timeout; elements = {{ {ports} }} }}\n\
             \x20 chain input {{ type filter hook input priority -400; \
             iifname \"{link}\" udp dport @ports drop; }}\n\
             \x20 chain output {{ type filter hook output priority -400; \
             oifname \"{link}\" udp dport @ports drop; }}\n\
             }}\n"
        )
    }

    /// How it is undone, in words.
    pub(super) fn undone_by(&self) -> String {
        match self {
            Self::Move { .. } => "the groups are brought back".to_owned(),
            Self::Stop(start) => format!("heartbeat is started again ({})", start.words()),
            Self::Kill(_, start) => {
                format!("heartbeat comes back by itself, else: {}", start.words())
            }
            Self::Freeze(process) => format!("heartbeat goes on (kill -CONT {})", process.pid),
            Self::Cut { .. } => format!("the rules go away (nft delete table inet {TABLE})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let start = Start::Program { argv: vec!["heartbeat".to_owned()], foreground: false };
        let process = Process { pid: 7, started: 9 };
        for fault in [
            Fault::Move { group: Some("g".to_owned()), give: true },
            Fault::Stop(Start::Unit("heartbeat.service".to_owned())),
            Fault::Kill(process, start),
            Fault::Freeze(process),
            Fault::Cut { link: "eth1".to_owned(), ports: vec![694] },
        ] {
            let ledger = Ledger {
                v: 1,
                by: "root".to_owned(),
                begun_unix_ms: 1,
                limit_ms: 2,
                node: "n".to_owned(),
                run_dir: PathBuf::from("/run/x"),
                home: BTreeMap::from([("g".to_owned(), "n".to_owned())]),
                back: true,
                fault,
            };
            let text = serde_json::to_string(&ledger).unwrap();
            assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        }
    }

    #[test]
    fn rules_name_the_link_and_end_by_themselves() {
        let rules = Fault::rules("eth1", &[694, 695], 4_100);
        assert!(rules.contains("{ 694 timeout 5s, 695 timeout 5s }"), "{rules}");
        assert!(
            rules.contains("iifname \"eth1\"") && rules.contains("oifname \"eth1\""),
            "{rules}"
        );
    }
}
