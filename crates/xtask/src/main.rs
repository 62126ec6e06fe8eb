//! The project's own checks and generators. Nothing here ships.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod fsm;
mod picture;
mod reference;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK
  tidy       checks rules that the compiler does not know
  reference  writes the pages of docs/reference that are made from tables
  fsm        writes the tables of states, by driving the real code
  picture    draws a terminal's output (stdin) as an SVG (stdout)";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => report(&tidy::check(root())),
        Some("reference") => match reference::write(root()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("reference: {error}");
                ExitCode::FAILURE
            }
        },
        Some("fsm") => match fsm::write(root()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("fsm: {error}");
                ExitCode::FAILURE
            }
        },
        Some("picture") => match std::io::read_to_string(std::io::stdin()) {
            Ok(ansi) => {
                print!("{}", picture::draw(&ansi));
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("picture: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The top of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn report(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() {
        println!("tidy: nothing to say");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
