//! What starts when the machine does: links of systemd and of runlevels, and what systemd knows of
//! our unit (I/O).
#![expect(clippy::disallowed_methods, reason = "reads directories of units")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::super::facts::Boot;
use super::{names, tool};

/// Where administrators' links are.
const ETC: &str = "/etc/systemd/system";
/// Where packages have their units.
const UNITS: [&str; 3] = [ETC, "/lib/systemd/system", "/usr/lib/systemd/system"];
/// Runlevels in which a machine serves.
const LEVELS: [&str; 5] =
    ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d"];
/// What is asked of systemd.
const PROPERTIES: &str =
    "LoadState,UnitFileState,After,Before,KillMode,Restart,Type,NeedDaemonReload,DropInPaths";

pub(super) fn boot() -> Boot {
    let systemd = Path::new("/run/systemd/system").is_dir();
    let mut boot = Boot { systemd, ..Boot::default() };
    boot.enabled = wanted();
    boot.enabled.extend(runlevels(systemd));
    boot.masked = masked();
    if systemd {
        let args = ["show", "heartbeat.service", "--no-pager", "--property", PROPERTIES];
        let text = tool::run("systemctl", &args).ok().unwrap_or_default();
        boot.unit = properties(&text);
    }
    boot
}

/// Units in `.wants` and `.requires` of any other.
fn wanted() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in names(ETC) {
        if !folder.ends_with(".wants") && !folder.ends_with(".requires") {
            continue;
        }
        let folder = format!("{ETC}/{folder}");
        for name in names(&folder) {
            all.entry(name.clone()).or_insert(format!("{folder}/{name}"));
        }
    }
    all
}

/// `S20nginx` starts nginx. Where systemd runs, a unit of the name takes the script's place.
fn runlevels(systemd: bool) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for level in LEVELS {
        for link in names(level) {
            let Some(name) = link.strip_prefix('S').and_then(|rest| rest.get(2..)) else {
                continue;
            };
            let unit = format!("{name}.service");
            let replaced = UNITS.iter().any(|dir| Path::new(dir).join(&unit).exists());
            if !(systemd && replaced) {
                all.entry(name.to_owned()).or_insert(format!("{level}/{link}"));
            }
        }
    }
    all
}

/// A link to nowhere.
fn masked() -> BTreeSet<String> {
    let is_masked = |name: &String| {
        fs::read_link(Path::new(ETC).join(name)).is_ok_and(|to| to == Path::new("/dev/null"))
    };
    names(ETC).into_iter().filter(is_masked).collect()
}

/// `Name=value` lines.
fn properties(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let all: BTreeMap<_, _> = text.lines().filter_map(line).collect();
    // Of a unit that is not there systemd says its own defaults.
    let loaded = all.get("LoadState").is_some_and(|state| state == "loaded");
    if loaded { all } else { BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_not_loaded_says_nothing() {
        let text = "LoadState=loaded\nKillMode=process\nAfter=a.target b=c\n";
        assert_eq!(properties(text).get("After").map(String::as_str), Some("a.target b=c"));
        assert!(properties("LoadState=not-found\nKillMode=control-group\n").is_empty());
    }
}
