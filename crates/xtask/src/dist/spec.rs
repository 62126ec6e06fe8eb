//! The spec file of an RPM, from the same table as the Debian package. It is text only: `rpmbuild`
//! on a machine that has it makes the package from the sources.

use super::control::{About, DESCRIPTION};
use super::table::{Entry, Kind};

/// What `rpmbuild` runs around the files. The program that runs gives way to the new one;
/// `%systemd_preun` stops it at a removal only.
const SCRIPTS: &str = "\
%pre
%sysusers_create_package twinbeat %{SOURCE1}

%post
%systemd_post heartbeat.service hb-serve.service hb-notify.service
systemd-tmpfiles --create twinbeat.conf || :

%preun
%systemd_preun hb-serve.service hb-notify.service heartbeat.service

%postun
%systemd_postun heartbeat.service
%systemd_postun_with_restart hb-serve.service hb-notify.service

%posttrans
if /usr/sbin/heartbeat -s >/dev/null 2>&1; then
    systemctl daemon-reload || :
    /usr/sbin/heartbeat --restart || :
fi
";

/// The whole file.
pub(crate) fn text(about: &About, entries: &[Entry]) -> String {
    let (version, revision) = (&about.upstream, about.revision);
    let installs: String = entries.iter().map(install).collect();
    let files: String = entries.iter().map(listed).collect();
    format!(
        "# Made by `cargo xtask dist` from crates/xtask/src/dist/table.rs.\n\
         Name:           twinbeat\n\
         Version:        {version}\n\
         Release:        {revision}%{{?dist}}\n\
         Summary:        Two-node high availability, successor of Linux-HA Heartbeat\n\
         License:        MIT OR Apache-2.0\n\
         Source0:        twinbeat-%{{version}}.tar.gz\n\
         Source1:        twinbeat.conf\n\
         BuildRequires:  cargo, gcc, systemd-rpm-macros\n\
         Requires:       systemd\n\
         %{{?sysusers_requires_compat}}\n\
         Provides:       heartbeat = 3.0.6\n\
         Conflicts:      heartbeat\n\
         Obsoletes:      heartbeat < 4\n\n\
         %description\n{DESCRIPTION}\n\n\
         %prep\n%autosetup\n\n\
         %build\ncargo build --release --locked --package hb-heartbeat --package hb-cli --package hb-serve --package hb-notify\n\n\
         %install\n{installs}\n\
         {SCRIPTS}\n\
         %files\n%license LICENSE-MIT LICENSE-APACHE\n%doc README.md CHANGELOG.md\n{files}"
    )
}

/// RPM's name for a path of Debian.
fn place(path: &str) -> String {
    // /lib is a link to /usr/lib there.
    let path =
        path.strip_prefix("/lib/").map_or(path.to_owned(), |rest| format!("/usr/lib/{rest}"));
    path.replace("/usr/share/doc/twinbeat/", "%{_docdir}/twinbeat/")
}

fn install(entry: &Entry) -> String {
    let to = format!("%{{buildroot}}{}", place(&entry.path));
    match &entry.kind {
        Kind::Program { name } => format!("install -D -m 0755 target/release/{name} {to}\n"),
        Kind::File { source, mode, .. } => format!("install -D -m {mode:04o} {source} {to}\n"),
        Kind::Packed { source } => {
            format!("install -D -m 0644 {source} {to}\ngzip -9n {to}\n")
        }
        Kind::Link { to: target } => {
            let folder = to.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("install -d {folder}\nln -s {target} {to}\n")
        }
        Kind::Folder => format!("install -d -m 0755 {to}\n"),
    }
}

fn listed(entry: &Entry) -> String {
    let path = place(&entry.installed());
    match &entry.kind {
        Kind::File { configuration: true, .. } => format!("%config(noreplace) {path}\n"),
        Kind::Folder => format!("%dir {path}\n"),
        Kind::Packed { .. } if path.starts_with("%{_docdir}") => format!("%doc {path}\n"),
        Kind::Program { .. } | Kind::File { .. } | Kind::Packed { .. } | Kind::Link { .. } => {
            format!("{path}\n")
        }
    }
}
