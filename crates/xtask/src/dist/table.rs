//! What the packages hold: one table for Debian and RPM. It lists; who copies is in `dist.rs`.

use std::path::Path;

use super::in_words;

/// One file, link or folder of the package.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it goes on the machine; absolute.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an entry is made of.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A program that cargo has built.
    Program {
        /// Its name in cargo's folder.
        name: &'static str,
    },
    /// A file of the tree.
    File {
        /// Where it is in the tree.
        source: String,
        /// Its permissions.
        mode: u32,
        /// Changes that people make are kept by an upgrade.
        configuration: bool,
    },
    /// A file of the tree, packed by gzip; the path has no `.gz` yet.
    Packed {
        /// Where it is in the tree.
        source: String,
    },
    /// A symbolic link.
    Link {
        /// What it holds.
        to: &'static str,
    },
    /// An empty folder.
    Folder,
}

impl Entry {
    fn new(path: impl Into<String>, kind: Kind) -> Self {
        Self { path: path.into(), kind }
    }

    fn file(path: &str, source: &str, mode: u32) -> Self {
        let source = source.to_owned();
        Self::new(path, Kind::File { source, mode, configuration: false })
    }

    fn configuration(path: &str, source: &str, mode: u32) -> Self {
        let source = source.to_owned();
        Self::new(path, Kind::File { source, mode, configuration: true })
    }

    /// Whether an upgrade keeps what people have changed.
    pub(crate) fn is_configuration(&self) -> bool {
        match self.kind {
            Kind::File { configuration, .. } => configuration,
            Kind::Program { .. } | Kind::Packed { .. } | Kind::Link { .. } | Kind::Folder => false,
        }
    }

    /// The path that the machine gets.
    pub(crate) fn installed(&self) -> String {
        match self.kind {
            Kind::Packed { .. } => format!("{}.gz", self.path),
            Kind::Program { .. } | Kind::File { .. } | Kind::Link { .. } | Kind::Folder => {
                self.path.clone()
            }
        }
    }
}

/// The programs and the names under which scripts of Heartbeat know them. Old releases had them in
/// `/usr/lib/heartbeat`, 3.0.6 has them in `/usr/share/heartbeat`.
/// Each with the folder of its crate below `crates`, which has its name after `hb-`.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("/usr/sbin/heartbeat", "heartbeat", "heartbeat"),
    ("/usr/bin/hb", "hb", "cli"),
    ("/usr/lib/heartbeat/hb-serve", "hb-serve", "serve"),
    ("/usr/lib/heartbeat/hb-notify", "hb-notify", "notify"),
];
const LINKS: [(&str, &str); 6] = [
    ("/usr/bin/cl_status", "hb"),
    ("/usr/lib/heartbeat/heartbeat", "../../sbin/heartbeat"),
    ("/usr/lib/heartbeat/hb_standby", "../../bin/hb"),
    ("/usr/lib/heartbeat/hb_takeover", "../../bin/hb"),
    ("/usr/share/heartbeat/hb_standby", "../../bin/hb"),
    ("/usr/share/heartbeat/hb_takeover", "../../bin/hb"),
];
const CONFIGURATION: [(&str, &str, u32); 2] = [
    ("/etc/init.d/heartbeat", "etc/init.d/heartbeat", 0o755),
    ("/etc/logrotate.d/heartbeat", "etc/logrotate.d/heartbeat", 0o644),
];
/// Folders of the tree of which every file goes to one folder of the machine.
const FOLDERS: [(&str, &str); 9] = [
    ("etc/systemd", "/lib/systemd/system"),
    ("etc/sysusers.d", "/usr/lib/sysusers.d"),
    ("etc/tmpfiles.d", "/usr/lib/tmpfiles.d"),
    ("etc/completions/bash", "/usr/share/bash-completion/completions"),
    ("etc/completions/fish", "/usr/share/fish/vendor_completions.d"),
    ("etc/completions/zsh", "/usr/share/zsh/vendor-completions"),
    ("etc/ha.d", "/usr/share/doc/twinbeat/examples"),
    ("etc/prometheus", "/usr/share/doc/twinbeat/examples/prometheus"),
    ("etc/grafana", "/usr/share/doc/twinbeat/examples/grafana"),
];
const SCRIPTS: (&str, &str) = ("resource.d", "/etc/ha.d/resource.d");
const PAGES: (&str, &str) = ("docs/man", "/usr/share/man");
/// Guides that are read on a machine without a network.
const GUIDES: [&str; 3] =
    ["docs/migrating/heartbeat-3.md", "docs/guide/installing.md", "docs/reference/hb.toml.md"];

