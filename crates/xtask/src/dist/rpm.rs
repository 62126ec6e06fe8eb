//! The RPM itself, by `rpmbuild` from the spec file and programs that are built. Debian has it in the
//! package `rpm`; its dependencies are not asked for, since they are other systems' packages.
#![expect(clippy::disallowed_methods, reason = "runs rpmbuild")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::control::About;
use super::{copy, in_words, make_dir, run_command, write};

/// Where the spec names sources; the tree itself is built in its place.
const SOURCES: &str = "sources";
/// What systemd's package for RPM defines elsewhere; here it is only read.
const MACROS: [&str; 3] = [
    "systemd_post() systemctl preset %* || :",
    "systemd_preun() [ $1 -gt 0 ] || systemctl --no-reload disable --now %* || :",
    "systemd_postun() systemctl daemon-reload || :",
];

/// Makes the package below `out`; where it is.
///
/// # Errors
/// What `rpmbuild` did not like, in its words.
pub(super) fn build(
    root: &Path,
    out: &Path,
    about: &About,
    spec: &Path,
    programs: &Path,
) -> Result<PathBuf, String> {
    let top = out.join("rpm");
    let sources = top.join(SOURCES);
    make_dir(&sources, &top)?;
    copy(&root.join("etc/sysusers.d/twinbeat.conf"), &sources.join("twinbeat.conf"), 0o644)?;
    // It must be there, and is not unpacked.
    write(&sources.join(format!("twinbeat-{}.tar.gz", about.upstream)), "")?;
    let mut tool = Command::new("rpmbuild");
    tool.current_dir(root)
        .args(["-bb", "--build-in-place", "--nodeps", "--with", "prebuilt"])
        .env("SOURCE_DATE_EPOCH", about.unix_s.to_string());
    let define = |name: &str, value: &Path| format!("{name} {}", value.display());
    for macro_text in [
        define("_topdir", &top),
        define("_sourcedir", &sources),
        define("_rpmdir", out),
        define("programs", programs),
        "_build_id_links none".to_owned(),
        "_binary_payload w6.gzdio".to_owned(),
    ] {
        tool.arg("--define").arg(macro_text);
    }
    let has_macros = run_command(Command::new("rpm").args(["--eval", "%{?systemd_post:yes}"]))?;
    if has_macros.trim().is_empty() {
        MACROS.iter().for_each(|text| {
            tool.arg("--define").arg(text);
        });
    }
    let said = run_command(tool.arg(spec))?;
    fs::remove_dir_all(&top).map_err(in_words(&top))?;
    let made = said.lines().find_map(|line| line.strip_prefix("Wrote: "));
    made.map(PathBuf::from).ok_or_else(|| format!("rpmbuild says of no package: {said}"))
}
