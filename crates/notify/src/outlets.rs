//! The channels at work: a thread for each, with the messages that wait for it, so that one that hangs
//! holds up none of the others. I/O: threads; files through `store`, tries through `channel`. What is
//! told is decided elsewhere.
#![expect(clippy::disallowed_methods, reason = "edge: threads that wait")]

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hb_config::settings::notify::Channel;

use crate::channel;
use crate::message::Message;
use crate::queue::Queue;
use crate::run::{Clock, log};
use crate::settings::Contents;
use crate::store::{ChannelNumbers, Numbers, Store};

/// A thread without work looks up as often.
const IDLE: Duration = Duration::from_secs(3_600);

/// What all threads share.
#[derive(Debug)]
struct Shared {
    store: Store,
    numbers: Mutex<Numbers>,
    clock: Clock,
}

impl Shared {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, channel: &str, f: impl FnOnce(&mut ChannelNumbers)) {
        self.keep_numbers(|numbers, now_ms| numbers.change(channel, now_ms, f));
    }

    fn keep_numbers(&self, f: impl FnOnce(&mut Numbers, u64)) {
        let mut numbers = self.numbers();
        f(&mut numbers, self.clock.now_ms());
        if let Err(error) = self.store.save_numbers(&numbers) {
            log(&format!("cannot keep the numbers: {error}"));
        }
    }
}

/// What a channel's thread is given.
#[derive(Debug)]
enum Work {
    Message(Box<Message>),
    /// The channel as it is set from here on.
    Settings(Box<Channel>, Arc<Contents>),
}

/// A channel and its thread, which ends when nobody can give it work any more.
#[derive(Debug)]
struct Outlet {
    channel: Channel,
    sender: Sender<Work>,
    thread: JoinHandle<()>,
}

/// All channels.
#[derive(Debug)]
pub(crate) struct Outlets {
    shared: Arc<Shared>,
    open: Vec<Outlet>,
    /// Channels that are set no more; a thread may still be busy with its last try.
    leaving: Vec<(String, JoinHandle<()>)>,
}

impl Outlets {
    /// Begins with what waits in `store`; what waits there for others is dropped.
    pub(crate) fn begin(
        store: Store,
        channels: Vec<Channel>,
        contents: Contents,
        clock: Clock,
    ) -> Self {
        let names: Vec<&str> = channels.iter().map(|it| it.name.as_str()).collect();
        match store.forget_others(&names) {
            Ok(0) => {}
            Ok(count) => log(&format!("{count} messages of channels that are gone are dropped")),
            Err(error) => log(&format!("cannot look at the outbox: {error}")),
        }
        let mut numbers = store.numbers();
        numbers.channels.retain(|name, _| names.contains(&name.as_str()));
        let shared = Arc::new(Shared { store, numbers: Mutex::new(numbers), clock });
        let mut outlets = Self { shared, open: Vec::new(), leaving: Vec::new() };
        outlets.renew(channels, contents);
        outlets
    }

    /// Goes on with these channels and what their files hold. One that stays keeps what waits for it and
    /// tries that at once; what waits for one that goes is dropped.
    pub(crate) fn renew(&mut self, channels: Vec<Channel>, contents: Contents) {
        let contents = Arc::new(contents);
        let mut before = std::mem::take(&mut self.open);
        for channel in channels {
            let at = before.iter().position(|outlet| outlet.channel.name == channel.name);
            let outlet = match at.map(|at| before.swap_remove(at)) {
                Some(outlet) => outlet,
                None => self.start(&channel),
            };
            let work = Work::Settings(Box::new(channel.clone()), Arc::clone(&contents));
            give(&outlet, work);
            self.open.push(Outlet { channel, ..outlet });
        }
        self.leaving.retain(|(_, thread)| !thread.is_finished());
        self.leaving.extend(before.into_iter().map(|gone| (gone.channel.name, gone.thread)));
    }

