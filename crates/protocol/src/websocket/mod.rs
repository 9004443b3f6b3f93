//! WebSocket (RFC 6455), with permessage-deflate (RFC 7692), from HTTP/1's upgrade, HTTP/2's
//! extended CONNECT (RFC 8441), or joined in the middle.
//!
//! * `frame`, `mask`, `utf8`, `close`: the wire format.
//! * `handshake`, `extension`, `sha1`: what was agreed.
//! * `inflate`: permessage-deflate, also where a part of its window is unknown.
//! * `evidence`, `recognition`: what speaks for WebSocket where no handshake was seen.
//! * `connection`, `assembly`, `pings`, `totals`: frames to messages.

mod assembly;
mod close;
mod connection;
mod evidence;
mod extension;
mod frame;
mod handshake;
mod inflate;
mod mask;
mod pings;
mod recognition;
mod sha1;
mod totals;
mod utf8;

use crate::{Parser, Protocol, Recognition, Sample, Start};

/// The registry's entry.
pub(crate) struct WebSocket;

const NAME: &str = "websocket";

impl Protocol for WebSocket {
    fn name(&self) -> &'static str {
        NAME
    }

    fn speaks(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn recognise(&self, sample: &Sample<'_>) -> Recognition {
        recognition::recognise(sample)
    }

    fn parser(&self, start: Start<'_>) -> Box<dyn Parser> {
        Box::new(connection::Connection::new(start))
    }
}
