//! One process from start to end: own process group, bounded output, TERM and KILL at the end of
//! its time. It does I/O; what the end means is decided in `status`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, sleep_until};

use super::ledger::{Entry, Ledger};
use super::leftovers::{group_gone, kill_group};
use super::lookup;
use super::orphans::{ChildGuard, Children};
use super::proc;
use super::thread::{Hanging, NoResult};
use crate::agent::Invocation;
use crate::status::{Exit, Text};

/// What is kept of each output: the end of it, where the reason of a failure stands.
pub(super) const OUTPUT_MAX: usize = 64 * 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Bytes read in one turn of the loop, so that a flood of output cannot hold up heartbeats.
const TURN_MAX: usize = 16 * CHUNK;
/// What can be in a pipe when its writer ends: the largest `pipe-max-size` of an ordinary system.
const PIPE_MAX: usize = 1024 * 1024;
/// How often a start that the kernel refuses for want of memory or processes is tried.
const SPAWN_TRIES: u32 = 6;
/// Pause before the second try; doubles each time (20 ms … 320 ms, 620 ms in all).
const SPAWN_PAUSE: Duration = Duration::from_millis(20);
/// How long a killed agent is waited for before it is left to a task of its own.
const REAP_WAIT: Duration = Duration::from_secs(2);
/// Outputs read on behalf of processes that outlive their agent. Each costs two descriptors.
const DRAINS_MAX: usize = 256;

/// What every process shares.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    pub(super) children: Children,
    pub(super) ledger: Ledger,
    drains: Arc<AtomicUsize>,
    /// Looking for programs and starting them.
    pub(super) hanging: Hanging,
}

impl Shared {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, ..Self::default() }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself; `group` is its process group, in which others may live on.
    Exited { exit: Exit, output: Output, group: i32 },
    /// At the end of its time; its group was killed.
    TimedOut,
    /// It never ran.
    CouldNotRun { reason: String },
}

/// The ends of the outputs of a process.
#[derive(Debug, Default)]
pub(super) struct Output {
    stdout: Vec<u8>,
    all: Vec<u8>,
}

impl Output {
    pub(super) fn text(&self) -> Text<'_> {
        Text { stdout: &self.stdout, all: &self.all }
    }
}

/// On which terms a process runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// From the start to TERM.
    pub(super) time: Duration,
    /// From TERM to KILL.
    pub(super) grace: Duration,
    /// Whether dropping the future kills the process group at once. Otherwise the process goes on
    /// without a limit.
    pub(super) ends_when_dropped: bool,
    /// Whether it is an agent, which the daemon after this one must end before it looks at resources.
    pub(super) is_agent: bool,
    /// Whether its standard input is a pipe, for [`run_with_input`]. Otherwise it is empty.
    pub(super) has_input: bool,
}

/// Runs `invocation` with exactly `environment`, within `terms`.
///
/// The end of the agent is the exit of the agent, not the end of its output: services that it has
/// started often keep the output open for as long as they live.
pub(super) async fn run(
    shared: &Shared,
    invocation: &Invocation,
    environment: &[(String, String)],
    terms: Terms,
) -> End {
    run_with_input(shared, invocation, environment, terms, Vec::new()).await
}

