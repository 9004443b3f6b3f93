//! Pure parsers of application protocols.
//!
//! A [`Parser`] is given bytes, gaps and time, in order, for both directions of one connection, and
//! gives back [`Message`]s; it does no I/O and reads no clock. A [`Protocol`] recognises its own
//! streams by what they say and makes parsers for them. Every protocol is one folder of this crate
//! and one line of [`REGISTRY`].

mod amqp;
mod bytes;
#[expect(dead_code, reason = "the parsers that use it come one after another")]
mod content;
mod feed;
pub mod grpc;
mod http1;
pub mod http2;
mod lines;
mod message;
mod mqtt;
mod nested;
mod outbox;
mod parser;
mod recognition;
mod secrets;
mod smtp;
mod tls;
mod value;
mod websocket;

pub use feed::{Feed, Window};
pub use message::{Completeness, Field, Key, Mark, Message, Note, Role, Span};
pub use nested::Nested;
pub use outbox::{Handshake, Next, Outbox, Output, OwnedChunk, Switch};
pub use parser::{Chunk, End, Input, Parser, Protocol, Settings, Start};
pub use recognition::{Prefix, Recognition, Sample};
pub use value::{Attribute, Value};

/// Every protocol, in the order in which they are asked whether they recognise a connection.
#[rustfmt::skip]
pub static REGISTRY: &[&dyn Protocol] = &[
    &http1::Http1,
    &http2::Http2,
    &amqp::Amqp,
    &mqtt::Mqtt,
    &smtp::Smtp,
    &tls::Tls,
    &websocket::WebSocket,
];

/// The protocol of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    REGISTRY.iter().copied().find(|protocol| protocol.name() == name)
}

/// Every name that can stand in an exchange's `protocol`, each once: what `--protocol` takes.
pub fn spoken_names() -> impl Iterator<Item = &'static str> {
    let names = || REGISTRY.iter().flat_map(|protocol| protocol.speaks().iter().copied());
    let is_first = move |(at, name): &(usize, &str)| !names().take(*at).any(|earlier| earlier == *name);
    names().enumerate().filter(is_first).map(|(_, name)| name)
}
