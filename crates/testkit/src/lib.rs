//! Test helpers: scripts for parsers, with a chopper and a hole puncher; events and conversations for
//! what puts bytes in order, with a listener that checks what comes out; packets and captures; network
//! namespaces.

pub mod capture;
pub mod conversation;
pub mod device;
pub mod fuzz;
pub mod heard;
pub mod http2;
pub mod netns;
pub mod packet;
#[cfg(feature = "schema")]
pub mod schema;
pub mod script;
pub mod skip;
pub mod told;
