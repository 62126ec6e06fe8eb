//! What the two nodes are configured to do in the model: the groups, and policies without the
//! watching that would only add timers. Values only.

use std::collections::BTreeSet;

use hb_config::settings::{
    AddressSpec, AgentSpec, AutoFailback, BuiltIn, GroupSpec, Native, NodeName, ResourceSpec,
};
use hb_resource::manager::ManagerConfig;
use hb_resource::operation::GroupKey;
use hb_resource::policy::Policy;

/// Members through all groups: an address and a service that prefer node1, a service that
/// prefers node2.
const MEMBERS: [(&str, usize); 3] = [(ADDRESS, 0), ("web", 0), ("db", 1)];
/// First member of the first group.
const ADDRESS: &str = "IPaddr::10.0.0.50";

/// The configuration of a model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// 1 or 2.
    pub groups: usize,
    /// Whether groups go home by themselves.
    pub failback: bool,
}

impl Setup {
    /// How many members there are.
    pub fn members(self) -> usize {
        MEMBERS.iter().filter(|(_, group)| *group < self.groups).count()
    }

    /// Whether a member is an address, which the loser of a conflict removes first.
    pub fn is_address(self, member: usize) -> bool {
        MEMBERS[member].0 == ADDRESS
    }

    /// The group of a member.
    pub fn group_of(self, member: usize) -> usize {
        MEMBERS[member].1
    }

    /// What a daemon that started these members has in its record: group and resource.
    pub fn record(self, members: u8) -> BTreeSet<(GroupKey, String)> {
        let started = (0..self.members()).filter(|member| members & (1 << member) != 0);
        started
            .map(|member| {
                let (text, group) = MEMBERS[member];
                (self.group(group).key, text.to_owned())
            })
            .collect()
    }

    /// The members of a group, as bits.
    pub fn mask(self, group: usize) -> u8 {
        let bits = (0..self.members()).filter(|member| self.group_of(*member) == group);
        bits.map(|member| 1 << member).sum()
    }

    /// The member written as `text`.
    pub fn member(self, text: &str) -> usize {
        MEMBERS.iter().position(|(known, _)| *known == text).unwrap_or_default()
    }

    /// A short name for traces.
    pub fn short(self, member: usize) -> &'static str {
        match MEMBERS[member].0 {
            ADDRESS => "address",
            other => other,
        }
    }

    /// The configuration of node `number`, 0 or 1.
    pub fn config(self, number: usize) -> ManagerConfig {
        let mut native = Native::default();
        native.monitor.enabled = false;
        native.monitor.ready_interval_ms = 0;
        native.failback.stable_for_ms = Some(0);
        // Fewer repeats, the same ways.
        native.failure.stop_retries_max = 0;
        native.recovery.restarts_max = 0;
        let policy = Policy {
            monitor: native.monitor,
            recovery: native.recovery,
            failback: native.failback,
            address: native.address,
            resources: native.resources.clone(),
            groups: native.groups.clone(),
            deadtime_ms: 1_000,
        };
        ManagerConfig {
            node: name(number),
            peer: Some(name(1 - number)),
            groups: (0..self.groups).map(|group| self.group(group)).collect(),
            auto_failback: if self.failback { AutoFailback::On } else { AutoFailback::Off },
            operations: native.operations,
            failure: native.failure,
            policy,
        }
    }

    fn group(self, group: usize) -> GroupSpec {
        let members = MEMBERS.iter().filter(|(_, of)| *of == group);
        let resources: Vec<ResourceSpec> = members.map(|(text, _)| resource(text)).collect();
        GroupSpec { key: resources[0].text.clone(), preferred: name(group), resources }
    }
}

fn name(number: usize) -> NodeName {
    NodeName::new(["node1", "node2"][number])
}

fn resource(text: &str) -> ResourceSpec {
    let built_in = text.strip_prefix("IPaddr::").and_then(|ip| ip.parse().ok()).map(|ip| {
        BuiltIn::Address(AddressSpec {
            ip,
            prefix_len: None,
            interface: None,
            label: None,
            broadcast: None,
        })
    });
    let agent = AgentSpec::Script { name: text.into(), args: Vec::new() };
    ResourceSpec { text: text.into(), agent, built_in }
}
