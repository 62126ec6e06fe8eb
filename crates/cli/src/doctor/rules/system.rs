//! The machine: configuration, directories, kernel settings, the clock. Pure.

use std::net::IpAddr;

use hb_config::settings::Settings;

use super::super::facts::{Component, Facts, Folder, FolderState, Protocol};
use super::super::finding::{Area, Finding};
use super::{floating, home, is_near};

/// Less free space than this is soon used up by logs.
const FREE_WARNING: u64 = 64 << 20;
/// Less than this and not even the generation can be written.
const FREE_PROBLEM: u64 = 1 << 20;
/// The same for files that can still be made.
const INODES_PROBLEM: u64 = 16;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    configuration(facts, found);
    for folder in &facts.machine.folders {
        // Debian's heartbeat gives its sockets' folder to another user.
        let foreign = folder.use_for == "sockets" && !facts.machine.genuine.is_empty();
        if !foreign {
            found.push(self::folder(folder));
        }
    }
    if let Some(settings) = &facts.config.settings {
        node(facts, settings, found);
        nonlocal(facts, settings, found);
        promote(facts, settings, found);
        ipv6(facts, settings, found);
    }
    clock(facts, found);
}

fn many(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn configuration(facts: &Facts, found: &mut Vec<Finding>) {
    let config = &facts.config;
    let dir = &config.dir;
    let finding = match (config.errors, config.warnings) {
        (0, 0) => {
            Finding::ok(Area::System, "configuration", format!("the files of {dir} are valid"))
        }
        (0, warnings) => {
            let text =
                format!("`hb check` has {} about the files of {dir}", many(warnings, "warning"));
            Finding::warning(Area::System, "configuration", text).cure("`hb check`")
        }
        (errors, _) => {
            let text = format!(
                "heartbeat does not start: {} in the files of {dir}",
                many(errors, "error")
            );
            Finding::problem(Area::System, "configuration", text).cure("`hb check` names each")
        }
    };
    found.push(finding.about(dir));
    for Component { path, uid, mode } in &config.files {
        let (text, cure) = if *uid != 0 {
            (format!("{path} belongs to user {uid}, not to root"), format!("`chown root {path}`"))
        } else if mode & 0o022 != 0 {
            let text = format!("{path} can be changed by others than root (mode {mode:04o})");
            (text, format!("`chmod go-w {path}`"))
        } else if path.ends_with("/authkeys") && mode & 0o077 != 0 {
            let text = format!("{path} can be read by others than root (mode {mode:04o})");
            (text, format!("`chmod 600 {path}`"))
        } else {
            continue;
        };
        found.push(
            Finding::problem(Area::System, "unsafe_file", text)
                .why("who can change it decides what root runs; who reads the key can command the pair")
                .cure(cure)
                .about(path),
        );
    }
}

fn folder(folder: &Folder) -> Finding {
    let Folder { path, use_for, state } = folder;
    let problem = |text: String| Finding::problem(Area::System, "folder", text);
    let finding = match state {
        FolderState::Missing => {
            let text = format!("{path} ({use_for}) is not there yet; heartbeat makes it");
            Finding::note(Area::System, "folder", text)
        }
        FolderState::Unreadable(reason) => {
            let text = format!("{path} ({use_for}) was not looked at: {reason}");
            Finding::note(Area::System, "folder", text)
        }
        FolderState::There { read_only: true, .. } => problem(format!(
            "{path} ({use_for}) is on a read-only file system"
        ))
        .cure(format!("`mount -o remount,rw` what holds {path}; see `dmesg` for its reason")),
        FolderState::There { uid, mode, .. } if *uid != 0 || mode & 0o022 != 0 => problem(format!(
            "{path} ({use_for}) can be changed by others (user {uid}, mode {mode:04o})"
        ))
        .cure(format!("`chown root {path} && chmod 755 {path}`")),
        FolderState::There { free, .. } if *free < FREE_PROBLEM => {
            problem(format!("{path} ({use_for}) is full: {} KiB free", free >> 10))
                .why("without the next generation number the daemon does not start")
                .cure("make room")
        }
        FolderState::There { inodes: Some(inodes), .. } if *inodes < INODES_PROBLEM => {
            problem(format!("{path} ({use_for}): no file can be made, {inodes} inodes free"))
                .cure("remove files; `df -i` shows where they are")
        }
        FolderState::There { volatile: true, .. } if use_for == "state" => Finding::warning(
            Area::System,
            "folder",
            format!("{path} ({use_for}) is in memory only"),
        )
        .why("after a reboot the peer takes an older generation for a replay and ignores this node")
        .cure("put it on a disk, or `hbgenmethod time` in ha.cf of both nodes"),
        FolderState::There { free, .. } if *free < FREE_WARNING => {
            let text = format!("{path} ({use_for}) has {} MiB free", free >> 20);
            Finding::warning(Area::System, "folder", text).cure("make room")
        }
        FolderState::There { free, .. } => {
            let text = format!("{path} ({use_for}) can be written, {} MiB free", free >> 20);
            Finding::ok(Area::System, "folder", text)
        }
    };
    finding.about(path)
}

/// ha.cf names nodes by `uname -n`.
fn node(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    let host = &facts.machine.host;
    if !host.is_empty() && !settings.node.as_str().eq_ignore_ascii_case(host) {
        let text =
            format!("this node is {} by nodeinfo, and `uname -n` says {host}", settings.node);
        found.push(Finding::note(Area::System, "node_name", text).about(host));
    }
    for name in &settings.nodes {
        let known = facts.network.names.get(name.as_str());
        if known.is_none_or(|it| it.addresses.is_empty()) {
            let text = format!("the name {name} of ha.cf has no address");
            found.push(
                Finding::note(Area::System, "name_unknown", text)
                    .why("heartbeat does not need it; `ssh`, `hb push-config` and people do")
                    .cure(format!("`ADDRESS {name}` in /etc/hosts of both nodes"))
                    .about(name.as_str()),
            );
        }
    }
}

fn setting<'a>(facts: &'a Facts, path: &str) -> Option<&'a str> {
    facts.network.sysctl.get(path).map(String::as_str)
}

