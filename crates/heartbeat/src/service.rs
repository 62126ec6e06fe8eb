//! The service manager's side: readiness, status line and watchdog of sd_notify(3) (I/O). Does
//! nothing where there is no service manager.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::Instant;

/// What is told to the service manager, and how often it must hear of us.
#[derive(Debug)]
pub(crate) struct Service {
    feed_every: Option<Duration>,
    fed: Instant,
    ready: bool,
}

impl Service {
    /// Reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    pub(crate) fn new() -> Self {
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        let feed_every = watchdog_enabled().map(|limit| limit / 2);
        Self { feed_every, fed: Instant::now(), ready: false }
    }

    /// How often [`Self::tick`] must be called at least.
    pub(crate) fn tick_every(&self, usual: Duration) -> Duration {
        self.feed_every.map_or(usual, |feed| usual.min(feed))
    }

    /// Shows a line; the first one also says that the service works.
    pub(crate) fn status(&mut self, status: &str) {
        let ready = std::mem::replace(&mut self.ready, true);
        let states: &[NotifyState<'_>] = match ready {
            true => &[NotifyState::Status(status)],
            false => &[NotifyState::Ready, NotifyState::Status(status)],
        };
        // Without a service manager there is nobody to tell.
        let _ = notify(states);
    }

    /// Feeds the watchdog. Called by the loop that also runs the core, so that a loop that hangs is
    /// noticed.
    pub(crate) fn tick(&mut self) {
        if let Some(every) = self.feed_every
            && self.fed.elapsed() >= every / 2
        {
            self.fed = Instant::now();
            let _ = notify(&[NotifyState::Watchdog]);
        }
    }

    /// An orderly stop has begun: it may last as long as the services need.
    pub(crate) fn stopping(&self) {
        let _ = notify(&[NotifyState::Stopping]);
    }
}
