//! What must be there before the machines are: Debian 12 with systemd and nginx, Debian's own heartbeat
//! as files that apt finds, and two packages of ours. I/O with the network, outside of the namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{Failure, rights};

/// Programs without which nothing can be done, and their packages.
const TOOLS: [(&str, &str); 5] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
];
/// Of the recipe below: a cache with another one is not used.
const RECIPE: &str = "bookworm-1";
/// Beside debootstrap's smallest system.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nginx-light,logrotate";
/// Fetched with all that they need, not installed.
const FETCHED: [&str; 2] = ["heartbeat", "resource-agents"];

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
    /// How many words [`Self::words`] gives.
    pub(crate) const WORDS: usize = 3;

    /// For the process inside.
    pub(crate) fn words(&self) -> [&Path; Self::WORDS] {
        [&self.system, &self.package, &self.upgrade]
    }

    /// From [`Self::words`].
    pub(crate) fn from_words(mut words: impl Iterator<Item = PathBuf>) -> Self {
        let mut next = || words.next().expect("a path");
        Self { system: next(), package: next(), upgrade: next(), _temporary: None }
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
    let packages = folder.join("packages");
    let _ = fs::remove_dir_all(&packages);
    let package = build(&packages, 1)?;
    let upgrade = build(&packages, 2)?;
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
    let mut tool = Command::new("debootstrap");
    tool.args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]);
    run(tool.arg(&new).args(mirror))?;
    let mut apt = Command::new("chroot");
    apt.arg(&new).args(["apt-get", "-qq", "--download-only", "--no-install-recommends", "-y"]);
    run(apt.arg("install").args(FETCHED))?;
    fs::rename(&new, system).map_err(|e| failed("its place", &e))
}

/// `cargo xtask dist`, from the programs as cargo builds them for tests, or for users.
fn build(folder: &Path, revision: u32) -> Result<PathBuf, Failure> {
    let out = folder.join(revision.to_string());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "xtask", "--", "dist"]);
    // Where programs for users are built anyway, others need not be built as well.
    if std::env::var_os("HB_BOOT_RELEASE").is_none() {
        cargo.arg("--debug");
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    run(cargo.args(["--revision", &revision.to_string(), "--out"]).arg(&out))?;
    let mut made = fs::read_dir(&out).map_err(|e| failed("the package", &e))?.flatten();
    let package = made.find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    package.map(|entry| entry.path()).ok_or_else(|| Failure::Failed("no package was made".into()))
}

/// Runs a tool to its end; shows what it says only when it fails.
fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().map_err(|e| failed(&name, &e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
    Err(Failure::Failed(format!("{name}: {}\n{last}", output.status)))
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}
