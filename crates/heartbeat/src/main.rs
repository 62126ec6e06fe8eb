//! The daemon's program: reads the command line and hands over. Decides nothing else.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod address_thread;
mod args;
mod command;
mod configuration;
mod control;
mod daemonize;
mod exit;
mod fence;
mod foreign;
mod hint;
mod history;
mod host;
mod identity;
mod legacy;
mod logging;
mod operations;
mod perform;
mod pid_file;
mod probes;
mod realtime;
mod reload;
mod run;
mod service;
mod shell;
mod signals;
mod sys;
mod watch;
mod watch_record;
mod watchdog;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Mode};
use crate::daemonize::{GUARDIAN, Report};
use crate::exit::{Exit, Fatal};
use crate::logging::Stderr;

fn main() -> ExitCode {
    let args = Args::parse().with_absolute_paths();
    dispatch(&args).unwrap_or_else(|error| {
        Stderr.note(&error.to_string());
        ExitCode::from(error.code())
    })
}

fn dispatch(args: &Args) -> Result<ExitCode, Fatal> {
    match (args.mode, args.daemon_stage) {
        (Mode { status: true, .. }, _) => command::status(&args.paths).map(Into::into),
        (Mode { stop: true, .. }, _) => command::stop(&args.paths).map(Into::into),
        (Mode { reload: true, .. }, _) => command::reload(&args.paths).map(Into::into),
        (Mode { foreground: true, .. }, _) => run::run(args, Report::Nobody).map(Into::into),
        (_, None) => daemonize::launch().map(|()| Exit::Ok.into()),
        (_, Some(GUARDIAN)) => daemonize::guard().map(Into::into),
        (_, Some(_)) => run::run(args, Report::Pipe).map(Into::into),
    }
}
