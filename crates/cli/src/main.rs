//! The command hb: takes the words of the command line apart and hands over. Each subcommand is a
//! module of its own.
#![forbid(unsafe_code)]

mod check;
mod explain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Two-node high availability: check the configuration, explain it.
#[derive(Debug, Parser)]
#[command(name = "hb", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}
