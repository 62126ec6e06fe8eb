//! What differs between the configuration in force and one that was read later, and what a running
//! node must release before the later one comes into force. Pure; nothing is carried out here.

use std::collections::{BTreeMap, BTreeSet};

use crate::settings::{AuthKeys, GroupSpec, Medium, Native, PingTarget, Settings};

/// The difference between two configurations of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// authkeys differs: applied without anything else.
    pub keys: bool,
    /// Anything else differs: the daemon starts anew in its place and adopts what runs.
    pub others: bool,
    /// Groups, by the key in force, that must not run any more when the later configuration comes into
    /// force: they are not in it, or have other resources there.
    pub release: BTreeSet<String>,
    /// One sentence for each difference, keys never shown.
    pub lines: Vec<String>,
}

impl Changes {
    /// From `old`, which is in force, to `new`.
    pub fn between(old: &Settings, new: &Settings) -> Self {
        let mut lines = Vec::new();
        let release = groups(&old.groups, &new.groups, &mut lines);
        media(&old.media, &new.media, &mut lines);
        pings(&old.pings, &new.pings, &mut lines);
        directives(&old.parameters, &new.parameters, &mut lines);
        native(&old.native, &new.native, &mut lines);
        if old.environment != new.environment {
            lines.push("ha.cf: the variables of resource scripts (env) differ".to_owned());
        }
        let keys = old.keys != new.keys;
        let others = Settings { keys: new.keys.clone(), ..old.clone() } != *new;
        if others && lines.is_empty() {
            lines.push("ha.cf differs".to_owned());
        }
        if keys {
            lines.push(of_keys(&old.keys, &new.keys));
        }
        Self { keys, others, release, lines }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        !self.keys && !self.others
    }

    /// All of it for people, a line each, with what will be done.
    pub fn plan(&self) -> String {
        if self.is_empty() {
            return "the configuration is the same: nothing to do".to_owned();
        }
        [self.lines.clone(), self.steps()].concat().join("\n")
    }

    /// What will be done, a line each.
    pub fn steps(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.others {
            let released: Vec<&str> = self.release.iter().map(String::as_str).collect();
            if !released.is_empty() {
                lines.push(format!(
                    "first stopped where this node runs it: {}",
                    released.join(", ")
                ));
            }
            let text =
                "then the daemon starts anew in its place: everything else goes on untouched";
            lines.push(text.to_owned());
        }
        lines
    }
}

fn groups(old: &[GroupSpec], new: &[GroupSpec], lines: &mut Vec<String>) -> BTreeSet<String> {
    let mut release = BTreeSet::new();
    let words = |group: &GroupSpec| {
        let texts: Vec<&str> = group.resources.iter().map(|r| r.text.as_str()).collect();
        texts.join(" ")
    };
    for group in old {
        let key = &group.key;
        let Some(then) = new.iter().find(|other| other.key == *key) else {
            lines.push(format!("group {key} is removed ({})", words(group)));
            release.insert(key.clone());
            continue;
        };
        if group.resources != then.resources {
            lines.push(format!("group {key} changes from `{}` to `{}`", words(group), words(then)));
            release.insert(key.clone());
        }
        if group.preferred != then.preferred {
            let (from, to) = (&group.preferred, &then.preferred);
            lines.push(format!("group {key} prefers {to} in place of {from}"));
        }
    }
    for group in new.iter().filter(|group| old.iter().all(|other| other.key != group.key)) {
        let (key, preferred) = (&group.key, &group.preferred);
        lines.push(format!("group {key} is added, prefers {preferred} ({})", words(group)));
    }
    release
}

