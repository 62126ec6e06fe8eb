//! What dpkg wants to know of a package, and the documents that Debian's policy asks for. No file is
//! listed here: that is the table's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{make_dir, read, run_command, write};

/// What is said of the package.
#[derive(Debug)]
pub(crate) struct About {
    /// Upstream version of `Cargo.toml`.
    pub(crate) upstream: String,
    /// With the package's revision: `0.1.0-1`.
    pub(crate) version: String,
    /// The package's revision.
    pub(crate) revision: u32,
    /// When the sources were last changed, in seconds since 1970.
    pub(crate) unix_s: u64,
    /// The same as RFC 5322 has it.
    date: String,
}

/// One line.
pub(crate) const SUMMARY: &str = "two-node high availability, successor of Linux-HA Heartbeat";
/// Paragraphs.
pub(crate) const DESCRIPTION: &str = "\
Two machines, one floating address, and the services behind it. Both watch
each other with signed heartbeats; when one dies, the other has the address
and the services within milliseconds of the configured dead time.

Twinbeat reads the files of Heartbeat (ha.cf, haresources, authkeys), speaks
the wire protocol of Heartbeat 3.0.6 and takes the place of a running
Heartbeat on one node after the other.";
/// Who answers for a package that somebody builds for themselves. `DEBFULLNAME` and `DEBEMAIL`, as
/// Debian's own tools have them, take its place.
const MAINTAINER: &str = "Twinbeat maintainers";
const ADDRESS: &str = "maintainers@twinbeat.invalid";

impl About {
    /// Reads the version from the top of the tree and the date from git, or from
    /// `SOURCE_DATE_EPOCH`.
    ///
    /// # Errors
    /// When one of them cannot be found.
    pub(crate) fn read(root: &Path, revision: u32) -> Result<Self, String> {
        let upstream = env!("CARGO_PKG_VERSION").to_owned();
        let unix_s = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text,
            Err(_) => {
                let mut git = Command::new("git");
                git.current_dir(root).args(["log", "-1", "--format=%ct"]);
                run_command(&mut git)?
            }
        };
        let unix_s = unix_s.trim().parse().map_err(|_| format!("{unix_s}: not a time"))?;
        let date = run_command(Command::new("date").env("LC_ALL", "C").args([
            "-uR",
            "-d",
            &format!("@{unix_s}"),
        ]))?;
        let version = format!("{upstream}-{revision}");
        Ok(Self { upstream, version, revision, unix_s, date: date.trim().to_owned() })
    }
}

#[cfg(test)]
impl About {
    /// Of no tree.
    pub(crate) fn fixed() -> Self {
        let text = str::to_owned;
        let (upstream, version, date) = (text("1.2.3"), text("1.2.3-1"), text("a date"));
        Self { upstream, version, revision: 1, unix_s: 0, date }
    }
}

fn maintainer() -> String {
    let name = std::env::var("DEBFULLNAME").unwrap_or_else(|_| MAINTAINER.to_owned());
    let address = std::env::var("DEBEMAIL").unwrap_or_else(|_| ADDRESS.to_owned());
    format!("{name} <{address}>")
}

/// The packages with the libraries that `programs` are linked with, as `dpkg-shlibdeps` finds them.
///
/// # Errors
/// When the tool is missing or fails.
pub(crate) fn libraries(out: &Path, programs: &[PathBuf]) -> Result<String, String> {
    // It reads a source package's control file, which must be there and may say nothing.
    let place = out.join("shlibs");
    make_dir(&place.join("debian"), &place)?;
    write(
        &place.join("debian/control"),
        "Source: twinbeat\n\nPackage: twinbeat\nArchitecture: any\n",
    )?;
    let mut tool = Command::new("dpkg-shlibdeps");
    tool.current_dir(&place).args(["-O", "--ignore-missing-info"]);
    for program in programs {
        tool.arg(format!("-e{}", std::path::absolute(program).unwrap_or_default().display()));
    }
    let text = run_command(&mut tool)?;
    std::fs::remove_dir_all(&place).map_err(super::in_words(&place))?;
    let line = text.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    line.map(str::to_owned).ok_or_else(|| format!("dpkg-shlibdeps says nothing of use: {text}"))
}

/// The file `control`.
///
/// # Errors
/// When `stage` cannot be measured.
pub(crate) fn text(
    about: &About,
    architecture: &str,
    libraries: &str,
    stage: &Path,
) -> Result<String, String> {
    let size = run_command(Command::new("du").args(["-sk", "--apparent-size"]).arg(stage))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let description: String = DESCRIPTION
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    let (version, maintainer) = (&about.version, maintainer());
    // Provides with a version: whoever depends on Debian's package gets what it had. Scripts of
    // haresources may call agents of resource-agents, and `apt autoremove` spares what is suggested.
    Ok(format!(
        "Package: twinbeat\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {maintainer}\n\
         Installed-Size: {size}\n\
         Depends: {libraries}, init-system-helpers (>= 1.54~), \
         systemd | systemd-standalone-sysusers | systemd-sysusers\n\
         Recommends: iproute2, logrotate\n\
         Suggests: cluster-glue, fence-agents, resource-agents\n\
         Provides: heartbeat (= 1:3.0.6)\n\
         Conflicts: heartbeat\n\
         Replaces: heartbeat\n\
         Section: admin\n\
         Priority: optional\n\
         Description: {SUMMARY}\n{description}"
    ))
}

/// The file `md5sums`, which `dpkg --verify` reads.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn sums(stage: &Path) -> Result<String, String> {
    let line = "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | LC_ALL=C sort -z \
                | xargs -0 md5sum";
    run_command(Command::new("sh").current_dir(stage).args(["-ec", line]))
}

/// Copyright, the changes of the program, and those of the package.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn documents(root: &Path, stage: &Path, about: &About) -> Result<(), String> {
    let folder = stage.join("usr/share/doc/twinbeat");
    make_dir(&folder, stage)?;
    let licence: String = read(&root.join("LICENSE-MIT"))?
        .lines()
        .skip_while(|line| !line.starts_with("Permission"))
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    write(
        &folder.join("copyright"),
        &format!(
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
             Upstream-Name: twinbeat\n\n\
             Files: *\n\
             Copyright: 2026 The Twinbeat authors\n\
             License: Expat or Apache-2.0\n\n\
             License: Expat\n{licence}\n\
             License: Apache-2.0\n On Debian systems the text of this licence is in\n \
             /usr/share/common-licenses/Apache-2.0.\n"
        ),
    )?;
    let (version, upstream, date) = (&about.version, &about.upstream, &about.date);
    let packed = [
        ("changelog", read(&root.join("CHANGELOG.md"))?),
        (
            "changelog.Debian",
            format!(
                "twinbeat ({version}) unstable; urgency=medium\n\n  * Twinbeat {upstream}; see \
                 changelog.gz.\n\n -- {}  {date}\n",
                maintainer()
            ),
        ),
    ];
    for (name, text) in packed {
        let path = folder.join(name);
        write(&path, &text)?;
        run_command(Command::new("gzip").arg("-9n").arg(&path))?;
    }
    Ok(())
}
