//! Reads Heartbeat's three files and `hb.toml` into [`settings::Settings`] and diagnostics.
//!
//! It never exits and never fails: text goes in, typed data and a list of diagnostics come out
//! ([`load`]). Who may start with which diagnostics is the caller's decision. Only [`dir`]
//! (feature `fs`) opens files.
#![forbid(unsafe_code)]

pub mod authkeys;
pub mod changes;
pub mod check;
pub mod codes;
pub mod diagnostic;
#[cfg(feature = "fs")]
pub mod dir;
pub mod directives;
pub mod duration;
pub mod ha_cf;
pub mod haresources;
pub mod hint;
pub mod lexer;
mod load;
#[cfg(feature = "render")]
mod mask;
pub mod native;
#[cfg(feature = "render")]
pub mod render;
pub mod secret;
pub mod settings;
pub mod source;
pub mod span;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Severity};
pub use load::{Loaded, load};
pub use source::{FileState, Files, SourceFile};
