//! The observers of a drill as child processes: `hb probe watch` on this node, and over ssh on the
//! other (I/O). What they tell is passed on as events.
#![expect(clippy::disallowed_methods, reason = "starts processes, and threads that read them")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use crate::probe::watch::{Line, Orders};
use crate::ssh::{Ssh, quote};

/// Longest line of an observer: the readings of all targets with their outages.
const LINE_MAX: u64 = 4 << 20;
/// Longest complaint that is kept.
const COMPLAINT_MAX: u64 = 4 << 10;

/// What reaches the drill.
#[derive(Debug)]
pub(super) enum Event {
    /// The observer of this number tells something.
    Line(usize, Box<Line>),
    /// It has ended, with these words.
    Gone(usize, String),
    /// The helper answers.
    Helper(String),
    /// The helper has ended.
    HelperGone,
    /// Somebody wants the drill to end.
    Interrupted,
}

/// An observer at work. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Observation {
    child: Child,
    input: Option<ChildStdin>,
}

impl Observation {
    /// On this node.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn here(
        number: usize,
        run_dir: &Path,
        orders: &Orders,
        events: &Sender<Event>,
    ) -> Result<Self, String> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--run-dir").arg(run_dir).args(["probe", "watch"]);
        // A ^C at the terminal is for the drill, which ends it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("hb probe: {error}"))?;
        Self::begin(number, child, orders, events)
    }

    /// On the other node.
    ///
    /// # Errors
    /// When ssh cannot be started.
    pub(super) fn there(
        number: usize,
        ssh: &Ssh,
        run_dir: &Path,
        orders: &Orders,
        events: &Sender<Event>,
    ) -> Result<Self, String> {
        let run_dir = quote(&run_dir.to_string_lossy());
        let child = ssh.spawn(&format!("hb --run-dir {run_dir} probe watch"))?;
        Self::begin(number, child, orders, events)
    }

    fn begin(
        number: usize,
        mut child: Child,
        orders: &Orders,
        events: &Sender<Event>,
    ) -> Result<Self, String> {
        let mut input = child.stdin.take();
        let mut line = serde_json::to_string(orders).map_err(|error| error.to_string())?;
        line.push('\n');
        if let Some(input) = &mut input {
            // One that has ended already tells why.
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let events = events.clone();
        thread::spawn(move || {
            let complaints = stderr.map(|stderr| thread::spawn(move || complaint(stderr)));
            if let Some(stdout) = stdout {
                read_lines(number, BufReader::new(stdout), &events);
            }
            let complaint = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
            let _ = events.send(Event::Gone(number, complaint));
        });
        Ok(Self { child, input })
    }

    /// Tells it that nothing more is wanted: it says what it has measured and ends.
    pub(super) fn end(&mut self) {
        self.input = None;
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(number: usize, mut from: impl BufRead, events: &Sender<Event>) {
    loop {
        let mut text = String::new();
        match (&mut from).take(LINE_MAX).read_line(&mut text) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let event = match serde_json::from_str::<Line>(&text) {
            Ok(line) => Event::Line(number, Box::new(line)),
            // A login that greets: not ours.
            Err(_) => continue,
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

fn complaint(from: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.take(COMPLAINT_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

/// Passes on what the helper answers.
pub(super) fn listen(from: impl Read + Send + 'static, events: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(from.take(LINE_MAX)).lines().map_while(Result::ok) {
            if events.send(Event::Helper(line)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::HelperGone);
    });
}

/// SIGINT, SIGTERM and SIGHUP end a drill in order.
///
/// # Errors
/// When they cannot be caught.
pub(super) fn catch_signals(events: Sender<Event>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    let caught = runtime.block_on(async {
        let all = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        all.into_iter().map(signal).collect::<Result<Vec<_>, _>>()
    });
    let mut caught = caught.map_err(|error| format!("signals cannot be caught: {error}"))?;
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let waiting = caught.iter_mut().map(|signal| Box::pin(signal.recv()));
                let _ = futures_util::future::select_all(waiting).await;
                if events.send(Event::Interrupted).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}
