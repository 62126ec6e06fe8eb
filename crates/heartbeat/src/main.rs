//! The daemon: performs what the node decides.
mod args;
mod control;
mod daemonize;
mod exit;
mod history;
mod identity;
mod logging;
mod pid_file;
mod realtime;
mod sys;
#[cfg(test)]
mod test_dir;
fn main() {}
