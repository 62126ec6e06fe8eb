//! What the scan's observations mean for the migration. Pure: everything was looked at before.

use hb_config::diagnostic::{Diagnostic, Severity};
use hb_config::settings::AutoFailback;
use hb_config::span::FileId;
use hb_config::{Code, FileState};

use super::compare;
use super::directives;
use super::finding::{Finding, Weight};
use super::look::{Agent, Installation, Kind, Machine, StateFile};
use super::plan;
use super::report::Report;

/// Resource scripts that come with Heartbeat and resource-agents, as wrappers of OCF agents.
const STOCK_SCRIPTS: [&str; 18] = [
    "AudibleAlarm",
    "Delay",
    "Filesystem",
    "ICP",
    "IPsrcaddr",
    "LVM",
    "LinuxSCSI",
    "MailTo",
    "OCF",
    "Raid1",
    "ServeRAID",
    "WAS",
    "WinPopup",
    "Xinetd",
    "apache",
    "db2",
    "ids",
    "portblock",
];
/// Scripts whose work the daemon does itself.
const BUILT_IN: [&str; 4] = ["IPaddr", "IPaddr2", "IPv6addr", "SendArp"];
/// Findings of `hb check` that weigh differently while one node runs Heartbeat 3.
const HAVE_FINDINGS_OF_THEIR_OWN: [Code; 4] =
    [Code::AutoFailbackLegacy, Code::Obsolete, Code::OnlyTwinbeat, Code::OnlyTwinbeatMethod];
/// Hooks that come with Heartbeat and only call its own programs.
const STOCK_HOOKS: [&str; 5] =
    ["ask_resources", "hb_takeover", "ip-request", "ip-request-resp", "status"];

/// All findings and the plan.
pub(super) fn judge(
    here: &Installation,
    machine: &Machine,
    other: Option<&Installation>,
) -> Report {
    let mut findings = Vec::new();
    configuration(here, &mut findings);
    failback(here, &mut findings);
    only_twinbeat(here, &mut findings);
    agents(machine, &mut findings);
    around(here, machine, &mut findings);
    match other {
        Some(other) => compare::compare(here, other, &mut findings),
        None => findings.push(not_compared(here)),
    }
    findings.sort_by_key(|finding| finding.weight);
    let plan = plan::steps(here);
    let name = |name: Option<&hb_config::settings::NodeName>| name.map(ToString::to_string);
    Report {
        dir: here.dir.clone(),
        node: name(here.node.as_ref()),
        peer: name(here.peer()),
        findings,
        plan,
    }
}

/// What `hb check` finds, in terms of the migration.
fn configuration(here: &Installation, findings: &mut Vec<Finding>) {
    for diagnostic in &here.loaded.diagnostics {
        if HAVE_FINDINGS_OF_THEIR_OWN.contains(&diagnostic.code) {
            continue;
        }
        let source = here.files.get(FileId::HaCf).source();
        let of_directive = [Code::NotPerformed, Code::IpfailNotRun].contains(&diagnostic.code);
        let own = source
            .filter(|_| of_directive)
            .and_then(|source| directives::not_performed(diagnostic, source));
        findings.push(own.unwrap_or_else(|| of_diagnostic(here, diagnostic)));
    }
}

fn of_diagnostic(here: &Installation, diagnostic: &Diagnostic) -> Finding {
    let weight = match diagnostic.severity {
        Severity::Error => Weight::Change,
        Severity::Warning => Weight::Remark,
        Severity::Note => Weight::Note,
    };
    let mut finding = Finding::new(weight, &diagnostic.code.to_string(), &diagnostic.message);
    finding.place = place(here, diagnostic);
    finding.cure = diagnostic.help.clone();
    finding
}

fn place(here: &Installation, diagnostic: &Diagnostic) -> Option<String> {
    let (file, offset) = diagnostic.place();
    let state = here.files.get(file?);
    match state {
        FileState::Present(source) if !diagnostic.labels.is_empty() => {
            Some(format!("{}:{}", source.name(), source.position(offset).0))
        }
        FileState::Present(_) | FileState::Missing { .. } | FileState::Unreadable { .. } => {
            Some(state.name().to_owned())
        }
    }
}

