//! The project's own checks and generators. Nothing here ships.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod commands;
mod completions;
mod dist;
mod failures;
mod generated;
mod guide;
mod links;
mod man;
mod mutants;
mod picture;
mod reference;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK
  tidy       checks rules that the compiler does not know
  mutants    makes deliberate bugs in a copy and sees whether the tests notice; takes an hour or two.
             --only NAME: one of them; --table FILE: writes what was seen
  failures   writes docs/failures/README.md from docs/failures/faults.toml
  reference  writes the pages of docs/reference that are made from tables
  man        writes docs/man from the command lines, the tables and the prose beside the generator
  completions  writes etc/completions from the command lines
  guide DIR  puts the screens of DIR (made by crates/xtask/src/guide/screens) into docs/guide
  dist       builds the Debian package and the spec file of an RPM
  picture    draws a terminal's output (stdin) as an SVG (stdout)";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => report(&tidy::check(root())),
        Some("reference") => done("reference", reference::set().write(root())),
        Some("man") => done("man", man::set().write(root())),
        Some("completions") => done("completions", completions::set().write(root())),
        Some("guide") => match std::env::args_os().nth(2) {
            Some(screens) => done("guide", guide::fill(root(), Path::new(&screens))),
            None => {
                eprintln!("{USAGE}");
                ExitCode::from(2)
            }
        },
        Some("dist") => match dist::run(root(), std::env::args().skip(2)) {
            Ok(made) => {
                made.iter().for_each(|path| println!("{}", path.display()));
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("dist: {error}");
                ExitCode::FAILURE
            }
        },
        Some("failures") => match failures::write(root()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("failures: {error}");
                ExitCode::FAILURE
            }
        },
        Some("mutants") => match mutants::run(root(), std::env::args().skip(2)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("mutants: {error}");
                ExitCode::from(2)
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

fn done(task: &str, result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{task}: {error}");
            ExitCode::FAILURE
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
