//! The recording of what the core is told (`[record]` of hb.toml): the core's thread hands copies to a
//! bounded queue and never waits; a thread of its own takes out keys, and writes. Which file, which
//! bank, what is lost; the format is `hb_node::record`'s (I/O).
#![expect(clippy::disallowed_methods, reason = "has a thread and writes a file")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hb_config::settings::{Record, Settings};
use hb_messaging::auth::Authenticator;
use hb_messaging::time::Instant;
use hb_node::effect::{Effect, Level};
use hb_node::input::Input;
use hb_node::record::{self, BANKS, Part, Recorder};
use hb_node::{Identity, Node};

use crate::logging::Logger;

/// Entries that may wait for the disk: some seconds of a busy node, some MB at most.
const QUEUE: usize = 1_024;
/// Room at the end of a bank from which on the next one is wanted: for what is in the queue then.
const RESERVE: u64 = 256 * 1024;

/// What the writer is given.
enum Job {
    Start { settings: Box<Settings>, identity: Identity, keys: Box<Authenticator> },
    Snapshot { node: Box<Node>, lost: u64, continues: bool },
    Step { at: Instant, input: Input, effects: Vec<Effect> },
}

/// The core's end.
pub(crate) struct Recording {
    queue: SyncSender<Job>,
    /// The writer wants to begin the next bank.
    full: Arc<AtomicBool>,
    /// The writer has given up.
    ended: Arc<AtomicBool>,
    /// Inputs that found the queue full since the last snapshot.
    lost: u64,
    /// The next entry must be a snapshot, although nothing is lost.
    renew: bool,
}

impl Recording {
    /// Begins the recording that the settings ask for. What does not work is logged; the daemon runs
    /// all the same.
    pub(crate) fn begin(
        settings: &Settings,
        identity: Identity,
        node: &Node,
        logger: &Logger,
    ) -> Option<Self> {
        let wanted = settings.native.record.as_ref()?;
        let (queue, jobs) = sync_channel(QUEUE);
        let (full, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let writer = Writer {
            recorder: Recorder::new(settings, env!("CARGO_PKG_VERSION")),
            wanted: wanted.clone(),
            full: Arc::clone(&full),
            keys: None,
            logger: logger.clone(),
        };
        let end = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            writer.run(&jobs);
            end.store(true, Ordering::Relaxed);
        });
        if let Err(error) = thread {
            let text = format!("nothing is recorded: no thread: {error}");
            logger.say(Level::Warn, "record", text);
            return None;
        }
        let keys = Box::new(node.authenticator().clone());
        let settings = Box::new(settings.clone());
        // The queue is empty.
        let _ = queue.try_send(Job::Start { settings, identity, keys });
        Some(Self { queue, full, ended, lost: 0, renew: false })
    }

    /// Before an input is handled: hands over the node when the writer needs a beginning. Whether
    /// the input is to be recorded.
    pub(crate) fn before(&mut self, node: &Node) -> bool {
        if self.ended.load(Ordering::Relaxed) {
            return false;
        }
        let broken = self.lost > 0 || self.renew;
        if !broken && !self.full.load(Ordering::Relaxed) {
            return true;
        }
        let job =
            Job::Snapshot { node: Box::new(node.clone()), lost: self.lost, continues: !broken };
        if self.queue.try_send(job).is_ok() {
            self.full.store(false, Ordering::Relaxed);
            (self.lost, self.renew) = (0, false);
            return true;
        }
        self.lost += 1;
        false
    }

    /// After an input was handled. When the queue is full the recording begins again with a
    /// snapshot.
    pub(crate) fn after(&mut self, at: Instant, input: Input, effects: &[Effect]) {
        let job = Job::Step { at, input, effects: effects.to_vec() };
        if self.queue.try_send(job).is_err() {
            self.lost += 1;
        }
    }

    /// The keys have changed: no input says so.
    pub(crate) fn rekeyed(&mut self) {
        self.renew = true;
    }
}

struct Writer {
    recorder: Recorder,
    wanted: Record,
    full: Arc<AtomicBool>,
    /// The node's keys and what stands in for them.
    keys: Option<(Authenticator, Authenticator)>,
    logger: Logger,
}

