//! Writes `docs/reference/states.md` and its picture: the real manager is driven through every state
//! that a group can reach with every input, and what it did is written down. Nothing here says what it
//! should do. The pages are drawn in `fsm/page` and `fsm/svg`, the driving is in `fsm/drive`.
#![expect(clippy::disallowed_methods, reason = "reads and writes pages")]

mod drive;
mod page;
mod svg;

use std::path::Path;

const PAGE: &str = "docs/reference/states.md";
const PICTURE: &str = "docs/reference/states.svg";

/// Writes both, and says how much was tried.
pub(crate) fn write(root: &Path) -> std::io::Result<()> {
    let seen = drive::all();
    println!("fsm: {} states, {} steps", seen.states, seen.steps);
    std::fs::write(root.join(PAGE), page::write(&seen))?;
    std::fs::write(root.join(PICTURE), svg::draw(&seen.moves))
}

/// What is not as the code is.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let seen = drive::all();
    let pages = [(PAGE, page::write(&seen)), (PICTURE, svg::draw(&seen.moves))];
    let differs = |(name, text): &(&str, String)| {
        std::fs::read_to_string(root.join(name)).is_ok_and(|page| page == *text)
    };
    let old = pages.iter().filter(|page| !differs(page));
    old.map(|(name, _)| format!("{name}: not as the code: `cargo xtask fsm` writes it")).collect()
}
