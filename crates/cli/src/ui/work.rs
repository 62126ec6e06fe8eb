//! What `hb ui` has others do while it goes on: asking the daemon, planning, and carrying out what was
//! agreed to (I/O: sockets, files, threads). Each answer comes back as an [`Event`].

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::SystemTime;

use hb_node::api::{self, StatusSnapshot};
use tokio::sync::mpsc::Sender;

use super::act::{self, Action};
use super::state::{Event, Planned};
use crate::client::Client;
use crate::history;
use crate::plan::{self, What};
use crate::status;

/// The history is asked for again after so many looks, whether its file has changed or not.
const PAST_LOOKS: u32 = 20;
/// The same where the file cannot be looked at.
const PAST_LOOKS_BLIND: u32 = 2;

/// Where things are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) run_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) config_dir: PathBuf,
}

/// Asks the daemon, one question at a time.
pub(super) struct Poller {
    questions: SyncSender<()>,
}

impl Poller {
    /// Begins; nothing is asked yet.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(super) fn start(places: Places, told: Sender<Option<Event>>) -> io::Result<Self> {
        // One waits while another is answered; more would ask the same.
        let (questions, asked) = sync_channel(1);
        let poll = move || poll(&places, &asked, &told);
        thread::Builder::new().name("status".to_owned()).spawn(poll)?;
        Ok(Self { questions })
    }

    /// Asks, unless an answer is due anyway.
    pub(super) fn ask(&self) {
        let _ = self.questions.try_send(());
    }
}

fn poll(places: &Places, asked: &Receiver<()>, told: &Sender<Option<Event>>) {
    let file = places.state_dir.join(api::HISTORY_FILE);
    let stamp = || -> Option<(u64, SystemTime)> {
        let known = std::fs::metadata(&file).ok()?;
        Some((known.len(), known.modified().ok()?))
    };
    let mut last = None;
    let mut looks = 0;
    while asked.recv().is_ok() {
        let known = status::known(&places.run_dir, &places.state_dir);
        if told.blocking_send(Some(Event::Known(Box::new(known)))).is_err() {
            return;
        }
        let found = stamp();
        let limit = if found.is_some() { PAST_LOOKS } else { PAST_LOOKS_BLIND };
        let is_due = looks % limit == 0 || found != last;
        if is_due && let Ok(past) = history::past(&places.run_dir, &places.state_dir) {
            last = found;
            if told.blocking_send(Some(Event::Past(past.entries))).is_err() {
                return;
            }
        }
        looks = looks.wrapping_add(1);
    }
}

/// Does what takes its time, each job in a thread of its own: a person begins them one by one.
pub(super) struct Worker {
    places: Places,
    symbols: bool,
    told: Sender<Option<Event>>,
}

impl Worker {
    pub(super) fn new(places: Places, symbols: bool, told: Sender<Option<Event>>) -> Self {
        Self { places, symbols, told }
    }

    /// Sees whether it may be done, and what would happen.
    pub(super) fn preview(&self, job: u64, action: Action, status: Option<StatusSnapshot>) {
        let (places, symbols) = (self.places.clone(), self.symbols);
        self.begin(move || {
            // Nobody is asked to agree to what is refused afterwards.
            if let Err(error) = Client::connect(&places.run_dir, api::CONTROL_SOCKET, None) {
                return Event::Planned { job, planned: Planned::Denied(error.to_string()) };
            }
            let planned = match (action.plan(), status) {
                (Some(what), _) => played(&places, &what, symbols),
                (None, Some(status)) => Planned::Text(act::preview(&action, &status)),
                (None, None) => Planned::Unknown("nothing is known of the cluster".to_owned()),
            };
            Event::Planned { job, planned }
        });
    }

    /// Tells what would happen.
    pub(super) fn plan(&self, job: u64, what: What) {
        let (places, symbols) = (self.places.clone(), self.symbols);
        self.begin(move || {
            let planned = played(&places, &what, symbols);
            Event::Planned { job, planned }
        });
    }

    /// Has it done, and waits for as long as it takes.
    pub(super) fn act(&self, job: u64, action: Action) {
        let run_dir = self.places.run_dir.clone();
        self.begin(move || {
            let answer = Client::connect(&run_dir, api::CONTROL_SOCKET, None)
                .and_then(|mut client| client.ask(action.request()));
            let result = match answer {
                Ok(response) => act::outcome(response),
                Err(error) => Err(error.to_string()),
            };
            Event::Ended { job, result }
        });
    }

    /// Without a thread there is no answer: who waits for it leaves with Esc.
    fn begin(&self, work: impl FnOnce() -> Event + Send + 'static) {
        let told = self.told.clone();
        let run = move || drop(told.blocking_send(Some(work())));
        let _ = thread::Builder::new().name("job".to_owned()).spawn(run);
    }
}

fn played(places: &Places, what: &What, symbols: bool) -> Planned {
    let Places { run_dir, state_dir, config_dir } = places;
    match plan::text(run_dir, state_dir, config_dir, what, symbols) {
        Ok(text) => Planned::Text(text),
        Err(text) => Planned::Unknown(text),
    }
}