fn media(old: &[Medium], new: &[Medium], lines: &mut Vec<String>) {
    let name = |medium: &Medium| match medium {
        Medium::Broadcast { interface } => format!("bcast {interface}"),
        Medium::Unicast { interface, host } => format!("ucast {interface} {host}"),
        Medium::Unicast6 { interface, address } => format!("ucast6 {interface} {address}"),
        Medium::Multicast { interface, group, port, .. } => {
            format!("mcast {interface} {group} {port}")
        }
        Medium::Multicast6 { interface, group, port, .. } => {
            format!("mcast6 {interface} {group} {port}")
        }
    };
    for medium in old.iter().filter(|medium| !new.contains(medium)) {
        lines.push(format!("heartbeat link removed: {}", name(medium)));
    }
    for medium in new.iter().filter(|medium| !old.contains(medium)) {
        lines.push(format!("heartbeat link added: {}", name(medium)));
    }
}

fn pings(old: &[PingTarget], new: &[PingTarget], lines: &mut Vec<String>) {
    for ping in old.iter().filter(|ping| !new.contains(ping)) {
        lines.push(format!("ping node removed: {}", ping.name));
    }
    for ping in new.iter().filter(|ping| !old.contains(ping)) {
        lines.push(format!("ping node added: {}", ping.name));
    }
}

/// Directives that the lines above speak of, or that may hold more than one value.
const TOLD_ELSEWHERE: [&str; 11] = [
    "bcast",
    "ucast",
    "ucast6",
    "mcast",
    "mcast6",
    "ping",
    "ping6",
    "ping_group",
    "env",
    "stonith",
    "stonith_host",
];

