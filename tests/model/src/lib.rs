//! The resource managers of both nodes, unchanged, under a model checker: one model for each kind of
//! fault, and what is promised in it. What it found and how to read it: `docs/failures/model.md`.
//! It models no time and no bytes; those are the simulator's.

pub mod check;
pub mod faults;
pub mod legacy;
pub mod moves;
pub mod setup;
pub mod side;
pub mod trace;
pub mod world;
