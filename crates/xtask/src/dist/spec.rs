//! The spec file of an RPM, from the same table as the Debian package. It is text only: `rpmbuild`
//! makes the package from the sources, or (`--with prebuilt`) from programs that are there (`rpm.rs`).

use super::control::{About, DESCRIPTION};
use super::table::{Entry, Kind};

/// What `rpmbuild` runs around the files. The program that runs gives way to the new one;
/// `%systemd_preun` stops it at a removal only.
const SCRIPTS: &str = "\
%if %{defined sysusers_create_package}
%pre
%sysusers_create_package twinbeat %{SOURCE1}
%endif

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

/// Folders that no other package has: they go with the last of their files.
const FOLDERS: [&str; 5] = [
    "/etc/ha.d",
    "/etc/ha.d/resource.d",
    "/usr/lib/heartbeat",
    "/usr/share/heartbeat",
    "%{_docdir}/twinbeat/examples",
];

/// The whole file.
pub(crate) fn text(about: &About, entries: &[Entry], packages: &[String]) -> String {
    let (version, revision) = (&about.upstream, about.revision);
    let packages: String = packages.iter().map(|name| format!(" --package {name}")).collect();
    let installs: String = entries.iter().map(install).collect();
    let files: String = entries.iter().map(listed).collect();
    let folders: String = FOLDERS.iter().map(|path| format!("%dir {path}\n")).collect();
    format!(
        "# Made by `cargo xtask dist` from crates/xtask/src/dist/table.rs.\n\
         %bcond_with prebuilt\n\
         # Where the programs are, below the sources.\n\
         %{{!?programs:%global programs target/release}}\n\
         # Cargo strips them; there is nothing left for a package of their own.\n\
         %global debug_package %{{nil}}\n\
         # One folder for documents, whatever the version.\n\
         %global _docdir_fmt %%{{NAME}}\n\n\
         Name:           twinbeat\n\
         Version:        {version}\n\
         Release:        {revision}%{{?dist}}\n\
         Summary:        Two-node high availability, successor of Linux-HA Heartbeat\n\
         License:        MIT OR Apache-2.0\n\
         Source0:        twinbeat-%{{version}}.tar.gz\n\
         Source1:        twinbeat.conf\n\
         %if %{{without prebuilt}}\n\
         BuildRequires:  cargo, gcc\n\
         %endif\n\
         BuildRequires:  systemd-rpm-macros\n\
         Requires:       systemd\n\
         %{{?sysusers_requires_compat}}\n\
         Provides:       heartbeat = 3.0.6\n\
         Conflicts:      heartbeat\n\
         Obsoletes:      heartbeat < 4\n\n\
         %description\n{DESCRIPTION}\n\n\
         %prep\n%autosetup\n\n\
         %build\n%if %{{without prebuilt}}\ncargo build --release --locked{packages}\n%endif\n\n\
         %install\n{installs}\n\
         {SCRIPTS}\n\
         %files\n%defattr(-,root,root,-)\n%license LICENSE-MIT LICENSE-APACHE\n\
         %doc README.md CHANGELOG.md\n{folders}{files}"
    )
}

/// RPM's name for a path of Debian.
fn place(path: &str) -> String {
    // /lib is a link to /usr/lib there.
    let path =
        path.strip_prefix("/lib/").map_or(path.to_owned(), |rest| format!("/usr/lib/{rest}"));
    path.replace("/usr/share/doc/twinbeat/", "%{_docdir}/twinbeat/")
        .replace("/usr/share/zsh/vendor-completions/", "/usr/share/zsh/site-functions/")
}

fn install(entry: &Entry) -> String {
    let to = format!("%{{buildroot}}{}", place(&entry.path));
    match &entry.kind {
        Kind::Program { name } => format!("install -D -m 0755 %{{programs}}/{name} {to}\n"),
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

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn places_of_another_family_of_systems() {
        let check = |path: &str, expect: &str| assert_eq!(place(path), expect);
        check("/lib/systemd/system/heartbeat.service", "/usr/lib/systemd/system/heartbeat.service");
        check("/usr/lib/heartbeat/hb-serve", "/usr/lib/heartbeat/hb-serve");
        check("/usr/share/doc/twinbeat/x.gz", "%{_docdir}/twinbeat/x.gz");
        check("/usr/share/zsh/vendor-completions/_hb", "/usr/share/zsh/site-functions/_hb");
    }

    #[test]
    fn every_entry_is_installed_and_listed() {
        let entries = table::entries(crate::root()).expect("the tree");
        let about = About::fixed();
        let text = text(&about, &entries, &["hb-cli".to_owned()]);
        for entry in &entries {
            let path = place(&entry.installed());
            assert!(text.lines().any(|line| line.ends_with(&path)), "{path} is not listed");
            let built = format!("%{{buildroot}}{}", place(&entry.path));
            assert!(text.contains(&built), "{built} is not installed");
        }
        assert!(text.contains("cargo build --release --locked --package hb-cli\n"));
        assert!(text.contains("%config(noreplace) /etc/ha.d/resource.d/IPaddr\n"));
    }
}
