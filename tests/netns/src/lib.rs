//! Placeholder of the test crate.
