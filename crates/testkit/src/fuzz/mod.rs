//! What fuzz targets call: a body for each parser, which panics where a promise is broken.

mod http1;
mod http2;
mod mqtt;
mod parser;
mod stream;
mod websocket;

pub use http1::{http1, http1_at_random};
pub use http2::{grpc, hpack, http2};
pub use mqtt::mqtt;
pub use parser::parser;
pub use stream::stream;
pub use websocket::websocket;
