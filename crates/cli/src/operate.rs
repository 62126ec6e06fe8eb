//! `hb maintenance` and `hb fence`: what an operator tells the node beside moves.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use hb_config::duration::{self, Units};
use hb_node::api::{FencingStatus, Request};

use crate::moves::{command, unreachable_daemon};
use crate::{client, exit, print};

/// Hands off: checks go on, nothing is started, stopped or moved, on neither node
#[derive(Clone, Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    what: Switch,
}

#[derive(Clone, Debug, Subcommand)]
enum Switch {
    /// Begin; it is shown in `hb status` on both nodes
    On {
        /// End by itself after this time: `30m`, `2h`
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        limit: Option<Duration>,
    },
    /// End: what is to be done is done at once
    Off,
}

/// Times as in hb.toml, and hours.
fn time(text: &str) -> Result<Duration, String> {
    if let Some(hours) = text.strip_suffix('h') {
        let hours: u64 = hours.trim().parse().map_err(|_| "write a time such as 2h".to_owned())?;
        return Ok(Duration::from_secs(hours.saturating_mul(3_600)));
    }
    match duration::parse(text, Units::Native) {
        Ok(0) => Err("it would end at once".to_owned()),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => Err("write a time such as 30m, 2h or 90s".to_owned()),
    }
}

/// Runs `hb maintenance`.
pub(crate) fn maintenance(run_dir: &Path, args: &MaintenanceArgs) -> ExitCode {
    let ms = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    command(
        run_dir,
        match &args.what {
            Switch::On { limit } => Request::Maintenance { on: true, limit_ms: limit.map(ms) },
            Switch::Off => Request::Maintenance { on: false, limit_ms: None },
        },
    )
}

/// Power switches: do they work, what did they do, and a person's word in their place
#[derive(Clone, Debug, Args)]
pub(crate) struct FenceArgs {
    #[command(subcommand)]
    what: Fence,
}

#[derive(Clone, Debug, Subcommand)]
enum Fence {
    /// Ask each device whether it works; changes nothing
    Test,
    /// What is configured and what happened last
    Status,
    /// You have made sure that NODE is off: its groups may be taken over
    Confirm {
        /// The other node's name
        node: String,
    },
}

/// Runs `hb fence`. `status` exits with 1 when fencing failed and 2 when none is configured.
pub(crate) fn fence(run_dir: &Path, args: &FenceArgs) -> ExitCode {
    match &args.what {
        Fence::Test => command(run_dir, Request::FenceTest),
        Fence::Confirm { node } => command(run_dir, Request::FenceConfirm { node: node.clone() }),
        Fence::Status => match client::snapshot(run_dir) {
            Ok(snapshot) => show(snapshot.fencing.as_ref()),
            Err(error) => unreachable_daemon(&error),
        },
    }
}

fn show(fencing: Option<&FencingStatus>) -> ExitCode {
    let Some(fencing) = fencing else {
        print::out("no fencing: hb.toml has no [[fencing.device]], ha.cf no stonith line\n");
        return exit::code(exit::USAGE);
    };
    print::out(&format!("devices  {}\nstate    {}\n", fencing.devices.join(", "), fencing.state));
    if let Some(last) = &fencing.last {
        print::out(&format!("last     {last}\n"));
    }
    exit::code(if fencing.state == "failed" { exit::NEGATIVE } else { exit::OK })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text, seconds: u64| assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        check("30m", 1_800);
        check("2h", 7_200);
        check("90s", 90);
        check("45", 45);
        for text in ["", "0", "h", "-1m", "soon"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
