//! `hb probe watch`: the observer of a drill. It asks its targets every few milliseconds, looks at what
//! the daemon of its node knows, and tells both in lines of JSON; it is told what to do by the first
//! line of its standard input and ends when that is closed (I/O: sockets, threads, the clock). What
//! an outage means is for the drill.
#![expect(clippy::disallowed_methods, reason = "measures real time in threads of its own")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hb_node::api::{self, Request, Response, StatusSnapshot, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::echo::{Echo, Pinger};
use super::meter::{Meter, Readings};
use super::target::Target;
use crate::client::Client;
use crate::exit;

/// Version of the lines.
pub(crate) const VERSION: u32 = 1;
/// Targets of one observer: a thread for each.
pub(crate) const TARGETS_MAX: usize = 16;
/// Longest first line: all targets with their paths.
const ORDERS_MAX: u64 = 64 * 1024;
/// Between two lines: what a guard needs to act within a tenth of a second.
const TELL_INTERVAL: Duration = Duration::from_millis(50);
/// An observer that nobody ends does so by itself.
const LIFE_MAX: Duration = Duration::from_secs(3_600);
/// How long the daemon may take to say what it knows; later it counts as silent.
const STATUS_LIMIT: Duration = Duration::from_millis(500);
/// What the daemon said longer ago is not told any more.
const STATUS_AGE_MAX: Duration = Duration::from_secs(1);
/// Best priority that is asked for; without root the normal one remains.
const NICE: i32 = -10;

/// The first line of the standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// [`VERSION`].
    pub(crate) v: u32,
    /// What is asked.
    pub(crate) targets: Vec<Target>,
    /// Milliseconds between two questions, 1 to 1000.
    pub(crate) every_ms: u64,
    /// Milliseconds that an answer may take, at most 900: TCP repeats a lost SYN after a second.
    pub(crate) limit_ms: u64,
}

/// What a daemon knows, as far as a drill needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Its own name.
    pub(crate) node: String,
    /// Its generation: another one has started anew.
    pub(crate) generation: u64,
    /// Its verdict.
    pub(crate) verdict: Verdict,
    /// No transition is under way here, and none is known of at the peer.
    pub(crate) settled: bool,
    /// The peer could take over.
    pub(crate) ready: bool,
    /// The other node's status.
    pub(crate) peer: Option<String>,
    /// Who serves each group.
    pub(crate) groups: BTreeMap<String, Option<String>>,
}

impl Seen {
    /// What matters of a snapshot.
    pub(crate) fn of(status: &StatusSnapshot) -> Self {
        let peer = status.peer.as_ref();
        let stable = peer.is_none_or(|peer| peer.stable != Some(false));
        Self {
            node: status.this_node.name.clone(),
            generation: status.this_node.generation,
            verdict: status.verdict,
            settled: status.this_node.phase == "stable"
                && status.verdict != Verdict::Transition
                && stable,
            ready: status.failover_ready,
            peer: peer.map(|peer| peer.status.clone()),
            groups: status.groups.iter().map(|it| (it.key.clone(), it.active_on.clone())).collect(),
        }
    }
}

/// Where one target stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gauge {
    /// Microseconds since its last answer.
    pub(crate) silent_us: u64,
    /// Answers in a row without a failure.
    pub(crate) steady: usize,
    /// Its longest outage that is over, in microseconds.
    pub(crate) max_us: u64,
}

/// A line of the standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    /// The first.
    Hello {
        /// [`VERSION`].
        v: u32,
        /// Version of this program.
        version: String,
        /// Unix time of this machine in milliseconds: the begin of the observation.
        unix_ms: u64,
    },
    /// Every [`TELL_INTERVAL`].
    Tick {
        /// Microseconds since the begin.
        at_us: u64,
        /// In the order of the targets.
        gauges: Vec<Gauge>,
        /// What the daemon of this node knows; `None`: it does not answer.
        seen: Option<Seen>,
    },
    /// The last: everything measured, in the order of the targets.
    End {
        /// Microseconds since the begin.
        at_us: u64,
        /// What became of the questions.
        readings: Vec<Readings>,
    },
    /// Nothing can be observed.
    Failed {
        /// Why.
        text: String,
    },
}

/// What threads tell.
enum Event {
    Asked(usize, Instant),
    Answered(usize, Instant),
    Failed(usize, Instant),
    /// A target cannot be asked at all.
    Broken(String),
    /// The standard input is closed.
    Closed,
}

