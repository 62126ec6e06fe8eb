//! What the command `hb` shares with the network tests of the project: the lab in which `hb demo`
//! plays, and the client of the daemon's sockets. Its verbs are modules of the binary.

#![forbid(unsafe_code)]

pub mod client;
pub mod demo;
pub mod exit;
pub mod lab;
