//! Runs a program of the system that only looks, within a time and a size (I/O). What it prints is
//! for others.
#![expect(clippy::disallowed_methods, reason = "runs programs of the system")]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

/// Longest run: a machine in trouble is slow, and nobody waits for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// Most of its output that is kept.
pub(crate) const OUTPUT_MAX: u64 = 16 << 20;
/// Where such programs are, whatever the caller's PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// With its exit code and what it wrote to standard output; of a failure standard error too.
    Ended { code: i32, text: String },
    /// There is no such program.
    Missing,
    /// It was killed after its limit, or could not be run.
    Failed(String),
}

impl Ran {
    /// What it printed when it succeeded.
    pub(crate) fn ok(self) -> Option<String> {
        match self {
            Self::Ended { code: 0, text } => Some(text),
            Self::Ended { .. } | Self::Missing | Self::Failed(_) => None,
        }
    }
}

/// Runs `program` with nothing on its standard input and waits for its end, [`LIMIT`] at most.
pub(crate) fn run(program: &str, args: &[&str]) -> Ran {
    run_within(program, args, LIMIT)
}

/// As [`run`], with another limit.
pub(crate) fn run_within(program: &str, args: &[&str], limit: Duration) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(attempt(program, args, limit)),
        Err(error) => Ran::Failed(error.to_string()),
    }
}

async fn attempt(program: &str, args: &[&str], limit: Duration) -> Ran {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C"), ("HOME", "/root"), ("SYSTEMD_PAGER", "")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ran::Missing,
        Err(error) => return Ran::Failed(error.to_string()),
    };
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Ran::Failed("no pipes".to_owned());
    };
    let work = async {
        let (mut text, mut said) = (Vec::new(), Vec::new());
        let mut out = out.take(OUTPUT_MAX);
        let mut err = err.take(OUTPUT_MAX);
        // Both at once: whichever pipe is full would stop it.
        let read = tokio::join!(out.read_to_end(&mut text), err.read_to_end(&mut said));
        // Closed, so that one that writes more ends instead of waiting.
        drop((out, err));
        read.0?;
        read.1?;
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status, text, said))
    };
    match tokio::time::timeout(limit, work).await {
        Ok(Ok((status, text, said))) => {
            let mut text = String::from_utf8_lossy(&text).into_owned();
            let code = status.code().unwrap_or(-1);
            if code != 0 {
                text.push_str(&String::from_utf8_lossy(&said));
            }
            Ran::Ended { code, text }
        }
        Ok(Err(error)) => Ran::Failed(error.to_string()),
        Err(_) => Ran::Failed(format!("did not end within {} s", limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_programs_end() {
        let ended = |code, text: &str| Ran::Ended { code, text: text.to_owned() };
        assert_eq!(run("sh", &["-c", "echo out; echo err >&2"]), ended(0, "out\n"));
        assert_eq!(run("sh", &["-c", "echo out; echo err >&2; exit 3"]), ended(3, "out\nerr\n"));
        assert_eq!(run("no-such-program", &[]), Ran::Missing);
        // Nothing of this process' environment.
        assert!(run("env", &[]).ok().is_some_and(|text| !text.contains("CARGO")));
    }
}
