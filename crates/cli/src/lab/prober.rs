//! The client: asks the floating address for its page every few milliseconds and remembers what
//! came of it. I/O: sockets and the clock, in a thread of its own. What an outage may be is the
//! caller's judgement.
//!
//! Every probe is a TCP connection of its own with a short limit, and many are under way at once.
//! So neither a lost SYN, which TCP repeats after a second, nor a connection that died with its
//! server hides the moment at which service is back.

#![expect(clippy::disallowed_methods, reason = "measures real time in a thread of its own")]

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::error::LabError;

/// Time between two probes.
pub(super) const INTERVAL: Duration = Duration::from_millis(2);
/// Time that a probe may take.
pub(super) const TIMEOUT: Duration = Duration::from_millis(50);
/// Longest time from the end of an outage until all probes that began in it have ended.
const MISS_MAX: Duration = Duration::from_secs(1);
/// Header of an answer that names the node.
pub(crate) const SERVED_BY: &str = "X-Served-By";
/// Probes that are remembered: at one every two milliseconds, more than eight minutes.
const PROBES_MAX: usize = 250_000;
/// Longest answer that is looked at.
const ANSWER_MAX: usize = 4096;
/// A node serves when it answered this many probes in a row: 50 ms of service.
const SERVED_PROBES: usize = 25;
/// A wait between two probes longer than this is a fault of the prober, not of the service.
const STALL_MIN: Duration = Duration::from_millis(8);
/// Best priority; needs root.
pub(super) const NICE: i32 = -20;

/// Why a probe was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// No connection within the limit.
    ConnectTimeout,
    /// A connection, but no answer within the limit.
    AnswerTimeout,
    /// The address answers and nobody listens there.
    Refused,
    /// The connection ended before the answer.
    Reset,
    /// No way to the address.
    Unreachable,
    /// An answer that is not 200 or names no node.
    BadAnswer,
    /// Anything else the kernel said.
    Other,
}

impl Miss {
    /// In words, for people and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "no connection",
            Self::AnswerTimeout => "no answer",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad answer",
            Self::Other => "other",
        }
    }
}

/// One probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// When it was begun.
    pub start: Instant,
    /// When its result was known.
    pub end: Instant,
    /// The node that answered.
    pub result: Result<Arc<str>, Miss>,
}

/// A time without an answer in which at least one probe failed, or after which another node answered.
/// Answers that were merely late are no outage: nobody was turned away.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The last answer before it.
    pub last: Instant,
    /// Who gave it.
    pub from: Arc<str>,
    /// The first answer after it.
    pub first: Instant,
    /// Who gave it.
    pub to: Arc<str>,
    /// How much of it the prober itself was not running.
    pub stalled: Duration,
}

impl Outage {
    /// From the last answer before to the first after.
    pub fn length(&self) -> Duration {
        self.first.saturating_duration_since(self.last)
    }
}

/// What became of the probes since some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Probes that ended.
    pub probes: usize,
    /// Of these, unanswered, by reason.
    pub missed: std::collections::BTreeMap<Miss, usize>,
}

#[derive(Debug, Default)]
struct Record {
    /// In the order in which they ended.
    probes: VecDeque<Probe>,
    /// Times in which no probe was begun though one was due.
    stalls: VecDeque<(Instant, Instant)>,
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    ended: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, probe: Probe) {
        let mut record = self.record();
        if record.probes.len() == PROBES_MAX {
            record.probes.pop_front();
        }
        record.probes.push_back(probe);
        self.ended.notify_all();
    }
}

