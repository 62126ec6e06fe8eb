//! The model against the protocol description.
