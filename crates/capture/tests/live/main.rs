//! The packets source on real traffic, in network namespaces of its own. Needs root; without it,
//! every test says that it was skipped.

mod devices;
mod owners;
mod packets;
mod seen;
