//! A program that is given the message: without a shell, in a process group of its own, which is
//! ended with it. What it prints goes to the log.
#![expect(clippy::disallowed_methods, reason = "edge: starts a program and waits for it")]

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::message::{Message, line};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);
/// Output that is kept.
const OUTPUT_MAX: usize = 16 * 1024;
/// Characters of the text that fit into a variable: the kernel takes 128 KiB for each, and a
/// character has four bytes at most.
const VARIABLE_MAX: usize = 16_000;
/// Output that is shown, in characters.
const SHOWN_MAX: usize = 300;

pub(super) fn send(
    command: &[String],
    message: &Message,
    dropped: u64,
    limit: Duration,
) -> Result<String, String> {
    let json = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    let events: Vec<&str> = message.events.iter().map(|it| it.word()).collect();
    let number = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    let variables = [
        ("HB_EVENT_ID", message.id.clone()),
        ("HB_INCIDENT", message.incident.clone()),
        ("HB_PHASE", message.phase.word().to_owned()),
        ("HB_EVENTS", events.join(" ")),
        ("HB_SEVERITY", message.severity.word().to_owned()),
        ("HB_CLUSTER", message.cluster.clone()),
        ("HB_NODE", message.node.clone()),
        ("HB_GROUP", message.groups.join(" ").chars().take(VARIABLE_MAX).collect()),
        ("HB_CAUSE", message.cause.clone()),
        ("HB_SUBJECT", message.subject.clone()),
        ("HB_TEXT", message.text(dropped).chars().take(VARIABLE_MAX).collect()),
        ("HB_DURATION_MS", number(message.duration_ms)),
        ("HB_OUTAGE_MS", number(message.outage_ms)),
        ("HB_DROPPED", dropped.to_string()),
    ];
    run(command, &variables, &json, limit)
}

/// Runs `words` with `input` within `limit`.
pub(super) fn run(
    words: &[String],
    variables: &[(&str, String)],
    input: &[u8],
    limit: Duration,
) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let mut talk = Talk::with(&mut child, input);
    let ended = watch(&mut child, &mut talk, limit);
    let output = line(String::from_utf8_lossy(&talk.output).trim(), SHOWN_MAX);
    let told = |text: String| if output.is_empty() { text } else { format!("{text}: {output}") };
    match ended.map_err(|error| format!("{program}: {error}"))? {
        Some(status) if status.success() => Ok(told("exit code 0".to_owned())),
        Some(status) => Err(told(match (status.code(), status.signal()) {
            (Some(code), _) => format!("{program}: exit code {code}"),
            (None, signal) => format!("{program}: ended by signal {}", signal.unwrap_or_default()),
        })),
        None => Err(told(format!("{program}: not done within {limit:?}, killed"))),
    }
}

/// Waits for the end; ends the whole group, also what it left behind. `None`: it had to be killed.
fn watch(child: &mut Child, talk: &mut Talk, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let begin = Instant::now();
    let mut termed = None;
    loop {
        talk.go_on();
        // Not reaped yet: its number, and so that of the group, stays taken.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let has_ended = !matches!(waitid(Id::Pid(group), flags)?, WaitStatus::StillAlive);
        if has_ended {
            break;
        }
        match termed {
            None if begin.elapsed() >= limit => {
                end(group, Signal::SIGTERM)?;
                termed = Some(Instant::now());
            }
            Some(at) if at.elapsed() >= GRACE => {
                end(group, Signal::SIGKILL)?;
                break;
            }
            None | Some(_) => {}
        }
        thread::sleep(LOOK);
    }
    talk.go_on();
    end(group, Signal::SIGKILL)?;
    let status = child.wait()?;
    Ok(termed.is_none().then_some(status))
}

fn end(group: Pid, signal: Signal) -> io::Result<()> {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Its standard streams. None of them may block: what inherits them may live longer.
struct Talk<'a> {
    input: &'a [u8],
    stdin: Option<std::process::ChildStdin>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    output: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn with(child: &mut Child, input: &'a [u8]) -> Self {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        stdin.iter().for_each(no_wait);
        stdout.iter().for_each(no_wait);
        stderr.iter().for_each(no_wait);
        Self { input, stdin, stdout, stderr, output: Vec::new() }
    }

    fn go_on(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            match stdin.write(self.input) {
                Ok(count) => self.input = self.input.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It does not want to know.
                Err(_) => self.input = &[],
            }
            if self.input.is_empty() {
                self.stdin = None;
            }
        }
        let Self { stdout, stderr, output, .. } = self;
        read(stdout, output);
        read(stderr, output);
    }
}

/// Takes what is there; the stream goes when it has ended.
fn read(stream: &mut Option<impl Read>, output: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    // Bounded: a program that prints without end is looked at again later.
    for _ in 0..16 {
        let Some(open) = stream else { return };
        match open.read(&mut buffer) {
            Ok(0) => *stream = None,
            Ok(count) => {
                let room = OUTPUT_MAX.saturating_sub(output.len()).min(count);
                output.extend(buffer.get(..room).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => *stream = None,
        }
    }
}

fn no_wait(stream: &impl AsFd) {
    // Without it only the limit is at stake.
    let _ = fcntl(stream.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
}
