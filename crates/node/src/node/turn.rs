//! One call of `handle`: where its effects go, what is still to be carried, and whether it changed
//! anything. It decides nothing.

use std::collections::VecDeque;

use hb_messaging::engine::Event;
use hb_resource::input as resource;
use hb_resource::operation::Outcome;
use hb_resource::output::{Output, Timer};

use crate::effect::{Effect, Level, LogEvent};

pub(super) struct Turn<'a> {
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) events: VecDeque<Event>,
    /// Whether anything happened that status may show.
    pub(super) changed: bool,
    /// Lines of the lowest level are left out.
    terse: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(effects: &'a mut Vec<Effect>, terse: bool) -> Self {
        Self { effects, events: VecDeque::new(), changed: false, terse }
    }

    pub(super) fn log(&mut self, line: LogEvent) {
        self.log_at(line.level, || line);
    }

    /// A line of this level, which is not even made where it would be left out.
    pub(super) fn log_at(&mut self, level: Level, line: impl FnOnce() -> LogEvent) {
        if level > Level::Debug || !self.terse {
            self.effects.push(Effect::Log(line()));
        }
    }
}

/// A check is due, or something that was run went well. When nothing comes of it but the next check,
/// nothing has changed that lasts; what a look at the clock changes is seen within a second anyway.
pub(super) fn is_check(input: &resource::Input) -> bool {
    matches!(
        input,
        resource::Input::Timer(Timer::Monitor(..))
            | resource::Input::Done { outcome: Outcome::Ok, .. }
    )
}

pub(super) fn goes_on_checking(output: &Output) -> bool {
    match output {
        Output::Run(operation) => operation.monitor,
        Output::SetTimer(..) | Output::CancelTimer(..) => true,
        Output::Send(_)
        | Output::Cancel(_)
        | Output::Changed(_)
        | Output::Answer(..)
        | Output::Alert { .. }
        | Output::Stopped
        | Output::Retired(_) => false,
    }
}
