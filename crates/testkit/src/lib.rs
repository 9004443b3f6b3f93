//! Test helpers: scripts for parsers, with a chopper and a hole puncher; packets and captures;
//! network namespaces.

pub mod capture;
pub mod device;
pub mod netns;
pub mod packet;
pub mod script;
pub mod skip;
