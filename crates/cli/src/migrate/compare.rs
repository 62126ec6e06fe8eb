//! The files of both nodes beside each other: what must be the same, and what may differ. Keys are
//! compared and never shown. Pure.

use std::collections::BTreeSet;

use hb_config::haresources::Group;
use hb_config::settings::{AutoFailback, NodeName};
use hb_config::span::FileId;

use super::finding::{Finding, Weight};
use super::look::Installation;

/// Most differing lines that are shown of each node.
const LINES_MAX: usize = 10;
/// Times that should be the same on both nodes.
const TIMES: [&str; 5] = ["keepalive", "deadtime", "warntime", "initdead", "deadping"];

/// Adds what differs between `here` and the other node's copy.
pub(super) fn compare(here: &Installation, other: &Installation, findings: &mut Vec<Finding>) {
    let before = findings.len();
    for id in [FileId::HaCf, FileId::HaResources, FileId::AuthKeys] {
        let (mine, theirs) = (here.files.get(id), other.files.get(id));
        if mine.source().is_some() && theirs.source().is_none() {
            let text = format!("{} is not in the copy of the other node", id.file_name());
            findings.push(
                Finding::new(Weight::Remark, "not_compared", text)
                    .at(theirs.name())
                    .cure("copy it as root, with its mode"),
            );
        }
    }
    findings.extend(groups(here, other));
    findings.extend(members(here, other));
    findings.extend(failback(here, other));
    findings.extend(port(here, other));
    findings.extend(times(here, other));
    findings.extend(keys(here, other));
    findings.extend(scripts(here, other));
    if findings.len() == before {
        findings.push(
            Finding::new(
                Weight::Note,
                "compared",
                "haresources, keys and the rest agree on both nodes",
            )
            .at(&other.dir),
        );
    }
}

fn differs(id: &str, other: &Installation, file: FileId, text: String) -> Finding {
    Finding::new(Weight::Change, id, text).at(other.files.get(file).name())
}

fn both_read(here: &Installation, other: &Installation, file: FileId) -> bool {
    here.files.get(file).source().is_some() && other.files.get(file).source().is_some()
}

fn groups(here: &Installation, other: &Installation) -> Option<Finding> {
    if !both_read(here, other, FileId::HaResources) {
        return None;
    }
    let lines = |groups: &[Group]| groups.iter().map(line).collect::<Vec<String>>();
    let (mine, theirs) = (lines(&here.groups), lines(&other.groups));
    if mine == theirs {
        return None;
    }
    let sets = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
    let (mine, theirs) = (sets(&mine), sets(&theirs));
    if mine == theirs {
        let text = "haresources has the same groups in another order".to_owned();
        let mut finding = differs("haresources", other, FileId::HaResources, text);
        finding.weight = Weight::Remark;
        return Some(finding.cure("copy the file of one node to the other"));
    }
    let text = "haresources differs between the nodes".to_owned();
    let mut finding = differs("haresources", other, FileId::HaResources, text);
    for (place, only) in [("here", mine.difference(&theirs)), ("there", theirs.difference(&mine))] {
        let only: Vec<_> = only.collect();
        let more = only.len().saturating_sub(LINES_MAX);
        for line in only.into_iter().take(LINES_MAX) {
            finding = finding.cure(format!("only {place}: {line}"));
        }
        if more > 0 {
            finding = finding.cure(format!("only {place}: {more} more"));
        }
    }
    Some(finding.cure(
        "decide which is right and copy it to the other node; Heartbeat 3 reads it at each move, \
         nothing has to be restarted",
    ))
}

/// A group as it would stand in haresources, with the values of passwords covered.
fn line(group: &Group) -> String {
    let resources = group.resources.iter().map(|it| it.value.text.clone());
    let words: Vec<String> =
        std::iter::once(group.node.value.to_string()).chain(resources).collect();
    words.join(" ")
}

