//! `cargo xtask man`: the pages of `docs/man`, made from the command lines that clap knows, from the
//! tables of `hb_config`, and from the prose beside this file. It makes text; `generated` writes it.

mod commands;
mod roff;
mod tables;
#[cfg(test)]
mod tests;

use crate::generated::{Page, Set};

/// Where the pages are.
const FOLDER: &str = "docs/man";
/// When the prose was last read through; man pages must bear a date.
const DATE: &str = "2026-11-21";

/// Prose with places for tables: name, section, what it is (for the line NAME), text.
const FILES: [(&str, u8, &str, &str); 5] = [
    ("ha.cf", 5, "nodes, links and times of a two-node cluster", include_str!("man/ha.cf.roff")),
    (
        "haresources",
        5,
        "addresses and services of a two-node cluster",
        include_str!("man/haresources.roff"),
    ),
    (
        "authkeys",
        5,
        "keys that sign the messages between two nodes",
        include_str!("man/authkeys.roff"),
    ),
    ("hb.toml", 5, "what Heartbeat's own files cannot say", include_str!("man/hb.toml.roff")),
    (
        "cl_status",
        1,
        "what monitoring scripts of Heartbeat ask",
        include_str!("man/cl_status.roff"),
    ),
];

/// All pages.
pub(crate) fn set() -> Set {
    let files = FILES.iter().map(|(name, section, what, body)| {
        let name_line = format!(".SH NAME\n{name} \\- {what}\n");
        page(name, *section, &(name_line + &tables::fill(body)))
    });
    let pages = files.chain(commands::pages()).collect();
    Set { task: "man", folders: &[FOLDER], pages }
}

/// A page from what stands below its title.
fn page(name: &str, section: u8, body: &str) -> Page {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        ".\\\" Made from the tables of the code by `cargo xtask man`: do not edit.\n\
         .TH {name} {section} {DATE} \"Twinbeat {version}\" \"Twinbeat\"\n{body}"
    );
    Page { path: format!("{FOLDER}/{name}.{section}"), text }
}
