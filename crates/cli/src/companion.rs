//! Programs of their own that belong to `hb`: `hb serve` is `hb-serve`, so that neither the daemon nor
//! `hb` carries a web server. Here is where they are looked for, and how this process becomes one;
//! what they do is in their own crates.
#![expect(clippy::disallowed_methods, reason = "looks for a program and becomes it")]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};

use crate::{exit, print};

/// Where packages put programs that no person calls by name.
const LIBRARY: &str = "/usr/lib/heartbeat";
/// Options of every verb of `hb` that have a value behind a blank. A companion takes them, too.
const WITH_VALUE: [&str; 2] = ["--run-dir", "--state-dir"];

/// Show the state of the pair in a browser, to Prometheus and to load balancers
///
/// Runs in the foreground; the service hb-serve.service does the same at boot. It reads the daemon's
/// status, needs no privileges, and changes nothing.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Listen here in place of `[serve] listen` of hb.toml; may stand several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Directory of hb.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/ha.d")]
    pub dir: PathBuf,
    /// Copy the settings and the files that they name to DIR for the user that owns it, and end; needs
    /// root
    #[arg(long, hide = true, value_name = "DIR")]
    pub hand_over: Option<PathBuf>,
}

/// Tell people of incidents, by mail, webhooks and programs
///
/// The service hb-notify.service tells what `[notify]` of hb.toml asks for: one message when something
/// goes wrong, one when it is over. It needs no privileges, and the daemon knows nothing of it.
#[derive(Clone, Debug, Args)]
pub struct NotifyArgs {
    /// Directory of hb.toml
    #[arg(long, global = true, value_name = "DIR", default_value = "/etc/ha.d")]
    pub dir: PathBuf,
    /// Directory of what waits to be told
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/hb-notify")]
    pub notify_dir: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub verb: NotifyVerb,
}

/// Verbs of `hb notify`.
#[derive(Clone, Debug, Subcommand)]
pub enum NotifyVerb {
    /// Send a test message now and show what each channel answers
    ///
    /// Exit status: 0 all have accepted it, 1 one has not, 2 there is no such channel.
    Test {
        /// Only this one
        channel: Option<String>,
    },
    /// Show what waits to be told and what went wrong last
    ///
    /// Exit status: 0 fine, 1 a channel does not accept messages, 3 the service has not run here.
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Tell incidents until it is ended, in the foreground
    Run {
        /// Take what `prepare` has written in place of hb.toml
        #[arg(long, hide = true, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Copy the settings and the files that they name to FILE for the user that owns its directory
    #[command(hide = true)]
    Prepare {
        /// Where to
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Leave FILE as it is, and fail, unless all of the settings can be used
        #[arg(long)]
        reload: bool,
    },
}

/// Becomes `program`, with the words of the command line of `hb` but for the verb. Returns only when
/// that fails, with what is then said and the exit code 1.
pub fn become_program(program: &str) -> ExitCode {
    let words = without_verb(std::env::args_os().skip(1));
    let places = places();
    let Some(path) = places.iter().map(|dir| dir.join(program)).find(|path| path.is_file()) else {
        print::err(&missing(program, &places));
        return exit::code(exit::NEGATIVE);
    };
    let error = Command::new(&path).args(words).exec();
    print::err(&format!("hb: cannot start {}: {error}\n", path.display()));
    exit::code(exit::NEGATIVE)
}

/// Beside `hb`, as cargo builds them, then where packages have them.
fn places() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    beside.into_iter().chain([PathBuf::from(LIBRARY)]).collect()
}

fn missing(program: &str, places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
    format!(
        "hb: the program {program} is neither in {}\n\
         hint: it is part of the package twinbeat; in a source tree: cargo build -p {program}\n",
        places.join(" nor in ")
    )
}

/// Options that stand before the verb are kept, the verb is not.
fn without_verb(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        let is_option = word.as_encoded_bytes().starts_with(b"-");
        if !is_option {
            break;
        }
        let has_value = WITH_VALUE.iter().any(|name| word == *name);
        kept.push(word);
        kept.extend(has_value.then(|| words.next()).flatten());
    }
    kept.extend(words);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_but_the_verb_are_passed_on() {
        let check = |line: &str, expect: &str| {
            let words = line.split_whitespace().map(OsString::from);
            let expect: Vec<OsString> = expect.split_whitespace().map(OsString::from).collect();
            assert_eq!(without_verb(words), expect, "{line}");
        };
        check("serve", "");
        check("serve --listen [::1]:80 serve", "--listen [::1]:80 serve");
        check("--run-dir serve serve --dir x", "--run-dir serve --dir x");
        check("--run-dir=/x notify test", "--run-dir=/x test");
        check("", "");
    }

    #[test]
    fn what_is_missing_is_named_with_the_places() {
        let text = missing("hb-serve", &["/usr/bin".into(), LIBRARY.into()]);
        assert!(
            text.contains("hb-serve is neither in /usr/bin nor in /usr/lib/heartbeat"),
            "{text}"
        );
    }
}
