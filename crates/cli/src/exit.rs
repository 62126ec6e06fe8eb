//! Exit codes of `hb` and its other names, in one place. `cl_status` has codes of its own.

use std::process::ExitCode;

/// Done, or healthy.
pub const OK: u8 = 0;
/// A negative answer: refused, failed, or degraded.
pub const NEGATIVE: u8 = 1;
/// Wrong usage. In `hb status`: down or split.
pub const USAGE: u8 = 2;
/// `hb status`: unknown, the daemon does not answer.
pub const UNKNOWN: u8 = 3;
/// The daemon cannot be reached.
pub const UNREACHABLE: u8 = 4;

/// As the process's exit code.
pub fn code(value: u8) -> ExitCode {
    ExitCode::from(value)
}
