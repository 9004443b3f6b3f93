//! The JSON line. `docs/json.md` describes it, `docs/json.schema.json` is its schema.
//!
//! Written straight from the records, without values in between and, in the steady state, without
//! an allocation.

mod connection;
mod escape;
mod exchange;
mod keys;
mod message;
mod number;
mod peers;
mod summary;
mod time;
mod value;

use l7trace_exchange::Record;

use crate::disclose::Disclosure;
use crate::{Output, OutputOptions};

/// One JSON object a line.
pub struct JsonLines {
    disclosure: Disclosure,
    clock: time::Clock,
    peers: peers::Peers,
}

impl JsonLines {
    /// With what concerns it of these options: the redaction.
    pub fn new(options: &OutputOptions) -> JsonLines {
        JsonLines {
            disclosure: Disclosure::new(options.redaction),
            clock: time::Clock::default(),
            peers: peers::Peers::default(),
        }
    }
}

impl Output for JsonLines {
    fn write(&mut self, record: &Record<'_>, to: &mut Vec<u8>) {
        match record {
            Record::Exchange(exchange) => exchange::write(self, exchange, to),
            Record::Connection(connection) => connection::write(self, connection, to),
            Record::Summary(summary) => summary::write(summary, to),
        }
        to.push(b'\n');
    }
}

/// The registry's entry.
pub(crate) fn make(options: &OutputOptions) -> Box<dyn Output> {
    Box::new(JsonLines::new(options))
}

/// A value as JSON: how every output spells what has a structure.
pub(crate) fn spelled(value: &l7trace_protocol::Value, disclosure: Disclosure) -> Vec<u8> {
    let mut spelled = Vec::new();
    value::write(&mut spelled, value, disclosure, 0);
    spelled
}
