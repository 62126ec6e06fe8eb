//! The edge of the resource machine: runs agents as processes and answers how they ended. It
//! decides nothing; `agent` says what to run and `status` what the end means.
#![forbid(unsafe_code)]

pub mod environment;

mod child;
mod ledger;
mod leftovers;
mod lookup;
mod orphans;
mod proc;
mod runner;
mod systemd;
pub mod thread;
pub mod watch;

pub use orphans::{ChildGuard, Children};
pub use runner::{Runner, RunnerConfig};
