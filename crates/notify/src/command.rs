//! The command line of `hb-notify`, which is that of `hb notify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hb_cli::companion::{NotifyArgs, NotifyVerb};
use hb_cli::exit;

use crate::settings::{NOBODY, Settings};
use crate::{prepare, run, status, try_out};

/// Tells people of incidents: mail, webhooks, programs
#[derive(Debug, Parser)]
#[command(name = "hb-notify", version)]
struct Cli {
    /// Directory of the daemon's sockets
    #[arg(long, value_name = "DIR", default_value = hb_node::api::RUN_DIR)]
    run_dir: PathBuf,
    /// Directory of what the daemon keeps over restarts
    #[arg(long, hide = true, value_name = "DIR", default_value = hb_node::api::STATE_DIR)]
    state_dir: PathBuf,
    #[command(flatten)]
    args: NotifyArgs,
}

/// The whole program.
pub fn main() -> ExitCode {
    let Cli { run_dir, state_dir, args } = Cli::parse();
    let fail = |text: String| {
        status::err(&format!("hb notify: {}\n", text.trim_end()));
        exit::code(exit::NEGATIVE)
    };
    let read = || Settings::read(&args.dir);
    match &args.verb {
        NotifyVerb::Run { settings } => {
            let read = || match settings {
                Some(path) => Settings::prepared(path),
                None => read(),
            };
            let settings = match read() {
                Ok(settings) if !settings.notify.channels.is_empty() => settings,
                settings => return useless(settings),
            };
            let done = run::run(settings, &read, &run_dir, &state_dir, &args.notify_dir);
            done.map_or_else(fail, |()| exit::code(exit::OK))
        }
        NotifyVerb::Test { channel } => match read() {
            Ok(settings) => try_out::run(&settings, &run_dir, channel.as_deref()),
            Err(text) => fail(text),
        },
        NotifyVerb::Status { json } => status::run(&args.notify_dir, *json),
        NotifyVerb::Prepare { out, reload } => {
            let settings = match read() {
                read if *reload => match read.and_then(Settings::whole) {
                    Ok(settings) => settings,
                    Err(text) => return fail(format!("the service goes on as before: {text}")),
                },
                // What is wrong is said by the service, which then need not be tried again.
                read => read.unwrap_or_else(|text| Settings {
                    complaints: vec![text],
                    ..Settings::default()
                }),
            };
            let shown = |error| fail(format!("{}: {error}", out.display()));
            prepare::write(&settings, out).map_or_else(shown, |()| exit::code(exit::OK))
        }
    }
}

/// Without a channel there is nothing to do, and trying again does not help.
fn useless(settings: Result<Settings, String>) -> ExitCode {
    let complaints = settings.map_or_else(|text| vec![text], |settings| settings.complaints);
    for text in complaints {
        status::err(&format!("hb notify: {}\n", text.trim_end()));
    }
    status::err(&format!("hb notify: {NOBODY}\n"));
    exit::code(exit::USAGE)
}
