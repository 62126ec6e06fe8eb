//! Others who set and delete addresses on this machine: cluster managers, network managers, files
//! that are read at boot. Pure.

use std::collections::BTreeSet;

use hb_config::settings::Settings;

use super::super::facts::{Facts, Networkd};
use super::super::finding::{Area, Finding};
use super::{floating, home};

/// Programs that move addresses, with the unit that starts them.
const CLUSTERS: [(&str, &str); 6] = [
    ("keepalived", "keepalived.service"),
    ("pacemakerd", "pacemaker.service"),
    ("corosync", "corosync.service"),
    ("ucarp", "ucarp.service"),
    ("vrrpd", "vrrpd.service"),
    ("carp", "carp.service"),
];

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    clusters(facts, found);
    let Some(settings) = &facts.config.settings else { return };
    for (address, file) in &facts.machine.static_addresses {
        let text = format!("the floating address {address} is also set up at boot by {file}");
        found.push(
            Finding::problem(Area::System, "static_address", text)
                .why("both nodes would have it, and heartbeat could not take it away for long")
                .cure(format!("take {address} out of {file}"))
                .about(address.to_string()),
        );
    }
    left(facts, settings, found);
    for interface in homes(facts, settings) {
        manager(facts, &interface, found);
    }
}

fn clusters(facts: &Facts, found: &mut Vec<Finding>) {
    let before = found.len();
    if let Some(pid) = facts.machine.genuine.first() {
        let text = format!("Debian's heartbeat runs too (process {pid})");
        found.push(
            Finding::problem(Area::System, "genuine_heartbeat", text)
                .why("two managers of the same resources stop what the other starts")
                .cure("`apt install ./twinbeat_*.deb` takes its place; `hb migrate scan` says how")
                .about("heartbeat"),
        );
    }
    for (program, unit) in CLUSTERS {
        let running = facts.machine.programs.get(program).and_then(|pids| pids.first());
        let link = facts.boot.enabled.get(unit);
        let finding = match (running, link) {
            (Some(pid), _) => {
                let text = format!("{program} runs too (process {pid})");
                Finding::problem(Area::System, "other_manager", text)
            }
            (None, Some(link)) => {
                let text = format!("{program} starts at boot too ({link})");
                Finding::warning(Area::System, "other_manager", text)
            }
            (None, None) => continue,
        };
        found.push(
            finding
                .why("two managers of the same addresses take them from each other")
                .cure(format!(
                    "`systemctl disable --now {unit}`, unless it manages other addresses"
                ))
                .about(program),
        );
    }
    if found.len() == before {
        let text = "no other cluster manager runs or starts at boot";
        found.push(Finding::ok(Area::System, "managers", text).about("managers"));
    }
}

/// Addresses that are here though nothing of ours holds them.
fn left(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    if facts.daemon.is_some() || !facts.machine.genuine.is_empty() {
        return;
    }
    for (address, _) in floating(settings) {
        let here = facts
            .network
            .interfaces
            .iter()
            .find(|(_, interface)| interface.addresses.iter().any(|(own, _)| *own == address));
        let Some((name, _)) = here else { continue };
        let text =
            format!("heartbeat does not run, and the floating address {address} is on {name}");
        found.push(
            Finding::problem(Area::System, "left_address", text)
                .why("the other node has it too, or will: clients reach one of both by chance")
                .cure("start heartbeat, which sorts it out")
                .cure(format!("or remove it: `hb address stop {address}`"))
                .about(address.to_string()),
        );
    }
}

fn homes(facts: &Facts, settings: &Settings) -> BTreeSet<String> {
    let all = floating(settings).into_iter();
    all.filter_map(|(address, written)| home(facts, address, written).map(str::to_owned)).collect()
}

/// What the network manager of an interface does to addresses that it did not set.
fn manager(facts: &Facts, name: &str, found: &mut Vec<Finding>) {
    let Some(interface) = facts.network.interfaces.get(name) else { return };
    let why = "a restart or an upgrade of it deletes the floating address; heartbeat puts it back \
               within milliseconds, but connections may be cut";
    if let Some(Networkd { file, keep }) = &interface.networkd {
        let kept = keep.as_deref().is_some_and(|it| ["yes", "static", "true"].contains(&it));
        let finding = if kept {
            let text = format!("systemd-networkd leaves addresses of {name} alone");
            Finding::ok(Area::System, "networkd", text)
        } else {
            let base = file.rsplit('/').next().unwrap_or(file);
            let netplan = file.starts_with("/run/systemd/network/") && base.contains("netplan");
            let text = format!("systemd-networkd manages {name} and keeps no foreign address");
            let drop_in = format!("/etc/systemd/network/{base}.d/heartbeat.conf");
            let finding = Finding::warning(Area::System, "networkd", text).why(why).cure(format!(
                "write `[Network]` and `KeepConfiguration=static` to {drop_in}, then `networkctl reload`"
            ));
            if netplan {
                finding.cure("netplan wrote that file anew; the drop-in above stays")
            } else {
                finding
            }
        };
        found.push(finding.about(name));
    }
    if interface.network_manager {
        let text = format!("NetworkManager manages {name}");
        found.push(
            Finding::warning(Area::System, "network_manager", text)
                .why(why)
                .cure(format!(
                    "if it need not: `[keyfile]` and `unmanaged-devices=interface-name:{name}` in \
                     /etc/NetworkManager/conf.d/heartbeat.conf, and the interface in another tool's files"
                ))
                .about(name),
        );
    }
    if facts.machine.cloud_init {
        found.push(
            Finding::note(
                Area::System,
                "cloud_init",
                format!("cloud-init sets up {name} at each boot"),
            )
            .why("it writes the network's files anew; changes there do not last")
            .cure("`network: {config: disabled}` in /etc/cloud/cloud.cfg.d/99-heartbeat.cfg")
            .about(name),
        );
    }
}