/// A client at work; dropping it ends it.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Prober {
    /// Probes `address` every `interval`, each probe limited to `limit`.
    ///
    /// # Errors
    /// When the thread or its event loop cannot be made.
    pub fn start(
        address: SocketAddr,
        interval: Duration,
        limit: Duration,
    ) -> Result<Self, LabError> {
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| LabError::system("tokio runtime", e))?;
        let theirs = shared.clone();
        let thread = thread::Builder::new()
            .name("prober".to_owned())
            .spawn(move || {
                // On Linux a priority is a thread's; without root the probes run at the normal one.
                let _ = rustix::process::setpriority_process(None, NICE);
                runtime.block_on(probe_for_ever(&theirs, address, interval, limit));
            })
            .map_err(|e| LabError::system("starting the prober", e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until `node`, or any one node, answered without a miss for 50 ms; says which.
    ///
    /// # Errors
    /// When that does not happen within `limit`.
    pub fn wait_served(&self, node: Option<&str>, limit: Duration) -> Result<Arc<str>, LabError> {
        let begin = Instant::now();
        let mut record = self.shared.record();
        loop {
            if let Some(server) = record.server()
                && node.is_none_or(|n| n == &*server)
            {
                return Ok(server);
            }
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                let who = node.unwrap_or("any node");
                let what = format!("the page was not served by {who}");
                return Err(LabError::Timeout { what, limit_ms: limit.as_millis() });
            }
            let woken = self.shared.ended.wait_timeout(record, left);
            record = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The node that answered all of the last probes.
    pub fn server(&self) -> Option<Arc<str>> {
        self.shared.record().server()
    }

    /// When the first answer after `since` came, and from whom.
    pub fn first_answer(&self, since: Instant) -> Option<(Instant, Arc<str>)> {
        let record = self.shared.record();
        let mut answers = record.answers();
        answers.find(|(at, _)| *at > since).map(|(at, node)| (at, node.clone()))
    }

    /// The longest outage that ended after `since`, if there was one.
    pub fn outage_since(&self, since: Instant) -> Option<Outage> {
        self.shared.record().outage(since)
    }

    /// The longest time between two answers of which the second came after `since`, whether or not
    /// it was an outage: how exactly an outage can be known.
    pub fn longest_gap_since(&self, since: Instant) -> Duration {
        let record = self.shared.record();
        let mut longest = Duration::ZERO;
        let mut before: Option<Instant> = None;
        for (at, _) in record.answers() {
            if let Some(last) = before.filter(|_| at > since) {
                longest = longest.max(at.saturating_duration_since(last));
            }
            before = Some(at);
        }
        longest
    }

    /// All probes that ended after `since`, in that order.
    pub fn probes_since(&self, since: Instant) -> Vec<Probe> {
        let record = self.shared.record();
        let from = record.probes.partition_point(|p| p.end <= since);
        record.probes.range(from..).cloned().collect()
    }

    /// How many probes ended after `since`, and how.
    pub fn summary_since(&self, since: Instant) -> Summary {
        let mut summary = Summary::default();
        for probe in self.probes_since(since) {
            summary.probes += 1;
            if let Err(miss) = probe.result {
                *summary.missed.entry(miss).or_default() += 1;
            }
        }
        summary
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Record {
    fn answers(&self) -> impl Iterator<Item = (Instant, &Arc<str>)> {
        self.probes.iter().filter_map(|p| Some((p.end, p.result.as_ref().ok()?)))
    }

    fn server(&self) -> Option<Arc<str>> {
        let last = self.probes.back()?.result.as_ref().ok()?;
        let mut recent = self.probes.iter().rev().take(SERVED_PROBES);
        let steady = recent.all(|p| p.result.as_ref() == Ok(last));
        (steady && self.probes.len() >= SERVED_PROBES).then(|| last.clone())
    }

    fn outage(&self, since: Instant) -> Option<Outage> {
        let mut longest: Option<Outage> = None;
        let mut before: Option<(Instant, &Arc<str>)> = None;
        for (at, node) in self.answers() {
            if let Some((last, from)) = before
                && at > since
                && longest.as_ref().is_none_or(|o| at.saturating_duration_since(last) > o.length())
                && (from != node || self.has_miss(last, at))
            {
                longest = Some(Outage {
                    last,
                    from: from.clone(),
                    first: at,
                    to: node.clone(),
                    stalled: self.stalled(last, at),
                });
            }
            before = Some((at, node));
        }
        longest
    }

    /// Whether a probe that began in this time failed.
    fn has_miss(&self, from: Instant, to: Instant) -> bool {
        // Probes are in the order of their ends, and none takes longer than its limit.
        let first = self.probes.partition_point(|p| p.end < from);
        let mut rest = self.probes.range(first..).take_while(|p| p.end <= to + MISS_MAX);
        rest.any(|p| p.result.is_err() && p.start >= from && p.start <= to)
    }

    fn stalled(&self, from: Instant, to: Instant) -> Duration {
        let overlap = |(begin, end): &(Instant, Instant)| {
            (*end).min(to).saturating_duration_since((*begin).max(from))
        };
        self.stalls.iter().map(overlap).sum()
    }
}

async fn probe_for_ever(
    shared: &Arc<Shared>,
    address: SocketAddr,
    every: Duration,
    limit: Duration,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let start = Instant::now();
        if start.saturating_duration_since(last) > STALL_MIN {
            let mut record = shared.record();
            if record.stalls.len() == PROBES_MAX {
                record.stalls.pop_front();
            }
            record.stalls.push_back((last, start));
        }
        last = start;
        let shared = shared.clone();
        tokio::spawn(async move {
            let result = probe(address, limit).await;
            shared.note(Probe { start, end: Instant::now(), result });
        });
    }
}

async fn probe(address: SocketAddr, limit: Duration) -> Result<Arc<str>, Miss> {
    let mut connected = false;
    match timeout(limit, ask(address, &mut connected)).await {
        Ok(result) => result,
        Err(_) if connected => Err(Miss::AnswerTimeout),
        Err(_) => Err(Miss::ConnectTimeout),
    }
}

async fn ask(address: SocketAddr, connected: &mut bool) -> Result<Arc<str>, Miss> {
    let reason = |e: io::Error| reason(&e);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(reason)?;
    // Ends with a reset, so that 500 connections a second leave none behind in TIME_WAIT.
    socket.set_zero_linger().map_err(reason)?;
    socket.set_nodelay(true).map_err(reason)?;
    let mut stream = socket.connect(address).await.map_err(reason)?;
    *connected = true;
    let request = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", address.ip());
    stream.write_all(request.as_bytes()).await.map_err(reason)?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    loop {
        match stream.read(&mut part).await.map_err(reason)? {
            0 => return Err(Miss::Reset),
            n => answer.extend_from_slice(part.get(..n).unwrap_or_default()),
        }
        if let Some(head) = head(&answer) {
            return node_of(head).ok_or(Miss::BadAnswer);
        }
        if answer.len() > ANSWER_MAX {
            return Err(Miss::BadAnswer);
        }
    }
}

/// The head of an answer, once it is complete.
fn head(answer: &[u8]) -> Option<&str> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    str::from_utf8(answer.get(..end)?).ok()
}

/// The node that a successful answer names.
fn node_of(head: &str) -> Option<Arc<str>> {
    let (status, headers) = head.split_once("\r\n")?;
    if status.split(' ').nth(1) != Some("200") {
        return None;
    }
    let header = |line: &str| -> Option<Arc<str>> {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(SERVED_BY).then(|| value.trim().into())
    };
    headers.split("\r\n").find_map(header)
}

fn reason(error: &io::Error) -> Miss {
    use io::ErrorKind as Kind;
    #[expect(clippy::wildcard_enum_match_arm, reason = "not our enum")]
    match error.kind() {
        Kind::ConnectionRefused => Miss::Refused,
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => Miss::Reset,
        Kind::HostUnreachable | Kind::NetworkUnreachable => Miss::Unreachable,
        Kind::TimedOut => Miss::ConnectTimeout,
        _ => Miss::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record from `(end in ms, node or nothing)`.
    fn record(base: Instant, probes: &[(u64, Option<&str>)]) -> Record {
        let at = |ms: u64| base + Duration::from_millis(ms);
        let probe = |(ms, node): &(u64, Option<&str>)| Probe {
            start: at(*ms),
            end: at(*ms),
            result: node.map(Arc::from).ok_or(Miss::Refused),
        };
        Record { probes: probes.iter().map(probe).collect(), stalls: VecDeque::new() }
    }

    #[test]
    fn outages() {
        let base = Instant::now();
        let check = |probes: &[(u64, Option<&str>)], since: u64, expect: Option<(u64, &str)>| {
            let outage = record(base, probes).outage(base + Duration::from_millis(since));
            let found = outage
                .as_ref()
                .map(|o| (u64::try_from(o.length().as_millis()).expect("short"), &*o.to));
            assert_eq!(found, expect, "{probes:?} since {since}");
        };
        let (a, b) = (Some("a"), Some("b"));
        check(&[], 0, None);
        check(&[(1, a)], 0, None);
        // Misses do not end an outage, and a longer one before the event does not count.
        check(&[(0, a), (90, b), (92, None), (95, None), (110, b), (112, b)], 91, Some((20, "b")));
        // The outage begins with the last answer before the event.
        check(&[(0, a), (50, b)], 10, Some((50, "b")));
        check(&[(0, a), (50, b)], 60, None);
        // Late answers of the same node are no outage; a failed probe makes them one.
        check(&[(0, a), (50, a)], 10, None);
        check(&[(0, a), (20, None), (50, a)], 10, Some((50, "a")));
        check(&[(0, a), (10, b), (50, b)], 5, Some((10, "b")));
    }

    #[test]
    fn a_failed_probe_counts_where_it_began() {
        let base = Instant::now();
        let at = |ms: u64| base + Duration::from_millis(ms);
        let check = |begun: u64, expect: Option<Duration>| {
            let mut record = record(base, &[(0, Some("a")), (20, Some("a")), (70, None)]);
            record.probes[2].start = at(begun);
            record.probes.push_back(Probe { start: at(75), end: at(75), result: Ok("a".into()) });
            assert_eq!(record.outage(base).map(|o| o.length()), expect, "begun at {begun}");
        };
        check(10, Some(Duration::from_millis(20)));
        check(30, Some(Duration::from_millis(55)));
    }

    #[test]
    fn stalls_within_an_outage() {
        let base = Instant::now();
        let at = |ms: u64| base + Duration::from_millis(ms);
        let mut record = record(base, &[(0, Some("a")), (100, Some("b"))]);
        record.stalls.extend([(at(90), at(120)), (at(40), at(50)), (at(200), at(300))]);
        let outage = record.outage(base).expect("an outage");
        assert_eq!(outage.stalled, Duration::from_millis(20));
    }

    #[test]
    fn steady_service() {
        let base = Instant::now();
        let run = |node: Option<&'static str>, n: usize| vec![(1, node); n];
        let check = |probes: Vec<(u64, Option<&str>)>, expect: Option<&str>| {
            assert_eq!(record(base, &probes).server().as_deref(), expect, "{probes:?}");
        };
        check(run(Some("a"), SERVED_PROBES), Some("a"));
        check(run(Some("a"), SERVED_PROBES - 1), None);
        check([run(Some("b"), 9), run(Some("a"), SERVED_PROBES)].concat(), Some("a"));
        check([run(Some("b"), 9), run(Some("a"), SERVED_PROBES - 1)].concat(), None);
        check([run(Some("a"), SERVED_PROBES), run(None, 1)].concat(), None);
    }

    #[test]
    fn answers() {
        let check = |answer: &str, expect: Option<&str>| {
            let node = head(answer.as_bytes()).and_then(node_of);
            assert_eq!(node.as_deref(), expect, "{answer:?}");
        };
        check("HTTP/1.1 200 OK\r\nX-Served-By: node1\r\n\r\nbody", Some("node1"));
        check("HTTP/1.1 200 OK\r\nA: b\r\nx-served-by:node2\r\n\r\n", Some("node2"));
        check("HTTP/1.1 200 OK\r\nX-Served-By: node1\r\n", None);
        check("HTTP/1.1 502 Bad Gateway\r\nX-Served-By: node1\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\n\r\nnode1", None);
    }
}
