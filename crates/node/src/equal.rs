//! Digests of what must be the same on both nodes, file by file: its meaning, not its spelling, so
//! that comments and order of lines do not matter. It compares; what differs is said in `problems`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hb_config::settings::Settings;
use hb_messaging::auth::short_digest;

/// Part of the digests.
pub(crate) const HA_CF: &str = "ha.cf";
/// Part of the digests.
pub(crate) const HARESOURCES: &str = "haresources";
/// Part of the digests. Its text follows the version of the product.
pub(crate) const HB_TOML: &str = "hb.toml";

/// The digest of each part.
pub(crate) fn digests(settings: &Settings) -> BTreeMap<String, String> {
    let parts = [(HA_CF, ha_cf(settings)), (HARESOURCES, haresources(settings))];
    let native = (HB_TOML, hb_toml(settings));
    let entry = |(part, text): (&str, String)| (part.to_owned(), short_digest(&text));
    parts.into_iter().chain([native]).map(entry).collect()
}

/// Parts that both name and that differ. What hb.toml means is compared between nodes of one
/// version only: each version may know options that the other does not.
pub(crate) fn differing<'a>(
    ours: &'a BTreeMap<String, String>,
    theirs: &BTreeMap<String, String>,
    same_version: bool,
) -> Vec<&'a str> {
    let differs = |(part, digest): &(&'a String, &'a String)| {
        theirs.get(*part).is_some_and(|other| other != *digest)
            && (same_version || part.as_str() != HB_TOML)
    };
    ours.iter().filter(differs).map(|(part, _)| part.as_str()).collect()
}

/// Members, dead time and failback. The order of members and
/// everything about this node's own links may differ.
fn ha_cf(settings: &Settings) -> String {
    let mut nodes: Vec<&str> = settings.nodes.iter().map(|node| node.as_str()).collect();
    nodes.sort_unstable();
    format!(
        "nodes {} deadtime {} auto_failback {:?}",
        nodes.join(" "),
        settings.timing.deadtime_ms,
        settings.auto_failback
    )
}

fn haresources(settings: &Settings) -> String {
    let mut groups: Vec<String> = Vec::new();
    for group in &settings.groups {
        let members: Vec<&str> =
            group.resources.iter().map(|resource| resource.text.as_str()).collect();
        groups.push(format!("{} {}", group.preferred, members.join(" ")));
    }
    groups.sort_unstable();
    groups.join("\n")
}

/// What both nodes act on together. Limits of agents, devices and links are each node's own.
fn hb_toml(settings: &Settings) -> String {
    let native = &settings.native;
    let mut text = format!("{:?} {:?} {:?}", native.recovery, native.failback, native.failure);
    for (resource, options) in native.resources.iter().filter(|(_, options)| options.warm) {
        // Writing into a string cannot fail.
        let _ = write!(text, "\nwarm {resource} {}", options.warm);
    }
    for (group, options) in &native.groups {
        let _ = write!(text, "\ngroup {group} {options:?}");
    }
    if let Some(fencing) = &native.fencing {
        let _ = write!(text, "\nfencing {:?}", fencing.on_failure);
    }
    if let Some(witness) = &native.witness {
        let _ = write!(text, "\nwitness {:?} {}", witness.kind, witness.lease_ms);
    }
    text
}

#[cfg(test)]
mod tests {
    use hb_config::settings::AutoFailback;
    use hb_sim::setup::{group, pair, timing};

    use super::*;

    #[test]
    fn each_file_is_compared_by_its_meaning() {
        let check = |change: fn(&mut hb_config::settings::Settings), expect: &[&str]| {
            let groups = [group("node1", &["www", "nginx"]), group("node2", &["db"])];
            let [ours, mut theirs] = pair(timing(100), &groups);
            change(&mut theirs);
            let (ours, theirs) = (digests(&ours), digests(&theirs));
            assert_eq!(differing(&ours, &theirs, true), expect);
        };
        check(|_| {}, &[]);
        check(|settings| settings.nodes.reverse(), &[]);
        check(|settings| settings.groups.reverse(), &[]);
        check(|settings| settings.udp_port = 695, &[]);
        check(|settings| settings.timing.deadtime_ms += 1, &[HA_CF]);
        check(|settings| settings.auto_failback = AutoFailback::Off, &[HA_CF]);
        check(|settings| settings.groups[0].resources.reverse(), &[HARESOURCES]);
        check(|settings| settings.groups[0].preferred = settings.nodes[1].clone(), &[HARESOURCES]);
        check(|settings| settings.native.recovery.restarts_max += 1, &[HB_TOML]);
        check(|settings| settings.native.operations.start_timeout_ms += 1, &[]);
    }

    #[test]
    fn only_what_both_know_is_compared() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(part, digest)| ((*part).into(), (*digest).into())).collect()
        };
        let ours = of(&[("ha.cf", "1"), ("hb.toml", "2")]);
        assert_eq!(differing(&ours, &of(&[("other", "3")]), true), Vec::<&str>::new());
        assert_eq!(differing(&ours, &of(&[("hb.toml", "3")]), false), Vec::<&str>::new());
        assert_eq!(differing(&ours, &of(&[("hb.toml", "3")]), true), ["hb.toml"]);
    }
}
