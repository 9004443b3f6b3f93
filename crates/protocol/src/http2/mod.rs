//! HTTP/2 (RFC 9113) and what lies on top of it: gRPC calls, tunnels, WebSocket (RFC 8441).
//!
//! [`hpack`] decodes header fields, `frame` and `settings` name what is on the wire, `parser` reads
//! it in order, `connection` and `stream` keep what it means, `recognise` and `resync` find frames
//! where nothing says that they begin. How all this behaves when bytes are missing: `docs/http2.md`.

mod connection;
mod error_code;
mod frame;
mod head;
pub mod hpack;
mod parser;
mod reader;
mod recognise;
mod resync;
mod settings;
mod stream;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// HTTP/2, with gRPC.
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> &'static str {
        "http2"
    }

    fn speaks(&self) -> &'static [&'static str] {
        &["http2", "grpc"]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        recognise::recognise(sample)
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(parser::Http2Parser::new(start))
    }
}
