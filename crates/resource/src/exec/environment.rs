//! The variables that agents get: a fixed list (`docs/reference/agent-environment.md`), computed
//! from settings. It reads nothing, least of all the environment of this process.
//!
//! Heartbeat 3.0.6 exported every string field of a message as `HA_<field>`, whatever its name, to
//! scripts that run as root. Only names of this list are ever set here.

use std::collections::BTreeMap;

use hb_config::settings::Settings;

/// This node's name.
pub const NODE_VARIABLE: &str = "HA_CURHOST";
/// The group (its first resource as written) that a process was started for.
pub const GROUP_VARIABLE: &str = "HA_GROUP";
/// The resource, as written in haresources, that a process was started for.
pub const RESOURCE_VARIABLE: &str = "HA_RESOURCE";

/// `ha.cf` directives that are not exported: their words may hold passwords, and services that give
/// up root keep their environment.
const PRIVATE: [&str; 2] = ["stonith", "stonith_host"];

/// Where things are that scripts look for. Absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `HA_DIR`: the configuration.
    pub configuration: String,
    /// `HA_RESOURCEDIR`: resource scripts.
    pub resource_scripts: String,
    /// `HA_RSCTMP`: state files of scripts; emptied at boot.
    pub scratch: String,
    /// `HA_BIN`: private programs.
    pub programs: String,
    /// `HA_NOARCHBIN`: private scripts.
    pub shared: String,
    /// `HA_FIFO`: where scripts may write messages.
    pub fifo: String,
    /// `OCF_ROOT`.
    pub ocf_root: String,
    /// `PATH`; must find `hb` for the scripts of addresses.
    pub path: String,
}

impl Default for Paths {
    /// As in Heartbeat's packages.
    fn default() -> Self {
        Self {
            configuration: "/etc/ha.d".into(),
            resource_scripts: "/etc/ha.d/resource.d".into(),
            scratch: "/run/heartbeat/rsctmp".into(),
            programs: "/usr/lib/heartbeat".into(),
            shared: "/usr/share/heartbeat".into(),
            fifo: "/var/lib/heartbeat/fifo".into(),
            ocf_root: "/usr/lib/ocf".into(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        }
    }
}

/// All variables but those of one resource, sorted by name. Where an `env` line or a directive has
/// the name of a variable that is computed here, the computed one wins.
pub fn list(settings: &Settings, paths: &Paths) -> Vec<(String, String)> {
    let mut all = BTreeMap::new();
    for (name, value) in &settings.parameters {
        // Heartbeat exports the last word.
        let last = value.split_ascii_whitespace().last().unwrap_or_default();
        if is_name(name) && !PRIVATE.contains(&name.as_str()) {
            all.insert(format!("HA_{name}"), last.to_owned());
        }
    }
    for (name, value) in settings.environment.iter().filter(|(name, _)| is_name(name)) {
        all.insert(format!("HA_{name}"), value.clone());
    }
    for (name, value) in computed(settings, paths) {
        all.insert(name.to_owned(), value);
    }
    // A null byte cannot be in a variable: the kernel would refuse to run anything.
    all.into_iter().filter(|(_, value)| !value.contains('\0')).collect()
}

fn computed(settings: &Settings, paths: &Paths) -> Vec<(&'static str, String)> {
    let log = &settings.logging;
    let mut list = vec![
        ("PATH", paths.path.clone()),
        (NODE_VARIABLE, settings.node.as_str().to_owned()),
        ("HA_DIR", paths.configuration.clone()),
        ("HA_FUNCS", format!("{}/shellfuncs", paths.configuration)),
        ("HA_RCDIR", format!("{}/rc.d", paths.configuration)),
        ("HA_RESOURCEDIR", paths.resource_scripts.clone()),
        ("HA_RSCTMP", paths.scratch.clone()),
        ("HA_BIN", paths.programs.clone()),
        ("HA_NOARCHBIN", paths.shared.clone()),
        ("HA_FIFO", paths.fifo.clone()),
        ("HA_DATEFMT", "%Y/%m/%d_%T".to_owned()),
        ("HA_LOGD", "no".to_owned()),
        ("HA_NICEFAILBACK", "yes".to_owned()),
        ("HA_debug", log.debug.to_string()),
        ("OCF_ROOT", paths.ocf_root.clone()),
        ("OCF_AGENTS", format!("{}/resource.d", paths.ocf_root)),
    ];
    list.extend(log.logfile.iter().map(|file| ("HA_LOGFILE", file.clone())));
    list.extend(log.debugfile.iter().map(|file| ("HA_DEBUGLOG", file.clone())));
    let facility = settings.parameters.get("logfacility").filter(|_| log.facility.is_some());
    list.extend(facility.map(|word| ("HA_LOGFACILITY", word.clone())));
    list
}

/// Letters, digits and `_`, not a digit first: what a shell can use (POSIX.1, 3.216).
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use hb_config::settings::{
        AuthKeys, AutoFailback, GenerationSource, Logging, Native, NodeName, Timing, UuidSource,
    };

