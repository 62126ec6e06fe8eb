//! The course of a drill: the fault, the guard over it, its end, the way back, all measured (I/O: the
//! clock, and the processes of `observe` and `helper`). What is safe was decided before, and the verdict
//! is found afterwards.
#![expect(clippy::disallowed_methods, reason = "follows a drill in real time")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hb_node::api::Verdict;
use jiff::Timestamp;

use super::fault::{Kind, LEDGER_FILE, Ledger};
use super::guard::{self, Trip, View};
use super::helper::{BACK, DONE, GO, LIFT};
use super::observe::{self, Event, Observation};
use super::preflight::Spec;
use super::report::{Moment, Trouble};
use crate::print;
use crate::probe::meter::Readings;
use crate::probe::watch::{Gauge, Line, Seen};
use crate::status::word_of;

/// Answers in a row that count as service.
const STEADY: usize = 25;
/// How long observers may take to see a steady service before anything is done.
const BEGIN_LIMIT: Duration = Duration::from_secs(15);
/// How long the pair is watched once the other node serves, before the fault is undone.
const DWELL: Duration = Duration::from_secs(2);
/// Beyond the dead time: what the other node may need to take over.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(90);
/// What a killed daemon may need to be back and at one with the other node.
const RETURN_LIMIT: Duration = Duration::from_secs(30);
/// What the pair may need to be well again, beyond `initdead` and two dead times.
const STABLE_LIMIT: Duration = Duration::from_secs(120);
/// More than the helper takes for anything.
const HELPER_LIMIT: Duration = Duration::from_secs(360);
/// What an observer may need for its last word.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at what must be so.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// What a node says may be as old as this: its observer asks it, and tells it on.
const STALE: Duration = Duration::from_millis(300);
/// Moments that are kept: a flood is not read by anybody.
const MOMENTS_MAX: usize = 1_000;

/// Why waiting was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// By the guard.
    Trip(Trip),
    /// By a signal, or by `hb drill --undo`.
    Asked(&'static str),
    /// By the clock.
    Limit(String),
    /// It could not be done.
    Failed(String),
}

impl Stop {
    fn text(&self) -> String {
        match self {
            Self::Trip(trip) => trip.text().to_owned(),
            Self::Asked(text) => (*text).to_owned(),
            Self::Limit(text) | Self::Failed(text) => text.clone(),
        }
    }
}

/// One observer as the drill sees it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) node: String,
    /// Why what it measures does not count.
    pub(super) blind: Option<String>,
    pub(super) observation: Observation,
    /// Version there, and Unix time there at its begin.
    pub(super) hello: Option<(String, u64)>,
    pub(super) gauges: Vec<Gauge>,
    pub(super) seen: Option<Seen>,
    /// When it told that.
    pub(super) heard: Option<Instant>,
    pub(super) readings: Option<Vec<Readings>>,
    pub(super) gone: Option<String>,
}

impl Watch {
    pub(super) fn new(node: &str, blind: Option<&str>, observation: Observation) -> Self {
        Self {
            node: node.to_owned(),
            blind: blind.map(str::to_owned),
            observation,
            hello: None,
            gauges: Vec::new(),
            seen: None,
            heard: None,
            readings: None,
            gone: None,
        }
    }

    fn is_steady(&self) -> bool {
        let all = self.gauges.iter().all(|gauge| gauge.steady >= STEADY);
        self.blind.is_some() || (!self.gauges.is_empty() && all)
    }
}