    /// Starts the thread of a channel with what waits for it.
    fn start(&mut self, channel: &Channel) -> Outlet {
        // One of the same name may be busy with its last try. It would take our messages for its own.
        let leaving = std::mem::take(&mut self.leaving).into_iter();
        let (same, others): (Vec<_>, Vec<_>) = leaving.partition(|(name, _)| *name == channel.name);
        self.leaving = others;
        for (_, thread) in same {
            // That it has failed was its own affair.
            let _ = thread.join();
        }
        let mut queue = Queue::default();
        match self.shared.store.waiting(&channel.name) {
            Ok((messages, broken)) => {
                broken.iter().for_each(|text| log(&format!("a message cannot be read: {text}")));
                for message in messages {
                    drop_all(channel, &self.shared, queue.push(message));
                }
            }
            Err(error) => log(&format!("{}: cannot read what waits: {error}", channel.name)),
        }
        let (sender, receiver) = mpsc::channel();
        let (name, shared) = (channel.name.clone(), Arc::clone(&self.shared));
        let thread = thread::spawn(move || serve(&name, queue, &receiver, &shared));
        Outlet { channel: channel.clone(), sender, thread }
    }

    /// The state that is kept beside the messages.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Keeps `message` for every channel that wants it.
    pub(crate) fn keep(&self, message: &Message) {
        for name in self.wanting(message).map(|outlet| &outlet.channel.name) {
            if let Err(error) = self.shared.store.add(name, message) {
                log(&format!("{name}: cannot keep message {}: {error}", message.seq));
            }
        }
    }

    /// Lets every channel that wants it send `message`.
    pub(crate) fn send(&self, message: &Message) {
        self.wanting(message)
            .for_each(|outlet| give(outlet, Work::Message(Box::new(message.clone()))));
    }

    fn wanting<'a>(&'a self, message: &'a Message) -> impl Iterator<Item = &'a Outlet> {
        self.open.iter().filter(|outlet| message.is_for(&outlet.channel))
    }
}

fn give(outlet: &Outlet, work: Work) {
    if outlet.sender.send(work).is_err() {
        log(&format!("{}: its thread has ended", outlet.channel.name));
    }
}

/// Gives one message after the other to a channel, until nobody sets it any more.
fn serve(name: &str, mut queue: Queue, receiver: &Receiver<Work>, shared: &Shared) {
    // Always the first work.
    let Ok(Work::Settings(mut channel, mut contents)) = receiver.recv() else {
        return leave(name, shared);
    };
    loop {
        shared.count(name, |it| it.queue = queue.len() as u64);
        let now_ms = shared.clock.now_ms();
        let wait = match queue.next_ms() {
            Some(next) => Duration::from_millis(next.saturating_sub(now_ms)),
            None => IDLE,
        };
        let first = match receiver.recv_timeout(wait) {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return leave(name, shared),
        };
        // And all that came during a try.
        for work in first.into_iter().chain(receiver.try_iter()) {
            match work {
                Work::Message(message) => drop_all(&channel, shared, queue.push(*message)),
                Work::Settings(fresh, files) => {
                    (channel, contents) = (fresh, files);
                    queue.hurry();
                }
            }
        }
        if let Some(message) = queue.due(shared.clock.now_ms()).cloned() {
            attempt(&channel, &contents, &message, &mut queue, shared);
        }
    }
}

/// Drops what waits for a channel that is set no more.
fn leave(name: &str, shared: &Shared) {
    match shared.store.forget_channel(name) {
        Ok(0) => {}
        Ok(count) => {
            log(&format!("{name}: {count} messages of a channel that is gone are dropped"))
        }
        Err(error) => log(&format!("{name}: what waits stays on the disk: {error}")),
    }
    shared.keep_numbers(|numbers, now_ms| numbers.forget(name, now_ms));
}

fn attempt(
    channel: &Channel,
    contents: &Contents,
    message: &Message,
    queue: &mut Queue,
    shared: &Shared,
) {
    let name = &channel.name;
    let untold = shared.numbers().channels.get(name).map_or(0, |it| it.untold);
    let answer = channel::send(channel, contents, message, untold);
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
