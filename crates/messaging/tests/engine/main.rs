//! Behaviour of the messaging engine: two engines in virtual time over links that delay, lose and
//! repeat. No sockets and no real clock.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

mod harness;
mod hostile;
mod liveness;
mod measure;
mod properties;
mod repair;
mod startup;