/// As [`run`], with `input` on its standard input. A program that does not read it ends as it would
/// without.
pub(super) async fn run_with_input(
    shared: &Shared,
    invocation: &Invocation,
    environment: &[(String, String)],
    terms: Terms,
    input: Vec<u8>,
) -> End {
    let deadline = Instant::now() + terms.time;
    let mut spawned = match start(shared, invocation, environment, deadline, terms).await {
        Ok(spawned) => spawned,
        Err(end) => return end,
    };
    spawned.is_wanted = !terms.ends_when_dropped;
    if let Some(mut stdin) = spawned.child.stdin.take() {
        // Beside it: what does not fit the pipe waits for the program, which may wait for us. The end
        // of the program ends this too.
        tokio::spawn(async move { stdin.write_all(&input).await });
    }
    let mut capture = Capture::new(&mut spawned.child);
    let status = tokio::select! {
        biased;
        status = spawned.child.wait() => Some(status),
        () = sleep_until(deadline) => None,
        () = capture.pump() => None,
    };
    match status {
        Some(Ok(status)) => {
            let group = spawned.group;
            // What it leaves behind is none of our business.
            spawned.is_wanted = true;
            drop(spawned);
            capture.take_rest().await;
            let output = capture.finish(shared);
            End::Exited { exit: exit(status), output, group }
        }
        Some(Err(error)) => {
            spawned.is_wanted = true;
            kill_group(spawned.group).await;
            End::CouldNotRun { reason: format!("its end could not be observed: {error}") }
        }
        None => {
            end_group(spawned, &mut capture, terms.grace).await;
            End::TimedOut
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Signal(0),
    }
}

/// TERM to the group, KILL after `grace`, then waits for what was killed. A process that the kernel
/// does not let die is handed to a task, so that the answer does not wait for it.
async fn end_group(mut spawned: Spawned, capture: &mut Capture, grace: Duration) {
    let group = spawned.group;
    let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
    let gentle = async {
        let _ = spawned.child.wait().await;
        group_gone(group).await;
    };
    tokio::select! {
        biased;
        () = gentle => {
            spawned.is_wanted = true;
            return;
        }
        () = tokio::time::sleep(grace) => {}
        () = capture.pump() => {}
    }
    kill_group(group).await;
    // Whatever happens from here on: the number may be given out again.
    spawned.is_wanted = true;
    if tokio::time::timeout(REAP_WAIT, spawned.child.wait()).await.is_err() {
        tracing::error!(pid = group, "a killed agent does not die: see its state in ps");
        tokio::spawn(async move { spawned.child.wait().await.map(|_| drop(spawned)) });
    }
}

/// A process that has been started. Unless somebody wants it, dropping it kills it with its group:
/// that is a start that came through after its time had run out, or a check that was cancelled. The
/// runtime reaps it.
#[derive(Debug)]
struct Spawned {
    child: Child,
    group: i32,
    is_wanted: bool,
    _guard: ChildGuard,
    _entry: Option<Entry>,
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if !self.is_wanted {
            let _ = killpg(Pid::from_raw(self.group), Signal::SIGKILL);
        }
    }
}

/// Starts the process, trying again while the kernel is short of something.
async fn start(
    shared: &Shared,
    invocation: &Invocation,
    environment: &[(String, String)],
    deadline: Instant,
    terms: Terms,
) -> Result<Spawned, End> {
    let mut pause = SPAWN_PAUSE;
    for attempt in 1.. {
        let error = match start_once(shared, invocation, environment, deadline, terms).await? {
            Ok(spawned) => return Ok(spawned),
            Err(error) => error,
        };
        if attempt == SPAWN_TRIES || !is_passing(&error) || Instant::now() + pause >= deadline {
            let reason = lookup::explain_spawn(&invocation.program, &error);
            return Err(End::CouldNotRun { reason });
        }
        tracing::warn!(agent = %invocation.program.display(), attempt, %error, "trying again to start it");
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(End::TimedOut)
}

/// Errors that may be gone a moment later: no process, no memory, no descriptor, the file is being
/// written.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ETXTBSY)
    )
}

/// Starts the process on a helper thread: starting waits for the kernel to read the program, and
/// a hung disk or file server must not hold up heartbeats.
async fn start_once(
    shared: &Shared,
    invocation: &Invocation,
    environment: &[(String, String)],
    deadline: Instant,
    terms: Terms,
) -> Result<io::Result<Spawned>, End> {
    let mut command = command(invocation, environment, terms.has_input);
    let children = shared.children.clone();
    let ledger = terms.is_agent.then(|| shared.ledger.clone());
    let start = move || {
        let (child, guard) = children.spawn(&mut command)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(i32::MAX);
        proc::unprotect_from_oom(group);
        let entry = ledger.and_then(|ledger| ledger.enter(group));
        Ok(Spawned { child, group, is_wanted: false, _guard: guard, _entry: entry })
    };
    match shared.hanging.run(deadline, start).await {
        Ok(result) => Ok(result),
        // A machine that gives no thread gives no process either: the same shortage.
        Err(NoResult::NoThread(error)) => Ok(Err(error)),
        Err(NoResult::Late) => Err(End::TimedOut),
        Err(error @ NoResult::TooMany) => Err(End::CouldNotRun { reason: error.to_string() }),
    }
}

/// The child gets: no signal blocked and SIGPIPE at its default (std does both), no descriptor but
/// its three, a group of its own, `/` as its directory so that it holds no mount. Real-time
/// scheduling is left to the daemon, which sets `SCHED_RESET_ON_FORK`.
fn command(invocation: &Invocation, environment: &[(String, String)], has_input: bool) -> Command {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.args)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(if has_input { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The last [`OUTPUT_MAX`] bytes of a stream.
#[derive(Debug, Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(OUTPUT_MAX)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(OUTPUT_MAX);
        self.0.drain(..excess);
        self.0.extend(bytes);
    }
}

/// Both outputs of a process, read for as long as they are open.
#[derive(Debug)]
struct Capture {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    said: Tail,
    all: Tail,
    buffer: Box<[u8]>,
    is_kept: bool,
}

