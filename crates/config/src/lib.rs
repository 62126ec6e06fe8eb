//! Reads Heartbeat's three files and `hb.toml` into [`settings::Settings`] and diagnostics.
//!
//! It never opens a file, never exits and never fails: text goes in, typed data and a list of
//! diagnostics come out. Who may start with which diagnostics is the caller's decision.
#![forbid(unsafe_code)]

pub mod settings;
