//! Test helpers: scripts for parsers, with a chopper and a hole puncher.

pub mod netns;
pub mod script;
