//! `hb-notify`: tells people of incidents, by mail, webhooks and programs. A process of its own: the
//! daemon knows nothing of it, and nothing here can stand in the way of a takeover. The core
//! (`incident`, `queue`, `words`) is pure; the rest is the edge.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod channel;
pub mod command;
pub mod incident;
pub mod message;
mod outlets;
mod prepare;
pub mod queue;
mod run;
pub mod settings;
mod source;
mod status;
pub mod store;
#[cfg(test)]
mod testing;
mod try_out;
pub mod words;
