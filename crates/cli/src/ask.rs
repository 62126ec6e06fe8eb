//! Asking the person at the terminal before something is done (I/O: standard input and error).

use std::io::{self, BufRead, IsTerminal};

use crate::print;

/// Whether the person says yes to `question`.
///
/// # Errors
/// When nobody can be asked: what to write instead.
pub(crate) fn yes(question: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("nobody is at the terminal to be asked: add --yes when it is wanted".to_owned());
    }
    print::err(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        let check = |answer: &str, expect: bool| assert_eq!(is_yes(answer), expect, "{answer:?}");
        check("y\n", true);
        check(" YES \n", true);
        check("\n", false);
        check("", false);
        check("n\n", false);
        check("yesterday\n", false);
    }
}
