//! The file system of the lab and of its nodes. I/O: mounts and files, all of them in the calling
//! process' own mount namespace.
//!
//! A node's root is a tmpfs. The machine's folders appear in it read-only where the kernel lets us;
//! `/etc` and `/var` are folders of links into the machine's (`/.host`), because in them a node
//! needs folders of its own that the machine may not have. `/dev` has harmless devices only.

#![expect(clippy::disallowed_methods, reason = "makes a file system")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use super::error::LabError;
use super::node::{MachineSpec, PROGRAMS, SELF};
use super::{helper, machine};

/// Where the lab may mount its tmpfs: the first that exists and covers nothing that is needed.
const BASES: [&str; 7] = ["/run", "/media", "/srv", "/mnt", "/opt", "/var/tmp", "/tmp"];
/// The machine's root, as a node sees it.
const HOST: &str = "/.host";
/// Folders of a node that are its own and not the machine's.
const OWN: [&str; 7] = ["dev", "etc", "proc", "run", "sys", "tmp", "var"];
/// Entries of the machine's /etc and /var that a node has in another form.
const REPLACED: [&str; 7] =
    ["/etc/hostname", "/etc/hosts", "/var/cache", "/var/lib", "/var/lock", "/var/run", "/var/tmp"];
/// In a user namespace: the only user and group that exist, under the names that are asked for.
const ONE_USER: [(&str, &str); 2] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nhacluster:x:0:0::/:/bin/false\n"),
    ("/etc/group", "root:x:0:\nhaclient:x:0:\n"),
];
/// Devices of a node: no disk, no watchdog, no console, no log socket of the machine. A file system of a
/// program of its own is seen by nobody else.
const DEVICES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "fuse"];
/// Commands that a node must not be able to run on the machine.
const COVERED: [&str; 9] =
    ["reboot", "poweroff", "halt", "shutdown", "init", "telinit", "kexec", "systemctl", "hwclock"];
/// Where such commands are.
const COVERED_IN: [&str; 4] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
/// Parts of /proc that belong to the whole machine.
const MACHINE_WIDE: [&str; 5] =
    ["/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs", "/proc/irq", "/proc/bus"];

const NONE: Option<&str> = None;

/// Mounts the lab's tmpfs, somewhere where it covers none of `needed` and not the running program.
pub(super) fn make_base<'a>(
    needed: impl Iterator<Item = &'a PathBuf>,
) -> Result<PathBuf, LabError> {
    let mut kept: Vec<PathBuf> = needed.filter_map(|p| fs::canonicalize(p).ok()).collect();
    kept.extend(std::env::current_exe());
    kept.extend(std::env::current_dir());
    let usable = |base: &&Path| base.is_dir() && !kept.iter().any(|path| path.starts_with(base));
    let base = BASES
        .iter()
        .map(Path::new)
        .find(usable)
        .ok_or_else(|| LabError::Invalid(format!("none of {} is free", BASES.join(", "))))?;
    tmpfs(base, "0755")?;
    Ok(base.to_owned())
}

/// Takes the lab's tmpfs away; what still uses it keeps it until then.
pub(super) fn remove_base(base: &Path) {
    let _ = umount2(base, MntFlags::MNT_DETACH);
}

/// Inside a node: makes its root, moves into it and covers what could harm the machine.
pub(super) fn build(spec: &MachineSpec) -> Result<(), LabError> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|e| LabError::system("private mounts", e))?;
    tmpfs(&spec.root, "0755")?;
    let root = spec.root.as_path();
    bind_machine(root)?;
    for name in OWN {
        make_folder(&root.join(name))?;
    }
    for folder in ["etc", "var", "var/lib", "var/cache"] {
        link_machine(root, folder, &spec.disk.keys().map(String::as_str).collect())?;
    }
    own_files(spec)?;
    make_devices(root)?;
    tmpfs(&root.join("run"), "0755")?;
    tmpfs(&root.join("tmp"), "1777")?;
    make_folder(&root.join("run/lock"))?;
    enter_root(root)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NONE)
        .map_err(|e| LabError::system("mounting /proc", e))?;
    if mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::MS_RDONLY, NONE).is_err() {
        bind(&Path::new(HOST).join("sys"), Path::new("/sys"))?;
    }
    hide_machine(&spec.root);
    make_harmless()?;
    machine::drop_dangerous_capabilities()
}

