//! Exit codes, and the errors that end the program. It says nothing about what a running node
//! survives: those failures are inputs of the core or log lines.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use hb_node::effect::Level;

/// Exit codes of Heartbeat 3.0.6, with the LSB ones of `-s`. A wrong option is 2, given by clap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, already running, already stopped.
    Ok,
    /// Anything that has no code of its own.
    General,
    /// `-s`: not running (LSB).
    Stopped,
    /// Needs root.
    Permission,
    /// The configuration cannot be used.
    Config,
}

impl Exit {
    /// The number given to the caller.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::General => 1,
            Self::Stopped => 3,
            Self::Permission => 4,
            Self::Config => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why the program cannot start, or a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// Another instance holds the pid file. Not a failure for the caller: exit code 0.
    #[error("heartbeat: already running [pid {pid}].")]
    AlreadyRunning {
        /// Who holds it; 0 when its number cannot be read.
        pid: u32,
    },
    /// Another program that does the same job runs here.
    #[error("heartbeat: {what}. Stop it first: two managers would fight for the same addresses.")]
    Foreign {
        /// What was found.
        what: String,
    },
    /// The diagnostics, already drawn for people.
    #[error("{rendered}Configuration error, heartbeat not started.")]
    Config {
        /// One or more diagnostics, each with a line end.
        rendered: String,
        /// The same as lines for the log.
        lines: Vec<(Level, String)>,
    },
    /// A system call on a path failed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The program could not be run anew; resources still run, and this process ends.
    #[error("heartbeat: cannot be run anew: {source}")]
    Renewal {
        /// The system's answer.
        source: io::Error,
    },
    /// A refusal in words.
    #[error("heartbeat: {0}")]
    Refused(String),
    /// The background process ended before it was ready; it has said why itself.
    #[error("heartbeat: not started (exit code {code}); the reason is above and in the log")]
    Child {
        /// Its exit code.
        code: u8,
    },
}

impl Fatal {
    /// For `map_err` on operations that have a path.
    pub(crate) fn path(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { action, path, source }
    }

    /// For `map_err` on operations that have none.
    pub(crate) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { action, source: source.into() }
    }

    /// The exit code that it leads to.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::AlreadyRunning { .. } => Exit::Ok.code(),
            Self::Config { .. } => Exit::Config.code(),
            Self::Path { source, .. } | Self::System { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::Permission.code()
            }
            Self::Child { code } => *code,
            // Whoever keeps it running starts it again.
            Self::Renewal { .. } => hb_node::STEPPED_DOWN,
            Self::Foreign { .. } | Self::Path { .. } | Self::System { .. } | Self::Refused(_) => {
                Exit::General.code()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_heartbeat() {
        let check = |fatal: Fatal, code: u8| assert_eq!(fatal.code(), code, "{fatal}");
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        check(Fatal::AlreadyRunning { pid: 7 }, 0);
        check(Fatal::Foreign { what: "x".into() }, 1);
        check(Fatal::Config { rendered: String::new(), lines: Vec::new() }, 6);
        check(Fatal::path("open", "/x")(denied()), 4);
        check(Fatal::path("open", "/x")(io::ErrorKind::NotFound.into()), 1);
        check(Fatal::system("set the session")(denied()), 4);
        check(Fatal::Child { code: 6 }, 6);
    }
}
