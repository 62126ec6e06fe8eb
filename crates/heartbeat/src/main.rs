//! The daemon's program. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hb_heartbeat::main()
}
