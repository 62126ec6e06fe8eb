//! The command `hb` as a library: its verbs, the client of the daemon's sockets, and the lab in
//! which `hb demo` plays and the network tests of the project run.
#![forbid(unsafe_code)]

mod address;
mod ask;
mod check;
mod cl_status;
pub mod client;
pub mod command;
pub mod companion;
pub mod completions;
pub mod demo;
mod doctor;
mod drill;
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
mod push;
mod reload;
mod report;
mod ssh;
pub mod status;
#[cfg(test)]
mod testing;
mod tune;
mod ui;
mod why;
mod witness;
