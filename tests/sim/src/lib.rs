//! The simulator: two real nodes in a modelled world, seeded faults, and properties that are
//! checked after every event. `hb plan` plays both nodes in its world; the rest never ships.
#![forbid(unsafe_code)]

pub mod agents;
pub mod beyond;
pub mod checker;
pub mod clock;
pub mod counts;
mod day;
pub mod edge;
pub mod evidence;
pub mod faults;
pub mod legacy;
pub mod moments;
pub mod network;
pub mod owners;
pub mod perform;
pub mod plan;
pub mod player;
pub mod promises;
pub mod replay;
pub mod rng;
pub mod run;
pub mod scenes;
pub mod setup;
pub mod shrink;
pub mod swarm;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod troubles;
pub mod world;
