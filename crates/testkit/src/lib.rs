//! Test helpers: scripts for parsers, with a chopper and a hole puncher; packets and captures.

pub mod capture;
pub mod packet;
pub mod script;
pub mod skip;
