//! Signals as values. What they lead to is decided by the shell and the core.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::exit::Fatal;

/// What somebody wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// TERM, INT: release everything and end.
    Stop,
    /// HUP: read the files again.
    Reload,
    /// USR1: open log files again.
    ReopenLogs,
    /// USR2: run the program anew and leave every resource as it is.
    Renew,
}

/// The streams of all signals that mean something. PIPE is ignored by the runtime of the language.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Stream,
    int: Stream,
    hup: Stream,
    usr1: Stream,
    usr2: Stream,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    ///
    /// # Errors
    /// The system's answer.
    pub(crate) fn take() -> Result<Self, Fatal> {
        let take = |kind| signal(kind).map_err(Fatal::system("take signals"));
        Ok(Self {
            term: take(SignalKind::terminate())?,
            int: take(SignalKind::interrupt())?,
            hup: take(SignalKind::hangup())?,
            usr1: take(SignalKind::user_defined1())?,
            usr2: take(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one. Cancel-safe; a storm of one kind arrives as one.
    pub(crate) async fn recv(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.term.recv() => Signal::Stop,
            _ = self.int.recv() => Signal::Stop,
            _ = self.hup.recv() => Signal::Reload,
            _ = self.usr1.recv() => Signal::ReopenLogs,
            _ = self.usr2.recv() => Signal::Renew,
        }
    }
}
