//! `hb ui` as a state machine: what a key, an answer of the daemon or the passing of time makes of
//! what is on the screen, and what has to be done because of it. Values in, values out: it draws
//! nothing, asks nobody and knows no clock.

use hb_node::api::{HistoryEntry, StatusSnapshot};

use super::act::Action;
use super::menu::{self, Choice, Menu};
use crate::plan::What;
use crate::status::{Known, aged};

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    Enter,
    Escape,
    /// ^C: leaves from everywhere.
    Interrupt,
    /// ^Z: back to the shell for a while.
    Suspend,
}

/// What a plan has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Planned {
    /// What would happen.
    Text(String),
    /// It cannot be told what would happen, and why; it may still be done.
    Unknown(String),
    /// This user may not do it, and why.
    Denied(String),
}

/// Something that happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A person pressed it.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// Milliseconds of a clock that never goes back, and of Unix time.
    Time { now_ms: u64, unix_ms: u64 },
    /// What the daemon says, or has kept.
    Known(Box<Known>),
    /// What has happened so far, oldest first.
    Past(Vec<HistoryEntry>),
    /// The plan of job number `job` is there.
    Planned { job: u64, planned: Planned },
    /// The action of job number `job` has ended, with the daemon's words.
    Ended { job: u64, result: Result<String, String> },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// See whether it may be done, and tell what would happen ([`Event::Planned`]).
    Preview { job: u64, action: Action },
    /// Tell what would happen ([`Event::Planned`]).
    Plan { job: u64, what: What },
    /// Tell the reasons ([`Event::Planned`]).
    Why { job: u64, subject: Option<String> },
    /// Have it done ([`Event::Ended`]).
    Act { job: u64, action: Action },
    /// Give the terminal back until this process is continued.
    Suspend,
    /// Give the terminal back and end.
    Quit,
}

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// To be read.
    Plain,
    /// It was done.
    Done,
    /// It was refused, or failed.
    Refused,
}

/// What a person is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Looks.
    Watch,
    /// Chooses.
    Menu(Menu),
    /// Waits for a plan.
    Waiting { job: u64, title: String, action: Option<Action> },
    /// Has the plan of an action before the eyes and is asked.
    Ask { action: Action, text: String, owners: Owners },
    /// Waits for the end of an action.
    Acting { job: u64, action: Action, since_ms: u64 },
    /// Reads.
    Page { title: String, text: String, tone: Tone },
}

/// Which node serves each group: a plan holds for this only.
pub(super) type Owners = Vec<(String, Option<String>)>;

/// A part of the screen that scrolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Status,
    Events,
}

/// How far the parts of the screen can be scrolled, as they were drawn, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extents {
    pub(super) status: usize,
    pub(super) events: usize,
    pub(super) dialog: usize,
    /// Height of the part that the keys scroll.
    pub(super) page: usize,
    /// There is no room for anything: what is not seen is not agreed to.
    pub(super) small: bool,
}

