//! `hb-serve`: what the daemon says of the pair, over HTTP: a page for people, JSON, metrics for
//! Prometheus, a check for load balancers. A process of its own without privileges, which reads
//! `status.sock` and what the daemon keeps; it changes nothing, and the daemon does not know of it.
#![forbid(unsafe_code)]

mod answers;
mod files;
mod gate;
mod guard;
mod hand_over;
pub mod metrics;
pub mod page;
mod reading;
mod server;
mod settings;
#[cfg(test)]
mod testing;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hb_cli::companion::ServeArgs;

/// Shows the state of a two-node Twinbeat cluster over HTTP; the same as `hb serve`
#[derive(Debug, Parser)]
#[command(name = "hb-serve", version)]
struct Cli {
    /// Directory of the daemon's sockets
    #[arg(long, value_name = "DIR", default_value = hb_node::api::RUN_DIR)]
    run_dir: PathBuf,
    /// Directory of what the daemon keeps over restarts
    #[arg(long, hide = true, value_name = "DIR", default_value = hb_node::api::STATE_DIR)]
    state_dir: PathBuf,
    #[command(flatten)]
    args: ServeArgs,
}

/// Why it does not start, or what ended it; for people, without a line feed at the end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl Refused {
    fn because(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The whole program. Exit: 0 after SIGTERM or SIGINT, 1 when it cannot do what the settings say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    // The journal has the time already.
    format.without_time().with_ansi(false).init();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Refused> {
    let settings = settings::load(&cli.args)?;
    if let Some(dir) = &cli.args.hand_over {
        return hand_over::write(&settings, dir);
    }
    let source = reading::Source::new(&cli.run_dir, &cli.state_dir);
    // One thread shows a state once a second to many; what blocks has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refused(format!("cannot start: {error}")))?;
    runtime.block_on(server::run(settings, source))
}