/// Legacy nodes do not negotiate, and a Twinbeat node always does: the two cannot be mixed.
fn failback(here: &Installation, findings: &mut Vec<Finding>) {
    if here.files.get(FileId::HaCf).source().is_none() {
        return;
    }
    let text = match (&here.cf.auto_failback, &here.cf.nice_failback) {
        (Some(value), _) if value.value != AutoFailback::Legacy => return,
        (Some(_), _) => "auto_failback is legacy, which cannot run beside Twinbeat",
        (None, Some(_)) => {
            "nice_failback is obsolete; Heartbeat 3 reads it in a way that depends \
                            on the lines above it"
        }
        (None, None) => {
            "auto_failback is absent, which means legacy and cannot run beside Twinbeat"
        }
    };
    findings.push(
        Finding::new(Weight::Change, "auto_failback", text)
            .at(here.files.get(FileId::HaCf).name())
            .cure(
                "write `auto_failback on` (groups go home when their node returns) or \
                 `auto_failback off` (they stay) on both nodes",
            )
            .cure(
                "then stop Heartbeat on both nodes and start it on both: nodes with and without \
                 legacy do not understand each other, so this step alone interrupts the service",
            ),
    );
}

/// While one node runs Heartbeat 3, both files have to mean something to it.
fn only_twinbeat(here: &Installation, findings: &mut Vec<Finding>) {
    for diagnostic in &here.loaded.diagnostics {
        let (id, cure) = if diagnostic.code == Code::OnlyTwinbeat {
            let cure = "write the name of a script until both nodes run Twinbeat, and \
                        `IPv6addr::ADDRESS` for an address";
            ("only_twinbeat_resource", cure)
        } else if diagnostic.code == Code::OnlyTwinbeatMethod {
            ("only_twinbeat_method", "sign with sha1 until both nodes run Twinbeat")
        } else {
            continue;
        };
        let text = format!("while one node runs Heartbeat 3: {}", diagnostic.message);
        let mut finding = Finding::new(Weight::Change, id, text).cure(cure);
        finding.place = place(here, diagnostic);
        findings.push(finding);
    }
}

fn agents(machine: &Machine, findings: &mut Vec<Finding>) {
    let mut wrappers = Vec::new();
    let mut init = Vec::new();
    let mut built_in = Vec::new();
    for (name, agent) in &machine.agents {
        if BUILT_IN.contains(&name.as_str()) {
            built_in.push(name.as_str());
            continue;
        }
        findings.extend(unusable(name, agent));
        findings.extend(agent.boot.as_ref().map(|boot| starts_alone(name, boot)));
        match &agent.found {
            Some(found) if found.init => init.push(name.as_str()),
            Some(_) if STOCK_SCRIPTS.contains(&name.as_str()) => wrappers.push(name.as_str()),
            Some(_) | None => {}
        }
    }
    if !built_in.is_empty() {
        let text = format!("the daemon does the work of {} itself", built_in.join(", "));
        findings.push(
            Finding::new(Weight::Note, "built_in", text).cure(
                "a script of your own with that name in resource.d would be used in its place",
            ),
        );
    }
    if !wrappers.is_empty() {
        let text = format!("{} calls the agents of resource-agents", wrappers.join(", "));
        findings.push(
            Finding::new(Weight::Note, "stock_scripts", text)
                .cure("keep the package resource-agents installed, and do not purge heartbeat"),
        );
    }
    if !init.is_empty() {
        let text =
            format!("of {} in /etc/init.d, `status` is judged by its exit code", init.join(", "));
        findings.push(Finding::new(Weight::Note, "init_scripts", text).cure(
            "0 is running, 3 is stopped (LSB); Heartbeat 3 looks for the words `running` and `OK`",
        ));
    }
}