/// Runs `hb probe watch`. Exit: 0, 1 when nothing can be observed, 2 for orders it does not understand.
pub(super) fn run(run_dir: &Path) -> ExitCode {
    let orders = match orders() {
        Ok(orders) => orders,
        Err(text) => return fail(text, exit::USAGE),
    };
    // A thread inherits the priority of its maker on Linux.
    let _ = rustix::process::setpriority_process(None, NICE);
    let begun = Instant::now();
    let unix_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let done = Arc::new(AtomicBool::new(false));
    let (tell, events) = mpsc::channel();
    for (index, target) in orders.targets.iter().enumerate() {
        if let Err(text) = start(index, target, &orders, &done, &tell) {
            return fail(text, exit::NEGATIVE);
        }
    }
    let seen = look(run_dir.to_owned(), &done);
    wait_for_end(tell);
    if say(&Line::Hello { v: VERSION, version, unix_ms }).is_err() {
        return exit::code(exit::NEGATIVE);
    }
    observe(&orders, begun, &events, &seen, &done)
}

fn orders() -> Result<Orders, String> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(ORDERS_MAX);
    input.read_line(&mut line).map_err(|error| format!("no orders: {error}"))?;
    let orders: Orders =
        serde_json::from_str(&line).map_err(|error| format!("no orders: {error}"))?;
    let sane = orders.v == VERSION
        && orders.targets.len() <= TARGETS_MAX
        && (1..=1_000).contains(&orders.every_ms)
        && (1..=900).contains(&orders.limit_ms);
    sane.then_some(orders).ok_or_else(|| "these orders are for another version of hb".to_owned())
}

fn fail(text: String, code: u8) -> ExitCode {
    let _ = say(&Line::Failed { text });
    exit::code(code)
}

fn say(line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells where things stand until the end.
fn observe(
    orders: &Orders,
    begun: Instant,
    events: &Receiver<Event>,
    seen: &SharedSeen,
    done: &AtomicBool,
) -> ExitCode {
    let us = |at: Instant| {
        u64::try_from(at.saturating_duration_since(begun).as_micros()).unwrap_or(u64::MAX)
    };
    let mut meters = vec![Meter::default(); orders.targets.len()];
    let mut next = begun;
    let mut end: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) || now.duration_since(begun) > LIFE_MAX {
            done.store(true, Ordering::Relaxed);
            let readings = meters.iter().map(Meter::readings).collect();
            let told = say(&Line::End { at_us: us(now), readings });
            return exit::code(if told.is_ok() { exit::OK } else { exit::NEGATIVE });
        }
        if now >= next {
            next = now + TELL_INTERVAL;
            let gauge = |meter: &Meter| Gauge {
                silent_us: meter.silent_us(us(now)),
                steady: meter.steady(),
                max_us: meter.readings().max_us,
            };
            let gauges = meters.iter().map(gauge).collect();
            if say(&Line::Tick { at_us: us(now), gauges, seen: fresh(seen) }).is_err() {
                return exit::code(exit::NEGATIVE);
            }
        }
        let mut put = |index: usize, what: &dyn Fn(&mut Meter)| {
            if let Some(meter) = meters.get_mut(index) {
                what(meter);
            }
        };
        match events.recv_timeout(next.saturating_duration_since(Instant::now())) {
            // What was asked after the end is not waited for.
            Ok(Event::Asked(..)) if end.is_some() => {}
            Ok(Event::Asked(index, at)) => put(index, &|meter| meter.asked(us(at))),
            Ok(Event::Answered(index, at)) => put(index, &|meter| meter.answered(us(at))),
            Ok(Event::Failed(index, at)) => put(index, &|meter| meter.failed(us(at))),
            Ok(Event::Broken(text)) => return fail(text, exit::NEGATIVE),
            Ok(Event::Closed) => {
                end = Some(Instant::now() + Duration::from_millis(orders.limit_ms));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(TELL_INTERVAL),
        }
    }
}

fn wait_for_end(tell: Sender<Event>) {
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = tell.send(Event::Closed);
    });
}

type SharedSeen = Arc<Mutex<Option<(Instant, Seen)>>>;

/// Looks at the daemon again and again, in a thread: one that stands still must not stop the meters.
fn look(run_dir: PathBuf, done: &Arc<AtomicBool>) -> SharedSeen {
    let seen = SharedSeen::default();
    let (done, theirs) = (done.clone(), seen.clone());
    thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            let status = status(&run_dir);
            if let Some(status) = status {
                let said = Some((Instant::now(), Seen::of(&status)));
                *theirs.lock().unwrap_or_else(PoisonError::into_inner) = said;
            }
            thread::sleep(TELL_INTERVAL);
        }
    });
    seen
}