/// Everything that is on the screen.
#[derive(Debug)]
pub(super) struct State {
    pub(super) known: Option<Known>,
    pub(super) past: Vec<HistoryEntry>,
    pub(super) mode: Mode,
    pub(super) focus: Pane,
    /// Lines of the status above the screen.
    pub(super) status_top: usize,
    /// Lines of the events below the screen; 0 follows what happens.
    pub(super) events_below: usize,
    /// Lines of a dialog above the screen.
    pub(super) dialog_top: usize,
    pub(super) now_ms: u64,
    extents: Extents,
    unix_ms: u64,
    /// The last status that a daemon said itself, and when.
    live: Option<(u64, StatusSnapshot)>,
    /// When anything was known last.
    heard_ms: u64,
    jobs: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            known: None,
            past: Vec::new(),
            mode: Mode::Watch,
            focus: Pane::Events,
            status_top: 0,
            events_below: 0,
            dialog_top: 0,
            now_ms: 0,
            extents: Extents::default(),
            unix_ms: 0,
            live: None,
            heard_ms: 0,
            jobs: 0,
        }
    }

    /// Takes in what happened.
    pub(super) fn handle(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.key(key),
            Event::Resized => Vec::new(),
            Event::Time { now_ms, unix_ms } => {
                (self.now_ms, self.unix_ms) = (now_ms, unix_ms);
                Vec::new()
            }
            Event::Known(known) => self.learn(*known),
            Event::Past(past) => {
                if self.events_below > 0 {
                    // Who reads earlier ones goes on reading those.
                    self.events_below += past.len().saturating_sub(self.past.len());
                }
                self.past = past;
                Vec::new()
            }
            Event::Planned { job, planned } => {
                self.planned(job, planned);
                Vec::new()
            }
            Event::Ended { job, result } => {
                self.ended(job, result);
                Vec::new()
            }
        }
    }

    /// Takes note of how far the screen can be scrolled.
    pub(super) fn drawn(&mut self, extents: Extents) {
        self.extents = extents;
        self.status_top = self.status_top.min(extents.status);
        self.events_below = self.events_below.min(extents.events);
        self.dialog_top = self.dialog_top.min(extents.dialog);
    }

    /// What is known of the cluster.
    pub(super) fn snapshot(&self) -> Option<&StatusSnapshot> {
        self.known.as_ref()?.snapshot.as_ref()
    }

    /// Milliseconds for which nobody has said anything, neither the daemon nor its absence.
    pub(super) fn silent_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.heard_ms)
    }

    /// Whether a transition or an action is under way: then there is more to see.
    pub(super) fn is_busy(&self) -> bool {
        let acting = matches!(self.mode, Mode::Acting { .. });
        let moving =
            self.snapshot().is_some_and(|it| it.verdict == hb_node::api::Verdict::Transition);
        acting || moving
    }

    fn learn(&mut self, mut known: Known) -> Vec<Effect> {
        self.heard_ms = self.now_ms;
        match (&known.snapshot, &mut known.down) {
            (Some(snapshot), None) => self.live = Some((self.now_ms, snapshot.clone())),
            (_, Some(down)) => {
                // What was seen here may be younger than what the daemon has kept.
                if let Some((at_ms, snapshot)) = &self.live {
                    let age_ms = self.now_ms.saturating_sub(*at_ms);
                    if known.snapshot.is_none() || age_ms < down.age_ms {
                        known.snapshot = Some(aged(snapshot.clone(), age_ms));
                        down.age_ms = age_ms;
                        down.saved_unix_ms = self.unix_ms.saturating_sub(age_ms);
                    }
                }
            }
            (None, None) => {}
        }
        self.known = Some(known);
        self.check_plan()
    }

    /// A plan for what is not so any more is made again.
    fn check_plan(&mut self) -> Vec<Effect> {
        let Mode::Ask { action, owners, .. } = &self.mode else { return Vec::new() };
        if self.snapshot().is_none_or(|status| owners_of(status) == *owners) {
            return Vec::new();
        }
        let action = action.clone();
        self.preview(action)
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        if key == Key::Interrupt {
            return vec![Effect::Quit];
        }
        if key == Key::Suspend {
            return vec![Effect::Suspend];
        }
        if self.extents.small {
            return if key == Key::Char('q') { vec![Effect::Quit] } else { Vec::new() };
        }
        let is_back = matches!(key, Key::Escape | Key::Char('q'));
        match &self.mode {
            Mode::Watch => self.key_watching(key),
            Mode::Menu(_) | Mode::Waiting { .. } if is_back => self.back(),
            Mode::Menu(_) => self.key_in_menu(key),
            Mode::Waiting { .. } => Vec::new(),
            Mode::Ask { action, .. } if matches!(key, Key::Char('y' | 'Y')) => {
                let action = action.clone();
                self.act(action)
            }
            Mode::Ask { .. } if is_back || matches!(key, Key::Char('n' | 'N')) => self.back(),
            // The daemon carries it out whether somebody looks or not.
            Mode::Acting { .. } if key == Key::Char('q') => vec![Effect::Quit],
            Mode::Page { .. } if is_back || matches!(key, Key::Enter | Key::Char(' ')) => {
                self.back()
            }
            Mode::Ask { .. } | Mode::Acting { .. } | Mode::Page { .. } => self.scroll(key),
        }
    }

    fn key_watching(&mut self, key: Key) -> Vec<Effect> {
        if key == Key::Tab {
            self.focus = match self.focus {
                Pane::Status => Pane::Events,
                Pane::Events => Pane::Status,
            };
        }
        let Key::Char(letter) = key else { return self.scroll(key) };
        match letter {
            'q' => vec![Effect::Quit],
            's' | 't' | 'm' | 'c' => self.begin(letter),
            'w' => self.open(menu::why),
            'p' => self.open(menu::plan),
            '?' | 'h' => {
                self.read("keys", HELP, Tone::Plain);
                Vec::new()
            }
            _ => self.scroll(key),
        }
    }

    fn key_in_menu(&mut self, key: Key) -> Vec<Effect> {
        let Mode::Menu(menu) = &mut self.mode else { return Vec::new() };
        if key == Key::Enter {
            return self.choose();
        }
        if let Some(Direction { up, .. }) = key.direction() {
            menu.step(!up);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        let (job, since_ms) = (self.next_job(), self.now_ms);
        self.show(Mode::Acting { job, action: action.clone(), since_ms });
        vec![Effect::Act { job, action }]
    }

    /// A key that leads to an action, which only a running daemon can carry out.
    fn begin(&mut self, key: char) -> Vec<Effect> {
        if let Some(down) = self.known.as_ref().and_then(|known| known.down.as_ref()) {
            let text = down.error.to_string();
            self.read("refused", &text, Tone::Refused);
            return Vec::new();
        }
        let Some(status) = self.snapshot() else { return Vec::new() };
        let menu = match key {
            's' => menu::groups("standby: which groups this node gives", status, Action::Standby),
            't' => menu::groups("takeover: which groups this node gets", status, Action::Takeover),
            'm' => menu::maintenance(status),
            _ => match menu::cleanup(status) {
                Some(menu) => menu,
                None => {
                    self.read("clean up", "Nothing has failed: nothing to forget.", Tone::Plain);
                    return Vec::new();
                }
            },
        };
        // One group is all groups.
        let only = matches!(key, 's' | 't') && status.groups.len() < 2;
        self.show(Mode::Menu(menu));
        if only { self.choose() } else { Vec::new() }
    }

    fn open(&mut self, make: fn(&StatusSnapshot) -> Menu) -> Vec<Effect> {
        if let Some(menu) = self.snapshot().map(make) {
            self.show(Mode::Menu(menu));
        }
        Vec::new()
    }

    fn choose(&mut self) -> Vec<Effect> {
        let Mode::Menu(menu) = &self.mode else { return Vec::new() };
        let Some(choice) = menu.chosen().cloned() else { return self.back() };
        match choice {
            Choice::Act(action) => self.preview(action),
            Choice::Plan(what) => {
                let job = self.wait(format!("plan: {}", what.words()), None);
                vec![Effect::Plan { job, what }]
            }
            Choice::Why(subject) => {
                let about = subject.as_deref().unwrap_or("the verdict");
                let job = self.wait(format!("why: {about}"), None);
                vec![Effect::Why { job, subject }]
            }
        }
    }

    fn preview(&mut self, action: Action) -> Vec<Effect> {
        let job = self.wait(action.words(), Some(action.clone()));
        vec![Effect::Preview { job, action }]
    }

    fn wait(&mut self, title: String, action: Option<Action>) -> u64 {
        let job = self.next_job();
        self.show(Mode::Waiting { job, title, action });
        job
    }

    fn planned(&mut self, job: u64, planned: Planned) {
        let Mode::Waiting { job: expected, title, action } = &self.mode else { return };
        if *expected != job {
            return;
        }
        let (title, action) = (title.clone(), action.clone());
        let (action, text) = match (planned, action) {
            (Planned::Denied(text), _) => return self.read("refused", &text, Tone::Refused),
            (Planned::Unknown(text), None) => return self.read(&title, &text, Tone::Refused),
            (Planned::Text(text), None) => return self.read(&title, &text, Tone::Plain),
            (Planned::Text(text), Some(action)) => (action, text),
            (Planned::Unknown(why), Some(action)) => {
                let text = format!("{}\n\nNo plan can be shown: {why}\n", action.words());
                (action, text)
            }
        };
        let owners = self.snapshot().map(owners_of).unwrap_or_default();
        self.show(Mode::Ask { action, text, owners });
    }

    fn ended(&mut self, job: u64, result: Result<String, String>) {
        let Mode::Acting { job: expected, action, since_ms } = &self.mode else { return };
        if *expected != job {
            return;
        }
        let took = crate::status::age(self.now_ms.saturating_sub(*since_ms));
        let words = action.words();
        match result {
            Ok(text) => {
                let text = format!("{words}\n{text}\n");
                self.read(&format!("done after {took}"), &text, Tone::Done);
            }
            Err(text) => {
                let text = format!("{words}\n{text}\n");
                self.read(&format!("refused or failed after {took}"), &text, Tone::Refused);
            }
        }
    }

    fn read(&mut self, title: &str, text: &str, tone: Tone) {
        self.show(Mode::Page { title: title.to_owned(), text: text.to_owned(), tone });
    }

    fn back(&mut self) -> Vec<Effect> {
        self.show(Mode::Watch);
        Vec::new()
    }

    fn show(&mut self, mode: Mode) {
        self.mode = mode;
        self.dialog_top = 0;
    }

    fn next_job(&mut self) -> u64 {
        self.jobs += 1;
        self.jobs
    }

    fn scroll(&mut self, key: Key) -> Vec<Effect> {
        let Some(Direction { up, far }) = key.direction() else { return Vec::new() };
        let lines = match far {
            Far::Line => 1,
            Far::Page => self.extents.page.saturating_sub(1).max(1),
            Far::Whole => usize::MAX,
        };
        let in_dialog = matches!(self.mode, Mode::Ask { .. } | Mode::Page { .. });
        // From the top, but for events, which are counted from the last one.
        let (offset, most, grows) = match (in_dialog, self.focus) {
            (true, _) => (&mut self.dialog_top, self.extents.dialog, !up),
            (false, Pane::Status) => (&mut self.status_top, self.extents.status, !up),
            (false, Pane::Events) => (&mut self.events_below, self.extents.events, up),
        };
        *offset = if grows { offset.saturating_add(lines) } else { offset.saturating_sub(lines) };
        *offset = (*offset).min(most);
        Vec::new()
    }
}

