//! `hb-notify run`: looks at the daemon, keeps what is to be told, and gives it to a thread for each
//! channel. A message is on the disk, and the state that made it too, before the first try.
#![expect(clippy::disallowed_methods, reason = "edge: clocks, threads, files")]

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hb_config::settings::notify::Channel;

use crate::channel;
use crate::incident::{Incidents, Rules, Seen};
use crate::message::Message;
use crate::queue::Queue;
use crate::settings::{Contents, Settings};
use crate::source::{Look, Source};
use crate::store::{Numbers, Store};

/// Between two looks at the daemon.
const INTERVAL: Duration = Duration::from_millis(500);
/// A thread without work looks up as often.
const IDLE: Duration = Duration::from_secs(3_600);

/// Unix time that never goes back within this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    begin: Instant,
    unix_ms: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Self { begin: Instant::now(), unix_ms }
    }

    pub(crate) fn now_ms(self) -> u64 {
        let passed = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.unix_ms.saturating_add(passed)
    }
}

/// To the journal.
pub(crate) fn log(text: &str) {
    // Nobody can be told that nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What all threads share.
struct Shared {
    store: Store,
    numbers: Mutex<Numbers>,
    contents: Contents,
    clock: Clock,
}

impl Shared {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, channel: &str, f: impl FnOnce(&mut crate::store::ChannelNumbers)) {
        let mut numbers = self.numbers();
        numbers.change(channel, self.clock.now_ms(), f);
        if let Err(error) = self.store.save_numbers(&numbers) {
            log(&format!("cannot keep the numbers: {error}"));
        }
    }
}

