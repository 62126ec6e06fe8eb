//! What must be there before the machines are: Debian 12 with systemd and nginx, Debian's own heartbeat
//! as files that apt finds, and two packages of ours. I/O with the network, outside of the namespaces.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{Failure, child, rights};

/// Programs without which nothing can be done, and their packages.
const TOOLS: [(&str, &str); 6] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
];
/// Of the recipe below: a cache with another one is not used.
const RECIPE: &str = "bookworm-1";
/// Beside debootstrap's smallest system.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nginx-light,logrotate";
/// Fetched with all that they need, not installed.
const FETCHED: [&str; 2] = ["heartbeat", "resource-agents"];

/// Longest debootstrap, longest download: a mirror that is slower is none.
const SYSTEM_LIMIT: Duration = Duration::from_secs(300);
/// Longest build of everything, on a slow machine with other work.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);

/// What [`prepare`] has made. Paths are absolute.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The Debian system; nobody writes to it any more.
    pub(crate) system: PathBuf,
    /// Our package.
    pub(crate) package: PathBuf,
    /// The same with a higher revision.
    pub(crate) upgrade: PathBuf,
    /// Where the rest is, when nobody wants to keep it.
    _temporary: Option<TempDir>,
}

impl Prepared {
    /// What somebody else has made.
    pub(crate) fn at(system: &Path, package: &Path, upgrade: &Path) -> Self {
        let [system, package, upgrade] = [system, package, upgrade].map(Path::to_owned);
        Self { system, package, upgrade, _temporary: None }
    }
}

/// Looks whether it can be done here, and makes everything.
pub(crate) fn prepare() -> Result<Prepared, Failure> {
    if !geteuid().is_root() {
        return Err(Failure::Skip("it needs root".into()));
    }
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        return Err(Failure::Skip(format!("install {}", missing.join(", "))));
    }
    rights::ask().map_err(Failure::Skip)?;
    let (folder, temporary) = match std::env::var_os("HB_BOOT_CACHE") {
        Some(folder) => (PathBuf::from(folder), None),
        None => {
            let made = TempDir::with_prefix("hb-boot-").map_err(|e| failed("a folder", &e))?;
            (made.path().to_owned(), Some(made))
        }
    };
    fs::create_dir_all(&folder).map_err(|e| failed("the cache", &e))?;
    let folder = folder.canonicalize().map_err(|e| failed("the cache", &e))?;
    let system = folder.join(RECIPE);
    if !system.is_dir() {
        make_system(&folder, &system)?;
    }
    let [package, upgrade] = match std::env::var_os("HB_BOOT_PACKAGES") {
        Some(made) => [package_in(&made, 1)?, package_in(&made, 2)?],
        None => {
            let packages = folder.join("packages");
            let _ = fs::remove_dir_all(&packages);
            [build(&packages, 1)?, build(&packages, 2)?]
        }
    };
    Ok(Prepared { system, package, upgrade, _temporary: temporary })
}

fn is_there(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$1\"", "sh", tool])
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// Beside its place first: what was interrupted is not taken for a whole one.
fn make_system(folder: &Path, system: &Path) -> Result<(), Failure> {
    let new = folder.join(format!("{RECIPE}.new"));
    let _ = fs::remove_dir_all(&new);
    // Without one, debootstrap knows where Debian is.
    let mirror = std::env::var_os("HB_BOOT_MIRROR");
    println!("debootstrap");
    // What it mounts and starts goes with it, whatever ends it.
    let apart =
        ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    let tool = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(apart).args(words);
        command
    };
    let include = format!("--include={PACKAGES}");
    let mut debootstrap = tool(&["debootstrap", "--variant=minbase", &include, "bookworm"]);
    let mut apt = tool(&["chroot"]);
    apt.arg(&new).args(["apt-get", "-qq", "--download-only", "--no-install-recommends", "-y"]);
    let made = run("debootstrap", debootstrap.arg(&new).args(mirror), SYSTEM_LIMIT)
        .and_then(|()| run("apt-get", apt.arg("install").args(FETCHED), SYSTEM_LIMIT));
    match made {
        Ok(()) => fs::rename(&new, system).map_err(|e| failed("its place", &e)),
        Err(failure) => {
            let _ = fs::remove_dir_all(&new);
            Err(match failure {
                Failure::Failed(text) => {
                    Failure::Skip(format!("Debian could not be had from a mirror: {text}"))
                }
                Failure::Skip(_) | Failure::Ended => failure,
            })
        }
    }
}

/// `cargo xtask dist`, from the programs as cargo builds them for tests.
fn build(folder: &Path, revision: u32) -> Result<PathBuf, Failure> {
    let out = folder.join(revision.to_string());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo has set for this program would look to build scripts as if everything had changed.
    let of_ours =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| of_ours(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo.args(["run", "--quiet", "--package", "xtask", "--", "dist", "--debug", "--revision"]);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    run("cargo xtask dist", cargo.arg(revision.to_string()).arg("--out").arg(&out), BUILD_LIMIT)?;
    package_in(folder.as_os_str(), revision)
}

/// The package of this revision below `folder`, with its absolute path.
fn package_in(folder: &OsStr, revision: u32) -> Result<PathBuf, Failure> {
    let folder = Path::new(folder).join(revision.to_string());
    let shown = folder.display().to_string();
    let folder = folder.canonicalize().map_err(|e| failed(&shown, &e))?;
    let mut made = fs::read_dir(&folder).map_err(|e| failed(&shown, &e))?.flatten();
    let package = made.find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    let package = package.map(|entry| entry.path());
    package.ok_or_else(|| Failure::Failed(format!("there is no package in {shown}")))
}

/// Runs a tool to its end; shows what it says only when it fails.
fn run(name: &str, command: &mut Command, limit: Duration) -> Result<(), Failure> {
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").stdin(Stdio::null());
    let mut said = tempfile::tempfile().map_err(|e| failed("a file", &e))?;
    let copy = || said.try_clone().map_err(|e| failed("a file", &e));
    let status = child::run(command.stdout(copy()?).stderr(copy()?), limit)?;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let read = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    read.map_err(|e| failed("a file", &e))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
    let how = status.map_or(format!("not done within {} s", limit.as_secs()), |s| s.to_string());
    Err(Failure::Failed(format!("{name}: {how}\n{last}")))
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}
