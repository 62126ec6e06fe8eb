//! `hb witness`: one question to a third party, run by the daemon as a child so that the daemon
//! itself links no HTTP code. Exit 0 granted, 1 refused, 4 could not be asked; the reason is one
//! line on stdout.

mod etcd;
mod file;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{exit, print};

/// A question to a third party.
#[derive(Clone, Debug, Args)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// A file on storage that both nodes mount
    File {
        #[arg(long)]
        path: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// An etcd cluster (v3 API)
    Etcd {
        #[arg(long, num_args = 1.., required = true)]
        endpoint: Vec<String>,
        #[arg(long)]
        key: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What every witness is told.
#[derive(Clone, Debug, Args)]
struct Common {
    /// The node that asks
    #[arg(long)]
    node: String,
    /// For how long the right is given, in milliseconds
    #[arg(long)]
    lease_ms: u64,
    /// Give the right back
    #[arg(long)]
    release: bool,
    /// Limit in milliseconds
    #[arg(long, value_name = "MS")]
    timeout: u64,
}

impl Common {
    fn limit(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }
}

/// What the witness says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Granted,
    /// Who has it, or why not yet.
    Refused(String),
}

/// Runs `hb witness`.
pub(crate) fn run(run_dir: &Path, args: &WitnessArgs) -> ExitCode {
    let result = match &args.what {
        What::File { path, common } => file::ask(path, run_dir, common),
        What::Etcd { endpoint, key, common } => etcd::ask(endpoint, key, common),
    };
    match result {
        Ok(Answer::Granted) => exit::code(exit::OK),
        Ok(Answer::Refused(reason)) => {
            print::out(&format!("{reason}\n"));
            exit::code(exit::NEGATIVE)
        }
        Err(reason) => {
            print::out(&format!("{reason}\n"));
            exit::code(exit::UNREACHABLE)
        }
    }
}
