//! The command hb.
fn main() {}
