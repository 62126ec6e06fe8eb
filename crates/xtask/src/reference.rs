//! The pages of the reference that are made from tables of the code. It makes text; `generated`
//! writes it.

use std::fmt::Write as _;

use hb_config::Code;
use hb_config::native::KEYS;

use crate::generated::{Page, Set};

/// All pages. Their folder holds others, written by hand.
pub(crate) fn set() -> Set {
    let page = |path: &str, text| Page { path: path.to_owned(), text };
    let pages = vec![
        page("docs/reference/hb.toml.md", hb_toml()),
        page("docs/reference/codes.md", codes()),
    ];
    Set { task: "reference", folders: &[], pages }
}

/// Files, and the hundred of the codes that are about them.
const FILES: [(u16, &str); 5] =
    [(0, "Any file"), (1, "ha.cf"), (3, "haresources"), (4, "authkeys"), (5, "hb.toml")];

fn codes() -> String {
    let mut page = String::from(
        "# What `hb check` finds\n\nEach finding has a code, which never changes its meaning. \
         `hb explain CODE` prints what stands here.\nWith an error the node does not start; with a \
         warning it does; a note is something to know.\nMade from the table in the code by \
         `cargo xtask reference`.\n",
    );
    for (hundred, file) in FILES {
        // Writing into a string cannot fail.
        let _ = write!(page, "\n## {file}\n");
        for code in Code::ALL.iter().filter(|code| code.info().number / 100 == hundred) {
            let info = code.info();
            let _ = write!(
                page,
                "\n### {code}: {}\n\n{}. {}\n\nWhat to do: {}\n",
                info.title,
                capital(info.severity.word()),
                info.explanation,
                info.cure
            );
        }
    }
    page
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + letters.as_str()
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
