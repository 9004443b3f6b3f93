//! HTTP/1 (RFC 9110, RFC 9112), as it is met in the world. What is made of oddities stands in
//! `docs/http1.md`.

mod body;
mod calls;
mod framing;
mod head;
mod pairing;
mod parser;
mod reader;
mod recognise;
mod request;
mod response;
mod search;
mod start_line;
mod switch;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// HTTP/1.0 and 1.1, and what is left of 0.9.
pub(crate) struct Http1;

const HTTP1: &str = "http1";

impl Protocol for Http1 {
    fn name(&self) -> &'static str {
        HTTP1
    }

    fn speaks(&self) -> &'static [&'static str] {
        &[HTTP1, "grpc"]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        recognise::recognise(sample)
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(parser::Http1Parser::new(&start))
    }
}