/// Runs for ever.
///
/// # Errors
/// In words, when it cannot begin.
pub(crate) fn run(
    settings: Settings,
    run_dir: &Path,
    daemon_dir: &Path,
    dir: &Path,
) -> Result<(), String> {
    let store = Store::open(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let clock = Clock::new();
    let (state, broken) = store.state();
    if let Some(error) = broken {
        log(&format!("the state cannot be read, it begins anew: {error}"));
    }
    let Settings { notify, contents, complaints } = settings;
    complaints.iter().for_each(|text| log(text));
    let names: Vec<&str> = notify.channels.iter().map(|it| it.name.as_str()).collect();
    match store.forget_others(&names) {
        Ok(0) => {}
        Ok(count) => log(&format!("{count} messages of channels that are gone are dropped")),
        Err(error) => log(&format!("cannot look at the outbox: {error}")),
    }
    let mut numbers = store.numbers();
    numbers.channels.retain(|name, _| names.contains(&name.as_str()));
    let shared = Arc::new(Shared { store, numbers: Mutex::new(numbers), contents, clock });
    let senders: Vec<(Channel, Sender<Message>)> =
        notify.channels.iter().map(|it| (it.clone(), begin(it, &shared))).collect();
    let rules = Rules {
        settle_ms: notify.settle_ms,
        clear_ms: notify.clear_ms,
        daemon_grace_ms: notify.daemon_grace_ms,
    };
    let mut incidents = Incidents::new(rules, state, clock.now_ms());
    let mut source = Source::new(run_dir, daemon_dir);
    log(&format!("tells incidents by {}", names.join(", ")));
    loop {
        let look = source.look();
        let seen = match &look {
            Look::Here(status, history) => Seen::Status { status, history: history.as_deref() },
            Look::Away(reason, in_order) => Seen::Away { reason, in_order: *in_order },
        };
        let before = incidents.state().clone();
        let messages = incidents.step(clock.now_ms(), seen);
        tell(&messages, &incidents, &before, &senders, &shared);
        thread::sleep(INTERVAL);
    }
}

/// First the messages, then the state that made them, then they are sent. After a crash in between
/// the same messages are made again under the same numbers.
fn tell(
    messages: &[Message],
    incidents: &Incidents,
    before: &crate::incident::State,
    senders: &[(Channel, Sender<Message>)],
    shared: &Shared,
) {
    let mut keep: Vec<(&Channel, &Sender<Message>, &Message)> = Vec::new();
    for message in messages {
        log(&format!("{} {}: {}", message.id, message.phase.word(), message.subject));
        for (channel, sender) in senders.iter().filter(|(channel, _)| message.is_for(channel)) {
            if let Err(error) = shared.store.add(&channel.name, message) {
                log(&format!("{}: cannot keep message {}: {error}", channel.name, message.seq));
            }
            keep.push((channel, sender, message));
        }
    }
    let state = incidents.state();
    // When it was last seen alone is not worth a write each time.
    let quiet = crate::incident::State { seen_ms: before.seen_ms, ..state.clone() };
    if quiet != *before
        && let Err(error) = shared.store.save_state(state)
    {
        log(&format!("cannot keep the state: {error}"));
    }
    for (channel, sender, message) in keep {
        if sender.send(message.clone()).is_err() {
            log(&format!("{}: its thread has ended", channel.name));
        }
    }
}

/// Starts the thread of a channel with what waits for it.
fn begin(channel: &Channel, shared: &Arc<Shared>) -> Sender<Message> {
    let mut queue = Queue::default();
    match shared.store.waiting(&channel.name) {
        Ok((messages, broken)) => {
            broken.iter().for_each(|text| log(&format!("a message cannot be read: {text}")));
            for message in messages {
                drop_all(channel, shared, queue.push(message));
            }
        }
        Err(error) => log(&format!("{}: cannot read what waits: {error}", channel.name)),
    }
    let (sender, receiver) = mpsc::channel();
    let (channel, shared) = (channel.clone(), Arc::clone(shared));
    thread::spawn(move || serve(&channel, queue, &receiver, &shared));
    sender
}

/// Gives one message after the other to a channel, for ever.
fn serve(channel: &Channel, mut queue: Queue, receiver: &Receiver<Message>, shared: &Shared) {
    loop {
        shared.count(&channel.name, |it| it.queue = queue.len() as u64);
        let now_ms = shared.clock.now_ms();
        let wait = match queue.next_ms() {
            Some(next) => Duration::from_millis(next.saturating_sub(now_ms)),
            None => IDLE,
        };
        match receiver.recv_timeout(wait) {
            Ok(message) => {
                drop_all(channel, shared, queue.push(message));
                // All that came during a try.
                while let Ok(message) = receiver.try_recv() {
                    drop_all(channel, shared, queue.push(message));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Some(message) = queue.due(shared.clock.now_ms()).cloned() {
            attempt(channel, &message, &mut queue, shared);
        }
    }
}

fn attempt(channel: &Channel, message: &Message, queue: &mut Queue, shared: &Shared) {
    let name = &channel.name;
    let untold = shared.numbers().channels.get(name).map_or(0, |it| it.untold);
    let answer = channel::send(channel, &shared.contents, message, untold);
    let now_ms = shared.clock.now_ms();
    match answer {
        Ok(said) => {
            log(&format!("{name}: message {} accepted: {said}", message.id));
            if let Some(seq) = queue.accepted() {
                forget(channel, shared, seq);
            }
            shared.count(name, |it| {
                it.sent += 1;
                it.untold = it.untold.saturating_sub(untold);
                it.sent_unix_ms = Some(now_ms);
                it.error = None;
            });
        }
        Err(why) => {
            log(&format!("{name}: message {} not accepted: {why}", message.id));
            shared.count(name, |it| {
                it.failures += 1;
                it.error = Some(why);
                it.error_unix_ms = Some(now_ms);
            });
            drop_all(channel, shared, queue.refused(now_ms).into_iter().collect());
        }
    }
}

fn drop_all(channel: &Channel, shared: &Shared, dropped: Vec<u64>) {
    for seq in dropped {
        log(&format!("{}: message {seq} is dropped", channel.name));
        forget(channel, shared, seq);
        shared.count(&channel.name, |it| {
            it.dropped += 1;
            it.untold += 1;
        });
    }
}

fn forget(channel: &Channel, shared: &Shared, seq: u64) {
    if let Err(error) = shared.store.remove(&channel.name, seq) {
        log(&format!("{}: message {seq} stays on the disk: {error}", channel.name));
    }
}