/// The machine's folders and links of the first level, but for those of [`OWN`].
fn bind_machine(root: &Path) -> Result<(), LabError> {
    for (name, place) in list(Path::new("/"))? {
        if OWN.contains(&name.as_str()) {
            continue;
        }
        let target = root.join(&name);
        if let Ok(link) = fs::read_link(&place) {
            symlink(link, &target).map_err(|e| failed("linking", &target, e))?;
        } else if place.is_dir() {
            make_folder(&target)?;
            bind(&place, &target)?;
            make_read_only(&target);
        }
    }
    make_folder(&root.join(HOST.trim_start_matches('/')))
}

/// Fills `folder` of the node with links to the machine's entries, without those that are on the
/// node's disk or lead to one.
fn link_machine(root: &Path, folder: &str, disk: &BTreeSet<&str>) -> Result<(), LabError> {
    make_folder(&root.join(folder))?;
    let Ok(entries) = list(&Path::new("/").join(folder)) else { return Ok(()) };
    for (name, place) in entries {
        let own = place.to_string_lossy().into_owned();
        let below = format!("{own}/");
        let is_own = disk.iter().any(|kept| *kept == own || kept.starts_with(&below));
        if is_own || REPLACED.contains(&own.as_str()) {
            continue;
        }
        let target = root.join(folder).join(&name);
        // A link of the machine is copied: it may lead into what is the node's own, as /var/run.
        let source = fs::read_link(&place).unwrap_or_else(|_| Path::new(HOST).join(&own[1..]));
        symlink(source, &target).map_err(|e| failed("linking", &target, e))?;
    }
    Ok(())
}

/// The node's disk, programs, host name and host table.
fn own_files(spec: &MachineSpec) -> Result<(), LabError> {
    let inside = |path: &str| spec.root.join(path.trim_start_matches('/'));
    for (path, text) in ONE_USER.iter().filter(|_| !is_machines_root()) {
        // A link into the machine's /etc is replaced, and not what it leads to.
        let _ = fs::remove_file(inside(path));
        write(&inside(path), text)?;
    }
    for (folder, place) in &spec.disk {
        make_folder(&inside(folder))?;
        bind(place, &inside(folder))?;
    }
    make_folder(&inside(PROGRAMS))?;
    for (name, place) in &spec.programs {
        let target = inside(PROGRAMS).join(name);
        write(&target, "")?;
        bind(place, &target)?;
    }
    make_folder(&inside("/var/tmp"))?;
    for (name, to) in [("/var/run", "/run"), ("/var/lock", "/run/lock")] {
        symlink(to, inside(name)).map_err(|e| failed("linking", Path::new(name), e))?;
    }
    write(&inside("/etc/hosts"), &spec.hosts)?;
    write(&inside("/etc/hostname"), &format!("{}\n", spec.name))
}

