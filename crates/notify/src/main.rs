//! The program `hb-notify`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hb_notify::command::main()
}
