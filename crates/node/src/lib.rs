//! The whole node as one pure value: messaging, the resource manager, timers and the control API.
//!
//! The same `Node` runs in the daemon, in the simulator and in replays. It reads no clock, opens
//! no socket, starts no process: `Node::handle(now, input, &mut effects)`.
#![forbid(unsafe_code)]

mod activity;
pub mod api;
mod daytime;
mod doubt;
pub mod effect;
mod equal;
mod extensions;
mod fencing;
pub mod history;
pub mod input;
mod ipfail;
mod keys;
mod node;
mod problems;
mod readiness;
pub mod record;
mod report;
mod requests;
mod rivals;
mod since;
mod snapshot;
mod split;
pub mod timers;
mod totals;
pub mod translate;
mod unheard;
mod wake;
mod watch;
mod witness;
pub mod words;

pub use node::{Identity, Node};

/// Exit code of a node that released everything because the other one was given the right to go on
/// alone: whoever watches over the daemon starts it again (`EX_TEMPFAIL` of sysexits.h).
pub const STEPPED_DOWN: u8 = 75;