/// Who listens on a floating address only cannot start before it is here.
fn nonlocal(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    if setting(facts, "net/ipv4/ip_nonlocal_bind") != Some("0") {
        return;
    }
    let cure = "`net.ipv4.ip_nonlocal_bind = 1` in /etc/sysctl.d/heartbeat.conf, then `sysctl --system`; \
                or let it listen on all addresses";
    for (warm, _) in settings.native.resources.iter().filter(|(_, options)| options.warm) {
        let text =
            format!("{warm} is warm, and no program may listen on an address that is not here");
        found.push(
            Finding::warning(Area::System, "nonlocal_bind", text)
                .why("where it listens on the floating address only, it cannot run on the standby")
                .cure(cure)
                .about(warm),
        );
    }
    let addresses: Vec<IpAddr> = floating(settings).into_iter().map(|(ip, _)| ip).collect();
    let only =
        facts.network.sockets.iter().filter(|socket| {
            socket.protocol == Protocol::Tcp && addresses.contains(&socket.address)
        });
    for socket in only {
        let name = socket.owner.as_ref().map_or("a program", |(_, name)| name.as_str());
        let text = format!("{name} listens on {}:{} only", socket.address, socket.port);
        found.push(
            Finding::note(Area::System, "listens_on_address", text)
                .why("it must stand right of its address in haresources, and cannot be warm")
                .cure(cure)
                .about(socket.address.to_string()),
        );
    }
}

/// Of several addresses in a network that the machine is not in, the first carries the others.
fn promote(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    let all = floating(settings);
    for (at, (address, written)) in all.iter().enumerate() {
        let Some(name) = home(facts, *address, *written) else { continue };
        let Some(interface) = facts.network.interfaces.get(name) else { continue };
        let is_ours = |own: IpAddr| all.iter().any(|(it, _)| *it == own);
        let based =
            interface.addresses.iter().any(|own| !is_ours(own.0) && is_near(*own, *address));
        let together = all.iter().skip(at + 1).any(|(other, other_written)| {
            home(facts, *other, *other_written) == Some(name)
                && is_near((*address, if address.is_ipv4() { 24 } else { 64 }), *other)
        });
        let of = |name: &str| setting(facts, &format!("net/ipv4/conf/{name}/promote_secondaries"));
        let promoted = [of("all"), of(name)].contains(&Some("1"));
        if !based && together && !promoted && address.is_ipv4() {
            let text =
                format!("floating addresses of {name} are in a network that {name} is not in");
            found.push(
                Finding::warning(Area::System, "promote_secondaries", text)
                    .why("when the first of them goes, the kernel removes the others with it")
                    .cure(format!(
                        "`net.ipv4.conf.{name}.promote_secondaries = 1` in /etc/sysctl.d/heartbeat.conf"
                    ))
                    .about(name),
            );
            return;
        }
    }
}

fn ipv6(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    for (address, written) in floating(settings).into_iter().filter(|(it, _)| it.is_ipv6()) {
        let Some(name) = home(facts, address, written) else { continue };
        let off =
            |of: &str| setting(facts, &format!("net/ipv6/conf/{of}/disable_ipv6")) == Some("1");
        if off("all") || off(name) {
            let text = format!("IPv6 is switched off on {name}, where {address} belongs");
            found.push(
                Finding::problem(Area::System, "ipv6_disabled", text)
                    .why("the address cannot be set here")
                    .cure(format!(
                        "`net.ipv6.conf.{name}.disable_ipv6 = 0` in /etc/sysctl.d/heartbeat.conf"
                    ))
                    .about(name),
            );
        } else if setting(facts, &format!("net/ipv6/conf/{name}/accept_dad")) == Some("2") {
            let text = format!("accept_dad is 2 on {name}, where {address} belongs");
            found.push(
                Finding::warning(Area::System, "accept_dad", text)
                    .why("one duplicate address and the kernel switches IPv6 off on the interface")
                    .cure(format!(
                        "`net.ipv6.conf.{name}.accept_dad = 1` in /etc/sysctl.d/heartbeat.conf"
                    ))
                    .about(name),
            );
        }
    }
}

fn clock(facts: &Facts, found: &mut Vec<Finding>) {
    let finding = match facts.machine.synchronised {
        Some(true) => Finding::ok(Area::System, "clock", "the clock is synchronised"),
        Some(false) => Finding::note(Area::System, "clock", "the clock is not synchronised")
            .why("heartbeats do not need it; logs of both nodes are hard to compare without")
            .cure("`apt install chrony`, or `timedatectl set-ntp true`"),
        None => {
            Finding::note(Area::System, "clock", "whether the clock is synchronised is not known")
                .why("heartbeats do not need it; logs of both nodes are hard to compare without")
        }
    };
    found.push(finding.about("clock"));
}
