//! What lies on the disk: the configuration directory, the scripts that it names, Heartbeat's state
//! files and what starts at boot (I/O). It notes names, sizes and modes; what they mean is judged
//! elsewhere. Scripts are not opened.
#![expect(clippy::disallowed_methods, reason = "reads directories and state files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hb_config::ha_cf::{self, HaCf};
use hb_config::haresources::{self, Group};
use hb_config::settings::{AgentSpec, AuthKeys, NodeName};
use hb_config::{Files, Loaded, authkeys, dir, load};

/// Most names that are taken from one directory: those that matter have a few dozen.
const NAMES_MAX: usize = 1_000;
/// Larger than any state file; what is longer is none.
const STATE_MAX: u64 = 64;

/// One node's configuration directory.
#[derive(Debug)]
pub(super) struct Installation {
    /// As the operator named it.
    pub(super) dir: String,
    pub(super) node: Option<NodeName>,
    pub(super) files: Files,
    pub(super) loaded: Loaded,
    /// Empty when ha.cf is missing.
    pub(super) cf: HaCf,
    pub(super) groups: Vec<Group>,
    /// `None` when they are missing, unreadable or faulty.
    pub(super) keys: Option<AuthKeys>,
    /// Regular files of resource.d with their sizes.
    pub(super) scripts: BTreeMap<String, u64>,
}

/// The rest of the machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// Each program that haresources names, as it is written there without arguments.
    pub(super) agents: BTreeMap<String, Agent>,
    /// Files in rc.d.
    pub(super) hooks: BTreeSet<String>,
    pub(super) generation: StateFile,
    pub(super) uuid: StateFile,
    /// Whether heartbeat is started at boot.
    pub(super) starts_at_boot: bool,
}

/// A program that runs resources.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) kind: Kind,
    /// Where it is; `None` when it is nowhere.
    pub(super) found: Option<Found>,
    /// What starts the service at boot, beside heartbeat.
    pub(super) boot: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Script,
    Ocf,
    Systemd,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) executable: bool,
    /// In /etc/init.d rather than in resource.d.
    pub(super) init: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StateFile {
    Missing,
    Usable,
    /// Why not.
    Unusable(String),
}

/// Where the machine's own files are.
#[derive(Debug)]
pub(super) struct Places {
    root: PathBuf,
}

impl Places {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// `path` as it is called on the machine itself.
    fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }
}

impl Installation {
    /// Reads `dir`. For another node's copy `node` is of no use: what is checked there does not
    /// depend on it.
    pub(super) fn read(dir: &Path, node: Option<&str>) -> io::Result<Self> {
        let files = dir::read_dir(dir)?;
        let own = || dir::own_node_name(dir).ok();
        let node = node.map(NodeName::new).or_else(own);
        let loaded = load(&files, node.as_ref());
        let cf = files.ha_cf.source().map(|it| ha_cf::parse(it).0).unwrap_or_default();
        let groups = files.haresources.source().map(|it| haresources::parse(it).0);
        let keys = files.authkeys.source().and_then(|it| authkeys::parse(it).0);
        Ok(Self {
            dir: dir.to_string_lossy().trim_end_matches('/').to_owned(),
            node,
            files,
            loaded,
            cf,
            groups: groups.unwrap_or_default(),
            keys,
            scripts: sizes(&dir.join("resource.d")),
        })
    }

    /// The member that is not this node.
    pub(super) fn peer(&self) -> Option<&NodeName> {
        let own = self.node.as_ref()?;
        self.cf.nodes.iter().map(|name| &name.value).find(|name| *name != own)
    }
}

