//! Reads what `/proc` says of processes: state, parent, group, start time, environment. It does
//! I/O; it signals nobody.
#![expect(clippy::disallowed_methods, reason = "edge: reads /proc")]

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
    /// Clock ticks from boot to the start of the process.
    pub(super) start: u64,
}

impl Process {
    /// Whether it can still run code. A zombie holds nothing but its number.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
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

/// The environment that `pid` was started with, unless it has written over it.
pub(super) fn environment(pid: i32) -> Option<Vec<u8>> {
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    let mut bytes = Vec::new();
    file.take(ENVIRONMENT_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= ENVIRONMENT_MAX).then_some(bytes)
}

/// Reads a line of proc(5) `stat`. The name in brackets may hold blanks and brackets itself.
fn parse_stat(line: &str) -> Option<Process> {
    let pid = line.split(' ').next()?.parse().ok()?;
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the line; 5 is the next.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, state, parent, group, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_around_odd_names() {
        let check = |name: &str| {
            let line = format!(
                "42 ({name}) S 1 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 10 20 30\n"
            );
            let expect = Process { pid: 42, state: 'S', parent: 1, group: 40, start: 98_765 };
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
    fn this_process_is_found() {
        let me = process(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive() && me.start > 0);
        assert!(processes().iter().any(|one| one.pid == me.pid && one.start == me.start));
        assert!(living_members(me.group).iter().any(|one| one.pid == me.pid));
    }
}
