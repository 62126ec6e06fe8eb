//! Problems of the recent past and of the moment: late heartbeats, standstills, wrong signatures,
//! operations that hang. Found from what `watch` and `activity` remember.

use hb_messaging::time::Instant;

use super::Finding;
use crate::activity::short;
use crate::api::Verdict;
use crate::snapshot::View;

impl View<'_> {
    pub(super) fn find_in_traffic(&self, now: Instant, found: &mut Vec<Finding>) {
        let watch = &self.node.watch;
        for (name, count, worst_ms) in watch.late(now) {
            found.push(Finding {
                id: "late_heartbeats",
                subject: name.to_string(),
                text: late_words(name.as_str(), count, worst_ms),
                hint: "load or network: mend it, or raise warntime and deadtime".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
        if let Some((count, worst_ms)) = watch.stalls(now) {
            // Shorter ones are a note: the peer did not come near to taking this node for dead.
            let grave = worst_ms >= self.node.profile.timing.deadtime_ms / 2;
            found.push(Finding {
                id: "core_stalled",
                subject: String::new(),
                text: stall_words(count, worst_ms),
                hint: "a frozen virtual machine, SIGSTOP, or no processor time left".to_owned(),
                verdict: if grave { Verdict::Degraded } else { Verdict::Healthy },
            });
        }
        if let Some(count) = watch.bad_auth(now) {
            found.push(Finding {
                id: "bad_auth",
                subject: String::new(),
                text: format!("{count} datagrams with a wrong signature: key mismatch?"),
                hint: "compare authkeys on both nodes; another cluster on this port?".to_owned(),
                verdict: Verdict::Degraded,
            });
        }
    }

    pub(super) fn find_hung(&self, now: Instant, found: &mut Vec<Finding>) {
        if self.node.log_hangs {
            found.push(Finding {
                id: "log_hangs",
                subject: String::new(),
                text: "the log cannot be written: a disk or log server does not answer".to_owned(),
                hint: "look at the disks of this node with dmesg; agents on them hang as well"
                    .to_owned(),
                verdict: Verdict::Degraded,
            });
        }
        for (operation, words) in self.node.activity.hung(now) {
            let (group, text) = (&operation.group, &operation.resource.text);
            let limit = short(operation.timeout);
            found.push(Finding {
                id: "hung",
                subject: format!("{group} {text}"),
                text: format!("{text} {words}"),
                hint: format!("see what its agent waits for; it is ended after {limit}"),
                verdict: Verdict::Degraded,
            });
        }
    }
}

fn late_words(name: &str, count: u64, worst_ms: u64) -> String {
    match count {
        1 => format!("a late heartbeat of {name}, after {worst_ms} ms"),
        _ => format!("{count} late heartbeats of {name}, the worst after {worst_ms} ms"),
    }
}

fn stall_words(count: u64, worst_ms: u64) -> String {
    match count {
        1 => format!("this node stood still for {worst_ms} ms"),
        _ => format!("this node stood still {count} times, at worst for {worst_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_as_one() {
        assert_eq!(late_words("node2", 1, 700), "a late heartbeat of node2, after 700 ms");
        let many = "2 late heartbeats of node2, the worst after 700 ms";
        assert_eq!(late_words("node2", 2, 700), many);
        assert_eq!(stall_words(1, 700), "this node stood still for 700 ms");
        assert_eq!(stall_words(3, 700), "this node stood still 3 times, at worst for 700 ms");
    }
}