    use super::*;

    fn settings() -> Settings {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        Settings {
            ipfail: false,
            node: NodeName::new("Node1"),
            nodes: vec![NodeName::new("node1")],
            cluster: "linux-ha".into(),
            timing: Timing {
                keepalive_ms: 1_000,
                deadtime_ms: 30_000,
                warntime_ms: 15_000,
                initdead_ms: 60_000,
                deadping_ms: 30_000,
            },
            media: Vec::new(),
            pings: Vec::new(),
            udp_port: 694,
            auto_failback: AutoFailback::On,
            keys: AuthKeys { active: 1, keys: BTreeMap::new() },
            groups: Vec::new(),
            logging: Logging {
                logfile: Some("/var/log/ha-log".into()),
                facility: Some(16),
                ..Logging::default()
            },
            realtime: true,
            realtime_priority: None,
            inner_auth: true,
            hopfudge: 1,
            max_rexmit_delay_ms: 250,
            generation_source: GenerationSource::File,
            uuid_source: UuidSource::File,
            environment: pairs(&[("SITE", "north"), ("DIR", "/tmp"), ("A=B", "x"), ("N", "a\0b")]),
            parameters: pairs(&[
                ("keepalive", "200ms"),
                ("ucast", "eth0 10.0.0.2"),
                ("logfacility", "local0"),
                ("stonith_host", "* ipmi node2 root secret"),
                ("9lives", "x"),
            ])
            .into_iter()
            .collect(),
            native: Native::default(),
        }
    }

    #[test]
    fn the_list_is_exactly_the_documented_one() {
        let shown: Vec<_> = list(&settings(), &Paths::default())
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "HA_BIN=/usr/lib/heartbeat",
                "HA_CURHOST=node1",
                "HA_DATEFMT=%Y/%m/%d_%T",
                "HA_DIR=/etc/ha.d",
                "HA_FIFO=/var/lib/heartbeat/fifo",
                "HA_FUNCS=/etc/ha.d/shellfuncs",
                "HA_LOGD=no",
                "HA_LOGFACILITY=local0",
                "HA_LOGFILE=/var/log/ha-log",
                "HA_NICEFAILBACK=yes",
                "HA_NOARCHBIN=/usr/share/heartbeat",
                "HA_RCDIR=/etc/ha.d/rc.d",
                "HA_RESOURCEDIR=/etc/ha.d/resource.d",
                "HA_RSCTMP=/run/heartbeat/rsctmp",
                "HA_SITE=north",
                "HA_debug=0",
                "HA_keepalive=200ms",
                "HA_logfacility=local0",
                "HA_ucast=10.0.0.2",
                "OCF_AGENTS=/usr/lib/ocf/resource.d",
                "OCF_ROOT=/usr/lib/ocf",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ]
        );
    }

    #[test]
    fn every_computed_name_is_documented() {
        let document = include_str!("../../../../docs/reference/agent-environment.md");
        let all = computed(&settings(), &Paths::default());
        for name in all.iter().map(|(name, _)| *name).chain([GROUP_VARIABLE, RESOURCE_VARIABLE]) {
            assert!(document.contains(&format!("`{name}`")), "{name} is not documented");
        }
    }
}
