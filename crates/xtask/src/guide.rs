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

/// Screens of the pages below `root` that were never filled.
pub(crate) fn empty(root: &Path) -> Vec<String> {
    let mut pages = Vec::new();
    collect(&root.join("docs/guide"), &mut pages);
    pages.sort();
    let mut faults = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for window in lines.windows(3) {
            let [marker, _, first] = window else { continue };
            if let Some((_, name)) = screen_name(marker).filter(|_| first.trim() == "```") {
                let page = page.strip_prefix(root).unwrap_or(&page).display();
                faults.push(format!("{page}: the screen {name} is empty: `cargo xtask guide DIR`"));
            }
        }
    }
    faults
}

fn replace(text: &str, screen: impl Fn(&str) -> io::Result<String>) -> io::Result<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some((indent, name)) = screen_name(line) else { continue };
        let missing = || io::Error::other(format!("no fenced block below the screen {name}"));
        let is_fence = |line: &&str| line.trim_start().starts_with("```");
        let fence = lines.next().filter(is_fence).ok_or_else(missing)?;
        lines.by_ref().find(|line| line.trim() == "```").ok_or_else(missing)?;
        out += &format!("{fence}\n");
        for line in screen(name)?.trim_end().lines() {
            out += format!("{indent}{line}").trim_end();
            out.push('\n');
        }
        out += &format!("{indent}```\n");
    }
    Ok(out)
}

/// The blanks before a marker, as in an item of a list, and the name of its screen.
fn screen_name(line: &str) -> Option<(&str, &str)> {
    let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
    let name = rest.strip_prefix("<!-- screen: ")?.strip_suffix(" -->")?;
    Some((indent, name))
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
    fn a_screen_of_a_list_item_stays_in_it() {
        let text = "1. a\n\n   <!-- screen: x -->\n   ```text\n   ```\n\n2. b\n";
        let filled = replace(text, |_| Ok("p\n\n q\n".to_owned())).expect("filled");
        assert_eq!(
            filled,
            "1. a\n\n   <!-- screen: x -->\n   ```text\n   p\n\n    q\n   ```\n\n2. b\n"
        );
    }

    #[test]
    fn a_screen_without_its_block_is_an_error() {
        for text in ["<!-- screen: x -->\nwords\n", "<!-- screen: x -->\n```text\nopen\n"] {
            assert!(replace(text, |_| Ok(String::new())).is_err(), "{text}");
        }
    }
}