fn make_devices(root: &Path) -> Result<(), LabError> {
    let dev = root.join("dev");
    tmpfs(&dev, "0755")?;
    for name in DEVICES.iter().filter(|name| Path::new("/dev").join(name).exists()) {
        write(&dev.join(name), "")?;
        bind(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    make_folder(&dev.join("shm"))?;
    tmpfs(&dev.join("shm"), "1777")?;
    make_folder(&dev.join("pts"))?;
    // Terminals serve only `hb demo --shell`.
    let _ = bind(Path::new("/dev/pts"), &dev.join("pts"));
    for (name, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, dev.join(name)).map_err(|e| failed("linking", &dev.join(name), e))?;
    }
    Ok(())
}

/// Makes `root` this process' root, with the former one at [`HOST`].
fn enter_root(root: &Path) -> Result<(), LabError> {
    let old = root.join(HOST.trim_start_matches('/'));
    pivot_root(root, &old).map_err(|e| failed("entering", root, e.into()))?;
    chdir("/").map_err(|e| failed("entering", root, e.into()))?;
    make_read_only(Path::new(HOST));
    Ok(())
}

/// Removes from [`HOST`] what reaches beyond files: processes, devices, the lab with the other
/// nodes' disks. In a user namespace the kernel may keep them mounted, and root's rights, which
/// they would need, are not there then.
fn hide_machine(root: &Path) {
    let base = root.parent().and_then(Path::parent).unwrap_or(root);
    let base = base.strip_prefix("/").unwrap_or(base);
    for place in [Path::new("proc"), Path::new("sys"), Path::new("dev"), base] {
        // Mounts can be stacked: the lab's /proc lies over the machine's.
        while umount2(&Path::new(HOST).join(place), MntFlags::MNT_DETACH).is_ok() {}
    }
}

/// Covers the commands and files by which a node could reach the whole machine.
fn make_harmless() -> Result<(), LabError> {
    let stub = Path::new("/run/stub");
    write(stub, &format!("#!{PROGRAMS}/{SELF} {}\n", helper::STUB_FLAG))?;
    fs::set_permissions(stub, fs::Permissions::from_mode(0o755))
        .map_err(|e| failed("making", stub, e))?;
    for folder in COVERED_IN {
        for name in COVERED {
            if let Ok(command) = fs::canonicalize(Path::new(folder).join(name)) {
                bind(stub, &command)?;
            }
        }
    }
    let trigger = Path::new("/proc/sysrq-trigger");
    if trigger.exists() {
        bind(Path::new("/dev/null"), trigger)?;
    }
    for folder in MACHINE_WIDE.iter().map(Path::new).filter(|f| f.is_dir()) {
        bind(folder, folder)?;
        make_read_only(folder);
    }
    Ok(())
}

/// Best effort: a user namespace may not change every mount, and then the user's own rights are all
/// that a node has.
fn make_read_only(place: &Path) {
    let locked = statvfs(place).map_or(FsFlags::empty(), |s| s.flags());
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for (is, keep) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if locked.contains(is) {
            flags |= keep;
        }
    }
    let _ = mount(NONE, place, NONE, flags, NONE);
}

/// Whether this process is root of the machine and not of a user namespace alone.
pub fn is_machines_root() -> bool {
    is_whole_map(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
}

/// user_namespaces(7): the initial namespace maps every id to itself.
fn is_whole_map(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn bind(source: &Path, target: &Path) -> Result<(), LabError> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).map_err(|e| {
        LabError::system(format!("binding {} to {}", source.display(), target.display()), e)
    })
}

fn tmpfs(place: &Path, mode: &str) -> Result<(), LabError> {
    let options = format!("mode={mode}");
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|e| LabError::system(format!("mounting a tmpfs on {}", place.display()), e))
}

fn make_folder(place: &Path) -> Result<(), LabError> {
    fs::create_dir_all(place).map_err(|e| failed("making", place, e))
}

fn write(place: &Path, text: &str) -> Result<(), LabError> {
    fs::write(place, text).map_err(|e| failed("writing", place, e))
}

fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>, LabError> {
    let entries = fs::read_dir(folder).map_err(|e| failed("listing", folder, e))?;
    Ok(entries
        .filter_map(Result::ok)
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect())
}

fn failed(what: &str, place: &Path, error: io::Error) -> LabError {
    LabError::system(format!("{what} {}", place.display()), error)
}

/// Opens a log of a node for appending.
pub(super) fn open_log(place: &Path) -> Result<fs::File, LabError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(place)
        .map_err(|e| failed("opening", place, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_the_machine() {
        let check = |map: &str, expect: bool| assert_eq!(is_whole_map(map), expect, "{map:?}");
        check("         0          0 4294967295\n", true);
        check("         0       1000          1\n", false);
        check("", false);
    }
}
