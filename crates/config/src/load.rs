//! The entry: four files in, settings and all findings out. Each file is read by its own module,
//! what they mean together is judged by [`crate::check`]; here is only the order and the result.

use std::collections::BTreeSet;

use crate::authkeys;
use crate::check;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Severity, Sink};
use crate::ha_cf::{self, DEFAULT_PORT, HaCf, Stonith};
use crate::haresources::{self, Group};
use crate::native::{self, Parsed, Places};
use crate::settings::{
    AuthKeys, AutoFailback, Companions, GenerationSource, GroupSpec, Native, NodeName, Settings,
    Timing, UuidSource, Watchdog, WitnessKind,
};
use crate::source::{FileState, Files, SourceFile};
use crate::span::FileId;

/// Mode bits of those who are neither the owner of a file nor of its group, as hb-notify sees it: a
/// group may be that of the program that reads it.
const OTHERS: u32 = 0o006;
/// `cluster` when ha.cf does not say.
const DEFAULT_CLUSTER: &str = "linux-ha";

/// The result of [`load`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Present exactly when no diagnostic is an error.
    pub settings: Option<Settings>,
    /// All findings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether any finding has this severity.
    pub fn has(&self, severity: Severity) -> bool {
        self.diagnostics.iter().any(|found| found.severity == severity)
    }
}

/// Reads and judges the configuration of `node`. `None` (the name is not known) is an error,
/// because nothing can be decided without it; all else is checked nevertheless.
pub fn load(files: &Files, node: Option<&NodeName>) -> Loaded {
    let mut found = Vec::new();
    let cf = read(files, FileId::HaCf, &mut found, ha_cf::parse);
    let groups = read(files, FileId::HaResources, &mut found, haresources::parse);
    let keys = read(files, FileId::AuthKeys, &mut found, authkeys::parse);
    let native = read(files, FileId::Native, &mut found, native::parse);
    check_modes(files, &mut found);
    if node.is_none() {
        found.push(
            Diagnostic::new(Code::NodeUnknown, "the name of this node is not known")
                .help("say for which node to check: hb check --node NAME"),
        );
    }
    let bad_groups = found
        .iter()
        .any(|it| it.severity == Severity::Error && it.place().0 == Some(FileId::HaResources));
    let mut between = Sink::between_files();
    let timing =
        cf.as_ref().map(|cf| check::check(cf, groups.as_deref(), bad_groups, node, &mut between));
    let Parsed { native, places, companions } = native.unwrap_or_default();
    check_secrets(files, &companions, &mut found);
    let native = complete((native, places), cf.as_ref(), timing, node);
    if let Some(cf) = &cf {
        let known = groups.as_deref().filter(|_| !bad_groups);
        check::native::check(cf, known, &native, timing, node, &mut between);
    }
    let (native, _) = native;
    found.extend(between.finish());
    found.sort_by_key(|diagnostic| {
        let (file, offset) = diagnostic.place();
        (file, diagnostic.labels.is_empty(), offset)
    });
    let failed = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let settings = match (failed, cf, groups, keys.flatten(), timing, node) {
        (false, Some(cf), Some(groups), Some(keys), Some(timing), Some(node)) => {
            Some(settings(cf, groups, keys, native, timing, node.clone()))
        }
        _ => None,
    };
    Loaded { settings, diagnostics: found }
}

/// Adds to hb.toml what ha.cf says of the same things, and the defaults that ha.cf decides.
fn complete(
    (mut native, places): (Native, Places),
    cf: Option<&HaCf>,
    timing: Option<Timing>,
    node: Option<&NodeName>,
) -> (Native, Places) {
    if let (Some(witness), Some(timing)) = (&mut native.witness, timing) {
        if witness.lease_ms == 0 {
            witness.lease_ms = timing.deadtime_ms / 2;
        }
        if let WitnessKind::Etcd { key, .. } = &mut witness.kind
            && key.is_empty()
        {
            let cluster = cf.and_then(|cf| cf.cluster.as_deref()).unwrap_or(DEFAULT_CLUSTER);
            *key = format!("/twinbeat/{cluster}");
        }
    }
    if let Some(cf) = cf {
        let ours = |device: &&Stonith| {
            device.from.as_deref().is_none_or(|from| node.is_some_and(|node| node.as_str() == from))
        };
        let devices: Vec<_> = cf.stonith.iter().filter(ours).collect();
        if !devices.is_empty() {
            let fencing = native.fencing.get_or_insert_default();
            fencing.devices.extend(devices.into_iter().map(|stonith| stonith.device.clone()));
        }
        if let (None, Some(device)) = (&native.watchdog, &cf.watchdog) {
            native.watchdog = Some(Watchdog::of(device));
        }
    }
    (native, places)
}

fn read<T>(
    files: &Files,
    id: FileId,
    found: &mut Vec<Diagnostic>,
    parse: impl Fn(&SourceFile) -> (T, Vec<Diagnostic>),
) -> Option<T> {
    match files.get(id) {
        FileState::Present(source) => {
            let (value, diagnostics) = parse(source);
            found.extend(diagnostics);
            Some(value)
        }
        FileState::Missing { name } => {
            found.extend(missing(id, name));
            None
        }
        FileState::Unreadable { name, reason } => {
            let text = format!("{name} cannot be read: {reason}");
            let help = "run the command as root, or mend the file's owner and mode";
            found.push(Diagnostic::new(Code::FileUnreadable, text).in_file(id).help(help));
            None
        }
    }
}

