//! Real-time scheduling and locked memory: wishes, never conditions. What is refused is returned in
//! words, and the daemon goes on (I/O).
#![expect(clippy::disallowed_methods, reason = "reads the process limits of the kernel")]

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::sys;

/// Priority when ha.cf has no `rtprio`: above nothing but ordinary programs.
pub(crate) const PRIORITY: u8 = 1;

/// Asks for both. Each refusal is a sentence for the log.
pub(crate) fn enter(priority: u8) -> Vec<String> {
    let mut refused = Vec::new();
    if let Err(error) = sys::set_round_robin(priority) {
        let hint = if budget_is_empty() {
            "; the control group of this process has no real-time budget (cpu.rt_runtime_us)"
        } else {
            ""
        };
        refused.push(format!(
            "no real-time scheduling (SCHED_RR {priority}): {error}{hint}; under heavy load \
             heartbeats may be late"
        ));
    }
    // Pages are locked when they are touched: locking whole stacks and arenas would cost far more
    // memory than this daemon uses.
    if let Err(error) = lock_memory() {
        refused.push(format!(
            "memory is not locked: {error}; when the machine swaps, heartbeats may be late"
        ));
    }
    refused
}

/// Under a limit that counts and cannot be lifted, memory is better not locked: each allocation and
/// each thread beyond the limit would fail.
fn lock_memory() -> nix::Result<()> {
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
        && !is_exempt_from_limit()
    {
        return Err(error);
    }
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
}

/// With CAP_IPC_LOCK the limit does not count (mlock(2)); but the capabilities of a user namespace
/// say nothing here.
fn is_exempt_from_limit() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let map = read("/proc/self/uid_map");
    let whole_machine = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let status = read("/proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    whole_machine && set >> CAP_IPC_LOCK & 1 == 1
}

/// Control groups of version 1 give real-time budgets, zero by default.
fn budget_is_empty() -> bool {
    let Ok(groups) = std::fs::read_to_string("/proc/self/cgroup") else { return false };
    groups
        .lines()
        .filter_map(|line| line.split_once(":cpu").and_then(|(_, rest)| rest.split_once(':')))
        .filter_map(|(_, path)| {
            let file = format!("/sys/fs/cgroup/cpu{path}/cpu.rt_runtime_us");
            std::fs::read_to_string(file).ok()
        })
        .any(|budget| budget.trim() == "0")
}
