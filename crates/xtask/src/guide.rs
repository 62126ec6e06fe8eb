//! `cargo xtask guide DIR`: puts screens that a real pair has printed into the pages of the guide. A
//! line `<!-- screen: NAME -->` says which stands in the fenced block below it. How the screens are
//! made is in `guide/screens`; `hb check` on the configurations is a test of `crates/cli`.
#![expect(clippy::disallowed_methods, reason = "reads and writes pages")]

use std::io;
use std::path::Path;

use crate::links::collect;

/// Replaces the screens of all pages of `docs/guide` below `root` by the files `NAME.txt` of `screens`.
///
/// # Errors
/// When a page cannot be read or written, or a screen is missing.
pub(crate) fn fill(root: &Path, screens: &Path) -> io::Result<()> {
    let mut pages = Vec::new();
    collect(&root.join("docs/guide"), &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        let filled = replace(&text, |name| {
            let path = screens.join(format!("{name}.txt"));
            std::fs::read_to_string(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
        })?;
        if filled != text {
            std::fs::write(&page, filled)?;
        }
    }
    Ok(())
}

fn replace(text: &str, screen: impl Fn(&str) -> io::Result<String>) -> io::Result<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some(name) = screen_name(line) else { continue };
        let missing = || io::Error::other(format!("no fenced block below the screen {name}"));
        let fence = lines.next().filter(|line| line.starts_with("```")).ok_or_else(missing)?;
        lines.by_ref().find(|line| *line == "```").ok_or_else(missing)?;
        out += &format!("{fence}\n{}\n```\n", screen(name)?.trim_end());
    }
    Ok(out)
}

fn screen_name(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- screen: ")?.strip_suffix(" -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_takes_the_place_of_the_one_before() {
        let text = "a\n<!-- screen: x -->\n```text\nold\nolder\n```\nb\n```text\nkept\n```\n";
        let filled = replace(text, |name| Ok(format!("new {name}\n\n"))).expect("filled");
        assert_eq!(filled, "a\n<!-- screen: x -->\n```text\nnew x\n```\nb\n```text\nkept\n```\n");
    }

    #[test]
    fn a_screen_without_its_block_is_an_error() {
        for text in ["<!-- screen: x -->\nwords\n", "<!-- screen: x -->\n```text\nopen\n"] {
            assert!(replace(text, |_| Ok(String::new())).is_err(), "{text}");
        }
    }
}