/// Where a key scrolls to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direction {
    up: bool,
    far: Far,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    Line,
    Page,
    Whole,
}

impl Key {
    fn direction(self) -> Option<Direction> {
        let direction = |up, far| Some(Direction { up, far });
        match self {
            Self::Up | Self::Char('k') => direction(true, Far::Line),
            Self::Down | Self::Char('j') => direction(false, Far::Line),
            Self::PageUp => direction(true, Far::Page),
            Self::PageDown => direction(false, Far::Page),
            Self::Home => direction(true, Far::Whole),
            Self::End => direction(false, Far::Whole),
            Self::Char(_)
            | Self::Tab
            | Self::Enter
            | Self::Escape
            | Self::Interrupt
            | Self::Suspend => None,
        }
    }
}

fn owners_of(status: &StatusSnapshot) -> Owners {
    status.groups.iter().map(|group| (group.key.clone(), group.active_on.clone())).collect()
}

/// What the keys do.
const HELP: &str = "\
s   standby: this node gives groups to the other
t   takeover: this node gets groups from the other
m   maintenance: on, for a time, or off
c   clean up: forget failures, and try again
w   why: the chain of reasons, for anything
p   plan: what would happen if
?   this help
q   leave; what is under way goes on

s, t, m and c first show what would happen and then ask: y does it.

arrows, PgUp, PgDn, Home, End   scroll
Tab   scroll the status instead of the events, and back
^Z    to the shell for a while; fg comes back
";

#[cfg(test)]
mod tests;