/// A drill under way.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) spec: &'a Spec,
    pub(super) ledger: &'a Ledger,
    pub(super) watches: Vec<Watch>,
    pub(super) events: Receiver<Event>,
    pub(super) moments: Vec<Moment>,
    /// Groups that another node was seen to serve.
    pub(super) taken: BTreeSet<String>,
    helper: Option<(Child, ChildStdin)>,
    answers: Vec<(String, Result<(), String>)>,
    /// It has begun: the ledger must be there.
    begun: bool,
    /// Times of the configuration.
    deadtime: Duration,
    initdead: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) trouble: Trouble,
    pub(super) aborted: Option<String>,
    pub(super) restored: bool,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        ledger: &'a Ledger,
        watches: Vec<Watch>,
        events: Receiver<Event>,
        (deadtime_ms, initdead_ms): (u64, u64),
    ) -> Self {
        Self {
            spec,
            ledger,
            watches,
            events,
            moments: Vec::new(),
            taken: BTreeSet::new(),
            helper: None,
            answers: Vec::new(),
            begun: false,
            deadtime: Duration::from_millis(deadtime_ms),
            initdead: Duration::from_millis(initdead_ms),
        }
    }

    /// Waits until every observer sees the service, and the helper is there.
    ///
    /// # Errors
    /// Why nothing was begun.
    pub(super) fn prepare(&mut self, run_dir: &Path, events: Sender<Event>) -> Result<(), String> {
        let steady = |course: &Self| course.watches.iter().all(Watch::is_steady).then_some(());
        if let Err(stop) = self.wait(BEGIN_LIMIT, false, steady) {
            let poor = self.watches.iter().filter(|watch| !watch.is_steady());
            let words = poor.map(|watch| match &watch.gone {
                Some(text) => format!("the observer on {} has ended: {text}", watch.node),
                None if watch.hello.is_none() => {
                    format!("the observer on {} says nothing", watch.node)
                }
                None => format!("seen from {} the service does not answer steadily", watch.node),
            });
            let words: Vec<String> = words.collect();
            return Err(if words.is_empty() { stop.text() } else { words.join("; ") });
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg("--run-dir").arg(run_dir).args(["drill", "--undo", "--helper"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("the helper: {error}"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the helper has no pipes".to_owned());
        };
        observe::listen(stdout, events);
        self.helper = Some((child, stdin));
        let ledger = serde_json::to_string(self.ledger).map_err(|error| error.to_string())?;
        self.tell(&ledger);
        self.answer("ledger", false).map_err(|stop| stop.text())?;
        self.begun = true;
        Ok(())
    }

    /// From the fault to the end.
    pub(super) fn run(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.note(format!("{} begins", self.spec.kind.word()));
        if let Err(stop) = self.fault() {
            self.note(format!("ended early: {}", stop.text()));
            outcome.stopped(stop);
        }
        if let Err(stop) = self.lift() {
            outcome.fail(format!("the fault could not be undone: {}", stop.text()));
        }
        let restored = self.settle().and_then(|()| self.back());
        if let Err(stop) = &restored {
            self.note(format!("not as it was: {}", stop.text()));
            outcome.fail(stop.text());
        }
        outcome.restored = restored.is_ok();
        // What the last change has done to the service is measured, too.
        let _ = self.wait(DWELL, false, |_| None::<()>);
        self.watches.iter_mut().for_each(|watch| watch.observation.end());
        let ended = |course: &Self| {
            let over = |watch: &Watch| watch.readings.is_some() || watch.gone.is_some();
            course.watches.iter().all(over).then_some(())
        };
        let _ = self.wait(END_LIMIT, false, ended);
        self.tell(DONE);
        if let Some((mut child, stdin)) = self.helper.take() {
            drop(stdin);
            let _ = child.wait();
        }
        self.note("over".to_owned());
        outcome
    }

    fn fault(&mut self) -> Result<(), Stop> {
        let generation = |course: &Self| Some(course.watches.first()?.seen.as_ref()?.generation);
        let before = generation(self);
        self.tell(GO);
        self.answer(GO, true)?;
        let kind = self.spec.kind;
        self.note(format!("{} is done", kind.word()));
        match kind {
            Kind::Standby => self.wait(TAKEOVER_LIMIT, true, Self::all_taken),
            Kind::Stop if self.spec.moves => {
                let limit = self.deadtime + TAKEOVER_LIMIT;
                self.wait(limit, true, Self::is_served_elsewhere)?;
                self.dwell(DWELL)
            }
            Kind::Stop => self.dwell(self.deadtime + DWELL),
            Kind::Kill => {
                let back = move |course: &Self| {
                    let seen = course.watches.first()?.seen.as_ref()?;
                    (Some(seen.generation) != before && seen.settled).then_some(())
                };
                self.wait(RETURN_LIMIT, true, back)?;
                self.note("heartbeat is back".to_owned());
                Ok(())
            }
            // The helper undoes it when its time is over.
            Kind::Freeze | Kind::Cut => {
                let limit = Duration::from_millis(self.ledger.limit_ms) + TAKEOVER_LIMIT;
                self.wait(limit, true, |course| course.answered(LIFT).map(|_| ()))
            }
        }
    }

    fn dwell(&mut self, time: Duration) -> Result<(), Stop> {
        match self.wait(time, true, |_| None::<()>) {
            Err(Stop::Limit(_)) | Ok(()) => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    fn all_taken(&self) -> Option<()> {
        self.spec.home.keys().all(|group| self.taken.contains(group)).then_some(())
    }

    /// The other node has the groups, as far as somebody can see it from there; else: the service
    /// answers again.
    fn is_served_elsewhere(&self) -> Option<()> {
        if self.watches.len() > 1 {
            return self.all_taken();
        }
        let gone = self.watches.iter().all(|watch| watch.seen.is_none());
        (gone && self.watches.iter().all(Watch::is_steady)).then_some(())
    }

    fn lift(&mut self) -> Result<(), Stop> {
        if self.answered(LIFT) == Some(Ok(())) {
            self.note("the fault is undone".to_owned());
            return Ok(());
        }
        self.answers.retain(|(order, _)| order != LIFT);
        self.tell(LIFT);
        self.answer(LIFT, false)?;
        self.note("the fault is undone".to_owned());
        Ok(())
    }

    /// Waits until both nodes are at rest, and each could take over from the other.
    fn settle(&mut self) -> Result<(), Stop> {
        let limit = STABLE_LIMIT + self.initdead + self.deadtime * 2;
        let since = Instant::now() + STALE;
        let well = |course: &Self| {
            let fine = |watch: &Watch| {
                let seen = watch.seen.as_ref().filter(|_| watch.heard > Some(since));
                let good = |seen: &Seen| {
                    let served = course
                        .spec
                        .home
                        .keys()
                        .all(|group| seen.groups.get(group).is_some_and(Option::is_some));
                    let bad = matches!(seen.verdict, Verdict::Split | Verdict::Down);
                    seen.settled && seen.ready && served && !bad
                };
                watch.gone.is_some() || seen.is_some_and(good)
            };
            course.watches.iter().all(fine).then_some(())
        };
        self.wait(limit, false, well).map_err(|stop| match stop {
            Stop::Limit(_) => Stop::Failed("the nodes were not well again in time".to_owned()),
            stop @ (Stop::Trip(_) | Stop::Asked(_) | Stop::Failed(_)) => stop,
        })?;
        self.note("both nodes are well".to_owned());
        Ok(())
    }

    /// The helper brings the groups back that are not where they were, by what the daemon says then.
    fn back(&mut self) -> Result<(), Stop> {
        if !self.ledger.back {
            return Ok(());
        }
        if !self.is_home() {
            self.note("the groups are brought back".to_owned());
        }
        self.tell(BACK);
        self.answer(BACK, false)?;
        self.settle()?;
        if self.is_home() {
            return Ok(());
        }
        Err(Stop::Failed("a group is not where it was".to_owned()))
    }

    /// Every node that can be asked says that each group is where it was.
    fn is_home(&self) -> bool {
        let mut seen = self.watches.iter().filter_map(|watch| watch.seen.as_ref());
        seen.all(|seen| {
            let mut home = self.spec.home.iter();
            home.all(|(group, node)| seen.groups.get(group).and_then(Option::as_ref) == Some(node))
        })
    }

    fn tell(&mut self, order: &str) {
        if let Some((_, stdin)) = &mut self.helper {
            let _ = writeln!(stdin, "{order}").and_then(|()| stdin.flush());
        }
    }

    fn answered(&self, order: &str) -> Option<Result<(), String>> {
        self.answers.iter().find(|(it, _)| it == order).map(|(_, done)| done.clone())
    }

    fn answer(&mut self, order: &str, guarded: bool) -> Result<(), Stop> {
        let done = self.wait(HELPER_LIMIT, guarded, |course| course.answered(order))?;
        done.map_err(Stop::Failed)
    }

    /// Takes in what happens until `done`.
    fn wait<T>(
        &mut self,
        limit: Duration,
        guarded: bool,
        done: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, Stop> {
        let begin = Instant::now();
        loop {
            if let Some(found) = done(self) {
                return Ok(found);
            }
            if guarded && let Some(trip) = self.guard() {
                return Err(Stop::Trip(trip));
            }
            if begin.elapsed() >= limit {
                return Err(Stop::Limit(format!("nothing more within {} s", limit.as_secs())));
            }
            match self.events.recv_timeout(LOOK_INTERVAL) {
                Ok(Event::Interrupted) if guarded => return Err(Stop::Asked("interrupted")),
                // What is done is undone in any case; being in a hurry does not help.
                Ok(Event::Interrupted) if self.begun => {}
                Ok(Event::Interrupted) => return Err(Stop::Asked("interrupted")),
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Stop::Failed("nobody is left to tell anything".to_owned()));
                }
            }
            if guarded && self.begun && !self.ledger.run_dir.join(LEDGER_FILE).exists() {
                return Err(Stop::Asked("undone by somebody else"));
            }
            if self.answered("helper").is_some() {
                return Err(Stop::Failed("the helper has ended: hb drill --undo".to_owned()));
            }
        }
    }

    fn guard(&self) -> Option<Trip> {
        let views = self.watches.iter().map(|watch| View {
            node: &watch.node,
            gauges: if watch.blind.is_some() { &[] } else { &watch.gauges },
            verdict: watch.seen.as_ref().map(|seen| seen.verdict),
        });
        let views: Vec<View<'_>> = views.collect();
        guard::judge(&views, self.spec.max_outage_ms, self.spec.kind == Kind::Freeze)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Line(number, line) => self.take_line(number, *line),
            Event::Gone(number, text) => {
                if let Some(watch) = self.watches.get_mut(number) {
                    watch.gone.get_or_insert(text);
                    watch.seen = None;
                    watch.gauges.clear();
                }
            }
            Event::Helper(line) => {
                let (ok, rest) = line.split_once(' ').unwrap_or((&line, ""));
                let (order, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let done = if ok == "ok" { Ok(()) } else { Err(text.to_owned()) };
                self.answers.push((order.to_owned(), done));
            }
            Event::HelperGone => self.answers.push(("helper".to_owned(), Ok(()))),
            Event::Interrupted => {}
        }
    }

    fn take_line(&mut self, number: usize, line: Line) {
        let Some(watch) = self.watches.get_mut(number) else { return };
        match line {
            Line::Hello { version, unix_ms, .. } => watch.hello = Some((version, unix_ms)),
            Line::Failed { text } => watch.gone = Some(text),
            Line::End { readings, .. } => watch.readings = Some(readings),
            Line::Tick { at_us, gauges, seen } => {
                watch.gauges = gauges;
                let begun = watch.hello.as_ref().map_or(0, |(_, unix_ms)| *unix_ms);
                let unix_ms = begun + at_us / 1_000;
                let words = changes(watch.seen.as_ref(), seen.as_ref());
                let who = watch.node.clone();
                for (group, node) in seen.iter().flat_map(|seen| &seen.groups) {
                    let home = self.spec.home.get(group);
                    if self.begun && node.is_some() && home.is_some() && node.as_ref() != home {
                        self.taken.insert(group.clone());
                    }
                }
                watch.seen = seen;
                watch.heard = Some(Instant::now());
                for text in words {
                    self.remember(Moment { unix_ms, who: who.clone(), text });
                }
            }
        }
    }

    fn note(&mut self, text: String) {
        let unix_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        print::err(&format!("drill: {text}\n"));
        self.remember(Moment { unix_ms, who: "drill".to_owned(), text });
    }

    fn remember(&mut self, moment: Moment) {
        if self.moments.len() < MOMENTS_MAX {
            self.moments.push(moment);
        }
    }
}

impl Outcome {
    fn stopped(&mut self, stop: Stop) {
        self.aborted = Some(stop.text());
        match stop {
            Stop::Trip(Trip::Outage(text)) => self.trouble.too_long = Some(text),
            Stop::Trip(Trip::Split(text)) | Stop::Limit(text) | Stop::Failed(text) => {
                self.fail(text);
            }
            Stop::Asked(text) => self.fail(text.to_owned()),
        }
    }

    fn fail(&mut self, text: String) {
        self.trouble.failures.push(text);
    }
}

/// What is different in what a node knows, in words.
fn changes(before: Option<&Seen>, now: Option<&Seen>) -> Vec<String> {
    let mut words = Vec::new();
    match (before, now) {
        (Some(_), None) => words.push("heartbeat does not answer".to_owned()),
        (before, Some(now)) => {
            if before.map(|it| it.verdict) != Some(now.verdict) {
                words.push(format!("verdict {}", word_of(now.verdict)));
            }
            if let Some(peer) = &now.peer
                && before.and_then(|it| it.peer.as_ref()) != Some(peer)
            {
                words.push(format!("the other node is {peer}"));
            }
            for (group, node) in &now.groups {
                if before.and_then(|it| it.groups.get(group)) != Some(node) {
                    let node = node.as_deref().unwrap_or("no node");
                    words.push(format!("{group} is served by {node}"));
                }
            }
        }
        (None, None) => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn what_has_changed() {
        let before = Seen::of(&testing::healthy());
        assert_eq!(changes(Some(&before), Some(&before)), Vec::<String>::new());
        assert_eq!(changes(Some(&before), None), ["heartbeat does not answer"]);
        assert_eq!(changes(None, None), Vec::<String>::new());
        let mut after = before.clone();
        after.verdict = Verdict::Transition;
        after.peer = Some("dead".to_owned());
        after.groups.insert("g".to_owned(), None);
        let words = ["verdict transition", "the other node is dead", "g is served by no node"];
        assert_eq!(changes(Some(&before), Some(&after)), words);
    }

    #[test]
    fn what_ends_a_drill_early_decides_how_it_is_judged() {
        let check = |stop: Stop, failures: usize, too_long: bool| {
            let mut outcome = Outcome::default();
            outcome.stopped(stop);
            let Trouble { failures: found, too_long: long } = outcome.trouble;
            assert_eq!((found.len(), long.is_some()), (failures, too_long));
            assert!(outcome.aborted.is_some());
        };
        check(Stop::Trip(Trip::Outage("x".to_owned())), 0, true);
        check(Stop::Trip(Trip::Split("x".to_owned())), 1, false);
        check(Stop::Asked("x"), 1, false);
        check(Stop::Limit("x".to_owned()), 1, false);
    }
}
