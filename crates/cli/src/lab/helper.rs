//! The parts that one executable plays in a lab beside its own: first process of a node, joiner of
//! a node's namespaces, HTTP server, stub of a dangerous command. Only the choice is here.

use std::ffi::OsString;

use super::{exec, http, machine};

/// What helpers are called in a list of processes.
pub(super) const NAME: &str = "hb";
/// First argument of every helper process.
pub(super) const FLAG: &str = "--lab-helper";
/// Makes a node's namespaces and waits for its first process: `machine NAME`.
pub(super) const MACHINE: &str = "machine";
/// A node's first process: `init NAME`.
pub(super) const INIT: &str = "init";
/// Runs a command in a node: `exec PID COMMAND…`.
pub(super) const EXEC: &str = "exec";
/// Becomes a command that ends with its parent: `run COMMAND…`.
pub(super) const RUN: &str = "run";
/// Enters a lab from outside: `visit NODE COMMAND…`.
pub(super) const VISIT: &str = "visit";
/// The built-in HTTP server: `http NAME ADDRESS:PORT`.
pub(super) const HTTP: &str = "http";
/// In the first line of a resource script: it starts and stops the built-in HTTP server.
pub const RESOURCE_FLAG: &str = "--lab-resource";
/// In the first line of the scripts that cover `reboot` and its like.
pub(super) const STUB_FLAG: &str = "--lab-stub";

/// Plays the helper's part when this process was started as one, and does not return then. Call it
/// before the arguments are parsed; [`super::enter`] does it, too.
pub fn help_if_asked() {
    if let Some(code) = run_if_asked() {
        std::process::exit(code);
    }
}

/// The exit code of the helper's part when this process was started as one.
fn run_if_asked() -> Option<i32> {
    let mut args = std::env::args_os().skip(1);
    let flag = args.next()?;
    let rest: Vec<OsString> = args.collect();
    if flag == FLAG {
        return Some(run(&rest));
    }
    let text: Vec<String> = rest.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    if flag == RESOURCE_FLAG {
        return Some(http::resource(&text));
    }
    (flag == STUB_FLAG).then(|| machine::stub(&text))
}

fn run(args: &[OsString]) -> i32 {
    let Some((part, rest)) = args.split_first() else { return usage() };
    let words: Vec<&str> = rest.iter().filter_map(|a| a.to_str()).collect();
    match (part.to_str().unwrap_or_default(), words.as_slice()) {
        (MACHINE, [name]) => machine::run(name),
        (INIT, [_name]) => machine::init(),
        (EXEC, [pid, ..]) => exec::join_and_run(pid, words.get(1..).unwrap_or_default()),
        (RUN, _) => exec::become_command(rest),
        (VISIT, [node, ..]) => exec::visit(node, words.get(1..).unwrap_or_default()),
        (HTTP, [name, address]) => http::serve(name, address),
        _ => usage(),
    }
}

fn usage() -> i32 {
    super::machine::complain("this form of the command is for its own use");
    2
}
