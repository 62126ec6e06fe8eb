//! The loop: waits for whatever happens first, feeds the node, performs what it wants. The only
//! reader of the clock for decisions. Sockets are emptied before timers fire, so that a process
//! that was held up does not take its own absence for the peer's (I/O).
#![expect(clippy::disallowed_methods, reason = "reads the clock that the core is given")]

use std::fs;
use std::time::{Duration, Instant as Clock};

use hb_config::changes::Changes;
use hb_config::settings::Settings;
use hb_messaging::engine::PingId;
use hb_messaging::net::NetEvent;
use hb_messaging::time::Instant;
use hb_node::Node;
use hb_node::api::{Request, Response};
use hb_node::effect::{Effect, Level, RestartedMaintenance};
use hb_node::input::{ClientId, Input, WitnessAnswer};
use hb_resource::operation::{OpId, Outcome};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use crate::control::Asked;
use crate::last_status::LastStatus;
use crate::logging::{unix_ms, unix_s};
use crate::perform::{Edge, Ended};
use crate::record::Recording;
use crate::reload::{self, Asker, Read, Reload};
use crate::signals::{Signal, Signals};
use crate::sleep::SleepMeter;
use crate::sys::minute_of_day;

/// Datagrams and timers that are handled without looking at anything else: a flood on one side
/// delays the others by this many inputs, some milliseconds at most.
const BUDGET: usize = 64;
/// How often the core is told wall clock and load.
const ENVIRONMENT_EVERY: Duration = Duration::from_secs(1);
/// How long the end waits for clients to read their last answer.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// The same before this process makes place for its successor, which must be heard before the peer
/// misses it.
const LAST_WORDS_RESTART: Duration = Duration::from_millis(5);
/// How long it waits for programs that are just being started.
const STARTS_LIMIT: Duration = Duration::from_millis(100);
/// Asks in the name of nobody; numbers of clients begin at 1.
const NOBODY: ClientId = ClientId(0);

/// The node and everything around it.
pub(crate) struct Shell {
    node: Node,
    edge: Edge,
    signals: Signals,
    reload: Reload,
    recording: Option<Recording>,
    began: Clock,
    tick: Interval,
    /// hb.toml binds something to a time of day.
    tells_time: bool,
    sleep: SleepMeter,
    last_status: LastStatus,
    /// What the node was told of the log.
    log_hangs: bool,
    /// Reused for every input.
    effects: Vec<Effect>,
    /// Set by `Effect::Exit` and `Effect::Restart`.
    exit: Option<Ended>,
}

/// What ended the wait.
enum Wake {
    Signal(Signal),
    Net(NetEvent),
    Done(OpId, Outcome),
    Echo(PingId, u16),
    Asked(Asked),
    Hint(Input),
    Fenced(u64, Outcome),
    Witness(u64, WitnessAnswer),
    Reloaded(Read),
    Tick,
    Due,
}

