//! What tests in namespaces share: a runner of cases, and a pair of real nodes with a client. It
//! tests nothing itself. The lab below is `hb_cli::lab`.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "tests with real time, files and processes")]

pub mod files;
pub mod pair;
pub mod runner;
pub mod traffic;