fn directives(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    lines: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names.into_iter().filter(|name| !TOLD_ELSEWHERE.contains(&name.as_str())) {
        match (old.get(name), new.get(name)) {
            (Some(from), Some(to)) if from != to => {
                lines.push(format!("ha.cf: {name} {to} in place of {from}"));
            }
            (Some(from), None) => lines.push(format!("ha.cf: no {name} any more (was {from})")),
            (None, Some(to)) => lines.push(format!("ha.cf: {name} {to}")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn native(old: &Native, new: &Native, lines: &mut Vec<String>) {
    // Taken apart, so that a section cannot be forgotten here.
    let Native {
        framing,
        operations,
        failure,
        announce,
        monitor,
        recovery,
        failback,
        address,
        resources,
        groups,
        fencing,
        watchdog,
        witness,
        record,
    } = old;
    let parts = [
        ("compatibility", *framing != new.framing),
        ("operations", *operations != new.operations),
        ("failure", *failure != new.failure),
        ("announce", *announce != new.announce),
        ("monitor", *monitor != new.monitor),
        ("recovery", *recovery != new.recovery),
        ("failback", *failback != new.failback),
        ("address", *address != new.address),
        ("resource", *resources != new.resources),
        ("group", *groups != new.groups),
        ("fencing", *fencing != new.fencing),
        ("watchdog", *watchdog != new.watchdog),
        ("witness", *witness != new.witness),
        ("record", *record != new.record),
    ];
    let differing = parts.into_iter().filter(|(_, differs)| *differs);
    lines.extend(differing.map(|(part, _)| format!("hb.toml: [{part}] differs")));
}

fn of_keys(old: &AuthKeys, new: &AuthKeys) -> String {
    let indices = |keys: &AuthKeys| {
        let indices: Vec<String> = keys.keys.keys().map(u8::to_string).collect();
        format!("{} of {}", keys.active, indices.join(", "))
    };
    if indices(old) == indices(new) {
        return format!("authkeys: other keys, signs with {}", indices(new));
    }
    format!("authkeys: signs with {} in place of {}", indices(new), indices(old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::NodeName;
    use crate::source::Files;
    use crate::span::FileId;

    const HA_CF: &str = "keepalive 200ms\ndeadtime 2\nwarntime 1\ninitdead 10\nbcast eth1\n\
                         auto_failback on\nnode ha1 ha2\n";
    const HARESOURCES: &str = "ha1 10.0.0.1 nginx\nha2 10.0.0.2\n";
    const KEYS: &str = "auth 1\n1 sha256 a-key-of-the-tests-with-32-bytes\n";

    fn settings(ha_cf: &str, haresources: &str, keys: &str, native: &str) -> Settings {
        let mut files = Files::missing_in("/etc/ha.d");
        files.set(FileId::HaCf, ha_cf.as_bytes(), Some(0o644));
        files.set(FileId::HaResources, haresources.as_bytes(), Some(0o644));
        files.set(FileId::AuthKeys, keys.as_bytes(), Some(0o600));
        files.set(FileId::Native, native.as_bytes(), Some(0o644));
        let loaded = crate::load(&files, Some(&NodeName::new("ha1")));
        loaded.settings.unwrap_or_else(|| panic!("valid: {:?}", loaded.diagnostics))
    }

    fn from_base(ha_cf: &str, haresources: &str, keys: &str, native: &str) -> Changes {
        let base = settings(HA_CF, HARESOURCES, KEYS, "");
        Changes::between(&base, &settings(ha_cf, haresources, keys, native))
    }

    #[test]
    fn a_group_that_runs_otherwise_is_released_and_no_other() {
        let check = |haresources: &str, release: &[&str], lines: &[&str]| {
            let changes = from_base(HA_CF, haresources, KEYS, "");
            assert_eq!(changes.release.iter().collect::<Vec<_>>(), release, "{haresources}");
            assert_eq!(changes.lines, lines, "{haresources}");
            assert!(changes.others && !changes.keys);
        };
        check("ha1 10.0.0.1 nginx\n", &["10.0.0.2"], &["group 10.0.0.2 is removed (10.0.0.2)"]);
        check(
            "ha1 10.0.0.1 nginx haproxy\nha2 10.0.0.2\n",
            &["10.0.0.1"],
            &["group 10.0.0.1 changes from `10.0.0.1 nginx` to `10.0.0.1 nginx haproxy`"],
        );
        check(
            "ha2 10.0.0.1 nginx\nha2 10.0.0.2\n",
            &[],
            &["group 10.0.0.1 prefers ha2 in place of ha1"],
        );
        check(
            "ha1 10.0.0.1 nginx\nha2 10.0.0.2\nha1 10.0.0.3\n",
            &[],
            &["group 10.0.0.3 is added, prefers ha1 (10.0.0.3)"],
        );
    }

    #[test]
    fn each_other_difference_is_named() {
        let check = |ha_cf: &str, native: &str, lines: &[&str]| {
            let changes = from_base(ha_cf, HARESOURCES, KEYS, native);
            assert_eq!(changes.lines, lines, "{ha_cf}{native}");
            assert_eq!((changes.others, changes.release.len()), (true, 0));
        };
        check(&HA_CF.replace("deadtime 2", "deadtime 3"), "", &["ha.cf: deadtime 3 in place of 2"]);
        let lines = ["heartbeat link removed: bcast eth1", "heartbeat link added: bcast eth2"];
        check(&HA_CF.replace("eth1", "eth2"), "", &lines);
        check(&format!("{HA_CF}ping 10.0.0.254\n"), "", &["ping node added: 10.0.0.254"]);
        check(HA_CF, "[address]\nprobe = \"100ms\"\n", &["hb.toml: [address] differs"]);
    }

    #[test]
    fn what_the_daemon_does_not_read_is_no_change() {
        assert!(from_base(HA_CF, HARESOURCES, KEYS, "[serve]\nlisten = \"[::1]:80\"\n").is_empty());
    }

    #[test]
    fn keys_alone_need_no_start_and_are_not_shown() {
        let keys = "auth 2\n1 sha256 a-key-of-the-tests-with-32-bytes\n2 sha256 geheim-geheim-geheim-geheim-1234\n";
        let changes = from_base(HA_CF, HARESOURCES, keys, "");
        assert!(changes.keys && !changes.others);
        assert_eq!(changes.lines, ["authkeys: signs with 2 of 1, 2 in place of 1 of 1"]);
        assert_eq!(from_base(HA_CF, HARESOURCES, KEYS, "").plan(), Changes::default().plan());
        assert!(from_base(&format!("# a word\n{HA_CF}"), HARESOURCES, KEYS, "").is_empty());
    }
}
