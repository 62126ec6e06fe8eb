//! Heartbeat 3.0.6's wire protocol as a pure, timed state machine: framing, authentication,
//! sequence numbers, retransmission, liveness of nodes, links and ping nodes.
//!
//! No clock, socket, file or randomness inside: `Messaging::handle(now, input, &mut outputs)`.
//! It knows nothing of resources; bodies pass through typed. Sockets are in `net` (feature `net`).

#![forbid(unsafe_code)]

pub mod auth;
mod echo;
pub mod engine;
pub mod error;
pub mod fields;
mod history;
mod liveness;
pub mod measure;
pub mod message;
#[cfg(feature = "net")]
pub mod net;
mod order;
mod ping;
mod random;
mod sequence;
pub mod time;
pub mod wire;
