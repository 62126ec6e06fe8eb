//! Logging: where lines go, the bounded queue to the writer thread, and the tap that takes what
//! other crates say through `tracing`. Whoever logs never waits: a full or hung disk costs lines,
//! which are counted and reported, never a heartbeat. What is worth saying is decided elsewhere.
#![expect(clippy::disallowed_methods, reason = "stamps lines with the wall clock for display")]

mod format;
mod sinks;
mod writer;

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hb_config::settings::Logging;
use hb_node::effect::{Level, LogEvent};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::history::HistoryFile;
use crate::logging::format::Origin;
pub(crate) use crate::logging::sinks::Stderr;
use crate::logging::sinks::{FileSink, Journal, Sink, Syslog};
use crate::logging::writer::{Job, Writer};

/// Lines that may wait for the writer: about a minute of a busy takeover with `debug 1`. More would
/// only hide a disk that hangs.
const QUEUE_MAX: usize = 1024;
/// Longest text or field value, in bytes: agents' output is already shorter.
const TEXT_MAX: usize = 4096;
/// Syslog's `daemon` facility (RFC 3164 §4.1.1), when ha.cf names no destination at all.
const FACILITY_DAEMON: u8 = 3;
/// A job of the writer that takes longer hangs. A disk that only is busy is done sooner.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// How long the end of the program waits for the writer.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Debug)]
pub(crate) struct Destinations {
    /// This node's name, at the start of each line.
    pub(crate) node: String,
    /// What ha.cf says.
    pub(crate) settings: Logging,
    /// `-d` and `-v`, added to ha.cf's `debug`.
    pub(crate) debug: u8,
    /// Whether standard error is a person's terminal or a supervisor (`-f`).
    pub(crate) foreground: bool,
    /// Where moves are kept.
    pub(crate) history: Option<PathBuf>,
}

/// A line with its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Unix time in seconds.
    pub(crate) unix_s: u64,
    /// What it says.
    pub(crate) event: LogEvent,
}

/// The sending half. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub(crate) struct Logger {
    queue: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
    least: Level,
    progress: Progress,
}

/// Since when the writer has been at one job. Whoever asks does not wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    epoch: Instant,
    /// Milliseconds since `epoch`, 0 between jobs.
    since_ms: Arc<AtomicU64>,
}

impl Progress {
    fn new() -> Self {
        // So that no job begins at 0.
        let epoch = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
        Self { epoch, since_ms: Arc::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn begin(&self) {
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn end(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
    }

    fn at_one_job_for(&self) -> Duration {
        match self.since_ms.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now_ms().saturating_sub(since)),
        }
    }
}

impl Logger {
    /// Starts the writer thread and takes over `tracing` and panic messages.
    pub(crate) fn start(destinations: Destinations) -> Self {
        let debug = destinations.settings.debug.saturating_add(destinations.debug);
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let logger = Self {
            queue,
            dropped: Arc::clone(&dropped),
            least: if debug == 0 { Level::Info } else { Level::Debug },
            progress: Progress::new(),
        };
        let writer = Writer::new(
            Origin::new(&destinations.node),
            sinks(&destinations),
            destinations.history.map(HistoryFile::new),
            dropped,
            logger.progress.clone(),
        );
        // The smallest thread there is: it formats lines and calls write.
        let started = std::thread::Builder::new()
            .name("log".into())
            .stack_size(256 * 1024)
            .spawn(move || writer.run(&jobs));
        if let Err(error) = started {
            Stderr.note(&format!("heartbeat: no log: cannot start a thread: {error}"));
        }
        let tap = Tap(logger.clone()).with_filter(match debug {
            0 => LevelFilter::INFO,
            1 => LevelFilter::DEBUG,
            2.. => LevelFilter::TRACE,
        });
        // Fails when a test of the same process was first, which is then as good.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(tap));
        logger.take_panics();
        logger
    }

    /// Queues a line, or counts it as dropped when the queue is full.
    pub(crate) fn log(&self, event: LogEvent) {
        if event.level < self.least {
            return;
        }
        self.send(Job::Line(Record { unix_s: unix_s(), event: bounded(event) }));
    }

    /// A line without fields.
    pub(crate) fn say(&self, level: Level, event: &str, text: impl Into<String>) {
        self.log(LogEvent { level, event: event.into(), text: text.into(), fields: Vec::new() });
    }

    /// Queues one JSON line for the history file.
    pub(crate) fn history(&self, line: String) {
        self.send(Job::History(line));
    }

    /// Queues the last status, to be kept in the place of the one before.
    pub(crate) fn last_status(&self, text: String) {
        self.send(Job::Status(text));
    }

    /// Whether the writer has waited for its disk or log server for so long that it is to be told.
    pub(crate) fn hangs(&self) -> bool {
        self.progress.at_one_job_for() > HANGS_AFTER
    }

    /// Opens log files again (SIGUSR1 after a rotation).
    pub(crate) fn reopen(&self) {
        self.send(Job::Reopen);
    }

    /// Drops everything; for tests of parts that log.
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        let progress = Progress::new();
        Self { queue: sync_channel(1).0, dropped: Arc::default(), least: Level::Error, progress }
    }

    /// Waits until everything queued before is written, or the writer hangs.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Job::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_LIMIT);
        }
    }

    fn send(&self, job: Job) {
        if self.queue.try_send(job).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A broken invariant ends the process (panic = abort); its message must not be lost with the
    /// standard error of a daemon.
    fn take_panics(&self) {
        let logger = self.clone();
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            logger.say(Level::Error, "panic", format!("broken invariant: {panic}"));
            logger.flush();
            default(panic);
        }));
    }
}

