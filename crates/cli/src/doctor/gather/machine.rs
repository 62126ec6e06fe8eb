//! Directories, other managers' files, the clock (I/O).
#![expect(clippy::disallowed_methods, reason = "reads files and asks for free space")]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hb_config::settings::{BuiltIn, Settings};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::super::facts::{Folder, FolderState, Machine};
use super::process::Process;
use super::{Places, names, read, tool};

/// Programs that rules ask for, by the name that the kernel keeps of them.
const PROGRAMS: [&str; 8] =
    ["keepalived", "pacemakerd", "corosync", "ucarp", "vrrpd", "carp", "chronyd", "ntpd"];
/// Folders and single files in which addresses of this machine are written down, and the ends of
/// the names that count.
const ADDRESS_FILES: [(&str, &str); 7] = [
    ("/etc/network", "interfaces"),
    ("/etc/network/interfaces.d", ""),
    ("/etc/systemd/network", ".network"),
    ("/etc/netplan", ".yaml"),
    ("/etc/NetworkManager/system-connections", ""),
    ("/etc/sysconfig/network-scripts", ""),
    ("/etc/sysconfig/network", ""),
];

pub(super) fn machine(
    settings: Option<&Settings>,
    processes: &[Process],
    places: &Places,
) -> Machine {
    let mut programs: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for process in processes.iter().filter(|it| PROGRAMS.contains(&it.name.as_str())) {
        programs.entry(process.name.clone()).or_default().push(process.pid);
    }
    Machine {
        host: read("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        genuine: processes.iter().filter(|it| it.is_genuine()).map(|it| it.pid).collect(),
        programs,
        folders: folders(settings, places),
        static_addresses: settings.map(static_addresses).unwrap_or_default(),
        cloud_init: cloud_init(),
        synchronised: synchronised(),
    }
}

fn folders(settings: Option<&Settings>, places: &Places) -> Vec<Folder> {
    let mut all = vec![(places.state_dir.clone(), "state"), (places.run_dir.clone(), "sockets")];
    let log = settings.and_then(|settings| settings.logging.logfile.as_ref());
    let log = log.and_then(|file| Path::new(file).parent().map(Path::to_owned));
    all.extend(log.map(|folder| (folder, "logs")));
    all.into_iter()
        .map(|(path, use_for)| Folder {
            state: folder(&path),
            path: path.to_string_lossy().into_owned(),
            use_for: use_for.to_owned(),
        })
        .collect()
}

fn folder(path: &PathBuf) -> FolderState {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return FolderState::Missing,
        Err(error) => return FolderState::Unreadable(error.to_string()),
    };
    let (space, kind) = match (statvfs(path), statfs(path)) {
        (Ok(space), Ok(kind)) => (space, kind),
        (Err(error), _) | (_, Err(error)) => return FolderState::Unreadable(error.to_string()),
    };
    let mode = meta.permissions().mode() & 0o7777;
    FolderState::There {
        uid: meta.uid(),
        // /var/log belongs to a group that may write on some systems; that is the system's choice.
        mode: if path == Path::new("/var/log") { mode & !0o020 } else { mode },
        read_only: space.flags().contains(FsFlags::ST_RDONLY),
        volatile: kind.filesystem_type() == TMPFS_MAGIC,
        free: space.blocks_available().saturating_mul(space.fragment_size()),
        // Some file systems make inodes as they need them and count none.
        inodes: (space.files() > 0).then(|| space.files_available()),
    }
}

/// Floating addresses in files that are read at boot.
fn static_addresses(settings: &Settings) -> Vec<(IpAddr, String)> {
    let resources = settings.groups.iter().flat_map(|group| &group.resources);
    let addresses: Vec<IpAddr> = resources
        .filter_map(|resource| match &resource.built_in {
            Some(BuiltIn::Address(address)) => Some(address.ip),
            Some(BuiltIn::SendArp { .. }) | None => None,
        })
        .collect();
    let mut found = Vec::new();
    for (folder, end) in ADDRESS_FILES {
        for name in names(folder).into_iter().filter(|name| name.ends_with(end)) {
            let path = format!("{folder}/{name}");
            let Some(text) = read(&path) else { continue };
            let named = addresses.iter().filter(|address| names_address(&text, **address));
            found.extend(named.map(|address| (*address, path.clone())));
        }
    }
    found
}

/// Whether a line that is no comment names the address, and not one that only begins with it.
fn names_address(text: &str, address: IpAddr) -> bool {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split(|c: char| !is_part(c))).any(|word| {
        // `address1=10.0.0.5/24` and `Address=…` leave letters of their names in front.
        word.trim_end_matches(['.', ':']).parse() == Ok(address)
    })
}

/// Whether cloud-init writes the network's files at boot.
fn cloud_init() -> bool {
    let off = Path::new("/etc/cloud/cloud-init.disabled").exists();
    let disabled = |name: &String| {
        let text = read(format!("/etc/cloud/cloud.cfg.d/{name}")).unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '{').collect();
        text.contains("network:config:disabled")
    };
    Path::new("/etc/cloud/cloud.cfg").exists()
        && !off
        && !names("/etc/cloud/cloud.cfg.d").iter().any(disabled)
}

fn synchronised() -> Option<bool> {
    let text = tool::run("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).ok()?;
    match text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_files_of_the_network() {
        let check = |text: &str, address: &str, expect: bool| {
            assert_eq!(names_address(text, address.parse().unwrap()), expect, "{text:?}");
        };
        check("iface eth0:0 inet static\n  address 10.0.0.5/24\n", "10.0.0.5", true);
        check("  address 10.0.0.50\n", "10.0.0.5", false);
        check("  address 110.0.0.5\n", "10.0.0.5", false);
        check("# address 10.0.0.5\n", "10.0.0.5", false);
        check("Address=10.0.0.5/24\n", "10.0.0.5", true);
        check("addresses: [\"10.0.0.5/24\"]\n", "10.0.0.5", true);
        check("address1=2001:db8::5/64\n", "2001:db8::5", true);
        check("Address=2001:DB8:0::5/64\n", "2001:db8::5", true);
    }

    #[test]
    fn a_folder_that_is_not_there() {
        assert_eq!(folder(&PathBuf::from("/no/such/folder")), FolderState::Missing);
        assert!(matches!(folder(&PathBuf::from("/proc")), FolderState::There { .. }));
    }
}
