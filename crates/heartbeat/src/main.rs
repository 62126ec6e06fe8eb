//! The daemon: performs what the node decides.
fn main() {}
