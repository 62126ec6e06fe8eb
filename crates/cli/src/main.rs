//! The command `hb`. Only the choice of the verb is here; each verb is a module.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hb_cli::demo;

/// Two-node high availability: look at a pair, move its services, try it out.
#[derive(Debug, Parser)]
#[command(name = "hb", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play a failover on this machine: two nodes in namespaces, a client that measures
    Demo(demo::Args),
}

fn main() -> ExitCode {
    hb_cli::lab::help_if_asked();
    match Arguments::parse().verb {
        Verb::Demo(args) => demo::run(&args),
    }
}
