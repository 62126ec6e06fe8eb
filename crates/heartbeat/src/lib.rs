//! The daemon as a library of three entries: [`main`] for the program, [`command_line`] for its man
//! page, and [`fuzzing`], by which the fuzzers reach the parsers of what local clients send. Reads the command line; decides
//! nothing else.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod address_thread;
mod args;
mod binding;
mod command;
mod configuration;
mod control;
mod daemonize;
mod exit;
mod fence;
mod foreign;
pub mod fuzzing;
mod guardian;
mod hint;
mod history;
mod host;
mod identity;
mod last_status;
mod left_record;
mod legacy;
mod logging;
mod mask;
mod operations;
mod perform;
mod pid_file;
mod probes;
mod realtime;
mod record;
mod reload;
mod run;
mod service;
mod shell;
mod signals;
mod sleep;
mod sys;
mod tool;
mod watch;
mod watch_record;
mod watchdog;
mod witness;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Mode};
use crate::daemonize::{GUARDIAN, Report};
use crate::exit::{Exit, Fatal};
use crate::logging::Stderr;

/// The program: reads the command line and hands over.
pub fn main() -> ExitCode {
    let args = Args::parse().with_absolute_paths();
    dispatch(&args).unwrap_or_else(|error| {
        Stderr.note(&error.to_string());
        ExitCode::from(error.code())
    })
}

/// The command line as clap knows it: for the man page and completions.
pub fn command_line() -> clap::Command {
    Args::command()
}

fn dispatch(args: &Args) -> Result<ExitCode, Fatal> {
    if args.gave_up {
        guardian::give_up(args);
        return Ok(Exit::Ok.into());
    }
    match (args.mode, args.daemon_stage) {
        (Mode { status: true, .. }, _) => command::status(&args.paths).map(Into::into),
        (Mode { stop: true, .. }, _) => command::stop(&args.paths).map(Into::into),
        (Mode { reload: true, .. }, _) => command::reload(&args.paths).map(Into::into),
        (Mode { restart: true, .. }, _) => command::restart(&args.paths).map(Into::into),
        (Mode { foreground: true, .. }, _) => run::run(args, Report::Nobody).map(Into::into),
        (_, None) => daemonize::launch().map(|()| Exit::Ok.into()),
        (_, Some(GUARDIAN)) => daemonize::guard(args).map(Into::into),
        (_, Some(_)) => run::run(args, Report::Pipe).map(Into::into),
    }
}
