//! `cargo xtask dist`: builds the programs, lays out what a package holds and makes a Debian package,
//! the spec file of an RPM and, when asked, the RPM from one table (`dist/table.rs`). What a package does when it is
//! installed is in `etc/debian/`.
#![expect(clippy::disallowed_methods, reason = "runs cargo and dpkg, writes files")]

mod control;
mod rpm;
mod spec;
mod table;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use control::About;
use table::{Entry, Kind};

const USAGE: &str = "usage: cargo xtask dist [--debug] [--rpm] [--revision N] [--out DIR]
  --debug       the programs as `cargo build` makes them, for tests of the package
  --rpm         also an RPM, by rpmbuild (Debian: package rpm)
  --revision N  number of the package within one version (1)
  --out DIR     where the packages go (target/dist)";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    debug: bool,
    rpm: bool,
    revision: u32,
    out: Option<PathBuf>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { debug: false, rpm: false, revision: 1, out: None };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--debug" => options.debug = true,
                "--rpm" => options.rpm = true,
                "--revision" => {
                    let number = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    options.revision = number.ok_or("--revision wants a number from 1 on")?;
                }
                "--out" => {
                    options.out = Some(words.next().ok_or("--out wants a directory")?.into());
                }
                other => return Err(format!("{other}: not an option\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// The directory below `target` with the programs.
    fn profile(&self) -> &'static str {
        if self.debug { "debug" } else { "release" }
    }
}

/// Builds both; returns what was made.
///
/// # Errors
/// What failed, in words.
pub(crate) fn run(
    root: &Path,
    words: impl Iterator<Item = String>,
) -> Result<Vec<PathBuf>, String> {
    let options = Options::parse(words)?;
    build(root, options.debug)?;
    let root = &root.canonicalize().map_err(in_words(root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let out = options.out.clone().unwrap_or_else(|| target.join("dist"));
    let stage = out.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(in_words(&stage))?;
    }
    make_dir(&stage, &stage)?;
    let about = About::read(root, options.revision)?;
    let programs = target.join(options.profile());
    let entries = table::entries(root)?;
    for entry in &entries {
        lay_out(entry, root, &programs, &stage)?;
    }
    control::documents(root, &stage, &about)?;
    let package = debian(root, &stage, &out, &about, &entries, options.debug)?;
    let spec = out.join("twinbeat.spec");
    write(&spec, &spec::text(&about, &entries, &table::packages()))?;
    fs::remove_dir_all(&stage).map_err(in_words(&stage))?;
    let mut made = vec![package, spec.clone()];
    if options.rpm {
        made.push(rpm::build(root, &out, &about, &spec, &programs)?);
    }
    Ok(made)
}

fn build(root: &Path, debug: bool) -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).arg("build");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_who_runs(name)) {
        cargo.env_remove(name);
    }
    for package in table::packages() {
        cargo.args(["--package", &package]);
    }
    if !debug {
        cargo.arg("--release");
    }
    run_command(&mut cargo).map(|_| ())
}

