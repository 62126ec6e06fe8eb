//! `hb standby`, `hb takeover` and `hb cleanup`, also as `hb_standby` and `hb_takeover`: ask the
//! daemon, wait, tell the truth. The words and the first line printed are those of Heartbeat 3.0.6.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hb_node::api::{self, Request, Response};
use hb_resource::input::{Holdings, Which};

use crate::client::{Client, ClientError};
use crate::exit;

/// Heartbeat's words for sets of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SetWord {
    /// Every group.
    All,
    /// Groups that prefer the other node.
    Foreign,
    /// Groups that prefer this node.
    Local,
    /// The same as foreign.
    Failback,
}

impl SetWord {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Foreign => "foreign",
            Self::Local => "local",
            Self::Failback => "failback",
        }
    }

    fn holdings(self) -> Holdings {
        match self {
            Self::All => Holdings::ALL,
            Self::Local => Holdings::LOCAL,
            Self::Foreign | Self::Failback => Holdings::FOREIGN,
        }
    }
}

/// Which groups move.
#[derive(Clone, Debug, Args)]
pub(crate) struct MoveArgs {
    /// Which groups, seen from this node
    #[arg(value_enum, default_value = "all")]
    which: SetWord,
    /// One group only, by its key (the first resource of its line in haresources)
    #[arg(long, value_name = "KEY", conflicts_with = "which")]
    group: Option<String>,
    /// Return at once, as Heartbeat's own scripts do
    #[arg(long)]
    no_wait: bool,
}

/// What to forget.
#[derive(Clone, Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Key of the group; every failed or blocked group when absent
    group: Option<String>,
}

/// Which of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Give to the peer.
    Standby,
    /// Get from the peer.
    Takeover,
}

impl MoveArgs {
    fn what(&self) -> (String, Which) {
        match &self.group {
            Some(key) => (key.clone(), Which::Group(key.clone())),
            None => (self.which.word().to_owned(), Which::Sets(self.which.holdings())),
        }
    }
}

/// Runs `hb standby` or `hb takeover`.
pub(crate) fn run(run_dir: &Path, direction: Direction, args: &MoveArgs) -> ExitCode {
    let (name, which) = args.what();
    let (first_line, request) = match direction {
        Direction::Standby => (format!("Going standby [{name}]."), Request::Standby { which }),
        Direction::Takeover => (format!("Taking over [{name}]."), Request::Takeover { which }),
    };
    let connected = Client::connect(run_dir, api::CONTROL_SOCKET, None);
    let mut client = match connected {
        Ok(client) => client,
        Err(error) => return unreachable_daemon(&error),
    };
    let mut out = io::stdout().lock();
    // A closed pipe must not turn a carried-out move into a failure.
    let _ = writeln!(out, "{first_line}").and_then(|()| out.flush());
    if args.no_wait {
        return match client.send(request) {
            Ok(()) => exit::code(exit::OK),
            Err(error) => unreachable_daemon(&error),
        };
    }
    report(client.ask(request))
}

/// Runs `hb cleanup`.
pub(crate) fn cleanup(run_dir: &Path, args: &CleanupArgs) -> ExitCode {
    command(run_dir, Request::Cleanup { group: args.group.clone() })
}

/// Gives a command and waits for its answer.
pub(crate) fn command(run_dir: &Path, request: Request) -> ExitCode {
    match Client::connect(run_dir, api::CONTROL_SOCKET, None) {
        Ok(mut client) => report(client.ask(request)),
        Err(error) => unreachable_daemon(&error),
    }
}

fn report(answer: Result<Response, ClientError>) -> ExitCode {
    match answer {
        Ok(Response::Done { text }) => {
            let _ = writeln!(io::stdout(), "{text}");
            exit::code(exit::OK)
        }
        Ok(Response::Error { text }) => {
            let _ = writeln!(io::stderr(), "hb: {text}");
            exit::code(exit::NEGATIVE)
        }
        Ok(other @ (Response::Status(_) | Response::History(_) | Response::Changes { .. })) => {
            unexpected(&other)
        }
        Err(error) => unreachable_daemon(&error),
    }
}

pub(crate) fn unexpected(answer: &Response) -> ExitCode {
    let _ = writeln!(io::stderr(), "hb: unexpected answer: {answer:?}");
    exit::code(exit::NEGATIVE)
}

pub(crate) fn unreachable_daemon(error: &ClientError) -> ExitCode {
    let _ = writeln!(io::stderr(), "hb: {error}");
    exit::code(exit::UNREACHABLE)
}
