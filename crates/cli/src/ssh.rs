//! Commands on the other node, by the program `ssh` of the PATH with the operator's own keys and
//! configuration (I/O: child processes). What the commands are is the caller's business.
#![expect(clippy::disallowed_methods, reason = "starts ssh, and a thread that feeds it")]

use std::io::{IsTerminal, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Seconds that a connection may take to come about.
const CONNECT_S: u32 = 5;
/// Longest answer that is read: four files of a megabyte, and some words.
const ANSWER_MAX: u64 = 6 << 20;
/// Longest complaint of ssh or of the command that is passed on.
const COMPLAINT_MAX: u64 = 16 << 10;

/// Another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ssh {
    host: String,
    /// Nobody is there to type a password.
    batch: bool,
}

impl Ssh {
    /// `HOST`, `USER@HOST` or a name of ssh_config. Passwords can be typed where a terminal is, unless
    /// `batch`.
    ///
    /// # Errors
    /// When it cannot be the name of a host.
    pub(crate) fn to(host: &str, batch: bool) -> Result<Self, String> {
        let host = host.strip_prefix("ssh:").unwrap_or(host);
        let strange = |c: char| c.is_whitespace() || c.is_control();
        // What begins with a dash would be an option.
        if host.is_empty() || host.starts_with('-') || host.contains(strange) {
            return Err(format!("{host:?} is no host for ssh: write HOST or USER@HOST"));
        }
        Ok(Self { host: host.to_owned(), batch: batch || !std::io::stdin().is_terminal() })
    }

    /// As it was named.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Starts a line of shell there; its input and output are pipes, its complaints too.
    ///
    /// # Errors
    /// When ssh cannot be started.
    pub(crate) fn spawn(&self, line: &str) -> Result<Child, String> {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", &format!("ConnectTimeout={CONNECT_S}")]);
        // A peer that falls silent must not keep us.
        command.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
        if self.batch {
            command.args(["-o", "BatchMode=yes"]);
        }
        command.args(["--", &self.host, line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| format!("ssh cannot be started: {error}"))
    }

    /// Runs a line of shell there with this input; what it printed.
    ///
    /// # Errors
    /// What ssh or the command complained of.
    pub(crate) fn run(&self, line: &str, input: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut child = self.spawn(line)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input must not keep us.
            thread::spawn(move || stdin.write_all(&input));
        }
        let complaints =
            child.stderr.take().map(|stderr| thread::spawn(|| read(stderr, COMPLAINT_MAX)));
        let answer = child.stdout.take().map(|stdout| read(stdout, ANSWER_MAX)).unwrap_or_default();
        let status = child.wait().map_err(|error| format!("ssh: {error}"))?;
        let complaints = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(answer);
        }
        let text = String::from_utf8_lossy(&complaints);
        let text = text.trim();
        let host = &self.host;
        Err(match (text.is_empty(), status.code()) {
            (false, _) => format!("{host}: {text}"),
            (true, Some(code)) => format!("{host}: the command ended with {code}"),
            (true, None) => format!("{host}: ssh was killed"),
        })
    }
}

fn read(from: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.take(limit).read_to_end(&mut bytes);
    bytes
}

/// One word of a line of shell (POSIX).
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |text: &str, expect: Option<&str>| {
            let ssh = Ssh::to(text, true).ok();
            assert_eq!(ssh.as_ref().map(Ssh::host), expect, "{text:?}");
        };
        check("node2", Some("node2"));
        check("ssh:root@node2", Some("root@node2"));
        check("-oProxyCommand=x", None);
        check("ssh:-v", None);
        check("", None);
        check("a b", None);
    }

    #[test]
    fn words_are_quoted() {
        let check = |word: &str, expect: &str| assert_eq!(quote(word), expect);
        check("/etc/ha.d", "/etc/ha.d");
        check("", "''");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(x)", "'$(x)'");
    }
}
