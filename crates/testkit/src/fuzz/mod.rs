//! What fuzz targets call: a body for each parser, which panics where a promise is broken.

mod http2;

pub use http2::{grpc, hpack, http2};
