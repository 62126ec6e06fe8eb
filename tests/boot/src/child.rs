//! Programs that this one runs: each to its end, to its limit, or until a signal asks for the end of
//! everything. I/O: processes, signals.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

/// Between two looks at a child.
const LOOK: Duration = Duration::from_millis(20);
/// Between SIGTERM and SIGKILL: what plays inside needs far less.
const GRACE: Duration = Duration::from_secs(5);

static ENDED: AtomicBool = AtomicBool::new(false);

/// From here on SIGINT, SIGTERM and SIGHUP end the running child first; what is left of it is removed
/// then as after every run.
///
/// # Errors
/// When they cannot be caught.
pub(crate) fn catch_signals() -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let caught = runtime.block_on(async { signal(kind) });
        let mut caught = caught.map_err(failed)?;
        runtime.spawn(async move {
            if caught.recv().await.is_some() {
                ENDED.store(true, Ordering::Relaxed);
            }
        });
    }
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(())
}

/// Runs `command` to its end; `None`: it was not done within `limit` and was ended.
///
/// # Errors
/// [`Failure::Ended`] when a signal has asked for it, in words when it cannot be run.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: io::Error| Failure::Failed(format!("{name}: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return if is_ended() { Err(Failure::Ended) } else { Ok(Some(status)) };
        }
        if is_ended() {
            end(&mut child);
            return Err(Failure::Ended);
        }
        if begin.elapsed() >= limit {
            end(&mut child);
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

fn is_ended() -> bool {
    ENDED.load(Ordering::Relaxed)
}

fn end(child: &mut Child) {
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    let begin = Instant::now();
    while begin.elapsed() < GRACE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_by_itself_or_at_its_limit_even_when_it_does_not_listen() {
        let check = |script: &str, limit_ms: u64, expect: Option<i32>| {
            let mut command = Command::new("sh");
            let status = run(command.args(["-c", script]), Duration::from_millis(limit_ms));
            let code = status.map(|status| status.map(|status| status.code().expect("a code")));
            assert_eq!(code, Ok(expect), "{script}");
        };
        check("exit 3", 60_000, Some(3));
        check("exec sleep 60", 50, None);
        check("trap '' TERM; while :; do sleep 0.1; done", 50, None);
    }
}
