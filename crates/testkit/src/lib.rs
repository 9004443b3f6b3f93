//! Test helpers: scripts for parsers, with a chopper and a hole puncher; events and conversations
//! for what puts bytes in order, with a listener that checks what comes out; fuzz targets.

pub mod conversation;
pub mod fuzz;
pub mod heard;
pub mod script;
pub mod told;