fn missing(id: FileId, name: &str) -> Option<Diagnostic> {
    let found = Diagnostic::new(Code::FileMissing, format!("{name} does not exist")).in_file(id);
    match id {
        FileId::HaCf => Some(
            found
                .help(
                    "it names the two nodes and the links between them; at least: \
                     `ucast eth1 ADDRESS-OF-THE-PEER`, `auto_failback on`, `node NAME1 NAME2`",
                )
                .help("`hb explain` lists all directives"),
        ),
        FileId::HaResources => Some(found.help(
            "it says what runs where, a line for each group: `NODE1 192.168.1.10/24/eth0 nginx`; \
             the same file on both nodes",
        )),
        FileId::AuthKeys => Some(found.help(format!(
            "make it and copy it to the other node: (umask 077; \
                     printf 'auth 1\\n1 sha1 %s\\n' $(head -c 32 /dev/urandom | base64 -w 0) \
                     > {name})"
        ))),
        // hb.toml only adds to Heartbeat's files.
        FileId::Native => None,
    }
}

/// authkeys has its own, stricter rule.
fn check_modes(files: &Files, found: &mut Vec<Diagnostic>) {
    for id in [FileId::HaCf, FileId::HaResources, FileId::Native] {
        let Some(source) = files.get(id).source() else { continue };
        let Some(mode) = source.mode().filter(|mode| mode & 0o022 != 0) else { continue };
        let who = if mode & 0o002 != 0 { "everybody" } else { "its group" };
        let text = format!("{id} has mode {mode:04o}: {who} may write what root acts on");
        let help = format!("chmod go-w {}", source.name());
        found.push(Diagnostic::new(Code::WritableByOthers, text).in_file(id).help(help));
    }
}

/// As authkeys, but a file of a program beside the daemon keeps no daemon from starting.
fn check_secrets(files: &Files, companions: &Companions, found: &mut Vec<Diagnostic>) {
    let mut told = BTreeSet::new();
    for path in companions.secret_files() {
        let Some(mode) = files.secret_modes.get(path).filter(|mode| *mode & OTHERS != 0) else {
            continue;
        };
        if !told.insert(path) {
            continue;
        }
        let what = if mode & 0o004 != 0 { "read" } else { "write" };
        let text =
            format!("{path} has mode {:04o}: everybody may {what} the secret", mode & 0o7777);
        found.push(
            Diagnostic::new(Code::SecretReadable, text)
                .in_file(FileId::Native)
                .help(format!("chmod 600 {path}"))
                .help("change the secret if somebody may have read it"),
        );
    }
}

fn settings(
    cf: HaCf,
    groups: Vec<Group>,
    keys: AuthKeys,
    native: Native,
    timing: Timing,
    node: NodeName,
) -> Settings {
    let mut nodes: Vec<NodeName> = Vec::new();
    for name in cf.nodes {
        if !nodes.contains(&name.value) {
            nodes.push(name.value);
        }
    }
    let mut parameters = cf.parameters;
    // Heartbeat 3.0.6 exports the computed default in this form.
    let warntime = || duration_ms(timing.warntime_ms);
    parameters.entry("warntime".to_owned()).or_insert_with(warntime);
    let mut logging = cf.logging;
    logging.log_bad_packets = cf.log_bad_packets.unwrap_or(true);
    Settings {
        node,
        nodes,
        cluster: cf.cluster.unwrap_or_else(|| DEFAULT_CLUSTER.to_owned()),
        timing,
        media: cf.media.into_iter().map(|medium| medium.value).collect(),
        pings: cf.pings.into_iter().map(|ping| ping.value).collect(),
        udp_port: cf.udpport.map_or(DEFAULT_PORT, |port| port.value),
        auto_failback: match (cf.auto_failback, cf.nice_failback) {
            (Some(value), _) => value.value,
            (None, Some(nice)) if nice.value => AutoFailback::Off,
            (None, _) => AutoFailback::Legacy,
        },
        keys,
        groups: groups.into_iter().filter_map(group).collect(),
        logging,
        realtime: cf.realtime.unwrap_or(true),
        realtime_priority: cf.realtime_priority,
        inner_auth: cf.inner_auth.unwrap_or(true),
        hopfudge: cf.hopfudge.unwrap_or(1),
        max_rexmit_delay_ms: cf.max_rexmit_delay_ms.unwrap_or(250),
        generation_source: cf.generation_source.unwrap_or(GenerationSource::File),
        uuid_source: cf.uuid_source.unwrap_or(UuidSource::File),
        ipfail: cf.ipfail.is_some(),
        environment: cf.environment,
        parameters,
        native,
    }
}

fn duration_ms(ms: u64) -> String {
    format!("{ms}ms")
}

fn group(group: Group) -> Option<GroupSpec> {
    let resources: Vec<_> = group.resources.into_iter().map(|it| it.value).collect();
    let key = resources.first()?.text.clone();
    Some(GroupSpec { key, preferred: group.node.value, resources })
}

#[cfg(test)]
mod tests;
