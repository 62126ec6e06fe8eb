//! What a standstill of this process leads to: the log, and a pause in which the resource manager
//! is told nothing. It decides nothing about resources.

use std::time::Duration;

use hb_config::settings::Timing;
use hb_messaging::engine as messaging;

use super::{Node, Turn};
use crate::effect::{Level, LogEvent};
use crate::report;
use crate::wake::Pause;

/// How long a node that woke waits for the peer's word: it hears our next heartbeat at once and
/// answers at once; one keepalive more for a lost datagram.
const WAKE_KEEPALIVES: u64 = 2;

impl Node {
    /// A timer that fires long after its time means that this process did not run, and so did not
    /// say that it lives. From its dead time on the peer thinks it dead and goes on without it.
    pub(super) fn note_lateness(&mut self, turn: &mut Turn<'_>) {
        let Some(due) = self.messaging.next_timeout() else { return };
        let warntime_ms = self.profile.timing.warntime_ms;
        let late_ms = report::millis(self.now - due);
        if late_ms <= warntime_ms || self.stalled_since == Some(due) {
            return;
        }
        self.stalled_since = Some(due);
        self.stood_still(late_ms, turn);
    }

    /// The machine slept: the peer missed us for as long, and our own patience with it, which
    /// slept as well, begins again.
    pub(super) fn note_sleep(&mut self, ms: u64, turn: &mut Turn<'_>) {
        if ms > self.profile.timing.warntime_ms {
            self.feed_messaging(messaging::Input::Woke, turn);
            self.stood_still(ms, turn);
        }
    }

    fn stood_still(&mut self, late_ms: u64, turn: &mut Turn<'_>) {
        let Timing { keepalive_ms, deadtime_ms, .. } = self.profile.timing;
        let text = format!("this process stood still for {late_ms} ms");
        turn.log(LogEvent::new(Level::Warn, "core_stalled", text).with("elapsed_ms", late_ms));
        self.watch.note_stall(self.now, late_ms);
        self.totals.note_pause(late_ms);
        if late_ms.saturating_add(keepalive_ms) >= deadtime_ms {
            self.tell_pause(late_ms, turn);
        }
        turn.changed = true;
        if self.active && late_ms.saturating_add(keepalive_ms) >= deadtime_ms {
            self.splits.slept(late_ms, self.now, self.unix_s);
            let patience = Duration::from_millis(keepalive_ms * WAKE_KEEPALIVES);
            match &mut self.pause {
                Some(pause) => pause.sleep_again(self.now, patience),
                None => self.pause = Some(Pause::new(self.now, patience)),
            }
        }
    }

    /// Tells the manager what was held back.
    pub(super) fn end_pause(&mut self, turn: &mut Turn<'_>) {
        if let Some(pause) = self.pause.take_if(|pause| pause.is_over(self.now)) {
            for input in pause.end() {
                if !self.leaves {
                    self.feed_manager(input, turn);
                }
            }
        }
    }
}