/// Everything but what Debian's policy asks for in `/usr/share/doc` (`control.rs`), sorted by path.
///
/// # Errors
/// When a folder of the tree cannot be read.
pub(crate) fn entries(root: &Path) -> Result<Vec<Entry>, String> {
    let mut all: Vec<Entry> = Vec::new();
    all.extend(PROGRAMS.map(|(path, name, _)| Entry::new(path, Kind::Program { name })));
    all.extend(LINKS.map(|(path, to)| Entry::new(path, Kind::Link { to })));
    all.extend(CONFIGURATION.map(|(path, source, mode)| Entry::configuration(path, source, mode)));
    for (folder, place) in FOLDERS {
        for (name, source) in files(root, folder)? {
            all.push(Entry::file(&format!("{place}/{name}"), &source, 0o644));
        }
    }
    for (name, source) in files(root, SCRIPTS.0)? {
        // What begins with a dot is read by the others.
        let mode = if name.starts_with('.') { 0o644 } else { 0o755 };
        all.push(Entry::configuration(&format!("{}/{name}", SCRIPTS.1), &source, mode));
    }
    for (name, source) in files(root, PAGES.0)? {
        if let Some(section) = manual_section(&name) {
            let path = format!("{}/man{section}/{name}", PAGES.1);
            all.push(Entry::new(path, Kind::Packed { source }));
        }
    }
    for source in GUIDES {
        if let Some((_, name)) = source.rsplit_once('/') {
            let path = format!("/usr/share/doc/twinbeat/{name}");
            all.push(Entry::new(path, Kind::Packed { source: source.to_owned() }));
        }
    }
    all.push(Entry::new("/var/lib/heartbeat", Kind::Folder));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// The packages of cargo that make the programs.
pub(crate) fn packages() -> [String; PROGRAMS.len()] {
    PROGRAMS.map(|(_, _, folder)| format!("hb-{folder}"))
}

/// Names and places in the tree of the files of `folder`, sorted.
fn files(root: &Path, folder: &str) -> Result<Vec<(String, String)>, String> {
    let place = root.join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&place).map_err(in_words(&place))? {
        let entry = entry.map_err(in_words(&place))?;
        if entry.path().is_file()
            && let Some(name) = entry.file_name().to_str()
        {
            found.push((name.to_owned(), format!("{folder}/{name}")));
        }
    }
    found.sort();
    Ok(found)
}

/// `ha.cf.5` is in section 5.
fn manual_section(name: &str) -> Option<u32> {
    name.rsplit_once('.')?.1.parse().ok().filter(|section| (1..=8).contains(section))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> Vec<Entry> {
        entries(crate::root()).expect("the tree")
    }

    #[test]
    fn every_source_is_there_and_every_place_is_taken_once() {
        let mut places = BTreeSet::new();
        for entry in all() {
            assert!(entry.path.starts_with('/'), "{entry:?}");
            assert!(places.insert(entry.installed()), "{entry:?} twice");
            match &entry.kind {
                Kind::File { source, .. } | Kind::Packed { source } => {
                    assert!(crate::root().join(source).is_file(), "{source}");
                }
                Kind::Program { .. } | Kind::Link { .. } | Kind::Folder => {}
            }
        }
    }

    #[test]
    fn what_people_change_is_configuration_and_nothing_else() {
        for entry in all() {
            let is_in_etc = entry.path.starts_with("/etc/");
            assert_eq!(entry.is_configuration(), is_in_etc, "{entry:?}");
        }
    }

    #[test]
    fn links_lead_to_what_is_there() {
        let all = all();
        for entry in &all {
            if let Kind::Link { to } = entry.kind {
                let mut path: Vec<&str> = entry.path.split('/').collect();
                path.pop();
                for part in to.split('/') {
                    if part == ".." {
                        path.pop();
                    } else {
                        path.push(part);
                    }
                }
                let target = path.join("/");
                assert!(all.iter().any(|other| other.path == target), "{entry:?}: {target}");
            }
        }
    }

    #[test]
    fn files_that_people_write_are_not_in_the_package() {
        for name in ["ha.cf", "haresources", "authkeys", "hb.toml"] {
            let path = format!("/etc/ha.d/{name}");
            assert!(all().iter().all(|entry| entry.path != path), "{path}");
        }
    }

    #[test]
    fn what_people_look_for_is_there() {
        let all = all();
        for path in [
            "/usr/sbin/heartbeat",
            "/usr/bin/hb",
            "/lib/systemd/system/heartbeat.service",
            "/usr/lib/sysusers.d/twinbeat.conf",
            "/usr/share/bash-completion/completions/hb",
            "/usr/share/doc/twinbeat/examples/ha.cf",
            "/etc/ha.d/resource.d/IPaddr",
        ] {
            assert!(all.iter().any(|entry| entry.path == path), "{path}");
        }
        assert!(packages().contains(&"hb-heartbeat".to_owned()));
    }

    #[test]
    fn pages_go_to_their_section() {
        assert_eq!(manual_section("ha.cf.5"), Some(5));
        assert_eq!(manual_section("hb.toml"), None);
        assert_eq!(manual_section("x.9"), None);
    }
}
