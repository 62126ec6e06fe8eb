//! The fuzz targets: one function for each parser, and for a whole node, that takes any bytes and
//! panics when an invariant breaks. libFuzzer calls them (`fuzz/`), `cargo test` replays the
//! corpus through them, and `mutate` works on them without any instrumentation.

#![forbid(unsafe_code)]
// A broken invariant is a panic: that is what a fuzz target is for.
#![allow(clippy::missing_panics_doc)]

mod auth;
mod config;
pub mod corpus;
mod local;
pub mod mutate;
mod node;
mod reader;
pub mod report;
mod two_nodes;
mod wire;
mod world;

pub use auth::auth;
pub use config::{authkeys, check, ha_cf, haresources, hb_toml};
pub use local::{control_json, fifo_text, register_socket};
pub use node::node;
pub use two_nodes::two_nodes;
pub use wire::{wire_classic, wire_netstring};

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name; also the name of its corpus and of its file for cargo-fuzz.
    pub name: &'static str,
    /// Takes any bytes and panics when an invariant breaks.
    pub run: fn(&[u8]),
    /// Longest input that is worth making.
    pub max_len: usize,
    /// Inputs that `cargo test` makes: a fraction of a second, without optimisation.
    pub made: usize,
}

macro_rules! targets {
    ($($name:ident up to $max_len:literal, $made:literal made);* $(;)?) => {
        /// All targets.
        pub const TARGETS: &[Target] =
            &[$(Target {
                name: stringify!($name),
                run: $name,
                max_len: $max_len,
                made: $made,
            }),*];
    };
}

targets! {
    wire_netstring up to 1024, 10000 made;
    wire_classic up to 1024, 5000 made;
    auth up to 512, 1000 made;
    ha_cf up to 2048, 60 made;
    haresources up to 2048, 500 made;
    authkeys up to 1024, 500 made;
    hb_toml up to 2048, 500 made;
    check up to 4096, 60 made;
    register_socket up to 2048, 3000 made;
    fifo_text up to 2048, 10000 made;
    control_json up to 2048, 10000 made;
    node up to 1024, 20 made;
    two_nodes up to 1024, 5 made;
}

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
