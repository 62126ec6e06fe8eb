//! `hb-notify run`: looks at the daemon, keeps what is to be told, and has it sent. A message is on the
//! disk, and the state that made it too, before the first try. SIGHUP: reads the settings again.
#![expect(clippy::disallowed_methods, reason = "edge: clocks, threads, files")]

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hb_config::settings::notify::Notify;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::incident::{Incidents, Rules, Seen, State};
use crate::message::Message;
use crate::outlets::Outlets;
use crate::settings::Settings;
use crate::source::{Look, Source};
use crate::store::Store;

/// Between two looks at the daemon.
const INTERVAL: Duration = Duration::from_millis(500);

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

/// Runs for ever. `read` reads the settings once more.
///
/// # Errors
/// In words, when it cannot begin.
pub(crate) fn run(
    settings: Settings,
    read: &dyn Fn() -> Result<Settings, String>,
    run_dir: &Path,
    daemon_dir: &Path,
    dir: &Path,
) -> Result<(), String> {
    let hangups = hangups()?;
    let store = Store::open(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let clock = Clock::new();
    let (state, broken) = store.state();
    if let Some(error) = broken {
        log(&format!("the state cannot be read, it begins anew: {error}"));
    }
    let Settings { notify, contents, complaints, left_out: _ } = settings;
    complaints.iter().for_each(|text| log(text));
    let mut incidents = Incidents::new(rules(&notify), state, clock.now_ms());
    let mut source = Source::new(run_dir, daemon_dir);
    log(&tells(&notify));
    let mut outlets = Outlets::begin(store, notify.channels, contents, clock);
    // No service manager is no fault.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    loop {
        let look = source.look();
        let seen = match &look {
            Look::Here(status, history) => Seen::Status { status, history: history.as_deref() },
            Look::Away(reason, in_order) => Seen::Away { reason, in_order: *in_order },
        };
        let before = incidents.state().clone();
        let messages = incidents.step(clock.now_ms(), seen);
        tell(&messages, &incidents, &before, &outlets);
        match hangups.recv_timeout(INTERVAL) {
            Ok(()) => renew(read(), &mut incidents, &mut outlets),
            Err(RecvTimeoutError::Timeout) => {}
            // Its thread could not go on: what is set stays.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(INTERVAL),
        }
    }
}

/// A word for each SIGHUP.
fn hangups() -> Result<Receiver<()>, String> {
    let failed = |error: io::Error| format!("signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let caught = runtime.block_on(async { signal(SignalKind::hangup()) });
    let mut caught = caught.map_err(failed)?;
    let (sender, receiver): (Sender<()>, _) = mpsc::channel();
    thread::spawn(move || {
        runtime
            .block_on(async { while caught.recv().await.is_some() && sender.send(()).is_ok() {} })
    });
    Ok(receiver)
}

fn rules(notify: &Notify) -> Rules {
    Rules {
        settle_ms: notify.settle_ms,
        clear_ms: notify.clear_ms,
        daemon_grace_ms: notify.daemon_grace_ms,
    }
}

fn tells(notify: &Notify) -> String {
    let names: Vec<&str> = notify.channels.iter().map(|it| it.name.as_str()).collect();
    format!("tells incidents by {}", names.join(", "))
}

/// All that was read, or nothing of it: half of new settings may tell nobody.
fn renew(read: Result<Settings, String>, incidents: &mut Incidents, outlets: &mut Outlets) {
    match read.and_then(Settings::whole) {
        Ok(Settings { notify, contents, complaints, left_out: _ }) => {
            complaints.iter().for_each(|text| log(text));
            log(&format!("settings read again: {}", tells(&notify)));
            incidents.set_rules(rules(&notify));
            outlets.renew(notify.channels, contents);
        }
        Err(text) => log(&format!("settings stay as they were, because: {}", text.trim_end())),
    }
}

/// First the messages, then the state that made them, then they are sent. After a crash in between
/// the same messages are made again under the same numbers.
fn tell(messages: &[Message], incidents: &Incidents, before: &State, outlets: &Outlets) {
    for message in messages {
        log(&format!("{} {}: {}", message.id, message.phase.word(), message.subject));
        outlets.keep(message);
    }
    let state = incidents.state();
    // When it was last seen alone is not worth a write each time.
    let quiet = State { seen_ms: before.seen_ms, ..state.clone() };
    if quiet != *before
        && let Err(error) = outlets.store().save_state(state)
    {
        log(&format!("cannot keep the state: {error}"));
    }
    messages.iter().for_each(|message| outlets.send(message));
}
