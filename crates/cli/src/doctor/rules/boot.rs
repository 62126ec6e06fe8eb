//! Boot: does heartbeat start when the machine does, and nothing that it is to start itself. Pure.

use hb_config::settings::{AgentSpec, ResourceSpec, Settings};

use super::super::facts::Facts;
use super::super::finding::{Area, Finding};
use super::list;

const UNIT: &str = "heartbeat.service";
/// Units that hold up `network-online.target` until addresses are there; without one of them it says
/// nothing.
const WAITERS: [&str; 4] = [
    "systemd-networkd-wait-online.service",
    "NetworkManager-wait-online.service",
    "ifupdown-wait-online.service",
    "networking.service",
];
/// Properties of the unit on which a node depends, with what they must be.
const PROPERTIES: [(&str, &str, &str); 3] = [
    (
        "KillMode",
        "process",
        "systemd would end every service that heartbeat has started whenever the daemon stops or crashes",
    ),
    ("Restart", "always", "a daemon that crashed would not come back"),
    ("Type", "notify", "systemd would not know when the daemon is ready or hangs"),
];

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    starts(facts, found);
    unit(facts, found);
    network(facts, found);
    if let Some(settings) = &facts.config.settings {
        services(facts, settings, found);
    }
}

fn starts(facts: &Facts, found: &mut Vec<Finding>) {
    let boot = &facts.boot;
    let finding = if boot.masked.contains(UNIT) {
        Finding::problem(Area::Boot, "masked", "heartbeat.service is masked: it cannot be started")
            .cure("`systemctl unmask heartbeat && systemctl enable --now heartbeat`")
    } else if let Some(link) = boot.enabled.get(UNIT).or_else(|| boot.enabled.get("heartbeat")) {
        Finding::ok(Area::Boot, "enabled", format!("heartbeat starts at boot ({link})"))
    } else {
        let cure = match boot.systemd {
            true => "`systemctl enable heartbeat`",
            false => {
                "`systemctl enable heartbeat`; without systemd: `update-rc.d heartbeat defaults`"
            }
        };
        Finding::warning(Area::Boot, "not_enabled", "heartbeat does not start at boot")
            .why("after a reboot this node is no standby, and after a power loss of both nobody serves")
            .cure(cure)
    };
    found.push(finding.about("heartbeat"));
}

/// Drop-ins change what the package says.
fn unit(facts: &Facts, found: &mut Vec<Finding>) {
    let unit = &facts.boot.unit;
    let files = unit.get("DropInPaths").filter(|it| !it.is_empty());
    let place = files.map_or("/etc/systemd/system/heartbeat.service.d", String::as_str);
    for (name, expect, why) in PROPERTIES {
        let Some(value) = unit.get(name).filter(|value| value.as_str() != expect) else { continue };
        found.push(
            Finding::problem(Area::Boot, "unit_changed", format!("{name} of {UNIT} is {value}"))
                .why(why)
                .cure(format!("take `{name}=` out of {place}, then `systemctl daemon-reload`"))
                .about(name),
        );
    }
    if unit.get("NeedDaemonReload").is_some_and(|value| value == "yes") {
        let text = "the files of heartbeat.service have changed since systemd read them";
        found.push(
            Finding::note(Area::Boot, "daemon_reload", text)
                .cure("`systemctl daemon-reload`; the running daemon is not touched")
                .about(UNIT),
        );
    }
}

fn network(facts: &Facts, found: &mut Vec<Finding>) {
    if !facts.boot.systemd {
        return;
    }
    let after = facts.boot.unit.get("After").map(String::as_str).unwrap_or_default();
    if !after.is_empty() && !after.split_whitespace().any(|it| it == "network-online.target") {
        found.push(
            Finding::warning(
                Area::Boot,
                "order",
                "heartbeat.service does not wait for the network",
            )
            .why("names of ucast lines may be unknown at its start")
            .cure("`After=network-online.target` and `Wants=network-online.target` in its drop-in")
            .about(UNIT),
        );
    }
    if !WAITERS.iter().any(|name| facts.boot.enabled.contains_key(*name)) {
        let text = "nothing holds up network-online.target until addresses are there";
        found.push(
            Finding::note(Area::Boot, "network_online", text)
                .why("heartbeat finds links that come later by itself; `initdead` must cover that time")
                .about("network-online.target"),
        );
    }
}

/// Units and init scripts of haresources.
fn services(facts: &Facts, settings: &Settings, found: &mut Vec<Finding>) {
    let mut own = Vec::new();
    for resource in settings.groups.iter().flat_map(|group| &group.resources) {
        let Some(name) = service(resource) else { continue };
        let unit = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
        let link = facts.boot.enabled.get(&unit).or_else(|| facts.boot.enabled.get(name));
        let warm = settings.native.resources.get(&resource.text).is_some_and(|it| it.warm);
        let ordered = facts.boot.unit.get("After").into_iter().chain(facts.boot.unit.get("Before"));
        if ordered.flat_map(|it| it.split_whitespace()).any(|it| it == unit) {
            let text =
                format!("heartbeat.service is ordered against {unit}, which it starts itself");
            found.push(
                Finding::problem(Area::Boot, "ordered_service", text)
                    .why("systemd lets one wait for the other, and a stop never ends")
                    .cure(format!("take {unit} out of After= and Before= of heartbeat.service"))
                    .about(&resource.text),
            );
        }
        match (link, warm) {
            (Some(link), false) => found.push(
                Finding::warning(
                    Area::Boot,
                    "starts_by_itself",
                    format!("{name} of haresources also starts by itself at boot ({link})"),
                )
                .why("it would run on both nodes, and on this one without its address or its data")
                .cure(format!("`systemctl disable {unit}`; heartbeat starts it where it belongs"))
                .about(&resource.text),
            ),
            (None, true) => found.push(
                Finding::warning(
                    Area::Boot,
                    "warm_not_enabled",
                    format!("{name} is warm in hb.toml and does not start at boot"),
                )
                .why("warm services run on both nodes; heartbeat starts it only with its group")
                .cure(format!("`systemctl enable {unit}`"))
                .about(&resource.text),
            ),
            (None, false) => own.push(name.to_owned()),
            (Some(_), true) => {}
        }
    }
    if !own.is_empty() {
        let text = format!("left to heartbeat: {}", list(&own));
        found.push(Finding::ok(Area::Boot, "services", text).about("haresources"));
    }
}

/// The unit or init script of a resource.
fn service(resource: &ResourceSpec) -> Option<&str> {
    match &resource.agent {
        AgentSpec::Systemd { unit } => Some(unit),
        AgentSpec::Script { name, .. } => resource.built_in.is_none().then_some(name.as_str()),
        // The agent's name says which service it runs often enough.
        AgentSpec::Ocf { kind, .. } => match kind.as_str() {
            "nginx" | "apache" | "haproxy" | "mysql" | "pgsql" | "squid" | "named" => Some(kind),
            _ => None,
        },
    }
}