/// What the daemon below `run_dir` knows; `None` when it does not answer at once.
pub(crate) fn status(run_dir: &Path) -> Option<StatusSnapshot> {
    let mut client = Client::connect(run_dir, api::STATUS_SOCKET, Some(STATUS_LIMIT)).ok()?;
    match client.ask(Request::Status) {
        Ok(Response::Status(status)) => Some(*status),
        Ok(
            Response::History(_)
            | Response::Changes { .. }
            | Response::Done { .. }
            | Response::Error { .. },
        )
        | Err(_) => None,
    }
}

fn fresh(seen: &SharedSeen) -> Option<Seen> {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.as_ref().filter(|(at, _)| at.elapsed() < STATUS_AGE_MAX).map(|(_, seen)| seen.clone())
}

/// Starts the thread that asks one target.
fn start(
    index: usize,
    target: &Target,
    orders: &Orders,
    done: &Arc<AtomicBool>,
    tell: &Sender<Event>,
) -> Result<(), String> {
    let every = Duration::from_millis(orders.every_ms);
    let limit = Duration::from_millis(orders.limit_ms);
    let (done, tell) = (done.clone(), tell.clone());
    if let Target::Ping(ip) = target {
        // Several targets, and several observers of one machine, are told apart.
        let id = (std::process::id() as u16).wrapping_mul(31).wrapping_add(index as u16);
        let open = Pinger::open(*ip, id).map_err(|error| {
            format!("{ip} cannot be pinged: {error}; that needs root or CAP_NET_RAW")
        })?;
        thread::spawn(move || {
            let over = || done.load(Ordering::Relaxed);
            open.run(every, limit, over, |echo| {
                let _ = tell.send(match echo {
                    Echo::Asked(at) => Event::Asked(index, at),
                    Echo::Answered(at) => Event::Answered(index, at),
                    Echo::Failed(at) => Event::Failed(index, at),
                });
            });
        });
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    let target = target.clone();
    thread::spawn(move || {
        runtime.block_on(ask_for_ever(index, &target, every, limit, &done, &tell));
        runtime.shutdown_background();
    });
    Ok(())
}

async fn ask_for_ever(
    index: usize,
    target: &Target,
    every: Duration,
    limit: Duration,
    done: &AtomicBool,
    tell: &Sender<Event>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !done.load(Ordering::Relaxed) {
        ticks.tick().await;
        let asked = Instant::now();
        let _ = tell.send(Event::Asked(index, asked));
        let (target, tell) = (target.clone(), tell.clone());
        tokio::spawn(async move {
            let _ = tell.send(match ask(target, limit).await {
                Ok(true) => Event::Answered(index, Instant::now()),
                Ok(false) => Event::Failed(index, asked),
                Err(text) => Event::Broken(text),
            });
        });
    }
}

/// Whether it answers as it should.
///
/// # Errors
/// When this machine cannot ask.
async fn ask(target: Target, limit: Duration) -> Result<bool, String> {
    match target {
        Target::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.map_err(|error| format!("no socket: {error}"))?;
            // Ends with a reset, so that a hundred connections a second leave none in TIME_WAIT.
            let _ = socket.set_zero_linger();
            Ok(matches!(timeout(limit, socket.connect(address)).await, Ok(Ok(_))))
        }
        Target::Http { address, host, path, status, contains } => {
            let ask =
                move || super::http(address, &host, &path, status, contains.as_deref(), limit);
            match tokio::task::spawn_blocking(ask).await {
                Ok(Ok(())) => Ok(true),
                Ok(Err(super::Fault::Bad(_))) | Err(_) => Ok(false),
                Ok(Err(super::Fault::NotRun(text))) => Err(text),
            }
        }
        Target::Ping(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let seen = Seen::of(&testing::healthy());
        assert!(seen.settled && seen.ready);
        let line = Line::Tick { at_us: 1, gauges: vec![Gauge::default()], seen: Some(seen) };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }

    #[test]
    fn a_peer_under_way_is_not_settled() {
        let mut status = testing::healthy();
        status.peer.as_mut().unwrap().stable = Some(false);
        assert!(!Seen::of(&status).settled);
        assert!(!Seen::of(&testing::snapshot()).ready);
    }

    #[test]
    fn a_port_that_answers_and_one_that_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let shut = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked =
            |address| runtime.block_on(ask(Target::Tcp(address), Duration::from_secs(10))).unwrap();
        assert!(asked(open));
        assert!(!asked(shut));
    }
}
