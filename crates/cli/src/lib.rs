//! The command `hb` as a library: its verbs, the client of the daemon's sockets, and the lab in
//! which `hb demo` plays and the network tests of the project run.
#![forbid(unsafe_code)]

mod address;
mod check;
mod cl_status;
pub mod client;
pub mod command;
pub mod companion;
pub mod completions;
pub mod demo;
pub mod exit;
mod explain;
pub mod history;
mod key;
pub mod lab;
mod migrate;
mod moves;
mod operate;
mod plan;
mod print;
mod probe;
mod reload;
pub mod status;
#[cfg(test)]
mod testing;
mod ui;
mod why;
mod witness;