impl Shell {
    /// Everything is open as far as it can be.
    pub(crate) fn new(
        node: Node,
        edge: Edge,
        signals: Signals,
        reload: Reload,
        recording: Option<Recording>,
        tells_time: bool,
    ) -> Self {
        if tells_time {
            // Reads the zone file, which the loop must not wait for.
            let _ = minute_of_day(unix_s());
        }
        let mut tick = interval(edge.service.tick_every(ENVIRONMENT_EVERY));
        // After a stall one tick is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            node,
            edge,
            signals,
            reload,
            recording,
            began: Clock::now(),
            tick,
            tells_time,
            sleep: SleepMeter::new(),
            last_status: LastStatus::default(),
            log_hangs: false,
            effects: Vec::new(),
            exit: None,
        }
    }

    /// Runs until the node wants to leave, and returns how. `maintenance` was wanted of the daemon
    /// before this one.
    pub(crate) async fn run(mut self, maintenance: Option<RestartedMaintenance>) -> Ended {
        self.environment();
        let resources = self.edge.operations.left();
        self.feed(Input::Left { resources });
        self.feed(Input::Start);
        if let Some(RestartedMaintenance { left }) = maintenance {
            let limit_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let request = Request::Maintenance { on: true, limit_ms };
            self.feed(Input::Request { client: NOBODY, request });
        }
        self.edge.started();
        loop {
            if let Some(ended) = self.exit {
                self.save_status(true);
                self.edge.ended();
                // Answers that were just given are written by tasks of their own.
                let words = match ended {
                    Ended::Exit(_) => LAST_WORDS,
                    Ended::Restart(_) => LAST_WORDS_RESTART,
                };
                tokio::time::sleep(words).await;
                if matches!(ended, Ended::Restart(_)) {
                    self.starts_are_over().await;
                }
                return ended;
            }
            let wake = self.wait().await;
            // Before anything that may be as old as the sleep.
            if let Some(ms) = self.sleep.slept() {
                self.feed(Input::Slept { ms });
            }
            self.take(wake);
            let flooded = !self.drain();
            self.fire();
            if flooded {
                // The tasks that run agents and serve clients get their turn too.
                tokio::task::yield_now().await;
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let due = self.node.next_timeout().map(|at| self.began + at.since(Instant::ZERO));
        let timer = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // In no fixed order: under a flood of datagrams a first place for the sockets would starve
        // everything else, and that they come before the timers is what `drain` is for.
        tokio::select! {
            signal = self.signals.recv() => Wake::Signal(signal),
            event = self.edge.links.recv() => Wake::Net(event),
            (op, outcome) = self.edge.operations.recv() => Wake::Done(op, outcome),
            (ping, sequence) = self.edge.pings.recv() => Wake::Echo(ping, sequence),
            asked = self.edge.control.recv() => Wake::Asked(asked),
            hint = self.edge.hints.recv() => Wake::Hint(hint),
            (attempt, outcome) = self.edge.fence.recv() => Wake::Fenced(attempt, outcome),
            (question, answer) = self.edge.witness.recv() => Wake::Witness(question, answer),
            loaded = self.reload.recv() => Wake::Reloaded(loaded),
            _ = self.tick.tick() => Wake::Tick,
            () = timer => Wake::Due,
        }
    }

    fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Signal(Signal::Stop) => {
                self.edge.service.stopping();
                self.feed(Input::Shutdown);
            }
            Wake::Signal(Signal::Reload) => self.reload.begin(Asker::Signal),
            Wake::Signal(Signal::ReopenLogs) => self.edge.logger.reopen(),
            Wake::Signal(Signal::Renew) => self.reload.begin(Asker::Upgrade),
            Wake::Net(event) => self.net(event),
            Wake::Done(op, outcome) => self.feed(Input::Done { op, outcome }),
            Wake::Echo(ping, sequence) => self.feed(Input::EchoReply { ping, sequence }),
            Wake::Asked(Asked::Request(client, _, Request::Reload { dry_run })) => {
                let asker = if dry_run { Asker::Curious } else { Asker::Client };
                self.reload.begin(asker(client));
            }
            Wake::Asked(Asked::Request(client, who, request)) => {
                if let Some(name) = who {
                    self.feed(Input::ClientName { client, name });
                }
                if request == Request::Stop {
                    self.edge.service.stopping();
                }
                self.feed(Input::Request { client, request });
            }
            Wake::Asked(Asked::Gone(client)) => self.feed(Input::ClientGone { client }),
            Wake::Hint(hint) => self.feed(hint),
            Wake::Fenced(attempt, outcome) => self.feed(Input::Fenced { attempt, outcome }),
            Wake::Witness(question, answer) => self.feed(Input::Witness { question, answer }),
            Wake::Reloaded(Read { result: Ok(settings), askers }) => {
                self.apply(&settings, &askers);
            }
            Wake::Reloaded(Read { result: Err(text), askers }) => self.refuse(&text, &askers),
            Wake::Tick => {
                self.edge.service.tick();
                self.edge.operations.reap_orphans();
                self.environment();
                self.look_at_log();
                self.save_status(false);
            }
            // Fired by `fire`, after the sockets.
            Wake::Due => {}
        }
    }

    /// Takes what lies in the sockets, as far as the budget goes; whether that was all.
    fn drain(&mut self) -> bool {
        for _ in 0..BUDGET {
            match self.edge.links.try_recv() {
                Some(event) => self.net(event),
                None => return true,
            }
        }
        false
    }

    /// Fires what is due, one thing at a time, as far as the budget goes.
    fn fire(&mut self) {
        for _ in 0..BUDGET {
            let now = self.now();
            if self.node.next_timeout().is_none_or(|at| at > now) {
                return;
            }
            self.feed_at(now, Input::Timeout);
        }
    }

    fn net(&mut self, event: NetEvent) {
        if let NetEvent::Datagram { source, .. } = event {
            self.edge.source = source;
        }
        self.feed(match event {
            NetEvent::Datagram { link, bytes, source: _ } => Input::Datagram { link, bytes },
            NetEvent::Failed { link, reason } => Input::Link { link, failure: Some(reason) },
            NetEvent::Restored { link } => Input::Link { link, failure: None },
        });
    }

    fn environment(&mut self) {
        // Made by the kernel on reading: never waits for a disk.
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        self.feed(Input::Clock { unix_ms: unix_ms() });
        self.feed(Input::Environment { unix_s: unix_s(), load: load.trim_end().into() });
        if self.tells_time {
            self.feed(Input::LocalTime { minute: minute_of_day(unix_s()) });
        }
    }

    /// Until then a child has what is open here, and the program after this one may want it for itself.
    async fn starts_are_over(&self) {
        let children = self.edge.operations.runner().children();
        let over = async {
            while children.are_starting() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // One that hangs is left alone: the daemon after this one has to go on without it anyway.
        let _ = tokio::time::timeout(STARTS_LIMIT, over).await;
    }

    fn look_at_log(&mut self) {
        let hangs = self.edge.logger.hangs();
        if hangs != self.log_hangs {
            self.log_hangs = hangs;
            self.feed(Input::LogHangs(hangs));
        }
    }

    /// Keeps what status shows for the time in which nobody can be asked.
    fn save_status(&mut self, is_last: bool) {
        let mut status = self.node.status(self.now());
        status.pid = std::process::id();
        if let Some(text) = self.last_status.due(status, unix_ms(), is_last) {
            self.edge.logger.last_status(text);
        }
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.feed_at(now, input);
    }

    fn feed_at(&mut self, now: Instant, input: Input) {
        // After the order to leave nothing may happen any more.
        if self.exit.is_some() {
            return;
        }
        let recording = self.recording.as_mut();
        let recording = recording.and_then(|to| to.before(&self.node).then(|| (to, input.clone())));
        self.node.handle(now, input, &mut self.effects);
        if let Some((to, input)) = recording {
            to.after(now, input, &self.effects);
        }
        self.perform();
    }

    fn perform(&mut self) {
        for effect in self.effects.drain(..) {
            if let Effect::Restart { .. } = effect {
                self.reload.tell(None, &mut self.edge.control);
            } else if let Effect::KeepConfiguration { reason } = &effect {
                self.reload.tell(Some(reason), &mut self.edge.control);
            }
            self.exit = self.edge.perform(effect);
            if self.exit.is_some() {
                break;
            }
        }
        self.effects.clear();
    }

    /// Files were read again and are not valid.
    fn refuse(&mut self, why: &str, askers: &[Asker]) {
        let text = format!("{why}; everything stays as it was");
        if askers.iter().any(|asker| !matches!(asker, Asker::Curious(_))) {
            self.edge.logger.say(Level::Error, "reload_refused", &text);
        }
        for asker in askers {
            if let Asker::Client(client) | Asker::Curious(client) = asker {
                self.edge.control.reply(*client, Response::Error { text: text.clone() });
            }
        }
    }

    /// Files were read again and are valid: keys are applied at once; for anything else the node comes
    /// to rest and the daemon starts anew.
    fn apply(&mut self, settings: &Settings, askers: &[Asker]) {
        let changes = self.reload.compare(settings);
        let mut serious = Vec::new();
        for asker in askers {
            match asker {
                Asker::Curious(client) => {
                    self.edge.control.reply(*client, reload::told(&changes));
                }
                Asker::Signal | Asker::Upgrade => serious.push(None),
                Asker::Client(client) => serious.push(Some(*client)),
            }
        }
        if serious.is_empty() {
            return;
        }
        if changes.keys {
            let text = "Rereading authentication file.";
            self.edge.logger.say(Level::Info, "keys_reread", text);
            self.reload.rekeyed(settings);
            let now = self.now();
            self.node.rekey(now, settings.keys.clone(), &mut self.effects);
            self.recording.iter_mut().for_each(Recording::rekeyed);
            self.perform();
        }
        if changes.is_empty() {
            self.edge.logger.say(Level::Info, "reload_unchanged", "Configuration unchanged.");
        }
        for line in changes.lines.iter().chain(&changes.steps()) {
            self.edge.logger.say(Level::Info, "reload", format!("Configuration: {line}"));
        }
        let Changes { others, release, .. } = changes.clone();
        let others = others || askers.contains(&Asker::Upgrade);
        self.reload.wait(serious.into_iter().flatten(), changes);
        if others {
            self.feed(Input::Reload { release });
        } else {
            self.reload.tell(None, &mut self.edge.control);
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }
}