/// Whether `cargo run` has set this variable for the program that it runs, which is this one (The Cargo
/// Book, "Environment variables"). Build scripts watch some of them: to those it would look as if
/// everything had changed since the last build.
fn is_of_who_runs(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Puts one entry of the table below `stage`.
fn lay_out(entry: &Entry, root: &Path, programs: &Path, stage: &Path) -> Result<(), String> {
    let place = stage.join(entry.path.trim_start_matches('/'));
    if let Some(parent) = place.parent() {
        make_dir(parent, stage)?;
    }
    match &entry.kind {
        Kind::Program { name } => {
            copy(&programs.join(name), &place, 0o755)?;
            // Line tables are for people who build the programs themselves.
            let sections = ["--remove-section=.comment", "--remove-section=.note"];
            let mut strip = Command::new("strip");
            run_command(strip.arg("--strip-unneeded").args(sections).arg(&place)).map(|_| ())
        }
        Kind::File { source, mode, .. } => copy(&root.join(source), &place, *mode),
        Kind::Packed { source } => {
            copy(&root.join(source), &place, 0o644)?;
            // -n: no time, so that the same sources make the same package.
            run_command(Command::new("gzip").args(["-9n", "--suffix", ".gz"]).arg(&place))
                .map(|_| ())
        }
        Kind::Link { to } => symlink(to, &place).map_err(in_words(&place)),
        Kind::Folder => make_dir(&place, stage),
    }
}

/// Makes the package from what is below `stage`.
fn debian(
    root: &Path,
    stage: &Path,
    out: &Path,
    about: &About,
    entries: &[Entry],
    debug: bool,
) -> Result<PathBuf, String> {
    let folder = stage.join("DEBIAN");
    make_dir(&folder, stage)?;
    for script in ["postinst", "prerm", "postrm"] {
        copy(&root.join("etc/debian").join(script), &folder.join(script), 0o755)?;
    }
    let programs: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Program { .. }))
        .map(|entry| stage.join(entry.path.trim_start_matches('/')))
        .collect();
    let libraries = control::libraries(out, &programs)?;
    let architecture = run_command(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    write(&folder.join("control"), &control::text(about, architecture, &libraries, stage)?)?;
    let kept = entries.iter().filter(|entry| entry.is_configuration());
    let list: String = kept.map(|entry| format!("{}\n", entry.path)).collect();
    write(&folder.join("conffiles"), &list)?;
    write(&folder.join("md5sums"), &control::sums(stage)?)?;
    let name = format!("twinbeat_{}_{architecture}.deb", about.version);
    let package = out.join(name);
    run_command(
        Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", about.unix_s.to_string())
            .arg("--root-owner-group")
            // A test installs it once; users fetch it again and again.
            .args(if debug { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] })
            .arg("--build")
            .args([stage, &package]),
    )?;
    Ok(package)
}

/// Runs a program to its end; what it wrote to standard output.
fn run_command(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(std::process::Stdio::inherit()).output().map_err(|error| {
        format!("{name}: {error} (Debian has it in cargo, binutils, gzip, dpkg or dpkg-dev)")
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name}: {}", output.status))
    }
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), String> {
    fs::copy(from, to).map_err(in_words(from))?;
    fs::set_permissions(to, Permissions::from_mode(mode)).map_err(in_words(to))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(in_words(path))?;
    fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(in_words(path))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(in_words(path))
}

/// Makes `path`, which is `stage` or below it, with the modes of a package from there on, whatever the
/// umask of whoever builds it. What is above belongs to somebody else.
fn make_dir(path: &Path, stage: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(in_words(path))?;
    for dir in path.ancestors().take_while(|dir| dir.starts_with(stage)) {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(in_words(dir))?;
    }
    Ok(())
}

fn in_words(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_set_below_the_stage_only() {
        let outside = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        fs::set_permissions(outside.path(), Permissions::from_mode(0o1777)).unwrap();
        let stage = outside.path().join("stage");
        make_dir(&stage.join("usr/bin"), &stage).unwrap();
        assert_eq!(mode(outside.path()), 0o1777);
        for dir in ["", "usr", "usr/bin"] {
            assert_eq!(mode(&stage.join(dir)), 0o755, "{dir}");
        }
    }

    #[test]
    fn only_what_describes_this_program_is_kept_from_the_build() {
        let check = |name: &str, expect: bool| {
            assert_eq!(is_of_who_runs(OsStr::new(name)), expect, "{name}");
        };
        check("CARGO_PKG_VERSION_MAJOR", true);
        check("CARGO_MANIFEST_DIR", true);
        for wanted in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_PROFILE_RELEASE_LTO", "PATH"] {
            check(wanted, false);
        }
    }

    fn parse(words: &str) -> Result<Options, String> {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let expect = |debug, rpm, revision, out: Option<&str>| {
            Ok(Options { debug, rpm, revision, out: out.map(PathBuf::from) })
        };
        assert_eq!(parse(""), expect(false, false, 1, None));
        assert_eq!(parse("--debug --revision 2 --out x"), expect(true, false, 2, Some("x")));
        assert_eq!(parse("--rpm"), expect(false, true, 1, None));
        for bad in ["--revision", "--revision 0", "--revision x", "--out", "--fast"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
