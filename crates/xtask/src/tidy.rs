//! Rules that neither compiler nor clippy knows: what each file begins with, how long it may be,
//! which crate may name which other, where `unsafe` may stand. It reports; it mends nothing.
#![expect(clippy::disallowed_methods, reason = "reads the source tree and asks cargo")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A reader should know their way around a file; generated tables and tests included.
const LINES_MAX: usize = 700;

/// The only files that may contain `unsafe`, each with the reason.
const UNSAFE_FILES: [(&str, &str); 2] = [
    ("crates/resource/src/address/packet.rs", "packet sockets need a raw sockaddr_ll"),
    ("crates/heartbeat/src/sys.rs", "scheduling and resource calls that nix does not offer"),
];

/// Words that must not stand in code of these folders: the pure core touches no edge.
const PURE: [(&str, &[&str]); 4] = [
    ("crates/config/src", &["tokio::", "nix::", "socket2::", "libc::"]),
    ("crates/messaging/src", &["hb_resource", "tokio::", "nix::", "socket2::", "libc::"]),
    ("crates/resource/src", &["hb_messaging", "tokio::", "nix::", "socket2::", "libc::"]),
    ("crates/node/src", &["tokio::", "nix::", "socket2::", "libc::", "std::time::Instant"]),
];

/// Folders below those that are the edge, each behind a cargo feature.
const EDGE: [&str; 3] =
    ["crates/messaging/src/net", "crates/resource/src/exec", "crates/resource/src/address"];

/// Crates that `hb-node`, built alone, must not link.
const NODE_MUST_NOT_LINK: [&str; 4] = ["tokio", "socket2", "nix", "rtnetlink"];

/// Every fault found below `root`, sorted.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for path in sources(root) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => check_file(&name, &text, &mut faults),
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    check_links(root, &mut faults);
    let sets = [crate::reference::set(), crate::man::set(), crate::completions::set()];
    faults.extend(sets.iter().flat_map(|set| set.stale(root)));
    faults.extend(crate::links::broken(root));
    faults.extend(crate::mutants::stale(root));
    faults.extend(crate::failures::stale(root));
    faults.sort();
    faults
}

pub(crate) fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn check_file(name: &str, text: &str, faults: &mut Vec<String>) {
    if !text.starts_with("//!") {
        faults.push(format!("{name}:1: begin with `//!`: what the file is for and what not"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!("{name}: {lines} lines, at most {LINES_MAX}: split it"));
    }
    let pure = PURE.iter().find(|(folder, _)| name.starts_with(folder));
    let edge = EDGE.iter().any(|folder| name.starts_with(folder));
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let at = format!("{name}:{}", number + 1);
        if let Some((_, words)) = pure.filter(|_| !edge && name != "crates/config/src/dir.rs") {
            for word in words.iter().filter(|word| code.contains(*word)) {
                faults.push(format!("{at}: `{word}` does not belong into this crate's core"));
            }
        }
        let unsafe_here =
            code.contains(concat!("unsa", "fe {")) || code.contains(concat!("unsa", "fe fn"));
        if unsafe_here && !UNSAFE_FILES.iter().any(|(file, _)| *file == name) {
            faults.push(format!("{at}: `unsafe` stands in two files only: {UNSAFE_FILES:?}"));
        }
        for word in [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ig", "nore")]
        {
            if code.contains(word) {
                faults.push(format!("{at}: `{word}`: finish it or leave it out"));
            }
        }
    }
}

/// A workspace build unifies features, so only a build of the crate alone proves anything.
fn check_links(root: &Path, faults: &mut Vec<String>) {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "hb-node",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(root)
        .output();
    let tree = match tree {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => {
            faults.push(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)));
            return;
        }
        Err(error) => {
            faults.push(format!("cargo tree: {error}"));
            return;
        }
    };
    for line in String::from_utf8_lossy(&tree).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if NODE_MUST_NOT_LINK.contains(&name) {
            faults.push(format!("hb-node links {name}: the core must build without the edge"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(name: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check_file(name, text, &mut faults);
        faults
    }

    #[test]
    fn the_tree_is_tidy() {
        let faults = check(crate::root());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn each_rule_can_fail() {
        let name = "crates/node/src/x.rs";
        assert_eq!(check_text(name, "//! Fine.\n"), Vec::<String>::new());
        assert!(check_text(name, "use std::fmt;\n")[0].contains("begin with"));
        assert!(
            check_text(name, &format!("//! x\n{}", "\n".repeat(LINES_MAX)))[0].contains("split")
        );
        assert!(check_text(name, "//! x\nuse tokio::net;\n")[0].contains("tokio::"));
        assert!(check_text(name, "//! x\nlet x = unsafe { y };\n")[0].contains("unsafe"));
        assert!(check_text(name, "//! x\ntodo!();\n")[0].contains("finish"));
        let edge = "crates/messaging/src/net/ucast.rs";
        assert_eq!(check_text(edge, "//! x\nuse tokio::net;\n"), Vec::<String>::new());
    }
}