/// Where the next frame goes.
struct Place {
    file: File,
    bank_size: u64,
    /// Number of the bank in use.
    number: u64,
    part: Part,
    /// The bank was left: what comes before the next beginning has no place.
    closed: bool,
    /// Inputs that had no place.
    missing: u64,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut place = match Place::open(&self.wanted) {
            Ok(place) => place,
            Err(error) => return self.give_up(&error),
        };
        let text = format!("what the core is told is recorded in {}", self.wanted.file);
        self.logger.say(Level::Info, "record", text);
        while let Ok(job) = jobs.recv() {
            if let Err(error) = self.write(&mut place, job) {
                return self.give_up(&error);
            }
        }
    }

    fn give_up(&self, error: &io::Error) {
        let text = format!("nothing more is recorded in {}: {error}", self.wanted.file);
        self.logger.say(Level::Warn, "record", text);
    }

    fn write(&mut self, place: &mut Place, job: Job) -> io::Result<()> {
        match job {
            Job::Start { settings, identity, keys } => {
                let entry = self.recorder.start(&settings, identity, &keys);
                self.keys = Some((keys.as_ref().clone(), keys.stand_in()));
                place.append(&entry)?;
            }
            Job::Snapshot { continues: true, .. }
                if place.missing == 0 && place.room() >= RESERVE =>
            {
                // Asked for twice: the bank has been turned.
            }
            Job::Snapshot { node, lost, continues } => {
                let continues = continues && place.missing == 0;
                let lost = lost + std::mem::take(&mut place.missing);
                let keys = node.authenticator().clone();
                let entry = self.recorder.snapshot(node, lost, continues);
                let stand_in = keys.stand_in();
                self.keys = Some((keys, stand_in));
                if place.closed || place.room() < RESERVE + Part::length(&entry) {
                    place.turn(&entry)?;
                }
                place.append(&entry)?;
            }
            Job::Step { at, input, effects } => {
                let Some((keys, stand_in)) = &self.keys else { return Ok(()) };
                let entry = self.recorder.step(at, input, effects, keys, stand_in);
                if place.closed || place.room() < Part::length(&entry) {
                    // Without it the next snapshot does not continue what was written.
                    place.closed = true;
                    place.missing += 1;
                } else {
                    place.append(&entry)?;
                }
            }
        }
        if place.room() < RESERVE {
            self.full.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Place {
    /// Opens the file. The bank that was written last stays: it may tell why the daemon was started again.
    fn open(wanted: &Record) -> io::Result<Self> {
        let bank_size = wanted.size / BANKS;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&wanted.file)?;
        let mut last = None;
        for bank in 0..BANKS {
            let mut found = record::head(0, bank_size);
            let read = file.read_exact_at(&mut found, bank * bank_size).is_ok();
            // The head says the same but for the number.
            let number = found.split_last_chunk().map(|(_, number)| u64::from_be_bytes(*number));
            let ours = number.filter(|number| {
                read && number % BANKS == bank && record::head(*number, bank_size) == found
            });
            last = last.max(ours);
        }
        if last.is_none() {
            // Another size, or something else: nothing of it can stay.
            file.set_len(0)?;
        }
        let number = last.map_or(0, |last| last + 1);
        let head = record::head(number, bank_size);
        let mut place =
            Self { file, bank_size, number, part: Part::after(&head), closed: false, missing: 0 };
        place.begin(&head)?;
        Ok(place)
    }

    fn begin(&mut self, head: &[u8]) -> io::Result<()> {
        self.part = Part::after(head);
        self.closed = false;
        let bytes = [head, &[0; 4]].concat();
        self.file.write_all_at(&bytes, self.start())
    }

    /// Begins the next bank, which must have room for `entry`.
    fn turn(&mut self, entry: &[u8]) -> io::Result<()> {
        self.number += 1;
        let head = record::head(self.number, self.bank_size);
        self.begin(&head)?;
        if self.room() < RESERVE + Part::length(entry) {
            return Err(io::Error::other("a snapshot does not fit: [record] size is too small"));
        }
        Ok(())
    }

    fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        let at = self.start() + self.part.used;
        let frame = self.part.frame(entry);
        self.file.write_all_at(&frame, at)
    }

    /// Bytes for entries that are left, the end mark not counted.
    fn room(&self) -> u64 {
        self.bank_size.saturating_sub(self.part.used + 4)
    }

    fn start(&self) -> u64 {
        self.number % BANKS * self.bank_size
    }
}

#[cfg(test)]
mod tests;
