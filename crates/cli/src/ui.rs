//! `hb ui`: the screen of `hb status` that stays up to date, with what has happened below it, and keys
//! that show what would happen and ask before anything is done. Here is the loop between terminal,
//! daemon and [`state`] (I/O: terminal, sockets, signals, threads); what is shown and what a key does
//! is decided there.
#![expect(clippy::disallowed_methods, reason = "watches a terminal in real time")]

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use hb_config::dir;
use jiff::{Timestamp, Zoned};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::status::Style;
use crate::{exit, history, print, why};

mod act;
mod draw;
mod menu;
mod state;
mod terminal;
mod text;
mod work;
mod wrap;

use draw::Look;
use state::{Effect, Event, Mode, Planned, State};
use terminal::Screen;
use work::{Poller, Worker};

/// Ages are counted on so often, and the daemon is asked so often while something is under way.
const TICK: Duration = Duration::from_millis(250);
/// Otherwise it is asked at each tick of so many.
const IDLE_TICKS: u32 = 2;
/// Events that wait to be taken in. Whoever makes more waits: a person, or the daemon's answers.
const INBOX: usize = 64;
/// So soon after it was told to stop, this process has stopped, unless nobody could continue it.
const STOP_LIMIT: Duration = Duration::from_millis(200);

/// The status live, what happens, and keys that act: each shows its plan and asks first
///
/// Keys: s standby, t takeover, m maintenance, c cleanup, w why, p plan, ? help, q quit. Without a
/// running daemon it shows the last status with its age, and goes on when the daemon is back.
#[derive(Clone, Debug, Args)]
pub(crate) struct UiArgs {
    /// No symbols beyond ASCII and no colour; `NO_COLOR` takes away the colour only
    #[arg(long)]
    ascii: bool,
    /// Directory of the configuration, for plans
    #[arg(long, value_name = "DIR", default_value = dir::DEFAULT_DIR)]
    dir: PathBuf,
}

/// Runs `hb ui`. Exit: 0, 1 when the terminal fails, 2 when there is none.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &UiArgs) -> ExitCode {
    if !io::stdin().is_terminal() || !print::is_terminal() {
        print::err("hb: hb ui needs a terminal; hb status --watch does not\n");
        return exit::code(exit::USAGE);
    }
    let places = work::Places {
        run_dir: run_dir.to_owned(),
        state_dir: state_dir.to_owned(),
        config_dir: args.dir.clone(),
    };
    let colour = !args.ascii && std::env::var_os("NO_COLOR").is_none();
    let style = Style { symbols: !args.ascii, colour };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| runtime.block_on(live(places, style)));
    match ended {
        Ok(last) => {
            print::out(&last);
            exit::code(exit::OK)
        }
        Err(error) => {
            print::err(&format!("hb: terminal: {error}\n"));
            exit::code(exit::NEGATIVE)
        }
    }
}

/// Signals that mean something here.
struct Signals {
    end: [Signal; 4],
    resume: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let ends = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let [term, int, hup, quit] = ends.map(signal);
        let resume = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?;
        Ok(Self { end: [term?, int?, hup?, quit?], resume })
    }
}

/// Waits for any of those that end this process.
async fn ended([term, int, hup, quit]: &mut [Signal; 4]) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = hup.recv() => {}
        _ = quit.recv() => {}
    }
}

/// What the loop waits for.
enum Woken {
    /// Something was told; `None`: the terminal has gone.
    Told(Option<Event>),
    Tick,
    Resumed,
    Ended,
}

/// Everything at work.
struct Live {
    state: State,
    style: Style,
    begun: Instant,
    screen: Screen,
    signals: Signals,
    worker: Worker,
    inbox: mpsc::Receiver<Option<Event>>,
}

/// A fault of this program for the test that the terminal is given back; not in what is shipped.
#[cfg(debug_assertions)]
fn fail_when_asked() {
    assert!(std::env::var_os("HB_TEST_PANIC").is_none(), "asked for by HB_TEST_PANIC");
}

