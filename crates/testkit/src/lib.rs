//! Test helpers: scripts for parsers, with a chopper and a hole puncher.

#[cfg(feature = "schema")]
pub mod schema;
pub mod script;
