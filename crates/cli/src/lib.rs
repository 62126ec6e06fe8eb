//! What the command `hb` is made of, as a library, so that the network tests of the project use
//! the same lab as `hb demo`. Nothing here decides anything about a cluster.

#![forbid(unsafe_code)]

pub mod demo;
pub mod lab;
