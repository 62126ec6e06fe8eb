//! `hb status --watch`: the same again and again, in place on a terminal, one after the other
//! elsewhere (waits in real time).
#![expect(clippy::disallowed_methods, reason = "waits between two looks")]

use std::thread;
use std::time::Duration;

use crate::print;

/// Cursor to the upper left.
const HOME: &str = "\x1b[H";
/// Clears what is left of a line.
const REST_OF_LINE: &str = "\x1b[K";
/// Clears what is left of the screen.
const REST_OF_SCREEN: &str = "\x1b[J";

/// Shows what `look` gives, for ever; ^C ends the process.
pub(super) fn run(every: Duration, look: impl Fn() -> String) -> ! {
    let terminal = print::is_terminal();
    loop {
        let text = look();
        print::out(&if terminal { in_place(&text) } else { format!("{text}\n") });
        thread::sleep(every);
    }
}

/// Drawn over what was there, without a moment of emptiness.
fn in_place(text: &str) -> String {
    let lines = text.replace('\n', &format!("{REST_OF_LINE}\n"));
    format!("{HOME}{lines}{REST_OF_SCREEN}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_clears_its_rest() {
        assert_eq!(in_place("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
    }
}
