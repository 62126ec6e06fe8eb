//! Reading the files again after SIGHUP, beside the core: a disk that hangs must not stop
//! heartbeats (I/O). What changes is applied by the shell.

use std::path::PathBuf;

use hb_config::settings::Settings;
use hb_resource::exec::thread;
use tokio::sync::oneshot::{Receiver, channel};

use crate::configuration;
use crate::exit::Fatal;

/// What is in force, and the reading under way.
#[derive(Debug)]
pub(crate) struct Reload {
    dir: PathBuf,
    settings: Settings,
    reading: Option<Receiver<Result<Box<Settings>, String>>>,
    /// Asked for while one was under way: the files may have changed since.
    again: bool,
}

/// What differs from what is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    /// authkeys.
    pub(crate) keys: bool,
    /// Anything else.
    pub(crate) others: bool,
}

impl Reload {
    /// `settings` are in force and came from `dir`.
    pub(crate) fn new(dir: PathBuf, settings: Settings) -> Self {
        Self { dir, settings, reading: None, again: false }
    }

    /// Starts reading; however often it is called, two readings at most follow.
    pub(crate) fn begin(&mut self) {
        if self.reading.is_some() {
            self.again = true;
            return;
        }
        let (dir, node) = (self.dir.clone(), self.settings.node.clone());
        let reading = thread::start(move || match configuration::load(&dir, &node) {
            Ok(loaded) => Ok(Box::new(loaded.settings)),
            Err(Fatal::Config { lines, .. }) => {
                let texts: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
                Err(texts.join("; "))
            }
            Err(error) => Err(error.to_string()),
        });
        self.reading = Some(reading.unwrap_or_else(|error| {
            let (done, result) = channel();
            let _ = done.send(Err(error.to_string()));
            result
        }));
    }

    /// Waits for the result of a reading; for ever when none is under way. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Result<Box<Settings>, String> {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let result = reading.await;
        self.reading = None;
        if std::mem::take(&mut self.again) {
            self.begin();
        }
        result.unwrap_or_else(|error| Err(format!("the files could not be read: {error}")))
    }

    /// Compares with what is in force, and keeps the keys of `read` as what is.
    pub(crate) fn compare(&mut self, read: &Settings) -> Changes {
        let keys = self.settings.keys != read.keys;
        self.settings.keys = read.keys.clone();
        Changes { keys, others: self.settings != *read }
    }
}
