//! Test helpers: scripts for parsers, with a chopper and a hole puncher.

pub mod http2;
pub mod script;