/// Looks for all that `here`, read from `dir`, needs on this machine.
pub(super) fn machine(here: &Installation, dir: &Path, places: &Places) -> Machine {
    let mut agents = BTreeMap::new();
    for resource in here.groups.iter().flat_map(|group| &group.resources) {
        let (name, agent) = agent(&resource.value.agent, dir, places);
        agents.entry(name).or_insert(agent);
    }
    let state = places.at("/var/lib/heartbeat");
    Machine {
        agents,
        hooks: sizes(&dir.join("rc.d")).into_keys().collect(),
        generation: state_file(&state.join("hb_generation"), is_generation, places),
        uuid: state_file(&state.join("hb_uuid"), is_uuid, places),
        starts_at_boot: boot(&["heartbeat"], places).is_some(),
    }
}

/// Writes the plan. It holds no secret, but nobody else has to read it either.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn agent(spec: &AgentSpec, dir: &Path, places: &Places) -> (String, Agent) {
    match spec {
        AgentSpec::Script { name, .. } => {
            let script = found(&dir.join("resource.d").join(name), false, places);
            let init = || found(&places.at("/etc/init.d").join(name), true, places);
            let found = script.or_else(init);
            let unit = format!("{name}.service");
            let boot = boot(&[name, &unit], places);
            (name.clone(), Agent { kind: Kind::Script, found, boot })
        }
        AgentSpec::Ocf { provider, kind, .. } => {
            let path = places.at("/usr/lib/ocf/resource.d").join(provider).join(kind);
            let found = found(&path, false, places);
            (format!("ocf::{provider}:{kind}"), Agent { kind: Kind::Ocf, found, boot: None })
        }
        AgentSpec::Systemd { unit } => {
            let dirs = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];
            let found = dirs.iter().find_map(|dir| {
                let path = places.at(dir).join(unit);
                path.exists().then(|| Found {
                    path: places.shown(&path),
                    executable: true,
                    init: false,
                })
            });
            let boot = boot(&[unit], places);
            (format!("systemd::{unit}"), Agent { kind: Kind::Systemd, found, boot })
        }
    }
}

fn found(path: &Path, init: bool, places: &Places) -> Option<Found> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let executable = meta.permissions().mode() & 0o111 != 0;
    Some(Found { path: places.shown(path), executable, init })
}

/// What starts one of these units or init scripts at boot: the link of systemd, or that of a
/// runlevel (Debian's rcN.d, or rc.d/rcN.d elsewhere).
fn boot(names: &[&str], places: &Places) -> Option<String> {
    let wants = places.at("/etc/systemd/system/multi-user.target.wants");
    for name in names {
        let unit = if name.contains('.') { (*name).to_owned() } else { format!("{name}.service") };
        let path = wants.join(unit);
        if fs::symlink_metadata(&path).is_ok() {
            return Some(places.shown(&path));
        }
    }
    let levels = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d"];
    levels.iter().find_map(|level| {
        let dir = places.at(level);
        let links = fs::read_dir(&dir).ok()?.filter_map(Result::ok).take(NAMES_MAX);
        let mut links = links.filter_map(|entry| entry.file_name().into_string().ok());
        let link = links.find(|link| {
            let rest = link.strip_prefix('S').and_then(|rest| rest.get(2..));
            rest.is_some_and(|name| names.contains(&name))
        })?;
        Some(places.shown(&dir.join(link)))
    })
}

fn sizes(dir: &Path) -> BTreeMap<String, u64> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeMap::new() };
    let entries = entries.filter_map(Result::ok).take(NAMES_MAX);
    entries
        .filter_map(|entry| {
            let size = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file)?.len();
            Some((entry.file_name().into_string().ok()?, size))
        })
        .collect()
}

fn state_file(path: &Path, usable: fn(&[u8]) -> bool, places: &Places) -> StateFile {
    let shown = places.shown(path);
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(STATE_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) if usable(&bytes) => StateFile::Usable,
        Ok(_) => StateFile::Unusable(format!("{shown} is damaged")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => StateFile::Missing,
        Err(error) => StateFile::Unusable(format!("{shown} cannot be read: {error}")),
    }
}

fn is_generation(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.trim().parse::<u64>().is_ok())
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 16
}
