//! What tests in namespaces share: a runner of cases, and a pair of real nodes with a client. It
//! tests nothing itself. The lab below is `hb_cli::lab`.
//!
//! The tests use the programs that cargo built last: `cargo test --workspace` builds them, and so
//! does `cargo build -p hb-heartbeat -p hb-cli`, after which `cargo test -p hb-netns -- power_loss`
//! runs some of the cases. They need no root where users may make namespaces. nginx, haproxy and
//! iproute2 make them complete: what is missing is named, and its cases are skipped.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

pub mod files;
pub mod pair;
pub mod runner;
pub mod traffic;
