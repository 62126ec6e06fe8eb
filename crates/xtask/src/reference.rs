//! Writes the pages of the reference that are made from tables of the code, and finds those that are
//! older than their table.
#![expect(clippy::disallowed_methods, reason = "reads and writes pages")]

use std::fmt::Write as _;
use std::path::Path;

use hb_config::native::KEYS;

const HB_TOML: &str = "docs/reference/hb.toml.md";

/// Writes all pages below `root`.
pub(crate) fn write(root: &Path) -> std::io::Result<()> {
    std::fs::write(root.join(HB_TOML), hb_toml())
}

/// Pages that do not say what the tables say.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let same = std::fs::read_to_string(root.join(HB_TOML)).is_ok_and(|page| page == hb_toml());
    let fault = || format!("{HB_TOML}: not as its table: `cargo xtask reference` writes it");
    if same { Vec::new() } else { vec![fault()] }
}

fn hb_toml() -> String {
    let mut page = String::from(
        "# hb.toml\n\nWhat Heartbeat's own files cannot say. It may be missing; then every default is in force. \
         Times are text:\n`\"60s\"`, `\"500ms\"`, `\"1m\"`, or `\"60\"` for seconds. `hb check` finds mistakes, \
         `hb explain KEY` says what stands here.\n\
         Made from the table in the code by `cargo xtask reference`.\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            // Writing into a string cannot fail.
            let _ = write!(
                page,
                "\n## `{}`\n\n| Key | Value | Default | |\n|---|---|---|---|\n",
                key.header()
            );
        }
        let default = match key.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} |",
            key.name,
            key.kind.syntax().replace('|', "\\|"),
            key.doc.replace('|', "\\|")
        );
    }
    page
}
