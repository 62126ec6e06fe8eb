//! Whether this machine let the daemons run: a verdict on a pair that got no time is none. I/O: the
//! clock, and a thread that looks at it.

#![expect(clippy::disallowed_methods, reason = "measures how late a thread wakes up")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(20);
/// A third of the shortest dead time that is played with: who stands still for so long may miss
/// enough heartbeats to be taken for dead.
const STALL: Duration = Duration::from_millis(500);

/// Looks at the clock for as long as it is kept.
#[derive(Debug)]
pub struct Watch {
    end: Arc<AtomicBool>,
    /// Longest time between two looks, ms.
    longest: Arc<AtomicU64>,
}

impl Watch {
    /// Begins.
    pub fn start() -> Self {
        let watch = Self { end: Arc::default(), longest: Arc::default() };
        let (end, longest) = (Arc::clone(&watch.end), Arc::clone(&watch.longest));
        thread::spawn(move || {
            let mut last = Instant::now();
            while !end.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
                longest.fetch_max(gap, Ordering::Relaxed);
                last = Instant::now();
            }
        });
        watch
    }

    /// The longest stall so far, when it was long enough to matter.
    pub fn stall(&self) -> Option<String> {
        let longest = Duration::from_millis(self.longest.load(Ordering::Relaxed));
        (longest >= STALL)
            .then(|| format!("this machine stood still for {:.1} s", longest.as_secs_f64()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// What a daemon's log on `node` says of its own starving, and of what starving scripts did to it.
pub fn in_log(node: &str, log: &str) -> Vec<String> {
    let own_late = format!("Late heartbeat: Node {node}:");
    let signs = [
        (own_late.as_str(), "its own heartbeat was late"),
        ("No local heartbeat. Forcing restart", "it missed its own heartbeats"),
        ("this process stood still", "it stood still"),
        // On a busy machine 3.0.6 reads its FIFO faster than a script writes it line by line.
        ("msg2string: Message with zero fields", "it lost what a script of its own told it"),
    ];
    let seen = signs.iter().filter(|(sign, _)| log.lines().any(|line| line.contains(sign)));
    seen.map(|(_, meaning)| format!("{node} said that {meaning}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_of_its_own_node_only() {
        let check = |line: &str, expect: usize| {
            assert_eq!(in_log("node1", line).len(), expect, "{line}");
        };
        check("node1 heartbeat: CRIT: Late heartbeat: Node node1: interval 1620 ms", 1);
        check("node1 heartbeat: CRIT: Late heartbeat: Node node2: interval 1620 ms", 0);
        check("node1 heartbeat: CRIT: Late heartbeat: Node 192.0.2.254: interval 9 ms", 0);
        check("node1 heartbeat: ERROR: No local heartbeat. Forcing restart.", 1);
        check("WARN this process stood still for 900 ms", 1);
        check("node1 heartbeat: [17]: ERROR: msg2string: Message with zero fields", 1);
        check("info: fine", 0);
    }

    #[test]
    fn a_short_delay_is_no_stall() {
        let check = |longest_ms: u64, expect: Option<&str>| {
            let watch = Watch { end: Arc::default(), longest: Arc::new(longest_ms.into()) };
            assert_eq!(watch.stall().as_deref(), expect, "{longest_ms}");
        };
        check(499, None);
        check(1_200, Some("this machine stood still for 1.2 s"));
    }
}
