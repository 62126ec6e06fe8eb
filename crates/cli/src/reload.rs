//! `hb reload`: has the daemon read its files again, says what differs, and waits until that is in
//! force (I/O). What is done is the daemon's business; nothing is done when a file is not valid.
#![expect(clippy::disallowed_methods, reason = "waits for the daemon")]

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hb_node::api::{self, Request, Response, StatusSnapshot};

use crate::client::{self, Client};
use crate::moves::{unexpected, unreachable_daemon};
use crate::{exit, print};

/// Put what has changed in ha.cf, haresources, authkeys and hb.toml into force
///
/// Groups that did not change go on untouched; one that is removed or has other resources is stopped
/// first where it runs. When a file is not valid, everything stays as it was.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Only say what differs and what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How long the daemon may need to be back, and to settle with the other node: it starts as after a
/// crash, which takes milliseconds, unless the other node is away.
const BACK_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Runs it.
pub(crate) fn run(run_dir: &Path, args: &ReloadArgs) -> ExitCode {
    let before = match client::snapshot(run_dir) {
        Ok(status) => status.this_node.generation,
        Err(error) => return unreachable_daemon(&error),
    };
    let request = Request::Reload { dry_run: args.dry_run };
    let answer = Client::connect(run_dir, api::CONTROL_SOCKET, None)
        .and_then(|mut client| client.ask(request));
    match answer {
        Err(error) => unreachable_daemon(&error),
        Ok(Response::Changes { text, restarts }) => {
            print::out(&format!("{text}\n"));
            if args.dry_run || !restarts { exit::code(exit::OK) } else { back(run_dir, before) }
        }
        Ok(Response::Error { text }) => {
            print::err(&format!("hb: {text}\n"));
            exit::code(exit::NEGATIVE)
        }
        Ok(other @ (Response::Status(_) | Response::History(_) | Response::Done { .. })) => {
            unexpected(&other)
        }
    }
}

/// Waits for the daemon that has the new configuration.
fn back(run_dir: &Path, before: u64) -> ExitCode {
    let begin = Instant::now();
    loop {
        match client::snapshot(run_dir) {
            Ok(status) if status.this_node.generation != before && is_settled(&status) => {
                print::out("in force\n");
                return exit::code(exit::OK);
            }
            Ok(status)
                if begin.elapsed() >= BACK_LIMIT && status.this_node.generation != before =>
            {
                print::out("in force; the nodes have not settled yet: see `hb status`\n");
                return exit::code(exit::OK);
            }
            Err(error) if begin.elapsed() >= BACK_LIMIT => return unreachable_daemon(&error),
            Ok(_) if begin.elapsed() >= BACK_LIMIT => {
                print::err("hb: the daemon did not start anew; its log says why\n");
                return exit::code(exit::NEGATIVE);
            }
            Ok(_) | Err(_) => thread::sleep(LOOK_INTERVAL),
        }
    }
}

fn is_settled(status: &StatusSnapshot) -> bool {
    status.this_node.rscstatus != "transition"
}
