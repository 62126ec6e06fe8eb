//! Processes as `/proc` shows them: who runs, and the daemon itself (I/O).
#![expect(clippy::disallowed_methods, reason = "reads /proc")]

use std::collections::BTreeMap;
use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::facts::Daemon;
use super::{names, read};

/// Where Debian's package has its daemon.
const GENUINE: &str = "/usr/libexec/heartbeat/heartbeat";
const PROGRAM: &str = "heartbeat";

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// At most 15 characters (proc(5)).
    pub(super) name: String,
}

impl Process {
    fn link(&self, name: &str) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/{name}", self.pid)).ok()
    }

    /// Debian's heartbeat.
    pub(super) fn is_genuine(&self) -> bool {
        self.name == PROGRAM
            && self.link("exe").is_some_and(|exe| exe.to_string_lossy().starts_with(GENUINE))
    }

    /// The sockets that it has open, by inode.
    pub(super) fn sockets(&self) -> Vec<u64> {
        let dir = format!("/proc/{}/fd", self.pid);
        let inode = |name: String| {
            let link = fs::read_link(format!("{dir}/{name}")).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        names(&dir).into_iter().filter_map(inode).collect()
    }
}

/// All that can be seen.
pub(super) fn all() -> Vec<Process> {
    let pids = names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let name = read(format!("/proc/{pid}/comm"))?.trim_end().to_owned();
        Some(Process { pid, name })
    })
    .collect()
}

/// The daemon: the one that answers, else the one of the pid file.
pub(super) fn daemon(all: &[Process], said: Option<u32>, run_dir: &Path) -> Option<Daemon> {
    let pid = said.or_else(|| {
        let file = run_dir.with_extension("pid");
        read(file)?.trim().parse().ok()
    })?;
    let process = all.iter().find(|it| it.pid == pid && it.name == PROGRAM)?;
    if process.is_genuine() {
        return None;
    }
    let file = |name: &str| read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let same = |name: &str| {
        let of = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|it| it.st_ino());
        match (of(&pid.to_string()), of("self")) {
            (Ok(one), Ok(other)) => one == other,
            // Not root: then it cannot be told.
            (_, _) => true,
        }
    };
    let label = file("attr/current").trim_end_matches(['\0', '\n']).to_owned();
    let confined = !label.is_empty() && label != "unconfined" && !label.contains("unconfined_t");
    let daemon = Daemon {
        pid,
        limits: limits(&file("limits")),
        oom_score_adj: file("oom_score_adj").trim().parse().unwrap_or(0),
        same_files: same("mnt"),
        same_network: same("net"),
        label: confined.then_some(label),
        ..status(&file("status"))
    };
    Some(Daemon { policy: policy(&file("stat")), ..daemon })
}

/// What `/proc/PID/status` says.
fn status(text: &str) -> Daemon {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).unwrap_or_default()
    };
    Daemon {
        // Real, effective, saved, file system.
        uid: field("Uid").split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0),
        capabilities: u64::from_str_radix(field("CapEff"), 16).unwrap_or(0),
        no_new_privileges: field("NoNewPrivs") == "1",
        locked_kib: field("VmLck")
            .split_whitespace()
            .next()
            .and_then(|it| it.parse().ok())
            .unwrap_or(0),
        ..Daemon::default()
    }
}

/// Soft limits of `/proc/PID/limits`: name, soft, hard, unit in columns.
fn limits(text: &str) -> BTreeMap<String, Option<u64>> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, rest) = line.split_at_checked(26)?;
            let soft = rest.split_whitespace().next()?;
            Some((name.trim_end().to_owned(), soft.parse().ok()))
        })
        .collect()
}

/// Field 41 of `/proc/PID/stat`; the name in brackets may hold blanks.
fn policy(text: &str) -> u32 {
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(38).and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let text = "Name:\theartbeat\nUid:\t1\t0\t0\t0\nVmLck:\t    1234 kB\nCapEff:\t000001ffffffffff\n\
                    NoNewPrivs:\t1\n";
        let daemon = status(text);
        assert_eq!((daemon.uid, daemon.locked_kib), (0, 1234));
        assert_eq!(daemon.capabilities, 0x1ff_ffff_ffff);
        assert!(daemon.no_new_privileges);
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 65536                files     \n\
                    Max locked memory         unlimited            unlimited            bytes     \n";
        let limits = limits(text);
        assert_eq!(limits.get("Max open files"), Some(&Some(1024)));
        assert_eq!(limits.get("Max locked memory"), Some(&None));
        let numbers: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        assert_eq!(policy(&format!("12 (a ) b) {}", numbers.join(" "))), 41);
        assert_eq!(policy(""), 0);
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        assert!(all().iter().any(|it| it.pid == own));
    }
}
