//! Behaviour of the messaging engine: two engines in virtual time over links that delay, lose and
//! repeat. No sockets and no real clock.

mod harness;
mod hostile;
mod liveness;
mod properties;
mod repair;
mod startup;
