//! `hb notify status`: what waits and what went wrong last, from the file that the service keeps.
//! Also where both verbs print.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use hb_cli::exit;

use crate::store::{self, NUMBERS, Numbers};
use crate::words;

/// To stdout; a closed pipe is the reader's choice.
pub(crate) fn out(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// To stderr.
pub(crate) fn err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints the numbers below `dir`.
pub(crate) fn run(dir: &Path, json: bool) -> ExitCode {
    let numbers = match store::numbers(dir) {
        Ok(Some(numbers)) => numbers,
        Ok(None) => {
            err(&format!(
                "hb notify: {} does not exist: hb-notify has not run here\n\
                 hint: systemctl enable --now hb-notify\n",
                dir.join(NUMBERS).display()
            ));
            return exit::code(exit::UNKNOWN);
        }
        Err(error) => {
            err(&format!("hb notify: {}: {error}\n", dir.join(NUMBERS).display()));
            return exit::code(exit::UNKNOWN);
        }
    };
    if json {
        let text = serde_json::to_string_pretty(&numbers).unwrap_or_default();
        out(&format!("{text}\n"));
    } else {
        out(&text(&numbers));
    }
    let fails = numbers.channels.values().any(|it| it.error.is_some() || it.untold > 0);
    exit::code(if fails { exit::NEGATIVE } else { exit::OK })
}

fn text(numbers: &Numbers) -> String {
    let Numbers { sent, failures, dropped, queue, .. } = numbers;
    let mut text =
        format!("{queue} waiting, {sent} sent, {failures} tries failed, {dropped} dropped\n");
    for (name, it) in &numbers.channels {
        text += &format!("  {name}: {} waiting, {} sent", it.queue, it.sent);
        if let Some(at) = it.sent_unix_ms {
            text += &format!(", last {}", words::utc(at));
        }
        text.push('\n');
        if let Some(error) = &it.error {
            let at = it.error_unix_ms.map(words::utc).unwrap_or_default();
            text += &format!("    {at}  {error}\n");
        }
        if it.untold > 0 {
            text += &format!("    {} dropped before the next\n", it.untold);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_stands_below_its_channel() {
        let mut numbers = Numbers::default();
        numbers.change("mail-1", 1_795_000_000_000, |it| {
            it.failures = 2;
            it.queue = 1;
            it.error = Some("connection refused".into());
            it.error_unix_ms = Some(1_795_000_000_000);
        });
        numbers.change("oncall", 1_795_000_000_000, |it| {
            it.sent = 3;
            it.sent_unix_ms = Some(1_795_000_000_000);
        });
        assert_eq!(
            text(&numbers),
            "1 waiting, 3 sent, 2 tries failed, 0 dropped\n  \
             mail-1: 1 waiting, 0 sent\n    2026-11-18 11:06:40.000 UTC  connection refused\n  \
             oncall: 0 waiting, 3 sent, last 2026-11-18 11:06:40.000 UTC\n"
        );
    }
}
