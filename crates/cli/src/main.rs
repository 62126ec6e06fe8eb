//! The command `hb`. Everything is in the library, which the network tests of the project share.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hb_cli::command::main()
}
