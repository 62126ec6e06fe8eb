//! Resource groups of a two-node cluster: startup negotiation, takeover, failback, standby, stop.
//!
//! The machine is pure and *untimed*: it names timers and never sees a clock, so that the very code
//! that ships can be model-checked. Running agents (`exec`) and setting floating addresses
//! (`address`) are features at the edge.

#[cfg(feature = "address")]
pub mod address;
pub mod agent;
#[cfg(feature = "exec")]
pub mod exec;
pub mod group;
pub mod input;
pub mod manager;
pub mod operation;
pub mod output;
pub mod policy;
pub mod status;
