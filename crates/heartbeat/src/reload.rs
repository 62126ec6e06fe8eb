//! Reading the files again, after SIGHUP or for `hb reload`, beside the core: a disk that hangs must
//! not stop heartbeats (I/O). What differs is found by `hb_config::changes` and applied by the shell.

use std::mem;
use std::path::PathBuf;

use hb_config::changes::Changes;
use hb_config::settings::Settings;
use hb_node::api::Response;
use hb_node::input::ClientId;
use hb_resource::exec::thread;
use tokio::sync::oneshot::{Receiver, channel};

use crate::configuration;
use crate::control::Control;
use crate::exit::Fatal;

/// Who wants the files to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// SIGHUP.
    Signal,
    /// SIGUSR2: the daemon starts anew whether anything differs or not.
    Upgrade,
    /// `hb reload`.
    Client(ClientId),
    /// `hb reload --dry-run`: only told what would be done.
    Curious(ClientId),
}

/// What is in force, and the reading under way.
#[derive(Debug)]
pub(crate) struct Reload {
    dir: PathBuf,
    settings: Settings,
    reading: Option<Receiver<Result<Box<Settings>, String>>>,
    /// Who waits for the reading under way.
    askers: Vec<Asker>,
    /// Who has asked since it began: the files may have changed since.
    later: Vec<Asker>,
    /// Who is told when the configuration that was read comes into force or cannot, and what.
    waiting: Vec<ClientId>,
    changes: Changes,
}

/// The end of a reading.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) result: Result<Box<Settings>, String>,
    pub(crate) askers: Vec<Asker>,
}

impl Reload {
    /// `settings` are in force and came from `dir`.
    pub(crate) fn new(dir: PathBuf, settings: Settings) -> Self {
        Self {
            dir,
            settings,
            reading: None,
            askers: Vec::new(),
            later: Vec::new(),
            waiting: Vec::new(),
            changes: Changes::default(),
        }
    }

    /// Starts reading; however often it is called, two readings at most follow. There are as many
    /// askers as clients may be connected at most, and one signal.
    pub(crate) fn begin(&mut self, asker: Asker) {
        let list = if self.reading.is_some() { &mut self.later } else { &mut self.askers };
        if !list.contains(&asker) {
            list.push(asker);
        }
        if self.reading.is_none() {
            self.read();
        }
    }

    fn read(&mut self) {
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
    pub(crate) async fn recv(&mut self) -> Read {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let result = reading.await;
        self.reading = None;
        let askers = mem::replace(&mut self.askers, mem::take(&mut self.later));
        if !self.askers.is_empty() {
            self.read();
        }
        let failed = |error| Err(format!("the files could not be read: {error}"));
        Read { result: result.unwrap_or_else(failed), askers }
    }

    /// How `read` differs from what is in force.
    pub(crate) fn compare(&self, read: &Settings) -> Changes {
        Changes::between(&self.settings, read)
    }

    /// The keys of `read` are in force.
    pub(crate) fn rekeyed(&mut self, read: &Settings) {
        self.settings.keys = read.keys.clone();
    }

    /// These clients are told how it ends.
    pub(crate) fn wait(&mut self, clients: impl Iterator<Item = ClientId>, changes: Changes) {
        self.waiting.extend(clients);
        self.changes = changes;
    }

    /// Tells those that wait: all is ready, or why the old configuration stays.
    pub(crate) fn tell(&mut self, refused: Option<&str>, control: &mut Control) {
        for client in mem::take(&mut self.waiting) {
            let response = match refused {
                None => told(&self.changes),
                Some(reason) => {
                    Response::Error { text: format!("{reason}; everything stays as it was") }
                }
            };
            control.reply(client, response);
        }
    }
}

/// As a client sees it.
pub(crate) fn told(changes: &Changes) -> Response {
    Response::Changes { text: changes.plan(), restarts: changes.others }
}
