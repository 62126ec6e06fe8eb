//! What `/proc` says of processes: state, parent, group, start time, environment; and the one thing
//! that is written there, the OOM score of a child. It does I/O; it signals nobody.
#![expect(clippy::disallowed_methods, reason = "edge: reads and writes /proc")]

use std::fs;
use std::io::Read;

/// Largest environment that is read, in bytes; a process with a larger one is taken as unmarked.
const ENVIRONMENT_MAX: u64 = 256 * 1024;

/// One process at one moment. `pid` and `start` together name it for the life of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// `R`, `S`, `D`, `Z` … of proc(5).
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) threads: u32,
    /// Clock ticks from boot to the start of the process.
    pub(super) start: u64,
}

impl Process {
    /// Whether it still holds files and ports. A zombie holds nothing but its number, unless it is
    /// but the first thread of a process whose other threads have not ended yet.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
}

/// The process `pid`, or `None` when there is none.
pub(super) fn process(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&stat))
}

/// All processes. Those that end while this reads are left out.
pub(super) fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Living members of a process group.
pub(super) fn living_members(group: i32) -> Vec<Process> {
    processes().into_iter().filter(|one| one.group == group && one.is_alive()).collect()
}

/// Children of this process, zombies too.
pub(super) fn own_children() -> Vec<Process> {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    match listed_children() {
        Some(pids) => pids.into_iter().filter_map(process).filter(|p| p.parent == me).collect(),
        None => processes().into_iter().filter(|one| one.parent == me).collect(),
    }
}

/// The kernel's own list, which spares a walk over all processes; absent without
/// `CONFIG_PROC_CHILDREN`.
fn listed_children() -> Option<Vec<i32>> {
    let mut pids = Vec::new();
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let list = fs::read_to_string(task.path().join("children")).ok()?;
        pids.extend(list.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    Some(pids)
}

/// The name of `pid`, at most 15 bytes of it; empty when there is none.
pub(super) fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).chars().filter(|c| !c.is_control()).collect()
}

/// The first process of this namespace, which adopts those without a parent.
const FIRST: i32 = 1;

/// This process, its parent, and so on up to the first one. That is always among them: a process
/// that was put into the namespace from outside (`docker exec`, `nsenter`) has no parent there, and
/// what it leaves behind is adopted all the same.
pub(super) fn lineage() -> Vec<i32> {
    let mut pids = Vec::new();
    let mut next = i32::try_from(std::process::id()).unwrap_or_default();
    while next > 0 && !pids.contains(&next) {
        pids.push(next);
        next = process(next).map_or(0, |one| one.parent);
    }
    if !pids.contains(&FIRST) {
        pids.push(FIRST);
    }
    pids
}

/// Whether `pid` lives in the network and the process namespace of this process.
pub(super) fn is_in_our_namespaces(pid: i32) -> bool {
    ["net", "pid"].iter().all(|kind| {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}"));
        let its = fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        matches!((ours, its), (Ok(ours), Ok(its)) if ours == its)
    })
}

/// Members of the control group `path` (as systemd names it), in the unified hierarchy or in
/// systemd's own.
pub(super) fn members_of_control_group(path: &str) -> Vec<i32> {
    let list = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]
        .iter()
        .find_map(|root| fs::read_to_string(format!("{root}{path}/cgroup.procs")).ok());
    list.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether `pid` lives in the control group of this process, when that is one of a service or session
/// (`0::/system.slice/heartbeat.service`): what agents start stays in it, and nobody else is in it. `false` where
/// everything is in the root of the hierarchy, which says nothing.
pub(super) fn is_in_our_control_group(pid: i32) -> bool {
    let path = |pid: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        control_group(&text).map(str::to_owned)
    };
    path("self").is_some_and(|ours| path(&pid.to_string()) == Some(ours))
}

/// The group of the unified hierarchy or of systemd's own (cgroups(7)), unless it is the root.
fn control_group(text: &str) -> Option<&str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut paths = lines.filter_map(|(_, rest)| rest.split_once(':'));
    let (_, path) =
        paths.find(|(kind, path)| matches!(*kind, "" | "name=systemd") && *path != "/")?;
    Some(path)
}

/// Names this boot of the machine; process numbers and start times mean nothing in another one.
/// Empty where the kernel does not tell.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim_end().to_owned()
}

/// The environment that `pid` was started with, unless it has written over it.
pub(super) fn environment(pid: i32) -> Option<Vec<u8>> {
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    let mut bytes = Vec::new();
    file.take(ENVIRONMENT_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= ENVIRONMENT_MAX).then_some(bytes)
}

/// Takes from a child what protects this process from the OOM killer: inherited, it would make every
/// service that an agent starts as hard to kill as the daemon. Does nothing when this process is
/// not protected. A child that forks in its first microseconds escapes it.
pub(super) fn unprotect_from_oom(pid: i32) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    if own.trim().parse::<i32>().is_ok_and(|adjustment| adjustment < 0) {
        // Raising the score needs no right; it fails only when the child has ended.
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "0");
    }
}

/// Reads a line of proc(5) `stat`. The name in brackets may hold blanks and brackets itself.
fn parse_stat(line: &str) -> Option<Process> {
    let pid = line.split(' ').next()?.parse().ok()?;
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Fields 20 and 22 of the line; 7 is the next.
    let threads = fields.nth(13)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    Some(Process { pid, state, parent, group, session, threads, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_around_odd_names() {
        let check = |name: &str| {
            let line = format!(
                "42 ({name}) S 1 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 10 20 30\n"
            );
            let (group, session) = (40, 41);
            let expect = Process {
                pid: 42,
                state: 'S',
                parent: 1,
                group,
                session,
                threads: 3,
                start: 98_765,
            };
            assert_eq!(parse_stat(&line), Some(expect), "{name:?}");
        };
        check("nginx");
        check("a) Z 9 9 (b");
        check("");
        for bad in ["", "42", "42 (x", "42 (x)", "42 (x) S 1 40", "x (x) S 1 2 3"] {
            assert_eq!(parse_stat(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_control_group_of_a_unit_is_known_and_the_root_is_none() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(control_group(text), expect);
        let unit = "/system.slice/heartbeat.service";
        check(&format!("0::{unit}\n"), Some(unit));
        check(&format!("2:cpu:/x\n1:name=systemd:{unit}\n0::{unit}\n"), Some(unit));
        check("0::/\n", None);
        check("9:name=systemd:/\n4:memory:/other\n0::/\n", None);
        check("", None);
    }

    #[test]
    fn a_process_is_dead_when_its_last_thread_is() {
        let check = |state, threads, expect| {
            let one = Process { pid: 2, state, parent: 1, group: 2, session: 2, threads, start: 3 };
            assert_eq!(one.is_alive(), expect, "{state} {threads}");
        };
        check('S', 1, true);
        check('D', 1, true);
        check('Z', 1, false);
        check('X', 0, false);
        // HAProxy while it ends: the first thread is gone, another still holds its port.
        check('Z', 2, true);
    }

    #[test]
    fn this_process_is_found() {
        let me = process(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive() && me.start > 0);
        assert!(processes().iter().any(|one| one.pid == me.pid && one.start == me.start));
        assert!(living_members(me.group).iter().any(|one| one.pid == me.pid));
    }
}
