//! What facts mean. Pure: facts in, findings out; each area has a module of its own. `firewall` says
//! what the packet filter does.

mod agents;
mod boot;
mod context;
mod filter;
mod links;
mod managers;
mod system;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use hb_config::settings::{BuiltIn, Settings};

use super::facts::Facts;
use super::finding::{Area, Finding};

/// Everything that was found in `areas`, in the order of the report.
pub(super) fn judge(facts: &Facts, areas: &[Area]) -> Vec<Finding> {
    let mut found = Vec::new();
    for area in areas {
        match area {
            Area::Links => links::judge(facts, &mut found),
            Area::Agents => agents::judge(facts, &mut found),
            Area::Boot => boot::judge(facts, &mut found),
            Area::System => {
                system::judge(facts, &mut found);
                context::judge(facts, &mut found);
                managers::judge(facts, &mut found);
            }
        }
    }
    found
}

/// The floating addresses with the interface that haresources names.
fn floating(settings: &Settings) -> Vec<(IpAddr, Option<&str>)> {
    let resources = settings.groups.iter().flat_map(|group| &group.resources);
    resources
        .filter_map(|resource| match &resource.built_in {
            Some(BuiltIn::Address(address)) => Some((address.ip, address.interface.as_deref())),
            Some(BuiltIn::SendArp { .. }) | None => None,
        })
        .collect()
}

/// The interface on which a floating address lives: as written, or the one whose network it is in.
fn home<'a>(facts: &'a Facts, address: IpAddr, written: Option<&'a str>) -> Option<&'a str> {
    written.or_else(|| {
        let mut interfaces = facts.network.interfaces.iter();
        let near = interfaces.find(|(_, interface)| {
            interface.addresses.iter().any(|own| own.0 != address && is_near(*own, address))
        });
        near.map(|(name, _)| name.as_str())
    })
}

/// Whether `address` is in the network of an interface's own address.
fn is_near((own, bits): (IpAddr, u8), address: IpAddr) -> bool {
    super::firewall::Network { address: own, bits }.contains(address)
}

/// Names in one sentence.
fn list(names: &[String]) -> String {
    names.join(", ")
}
