//! The daemon's process: may it do what it has to, and is it protected as it should be. Pure.

use super::super::facts::{Daemon, Facts};
use super::super::finding::{Area, Finding};

/// Capabilities without which something of a node does not work (capabilities(7)).
const CAPABILITIES: [(u32, &str, &str); 6] = [
    (12, "CAP_NET_ADMIN", "it cannot set floating addresses"),
    (13, "CAP_NET_RAW", "it can neither announce addresses nor ask ping nodes"),
    (10, "CAP_NET_BIND_SERVICE", "it cannot listen on UDP 694"),
    (21, "CAP_SYS_ADMIN", "agents cannot mount file systems"),
    (5, "CAP_KILL", "it cannot end agents of other users"),
    (1, "CAP_DAC_OVERRIDE", "agents cannot write files of other users"),
];
/// Enough for the sockets of a pair, its agents and its clients.
const FILES_MIN: u64 = 1_024;
/// Of sched(7): ordinary.
const ORDINARY: u32 = 0;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(daemon) = &facts.daemon else {
        found.push(
            Finding::note(Area::System, "not_running", "heartbeat does not run here")
                .why("its rights and limits could not be looked at")
                .cure("`systemctl start heartbeat`, then ask again")
                .about("heartbeat"),
        );
        return;
    };
    let before = found.len();
    rights(daemon, found);
    realtime(facts, daemon, found);
    if let Some(Some(files)) = daemon.limits.get("Max open files")
        && *files < FILES_MIN
    {
        let text = format!("the daemon may open {files} files only");
        found.push(
            Finding::warning(Area::System, "few_files", text)
                .why("agents that it starts have the same limit")
                .cure("`LimitNOFILE=65536` in a drop-in of heartbeat.service")
                .about("heartbeat"),
        );
    }
    if !daemon.same_network {
        let text = "the daemon is in another network than this shell";
        found.push(
            Finding::note(Area::System, "other_network", text)
                .why("what is said here of interfaces and ports is said of this shell's network")
                .cure(format!("`nsenter -t {} -n hb doctor`", daemon.pid))
                .about("heartbeat"),
        );
    }
    if let Some(label) = &daemon.label {
        let text = format!("the daemon is confined: {label}");
        found.push(
            Finding::note(Area::System, "confined", text)
                .why("agents are too; what it denies is in the kernel's log (`ausearch -m avc`, `dmesg`)")
                .about("heartbeat"),
        );
    }
    if found.len() == before {
        let text =
            format!("the daemon (process {}) has the rights and limits it needs", daemon.pid);
        found.push(Finding::ok(Area::System, "context", text).about("heartbeat"));
    }
}

fn rights(daemon: &Daemon, found: &mut Vec<Finding>) {
    if daemon.uid != 0 {
        let text = format!("the daemon runs as user {}, not as root", daemon.uid);
        found.push(
            Finding::problem(Area::System, "not_root", text)
                .why("agents start and stop services as root")
                .cure("take `User=` out of the drop-ins of heartbeat.service")
                .about("heartbeat"),
        );
    }
    for (bit, name, why) in CAPABILITIES {
        if daemon.capabilities >> bit & 1 == 1 {
            continue;
        }
        found.push(
            Finding::problem(Area::System, "no_capability", format!("the daemon lacks {name}"))
                .why(why)
                .cure(format!(
                    "take it out of CapabilityBoundingSet= of heartbeat.service, or give it to the container: {name}"
                ))
                .about(name),
        );
    }
    if daemon.no_new_privileges {
        let text = "the daemon and all that it starts can gain no rights (NoNewPrivileges)";
        found.push(
            Finding::warning(Area::System, "no_new_privileges", text)
                .why("agents that use sudo or su, and services that change their user that way, fail")
                .cure("`NoNewPrivileges=no` in a drop-in of heartbeat.service")
                .about("heartbeat"),
        );
    }
}

fn realtime(facts: &Facts, daemon: &Daemon, found: &mut Vec<Finding>) {
    let wanted = facts.config.settings.as_ref().is_some_and(|it| it.realtime);
    if !wanted {
        return;
    }
    if daemon.policy == ORDINARY {
        let budget = facts.network.sysctl.get("kernel/sched_rt_runtime_us").map(String::as_str);
        let cure = match budget {
            Some("0") => "`sysctl -w kernel.sched_rt_runtime_us=950000`",
            Some(_) | None => {
                "`LimitRTPRIO=infinity` in heartbeat.service; in a container: CAP_SYS_NICE and a \
                 real-time budget; or `realtime off` in ha.cf, if a long deadtime will do"
            }
        };
        found.push(
            Finding::warning(Area::System, "not_realtime", "the daemon has no real-time priority")
                .why("under heavy load heartbeats are late, and the peer takes this node for dead")
                .cure(cure)
                .about("heartbeat"),
        );
    }
    if daemon.locked_kib == 0 {
        found.push(
            Finding::warning(Area::System, "not_locked", "the daemon's memory is not locked")
                .why("when the machine swaps, heartbeats are late")
                .cure("`LimitMEMLOCK=infinity` in heartbeat.service; in a container: CAP_IPC_LOCK")
                .about("heartbeat"),
        );
    }
}
