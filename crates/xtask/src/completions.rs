//! `cargo xtask completions`: the files of `etc/completions`, named as the shells want to find them.

use clap::Command;
use hb_cli::completions::{Shell, script};

use crate::commands::{LEGACY, hb, heartbeat, legacy};
use crate::generated::{Page, Set};

/// Shells, their folders, and what stands before and behind a program's name there.
const SHELLS: [(Shell, &str, &str, &str); 3] = [
    (Shell::Bash, "etc/completions/bash", "", ""),
    (Shell::Zsh, "etc/completions/zsh", "_", ""),
    (Shell::Fish, "etc/completions/fish", "", ".fish"),
];

/// All files.
pub(crate) fn set() -> Set {
    let mut programs: Vec<(&'static str, Command)> = vec![("hb", hb()), ("heartbeat", heartbeat())];
    programs.extend(LEGACY.iter().map(|(name, verb)| (*name, legacy(name, verb))));
    let mut pages = Vec::new();
    for (shell, folder, before, behind) in SHELLS {
        for (name, tree) in &programs {
            let path = format!("{folder}/{before}{name}{behind}");
            pages.push(Page { path, text: script(shell, tree.clone(), name) });
        }
    }
    let folders = &["etc/completions/bash", "etc/completions/zsh", "etc/completions/fish"];
    Set { task: "completions", folders, pages }
}