/// Unix time in seconds, for display only.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Unix time in milliseconds, for display only.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The sinks that the destinations ask for, one at least.
fn sinks(destinations: &Destinations) -> Vec<Box<dyn Sink>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    let settings = &destinations.settings;
    if let Some(path) = &settings.logfile {
        sinks.push(Box::new(FileSink::new(path.into(), Level::Info)));
    }
    if let Some(path) = &settings.debugfile {
        sinks.push(Box::new(FileSink::new(path.into(), Level::Debug)));
    }
    if let Some(facility) = settings.facility {
        sinks.push(Box::new(Syslog::new(facility)));
    }
    match Journal::of_this_service() {
        // Standard error leads to the journal too: one of both is enough.
        Some(journal) => sinks.push(Box::new(journal)),
        None if destinations.foreground => sinks.push(Box::new(Stderr)),
        None => {}
    }
    if sinks.is_empty() {
        sinks.push(Box::new(Syslog::new(FACILITY_DAEMON)));
    }
    sinks
}

/// Cuts what is too long for a line.
fn bounded(mut event: LogEvent) -> LogEvent {
    let end = |text: &str| {
        let is_end = |at: &usize| text.is_char_boundary(*at);
        (text.len() > TEXT_MAX).then(|| (0..=TEXT_MAX).rev().find(is_end).unwrap_or(0))
    };
    if let Some(end) = end(&event.text) {
        event.text.truncate(end);
        event.text.push('…');
    }
    for (_, value) in &mut event.fields {
        if let Some(end) = end(value) {
            value.truncate(end);
            value.push('…');
        }
    }
    event
}

/// Turns `tracing` events into records.
struct Tap(Logger);

impl<S: Subscriber> Layer<S> for Tap {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let mut line = LogEvent {
            level,
            event: metadata.target().replace("::", "_").into(),
            text: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Fields(&mut line));
        self.0.log(line);
    }
}

/// Takes the fields of a `tracing` event.
struct Fields<'a>(&'a mut LogEvent);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.0.text, "{value:?}");
            }
            name => self.0.fields.push((name.into(), format!("{value:?}").into())),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.text.push_str(value),
            "event" => self.0.event = value.into(),
            name => self.0.fields.push((name.into(), value.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn destinations(dir: &tempfile::TempDir) -> Destinations {
        let file = |name: &str| Some(dir.path().join(name).to_string_lossy().into_owned());
        Destinations {
            node: "node1".into(),
            settings: Logging {
                logfile: file("log"),
                debugfile: file("debug"),
                ..Logging::default()
            },
            debug: 1,
            foreground: false,
            history: Some(dir.path().join("history.jsonl")),
        }
    }

    #[test]
    fn a_job_that_takes_long_is_seen_from_outside() {
        let progress = Progress::new();
        assert_eq!(progress.at_one_job_for(), Duration::ZERO);
        let began = Progress { epoch: progress.epoch - 2 * HANGS_AFTER, ..progress.clone() };
        progress.begin();
        assert!(progress.at_one_job_for() < HANGS_AFTER, "a moment ago");
        assert!(began.at_one_job_for() > HANGS_AFTER, "the clock of the same job is further");
        progress.end();
        assert_eq!(began.at_one_job_for(), Duration::ZERO);
    }

    #[test]
    fn lines_reach_the_files_for_their_level() {
        let dir = tempfile::tempdir().unwrap();
        let logger = Logger::start(destinations(&dir));
        logger.say(Level::Debug, "detail", "a detail");
        logger.log(LogEvent {
            level: Level::Warn,
            event: "link_down".into(),
            text: "Link node2:eth1 dead.".into(),
            fields: vec![("peer".into(), "node2".into()), ("cause".into(), "no carrier".into())],
        });
        logger.history("{\"number\":1}".into());
        logger.flush();
        let log = fs::read_to_string(dir.path().join("log")).expect("written");
        assert!(log.starts_with("node1 heartbeat: ["), "{log}");
        assert!(
            log.ends_with(
                " WARN: Link node2:eth1 dead. event=link_down peer=node2 cause=\"no carrier\"\n"
            ),
            "{log}"
        );
        assert_eq!(log.lines().count(), 1, "details are for the debug file: {log}");
        let debug = fs::read_to_string(dir.path().join("debug")).expect("written");
        assert_eq!(debug.lines().count(), 2, "{debug}");
        let history = fs::read_to_string(dir.path().join("history.jsonl")).expect("written");
        assert_eq!(history, "{\"number\":1}\n");
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, jobs) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let logger = Logger {
            queue,
            dropped: Arc::clone(&dropped),
            least: Level::Info,
            progress: Progress::new(),
        };
        for _ in 0..3 {
            logger.say(Level::Info, "x", "x");
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        drop(jobs);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let event = bounded(LogEvent {
            level: Level::Info,
            event: "x".into(),
            text: "ü".repeat(TEXT_MAX),
            fields: vec![("reason".into(), "y".repeat(TEXT_MAX * 2).into())],
        });
        assert!(event.text.len() <= TEXT_MAX + '…'.len_utf8());
        assert!(event.fields[0].1.len() <= TEXT_MAX + '…'.len_utf8());
    }
}