fn unusable(name: &str, agent: &Agent) -> Option<Finding> {
    let finding = |text: String| Finding::new(Weight::Change, "script", text);
    match (&agent.found, agent.kind) {
        (Some(found), _) if !found.executable => Some(
            finding(format!("the script {name} is not executable"))
                .at(&found.path)
                .cure("chmod 755 it, on both nodes"),
        ),
        (Some(_), _) => None,
        (None, Kind::Script) => {
            Some(finding(format!("there is no script `{name}` in resource.d or /etc/init.d")).cure(
                "install the service; if it only has a unit of systemd, write a script of that \
                 name that calls systemctl until both nodes run Twinbeat, then `systemd::UNIT`",
            ))
        }
        (None, Kind::Ocf) => Some(
            finding(format!("there is no agent for `{name}` below /usr/lib/ocf/resource.d"))
                .cure("install the package that has it, usually resource-agents"),
        ),
        (None, Kind::Systemd) => {
            Some(finding(format!("there is no unit for `{name}`")).cure("install the service"))
        }
    }
}

fn starts_alone(name: &str, boot: &str) -> Finding {
    let text = format!("{name} is started at boot, beside heartbeat");
    Finding::new(Weight::Remark, "starts_at_boot", text).at(boot).cure(format!(
        "systemctl disable {name}: a service of haresources is started by heartbeat alone, else it \
         runs on both nodes"
    ))
}

/// Hooks, state files and the start at boot.
fn around(here: &Installation, machine: &Machine, findings: &mut Vec<Finding>) {
    for hook in machine.hooks.iter().filter(|hook| !STOCK_HOOKS.contains(&hook.as_str())) {
        findings.push(
            Finding::new(Weight::Remark, "hook", format!("the hook {hook} decides nothing here"))
                .at(format!("{}/rc.d/{hook}", here.dir))
                .cure(
                    "it is run when a message of that type comes (docs/reference/hooks.md): right \
                     for mails; what must happen when a group moves belongs into a resource of it",
                )
                .cure("the change of a node's status has a hook of its own: hb-status"),
        );
    }
    let taken = "the peer knows the node again by its UUID, and takes its packets because the number goes up";
    match (&machine.generation, &machine.uuid) {
        (StateFile::Usable, StateFile::Usable) => findings.push(
            Finding::new(
                Weight::Note,
                "state",
                "/var/lib/heartbeat/hb_generation and hb_uuid are taken over",
            )
            .cure(taken),
        ),
        (StateFile::Missing, StateFile::Missing) => findings.push(
            Finding::new(
                Weight::Remark,
                "state",
                "there are no state files of Heartbeat: it has not run on this machine",
            )
            .cure("run the scan on a node of the cluster, as root"),
        ),
        (generation, uuid) => {
            for (name, file) in [("hb_generation", generation), ("hb_uuid", uuid)] {
                let text = match file {
                    StateFile::Usable => continue,
                    StateFile::Missing => format!("/var/lib/heartbeat/{name} is missing"),
                    StateFile::Unusable(text) => text.clone(),
                };
                findings.push(Finding::new(Weight::Remark, "state", text).cure(
                    "run the scan as root; if it stays so, Twinbeat makes a fresh one, and logs \
                     that it did",
                ));
            }
        }
    }
    if !machine.starts_at_boot {
        findings.push(
            Finding::new(Weight::Note, "boot", "heartbeat is not started at boot")
                .cure("`systemctl enable heartbeat`, if the node shall join by itself"),
        );
    }
}

fn not_compared(here: &Installation) -> Finding {
    let peer = here.peer().map_or_else(|| "PEER".to_owned(), ToString::to_string);
    Finding::new(
        Weight::Remark,
        "not_compared",
        "whether both nodes have the same haresources and keys was not looked at",
    )
    .cure(format!(
        "(umask 077; scp -r root@{peer}:/etc/ha.d /root/ha.d-{peer}), then \
         hb migrate scan --other /root/ha.d-{peer}"
    ))
}
