//! The steps of the migration with their commands, for the names of an installation. The guide
//! `docs/migrating/heartbeat-3.md` has the same commands for node1 and node2, which a test compares,
//! and the migration test performs. Pure.

use std::collections::BTreeSet;

use hb_config::settings::{AutoFailback, NodeName};
use serde::Serialize;

use super::look::Installation;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) title: String,
    /// Where the commands are given, one node after the other.
    pub(super) nodes: Vec<String>,
    pub(super) commands: Vec<String>,
    /// What is seen when it went well.
    pub(super) see: String,
}

/// The nodes in the order of their replacement.
struct Order {
    /// Replaced first: the node that serves less.
    first: String,
    second: String,
    /// Whether groups go home by themselves.
    failback: bool,
}

/// The whole plan. Names that the files do not tell are written `NODE1` and `NODE2`.
pub(super) fn steps(here: &Installation) -> Vec<Step> {
    let order = order(here);
    let Order { first, second, .. } = &order;
    let both = [second.as_str(), first.as_str()];
    vec![
        step(
            "Keep a copy of files and state",
            &both,
            &["(umask 077; tar -czf /root/heartbeat-3.tar.gz -C / etc/ha.d var/lib/heartbeat)"],
            "the archive, which holds the keys: mode 600",
        ),
        step(
            "Install Twinbeat beside Heartbeat; nothing is started",
            &both,
            &[
                "install -m 755 heartbeat /usr/local/sbin/heartbeat",
                "install -m 755 hb /usr/local/bin/hb",
                "hb migrate scan",
            ],
            "no finding called `change`",
        ),
        step(
            &format!("Stop Heartbeat on {first}, which serves less"),
            &[first],
            &["systemctl stop heartbeat"],
            &format!("on {second}: `cl_status rscstatus` says all"),
        ),
        step(
            &format!("Start Twinbeat on {first}"),
            &[first],
            &START,
            &format!("{first}: active; {second}: active, speaks Heartbeat 3; failover ready: yes"),
        ),
        step(
            &format!("Move the groups to {first}"),
            &[first],
            &["hb takeover all"],
            &format!("exit code 0, `hb status` shows every group active on {first}"),
        ),
        step(
            &format!("Stop Heartbeat on {second}, which serves nothing by now"),
            &[second],
            &["systemctl stop heartbeat"],
            &format!("on {first}: `hb status` says that {second} was stopped in order"),
        ),
        step(&format!("Start Twinbeat on {second}"), &[second], &START, &order.end()),
    ]
}

/// Starts Twinbeat by a unit that takes the place of the package's, which stays where it is.
const START: [&str; 5] = [
    "sed 's:/usr/sbin/heartbeat:/usr/local/sbin/heartbeat:' heartbeat.service \
     >/etc/systemd/system/heartbeat.service",
    "systemctl daemon-reload",
    "systemctl enable heartbeat",
    "systemctl start heartbeat",
    "hb status",
];

fn step(title: &str, nodes: &[&str], commands: &[&str], see: &str) -> Step {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Step {
        title: title.to_owned(),
        nodes: list(nodes),
        commands: list(commands),
        see: see.to_owned(),
    }
}

impl Order {
    fn end(&self) -> String {
        let Self { first, second, failback } = self;
        if *failback {
            return format!(
                "HEALTHY, both speak Twinbeat; the groups of {second} go home by themselves"
            );
        }
        format!(
            "HEALTHY, both speak Twinbeat; the groups stay on {first} until `hb takeover` on \
             {second}"
        )
    }
}

fn order(here: &Installation) -> Order {
    let mut names: Vec<&NodeName> = Vec::new();
    for name in here.cf.nodes.iter().map(|name| &name.value) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let groups_of =
        |name: &NodeName| here.groups.iter().filter(|group| group.node.value == *name).count();
    // The one with fewer groups goes first; of equals the second of ha.cf, which is usually the
    // standby.
    let idle = names.iter().copied().rev().min_by_key(|name| groups_of(name));
    let rest: BTreeSet<&NodeName> = names.iter().copied().filter(|it| Some(*it) != idle).collect();
    let name = |name: Option<&NodeName>, otherwise: &str| {
        name.map_or_else(|| otherwise.to_owned(), ToString::to_string)
    };
    let failback = here.cf.auto_failback.as_ref().is_some_and(|it| it.value == AutoFailback::On);
    Order { first: name(idle, "NODE2"), second: name(rest.first().copied(), "NODE1"), failback }
}
