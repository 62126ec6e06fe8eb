//! Looks at this machine for the doctor and changes nothing (I/O). What it finds is in `facts`; what
//! that means is for `rules`.
#![expect(clippy::disallowed_methods, reason = "reads files and /proc")]

mod agents;
mod boot;
mod machine;
mod network;
mod packet_filter;
mod process;
pub(crate) mod tool;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hb_config::settings::{NodeName, Settings};
use hb_config::{Severity, dir, load};

use super::facts::{Component, Config, Facts};
use super::finding::Area;
use crate::client;

/// Longest file that is read; those that matter have a few kilobytes.
const FILE_MAX: u64 = 1 << 20;
/// Most entries of one directory that are looked at; a machine has a few thousand processes.
const ENTRIES_MAX: usize = 65_536;

/// Owner of files whose owner has no number in this user namespace (user_namespaces(7)).
const OVERFLOW_UID: u32 = 65_534;

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The configuration.
    pub(crate) dir: PathBuf,
    /// The daemon's sockets.
    pub(crate) run_dir: PathBuf,
    /// What the daemon keeps.
    pub(crate) state_dir: PathBuf,
}

/// Everything that is needed for `areas`. Tries the agents last, in the daemon's own context, which
/// this process does not leave again.
pub(super) fn gather(places: &Places, areas: &[Area]) -> Facts {
    let config = config(&places.dir);
    let status = client::snapshot(&places.run_dir).ok();
    let processes = process::all();
    let said = status.as_ref().map(|status| status.pid);
    let daemon = process::daemon(&processes, said, &places.run_dir);
    let settings = config.settings.as_ref();
    let mut facts = Facts {
        is_root: nix::unistd::geteuid().is_root(),
        network: network::network(settings, &processes),
        firewall: packet_filter::firewall(&processes),
        boot: boot::boot(),
        machine: machine::machine(settings, &processes, places),
        status,
        daemon,
        config,
        agents: None,
    };
    if areas.contains(&Area::Agents)
        && facts.is_root
        && let Some(settings) = &facts.config.settings
    {
        facts.agents = Some(agents::agents(settings, facts.daemon.as_ref(), places));
    }
    facts
}

fn config(place: &Path) -> Config {
    let dir = place.to_string_lossy().trim_end_matches('/').to_owned();
    let Ok(files) = dir::read_dir(place) else {
        return Config { dir, errors: 1, ..Config::default() };
    };
    let node: Option<NodeName> = dir::own_node_name(place).ok();
    let loaded = load(&files, node.as_ref());
    let count = |severity| loaded.diagnostics.iter().filter(|it| it.severity == severity).count();
    let names = ["", "ha.cf", "haresources", "authkeys", "hb.toml", "resource.d"];
    let files = names.into_iter().filter_map(|name| component(&place.join(name))).collect();
    Config {
        dir,
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        settings: loaded.settings,
        files,
    }
}

/// Owner and mode of what `path` leads to.
fn component(path: &Path) -> Option<Component> {
    let meta = fs::metadata(path).ok()?;
    let shown = path.to_string_lossy();
    let shown = if shown.len() > 1 { shown.trim_end_matches('/') } else { &shown };
    // Outside of this user namespace: nobody in it can be that user, so none can change the file.
    let is_foreign = meta.uid() == OVERFLOW_UID && in_user_namespace();
    Some(Component {
        path: shown.to_owned(),
        uid: if is_foreign { 0 } else { meta.uid() },
        mode: meta.permissions().mode() & 0o7777,
    })
}

fn in_user_namespace() -> bool {
    let map = read("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The text of a small file; `None` when there is none that can be read.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    let path = path.as_ref();
    // A pipe of this name would wait for its writer. Files of /proc are regular ones.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    fs::File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names in a directory, sorted; none when it is not there.
fn names(path: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let entries = entries.filter_map(Result::ok).take(ENTRIES_MAX);
    let mut all: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    all.sort();
    all
}

/// Host names of ha.cf that need an address.
fn hosts(settings: &Settings) -> Vec<String> {
    use hb_config::settings::Medium;
    let of = |medium: &Medium| match medium {
        Medium::Unicast { host, .. } => Some(host.clone()),
        Medium::Unicast6 { address, .. } => Some(address.to_string()),
        Medium::Broadcast { .. } | Medium::Multicast { .. } | Medium::Multicast6 { .. } => None,
    };
    let links = settings.media.iter().filter_map(of);
    links.chain(settings.nodes.iter().map(|node| node.as_str().to_owned())).collect()
}
