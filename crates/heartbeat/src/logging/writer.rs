//! The writer thread: takes lines from the queue to every sink, says what was lost, and appends to
//! the history file. It may hang with its disk; nothing else does (I/O through its sinks).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use hb_node::effect::{Level, LogEvent};

use crate::history::HistoryFile;
use crate::logging::format::Origin;
use crate::logging::sinks::Sink;
use crate::logging::{Progress, Record, unix_s};

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write a line.
    Line(Record),
    /// Append to the history file.
    History(String),
    /// Replace the kept status.
    Status(String),
    /// Open files again.
    Reopen,
    /// Tell when everything before this is written.
    Flush(SyncSender<()>),
}

/// A sink and what is wrong with it.
struct Watched {
    sink: Box<dyn Sink>,
    lost: u64,
}

/// The receiving half.
pub(crate) struct Writer {
    origin: Origin,
    sinks: Vec<Watched>,
    history: Option<HistoryFile>,
    history_failed: bool,
    dropped: Arc<AtomicU64>,
    progress: Progress,
}

impl Writer {
    /// `dropped` counts the jobs that found the queue full; `progress` is kept.
    pub(crate) fn new(
        origin: Origin,
        sinks: Vec<Box<dyn Sink>>,
        history: Option<HistoryFile>,
        dropped: Arc<AtomicU64>,
        progress: Progress,
    ) -> Self {
        let sinks = sinks.into_iter().map(|sink| Watched { sink, lost: 0 }).collect();
        Self { origin, sinks, history, history_failed: false, dropped, progress }
    }

    /// Works until every sender has gone.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.progress.begin();
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let text =
                    format!("{dropped} log lines were dropped: the destination was too slow");
                self.line(&own("log_dropped", text));
            }
            match job {
                Job::Line(record) => self.line(&record),
                Job::History(line) => self.keep(|history| history.append(&line)),
                Job::Status(text) => self.keep(|history| history.replace_status(&text)),
                Job::Reopen => self.sinks.iter_mut().for_each(|watched| watched.sink.reopen()),
                Job::Flush(done) => {
                    let _ = done.send(());
                }
            }
            self.progress.end();
        }
    }

    /// One line to all; what a sink has lost is said on the others, once when it begins and once
    /// when it ends.
    fn line(&mut self, record: &Record) {
        let mut news = Vec::new();
        for watched in &mut self.sinks {
            match watched.sink.write(&self.origin, record) {
                Ok(()) if watched.lost > 0 => {
                    let text =
                        format!("{} works again; {} lines lost", watched.sink.name(), watched.lost);
                    watched.lost = 0;
                    news.push(own("log_restored", text));
                }
                Ok(()) => {}
                Err(error) => {
                    watched.lost += 1;
                    if watched.lost == 1 {
                        news.push(own("log_failed", complaint(&watched.sink.name(), &error)));
                    }
                }
            }
        }
        for record in news {
            for watched in self.sinks.iter_mut().filter(|watched| watched.lost == 0) {
                let _ = watched.sink.write(&self.origin, &record);
            }
        }
    }

    fn keep(&mut self, write: impl FnOnce(&HistoryFile) -> io::Result<()>) {
        let Some(history) = &self.history else { return };
        match write(history) {
            Ok(()) => self.history_failed = false,
            Err(error) if !self.history_failed => {
                self.history_failed = true;
                let text = complaint(&history.path().display().to_string(), &error);
                self.line(&own("history_failed", text));
            }
            Err(_) => {}
        }
    }
}

fn complaint(name: &str, error: &io::Error) -> String {
    format!("cannot write to {name}: {error}")
}

fn own(event: &str, text: String) -> Record {
    let event = LogEvent { level: Level::Warn, event: event.into(), text, fields: Vec::new() };
    Record { unix_s: unix_s(), event }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Keeps texts; fails as long as it is told to.
    struct Fake {
        name: &'static str,
        broken: Arc<Mutex<bool>>,
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Sink for Fake {
        fn name(&self) -> String {
            self.name.into()
        }

        fn write(&mut self, _: &Origin, record: &Record) -> io::Result<()> {
            if *self.broken.lock().expect("one thread") {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.seen.lock().expect("one thread").push(record.event.text.clone());
            Ok(())
        }
    }

    impl Fake {
        fn new(name: &'static str) -> Self {
            Self { name, broken: Arc::default(), seen: Arc::default() }
        }
    }

    #[test]
    fn a_full_disk_is_told_to_the_other_destinations_once() {
        let (disk, journal) = (Fake::new("disk"), Fake::new("journal"));
        let (broken, on_disk) = (Arc::clone(&disk.broken), Arc::clone(&disk.seen));
        let in_journal = Arc::clone(&journal.seen);
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(disk), Box::new(journal)];
        let mut writer =
            Writer::new(Origin::new("node1"), sinks, None, Arc::default(), Progress::new());
        *broken.lock().expect("one thread") = true;
        writer.line(&own("x", "a".into()));
        writer.line(&own("x", "b".into()));
        *broken.lock().expect("one thread") = false;
        writer.line(&own("x", "c".into()));
        let texts = in_journal.lock().expect("one thread").clone();
        let expect = [
            "a",
            "cannot write to disk: no storage space",
            "b",
            "c",
            "disk works again; 2 lines lost",
        ];
        assert_eq!(texts, expect);
        let expect = ["c", "disk works again; 2 lines lost"];
        assert_eq!(*on_disk.lock().expect("one thread"), expect);
    }

    #[test]
    fn dropped_lines_are_reported_before_the_next_one() {
        let sink = Fake::new("file");
        let seen = Arc::clone(&sink.seen);
        let dropped = Arc::new(AtomicU64::new(3));
        let progress = Progress::new();
        let writer =
            Writer::new(Origin::new("node1"), vec![Box::new(sink)], None, dropped, progress);
        let (send, jobs) = sync_channel(4);
        send.send(Job::Line(own("x", "next".into()))).expect("room");
        drop(send);
        writer.run(&jobs);
        let seen = seen.lock().expect("one thread");
        assert!(seen[0].starts_with("3 log lines were dropped"), "{seen:?}");
        assert_eq!(seen[1], "next");
    }
}