fn members(here: &Installation, other: &Installation) -> Option<Finding> {
    let names = |of: &Installation| {
        of.cf.nodes.iter().map(|name| name.value.clone()).collect::<BTreeSet<NodeName>>()
    };
    if !both_read(here, other, FileId::HaCf) || names(here) == names(other) {
        return None;
    }
    let list = |of: &Installation| {
        let names: Vec<_> = names(of).iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    let text = format!("ha.cf names other nodes: {} here, {} there", list(here), list(other));
    Some(differs("nodes", other, FileId::HaCf, text).cure("write the same two names on both nodes"))
}

fn failback(here: &Installation, other: &Installation) -> Option<Finding> {
    let word = |of: &Installation| match of.cf.auto_failback.as_ref().map(|it| it.value) {
        Some(AutoFailback::On) => "on",
        Some(AutoFailback::Off) => "off",
        Some(AutoFailback::Legacy) => "legacy",
        None => "absent",
    };
    if !both_read(here, other, FileId::HaCf) || word(here) == word(other) {
        return None;
    }
    let text = format!("auto_failback is {} here and {} there", word(here), word(other));
    Some(
        differs("auto_failback", other, FileId::HaCf, text)
            .cure("write the same on both nodes, on or off"),
    )
}

fn port(here: &Installation, other: &Installation) -> Option<Finding> {
    let port = |of: &Installation| {
        of.cf.udpport.as_ref().map_or(hb_config::ha_cf::DEFAULT_PORT, |it| it.value)
    };
    if !both_read(here, other, FileId::HaCf) || port(here) == port(other) {
        return None;
    }
    let text = format!("udpport is {} here and {} there", port(here), port(other));
    Some(differs("udpport", other, FileId::HaCf, text).cure("write the same on both nodes"))
}

fn times(here: &Installation, other: &Installation) -> Vec<Finding> {
    if !both_read(here, other, FileId::HaCf) {
        return Vec::new();
    }
    let value = |of: &Installation, name: &str| {
        of.cf.parameters.get(name).cloned().unwrap_or_else(|| "absent".to_owned())
    };
    let differing = TIMES.iter().filter(|name| value(here, name) != value(other, name));
    differing
        .map(|name| {
            let (mine, theirs) = (value(here, name), value(other, name));
            let text = format!("{name} is {mine} here and {theirs} there");
            let mut finding = differs(name, other, FileId::HaCf, text);
            finding.weight = Weight::Remark;
            finding.cure("write the same on both nodes, unless it is meant")
        })
        .collect()
}

fn keys(here: &Installation, other: &Installation) -> Option<Finding> {
    let (mine, theirs) = (here.keys.as_ref()?, other.keys.as_ref()?);
    if mine == theirs {
        return None;
    }
    let at = |text: &str| differs("authkeys", other, FileId::AuthKeys, text.to_owned());
    let signs =
        |keys: &hb_config::settings::AuthKeys| (keys.active, keys.keys.get(&keys.active).cloned());
    if signs(mine) != signs(theirs) {
        return Some(
            at("the nodes sign with different keys (they are compared, not shown)").cure(
                "copy /etc/ha.d/authkeys of one node to the other, mode 600, and reload there",
            ),
        );
    }
    let mut finding = at("both sign with the same key, but their lists of further keys differ");
    finding.weight = Weight::Remark;
    Some(finding.cure("copy the file of one node to the other, mode 600"))
}

/// Scripts of resource.d that haresources names, on both nodes.
fn scripts(here: &Installation, other: &Installation) -> Vec<Finding> {
    let names: BTreeSet<&str> = here
        .groups
        .iter()
        .flat_map(|group| &group.resources)
        .filter(|resource| resource.value.built_in.is_none())
        .filter_map(|resource| resource.value.text.split("::").next())
        .collect();
    let place = format!("{}/resource.d", other.dir);
    let finding = |text: String, cure: &str| {
        Finding::new(Weight::Remark, "resource_d", text).at(&place).cure(cure)
    };
    names
        .into_iter()
        .filter_map(|name| match (here.scripts.get(name), other.scripts.get(name)) {
            (Some(mine), Some(theirs)) if mine != theirs => Some(finding(
                format!("the script {name} has {mine} bytes here and {theirs} there"),
                "compare the two; the same script belongs on both nodes",
            )),
            (Some(_), None) => Some(finding(
                format!("the script {name} is in resource.d of this node only"),
                "copy it, unless /etc/init.d there has a script of that name that is meant",
            )),
            (None, Some(_)) => Some(finding(
                format!("the script {name} is in resource.d of the other node only"),
                "copy it, unless /etc/init.d here has a script of that name that is meant",
            )),
            (Some(_), Some(_)) | (None, None) => None,
        })
        .collect()
}