/// Shows it until somebody leaves. What is to be said after the screen has gone.
async fn live(places: work::Places, style: Style) -> io::Result<String> {
    let signals = Signals::new()?;
    let (sender, inbox) = mpsc::channel(INBOX);
    let worker = Worker::new(places.clone(), style.symbols, sender.clone());
    let poller = Poller::start(places, sender.clone())?;
    let screen = Screen::open()?;
    terminal::read_keys(sender)?;
    let state = State::new();
    let mut live = Live { state, style, begun: Instant::now(), screen, signals, worker, inbox };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = IDLE_TICKS;
    loop {
        live.paint()?;
        #[cfg(debug_assertions)]
        fail_when_asked();
        let woken = tokio::select! {
            event = live.inbox.recv() => Woken::Told(event.flatten()),
            _ = ticks.tick() => Woken::Tick,
            _ = live.signals.resume.recv() => Woken::Resumed,
            () = ended(&mut live.signals.end) => Woken::Ended,
        };
        live.state.handle(time(live.begun));
        match woken {
            Woken::Told(Some(event)) => {
                for effect in live.state.handle(event) {
                    if let Some(last_words) = live.perform(effect).await? {
                        return Ok(last_words);
                    }
                }
            }
            Woken::Tick => {
                asked += 1;
                if asked >= IDLE_TICKS || live.state.is_busy() {
                    poller.ask();
                    asked = 0;
                }
            }
            Woken::Resumed => live.screen.enter()?,
            Woken::Told(None) | Woken::Ended => return Ok(last_words(&live.state)),
        }
    }
}

impl Live {
    fn paint(&mut self) -> io::Result<()> {
        let now = Zoned::now();
        let clock = |ms: u64| history::moment(ms, &now);
        let look = Look { style: self.style, clock: &clock };
        let extents = self.screen.draw(|frame| draw::draw(frame, &self.state, &look))?;
        self.state.drawn(extents);
        Ok(())
    }

    /// Does what the state asks for; the last words when that is to leave.
    async fn perform(&mut self, effect: Effect) -> io::Result<Option<String>> {
        match effect {
            Effect::Quit => return Ok(Some(last_words(&self.state))),
            Effect::Suspend => suspend(&mut self.screen, &mut self.signals.resume).await?,
            Effect::Why { job, subject } => {
                let planned = self.reasons(subject.as_deref());
                self.state.handle(Event::Planned { job, planned });
            }
            Effect::Preview { job, action } => {
                self.worker.preview(job, action, self.state.snapshot().cloned());
            }
            Effect::Plan { job, what } => self.worker.plan(job, what),
            Effect::Act { job, action } => self.worker.act(job, action),
        }
        Ok(None)
    }

    fn reasons(&self, subject: Option<&str>) -> Planned {
        let now = Zoned::now();
        let clock = |ms: u64| history::moment(ms, &now);
        let Some(known) = &self.state.known else {
            return Planned::Unknown("nothing is known yet".to_owned());
        };
        match why::text(known, &self.state.past, &clock, self.style.symbols, subject) {
            Ok(text) => Planned::Text(text),
            Err(text) => Planned::Unknown(text),
        }
    }
}

fn time(begun: Instant) -> Event {
    Event::Time {
        now_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        unix_ms: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0),
    }
}

/// Who leaves while something is under way is told that it goes on.
fn last_words(state: &State) -> String {
    match &state.mode {
        Mode::Acting { action, .. } => {
            format!("{}: goes on; hb status tells how far it is\n", action.words())
        }
        Mode::Watch
        | Mode::Menu(_)
        | Mode::Waiting { .. }
        | Mode::Ask { .. }
        | Mode::Page { .. } => String::new(),
    }
}

/// Gives the terminal back and stops, as ^Z does it for programs that leave the terminal as it is:
/// with everything that the shell started along with it.
async fn suspend(screen: &mut Screen, resumed: &mut Signal) -> io::Result<()> {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    screen.leave();
    kill(Pid::from_raw(0), Signal::SIGTSTP)?;
    // The signal may come a moment later. Where no shell could continue this process it never stops.
    let _ = tokio::time::timeout(STOP_LIMIT, resumed.recv()).await;
    screen.enter()
}