impl Capture {
    fn new(child: &mut Child) -> Self {
        Self {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            said: Tail::default(),
            all: Tail::default(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            is_kept: true,
        }
    }

    /// Reads for ever. Nothing is lost when it is dropped at any point.
    async fn pump(&mut self) {
        poll_fn(|cx| {
            self.poll_turn(cx);
            Poll::Pending
        })
        .await
    }

    /// Reads for as long as somebody writes, and keeps nothing.
    async fn discard(&mut self) {
        self.is_kept = false;
        poll_fn(|cx| {
            self.poll_turn(cx);
            if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Takes what an agent that has ended left in the pipes, without waiting for more.
    async fn take_rest(&mut self) {
        // One turn of the runtime, so that it has heard of everything that arrived before the exit.
        tokio::task::yield_now().await;
        poll_fn(|cx| {
            self.poll_fill(cx, PIPE_MAX);
            Poll::Ready(())
        })
        .await;
    }

    /// What was caught. Outputs that somebody still holds open are read on in the background:
    /// closing them would end that service with SIGPIPE when it next writes a line.
    fn finish(mut self, shared: &Shared) -> Output {
        let stdout = Vec::from(std::mem::take(&mut self.said).0);
        let all = Vec::from(std::mem::take(&mut self.all).0);
        if !self.is_closed() {
            let drains = Arc::clone(&shared.drains);
            if drains.fetch_add(1, Ordering::Relaxed) < DRAINS_MAX {
                tokio::spawn(async move {
                    self.discard().await;
                    drains.fetch_sub(1, Ordering::Relaxed);
                });
            } else {
                drains.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!("too many services hold the output of their agents: closing one");
            }
        }
        Output { stdout, all }
    }

    fn is_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// One turn: the rest of a flood has to wait until others have had theirs.
    fn poll_turn(&mut self, cx: &mut Context<'_>) {
        if self.poll_fill(cx, TURN_MAX) {
            cx.waker().wake_by_ref();
        }
    }

    /// Reads what has arrived, up to `limit` bytes of each stream, and says whether there may be
    /// more for which no wake-up is due.
    fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> bool {
        let Self { stdout, stderr, said, all, buffer, is_kept } = self;
        let is_kept = *is_kept;
        let more_stdout = poll_stream(cx, stdout, buffer, limit, |bytes| {
            if is_kept {
                said.push(bytes);
                all.push(bytes);
            }
        });
        let more_stderr = poll_stream(cx, stderr, buffer, limit, |bytes| {
            if is_kept {
                all.push(bytes);
            }
        });
        more_stdout || more_stderr
    }
}

/// Reads until nothing is there (false) or `limit` is reached (true).
fn poll_stream<S: AsyncRead + Unpin>(
    cx: &mut Context<'_>,
    stream: &mut Option<S>,
    buffer: &mut [u8],
    limit: usize,
    mut take: impl FnMut(&[u8]),
) -> bool {
    let mut total = 0;
    while total < limit {
        let Some(open) = stream.as_mut() else { return false };
        let mut chunk = ReadBuf::new(buffer);
        match Pin::new(open).poll_read(cx, &mut chunk) {
            Poll::Ready(Ok(())) if !chunk.filled().is_empty() => {
                total += chunk.filled().len();
                take(chunk.filled());
            }
            Poll::Ready(Ok(()) | Err(_)) => *stream = None,
            Poll::Pending => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shortages_are_tried_again() {
        let check = |errno: Errno, expect| {
            let error = io::Error::from_raw_os_error(errno as i32);
            assert_eq!(is_passing(&error), expect, "{errno}");
        };
        for errno in [Errno::EAGAIN, Errno::ENOMEM, Errno::EMFILE, Errno::ENFILE, Errno::ETXTBSY] {
            check(errno, true);
        }
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::ENOEXEC, Errno::E2BIG, Errno::EPERM] {
            check(errno, false);
        }
        assert!(!is_passing(&io::Error::from(io::ErrorKind::TimedOut)));
    }

    #[test]
    fn a_tail_is_the_end_of_all_that_was_pushed() {
        let check = |chunks: &[usize]| {
            let mut all = Vec::new();
            let mut tail = Tail::default();
            for (number, length) in chunks.iter().enumerate() {
                let chunk = vec![u8::try_from(number % 251).unwrap(); *length];
                tail.push(&chunk);
                all.extend(chunk);
            }
            let expect = &all[all.len().saturating_sub(OUTPUT_MAX)..];
            assert_eq!(tail.0.make_contiguous(), expect, "{chunks:?}");
        };
        check(&[]);
        check(&[1, 2, 0, 3]);
        check(&[OUTPUT_MAX, 1]);
        check(&[OUTPUT_MAX - 1, 1, 1]);
        check(&[1, OUTPUT_MAX + 7]);
        check(&[CHUNK; 9]);
    }
}
