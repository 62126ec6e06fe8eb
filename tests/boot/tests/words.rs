//! The command line of the boot test, which needs nothing that a machine may lack.

#![allow(clippy::disallowed_methods, reason = "runs the program")]

use std::process::Command;

/// Nobody waits for machines that were not meant.
#[test]
fn a_word_that_no_step_has_is_refused_at_once() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hb-boot"));
    let output = program.args(["daemon_killed", "nonsense"]).output().expect("the program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no step has \"nonsense\"") && said.contains("daemon_killed"), "{said}");
}
